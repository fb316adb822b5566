/* SPDX-License-Identifier: MIT
 * What the readers of this module share: the checkpoint under construction, and the parsed header
 * of a safetensors file. Private to src/checkpoint. */
#ifndef IB_CHECKPOINT_PRIVATE_H
#define IB_CHECKPOINT_PRIVATE_H

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/gguf.h"

/* Caps of the failure contract. */
enum {
    IB_CAP_ST_HEADER = 100000000, /* bytes, a rule of the format */
    IB_CAP_TENSORS = 1000000,
    IB_CAP_NAME = 1024, /* bytes of a tensor name */
    IB_CAP_DEPTH = 64,  /* of JSON */
    IB_CAP_SHARDS = 4096,
    IB_CAP_GGUF_KV = 65536,
    IB_CAP_GGUF_ARRAY = 16000000, /* elements */
    IB_CAP_GGUF_STRING = 1 << 30, /* bytes */
    IB_CAP_GGUF_ALIGNMENT = 4096
};

struct ib_gguf_meta {
    ib_gguf_value *values; /* in the checkpoint's arena [n] */
    size_t n;
    ib_map by_key;    /* owned; key -> index */
    const char *path; /* borrowed: of the file, for messages */
};

struct ib_checkpoint {
    ib_checkpoint_kind kind;
    const ib_log *log;  /* borrowed; only while opening */
    ib_arena arena;     /* names, aligned copies of scales */
    ib_file_map *files; /* owned [n_files] */
    size_t n_files, cap_files;
    ib_stored_tensor *tensors; /* owned [n_tensors] */
    size_t n_tensors, cap_tensors;
    ib_map by_name;       /* name -> index */
    uint32_t *sorted;     /* owned; indexes in order of the names, made when first needed */
    ib_gguf_meta *gguf;   /* in the arena; NULL for safetensors */
    uint64_t memory_used; /* of files[0], when that is anonymous memory */
};

/* Maps a file; *index is its place in c->files. */
ib_status ib_checkpoint_add_file(ib_checkpoint *c, const char *path, uint32_t *index,
                                 ib_error *err) IB_MUST_CHECK;
/* Takes a verified tensor (its name is copied). IB_E_FORMAT when the name exists. */
ib_status ib_checkpoint_add_tensor(ib_checkpoint *c, const ib_stored_tensor *t,
                                   ib_error *err) IB_MUST_CHECK;
/* Range [*first, *end) of places in c->sorted whose names start with prefix. */
ib_status ib_checkpoint_prefix(ib_checkpoint *c, const char *prefix, size_t *first, size_t *end,
                               ib_error *err) IB_MUST_CHECK;
/* One more element of size bytes: grows *items (capacity *cap) so that it holds n + 1. */
ib_status ib_checkpoint_grow(void **items, size_t *cap, size_t n, size_t size,
                             ib_error *err) IB_MUST_CHECK;
/* IB_E_FORMAT when the bytes are something else known by its first bytes (LFS pointer, HTML, zip,
 * pickle, the other model format); IB_OK when they are not recognised. */
ib_status ib_checkpoint_sniff(const ib_file_map *f, ib_error *err) IB_MUST_CHECK;

ib_status ib_st_read(ib_checkpoint *c, const char *path, ib_error *err) IB_MUST_CHECK;
ib_status ib_index_read(ib_checkpoint *c, const char *folder, ib_error *err) IB_MUST_CHECK;
/* A .gguf file, and the other parts when it is the first of a split set. */
ib_status ib_gguf_read(ib_checkpoint *c, const char *path, ib_error *err) IB_MUST_CHECK;

/* "<base><suffix>" as a tensor; NULL when there is none. */
const ib_stored_tensor *ib_checkpoint_sibling(const ib_checkpoint *c, ib_str base,
                                              const char *suffix);
/* The values of an F32 tensor, aligned: the map itself or a copy in the arena. NULL: out of memory.
 */
const float *ib_checkpoint_floats(ib_checkpoint *c, const ib_stored_tensor *t, ib_error *err);
/* Fills out from a bitsandbytes 4-bit weight and its companions. *found is false, and out
 * untouched, when weight has neither a quant_state nor an absmax beside it. */
ib_status ib_checkpoint_4bit(ib_checkpoint *c, const ib_stored_tensor *weight, ib_matrix *out,
                             bool *found, ib_error *err) IB_MUST_CHECK;

/* A plain relative file name: no leading '/', no empty, "." or ".." component, none of \ : % and no
 * control characters; valid UTF-8, at most 255 bytes. */
bool ib_plain_name(ib_str name);

/* One entry of a safetensors header, as written: not yet checked against the file. */
typedef struct ib_st_entry_raw {
    ib_str name; /* borrowed from the map or the arena */
    ib_type type;
    uint32_t n_dims;
    uint64_t shape[IB_MAX_RANK];
    uint64_t begin, end;
} ib_st_entry_raw;

typedef struct ib_st_header {
    ib_st_entry_raw *entries; /* owned (free) */
    size_t n, cap;
} ib_st_header;

/* Parses the JSON text; offsets in messages count from the start of the file (text is at byte 8).
 * IB_E_FORMAT for everything the format forbids; log takes the warnings. */
ib_status ib_st_header_parse(ib_st_header *out, ib_str text, const char *path, ib_arena *arena,
                             const ib_log *log, ib_error *err) IB_MUST_CHECK;

#endif
