/* SPDX-License-Identifier: MIT
 * The record in memory: growing it, copying what an opened model is, freeing it, hashing ids, and
 * the facts that every record begins with. */
#include "record/record.h"

#include "base/checked.h"
#include "base/file.h"
#include "record/environment.h"
#include "record/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef IB_VERSION
#define IB_VERSION "unknown"
#endif
#ifndef IB_COMMIT
#define IB_COMMIT ""
#endif

void ib_run_record_clear(ib_run_record *r) {
    free(r->stamps_ns);
    free(r->output_ids);
    *r = (ib_run_record){0};
}

void ib_process_record_clear(ib_process_record *p) {
    ib_fields_clear(&ib_fields_process, p);
    json_decref(p->before);
    json_decref(p->after);
    *p = (ib_process_record){0};
}

void ib_cell_clear(ib_cell *c) {
    ib_fields_clear(&ib_fields_asked, &c->asked);
    ib_fields_clear(&ib_fields_resolved, &c->resolved);
    ib_fields_clear(&ib_fields_model, &c->model);
    ib_fields_clear(&ib_fields_energy, &c->energy);
    json_decref(c->model.files);
    ib_fields_clear(&ib_fields_load, &c->loaded);
    for (size_t i = 0; i < c->n_runs; i++)
        ib_run_record_clear(&c->runs[i]);
    free(c->runs);
    for (size_t i = 0; i < c->n_processes; i++)
        ib_process_record_clear(&c->processes[i]);
    free(c->processes);
    json_decref(c->stopping);
    free(c->prompt_ids);
    free(c->prompt_text);
    free(c->output_text);
    json_decref(c->generation);
    *c = (ib_cell){0};
}

void ib_record_clear(ib_record *r) {
    for (size_t i = 0; i < r->n_cells; i++)
        ib_cell_clear(&r->cells[i]);
    free(r->cells);
    free(r->tool_version);
    free(r->tool_commit);
    free(r->compiler);
    free(r->command);
    free(r->started_utc);
    json_decref(r->environment);
    *r = (ib_record){0};
}

/* An array of n elements becomes one of n + 1; the new one is zeroed. */
static ib_status grow(void **array, size_t n, size_t size, ib_error *err) {
    size_t count, bytes;
    if (!ib_add_size(n, 1, &count) || !ib_mul_size(count, size, &bytes))
        return ib_fail_memory(err, SIZE_MAX, "the record");
    void *grown = realloc(*array, bytes);
    if (!grown)
        return ib_fail_memory(err, bytes, "the record");
    *array = grown;
    memset((char *)grown + n * size, 0, size);
    return IB_OK;
}

ib_status ib_record_add_cell(ib_record *r, ib_cell **out, ib_error *err) {
    void *cells = r->cells;
    *out = NULL;
    IB_TRY(grow(&cells, r->n_cells, sizeof *r->cells, err));
    r->cells = cells;
    *out = &r->cells[r->n_cells++];
    return IB_OK;
}

ib_status ib_cell_add_run(ib_cell *c, ib_run_record **out, ib_error *err) {
    void *runs = c->runs;
    *out = NULL;
    IB_TRY(grow(&runs, c->n_runs, sizeof *c->runs, err));
    c->runs = runs;
    *out = &c->runs[c->n_runs++];
    return IB_OK;
}

ib_status ib_cell_add_process(ib_cell *c, ib_process_record **out, ib_error *err) {
    void *processes = c->processes;
    *out = NULL;
    IB_TRY(grow(&processes, c->n_processes, sizeof *c->processes, err));
    c->processes = processes;
    *out = &c->processes[c->n_processes++];
    return IB_OK;
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static void join_memory(ib_memory_record *to, const ib_memory_record *from) {
    to->weights = larger(to->weights, from->weights);
    to->weights_mapped = larger(to->weights_mapped, from->weights_mapped);
    to->kv = larger(to->kv, from->kv);
    to->scratch = larger(to->scratch, from->scratch);
    to->io = larger(to->io, from->io);
    to->peak_total = larger(to->peak_total, from->peak_total);
    to->vm_hwm = larger(to->vm_hwm, from->vm_hwm);
    to->driver_peak = larger(to->driver_peak, from->driver_peak);
}

ib_status ib_cell_join(ib_cell *to, ib_cell *from, ib_error *err) {
    const uint64_t shift = to->n_processes;
    if (to->n_runs == 0) {
        ib_cell_clear(to);
        *to = *from;
        *from = (ib_cell){0};
        return IB_OK;
    }
    if (to->n_prompt_ids == 0) { /* runs of a journal: what the cell is comes from `from` */
        ib_cell held = *to;
        *to = *from;
        to->runs = held.runs;
        to->n_runs = held.n_runs;
        to->processes = held.processes;
        to->n_processes = held.n_processes;
        held.runs = from->runs;
        held.n_runs = from->n_runs;
        held.processes = from->processes;
        held.n_processes = from->n_processes;
        *from = held;
    }
    for (size_t i = 0; i < from->n_processes; i++) {
        ib_process_record *p;
        IB_TRY(ib_cell_add_process(to, &p, err));
        *p = from->processes[i];
        from->processes[i] = (ib_process_record){0};
    }
    for (size_t i = 0; i < from->n_runs; i++) {
        ib_run_record *r;
        IB_TRY(ib_cell_add_run(to, &r, err));
        *r = from->runs[i];
        r->process += shift;
        from->runs[i] = (ib_run_record){0};
    }
    join_memory(&to->memory, &from->memory);
    ib_cell_clear(from);
    return IB_OK;
}

ib_status ib_cell_copy_opened(ib_cell *to, const ib_cell *from, ib_error *err) {
    IB_TRY(ib_fields_copy(&ib_fields_resolved, &to->resolved, &from->resolved, err));
    IB_TRY(ib_fields_copy(&ib_fields_model, &to->model, &from->model, err));
    IB_TRY(ib_fields_copy(&ib_fields_step, &to->model, &from->model, err));
    json_decref(to->model.files);
    to->model.files = from->model.files ? json_incref(from->model.files) : NULL;
    memcpy(to->model.formats, from->model.formats, sizeof to->model.formats);
    to->model.n_formats = from->model.n_formats;
    IB_TRY(ib_fields_copy(&ib_fields_load, &to->loaded, &from->loaded, err));
    memcpy(to->load, from->load, sizeof to->load);
    to->n_load = from->n_load;
    return IB_OK;
}

void ib_cell_add_phase(ib_cell *c, const char *name, uint64_t ns) {
    if (c->n_load == IB_RECORD_MAX_PHASES) {
        c->load[c->n_load - 1].ns += ns;
        return;
    }
    ib_phase_record *p = &c->load[c->n_load++];
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    p->ns = ns;
}

static bool little_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

void ib_ids_sha256(const uint32_t *ids, size_t n, char out[65]) {
    size_t bytes;
    if (little_endian()) {
        ib_sha256_hex(n ? (const void *)ids : "", n * sizeof *ids, out);
        return;
    }
    unsigned char *le = ib_mul_size(n, 4, &bytes) ? malloc(bytes ? bytes : 1) : NULL;
    if (!le) {
        out[0] = '\0'; /* no memory for the copy: better no hash than a wrong one */
        return;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 4; k++)
            le[4 * i + k] = (unsigned char)(ids[i] >> (8 * k));
    ib_sha256_hex(le, bytes, out);
    free(le);
}

/* The largest values, ties by the smaller id. */
static void keep_top(ib_run_record *r, const float *row, size_t n) {
    r->n_top = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = r->n_top;
        while (at > 0 && row[i] > r->top[at - 1].value)
            at--;
        if (at == IB_RECORD_MAX_TOP)
            continue;
        size_t last = r->n_top < IB_RECORD_MAX_TOP ? r->n_top++ : IB_RECORD_MAX_TOP - 1;
        for (; last > at; last--)
            r->top[last] = r->top[last - 1];
        r->top[at] = (ib_logit){(uint32_t)i, row[i]};
    }
}

void ib_run_record_logits(ib_run_record *r, const float *logits, size_t n_seqs, size_t n_vocab) {
    size_t n, bytes;
    r->logits_sha256[0] = '\0';
    r->n_top = 0;
    for (size_t i = 0; i < n_vocab; i++)
        if (!(logits[i] - logits[i] == 0)) /* not finite: nothing to compare */
            return;
    if (n_vocab && little_endian() && ib_mul_size(n_seqs, n_vocab, &n) &&
        ib_mul_size(n, sizeof *logits, &bytes)) {
        ib_sha256_hex(logits, bytes, r->logits_sha256);
        keep_top(r, logits, n_vocab);
    }
}

void ib_run_record_hash(ib_run_record *r) {
    ib_ids_sha256(r->output_ids, (size_t)(r->n_tokens * r->n_seqs), r->ids_sha256);
}

ib_status ib_record_utf8(ib_str text, ib_buf *out, ib_error *err) {
    const char *p = text.ptr, *end = text.ptr + text.len;
    while (p < end) {
        size_t good = ib_utf8_valid_prefix(p, (size_t)(end - p));
        IB_TRY(ib_buf_add(out, p, good, err));
        p += good;
        if (p == end)
            break;
        IB_TRY(ib_buf_add_utf8(out, 0xFFFD, err));
        p += ib_utf8_bad_len(p, end);
    }
    return IB_OK;
}

static bool token_byte(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

/* Length of the secret that begins at p, or 0: a hub token, what follows --token, or the user part
 * of a URL. */
static size_t secret_len(const char *start, const char *p) {
    static const char option[] = "--token";
    size_t n = 0, back = sizeof option; /* the option and its blank or '=' */
    bool value = (size_t)(p - start) >= back && strncmp(p - back, option, back - 1) == 0 &&
                 (p[-1] == '=' || p[-1] == ' ');
    if (value)
        return strcspn(p, " ");
    if (strncmp(p, "hf_", 3) == 0 && (p == start || !token_byte(p[-1]))) {
        while (token_byte(p[n]))
            n++;
        return n >= 10 ? n : 0;
    }
    if (p - start >= 3 && strncmp(p - 3, "://", 3) == 0) {
        n = strcspn(p, "@/ ");
        return p[n] == '@' ? n : 0;
    }
    return 0;
}

static ib_status redact(const char *command, char **out, ib_error *err) {
    ib_buf b;
    ib_buf_init(&b);
    ib_status st = ib_buf_reserve(&b, strlen(command), err);
    for (const char *p = command; *p && st == IB_OK;) {
        size_t n = secret_len(command, p);
        st = n ? ib_buf_adds(&b, "***", err) : ib_buf_addc(&b, *p, err);
        p += n ? n : 1;
    }
    if (st == IB_OK)
        st = ib_buf_adds(&b, "", err);
    if (st != IB_OK)
        ib_buf_clear(&b);
    *out = b.ptr;
    return st;
}

static ib_status set_once(char **at, const char *text, ib_error *err) {
    if (*at || !text || !*text)
        return IB_OK;
    *at = ib_strdup(text);
    return *at ? IB_OK : ib_fail_memory(err, strlen(text), "the record");
}

ib_status ib_record_begin(ib_record *r, const char *command, ib_error *err) {
    char utc[40] = "";
    struct tm tm;
    time_t now = time(NULL);
    if (gmtime_r(&now, &tm))
        (void)strftime(utc, sizeof utc, "%Y-%m-%dT%H:%M:%SZ", &tm);
    IB_TRY(set_once(&r->tool_version, IB_VERSION, err));
    IB_TRY(set_once(&r->tool_commit, IB_COMMIT, err));
#ifdef __VERSION__
#ifdef __clang__
    IB_TRY(set_once(&r->compiler, __VERSION__, err));
#else
    IB_TRY(set_once(&r->compiler, "gcc " __VERSION__, err));
#endif
#endif
    IB_TRY(set_once(&r->started_utc, utc, err));
    if (!r->command && command)
        IB_TRY(redact(command, &r->command, err));
    if (!r->environment)
        IB_TRY(ib_environment_read(&r->environment, err));
    return IB_OK;
}
