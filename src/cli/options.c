/* SPDX-License-Identifier: MIT
 * argv -> ib_options by the tables of options_table.c. Numbers are decimal and whole, nothing is
 * cut or wrapped; an option is given at most once; what is known but not built is refused by name.
 */
#include "cli/options.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct parse_state {
    ib_options *o;
    int argc, next; /* next: index of the argument to look at */
    char **argv;
    bool seen[IB_OPTIONS_MAX_ROWS];
} parse_state;

#define LATER_TEXT "comes with a later version"

/* --- lookups --- */

bool ib_option_has_alias(const ib_option *row, ib_str name) {
    const char *p = row->aliases;
    while (*p) {
        size_t n = strcspn(p, " ");
        if (ib_str_eq((ib_str){p, n}, name))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

const ib_option *ib_option_find(ib_command_id command, ib_str name) {
    for (size_t i = 0; i < ib_option_n_rows; i++) {
        const ib_option *row = &ib_option_rows[i];
        if ((row->commands >> command & 1) &&
            (ib_str_is(name, row->name) || ib_option_has_alias(row, name)))
            return row;
    }
    return NULL;
}

static const ib_command *find_command(const char *name) {
    for (size_t i = 0; i < IB_COMMAND_COUNT; i++)
        if (strcmp(ib_commands[i].name, name) == 0)
            return &ib_commands[i];
    return NULL;
}

static const ib_choice *find_choice(const ib_choice *choices, const char *word) {
    for (; choices->name; choices++)
        if (strcmp(choices->name, word) == 0 ||
            (choices->alias && strcmp(choices->alias, word) == 0))
            return choices;
    return NULL;
}

/* --- values --- */

ib_status ib_option_bad_value(ib_error *err, const ib_option *row, const char *value,
                              const char *allowed) {
    char shown[IB_QUOTED];
    return ib_fail(err, IB_E_USAGE, "bad value in option --%s: '%s'; fix: give %s", row->name,
                   ib_quotez(value, shown), allowed);
}

ib_status ib_option_refuse_value(ib_error *err, const ib_option *row, const char *value) {
    char shown[IB_QUOTED];
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "unsupported value in option --%s: '%s' " LATER_TEXT
                   "; fix: give one value of those that '--help' shows",
                   row->name, ib_quotez(value, shown));
}

/* Lists make a grid, and only run has one. */
static ib_status check_list(parse_state *s, const ib_option *row, const char *value, size_t n,
                            ib_error *err) {
    if (n <= 1 || s->o->command->id == IB_COMMAND_RUN)
        return IB_OK;
    return ib_option_bad_value(err, row, value, "one value (lists are for 'run')");
}

static ib_status set_count(parse_state *s, const ib_option *row, const char *value, ib_error *err) {
    uint64_t n = 0, *list = NULL;
    size_t n_list = 0;
    char allowed[128];
    (void)snprintf(allowed, sizeof allowed, "a whole number from %llu to %llu%s",
                   (unsigned long long)row->min, (unsigned long long)row->max,
                   row->axis && s->o->command->id == IB_COMMAND_RUN
                       ? ", or a list with commas and ranges (1-64*2)"
                       : "");
    if (row->axis) {
        ib_axis_values *axis = &s->o->axes[row->axis];
        ib_status st = ib_plan_counts(ib_str_of(value), row->min, row->max, &list, &n_list, err);
        if (st == IB_E_USAGE)
            return ib_option_bad_value(err, row, value, allowed);
        IB_TRY(st);
        axis->counts = list;
        axis->n = n_list;
        IB_TRY(check_list(s, row, value, n_list, err));
        n = list[0];
    } else if (!ib_parse_u64(ib_str_of(value), &n) || n < row->min || n > row->max) {
        return ib_option_bad_value(err, row, value, allowed);
    }
    memcpy((char *)s->o + row->offset, &n, sizeof n);
    return IB_OK;
}

/* value in pieces at the commas; *n = 0 when a piece is empty. */
static ib_status split(ib_axis_values *axis, const char *value, ib_error *err) {
    size_t n = 1;
    for (const char *p = value; *p; p++)
        n += *p == ',';
    axis->store = ib_strdup(value);
    axis->words = calloc(n, sizeof *axis->words);
    if (!axis->store || !axis->words)
        return ib_fail_memory(err, strlen(value), "a list of values");
    char *p = axis->store;
    for (axis->n = 0; axis->n < n; axis->n++) {
        size_t len = strcspn(p, ",");
        axis->words[axis->n] = p;
        if (!len && n > 1) {
            axis->n = 0;
            return IB_OK;
        }
        p[len] = '\0';
        p += len + 1;
    }
    return IB_OK;
}

/* A name with a comma that exists is one name. */
static ib_status set_text(parse_state *s, const ib_option *row, const char *value, ib_error *err) {
    if (row->axis && strchr(value, ',') && !ib_path_exists(value)) {
        ib_axis_values *axis = &s->o->axes[row->axis];
        IB_TRY(split(axis, value, err));
        if (!axis->n)
            return ib_option_bad_value(err, row, value, "values with one comma between them");
        IB_TRY(check_list(s, row, value, axis->n, err));
        value = axis->words[0];
    }
    memcpy((char *)s->o + row->offset, &value, sizeof value);
    return IB_OK;
}

static ib_status one_choice(const ib_option *row, const char *value, const char **out,
                            ib_error *err) {
    char allowed[192] = "one of";
    size_t n = strlen(allowed);
    const ib_choice *found = find_choice(row->choices, value);
    if (found && found->later)
        return ib_option_refuse_value(err, row, value);
    if (found) {
        *out = found->name;
        return IB_OK;
    }
    for (const ib_choice *c = row->choices; c->name && n < sizeof allowed; c++)
        if (!c->later)
            n += (size_t)snprintf(allowed + n, sizeof allowed - n, " %s", c->name);
    return ib_option_bad_value(err, row, value, allowed);
}

static ib_status set_choice(parse_state *s, const ib_option *row, const char *value,
                            ib_error *err) {
    ib_axis_values *axis = &s->o->axes[row->axis];
    const char *name = NULL;
    if (row->axis && strchr(value, ',')) {
        IB_TRY(split(axis, value, err));
        for (size_t i = 0; i < axis->n; i++)
            IB_TRY(one_choice(row, axis->words[i], &axis->words[i], err));
        if (!axis->n)
            return ib_option_bad_value(err, row, value, "values with one comma between them");
        IB_TRY(check_list(s, row, value, axis->n, err));
        name = axis->words[0];
    } else {
        IB_TRY(one_choice(row, value, &name, err));
    }
    memcpy((char *)s->o + row->offset, &name, sizeof name);
    return IB_OK;
}

/* IB_E_USAGE without a text when it is no such list. */
static ib_status parse_ids(ib_str text, size_t max_ids, ib_id_list *out, ib_error *err) {
    size_t n = 1;
    for (size_t i = 0; i < text.len; i++)
        n += text.ptr[i] == ',';
    if (n > max_ids)
        return IB_E_USAGE;
    uint32_t *ids = malloc(n * sizeof *ids);
    if (!ids)
        return ib_fail_memory(err, n * sizeof *ids, "token ids");
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        uint64_t id = 0;
        while (at + len < text.len && text.ptr[at + len] != ',')
            len++;
        if (!ib_parse_u64((ib_str){text.ptr + at, len}, &id) || id > INT32_MAX) {
            free(ids);
            return IB_E_USAGE;
        }
        ids[i] = (uint32_t)id;
        at += len + 1;
    }
    free(out->ids);
    *out = (ib_id_list){.ids = ids, .n = n, .given = true};
    return IB_OK;
}

static ib_status set_ids(parse_state *s, const ib_option *row, const char *value, ib_error *err) {
    ib_id_list *list = (ib_id_list *)(void *)((char *)s->o + row->offset);
    char allowed[96];
    bool none_ok = row->max <= 16; /* the lists with a default that can be switched off */
    if (none_ok && strcmp(value, "none") == 0) {
        *list = (ib_id_list){.given = true};
        return IB_OK;
    }
    const ib_status st = parse_ids(ib_str_of(value), (size_t)row->max, list, err);
    if (st != IB_E_USAGE)
        return st;
    (void)snprintf(allowed, sizeof allowed, "%s%llu comma-separated token ids from 0 to 2147483647",
                   none_ok ? "none, or up to " : "up to ", (unsigned long long)row->max);
    return ib_option_bad_value(err, row, value, allowed);
}

static ib_status set_percentiles(parse_state *s, const ib_option *row, const char *value,
                                 ib_error *err) {
    ib_percent_list *list = (ib_percent_list *)(void *)((char *)s->o + row->offset);
    const char *p = value;
    size_t n = 0;
    for (;; p++) {
        size_t len = strcspn(p, ",");
        double q = -1;
        if (n == IB_OPTIONS_MAX_PERCENTILES || !ib_parse_double((ib_str){p, len}, &q) ||
            !(q >= 0 && q <= 100))
            return ib_option_bad_value(err, row, value,
                                       "up to 16 numbers from 0 to 100 with commas");
        list->values[n++] = q;
        p += len;
        if (!*p)
            break;
    }
    list->n = n;
    return IB_OK;
}

static ib_status set_value(parse_state *s, const ib_option *row, const char *value, ib_error *err) {
    bool on = true;
    switch (row->kind) {
    case IB_OPTION_FLAG:
        memcpy((char *)s->o + row->offset, &on, sizeof on);
        return IB_OK;
    case IB_OPTION_TEXT:
        return set_text(s, row, value, err);
    case IB_OPTION_COUNT:
        return set_count(s, row, value, err);
    case IB_OPTION_CHOICE:
        return set_choice(s, row, value, err);
    case IB_OPTION_IDS:
        return set_ids(s, row, value, err);
    case IB_OPTION_PERCENT:
        return set_percentiles(s, row, value, err);
    case IB_OPTION_LATER:
        break;
    }
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "unsupported option in the command line: --%s " LATER_TEXT "; fix: leave it out",
                   row->name);
}

/* --- arguments --- */

static ib_status unknown_option(parse_state *s, ib_str name, ib_error *err) {
    char shown[IB_QUOTED];
    const char *command = s->o->command->name;
    for (size_t i = 0; i < ib_option_n_rows; i++)
        if (ib_str_is(name, ib_option_rows[i].name) ||
            ib_option_has_alias(&ib_option_rows[i], name))
            return ib_fail(err, IB_E_USAGE,
                           "option that '%s' does not have in the command line: '%s'; fix: see "
                           "'inferbench %s --help'",
                           command, ib_quote(name, shown), command);
    return ib_fail(err, IB_E_USAGE,
                   "unknown option in the command line: '%s'; fix: see 'inferbench %s --help'",
                   ib_quote(name, shown), command);
}

/* An option of run in front of compare: kept as it stands, for the processes of both sides. */
static ib_status pass_on(parse_state *s, const ib_option *row, const char *arg, bool attached,
                         ib_error *err) {
    ib_options *o = s->o;
    if (o->n_run_args + 2 > sizeof o->run_args / sizeof o->run_args[0])
        return ib_fail(err, IB_E_USAGE,
                       "too many options for both sides in the command line: more than %zu words; "
                       "fix: give fewer",
                       o->n_run_args);
    o->run_args[o->n_run_args++] = arg;
    if (!row->value || attached || row->kind == IB_OPTION_LATER)
        return IB_OK;
    if (s->next >= s->argc)
        return ib_fail(err, IB_E_USAGE,
                       "option without its value in the command line: --%s; fix: give --%s %s",
                       row->name, row->name, row->value);
    o->run_args[o->n_run_args++] = s->argv[s->next++];
    return IB_OK;
}

/* The row of an option that compare only hands on, or NULL. Its own --a and --b are long names of
 * one letter; -b is run's. */
static const ib_option *passed_row(const parse_state *s, ib_str name, bool is_short) {
    ib_command_id command = s->o->command->id;
    const ib_option *own = ib_option_find(command, name);
    if (command != IB_COMMAND_COMPARE || (own && !(is_short && !own->name[1])))
        return NULL;
    return ib_option_find(IB_COMMAND_RUN, name);
}

/* One option: name without dashes, value behind '=' or NULL. */
static ib_status take_option(parse_state *s, ib_str name, const char *attached, ib_error *err) {
    const ib_option *row = ib_option_find(s->o->command->id, name);
    if (!row)
        return unknown_option(s, name, err);
    size_t index = (size_t)(row - ib_option_rows);
    if (s->seen[index])
        return ib_fail(err, IB_E_USAGE,
                       "option given twice in the command line: --%s; fix: give it once",
                       row->name);
    s->seen[index] = true;
    if (!row->value) {
        if (attached)
            return ib_fail(err, IB_E_USAGE,
                           "option with a value that takes none in the command line: --%s; fix: "
                           "leave out what follows '='",
                           row->name);
        return set_value(s, row, "", err);
    }
    if (!attached && row->kind != IB_OPTION_LATER) {
        if (s->next >= s->argc)
            return ib_fail(err, IB_E_USAGE,
                           "option without its value in the command line: --%s; fix: give --%s %s",
                           row->name, row->name, row->value);
        attached = s->argv[s->next++];
    }
    return set_value(s, row, attached, err);
}

static ib_status take_short(parse_state *s, const char *arg, ib_error *err) {
    const ib_option *passed = passed_row(s, (ib_str){arg + 1, 1}, true);
    if (passed)
        return pass_on(s, passed, arg, arg[2] != '\0', err);
    const ib_option *row = ib_option_find(s->o->command->id, (ib_str){arg + 1, 1});
    if (!row || !row->name[1] || (!row->value && arg[2]))
        return unknown_option(s, ib_str_of(arg + 1), err);
    const char *attached = arg[2] == '=' ? arg + 3 : arg[2] ? arg + 2 : NULL;
    return take_option(s, (ib_str){arg + 1, 1}, attached, err);
}

static ib_status take_positional(parse_state *s, const char *arg, ib_error *err) {
    ib_options *o = s->o;
    char shown[IB_QUOTED];
    if (o->n_args == o->command->max_args)
        return ib_fail(err, IB_E_USAGE,
                       "unexpected argument of '%s' in the command line: '%s'; fix: see "
                       "'inferbench %s --help'",
                       o->command->name, ib_quotez(arg, shown), o->command->name);
    o->args[o->n_args++] = arg;
    return IB_OK;
}

static ib_status take_all(parse_state *s, ib_error *err) {
    bool options_over = false;
    while (s->next < s->argc) {
        const char *arg = s->argv[s->next++];
        if (options_over || arg[0] != '-' || !arg[1]) {
            IB_TRY(take_positional(s, arg, err));
        } else if (strcmp(arg, "--") == 0) {
            options_over = true;
        } else if (arg[1] == '-') {
            size_t n = strcspn(arg + 2, "=");
            const char *attached = arg[2 + n] == '=' ? arg + 3 + n : NULL;
            const ib_option *row = ib_option_find(s->o->command->id, (ib_str){arg + 2, n});
            if (n == 1 && (!row || row->name[1])) /* "--m" is not a short option */
                return unknown_option(s, (ib_str){arg + 2, n}, err);
            const ib_option *passed = passed_row(s, (ib_str){arg + 2, n}, false);
            IB_TRY(passed ? pass_on(s, passed, arg, attached != NULL, err)
                          : take_option(s, (ib_str){arg + 2, n}, attached, err));
        } else {
            IB_TRY(take_short(s, arg, err));
        }
    }
    return IB_OK;
}

/* Texts end up in records and messages, which are UTF-8. */
static ib_status check_utf8(int argc, char **argv, ib_error *err) {
    char shown[IB_QUOTED];
    for (int i = 1; i < argc; i++) {
        size_t n = strlen(argv[i]), good = ib_utf8_valid_prefix(argv[i], n);
        if (good != n)
            return ib_fail(err, IB_E_USAGE,
                           "argument that is not UTF-8 in the command line, argument %d at byte "
                           "%zu: '%s'; fix: use UTF-8 (rename the file)",
                           i, good, ib_quotez(argv[i], shown));
    }
    return IB_OK;
}

/* --- the whole --- */

static void set_defaults(ib_options *o) {
    *o = (ib_options){.command = &ib_commands[IB_COMMAND_RUN],
                      .max_new_tokens = 256,
                      .batch = 1,
                      .repetitions = 0,     /* set once it is known whether this */
                      .warmup = UINT64_MAX, /* is a grid */
                      .processes = 1,
                      .blocksize = 64,
                      .max_shard_bytes = 5000000000u};
}

static ib_status choose_command(parse_state *s, ib_error *err) {
    char shown[IB_QUOTED];
    if (s->argc < 2 || s->argv[1][0] == '-')
        return IB_OK;
    const ib_command *c = find_command(s->argv[1]);
    if (!c)
        return ib_fail(err, IB_E_USAGE,
                       "unknown command in the command line: '%s'; fix: see 'inferbench --help'",
                       ib_quotez(s->argv[1], shown));
    if (c->later)
        return ib_fail(err, IB_E_UNSUPPORTED,
                       "unsupported command in the command line: '%s' " LATER_TEXT
                       "; fix: see 'inferbench --help' for what there is",
                       c->name);
    s->o->command = c;
    s->next = 2;
    return IB_OK;
}

bool ib_options_want_json_errors(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--errors=json") == 0)
            return true;
        if (strcmp(argv[i], "--errors") == 0 && i + 1 < argc && strcmp(argv[i + 1], "json") == 0)
            return true;
    }
    return false;
}

static void fill_unset(ib_options *o) {
    static uint32_t one[1] = {1};
    if (!o->device)
        o->device = "auto";
    if (!o->attn)
        o->attn = "eager";
    if (!o->dtype)
        o->dtype = "auto";
    if (!o->compute)
        o->compute = "auto";
    if (!o->log_level)
        o->log_level = o->quiet ? "error" : "info";
    if (!o->errors)
        o->errors = "text";
    if (!o->eos_token_id.given)
        o->eos_token_id = (ib_id_list){.ids = one, .n = 1};
    if (!o->forced_eos_token_id.given)
        o->forced_eos_token_id = (ib_id_list){.ids = one, .n = 1};
}

static void lengths_of(const ib_options *o, size_t lengths[IB_AXIS_COUNT]) {
    for (size_t i = 0; i < IB_AXIS_COUNT; i++)
        lengths[i] = o->axes[i].n;
}

size_t ib_options_n_cells(const ib_options *o) {
    size_t lengths[IB_AXIS_COUNT], n = 1;
    lengths_of(o, lengths);
    return ib_plan_n_cells(lengths, &n, NULL) == IB_OK ? n : 1;
}

static void set_values(ib_options *o, const size_t positions[IB_AXIS_COUNT]) {
    const struct {
        ib_axis axis;
        const char **at;
    } words[] = {{IB_AXIS_MODEL, &o->model_id},
                 {IB_AXIS_DEVICE, &o->device},
                 {IB_AXIS_QUANT, &o->quant},
                 {IB_AXIS_DTYPE, &o->dtype},
                 {IB_AXIS_ATTN, &o->attn}};
    const struct {
        ib_axis axis;
        uint64_t *at;
    } counts[] = {{IB_AXIS_THREADS, &o->threads},
                  {IB_AXIS_BATCH, &o->batch},
                  {IB_AXIS_DEPTH, &o->depth},
                  {IB_AXIS_INPUT_LEN, &o->input_len},
                  {IB_AXIS_MAX_NEW_TOKENS, &o->max_new_tokens}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (o->axes[words[i].axis].n)
            *words[i].at = o->axes[words[i].axis].words[positions[words[i].axis]];
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (o->axes[counts[i].axis].n)
            *counts[i].at = o->axes[counts[i].axis].counts[positions[counts[i].axis]];
}

ib_status ib_options_cell(const ib_options *o, size_t cell, ib_options *out, ib_error *err) {
    size_t lengths[IB_AXIS_COUNT], positions[IB_AXIS_COUNT];
    lengths_of(o, lengths);
    ib_plan_positions(lengths, cell, positions);
    *out = *o;
    set_values(out, positions);
    IB_TRY(ib_options_check(out, err));
    fill_unset(out);
    return IB_OK;
}

/* Checks between options hold for each cell, before the first runs. */
static ib_status complete(ib_options *o, ib_error *err) {
    size_t lengths[IB_AXIS_COUNT], n = 1;
    ib_options cell;
    IB_TRY(ib_options_engine(o, err));
    lengths_of(o, lengths);
    IB_TRY(ib_plan_n_cells(lengths, &n, err));
    if (!o->repetitions)
        o->repetitions = n > 1 ? 5 : 1;
    if (o->warmup == UINT64_MAX)
        o->warmup = n > 1 ? 1 : 0;
    if (n == 1)
        IB_TRY(ib_options_check(o, err));
    for (size_t i = 0; n > 1 && i < n; i++)
        IB_TRY(ib_options_cell(o, i, &cell, err));
    if (!o->model_id && o->command->id == IB_COMMAND_RUN)
        o->model_id = ib_default_model;
    fill_unset(o);
    return IB_OK;
}

ib_status ib_options_parse(ib_options *out, int argc, char **argv, ib_error *err) {
    parse_state s = {.o = out, .argc = argc, .next = 1, .argv = argv};
    set_defaults(out);
    IB_TRY(check_utf8(argc, argv, err));
    IB_TRY(choose_command(&s, err));
    IB_TRY(take_all(&s, err));
    if (out->command->id == IB_COMMAND_HELP && out->n_args) {
        const ib_command *about = find_command(out->args[0]);
        char shown[IB_QUOTED];
        if (!about || about->later || about->hidden)
            return ib_fail(
                err, IB_E_USAGE,
                "unknown command in the command line: '%s'; fix: see 'inferbench --help'",
                ib_quotez(out->args[0], shown));
        out->command = about;
        out->help = true;
    }
    if (out->help || out->version)
        return IB_OK;
    return complete(out, err);
}

void ib_options_clear(ib_options *o) {
    ib_id_list *lists[] = {&o->token_ids, &o->ids, &o->eos_token_id, &o->forced_eos_token_id};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        if (lists[i]->given) /* defaults are static */
            free(lists[i]->ids);
        *lists[i] = (ib_id_list){0};
    }
    free(o->synth_model);
    o->synth_model = NULL;
    for (size_t i = 0; i < IB_AXIS_COUNT; i++) {
        free(o->axes[i].counts);
        free(o->axes[i].words);
        free(o->axes[i].store);
        o->axes[i] = (ib_axis_values){0};
    }
}
