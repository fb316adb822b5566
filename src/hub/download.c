/* SPDX-License-Identifier: MIT
 * See download.h. One HEAD of config.json fixes the commit; everything else is asked for by that
 * commit, so a branch that moves meanwhile cannot mix two states. The list of files (one request)
 * says which of the wanted ones there are. What is fetched: config.json, the weights as safetensors
 * (model.safetensors, else what model.safetensors.index.json names), tokenizer and templates; never
 * a pickle, never code. The ref is written last: it never names a snapshot that lacks a file. */
#include "hub/download.h"

#include "hub/fetch.h"
#include "hub/partial.h"
#include "hub/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

enum { MOST_FILES = 100000, MOST_PAGES = 100 };

static const char single[] = "model.safetensors";
static const char index_name[] = IB_HUB_INDEX;

typedef struct wanted { /* a file of the list that is going to be fetched */
    char *name;         /* owned */
    char etag[IB_HUB_ETAG_MAX + 1];
    uint64_t size;
} wanted;

typedef struct job {
    const ib_hub_want *want;
    ib_http *http; /* owned */
    char what[IB_QUOTED + 16];
    char commit[41];
    bool listed;       /* the list of files could be had */
    bool gguf, pickle; /* the repository has such weights */
    wanted *files;     /* owned [n]: what the list has of the files that may be wanted */
    size_t n, cap;
    ib_hub_names templates; /* of additional_chat_templates/ */
    ib_hub_meter meter;
} job;

/* --- URLs --- */

/* {endpoint}/{id}/resolve/{revision}/{file}; appended to out. */
static ib_status file_url(const job *j, const char *revision, const char *file, ib_buf *out,
                          ib_error *err) {
    ib_buf_reset(out);
    IB_TRY(ib_buf_addf(out, err, "%s/%s/resolve/", ib_http_endpoint(j->http), j->want->id));
    IB_TRY(ib_hub_url_escape(out, ib_str_of(revision), false, err));
    IB_TRY(ib_buf_addc(out, '/', err));
    return ib_hub_url_escape(out, ib_str_of(file), true, err);
}

/* --- the list of files --- */

static const wanted *listed(const job *j, const char *name) {
    for (size_t i = 0; i < j->n; i++)
        if (strcmp(j->files[i].name, name) == 0)
            return &j->files[i];
    return NULL;
}

static ib_status take_entry(job *j, const ib_hub_entry *e, ib_error *err) {
    ib_str name = ib_str_of(e->name);
    j->gguf = j->gguf || ib_str_ends(name, ".gguf");
    j->pickle = j->pickle || ib_str_ends(name, ".bin") || ib_str_ends(name, ".pt");
    if (!e->is_file || !ib_hub_is_model_file(e->name) || listed(j, e->name))
        return IB_OK;
    if (j->n == j->cap) {
        size_t cap = j->cap ? j->cap * 2 : 64;
        wanted *longer = realloc(j->files, cap * sizeof *longer);
        if (!longer)
            return ib_fail_memory(err, cap * sizeof *longer, "a list of files");
        j->files = longer;
        j->cap = cap;
    }
    wanted *w = &j->files[j->n];
    *w = (wanted){.name = ib_strdup(e->name), .size = e->size};
    if (!w->name)
        return ib_fail_memory(err, name.len, "a list of files");
    memcpy(w->etag, e->etag, sizeof w->etag);
    j->n++;
    if (strncmp(e->name, IB_HUB_TEMPLATES "/", sizeof IB_HUB_TEMPLATES) == 0)
        return ib_hub_names_add(&j->templates, name, err);
    return IB_OK;
}

static ib_status take_page(job *j, ib_str text, size_t *n_entries, bool *templates, ib_error *err) {
    ib_hub_entry e;
    for (bool found = true; found;) {
        IB_TRY(ib_hub_listing_next(&text, &found, &e, err));
        if (!found)
            break;
        if (++*n_entries > MOST_FILES)
            return ib_fail(err, IB_E_NETWORK,
                           "too many files in %s: more than %d; fix: use another repository",
                           j->what, MOST_FILES);
        *templates = *templates || (!e.is_file && strcmp(e.name, IB_HUB_TEMPLATES) == 0);
        IB_TRY(take_entry(j, &e, err));
    }
    return IB_OK;
}

/* One folder of the repository, page by page. *there false: the hub does not offer lists. */
static ib_status list_folder(job *j, const char *folder, size_t *n_entries, bool *templates,
                             bool *there, ib_error *err) {
    ib_http_reply r = {0};
    ib_buf url;
    char where[IB_QUOTED];
    ib_buf_init(&url);
    ib_status st = ib_buf_addf(&url, err, "%s/api/models/%s/tree/%s%s%s", ib_http_endpoint(j->http),
                               j->want->id, j->commit, folder[0] ? "/" : "", folder);
    *there = true;
    for (int page = 0; st == IB_OK && *there; page++) {
        if (page >= MOST_PAGES)
            st = ib_fail(err, IB_E_NETWORK,
                         "too many pages in the list of files of %s; fix: use "
                         "another repository",
                         j->what);
        if (st == IB_OK)
            st = ib_http_get(j->http, url.ptr, IB_HTTP_TRIES, &r, err);
        if (st != IB_OK)
            break;
        *there = r.h.status == 200;
        if (*there)
            st = take_page(j, (ib_str){r.body.ptr, r.body.len}, n_entries, templates, err);
        ib_str next = ib_hub_link_next(r.h.link);
        if (st != IB_OK || !*there || !next.len)
            break;
        ib_buf_reset(&url);
        st = ib_hub_url_join((ib_str){r.url.ptr, r.url.len}, next, &url, err);
        if (st == IB_OK &&
            strncmp(url.ptr, ib_http_endpoint(j->http), strlen(ib_http_endpoint(j->http))) != 0)
            st = ib_fail(err, IB_E_NETWORK,
                         "a list of files goes on at another machine: '%s'; fix: check HF_ENDPOINT",
                         ib_quote(ib_hub_url_shown((ib_str){url.ptr, url.len}), where));
    }
    ib_http_reply_clear(&r);
    ib_buf_clear(&url);
    return st;
}

static ib_status list_files(job *j, ib_error *err) {
    size_t n_entries = 0;
    bool templates = false, there = true;
    IB_TRY(list_folder(j, "", &n_entries, &templates, &j->listed, err));
    if (templates)
        IB_TRY(list_folder(j, IB_HUB_TEMPLATES, &n_entries, &templates, &there, err));
    return IB_OK;
}

/* --- one file --- */

/* HEAD -> what there is to fetch; *absent when the hub has no such file. r keeps the answer. */
static ib_status ask_file(job *j, const char *revision, const char *file, int tries,
                          ib_http_reply *r, ib_buf *url, ib_hub_blob *blob, bool *absent,
                          ib_error *err) {
    *absent = false;
    IB_TRY(file_url(j, revision, file, url, err));
    IB_TRY(ib_http_head(j->http, url->ptr, tries, r, err));
    const ib_hub_headers *h = &r->h;
    bool redirected = h->status >= 300 && h->status < 400;
    if (h->status == 404 && ib_str_is(h->error_code, "EntryNotFound")) {
        *absent = true;
        return IB_OK;
    }
    if (h->status != 200 && !redirected)
        return ib_http_refused(j->http, h, j->what, url->ptr, err);
    bool has_size = h->has_linked_size || (!redirected && h->has_length);
    ib_hub_headers plain = {.status = 200};
    if (!h->commit[0] || !h->etag[0] || !has_size)
        return ib_http_refused(j->http, &plain, j->what, url->ptr, err);
    if (j->commit[0] && strcmp(h->commit, j->commit) != 0)
        return ib_fail(err, IB_E_NETWORK,
                       "another commit than asked for of %s: %s, not %s; fix: try again", j->what,
                       h->commit, j->commit);
    memcpy(blob->etag, h->etag, sizeof blob->etag);
    blob->size = h->has_linked_size ? h->linked_size : h->length;
    blob->file = file;
    blob->url = url->ptr;
    if (blob->size > IB_HUB_FILE_MAX)
        return ib_fail(err, IB_E_NETWORK,
                       "file too large in %s: %" PRIu64 " bytes; fix: use "
                       "another repository",
                       j->what, blob->size);
    free(blob->location);
    blob->location = ib_strdup(r->url.ptr);
    return blob->location ? IB_OK : ib_fail_memory(err, r->url.len, "a URL");
}

/* Blob and link of a file that was asked for. */
static ib_status place(job *j, ib_hub_blob *blob, ib_error *err) {
    const ib_hub_layout *l = j->want->layout;
    j->meter.now.file = blob->file;
    if (ib_hub_has_blob(l, blob->etag, blob->size))
        j->meter.now.done += blob->size;
    else
        IB_TRY(ib_hub_fetch(j->http, l, blob, &j->meter, err));
    j->meter.now.n_done++;
    return ib_hub_link(l, j->commit, blob->file, blob->etag, j->want->env->no_symlinks, err);
}

/* The file is in the snapshot afterwards, or *absent. */
static ib_status ensure(job *j, const char *file, bool *absent, ib_error *err) {
    const ib_hub_layout *l = j->want->layout;
    ib_http_reply r = {0};
    ib_buf url;
    ib_hub_blob blob = {0};
    const wanted *w = listed(j, file);
    *absent = false;
    if (ib_hub_has_file(l, j->commit, file)) {
        j->meter.now.done += w ? w->size : 0;
        j->meter.now.n_done++;
        return IB_OK;
    }
    *absent = (j->listed && !w) || (!j->listed && ib_hub_is_absent(l, j->commit, file));
    ib_buf_init(&url);
    ib_status st = IB_OK;
    if (!*absent)
        st = ask_file(j, j->commit, file, IB_HTTP_TRIES, &r, &url, &blob, absent, err);
    if (st == IB_OK && *absent)
        st = ib_hub_mark_absent(l, j->commit, file, err);
    else if (st == IB_OK)
        st = place(j, &blob, err);
    ib_http_reply_clear(&r);
    ib_buf_clear(&url);
    free(blob.location);
    return st;
}

static ib_status need(job *j, const char *file, ib_error *err) {
    char quoted[IB_QUOTED];
    bool absent = false;
    IB_TRY(ensure(j, file, &absent, err));
    if (absent)
        return ib_fail(err, IB_E_NETWORK, "no '%s' in %s; fix: use another repository or revision",
                       ib_quotez(file, quoted), j->what);
    return IB_OK;
}

/* --- all files --- */

static ib_status no_weights(const job *j, ib_error *err) {
    const char *has = j->gguf ? "it has GGUF files; fix: download one of them, and give its path"
                      : j->pickle ? "it has pickle files, which can run code and are never loaded; "
                                    "fix: use a repository with safetensors"
                                  : "it has none; fix: use another repository";
    return ib_fail(err, IB_E_UNSUPPORTED, "no weights as safetensors in %s: %s", j->what, has);
}

static void count_file(job *j, const char *name, uint64_t *missing) {
    const wanted *w = listed(j, name);
    if (!w)
        return;
    j->meter.now.total += w->size;
    j->meter.now.n_files++;
    if (ib_hub_has_file(j->want->layout, j->commit, name) ||
        ib_hub_has_blob(j->want->layout, w->etag, w->size))
        return;
    uint64_t left = ib_partial_left(j->want->layout, w->etag, w->size);
    *missing += w->size > left ? w->size - left : 0;
}

static ib_status check_disk(const job *j, uint64_t missing, ib_error *err) {
    char quoted[IB_QUOTED];
    struct statvfs disk;
    char *path = ib_strdup(j->want->layout->cache);
    /* the nearest folder that is there */
    for (char *slash; path && path[0] && statvfs(path, &disk) != 0;) {
        slash = strrchr(path, '/');
        if (!slash || errno != ENOENT) {
            free(path);
            return IB_OK; /* the writes will tell */
        }
        slash[slash == path] = '\0';
    }
    if (!path)
        return ib_fail_memory(err, 0, "a path");
    bool known = path[0] != '\0';
    free(path);
    uint64_t have = known ? (uint64_t)disk.f_bavail * disk.f_frsize : UINT64_MAX;
    if (missing <= have)
        return IB_OK;
    return ib_fail(err, IB_E_RESOURCE,
                   "not enough disk space in the cache '%s': need %" PRIu64 " bytes, have %" PRIu64
                   "; fix: free disk space, or choose another --cache-dir",
                   ib_quotez(j->want->layout->cache, quoted), missing, have);
}

/* The weights by the reference's rule: the single file, else the index and what it names. */
static ib_status choose_weights(job *j, ib_hub_names *out, ib_error *err) {
    bool absent = false;
    if (j->listed ? listed(j, single) != NULL : false)
        return ib_hub_names_add(out, ib_str_of(single), err);
    if (!j->listed) {
        IB_TRY(ensure(j, single, &absent, err));
        if (!absent)
            return IB_OK;
    }
    IB_TRY(ensure(j, index_name, &absent, err));
    if (absent)
        return no_weights(j, err);
    char *path = ib_hub_path(j->want->layout, "snapshots", j->commit, index_name);
    ib_status st = path ? ib_hub_index_files(out, path, err) : ib_fail_memory(err, 0, "a path");
    free(path);
    return st;
}

static ib_status fetch_extras(job *j, ib_error *err) {
    bool absent;
    for (size_t i = 0; i < IB_HUB_N_EXTRAS; i++)
        IB_TRY(ensure(j, ib_hub_extras[i], &absent, err));
    for (size_t i = 0; i < j->templates.n; i++)
        IB_TRY(need(j, j->templates.names[i], err));
    if (j->templates.n)
        return IB_OK;
    return ib_hub_mark_absent(j->want->layout, j->commit, IB_HUB_TEMPLATES, err);
}

static ib_status fetch_all(job *j, ib_error *err) {
    ib_hub_names weights = {0};
    uint64_t missing = 0;
    ib_hub_sweep(j->want->layout);
    IB_TRY(list_files(j, err));
    if (j->listed && !listed(j, single) && !listed(j, index_name))
        return no_weights(j, err);
    IB_TRY(need(j, "config.json", err));
    ib_status st = choose_weights(j, &weights, err);
    j->meter.now.total = j->meter.now.done;
    j->meter.now.n_files = j->meter.now.n_done;
    for (size_t i = 0; i < weights.n && st == IB_OK; i++)
        count_file(j, weights.names[i], &missing);
    for (size_t i = 0; i < IB_HUB_N_EXTRAS; i++)
        count_file(j, ib_hub_extras[i], &missing);
    for (size_t i = 0; i < j->templates.n; i++)
        count_file(j, j->templates.names[i], &missing);
    if (st == IB_OK)
        st = check_disk(j, missing, err);
    if (st == IB_OK)
        st = fetch_extras(j, err);
    for (size_t i = 0; i < weights.n && st == IB_OK; i++)
        st = need(j, weights.names[i], err);
    ib_hub_names_clear(&weights);
    return st;
}

/* The HEAD that fixes the commit. *unreachable: the failure is the network's. */
static ib_status fix_commit(job *j, int tries, bool *unreachable, ib_error *err) {
    ib_http_reply r = {0};
    ib_buf url;
    ib_hub_blob blob = {0};
    bool absent = false;
    ib_buf_init(&url);
    ib_status st =
        ask_file(j, j->want->revision, "config.json", tries, &r, &url, &blob, &absent, err);
    *unreachable = st == IB_E_NETWORK && r.unreachable;
    if (st == IB_OK && absent)
        st = ib_fail(err, IB_E_UNSUPPORTED,
                     "no config.json in %s: not a model of transformers; fix: use another "
                     "repository; a .gguf file can be downloaded by itself and named by its path",
                     j->what);
    if (st == IB_OK)
        memcpy(j->commit, r.h.commit, sizeof j->commit);
    ib_http_reply_clear(&r);
    ib_buf_clear(&url);
    free(blob.location);
    return st;
}

static ib_status run(job *j, const char *cached, ib_error *err) {
    bool unreachable = false;
    ib_error why = {0};
    const ib_hub_want *w = j->want;
    ib_status st = fix_commit(j, cached[0] ? 1 : IB_HTTP_TRIES, &unreachable, &why);
    if (st != IB_OK && unreachable && cached[0]) {
        ib_log_warn(w->log, "%.*s; using the snapshot that the cache has",
                    (int)strcspn(why.text, ";"), why.text);
        memcpy(j->commit, cached, 41);
        return IB_OK;
    }
    if (st != IB_OK)
        return ib_fail(err, st, "%s", why.text);
    if (!ib_hub_snapshot_is_whole(w->layout, j->commit)) {
        IB_TRY(fetch_all(j, err));
        j->meter.now.file = NULL;
        ib_hub_meter_tell(&j->meter, w->env, true);
        return ib_hub_ref_write(w->layout, w->revision, j->commit, err);
    }
    /* nothing to fetch: a cache that cannot be written is as good */
    if (ib_hub_ref_write(w->layout, w->revision, j->commit, &why) != IB_OK)
        ib_log_debug(w->log, "the ref is not updated: %s", why.text);
    return IB_OK;
}

ib_status ib_hub_download(const ib_hub_want *w, const char *cached, char commit[41],
                          uint64_t *fetched, ib_error *err) {
    char quoted[IB_QUOTED];
    job j = {.want = w};
    (void)snprintf(j.what, sizeof j.what, "model '%s'", ib_quotez(w->id, quoted));
    IB_TRY(ib_http_open(&j.http, w->env, w->log, err));
    ib_status st = run(&j, cached, err);
    memcpy(commit, j.commit, 41);
    *fetched = j.meter.now.fetched;
    ib_http_close(j.http);
    for (size_t i = 0; i < j.n; i++)
        free(j.files[i].name);
    free(j.files);
    ib_hub_names_clear(&j.templates);
    return st;
}
