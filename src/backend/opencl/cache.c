/* SPDX-License-Identifier: MIT
 * Built programs on disk: one file per source, options, device and driver. A file is written whole
 * or not at all, and carries the hash of its content: a damaged one is a miss, and is written anew.
 * A folder that cannot be written is no error either; the programs are then built each time. */
#include "backend/opencl/xpu.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char magic[] = "inferbench kernels 1\n";
enum { MAGIC = sizeof magic - 1, DIGEST = 64, HEADER = MAGIC + DIGEST + 1 };
static const uint64_t largest = 256u << 20;

static char *file_of(const ib_device *d, const char *name) {
    char *base = ib_path_join(d->cache_dir, name);
    return base;
}

bool ib_xpu_cache_load(const ib_device *d, const char *name, ib_buf *out) {
    char digest[65];
    ib_error err = {0};
    if (!d->cache_dir)
        return false;
    char *path = file_of(d, name);
    bool ok = path && ib_path_exists(path) && ib_file_read(out, path, largest, &err) == IB_OK;
    if (ok) {
        ok = out->len > HEADER && memcmp(out->ptr, magic, MAGIC) == 0;
        if (ok)
            ib_sha256_hex(out->ptr + HEADER, out->len - HEADER, digest);
        ok = ok && memcmp(out->ptr + MAGIC, digest, DIGEST) == 0;
        if (!ok)
            ib_log_debug(d->log, "device xpu: kept kernels %s are damaged", name);
    }
    if (ok) {
        memmove(out->ptr, out->ptr + HEADER, out->len - HEADER);
        out->len -= HEADER;
    }
    free(path);
    return ok;
}

/* Makes the folder and those above it that are missing. */
static void make_folder(const char *path) {
    char *copy = malloc(strlen(path) + 1);
    if (!copy)
        return;
    memcpy(copy, path, strlen(path) + 1);
    for (char *p = copy + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            (void)mkdir(copy, 0700);
            *p = '/';
        }
    (void)mkdir(copy, 0700);
    free(copy);
}

static ib_status keep(const ib_device *d, const char *path, const unsigned char *bytes, size_t n,
                      ib_error *err) {
    char digest[66];
    ib_outfile f;
    make_folder(d->cache_dir);
    ib_sha256_hex(bytes, n, digest);
    digest[64] = '\n';
    IB_TRY(ib_outfile_open(&f, path, err));
    ib_status st = ib_outfile_write(&f, magic, MAGIC, err);
    if (st == IB_OK)
        st = ib_outfile_write(&f, digest, DIGEST + 1, err);
    if (st == IB_OK)
        st = ib_outfile_write(&f, bytes, n, err);
    if (st == IB_OK)
        return ib_outfile_commit(&f, err);
    ib_outfile_abandon(&f);
    return st;
}

void ib_xpu_cache_keep(const ib_device *d, const char *name, cl_program p) {
    size_t n = 0;
    ib_error err = {0};
    if (!d->cache_dir ||
        d->cl->clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, sizeof n, &n, NULL) != CL_SUCCESS ||
        n == 0 || n > largest - HEADER)
        return;
    unsigned char *bytes = malloc(n);
    char *path = file_of(d, name);
    ib_status st = IB_E_RESOURCE;
    if (bytes && path &&
        d->cl->clGetProgramInfo(p, CL_PROGRAM_BINARIES, sizeof bytes, &bytes, NULL) == CL_SUCCESS)
        st = keep(d, path, bytes, n, &err);
    if (st != IB_OK)
        ib_log_debug(d->log, "device xpu: kernels %s not kept: %s", name, err.text);
    free(path);
    free(bytes);
}
