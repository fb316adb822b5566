/* SPDX-License-Identifier: MIT
 * See layout.h. Names were checked as text (names.c) before they get here. */
#include "hub/layout.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/rng.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool set(const char *value) {
    return value && value[0];
}

/* "~" and "~/x" with HOME; malloc'd. */
static char *expand(const char *path, const char *home) {
    if (path[0] == '~' && (path[1] == '/' || path[1] == '\0') && home)
        return path[1] ? ib_path_join(home, path + 2) : ib_strdup(home);
    return ib_strdup(path);
}

static char *join_expanded(const char *base, const char *home, const char *below) {
    char *expanded = expand(base, home);
    char *out = !expanded ? NULL : below ? ib_path_join(expanded, below) : ib_strdup(expanded);
    free(expanded);
    return out;
}

char *ib_hub_home_path(const ib_hub_env *env, const char *name) {
    const char *home = set(env->home) ? env->home : NULL;
    char below[64];
    if (set(env->hf_home))
        return join_expanded(env->hf_home, home, name);
    (void)snprintf(below, sizeof below, "%shuggingface/%s",
                   set(env->xdg_cache_home) ? "" : ".cache/", name);
    if (set(env->xdg_cache_home))
        return join_expanded(env->xdg_cache_home, home, below);
    return home ? join_expanded(home, home, below) : NULL;
}

/* The cache folder: option, HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG, ~/.cache. */
static ib_status cache_root(char **out, const char *cache_dir, const ib_hub_env *env,
                            ib_error *err) {
    const char *home = set(env->home) ? env->home : NULL;
    const char *direct = set(cache_dir)                    ? cache_dir
                         : set(env->hf_hub_cache)          ? env->hf_hub_cache
                         : set(env->huggingface_hub_cache) ? env->huggingface_hub_cache
                                                           : NULL;
    if (!direct && !set(env->hf_home) && !set(env->xdg_cache_home) && !home)
        return ib_fail(
            err, IB_E_INPUT,
            "no Hugging Face cache folder: HOME and HF_HOME are not set; fix: set HF_HOME, or "
            "name a local model folder");
    *out = direct ? join_expanded(direct, home, NULL) : ib_hub_home_path(env, "hub");
    return *out ? IB_OK : ib_fail_memory(err, 0, "a path");
}

/* "models--org--name" of an id, below folder. */
static char *repo_folder(const char *folder, const char *id) {
    ib_buf b;
    ib_buf_init(&b);
    ib_status st = ib_buf_adds(&b, "models--", NULL);
    for (const char *p = id; *p && st == IB_OK; p++)
        st = *p == '/' ? ib_buf_adds(&b, "--", NULL) : ib_buf_addc(&b, *p, NULL);
    char *out = st == IB_OK ? ib_path_join(folder, b.ptr) : NULL;
    ib_buf_clear(&b);
    return out;
}

ib_status ib_hub_layout_init(ib_hub_layout *l, const char *id, const char *cache_dir,
                             const ib_hub_env *env, ib_error *err) {
    *l = (ib_hub_layout){0};
    IB_TRY(cache_root(&l->cache, cache_dir, env, err));
    char *locks = ib_path_join(l->cache, ".locks");
    l->repo = repo_folder(l->cache, id);
    l->locks = locks ? repo_folder(locks, id) : NULL;
    free(locks);
    if (l->repo && l->locks)
        return IB_OK;
    ib_status st = ib_fail_memory(err, strlen(l->cache), "a path");
    ib_hub_layout_clear(l);
    return st;
}

void ib_hub_layout_clear(ib_hub_layout *l) {
    free(l->cache);
    free(l->repo);
    free(l->locks);
    *l = (ib_hub_layout){0};
}

char *ib_hub_path(const ib_hub_layout *l, const char *a, const char *b, const char *c) {
    const char *parts[] = {a, b, c};
    char *out = ib_strdup(l->repo);
    for (size_t i = 0; i < 3 && parts[i] && out; i++) {
        char *longer = ib_path_join(out, parts[i]);
        free(out);
        out = longer;
    }
    return out;
}

/* Allocates nothing, so that running out of memory is never taken for a missing file. */
static bool there(const ib_hub_layout *l, const char *kind, const char *commit, const char *file) {
    char path[4096]; /* longer ones no system call takes */
    int n = snprintf(path, sizeof path, "%s/%s/%s/%s", l->repo, kind, commit, file);
    return n > 0 && (size_t)n < sizeof path && ib_path_exists(path);
}

bool ib_hub_has_file(const ib_hub_layout *l, const char *commit, const char *file) {
    return there(l, "snapshots", commit, file);
}

bool ib_hub_is_absent(const ib_hub_layout *l, const char *commit, const char *file) {
    return there(l, ".no_exist", commit, file);
}

ib_status ib_hub_ref_read(const ib_hub_layout *l, const char *revision, bool *found,
                          char commit[41], ib_error *err) {
    char quoted[IB_QUOTED];
    ib_buf text;
    char *path = ib_hub_path(l, "refs", revision, NULL);
    *found = false;
    commit[0] = '\0';
    if (!path)
        return ib_fail_memory(err, strlen(l->repo), "a path");
    if (!ib_path_exists(path)) {
        free(path);
        return IB_OK;
    }
    ib_buf_init(&text);
    ib_status st = ib_file_read(&text, path, 4096, err);
    if (st == IB_OK && !ib_hub_ref_parse((ib_str){text.ptr, text.len}, commit))
        st = ib_fail(
            err, IB_E_FORMAT,
            "'%s' does not hold a commit (40 hex digits); fix: delete it and fetch the model "
            "again",
            ib_quotez(path, quoted));
    *found = st == IB_OK;
    ib_buf_clear(&text);
    free(path);
    return st;
}

/* --- writing --- */

ib_status ib_hub_cannot_write(ib_error *err, const char *path, int error) {
    char quoted[IB_QUOTED];
    bool full = error == ENOSPC || error == EDQUOT;
    bool few = error == EMFILE || error == ENFILE || error == ENOMEM;
    return ib_fail(err,
                   full || few      ? IB_E_RESOURCE
                   : error == EFBIG ? IB_E_OUTPUT
                                    : IB_E_INPUT,
                   "cannot write in the cache: '%s': %s; fix: %s", ib_quotez(path, quoted),
                   strerror(error),
                   full  ? "free disk space, or choose another --cache-dir"
                   : few ? "raise the limit (ulimit -n)"
                         : "check its permissions, or choose another --cache-dir");
}

static int make_folders(char *path) {
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        int made = mkdir(path, 0777);
        *p = '/';
        if (made != 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
            return errno;
    }
    return 0;
}

/* The mark is made once, by whoever comes first; a cache without it is as good. */
static void tag_cache(const ib_hub_layout *l) {
    static const char text[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
                               "# This file marks the folder as a cache (bford.info/cachedir).\n";
    char *path = ib_path_join(l->cache, "CACHEDIR.TAG");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    if (fd >= 0) {
        ssize_t ignored = write(fd, text, sizeof text - 1);
        (void)ignored;
        (void)close(fd);
    }
    free(path);
}

ib_status ib_hub_make_parents(const ib_hub_layout *l, const char *path, ib_error *err) {
    char *copy = ib_strdup(path);
    if (!copy)
        return ib_fail_memory(err, strlen(path), "a path");
    int error = make_folders(copy);
    char *slash = strrchr(copy, '/');
    if (slash)
        *slash = '\0';
    if (!error && !ib_path_is_dir(copy))
        error = access(copy, F_OK) == 0 ? ENOTDIR : errno;
    free(copy);
    if (error)
        return ib_hub_cannot_write(err, path, error);
    tag_cache(l);
    return IB_OK;
}

/* <repo>/.inferbench.<pid>.<8 hex>.tmp; malloc'd. What is made there is renamed to where it
 * belongs; ib_hub_sweep removes what a killed process leaves. */
static const char temp_start[] = ".inferbench.";

char *ib_hub_temp_name(const ib_hub_layout *l) {
    ib_rng rng;
    char name[64];
    ib_rng_init(&rng, ib_now_ns() ^ (uint64_t)getpid() << 32);
    (void)snprintf(name, sizeof name, "%s%ld.%08" PRIx32 ".tmp", temp_start, (long)getpid(),
                   (uint32_t)ib_rng_u64(&rng));
    return ib_path_join(l->repo, name);
}

void ib_hub_sweep(const ib_hub_layout *l) {
    enum { OLD_S = 60 };
    DIR *d = opendir(l->repo);
    for (const struct dirent *e; d && (e = readdir(d));) {
        struct stat file;
        uint64_t pid;
        const char *digits = e->d_name + sizeof temp_start - 1;
        if (strncmp(e->d_name, temp_start, sizeof temp_start - 1) != 0 ||
            !ib_parse_u64((ib_str){digits, strspn(digits, "0123456789")}, &pid) || pid == 0 ||
            pid > INT32_MAX || (kill((pid_t)pid, 0) == 0 || errno != ESRCH) ||
            fstatat(dirfd(d), e->d_name, &file, AT_SYMLINK_NOFOLLOW) != 0 ||
            time(NULL) - file.st_mtime < OLD_S)
            continue;
        (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d)
        (void)closedir(d);
}

/* A small file, whole or not at all. */
static ib_status put_file(const ib_hub_layout *l, const char *path, const char *text, size_t n,
                          ib_error *err) {
    IB_TRY(ib_hub_make_parents(l, path, err));
    char *temp = ib_hub_temp_name(l);
    if (!temp)
        return ib_fail_memory(err, strlen(path), "a path");
    int error = 0;
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        error = errno;
    } else {
        ssize_t done = n ? write(fd, text, n) : 0;
        if (done != (ssize_t)n || fsync(fd) != 0)
            error = done >= 0 && done != (ssize_t)n ? ENOSPC : errno;
        if (close(fd) != 0 && !error)
            error = errno;
        if (!error && rename(temp, path) != 0)
            error = errno;
        if (error)
            (void)unlink(temp);
    }
    free(temp);
    return error ? ib_hub_cannot_write(err, path, error) : IB_OK;
}

ib_status ib_hub_ref_write(const ib_hub_layout *l, const char *revision, const char *commit,
                           ib_error *err) {
    char held[41];
    bool found = false;
    if (strcmp(revision, commit) == 0)
        return IB_OK;
    if (ib_hub_ref_read(l, revision, &found, held, NULL) == IB_OK && found &&
        strcmp(held, commit) == 0)
        return IB_OK;
    char *path = ib_hub_path(l, "refs", revision, NULL);
    if (!path)
        return ib_fail_memory(err, strlen(l->repo), "a path");
    ib_status st = put_file(l, path, commit, 40, err);
    free(path);
    return st;
}

ib_status ib_hub_mark_absent(const ib_hub_layout *l, const char *commit, const char *file,
                             ib_error *err) {
    if (ib_hub_is_absent(l, commit, file))
        return IB_OK;
    char *path = ib_hub_path(l, ".no_exist", commit, file);
    if (!path)
        return ib_fail_memory(err, strlen(l->repo), "a path");
    ib_status st = put_file(l, path, NULL, 0, err);
    free(path);
    return st;
}

static int copy_bytes(const char *from, const char *to) {
    enum { CHUNK = 1 << 20 };
    char *chunk = malloc(CHUNK);
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int error = !chunk ? ENOMEM : in < 0 || out < 0 ? errno : 0;
    while (!error) {
        ssize_t n = read(in, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            error = n < 0 ? errno : 0;
            break;
        }
        for (ssize_t at = 0; at < n && !error;) {
            ssize_t done = write(out, chunk + at, (size_t)(n - at));
            if (done > 0)
                at += done;
            else if (done == 0 || errno != EINTR)
                error = done == 0 ? ENOSPC : errno;
        }
    }
    if (!error && fsync(out) != 0)
        error = errno;
    if (in >= 0)
        (void)close(in);
    if (out >= 0 && close(out) != 0 && !error)
        error = errno;
    free(chunk);
    return error;
}

static ib_status link_target(ib_buf *out, const char *file, const char *etag, ib_error *err) {
    IB_TRY(ib_buf_adds(out, "../../", err));
    for (const char *p = strchr(file, '/'); p; p = strchr(p + 1, '/'))
        IB_TRY(ib_buf_adds(out, "../", err));
    IB_TRY(ib_buf_adds(out, "blobs/", err));
    return ib_buf_adds(out, etag, err);
}

ib_status ib_hub_link(const ib_hub_layout *l, const char *commit, const char *file,
                      const char *etag, bool copy, ib_error *err) {
    ib_buf target;
    int error = 0;
    ib_buf_init(&target);
    char *path = ib_hub_path(l, "snapshots", commit, file);
    char *blob = ib_hub_path(l, "blobs", etag, NULL);
    char *temp = ib_hub_temp_name(l);
    ib_status st = temp && blob && path ? link_target(&target, file, etag, err)
                                        : ib_fail_memory(err, strlen(l->repo), "a path");
    if (st == IB_OK)
        st = ib_hub_make_parents(l, path, err);
    if (st == IB_OK && !copy && symlink(target.ptr, temp) != 0) {
        error = errno;
        copy = error == EPERM || error == ENOTSUP || error == ENOSYS;
    }
    if (st == IB_OK && copy)
        error = copy_bytes(blob, temp);
    if (st == IB_OK && !error && rename(temp, path) != 0)
        error = errno;
    if (st == IB_OK && error) {
        (void)unlink(temp);
        st = ib_hub_cannot_write(err, path, error);
    }
    ib_buf_clear(&target);
    free(temp);
    free(blob);
    free(path);
    return st;
}
