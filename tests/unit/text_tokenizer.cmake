ib_unit_test(test_tokenizer SOURCES unit/test_tokenizer.c DEPS ib_text)
ib_unit_test(test_tokenizer_bad SOURCES unit/test_tokenizer_bad.c DEPS ib_text)
ib_unit_test(test_tokenizer_gguf SOURCES unit/test_tokenizer_gguf.c DEPS ib_text)
ib_unit_test(test_tokenizer_regex SOURCES unit/test_tokenizer_regex.c DEPS ib_text)
