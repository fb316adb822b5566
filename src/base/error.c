/* SPDX-License-Identifier: MIT
 * The text of an error is always complete, cut to fit, and free of control bytes. */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static void scrub(char *text) {
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
}

void ib_error_set(ib_error *err, ib_status status, const char *fmt, ...) {
    if (err) {
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(err->text, sizeof err->text, fmt, args);
        va_end(args);
        scrub(err->text);
        err->status = status;
    }
}

ib_status ib_context(ib_error *err, ib_status status, const char *fmt, ...) {
    if (!err)
        return status;
    char old[IB_ERROR_TEXT];
    memcpy(old, err->text, sizeof old);
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof err->text / 2)
        n = (int)(sizeof err->text / 2);
    size_t at = (size_t)n, room = sizeof err->text - at - 3, len = strlen(old);
    memcpy(err->text + at, ": ", 2);
    memcpy(err->text + at + 2, old, len < room ? len : room);
    err->text[at + 2 + (len < room ? len : room)] = '\0';
    scrub(err->text);
    err->status = status;
    return status;
}

void ib_error_set_memory(ib_error *err, size_t bytes, const char *what) {
    ib_error_set(err, IB_E_RESOURCE,
                 "out of memory for %s: %zu bytes; fix: free memory or use a smaller model", what,
                 bytes);
}

void ib_error_clear(ib_error *err) {
    if (err) {
        err->status = IB_OK;
        err->text[0] = '\0';
    }
}

const char *ib_status_name(ib_status status) {
    switch (status) {
#define X(name, code, meaning)                                                                     \
    case code:                                                                                     \
        return #name;
        IB_STATUS_TABLE(X)
#undef X
    }
    return "INTERNAL";
}

const char *ib_status_meaning(ib_status status) {
    switch (status) {
#define X(name, code, meaning)                                                                     \
    case code:                                                                                     \
        return meaning;
        IB_STATUS_TABLE(X)
#undef X
    }
    return "internal error";
}
