/* SPDX-License-Identifier: MIT
 * Small text files of /proc and /sys. Everything is optional: false means "not known here".
 * Internal to the record module. */
#ifndef IB_RECORD_SYSFILE_H
#define IB_RECORD_SYSFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The file's first cap - 1 bytes, zero-terminated, trailing blanks cut. */
bool ib_sysfile_read(const char *path, char *out, size_t cap);
/* A file that holds one unsigned decimal number. */
bool ib_sysfile_u64(const char *path, uint64_t *out);
/* What follows "key" and separators (blanks, ':', '=') on the first line that begins with key, up
 * to the end of the line; in a text that ib_sysfile_read gave. */
bool ib_sysfile_line(const char *text, const char *key, char *out, size_t cap);
/* The same as a number; what follows it ("kB") is ignored. */
bool ib_sysfile_line_u64(const char *text, const char *key, uint64_t *out);
/* A file of the process's control group, version 2 first: the group's own or the nearest one above
 * that has the file. controller names the hierarchy of version 1 ("cpu", "memory"). */
bool ib_sysfile_cgroup(const char *controller, const char *v2_name, const char *v1_name, char *out,
                       size_t cap);

#endif
