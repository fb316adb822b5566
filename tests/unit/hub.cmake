ib_unit_test(test_hub SOURCES unit/test_hub.c DEPS ib_hub ib_checkpoint)
ib_unit_test(test_hub_parse SOURCES unit/test_hub_parse.c DEPS ib_hub)
