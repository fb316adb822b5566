/* SPDX-License-Identifier: MIT
 * The OpenCL backend on a stand-in driver (tests/fake): which device is chosen, every call that
 * makes something failing in turn, the device lost at every call, failing compilation, strings that
 * are none, kept kernels damaged: always the contract's code, and nothing left alive. */
#include "support.h"

#include <dlfcn.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/file.h"
#include "fake/opencl.h"

static fake_reset_fn *fake_reset;
static fake_read_fn *fake_read;

static int load_fake(void **state) {
    (void)state;
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW), *reset, *read;
    if (!library)
        return -1;
    reset = dlsym(library, "fake_reset");
    read = dlsym(library, "fake_read");
    if (!reset || !read)
        return -1; /* a real loader: LD_LIBRARY_PATH is not set */
    memcpy(&fake_reset, &reset, sizeof reset);
    memcpy(&fake_read, &read, sizeof read);
    return 0;
}

enum { D = 64, N_ROWS = 20 };

static uint8_t payload[D * D * 2];
static float scales[256];

typedef struct job {
    ib_device *d;
    const ib_backend *b;
    ib_weight *nf4, *int8;
    ib_kv *kv;
    ib_buffer *x, *out;
} job;

static ib_status place(job *j, ib_error *err) {
    const ib_matrix nf4 = {.type = IB_TYPE_NF4,
                           .n_rows = D,
                           .n_cols = D,
                           .data = payload,
                           .data_bytes = D * D / 2,
                           .blocksize = 64,
                           .absmax_u8 = payload,
                           .nested_absmax = scales,
                           .nested_map = scales,
                           .nested_blocksize = 256};
    const ib_matrix int8 = {.type = IB_TYPE_INT8,
                            .n_rows = D,
                            .n_cols = D,
                            .data = payload,
                            .data_bytes = D * D,
                            .scb = scales,
                            .threshold = 6};
    const ib_kv_spec spec = {2, 1, 1, D, 64, IB_TYPE_F16};
    const ib_limits limits = {1, N_ROWS, 64, 2, 1, 1, D, D, D, D, 1, IB_ATTN_EAGER};
    IB_TRY(j->b->weight_new(j->d, &j->nf4, &nf4, false, err));
    IB_TRY(j->b->weight_new(j->d, &j->int8, &int8, true, err));
    IB_TRY(j->b->kv_new(j->d, &j->kv, &spec, err));
    IB_TRY(j->b->reserve(j->d, &limits, err));
    IB_TRY(j->b->buffer_new(j->d, &j->x, N_ROWS * D * 4, IB_MEM_IO, err));
    return j->b->buffer_new(j->d, &j->out, N_ROWS * D * 4, IB_MEM_IO, err);
}

static ib_tensor rows(ib_buffer *b, size_t n) {
    return (ib_tensor){b, 0, IB_TYPE_F32, n, D};
}

static ib_status step(job *j, size_t n, ib_error *err) {
    const ib_step s = {1, n, 0, n == 1};
    const ib_tensor x = rows(j->x, n), out = rows(j->out, n);
    const ib_linear_args nf4 = {j->nf4, NULL, x, out, 1}, int8 = {j->int8, NULL, x, out, 1};
    const ib_kv_write_args write = {j->kv, 1, x, x, s};
    bool done;
    IB_TRY(j->b->step_begin(j->d, &s, &done, err));
    IB_TRY(j->b->linear(j->d, &nf4, err));
    IB_TRY(j->b->linear(j->d, &int8, err));
    IB_TRY(j->b->kv_write(j->d, &write, err));
    for (int kind = 0; kind < IB_ATTN_COUNT; kind++) {
        const ib_attention_args a = {(ib_attention)kind, j->kv, 1, x, out, 1, 1, 0, 0, s};
        IB_TRY(j->b->attention(j->d, &a, err));
    }
    return j->b->step_end(j->d, err);
}

static ib_status use(job *j, ib_error *err) {
    float got[D];
    uint64_t ns;
    IB_TRY(j->b->mark(j->d, 0, err));
    IB_TRY(j->b->upload(j->d, j->x, 0, scales, sizeof scales, err));
    IB_TRY(step(j, N_ROWS, err));
    IB_TRY(step(j, 1, err));
    IB_TRY(step(j, 1, err));
    IB_TRY(j->b->argmax(j->d, rows(j->x, 1), rows(j->out, 1), err));
    IB_TRY(j->b->mark(j->d, 1, err));
    IB_TRY(j->b->elapsed_ns(j->d, 0, 1, &ns, err));
    IB_TRY(j->b->download(j->d, got, j->out, 0, sizeof got, err));
    return j->b->sync(j->d, err);
}

static ib_status whole(const char *device, const char *cache, ib_device_info *info,
                       ib_device_timing *timing, ib_error *err) {
    job j = {0};
    const ib_device_config config = {.kernel_cache_dir = cache};
    ib_status st = ib_device_open(&j.d, device, &config, err);
    if (st != IB_OK)
        return st;
    j.b = ib_backend_of(j.d);
    st = place(&j, err);
    if (st == IB_OK)
        st = use(&j, err);
    if (info)
        j.b->info(j.d, info);
    if (timing)
        j.b->timing(j.d, timing);
    j.b->buffer_free(j.d, j.out);
    j.b->buffer_free(j.d, j.x);
    j.b->kv_free(j.d, j.kv);
    j.b->weight_free(j.d, j.int8);
    j.b->weight_free(j.d, j.nf4);
    ib_device_close(j.d);
    return st;
}

static void expect_clean(void) {
    fake_counts c;
    fake_read(&c);
    assert_int_equal(c.live, 0);
    assert_int_equal(c.bad, 0);
}

static void test_choice(void **state) {
    (void)state;
    const fake_plan plan = {0};
    ib_error err;
    ib_device_info info;
    ib_device_timing t;
    fake_reset(&plan);
    assert_int_equal(whole("xpu", NULL, &info, &t, &err), IB_OK);
    assert_string_equal(info.name, "Fake Arc"); /* Intel first, though its platform is second */
    assert_string_equal(info.tier, "subgroup16+engine");
    assert_non_null(strstr(info.driver, "Fake platform"));
    assert_true(t.n_steps == 2 && t.device_ns == 2 * 3500 && t.queue_ns == 2 * 500);
    assert_true(t.n_built > 3 && t.n_kept == 0 && t.compile_ns > 0);
    expect_clean();
    assert_int_equal(whole("xpu:1", NULL, &info, NULL, &err), IB_OK);
    assert_string_equal(info.name, "Fake GeForce");
    assert_string_equal(info.tier, "local");
    assert_int_equal(whole("xpu:cpu", NULL, &info, NULL, &err), IB_OK);
    assert_string_equal(info.tier, "single");
    assert_int_equal(whole("xpu:2", NULL, NULL, NULL, &err), IB_E_DEVICE);
    expect_clean();
}

static void test_no_driver(void **state) {
    (void)state;
    ib_error err;
    for (int kind = 1; kind <= 2; kind++) {
        const fake_plan plan = {.no_platforms = kind};
        fake_reset(&plan);
        assert_int_equal(whole("xpu", NULL, NULL, NULL, &err), IB_E_DEVICE);
        assert_int_equal(whole("xpu:cpu", NULL, NULL, NULL, &err), IB_E_DEVICE);
        assert_non_null(strstr(err.text, "; fix: "));
        expect_clean();
    }
}

/* Every call that makes something fails in turn, with all that come after it. */
static void test_out_of_memory(void **state) {
    (void)state;
    static const char *const devices[] = {"xpu", "xpu:1", "xpu:cpu"};
    long tried = 0;
    for (size_t i = 0; i < 3; i++)
        for (long k = 1;; k++) {
            const fake_plan plan = {.fail_at = k};
            ib_error err;
            fake_reset(&plan);
            ib_status st = whole(devices[i], NULL, NULL, NULL, &err);
            expect_clean();
            if (st == IB_OK)
                break;
            if (st != IB_E_RESOURCE || !strstr(err.text, "; fix: "))
                fail_msg("%s, call %ld: %d %s", devices[i], k, (int)st, err.text);
            tried++;
        }
    assert_true(tried > 150);
    print_message("%ld failing calls\n", tried);
}

static void test_device_lost(void **state) {
    (void)state;
    long tried = 0;
    for (long k = 1;; k++) {
        const fake_plan plan = {.lost_at = k};
        ib_error err;
        fake_reset(&plan);
        ib_status st = whole("xpu", NULL, NULL, NULL, &err);
        expect_clean();
        if (st == IB_OK)
            break;
        if (st != IB_E_DEVICE || !strstr(err.text, "; fix: "))
            fail_msg("call %ld: %d %s", k, (int)st, err.text);
        tried++;
    }
    assert_true(tried > 50);
    print_message("lost at %ld calls\n", tried);
}

static void test_build_failure(void **state) {
    (void)state;
    const fake_plan plan = {.build_fails = 1};
    ib_error err;
    fake_reset(&plan);
    assert_int_equal(whole("xpu", NULL, NULL, NULL, &err), IB_E_DEVICE);
    assert_non_null(strstr(err.text, "the moon is in the wrong quarter"));
    expect_clean();
}

static void expect_printable(const char *text) {
    for (; *text; text++)
        assert_true(*text >= ' ' && *text <= '~');
}

static void test_garbage(void **state) {
    (void)state;
    const fake_plan plan = {.garbage = 1}, failing = {.garbage = 1, .build_fails = 1};
    ib_error err;
    ib_device_info info;
    fake_reset(&plan);
    (void)whole("xpu", NULL, &info, NULL, &err); /* it may or may not find its way */
    expect_clean();
    for (size_t i = 0; i < ib_backend_count(); i++)
        if (strcmp(ib_backend_at(i)->kind, "xpu") == 0) {
            assert_int_equal(ib_backend_at(i)->describe(0, &info, &err), IB_OK);
            expect_printable(info.name);
            expect_printable(info.vendor);
            expect_printable(info.driver);
            expect_printable(info.features);
        }
    fake_reset(&failing);
    assert_int_equal(whole("xpu", NULL, NULL, NULL, &err), IB_E_DEVICE);
    expect_printable(err.text);
    expect_clean();
}

static ib_device_timing run_kept(const char *folder, const fake_plan *plan) {
    ib_error err;
    ib_device_timing t;
    fake_reset(plan);
    if (whole("xpu", folder, NULL, &t, &err) != IB_OK)
        fail_msg("%s", err.text);
    expect_clean();
    return t;
}

/* The names of a folder's files, through the shell's own pattern. */
static size_t each_file(const char *folder, bool damage) {
    char command[512], line[256];
    size_t n = 0;
    (void)snprintf(command, sizeof command, "ls '%s'", folder);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char path[800];
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(path, sizeof path, "%s/%s", folder, line);
        if (damage) { /* cut short, one bit turned, emptied: in turn */
            struct stat s;
            assert_int_equal(stat(path, &s), 0);
            if (n % 3 == 0)
                assert_int_equal(truncate(path, s.st_size - 1), 0);
            else if (n % 3 == 2)
                assert_int_equal(truncate(path, 0), 0);
            else {
                FILE *one = fopen(path, "r+b");
                assert_non_null(one);
                assert_int_equal(fseek(one, -3, SEEK_END), 0);
                (void)fputc('!', one);
                (void)fclose(one);
            }
        }
        n++;
    }
    (void)pclose(f);
    return n;
}

static void test_kept_kernels(void **state) {
    (void)state;
    const fake_plan plan = {0}, refused = {.binary_refused = 1};
    char base[] = "/tmp/inferbench-kernels-XXXXXX", folder[64], command[128];
    assert_non_null(mkdtemp(base));
    (void)snprintf(folder, sizeof folder, "%s/a/b", base);
    ib_device_timing first = run_kept(folder, &plan), again = run_kept(folder, &plan);
    assert_true(first.n_built > 3 && first.n_kept == 0);
    assert_true(again.n_built == 0 && again.n_kept == first.n_built);
    assert_int_equal(each_file(folder, false), first.n_built);
    assert_int_equal(each_file(folder, true), first.n_built);
    ib_device_timing damaged = run_kept(folder, &plan), mended = run_kept(folder, &plan);
    assert_true(damaged.n_kept == 0 && damaged.n_built == first.n_built);
    assert_true(mended.n_built == 0 && mended.n_kept == first.n_built);
    ib_device_timing other = run_kept(folder, &refused); /* another driver behind the same name */
    assert_true(other.n_kept == 0 && other.n_built == first.n_built);
    /* a folder that cannot be: a file is in its place */
    (void)snprintf(folder, sizeof folder, "%s/file/x", base);
    (void)snprintf(command, sizeof command, "touch %s/file", base);
    assert_int_equal(system(command), 0);
    ib_device_timing nowhere = run_kept(folder, &plan);
    assert_true(nowhere.n_kept == 0 && nowhere.n_built == first.n_built);
    (void)snprintf(command, sizeof command, "rm -r %s", base);
    assert_int_equal(system(command), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),        cmocka_unit_test(test_no_driver),
        cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_device_lost),
        cmocka_unit_test(test_build_failure), cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_kept_kernels),
    };
    for (size_t i = 0; i < 256; i++)
        scales[i] = 0.01f;
    return cmocka_run_group_tests_name("xpu faults", tests, load_fake, NULL);
}
