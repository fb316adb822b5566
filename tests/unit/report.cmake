# SPDX-License-Identifier: MIT
ib_unit_test(test_report SOURCES unit/test_report.c DEPS ib_report ib_record ib_stats ib_base m)
target_link_options(test_report PRIVATE -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc)
ib_unit_test(test_report_formats SOURCES unit/test_report_formats.c
  DEPS ib_report ib_record ib_stats ib_base m)

find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME record_schema
    COMMAND "${Python3_EXECUTABLE}" "${CMAKE_SOURCE_DIR}/tests/e2e/check_record_schema.py")
  set_tests_properties(record_schema PROPERTIES SKIP_RETURN_CODE 77
    ENVIRONMENT "IB_BIN=$<TARGET_FILE:inferbench>")
  add_test(NAME report_html
    COMMAND "${Python3_EXECUTABLE}" "${CMAKE_SOURCE_DIR}/tests/e2e/check_report_html.py")
endif()
