/* SPDX-License-Identifier: MIT
 * The answer of the tree API, one element at a time: an array of a million entries takes no more
 * memory than its text. See parse.h. */
#include "base/json.h"
#include "hub/parse.h"

#include <string.h>

enum { ENTRY_MAX = 64 * 1024 };

static ib_status bad_listing(ib_error *err, const char *what) {
    return ib_fail(err, IB_E_NETWORK,
                   "bad list of files in the hub's answer: %s; fix: check HF_ENDPOINT and the "
                   "proxy, or report the repository",
                   what);
}

static void skip_blank(ib_str *s) {
    while (s->len && memchr(" \t\r\n", s->ptr[0], 4))
        *s = (ib_str){s->ptr + 1, s->len - 1};
}

/* Length of the JSON object at the start of text, 0 when it does not end. Only brackets and strings
 * are looked at; the parser proper judges the rest. */
static size_t object_len(ib_str text) {
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len && i < ENTRY_MAX; i++) {
        char c = text.ptr[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && (depth == 0 || --depth == 0)) {
            return i + 1;
        }
    }
    return 0;
}

static bool is_hex(ib_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (!memchr("0123456789abcdef", s.ptr[i], 16))
            return false;
    return true;
}

static ib_status take_hash(ib_hub_entry *e, ib_str hash, size_t len, ib_error *err) {
    if (!hash.ptr)
        return IB_OK;
    if (hash.len != len || !is_hex(hash))
        return bad_listing(err, "a hash of the wrong form");
    memcpy(e->etag, hash.ptr, hash.len);
    e->etag[hash.len] = '\0';
    return IB_OK;
}

static ib_status take_object(ib_hub_entry *e, const json_t *o, ib_error *err) {
    static const char where[] = "list of files at ";
    ib_str type, path, oid, lfs_oid = {NULL, 0};
    int64_t size = 0;
    char quoted[IB_QUOTED];
    const json_t *lfs = json_object_get(o, "lfs");
    IB_TRY(ib_json_get_str(o, "type", &type, where, err));
    IB_TRY(ib_json_get_str(o, "path", &path, where, err));
    IB_TRY(ib_json_get_str(o, "oid", &oid, where, err));
    IB_TRY(ib_json_get_i64(o, "size", 0, 0, INT64_MAX, &size, where, err));
    if (json_is_object(lfs)) {
        IB_TRY(ib_json_get_str(lfs, "oid", &lfs_oid, where, err));
        IB_TRY(ib_json_get_i64(lfs, "size", size, 0, INT64_MAX, &size, where, err));
    }
    if (!type.ptr || !path.ptr)
        return bad_listing(err, "an entry without type or path");
    if (!ib_hub_file_ok(path))
        return ib_fail(err, IB_E_NETWORK,
                       "unsafe file name in the hub's list of files: '%s'; fix: use another "
                       "repository",
                       ib_quote(path, quoted));
    memcpy(e->name, path.ptr, path.len);
    e->name[path.len] = '\0';
    e->is_file = ib_str_is(type, "file");
    e->size = (uint64_t)size;
    return lfs_oid.ptr ? take_hash(e, lfs_oid, 64, err) : take_hash(e, oid, 40, err);
}

ib_status ib_hub_listing_next(ib_str *rest, bool *found, ib_hub_entry *out, ib_error *err) {
    json_t *object = NULL;
    *found = false;
    *out = (ib_hub_entry){0};
    skip_blank(rest);
    if (rest->len == 0 || !memchr("[,]", rest->ptr[0], 3))
        return bad_listing(err, "no array of objects");
    char mark = rest->ptr[0];
    *rest = (ib_str){rest->ptr + 1, rest->len - 1};
    skip_blank(rest);
    if (mark == ']' || (mark == '[' && rest->len && rest->ptr[0] == ']')) {
        if (mark == '[')
            *rest = (ib_str){rest->ptr + 1, rest->len - 1};
        skip_blank(rest);
        return rest->len ? bad_listing(err, "text behind the array") : IB_OK;
    }
    size_t n = rest->len && rest->ptr[0] == '{' ? object_len(*rest) : 0;
    if (n == 0)
        return bad_listing(err, "an entry that is no object, is cut or exceeds 64 KiB");
    ib_error inner = {0};
    ib_status st = ib_json_parse(&object, (ib_str){rest->ptr, n}, "list of files", &inner);
    if (st == IB_OK)
        st = take_object(out, object, &inner);
    json_decref(object);
    if (st != IB_OK)
        return st == IB_E_RESOURCE || st == IB_E_NETWORK ? ib_fail(err, st, "%s", inner.text)
                                                         : bad_listing(err, "malformed JSON");
    *rest = (ib_str){rest->ptr + n, rest->len - n};
    *found = true;
    return IB_OK;
}
