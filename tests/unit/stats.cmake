# SPDX-License-Identifier: MIT
ib_unit_test(test_quantile SOURCES unit/test_quantile.c DEPS ib_stats ib_base m)
