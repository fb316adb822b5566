/* SPDX-License-Identifier: MIT
 * Writes one safetensors file: names, types and shapes first, then the bytes in the same order. The
 * header is padded with spaces to a multiple of 8; tensors should come largest element first. */
#ifndef IB_CHECKPOINT_WRITER_H
#define IB_CHECKPOINT_WRITER_H

#include "base/file.h"
#include "checkpoint/checkpoint.h"

typedef struct ib_st_entry {
    const char *name; /* borrowed until the writer is closed */
    ib_type type;
    uint32_t n_dims;
    uint64_t shape[IB_MAX_RANK];
} ib_st_entry;

typedef struct ib_st_writer {
    ib_outfile file;
    uint64_t expected, written; /* bytes of data */
} ib_st_writer;

/* Writes the header ("format": "pt" in __metadata__). */
ib_status ib_st_writer_open(ib_st_writer *w, const char *path, const ib_st_entry *entries, size_t n,
                            ib_error *err) IB_MUST_CHECK;
/* Appends data bytes of the tensors, in the order of the entries. */
ib_status ib_st_writer_add(ib_st_writer *w, const void *bytes, uint64_t n,
                           ib_error *err) IB_MUST_CHECK;
/* Publishes the file; IB_E_INTERNAL when bytes are missing. */
ib_status ib_st_writer_close(ib_st_writer *w, ib_error *err) IB_MUST_CHECK;
void ib_st_writer_abandon(ib_st_writer *w);

/* The JSON text of a quant_state tensor ("<weight>.quant_state.bitsandbytes__nf4" or __fp4),
 * written as bitsandbytes writes it. m: type, shape and blocksize of a 4-bit matrix; nested when
 * absmax is NULL. dtype: F32, F16 or BF16, the weight's type before it was quantized. Appends to
 * out. */
ib_status ib_bnb_state_text(const ib_matrix *m, ib_type dtype, ib_buf *out,
                            ib_error *err) IB_MUST_CHECK;

#endif
