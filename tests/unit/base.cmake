ib_unit_test(test_base SOURCES unit/test_base.c DEPS ib_base)
ib_unit_test(test_base_files SOURCES unit/test_base_files.c DEPS ib_base)
ib_unit_test(test_threads SOURCES unit/test_threads.c DEPS ib_base)
