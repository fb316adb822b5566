/* SPDX-License-Identifier: MIT
 * Checkpoint -> items -> shards. Quantized are the linear layers of the decoder blocks, as
 * transformers chooses them: not the embedding, not the output matrix, no norm, no bias. */
#include "cli/quantize/quantize.h"

#include "model/families/families.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 192 };

static bool is_linear(ib_role r) {
    return r == IB_ROLE_Q || r == IB_ROLE_K || r == IB_ROLE_V || r == IB_ROLE_O ||
           r == IB_ROLE_GATE || r == IB_ROLE_UP || r == IB_ROLE_DOWN;
}

static ib_status add_item(ib_quantize_plan *p, const char *name, const ib_stored_tensor *source,
                          bool quantize, uint64_t paired_heads, ib_error *err) {
    ib_quantize_item *grown = realloc(p->items, (p->n_items + 1) * sizeof *grown);
    if (!grown)
        return ib_fail_memory(err, (p->n_items + 1) * sizeof *grown, "a list of tensors");
    p->items = grown;
    char *copy = ib_strdup(name);
    if (!copy)
        return ib_fail_memory(err, strlen(name), "a name");
    p->items[p->n_items++] = (ib_quantize_item){
        .name = copy, .source = source, .quantize = quantize, .paired_heads = paired_heads};
    p->n_quantized += quantize;
    return IB_OK;
}

/* --- safetensors: every tensor under its own name --- */

static ib_status plan_safetensors(ib_quantize_plan *p, const ib_checkpoint *ckpt,
                                  const ib_config *config, ib_error *err) {
    size_t n = ib_checkpoint_n_tensors(ckpt);
    bool *linear = calloc(n ? n : 1, sizeof *linear);
    ib_status st = linear ? IB_OK : ib_fail_memory(err, n, "a list of tensors");
    for (uint64_t layer = 0; linear && layer < config->n_layers; layer++) {
        for (int role = 0; role < IB_ROLE_COUNT; role++) {
            char name[NAME_MAX_BYTES];
            if (!is_linear((ib_role)role) || !ib_family_tensor(config->family, false, (ib_role)role,
                                                               layer, ".weight", name, sizeof name))
                continue;
            const ib_stored_tensor *t = ib_checkpoint_find(ckpt, name);
            if (t && t->n_dims == 2)
                linear[t - ib_checkpoint_tensor(ckpt, 0)] = true;
        }
    }
    for (size_t i = 0; linear && st == IB_OK && i < n; i++) {
        const ib_stored_tensor *t = ib_checkpoint_tensor(ckpt, i);
        st = add_item(p, t->name.ptr, t, linear[i], 0, err);
    }
    free(linear);
    return st;
}

/* --- GGUF: the tensors of the family, renamed --- */

static ib_status plan_role(ib_quantize_plan *p, const ib_checkpoint *ckpt, const ib_config *c,
                           ib_role role, uint64_t layer, ib_error *err) {
    static const char *const suffixes[] = {".weight", ".bias"};
    uint64_t heads = !c->rope.interleaved ? 0
                     : role == IB_ROLE_Q  ? c->n_heads
                     : role == IB_ROLE_K  ? c->n_kv_heads
                                          : 0;
    for (size_t s = 0; s < 2; s++) {
        char from[NAME_MAX_BYTES], to[NAME_MAX_BYTES];
        if (!ib_family_tensor(c->family, true, role, layer, suffixes[s], from, sizeof from) ||
            !ib_family_tensor(c->family, false, role, layer, suffixes[s], to, sizeof to))
            return IB_OK;
        const ib_stored_tensor *t = ib_checkpoint_find(ckpt, from);
        if (t)
            IB_TRY(add_item(p, to, t, s == 0 && is_linear(role), heads, err));
    }
    return IB_OK;
}

static ib_status plan_gguf(ib_quantize_plan *p, const ib_checkpoint *ckpt, const ib_config *c,
                           const ib_log *log, ib_error *err) {
    for (int role = 0; role < IB_ROLE_ATTN_NORM; role++)
        IB_TRY(plan_role(p, ckpt, c, (ib_role)role, 0, err));
    for (uint64_t layer = 0; layer < c->n_layers; layer++)
        for (int role = IB_ROLE_ATTN_NORM; role < IB_ROLE_COUNT; role++)
            IB_TRY(plan_role(p, ckpt, c, (ib_role)role, layer, err));
    size_t left = ib_checkpoint_n_tensors(ckpt) - p->n_items;
    bool freqs = ib_checkpoint_has(ckpt, "rope_freqs.weight"); /* goes to config.json */
    if (left > (size_t)freqs)
        ib_log_warn(log, "%zu tensors of the GGUF file have no place in the model and are left out",
                    left - (size_t)freqs);
    return IB_OK;
}

/* --- shards --- */

/* Bytes that the item will take, companions included, within a few KB. */
static uint64_t estimate(const ib_quantize_item *item, const ib_quantize_options *o) {
    uint64_t n = item->source->n_elements;
    if (!item->quantize)
        return n * ib_type_block_bytes(o->dtype);
    uint64_t n_blocks = n / o->blocksize + 1;
    return n / 2 + n_blocks * (o->nested ? 1 : 4) + n_blocks / 64 + 4096;
}

static ib_status cut(ib_quantize_plan *p, const ib_quantize_options *o, uint64_t shard_bytes,
                     ib_error *err) {
    uint64_t used = 0;
    p->shard_end = calloc(p->n_items + 1, sizeof *p->shard_end);
    if (!p->shard_end)
        return ib_fail_memory(err, p->n_items * sizeof *p->shard_end, "a list of files");
    for (size_t i = 0; i < p->n_items; i++) {
        uint64_t bytes = estimate(&p->items[i], o);
        if (used && bytes > shard_bytes - used) {
            p->shard_end[p->n_shards++] = i;
            used = 0;
        }
        used += bytes < shard_bytes ? bytes : shard_bytes;
    }
    p->shard_end[p->n_shards++] = p->n_items;
    return IB_OK;
}

ib_status ib_quantize_plan_make(ib_quantize_plan *out, const ib_checkpoint *ckpt,
                                const ib_config *config, const ib_quantize_options *options,
                                uint64_t shard_bytes, const ib_log *log, ib_error *err) {
    *out = (ib_quantize_plan){0};
    ib_status st = ib_checkpoint_gguf(ckpt) ? plan_gguf(out, ckpt, config, log, err)
                                            : plan_safetensors(out, ckpt, config, err);
    if (st == IB_OK && !out->n_quantized)
        st = ib_fail(err, IB_E_FORMAT,
                     "no linear layer in '%s': nothing to quantize; fix: name a whole model",
                     ib_checkpoint_file(ckpt, 0));
    if (st == IB_OK)
        st = cut(out, options, shard_bytes, err);
    if (st != IB_OK)
        ib_quantize_plan_clear(out);
    return st;
}

void ib_quantize_plan_clear(ib_quantize_plan *p) {
    for (size_t i = 0; i < p->n_items; i++)
        free(p->items[i].name);
    free(p->items);
    free(p->shard_end);
    *p = (ib_quantize_plan){0};
}
