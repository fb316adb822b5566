/* SPDX-License-Identifier: MIT
 * One safetensors file -> tensors. The format's promise is checked in full: sorted by offset the
 * tensors cover the whole buffer, without hole or overlap, and each has the bytes its shape says.
 */
#include "base/checked.h"
#include "checkpoint/private.h"

#include <stdlib.h>
#include <string.h>

static uint64_t u64_at(const unsigned char *p) {
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static int by_offset(const void *a, const void *b) {
    const ib_st_entry_raw *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static ib_status bad_tensor(const ib_file_map *f, const ib_st_entry_raw *e, ib_error *err,
                            const char *fmt, ...) IB_PRINTF(4, 5);
static ib_status bad_tensor(const ib_file_map *f, const ib_st_entry_raw *e, ib_error *err,
                            const char *fmt, ...) {
    char name[IB_QUOTED], path[IB_QUOTED], detail[160];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    return ib_fail(err, IB_E_FORMAT, "tensor '%s' in '%s': %s; fix: download the file again",
                   ib_quote(e->name, name), ib_quotez(f->path, path), detail);
}

/* Elements and bytes of an entry, its offsets checked against the buffer and each other. */
static ib_status check_entry(const ib_file_map *f, const ib_st_entry_raw *e, uint64_t buffer,
                             ib_stored_tensor *t, ib_error *err) {
    unsigned long long begin = e->begin, end = e->end;
    t->n_elements = 1;
    if (end < begin)
        return bad_tensor(f, e, err, "data_offsets end before they begin: [%llu, %llu]", begin,
                          end);
    if (end > buffer)
        return bad_tensor(f, e, err,
                          "data_offsets [%llu, %llu] lie behind the end of the data (%llu)", begin,
                          end, (unsigned long long)buffer);
    bool empty = false;
    for (uint32_t i = 0; i < e->n_dims; i++)
        empty |= e->shape[i] == 0;
    for (uint32_t i = 0; i < e->n_dims; i++)
        if (!ib_mul_u64(t->n_elements, e->shape[i], &t->n_elements))
            return bad_tensor(f, e, err, "the product of its shape overflows%s",
                              empty ? " before a 0" : "");
    if (t->n_elements % ib_type_block_elements(e->type))
        return bad_tensor(f, e, err, "%llu elements of %s are not a whole number of bytes",
                          (unsigned long long)t->n_elements, ib_type_name(e->type));
    if (!ib_type_bytes(e->type, t->n_elements, &t->n_bytes))
        return bad_tensor(f, e, err, "its size in bytes overflows");
    if (t->n_bytes != end - begin)
        return bad_tensor(f, e, err, "%llu bytes by data_offsets, %llu by shape and dtype %s",
                          end - begin, (unsigned long long)t->n_bytes, ib_type_name(e->type));
    return IB_OK;
}

/* Entries in order of offset: each begins where the one before ends, the last ends with the file.
 */
static ib_status check_cover(const ib_file_map *f, const ib_st_header *h, uint64_t data_at,
                             ib_error *err) {
    uint64_t buffer = f->size - data_at, reached = 0;
    char path[IB_QUOTED];
    for (size_t i = 0; i < h->n; i++) {
        const ib_st_entry_raw *e = &h->entries[i];
        if (e->begin > reached)
            return bad_tensor(f, e, err, "hole of %llu bytes before it",
                              (unsigned long long)(e->begin - reached));
        if (e->begin < reached)
            return bad_tensor(f, e, err, "it overlaps the tensor before it by %llu bytes",
                              (unsigned long long)(reached - e->begin));
        reached = e->end;
    }
    if (reached == buffer)
        return IB_OK;
    return ib_fail(err, IB_E_FORMAT,
                   "%llu bytes follow the last tensor in '%s' at byte %llu; fix: download the file "
                   "again",
                   (unsigned long long)(buffer - reached), ib_quotez(f->path, path),
                   (unsigned long long)(data_at + reached));
}

/* header sorted by offset; data_at is the buffer's place in the file. */
static ib_status add_entries(ib_checkpoint *c, uint32_t file, const ib_st_header *h,
                             uint64_t data_at, ib_error *err) {
    const ib_file_map *f = &c->files[file];
    for (size_t i = 0; i < h->n; i++) {
        const ib_st_entry_raw *e = &h->entries[i];
        ib_stored_tensor t = {.name = e->name, .type = e->type, .n_dims = e->n_dims, .file = file};
        IB_TRY(check_entry(f, e, f->size - data_at, &t, err));
        memcpy(t.shape, e->shape, sizeof t.shape);
        t.data = f->data + data_at + e->begin;
        IB_TRY(ib_checkpoint_add_tensor(c, &t, err));
    }
    return check_cover(f, h, data_at, err);
}

static ib_status header_text(const ib_file_map *f, ib_str *out, ib_error *err) {
    char path[IB_QUOTED];
    if (f->size < 8)
        return ib_fail(
            err, IB_E_FORMAT,
            "'%s' has %llu bytes, need 8 for the header length; fix: download the file again",
            ib_quotez(f->path, path), (unsigned long long)f->size);
    uint64_t n = u64_at(f->data);
    if (n > IB_CAP_ST_HEADER || n > f->size - 8) {
        IB_TRY(ib_checkpoint_sniff(f, err));
        return ib_fail(
            err, IB_E_FORMAT,
            "header length in '%s' at byte 0: %llu, at most %llu; fix: download the file "
            "again",
            ib_quotez(f->path, path), (unsigned long long)n,
            (unsigned long long)(f->size - 8 < IB_CAP_ST_HEADER ? f->size - 8 : IB_CAP_ST_HEADER));
    }
    if (n == 0)
        return ib_fail(
            err, IB_E_FORMAT,
            "header length in '%s' at byte 0: 0, at least 2; fix: download the file again",
            ib_quotez(f->path, path));
    *out = (ib_str){(const char *)f->data + 8, (size_t)n};
    return IB_OK;
}

ib_status ib_st_read(ib_checkpoint *c, const char *path, ib_error *err) {
    uint32_t file = 0;
    ib_str text = {NULL, 0};
    ib_st_header header = {0};
    IB_TRY(ib_checkpoint_add_file(c, path, &file, err));
    IB_TRY(header_text(&c->files[file], &text, err));
    IB_TRY(ib_st_header_parse(&header, text, path, &c->arena, c->log, err));
    if (header.n)
        qsort(header.entries, header.n, sizeof *header.entries, by_offset);
    ib_status st = add_entries(c, file, &header, 8 + (uint64_t)text.len, err);
    free(header.entries);
    return st;
}
