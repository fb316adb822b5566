/* SPDX-License-Identifier: MIT
 * One formatted line per message, free of control bytes. */
#include "base/log.h"

#include <stdio.h>

void ib_log_write(const ib_log *log, ib_log_level level, const char *fmt, ...) {
    if (!log || !log->write || level > log->level)
        return;
    char line[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    log->write(log->user, level, line);
}
