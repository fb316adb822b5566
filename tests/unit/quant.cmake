ib_unit_test(test_types SOURCES unit/test_types.c DEPS ib_quant m)
ib_unit_test(test_matrix SOURCES unit/test_matrix.c DEPS ib_quant m)
ib_unit_test(test_bnb SOURCES unit/test_bnb.c DEPS ib_quant m)
