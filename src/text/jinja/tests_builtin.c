/* SPDX-License-Identifier: MIT
 * The tests behind "is", by name. */
#include "text/jinja/value.h"

#include <math.h>
#include <string.h>

static bool answer(jstate *st, const jargs *a, bool v, jval *out) {
    *out = JBOOL(v);
    return ib_jinja_no_keywords(st, "test", a, 0, 0);
}

static bool one_arg(jstate *st, const jargs *a, jval *out) {
    if (a->n + a->n_kw != 1)
        return ib_jinja_raise(st, "TypeError", "test takes exactly one argument (%zu given)",
                              a->n + a->n_kw);
    *out = a->n ? a->pos[0] : a->kw[0].value;
    return true;
}

static bool modulo_is(jstate *st, jval self, jval by, int64_t wanted, jval *out) {
    jval r;
    bool same;
    if (self.type == J_STR && ib_jinja_percent(st, self.as.s, by, &r) == false)
        return false;
    if (self.type != J_STR && !ib_jinja_binary(st, OP_MOD, self, by, &r))
        return false;
    if (!ib_jinja_equal(st, r, JINT(wanted), 0, &same))
        return false;
    *out = JBOOL(same);
    return true;
}

static bool t_odd(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "test_odd", a, 0, 0) && modulo_is(st, self, JINT(2), 1, out);
}

static bool t_even(jstate *st, jval self, const jargs *a, jval *out) {
    return ib_jinja_no_keywords(st, "test_even", a, 0, 0) && modulo_is(st, self, JINT(2), 0, out);
}

static bool t_divisibleby(jstate *st, jval self, const jargs *a, jval *out) {
    jval by;
    return one_arg(st, a, &by) && modulo_is(st, self, by, 0, out);
}

static bool t_defined(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type != J_UNDEF, out);
}

static bool t_undefined(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type == J_UNDEF, out);
}

static bool t_none(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type == J_NONE, out);
}

static bool t_boolean(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type == J_BOOL, out);
}

static bool t_true(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type == J_BOOL && self.as.b, out);
}

static bool t_false(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type == J_BOOL && !self.as.b, out);
}

static bool t_integer(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type == J_INT, out);
}

static bool t_float(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type == J_FLOAT, out);
}

static bool t_number(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, ib_jinja_is_number(self), out);
}

static bool t_string(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type == J_STR, out);
}

static bool t_mapping(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type == J_DICT, out);
}

static bool t_sequence(jstate *st, jval self, const jargs *a, jval *out) {
    /* Undefined has both len() and a __getitem__ that only exists to fail; views have no subscript
     */
    bool is = ib_jinja_has_length(self) && self.type != J_VIEW;
    return answer(st, a, is, out);
}

static bool t_iterable(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, ib_jinja_iterable(self) || self.type == J_LOOP, out);
}

static bool t_callable(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, ib_jinja_callable(self), out);
}

static bool t_escaped(jstate *st, jval self, const jargs *a, jval *out) {
    return answer(st, a, self.type == J_STR && self.as.s->markup, out);
}

static bool letter_case(jstate *st, jval self, const jargs *a, const char *method, jval *out) {
    jval text, m;
    bool found;
    jargs none = {.n = 0};
    return ib_jinja_no_keywords(st, "test", a, 0, 0) && ib_jinja_to_str(st, self, &text) &&
           ib_jinja_find_method(st, text, ib_str_of(method), &m, &found) &&
           ib_jinja_call(st, m, &none, out);
}

static bool t_lower(jstate *st, jval self, const jargs *a, jval *out) {
    return letter_case(st, self, a, "islower", out);
}

static bool t_upper(jstate *st, jval self, const jargs *a, jval *out) {
    return letter_case(st, self, a, "isupper", out);
}

static bool t_sameas(jstate *st, jval self, const jargs *a, jval *out) {
    jval other;
    if (!one_arg(st, a, &other))
        return false;
    *out = JBOOL(ib_jinja_identical(self, other));
    return true;
}

static bool t_in(jstate *st, jval self, const jargs *a, jval *out) {
    jval seq;
    bool found;
    if (!one_arg(st, a, &seq) || !ib_jinja_contains(st, seq, self, &found))
        return false;
    *out = JBOOL(found);
    return true;
}

static bool equality(jstate *st, jval self, const jargs *a, bool wanted, jval *out) {
    jval other;
    bool same;
    if (!one_arg(st, a, &other) || !ib_jinja_equal(st, self, other, 0, &same))
        return false;
    *out = JBOOL(same == wanted);
    return true;
}

static bool t_eq(jstate *st, jval self, const jargs *a, jval *out) {
    return equality(st, self, a, true, out);
}

static bool t_ne(jstate *st, jval self, const jargs *a, jval *out) {
    return equality(st, self, a, false, out);
}

static bool ordering(jstate *st, jval self, const jargs *a, jcmp op, jval *out) {
    jval other;
    bool holds;
    if (!one_arg(st, a, &other) || !ib_jinja_compare(st, op, self, other, 0, &holds))
        return false;
    *out = JBOOL(holds);
    return true;
}

static bool t_lt(jstate *st, jval self, const jargs *a, jval *out) {
    return ordering(st, self, a, CMP_LT, out);
}

static bool t_le(jstate *st, jval self, const jargs *a, jval *out) {
    return ordering(st, self, a, CMP_LE, out);
}

static bool t_gt(jstate *st, jval self, const jargs *a, jval *out) {
    return ordering(st, self, a, CMP_GT, out);
}

static bool t_ge(jstate *st, jval self, const jargs *a, jval *out) {
    return ordering(st, self, a, CMP_GE, out);
}

static bool t_filter(jstate *st, jval self, const jargs *a, jval *out) {
    bool known =
        self.type == J_STR && ib_jinja_find_filter((ib_str){self.as.s->p, self.as.s->n}) != NULL;
    if (self.type == J_LIST || self.type == J_DICT)
        return ib_jinja_raise(st, "TypeError", "unhashable type: '%s'", ib_jinja_type_name(self));
    return answer(st, a, known, out);
}

static bool t_test(jstate *st, jval self, const jargs *a, jval *out) {
    bool known =
        self.type == J_STR && ib_jinja_find_test((ib_str){self.as.s->p, self.as.s->n}) != NULL;
    if (self.type == J_LIST || self.type == J_DICT)
        return ib_jinja_raise(st, "TypeError", "unhashable type: '%s'", ib_jinja_type_name(self));
    return answer(st, a, known, out);
}

static const jfunc tests[] = {{"odd", t_odd},
                              {"even", t_even},
                              {"divisibleby", t_divisibleby},
                              {"defined", t_defined},
                              {"undefined", t_undefined},
                              {"filter", t_filter},
                              {"test", t_test},
                              {"none", t_none},
                              {"boolean", t_boolean},
                              {"false", t_false},
                              {"true", t_true},
                              {"integer", t_integer},
                              {"float", t_float},
                              {"lower", t_lower},
                              {"upper", t_upper},
                              {"string", t_string},
                              {"mapping", t_mapping},
                              {"number", t_number},
                              {"sequence", t_sequence},
                              {"iterable", t_iterable},
                              {"callable", t_callable},
                              {"sameas", t_sameas},
                              {"escaped", t_escaped},
                              {"in", t_in},
                              {"==", t_eq},
                              {"eq", t_eq},
                              {"equalto", t_eq},
                              {"!=", t_ne},
                              {"ne", t_ne},
                              {">", t_gt},
                              {"gt", t_gt},
                              {"greaterthan", t_gt},
                              {"ge", t_ge},
                              {">=", t_ge},
                              {"<", t_lt},
                              {"lt", t_lt},
                              {"lessthan", t_lt},
                              {"<=", t_le},
                              {"le", t_le},
                              {NULL, NULL}};

const jfunc *ib_jinja_find_test(ib_str name) {
    for (const jfunc *t = tests; t->name; t++)
        if (ib_str_is(name, t->name))
            return t;
    return NULL;
}
