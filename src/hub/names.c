/* SPDX-License-Identifier: MIT
 * Names that become paths: ids, revisions, files of a repository. Checked as text before any path
 * is made of them, so no path leads elsewhere. See parse.h. */
#include "hub/parse.h"

#include <string.h>
#include <strings.h>

static bool is_word(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool contains(ib_str text, const char *part) {
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= text.len; i++)
        if (memcmp(text.ptr + i, part, n) == 0)
            return true;
    return false;
}

/* A name of a repository or an organisation: [A-Za-z0-9._-], not at an end '-' or '.'. */
static bool name_ok(ib_str name) {
    if (name.len == 0)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        bool inner = i > 0 && i + 1 < name.len;
        if (!is_word(c) && !(inner && (c == '-' || c == '.')))
            return false;
    }
    return true;
}

bool ib_hub_id_ok(ib_str id) {
    const char *slash = id.len ? memchr(id.ptr, '/', id.len) : NULL;
    if (id.len > 96 || contains(id, "--") || contains(id, ".."))
        return false;
    if (!slash)
        return name_ok(id);
    size_t n = (size_t)(slash - id.ptr);
    return name_ok((ib_str){id.ptr, n}) && name_ok((ib_str){slash + 1, id.len - n - 1});
}

bool ib_hub_revision_ok(ib_str revision) {
    size_t start = 0;
    if (revision.len == 0 || revision.len > 255)
        return false;
    for (size_t i = 0; i <= revision.len; i++) {
        unsigned char c = i < revision.len ? (unsigned char)revision.ptr[i] : '/';
        if (c == '/') {
            if (i == start || revision.ptr[start] == '.')
                return false;
            start = i + 1;
        } else if (c == '\0' || (!is_word(c) && !strchr("-.+@=", c))) {
            return false;
        }
    }
    return !contains(revision, "..");
}

bool ib_hub_is_commit(ib_str text) {
    if (text.len != 40)
        return false;
    for (size_t i = 0; i < 40; i++)
        if (!memchr("0123456789abcdef", text.ptr[i], 16))
            return false;
    return true;
}

bool ib_hub_ref_parse(ib_str text, char commit[41]) {
    while (text.len && memchr(" \t\r\n", text.ptr[text.len - 1], 4))
        text.len--;
    if (!ib_hub_is_commit(text))
        return false;
    memcpy(commit, text.ptr, 40);
    commit[40] = '\0';
    return true;
}

/* Names that some systems keep for devices, with any extension. */
static bool is_device(ib_str part) {
    static const char *const names[] = {"con", "prn", "aux", "nul"};
    static const char *const numbered[] = {"com", "lpt"};
    const char *dot = memchr(part.ptr, '.', part.len);
    size_t n = dot ? (size_t)(dot - part.ptr) : part.len;
    for (size_t i = 0; i < 4 && n == 3; i++)
        if (strncasecmp(part.ptr, names[i], 3) == 0)
            return true;
    for (size_t i = 0; i < 2 && n == 4; i++)
        if (strncasecmp(part.ptr, numbered[i], 3) == 0 && part.ptr[3] >= '1' && part.ptr[3] <= '9')
            return true;
    return false;
}

static bool part_ok(ib_str part) {
    if (part.len == 0 || part.len > 255 || ib_str_is(part, ".") || ib_str_is(part, ".."))
        return false;
    for (size_t i = 0; i < part.len; i++) {
        unsigned char c = (unsigned char)part.ptr[i];
        if (c < 0x20 || c == 0x7F || c == '\\' || c == ':')
            return false;
    }
    return !(part.len == 4 && strncasecmp(part.ptr, ".git", 4) == 0) && !is_device(part);
}

bool ib_hub_file_ok(ib_str name) {
    size_t start = 0;
    if (name.len == 0 || name.len > IB_HUB_NAME_MAX ||
        ib_utf8_valid_prefix(name.ptr, name.len) != name.len)
        return false;
    for (size_t i = 0; i <= name.len; i++) {
        if (i < name.len && name.ptr[i] != '/')
            continue;
        if (!part_ok((ib_str){name.ptr + start, i - start}))
            return false;
        start = i + 1;
    }
    return true;
}
