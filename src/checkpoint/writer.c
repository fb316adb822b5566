/* SPDX-License-Identifier: MIT
 * Entries -> a safetensors file. The header is complete before the first data byte is written; the
 * file appears under its name only when every promised byte has been. */
#include "checkpoint/writer.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

static ib_status add_name(ib_buf *b, const char *name, ib_error *err) {
    json_t *text = json_string(name);
    char quoted[IB_QUOTED];
    if (!text)
        return ib_fail(err, IB_E_INTERNAL, "tensor name '%s' is not UTF-8; fix: report this bug",
                       ib_quotez(name, quoted));
    ib_status st = ib_json_dump(text, 0, b, err);
    json_decref(text);
    return st;
}

static ib_status add_entry(ib_buf *b, const ib_st_entry *e, uint64_t *reached, ib_error *err) {
    uint64_t n = 1, bytes, end;
    char quoted[IB_QUOTED];
    bool fits = e->n_dims <= IB_MAX_RANK && e->type <= IB_TYPE_F4;
    for (uint32_t i = 0; fits && i < e->n_dims; i++)
        fits = ib_mul_u64(n, e->shape[i], &n);
    if (!fits || !ib_type_bytes(e->type, n, &bytes) || !ib_add_u64(*reached, bytes, &end))
        return ib_fail(err, IB_E_INTERNAL,
                       "tensor '%s' cannot be stored in a safetensors file; fix: report this bug",
                       ib_quotez(e->name, quoted));
    IB_TRY(add_name(b, e->name, err));
    IB_TRY(ib_buf_addf(b, err, ":{\"dtype\":\"%s\",\"shape\":[", ib_type_name(e->type)));
    for (uint32_t i = 0; i < e->n_dims; i++)
        IB_TRY(ib_buf_addf(b, err, "%s%llu", i ? "," : "", (unsigned long long)e->shape[i]));
    IB_TRY(ib_buf_addf(b, err, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)*reached,
                       (unsigned long long)end));
    *reached = end;
    return IB_OK;
}

/* Length field, JSON, padding. */
static ib_status make_header(ib_buf *b, const ib_st_entry *entries, size_t n, uint64_t *data_bytes,
                             ib_error *err) {
    static const char zero_length[8] = {0};
    *data_bytes = 0;
    IB_TRY(ib_buf_add(b, zero_length, sizeof zero_length, err));
    IB_TRY(ib_buf_adds(b, "{\"__metadata__\":{\"format\":\"pt\"}", err));
    for (size_t i = 0; i < n; i++) {
        IB_TRY(ib_buf_addc(b, ',', err));
        IB_TRY(add_entry(b, &entries[i], data_bytes, err));
    }
    IB_TRY(ib_buf_addc(b, '}', err));
    while (b->len % 8)
        IB_TRY(ib_buf_addc(b, ' ', err));
    uint64_t length = b->len - 8;
    for (int i = 0; i < 8; i++)
        b->ptr[i] = (char)(unsigned char)(length >> (8 * i));
    return IB_OK;
}

ib_status ib_st_writer_open(ib_st_writer *w, const char *path, const ib_st_entry *entries, size_t n,
                            ib_error *err) {
    ib_buf header;
    *w = (ib_st_writer){.file = {.fd = -1}};
    ib_buf_init(&header);
    ib_status st = make_header(&header, entries, n, &w->expected, err);
    if (st == IB_OK)
        st = ib_outfile_open(&w->file, path, err);
    if (st == IB_OK)
        st = ib_outfile_write(&w->file, header.ptr, header.len, err);
    if (st != IB_OK)
        ib_st_writer_abandon(w);
    ib_buf_clear(&header);
    return st;
}

ib_status ib_st_writer_add(ib_st_writer *w, const void *bytes, uint64_t n, ib_error *err) {
    if (n > w->expected - w->written)
        return ib_fail(err, IB_E_INTERNAL,
                       "%llu bytes more than the header of '%s' promises; fix: report this bug",
                       (unsigned long long)(n - (w->expected - w->written)), w->file.path);
    w->written += n;
    return ib_outfile_write(&w->file, bytes, (size_t)n, err);
}

ib_status ib_st_writer_close(ib_st_writer *w, ib_error *err) {
    if (w->written != w->expected) {
        ib_status st =
            ib_fail(err, IB_E_INTERNAL, "%llu of %llu bytes written to '%s'; fix: report this bug",
                    (unsigned long long)w->written, (unsigned long long)w->expected, w->file.path);
        ib_st_writer_abandon(w);
        return st;
    }
    return ib_outfile_commit(&w->file, err);
}

void ib_st_writer_abandon(ib_st_writer *w) {
    ib_outfile_abandon(&w->file);
}

/* The shortest decimal that reads back as the same double. */
static void shortest(double v, char out[40]) {
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(out, 40, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            break;
    }
    if (!strpbrk(out, ".e")) /* a real stays a real */
        (void)snprintf(out + strlen(out), 3, ".0");
}

ib_status ib_bnb_state_text(const ib_matrix *m, ib_type dtype, ib_buf *out, ib_error *err) {
    const char *name = dtype == IB_TYPE_F16    ? "float16"
                       : dtype == IB_TYPE_BF16 ? "bfloat16"
                                               : "float32";
    char offset[40];
    IB_TRY(ib_buf_addf(out, err,
                       "{\"quant_type\": \"%s\", \"blocksize\": %u, \"dtype\": \"%s\", "
                       "\"shape\": [%llu, %llu]",
                       m->type == IB_TYPE_NF4 ? "nf4" : "fp4", m->blocksize, name,
                       (unsigned long long)m->n_rows, (unsigned long long)m->n_cols));
    if (m->absmax)
        return ib_buf_addc(out, '}', err);
    shortest((double)m->nested_offset, offset);
    return ib_buf_addf(out, err,
                       ", \"nested_blocksize\": %u, \"nested_dtype\": \"float32\", "
                       "\"nested_offset\": %s}",
                       m->nested_blocksize, offset);
}
