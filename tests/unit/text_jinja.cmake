# SPDX-License-Identifier: MIT
ib_unit_test(test_jinja SOURCES unit/test_jinja.c DEPS ib_text ib_base)
ib_unit_test(test_jinja_limits SOURCES unit/test_jinja_limits.c DEPS ib_text ib_base)
ib_unit_test(test_chat SOURCES unit/test_chat.c DEPS ib_text ib_base)
