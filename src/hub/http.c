/* SPDX-License-Identifier: MIT
 * See http.h. */
#include "hub/http.h"

#include "base/file.h"
#include "hub/layout.h"
#include "hub/lock.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TOKEN_MAX = 4096, LOW_SPEED_BYTES = 1024, GET_TOTAL_S = 300 };

struct ib_http {
    const ib_hub_env *env; /* borrowed */
    const ib_log *log;     /* borrowed */
    char *endpoint;        /* owned */
    char *authorization;   /* owned: the header's line; NULL = no token */
    ib_hub_url origin;     /* slices of endpoint */
    CURL *easy;            /* owned: for short requests, keeps its connection */
};

const char *ib_http_endpoint(const ib_http *h) {
    return h->endpoint;
}

bool ib_http_has_token(const ib_http *h) {
    return h->authorization != NULL;
}

const ib_hub_env *ib_http_env(const ib_http *h) {
    return h->env;
}

const ib_log *ib_http_log(const ib_http *h) {
    return h->log;
}

/* --- opening --- */

static ib_str trimmed(const char *text) {
    ib_str s = ib_str_of(text);
    while (s.len && memchr(" \t\r\n", s.ptr[0], 4))
        s = (ib_str){s.ptr + 1, s.len - 1};
    while (s.len && memchr(" \t\r\n", s.ptr[s.len - 1], 4))
        s.len--;
    return s;
}

/* The token becomes a header line: nothing in it may end that line. It is never printed. */
static ib_status set_token(ib_http *h, const char *text, const char *source, ib_error *err) {
    ib_str token = trimmed(text);
    ib_buf line;
    if (token.len == 0)
        return IB_OK;
    for (size_t i = 0; i < token.len; i++)
        if ((unsigned char)token.ptr[i] <= 0x20 || (unsigned char)token.ptr[i] >= 0x7F ||
            token.len > TOKEN_MAX)
            return ib_fail(err, IB_E_USAGE,
                           "malformed token in %s: not one word of visible ASCII; fix: copy it "
                           "again from the hub's settings",
                           source);
    ib_buf_init(&line);
    ib_status st = ib_buf_adds(&line, "Authorization: Bearer ", err);
    if (st == IB_OK)
        st = ib_buf_add(&line, token.ptr, token.len, err);
    if (st != IB_OK)
        ib_buf_clear(&line);
    h->authorization = line.ptr;
    return st;
}

static ib_status find_token(ib_http *h, ib_error *err) {
    const ib_hub_env *env = h->env;
    ib_buf text;
    if (env->token)
        return set_token(h, env->token, "--token", err);
    if (env->no_implicit_token)
        return IB_OK;
    if (env->hf_token)
        return set_token(h, env->hf_token, "HF_TOKEN", err);
    char *path = env->token_path ? ib_strdup(env->token_path) : ib_hub_home_path(env, "token");
    ib_buf_init(&text);
    ib_status st = IB_OK;
    if (path && ib_path_exists(path)) {
        st = ib_file_read(&text, path, TOKEN_MAX, err);
        if (st == IB_OK)
            st = set_token(h, text.ptr ? text.ptr : "", "the token file", err);
    }
    if (text.ptr)
        memset(text.ptr, 0, text.len);
    ib_buf_clear(&text);
    free(path);
    return st;
}

static ib_status find_endpoint(ib_http *h, ib_error *err) {
    const char *text = h->env->endpoint ? h->env->endpoint : "https://huggingface.co";
    ib_str endpoint;
    IB_TRY(ib_hub_endpoint_parse(ib_str_of(text), &endpoint, err));
    h->endpoint = ib_strndup(endpoint.ptr, endpoint.len);
    if (!h->endpoint)
        return ib_fail_memory(err, endpoint.len, "a URL");
    (void)ib_hub_url_parse(ib_str_of(h->endpoint), &h->origin);
    return IB_OK;
}

ib_status ib_http_open(ib_http **out, const ib_hub_env *env, const ib_log *log, ib_error *err) {
    *out = NULL;
    ib_http *h = calloc(1, sizeof *h);
    if (!h)
        return ib_fail_memory(err, sizeof *h, "the hub's client");
    h->env = env;
    h->log = log;
    ib_status st = find_endpoint(h, err);
    if (st == IB_OK)
        st = find_token(h, err);
    if (st == IB_OK && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        st = ib_fail(err, IB_E_NETWORK, "libcurl cannot start; fix: check its installation");
    if (st == IB_OK && !(h->easy = curl_easy_init())) {
        curl_global_cleanup();
        st = ib_fail_memory(err, 0, "the hub's client");
    }
    if (st != IB_OK)
        ib_http_close(h);
    else
        *out = h;
    return st;
}

void ib_http_close(ib_http *h) {
    if (!h)
        return;
    if (h->easy) {
        curl_easy_cleanup(h->easy);
        curl_global_cleanup();
    }
    if (h->authorization)
        memset(h->authorization, 0, strlen(h->authorization));
    free(h->authorization);
    free(h->endpoint);
    free(h);
}

void ib_http_reply_clear(ib_http_reply *r) {
    ib_buf_clear(&r->block);
    ib_buf_clear(&r->body);
    ib_buf_clear(&r->url);
    *r = (ib_http_reply){0};
}

/* --- one transfer --- */

static const char *shown(const char *url, char quoted[IB_QUOTED]) {
    return ib_quote(ib_hub_url_shown(ib_str_of(url)), quoted);
}

ib_status ib_http_may_follow(const ib_http *h, const char *url, ib_error *err) {
    ib_hub_url to;
    char quoted[IB_QUOTED];
    bool good = ib_hub_url_parse(ib_str_of(url), &to) &&
                (to.tls || (!h->origin.tls && ib_hub_url_is_loopback(&to)));
    return good ? IB_OK
                : ib_fail(err, IB_E_NETWORK,
                          "redirect to something that is not https: '%s'; fix: check HF_ENDPOINT "
                          "and the proxy",
                          shown(url, quoted));
}

static bool is_own(const ib_http *h, const char *url) {
    ib_hub_url to;
    return ib_hub_url_parse(ib_str_of(url), &to) && ib_hub_url_same_origin(&to, &h->origin);
}

static void set_protocols(CURL *easy, bool plain) {
#if LIBCURL_VERSION_NUM >= 0x075500
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, plain ? "http,https" : "https");
#else
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                           plain ? (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS)
                                 : (long)CURLPROTO_HTTPS);
#endif
}

static void set_limits(CURL *easy, const ib_hub_env *env) {
    long connect_s = env->etag_timeout_s ? (long)env->etag_timeout_s : 10;
    long stall_s = env->download_timeout_s ? (long)env->download_timeout_s : 10;
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, connect_s);
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, (long)LOW_SPEED_BYTES);
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, stall_s);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024);
    (void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "inferbench");
    if (env->ca_file)
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, env->ca_file);
}

static bool add_field(struct curl_slist **fields, const char *line) {
    struct curl_slist *longer = curl_slist_append(*fields, line);
    if (longer)
        *fields = longer;
    return longer != NULL;
}

ib_status ib_http_transfer_start(ib_http_transfer *t, ib_http *h, const char *url, uint64_t first,
                                 uint64_t last, ib_error *err) {
    char range[64];
    struct curl_slist *fields = NULL;
    if (!t->easy && !(t->easy = curl_easy_init()))
        return ib_fail_memory(err, 0, "a transfer");
    curl_easy_reset(t->easy);
    bool good = add_field(&fields, "Accept-Encoding: identity") && add_field(&fields, "Expect:");
    if (good && h->authorization && is_own(h, url))
        good = add_field(&fields, h->authorization);
    curl_slist_free_all(t->fields);
    t->fields = fields;
    t->message[0] = '\0';
    set_limits(t->easy, h->env);
    set_protocols(t->easy, !h->origin.tls);
    good = good && curl_easy_setopt(t->easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, fields) == CURLE_OK &&
           curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->message) == CURLE_OK;
    if (good && last != UINT64_MAX) {
        (void)snprintf(range, sizeof range, "%" PRIu64 "-%" PRIu64, first, last);
        good = curl_easy_setopt(t->easy, CURLOPT_RANGE, range) == CURLE_OK;
    }
    return good ? IB_OK : ib_fail_memory(err, strlen(url), "a transfer");
}

void ib_http_transfer_sinks(ib_http_transfer *t, ib_http_sink on_header, ib_http_sink on_body,
                            void *user) {
    (void)curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, user);
    (void)curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, user);
}

void ib_http_transfer_free(ib_http_transfer *t) {
    if (t->easy)
        curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->fields);
    *t = (ib_http_transfer){0};
}

bool ib_http_may_retry(int code) {
    switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WEIRD_SERVER_REPLY:
        return false;
    default:
        return true;
    }
}

/* libcurl says "out of memory" of a header line over its own limit, too. */
static bool memory_is_there(void) {
    void *test = malloc(1 << 20);
    free(test);
    return test != NULL;
}

ib_status ib_http_failed(const ib_http_transfer *t, int code, const char *url, ib_error *err) {
    char where[IB_QUOTED], why[IB_QUOTED];
    const char *text = t->message[0] ? t->message : curl_easy_strerror((CURLcode)code);
    bool trust = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
    if (code == CURLE_OUT_OF_MEMORY && !memory_is_there())
        return ib_fail_memory(err, 0, "a transfer");
    if (code == CURLE_OUT_OF_MEMORY)
        text = "a header line that is too long";
    return ib_fail(err, IB_E_NETWORK, "no answer from '%s': %s; fix: %s", shown(url, where),
                   ib_quotez(text, why),
                   trust ? "check the clock and SSL_CERT_FILE, or the machine that answers"
                         : "check network, proxy and HF_ENDPOINT; --offline uses what the cache "
                           "holds");
}

/* --- short requests --- */

typedef struct sink {
    ib_http_reply *reply;
    size_t header_max, body_max;
    bool too_large, no_memory;
} sink;

static size_t take(ib_buf *to, size_t max, char *bytes, size_t n, sink *s) {
    if (n > max - to->len)
        s->too_large = true;
    else if (ib_buf_add(to, bytes, n, NULL) != IB_OK)
        s->no_memory = true;
    return s->too_large || s->no_memory ? 0 : n;
}

static size_t on_header(char *bytes, size_t size, size_t n, void *user) {
    sink *s = user;
    return take(&s->reply->block, s->header_max, bytes, size * n, s);
}

static size_t on_body(char *bytes, size_t size, size_t n, void *user) {
    sink *s = user;
    return take(&s->reply->body, s->body_max, bytes, size * n, s);
}

static int on_tick(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const ib_hub_env *env = user;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return env->stop && *env->stop;
}

/* One request without any repetition. *code is curl's. */
static ib_status ask_once(ib_http *h, const char *url, bool head, ib_http_reply *r, int *code,
                          ib_error *err) {
    ib_http_transfer t = {.easy = h->easy};
    sink s = {.reply = r, .header_max = IB_HUB_HEADERS_MAX, .body_max = IB_HUB_API_MAX};
    char where[IB_QUOTED];
    long total_s = h->env->etag_timeout_s ? (long)h->env->etag_timeout_s : 10;
    ib_buf_reset(&r->block);
    ib_buf_reset(&r->body);
    r->h = (ib_hub_headers){0};
    IB_TRY(ib_http_transfer_start(&t, h, url, 0, UINT64_MAX, err));
    ib_http_transfer_sinks(&t, on_header, on_body, &s);
    (void)curl_easy_setopt(t.easy, CURLOPT_NOBODY, head ? 1L : 0L);
    (void)curl_easy_setopt(t.easy, CURLOPT_TIMEOUT, head ? total_s : (long)GET_TOTAL_S);
    (void)curl_easy_setopt(t.easy, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(t.easy, CURLOPT_XFERINFOFUNCTION, on_tick);
    (void)curl_easy_setopt(t.easy, CURLOPT_XFERINFODATA, h->env);
    *code = (int)curl_easy_perform(t.easy);
    ib_status st = ib_hub_check_stop(h->env, err);
    if (st == IB_OK && s.no_memory)
        st = ib_fail_memory(err, r->body.len, "an answer");
    else if (st == IB_OK && s.too_large)
        st = ib_fail(err, IB_E_NETWORK,
                     "answer too large from '%s': headers over %d or body over %d bytes; fix: "
                     "check HF_ENDPOINT and the proxy",
                     shown(url, where), IB_HUB_HEADERS_MAX, IB_HUB_API_MAX);
    else if (st == IB_OK && *code != CURLE_OK)
        st = ib_http_failed(&t, *code, url, err);
    else if (st == IB_OK)
        st = ib_hub_headers_parse(&r->h, (ib_str){r->block.ptr, r->block.len}, err);
    if (st == IB_E_NETWORK && (s.too_large || *code == CURLE_OK))
        *code = -1; /* an answer that is bad as it is */
    (void)curl_easy_setopt(t.easy, CURLOPT_ERRORBUFFER, NULL);
    (void)curl_easy_setopt(t.easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(t.fields);
    return st;
}

bool ib_http_is_later(int status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

double ib_http_delay(const ib_hub_headers *a, int n) {
    int64_t asked = a ? ib_hub_retry_after(a->retry_after, (int64_t)time(NULL)) : -1;
    if (asked > IB_HTTP_WAIT_MAX_S)
        return -1;
    return asked > 0 ? (double)asked : 0.25 * (double)(1 << (n < 5 ? n : 5));
}

ib_status ib_http_wait(const ib_http *h, double seconds, ib_error *err) {
    const struct timespec tick = {.tv_nsec = 50 * 1000 * 1000};
    for (double at = 0; at < seconds; at += 0.05) {
        IB_TRY(ib_hub_check_stop(h->env, err));
        (void)nanosleep(&tick, NULL);
    }
    return IB_OK;
}

/* Asks until there is an answer that is no "later". */
static ib_status ask(ib_http *h, const char *url, bool head, int tries, ib_http_reply *r,
                     ib_error *err) {
    char where[IB_QUOTED];
    for (int n = 1;; n++) {
        int code = 0;
        ib_status st = ask_once(h, url, head, r, &code, err);
        if (st != IB_OK && (st != IB_E_NETWORK || code == -1))
            return st;
        r->unreachable = st != IB_OK || ib_http_is_later(r->h.status);
        /* who does not answer at all is not asked again: the caller may have a cache */
        if (!r->unreachable ||
            (st != IB_OK && (!ib_http_may_retry(code) || code == CURLE_COULDNT_CONNECT ||
                             code == CURLE_COULDNT_RESOLVE_HOST)))
            return st;
        double delay = ib_http_delay(st == IB_OK ? &r->h : NULL, n);
        if (n >= tries || delay < 0)
            return st == IB_OK ? ib_http_refused(h, &r->h, "the hub", url, err) : st;
        ib_log_info(h->log, "'%s' %s; asking again in %.1f s", shown(url, where),
                    st == IB_OK ? "asks to come later" : "does not answer", delay);
        IB_TRY(ib_http_wait(h, delay, err));
    }
}

static bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static ib_status request(ib_http *h, const char *url, bool head, int tries, ib_http_reply *r,
                         ib_error *err) {
    char where[IB_QUOTED];
    ib_buf next;
    ib_buf_init(&next);
    ib_buf_reset(&r->url);
    IB_TRY(ib_buf_adds(&r->url, url, err));
    for (int hops = 0;; hops++) {
        ib_status st = ask(h, r->url.ptr, head, tries, r, err);
        if (st != IB_OK || !is_redirect(r->h.status))
            return st;
        if (hops >= IB_HTTP_REDIRECTS)
            return ib_fail(err, IB_E_NETWORK,
                           "too many redirects from '%s': more than %d; fix: check HF_ENDPOINT and "
                           "the proxy",
                           shown(url, where), IB_HTTP_REDIRECTS);
        st = ib_hub_url_join((ib_str){r->url.ptr, r->url.len}, r->h.location, &next, err);
        if (st == IB_OK)
            st = ib_http_may_follow(h, next.ptr, err);
        ib_buf_clear(&r->url);
        r->url = next;
        ib_buf_init(&next);
        if (st != IB_OK || !is_own(h, r->url.ptr))
            return st;
        /* a HEAD of an LFS file may be answered by a redirect within the origin, too */
        if (head && r->h.etag[0] && r->h.has_linked_size && r->h.commit[0])
            return IB_OK;
    }
}

ib_status ib_http_head(ib_http *h, const char *url, int tries, ib_http_reply *r, ib_error *err) {
    return request(h, url, true, tries, r, err);
}

ib_status ib_http_get(ib_http *h, const char *url, int tries, ib_http_reply *r, ib_error *err) {
    return request(h, url, false, tries, r, err);
}

/* --- what an answer means --- */

static ib_status say_access(const ib_http *h, const ib_hub_headers *a, const char *what,
                            ib_error *err) {
    bool token = ib_http_has_token(h);
    if (a->status == 403 && !ib_str_is(a->error_code, "GatedRepo"))
        return ib_fail(err, IB_E_NETWORK,
                       "access refused to %s (HTTP 403): it is private or gated; fix: %s", what,
                       token ? "use a token that may read it" : "give --token or HF_TOKEN");
    if (ib_str_is(a->error_code, "GatedRepo"))
        return ib_fail(err, IB_E_NETWORK, "access refused to %s: it is gated (HTTP %d); fix: %s",
                       what, a->status,
                       token ? "ask for access on its page, or use a token of an account that has "
                               "it"
                             : "accept its terms on its page, then give --token or HF_TOKEN");
    return ib_fail(err, IB_E_NETWORK, "access refused to %s: %s (HTTP %d); fix: %s", what,
                   ib_str_is(a->error_code, "RepoNotFound") || !token
                       ? "there is no such repository, or it is private"
                       : "the token is not valid",
                   a->status,
                   token ? "check the id and the token (--token, HF_TOKEN, the token file)"
                         : "check the id, or give --token or HF_TOKEN");
}

ib_status ib_http_refused(const ib_http *h, const ib_hub_headers *a, const char *what,
                          const char *url, ib_error *err) {
    char where[IB_QUOTED], said[IB_QUOTED];
    bool disabled = ib_str_is(a->error_code, "DisabledRepo");
    if (!disabled && (a->status == 401 || a->status == 403))
        return say_access(h, a, what, err);
    if (ib_str_is(a->error_code, "RevisionNotFound"))
        return ib_fail(err, IB_E_NETWORK, "no such revision of %s (HTTP %d); fix: check --revision",
                       what, a->status);
    if (ib_str_is(a->error_code, "EntryNotFound"))
        return ib_fail(err, IB_E_NETWORK,
                       "no such file in %s: '%s' (HTTP %d); fix: use another "
                       "repository or revision",
                       what, shown(url, where), a->status);
    if (a->status == 404)
        return ib_fail(err, IB_E_NETWORK, "no such repository: %s (HTTP 404); fix: check the id",
                       what);
    if (a->status == 410 || a->status == 451 || disabled)
        return ib_fail(err, IB_E_NETWORK,
                       "%s is not offered any more (HTTP %d); fix: use another "
                       "model",
                       what, a->status);
    if (a->status == 429)
        return ib_fail(err, IB_E_NETWORK,
                       "too many requests to '%s' (HTTP 429%s%s); fix: wait, or give --token",
                       shown(url, where), a->retry_after.len ? ", Retry-After " : "",
                       ib_quote(a->retry_after, said));
    if (a->status == 200 || a->status == 206)
        return ib_fail(err, IB_E_NETWORK,
                       "not an answer of a hub from '%s' (no X-Repo-Commit, ETag or size); fix: "
                       "check HF_ENDPOINT, the proxy, or log in to this network",
                       shown(url, where));
    return ib_fail(err, IB_E_NETWORK,
                   "unexpected answer from '%s': HTTP %d%s%s; fix: try again "
                   "later, or check HF_ENDPOINT and the proxy",
                   shown(url, where), a->status, a->error_message.len ? ", " : "",
                   ib_quote(a->error_message, said));
}
