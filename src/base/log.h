/* SPDX-License-Identifier: MIT
 * Where the library tells its story: a sink that the caller passes down. NULL means silence. */
#ifndef IB_BASE_LOG_H
#define IB_BASE_LOG_H

#include "base/error.h"

typedef enum ib_log_level { IB_LOG_ERROR, IB_LOG_WARN, IB_LOG_INFO, IB_LOG_DEBUG } ib_log_level;

typedef struct ib_log {
    ib_log_level level; /* messages above it are dropped before they are formatted */
    void (*write)(void *user, ib_log_level level, const char *line); /* line without newline */
    void *user;
} ib_log;

void ib_log_write(const ib_log *log, ib_log_level level, const char *fmt, ...) IB_PRINTF(3, 4);
#define ib_log_warn(log, ...) ib_log_write((log), IB_LOG_WARN, __VA_ARGS__)
#define ib_log_info(log, ...) ib_log_write((log), IB_LOG_INFO, __VA_ARGS__)
#define ib_log_debug(log, ...) ib_log_write((log), IB_LOG_DEBUG, __VA_ARGS__)

#endif
