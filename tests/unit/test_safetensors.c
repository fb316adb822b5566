/* SPDX-License-Identifier: MIT
 * The safetensors reader against the catalogue of hostile files (ST01 to ST41): each is generated,
 * must end with its status, and the message must name what is wrong. */
#include "model_files.h"

#include "base/clock.h"

/* One entry of 4 bytes at the start of the data. */
#define ENTRY "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
#define WITH(dtype, shape, offsets)                                                                \
    "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct bad_header {
    const char *id, *header;
    size_t n_data;
    ib_status status;
    const char *words;
} bad_headers[] = {
    {"ST07a", "{\"a\xC0\xAF\":" ENTRY "}", 4, IB_E_FORMAT, "not UTF-8|byte 11"},
    {"ST07b", "{\"\xED\xA0\x80\":" ENTRY "}", 4, IB_E_FORMAT, "not UTF-8|byte 10"},
    {"ST07c", "{\"a\":" ENTRY "}\xFF", 4, IB_E_FORMAT, "not UTF-8"},
    {"ST08", "hello world", 0, IB_E_FORMAT, "first byte is not '{'|byte 8"},
    {"ST08b", "{hello}", 0, IB_E_FORMAT, "expected a key|byte 9"},
    {"ST09a", "{\"a\":{\"dtype\":\"F32\",\"sha", 0, IB_E_FORMAT, "ends inside a string"},
    {"ST09b", "{\"a\":" ENTRY, 4, IB_E_FORMAT, "ends too early"},
    {"ST09c", "{", 0, IB_E_FORMAT, "expected a key"},
    {"ST09d", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1", 0, IB_E_FORMAT, "ends too early"},
    {"ST10a", "{}{}", 0, IB_E_FORMAT, "something follows|byte 10"},
    {"ST10b", "{\"a\":" ENTRY "}, 1", 4, IB_E_FORMAT, "something follows"},
    {"ST11a", "[]", 0, IB_E_FORMAT, "first byte is not '{'"},
    {"ST11b", "\"text\"", 0, IB_E_FORMAT, "first byte is not '{'"},
    {"ST12", " {}", 0, IB_E_FORMAT, "first byte is not '{'"},
    {"ST14", "{\"a\":" ENTRY ",\"a\":" ENTRY "}", 4, IB_E_FORMAT, "duplicate tensor name 'a'"},
    {"ST15a", "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
     4, IB_E_FORMAT, "duplicate key|'a'"},
    {"ST15b", "{\"a\":{\"dtype\":\"F32\",\"d\\u0074ype\":\"F32\",\"shape\":[1]}}", 4, IB_E_FORMAT,
     "duplicate key"},
    {"ST15c", "{\"a\":" ENTRY ",\"\\u0061\":" ENTRY "}", 4, IB_E_FORMAT, "duplicate tensor name"},
    {"ST15d",
     "{\"a\":{\"dtype\":\"F32\",\"x\":1,\"\\u0078\":2,\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     IB_E_FORMAT, "duplicate key"},
    {"ST15e", "{\"a\":{\"dtype\":\"F32\",\"x\":{\"b\":1,\"b\":2},\"shape\":[1]}}", 4, IB_E_FORMAT,
     "invalid JSON value"},
    {"ST15f", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, IB_E_FORMAT, "duplicate key"},
    {"ST15g", "{\"__metadata__\":{\"k\":\"1\",\"\\u006b\":\"2\"}}", 0, IB_E_FORMAT,
     "duplicate key"},
    {"ST16a", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, IB_E_FORMAT, "dtype is missing"},
    {"ST16b", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, IB_E_FORMAT,
     "shape is missing"},
    {"ST16c", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, IB_E_FORMAT,
     "data_offsets is missing"},
    {"ST16d", "{\"a\":{}}", 0, IB_E_FORMAT, "dtype is missing"},
    {"ST17a", "{\"a\":[1]}", 0, IB_E_FORMAT, "'a'|not an object"},
    {"ST17b", "{\"a\":{\"dtype\":5,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, IB_E_FORMAT,
     "dtype is not a string"},
    {"ST17c", WITH("F32", "1", "[0,4]"), 4, IB_E_FORMAT, "expected an array"},
    {"ST17d", WITH("F32", "[\"1\"]", "[0,4]"), 4, IB_E_FORMAT, "expected a plain integer"},
    {"ST17e", WITH("F32", "[true]", "[0,4]"), 4, IB_E_FORMAT, "expected a plain integer"},
    {"ST17f", WITH("F32", "[1]", "[0]"), 4, IB_E_FORMAT, "not 2 numbers"},
    {"ST17g", WITH("F32", "[1]", "[0,4,8]"), 4, IB_E_FORMAT, "more than 2"},
    {"ST17h", WITH("F32", "null", "[0,4]"), 4, IB_E_FORMAT, "expected an array"},
    {"ST19", WITH("F33", "[1]", "[0,4]"), 4, IB_E_FORMAT, "unknown dtype 'F33'"},
    {"ST19b", WITH("NF4", "[2]", "[0,1]"), 1, IB_E_FORMAT, "unknown dtype 'NF4'"},
    {"ST19c", WITH("Q4_0", "[32]", "[0,18]"), 18, IB_E_FORMAT, "unknown dtype 'Q4_0'"},
    {"ST21a", WITH("F32", "[-1]", "[0,4]"), 4, IB_E_FORMAT, "negative"},
    {"ST21b", WITH("F32", "[1.0]", "[0,4]"), 4, IB_E_FORMAT, "plain integer"},
    {"ST21c", WITH("U8", "[1e3]", "[0,1000]"), 1000, IB_E_FORMAT, "plain integer"},
    {"ST21d", WITH("U8", "[9007199254740993]", "[0,4]"), 4, IB_E_FORMAT, "9007199254740993"},
    {"ST21e", WITH("U8", "[18446744073709551616]", "[0,4]"), 4, IB_E_FORMAT, "64 bits"},
    {"ST21f", WITH("U8", "[4]", "[0,18446744073709551620]"), 4, IB_E_FORMAT, "64 bits"},
    {"ST21g", WITH("U8", "[4]", "[-0,4]"), 4, IB_E_FORMAT, "negative"},
    {"ST21h", WITH("U8", "[04]", "[0,4]"), 4, IB_E_FORMAT, "leading zero"},
    {"ST22", WITH("F32", "[1]", "[4,0]"), 4, IB_E_FORMAT, "end before they begin"},
    {"ST23", WITH("F32", "[2]", "[0,8]"), 4, IB_E_FORMAT, "behind the end"},
    {"ST23b", WITH("U8", "[1]", "[18446744073709551614,18446744073709551615]"), 4, IB_E_FORMAT,
     "behind the end"},
    {"ST24", WITH("F32", "[2]", "[0,4]"), 4, IB_E_FORMAT, "4 bytes by data_offsets, 8 by shape"},
    {"ST25", WITH("F4", "[3]", "[0,2]"), 2, IB_E_FORMAT, "not a whole number of bytes"},
    {"ST25b", WITH("F6_E2M3", "[2]", "[0,2]"), 2, IB_E_FORMAT, "not a whole number of bytes"},
    {"ST26", WITH("U8", "[4294967296,4294967296,2]", "[0,4]"), 4, IB_E_FORMAT, "overflows"},
    {"ST27", WITH("F64", "[2305843009213693952]", "[0,4]"), 4, IB_E_FORMAT,
     "its size in bytes overflows"},
    {"ST28", WITH("U8", "[2,9223372036854775808]", "[0,4]"), 4, IB_E_FORMAT, "overflows"},
    {"ST30a", WITH("F32", "[1]", "[4,8]"), 8, IB_E_FORMAT, "hole of 4 bytes"},
    {"ST31", WITH("F32", "[1]", "[0,4]"), 5, IB_E_FORMAT, "1 bytes follow the last tensor"},
    {"ST31b", "{}", 3, IB_E_FORMAT, "3 bytes follow"},
    {"ST34", WITH("U8", "[1,1,1,1,1,1,1,1,4]", "[0,4]"), 4, IB_E_FORMAT, "rank is above 8"},
    {"ST35b", "{\"a\\u0000\":" ENTRY "}", 4, IB_E_FORMAT, "control character in the name|a\\x00"},
    {"ST35c", "{\"a\\n\":" ENTRY "}", 4, IB_E_FORMAT, "control character|a\\x0A"},
    {"ST35d", "{\"a\\u001b[31m\":" ENTRY "}", 4, IB_E_FORMAT, "control character|a\\x1B[31m"},
    {"ST35e", "{\"a\x1B\":" ENTRY "}", 4, IB_E_FORMAT, "control character"},
    {"ST36a", "{\"__metadata__\":{\"k\":1}}", 0, IB_E_FORMAT, "__metadata__ is not a string"},
    {"ST36b", "{\"__metadata__\":[]}", 0, IB_E_FORMAT, "__metadata__ is not an object"},
    {"ST36c", "{\"__metadata__\":{\"k\":{}}}", 0, IB_E_FORMAT, "not a string"},
    {"escape", "{\"\\x\":" ENTRY "}", 4, IB_E_FORMAT, "invalid escape"},
    {"surrogate", "{\"\\ud800\":" ENTRY "}", 4, IB_E_FORMAT, "invalid escape"},
    {"comma", "{\"a\":" ENTRY ",}", 4, IB_E_FORMAT, "expected a key"},
};

static void bad_headers_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++) {
        const struct bad_header *b = &bad_headers[i];
        put_st("bad.safetensors", b->header, b->n_data);
        expect_refused(b->id, at("bad.safetensors"), b->status, b->words);
    }
}

/* A file of the length field alone, and of n bytes. */
static void put_length(uint64_t length, size_t n) {
    unsigned char bytes[64] = {0};
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(length >> (8 * i));
    memcpy(bytes + 8, "{}", 2);
    put("bad.safetensors", bytes, n);
}

static void bad_lengths_are_refused(void **state) {
    (void)state;
    const char *path = at("bad.safetensors");
    put_length(0, 0);
    expect_refused("ST01", path, IB_E_FORMAT, "0 bytes, need 8 for the header length");
    for (size_t n = 1; n < 8; n++) {
        put_length(2, n);
        expect_refused("ST02", path, IB_E_FORMAT, "bytes, need 8 for the header length");
    }
    put_length(0, 8);
    expect_refused("ST03", path, IB_E_FORMAT, "header length|byte 0: 0");
    put_length(3, 10);
    expect_refused("ST04", path, IB_E_FORMAT, "header length|byte 0: 3, at most 2");
    put_length(100000001, 64);
    expect_refused("ST05", path, IB_E_FORMAT, "100000001");
    put_length((uint64_t)1 << 63, 64);
    expect_refused("ST06a", path, IB_E_FORMAT, "9223372036854775808");
    put_length(UINT64_MAX, 64);
    expect_refused("ST06b", path, IB_E_FORMAT, "18446744073709551615");
}

/* Caps of the header's length: the file is sparse, its header blank behind the brackets. */
static void the_header_may_have_100_million_bytes(void **state) {
    (void)state;
    for (int over = -1; over <= 1; over++) {
        size_t n = (size_t)(100000000 + over);
        unsigned char *bytes = malloc(8 + n);
        assert_non_null(bytes);
        memset(bytes, ' ', 8 + n);
        for (int i = 0; i < 8; i++)
            bytes[i] = (unsigned char)((uint64_t)n >> (8 * i));
        memcpy(bytes + 8, "{}", 2);
        put("big.safetensors", bytes, 8 + n);
        free(bytes);
        if (over > 0)
            expect_refused("ST05 cap", at("big.safetensors"), IB_E_FORMAT, "at most 100000000");
        else
            ib_checkpoint_close(expect_opened("ST05 cap", at("big.safetensors")));
        (void)unlink(at("big.safetensors"));
    }
}

static void nuls_and_depth_are_refused(void **state) {
    (void)state;
    put_header("bad.safetensors", "{}\0", 3, 0);
    expect_refused("ST10c", at("bad.safetensors"), IB_E_FORMAT, "something follows");
    enum { DEEP = 100000 };
    static const char start[] = "{\"a\":{\"x\":";
    char *deep = room(sizeof start + DEEP);
    memcpy(deep, start, sizeof start - 1);
    memset(deep + sizeof start - 1, '[', DEEP);
    put_header("bad.safetensors", deep, sizeof start - 1 + DEEP, 0);
    expect_refused("ST13", at("bad.safetensors"), IB_E_FORMAT, "nested deeper than 64");
    memset(deep, '[', DEEP);
    put_header("bad.safetensors", deep, DEEP, 0);
    expect_refused("ST13b", at("bad.safetensors"), IB_E_FORMAT, "first byte");
    free(deep);
}

static void depth_64_is_the_last(void **state) {
    (void)state;
    for (int depth = 61; depth <= 65; depth++) {
        char header[512] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":";
        size_t n = strlen(header);
        memset(header + n, '[', (size_t)depth);
        memset(header + n + depth, ']', (size_t)depth);
        memcpy(header + n + 2 * depth, "}}", 3);
        put_st("a.safetensors", header, 4);
        if (depth > 62) /* two levels are around the value */
            expect_refused("depth", at("a.safetensors"), IB_E_FORMAT, "deeper than 64");
        else
            ib_checkpoint_close(expect_opened("depth", at("a.safetensors")));
    }
}

/* n entries as "t0".."tN"; step: how far the next begins behind the one before. */
static void put_many(const char *name, int n, int size, int step, const char *prefix) {
    ib_error err;
    ib_buf b;
    ib_buf_init(&b);
    for (int i = 0; i < n; i++)
        if (ib_buf_addf(&b, &err,
                        "%c\"%s%d\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[%d,%d]}",
                        i ? ',' : '{', prefix, i, size, i * step, i * step + size) != IB_OK)
            fail_msg("%s", err.text);
    if (ib_buf_addc(&b, '}', &err) != IB_OK)
        fail_msg("%s", err.text);
    put_header(name, b.ptr, b.len, (size_t)((n - 1) * step + size));
    ib_buf_clear(&b);
}

static void overlaps_and_holes_are_refused(void **state) {
    (void)state;
    const char *path = at("bad.safetensors");
    put_many("bad.safetensors", 10, 64, 0, "t");
    expect_refused("ST29a", path, IB_E_FORMAT, "overlaps the tensor before it by 64 bytes");
    put_many("bad.safetensors", 100000, 1000, 10, "t");
    expect_refused("ST29b", path, IB_E_FORMAT, "overlaps the tensor before it by 990 bytes");
    put_many("bad.safetensors", 3, 8, 9, "t");
    expect_refused("ST30b", path, IB_E_FORMAT, "hole of 1 bytes");
}

static void many_entries_load_fast(void **state) {
    (void)state;
    put_many("many.safetensors", 100000, 4, 4, "model.layers.some.longer.name.of.a.tensor.");
    uint64_t start = ib_now_ns();
    ib_checkpoint *c = expect_opened("ST37", at("many.safetensors"));
    double seconds = (double)(ib_now_ns() - start) / 1e9;
    print_message("100,000 entries opened in %.3f s\n", seconds);
    assert_int_equal(ib_checkpoint_n_tensors(c), 100000);
    assert_true(seconds <
                5); /* 1 s on a quiet machine; sanitizers and neighbours take their share */
    const ib_stored_tensor *t =
        ib_checkpoint_find(c, "model.layers.some.longer.name.of.a.tensor.99999");
    assert_non_null(t);
    assert_int_equal(t->n_bytes, 4);
    ib_checkpoint_close(c);
}

static void one_million_tensors_are_the_last(void **state) {
    (void)state;
    for (int n = 999999; n <= 1000001; n++) {
        ib_error err;
        ib_buf b;
        ib_buf_init(&b);
        for (int i = 0; i < n; i++)
            if (ib_buf_addf(&b, &err,
                            "%c\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                            i ? ',' : '{', i) != IB_OK)
                fail_msg("%s", err.text);
        assert_int_equal(ib_buf_addc(&b, '}', &err), IB_OK);
        put_header("a.safetensors", b.ptr, b.len, 0);
        ib_buf_clear(&b);
        if (n > 1000000)
            expect_refused("cap of tensors", at("a.safetensors"), IB_E_RESOURCE,
                           "more than 1000000 tensors");
        else
            ib_checkpoint_close(expect_opened("cap of tensors", at("a.safetensors")));
    }
}

static void long_names_and_ranks_are_refused(void **state) {
    (void)state;
    enum { LONG = 1 << 20 };
    char *header = room(LONG + 256);
    for (int n = 1023; n <= 1025; n++) {
        memcpy(header, "{\"", 2);
        memset(header + 2, 'x', (size_t)n);
        memcpy(header + 2 + n, "\":" ENTRY "}", sizeof "\":" ENTRY "}");
        put_st("a.safetensors", header, 4);
        if (n > 1024)
            expect_refused("ST35 cap", at("a.safetensors"), IB_E_FORMAT, "longer than 1024 bytes");
        else
            ib_checkpoint_close(expect_opened("ST35 cap", at("a.safetensors")));
    }
    memset(header + 2, 'x', LONG);
    memcpy(header + 2 + LONG, "\":" ENTRY "}", sizeof "\":" ENTRY "}");
    put_st("a.safetensors", header, 4);
    expect_refused("ST35a", at("a.safetensors"), IB_E_FORMAT, "longer than 1024 bytes|xxx...");
    static const char start[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[";
    memcpy(header, start, sizeof start);
    char *p = header + sizeof start - 1;
    for (int i = 0; i < 10000; i++, p += 2)
        memcpy(p, "1,", 2);
    memcpy(p, "1],\"data_offsets\":[0,1]}}", sizeof "1],\"data_offsets\":[0,1]}}");
    put_st("a.safetensors", header, 1);
    expect_refused("ST34b", at("a.safetensors"), IB_E_FORMAT, "rank is above 8");
    free(header);
}

static void good_oddities_are_accepted(void **state) {
    (void)state;
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\",\"x\\u001b\":\"\\ud83d\\ude00\"},"
        "\"scalar\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[12,13]}, "
        "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[12,12]},"
        "\"first\":{\"data_offsets\":[0,12],\"shape\":[3,1],\"dtype\":\"F32\",\"note\":[{\"k\":\"}"
        "\"}]},"
        "\"eight\":{\"dtype\":\"BOOL\",\"shape\":[1,1,1,1,1,1,1,2],\"data_offsets\":[13,15]}}   ";
    put_st("good.safetensors", header, 15);
    ib_checkpoint *c = expect_opened("ST12 ST18 ST32 ST33", at("good.safetensors"));
    expect_words("ST18", logged, "unknown header key 'note'|first");
    assert_int_equal(ib_checkpoint_n_tensors(c), 4);
    assert_int_equal(ib_checkpoint_format(c), IB_CHECKPOINT_SAFETENSORS);
    assert_null(ib_checkpoint_gguf(c));
    const ib_stored_tensor *t = ib_checkpoint_find(c, "scalar");
    assert_non_null(t);
    assert_true(t->n_dims == 0 && t->n_elements == 1 && t->n_bytes == 1);
    assert_int_equal(*(const unsigned char *)t->data, 12);
    t = ib_checkpoint_find(c, "empty");
    assert_non_null(t);
    assert_true(t->n_elements == 0 && t->n_bytes == 0 && t->n_dims == 2);
    t = ib_checkpoint_find(c, "first");
    assert_non_null(t);
    assert_true(t->type == IB_TYPE_F32 && t->shape[0] == 3 && t->shape[1] == 1 && t->n_bytes == 12);
    assert_string_equal(t->name.ptr, "first");
    assert_true(ib_checkpoint_has(c, "eight"));
    assert_null(ib_checkpoint_find(c, "__metadata__"));
    ib_checkpoint_close(c);
    put_st("good.safetensors", "{\"__metadata__\":null}", 0);
    ib_checkpoint_close(expect_opened("null metadata", at("good.safetensors")));
}

static void large_metadata_is_accepted(void **state) {
    (void)state;
    enum { LARGE = 20 << 20 };
    static const char start[] = "{\"__metadata__\":{\"k\":\"";
    char *header = room(LARGE + 64);
    memcpy(header, start, sizeof start - 1);
    memset(header + sizeof start - 1, 'm', LARGE);
    memcpy(header + sizeof start - 1 + LARGE, "\"}}", 3);
    put_header("a.safetensors", header, sizeof start + 2 + LARGE, 0);
    ib_checkpoint_close(expect_opened("ST36d", at("a.safetensors")));
    free(header);
}

static void dtypes_are_refused_on_use(void **state) {
    (void)state;
    static const struct {
        const char *id, *dtype;
        int bytes; /* per 4 elements */
        ib_status status;
    } cases[] = {
        {"ST20a", "F4", 2, IB_E_UNSUPPORTED},      {"ST20b", "F8_E4M3", 4, IB_E_UNSUPPORTED},
        {"ST20c", "F8_E5M2", 4, IB_E_UNSUPPORTED}, {"ST20d", "F8_E8M0", 4, IB_E_UNSUPPORTED},
        {"ST20e", "F6_E2M3", 3, IB_E_UNSUPPORTED}, {"ST20f", "F64", 32, IB_E_UNSUPPORTED},
        {"ST38a", "I32", 16, IB_E_FORMAT},         {"ST38b", "BOOL", 4, IB_E_FORMAT},
        {"ST38c", "U16", 8, IB_E_FORMAT},          {"ST38d", "C64", 32, IB_E_FORMAT}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char header[256];
        ib_error err = {0};
        ib_matrix m;
        float out[4];
        (void)snprintf(header, sizeof header,
                       "{\"a.weight\":{\"dtype\":\"%s\",\"shape\":[2,2],\"data_offsets\":[0,%d]},"
                       "\"b\":{\"dtype\":\"%s\",\"shape\":[4],\"data_offsets\":[%d,%d]}}",
                       cases[i].dtype, cases[i].bytes, cases[i].dtype, cases[i].bytes,
                       2 * cases[i].bytes);
        put_st("a.safetensors", header, (size_t)(2 * cases[i].bytes));
        ib_checkpoint *c = expect_opened(cases[i].id, at("a.safetensors"));
        ib_status st = ib_checkpoint_matrix(c, "a", NULL, 2, 2, &m, &err);
        expect_error(cases[i].id, st, &err, cases[i].status, cases[i].dtype);
        st = ib_checkpoint_vector(c, "b", 4, out, &err);
        expect_error(cases[i].id, st, &err, cases[i].status, cases[i].dtype);
        ib_checkpoint_close(c);
    }
}

static void other_files_are_named(void **state) {
    (void)state;
    static const struct {
        const char *id, *text, *words;
    } cases[] = {
        {"ST40", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1234\n",
         "LFS pointer|download the real file"},
        {"ST41a", "<!DOCTYPE html>\n<html><body>404</body></html>", "HTML page"},
        {"ST41b", "<html><body>404</body></html>", "HTML page"},
        {"ST41c", "PK\003\004 archive/data.pkl and more", "zip or pickle"},
        {"ST41d", "\x80\x02}q\x01(X\x01 and more bytes", "pickle file"},
        {"ST41e", "GGUF\x03\x01\x01\x01 and more bytes", "a GGUF file"},
        {"ST41f", "{\"error\":\"Repository not found\"}", "error reply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_text("a.safetensors", cases[i].text);
        expect_refused(cases[i].id, at("a.safetensors"), IB_E_FORMAT, cases[i].words);
    }
}

static void missing_and_wrong_paths(void **state) {
    (void)state;
    expect_refused("missing", at("none.safetensors"), IB_E_INPUT, "none.safetensors|No such file");
    assert_int_equal(mkdir(at("empty"), 0700), 0);
    expect_refused("empty folder", at("empty"), IB_E_INPUT, "no weights");
    put_text("empty/pytorch_model.bin", "PK");
    expect_refused("pickle folder", at("empty"), IB_E_UNSUPPORTED, "pytorch_model.bin|safetensors");
    assert_int_equal(mkfifo(at("pipe.safetensors"), 0600), 0);
    expect_refused("fifo", at("pipe.safetensors"), IB_E_INPUT, "not a regular file");
}

static void config_may_name_the_weights(void **state) {
    (void)state;
    assert_int_equal(mkdir(at("named"), 0700), 0);
    put_st("named/other.safetensors", "{\"a\":" ENTRY "}", 4);
    put_text("named/config.json", "{\"transformers_weights\":\"other.safetensors\"}");
    ib_checkpoint *c = expect_opened("named", at("named"));
    assert_true(ib_checkpoint_has(c, "a"));
    ib_checkpoint_close(c);
    put_text("named/config.json", "{\"transformers_weights\":\"../other.safetensors\"}");
    expect_refused("named", at("named"), IB_E_FORMAT, "transformers_weights|../other");
    put_text("named/config.json", "{\"transformers_weights\":7}");
    expect_refused("named", at("named"), IB_E_FORMAT, "transformers_weights");
}

static void vectors_and_matrices_keep_their_shape(void **state) {
    (void)state;
    ib_error err = {0};
    ib_matrix m;
    float out[6];
    put_st("a.safetensors",
           "{\"m.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
           "\"v.weight\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[24,28]},"
           "\"z.weight\":{\"dtype\":\"BF16\",\"shape\":[0,2],\"data_offsets\":[28,28]}}",
           28);
    ib_checkpoint *c = expect_opened("shapes", at("a.safetensors"));
    assert_int_equal(ib_checkpoint_matrix(c, "m", NULL, 2, 3, &m, &err), IB_OK);
    assert_true(m.type == IB_TYPE_F32 && m.n_rows == 2 && m.n_cols == 3 && m.data_bytes == 24);
    ib_status st = ib_checkpoint_matrix(c, "m", NULL, 3, 2, &m, &err);
    expect_error("shape", st, &err, IB_E_FORMAT, "[2, 3]|[3, 2]|'m.weight'|a.safetensors");
    st = ib_checkpoint_matrix_any(c, "v", NULL, &m, &err);
    expect_error("rank", st, &err, IB_E_FORMAT, "expected a matrix");
    st = ib_checkpoint_matrix_any(c, "z", NULL, &m, &err);
    expect_error("empty", st, &err, IB_E_FORMAT, "expected a matrix");
    st = ib_checkpoint_matrix_any(c, "none", NULL, &m, &err);
    expect_error("missing", st, &err, IB_E_FORMAT, "'none.weight' is missing");
    assert_int_equal(ib_checkpoint_vector(c, "v.weight", 2, out, &err), IB_OK);
    assert_true(out[1] == ib_bf16_to_f32(0x1B1A));
    st = ib_checkpoint_vector(c, "v.weight", 3, out, &err);
    expect_error("length", st, &err, IB_E_FORMAT, "vector of 3");
    st = ib_checkpoint_vector(c, "m.weight", 6, out, &err);
    expect_error("matrix as vector", st, &err, IB_E_FORMAT, "vector of 6");
    st = ib_checkpoint_vector(c, "none", 3, out, &err);
    expect_error("missing", st, &err, IB_E_FORMAT, "'none' is missing");
    ib_checkpoint_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_headers_are_refused),
        cmocka_unit_test(bad_lengths_are_refused),
        cmocka_unit_test(the_header_may_have_100_million_bytes),
        cmocka_unit_test(nuls_and_depth_are_refused),
        cmocka_unit_test(depth_64_is_the_last),
        cmocka_unit_test(overlaps_and_holes_are_refused),
        cmocka_unit_test(many_entries_load_fast),
        cmocka_unit_test(one_million_tensors_are_the_last),
        cmocka_unit_test(long_names_and_ranks_are_refused),
        cmocka_unit_test(good_oddities_are_accepted),
        cmocka_unit_test(large_metadata_is_accepted),
        cmocka_unit_test(dtypes_are_refused_on_use),
        cmocka_unit_test(other_files_are_named),
        cmocka_unit_test(missing_and_wrong_paths),
        cmocka_unit_test(config_may_name_the_weights),
        cmocka_unit_test(vectors_and_matrices_keep_their_shape),
    };
    return cmocka_run_group_tests_name("safetensors", tests, make_scratch, remove_scratch);
}
