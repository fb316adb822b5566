/* SPDX-License-Identifier: MIT
 * compare: two saved records, or two settings in interleaved pairs of fresh processes. What is
 * compared and judged stands in record/compare.h; here records are gathered and the answer shown.
 */
#include "cli/compare_spawn.h"
#include "cli/record_in.h"
#include "cli/record_out.h"
#include "record/compare.h"
#include "report/compare_report.h"

#include "base/clock.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PADDING = 4096, DEFAULT_PAIRS = 10 };

typedef struct compare_state {
    ib_cli *cli;
    ib_metric metric;
    double fail_if_slower; /* fraction; NaN = not given */
    ib_comparison *made;   /* owned [n]: one for each pair of cells */
    size_t n;
} compare_state;

/* --- options --- */

static ib_status read_settings(compare_state *s, ib_error *err) {
    const ib_options *o = &s->cli->options;
    const ib_option *metric = ib_option_find(IB_COMMAND_COMPARE, IB_STR("metric"));
    const ib_option *gate = ib_option_find(IB_COMMAND_COMPARE, IB_STR("fail-if-slower"));
    double percent = 0;
    s->metric = IB_METRIC_ITL_P50;
    s->fail_if_slower = NAN;
    if (o->metric && !ib_metric_find(o->metric, &s->metric))
        return ib_option_bad_value(err, metric, o->metric,
                                   "one of itl_p50_ms tpot_ms ttft_ms itl_p99_ms e2e_ms");
    if (!o->fail_if_slower)
        return IB_OK;
    ib_str text = ib_str_of(o->fail_if_slower);
    if (ib_str_ends(text, "%"))
        text.len--;
    if (!ib_parse_double(text, &percent) || !(percent >= 0 && percent <= 1000))
        return ib_option_bad_value(err, gate, o->fail_if_slower, "a percentage from 0 to 1000");
    s->fail_if_slower = percent / 100;
    if (!o->n_args && o->pairs && o->pairs < IB_COMPARE_MIN_RUNS)
        return ib_fail(err, IB_E_USAGE,
                       "too few pairs for --fail-if-slower in option --pairs: %llu; fix: give at "
                       "least %d",
                       (unsigned long long)o->pairs, IB_COMPARE_MIN_RUNS);
    return IB_OK;
}

static ib_status add_comparison(compare_state *s, bool interleaved, size_t capacity,
                                ib_comparison **out, ib_error *err) {
    ib_comparison *more = realloc(s->made, (s->n + 1) * sizeof *more);
    if (!more)
        return ib_fail_memory(err, (s->n + 1) * sizeof *more, "a comparison");
    s->made = more;
    *out = &s->made[s->n];
    IB_TRY(ib_comparison_start(*out, interleaved, capacity, err));
    s->n++;
    (*out)->primary = s->metric;
    (*out)->across = s->cli->options.across;
    (*out)->fail_if_slower = s->fail_if_slower;
    return IB_OK;
}

/* --- stored records --- */

static ib_status compare_cells(compare_state *s, const ib_record r[2], size_t i, ib_error *err) {
    ib_comparison *c;
    char label[512];
    size_t na = ib_cell_n_measured(&r[0].cells[i]), nb = ib_cell_n_measured(&r[1].cells[i]);
    IB_TRY(add_comparison(s, false, na > nb ? na : nb, &c, err));
    for (int side = 0; side < 2; side++) {
        const char *file = s->cli->options.args[side];
        if (r[0].n_cells > 1)
            (void)snprintf(label, sizeof label, "cell %zu of %s", i + 1, file);
        else
            (void)snprintf(label, sizeof label, "%s", file);
        IB_TRY(ib_comparison_label(c, side, label, err));
        IB_TRY(ib_comparison_add_runs(c, side, &r[side].cells[i], err));
    }
    ib_comparison_differences(c, &r[0], &r[0].cells[i], &r[1], &r[1].cells[i]);
    return ib_comparison_decide(c, err);
}

static ib_status compare_stored(compare_state *s, ib_error *err) {
    const ib_options *o = &s->cli->options;
    ib_record r[2] = {{0}, {0}};
    ib_status st = ib_cli_read_record(&r[0], o->args[0], err);
    if (st == IB_OK)
        st = ib_cli_read_record(&r[1], o->args[1], err);
    if (st == IB_OK && (r[0].n_cells != r[1].n_cells || r[0].n_cells == 0))
        st = ib_fail(err, IB_E_INVALID,
                     "cannot pair the cells of the records: %zu against %zu; fix: compare records "
                     "of the same grid",
                     r[0].n_cells, r[1].n_cells);
    for (size_t i = 0; st == IB_OK && i < r[0].n_cells; i++)
        st = compare_cells(s, r, i, err);
    ib_record_clear(&r[0]);
    ib_record_clear(&r[1]);
    return st;
}

/* --- interleaved pairs --- */

typedef struct pair_state {
    ib_comparison *c;
    char *folder; /* owned */
    char *record_path, *stderr_path;
    ib_words words[2];
    ib_record first[2]; /* of each side: what the later ones must equal */
    ib_rng rng;
} pair_state;

static ib_status add_words(ib_words *w, const char *const *texts, size_t n, ib_error *err) {
    for (size_t i = 0; i < n; i++)
        IB_TRY(ib_words_add(w, texts[i], strlen(texts[i]), err));
    return IB_OK;
}

/* Probes behind the runs of each process would only stretch the time between the pairs. */
static ib_status without_probes(ib_words *w, ib_error *err) {
    static const char *const off[] = {"--roofline", "off"};
    for (size_t i = 0; i < w->n; i++)
        if (strncmp(w->word[i], off[0], strlen(off[0])) == 0)
            return IB_OK;
    return add_words(w, off, 2, err);
}

static ib_status make_words(const ib_options *o, pair_state *p, int side, ib_error *err) {
    static const char *const begin[] = {"inferbench", "run"};
    const char *const end[] = {"--format", "json",     "--output", p->record_path,
                               "--quiet",  "--errors", "text"};
    const char *own = side ? o->side_b : o->side_a;
    ib_words *w = &p->words[side];
    IB_TRY(add_words(w, begin, 2, err));
    IB_TRY(add_words(w, o->run_args, o->n_run_args, err));
    IB_TRY(ib_words_split(w, own ? own : "", side ? "b" : "a", err));
    IB_TRY(without_probes(w, err));
    return add_words(w, end, sizeof end / sizeof *end, err);
}

static ib_status one_run(const ib_options *o, pair_state *p, int side, size_t pair, ib_error *err) {
    ib_record r = {0};
    uint32_t padding = (uint32_t)ib_rng_below(&p->rng, MOST_PADDING + 1);
    ib_child child = {.program = side && o->binary_b ? o->binary_b : "/proc/self/exe",
                      .argv = p->words[side].word,
                      .stderr_path = p->stderr_path,
                      .padding = padding,
                      .heap_offset = (size_t)ib_rng_below(&p->rng, MOST_PADDING / 16 + 1) * 16,
                      .side = side ? "B" : "A"};
    (void)remove(p->record_path);
    IB_TRY(ib_compare_spawn(&child, err));
    p->c->padding[side][pair] = padding;
    ib_status st = ib_cli_read_record(&r, p->record_path, err);
    if (st == IB_OK && r.n_cells != 1)
        st = ib_fail(err, IB_E_USAGE,
                     "several settings on side %s in the command line: %zu; fix: give no lists",
                     child.side, r.n_cells);
    if (st == IB_OK)
        st = ib_comparison_add_process(p->c, side, &r.cells[0], err);
    if (st == IB_OK && p->first[side].n_cells == 0) {
        p->first[side] = r;
        return IB_OK;
    }
    if (st == IB_OK)
        ib_comparison_same_ids(p->c, &p->first[side].cells[0], &r.cells[0]);
    ib_record_clear(&r);
    return st;
}

static ib_status run_pairs(compare_state *s, pair_state *p, size_t pairs, ib_error *err) {
    const ib_options *o = &s->cli->options;
    for (size_t k = 0; k < pairs; k++) {
        int first = (int)ib_rng_below(&p->rng, 2);
        p->c->b_first[k] = first == 1;
        IB_TRY(one_run(o, p, first, k, err));
        IB_TRY(one_run(o, p, 1 - first, k, err));
        if (k == 0)
            ib_comparison_differences(p->c, &p->first[0], &p->first[0].cells[0], &p->first[1],
                                      &p->first[1].cells[0]);
        ib_log_write(&s->cli->log, IB_LOG_INFO, "pair %zu of %zu (%s): A %.3f ms, B %.3f ms", k + 1,
                     pairs, first ? "BA" : "AB", p->c->side[0].values[s->metric][k],
                     p->c->side[1].values[s->metric][k]);
    }
    return ib_comparison_decide(p->c, err);
}

static ib_status prepare_pairs(compare_state *s, pair_state *p, size_t pairs, ib_error *err) {
    const ib_options *o = &s->cli->options;
    IB_TRY(add_comparison(s, true, pairs, &p->c, err));
    p->c->seed = o->order_seed ? o->order_seed : (ib_now_ns() & INT64_MAX) | 1;
    ib_rng_init(&p->rng, p->c->seed);
    IB_TRY(ib_comparison_label(p->c, 0, o->side_a ? o->side_a : "", err));
    IB_TRY(ib_comparison_label(p->c, 1, o->side_b ? o->side_b : "", err));
    IB_TRY(ib_compare_folder(&p->folder, err));
    p->record_path = ib_path_join(p->folder, "record.json");
    p->stderr_path = ib_path_join(p->folder, "stderr");
    if (!p->record_path || !p->stderr_path)
        return ib_fail_memory(err, strlen(p->folder), "a name");
    IB_TRY(make_words(o, p, 0, err));
    return make_words(o, p, 1, err);
}

static ib_status compare_pairs(compare_state *s, ib_error *err) {
    size_t pairs = s->cli->options.pairs ? (size_t)s->cli->options.pairs : DEFAULT_PAIRS;
    pair_state p = {0};
    ib_signals_defer();
    ib_status st = prepare_pairs(s, &p, pairs, err);
    if (st == IB_OK)
        st = run_pairs(s, &p, pairs, err);
    ib_compare_folder_remove(p.folder);
    free(p.record_path);
    free(p.stderr_path);
    for (int side = 0; side < 2; side++) {
        ib_words_clear(&p.words[side]);
        ib_record_clear(&p.first[side]);
    }
    return st;
}

/* --- the answer --- */

/* All of them as one object, with what made them. */
static ib_status whole_json(const compare_state *s, json_t **out, ib_error *err) {
    json_t *list = json_array(), *o = NULL;
    ib_record about = {0};
    ib_status st = list ? IB_OK : ib_fail_memory(err, 0, "the comparison's JSON");
    for (size_t i = 0; st == IB_OK && i < s->n; i++) {
        st = ib_comparison_json(&s->made[i], &o, err);
        if (st == IB_OK && json_array_append_new(list, o) != 0)
            st = ib_fail_memory(err, 0, "the comparison's JSON");
    }
    if (st == IB_OK)
        st = ib_cli_record_start(s->cli, &about, err);
    if (st == IB_OK)
        st = ib_comparisons_json(&about, list, out, err);
    ib_record_clear(&about);
    json_decref(list);
    return st;
}

static ib_status as_text(const compare_state *s, ib_buf *out, ib_error *err) {
    for (size_t i = 0; i < s->n; i++) {
        if (i)
            IB_TRY(ib_buf_addc(out, '\n', err));
        IB_TRY(ib_comparison_text(&s->made[i], out, err));
    }
    return IB_OK;
}

static ib_status render(const compare_state *s, const char *format, ib_buf *out, ib_error *err) {
    json_t *whole = NULL;
    if (strcmp(format, "text") == 0)
        return as_text(s, out, err);
    if (strcmp(format, "markdown") == 0)
        return ib_comparison_markdown(s->made, s->n, out, err);
    ib_status st = whole_json(s, &whole, err);
    if (st == IB_OK && strcmp(format, "html") == 0)
        st = ib_comparison_html(s->made, s->n, whole, out, err);
    else if (st == IB_OK)
        st = ib_json_dump(whole, JSON_INDENT(2) | JSON_ENSURE_ASCII, out, err);
    if (st == IB_OK && strcmp(format, "json") == 0)
        st = ib_buf_addc(out, '\n', err);
    json_decref(whole);
    return st;
}

static ib_status show(compare_state *s, ib_error *err) {
    const ib_options *o = &s->cli->options;
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = IB_OK;
    if (o->output) {
        st = render(s, o->format ? o->format : "json", &text, err);
        if (st == IB_OK)
            st = ib_file_write(o->output, text.ptr, text.len, err);
        ib_buf_reset(&text);
    }
    if (st == IB_OK && (!o->output || ib_cli_shows_text(o))) {
        st = render(s, ib_cli_shows_text(o) ? "text" : o->format, &text, err);
        if (st == IB_OK)
            st = ib_output_write(&s->cli->out, text.ptr, text.len, err);
        if (st == IB_OK)
            st = ib_output_flush(&s->cli->out, err);
    }
    ib_buf_clear(&text);
    return st;
}

static ib_status outcome(const compare_state *s, ib_error *err) {
    for (size_t i = 0; i < s->n; i++) {
        const ib_comparison *c = &s->made[i];
        const char *what = "difference";
        for (size_t k = c->n_differences; k-- > 0;)
            if (c->differences[k].kind != IB_DIFFERENCE_NOTE)
                what = c->differences[k].what;
        if (c->refused && c->differences[0].kind == IB_DIFFERENCE_NEVER)
            return ib_fail(err, IB_E_INVALID,
                           "comparison refused: synthetic weights against real ones; fix: compare "
                           "like with like");
        if (c->refused)
            return ib_fail(err, IB_E_INVALID,
                           "comparison refused, A and B did not do the same work: %s; fix: make "
                           "them equal, or give --across",
                           what);
    }
    for (size_t i = 0; i < s->n; i++) {
        const ib_comparison *c = &s->made[i];
        double percent = (c->figures[c->primary].ratio.point - 1) * 100;
        if (c->regression && c->interleaved)
            return ib_fail(err, IB_E_REGRESSION,
                           "B is slower than A in %s: by %.2f %%; fix: see the comparison",
                           ib_metric_name(c->primary), percent);
        if (c->regression)
            return ib_fail(err, IB_E_INVALID,
                           "B looks slower than A in %s: by %.2f %%, but stored records are not "
                           "interleaved; fix: decide it with --a and --b",
                           ib_metric_name(c->primary), percent);
    }
    return IB_OK;
}

ib_status ib_cmd_compare(ib_cli *cli, ib_error *err) {
    const ib_options *o = &cli->options;
    const char *inputs[] = {o->n_args ? o->args[0] : "", o->n_args ? o->args[1] : "",
                            o->binary_b ? o->binary_b : "", NULL};
    compare_state s = {.cli = cli};
    IB_TRY(read_settings(&s, err));
    if (!o->output || ib_cli_shows_text(o))
        IB_TRY(ib_output_check(&cli->out, err));
    if (o->output)
        IB_TRY(ib_output_probe(o->output, o->force, inputs, err));
    ib_status st = o->n_args ? compare_stored(&s, err) : compare_pairs(&s, err);
    if (st == IB_OK)
        st = show(&s, err);
    if (st == IB_OK)
        st = outcome(&s, err);
    for (size_t i = 0; i < s.n; i++)
        ib_comparison_clear(&s.made[i]);
    free(s.made);
    return st;
}
