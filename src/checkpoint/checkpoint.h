/* SPDX-License-Identifier: MIT
 * Model files as named, typed, bounds-checked views into read-only maps: safetensors (single or
 * sharded) and GGUF. Everything a view says was verified when the checkpoint was opened: offsets
 * lie in the file, bytes match shape and type. Tensor shapes are outermost first (PyTorch's order),
 * also for GGUF. This module knows formats, not models. */
#ifndef IB_CHECKPOINT_CHECKPOINT_H
#define IB_CHECKPOINT_CHECKPOINT_H

#include "base/file_load.h"
#include "base/json.h"
#include "base/log.h"
#include "quant/matrix.h"

enum { IB_MAX_RANK = 8 };

typedef struct ib_stored_tensor {
    ib_str name; /* borrowed from the checkpoint, zero-terminated too */
    ib_type type;
    uint32_t n_dims;
    uint64_t shape[IB_MAX_RANK]; /* outermost first */
    uint64_t n_elements, n_bytes;
    const void *data; /* borrowed from the map; may be unaligned */
    uint32_t file;    /* index of the file it lies in */
} ib_stored_tensor;

typedef enum ib_checkpoint_kind {
    IB_CHECKPOINT_SAFETENSORS,
    IB_CHECKPOINT_GGUF
} ib_checkpoint_kind;

/* One thread at a time; what was taken from it may be read by any. */
typedef struct ib_checkpoint ib_checkpoint;
typedef struct ib_gguf_meta ib_gguf_meta; /* see checkpoint/gguf.h */

/* path: a folder (model.safetensors, else model.safetensors.index.json), or a file *.gguf or
 * *.safetensors. Statuses as failures.md: INPUT, FORMAT, UNSUPPORTED, RESOURCE. */
ib_status ib_checkpoint_open(ib_checkpoint **out, const char *path, const ib_log *log,
                             ib_error *err) IB_MUST_CHECK;
void ib_checkpoint_close(ib_checkpoint *c);
/* Brings all files into memory (base/file_load.h); pointers into the checkpoint stay good. Nothing
 * to do for one that has no files. */
ib_status ib_checkpoint_load(ib_checkpoint *c, ib_load_mode mode, int n_threads,
                             ib_error *err) IB_MUST_CHECK;
/* Bytes of the files, and those of them in the page cache (0, 0: no files, or not to be told). */
void ib_checkpoint_cached(const ib_checkpoint *c, uint64_t *bytes, uint64_t *cached);

ib_checkpoint_kind ib_checkpoint_format(const ib_checkpoint *c);
size_t ib_checkpoint_n_tensors(const ib_checkpoint *c);
const ib_stored_tensor *ib_checkpoint_tensor(const ib_checkpoint *c, size_t i);
/* NULL when there is none of this name. */
const ib_stored_tensor *ib_checkpoint_find(const ib_checkpoint *c, const char *name);
size_t ib_checkpoint_n_files(const ib_checkpoint *c);
const char *ib_checkpoint_file(const ib_checkpoint *c, size_t i); /* path */
uint64_t ib_checkpoint_file_bytes(const ib_checkpoint *c, size_t i);
const ib_gguf_meta *ib_checkpoint_gguf(const ib_checkpoint *c); /* NULL for safetensors */

/* A checkpoint without files: one block of anonymous memory (huge pages where the kernel gives
 * them), filled by the caller. label stands for the file's path in messages. Tensors are then cut
 * from the block one after the other; the names and shapes follow the rules of safetensors files,
 * and GGUF block types may be stored too. */
ib_status ib_checkpoint_new_memory(ib_checkpoint **out, const char *label, uint64_t n_bytes,
                                   ib_error *err) IB_MUST_CHECK;
/* The next tensor: t's name, type, n_dims and shape count. *data is its place, aligned to
 * IB_MEMORY_ALIGN, zeroed, writable while nobody reads. IB_E_INTERNAL when the block is too small:
 * each tensor takes its bytes rounded up to IB_MEMORY_ALIGN. */
enum { IB_MEMORY_ALIGN = 64 };
ib_status ib_checkpoint_add_memory(ib_checkpoint *c, const ib_stored_tensor *t, void **data,
                                   ib_error *err) IB_MUST_CHECK;

/* Settings of config.json's quantization_config that the tensors alone do not tell. */
typedef struct ib_bnb_config {
    bool present, load_in_4bit, load_in_8bit;
    double int8_threshold; /* llm_int8_threshold, default 6.0 */
    ib_type compute_dtype; /* bnb_4bit_compute_dtype, default F32 */
} ib_bnb_config;
/* config: the whole config.json object. IB_E_UNSUPPORTED for another quant_method. */
ib_status ib_bnb_config_read(ib_bnb_config *out, const json_t *config, const char *where,
                             ib_error *err) IB_MUST_CHECK;

/* The weight of a module ("model.layers.0.mlp.up_proj") as a matrix: plain, 4-bit (recognised by
 * its quant_state tensor, all companions verified: lengths, blocksize, code table, JSON), LLM.int8
 * (by its SCB), or a GGUF block type. Shape must be [n_rows, n_cols]. The checkpoint owns what is
 * made for it (aligned copies of scales). IB_E_FORMAT when the tensor is missing or inconsistent.
 */
ib_status ib_checkpoint_matrix(ib_checkpoint *c, const char *module, const ib_bnb_config *bnb,
                               uint64_t n_rows, uint64_t n_cols, ib_matrix *out,
                               ib_error *err) IB_MUST_CHECK;
/* The same without an expected shape: n_rows and n_cols as stored (inspect, quantize). */
ib_status ib_checkpoint_matrix_any(ib_checkpoint *c, const char *module, const ib_bnb_config *bnb,
                                   ib_matrix *out, ib_error *err) IB_MUST_CHECK;
/* Whether the checkpoint holds "<module>.weight". */
bool ib_checkpoint_has(const ib_checkpoint *c, const char *tensor_name);
/* A vector of n elements (norm weight, bias) widened to fp32 into out[n]. */
ib_status ib_checkpoint_vector(const ib_checkpoint *c, const char *tensor_name, uint64_t n,
                               float *out, ib_error *err) IB_MUST_CHECK;

#endif
