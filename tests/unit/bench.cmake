# SPDX-License-Identifier: MIT
ib_unit_test(test_streamer SOURCES unit/test_streamer.c DEPS ib_bench ib_base)
target_link_options(test_streamer PRIVATE -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc)
