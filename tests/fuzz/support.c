/* SPDX-License-Identifier: MIT
 * See fuzz.h: the counting allocator that fails on request, scratch files, and the table of
 * targets. The linker puts the allocator in front of the C library's (--wrap). */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const fuzz_target fuzz_targets[] = {
    {"safetensors", fuzz_safetensors},
    {"index", fuzz_index},
    {"gguf", fuzz_gguf},
    {"bnb", fuzz_bnb},
    {"config", fuzz_config},
    {"generation", fuzz_generation},
    {"tokenizer", fuzz_tokenizer},
    {"encode", fuzz_encode},
    {"regex", fuzz_regex},
    {"jinja", fuzz_jinja},
    {"chat", fuzz_chat},
    {"record", fuzz_record},
    {"journal", fuzz_journal},
    {"options", fuzz_options},
    {"http", fuzz_http},
    {"listing", fuzz_listing},
    {"names", fuzz_names},
};
const size_t fuzz_n_targets = sizeof fuzz_targets / sizeof fuzz_targets[0];

const fuzz_target *fuzz_find(const char *name) {
    for (size_t i = 0; i < fuzz_n_targets; i++)
        if (strcmp(fuzz_targets[i].name, name) == 0)
            return &fuzz_targets[i];
    return NULL;
}

void fuzz_fail(const char *what, const char *file, int line) {
    (void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* --- allocations --- */

static long n_live, countdown;
static bool counting, sticky_failure, failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
int __real_posix_memalign(void **out, size_t alignment, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
int __wrap_posix_memalign(void **out, size_t alignment, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
void __wrap_free(void *p);

static bool fails(void) {
    if (!counting || countdown == 0)
        return false;
    if (countdown > 1) {
        countdown--;
        return false;
    }
    if (!sticky_failure)
        countdown = 0;
    failed = true;
    errno = ENOMEM;
    return true;
}

static void *count(void *p) {
    n_live += counting && p ? 1 : 0;
    return p;
}

void *__wrap_malloc(size_t n) {
    return fails() ? NULL : count(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size) {
    return fails() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n) {
    if (fails())
        return NULL;
    void *q = __real_realloc(p, n);
    if (!p)
        (void)count(q);
    return q;
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t n) {
    *out = NULL;
    if (fails())
        return 12; /* ENOMEM */
    const int rc = __real_posix_memalign(out, alignment, n);
    (void)count(*out);
    return rc;
}

void *__wrap_aligned_alloc(size_t alignment, size_t n) {
    return fails() ? NULL : count(__real_aligned_alloc(alignment, n));
}

void __wrap_free(void *p) {
    n_live -= counting && p ? 1 : 0;
    __real_free(p);
}

static int pauses;
static bool was_counting;

void fuzz_pause(void) {
    if (pauses++ == 0) {
        was_counting = counting;
        counting = false;
    }
}

void fuzz_resume(void) {
    if (--pauses == 0)
        counting = was_counting;
}

/* jansson allocates inside its own library, where the linker's option does not reach. */
static void *json_malloc(size_t n) {
    return malloc(n);
}

static void json_free(void *p) {
    free(p);
}

static void check_text(ib_status st, const ib_error *err) {
    if (st == IB_OK)
        return;
    fuzz_must(err->status == st);
    fuzz_must(err->text[0]);
    fuzz_must(memchr(err->text, '\0', sizeof err->text));
    for (const char *p = err->text; *p; p++)
        fuzz_must((unsigned char)*p >= 0x20 && *p != 0x7F);
}

ib_status fuzz_run(const fuzz_target *t, const uint8_t *data, size_t n, long fail_at, bool sticky,
                   bool *met) {
    ib_error err = {0};
    json_set_alloc_funcs(json_malloc, json_free);
    n_live = 0;
    countdown = fail_at;
    sticky_failure = sticky;
    failed = false;
    counting = true;
    const ib_status st = t->run(data, n, &err);
    counting = false;
    countdown = 0;
    if (met)
        *met = failed;
    if (n_live != 0)
        (void)fprintf(stderr, "%s: %ld blocks not given back (allocation %ld)\n", t->name, n_live,
                      fail_at);
    fuzz_must(n_live == 0);
    check_text(st, &err);
    if (failed && st != IB_E_RESOURCE)
        (void)fprintf(stderr, "%s: allocation %ld failed, status %d: %s\n", t->name, fail_at,
                      (int)st, err.text);
    fuzz_must(!failed || st == IB_E_RESOURCE);
    return st;
}

/* --- files --- */

static char folder[64];

static void remove_folder(void) {
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        (void)closedir(d);
    (void)rmdir(folder);
}

const char *fuzz_folder(void) {
    if (folder[0])
        return folder;
    fuzz_pause();
    struct stat info;
    const bool shm = stat("/dev/shm", &info) == 0 && access("/dev/shm", W_OK) == 0;
    (void)snprintf(folder, sizeof folder, "%s/ib-fuzz-XXXXXX", shm ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder))
        fuzz_fail("a scratch folder", __FILE__, __LINE__);
    (void)atexit(remove_folder);
    fuzz_resume();
    return folder;
}

const char *fuzz_file(const char *name, const void *bytes, size_t n) {
    static char path[192];
    (void)snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const bool written = fd >= 0 && (n == 0 || write(fd, bytes, n) == (ssize_t)n);
    if (!written || close(fd) != 0)
        fuzz_fail("writing a scratch file", __FILE__, __LINE__);
    return path;
}

char *fuzz_fixture(const char *path, size_t *n) {
    char full[512];
    (void)snprintf(full, sizeof full, "%s/%s", IB_SOURCE_DIR, path);
    return fuzz_read(full, n);
}

char *fuzz_read(const char *full, size_t *n) {
    FILE *f = fopen(full, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0)
        fuzz_fail(full, __FILE__, __LINE__);
    const long size = ftell(f);
    rewind(f);
    char *text = size >= 0 ? malloc((size_t)size + 1) : NULL;
    if (!text || fread(text, 1, (size_t)size, f) != (size_t)size)
        fuzz_fail(full, __FILE__, __LINE__);
    (void)fclose(f);
    text[size] = '\0';
    if (n)
        *n = (size_t)size;
    return text;
}

void fuzz_touch(const void *p, size_t n) {
    static volatile unsigned char sum;
    const unsigned char *bytes = p;
    for (size_t i = 0; i < n; i++)
        sum = (unsigned char)(sum + bytes[i]);
}
