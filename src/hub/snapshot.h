/* SPDX-License-Identifier: MIT
 * Which files make a model, and whether a snapshot in the cache has them. */
#ifndef IB_HUB_SNAPSHOT_H
#define IB_HUB_SNAPSHOT_H

#include "hub/layout.h"

/* Files besides config.json and the weights that are fetched where the repository has them. */
enum { IB_HUB_N_EXTRAS = 6 };
extern const char *const ib_hub_extras[IB_HUB_N_EXTRAS];
#define IB_HUB_TEMPLATES "additional_chat_templates"
#define IB_HUB_INDEX "model.safetensors.index.json"

/* Whether a file of a repository is one of a model's: configuration, safetensors, tokenizer, chat
 * templates. */
bool ib_hub_is_model_file(const char *name);

/* Owned names. */
typedef struct ib_hub_names {
    char **names; /* owned [n], each owned */
    size_t n, cap;
} ib_hub_names;
ib_status ib_hub_names_add(ib_hub_names *l, ib_str name, ib_error *err) IB_MUST_CHECK; /* once */
bool ib_hub_names_has(const ib_hub_names *l, const char *name);
void ib_hub_names_sort(ib_hub_names *l);
void ib_hub_names_clear(ib_hub_names *l);

/* The distinct files of the weight_map of an index.json at path. IB_E_FORMAT for one that is
 * malformed, holds an unsafe name, or names something that is no .safetensors file. */
ib_status ib_hub_index_files(ib_hub_names *out, const char *path, ib_error *err) IB_MUST_CHECK;

/* What the snapshot lacks to be run, as far as the cache alone tells: *missing is a text ("its
 * snapshot folder is missing"), "" when nothing is. */
typedef struct ib_hub_missing {
    char text[160];
} ib_hub_missing;
ib_status ib_hub_snapshot_check(const ib_hub_layout *l, const char *commit, ib_hub_missing *missing,
                                ib_error *err) IB_MUST_CHECK;
/* Nothing is missing, and of each extra file it is known whether the repository has it. */
bool ib_hub_snapshot_is_whole(const ib_hub_layout *l, const char *commit);

#endif
