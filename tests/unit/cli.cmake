# SPDX-License-Identifier: MIT
ib_unit_test(test_options SOURCES unit/test_options.c DEPS ib_cli)
ib_unit_test(test_cli_messages SOURCES unit/test_cli_messages.c DEPS ib_cli)

# The program as a user calls it (Python's unittest, standard library only).
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  foreach(suite cli_errors cli_run compare grid repeats cli_text golden_models hub quantize report_files statistics
          synthetic hardening hostile xpu)
    add_test(NAME e2e_${suite}
      COMMAND "${Python3_EXECUTABLE}" "${CMAKE_SOURCE_DIR}/tests/e2e/test_${suite}.py" -v)
    set_tests_properties(e2e_${suite} PROPERTIES ENVIRONMENT
      "IB_BIN=$<TARGET_FILE:inferbench>;IB_BUILD_TYPE=${CMAKE_BUILD_TYPE};IB_SANITIZE=${IB_SANITIZE}")
  endforeach()
  add_test(NAME e2e_report_browser
    COMMAND "${Python3_EXECUTABLE}" "${CMAKE_SOURCE_DIR}/tests/e2e/test_report_browser.py" -v)
  set_tests_properties(e2e_report_browser PROPERTIES ENVIRONMENT "IB_BIN=$<TARGET_FILE:inferbench>"
    SKIP_RETURN_CODE 77 TIMEOUT 300)
  add_test(NAME e2e_xpu_ocloc
    COMMAND "${Python3_EXECUTABLE}" "${CMAKE_SOURCE_DIR}/tests/e2e/test_xpu_ocloc.py" -v)
  add_test(NAME e2e_xpu_ocloc_all CONFIGURATIONS slow
    COMMAND "${Python3_EXECUTABLE}" "${CMAKE_SOURCE_DIR}/tests/e2e/test_xpu_ocloc.py" -v)
  set_tests_properties(e2e_xpu_ocloc_all PROPERTIES ENVIRONMENT "IB_OCLOC=all" TIMEOUT 3600)
endif()
