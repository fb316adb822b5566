/* SPDX-License-Identifier: MIT
 * Energy counters on a machine that is a folder and a GPU that is a library of ours: which zones
 * count, a counter that begins again, one that cannot be read; the phases, idle taken off. */
#include "bench/bench.h"
#include "bench/energy.h"
#include "record/energy.h"
#include "support.h"

#include "base/file.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void write_fake(const char *path, const char *text) {
    char full[512];
    (void)snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
        *p = '\0';
        (void)mkdir(full, 0700);
    }
    FILE *f = fopen(full, "w"); /* in place: the counter is open already */
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

#define ZONE "/sys/class/powercap/intel-rapl:"

static int make_root(void **unused) {
    (void)unused;
    memcpy(root, "/tmp/ib-energy-XXXXXX", sizeof "/tmp/ib-energy-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **unused) {
    char command[96];
    (void)unused;
    (void)snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static void make_zones(void) {
    write_fake(ZONE "0/name", "package-0\n");
    write_fake(ZONE "0/max_energy_range_uj", "262143328850\n");
    write_fake(ZONE "0/energy_uj", "1000000\n");
    write_fake(ZONE "0:0/name", "core\n"); /* inside the package: not counted twice */
    write_fake(ZONE "0:0/energy_uj", "5\n");
    write_fake(ZONE "0:1/name", "dram\n");
    write_fake(ZONE "0:1/max_energy_range_uj", "65532610987\n");
    write_fake(ZONE "0:1/energy_uj", "65532610000\n");
    write_fake(ZONE "1/name", "psys\n"); /* the whole platform: not counted */
    write_fake(ZONE "1/energy_uj", "7\n");
}

static void test_nothing(void **unused) {
    (void)unused;
    ib_energy *e = NULL;
    uint64_t uj = 0;
    assert_int_equal(ib_energy_open(&e, root, NULL, NULL), IB_OK);
    assert_null(ib_energy_source(e));
    assert_string_equal(ib_energy_why_not(e), "no energy counters on this machine");
    assert_false(ib_energy_read(e, &uj));
    ib_energy_close(e);
    assert_int_equal(ib_energy_open(&e, root, "/nowhere/libnvidia-ml.so", NULL), IB_OK);
    assert_null(ib_energy_source(e));
    assert_non_null(strstr(ib_energy_why_not(e), "NVML"));
    ib_energy_close(e);
}

static void test_zones(void **unused) {
    (void)unused;
    ib_energy *e = NULL;
    uint64_t uj = 0;
    make_zones();
    assert_int_equal(ib_energy_open(&e, root, NULL, NULL), IB_OK);
    assert_string_equal(ib_energy_source(e), "rapl");
    assert_null(ib_energy_why_not(e));
    write_fake(ZONE "0/energy_uj", "4000000\n");
    write_fake(ZONE "0:0/energy_uj", "99999999\n");
    write_fake(ZONE "1/energy_uj", "99999999\n");
    assert_true(ib_energy_read(e, &uj));
    assert_int_equal(uj, 3000000);
    write_fake(ZONE "0:1/energy_uj", "12\n"); /* began again: 987 to its end, 1, and 12 */
    assert_true(ib_energy_read(e, &uj));
    assert_int_equal(uj, 3000000 + 987 + 1 + 12);
    write_fake(ZONE "0/energy_uj", "\n");
    assert_false(ib_energy_read(e, &uj));
    ib_energy_close(e);
}

static void test_gpu(void **unused) {
    (void)unused;
    ib_energy *e = NULL;
    uint64_t uj = 0;
    assert_int_equal(ib_energy_open(&e, "/nowhere", IB_FAKE_NVML, NULL), IB_OK);
    assert_string_equal(ib_energy_source(e), "nvml");
    assert_true(ib_energy_read(e, &uj));
    assert_int_equal(uj, 1500000);
    assert_true(ib_energy_read(e, &uj));
    assert_int_equal(uj, 3000000);
    ib_energy_close(e);
    make_zones();
    assert_int_equal(ib_energy_open(&e, root, IB_FAKE_NVML, NULL), IB_OK);
    assert_string_equal(ib_energy_source(e), "rapl+nvml");
    ib_energy_close(e);
}

/* Whole cells: a GPU that takes 1.5 J between two looks, and nothing. */
static void test_cell(void **unused) {
    (void)unused;
    ib_cell cell = {0};
    ib_error err = {0};
    ib_energy_summary s;
    ib_plan p = {.engine = {.model_id = "synth:constant:itl=1ms:ttft=1ms", .weights = true},
                 .prompt = {.n_random = 10},
                 .n_repetitions = 2,
                 .n_batch = 1,
                 .sys_root = "/nowhere",
                 .nvml = IB_FAKE_NVML};
    ib_generation_init(&p.generation);
    p.generation.max_new_tokens = 5;
    assert_int_equal(ib_bench_run_cell(&cell, &p, &err), IB_OK);
    assert_string_equal(cell.energy.source, "nvml");
    assert_int_equal(cell.n_runs, 2);
    assert_int_equal(cell.runs[0].energy_uj, 1500000);
    assert_true(cell.runs[0].energy_ns >= 5000000);
    assert_int_equal(cell.energy.prefill_uj, 1500000);
    assert_true(cell.energy.idle_w > 0 && cell.energy.idle_w <= 5);
    ib_cell_clear(&cell);
    p.nvml = NULL;
    assert_int_equal(ib_bench_run_cell(&cell, &p, &err), IB_OK);
    assert_null(cell.energy.source);
    assert_non_null(cell.energy.why_not);
    assert_int_equal(cell.runs[0].energy_ns, 0);
    ib_energy_summarise(&s, &cell);
    assert_true(isnan(s.run_j) && isnan(s.per_output_token_j));
    ib_cell_clear(&cell);
}

static void test_phases(void **unused) {
    (void)unused;
    char source[] = "rapl";
    ib_run_record runs[3] = {
        {.n_tokens = 11, .n_seqs = 2, .energy_uj = 30000000, .energy_ns = 1000000000},
        {.n_tokens = 11, .n_seqs = 2, .energy_uj = 34000000, .energy_ns = 1000000000},
        {.n_tokens = 11,
         .n_seqs = 2,
         .energy_uj = 99000000,
         .energy_ns = 1000000000,
         .warmup = true}};
    ib_cell cell = {
        .runs = runs,
        .n_runs = 3,
        .n_prompt_ids = 5,
        .energy = {.source = source, .idle_w = 10, .prefill_uj = 4000000, .prefill_ns = 200000000}};
    ib_energy_summary s;
    ib_energy_summarise(&s, &cell);
    assert_true(fabs(s.run_j - 22) < 1e-9 && fabs(s.run_w - 32) < 1e-9);
    assert_true(fabs(s.prefill_j - 2) < 1e-9 && fabs(s.decode_j - 20) < 1e-9);
    assert_true(fabs(s.per_output_token_j - 1) < 1e-9 && fabs(s.per_prompt_token_j - 0.2) < 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_zones),  cmocka_unit_test(test_gpu),
        cmocka_unit_test(test_cell),    cmocka_unit_test(test_phases),
    };
    return cmocka_run_group_tests(tests, make_root, drop_root);
}
