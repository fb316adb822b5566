/* SPDX-License-Identifier: MIT
 * What a server says: header blocks, lists of files, URLs; and names that become paths. */
#include "fuzz.h"
#include "hub/parse.h"

#include <string.h>

static ib_status check_slice(ib_str part, ib_str whole) {
    fuzz_must(!part.ptr || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
    fuzz_touch(part.ptr, part.len);
    return IB_OK;
}

ib_status fuzz_http(const uint8_t *data, size_t n, ib_error *err) {
    const ib_str block = {n ? (const char *)data : "", n};
    ib_hub_headers h = {0};
    const ib_status st = ib_hub_headers_parse(&h, block, err);
    if (st != IB_OK)
        return st;
    fuzz_must(h.commit[0] == '\0' || ib_hub_is_commit((ib_str){h.commit, strlen(h.commit)}));
    fuzz_must(memchr(h.etag, '\0', sizeof h.etag) && memchr(h.own_etag, '\0', sizeof h.own_etag));
    fuzz_must(!h.has_range || h.range_first <= h.range_last);
    const ib_str parts[] = {h.location,   h.link,          h.retry_after,
                            h.error_code, h.error_message, h.encoding};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        (void)check_slice(parts[i], block);
    fuzz_must(ib_hub_retry_after(h.retry_after, 1700000000) >= -1);
    const ib_str next = ib_hub_link_next(h.link);
    (void)check_slice(next, block);
    ib_buf url;
    ib_buf_init(&url);
    ib_status joined = ib_hub_url_join(IB_STR("https://h.example/a/b?c"), h.location, &url, err);
    if (joined == IB_OK && url.len) {
        ib_hub_url parsed;
        fuzz_must(ib_hub_url_parse((ib_str){url.ptr, url.len}, &parsed));
    }
    ib_buf_clear(&url);
    return joined;
}

/* A name that was taken for safe stays below the folder it is put into. */
static void check_name(ib_str name) {
    size_t start = 0;
    fuzz_must(name.len && name.ptr[0] != '/');
    for (size_t i = 0; i <= name.len; i++) {
        if (i < name.len && name.ptr[i] != '/') {
            fuzz_must(name.ptr[i] && name.ptr[i] != '\\');
            continue;
        }
        const ib_str part = {name.ptr + start, i - start};
        fuzz_must(part.len && !ib_str_is(part, ".") && !ib_str_is(part, ".."));
        start = i + 1;
    }
}

ib_status fuzz_listing(const uint8_t *data, size_t n, ib_error *err) {
    const ib_str whole = {n ? (const char *)data : "", n};
    ib_str rest = whole;
    bool found = true;
    ib_status st = IB_OK;
    for (size_t i = 0; st == IB_OK && found; i++) {
        ib_hub_entry e = {.size = 0};
        const size_t before = rest.len;
        st = ib_hub_listing_next(&rest, &found, &e, err);
        if (st != IB_OK || !found)
            break;
        fuzz_must(rest.len < before && i < n);
        check_name(ib_str_of(e.name));
        fuzz_must(memchr(e.etag, '\0', sizeof e.etag) && e.size <= IB_HUB_FILE_MAX);
    }
    return st;
}

/* A line of text as each of the things that people and servers write. */
ib_status fuzz_names(const uint8_t *data, size_t n, ib_error *err) {
    const ib_str text = {n ? (const char *)data : "", n};
    ib_hub_url u;
    ib_str endpoint = {NULL, 0};
    ib_buf out;
    char commit[41];
    if (ib_hub_id_ok(text))
        check_name(text);
    if (ib_hub_revision_ok(text))
        check_name(text);
    if (ib_hub_file_ok(text))
        check_name(text);
    if (ib_hub_ref_parse(text, commit))
        fuzz_must(ib_hub_is_commit((ib_str){commit, 40}));
    if (ib_hub_url_parse(text, &u)) {
        (void)check_slice(u.host, text);
        (void)check_slice(u.rest, text);
        fuzz_must(u.host.len && u.port <= 65535 && ib_hub_url_same_origin(&u, &u));
        (void)ib_hub_url_is_loopback(&u);
    }
    (void)check_slice(ib_hub_url_shown(text), text);
    ib_buf_init(&out);
    ib_status st = ib_hub_url_escape(&out, text, true, err);
    for (size_t i = 0; i < out.len; i++)
        fuzz_must(out.ptr[i] > ' ' && out.ptr[i] < 0x7F);
    ib_buf_clear(&out);
    return st == IB_OK ? ib_hub_endpoint_parse(text, &endpoint, err) : st;
}
