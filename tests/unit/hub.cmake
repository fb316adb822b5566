ib_unit_test(test_hub SOURCES unit/test_hub.c DEPS ib_hub ib_checkpoint)
