# SPDX-License-Identifier: MIT
# ib_module(NAME SOURCES a.c ... DEPS ib_base ...): a static library ib_NAME from explicit sources.
function(ib_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(ib_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(ib_${name} PRIVATE ib_flags PUBLIC ${ARG_DEPS})
endfunction()

# ib_unit_test(NAME SOURCES test_x.c ... DEPS ib_text ...): a cmocka program run by CTest.
# Tests see IB_SOURCE_DIR (the checkout) as a macro and IB_TEST_DATA from the environment.
function(ib_unit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ib_flags ${ARG_DEPS} PkgConfig::CMOCKA)
  target_include_directories(${name} PRIVATE "${CMAKE_SOURCE_DIR}/tests")
  target_compile_definitions(${name} PRIVATE "IB_SOURCE_DIR=\"${CMAKE_SOURCE_DIR}\"")
  add_test(NAME ${name} COMMAND ${name})
endfunction()
