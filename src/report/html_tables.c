/* SPDX-License-Identifier: MIT
 * The figures of the HTML report as cards and tables. Every figure comes with its unit, the number
 * of samples and an interval, or the reason why there is none. */
#include "report/html.h"

#include "report/values.h"
#include "stats/quantile.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

int ib_html_digits(ib_interval interval, int otherwise) {
    double half = (interval.high - interval.low) / 2;
    if (!isfinite(half) || !(half > 0))
        return otherwise;
    double digits = 1 - floor(log10(half));
    return digits < 0 ? 0 : digits > 3 ? 3 : (int)digits;
}

static int usual_digits(double v) {
    return fabs(v) < 100 ? 2 : 1;
}

void ib_html_name(ib_page *p, const ib_html_cell *c) {
    ib_page_put(p, "%zu: ", c->number);
    ib_page_name(p, c->cell->asked.model_id);
    ib_page_text(p, ", ");
    ib_page_name(p, c->cell->resolved.device ? c->cell->resolved.device : c->cell->asked.device);
    ib_page_text(p, ", ");
    ib_page_name(p, c->cell->resolved.attn ? c->cell->resolved.attn : c->cell->asked.attn);
}

static void badge(ib_page *p, const char *verdict) {
    const char *sign = strcmp(verdict, "valid") == 0   ? "\xE2\x9C\x93"
                       : strcmp(verdict, "noisy") == 0 ? "~"
                                                       : "\xE2\x9C\x97";
    ib_page_put(p, "<span class=\"badge %s\">%s %s</span>", verdict, sign, verdict);
}

static void synthetic(ib_page *p, const ib_cell *c) {
    if (c->model.synthetic)
        ib_page_text(p, " <span class=\"badge synthetic\">synthetic: random weights</span>");
}

void ib_html_verdict(ib_page *p, const ib_html_cell *c) {
    const ib_summary *s = &c->samples.summary;
    ib_page_text(p, "<p>Verdict: ");
    badge(p, s->verdict);
    synthetic(p, c->cell);
    if (s->n_reasons == 0)
        ib_page_text(p, " no gate tripped.");
    ib_page_text(p, "</p>\n");
    if (s->n_reasons == 0)
        return;
    ib_page_text(p, "<ul>");
    for (size_t i = 0; i < s->n_reasons; i++) {
        ib_page_text(p, "<li>");
        ib_page_name(p, s->reasons[i]);
        ib_page_text(p, "</li>");
    }
    ib_page_text(p, "</ul>\n");
}

/* --- what ran --- */

static void chip(ib_page *p, const char *name, const char *value) {
    ib_page_put(p, "<li><span>%s</span> ", name);
    ib_page_name(p, value);
    ib_page_text(p, "</li>");
}

static void chip_count(ib_page *p, const char *name, uint64_t value) {
    ib_page_put(p, "<li><span>%s</span> %" PRIu64 "</li>", name, value);
}

void ib_html_chips(ib_page *p, const ib_html_cell *cell) {
    const ib_cell *c = cell->cell;
    ib_page_text(p, "<ul class=\"chips\">");
    chip(p, "on", c->resolved.device_name);
    if (c->resolved.n_threads > 0)
        chip_count(p, "threads", (uint64_t)c->resolved.n_threads);
    chip(p, "tier", c->resolved.tier);
    chip(p, "dtype", c->resolved.dtype);
    chip(p, "compute", c->resolved.compute);
    chip_count(p, "prompt tokens", c->n_prompt_ids);
    if (c->asked.n_depth)
        chip_count(p, "context before", c->asked.n_depth);
    chip_count(p, "new tokens", cell->samples.summary.n_gaps);
    chip_count(p, "batch", c->asked.n_batch ? c->asked.n_batch : 1);
    chip_count(p, "measured runs", cell->samples.summary.n_runs);
    ib_page_text(p, "</ul>\n");
}

/* --- headline --- */

static void card(ib_page *p, const char *name, double v, int digits, const char *unit) {
    ib_number text;
    ib_page_put(p, "<div><dt>%s</dt><dd><b>%s</b>%s%s<small>", name,
                ib_report_number(v, digits, &text), isfinite(v) ? " " : "",
                isfinite(v) ? unit : "");
}

static void card_end(ib_page *p) {
    ib_page_text(p, "</small></dd></div>\n");
}

static void runs(ib_page *p, size_t n) {
    ib_page_put(p, "n = %zu run%s", n, n == 1 ? "" : "s");
    ib_page_text(p, n > 1 ? ", median" : "");
}

static void with_interval(ib_page *p, const char *name, double v, ib_interval interval,
                          const ib_summary *s) {
    int digits = ib_html_digits(interval, usual_digits(v));
    ib_number a, b;
    card(p, name, v, digits, "ms");
    runs(p, s->n_runs);
    if (isfinite(interval.low))
        ib_page_put(p, "; 95 %% interval %s to %s ms", ib_report_number(interval.low, digits, &a),
                    ib_report_number(interval.high, digits, &b));
    else
        ib_page_text(p, "; no interval: fewer than 5 runs");
    card_end(p);
}

static ib_interval inverse(ib_interval ms, double factor) {
    return ms.low > 0 ? (ib_interval){factor / ms.high, factor / ms.low} : (ib_interval){NAN, NAN};
}

static void rate(ib_page *p, const char *name, double v, ib_interval interval, const char *from,
                 const ib_summary *s) {
    int digits = ib_html_digits(interval, usual_digits(v));
    ib_number a, b;
    card(p, name, v, digits, "tok/s");
    ib_page_put(p, "from %s; ", from);
    runs(p, s->n_runs);
    if (isfinite(interval.low))
        ib_page_put(p, "; 95 %% interval %s to %s tok/s",
                    ib_report_number(interval.low, digits, &a),
                    ib_report_number(interval.high, digits, &b));
    else
        ib_page_text(p,
                     s->n_runs < 5 ? "; no interval: fewer than 5 runs" : "; no interval computed");
    card_end(p);
}

static void percentile(ib_page *p, const ib_itl_percentile *of, const ib_summary *s) {
    char name[64] = "Token time (ITL) ";
    ib_number a, b;
    int digits = ib_html_digits(of->interval, usual_digits(of->ms));
    ib_percentile_name(of->q, name + strlen(name));
    if (of->needs == UINT64_MAX) {
        card(p, name, of->q > 50 ? s->itl_max_ms : s->itl_min_ms, 2, "ms");
        ib_page_text(p, of->q > 50 ? "the longest seen" : "the shortest seen");
        card_end(p);
        return;
    }
    if (!of->supported)
        return;
    card(p, name, of->ms, digits, "ms");
    ib_page_put(p, "n = %zu gaps a run; ", s->n_itl);
    if (isfinite(of->interval.low))
        ib_page_put(p, "95 %% interval %s to %s ms", ib_report_number(of->interval.low, digits, &a),
                    ib_report_number(of->interval.high, digits, &b));
    else
        ib_page_text(p, "no interval: fewer than 5 runs");
    card_end(p);
}

/* Those without enough gaps, in one line. */
static void missing_percentiles(ib_page *p, const ib_summary *s) {
    const ib_itl_percentile *first = NULL;
    char name[40];
    ib_number a;
    for (size_t i = 0; i < s->n_shown && s->n_itl; i++) {
        const ib_itl_percentile *of = &s->itl[s->shown[i]];
        if (of->supported || of->needs == UINT64_MAX)
            continue;
        ib_percentile_name(of->q, name);
        ib_page_put(p, first ? ", %s" : "<p class=\"soft\">Not shown: ITL %s", name);
        first = first && first->needs < of->needs ? first : of;
    }
    if (!first)
        return;
    ib_percentile_name(first->q, name);
    ib_page_put(p,
                ". %s needs %" PRIu64 " independent gaps in each run; these %zu are worth %s, "
                "because neighbours resemble each other.</p>\n",
                name, first->needs, s->n_itl, ib_report_number(floor(s->n_itl_effective), 0, &a));
}

static void share(ib_page *p, const char *name, double v, const char *what, const char *why_not) {
    card(p, name, v * 100, 1, "%");
    ib_page_text(p, isfinite(v) ? what : why_not);
    card_end(p);
}

void ib_html_headline(ib_page *p, const ib_html_cell *c) {
    const ib_summary *s = &c->samples.summary;
    const double n_seqs = c->samples.n_runs ? (double)c->samples.runs[0]->n_seqs : 1;
    ib_page_text(p, "<dl class=\"cards main\">\n");
    rate(p, "Decode rate", s->decode_tok_s, inverse(s->tpot_interval, 1000 * n_seqs), "TPOT", s);
    with_interval(p, "Time per output token (TPOT)", s->tpot_ms, s->tpot_interval, s);
    with_interval(p, "Time to first token (TTFT)", s->ttft_ms, s->ttft_interval, s);
    rate(p, "Prefill rate", s->prefill_tok_s,
         inverse(s->prefill_interval, 1000 * n_seqs * (double)c->cell->n_prompt_ids),
         "the prefill time", s);
    ib_page_text(p, "</dl>\n<dl class=\"cards\">\n");
    for (size_t i = 0; i < s->n_shown; i++)
        percentile(p, &s->itl[s->shown[i]], s);
    share(p, "Read bandwidth used (MBU)", s->mbu, "of the best pass of the read probe",
          "unknown: no read probe was run");
    share(p, "Arithmetic used (MFU), prefill", s->mfu, "of the best round of the arithmetic probe",
          "unknown: no arithmetic probe was run");
    card(p, "Peak memory of the device", (double)c->cell->memory.peak_total / (1024 * 1024), 1,
         "MiB");
    ib_page_text(p, "counted, exact");
    card_end(p);
    ib_page_text(p, "</dl>\n");
    missing_percentiles(p, s);
}

/* --- overview --- */

static void number_cell(ib_page *p, double v, int digits) {
    ib_page_text(p, "<td class=\"n\">");
    ib_page_number(p, v, digits);
    ib_page_text(p, "</td>");
}

static void name_cell(ib_page *p, const char *name) {
    ib_page_text(p, "<td>");
    ib_page_name(p, name);
    ib_page_text(p, "</td>");
}

static void overview_row(ib_page *p, const ib_html_cell *cell) {
    const ib_cell *c = cell->cell;
    const ib_summary *s = &cell->samples.summary;
    ib_number a, b;
    ib_page_put(p,
                "<tr><th scope=\"row\" class=\"n\"><a href=\"#cell%zu\">%zu</a></th>"
                "<td class=\"name\">",
                cell->number, cell->number);
    ib_page_name(p, c->asked.model_id);
    synthetic(p, c);
    ib_page_text(p, "</td><td>");
    badge(p, s->verdict);
    ib_page_text(p, "</td>");
    name_cell(p, c->resolved.device ? c->resolved.device : c->asked.device);
    name_cell(p, c->resolved.attn ? c->resolved.attn : c->asked.attn);
    name_cell(p, c->resolved.dtype);
    ib_page_put(p,
                "<td class=\"n\">%" PRIu64 "</td><td class=\"n\">%" PRIu64
                "</td><td class=\"n\">%zu</td><td class=\"n\">%" PRIu64
                "</td><td class=\"n\">%zu</td>",
                c->n_prompt_ids, c->asked.n_depth, s->n_gaps, c->asked.n_batch, s->n_runs);
    number_cell(p, s->ttft_ms, ib_html_digits(s->ttft_interval, usual_digits(s->ttft_ms)));
    int digits = ib_html_digits(s->tpot_interval, usual_digits(s->tpot_ms));
    number_cell(p, s->tpot_ms, digits);
    if (isfinite(s->tpot_interval.low))
        ib_page_put(p, "<td>%s to %s</td>", ib_report_number(s->tpot_interval.low, digits, &a),
                    ib_report_number(s->tpot_interval.high, digits, &b));
    else
        ib_page_text(p, "<td>needs 5 runs</td>");
    number_cell(p, s->decode_tok_s, usual_digits(s->decode_tok_s));
    number_cell(p, s->prefill_tok_s, usual_digits(s->prefill_tok_s));
    number_cell(p, s->mbu * 100, 1);
    number_cell(p, (double)c->memory.peak_total / (1024 * 1024), 1);
    ib_page_text(p, "</tr>\n");
}

void ib_html_overview(ib_page *p, const ib_html_cell *cells, size_t n) {
    static const struct {
        const char *name;
        bool number;
    } columns[] = {{"#", true},
                   {"model", false},
                   {"verdict", false},
                   {"device", false},
                   {"attention", false},
                   {"dtype", false},
                   {"prompt", true},
                   {"depth", true},
                   {"tokens", true},
                   {"batch", true},
                   {"runs", true},
                   {"TTFT ms", true},
                   {"TPOT ms", true},
                   {"95 % interval", false},
                   {"decode tok/s", true},
                   {"prefill tok/s", true},
                   {"MBU %", true},
                   {"peak MiB", true}};
    ib_page_text(p, "<div class=\"wide\" role=\"region\" aria-label=\"All cells\" tabindex=\"0\">"
                    "<table><thead><tr>");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        ib_page_put(p, "<th scope=\"col\"%s>%s</th>", columns[i].number ? " class=\"n\"" : "",
                    columns[i].name);
    ib_page_text(p, "</tr></thead><tbody>\n");
    for (size_t i = 0; i < n; i++)
        overview_row(p, &cells[i]);
    ib_page_text(p, "</tbody></table></div>\n");
}

/* --- settings and load --- */

static void fact(ib_page *p, const char *name, const char *value) {
    ib_page_put(p, "<tr><th scope=\"row\">%s</th><td>", name);
    ib_page_name(p, value && *value ? value : NULL);
    ib_page_text(p, "</td></tr>");
}

static void fact_count(ib_page *p, const char *name, uint64_t value) {
    ib_page_put(p, "<tr><th scope=\"row\">%s</th><td>%" PRIu64 "</td></tr>", name, value);
}

static void model_fact(ib_page *p, const ib_model_record *m) {
    ib_buf text;
    if (p->status != IB_OK)
        return;
    ib_buf_init(&text);
    p->status = ib_values_model_type(m, &text, p->err);
    fact(p, "model type", text.ptr);
    ib_buf_clear(&text);
}

void ib_html_settings(ib_page *p, const ib_html_cell *cell) {
    const ib_cell *c = cell->cell;
    const ib_run_record *r = ib_cell_first_measured(c);
    ib_page_text(p, "<details><summary>What was asked and what ran</summary>"
                    "<table class=\"facts\"><tbody>");
    fact(p, "model id", c->asked.model_id);
    fact(p, "model folder", c->model.path);
    fact(p, "revision", c->model.revision);
    model_fact(p, &c->model);
    fact(p, "fingerprint", c->model.fingerprint);
    fact(p, "device asked", c->asked.device);
    fact(p, "device", c->resolved.device);
    fact(p, "device name", c->resolved.device_name);
    fact(p, "attention asked", c->asked.attn);
    fact(p, "attention", c->resolved.attn);
    fact(p, "dtype", c->resolved.dtype);
    fact(p, "compute", c->resolved.compute);
    fact(p, "activations", c->resolved.activation_dtype);
    fact(p, "KV cache", c->resolved.kv_dtype);
    fact(p, "tier", c->resolved.tier);
    fact_count(p, "threads", c->resolved.n_threads > 0 ? (uint64_t)c->resolved.n_threads : 0);
    fact_count(p, "prompt tokens", c->n_prompt_ids);
    fact_count(p, "context before the prompt", c->asked.n_depth);
    fact_count(p, "most new tokens", c->asked.max_new_tokens);
    fact_count(p, "seed", c->asked.seed);
    fact(p, "SHA-256 of the output ids", r ? r->ids_sha256 : NULL);
    fact(p, "ids equal in all runs", cell->samples.summary.ids_equal ? "yes" : "no");
    ib_page_text(p, "</tbody></table></details>\n");
    if (!c->output_text)
        return;
    ib_page_text(p, "<details><summary>Text (prompt included)</summary><pre>");
    ib_page_lines(p, c->output_text, c->n_output_text);
    ib_page_text(p, "</pre></details>\n");
}

void ib_html_load(ib_page *p, const ib_html_cell *cell) {
    const ib_cell *c = cell->cell;
    const double total = cell->samples.summary.load_ms;
    ib_html_figure(p, "Loading");
    if (!c->n_load || !(total > 0)) {
        ib_page_text(p, "<p class=\"none\">Not recorded.</p>");
        ib_html_figure_end(p);
        return;
    }
    ib_page_text(p, "<table><thead><tr><th scope=\"col\">phase</th><th scope=\"col\" "
                    "class=\"n\">ms</th><th scope=\"col\">share</th></tr></thead><tbody>");
    for (size_t i = 0; i < c->n_load; i++) {
        double ms = (double)c->load[i].ns / 1e6;
        ib_number text;
        ib_page_text(p, "<tr><th scope=\"row\">");
        ib_page_name(p, c->load[i].name);
        ib_page_put(p, "</th><td class=\"n\">%s</td>", ib_report_ms(ms, &text));
        ib_page_put(p,
                    "<td><span class=\"track\"><span class=\"bar0\" style=\"width:%s%%\"></span>"
                    "</span></td></tr>",
                    ib_report_number(100 * ms / total, 1, &text));
    }
    ib_page_text(p, "</tbody></table><figcaption>Sum ");
    ib_number text;
    ib_page_put(p, "%s ms; n = 1, loaded once, no interval.</figcaption>",
                ib_report_ms(total, &text));
    ib_html_figure_end(p);
}
