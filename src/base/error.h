/* SPDX-License-Identifier: MIT
 * Status codes and the caller-owned error value of every function that can fail.
 *
 * A status is also the exit code of the program: one table (IB_STATUS_TABLE) gives number, name and
 * meaning. The text of an error says WHAT in WHERE: VALUE; after "; fix: " it says HOW to go on.
 * Library code never prints and keeps no error of its own: the caller passes an ib_error, or NULL.
 */
#ifndef IB_BASE_ERROR_H
#define IB_BASE_ERROR_H

#include <stdarg.h>
#include <stddef.h>

/* name, exit code, meaning */
#define IB_STATUS_TABLE(X)                                                                         \
    X(OK, 0, "done")                                                                               \
    X(INTERNAL, 1, "internal error")                                                               \
    X(USAGE, 2, "wrong usage")                                                                     \
    X(INPUT, 3, "input missing or unreadable")                                                     \
    X(FORMAT, 4, "malformed input")                                                                \
    X(UNSUPPORTED, 5, "valid but unsupported")                                                     \
    X(RESOURCE, 6, "out of a resource")                                                            \
    X(NETWORK, 7, "network, hub or endpoint")                                                      \
    X(OUTPUT, 8, "cannot write output")                                                            \
    X(DEVICE, 9, "device or backend")                                                              \
    X(INVALID, 10, "measurement not valid")                                                        \
    X(REGRESSION, 11, "regression found")                                                          \
    X(INTERRUPTED, 130, "stopped by SIGINT")                                                       \
    X(TERMINATED, 143, "stopped by SIGTERM")

typedef enum ib_status {
#define X(name, code, meaning) IB_E_##name = (code),
    IB_STATUS_TABLE(X)
#undef X
} ib_status;
#define IB_OK IB_E_OK

#define IB_ERROR_TEXT 640

typedef struct ib_error {
    ib_status status;
    char text[IB_ERROR_TEXT]; /* "WHAT in WHERE: VALUE; fix: HOW", zero-terminated, no newline */
} ib_error;

#if defined(__GNUC__)
#define IB_MUST_CHECK __attribute__((warn_unused_result))
#define IB_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define IB_MUST_CHECK
#define IB_PRINTF(fmt, args)
#endif

/* Sets *err (may be NULL); the value is the status. Control bytes in the text are replaced by '?';
 * names taken from files go through ib_quote() first. A macro, so that whoever reads a caller, the
 * compiler's analyzers included, sees that its value is the status it was given. */
#define ib_fail(err, status, ...) (ib_error_set((err), (status), __VA_ARGS__), (ib_status)(status))
void ib_error_set(ib_error *err, ib_status status, const char *fmt, ...) IB_PRINTF(3, 4);

/* Puts "context: " in front of the text of an error already set. */
ib_status ib_context(ib_error *err, ib_status status, const char *fmt, ...) IB_PRINTF(3, 4);

/* Out of memory while doing `what` for `bytes` bytes; the value is IB_E_RESOURCE. */
#define ib_fail_memory(err, bytes, what)                                                           \
    (ib_error_set_memory((err), (bytes), (what)), (ib_status)IB_E_RESOURCE)
void ib_error_set_memory(ib_error *err, size_t bytes, const char *what);

void ib_error_clear(ib_error *err);
const char *ib_status_name(ib_status status);    /* "FORMAT" */
const char *ib_status_meaning(ib_status status); /* "malformed input" */

/* Returns early with the status of expr when it is not IB_OK. */
#define IB_TRY(expr)                                                                               \
    do {                                                                                           \
        ib_status ib_try_status = (expr);                                                          \
        if (ib_try_status != IB_OK)                                                                \
            return ib_try_status;                                                                  \
    } while (0)

#endif
