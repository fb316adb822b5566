/* SPDX-License-Identifier: MIT
 * base/file: only regular files are read; output appears whole or not at all; the hash is SHA-256.
 */
#include "support.h"

#include "base/clock.h"
#include "base/file_load.h"

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

/* However a file is brought into memory, its bytes stay the same at the same place; a file that
 * changed in between is refused where it is read. */
static void files_are_loaded_in_every_mode(void **state) {
    (void)state;
    enum { BYTES = (9 << 20) + 17 }; /* pieces of several threads, and a rest */
    static const int threads[] = {1, 2, 3, 0};
    ib_error err = {0};
    ib_file_map m;
    char *path = ib_path_join(folder, "weights");
    unsigned char *bytes = malloc(BYTES);
    uint64_t cached = 0;
    assert_non_null(bytes);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 24);
    assert_int_equal(ib_file_write(path, bytes, BYTES, &err), IB_OK);
    for (int mode = IB_LOAD_TOUCH; mode <= IB_LOAD_READ; mode++)
        for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
            assert_int_equal(ib_file_map_open(&m, path, &err), IB_OK);
            const unsigned char *before = m.data;
            assert_int_equal(ib_file_map_load(&m, (ib_load_mode)mode, threads[t], &err), IB_OK);
            assert_ptr_equal(m.data, before);
            assert_memory_equal(m.data, bytes, BYTES);
            assert_true(!ib_file_map_cached(&m, &cached) || cached <= m.size);
            if (mode != IB_LOAD_MMAP)
                assert_true(!ib_file_map_cached(&m, &cached) || cached == m.size);
            ib_file_map_close(&m);
        }
    assert_int_equal(ib_file_map_open(&m, path, &err), IB_OK);
    assert_int_equal(truncate(path, BYTES - 1), 0);
    assert_int_equal(ib_file_map_load(&m, IB_LOAD_READ, 2, &err), IB_E_INPUT);
    assert_non_null(strstr(err.text, "was replaced"));
    ib_file_map_close(&m);
    assert_string_equal(ib_load_mode_name(IB_LOAD_READ), "read");
    assert_int_equal(unlink(path), 0);
    free(bytes);
    free(path);
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
        cmocka_unit_test(files_are_loaded_in_every_mode),
        cmocka_unit_test(hash_and_clock),
    };
    return cmocka_run_group_tests_name("base_files", tests, setup, teardown);
}
