# SPDX-License-Identifier: MIT
# Acceptance of the tool itself on the synthetic engine's virtual clock: a quick part with the tests.
add_executable(acceptance acceptance/acceptance.c)
target_link_libraries(acceptance PRIVATE ib_flags ib_bench ib_engine ib_record ib_stats ib_base m)
add_test(NAME acceptance_quick COMMAND acceptance --quick)
