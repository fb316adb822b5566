/* SPDX-License-Identifier: MIT
 * The default report. First the reference script's lines, to the letter, computed as it computes
 * them (generation.md section 1), so that old tables stay comparable; then an empty line and the
 * corrected summary (docs/methods.md). */
#include "report/profile.h"

#include "record/energy.h"
#include "stats/quantile.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char rule[] = "----------------------------------------\n";

/* Appends text; a macro would hide the early return. */
static ib_status add(ib_buf *out, const char *text, ib_error *err) {
    return ib_buf_adds(out, text, err);
}

/* --- the reference's lines --- */

ib_status ib_report_text_header(const char *device, const char *model_id, const char *attn,
                                ib_buf *out, ib_error *err) {
    IB_TRY(add(out, "Running inference on ", err));
    IB_TRY(ib_report_name(device, out, err));
    IB_TRY(add(out, " with model ", err));
    IB_TRY(ib_report_name(model_id, out, err));
    IB_TRY(add(out, "\nUsing attention implementation: ", err));
    IB_TRY(ib_report_name(attn, out, err));
    return ib_buf_addc(out, '\n', err);
}

ib_status ib_report_text_latency(uint64_t gap_ns, ib_buf *out, ib_error *err) {
    char number[40];
    (void)ib_stats_fixed((double)gap_ns / 1e6, 1, number, sizeof number);
    return ib_buf_addf(out, err, "Token latency: %s ms\n", number);
}

ib_status ib_report_text_running_median(const uint64_t *gaps_ns, size_t n, ib_buf *out,
                                        ib_error *err) {
    char number[32];
    if (n % 10 != 2)
        return IB_OK;
    double *ms = malloc(n * sizeof *ms);
    if (!ms)
        return ib_fail_memory(err, n * sizeof *ms, "the running median");
    for (size_t i = 0; i < n; i++)
        ms[i] = (double)gaps_ns[i] / 1e6;
    ib_stats_sort(ms, n);
    (void)ib_stats_repr(ib_stats_median(ms, n), number);
    free(ms);
    return ib_buf_addf(out, err, "Token latency median: %s ms\n", number);
}

static ib_status token_lines(const ib_run_record *r, const ib_report_options *o, ib_buf *out,
                             ib_error *err) {
    size_t n = (size_t)r->n_tokens;
    ib_status st = IB_OK;
    uint64_t *gaps = calloc(n + 1, sizeof *gaps);
    if (!gaps)
        return ib_fail_memory(err, n * sizeof *gaps, "the token lines");
    for (size_t i = 0; i < n && st == IB_OK; i++) {
        gaps[i] = r->stamps_ns[i + 1] - r->stamps_ns[i];
        st = ib_report_text_latency(gaps[i], out, err);
        if (st == IB_OK && o->running_median)
            st = ib_report_text_running_median(gaps, i + 1, out, err);
    }
    free(gaps);
    return st;
}

/* "{10: 34.0, 99.9: 35.1}" as Python prints a dict of floats; whole keys as integers. */
static ib_status percentile_line(const ib_summary *s, ib_buf *out, ib_error *err) {
    char key[32], value[32];
    IB_TRY(add(out, "Latency percentiles {", err));
    for (size_t i = 0; i < s->n_percentiles; i++) {
        double q = s->percentiles[i];
        if (q == floor(q))
            (void)ib_stats_fixed(q, 0, key, sizeof key);
        else
            (void)ib_stats_repr(q, key);
        (void)ib_stats_repr(s->ref_percentile_ms[i], value);
        IB_TRY(ib_buf_addf(out, err, "%s%s: %s", i ? ", " : "", key, value));
    }
    return add(out, "}\n", err);
}

static ib_status reference_lines(const ib_cell *c, const ib_summary *s, const ib_report_options *o,
                                 ib_buf *out, ib_error *err) {
    char number[40];
    const ib_run_record *run = ib_cell_first_measured(c);
    if (!o->body_only) {
        const char *device = c->resolved.device ? c->resolved.device : c->asked.device;
        const char *attn = c->resolved.attn ? c->resolved.attn : c->asked.attn;
        IB_TRY(ib_report_text_header(device, c->asked.model_id, attn, out, err));
        if (run)
            IB_TRY(token_lines(run, o, out, err));
    }
    IB_TRY(add(out, "\\Output (including prompt):\n", err));
    IB_TRY(add(out, rule, err));
    if (c->output_text)
        IB_TRY(ib_record_utf8((ib_str){c->output_text, c->n_output_text}, out, err));
    IB_TRY(ib_buf_addc(out, '\n', err));
    IB_TRY(add(out, rule, err));
    (void)ib_stats_fixed((double)c->memory.peak_total / (1024 * 1024), 0, number, sizeof number);
    IB_TRY(ib_buf_addf(out, err, "Peak memory usage: %sMB\n", number));
    if (o->print_median) {
        (void)ib_stats_repr(s->ref_median_ms, number);
        IB_TRY(ib_buf_addf(out, err, "Median latency: %sms\n", number));
    }
    return percentile_line(s, out, err);
}

/* --- the corrected summary --- */

/* Marks what no file was read for. */
static ib_status synthetic_line(const ib_cell *c, ib_buf *out, ib_error *err) {
    if (!c->model.synthetic)
        return IB_OK;
    IB_TRY(add(out, "Weights      synthetic: true (random ", err));
    IB_TRY(ib_report_name(
        c->asked.quant && strcmp(c->asked.quant, "none") != 0 ? c->asked.quant : "bf16", out, err));
    return ib_buf_addf(out, err, ", seed %" PRIu64 "); the text means nothing\n", c->asked.seed);
}

static ib_status load_line(const ib_cell *c, const ib_summary *s, ib_buf *out, ib_error *err) {
    ib_number n;
    IB_TRY(ib_buf_addf(out, err, "Load         %s ms", ib_report_ms(s->load_ms, &n)));
    for (size_t i = 0; i < c->n_load; i++) {
        IB_TRY(add(out, i ? ", " : " (", err));
        IB_TRY(ib_report_name(c->load[i].name, out, err));
        IB_TRY(ib_buf_addf(out, err, " %s%s", ib_report_ms((double)c->load[i].ns / 1e6, &n),
                           i + 1 == c->n_load ? ")" : ""));
    }
    const ib_load_record *l = &c->loaded;
    if (l->file_bytes && l->mode) {
        IB_TRY(add(out, "; files of ", err));
        IB_TRY(ib_buf_addf(out, err, "%s MB, %s %% in the page cache before",
                           ib_report_number((double)l->file_bytes / 1e6, 1, &n),
                           ib_report_number(100 * (double)l->cached_bytes / (double)l->file_bytes,
                                            1, &(ib_number){{0}})));
    }
    return ib_buf_addc(out, '\n', err);
}

static ib_status prompt_line(const ib_cell *c, const ib_run_record *r, ib_buf *out, ib_error *err) {
    ib_number a, b;
    IB_TRY(ib_buf_addf(out, err, "Prompt       %" PRIu64 " tokens", c->n_prompt_ids));
    if (c->asked.n_depth)
        IB_TRY(ib_buf_addf(out, err, " behind a context of %" PRIu64 " (run in %s ms)",
                           c->asked.n_depth, ib_report_ms((double)c->depth_ns / 1e6, &a)));
    if (!c->prompt_text)
        return add(out, " (given as ids)\n", err);
    IB_TRY(ib_buf_addf(out, err, " (template %s ms, tokenizing %s ms",
                       ib_report_ms(r ? (double)r->render_ns / 1e6 : NAN, &a),
                       ib_report_ms(r ? (double)r->tokenize_ns / 1e6 : NAN, &b)));
    if (c->n_special_in_text)
        IB_TRY(ib_buf_addf(out, err, "; %" PRIu64 " special tokens in the messages' own text",
                           c->n_special_in_text));
    return add(out, ")\n", err);
}

/* The forced id at the last position is the length's doing, not the model's. */
static const char *end_of(const ib_cell *c, const ib_run_record *r) {
    if (!r)
        return "";
    if (r->cancelled)
        return ", stopped by a signal";
    return r->stopped_by_eos && r->n_tokens < c->asked.max_new_tokens ? ", ended by an eos id"
                                                                      : ", ended by the length";
}

static ib_status work_lines(const ib_cell *c, const ib_run_record *r, const ib_summary *s,
                            ib_buf *out, ib_error *err) {
    IB_TRY(prompt_line(c, r, out, err));
    IB_TRY(ib_buf_addf(out, err, "Generated    %" PRIu64 " tokens", r ? r->n_tokens : 0));
    if (r && r->n_seqs != 1)
        IB_TRY(ib_buf_addf(out, err, " in each of %" PRIu64 " sequences", r->n_seqs));
    IB_TRY(add(out, end_of(c, r), err));
    return ib_buf_addf(out, err, "; %zu measured run%s of %zu\n", s->n_runs,
                       s->n_runs == 1 ? "" : "s", c->n_runs);
}

/* Percentiles that the gaps support, then what the first of the others would need. */
static ib_status percentiles(const ib_summary *s, ib_buf *out, ib_error *err) {
    ib_number n;
    char name[40], few[200] = "";
    for (size_t i = 0; i < s->n_shown; i++) {
        const ib_itl_percentile *p = &s->itl[s->shown[i]];
        ib_percentile_name(p->q, name);
        if (p->supported)
            IB_TRY(ib_buf_addf(out, err, ", %s %s ms", name, ib_report_ms(p->ms, &n)));
        else if (p->needs == UINT64_MAX)
            IB_TRY(ib_buf_addf(out, err, ", %s %s ms", p->q > 50 ? "most" : "least",
                               ib_report_ms(p->q > 50 ? s->itl_max_ms : s->itl_min_ms, &n)));
        else if (!few[0])
            (void)snprintf(few, sizeof few,
                           "; no %s: it needs %" PRIu64 " independent gaps and these are worth ",
                           name, p->needs);
    }
    if (!few[0])
        return IB_OK;
    IB_TRY(add(out, few, err));
    IB_TRY(add(out, ib_report_number(floor(s->n_itl_effective), 0, &n), err));
    return ib_buf_addf(out, err, "; longest %s ms", ib_report_ms(s->itl_max_ms, &n));
}

static ib_status interval(ib_interval v, ib_buf *out, ib_error *err) {
    ib_number low, high;
    if (!isfinite(v.low))
        return IB_OK;
    return ib_buf_addf(out, err, ", 95 %% interval %s to %s ms", ib_report_ms(v.low, &low),
                       ib_report_ms(v.high, &high));
}

static ib_status time_lines(const ib_cell *c, const ib_run_record *r, const ib_summary *s,
                            ib_buf *out, ib_error *err) {
    ib_number a, b, d;
    const uint64_t n = c->asked.n_depth + c->n_prompt_ids;
    IB_TRY(ib_buf_addf(out, err, "TTFT         %s ms", ib_report_ms(s->ttft_ms, &a)));
    IB_TRY(interval(s->ttft_interval, out, err));
    IB_TRY(ib_buf_addf(out, err, " (prefill %s ms", ib_report_ms(s->prefill_ms, &b)));
    if (c->prompt_text)
        IB_TRY(ib_buf_addf(out, err, "; from text %s ms", ib_report_ms(s->ttft_from_text_ms, &d)));
    IB_TRY(ib_buf_addf(out, err, ")\nTPOT         %s ms", ib_report_ms(s->tpot_ms, &a)));
    IB_TRY(interval(s->tpot_interval, out, err));
    if (s->n_itl == 0)
        return add(out, "\nITL          - (one token)\n", err);
    IB_TRY(ib_buf_addf(out, err, "\nITL          n %zu without the first", s->n_itl));
    IB_TRY(percentiles(s, out, err));
    return ib_buf_addf(out, err, "; at context %" PRIu64 " to %" PRIu64 "\n", n + 1,
                       n + (r ? r->n_tokens - 1 : 0));
}

static ib_status rate_lines(const ib_summary *s, ib_buf *out, ib_error *err) {
    ib_number a, b;
    IB_TRY(ib_buf_addf(out, err, "Decode       %s tok/s\nPrefill      %s tok/s\n",
                       ib_report_number(s->decode_tok_s, 2, &a),
                       ib_report_number(s->prefill_tok_s, 1, &b)));
    return ib_buf_addf(out, err, "Read         %s MB per decoded token, %s GB/s\n",
                       ib_report_number(s->bytes_per_token / 1e6, 2, &a),
                       ib_report_number(s->read_gbps, 2, &b));
}

/* Below it two cores share a cache, or sit close (docs/methods.md). */
static const char *distance(double ping_ns) {
    return !(ping_ns > 0) ? "-" : ping_ns < IB_PING_NEAR_NS ? "NEAR" : "FAR";
}

static double known(double v) { /* 0 in a record: unknown */
    return v > 0 ? v : NAN;
}

static ib_status roofline_line(const ib_cell *c, const ib_summary *s, ib_buf *out, ib_error *err) {
    const ib_probe_record *p = &c->probe;
    ib_number a, b, d, e;
    if (!p->done)
        return IB_OK;
    IB_TRY(ib_buf_addf(out, err, "Roofline     decode %s of %s GB/s read (MBU %s %%)",
                       ib_report_number(s->read_gbps, 2, &a),
                       ib_report_number(known(p->read_gbps), 2, &b),
                       ib_report_number(s->mbu * 100, 1, &d)));
    IB_TRY(ib_buf_addf(out, err, ", prefill %s of %s GFLOP/s (MFU %s %%)",
                       ib_report_number(s->prefill_gflops, 1, &a),
                       ib_report_number(known(p->flops) / 1e9, 1, &b),
                       ib_report_number(s->mfu * 100, 1, &d)));
    if (s->mbu_of_peak > 0)
        IB_TRY(ib_buf_addf(out, err, ", decode %s %% of the %s GB/s given",
                           ib_report_number(s->mbu_of_peak * 100, 1, &a),
                           ib_report_number(c->asked.peak_gbps, 2, &b)));
    if (!(p->ping_before_ns > 0) && !(p->ping_after_ns > 0))
        return ib_buf_addc(out, '\n', err);
    return ib_buf_addf(
        out, err, "; cores %s ns apart before (%s), %s ns after (%s)\n",
        ib_report_number(known(p->ping_before_ns), 0, &d), distance(p->ping_before_ns),
        ib_report_number(known(p->ping_after_ns), 0, &e), distance(p->ping_after_ns));
}

/* A token's time by the calls it takes; what a call means depends on the device. */
static ib_status split_line(const ib_cell *c, const ib_summary *s, ib_buf *out, ib_error *err) {
    ib_number a, b, d;
    const bool done = ib_cell_is_synchronous(c);
    if (!isfinite(s->decode_call_ms))
        return IB_OK;
    IB_TRY(ib_buf_addf(out, err, "Per token    %s %s ms, %s %s ms", done ? "device" : "queueing",
                       ib_report_number(s->decode_call_ms, 3, &a),
                       done ? "sampling" : "waiting and sampling",
                       ib_report_number(s->pick_call_ms, 3, &b)));
    if (isfinite(s->detokenize_ms))
        IB_TRY(ib_buf_addf(out, err, "; detokenizing %s ms, after the runs",
                           ib_report_number(s->detokenize_ms, 4, &d)));
    return ib_buf_addc(out, '\n', err);
}

static ib_status limit(const char *phase, const ib_limit *l, ib_buf *out, ib_error *err) {
    const struct {
        const char *name;
        double share;
    } all[] = {{"memory", l->memory},
               {"compute", l->compute},
               {"launch or host", l->host},
               {"synchronisation", l->sync}};
    bool first = true;
    ib_number n;
    IB_TRY(ib_buf_addf(out, err, "%s %s", phase, l->binds ? l->binds : "-"));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!isfinite(all[i].share))
            continue;
        IB_TRY(ib_buf_addf(out, err, "%s%s %s %%", first ? " (" : ", ", all[i].name,
                           ib_report_number(all[i].share * 100, 1, &n)));
        first = false;
    }
    return first ? IB_OK : add(out, " of the time)", err);
}

static ib_status limit_line(const ib_cell *c, const ib_summary *s, ib_buf *out, ib_error *err) {
    if (!c->probe.done)
        return IB_OK;
    IB_TRY(limit("Limit        decode:", &s->decode_limit, out, err));
    IB_TRY(limit("; prefill:", &s->prefill_limit, out, err));
    return ib_buf_addc(out, '\n', err);
}

static ib_status memory_lines(const ib_cell *c, ib_buf *out, ib_error *err) {
    const ib_memory_record *m = &c->memory;
    ib_number w, map, kv, scratch, io, peak;
    IB_TRY(ib_buf_addf(out, err,
                       "Memory       weights %s MiB (%s mapped), KV cache %s, scratch %s, in and "
                       "out %s; peak %s MiB\n",
                       ib_report_mib(m->weights, &w), ib_report_mib(m->weights_mapped, &map),
                       ib_report_mib(m->kv, &kv), ib_report_mib(m->scratch, &scratch),
                       ib_report_mib(m->io, &io), ib_report_mib(m->peak_total, &peak)));
    IB_TRY(ib_buf_addf(out, err, "Process      peak RSS %s MiB",
                       m->vm_hwm ? ib_report_mib(m->vm_hwm, &w) : "-"));
    if (c->loaded.huge_bytes)
        IB_TRY(ib_buf_addf(out, err, ", %s MiB in huge pages",
                           ib_report_mib(c->loaded.huge_bytes, &w)));
    if (m->driver_peak)
        IB_TRY(ib_buf_addf(out, err, ", driver's peak %s MiB", ib_report_mib(m->driver_peak, &w)));
    return ib_buf_addc(out, '\n', err);
}

static ib_status energy_line(const ib_cell *c, ib_buf *out, ib_error *err) {
    const ib_energy_record *e = &c->energy;
    ib_energy_summary s;
    ib_number token, prefill, idle, run;
    ib_energy_summarise(&s, c);
    if (!e->source)
        return e->why_not ? ib_buf_addf(out, err, "Energy       not available: %s\n", e->why_not)
                          : IB_OK;
    return ib_buf_addf(out, err,
                       "Energy       %s J per output token, %s J for the prompt, idle taken off "
                       "(%s W; %s W in the runs; %s)\n",
                       ib_report_number(s.per_output_token_j, 4, &token),
                       ib_report_number(s.prefill_j, 3, &prefill),
                       ib_report_number(s.idle_w, 1, &idle), ib_report_number(s.run_w, 1, &run),
                       e->source);
}

static ib_status named(const char *label, const char *name, ib_buf *out, ib_error *err) {
    IB_TRY(add(out, label, err));
    return ib_report_name(name, out, err);
}

static ib_status ran_lines(const ib_cell *c, const ib_run_record *r, const ib_summary *s,
                           ib_buf *out, ib_error *err) {
    const ib_resolved *ran = &c->resolved;
    IB_TRY(named("Ran on       ", ran->device, out, err));
    IB_TRY(named(" (", ran->device_name, out, err));
    IB_TRY(named("), tier ", ran->tier, out, err));
    IB_TRY(ib_buf_addf(out, err, ", threads %" PRId64, ran->n_threads));
    if (ran->pin)
        IB_TRY(named(" bound to ", ran->pin, out, err));
    IB_TRY(ib_buf_addc(out, '\n', err));
    IB_TRY(named("Arithmetic   attention ", ran->attn, out, err));
    IB_TRY(named(", dtype ", ran->dtype, out, err));
    IB_TRY(named(", compute ", ran->compute, out, err));
    IB_TRY(named(", activations ", ran->activation_dtype, out, err));
    IB_TRY(named(", KV cache ", ran->kv_dtype, out, err));
    IB_TRY(named("\nToken ids    sha256 ", r ? r->ids_sha256 : NULL, out, err));
    if (s->n_runs > 1)
        IB_TRY(add(out, s->ids_equal ? ", equal in all runs" : ", NOT equal in all runs", err));
    IB_TRY(named("\nVerdict      ", s->verdict, out, err));
    for (size_t i = 0; i < s->n_reasons; i++) {
        IB_TRY(add(out, i ? "; " : ": ", err));
        IB_TRY(add(out, s->reasons[i], err));
    }
    return ib_buf_addc(out, '\n', err);
}

static ib_status cell_text(const ib_cell *c, const ib_report_options *o, ib_buf *out,
                           ib_error *err) {
    ib_summary s;
    const ib_run_record *r = ib_cell_first_measured(c);
    IB_TRY(ib_summarise(&s, c, o->percentiles, o->n_percentiles, err));
    IB_TRY(reference_lines(c, &s, o, out, err));
    IB_TRY(ib_buf_addc(out, '\n', err));
    IB_TRY(synthetic_line(c, out, err));
    IB_TRY(load_line(c, &s, out, err));
    IB_TRY(work_lines(c, r, &s, out, err));
    IB_TRY(time_lines(c, r, &s, out, err));
    IB_TRY(ib_report_text_statistics(c, &s, out, err));
    IB_TRY(rate_lines(&s, out, err));
    IB_TRY(roofline_line(c, &s, out, err));
    IB_TRY(limit_line(c, &s, out, err));
    IB_TRY(split_line(c, &s, out, err));
    IB_TRY(memory_lines(c, out, err));
    IB_TRY(energy_line(c, out, err));
    IB_TRY(ran_lines(c, r, &s, out, err));
    return ib_report_profile_text(&c->profile, out, err);
}

ib_status ib_report_text(const ib_record *r, const ib_report_options *o, ib_buf *out,
                         ib_error *err) {
    for (size_t i = 0; i < r->n_cells; i++) {
        if (i)
            IB_TRY(ib_buf_addc(out, '\n', err));
        IB_TRY(cell_text(&r->cells[i], o, out, err));
    }
    return IB_OK;
}
