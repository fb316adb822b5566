/* SPDX-License-Identifier: MIT
 * Where things are in the Hugging Face cache, and the small writes in it that are whole or not
 * there at all: refs, links, empty marks.
 *
 *   <cache>/.locks/models--org--name/<etag>.lock
 *   <cache>/models--org--name/refs/<revision>              40 hex digits: a commit
 *   <cache>/models--org--name/blobs/<etag>                 content
 *   <cache>/models--org--name/snapshots/<commit>/<file>    link to ../../blobs/<etag>
 *   <cache>/models--org--name/.no_exist/<commit>/<file>    empty: the hub has no such file */
#ifndef IB_HUB_LAYOUT_H
#define IB_HUB_LAYOUT_H

#include "hub/hub.h"
#include "hub/parse.h"

typedef struct ib_hub_layout {
    char *cache, *repo,
        *locks; /* owned: the cache, <cache>/models--..., <cache>/.locks/models--... */
} ib_hub_layout;

/* The folder that environment and cache_dir (may be NULL) name; nothing is created. */
ib_status ib_hub_layout_init(ib_hub_layout *l, const char *id, const char *cache_dir,
                             const ib_hub_env *env, ib_error *err) IB_MUST_CHECK;
void ib_hub_layout_clear(ib_hub_layout *l);
/* $HF_HOME or its default with name below; malloc'd, NULL when there is no home or no memory. */
char *ib_hub_home_path(const ib_hub_env *env, const char *name);

/* <repo>/<a>/<b>/<c>; b and c may be NULL. malloc'd, NULL when out of memory. */
char *ib_hub_path(const ib_hub_layout *l, const char *a, const char *b, const char *c);

/* Whether snapshots/<commit>/<file> can be opened (a dangling link cannot). */
bool ib_hub_has_file(const ib_hub_layout *l, const char *commit, const char *file);
/* Whether .no_exist/<commit>/<file> is there. */
bool ib_hub_is_absent(const ib_hub_layout *l, const char *commit, const char *file);
/* refs/<revision> -> commit. *found false when there is none; IB_E_FORMAT when it holds no commit.
 */
ib_status ib_hub_ref_read(const ib_hub_layout *l, const char *revision, bool *found,
                          char commit[41], ib_error *err) IB_MUST_CHECK;

/* The folders above path, and the mark of the cache for backup programs. IB_E_INPUT when the cache
 * takes no file, IB_E_RESOURCE when the disk is full. */
ib_status ib_hub_make_parents(const ib_hub_layout *l, const char *path,
                              ib_error *err) IB_MUST_CHECK;
/* The status of a failed write in the cache. */
ib_status ib_hub_cannot_write(ib_error *err, const char *path, int error);
/* Does nothing when revision is the commit or holds it already. */
ib_status ib_hub_ref_write(const ib_hub_layout *l, const char *revision, const char *commit,
                           ib_error *err) IB_MUST_CHECK;
ib_status ib_hub_mark_absent(const ib_hub_layout *l, const char *commit, const char *file,
                             ib_error *err) IB_MUST_CHECK;
/* A new name in the repository's folder, for what is renamed to its place; malloc'd, NULL when out
 * of memory. What a killed process leaves there is swept. */
char *ib_hub_temp_name(const ib_hub_layout *l);
/* Removes temporary files that processes left which do not live any more. */
void ib_hub_sweep(const ib_hub_layout *l);
/* snapshots/<commit>/<file> -> blobs/<etag>, in place of what was there; a copy where links are not
 * wanted or not possible. */
ib_status ib_hub_link(const ib_hub_layout *l, const char *commit, const char *file,
                      const char *etag, bool copy, ib_error *err) IB_MUST_CHECK;

#endif
