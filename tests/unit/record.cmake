# SPDX-License-Identifier: MIT
ib_unit_test(test_record SOURCES unit/test_record.c DEPS ib_record ib_stats ib_base m)
