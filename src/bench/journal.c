/* SPDX-License-Identifier: MIT
 * See journal.h. */
#include "bench/journal.h"

#include "base/file.h"
#include "record/summary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1 };
#define JOURNAL_CAP (UINT64_C(4) << 30)

struct ib_journal {
    char *path; /* owned */
    int fd;
    uint64_t size; /* bytes of whole lines */
    size_t n_runs;
};

char *ib_journal_path(const char *file) {
    static const char suffix[] = ".journal";
    const size_t n = strlen(file);
    char *path = malloc(n + sizeof suffix);
    if (path) {
        memcpy(path, file, n);
        memcpy(path + n, suffix, sizeof suffix);
    }
    return path;
}

static ib_status fail_io(const char *what, const char *path, ib_error *err) {
    char shown[IB_QUOTED];
    return ib_fail(err, IB_E_OUTPUT, "cannot %s '%s': %s; fix: check folder, permissions and space",
                   what, ib_quotez(path, shown), strerror(errno));
}

static void sync_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? ib_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
    int fd = open(folder ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    free(folder);
}

static ib_status open_file(ib_journal **out, const char *path, ib_error *err) {
    char shown[IB_QUOTED];
    struct stat info;
    ib_journal *j = calloc(1, sizeof *j);
    *out = NULL;
    if (!j || !(j->path = ib_strdup(path))) {
        free(j);
        (void)ib_fail_memory(err, strlen(path), "the journal");
        return IB_E_RESOURCE;
    }
    ib_status st = IB_OK;
    j->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (j->fd < 0)
        st = fail_io("open", path, err);
    else if (fstat(j->fd, &info) != 0 || !S_ISREG(info.st_mode))
        st = ib_fail(err, IB_E_OUTPUT,
                     "cannot write '%s': not a regular file; fix: move it away, or choose another "
                     "--output",
                     ib_quotez(path, shown));
    else if (flock(j->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        st = ib_fail(err, IB_E_OUTPUT,
                     "journal in use in '%s': another process writes it; fix: wait for it, or "
                     "choose another --output",
                     ib_quotez(path, shown));
    if (st != IB_OK) {
        ib_journal_close(j, false);
        return st;
    }
    *out = j;
    return IB_OK;
}

static ib_status write_line(ib_journal *j, const ib_buf *line, ib_error *err) {
    for (size_t at = 0; at < line->len;) {
        ssize_t n = pwrite(j->fd, line->ptr + at, line->len - at, (off_t)(j->size + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n < 0 ? errno : ENOSPC;
            return fail_io("write", j->path, err);
        }
        at += (size_t)n;
    }
    if (fsync(j->fd) != 0)
        return fail_io("flush", j->path, err);
    return IB_OK;
}

/* Appends object as a line; takes it over (NULL = out of memory). */
static ib_status append(ib_journal *j, json_t *object, ib_error *err) {
    ib_buf line;
    ib_buf_init(&line);
    ib_status st = object ? ib_json_dump(object, JSON_COMPACT, &line, err)
                          : ib_fail_memory(err, 0, "the journal");
    json_decref(object);
    if (st == IB_OK)
        st = ib_buf_addc(&line, '\n', err);
    if (st == IB_OK)
        st = write_line(j, &line, err);
    if (st == IB_OK)
        j->size += line.len;
    else if (ftruncate(j->fd, (off_t)j->size) != 0)
        st = st == IB_OK ? IB_E_OUTPUT : st; /* the reader drops a line that was cut */
    ib_buf_clear(&line);
    return st;
}

/* One line of the journal's head. Takes over record. */
static ib_status head_line(ib_buf *out, const char *identity, size_t n_cells, json_t *record,
                           ib_error *err) {
    json_t *o = json_pack("{s:i, s:s, s:I, s:o}", "journal", VERSION, "identity", identity,
                          "n_cells", (json_int_t)n_cells, "record", record);
    ib_status st =
        o ? ib_json_dump(o, JSON_COMPACT, out, err) : ib_fail_memory(err, 0, "the journal");
    json_decref(o);
    return st == IB_OK ? ib_buf_addc(out, '\n', err) : st;
}

/* The head is there whole or not at all, so that there is no journal without one. */
ib_status ib_journal_create(ib_journal **out, const char *path, const char *identity,
                            const ib_record *head, size_t n_cells, ib_error *err) {
    ib_record bare = *head; /* borrows everything */
    json_t *record = NULL;
    ib_buf line;
    bare.cells = NULL;
    bare.n_cells = 0;
    if (ib_path_exists(path)) { /* in use? */
        IB_TRY(open_file(out, path, err));
        ib_journal_close(*out, false);
        *out = NULL;
    }
    ib_buf_init(&line);
    ib_status st = ib_record_to_json(&bare, &record, err);
    if (st == IB_OK)
        st = head_line(&line, identity, n_cells, record, err);
    if (st == IB_OK)
        st = ib_file_write(path, line.ptr, line.len, err);
    if (st == IB_OK)
        st = open_file(out, path, err);
    if (st == IB_OK)
        (*out)->size = line.len;
    ib_buf_clear(&line);
    return st;
}

static ib_status append_part(ib_journal *j, size_t cell, const char *key, json_t *part,
                             ib_error *err) {
    return append(j, json_pack("{s:I, s:o}", "cell", (json_int_t)cell, key, part), err);
}

ib_status ib_journal_opened(ib_journal *j, size_t cell, const ib_cell *c, ib_error *err) {
    json_t *part = NULL;
    IB_TRY(ib_record_bare_cell_to_json(c, &part, err));
    return append_part(j, cell, "opened", part, err);
}

ib_status ib_journal_run(ib_journal *j, size_t cell, const ib_run_record *r, ib_error *err) {
    json_t *part = NULL;
    IB_TRY(ib_record_run_to_json(r, &part, err));
    IB_TRY(append_part(j, cell, "run", part, err));
    j->n_runs++;
    return IB_OK;
}

ib_status ib_journal_process(ib_journal *j, size_t cell, const ib_cell *c, ib_error *err) {
    json_t *process = NULL, *runs = json_array(), *run;
    const uint64_t last = c->n_processes - 1;
    size_t n = 0;
    ib_status st = runs ? ib_record_process_to_json(&c->processes[last], &process, err)
                        : ib_fail_memory(err, 0, "the journal");
    for (size_t i = 0; i < c->n_runs && st == IB_OK; i++) {
        if (c->runs[i].process != last)
            continue;
        st = ib_record_run_to_json(&c->runs[i], &run, err);
        if (st == IB_OK && json_array_append_new(runs, run) != 0)
            st = ib_fail_memory(err, 0, "the journal");
        n++;
    }
    if (st != IB_OK) {
        json_decref(process);
        json_decref(runs);
        return st;
    }
    IB_TRY(append(
        j, json_pack("{s:I, s:o, s:o}", "cell", (json_int_t)cell, "process", process, "runs", runs),
        err));
    j->n_runs += n;
    return IB_OK;
}

/* The first measured run was decoded to text after its line was written. */
ib_status ib_journal_done(ib_journal *j, size_t cell, const ib_cell *c, ib_error *err) {
    const ib_run_record *r = ib_cell_first_measured(c);
    json_t *part = NULL;
    IB_TRY(ib_record_bare_cell_to_json(c, &part, err));
    return append(j,
                  json_pack("{s:I, s:o, s:I}", "cell", (json_int_t)cell, "done", part,
                            "detokenize_ns", r ? (json_int_t)r->detokenize_ns : 0),
                  err);
}

size_t ib_journal_n_runs(const ib_journal *j) {
    return j->n_runs;
}

void ib_journal_close(ib_journal *j, bool remove) {
    if (!j)
        return;
    if (remove && j->fd >= 0) {
        (void)unlink(j->path);
        sync_folder(j->path);
    }
    if (j->fd >= 0)
        (void)close(j->fd);
    free(j->path);
    free(j);
}

/* --- reading back --- */

typedef struct reading {
    ib_journal *j;
    const char *identity;
    ib_record *head;
    ib_cell *cells;
    bool *done;
    size_t n_cells;
    char where[IB_QUOTED + 32]; /* file and line */
} reading;

static ib_status read_head(reading *r, const json_t *line, ib_error *err) {
    const char *identity = json_string_value(json_object_get(line, "identity"));
    const json_t *version = json_object_get(line, "journal");
    if (!json_is_integer(version))
        return ib_fail(err, IB_E_FORMAT,
                       "no journal in %s; fix: name the --output of the interrupted command",
                       r->where);
    if (json_integer_value(version) != VERSION || !identity || strcmp(identity, r->identity) != 0 ||
        json_integer_value(json_object_get(line, "n_cells")) != (json_int_t)r->n_cells)
        return ib_fail(err, IB_E_USAGE,
                       "journal of another command in %s: options, inputs or program differ; fix: "
                       "repeat the command that began it with --resume added, or remove the "
                       "journal",
                       r->where);
    return ib_record_from_json(r->head, json_object_get(line, "record"), r->where, err);
}

static void clear_processes(ib_cell *c) {
    for (size_t i = 0; i < c->n_processes; i++)
        ib_process_record_clear(&c->processes[i]);
    free(c->processes);
    c->processes = NULL;
    c->n_processes = 0;
}

/* Of a cell that begins only its processes are wanted, for runs that are kept. */
static ib_status read_opened(reading *r, ib_cell *c, const json_t *part, ib_error *err) {
    const json_t *list = json_object_get(part, "processes");
    clear_processes(c);
    for (size_t i = 0; i < json_array_size(list); i++)
        IB_TRY(ib_record_process_from_json(c, json_array_get(list, i), r->where, err));
    return IB_OK;
}

static ib_status read_process(reading *r, ib_cell *c, const json_t *line, ib_error *err) {
    const json_t *runs = json_object_get(line, "runs");
    IB_TRY(ib_record_process_from_json(c, json_object_get(line, "process"), r->where, err));
    for (size_t i = 0; i < json_array_size(runs); i++) {
        IB_TRY(ib_record_run_from_json(c, json_array_get(runs, i), r->where, err));
        r->j->n_runs++;
    }
    return IB_OK;
}

/* The finished runs stay; what the cell is comes from `part`, or is forgotten but for the processes
 * that made the runs (NULL). */
static ib_status replace_cell(reading *r, ib_cell *c, const json_t *part, ib_error *err) {
    ib_run_record *runs = c->runs;
    const size_t n_runs = c->n_runs;
    ib_cell kept = {.processes = c->processes, .n_processes = c->n_processes};
    c->runs = NULL;
    c->n_runs = 0;
    c->processes = NULL;
    c->n_processes = 0;
    ib_cell_clear(c);
    if (part || n_runs == 0) {
        clear_processes(&kept);
    } else {
        c->processes = kept.processes;
        c->n_processes = kept.n_processes;
    }
    ib_status st = part ? ib_record_cell_from_json(c, part, r->where, err) : IB_OK;
    if (c->n_runs == 0) {
        free(c->runs);
        c->runs = runs;
        c->n_runs = n_runs;
        return st;
    }
    for (size_t i = 0; i < n_runs; i++)
        ib_run_record_clear(&runs[i]);
    free(runs);
    return st == IB_OK
               ? ib_fail(err, IB_E_FORMAT, "bad journal in %s: runs where none belong", r->where)
               : st;
}

static ib_status read_detokenize(reading *r, const ib_cell *c, const json_t *line, ib_error *err) {
    int64_t ns = 0;
    IB_TRY(ib_json_get_i64(line, "detokenize_ns", 0, 0, INT64_MAX, &ns, r->where, err));
    for (size_t i = 0; i < c->n_runs; i++)
        if (!c->runs[i].warmup) {
            c->runs[i].detokenize_ns = (uint64_t)ns;
            break;
        }
    return IB_OK;
}

static ib_status read_line(reading *r, const json_t *line, ib_error *err) {
    const json_t *index = json_object_get(line, "cell"), *part;
    const json_int_t i = json_integer_value(index);
    if (!json_is_integer(index) || i < 0 || (uint64_t)i >= r->n_cells || r->done[i])
        return ib_fail(err, IB_E_FORMAT,
                       "bad journal in %s: no cell of this command; fix: remove the journal and "
                       "run again",
                       r->where);
    ib_cell *c = &r->cells[i];
    if ((part = json_object_get(line, "run"))) {
        r->j->n_runs++;
        return ib_record_run_from_json(c, part, r->where, err);
    }
    if ((part = json_object_get(line, "done"))) {
        r->done[i] = true;
        IB_TRY(replace_cell(r, c, part, err));
        return read_detokenize(r, c, line, err);
    }
    if (json_object_get(line, "process"))
        return read_process(r, c, line, err);
    if ((part = json_object_get(line, "opened")))
        return read_opened(r, c, part, err);
    return ib_fail(err, IB_E_FORMAT,
                   "bad journal in %s: neither a run nor a cell; fix: remove the journal and run "
                   "again",
                   r->where);
}

static ib_status read_lines(reading *r, const ib_buf *text, const ib_log *log, ib_error *err) {
    char shown[IB_QUOTED];
    size_t at = 0;
    for (size_t n = 1; at < text->len; n++) {
        const char *p = text->ptr + at, *end = memchr(p, '\n', text->len - at);
        const size_t len = end ? (size_t)(end - p) : text->len - at;
        const bool last = at + len + 1 >= text->len;
        json_t *line = NULL;
        (void)snprintf(r->where, sizeof r->where, "'%s' line %zu", ib_quotez(r->j->path, shown), n);
        ib_status st = end ? ib_json_parse(&line, (ib_str){p, len}, r->where, err) : IB_E_FORMAT;
        if (st == IB_E_FORMAT && last && n > 1) {
            ib_log_warn(log, "the last line of the journal was cut (%s): it is dropped", r->where);
            return IB_OK;
        }
        if (!end)
            return ib_fail(err, IB_E_FORMAT,
                           "no journal in %s: the line has no end; fix: remove it and run again",
                           r->where);
        if (st == IB_OK)
            st = n == 1 ? read_head(r, line, err) : read_line(r, line, err);
        json_decref(line);
        IB_TRY(st);
        at += len + 1;
        r->j->size = at;
    }
    if (at == 0)
        return ib_fail(err, IB_E_FORMAT,
                       "no journal in '%s': it is empty; fix: remove it and run again",
                       ib_quotez(r->j->path, shown));
    return IB_OK;
}

ib_status ib_journal_resume(ib_journal **out, const char *path, const char *identity,
                            ib_record *head, ib_cell *cells, bool *done, size_t n_cells,
                            const ib_log *log, ib_error *err) {
    reading r = {
        .identity = identity, .head = head, .cells = cells, .done = done, .n_cells = n_cells};
    ib_buf text;
    ib_buf_init(&text);
    IB_TRY(open_file(out, path, err));
    r.j = *out;
    ib_status st = ib_file_read(&text, path, JOURNAL_CAP, err);
    if (st == IB_OK)
        st = read_lines(&r, &text, log, err);
    ib_buf_clear(&text);
    for (size_t i = 0; st == IB_OK && i < n_cells; i++)
        if (!done[i])
            st = replace_cell(&r, &cells[i], NULL, err);
    if (st == IB_OK && ftruncate(r.j->fd, (off_t)r.j->size) != 0)
        st = fail_io("cut", path, err);
    if (st != IB_OK) {
        ib_journal_close(r.j, false);
        *out = NULL;
    }
    return st;
}
