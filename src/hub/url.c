/* SPDX-License-Identifier: MIT
 * URLs as text: taking apart, comparing origins, following a Location. See parse.h. */
#include "hub/parse.h"

#include <string.h>
#include <strings.h>

static bool starts_ci(ib_str text, const char *prefix) {
    size_t n = strlen(prefix);
    return text.len >= n && strncasecmp(text.ptr, prefix, n) == 0;
}

static bool visible(ib_str text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] <= 0x20 || (unsigned char)text.ptr[i] >= 0x7F)
            return false;
    return true;
}

static bool host_ok(ib_str host) {
    bool v6 = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (host.len == 0 || host.len > 255)
        return false;
    for (size_t i = v6; i < host.len - v6; i++) {
        char c = host.ptr[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        bool word = hex || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
        if (v6 ? !(hex || c == ':' || c == '.') : !(word || c == '.'))
            return false;
    }
    return true;
}

bool ib_hub_url_parse(ib_str text, ib_hub_url *out) {
    uint64_t port = 0;
    *out = (ib_hub_url){.tls = starts_ci(text, "https://")};
    if (text.len > IB_HUB_URL_MAX || !visible(text) || (!out->tls && !starts_ci(text, "http://")))
        return false;
    size_t begin = out->tls ? 8 : 7, end = begin;
    while (end < text.len && !memchr("/?#", text.ptr[end], 3))
        end++;
    ib_str authority = {text.ptr + begin, end - begin};
    out->rest = (ib_str){text.ptr + end, text.len - end};
    size_t n = authority.len;
    while (n && authority.ptr[n - 1] >= '0' && authority.ptr[n - 1] <= '9')
        n--;
    bool has_port = n && n < authority.len && authority.ptr[n - 1] == ':';
    if (has_port && !ib_parse_u64((ib_str){authority.ptr + n, authority.len - n}, &port))
        return false;
    if (has_port && (port == 0 || port > 65535))
        return false;
    out->host = (ib_str){authority.ptr, has_port ? n - 1 : authority.len};
    out->port = has_port ? (unsigned)port : out->tls ? 443 : 80;
    return host_ok(out->host);
}

bool ib_hub_url_same_origin(const ib_hub_url *a, const ib_hub_url *b) {
    return a->tls == b->tls && a->port == b->port && a->host.len == b->host.len &&
           strncasecmp(a->host.ptr, b->host.ptr, a->host.len) == 0;
}

bool ib_hub_url_is_loopback(const ib_hub_url *u) {
    if (ib_str_is(u->host, "[::1]") || (u->host.len == 9 && starts_ci(u->host, "localhost")))
        return true;
    if (!ib_str_starts(u->host, "127."))
        return false;
    for (size_t i = 0; i < u->host.len; i++)
        if (!memchr("0123456789.", u->host.ptr[i], 11))
            return false;
    return true;
}

/* Only the host is shown: the rest may hold a password. */
static ib_status bad_endpoint(ib_error *err, ib_str text, const char *why) {
    char quoted[IB_QUOTED];
    for (size_t i = text.len; i-- > 0;) {
        if (text.ptr[i] == '@') {
            text = (ib_str){text.ptr + i + 1, text.len - i - 1};
            break;
        }
    }
    return ib_fail(err, IB_E_USAGE,
                   "bad value in HF_ENDPOINT: '%s' %s; fix: give https://HOST[:PORT], or unset it",
                   ib_quote(text, quoted), why);
}

ib_status ib_hub_endpoint_parse(ib_str text, ib_str *out, ib_error *err) {
    ib_hub_url url;
    size_t authority = 0;
    while (text.len && text.ptr[text.len - 1] == '/')
        text.len--;
    for (size_t i = 0; i < text.len && !authority; i++)
        authority = text.ptr[i] == '@' ? i : 0;
    if (authority)
        return bad_endpoint(err, text, "holds a user or password");
    if (!ib_hub_url_parse(text, &url))
        return bad_endpoint(err, text, "is no http or https URL");
    if (url.rest.len &&
        (memchr(url.rest.ptr, '?', url.rest.len) || memchr(url.rest.ptr, '#', url.rest.len)))
        return bad_endpoint(err, text, "has a query");
    if (!url.tls && !ib_hub_url_is_loopback(&url))
        return bad_endpoint(err, text, "is plain http to another machine");
    *out = text;
    return IB_OK;
}

/* What may be shown of a Location: no query, nothing in front of '@'. */
static const char *quote_location(ib_str location, char quoted[IB_QUOTED]) {
    ib_str text = ib_hub_url_shown(location);
    for (size_t i = text.len; i-- > 0;)
        if (text.ptr[i] == '@')
            return ib_quote((ib_str){text.ptr + i + 1, text.len - i - 1}, quoted);
    return ib_quote(text, quoted);
}

ib_status ib_hub_url_join(ib_str base, ib_str location, ib_buf *out, ib_error *err) {
    char quoted[IB_QUOTED];
    ib_hub_url from, to;
    size_t at = out->len;
    if (!ib_hub_url_parse(base, &from))
        return ib_fail(err, IB_E_NETWORK, "bad URL '%s'", ib_quote(base, quoted));
    const char *scheme = from.tls ? "https:" : "http:";
    size_t origin = (size_t)(from.rest.ptr - base.ptr);
    if (ib_str_starts(location, "//")) {
        IB_TRY(ib_buf_adds(out, scheme, err));
    } else if (ib_str_starts(location, "/")) {
        IB_TRY(ib_buf_add(out, base.ptr, origin, err));
    } else if (!starts_ci(location, "http://") && !starts_ci(location, "https://")) {
        /* relative to the folder of the base */
        const char *colon = location.len ? memchr(location.ptr, ':', location.len) : NULL;
        size_t n = origin;
        for (size_t i = origin; i < base.len && !memchr("?#", base.ptr[i], 2); i++)
            n = base.ptr[i] == '/' ? i + 1 : n;
        if (location.len == 0 || colon)
            return ib_fail(err, IB_E_NETWORK,
                           "redirect to something that is no http or https URL: '%s'; fix: check "
                           "HF_ENDPOINT and the proxy",
                           quote_location(location, quoted));
        IB_TRY(ib_buf_add(out, base.ptr, n, err));
        if (n == origin)
            IB_TRY(ib_buf_addc(out, '/', err));
    }
    IB_TRY(ib_buf_add(out, location.ptr, location.len, err));
    if (!ib_hub_url_parse((ib_str){out->ptr + at, out->len - at}, &to))
        return ib_fail(err, IB_E_NETWORK,
                       "redirect to a malformed URL: '%s'; fix: check HF_ENDPOINT and the proxy",
                       quote_location(location, quoted));
    return IB_OK;
}

ib_status ib_hub_url_escape(ib_buf *out, ib_str text, bool keep_slash, ib_error *err) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     (c && strchr("-._~", c)) || (keep_slash && c == '/');
        char code[3] = {'%', hex[c >> 4], hex[c & 15]};
        IB_TRY(plain ? ib_buf_addc(out, (char)c, err) : ib_buf_add(out, code, 3, err));
    }
    return IB_OK;
}

ib_str ib_hub_url_shown(ib_str url) {
    for (size_t i = 0; i < url.len; i++)
        if (url.ptr[i] == '?' || url.ptr[i] == '#')
            return (ib_str){url.ptr, i};
    return url;
}
