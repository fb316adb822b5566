# SPDX-License-Identifier: MIT
set(model_here "${CMAKE_CURRENT_LIST_DIR}")
set(model_deps ib_model ib_backend ib_checkpoint ib_quant ib_base m)
ib_unit_test(test_model_golden SOURCES ${model_here}/test_model_golden.c ${model_here}/model_support.c
  DEPS ${model_deps})
ib_unit_test(test_rope SOURCES ${model_here}/test_rope.c DEPS ${model_deps})
ib_unit_test(test_processors SOURCES ${model_here}/test_processors.c DEPS ${model_deps})
ib_unit_test(test_config SOURCES ${model_here}/test_config.c DEPS ${model_deps})
ib_unit_test(test_generate SOURCES ${model_here}/test_generate.c ${model_here}/model_support.c
  DEPS ${model_deps})
ib_unit_test(test_config_gguf SOURCES ${model_here}/test_config_gguf.c DEPS ${model_deps})
ib_unit_test(test_model_load SOURCES ${model_here}/test_model_load.c ${model_here}/model_support.c
  DEPS ${model_deps})
foreach(name test_model_alloc test_model_oom)
  ib_unit_test(${name} SOURCES ${model_here}/${name}.c ${model_here}/model_support.c DEPS ${model_deps})
  foreach(function malloc calloc realloc posix_memalign aligned_alloc free)
    target_link_options(${name} PRIVATE "-Wl,--wrap=${function}")
  endforeach()
endforeach()
