/* SPDX-License-Identifier: MIT
 * Bringing a mapped file into memory before it is used: by touching its pages with all threads, or
 * by reading it into memory of our own at the same address, so that pointers into it stay good. */
#ifndef IB_BASE_FILE_LOAD_H
#define IB_BASE_FILE_LOAD_H

#include "base/file.h"

typedef enum ib_load_mode {
    IB_LOAD_TOUCH, /* every page of the map is brought in; the page cache keeps them */
    IB_LOAD_MMAP,  /* nothing: pages come when they are first used */
    IB_LOAD_READ   /* read into memory of our own, in huge pages where the kernel has them */
} ib_load_mode;

const char *ib_load_mode_name(ib_load_mode m); /* "touch", "mmap", "read" */

/* m must be a map of ib_file_map_open; n_threads 0 = as many as there are cores. With IB_LOAD_READ
 * a failure leaves m without its bytes: close it. IB_E_INPUT when the file changed or cannot be
 * read, IB_E_RESOURCE without memory. */
ib_status ib_file_map_load(ib_file_map *m, ib_load_mode mode, int n_threads,
                           ib_error *err) IB_MUST_CHECK;
/* Bytes of the file that lie in the page cache; false where the kernel does not tell. */
bool ib_file_map_cached(const ib_file_map *m, uint64_t *bytes);

#endif
