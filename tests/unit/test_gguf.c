/* SPDX-License-Identifier: MIT
 * The GGUF reader against the catalogue (GG01 to GG24): files are put together field by field, good
 * ones are read back through every getter, each bad one is refused with its status and reason. */
#include "model_files.h"

#include "checkpoint/gguf.h"

#include <math.h>

enum { U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 }; /* value types */
enum { T_F32 = 0, T_Q4_0 = 2, T_Q4_K = 12 };                                  /* tensor types */

static unsigned char file[1 << 16];
static size_t used;

static void raw(const void *bytes, size_t n) {
    assert_true(used + n <= sizeof file);
    memcpy(file + used, bytes, n);
    used += n;
}

static void u32(uint32_t v) {
    raw(&v, 4);
}

static void u64(uint64_t v) {
    raw(&v, 8);
}

static void str(const char *s) {
    u64(strlen(s));
    raw(s, strlen(s));
}

static void begin(uint32_t version, uint64_t n_tensors, uint64_t n_values) {
    used = 0;
    raw("GGUF", 4);
    u32(version);
    u64(n_tensors);
    u64(n_values);
}

static void key(const char *name, uint32_t type) {
    str(name);
    u32(type);
}

static void array(const char *name, uint32_t type, uint64_t n) {
    key(name, ARRAY);
    u32(type);
    u64(n);
}

/* A tensor of two sizes, innermost first; padding and data come with finish(). */
static void tensor(const char *name, uint64_t inner, uint64_t outer, uint32_t type,
                   uint64_t offset) {
    str(name);
    u32(2);
    u64(inner);
    u64(outer);
    u32(type);
    u64(offset);
}

static const char *finish(size_t alignment, size_t n_data) {
    static const unsigned char zero[4096];
    raw(zero, (alignment - used % alignment) % alignment);
    for (size_t i = 0; i < n_data; i++) {
        unsigned char c = (unsigned char)i;
        raw(&c, 1);
    }
    put("a.gguf", file, used);
    return at("a.gguf");
}

static void headers(void **state) {
    (void)state;
    static const struct {
        const char *id;
        uint32_t version;
        ib_status status;
        const char *words;
    } versions[] = {{"GG02a", 0, IB_E_FORMAT, "version 0"},
                    {"GG02b", 1, IB_E_UNSUPPORTED, "version 1"},
                    {"GG02c", 4, IB_E_UNSUPPORTED, "version 4"},
                    {"GG03", 3u << 24, IB_E_UNSUPPORTED, "big-endian"}};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        begin(versions[i].version, 0, 0);
        expect_refused(versions[i].id, finish(1, 0), versions[i].status, versions[i].words);
    }
    put_text("a.gguf", "GGML and more than 24 bytes of it");
    expect_refused("GG01a", at("a.gguf"), IB_E_FORMAT, "does not start with 'GGUF'|byte 0");
    put_text("a.gguf", "");
    expect_refused("GG01b", at("a.gguf"), IB_E_FORMAT, "does not start with 'GGUF'");
    put_text("a.gguf", "version https://git-lfs.github.com/spec/v1");
    expect_refused("GG01c", at("a.gguf"), IB_E_FORMAT, "LFS pointer");
    begin(3, 0, 0);
    for (size_t n = 4; n < 24; n++) {
        put("a.gguf", file, n);
        expect_refused("cut", at("a.gguf"), IB_E_FORMAT, "the file ends inside the header");
    }
    static const uint64_t counts[] = {UINT64_MAX, (uint64_t)1 << 63, 1000};
    for (int i = 0; i < 3; i++) {
        begin(3, counts[i], 0);
        expect_refused("GG04a", finish(1, 99), IB_E_FORMAT, "tensors claimed|byte 8");
        begin(3, 0, counts[i]);
        expect_refused("GG04b", finish(1, 99), IB_E_FORMAT, "metadata values claimed|byte 16");
    }
    expect_refused("missing", at("none.gguf"), IB_E_INPUT, "none.gguf");
}

static void counts_have_caps(void **state) {
    (void)state;
    enum { ROOM = 34000000 };
    unsigned char *big = calloc(1, ROOM);
    assert_non_null(big);
    begin(3, 0, 65537);
    memcpy(big, file, used);
    put("a.gguf", big, ROOM);
    expect_refused("cap of values", at("a.gguf"), IB_E_RESOURCE, "65537 metadata values|65536");
    begin(3, 1000001, 0);
    memcpy(big, file, used);
    put("a.gguf", big, ROOM);
    expect_refused("cap of tensors", at("a.gguf"), IB_E_RESOURCE, "1000001 tensors|1000000");
    for (uint64_t n = 15999999; n <= 16000001; n++) {
        begin(3, 0, 1);
        array("big", U8, n);
        memcpy(big, file, used);
        put("a.gguf", big, used + 16000001);
        if (n > 16000000)
            expect_refused("cap of arrays", at("a.gguf"), IB_E_RESOURCE, "'big'|at most 16000000");
        else
            ib_checkpoint_close(expect_opened("cap of arrays", at("a.gguf")));
    }
    free(big);
}

/* Sparse files: only the header has bytes. */
static void strings_have_a_cap(void **state) {
    (void)state;
    const uint64_t cap = (uint64_t)1 << 30;
    for (uint64_t n = cap - 1; n <= cap + 1; n++) {
        begin(3, 0, 1);
        key("text", STRING);
        u64(n);
        put("a.gguf", file, used);
        assert_int_equal(truncate(at("a.gguf"), (off_t)(used + n)), 0);
        if (n > cap)
            expect_refused("cap of strings", at("a.gguf"), IB_E_RESOURCE,
                           "1073741825 bytes, at most");
        else
            ib_checkpoint_close(expect_opened("cap of strings", at("a.gguf")));
    }
}

static void keys_and_values(void **state) {
    (void)state;
    static const uint64_t lengths[] = {UINT64_MAX, 1000, (uint64_t)1 << 62};
    for (int i = 0; i < 3; i++) {
        begin(3, 0, 1);
        u64(lengths[i]);
        expect_refused("GG05a", finish(1, 99), IB_E_FORMAT, "a metadata key claims");
        begin(3, 0, 1);
        key("text", STRING);
        u64(lengths[i]);
        expect_refused("GG10a", finish(1, 99), IB_E_FORMAT, "a metadata string claims");
        begin(3, 0, 1);
        array("list", F32, lengths[i]);
        expect_refused("GG10b", finish(1, 99), IB_E_FORMAT, "array 'list' claims");
        begin(3, 0, 1);
        array("list", STRING, lengths[i]);
        expect_refused("GG10c", finish(1, 99), IB_E_FORMAT, "array 'list' claims");
        begin(3, 0, 1);
        array("list", STRING, 2);
        str("one");
        u64(lengths[i]);
        expect_refused("GG10d", finish(1, 99), IB_E_FORMAT, "a string of an array claims");
    }
    begin(3, 0, 1);
    key("text", STRING);
    u64(100);
    expect_refused("GG10f", finish(1, 99), IB_E_FORMAT, "claims 100 bytes, 99 are left");
    begin(3, 0, 1);
    str("");
    expect_refused("GG05b", finish(1, 99), IB_E_FORMAT, "empty metadata key");
    begin(3, 0, 1);
    str("k\xFF");
    expect_refused("GG05c", finish(1, 99), IB_E_FORMAT, "not UTF-8|k\\xFF");
    begin(3, 0, 2);
    for (int i = 0; i < 2; i++) {
        key("twice", U32);
        u32(1);
    }
    expect_refused("GG06", finish(1, 99), IB_E_FORMAT, "duplicate metadata key 'twice'");
    begin(3, 0, 1);
    key("odd", 13);
    expect_refused("GG07a", finish(1, 99), IB_E_FORMAT, "'odd' has unknown type 13");
    begin(3, 0, 1);
    array("odd", 99, 1);
    expect_refused("GG07b", finish(1, 99), IB_E_FORMAT, "'odd' has unknown element type 99");
    begin(3, 0, 1);
    key("flag", BOOL);
    raw("\2", 1);
    expect_refused("GG08", finish(1, 99), IB_E_FORMAT, "bool 'flag' is 2");
    begin(3, 0, 1);
    array("nest", ARRAY, 1);
    expect_refused("GG09", finish(1, 99), IB_E_FORMAT, "array of arrays 'nest'");
    begin(3, 0, 1);
    array("a", U64, (uint64_t)1 << 63); /* 43 bytes in all */
    raw("", 1);
    expect_refused("GG10e", finish(1, 0), IB_E_FORMAT, "array 'a' claims 9223372036854775808");
}

static void alignments(void **state) {
    (void)state;
    static const uint32_t bad[] = {0, 13, 0x80000000, 8192, 4097};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        begin(3, 0, 1);
        key("general.alignment", U32);
        u32(bad[i]);
        expect_refused("GG11a", finish(1, 0), IB_E_FORMAT, "general.alignment is|power of two");
    }
    begin(3, 0, 1);
    key("general.alignment", I32);
    u32(32);
    expect_refused("GG11b", finish(1, 0), IB_E_FORMAT, "general.alignment is not of type u32");
    static const uint32_t good[] = {1, 8, 64, 2048, 4096};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        begin(3, 2, 1);
        key("general.alignment", U32);
        u32(good[i]);
        uint64_t second = (12 + good[i] - 1) / good[i] * good[i];
        tensor("a", 3, 1, T_F32, 0);
        tensor("b", 1, 1, T_F32, second);
        ib_checkpoint *c = expect_opened("GG11c", finish(good[i], (size_t)second + 4));
        const ib_stored_tensor *t = ib_checkpoint_find(c, "b");
        assert_non_null(t);
        assert_int_equal(*(const unsigned char *)t->data, (unsigned char)second);
        ib_checkpoint_close(c);
    }
}

static void shapes(void **state) {
    (void)state;
    static const struct {
        const char *id;
        uint32_t n_dims;
        uint64_t dims[4];
        uint32_t type;
        ib_status status;
        const char *words;
    } cases[] = {
        {"GG12a", 0, {0}, T_F32, IB_E_FORMAT, "'t' has rank 0"},
        {"GG12b", 5, {1, 1, 1, 1}, T_F32, IB_E_FORMAT, "rank 5"},
        {"GG12c", UINT32_MAX, {1, 1, 1, 1}, T_F32, IB_E_FORMAT, "rank 4294967295"},
        {"GG13a", 2, {0, 1}, T_F32, IB_E_FORMAT, "a size of 0"},
        {"GG13b", 2, {UINT64_MAX, 1}, T_F32, IB_E_FORMAT, "a size of -1"},
        {"GG13c",
         4,
         {((uint64_t)1 << 42) + 1, (uint64_t)1 << 22, 1, 1},
         T_F32,
         IB_E_FORMAT,
         "product of the shape"},
        {"GG14a", 2, {(uint64_t)1 << 62, 1}, T_F32, IB_E_FORMAT, "in bytes overflows"},
        {"GG14b",
         3,
         {(uint64_t)1 << 40, (uint64_t)1 << 22, 1},
         T_F32,
         IB_E_FORMAT,
         "in bytes overflows"},
        {"GG15", 1, {((uint64_t)1 << 62) - 1}, T_F32, IB_E_FORMAT, "overflow"},
        {"GG17a", 1, {32}, 99, IB_E_FORMAT, "'t' has unknown type 99"},
        {"GG17b", 1, {32}, 4, IB_E_UNSUPPORTED, "Q4_2 (removed)"},
        {"GG17c", 1, {32}, 31, IB_E_UNSUPPORTED, "Q4_0_4_4 (removed)"},
        {"GG17d", 1, {256}, 16, IB_E_UNSUPPORTED, "IQ2_XXS"},
        {"GG17e", 1, {256}, 34, IB_E_UNSUPPORTED, "TQ1_0"},
        {"GG17f", 1, {256}, 23, IB_E_UNSUPPORTED, "IQ4_XS"},
        {"GG18a", 1, {33}, T_Q4_0, IB_E_FORMAT, "rows of 33 are not whole blocks of Q4_0 (32)"},
        {"GG18b",
         2,
         {128, 2},
         T_Q4_K,
         IB_E_FORMAT,
         "rows of 128 are not whole blocks of Q4_K (256)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(3, 1, 0);
        str("t");
        u32(cases[i].n_dims);
        for (uint32_t d = 0; d < (cases[i].n_dims < 4 ? cases[i].n_dims : 4); d++)
            u64(cases[i].dims[d]);
        u32(cases[i].type);
        u64(0);
        expect_refused(cases[i].id, finish(32, 64), cases[i].status, cases[i].words);
    }
    begin(3, 3, 0); /* two sizes that fit, their sum does not */
    tensor("a", (uint64_t)1 << 61, 1, T_F32, 0);
    tensor("b", (uint64_t)1 << 61, 1, T_F32, (uint64_t)1 << 63);
    tensor("c", 1, 1, T_F32, 0);
    expect_refused("GG16", finish(32, 64), IB_E_FORMAT, "sizes of the tensors up to 'b' overflow");
}

static void offsets(void **state) {
    (void)state;
    static const uint64_t bad[] = {0, 16, 48, 64, 1000, UINT64_MAX, (uint64_t)1 << 63};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        begin(3, 2, 0);
        tensor("a", 8, 1, T_F32, 0);
        tensor("b", 8, 1, T_F32, bad[i]);
        expect_refused("GG19a", finish(32, 64), IB_E_FORMAT, "'b' is at offset|expected 32");
    }
    begin(3, 2, 0);
    tensor("a", 8, 1, T_F32, 32); /* unordered */
    tensor("b", 8, 1, T_F32, 0);
    expect_refused("GG19b", finish(32, 64), IB_E_FORMAT, "'a' is at offset 32, expected 0");
    for (size_t missing = 1; missing <= 64; missing++) {
        begin(3, 2, 0);
        tensor("a", 8, 1, T_F32, 0);
        tensor("b", 8, 1, T_F32, 32);
        expect_refused("GG20a", finish(32, 64 - missing), IB_E_FORMAT, "the data of tensor");
    }
    begin(3, 1, 0);
    tensor("a", 1024, 4, T_F32, 0);
    expect_refused("GG20b", finish(32, 16384 - 4096), IB_E_FORMAT,
                   "the data of tensor 'a' ends at byte 16384 of the data, the file at 12288");
    begin(3, 1, 0); /* the file ends inside the padding */
    tensor("a", 1, 1, T_F32, 0);
    expect_refused("GG20c", finish(1, 0), IB_E_FORMAT, "the data of tensor 'a'");
}

static void names(void **state) {
    (void)state;
    char name[66];
    begin(3, 2, 0);
    tensor("a", 8, 1, T_F32, 0);
    tensor("a", 8, 1, T_F32, 32);
    expect_refused("GG21a", finish(32, 64), IB_E_FORMAT, "duplicate tensor name 'a'");
    for (size_t n = 62; n <= 65; n++) {
        memset(name, 'n', n);
        name[n] = '\0';
        begin(3, 1, 0);
        tensor(name, 8, 1, T_F32, 0);
        if (n > 63)
            expect_refused("GG21b", finish(32, 32), IB_E_FORMAT, "bytes, at most 63");
        else
            ib_checkpoint_close(expect_opened("GG21b", finish(32, 32)));
    }
    begin(3, 1, 0);
    tensor("a\xC0\x80", 8, 1, T_F32, 0);
    expect_refused("GG21c", finish(32, 32), IB_E_FORMAT, "not UTF-8");
    begin(3, 1, 0);
    u64(3);
    raw("a\0b", 3);
    expect_refused("GG21d", finish(32, 99), IB_E_FORMAT, "not UTF-8 text|a\\x00b");
}

static void put_values(uint32_t version) {
    const int8_t bytes[3] = {-1, 2, 3};
    const float scores[2] = {0.5f, -INFINITY};
    const uint64_t large[2] = {1, UINT64_MAX};
    begin(version, 2, 11);
    key("general.architecture", STRING);
    str("llama");
    key("count", U64);
    u64(1ull << 40);
    key("over", U64);
    u64(UINT64_MAX);
    key("minus", I16);
    raw("\xFE\xFF", 2);
    key("eps", F32);
    raw(&scores[0], 4);
    key("inf", F32);
    raw(&scores[1], 4);
    key("flag", BOOL);
    raw("\1", 1);
    array("tokens", STRING, 3);
    str("a");
    str("");
    str("\xFF\n");
    array("bytes", I8, 3);
    raw(bytes, 3);
    array("scores", F32, 2);
    raw(scores, 8);
    array("large", U64, 2);
    raw(large, 16);
    tensor("a.weight", 4, 3, T_F32, 0);
    tensor("b.weight", 32, 2, T_Q4_0, 64);
}

static void values_are_read(const ib_gguf_meta *m) {
    ib_error err;
    int64_t i, ints[3];
    double f, doubles[3];
    bool b;
    ib_str s, strings[3];
    assert_int_equal(ib_gguf_n_values(m), 11);
    assert_true(ib_str_is(ib_gguf_value_at(m, 0)->key, "general.architecture"));
    assert_int_equal(ib_gguf_get_str(m, "general.architecture", &s, &err), IB_OK);
    assert_true(ib_str_is(s, "llama"));
    assert_int_equal(ib_gguf_get_str(m, "absent", &s, &err), IB_OK);
    assert_null(s.ptr);
    assert_int_equal(ib_gguf_get_i64(m, "count", 0, 0, INT64_MAX, &i, &err), IB_OK);
    assert_true(i == (int64_t)1 << 40);
    assert_int_equal(ib_gguf_get_i64(m, "minus", 0, -5, 5, &i, &err), IB_OK);
    assert_int_equal(i, -2);
    assert_int_equal(ib_gguf_get_i64(m, "absent", 42, 0, 5, &i, &err), IB_OK);
    assert_int_equal(i, 42);
    assert_int_equal(ib_gguf_get_f64(m, "eps", 0, &f, &err), IB_OK);
    assert_true(f == 0.5);
    assert_int_equal(ib_gguf_get_bool(m, "flag", false, &b, &err), IB_OK);
    assert_true(b);
    const ib_gguf_value *v = ib_gguf_find(m, "tokens");
    assert_true(v && v->n == 3);
    assert_int_equal(ib_gguf_strings(v, strings, &err), IB_OK);
    assert_true(ib_str_is(strings[0], "a") && strings[1].len == 0 &&
                ib_str_is(strings[2], "\xFF\n"));
    assert_int_equal(ib_gguf_ints(ib_gguf_find(m, "bytes"), ints, &err), IB_OK);
    assert_true(ints[0] == -1 && ints[2] == 3);
    assert_int_equal(ib_gguf_doubles(ib_gguf_find(m, "bytes"), doubles, &err), IB_OK);
    assert_true(doubles[0] == -1 && doubles[2] == 3);
    assert_int_equal(ib_gguf_doubles(ib_gguf_find(m, "scores"), doubles, &err), IB_OK);
    assert_true(doubles[0] == 0.5 && isinf(doubles[1]));
    assert_null(ib_gguf_find(m, "absent"));
}

static void wrong_values_are_refused(const ib_gguf_meta *m) {
    ib_error err;
    int64_t i, ints[3];
    double f;
    bool b;
    ib_str s, strings[3];
    expect_error("range", ib_gguf_get_i64(m, "minus", 0, 0, 5, &i, &err), &err, IB_E_FORMAT,
                 "'minus' in|is -2, expected 0 to 5");
    expect_error("GG23a", ib_gguf_get_i64(m, "count", 0, 0, INT32_MAX, &i, &err), &err, IB_E_FORMAT,
                 "'count' in|is 1099511627776");
    expect_error("over", ib_gguf_get_i64(m, "over", 0, INT64_MIN, INT64_MAX, &i, &err), &err,
                 IB_E_FORMAT, "'over' in|is over 9223372036854775807");
    expect_error("GG23b", ib_gguf_get_i64(m, "eps", 0, 0, 5, &i, &err), &err, IB_E_FORMAT,
                 "'eps' in|is of type f32, expected an integer");
    expect_error("bool", ib_gguf_get_i64(m, "flag", 0, 0, 5, &i, &err), &err, IB_E_FORMAT, "bool");
    expect_error("f64", ib_gguf_get_f64(m, "count", 0, &f, &err), &err, IB_E_FORMAT, "u64");
    expect_error("inf", ib_gguf_get_f64(m, "inf", 0, &f, &err), &err, IB_E_FORMAT, "finite");
    expect_error("bool", ib_gguf_get_bool(m, "count", 0, &b, &err), &err, IB_E_FORMAT,
                 "expected bool");
    expect_error("str", ib_gguf_get_str(m, "tokens", &s, &err), &err, IB_E_FORMAT,
                 "an array of string, expected string");
    expect_error("GG22a", ib_gguf_strings(ib_gguf_find(m, "scores"), strings, &err), &err,
                 IB_E_FORMAT, "'scores' is an array of f32, expected an array of string");
    expect_error("GG22b", ib_gguf_doubles(ib_gguf_find(m, "tokens"), &f, &err), &err, IB_E_FORMAT,
                 "an array of string, expected an array of numbers");
    expect_error("GG22c", ib_gguf_ints(ib_gguf_find(m, "scores"), ints, &err), &err, IB_E_FORMAT,
                 "expected an array of integers");
    expect_error("GG22d", ib_gguf_doubles(ib_gguf_find(m, "flag"), &f, &err), &err, IB_E_FORMAT,
                 "of type bool");
    expect_error("large", ib_gguf_ints(ib_gguf_find(m, "large"), ints, &err), &err, IB_E_FORMAT,
                 "'large' has a value above 2^63-1 at index 1");
}

static void good_files_are_read(void **state) {
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        ib_matrix m;
        ib_error err = {0};
        float out[4];
        put_values(version);
        ib_checkpoint *c = expect_opened("good", finish(32, 64 + 36));
        assert_int_equal(ib_checkpoint_format(c), IB_CHECKPOINT_GGUF);
        values_are_read(ib_checkpoint_gguf(c));
        wrong_values_are_refused(ib_checkpoint_gguf(c));
        const ib_stored_tensor *t = ib_checkpoint_find(c, "a.weight");
        assert_non_null(t);
        assert_true(t->n_dims == 2 && t->shape[0] == 3 && t->shape[1] == 4 && t->n_bytes == 48);
        assert_int_equal(((const unsigned char *)t->data)[5], 5);
        assert_int_equal(ib_checkpoint_matrix(c, "b", NULL, 2, 32, &m, &err), IB_OK);
        assert_true(m.type == IB_TYPE_Q4_0 && m.data_bytes == 36);
        expect_error("vector", ib_checkpoint_vector(c, "b.weight", 4, out, &err), &err, IB_E_FORMAT,
                     "Q4_0");
        ib_checkpoint_close(c);
    }
}

/* Every prefix of a good file is refused, and none reads past its end. */
static void every_cut_is_refused(void **state) {
    (void)state;
    put_values(3);
    (void)finish(32, 64 + 36);
    size_t whole = used;
    for (size_t n = 0; n < whole; n++) {
        ib_checkpoint *c = NULL;
        ib_error err;
        put("cut.gguf", file, n);
        ib_status st = open_logged(&c, at("cut.gguf"), &err);
        if (st != IB_E_FORMAT)
            fail_msg("cut at %zu: %d %s", n, (int)st, err.text);
    }
}

/* Part i of n with one tensor; the keys as given. */
static void put_part(const char *name, const char *tensor_name, uint16_t number, uint16_t count,
                     int32_t tensors) {
    begin(3, 1, 3);
    key("split.no", U16);
    raw(&number, 2);
    key("split.count", U16);
    raw(&count, 2);
    key("split.tensors.count", I32);
    raw(&tensors, 4);
    tensor(tensor_name, 8, 1, T_F32, 0);
    (void)finish(32, 32);
    put(name, file, used);
}

static void split_sets(void **state) {
    (void)state;
    const char *first = "m-00001-of-00003.gguf";
    put_part(first, "a", 0, 3, 3);
    put_part("m-00002-of-00003.gguf", "b", 1, 3, 3);
    expect_refused("GG24a", at(first), IB_E_INPUT, "m-00003-of-00003.gguf");
    put_part("m-00003-of-00003.gguf", "c", 2, 3, 3);
    ib_checkpoint *c = expect_opened("GG24", at(first));
    assert_true(ib_checkpoint_n_files(c) == 3 && ib_checkpoint_n_tensors(c) == 3);
    assert_true(ib_checkpoint_has(c, "a") && ib_checkpoint_has(c, "b") &&
                ib_checkpoint_has(c, "c"));
    ib_checkpoint_close(c);
    expect_refused("GG24b", at("m-00002-of-00003.gguf"), IB_E_FORMAT, "part 2|name its first part");
    put_part("m-00003-of-00003.gguf", "b", 2, 3, 3);
    expect_refused("GG24c", at(first), IB_E_FORMAT, "tensor 'b' is in two files");
    put_part("m-00003-of-00003.gguf", "c", 1, 3, 3);
    expect_refused("GG24d", at(first), IB_E_FORMAT, "part 2 of 3, expected 3 of 3");
    put_part("m-00003-of-00003.gguf", "c", 2, 4, 3);
    expect_refused("GG24e", at(first), IB_E_FORMAT, "part 3 of 4, expected 3 of 3");
    put_part("m-00003-of-00003.gguf", "c", 2, 3, 3);
    put_part(first, "a", 0, 3, 4);
    expect_refused("GG24f", at(first), IB_E_FORMAT, "hold 3 tensors, split.tensors.count says 4");
    put_part("renamed.gguf", "a", 0, 3, 3);
    expect_refused("GG24g", at("renamed.gguf"), IB_E_FORMAT, "not named like one");
    put_part("m-00001-of-00002.gguf", "a", 0, 3, 3);
    expect_refused("GG24h", at("m-00001-of-00002.gguf"), IB_E_FORMAT, "not named like one");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),
        cmocka_unit_test(counts_have_caps),
        cmocka_unit_test(strings_have_a_cap),
        cmocka_unit_test(keys_and_values),
        cmocka_unit_test(alignments),
        cmocka_unit_test(shapes),
        cmocka_unit_test(offsets),
        cmocka_unit_test(names),
        cmocka_unit_test(good_files_are_read),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(split_sets),
    };
    return cmocka_run_group_tests_name("gguf", tests, make_scratch, remove_scratch);
}
