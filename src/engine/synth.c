/* SPDX-License-Identifier: MIT
 * See synth.h. The loop is that of ib_generate: the work of a token, then the stamp, then the
 * callback. A token begins where the engine's own stamp of the one before ended, so what measuring
 * costs is not hidden in the waiting: it shows as soon as it is longer than the token. */
#include "engine/synth.h"

#include "base/checked.h"
#include "base/clock.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "synth:"
enum { N_VOCAB = 32000, FIRST_ID = 256 };
#define VIRTUAL_START UINT64_C(1000000000) /* of the virtual clock */
#define VIRTUAL_PAUSE UINT64_C(1000000)    /* between two runs */

struct ib_synth {
    ib_law law;
    ib_config config;
    uint64_t seed; /* of the ids */
    uint64_t now;  /* virtual */
    uint64_t n_depth, n_runs;
    size_t n_seqs, room;
    uint32_t *ids;    /* owned [n_seqs]: of one token */
    uint64_t *stamps; /* owned [room + 1] */
    size_t n_stamps;
};

bool ib_synth_asked(const char *model_id) {
    return model_id && strncmp(model_id, PREFIX, sizeof PREFIX - 1) == 0;
}

ib_status ib_synth_open(ib_synth **out, const char *model_id, uint64_t seed, ib_error *err) {
    ib_synth *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return ib_fail_memory(err, sizeof *s, "the synthetic engine");
    ib_status st = ib_law_parse(&s->law, ib_str_of(model_id + sizeof PREFIX - 1), err);
    if (st != IB_OK) {
        free(s);
        return st;
    }
    if (s->law.noise == 0) /* other draws each time; the record has the seed */
        s->law.noise = ((ib_now_ns() * UINT64_C(2654435761)) ^ ((uint64_t)getpid() << 20)) >> 8 | 1;
    s->seed = seed;
    s->now = VIRTUAL_START;
    s->config.n_vocab = N_VOCAB;
    *out = s;
    return IB_OK;
}

void ib_synth_close(ib_synth *s) {
    if (!s)
        return;
    free(s->ids);
    free(s->stamps);
    free(s);
}

const ib_law *ib_synth_law(const ib_synth *s) {
    return &s->law;
}

const ib_config *ib_synth_config(const ib_synth *s) {
    return &s->config;
}

static ib_status text(char **out, const char *value, ib_error *err) {
    free(*out);
    *out = ib_strdup(value);
    return *out ? IB_OK : ib_fail_memory(err, strlen(value), "the record");
}

const uint64_t *ib_synth_stamps(const ib_synth *s, size_t *n) {
    *n = s->n_stamps;
    return s->stamps;
}

/* Two laws are of the same work when they differ in speed, clock and seed only. */
static ib_status describe_law(const ib_synth *s, ib_model_record *model, ib_error *err) {
    char hash[65];
    ib_buf law;
    ib_buf_init(&law);
    ib_status st = ib_law_print(&s->law, false, &law, err);
    if (st == IB_OK)
        ib_sha256_hex(law.ptr, law.len, hash);
    ib_buf_reset(&law);
    if (st == IB_OK)
        st = text(&model->fingerprint, hash, err);
    if (st == IB_OK)
        st = ib_buf_adds(&law, PREFIX, err);
    if (st == IB_OK)
        st = ib_law_print(&s->law, true, &law, err);
    if (st == IB_OK)
        st = text(&model->name, law.ptr, err);
    ib_buf_clear(&law);
    return st;
}

ib_status ib_synth_describe(const ib_synth *s, ib_resolved *resolved, ib_model_record *model,
                            ib_error *err) {
    const char *clock =
        s->law.is_virtual ? "synthetic engine, virtual clock" : "synthetic engine, real clock";
    model->synthetic = true;
    model->n_vocab = N_VOCAB;
    resolved->n_threads = 1;
    IB_TRY(text(&resolved->device, "synth", err));
    IB_TRY(text(&resolved->device_name, clock, err));
    IB_TRY(text(&resolved->attn, "none", err));
    IB_TRY(text(&resolved->compute, "none", err));
    IB_TRY(text(&model->path, "synth", err));
    IB_TRY(text(&model->family, "synth", err));
    return describe_law(s, model, err);
}

ib_status ib_synth_prepare(ib_synth *s, uint64_t n_depth, size_t max_new_tokens, size_t n_seqs,
                           ib_error *err) {
    size_t n, bytes;
    if (!ib_add_size(max_new_tokens, 1, &n) || !ib_mul_size(n, sizeof *s->stamps, &bytes))
        return ib_fail_memory(err, SIZE_MAX, "stamps");
    free(s->ids);
    free(s->stamps);
    s->ids = calloc(n_seqs, sizeof *s->ids);
    s->stamps = malloc(bytes);
    if (!s->ids || !s->stamps)
        return ib_fail_memory(err, bytes, "stamps");
    memset(s->stamps, 0xFF, bytes); /* pages are there before time counts */
    s->n_depth = n_depth;
    s->n_seqs = n_seqs;
    s->room = max_new_tokens;
    return IB_OK;
}

/* Until `ns` after `from`; the moment seen last is the engine's own stamp. */
static uint64_t work(ib_synth *s, uint64_t from, uint64_t ns) {
    const uint64_t end = from + ns;
    uint64_t now;
    if (s->law.is_virtual)
        return s->now = end;
    do
        now = ib_now_ns();
    while (now < end);
    return now;
}

static uint64_t tool_now(const ib_synth *s) {
    return s->law.is_virtual ? s->now : ib_now_ns();
}

/* Ids of a token: of seed, sequence and position, the same in every run. */
static void make_ids(ib_synth *s, uint64_t i, bool flip) {
    for (size_t k = 0; k < s->n_seqs; k++) {
        uint64_t z = (s->seed + 1) * UINT64_C(0x9E3779B97F4A7C15) + (i << 20) + k;
        z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
        z ^= z >> 27;
        s->ids[k] = (uint32_t)(FIRST_ID + z % (N_VOCAB - FIRST_ID - 1)) + (flip ? 1 : 0);
    }
}

static bool at(ib_law_pair p, uint64_t run, uint64_t i) {
    return p.a == (double)run && p.factor == (double)i;
}

ib_status ib_synth_run(ib_synth *s, const ib_generation *g, size_t n_prompt, uint32_t *out_ids,
                       ib_on_token on_token, void *user, ib_generate_result *out, ib_error *err) {
    ib_law_run draw;
    const uint64_t run = s->n_runs++;
    uint64_t position = s->n_depth + n_prompt;
    *out = (ib_generate_result){.finite = s->law.nan_run != (double)run};
    if (!s->stamps || g->max_new_tokens > s->room)
        return ib_fail(err, IB_E_INTERNAL, "the engine was not prepared");
    ib_law_begin(&draw, &s->law, run);
    s->now += VIRTUAL_PAUSE;
    uint64_t own = out->request_ns = s->stamps[0] = tool_now(s);
    uint64_t took = ib_law_ttft(&draw, n_prompt);
    for (uint64_t i = 0; i < g->max_new_tokens; i++) {
        own = work(s, own, took);
        const uint64_t now = tool_now(s);
        if (i == 0)
            out->prefill_ns = now;
        s->stamps[i + 1] = own;
        make_ids(s, i, at(s->law.flip, run, i));
        memcpy(out_ids + i * s->n_seqs, s->ids, s->n_seqs * sizeof *s->ids);
        out->n_tokens = s->n_stamps = (size_t)(i + 1);
        out->stopped_by_eos = at(s->law.stop, run, i);
        out->cancelled = on_token && !on_token(user, now, s->ids, s->n_seqs);
        if (out->stopped_by_eos || out->cancelled)
            break;
        took = s->law.itl_ns > 0 ? ib_law_token(&draw, position++) : 0; /* 0: nothing to draw */
    }
    return IB_OK;
}
