/* SPDX-License-Identifier: MIT
 * See compare_spawn.h. While a process runs this one sleeps: SIGINT, SIGTERM and SIGCHLD are
 * blocked and waited for, so that none of them is missed and nothing disturbs the measurement. */
#include "cli/compare_spawn.h"

#include "cli/child.h"
#include "cli/signals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* --- words --- */

ib_status ib_words_add(ib_words *w, const char *text, size_t len, ib_error *err) {
    char **more = realloc(w->word, (w->n + 2) * sizeof *more);
    if (!more)
        return ib_fail_memory(err, (w->n + 2) * sizeof *more, "the command line of a process");
    w->word = more;
    w->word[w->n] = ib_strndup(text, len);
    w->word[w->n + 1] = NULL;
    if (!w->word[w->n])
        return ib_fail_memory(err, len, "the command line of a process");
    w->n++;
    return IB_OK;
}

void ib_words_clear(ib_words *w) {
    for (size_t i = 0; i < w->n; i++)
        free(w->word[i]);
    free(w->word);
    *w = (ib_words){0};
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One word at p into out; returns what follows it, NULL at a quote that does not end. */
static const char *take_word(const char *p, ib_buf *out, ib_status *st, ib_error *err) {
    char quote = 0;
    for (; *p && (quote || !is_blank(*p)); p++) {
        if (quote == 0 && (*p == '\'' || *p == '"')) {
            quote = *p;
            continue;
        }
        if (quote && *p == quote) {
            quote = 0;
            continue;
        }
        if (*p == '\\' && quote != '\'' && p[1] && (!quote || strchr("\"\\$`", p[1])))
            p++;
        *st = ib_buf_addc(out, *p, err);
        if (*st != IB_OK)
            return p;
    }
    return quote ? NULL : p;
}

ib_status ib_words_split(ib_words *w, const char *text, const char *option, ib_error *err) {
    char shown[IB_QUOTED];
    const char *p = text;
    ib_buf word;
    ib_status st = IB_OK;
    ib_buf_init(&word);
    while (st == IB_OK) {
        while (is_blank(*p))
            p++;
        if (!*p)
            break;
        ib_buf_reset(&word);
        p = take_word(p, &word, &st, err);
        if (st == IB_OK && !p)
            st = ib_fail(err, IB_E_USAGE,
                         "quote that does not end in option --%s: '%s'; fix: close it", option,
                         ib_quotez(text, shown));
        if (st == IB_OK)
            st = ib_words_add(w, word.ptr ? word.ptr : "", word.len, err);
    }
    ib_buf_clear(&word);
    return st;
}

/* --- the folder --- */

ib_status ib_compare_folder(char **out, ib_error *err) {
    const char *base = getenv("TMPDIR");
    char shown[IB_QUOTED];
    if (!base || !*base)
        base = "/tmp";
    char *path = ib_path_join(base, "inferbench-compare-XXXXXX");
    if (!path)
        return ib_fail_memory(err, strlen(base), "a name");
    if (!mkdtemp(path)) {
        int error = errno;
        free(path);
        return ib_fail(err, IB_E_OUTPUT,
                       "cannot make a folder for records in '%s': %s; fix: set TMPDIR to a folder "
                       "that can be written",
                       ib_quotez(base, shown), strerror(error));
    }
    *out = path;
    return IB_OK;
}

void ib_compare_folder_remove(char *folder) {
    DIR *d = folder ? opendir(folder) : NULL;
    const struct dirent *e;
    const int fd = d ? dirfd(d) : -1;
    while (fd >= 0 && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(fd, e->d_name, 0);
    if (d)
        (void)closedir(d);
    if (folder)
        (void)rmdir(folder);
    free(folder);
}

/* --- one process --- */

/* "NAME=" and what follows it, as a word of its own. */
static ib_status add_variable(ib_words *out, const char *name, const ib_buf *value, ib_error *err) {
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = ib_buf_addf(&text, err, "%s=", name);
    if (st == IB_OK && value->len)
        st = ib_buf_add(&text, value->ptr, value->len, err);
    if (st == IB_OK)
        st = ib_words_add(out, text.ptr, text.len, err);
    ib_buf_clear(&text);
    return st;
}

static ib_status add_number(ib_words *out, const char *name, size_t number, ib_error *err) {
    ib_buf value;
    ib_buf_init(&value);
    ib_status st = ib_buf_addf(&value, err, "%zu", number);
    if (st == IB_OK)
        st = add_variable(out, name, &value, err);
    ib_buf_clear(&value);
    return st;
}

/* The variables that this program gives to its processes; the padding moves the child's stack. */
static ib_status own_variables(const ib_child *c, ib_words *out, ib_error *err) {
    ib_buf value;
    ib_buf_init(&value);
    ib_status st = IB_OK;
    for (size_t i = 0; st == IB_OK && i < c->padding; i++)
        st = ib_buf_addc(&value, 'x', err);
    if (st == IB_OK)
        st = add_variable(out, IB_ENV_PADDING, &value, err);
    if (st == IB_OK)
        st = add_number(out, IB_ENV_HEAP, c->heap_offset, err);
    ib_buf_reset(&value);
    if (st == IB_OK && c->record) {
        st = add_number(out, IB_ENV_CELL, c->cell, err);
        if (st == IB_OK)
            st = ib_buf_adds(&value, c->record, err);
        if (st == IB_OK)
            st = add_variable(out, IB_ENV_RECORD, &value, err);
    }
    ib_buf_clear(&value);
    return st;
}

static bool is_own(const char *variable) {
    static const char *const names[] = {IB_ENV_PADDING, IB_ENV_HEAP, IB_ENV_CELL, IB_ENV_RECORD};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0 && variable[strlen(names[i])] == '=')
            return true;
    return false;
}

/* This process's environment and own[]; *out borrows from both. */
static ib_status environment_of(const ib_words *own, char ***out, ib_error *err) {
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **env = calloc(n + own->n + 1, sizeof *env);
    if (!env)
        return ib_fail_memory(err, n * sizeof *env, "an environment");
    for (size_t i = 0; i < n; i++)
        if (!is_own(environ[i]))
            env[k++] = environ[i];
    for (size_t i = 0; i < own->n; i++)
        env[k++] = own->word[i];
    *out = env;
    return IB_OK;
}

static int start(const ib_child *c, char **env, const sigset_t *usual, pid_t *pid) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t defaults;
    (void)sigemptyset(&defaults);
    (void)sigaddset(&defaults, SIGPIPE);
    (void)sigaddset(&defaults, SIGXFSZ);
    int bad = posix_spawn_file_actions_init(&files);
    if (bad)
        return bad;
    bad = posix_spawnattr_init(&attr);
    if (bad) {
        (void)posix_spawn_file_actions_destroy(&files);
        return bad;
    }
    bad = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    if (!bad)
        bad = posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    if (!bad)
        bad = posix_spawn_file_actions_addopen(&files, 2, c->stderr_path,
                                               O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (!bad)
        bad = posix_spawnattr_setsigmask(&attr, usual);
    if (!bad)
        bad = posix_spawnattr_setsigdefault(&attr, &defaults);
    if (!bad)
        bad = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (!bad)
        bad = posix_spawn(pid, c->program, &files, &attr, c->argv, env);
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&files);
    return bad;
}

/* Until the process ends; one of our own signals ends it. */
static int wait_for(pid_t pid, const sigset_t *waited) {
    int status = 0;
    for (;;) {
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid)
            return status;
        if (ended < 0 && errno != EINTR)
            return -1;
        int signal = sigwaitinfo(waited, NULL);
        if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) {
            ib_signals_raise(signal == SIGINT ? SIGINT : SIGTERM);
            (void)kill(pid, SIGKILL);
        }
    }
}

/* The error line that the process left: "inferbench: error: TEXT [E-CODE]". */
static ib_status its_error(const ib_child *c, int status, ib_error *err) {
    static const char mark[] = "inferbench: error: ";
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = IB_E_INTERNAL;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    if (code && strcmp(ib_status_name((ib_status)code), "INTERNAL") != 0)
        st = (ib_status)code;
    const char *line = NULL;
    if (ib_file_read(&text, c->stderr_path, 1 << 20, NULL) == IB_OK && text.ptr)
        line = strstr(text.ptr, mark);
    if (line) {
        char *tail = strstr(line, " [E-");
        if (tail)
            *tail = '\0';
        st = ib_fail(err, st, "%s: %s", c->side, line + strlen(mark));
    } else if (status != -1 && WIFSIGNALED(status)) {
        st = ib_fail(err, IB_E_INTERNAL,
                     "process of %s ended by signal %d; fix: run its options alone", c->side,
                     WTERMSIG(status));
    } else {
        st = ib_fail(err, st,
                     "process of %s ended with code %d and no error line; fix: run its "
                     "options alone",
                     c->side, code);
    }
    ib_buf_clear(&text);
    return st;
}

ib_status ib_compare_spawn(const ib_child *child, ib_error *err) {
    sigset_t waited, usual;
    struct sigaction hangup;
    char **env = NULL, shown[IB_QUOTED];
    ib_words own = {0};
    pid_t pid = 0;
    ib_status st = own_variables(child, &own, err);
    if (st == IB_OK)
        st = environment_of(&own, &env, err);
    if (st != IB_OK) {
        ib_words_clear(&own);
        return st;
    }
    (void)sigemptyset(&waited);
    (void)sigaddset(&waited, SIGINT);
    (void)sigaddset(&waited, SIGTERM);
    (void)sigaddset(&waited, SIGCHLD);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) /* nohup */
        (void)sigaddset(&waited, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &waited, &usual);
    int bad = start(child, env, &usual, &pid);
    int status = bad ? 0 : wait_for(pid, &waited);
    (void)sigprocmask(SIG_SETMASK, &usual, NULL);
    free(env);
    ib_words_clear(&own);
    IB_TRY(ib_signals_check(err));
    if (bad)
        return ib_fail(err, IB_E_INPUT,
                       "cannot start the program of %s: '%s': %s; fix: name an "
                       "inferbench program",
                       child->side, ib_quotez(child->program, shown), strerror(bad));
    return status == 0 ? IB_OK : its_error(child, status, err);
}
