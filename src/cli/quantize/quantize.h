/* SPDX-License-Identifier: MIT
 * A model -> a folder that transformers loads through bitsandbytes. plan.c lists what is to be
 * written, tensors.c makes it, shards.c writes the safetensors files, model_files.c the rest;
 * gguf_config.c and gguf_tokenizer.c make from GGUF metadata what such a folder has as files. */
#ifndef IB_CLI_QUANTIZE_QUANTIZE_H
#define IB_CLI_QUANTIZE_QUANTIZE_H

#include "base/threads.h"
#include "checkpoint/gguf.h"
#include "checkpoint/writer.h"
#include "cli/cli.h"

typedef struct ib_quantize_options {
    ib_type type; /* NF4 or FP4 */
    bool nested;  /* scales quantized too */
    uint32_t blocksize;
    ib_type dtype; /* F32, F16 or BF16: what stays unquantized, and what values are rounded to */
} ib_quantize_options;

/* One tensor of the source and what becomes of it. */
typedef struct ib_quantize_item {
    char *name; /* owned: in the new folder, "<module>.weight" or other */
    const ib_stored_tensor *source;
    bool quantize;         /* else kept, converted to dtype when it is of a float type */
    uint64_t paired_heads; /* rows are those of so many heads in GGUF's pairwise order; 0 = not */
} ib_quantize_item;

typedef struct ib_quantize_plan {
    ib_quantize_item *items; /* owned [n_items] */
    size_t n_items;
    size_t n_quantized;
    size_t *shard_end; /* owned [n_shards]: first item of the next shard */
    size_t n_shards;
} ib_quantize_plan;

ib_status ib_quantize_plan_make(ib_quantize_plan *out, const ib_checkpoint *ckpt,
                                const ib_config *config, const ib_quantize_options *options,
                                uint64_t shard_bytes, const ib_log *log,
                                ib_error *err) IB_MUST_CHECK;
void ib_quantize_plan_clear(ib_quantize_plan *p);

/* A tensor ready to be written. */
typedef struct ib_quantize_tensor {
    char *name; /* owned */
    ib_type type;
    uint32_t n_dims;
    uint64_t shape[IB_MAX_RANK];
    const void *data; /* borrowed from the source, or own */
    void *own;        /* owned, or NULL */
    uint64_t n_bytes;
} ib_quantize_tensor;

typedef struct ib_quantize_tensors {
    ib_quantize_tensor *list; /* owned [n] */
    size_t n, cap;
} ib_quantize_tensors;

/* Appends the tensors that item becomes: one, or the 4-bit weight with its companions. */
ib_status ib_quantize_item_make(ib_quantize_tensors *out, const ib_quantize_item *item,
                                const ib_quantize_options *options, ib_pool *pool,
                                ib_error *err) IB_MUST_CHECK;
void ib_quantize_tensors_clear(ib_quantize_tensors *t);

/* The folder being written: what is in it is removed again unless the work is completed. */
typedef struct ib_new_folder {
    const char *path; /* borrowed */
    bool made;        /* by us: an empty folder may have been there */
    char **names;     /* owned [n]: files written so far */
    size_t n;
} ib_new_folder;
ib_status ib_new_folder_open(ib_new_folder *f, const char *path, ib_error *err) IB_MUST_CHECK;
/* Notes that name will be written; the path is owned by the caller. */
ib_status ib_new_folder_add(ib_new_folder *f, const char *name, char **path,
                            ib_error *err) IB_MUST_CHECK;
ib_status ib_new_folder_write(ib_new_folder *f, const char *name, const void *bytes, size_t n,
                              ib_error *err) IB_MUST_CHECK;
ib_status ib_new_folder_write_json(ib_new_folder *f, const char *name, const json_t *value,
                                   ib_error *err) IB_MUST_CHECK;
void ib_new_folder_abandon(ib_new_folder *f);
void ib_new_folder_close(ib_new_folder *f);

/* The safetensors files, with model.safetensors.index.json when there are several. */
ib_status ib_quantize_write_weights(ib_new_folder *f, const ib_quantize_plan *plan,
                                    const ib_quantize_options *options, ib_pool *pool,
                                    const ib_log *log, ib_error *err) IB_MUST_CHECK;

/* quantization_config, dtype: into a config.json object. */
ib_status ib_quantize_set_config(json_t *config, const ib_quantize_options *options,
                                 ib_error *err) IB_MUST_CHECK;
/* Tokenizer, chat templates, generation_config.json of a folder, byte for byte. */
ib_status ib_quantize_copy_files(ib_new_folder *f, const char *source, ib_error *err) IB_MUST_CHECK;

/* From GGUF: a config.json object, and tokenizer.json with tokenizer_config.json. */
ib_status ib_quantize_gguf_config(json_t **out, const ib_config *config,
                                  ib_error *err) IB_MUST_CHECK;
ib_status ib_quantize_gguf_tokenizer(ib_new_folder *f, const ib_gguf_meta *meta,
                                     const ib_chat_templates *templates, uint64_t n_ctx,
                                     ib_error *err) IB_MUST_CHECK;

const char *ib_quantize_dtype_name(ib_type t); /* "bfloat16" */

#endif
