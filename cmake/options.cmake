# SPDX-License-Identifier: MIT
# Build options, and the compiler flags every target gets (target ib_flags).
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g -DNDEBUG")

set(IB_TESTS auto CACHE STRING "tests: auto (where cmocka is found), on or off")
option(IB_WERROR "treat warnings as errors" OFF)
option(IB_SCALAR_ONLY "build the CPU backend without SIMD tiers" OFF)
set(IB_CUDA auto CACHE STRING "CUDA backend: auto, on or off")
set(IB_CUDA_ARCHITECTURES "80-real;86-real;89-real;90a-real;90-virtual;100-real;120" CACHE STRING
  "what the CUDA plugin is compiled for")
set(IB_OPENCL auto CACHE STRING "OpenCL (xpu) backend: auto, on or off")
set(IB_SANITIZE "" CACHE STRING "sanitizers, as for -fsanitize=")

add_library(ib_flags INTERFACE)
target_compile_options(ib_flags INTERFACE "$<$<COMPILE_LANGUAGE:C>:\
-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wstrict-prototypes;-Wmissing-prototypes;-Wvla;\
-ffp-contract=off;-fno-math-errno;-fvisibility=hidden;$<$<BOOL:${IB_WERROR}>:-Werror>>")
target_compile_definitions(ib_flags INTERFACE _POSIX_C_SOURCE=200809L _DEFAULT_SOURCE)
target_include_directories(ib_flags INTERFACE
  "${CMAKE_SOURCE_DIR}/src" "${CMAKE_SOURCE_DIR}/include" "${CMAKE_BINARY_DIR}/generated")
# Hardening of release builds; a test reads it from the program (tests/e2e/test_hardening.py).
include(CheckCCompilerFlag)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT IB_SANITIZE)
  set(ib_hardening -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  foreach(flag -fstack-clash-protection -fcf-protection=full)
    string(MAKE_C_IDENTIFIER "IB_HAVE_${flag}" have)
    check_c_compiler_flag(${flag} ${have})
    if(${have})
      list(APPEND ib_hardening ${flag})
    endif()
  endforeach()
  target_compile_options(ib_flags INTERFACE ${ib_hardening})
  target_link_options(ib_flags INTERFACE LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
endif()
option(IB_DIST "programs look for their libraries in their own folder (make dist)" OFF)

if(IB_SANITIZE)
  target_compile_options(ib_flags INTERFACE -fsanitize=${IB_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(ib_flags INTERFACE -fsanitize=${IB_SANITIZE})
endif()
