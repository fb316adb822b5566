/* SPDX-License-Identifier: MIT
 * The header block of an answer, and the values in it that have a form of their own. See parse.h.
 */
#include "hub/parse.h"

#include <string.h>
#include <strings.h>
#include <time.h>

static ib_str trimmed(ib_str s) {
    while (s.len && memchr(" \t\r\n", s.ptr[0], 4))
        s = (ib_str){s.ptr + 1, s.len - 1};
    while (s.len && memchr(" \t\r\n", s.ptr[s.len - 1], 4))
        s.len--;
    return s;
}

static bool name_is(ib_str name, const char *wanted) {
    return name.len == strlen(wanted) && strncasecmp(name.ptr, wanted, name.len) == 0;
}

static ib_status bad_header(ib_error *err, const char *name, ib_str value) {
    char quoted[IB_QUOTED];
    return ib_fail(err, IB_E_NETWORK,
                   "bad header in the answer: %s: '%s'; fix: check HF_ENDPOINT and the proxy", name,
                   ib_quote(value, quoted));
}

static ib_status take_number(ib_str value, const char *name, bool *has, uint64_t *out,
                             ib_error *err) {
    uint64_t n;
    if (!ib_parse_u64(value, &n) || n > INT64_MAX || (*has && n != *out))
        return bad_header(err, name, value);
    *has = true;
    *out = n;
    return IB_OK;
}

/* Without W/ and quotes; only what is safe as the name of a file. */
static ib_status take_etag(ib_str value, const char *name, char out[IB_HUB_ETAG_MAX + 1],
                           ib_error *err) {
    ib_str bare = value;
    if (ib_str_starts(bare, "W/"))
        bare = (ib_str){bare.ptr + 2, bare.len - 2};
    while (bare.len && bare.ptr[0] == '"')
        bare = (ib_str){bare.ptr + 1, bare.len - 1};
    while (bare.len && bare.ptr[bare.len - 1] == '"')
        bare.len--;
    bool good = bare.len > 0 && bare.len <= IB_HUB_ETAG_MAX && bare.ptr[0] != '.';
    for (size_t i = 0; good && i < bare.len; i++) {
        char c = bare.ptr[i];
        good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '-' || c == '_' || c == '.' || c == '+' || c == '=';
    }
    if (!good)
        return bad_header(err, name, value);
    memcpy(out, bare.ptr, bare.len);
    out[bare.len] = '\0';
    return IB_OK;
}

/* "bytes first-last/total"; "bytes * /total" of a 416 and other units count as absent. */
static ib_status take_range(ib_hub_headers *h, ib_str value, ib_error *err) {
    const ib_str whole = value;
    if (!ib_str_starts(value, "bytes "))
        return IB_OK;
    value = trimmed((ib_str){value.ptr + 6, value.len - 6});
    const char *dash = memchr(value.ptr, '-', value.len);
    const char *slash = memchr(value.ptr, '/', value.len);
    if (ib_str_starts(value, "*"))
        return IB_OK;
    if (!dash || !slash || dash > slash)
        return bad_header(err, "Content-Range", whole);
    ib_str first = {value.ptr, (size_t)(dash - value.ptr)};
    ib_str last = {dash + 1, (size_t)(slash - dash - 1)};
    ib_str total = {slash + 1, value.len - (size_t)(slash + 1 - value.ptr)};
    if (!ib_parse_u64(first, &h->range_first) || !ib_parse_u64(last, &h->range_last) ||
        !ib_parse_u64(total, &h->total) || h->range_last < h->range_first ||
        h->range_last >= h->total)
        return bad_header(err, "Content-Range", whole);
    h->has_range = true;
    return IB_OK;
}

static ib_status take_commit(ib_hub_headers *h, ib_str value, ib_error *err) {
    if (!ib_hub_is_commit(value))
        return bad_header(err, "X-Repo-Commit", value);
    memcpy(h->commit, value.ptr, 40);
    h->commit[40] = '\0';
    return IB_OK;
}

/* linked: X-Linked-Etag was seen, which counts before ETag. */
static ib_status take_line(ib_hub_headers *h, bool *linked, ib_str name, ib_str value,
                           ib_error *err) {
    const struct {
        const char *name;
        ib_str *to;
    } texts[] = {{"location", &h->location},
                 {"link", &h->link},
                 {"retry-after", &h->retry_after},
                 {"x-error-code", &h->error_code},
                 {"x-error-message", &h->error_message},
                 {"content-encoding", &h->encoding}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (name_is(name, texts[i].name))
            *texts[i].to = value;
    if (name_is(name, "content-length"))
        return take_number(value, "Content-Length", &h->has_length, &h->length, err);
    if (name_is(name, "x-linked-size"))
        return take_number(value, "X-Linked-Size", &h->has_linked_size, &h->linked_size, err);
    if (name_is(name, "content-range"))
        return take_range(h, value, err);
    if (name_is(name, "x-repo-commit"))
        return take_commit(h, value, err);
    if (name_is(name, "x-linked-etag")) {
        *linked = true;
        return take_etag(value, "X-Linked-Etag", h->etag, err);
    }
    if (!name_is(name, "etag"))
        return IB_OK;
    IB_TRY(take_etag(value, "ETag", h->own_etag, err));
    if (!*linked)
        memcpy(h->etag, h->own_etag, sizeof h->etag);
    return IB_OK;
}

static int status_of(ib_str line) {
    const char *space = memchr(line.ptr, ' ', line.len);
    size_t at = space ? (size_t)(space - line.ptr) + 1 : line.len;
    if (at + 3 > line.len)
        return 0;
    int status = 0;
    for (size_t i = 0; i < 3; i++) {
        if (line.ptr[at + i] < '0' || line.ptr[at + i] > '9')
            return 0;
        status = status * 10 + (line.ptr[at + i] - '0');
    }
    return status;
}

ib_status ib_hub_headers_parse(ib_hub_headers *out, ib_str block, ib_error *err) {
    bool linked = false;
    *out = (ib_hub_headers){0};
    if (block.len > IB_HUB_HEADERS_MAX)
        return ib_fail(err, IB_E_NETWORK,
                       "headers too large in the answer: more than %d bytes; fix: check "
                       "HF_ENDPOINT and the proxy",
                       IB_HUB_HEADERS_MAX);
    for (size_t at = 0; at < block.len;) {
        const char *newline = memchr(block.ptr + at, '\n', block.len - at);
        size_t n = newline ? (size_t)(newline - block.ptr) - at : block.len - at;
        ib_str line = {block.ptr + at, n};
        at += n + 1;
        if (ib_str_starts(line, "HTTP/")) {
            *out = (ib_hub_headers){.status = status_of(line)};
            linked = false;
            continue;
        }
        const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
        if (!colon || line.ptr[0] == ' ' || line.ptr[0] == '\t')
            continue;
        ib_str name = {line.ptr, (size_t)(colon - line.ptr)};
        ib_str value = trimmed((ib_str){colon + 1, line.len - name.len - 1});
        IB_TRY(take_line(out, &linked, name, value, err));
    }
    return IB_OK;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" -> seconds since 1970; -1 when it is none. */
static int64_t http_date(ib_str text) {
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = {0};
    uint64_t part[5];
    static const struct {
        unsigned char at, n;
    } places[5] = {{5, 2}, {12, 4}, {17, 2}, {20, 2}, {23, 2}};
    if (text.len != 29 || !ib_str_ends(text, " GMT"))
        return -1;
    for (size_t i = 0; i < 5; i++)
        if (!ib_parse_u64((ib_str){text.ptr + places[i].at, places[i].n}, &part[i]))
            return -1;
    tm.tm_mon = -1;
    for (int m = 0; m < 12; m++)
        if (memcmp(text.ptr + 8, months + (size_t)m * 3, 3) == 0)
            tm.tm_mon = m;
    if (tm.tm_mon < 0 || part[1] < 1970 || part[0] < 1 || part[0] > 31 || part[2] > 23 ||
        part[3] > 59 || part[4] > 60)
        return -1;
    tm.tm_mday = (int)part[0];
    tm.tm_year = (int)part[1] - 1900;
    tm.tm_hour = (int)part[2];
    tm.tm_min = (int)part[3];
    tm.tm_sec = (int)part[4];
    return (int64_t)timegm(&tm);
}

int64_t ib_hub_retry_after(ib_str text, int64_t now_s) {
    uint64_t seconds;
    if (ib_parse_u64(text, &seconds))
        return seconds > INT32_MAX ? INT32_MAX : (int64_t)seconds;
    int64_t date = http_date(text);
    if (date < 0)
        return -1;
    if (date <= now_s)
        return 0;
    return date - now_s > INT32_MAX ? INT32_MAX : date - now_s;
}

ib_str ib_hub_link_next(ib_str link) {
    for (size_t at = 0; at < link.len;) {
        const char *open = memchr(link.ptr + at, '<', link.len - at);
        const char *end = link.ptr + link.len;
        const char *close = open ? memchr(open, '>', (size_t)(end - open)) : NULL;
        if (!close)
            break;
        const char *next = memchr(close, '<', (size_t)(end - close));
        const char *stop = next ? next : end;
        for (const char *p = close; p + 8 <= stop; p++)
            if (strncasecmp(p, "rel=next", 8) == 0 ||
                (p + 10 <= stop && strncasecmp(p, "rel=\"next\"", 10) == 0))
                return (ib_str){open + 1, (size_t)(close - open - 1)};
        at = (size_t)(stop - link.ptr);
    }
    return (ib_str){NULL, 0};
}
