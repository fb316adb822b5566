/* SPDX-License-Identifier: MIT
 * Operators of Python on template values: arithmetic, attributes, subscripts, slices. Integers are
 * 64 bits wide; what would not fit raises OverflowError, where Python would go on. */
#include "text/jinja/ast.h"

#include <math.h>
#include <string.h>

static const char *const op_names[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

static bool overflow(jstate *st) {
    return ib_jinja_raise(st, "OverflowError", "integer beyond 64 bits");
}

static bool unsupported(jstate *st, jop op, jval a, jval b) {
    return ib_jinja_raise(st, "TypeError", "unsupported operand type(s) for %s: '%s' and '%s'",
                          op_names[op], ib_jinja_type_name(a), ib_jinja_type_name(b));
}

static bool zero_division(jstate *st, const char *text) {
    return ib_jinja_raise(st, "ZeroDivisionError", "%s", text);
}

static int64_t floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return a % b != 0 && ((a < 0) != (b < 0)) ? q - 1 : q;
}

static bool int_pow(jstate *st, int64_t a, int64_t b, jval *out) {
    if (b < 0) {
        if (a == 0)
            return zero_division(st, "0.0 cannot be raised to a negative power");
        *out = JFLOAT(pow((double)a, (double)b));
        return true;
    }
    int64_t r = 1;
    while (b) {
        if ((b & 1) && __builtin_mul_overflow(r, a, &r))
            return overflow(st);
        b >>= 1;
        if (b && __builtin_mul_overflow(a, a, &a))
            return overflow(st);
    }
    *out = JINT(r);
    return true;
}

static bool int_op(jstate *st, jop op, int64_t a, int64_t b, jval *out) {
    int64_t r = 0;
    switch (op) {
    case OP_ADD:
        if (__builtin_add_overflow(a, b, &r))
            return overflow(st);
        break;
    case OP_SUB:
        if (__builtin_sub_overflow(a, b, &r))
            return overflow(st);
        break;
    case OP_MUL:
        if (__builtin_mul_overflow(a, b, &r))
            return overflow(st);
        break;
    case OP_DIV:
        if (b == 0)
            return zero_division(st, "division by zero");
        *out = JFLOAT((double)a / (double)b);
        return true;
    case OP_POW:
        return int_pow(st, a, b, out);
    default:
        if (b == 0)
            return zero_division(st, op == OP_MOD ? "integer modulo by zero"
                                                  : "integer division or modulo by zero");
        if (a == INT64_MIN && b == -1) {
            if (op == OP_FLOORDIV)
                return overflow(st);
            break;
        }
        r = floor_div(a, b);
        if (op == OP_MOD)
            r = a - r * b;
        break;
    }
    *out = JINT(r);
    return true;
}

static double float_mod(double a, double b) {
    double r = fmod(a, b);
    if (r != 0)
        return (b < 0) != (r < 0) ? r + b : r;
    return copysign(0.0, b);
}

static double float_floor_div(double a, double b) {
    double mod = fmod(a, b), div = (a - mod) / b;
    if (mod != 0 && (b < 0) != (mod < 0))
        div -= 1.0;
    if (div == 0)
        return copysign(0.0, a / b);
    double whole = floor(div);
    return div - whole > 0.5 ? whole + 1.0 : whole;
}

static bool float_pow(jstate *st, double a, double b, jval *out) {
    if (a == 0 && b < 0)
        return zero_division(st, "0.0 cannot be raised to a negative power");
    if (a < 0 && isfinite(a) && isfinite(b) && b != floor(b))
        return ib_jinja_raise(st, "TypeError", "complex numbers are not supported");
    double r = pow(a, b);
    if (isinf(r) && isfinite(a) && isfinite(b))
        return ib_jinja_raise(st, "OverflowError", "(34, 'Numerical result out of range')");
    *out = JFLOAT(r);
    return true;
}

static bool float_op(jstate *st, jop op, double a, double b, jval *out) {
    if (b == 0 && (op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD))
        return zero_division(st, op == OP_DIV        ? "float division by zero"
                                 : op == OP_FLOORDIV ? "float floor division by zero"
                                                     : "float modulo");
    switch (op) {
    case OP_ADD:
        *out = JFLOAT(a + b);
        return true;
    case OP_SUB:
        *out = JFLOAT(a - b);
        return true;
    case OP_MUL:
        *out = JFLOAT(a * b);
        return true;
    case OP_DIV:
        *out = JFLOAT(a / b);
        return true;
    case OP_FLOORDIV:
        *out = JFLOAT(float_floor_div(a, b));
        return true;
    case OP_MOD:
        *out = JFLOAT(float_mod(a, b));
        return true;
    default:
        return float_pow(st, a, b, out);
    }
}

static bool repeat_str(jstate *st, const jstr *s, int64_t n, jval *out) {
    size_t total;
    if (n <= 0 || s->n == 0)
        return ib_jinja_strz(st, "", out);
    if (__builtin_mul_overflow(s->n, (size_t)n, &total) || total > st->arena.limit_bytes)
        return ib_jinja_raise_limit(st, "a text is larger than %zu bytes", st->arena.limit_bytes);
    char *p = ib_jinja_alloc(st, total);
    if (!p)
        return false;
    memcpy(p, s->p, s->n);
    for (size_t have = s->n; have < total;) {
        size_t more = have < total - have ? have : total - have;
        memcpy(p + have, p, more);
        have += more;
    }
    return ib_jinja_str_borrow(st, p, total, out) &&
           (!s->markup || ib_jinja_markup(st, out->as.s, true, out));
}

static bool repeat_list(jstate *st, jval v, int64_t n, jval *out) {
    const jlist *l = v.as.l;
    size_t total, times = n < 0 ? 0 : (size_t)n;
    if (__builtin_mul_overflow(l->n, times, &total) || total > st->arena.limit_bytes / sizeof(jval))
        return ib_jinja_raise_limit(st, "a list is larger than %zu bytes", st->arena.limit_bytes);
    jlist *r = ib_jinja_list_new(st, total);
    if (!r)
        return false;
    for (size_t i = 0; l->n && i < times; i++)
        memcpy(r->items + i * l->n, l->items, l->n * sizeof *r->items);
    r->n = total;
    *out = v.type == J_LIST ? JLIST(r) : JTUPLE(r);
    return true;
}

static bool add_sequences(jstate *st, jval a, jval b, jval *out) {
    if (a.type == J_STR) {
        if (a.as.s->markup == b.as.s->markup)
            return ib_jinja_str_concat(st, a.as.s, b.as.s, out) &&
                   (out->as.s->markup == a.as.s->markup ||
                    ib_jinja_markup(st, out->as.s, a.as.s->markup, out));
        /* Markup takes plain text only escaped */
        jval x = a, y = b;
        if (!ib_jinja_html_escape(st, a.as.s->markup ? b : a, a.as.s->markup ? &y : &x) ||
            !ib_jinja_str_concat(st, x.as.s, y.as.s, out))
            return false;
        return ib_jinja_markup(st, out->as.s, true, out);
    }
    jlist *r = ib_jinja_list_new(st, a.as.l->n + b.as.l->n);
    if (!r)
        return false;
    if (a.as.l->n)
        memcpy(r->items, a.as.l->items, a.as.l->n * sizeof *r->items);
    if (b.as.l->n)
        memcpy(r->items + a.as.l->n, b.as.l->items, b.as.l->n * sizeof *r->items);
    r->n = a.as.l->n + b.as.l->n;
    *out = a.type == J_LIST ? JLIST(r) : JTUPLE(r);
    return true;
}

static bool is_sequence(jval v) {
    return v.type == J_STR || v.type == J_LIST || v.type == J_TUPLE;
}

bool ib_jinja_binary(jstate *st, jop op, jval a, jval b, jval *out) {
    int64_t x, y;
    if (a.type == J_STR && op == OP_MOD)
        return ib_jinja_percent(st, a.as.s, b, out);
    if (a.type == J_UNDEF || b.type == J_UNDEF)
        return ib_jinja_raise_undef(st, a.type == J_UNDEF ? a.as.undef : b.as.undef);
    bool xi = ib_jinja_as_int(a, &x), yi = ib_jinja_as_int(b, &y);
    if (xi && yi)
        return int_op(st, op, x, y, out);
    if (ib_jinja_is_number(a) && ib_jinja_is_number(b))
        return float_op(st, op, ib_jinja_as_double(a), ib_jinja_as_double(b), out);
    if (op == OP_MUL && is_sequence(a) && yi)
        return a.type == J_STR ? repeat_str(st, a.as.s, y, out) : repeat_list(st, a, y, out);
    if (op == OP_MUL && is_sequence(b) && xi)
        return b.type == J_STR ? repeat_str(st, b.as.s, x, out) : repeat_list(st, b, x, out);
    if (op == OP_ADD && is_sequence(a) && a.type == b.type)
        return add_sequences(st, a, b, out);
    if (op == OP_ADD && a.type == J_STR)
        return ib_jinja_raise(st, "TypeError", "can only concatenate str (not \"%s\") to str",
                              ib_jinja_type_name(b));
    if (op == OP_ADD && (a.type == J_LIST || a.type == J_TUPLE))
        return ib_jinja_raise(st, "TypeError", "can only concatenate %s (not \"%s\") to %s",
                              ib_jinja_type_name(a), ib_jinja_type_name(b), ib_jinja_type_name(a));
    if (op == OP_MUL && (is_sequence(a) || is_sequence(b)))
        return ib_jinja_raise(st, "TypeError", "can't multiply sequence by non-int of type '%s'",
                              ib_jinja_type_name(is_sequence(a) ? b : a));
    return unsupported(st, op, a, b);
}

bool ib_jinja_negate(jstate *st, jval v, bool minus, jval *out) {
    int64_t i;
    if (v.type == J_UNDEF)
        return ib_jinja_raise_undef(st, v.as.undef);
    if (v.type == J_FLOAT) {
        *out = JFLOAT(minus ? -v.as.f : v.as.f);
        return true;
    }
    if (!ib_jinja_as_int(v, &i))
        return ib_jinja_raise(st, "TypeError", "bad operand type for unary %s: '%s'",
                              minus ? "-" : "+", ib_jinja_type_name(v));
    if (minus && i == INT64_MIN)
        return overflow(st);
    *out = JINT(minus ? -i : i);
    return true;
}

/* --- attributes --- */

static bool is_unsafe_name(ib_str name) {
    return name.len > 4 && ib_str_starts(name, "__") && ib_str_ends(name, "__");
}

static bool group_attr(jval object, ib_str name, jval *out) {
    if (object.type != J_TUPLE || !object.as.l->group || object.as.l->n != 2)
        return false;
    if (ib_str_is(name, "grouper"))
        *out = object.as.l->items[0];
    else if (ib_str_is(name, "list"))
        *out = object.as.l->items[1];
    else
        return false;
    return true;
}

/* What Python's getattr would find, methods included. */
static bool attribute(jstate *st, jval object, ib_str name, jval *out, bool *found) {
    const jval *v;
    *found = true;
    if (object.type == J_NS) {
        v = ib_jinja_dict_find(object.as.d, name);
        *found = v != NULL;
        if (v)
            *out = *v;
        return true;
    }
    if (is_unsafe_name(name))
        return ib_jinja_undef_unsafe(st, object, name, out);
    if (object.type == J_LOOP) {
        if (!ib_jinja_loop_attr(st, object.as.loop, name, out, found) || *found)
            return st->status == IB_OK;
    }
    if (group_attr(object, name, out))
        return true;
    return ib_jinja_find_method(st, object, name, out, found);
}

bool ib_jinja_getattr(jstate *st, jval object, ib_str name, jval *out) {
    bool found;
    const jval *v;
    jval key;
    if (object.type == J_UNDEF)
        return ib_jinja_raise_undef(st, object.as.undef);
    if (!attribute(st, object, name, out, &found))
        return false;
    if (found)
        return true;
    if (object.type == J_DICT && (v = ib_jinja_dict_find(object.as.d, name)) != NULL) {
        *out = *v;
        return true;
    }
    return ib_jinja_str_borrow(st, name.ptr, name.len, &key) &&
           ib_jinja_undef_attr(st, object, key, out);
}

static bool sequence_item(jstate *st, jval object, int64_t i, jval *out, bool *found) {
    int64_t n = 0;
    (void)ib_jinja_length(st, object, &n);
    if (i < 0)
        i += n;
    *found = i >= 0 && i < n;
    if (!*found)
        return true;
    if (object.type == J_STR)
        return ib_jinja_substr(st, object.as.s, (size_t)i, (size_t)i + 1, out) &&
               (out->as.s->markup == object.as.s->markup ||
                ib_jinja_markup(st, out->as.s, object.as.s->markup, out));
    if (object.type == J_RANGE)
        *out = JINT(object.as.range->start + i * object.as.range->step);
    else
        *out = object.as.l->items[i];
    return true;
}

bool ib_jinja_getitem(jstate *st, jval object, jval key, jval *out) {
    int64_t i;
    bool found = false;
    if (object.type == J_UNDEF)
        return ib_jinja_raise_undef(st, object.as.undef);
    if (object.type == J_DICT && key.type != J_LIST && key.type != J_DICT) {
        if (!ib_jinja_dict_get(st, object.as.d, key, out, &found))
            return false;
    } else if ((is_sequence(object) || object.type == J_RANGE) && ib_jinja_as_int(key, &i)) {
        if (!sequence_item(st, object, i, out, &found))
            return false;
    }
    if (found)
        return true;
    if (key.type == J_STR) {
        if (!attribute(st, object, (ib_str){key.as.s->p, key.as.s->n}, out, &found))
            return false;
        if (found)
            return true;
    }
    return ib_jinja_undef_attr(st, object, key, out);
}

/* --- slices --- */

static bool slice_index(jstate *st, jval v, int64_t fallback, int64_t *out) {
    *out = fallback;
    if (v.type == J_NONE || v.type == J_MISSING || ib_jinja_as_int(v, out))
        return true;
    if (v.type == J_UNDEF)
        return ib_jinja_raise(st, "TypeError",
                              "slice indices must be integers or None or have an __index__ method");
    return ib_jinja_raise(st, "TypeError",
                          "slice indices must be integers or None or have an __index__ method");
}

typedef struct bounds {
    int64_t start, stop, step, n;
} bounds;

static int64_t clamp(int64_t i, int64_t n, int64_t low, int64_t high) {
    if (i < 0)
        i = i < -n ? -1 - n : i + n;
    return i < low ? low : i > high ? high : i;
}

static bool slice_bounds(jstate *st, jval start, jval stop, jval step, int64_t n, bounds *out) {
    int64_t a, b, s;
    if (!slice_index(st, step, 1, &s))
        return false;
    if (s == 0)
        return ib_jinja_raise(st, "ValueError", "slice step cannot be zero");
    if (s < -INT64_MAX)
        s = -INT64_MAX;
    int64_t low = s > 0 ? 0 : -1, high = s > 0 ? n : n - 1;
    if (!slice_index(st, start, INT64_MIN, &a) || !slice_index(st, stop, INT64_MIN, &b))
        return false;
    bool has_start = start.type != J_NONE && start.type != J_MISSING;
    bool has_stop = stop.type != J_NONE && stop.type != J_MISSING;
    a = has_start ? clamp(a, n, low, high) : s > 0 ? low : high;
    b = has_stop ? clamp(b, n, low, high) : s > 0 ? high : low;
    int64_t span = s > 0 ? b - a : a - b, by = s > 0 ? s : -s;
    *out = (bounds){a, b, s, span > 0 ? (span - 1) / by + 1 : 0};
    return true;
}

static bool slice_str(jstate *st, const jstr *s, bounds b, jval *out) {
    if (b.step == 1)
        return ib_jinja_substr(st, s, (size_t)b.start, (size_t)(b.start + b.n), out) &&
               (out->as.s->markup == s->markup || ib_jinja_markup(st, out->as.s, s->markup, out));
    uint32_t *offsets = ib_jinja_array(st, s->chars + 1, sizeof *offsets);
    char *p = ib_jinja_alloc(st, s->n + 1), *to = p;
    if (!offsets || !p || s->n > UINT32_MAX)
        return st->status != IB_OK ? false : ib_jinja_raise_memory(st);
    size_t k = 0;
    for (size_t i = 0; i < s->n; i++)
        if (((unsigned char)s->p[i] & 0xC0) != 0x80)
            offsets[k++] = (uint32_t)i;
    offsets[k] = (uint32_t)s->n;
    int64_t at = b.start;
    for (int64_t i = 0; i < b.n; i++) {
        size_t len = offsets[at + 1] - offsets[at];
        memcpy(to, s->p + offsets[at], len);
        to += len;
        if (i + 1 < b.n)
            at += b.step;
    }
    return ib_jinja_str_borrow(st, p, (size_t)(to - p), out) &&
           (!s->markup || ib_jinja_markup(st, out->as.s, true, out));
}

bool ib_jinja_slice(jstate *st, jval object, jval start, jval stop, jval step, jval *out) {
    int64_t n = 0;
    bounds b = {0, 0, 1, 0};
    if (object.type == J_UNDEF)
        return ib_jinja_raise_undef(st, object.as.undef);
    if (object.type == J_DICT)
        return ib_jinja_raise(st, "TypeError", "unhashable type: 'slice'");
    if (!is_sequence(object) && object.type != J_RANGE)
        return ib_jinja_raise(st, "TypeError", "'%s' object is not subscriptable",
                              ib_jinja_type_name(object));
    (void)ib_jinja_length(st, object, &n);
    if (!slice_bounds(st, start, stop, step, n, &b))
        return false;
    if (object.type == J_STR)
        return slice_str(st, object.as.s, b, out);
    if (object.type == J_RANGE) {
        jrange *r = ib_jinja_alloc(st, sizeof *r);
        if (!r)
            return false;
        const jrange *o = object.as.range;
        int64_t by;
        uint64_t first = (uint64_t)o->start, unit = (uint64_t)o->step;
        if (__builtin_mul_overflow(o->step, b.step, &by))
            by = (o->step > 0) == (b.step > 0) ? INT64_MAX : -INT64_MAX;
        *r = (jrange){(int64_t)(first + (uint64_t)b.start * unit),
                      (int64_t)(first + (uint64_t)b.stop * unit), by, b.n};
        *out = (jval){.type = J_RANGE, .as.range = r};
        return true;
    }
    jlist *l = ib_jinja_list_new(st, (size_t)b.n);
    if (!l)
        return false;
    for (int64_t i = 0, at = b.start; i < b.n; i++) {
        l->items[i] = object.as.l->items[at];
        if (i + 1 < b.n)
            at += b.step;
    }
    l->n = (size_t)b.n;
    *out = object.type == J_LIST ? JLIST(l) : JTUPLE(l);
    return true;
}

static bool is_int_part(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return n > 0 && n < 19;
}

/* "a.b.0" of map, sort and their like: each part an item, else an attribute. */
bool ib_jinja_get_path(jstate *st, jval object, jval path, jval fallback, jval *out) {
    *out = object;
    if (path.type == J_NONE || path.type == J_MISSING)
        return true;
    if (path.type != J_STR) {
        if (!ib_jinja_getitem(st, object, path, out))
            return false;
        if (out->type == J_UNDEF && fallback.type != J_NONE && fallback.type != J_MISSING)
            *out = fallback;
        return true;
    }
    const char *p = path.as.s->p, *end = p + path.as.s->n;
    for (;;) {
        const char *dot = p < end ? memchr(p, '.', (size_t)(end - p)) : NULL;
        size_t n = (size_t)((dot ? dot : end) - p);
        jval key;
        if (is_int_part(p, n)) {
            int64_t i = 0;
            for (size_t k = 0; k < n; k++)
                i = i * 10 + (p[k] - '0');
            key = JINT(i);
        } else if (!ib_jinja_str_borrow(st, p, n, &key)) {
            return false;
        }
        if (!ib_jinja_getitem(st, *out, key, out))
            return false;
        if (out->type == J_UNDEF && fallback.type != J_NONE && fallback.type != J_MISSING)
            *out = fallback;
        if (!dot)
            return true;
        p = dot + 1;
    }
}
