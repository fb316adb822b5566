# SPDX-License-Identifier: MIT
set(here "${CMAKE_CURRENT_LIST_DIR}")
set(model_deps ib_model ib_backend ib_checkpoint ib_quant ib_base m)
ib_unit_test(test_model_golden SOURCES ${here}/test_model_golden.c ${here}/model_support.c
  DEPS ${model_deps})
ib_unit_test(test_rope SOURCES ${here}/test_rope.c DEPS ${model_deps})
ib_unit_test(test_processors SOURCES ${here}/test_processors.c DEPS ${model_deps})
ib_unit_test(test_config SOURCES ${here}/test_config.c DEPS ${model_deps})
ib_unit_test(test_generate SOURCES ${here}/test_generate.c ${here}/model_support.c
  DEPS ${model_deps})
ib_unit_test(test_config_gguf SOURCES ${here}/test_config_gguf.c DEPS ${model_deps})
ib_unit_test(test_model_load SOURCES ${here}/test_model_load.c ${here}/model_support.c
  DEPS ${model_deps})
foreach(name test_model_alloc test_model_oom)
  ib_unit_test(${name} SOURCES ${here}/${name}.c ${here}/model_support.c DEPS ${model_deps})
  foreach(function malloc calloc realloc posix_memalign aligned_alloc free)
    target_link_options(${name} PRIVATE "-Wl,--wrap=${function}")
  endforeach()
endforeach()
