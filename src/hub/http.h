/* SPDX-License-Identifier: MIT
 * Requests to the hub and to where it sends us, on libcurl. The rules that hold for each of them:
 * https only (plain http only from and to this machine), the token only to the endpoint's own
 * origin, redirects followed one by one, sizes and times limited, statuses 408, 429 and 5xx and cut
 * connections tried again at most IB_HTTP_TRIES times in all. */
#ifndef IB_HUB_HTTP_H
#define IB_HUB_HTTP_H

#include "hub/hub.h"
#include "hub/parse.h"

enum { IB_HTTP_TRIES = 5, IB_HTTP_REDIRECTS = 10, IB_HTTP_WAIT_MAX_S = 120 };

typedef struct ib_http ib_http;

/* Reads the token (option, environment, file) and opens the transport; sends nothing. */
ib_status ib_http_open(ib_http **out, const ib_hub_env *env, const ib_log *log,
                       ib_error *err) IB_MUST_CHECK;
void ib_http_close(ib_http *h);
const char *ib_http_endpoint(const ib_http *h); /* without slash at its end */
bool ib_http_has_token(const ib_http *h);
const ib_hub_env *ib_http_env(const ib_http *h);
const ib_log *ib_http_log(const ib_http *h);

typedef struct ib_http_reply {
    ib_buf block, body; /* owned; h points into block */
    ib_hub_headers h;
    ib_buf url;       /* owned: where it came from, after redirects */
    bool unreachable; /* on IB_E_NETWORK: no answer at all, or none but "try later" */
} ib_http_reply;

void ib_http_reply_clear(ib_http_reply *r);

/* HEAD, or GET with a body of at most IB_HUB_API_MAX. Follows redirects within the endpoint's
 * origin; any other redirect is the answer (status 3xx, its target in r->url). tries: at most so
 * many for an answer that says "later". Any status but those is IB_OK: the caller judges it. */
ib_status ib_http_head(ib_http *h, const char *url, int tries, ib_http_reply *r,
                       ib_error *err) IB_MUST_CHECK;
ib_status ib_http_get(ib_http *h, const char *url, int tries, ib_http_reply *r,
                      ib_error *err) IB_MUST_CHECK;

/* What an answer that is no success means to the user; what: "model 'x'". Returns its status. */
ib_status ib_http_refused(const ib_http *h, const ib_hub_headers *a, const char *what,
                          const char *url, ib_error *err);
/* 408, 429, 500, 502, 503, 504. */
bool ib_http_is_later(int status);
/* How long to wait before try number n (from 1) goes wrong again: what the server asks for, else
 * 0.5, 1, 2, 4 s. Negative: the server asks for more than IB_HTTP_WAIT_MAX_S. */
double ib_http_delay(const ib_hub_headers *a, int n);
/* Sleeps; ends early with IB_E_INTERRUPTED or IB_E_TERMINATED. */
ib_status ib_http_wait(const ib_http *h, double seconds, ib_error *err) IB_MUST_CHECK;
/* Whether a body may be fetched from there: https, or plain http on this machine for an endpoint of
 * that kind. */
ib_status ib_http_may_follow(const ib_http *h, const char *url, ib_error *err) IB_MUST_CHECK;

/* A transfer that the caller drives (fetch.c): url with the rules above set, body and headers to
 * the callbacks (as CURLOPT_WRITEFUNCTION and HEADERFUNCTION). first..last: Range, last
 * UINT64_MAX = none. Free with ib_http_transfer_free. */
typedef size_t (*ib_http_sink)(char *bytes, size_t size, size_t n, void *user);
typedef struct ib_http_transfer {
    void *easy;   /* owned CURL */
    void *fields; /* owned curl_slist */
    char message[256];
} ib_http_transfer;
ib_status ib_http_transfer_start(ib_http_transfer *t, ib_http *h, const char *url, uint64_t first,
                                 uint64_t last, ib_error *err) IB_MUST_CHECK;
void ib_http_transfer_sinks(ib_http_transfer *t, ib_http_sink on_header, ib_http_sink on_body,
                            void *user);
void ib_http_transfer_free(ib_http_transfer *t);
/* curl's code -> whether another try may help, and a text without secrets. */
bool ib_http_may_retry(int curl_code);
ib_status ib_http_failed(const ib_http_transfer *t, int curl_code, const char *url, ib_error *err);

#endif
