/* SPDX-License-Identifier: MIT
 * Items of one shard -> one safetensors file. A shard is made in memory before it is written: the
 * length of a quant_state is known only once its scales are. */
#include "cli/quantize/quantize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Largest element first, then the order in which they were made: every tensor is aligned. */
static int by_element_size(const void *a, const void *b) {
    const ib_quantize_tensor *x = *(const ib_quantize_tensor *const *)a;
    const ib_quantize_tensor *y = *(const ib_quantize_tensor *const *)b;
    uint32_t sx = ib_type_block_bytes(x->type), sy = ib_type_block_bytes(y->type);
    if (sx != sy)
        return sx > sy ? -1 : 1;
    return x < y ? -1 : x > y;
}

static ib_status write_sorted(ib_new_folder *f, const char *file,
                              const ib_quantize_tensor *const *order, size_t n, ib_error *err) {
    ib_st_writer writer;
    char *path = NULL;
    ib_st_entry *entries = calloc(n ? n : 1, sizeof *entries);
    if (!entries)
        return ib_fail_memory(err, n * sizeof *entries, "a file header");
    for (size_t i = 0; i < n; i++) {
        entries[i] = (ib_st_entry){
            .name = order[i]->name, .type = order[i]->type, .n_dims = order[i]->n_dims};
        memcpy(entries[i].shape, order[i]->shape, sizeof entries[i].shape);
    }
    ib_status st = ib_new_folder_add(f, file, &path, err);
    if (st == IB_OK)
        st = ib_st_writer_open(&writer, path, entries, n, err);
    bool open = st == IB_OK;
    for (size_t i = 0; st == IB_OK && i < n; i++) {
        st = ib_signals_check(err);
        if (st == IB_OK)
            st = ib_st_writer_add(&writer, order[i]->data, order[i]->n_bytes, err);
    }
    if (st == IB_OK)
        st = ib_st_writer_close(&writer, err);
    else if (open)
        ib_st_writer_abandon(&writer);
    free(path);
    free(entries);
    return st;
}

static ib_status write_shard(ib_new_folder *f, const char *file, const ib_quantize_tensors *t,
                             ib_error *err) {
    const ib_quantize_tensor **order = calloc(t->n ? t->n : 1, sizeof *order);
    if (!order)
        return ib_fail_memory(err, t->n * sizeof *order, "a list of tensors");
    for (size_t i = 0; i < t->n; i++)
        order[i] = &t->list[i];
    qsort(order, t->n, sizeof *order, by_element_size);
    ib_status st = write_sorted(f, file, order, t->n, err);
    free(order);
    return st;
}

static ib_status make_shard(ib_quantize_tensors *out, const ib_quantize_plan *plan, size_t begin,
                            size_t end, const ib_quantize_options *o, ib_pool *pool,
                            ib_error *err) {
    for (size_t i = begin; i < end; i++) {
        IB_TRY(ib_signals_check(err));
        IB_TRY(ib_quantize_item_make(out, &plan->items[i], o, pool, err));
    }
    return IB_OK;
}

static ib_status note_in_index(json_t *map, const ib_quantize_tensors *t, const char *file,
                               uint64_t *total, ib_error *err) {
    for (size_t i = 0; i < t->n; i++) {
        *total += t->list[i].n_bytes;
        if (json_object_set_new(map, t->list[i].name, json_string(file)) != 0)
            return ib_fail_memory(err, 0, "an index");
    }
    return IB_OK;
}

static ib_status write_index(ib_new_folder *f, json_t *map, uint64_t total, ib_error *err) {
    json_t *index =
        json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    ib_status st = index ? ib_new_folder_write_json(f, "model.safetensors.index.json", index, err)
                         : ib_fail_memory(err, 0, "an index");
    json_decref(index);
    return st;
}

ib_status ib_quantize_write_weights(ib_new_folder *f, const ib_quantize_plan *plan,
                                    const ib_quantize_options *options, ib_pool *pool,
                                    const ib_log *log, ib_error *err) {
    uint64_t total = 0;
    size_t begin = 0;
    json_t *map = json_object();
    ib_status st = map ? IB_OK : ib_fail_memory(err, 0, "an index");
    for (size_t s = 0; st == IB_OK && s < plan->n_shards; s++) {
        char file[64] = "model.safetensors";
        ib_quantize_tensors tensors = {0};
        if (plan->n_shards > 1)
            (void)snprintf(file, sizeof file, "model-%05zu-of-%05zu.safetensors", s + 1,
                           plan->n_shards);
        st = make_shard(&tensors, plan, begin, plan->shard_end[s], options, pool, err);
        if (st == IB_OK)
            st = write_shard(f, file, &tensors, err);
        if (st == IB_OK)
            st = note_in_index(map, &tensors, file, &total, err);
        if (st == IB_OK)
            ib_log_info(log, "wrote %s: %zu tensors", file, tensors.n);
        ib_quantize_tensors_clear(&tensors);
        begin = plan->shard_end[s];
    }
    if (st == IB_OK && plan->n_shards > 1)
        st = write_index(f, map, total, err);
    json_decref(map);
    return st;
}
