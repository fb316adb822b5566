/* SPDX-License-Identifier: MIT
 * See signals.h. Handlers call only what is async-signal-safe. */
#include "cli/signals.h"

#include "cli/messages.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile int stop_signal; /* written by the handler, read by any thread */
static volatile sig_atomic_t deferred;
static volatile int continued; /* written by the handler */

/* What a handler says; made beforehand, since it may not format or allocate. */
enum { BY_INT, BY_TERM, BY_BUS, N_LINES };
static char lines[N_LINES][IB_ERROR_LINE + 200];
static size_t line_bytes[N_LINES];

static void prepare(int which, ib_status status, const char *text, bool json) {
    ib_error err = {0};
    ib_buf object;
    ib_error_set(&err, status, "%s", text);
    ib_buf_init(&object);
    if (json && ib_messages_error_json(&err, &object) == IB_OK &&
        object.len <= sizeof lines[which]) {
        memcpy(lines[which], object.ptr, object.len);
        line_bytes[which] = object.len;
    } else {
        line_bytes[which] = ib_messages_error_line(&err, lines[which]);
    }
    ib_buf_clear(&object);
}

static void say(int which) {
    ssize_t ignored = write(STDERR_FILENO, lines[which], line_bytes[which]);
    (void)ignored;
}

static void on_stop(int signal) {
    if (!deferred || stop_signal) {
        say(signal == SIGINT ? BY_INT : BY_TERM);
        _exit(128 + signal);
    }
    stop_signal = signal;
}

/* The terminal is gone: as if asked to end. */
static void on_hangup(int signal) {
    (void)signal;
    on_stop(SIGTERM);
}

static void on_bus(int signal) {
    (void)signal;
    say(BY_BUS);
    _exit(IB_E_INPUT);
}

static void on_continue(int signal) {
    (void)signal;
    continued++;
}

static void handle(int signal, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(signal, &action, NULL);
}

#define STOPPED "stopped in the middle of the work: "

void ib_signals_start(bool json) {
    prepare(BY_INT, IB_E_INTERRUPTED, STOPPED "SIGINT; fix: start it again", json);
    prepare(BY_TERM, IB_E_TERMINATED, STOPPED "SIGTERM; fix: start it again", json);
    prepare(BY_BUS, IB_E_INPUT,
            "file changed in a mapped model file: it was cut during the run; fix: leave the "
            "model's files alone while the program runs",
            json);
    handle(SIGPIPE, SIG_IGN);
    handle(SIGXFSZ, SIG_IGN);
    handle(SIGBUS, on_bus);
    handle(SIGCONT, on_continue);
    handle(SIGINT, on_stop);
    handle(SIGTERM, on_stop);
    struct sigaction old;
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN) /* nohup */
        handle(SIGHUP, on_hangup);
}

void ib_signals_defer(void) {
    deferred = 1;
}

volatile const int *ib_signals_continued(void) {
    return &continued;
}

volatile const int *ib_signals_flag(void) {
    return &stop_signal;
}

void ib_signals_raise(int signal) {
    stop_signal = signal;
}

ib_status ib_signals_check(ib_error *err) {
    if (!stop_signal)
        return IB_OK;
    bool interrupt = stop_signal == SIGINT;
    return ib_fail(err, interrupt ? IB_E_INTERRUPTED : IB_E_TERMINATED,
                   "stopped in the middle of the work: %s; fix: start it again",
                   interrupt ? "SIGINT" : "SIGTERM");
}
