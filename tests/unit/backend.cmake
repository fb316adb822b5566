# SPDX-License-Identifier: MIT
# Every operation of the CPU backend on every tier of the machine; `test_kernels --time` for speeds.
ib_unit_test(test_kernels
  SOURCES kernels/kernels.c kernels/linear.c kernels/vectors.c kernels/attention.c kernels/time.c
  DEPS ib_backend)
