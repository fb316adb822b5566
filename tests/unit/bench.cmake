# SPDX-License-Identifier: MIT
# The linker sends every allocation of these programs through counters of their own.
ib_unit_test(test_streamer SOURCES unit/test_streamer.c DEPS ib_bench ib_base)
ib_unit_test(test_plan SOURCES unit/test_plan.c DEPS ib_bench ib_record ib_base)
ib_unit_test(test_bench SOURCES unit/test_bench.c DEPS ib_bench ib_engine ib_record ib_base)
ib_unit_test(test_synthetic SOURCES unit/test_synthetic.c DEPS ib_bench ib_engine ib_record ib_base m)
ib_unit_test(test_limits SOURCES unit/test_limits.c DEPS ib_bench ib_engine ib_record ib_base m)
ib_unit_test(test_law SOURCES unit/test_law.c DEPS ib_bench ib_engine ib_record ib_stats ib_base m)
ib_unit_test(test_compare SOURCES unit/test_compare.c DEPS ib_cli ib_report ib_record ib_base m)
foreach(program test_streamer test_bench)
  target_link_options(${program} PRIVATE -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc)
endforeach()

# A GPU's management library of our own for the energy counters.
add_library(fake_nvml MODULE unit/fake_nvml.c)
set_target_properties(fake_nvml PROPERTIES C_VISIBILITY_PRESET default)
ib_unit_test(test_energy SOURCES unit/test_energy.c DEPS ib_bench ib_engine ib_record ib_base m)
target_compile_definitions(test_energy PRIVATE "IB_FAKE_NVML=\"$<TARGET_FILE:fake_nvml>\"")
add_dependencies(test_energy fake_nvml)
