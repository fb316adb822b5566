/* SPDX-License-Identifier: MIT
 * NumPy's array file, format version 1.0: magic, version, length of the header, the header (a
 * Python dict padded with blanks so that the data starts at a multiple of 64), the values. */
#include "base/checked.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

ib_status ib_npy_write(const char *path, const float *values, uint64_t n_rows, uint64_t n_cols,
                       ib_error *err) {
    enum { HEADER = 128, PREFIX = 10 };
    char head[HEADER], dict[HEADER];
    uint64_t n = 0, n_bytes = 0;
    ib_outfile file;
    if (!ib_mul_u64(n_rows, n_cols, &n) || !ib_mul_u64(n, sizeof *values, &n_bytes) ||
        n_bytes > SIZE_MAX)
        return ib_fail(err, IB_E_RESOURCE, "array too large: %llu x %llu",
                       (unsigned long long)n_rows, (unsigned long long)n_cols);
    int len = snprintf(dict, sizeof dict,
                       "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %llu), }",
                       (unsigned long long)n_rows, (unsigned long long)n_cols);
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00", 8);
    head[8] = HEADER - PREFIX; /* little-endian 16 bits */
    head[9] = 0;
    memcpy(head + PREFIX, dict, (size_t)len);
    head[HEADER - 1] = '\n';
    IB_TRY(ib_outfile_open(&file, path, err));
    ib_status st = ib_outfile_write(&file, head, sizeof head, err);
    if (st == IB_OK)
        st = ib_outfile_write(&file, values, (size_t)n_bytes, err);
    if (st == IB_OK)
        return ib_outfile_commit(&file, err);
    ib_outfile_abandon(&file);
    return st;
}
