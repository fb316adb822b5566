/* SPDX-License-Identifier: MIT
 * See plan.h. */
#include "bench/plan.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

typedef struct values {
    uint64_t *at; /* owned */
    size_t n, cap;
} values;

static ib_status add(values *v, uint64_t value, ib_error *err) {
    if (v->n == IB_PLAN_MAX_VALUES)
        return ib_fail(err, IB_E_RESOURCE, "a list of more than %d values; fix: give fewer",
                       IB_PLAN_MAX_VALUES);
    if (v->n == v->cap) {
        const size_t cap = v->cap ? 2 * v->cap : 16;
        uint64_t *grown = realloc(v->at, cap * sizeof *grown);
        if (!grown)
            return ib_fail_memory(err, cap * sizeof *grown, "a list of values");
        v->at = grown;
        v->cap = cap;
    }
    v->at[v->n++] = value;
    return IB_OK;
}

static size_t digits(ib_str s) {
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= '0' && s.ptr[n] <= '9')
        n++;
    return n;
}

/* Takes a number off the front. */
static bool number(ib_str *s, uint64_t *out) {
    const size_t n = digits(*s);
    if (!n || !ib_parse_u64((ib_str){s->ptr, n}, out))
        return false;
    *s = (ib_str){s->ptr + n, s->len - n};
    return true;
}

/* Takes c off the front. */
static bool sign(ib_str *s, char c) {
    if (!s->len || s->ptr[0] != c)
        return false;
    *s = (ib_str){s->ptr + 1, s->len - 1};
    return true;
}

static ib_status malformed(ib_error *err) {
    return ib_fail(err, IB_E_USAGE,
                   "no list of numbers; fix: give N, FIRST-LAST, FIRST-LAST+STEP "
                   "or FIRST-LAST*FACTOR, with commas between");
}

/* One item of the list. */
static ib_status item(values *v, ib_str text, uint64_t min, uint64_t max, ib_error *err) {
    uint64_t first = 0, last = 0, step = 1;
    bool times = false;
    if (!number(&text, &first))
        return malformed(err);
    last = first;
    if (sign(&text, '-')) {
        if (!number(&text, &last))
            return malformed(err);
        times = sign(&text, '*');
        if ((times || sign(&text, '+')) && !number(&text, &step))
            return malformed(err);
    }
    if (text.len || first < min || last > max || last < first || step < (times ? 2u : 1u) ||
        (times && first == 0))
        return malformed(err);
    for (uint64_t value = first; value <= last;) {
        IB_TRY(add(v, value, err));
        if (times ? !ib_mul_u64(value, step, &value) : !ib_add_u64(value, step, &value))
            break;
    }
    return IB_OK;
}

ib_status ib_plan_counts(ib_str text, uint64_t min, uint64_t max, uint64_t **out, size_t *n,
                         ib_error *err) {
    values v = {0};
    ib_status st = IB_OK;
    for (size_t at = 0; st == IB_OK && at <= text.len;) {
        size_t len = 0;
        while (at + len < text.len && text.ptr[at + len] != ',')
            len++;
        st = item(&v, (ib_str){text.ptr + at, len}, min, max, err);
        at += len + 1;
    }
    if (st != IB_OK) {
        free(v.at);
        v = (values){0};
    }
    *out = v.at;
    *n = v.n;
    return st;
}

ib_status ib_plan_n_cells(const size_t *lengths, size_t *n, ib_error *err) {
    *n = 1;
    for (size_t i = 0; i < IB_AXIS_COUNT; i++)
        if (!ib_mul_size(*n, lengths[i] ? lengths[i] : 1, n) || *n > IB_PLAN_MAX_CELLS)
            return ib_fail(err, IB_E_RESOURCE,
                           "grid too large in the command line: more than %d cells; fix: give "
                           "shorter lists",
                           IB_PLAN_MAX_CELLS);
    return IB_OK;
}

void ib_plan_positions(const size_t *lengths, size_t cell, size_t *positions) {
    for (size_t i = IB_AXIS_COUNT; i-- > 0;) {
        const size_t n = lengths[i] ? lengths[i] : 1;
        positions[i] = cell % n;
        cell /= n;
    }
}

double ib_plan_work(uint64_t n_runs, uint64_t n_depth, uint64_t n_prompt, uint64_t n_new) {
    return (double)n_runs * ((double)n_new + (double)n_prompt / 8) + (double)n_depth / 8;
}
