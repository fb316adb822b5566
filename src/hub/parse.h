/* SPDX-License-Identifier: MIT
 * Text from a server, a cache file or the user -> plain values. Pure functions: no network, no
 * file, no clock, nothing kept. Whatever they are given, they read no byte outside of it and either
 * fill their result or refuse. Statuses: IB_E_NETWORK for what a server said, unless another is
 * named. */
#ifndef IB_HUB_PARSE_H
#define IB_HUB_PARSE_H

#include "base/str.h"

enum {
    IB_HUB_ETAG_MAX = 128,            /* bytes of an etag */
    IB_HUB_NAME_MAX = 1024,           /* bytes of a file's path in a repository */
    IB_HUB_URL_MAX = 16 * 1024,       /* bytes of a URL; signed ones are long */
    IB_HUB_HEADERS_MAX = 300 * 1000,  /* bytes of the header block of one answer */
    IB_HUB_API_MAX = 64 * 1000 * 1000 /* bytes of an answer in JSON */
};
/* The largest file that is believed. */
#define IB_HUB_FILE_MAX (UINT64_C(1) << 43)

/* --- names --- */

/* "name" or "org/name": [A-Za-z0-9._-], at most 96 bytes. */
bool ib_hub_id_ok(ib_str id);
/* A branch, tag or commit that is safe as a path below refs/. */
bool ib_hub_revision_ok(ib_str revision);
/* 40 lower-case hex digits. */
bool ib_hub_is_commit(ib_str text);
/* A file's path in a repository that is safe below a snapshot: relative, of plain components. */
bool ib_hub_file_ok(ib_str name);
/* What a refs/ file holds -> the commit; white space at its end is ignored. */
bool ib_hub_ref_parse(ib_str text, char commit[41]);

/* --- URLs --- */

typedef struct ib_hub_url { /* slices of the text */
    bool tls;
    ib_str host;   /* with the brackets of an IPv6 address */
    unsigned port; /* the scheme's when the text has none */
    ib_str rest;   /* from the first '/', '?' or '#' on; may be empty */
} ib_hub_url;

/* An absolute http or https URL without a user part, of visible ASCII. */
bool ib_hub_url_parse(ib_str text, ib_hub_url *out);
/* Same scheme, host and port: where a token may go. */
bool ib_hub_url_same_origin(const ib_hub_url *a, const ib_hub_url *b);
/* 127.0.0.0/8, ::1 or localhost. */
bool ib_hub_url_is_loopback(const ib_hub_url *u);
/* HF_ENDPOINT -> *out without slash at its end. IB_E_USAGE when it is none: other scheme, a user
 * part, a query, plain http to another machine. */
ib_status ib_hub_endpoint_parse(ib_str text, ib_str *out, ib_error *err) IB_MUST_CHECK;
/* A Location header against the URL that was asked; appends the absolute URL to out. */
ib_status ib_hub_url_join(ib_str base, ib_str location, ib_buf *out, ib_error *err) IB_MUST_CHECK;
/* Appends text percent-encoded; '/' stays when keep_slash. */
ib_status ib_hub_url_escape(ib_buf *out, ib_str text, bool keep_slash, ib_error *err) IB_MUST_CHECK;
/* The URL without query and fragment. */
ib_str ib_hub_url_shown(ib_str url);

/* --- answers --- */

typedef struct ib_hub_headers {         /* slices of the block; an absent one is {NULL, 0} */
    int status;                         /* of the last status line; 0 = none */
    char commit[41];                    /* X-Repo-Commit; "" = absent */
    char etag[IB_HUB_ETAG_MAX + 1];     /* X-Linked-Etag, else ETag, bare; "" = absent */
    char own_etag[IB_HUB_ETAG_MAX + 1]; /* ETag, bare; "" = absent */
    bool has_linked_size, has_length, has_range;
    uint64_t linked_size, length;            /* X-Linked-Size, Content-Length */
    uint64_t range_first, range_last, total; /* Content-Range: bytes first-last/total */
    ib_str location, link, retry_after, error_code, error_message, encoding;
} ib_hub_headers;

/* The header block of an answer; with several (an interim answer, a proxy's) the last one counts.
 * Refused: two values of a number that differ, a number that is none, a malformed commit or etag.
 */
ib_status ib_hub_headers_parse(ib_hub_headers *out, ib_str block, ib_error *err) IB_MUST_CHECK;
/* Retry-After -> seconds from now_s (seconds since 1970); -1 = absent, negative or unreadable. */
int64_t ib_hub_retry_after(ib_str text, int64_t now_s);
/* The target of rel="next" in a Link header; {NULL, 0} when there is none. */
ib_str ib_hub_link_next(ib_str link);

/* One element of the list of a repository's files. */
typedef struct ib_hub_entry {
    char name[IB_HUB_NAME_MAX + 1]; /* safe: see ib_hub_file_ok */
    bool is_file;
    uint64_t size;                  /* of the content */
    char etag[IB_HUB_ETAG_MAX + 1]; /* SHA-256 of an LFS file, else git's SHA-1; "" = unknown */
} ib_hub_entry;

/* Takes the next element off an answer of the tree API, a JSON array of objects: *rest is the text
 * that is left (the whole answer at first). *found false at the end of the array. */
ib_status ib_hub_listing_next(ib_str *rest, bool *found, ib_hub_entry *out,
                              ib_error *err) IB_MUST_CHECK;

#endif
