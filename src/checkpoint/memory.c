/* SPDX-License-Identifier: MIT
 * A checkpoint whose tensors lie in anonymous memory in place of a mapped file: what synthetic
 * models are made of. The block takes the place of files[0], so that it is unmapped and named in
 * messages like any other file. */
#include "base/checked.h"
#include "checkpoint/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static ib_status map_block(ib_checkpoint *c, const char *label, uint64_t n_bytes, ib_error *err) {
    IB_TRY(
        ib_checkpoint_grow((void **)&c->files, &c->cap_files, c->n_files, sizeof *c->files, err));
    ib_file_map *f = &c->files[0];
    *f = (ib_file_map){.path = ib_strdup(label)};
    if (!f->path)
        return ib_fail_memory(err, strlen(label), "a name");
    c->n_files = 1;
    if (n_bytes == 0)
        return IB_OK;
    void *p = n_bytes > SIZE_MAX ? MAP_FAILED
                                 : mmap(NULL, (size_t)n_bytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return ib_fail_memory(err, n_bytes > SIZE_MAX ? SIZE_MAX : (size_t)n_bytes, "weights");
    f->data = p;
    f->size = n_bytes;
#ifdef MADV_HUGEPAGE
    (void)madvise(p, (size_t)n_bytes, MADV_HUGEPAGE); /* fewer page faults; not needed */
#endif
    return IB_OK;
}

ib_status ib_checkpoint_new_memory(ib_checkpoint **out, const char *label, uint64_t n_bytes,
                                   ib_error *err) {
    ib_checkpoint *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c)
        return ib_fail_memory(err, sizeof *c, "the checkpoint");
    c->kind = IB_CHECKPOINT_SAFETENSORS;
    ib_arena_init(&c->arena, 0);
    ib_map_init(&c->by_name);
    ib_status st = map_block(c, label, n_bytes, err);
    if (st != IB_OK) {
        ib_checkpoint_close(c);
        return st;
    }
    *out = c;
    return IB_OK;
}

ib_status ib_checkpoint_add_memory(ib_checkpoint *c, const ib_stored_tensor *t, void **data,
                                   ib_error *err) {
    ib_stored_tensor mine = *t;
    uint64_t end = 0;
    bool good = mine.n_dims <= IB_MAX_RANK;
    *data = NULL;
    mine.file = 0;
    mine.n_elements = 1;
    for (uint32_t i = 0; good && i < mine.n_dims; i++)
        good = ib_mul_u64(mine.n_elements, mine.shape[i], &mine.n_elements);
    good = good && ib_type_bytes(mine.type, mine.n_elements, &mine.n_bytes) &&
           ib_round_up(mine.n_bytes, IB_MEMORY_ALIGN, &end) &&
           ib_add_u64(c->memory_used, end, &end) && c->n_files == 1 && end <= c->files[0].size;
    if (!good)
        return ib_fail(err, IB_E_INTERNAL, "tensor '%.*s' does not fit its block of memory",
                       (int)(mine.name.len < 160 ? mine.name.len : 160), mine.name.ptr);
    unsigned char *at = (unsigned char *)(uintptr_t)c->files[0].data + c->memory_used;
    mine.data = at;
    IB_TRY(ib_checkpoint_add_tensor(c, &mine, err));
    c->memory_used = end;
    *data = at;
    return IB_OK;
}
