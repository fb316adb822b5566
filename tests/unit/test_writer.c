/* SPDX-License-Identifier: MIT
 * checkpoint/writer: what is written is read back by the strict reader; nothing appears under the
 * name before the last byte; too few and too many bytes are our own bugs and said so. */
#include "model_files.h"

#include "checkpoint/writer.h"

static const ib_st_entry entries[] = {
    {.name = "a.weight", .type = IB_TYPE_F32, .n_dims = 2, .shape = {2, 3}},
    {.name = "b \"quoted\" \xC3\xA9", .type = IB_TYPE_BF16, .n_dims = 1, .shape = {5}},
    {.name = "scalar", .type = IB_TYPE_U8, .n_dims = 0},
    {.name = "empty", .type = IB_TYPE_U8, .n_dims = 2, .shape = {0, 9}},
};
enum { N = sizeof entries / sizeof entries[0], BYTES = 24 + 10 + 1 };

static void files_are_read_back(void **state) {
    (void)state;
    unsigned char data[BYTES];
    ib_st_writer w;
    ib_error err = {0};
    for (int i = 0; i < BYTES; i++)
        data[i] = (unsigned char)(i * 7);
    assert_int_equal(ib_st_writer_open(&w, at("w.safetensors"), entries, N, &err), IB_OK);
    assert_int_equal(w.expected, BYTES);
    assert_int_equal(ib_st_writer_add(&w, data, 30, &err), IB_OK); /* pieces cut anywhere */
    assert_false(ib_path_exists(at("w.safetensors")));
    assert_int_equal(ib_st_writer_add(&w, data + 30, BYTES - 30, &err), IB_OK);
    assert_int_equal(ib_st_writer_close(&w, &err), IB_OK);
    ib_checkpoint *c = expect_opened("written", at("w.safetensors"));
    assert_int_equal(ib_checkpoint_n_tensors(c), N);
    size_t offset = 0;
    for (int i = 0; i < N; i++) {
        const ib_stored_tensor *t = ib_checkpoint_find(c, entries[i].name);
        assert_non_null(t);
        assert_int_equal(t->type, entries[i].type);
        assert_int_equal(t->n_dims, entries[i].n_dims);
        assert_memory_equal(t->shape, entries[i].shape, sizeof t->shape);
        assert_memory_equal(t->data, data + offset, t->n_bytes);
        offset += t->n_bytes;
        assert_true(i != 0 || (uintptr_t)t->data % 8 == 0); /* the header is padded */
    }
    ib_checkpoint_close(c);
}

static void wrong_amounts_are_internal_errors(void **state) {
    (void)state;
    const unsigned char data[BYTES + 1] = {0};
    ib_st_writer w;
    ib_error err = {0};
    assert_int_equal(ib_st_writer_open(&w, at("x.safetensors"), entries, N, &err), IB_OK);
    assert_int_equal(ib_st_writer_add(&w, data, BYTES - 1, &err), IB_OK);
    expect_error("short", ib_st_writer_close(&w, &err), &err, IB_E_INTERNAL, "34 of 35 bytes");
    assert_int_equal(ib_st_writer_open(&w, at("x.safetensors"), entries, N, &err), IB_OK);
    expect_error("long", ib_st_writer_add(&w, data, BYTES + 1, &err), &err, IB_E_INTERNAL,
                 "1 bytes more");
    ib_st_writer_abandon(&w);
    assert_false(ib_path_exists(at("x.safetensors")));
}

static void impossible_entries_are_refused(void **state) {
    (void)state;
    static const ib_st_entry bad[] = {
        {.name = "q", .type = IB_TYPE_Q4_0, .n_dims = 1, .shape = {32}},
        {.name = "rank", .type = IB_TYPE_F32, .n_dims = 9},
        {.name = "huge", .type = IB_TYPE_F32, .n_dims = 2, .shape = {UINT64_MAX, 2}},
        {.name = "\xFF", .type = IB_TYPE_F32, .n_dims = 1, .shape = {1}},
    };
    ib_st_writer w;
    ib_error err = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ib_st_writer_open(&w, at("y.safetensors"), &bad[i], 1, &err),
                         IB_E_INTERNAL);
    assert_int_equal(ib_st_writer_open(&w, at("none/y.safetensors"), entries, N, &err),
                     IB_E_OUTPUT);
}

/* The text of every layer that bitsandbytes saved, byte for byte. */
static void state_texts_equal_the_reference(void **state) {
    (void)state;
    ib_checkpoint *c = expect_opened("golden", IB_SOURCE_DIR "/tests/golden/quant/bnb.safetensors");
    int seen = 0;
    for (size_t i = 0; i < ib_checkpoint_n_tensors(c); i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(c, i);
        char module[64];
        ib_matrix m;
        ib_error err = {0};
        ib_buf text;
        if (!strstr(t->name.ptr, ".weight.quant_state."))
            continue;
        (void)snprintf(module, sizeof module, "%.*s",
                       (int)(strstr(t->name.ptr, ".weight.") - t->name.ptr), t->name.ptr);
        assert_int_equal(ib_checkpoint_matrix_any(c, module, NULL, &m, &err), IB_OK);
        ib_buf_init(&text);
        assert_int_equal(ib_bnb_state_text(&m, IB_TYPE_F32, &text, &err), IB_OK);
        assert_int_equal(text.len, t->n_bytes);
        assert_memory_equal(text.ptr, t->data, t->n_bytes);
        ib_buf_clear(&text);
        seen++;
    }
    assert_int_equal(seen, 6);
    ib_checkpoint_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_back),
        cmocka_unit_test(wrong_amounts_are_internal_errors),
        cmocka_unit_test(impossible_entries_are_refused),
        cmocka_unit_test(state_texts_equal_the_reference),
    };
    return cmocka_run_group_tests_name("writer", tests, make_scratch, remove_scratch);
}
