/* SPDX-License-Identifier: MIT
 * The kernel tests: every operation of the CPU backend on every tier of this machine. With
 * --time [TIER [THREADS]] they print speeds instead. With --xpu in front, both take the OpenCL
 * backend on the driver for the processor, every form of its kernels. */
#include "kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *kt_tiers[KT_TIERS] = {"scalar", "avx2", "avx512", "avx512vnni", "avx512bf16", ""};
const char kt_plain[] = "plain";
static const char *const forms[KT_TIERS] = {"single",    "local",   "subgroup",
                                            "subgroup8", "engine8", "engine16"};
static bool xpu;

/* Devices of the OpenCL backend stay open between tests: opening one builds kernels. */
static struct {
    ib_device *d;
    const char *tier;
    ib_compute compute;
} kept[2 * KT_TIERS];
static size_t n_kept;

static ib_device *find_kept(const char *tier, ib_compute compute) {
    for (size_t i = 0; i < n_kept; i++)
        if (kept[i].tier == tier && kept[i].compute == compute)
            return kept[i].d;
    return NULL;
}

static void tell_once(const char *tier, const char *why) {
    static const char *told[KT_TIERS];
    for (size_t i = 0; i < KT_TIERS; i++)
        if (kt_tiers[i] == tier && !told[i]) {
            print_message("skipped: %s\n", why);
            told[i] = tier;
        }
}

bool kt_open(bench *t, const char *tier, int n_threads) {
    return kt_open_compute(t, tier, n_threads, IB_COMPUTE_FLOAT32);
}

bool kt_is_bf16(const bench *t) {
    return strncmp(t->tier, "engine", 6) == 0;
}

bool kt_open_compute(bench *t, const char *tier, int n_threads, ib_compute compute) {
    ib_error err;
    const bool plain = tier == kt_plain;
    memset(t, 0, sizeof *t);
    ib_rng_init(&t->rng, 42);
    for (size_t i = KT_TIERS; plain && i-- > 0;)
        tier = *kt_tiers[i] ? kt_tiers[i] : tier;
    if (!*tier)
        return false;
    const ib_device_config config = {.n_threads = n_threads,
                                     .cpu_tier = xpu ? NULL : tier,
                                     .form = xpu ? tier : NULL,
                                     .compute = compute};
    t->d = plain ? NULL : find_kept(tier, compute);
    if (!t->d) {
        ib_status status = ib_device_open(&t->d, xpu ? "xpu:cpu" : "cpu", &config, &err);
        if (status == IB_E_DEVICE || status == IB_E_USAGE) {
            tell_once(tier, err.text);
            return false;
        }
        if (status != IB_OK)
            fail_msg("%s", err.text);
        if (xpu && !plain && n_kept < sizeof kept / sizeof *kept) {
            kept[n_kept].d = t->d;
            kept[n_kept].tier = tier;
            kept[n_kept++].compute = compute;
        }
    }
    t->b = ib_backend_of(t->d);
    t->tier = tier;
    return true;
}

static bool is_kept(const ib_device *d) {
    for (size_t i = 0; i < n_kept; i++)
        if (kept[i].d == d)
            return true;
    return false;
}

void kt_close(bench *t) {
    ib_ledger l;
    t->b->ledger(t->d, &l);
    assert_int_equal(l.now[IB_MEM_WEIGHTS], 0);
    assert_int_equal(l.now[IB_MEM_KV], 0);
    assert_int_equal(l.now[IB_MEM_IO], 0);
    assert_int_equal(l.mapped_bytes, 0);
    if (!is_kept(t->d))
        ib_device_close(t->d);
}

/* The forms (or the one that is named) in place of the tiers; false when no device can run them. */
static bool use_xpu(const char *form) {
    ib_error err;
    ib_device *d;
    const ib_device_config config = {.compute = IB_COMPUTE_FLOAT32};
    ib_device_info info;
    if (ib_device_open(&d, "xpu:cpu", &config, &err) != IB_OK) {
        print_message("skipped: %s\n", err.text);
        return false;
    }
    ib_backend_of(d)->info(d, &info);
    print_message("device %s (%s)\n", info.name, info.driver);
    ib_device_close(d);
    for (size_t i = 0; i < KT_TIERS; i++)
        kt_tiers[i] = !form || strcmp(form, forms[i]) == 0 ? forms[i] : "";
    xpu = true;
    return true;
}

void kt_reserve(bench *t, const ib_limits *limits) {
    ib_error err;
    if (t->b->reserve(t->d, limits, &err) != IB_OK)
        fail_msg("%s", err.text);
}

static size_t pages(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) / page * page;
}

void *kt_guarded(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = pages(bytes);
    uint8_t *p =
        mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + whole, page, PROT_NONE), 0);
    return p + (whole - bytes);
}

void kt_guarded_free(void *p, size_t bytes) {
    size_t whole = pages(bytes);
    if (p)
        (void)munmap((uint8_t *)p - (whole - bytes), whole + (size_t)sysconf(_SC_PAGESIZE));
}

void kt_normal(ib_rng *r, float *x, size_t n, float deviation) {
    for (size_t i = 0; i < n; i++)
        x[i] = deviation * (float)ib_rng_normal(r);
}

static ib_tensor make(bench *t, const void *x, ib_type type, size_t rows, size_t cols) {
    ib_error err;
    ib_tensor out = {.type = type, .n_rows = rows, .n_cols = cols};
    if (t->b->buffer_new(t->d, &out.buffer, rows * cols * 4, IB_MEM_IO, &err) != IB_OK)
        fail_msg("%s", err.text);
    if (x)
        assert_int_equal(t->b->upload(t->d, out.buffer, 0, x, rows * cols * 4, &err), IB_OK);
    return out;
}

ib_tensor kt_tensor(bench *t, const float *x, size_t rows, size_t cols) {
    return make(t, x, IB_TYPE_F32, rows, cols);
}

ib_tensor kt_ids(bench *t, const int32_t *ids, size_t rows, size_t cols) {
    return make(t, ids, IB_TYPE_I32, rows, cols);
}

float *kt_read(bench *t, ib_tensor x) {
    ib_error err;
    size_t bytes = x.n_rows * x.n_cols * 4;
    float *out = malloc(bytes ? bytes : 1);
    assert_non_null(out);
    assert_int_equal(t->b->download(t->d, out, x.buffer, x.offset, bytes, &err), IB_OK);
    return out;
}

void kt_drop(bench *t, ib_tensor x) {
    t->b->buffer_free(t->d, x.buffer);
}

/* Where the half-precision scales of a block lie; -1 = none. */
static void scale_places(ib_type type, int place[2]) {
    static const struct {
        ib_type type;
        int d, m;
    } rows[] = {{IB_TYPE_Q4_0, 0, -1},   {IB_TYPE_Q4_1, 0, 2},   {IB_TYPE_Q5_0, 0, -1},
                {IB_TYPE_Q5_1, 0, 2},    {IB_TYPE_Q8_0, 0, -1},  {IB_TYPE_Q2_K, 80, 82},
                {IB_TYPE_Q3_K, 108, -1}, {IB_TYPE_Q4_K, 0, 2},   {IB_TYPE_Q5_K, 0, 2},
                {IB_TYPE_Q6_K, 208, -1}, {IB_TYPE_IQ4_NL, 0, -1}};
    place[0] = place[1] = -1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].type == type) {
            place[0] = rows[i].d;
            place[1] = rows[i].m;
        }
}

static void fill_data(uint8_t *p, size_t bytes, ib_rng *r, ib_type type) {
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)ib_rng_below(r, 256);
    size_t block = ib_type_block_bytes(type);
    int place[2];
    scale_places(type, place);
    for (size_t b = 0; b + block <= bytes; b += block) {
        float value = 0.05f * (float)ib_rng_normal(r);
        uint16_t h = type == IB_TYPE_BF16 ? ib_f32_to_bf16(value) : ib_f32_to_f16(value);
        if (type == IB_TYPE_F32)
            memcpy(p + b, &value, 4);
        else if (type == IB_TYPE_F16 || type == IB_TYPE_BF16)
            memcpy(p + b, &h, 2);
        else if (type == IB_TYPE_MXFP4)
            p[b] = (uint8_t)(118 + ib_rng_below(r, 10));
        for (int i = 0; i < 2; i++)
            if (place[i] >= 0)
                memcpy(p + b + place[i], &h, 2);
    }
}

static float *guarded_floats(size_t n, ib_rng *r, float low, float high) {
    float *p = kt_guarded(n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = low + (high - low) * (float)ib_rng_unit(r);
    return p;
}

void kt_matrix(kt_weights *w, ib_rng *r, ib_type type, size_t rows, size_t cols, uint32_t blocksize,
               bool nested) {
    bool codes = type == IB_TYPE_NF4 || type == IB_TYPE_FP4;
    uint64_t bytes = (rows * cols + 1) / 2;
    if (!codes)
        assert_true(ib_type_bytes(type, rows * cols, &bytes));
    memset(w, 0, sizeof *w);
    w->bytes = (size_t)bytes;
    uint8_t *data = kt_guarded(w->bytes);
    fill_data(data, w->bytes, r, type);
    w->m = (ib_matrix){
        .type = type, .n_rows = rows, .n_cols = cols, .data = data, .data_bytes = bytes};
    if (type == IB_TYPE_INT8) {
        w->m.scb = guarded_floats(rows, r, 0.05f, 0.2f);
        w->m.threshold = 6.0f;
    }
    if (!codes)
        return;
    w->m.blocksize = blocksize;
    size_t n = (size_t)ib_matrix_n_blocks(&w->m);
    if (!nested) {
        w->m.absmax = guarded_floats(n, r, 0.02f, 0.2f);
        return;
    }
    uint8_t *absmax = kt_guarded(n);
    fill_data(absmax, n, r, IB_TYPE_U8);
    w->m.absmax_u8 = absmax;
    w->m.nested_blocksize = 256;
    w->m.nested_absmax = guarded_floats((n + 255) / 256, r, 0.02f, 0.06f);
    w->m.nested_map = guarded_floats(256, r, -1.0f, 1.0f);
    w->m.nested_offset = 0.1f;
}

static void drop(const void *p, size_t bytes) {
    void *mutable_p;
    memcpy(&mutable_p, &p, sizeof p);
    kt_guarded_free(mutable_p, bytes);
}

void kt_matrix_free(kt_weights *w) {
    size_t n = (size_t)ib_matrix_n_blocks(&w->m);
    drop(w->m.data, w->bytes);
    drop(w->m.scb, w->m.n_rows * sizeof(float));
    drop(w->m.absmax, n * sizeof(float));
    drop(w->m.absmax_u8, n);
    drop(w->m.nested_absmax, (n + 255) / 256 * sizeof(float));
    drop(w->m.nested_map, 256 * sizeof(float));
}

double kt_error(const float *a, const double *reference, size_t n) {
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double e = (double)a[i] - reference[i];
        difference += e * e;
        norm += reference[i] * reference[i];
    }
    double error = norm > 0 ? sqrt(difference / norm) : sqrt(difference);
    return isnan(error) ? INFINITY : error;
}

/* The comparison that came nearest to each limit, for the report at the end. */
static struct {
    double error, limit;
    char what[256];
} worst[8];

void kt_expect(double error, double limit, const char *fmt, ...) {
    char what[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    size_t i = 0;
    while (i < sizeof worst / sizeof *worst - 1 && worst[i].limit > 0 &&
           (worst[i].limit < limit || worst[i].limit > limit))
        i++;
    if (error >= worst[i].error) {
        worst[i].error = error;
        worst[i].limit = limit;
        memcpy(worst[i].what, what, sizeof what);
    }
    if (error <= limit)
        return;
    fail_msg("%s: error %.3g, limit %.3g", what, error, limit);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--xpu") == 0) {
        const char *form = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
        if (!use_xpu(form))
            return 77;
        argv += form ? 2 : 1;
        argc -= form ? 2 : 1;
    }
    if (argc > 1 && strcmp(argv[1], "--time") == 0)
        return kt_time(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3][0] - '0' : 0);
    int failed = kt_linear_tests();
    failed += kt_vector_tests();
    failed += kt_attention_tests();
    for (size_t i = 0; i < sizeof worst / sizeof *worst && worst[i].limit > 0; i++)
        print_message("limit %.1e: largest error %.2e (%s)\n", worst[i].limit, worst[i].error,
                      worst[i].what);
    for (size_t i = 0; i < n_kept; i++)
        ib_device_close(kept[i].d);
    return failed ? 1 : 0;
}
