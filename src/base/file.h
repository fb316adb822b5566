/* SPDX-License-Identifier: MIT
 * Files as the failure contract wants them: regular files only, read whole or mapped read-only,
 * written to a temporary name in the same folder, flushed and renamed.
 *
 * Statuses: IB_E_INPUT when a file is missing, unreadable or not a regular file; IB_E_OUTPUT when
 * one cannot be written; IB_E_RESOURCE when memory or descriptors run out or a cap is exceeded. */
#ifndef IB_BASE_FILE_H
#define IB_BASE_FILE_H

#include "base/str.h"

/* A file mapped read-only. An empty file has data == NULL and size == 0. */
typedef struct ib_file_map {
    const unsigned char *data; /* owned mapping */
    uint64_t size;             /* bytes */
    char *path;                /* owned */
    uint64_t inode;            /* of the file that was mapped; 0 = memory of no file */
} ib_file_map;

ib_status ib_file_map_open(ib_file_map *out, const char *path, ib_error *err) IB_MUST_CHECK;
void ib_file_map_close(ib_file_map *m);

/* The whole file, refused with IB_E_RESOURCE when it is larger than cap bytes. */
ib_status ib_file_read(ib_buf *out, const char *path, uint64_t cap, ib_error *err) IB_MUST_CHECK;

bool ib_path_exists(const char *path);
bool ib_path_is_dir(const char *path);
/* folder + "/" + name, malloc'd; NULL when out of memory. */
char *ib_path_join(const char *folder, const char *name);

/* An output file that appears under its name only when it is complete. */
typedef struct ib_outfile {
    char *path, *temp_path; /* owned */
    int fd;
    ib_buf buf;     /* what is not written yet */
    uint64_t bytes; /* accepted so far */
} ib_outfile;

ib_status ib_outfile_open(ib_outfile *out, const char *path, ib_error *err) IB_MUST_CHECK;
ib_status ib_outfile_write(ib_outfile *f, const void *bytes, size_t n, ib_error *err) IB_MUST_CHECK;
/* Flush, fsync, rename, fsync the folder. Frees f in every case. */
ib_status ib_outfile_commit(ib_outfile *f, ib_error *err) IB_MUST_CHECK;
/* Forget the file and remove the temporary one. Harmless after commit. */
void ib_outfile_abandon(ib_outfile *f);

/* open + write + commit in one call. */
ib_status ib_file_write(const char *path, const void *bytes, size_t n, ib_error *err) IB_MUST_CHECK;

/* SHA-256 of bytes as 64 lower-case hex digits and a zero byte. */
void ib_sha256_hex(const void *bytes, size_t n, char out[65]);

#endif
