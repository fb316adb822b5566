# SPDX-License-Identifier: MIT
# Every operation of the CPU backend on every tier of the machine; `test_kernels --time` for speeds.
ib_unit_test(test_kernels
  SOURCES kernels/kernels.c kernels/linear.c kernels/vectors.c kernels/attention.c kernels/time.c
  DEPS ib_backend)
# The same for the OpenCL backend, every form of its kernels that the driver for the processor can run:
# minutes, so with `ctest -C slow` only.
if(NOT IB_OPENCL STREQUAL "off" AND IB_OPENCL_HEADERS)
  add_test(NAME test_kernels_xpu COMMAND test_kernels --xpu CONFIGURATIONS slow)
  set_tests_properties(test_kernels_xpu PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 3600)

  add_executable(xpu_small kernels/xpu_small.c)
  target_link_libraries(xpu_small PRIVATE ib_flags ib_backend)
  add_test(NAME xpu_small COMMAND xpu_small)
  add_test(NAME xpu_oclgrind COMMAND "${CMAKE_SOURCE_DIR}/tools/oclgrind.sh" "$<TARGET_FILE:xpu_small>"
    CONFIGURATIONS slow)
  set_tests_properties(xpu_small xpu_oclgrind PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1800)

  # a stand-in for loader and driver, in place of the real ones
  add_library(fake_opencl MODULE fake/opencl.c)
  target_link_libraries(fake_opencl PRIVATE ib_flags Threads::Threads)
  target_include_directories(fake_opencl PRIVATE "${IB_OPENCL_HEADERS}")
  set_target_properties(fake_opencl PROPERTIES OUTPUT_NAME OpenCL SUFFIX .so.1
    LIBRARY_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/fake")
  ib_unit_test(test_xpu_faults SOURCES unit/test_xpu_faults.c DEPS ib_backend)
  add_dependencies(test_xpu_faults fake_opencl)
  set_tests_properties(test_xpu_faults PROPERTIES
    ENVIRONMENT "LD_LIBRARY_PATH=${CMAKE_CURRENT_BINARY_DIR}/fake")
endif()
