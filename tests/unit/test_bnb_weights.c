/* SPDX-License-Identifier: MIT
 * Quantized weights in safetensors files: layers that bitsandbytes saved give its values bit for
 * bit, and the catalogue of broken ones (BN01 to BN17) is refused, naming what is wrong. */
#include "model_files.h"

#include <math.h>

typedef struct part {
    const char *name, *dtype, *shape;
    const void *bytes;
    size_t n;
} part;

enum { MAX_PARTS = 8 };

/* A file of n parts; those without a name are left out. */
static void put_parts(const part *parts, size_t n) {
    ib_buf header, data;
    ib_error err;
    ib_status st = IB_OK;
    ib_buf_init(&header);
    ib_buf_init(&data);
    for (size_t i = 0; i < n; i++) {
        if (!parts[i].name)
            continue;
        st |= ib_buf_addf(&header, &err,
                          "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                          header.len ? ',' : '{', parts[i].name, parts[i].dtype, parts[i].shape,
                          data.len, data.len + parts[i].n);
        st |= ib_buf_add(&data, parts[i].bytes, parts[i].n, &err);
    }
    st |= ib_buf_addc(&header, '}', &err);
    uint64_t length = header.len;
    ib_buf file;
    ib_buf_init(&file);
    st |= ib_buf_add(&file, &length, 8, &err);
    st |= ib_buf_add(&file, header.ptr, header.len, &err);
    if (data.len)
        st |= ib_buf_add(&file, data.ptr, data.len, &err);
    assert_int_equal(st, IB_OK);
    put("q.safetensors", file.ptr, file.len);
    ib_buf_clear(&header);
    ib_buf_clear(&data);
    ib_buf_clear(&file);
}

#define STATE "m.weight.quant_state.bitsandbytes__nf4"
#define PLAIN(type, size, dtype, shape)                                                            \
    "{\"quant_type\": " type ", \"blocksize\": " size ", \"dtype\": " dtype ", \"shape\": " shape  \
    "}"
#define NESTED(size, dtype, offset)                                                                \
    "{\"quant_type\": \"nf4\", \"blocksize\": 32, \"dtype\": \"bfloat16\", \"shape\": [3, 32], "   \
    "\"nested_blocksize\": " size ", \"nested_dtype\": " dtype ", \"nested_offset\": " offset "}"

static const char good_state[] = PLAIN("\"nf4\"", "32", "\"bfloat16\"", "[3, 32]");
static const char good_nested[] = NESTED("256", "\"float32\"", "0.25");
static uint8_t codes[64], absmax_u8[3] = {0, 127, 255};
static float absmax[4] = {1, 2, 0.5f, 3}, nested_absmax[2] = {2, 1}, nested_map[257];

enum { WEIGHT, ABSMAX, MAP, BLOB, NESTED_ABSMAX, NESTED_MAP, EXTRA };

/* A [3, 32] weight in blocks of 32: the parts of a correct file. */
static void good_parts(part *p, bool nested) {
    const char *state = nested ? good_nested : good_state;
    memset(p, 0, MAX_PARTS * sizeof *p);
    p[WEIGHT] = (part){"m.weight", "U8", "48,1", codes, 48};
    p[ABSMAX] = (part){"m.weight.absmax", "F32", "3", absmax, 12};
    p[MAP] = (part){"m.weight.quant_map", "F32", "16", ib_nf4_table, 64};
    p[BLOB] = (part){STATE, "U8", NULL, state, strlen(state)};
    if (nested) {
        p[ABSMAX] = (part){"m.weight.absmax", "U8", "3", absmax_u8, 3};
        p[NESTED_ABSMAX] = (part){"m.weight.nested_absmax", "F32", "1", nested_absmax, 4};
        p[NESTED_MAP] = (part){"m.weight.nested_quant_map", "F32", "256", nested_map, 1024};
    }
}

static ib_status take_matrix(const part *parts, const ib_bnb_config *bnb, ib_matrix *m,
                             ib_checkpoint **c, ib_error *err) {
    part copy[MAX_PARTS];
    char length[32];
    memcpy(copy, parts, sizeof copy);
    (void)snprintf(length, sizeof length, "%zu", copy[BLOB].n);
    if (!copy[BLOB].shape)
        copy[BLOB].shape = length;
    put_parts(copy, MAX_PARTS);
    *c = expect_opened("parts", at("q.safetensors"));
    ib_error_clear(err);
    return ib_checkpoint_matrix_any(*c, "m", bnb, m, err);
}

static void expect_bad(const char *id, const part *parts, ib_status status, const char *words) {
    ib_checkpoint *c;
    ib_matrix m;
    ib_error err;
    ib_status st = take_matrix(parts, NULL, &m, &c, &err);
    expect_error(id, st, &err, status, words);
    ib_checkpoint_close(c);
}

static void expect_good(const part *parts, float first, float last) {
    ib_checkpoint *c;
    ib_matrix m;
    ib_error err;
    float row[32];
    if (take_matrix(parts, NULL, &m, &c, &err) != IB_OK)
        fail_msg("%s", err.text);
    assert_true(m.n_rows == 3 && m.n_cols == 32 && m.blocksize == 32 && m.data_bytes == 48);
    ib_matrix_decode(&m, 0, 0, 32, row);
    assert_true(row[0] == first);
    ib_matrix_decode(&m, 2, 0, 32, row);
    assert_true(row[31] == last);
    ib_checkpoint_close(c);
}

static int make_values(void **state) {
    for (int i = 0; i < 64; i++)
        codes[i] = (uint8_t)(i == 0 ? 0x0F : 0xF0 | (i & 15));
    codes[47] = 0xFF;
    for (int i = 0; i < 257; i++)
        nested_map[i] = (float)(i - 127) / 128;
    return make_scratch(state);
}

static void correct_files_are_read(void **state) {
    (void)state;
    static const struct {
        const char *dtype, *shape;
    } storage[] = {{"U8", "48,1"},  {"U8", "1,48"},  {"U8", "48"}, {"BF16", "24,1"},
                   {"F16", "1,24"}, {"F32", "12,1"}, {"F32", "12"}};
    part p[MAX_PARTS];
    good_parts(p, false);
    for (size_t i = 0; i < sizeof storage / sizeof storage[0]; i++) {
        p[WEIGHT].dtype = storage[i].dtype;
        p[WEIGHT].shape = storage[i].shape;
        expect_good(p, -1, 0.5f);
    }
    p[MAP].name = NULL; /* the map may be absent */
    expect_good(p, -1, 0.5f);
    good_parts(p, true);
    float scale = nested_map[0] * 2;
    scale = scale + 0.25f;
    expect_good(p, -scale, nested_map[255] * 2 + 0.25f);
}

static void missing_and_doubled_parts(void **state) {
    (void)state;
    part p[MAX_PARTS];
    good_parts(p, false);
    p[ABSMAX].name = NULL;
    expect_bad("BN01", p, IB_E_FORMAT, "'m.weight'|'absmax' is missing");
    good_parts(p, false);
    p[BLOB].name = NULL;
    expect_bad("BN02", p, IB_E_FORMAT, "quant_state tensor is missing");
    p[WEIGHT].dtype = "BF16";
    p[WEIGHT].shape = "24,1";
    expect_bad("BN02b", p, IB_E_FORMAT, "quant_state tensor is missing");
    good_parts(p, false);
    p[EXTRA] = (part){"m.weight.quant_state.bitsandbytes__fp4", "U8", "1", "{", 1};
    expect_bad("BN03", p, IB_E_FORMAT, "two quant_state tensors");
    p[EXTRA] = (part){"m.weight.zero_point", "U8", "1", "{", 1};
    expect_bad("BN04a", p, IB_E_FORMAT, "unknown companion tensor 'zero_point'");
    good_parts(p, true);
    p[NESTED_ABSMAX].name = NULL;
    expect_bad("BN11a", p, IB_E_FORMAT, "'nested_absmax' is missing");
    good_parts(p, true);
    p[NESTED_MAP].name = NULL;
    expect_bad("BN12a", p, IB_E_FORMAT, "'nested_quant_map' is missing");
    good_parts(p, false);
    p[EXTRA] = (part){"m.weight.nested_absmax", "F32", "1", nested_absmax, 4};
    expect_bad("nested without keys", p, IB_E_FORMAT, "no nested_* keys");
}

static void bad_states_are_refused(void **state) {
    (void)state;
#define BF "\"bfloat16\""
#define NF "\"nf4\""
    static const struct {
        const char *id, *text, *words;
    } cases[] = {
        {"BN04b",
         "{\"quant_type\":\"nf4\",\"blocksize\":32,\"dtype\":\"float32\",\"shape\":[3,32],\"x\":1}",
         "unknown key 'x'"},
        {"BN04c",
         "{\"quant_type\":\"nf4\",\"blocksize\":32,\"dtype\":\"float32\",\"shape\":[3,32],"
         "\"absmax\":1}",
         "unknown key 'absmax'"},
        {"BN05a", "{\"quant_type\": \"nf\xFF\"}", "invalid JSON"},
        {"BN05b", "not json", "invalid JSON"},
        {"BN05c", "[1, 2]", "not a JSON object"},
        {"BN05d", "{\"quant_type\": \"nf4\", \"quant_type\": \"nf4\"}", "invalid JSON"},
        {"BN05e", "{\"quant_type\": \"nf4\"}garbage", "invalid JSON"},
        {"BN06a", PLAIN(NF, "0", BF, "[3, 32]"), "blocksize is 0"},
        {"BN06b", PLAIN(NF, "3", BF, "[3, 32]"), "blocksize is 3"},
        {"BN06c", PLAIN(NF, "-64", BF, "[3, 32]"), "blocksize is -64"},
        {"BN06d", PLAIN(NF, "1099511627776", BF, "[3, 32]"), "blocksize is 1099511627776"},
        {"BN06e", PLAIN(NF, "16", BF, "[3, 32]"), "blocksize is 16"},
        {"BN06f", PLAIN(NF, "8192", BF, "[3, 32]"), "blocksize is 8192"},
        {"BN06g", PLAIN(NF, "32.0", BF, "[3, 32]"), "blocksize in quant_state is no integer"},
        {"BN06h", PLAIN(NF, "null", BF, "[3, 32]"), "blocksize in quant_state is no integer"},
        {"BN07a", NESTED("0", "\"float32\"", "0.5"), "nested_blocksize is 0"},
        {"BN07b", NESTED("64", "\"float32\"", "0.5"), "nested_blocksize is 64"},
        {"BN08a", PLAIN(NF, "32", BF, "[3, 33]"), "48 bytes of codes, 50 expected"},
        {"BN08b", PLAIN(NF, "32", BF, "[1, 97]"), "48 bytes of codes, 49 expected"},
        {"BN08c", PLAIN(NF, "32", BF, "[1, 94]"), "48 bytes of codes, 47 expected"},
        {"BN09a", PLAIN(NF, "32", BF, "[-3, 32]"), "shape in quant_state holds -3"},
        {"BN09b", PLAIN(NF, "32", BF, "[3, 32, 1]"), "shape in quant_state is not"},
        {"BN09c", PLAIN(NF, "32", BF, "[4611686018427387904, 32]"), "overflows"},
        {"BN09d", PLAIN(NF, "32", BF, "null"), "shape in quant_state is not"},
        {"BN09e", PLAIN(NF, "32", BF, "[0, 32]"), "shape in quant_state holds 0"},
        {"BN09f", PLAIN(NF, "32", BF, "[3.0, 32]"), "shape in quant_state is no integer"},
        {"BN13a", PLAIN(NF, "32", "\"os.system\"", "[3, 32]"),
         "dtype in quant_state is 'os.system'"},
        {"BN13b", PLAIN(NF, "32", "7", "[3, 32]"), "dtype in quant_state is missing or no text"},
        {"BN13c", NESTED("256", "\"float16\"", "0.5"), "nested_dtype in quant_state is 'float16'"},
        {"BN14b", NESTED("256", "\"float32\"", "NaN"), "invalid JSON"},
        {"BN14c", NESTED("256", "\"float32\"", "1e400"), "invalid JSON"},
        {"BN14d", NESTED("256", "\"float32\"", "1e300"), "nested_offset is not a finite number"},
        {"BN14e", NESTED("256", "\"float32\"", "\"0.5\""), "nested_offset is not a finite number"},
        {"BN15a", PLAIN("\"int8\"", "32", BF, "[3, 32]"), "quant_type in quant_state is 'int8'"},
        {"BN15b", PLAIN("\"fp4\"", "32", BF, "[3, 32]"), "contradicts the name"},
        {"BN15c", PLAIN("4", "32", BF, "[3, 32]"),
         "quant_type in quant_state is missing or no text"},
    };
    part p[MAX_PARTS];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        good_parts(p, strstr(cases[i].text, "nested") != NULL);
        p[BLOB].bytes = cases[i].text;
        p[BLOB].n = strlen(cases[i].text);
        expect_bad(cases[i].id, p, IB_E_FORMAT, cases[i].words);
    }
    static const char no_offset[] =
        "{\"quant_type\": \"nf4\", \"blocksize\": 32, \"dtype\": \"bfloat16\", \"shape\": [3, 32], "
        "\"nested_blocksize\": 256, \"nested_dtype\": \"float32\"}";
    good_parts(p, true);
    p[BLOB].bytes = no_offset;
    p[BLOB].n = sizeof no_offset - 1;
    expect_bad("BN14a", p, IB_E_FORMAT, "nested_offset in quant_state is missing");
}

static void state_tensors_have_limits(void **state) {
    (void)state;
    enum { HUGE_STATE = 100000000 };
    part p[MAX_PARTS];
    good_parts(p, false);
    p[BLOB].n = 0;
    expect_bad("BN05f", p, IB_E_FORMAT, "quant_state has 0 bytes");
    good_parts(p, false);
    p[BLOB].dtype = "I8";
    expect_bad("BN05g", p, IB_E_FORMAT, "quant_state has dtype I8");
    char *text = room(HUGE_STATE);
    memset(text, ' ', HUGE_STATE);
    good_parts(p, false);
    p[BLOB].bytes = text;
    p[BLOB].n = HUGE_STATE;
    expect_bad("BN05h", p, IB_E_FORMAT, "quant_state has 100000000 bytes");
    for (size_t n = 65535; n <= 65537; n++) {
        memcpy(text, good_state, sizeof good_state - 1);
        p[BLOB].n = n;
        if (n > 65536)
            expect_bad("BN05 cap", p, IB_E_FORMAT, "65537 bytes");
        else
            expect_good(p, -1, 0.5f);
    }
    free(text);
}

static void wrong_lengths_and_values(void **state) {
    (void)state;
    part p[MAX_PARTS];
    good_parts(p, false);
    p[ABSMAX] = (part){"m.weight.absmax", "F32", "4", absmax, 16};
    expect_bad("BN10a", p, IB_E_FORMAT, "'absmax' has 4 elements, expected 3");
    p[ABSMAX] = (part){"m.weight.absmax", "F32", "2", absmax, 8};
    expect_bad("BN10b", p, IB_E_FORMAT, "'absmax' has 2 elements, expected 3");
    p[ABSMAX] = (part){"m.weight.absmax", "U8", "3", absmax_u8, 3};
    expect_bad("BN10c", p, IB_E_FORMAT, "'absmax' has dtype U8, expected F32");
    good_parts(p, true);
    p[ABSMAX] = (part){"m.weight.absmax", "F32", "3", absmax, 12};
    expect_bad("BN10d", p, IB_E_FORMAT, "'absmax' has dtype F32, expected U8");
    good_parts(p, true);
    p[NESTED_ABSMAX] = (part){"m.weight.nested_absmax", "F32", "2", nested_absmax, 8};
    expect_bad("BN11b", p, IB_E_FORMAT, "'nested_absmax' has 2 elements, expected 1");
    good_parts(p, true);
    p[NESTED_MAP] = (part){"m.weight.nested_quant_map", "F32", "257", nested_map, 1028};
    expect_bad("BN12b", p, IB_E_FORMAT, "'nested_quant_map' has 257 elements, expected 256");
    good_parts(p, false);
    p[MAP] = (part){"m.weight.quant_map", "F32", "15", ib_nf4_table, 60};
    expect_bad("BN12c", p, IB_E_FORMAT, "'quant_map' has 15 elements, expected 16");
    p[MAP] = (part){"m.weight.quant_map", "F32", "16", ib_fp4_table, 64};
    expect_bad("BN12d", p, IB_E_FORMAT, "quant_map holds 0 at index 0, NF4 has -1 there");
    static const float bad[] = {NAN, INFINITY, -1};
    static const char *const words[] = {"'absmax' holds", "'absmax' holds inf",
                                        "'absmax' holds -1"};
    for (int i = 0; i < 3; i++) {
        float scales[3] = {1, bad[i], 2};
        good_parts(p, false);
        p[ABSMAX].bytes = scales;
        expect_bad("BN14f", p, IB_E_FORMAT, words[i]);
        good_parts(p, true);
        p[NESTED_ABSMAX].bytes = &scales[1];
        expect_bad("BN14g", p, IB_E_FORMAT, "'nested_absmax' holds");
    }
    good_parts(p, false);
    p[WEIGHT].shape = "24,2";
    expect_bad("shape of codes", p, IB_E_FORMAT, "not stored as one column");
    p[WEIGHT] = (part){"m.weight", "I32", "12,1", codes, 48};
    expect_bad("storage type", p, IB_E_FORMAT, "codes are stored as I32");
    part odd[MAX_PARTS] = {{0}}; /* 3 bytes of codes padded to one F32 */
    static const char odd_state[] = PLAIN("\"nf4\"", "32", "\"float32\"", "[1, 5]");
    good_parts(odd, false);
    odd[WEIGHT] = (part){"m.weight", "F32", "1,1", codes, 4};
    odd[ABSMAX] = (part){"m.weight.absmax", "F32", "1", absmax, 4};
    odd[BLOB].bytes = odd_state;
    odd[BLOB].n = sizeof odd_state - 1;
    ib_checkpoint *c;
    ib_matrix m;
    ib_error err;
    assert_int_equal(take_matrix(odd, NULL, &m, &c, &err), IB_OK);
    assert_true(m.n_cols == 5 && m.data_bytes == 3);
    ib_checkpoint_close(c);
}

static void scales_may_be_unaligned(void **state) {
    (void)state;
    part p[MAX_PARTS];
    for (int pad = 1; pad < 5; pad++) {
        good_parts(p, true);
        part shifted[MAX_PARTS];
        memcpy(shifted, p, sizeof p);
        shifted[EXTRA] = shifted[WEIGHT]; /* odd bytes in front of everything */
        shifted[WEIGHT] = (part){"pad", "U8", NULL, codes, (size_t)pad};
        char n[8];
        (void)snprintf(n, sizeof n, "%d", pad);
        shifted[WEIGHT].shape = n;
        expect_good(shifted, -(nested_map[0] * 2 + 0.25f), nested_map[255] * 2 + 0.25f);
    }
}

static void int8_weights(void **state) {
    (void)state;
    static const float scb[3] = {1, 2, 127}, bad[][3] = {{1, -2, 3}, {1, NAN, 3}, {1, INFINITY, 3}};
    const uint8_t formats[] = {0, 1, 2, 3, 4};
    const part good[MAX_PARTS] = {{"m.weight", "I8", "3,16", codes, 48},
                                  {"m.SCB", "F32", "3", scb, 12},
                                  {"m.weight_format", "U8", "", &formats[0], 1}};
    const ib_bnb_config bnb = {.present = true, .load_in_8bit = true, .int8_threshold = 4.5};
    part p[MAX_PARTS];
    ib_checkpoint *c;
    ib_matrix m;
    ib_error err;
    assert_int_equal(take_matrix(good, &bnb, &m, &c, &err), IB_OK);
    assert_true(m.type == IB_TYPE_INT8 && m.n_rows == 3 && m.n_cols == 16 && m.threshold == 4.5f);
    assert_true(m.scb[2] == 127);
    ib_checkpoint_close(c);
    for (int i = 1; i < 5; i++) {
        memcpy(p, good, sizeof p);
        p[2].bytes = &formats[i];
        expect_bad("BN16a", p, i < 4 ? IB_E_UNSUPPORTED : IB_E_FORMAT, "weight_format is");
    }
    memcpy(p, good, sizeof p);
    p[1].name = NULL;
    expect_bad("BN16b", p, IB_E_FORMAT, "SCB tensor is missing");
    p[1] = (part){"m.SCB", "F32", "2", scb, 8};
    expect_bad("BN16c", p, IB_E_FORMAT, "SCB tensor has another type or length");
    for (int i = 0; i < 3; i++) {
        p[1] = (part){"m.SCB", "F32", "3", bad[i], 12};
        expect_bad("BN16d", p, IB_E_FORMAT, "SCB holds");
    }
    memcpy(p, good, sizeof p);
    p[2].name = NULL; /* absent: rows */
    assert_int_equal(take_matrix(p, NULL, &m, &c, &err), IB_OK);
    assert_true(m.threshold == 6);
    ib_checkpoint_close(c);
}

static void config_and_tensors_must_agree(void **state) {
    (void)state;
    const ib_bnb_config plain = {0}, four = {.present = true, .load_in_4bit = true};
    part p[MAX_PARTS];
    ib_checkpoint *c;
    ib_matrix m;
    ib_error err;
    float out[48];
    good_parts(p, false);
    assert_int_equal(take_matrix(p, &four, &m, &c, &err), IB_OK);
    ib_checkpoint_close(c);
    ib_status st = take_matrix(p, &plain, &m, &c, &err);
    expect_error("CF18", st, &err, IB_E_FORMAT, "NF4|load_in_4bit");
    st = ib_checkpoint_vector(c, "m.weight", 48, out, &err);
    expect_error("BN17", st, &err, IB_E_FORMAT, "'m.weight'|dtype U8");
    ib_checkpoint_close(c);
}

static void settings_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        ib_status status;
        const char *words;
    } cases[] = {
        {"{\"quant_method\":\"gptq\"}", IB_E_UNSUPPORTED, "gptq"},
        {"{}", IB_E_UNSUPPORTED, "(none)"},
        {"{\"quant_method\":\"bitsandbytes\",\"load_in_4bit\":true,\"load_in_8bit\":true}",
         IB_E_FORMAT, "load_in_4bit and load_in_8bit"},
        {"{\"load_in_4bit\":1}", IB_E_FORMAT, "load_in_4bit"},
        {"{\"load_in_4bit\":true,\"bnb_4bit_compute_dtype\":\"int8\"}", IB_E_FORMAT, "'int8'"},
        {"{\"load_in_8bit\":true,\"llm_int8_threshold\":-1}", IB_E_FORMAT,
         "llm_int8_threshold: -1"},
        {"[]", IB_E_FORMAT, "not an object"},
    };
    ib_bnb_config b;
    ib_error err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *config = json_pack("{s:o}", "quantization_config",
                                   json_loads(cases[i].text, JSON_REJECT_DUPLICATES, NULL));
        ib_status st = ib_bnb_config_read(&b, config, "config.json", &err);
        expect_error(cases[i].text, st, &err, cases[i].status, cases[i].words);
        assert_false(b.present);
        json_decref(config);
    }
    json_t *config =
        json_pack("{s:{s:b,s:s,s:f}}", "quantization_config", "_load_in_4bit", 1,
                  "bnb_4bit_compute_dtype", "torch.bfloat16", "llm_int8_threshold", 0.0);
    assert_int_equal(ib_bnb_config_read(&b, config, "config.json", &err), IB_OK);
    assert_true(b.present && b.load_in_4bit && !b.load_in_8bit && b.int8_threshold == 0);
    assert_int_equal(b.compute_dtype, IB_TYPE_BF16);
    json_decref(config);
    config = json_object();
    assert_int_equal(ib_bnb_config_read(&b, config, "config.json", &err), IB_OK);
    assert_true(!b.present && b.int8_threshold == 6 && b.compute_dtype == IB_TYPE_F32);
    json_decref(config);
}

/* Each "expect.<module>" of the file holds the values of <module>. */
static void saved_layers_have_their_values(void **state) {
    (void)state;
    ib_checkpoint *c = expect_opened("golden", IB_SOURCE_DIR "/tests/golden/quant/bnb.safetensors");
    int layers = 0;
    for (size_t i = 0; i < ib_checkpoint_n_tensors(c); i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(c, i);
        ib_matrix m;
        ib_error err = {0};
        if (!ib_str_starts(t->name, "expect."))
            continue;
        if (ib_checkpoint_matrix(c, t->name.ptr + 7, NULL, t->shape[0], t->shape[1], &m, &err) !=
            IB_OK)
            fail_msg("%s", err.text);
        float *values = malloc((size_t)t->n_bytes);
        assert_non_null(values);
        for (uint64_t r = 0; r < m.n_rows; r++)
            ib_matrix_decode(&m, r, 0, m.n_cols, values + r * m.n_cols);
        assert_memory_equal(values, t->data, t->n_bytes);
        free(values);
        layers++;
    }
    assert_int_equal(layers, 7);
    ib_checkpoint_close(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correct_files_are_read),
        cmocka_unit_test(missing_and_doubled_parts),
        cmocka_unit_test(bad_states_are_refused),
        cmocka_unit_test(state_tensors_have_limits),
        cmocka_unit_test(wrong_lengths_and_values),
        cmocka_unit_test(scales_may_be_unaligned),
        cmocka_unit_test(int8_weights),
        cmocka_unit_test(config_and_tensors_must_agree),
        cmocka_unit_test(settings_are_read),
        cmocka_unit_test(saved_layers_have_their_values),
    };
    return cmocka_run_group_tests_name("bnb_weights", tests, make_values, remove_scratch);
}
