/* SPDX-License-Identifier: MIT
 * See signals.h. Handlers call only what is async-signal-safe. */
#include "cli/signals.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile int stop_signal; /* written by the handler, read by any thread */
static volatile sig_atomic_t deferred;
static volatile int continued; /* written by the handler */

static void say(const char *line, size_t n) {
    ssize_t ignored = write(STDERR_FILENO, line, n);
    (void)ignored;
}

static void on_stop(int signal) {
    static const char by_int[] = "inferbench: error: stopped in the middle of the work: SIGINT; "
                                 "fix: start it again [E-INTERRUPTED]\n";
    static const char by_term[] = "inferbench: error: stopped in the middle of the work: SIGTERM; "
                                  "fix: start it again [E-TERMINATED]\n";
    if (!deferred || stop_signal) {
        if (signal == SIGINT)
            say(by_int, sizeof by_int - 1);
        else
            say(by_term, sizeof by_term - 1);
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
    static const char line[] =
        "inferbench: error: file changed in a mapped model file: it was cut during the run; fix: "
        "leave the model's files alone while the program runs [E-INPUT]\n";
    (void)signal;
    say(line, sizeof line - 1);
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

void ib_signals_start(void) {
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
