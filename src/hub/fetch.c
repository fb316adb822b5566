/* SPDX-License-Identifier: MIT
 * See fetch.h. One thread drives all connections. Each transfer ("slot") asks for the rest of one
 * segment of the file by Range; a file of one segment that is not begun yet is asked for whole.
 *
 * What is never done: bytes behind a reply that is not exactly the asked range are not written. A
 * server that ignores Range (200), a Content-Range of something else, an ETag that changes between
 * two replies, a 416: the file begins again from its start, over one connection without Range when
 * ranges were ignored. */
#include "hub/fetch.h"

#include "base/clock.h"
#include "hub/lock.h"
#include "hub/partial.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SLOTS = 8, RESTARTS = 2, MIN_PROGRESS = 1 << 20, ERROR_BODY_MAX = 1 << 20 };

typedef enum verdict {
    GOOD,      /* goes on, or ended as it should */
    AGAIN,     /* cut, stalled, "later": try the rest again */
    MOVED,     /* a redirect */
    REFRESH,   /* a signed URL that is not valid any more: ask the hub for another */
    RESTART,   /* the reply does not belong to what is there: from the start */
    NO_RANGES, /* the same, and without Range from now on */
    FATAL      /* err is set */
} verdict;

typedef struct fetch fetch;

typedef struct slot {
    fetch *f;
    ib_http_transfer transfer;
    bool active, judged; /* judged: the headers were looked at */
    unsigned version;    /* of the location that was asked */
    size_t segment;      /* being written */
    uint64_t to;         /* end of what was asked for */
    bool ranged;
    uint64_t ignored; /* bytes of a body that nobody wants */
    verdict v;
    ib_buf block; /* owned: headers */
    ib_hub_headers h;
} slot;

struct fetch {
    ib_http *http;
    const ib_hub_layout *layout;
    ib_hub_blob *blob;
    ib_partial partial;
    ib_hub_meter *meter;
    CURLM *multi;
    slot slots[SLOTS];
    size_t n_slots;
    bool ranges; /* the server is believed to know Range */
    int failures, restarts, redirects;
    unsigned version;          /* counts the changes of blob->location */
    uint64_t bytes_at_failure; /* partial.bytes when the last failure was counted */
    uint64_t not_before_ns;    /* no new transfer until then */
    char own_etag[IB_HUB_ETAG_MAX + 1];
    ib_status status;     /* of a FATAL verdict */
    ib_error error, last; /* last: why the last failure was one */
};

void ib_hub_meter_tell(ib_hub_meter *m, const ib_hub_env *env, bool force) {
    uint64_t now = ib_now_ns();
    if (!env->on_progress || (!force && now - m->told_ns < 100000000u))
        return;
    m->told_ns = now;
    env->on_progress(env->on_progress_user, &m->now);
}

bool ib_hub_has_blob(const ib_hub_layout *l, const char *etag, uint64_t size) {
    char *path = ib_hub_path(l, "blobs", etag, NULL);
    struct stat file;
    bool there =
        path && stat(path, &file) == 0 && S_ISREG(file.st_mode) && (uint64_t)file.st_size == size;
    free(path);
    return there;
}

/* --- a reply --- */

static const char *shown(const fetch *f, char quoted[IB_QUOTED]) {
    return ib_quote(ib_hub_url_shown(ib_str_of(f->blob->location)), quoted);
}

static verdict fatal(fetch *f, ib_status st) {
    f->status = st;
    return FATAL;
}

/* Remembers why a try failed, for the message if it was the last. */
static verdict because(fetch *f, verdict v, const char *what) {
    char where[IB_QUOTED], file[IB_QUOTED];
    ib_error_set(&f->last, IB_E_NETWORK,
                 "cannot fetch '%s' from '%s': %s; fix: try again later (what came is kept), or "
                 "check proxy and HF_ENDPOINT",
                 ib_quotez(f->blob->file, file), shown(f, where), what);
    return v;
}

static bool identity(ib_str encoding) {
    return encoding.len == 0 || ib_str_is(encoding, "identity");
}

/* 200 or 206: whether the bytes that follow are the ones that were asked for. */
static verdict judge_content(slot *s) {
    fetch *f = s->f;
    const ib_hub_headers *h = &s->h;
    uint64_t from = f->partial.segment * s->segment + f->partial.done[s->segment];
    if (!identity(h->encoding))
        return because(f, RESTART, "the answer is compressed, though that was not asked for");
    if (h->own_etag[0] && f->own_etag[0] && strcmp(h->own_etag, f->own_etag) != 0)
        return because(f, RESTART, "the file changed while it came (another ETag)");
    if (h->own_etag[0])
        memcpy(f->own_etag, h->own_etag, sizeof f->own_etag);
    if (h->status == 200 && s->ranged)
        return because(f, NO_RANGES, "the server ignores Range");
    if (h->status == 206 && !s->ranged)
        return because(f, RESTART, "a part of the file where all of it was asked for");
    if (h->status == 206 && !(h->has_range && h->range_first == from &&
                              h->range_last == s->to - 1 && h->total == f->blob->size))
        return because(f, RESTART, "a part of the file that was not asked for (Content-Range)");
    if (h->has_length && h->length != s->to - from)
        return because(f, RESTART, "another length than the hub said (Content-Length)");
    return GOOD;
}

static verdict judge_refusal(slot *s) {
    fetch *f = s->f;
    char what[64];
    int status = s->h.status;
    bool signed_url = strcmp(f->blob->location, f->blob->url) != 0;
    (void)snprintf(what, sizeof what, "HTTP %d", status);
    if (status == 416)
        return because(f, RESTART, what);
    if (ib_http_is_later(status))
        return because(f, AGAIN, what);
    if (signed_url && (status == 401 || status == 403 || status == 404 || status == 410))
        return because(f, REFRESH, what);
    return fatal(f, ib_http_refused(f->http, &s->h, "the model", f->blob->location, &f->error));
}

static verdict judge(slot *s) {
    fetch *f = s->f;
    ib_error bad = {0};
    if (ib_hub_headers_parse(&s->h, (ib_str){s->block.ptr, s->block.len}, &bad) != IB_OK)
        return because(f, AGAIN, "malformed headers");
    switch (s->h.status) {
    case 200:
    case 206:
        return judge_content(s);
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return MOVED;
    default:
        return judge_refusal(s);
    }
}

static size_t on_header(char *bytes, size_t size, size_t n, void *user) {
    slot *s = user;
    n *= size;
    if (n > IB_HUB_HEADERS_MAX - s->block.len) {
        s->v = because(s->f, AGAIN, "headers too large");
        return 0;
    }
    if (ib_buf_add(&s->block, bytes, n, &s->f->error) != IB_OK) {
        s->v = fatal(s->f, IB_E_RESOURCE);
        return 0;
    }
    return n;
}

/* Into as many segments as the bytes reach; only a transfer of the whole file passes an edge. */
static verdict keep(slot *s, const char *bytes, size_t n) {
    fetch *f = s->f;
    ib_partial *p = &f->partial;
    while (n) {
        uint64_t at = p->segment * s->segment + p->done[s->segment];
        if (at + n > s->to)
            return because(f, AGAIN, "more bytes than announced");
        uint64_t room = ib_partial_segment_len(p, s->segment) - p->done[s->segment];
        size_t now = n < room ? n : (size_t)room;
        ib_status st = ib_partial_write(p, s->segment, bytes, now, &f->error);
        if (st != IB_OK)
            return fatal(f, st);
        f->meter->now.done += now;
        f->meter->now.fetched += now;
        bytes += now;
        n -= now;
        if (now == room && p->segment * (s->segment + 1) < s->to)
            s->segment++;
    }
    return GOOD;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *user) {
    slot *s = user;
    n *= size;
    if (!s->judged) {
        s->v = judge(s);
        s->judged = true;
    }
    if (s->v == GOOD)
        s->v = keep(s, bytes, n);
    else if (s->h.status >= 300 && (s->ignored += n) <= ERROR_BODY_MAX)
        return n;
    return s->v == GOOD ? n : 0;
}

/* --- slots --- */

static ib_status start(fetch *f, slot *s, size_t segment, ib_error *err) {
    ib_partial *p = &f->partial;
    uint64_t from = p->segment * segment + p->done[segment];
    bool whole = !f->ranges || (p->n_segments == 1 && from == 0);
    ib_buf_reset(&s->block);
    s->f = f;
    s->segment = segment;
    s->to = whole ? p->size : p->segment * segment + ib_partial_segment_len(p, segment);
    s->ranged = !whole;
    s->judged = false;
    s->version = f->version;
    s->ignored = 0;
    s->v = GOOD;
    s->h = (ib_hub_headers){0};
    IB_TRY(ib_http_transfer_start(&s->transfer, f->http, f->blob->location, from,
                                  whole ? UINT64_MAX : s->to - 1, err));
    ib_http_transfer_sinks(&s->transfer, on_header, on_body, s);
    (void)curl_easy_setopt(s->transfer.easy, CURLOPT_PRIVATE, s);
    if (curl_multi_add_handle(f->multi, s->transfer.easy) != CURLM_OK)
        return ib_fail_memory(err, 0, "a transfer");
    s->active = true;
    return IB_OK;
}

static void stop_all(fetch *f) {
    for (size_t i = 0; i < SLOTS; i++) {
        if (f->slots[i].active)
            (void)curl_multi_remove_handle(f->multi, f->slots[i].transfer.easy);
        f->slots[i].active = false;
    }
}

static bool is_taken(const fetch *f, size_t segment) {
    for (size_t i = 0; i < f->n_slots; i++)
        if (f->slots[i].active && f->slots[i].segment == segment)
            return true;
    return false;
}

static bool any_active(const fetch *f) {
    for (size_t i = 0; i < f->n_slots; i++)
        if (f->slots[i].active)
            return true;
    return false;
}

/* Gives work to free slots: segments in their order. */
static ib_status start_free(fetch *f, ib_error *err) {
    const ib_partial *p = &f->partial;
    if (ib_now_ns() < f->not_before_ns)
        return IB_OK;
    for (size_t i = 0, segment = 0; i < f->n_slots; i++) {
        if (f->slots[i].active)
            continue;
        while (segment < p->n_segments &&
               (p->done[segment] == ib_partial_segment_len(p, segment) || is_taken(f, segment)))
            segment++;
        if (segment == p->n_segments)
            break;
        IB_TRY(start(f, &f->slots[i], segment, err));
    }
    return IB_OK;
}

/* --- what to do about a verdict --- */

static ib_status restart(fetch *f, ib_error *err) {
    stop_all(f);
    if (++f->restarts > RESTARTS)
        return ib_fail(err, IB_E_NETWORK, "%s", f->last.text);
    ib_log_info(ib_http_log(f->http), "beginning a file again: the server's replies do not fit");
    f->meter->now.done -= f->partial.bytes;
    f->own_etag[0] = '\0';
    f->bytes_at_failure = 0;
    return ib_partial_restart(&f->partial, err);
}

/* Counts a failure; progress since the last one forgives those before it. */
static ib_status count_failure(fetch *f, const ib_hub_headers *h, ib_error *err) {
    uint64_t bytes = f->partial.bytes;
    if (bytes > f->bytes_at_failure &&
        (bytes - f->bytes_at_failure >= MIN_PROGRESS || bytes == f->partial.size))
        f->failures = 0;
    f->bytes_at_failure = bytes;
    double delay = ib_http_delay(h, ++f->failures);
    if (f->failures >= IB_HTTP_TRIES || delay < 0)
        return ib_fail(err, IB_E_NETWORK, "%s", f->last.text);
    ib_log_info(ib_http_log(f->http), "%.*s; trying the rest again in %.1f s",
                (int)strcspn(f->last.text, ";"), f->last.text, delay);
    uint64_t until = ib_now_ns() + (uint64_t)(delay * 1e9);
    f->not_before_ns = until > f->not_before_ns ? until : f->not_before_ns;
    return IB_OK;
}

static ib_status follow(fetch *f, slot *s, ib_error *err) {
    ib_buf url;
    ib_buf_init(&url);
    if (s->version != f->version) /* another slot was told already */
        return IB_OK;
    if (++f->redirects > IB_HTTP_REDIRECTS) {
        char where[IB_QUOTED];
        return ib_fail(err, IB_E_NETWORK,
                       "too many redirects from '%s': more than %d; fix: check HF_ENDPOINT and the "
                       "proxy",
                       shown(f, where), IB_HTTP_REDIRECTS);
    }
    ib_status st = ib_hub_url_join(ib_str_of(f->blob->location), s->h.location, &url, err);
    if (st == IB_OK)
        st = ib_http_may_follow(f->http, url.ptr, err);
    if (st != IB_OK) {
        ib_buf_clear(&url);
        return st;
    }
    free(f->blob->location);
    f->blob->location = url.ptr;
    f->version++;
    return IB_OK;
}

static ib_status refresh(fetch *f, slot *s, ib_error *err) {
    ib_http_reply r = {0};
    if (s->version != f->version)
        return IB_OK;
    IB_TRY(count_failure(f, &s->h, err));
    ib_status st = ib_http_head(f->http, f->blob->url, IB_HTTP_TRIES, &r, err);
    if (st == IB_OK && (r.h.status >= 400 || strcmp(r.h.etag, f->blob->etag) != 0))
        st = ib_http_refused(f->http, &r.h, "the model", f->blob->url, err);
    if (st == IB_OK) {
        free(f->blob->location);
        f->blob->location = ib_strdup(r.url.ptr);
        f->version++;
        f->redirects = 0;
        if (!f->blob->location)
            st = ib_fail_memory(err, r.url.len, "a URL");
    }
    ib_http_reply_clear(&r);
    return st;
}

static ib_status settle(fetch *f, slot *s, int code, ib_error *err) {
    const ib_partial *p = &f->partial;
    ib_error why = {0};
    if (!s->judged && code == CURLE_OK) /* no body at all */
        s->v = judge(s);
    if (s->v == GOOD && code != CURLE_OK) {
        ib_status st = ib_http_failed(&s->transfer, code, f->blob->location, &why);
        if (!ib_http_may_retry(code))
            return ib_fail(err, st, "%s", why.text);
        s->v = because(f, AGAIN,
                       s->transfer.message[0] ? s->transfer.message
                                              : curl_easy_strerror((CURLcode)code));
    } else if (s->v == GOOD && p->segment * s->segment + p->done[s->segment] != s->to) {
        s->v = because(f, AGAIN, "fewer bytes than announced");
    }
    switch (s->v) {
    case GOOD:
        return IB_OK;
    case AGAIN:
        if (!f->ranges && p->bytes) /* what came cannot be continued */
            IB_TRY(restart(f, err));
        return count_failure(f, &s->h, err);
    case MOVED:
        return follow(f, s, err);
    case REFRESH:
        return refresh(f, s, err);
    case NO_RANGES:
        f->ranges = false;
        f->n_slots = 1;
        return restart(f, err);
    case RESTART:
        return restart(f, err);
    case FATAL:
        break;
    }
    return ib_fail(err, f->status, "%s", f->error.text);
}

static ib_status take_messages(fetch *f, ib_error *err) {
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(f->multi, &left));) {
        slot *s = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        int code = (int)m->data.result;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&s);
        (void)curl_multi_remove_handle(f->multi, s->transfer.easy);
        s->active = false;
        IB_TRY(settle(f, s, code, err));
    }
    return IB_OK;
}

/* --- a file --- */

static ib_status transfer_all(fetch *f, ib_error *err) {
    enum { HASH_STEP = 32 << 20, POLL_MS = 100 };
    const ib_hub_env *env = ib_http_env(f->http);
    int running;
    while (f->partial.bytes < f->partial.size) {
        IB_TRY(ib_hub_check_stop(env, err));
        IB_TRY(start_free(f, err));
        (void)curl_multi_perform(f->multi, &running);
        IB_TRY(take_messages(f, err));
        uint64_t before = f->partial.hashed;
        IB_TRY(ib_partial_hash(&f->partial, HASH_STEP, err));
        ib_hub_meter_tell(f->meter, env, false);
        if (any_active(f) && before == f->partial.hashed)
            (void)curl_multi_poll(f->multi, NULL, 0, POLL_MS, NULL);
        else if (!any_active(f) && ib_now_ns() < f->not_before_ns)
            IB_TRY(ib_http_wait(f->http, 0.05, err));
    }
    stop_all(f);
    return IB_OK;
}

static ib_status refuse_content(fetch *f, const char *found, ib_error *err) {
    char file[IB_QUOTED];
    return ib_fail(err, IB_E_NETWORK,
                   "wrong content in '%s' as it came: %s %s, expected %s; fix: try again later, or "
                   "report it to who runs HF_ENDPOINT",
                   ib_quotez(f->blob->file, file), ib_digest_name(ib_digest_kind_of(f->blob->etag)),
                   found, f->blob->etag);
}

/* Until the content is right. What an earlier process left may be wrong: then it comes anew. */
static ib_status transfer_checked(fetch *f, ib_error *err) {
    char found[65];
    bool good = false;
    for (;;) {
        bool resumed = f->partial.found > 0;
        IB_TRY(transfer_all(f, err));
        IB_TRY(ib_partial_check(&f->partial, &good, found, err));
        if (good)
            return ib_partial_publish(&f->partial, f->layout, err);
        if (!resumed) {
            ib_partial_close(&f->partial, false);
            return refuse_content(f, found, err);
        }
        (void)refuse_content(f, found, &f->last);
        IB_TRY(restart(f, err));
    }
}

static ib_status fetch_locked(fetch *f, bool may_resume, ib_error *err) {
    IB_TRY(ib_partial_open(&f->partial, f->layout, f->blob->etag, f->blob->size, may_resume, err));
    if (f->partial.digest.kind == IB_DIGEST_NONE)
        ib_log_warn(ib_http_log(f->http), "the hub gives no hash of a file that comes now: its "
                                          "content cannot be checked");
    f->meter->now.done += f->partial.bytes;
    f->bytes_at_failure = f->partial.bytes;
    f->ranges = true;
    f->n_slots = f->partial.n_segments < SLOTS ? f->partial.n_segments : SLOTS;
    f->multi = curl_multi_init();
    ib_status st = f->multi ? IB_OK : ib_fail_memory(err, 0, "a download");
    if (st == IB_OK)
        st = transfer_checked(f, err);
    stop_all(f);
    for (size_t i = 0; i < SLOTS; i++) {
        ib_http_transfer_free(&f->slots[i].transfer);
        ib_buf_clear(&f->slots[i].block);
    }
    if (f->multi)
        (void)curl_multi_cleanup(f->multi);
    /* a full disk gets its room back; otherwise what came is kept for the next try */
    ib_partial_close(&f->partial, st != IB_OK && st != IB_E_RESOURCE && f->partial.bytes > 0);
    return st;
}

ib_status ib_hub_fetch(ib_http *h, const ib_hub_layout *l, ib_hub_blob *blob, ib_hub_meter *meter,
                       ib_error *err) {
    const ib_hub_env *env = ib_http_env(h);
    unsigned timeout_s = env->download_timeout_s ? env->download_timeout_s : 10;
    ib_hub_lock lock;
    fetch *f = calloc(1, sizeof *f);
    if (!f)
        return ib_fail_memory(err, sizeof *f, "a download");
    f->http = h;
    f->layout = l;
    f->blob = blob;
    f->meter = meter;
    f->partial.fd = -1;
    meter->now.file = blob->file;
    ib_status st = ib_hub_lock_take(&lock, l, blob->etag, timeout_s * 3, env, ib_http_log(h), err);
    if (st == IB_OK && ib_hub_has_blob(l, blob->etag, blob->size))
        meter->now.done += blob->size; /* another process fetched it */
    else if (st == IB_OK)
        st = fetch_locked(f, lock.trusted, err);
    ib_hub_lock_release(&lock);
    ib_hub_meter_tell(meter, env, true);
    free(f);
    return st;
}
