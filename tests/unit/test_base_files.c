/* SPDX-License-Identifier: MIT
 * base/file: only regular files are read; output appears whole or not at all; the hash is SHA-256.
 */
#include "support.h"

#include "base/clock.h"
#include "base/file.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ib-test-XXXXXX";

static int setup(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    return rmdir(folder);
}

static int entries(void) {
    int n = 0;
    DIR *d = opendir(folder);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n - 2;
}

static void written_files_read_back(void **state) {
    (void)state;
    ib_error err = {0};
    char *path = ib_path_join(folder, "a.bin");
    ib_buf b;
    ib_file_map m;
    assert_int_equal(ib_file_write(path, "hello", 5, &err), IB_OK);
    assert_int_equal(ib_file_write(path, "hello2", 6, &err), IB_OK);
    assert_int_equal(entries(), 1);
    ib_buf_init(&b);
    assert_int_equal(ib_file_read(&b, path, 100, &err), IB_OK);
    assert_string_equal(b.ptr, "hello2");
    assert_int_equal(ib_file_read(&b, path, 5, &err), IB_E_RESOURCE);
    ib_buf_clear(&b);
    assert_int_equal(ib_file_map_open(&m, path, &err), IB_OK);
    assert_int_equal(m.size, 6);
    assert_memory_equal(m.data, "hello2", 6);
    ib_file_map_close(&m);
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void abandoned_files_leave_nothing(void **state) {
    (void)state;
    ib_error err = {0};
    char *path = ib_path_join(folder, "b.bin");
    ib_outfile f;
    static char big[3 << 20];
    assert_int_equal(ib_outfile_open(&f, path, &err), IB_OK);
    assert_int_equal(ib_outfile_write(&f, big, sizeof big, &err), IB_OK);
    assert_int_equal(entries(), 1);
    assert_false(ib_path_exists(path));
    ib_outfile_abandon(&f);
    assert_int_equal(entries(), 0);
    free(path);
}

static void only_regular_files_are_input(void **state) {
    (void)state;
    ib_error err = {0};
    ib_file_map m;
    ib_buf b;
    char *fifo = ib_path_join(folder, "fifo");
    ib_buf_init(&b);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(ib_file_map_open(&m, fifo, &err), IB_E_INPUT);
    assert_int_equal(ib_file_map_open(&m, folder, &err), IB_E_INPUT);
    assert_int_equal(ib_file_read(&b, "/dev/zero", 10, &err), IB_E_INPUT);
    assert_int_equal(ib_file_map_open(&m, "/nonexistent/x", &err), IB_E_INPUT);
    assert_non_null(strstr(err.text, "/nonexistent/x"));
    assert_int_equal(ib_file_write("/nonexistent/x", "x", 1, &err), IB_E_OUTPUT);
    assert_int_equal(unlink(fifo), 0);
    free(fifo);
    ib_buf_clear(&b);
}

static void hash_and_clock(void **state) {
    (void)state;
    char hex[65];
    ib_clock_facts facts;
    ib_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    uint64_t before = ib_now_ns();
    ib_clock_measure(&facts);
    assert_true(ib_now_ns() > before);
    assert_true(facts.cost_ns > 0 && facts.resolution_ns >= 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_files_read_back),
        cmocka_unit_test(abandoned_files_leave_nothing),
        cmocka_unit_test(only_regular_files_are_input),
        cmocka_unit_test(hash_and_clock),
    };
    return cmocka_run_group_tests_name("base_files", tests, setup, teardown);
}
