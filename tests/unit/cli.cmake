# SPDX-License-Identifier: MIT
ib_unit_test(test_options SOURCES unit/test_options.c DEPS ib_cli)
ib_unit_test(test_cli_messages SOURCES unit/test_cli_messages.c DEPS ib_cli)
