# SPDX-License-Identifier: MIT
# The public library as a program outside sees it, and the example program.
ib_unit_test(test_api SOURCES unit/test_api.c DEPS inferbench_shared)
add_test(NAME library_example
  COMMAND inferbench_example "${CMAKE_SOURCE_DIR}/tests/golden/models/llama_gqa" 4)
set_tests_properties(library_example PROPERTIES PASS_REGULAR_EXPRESSION "^4 tokens, TTFT [0-9.]+ ms")
