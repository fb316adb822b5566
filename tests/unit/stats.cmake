# SPDX-License-Identifier: MIT
ib_unit_test(test_quantile SOURCES unit/test_quantile.c DEPS ib_stats ib_base m)
ib_unit_test(test_stats_core SOURCES unit/test_stats_core.c DEPS ib_stats ib_base m)
ib_unit_test(test_stats_acceptance SOURCES unit/test_stats_acceptance.c DEPS ib_stats ib_base m)
