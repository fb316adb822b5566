# SPDX-License-Identifier: MIT
ib_unit_test(test_report SOURCES unit/test_report.c DEPS ib_report ib_record ib_stats ib_base m)
