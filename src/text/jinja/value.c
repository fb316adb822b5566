/* SPDX-License-Identifier: MIT
 * Making values: strings (with room to grow in place), lists, insertion-ordered dicts, undefined
 * values that remember what was missing, and the values of a JSON context. */
#include "text/jinja/value.h"

#include "base/checked.h"

#include <string.h>

size_t ib_jinja_count_chars(const char *p, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((unsigned char)p[i] & 0xC0) != 0x80;
    return count;
}

/* --- strings --- */

static bool str_make(jstate *st, const char *p, size_t n, size_t chars, jtail *tail, jval *out) {
    jstr *s = ib_jinja_alloc(st, sizeof *s);
    if (!s)
        return false;
    *s = (jstr){.p = p, .n = n, .chars = chars, .tail = tail};
    *out = JSTR(s);
    return true;
}

bool ib_jinja_str_borrow(jstate *st, const char *p, size_t n, jval *out) {
    return str_make(st, p, n, ib_jinja_count_chars(p, n), NULL, out);
}

bool ib_jinja_str_copy(jstate *st, const char *p, size_t n, jval *out) {
    char *copy = ib_jinja_alloc(st, n + 1);
    if (!copy)
        return false;
    if (n)
        memcpy(copy, p, n);
    return ib_jinja_str_borrow(st, copy, n, out);
}

bool ib_jinja_strz(jstate *st, const char *text, jval *out) {
    return ib_jinja_str_borrow(st, text, strlen(text), out);
}

bool ib_jinja_str_of_buf(jstate *st, ib_buf *b, ib_status status, jval *out) {
    bool ok = status == IB_OK ? ib_jinja_str_copy(st, b->len ? b->ptr : "", b->len, out)
                              : ib_jinja_raise_memory(st);
    ib_buf_clear(b);
    return ok;
}

/* a + b. When a ends where its block was last written, b goes right behind it: strings already made
 * from that block keep their own ends and see no change. */
bool ib_jinja_str_concat(jstate *st, const jstr *a, const jstr *b, jval *out) {
    size_t n;
    if (b->n == 0 || a->n == 0) {
        *out = JSTR(b->n == 0 ? a : b);
        return true;
    }
    if (!ib_add_size(a->n, b->n, &n))
        return ib_jinja_raise_memory(st);
    jtail *tail = a->tail;
    if (tail && a->p + a->n == tail->ptr + tail->used && tail->cap - tail->used >= b->n) {
        if (!ib_jinja_spend(st, b->n / 128))
            return false;
        memcpy(tail->ptr + tail->used, b->p, b->n);
        tail->used += b->n;
        return str_make(st, a->p, n, a->chars + b->chars, tail, out);
    }
    size_t cap = n < 128 ? n : n * 2;
    char *p = ib_jinja_alloc(st, cap);
    if (!p)
        return false;
    memcpy(p, a->p, a->n);
    memcpy(p + a->n, b->p, b->n);
    tail = NULL;
    if (cap > n) {
        tail = ib_jinja_alloc(st, sizeof *tail);
        if (!tail)
            return false;
        *tail = (jtail){p, n, cap};
    }
    return str_make(st, p, n, a->chars + b->chars, tail, out);
}

size_t ib_jinja_byte_offset(const jstr *s, size_t index) {
    if (s->chars == s->n || index == 0)
        return index < s->n ? index : s->n;
    if (index >= s->chars)
        return s->n;
    size_t i = 0;
    for (size_t seen = 0;; i++) {
        if (((unsigned char)s->p[i] & 0xC0) != 0x80 && seen++ == index)
            return i;
    }
}

bool ib_jinja_substr(jstate *st, const jstr *s, size_t from, size_t to, jval *out) {
    if (from == 0 && to >= s->chars) {
        *out = JSTR(s);
        return true;
    }
    if (to > s->chars)
        to = s->chars;
    if (from >= to)
        return ib_jinja_strz(st, "", out);
    if (s->chars != s->n && !ib_jinja_spend(st, s->n / 128))
        return false;
    size_t a = ib_jinja_byte_offset(s, from), b = ib_jinja_byte_offset(s, to);
    return str_make(st, s->p + a, b - a, to - from, NULL, out);
}

bool ib_jinja_markup(jstate *st, const jstr *s, bool markup, jval *out) {
    jstr *copy = ib_jinja_alloc(st, sizeof *copy);
    if (!copy)
        return false;
    *copy = *s;
    copy->markup = markup;
    *out = JSTR(copy);
    return true;
}

/* --- lists --- */

jlist *ib_jinja_list_new(jstate *st, size_t cap) {
    jlist *l = ib_jinja_alloc(st, sizeof *l);
    if (!l)
        return NULL;
    *l = (jlist){.cap = cap};
    if (cap && (l->items = ib_jinja_array(st, cap, sizeof *l->items)) == NULL)
        return NULL;
    return l;
}

bool ib_jinja_list_add(jstate *st, jlist *l, jval v) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        jval *grown = ib_jinja_array(st, cap, sizeof *grown);
        if (!grown)
            return false;
        if (l->n)
            memcpy(grown, l->items, l->n * sizeof *grown);
        l->items = grown;
        l->cap = cap;
    }
    l->items[l->n++] = v;
    return true;
}

bool ib_jinja_pair(jstate *st, jval a, jval b, jval *out) {
    jlist *l = ib_jinja_list_new(st, 2);
    if (!l)
        return false;
    l->items[0] = a;
    l->items[1] = b;
    l->n = 2;
    *out = JTUPLE(l);
    return true;
}

/* --- dicts --- */

jdict *ib_jinja_dict_new(jstate *st, size_t cap) {
    jdict *d = ib_jinja_alloc(st, sizeof *d);
    if (!d)
        return NULL;
    *d = (jdict){.cap = cap};
    if (cap && (d->entries = ib_jinja_array(st, cap, sizeof *d->entries)) == NULL)
        return NULL;
    return d;
}

enum { SMALL_DICT = 8 };

static bool reindex(jstate *st, jdict *d) {
    size_t n = 32;
    while (n < d->cap * 2)
        n *= 2;
    d->index = ib_jinja_array(st, n, sizeof *d->index);
    if (!d->index)
        return false;
    d->n_index = n;
    for (size_t i = 0; i < d->n; i++) {
        size_t at = (size_t)d->entries[i].hash & (n - 1);
        while (d->index[at])
            at = (at + 1) & (n - 1);
        d->index[at] = (uint32_t)(i + 1);
    }
    return true;
}

static bool dict_find(jstate *st, const jdict *d, jval key, uint64_t hash, size_t *at) {
    *at = SIZE_MAX;
    if (!d->index) {
        for (size_t i = 0; i < d->n; i++) {
            bool same = false;
            if (d->entries[i].hash == hash && !ib_jinja_equal(st, d->entries[i].key, key, 0, &same))
                return false;
            if (same) {
                *at = i;
                return true;
            }
        }
        return true;
    }
    for (size_t i = (size_t)hash & (d->n_index - 1); d->index[i]; i = (i + 1) & (d->n_index - 1)) {
        const jentry *e = &d->entries[d->index[i] - 1];
        bool same = false;
        if (e->hash == hash && !ib_jinja_equal(st, e->key, key, 0, &same))
            return false;
        if (same) {
            *at = d->index[i] - 1;
            return true;
        }
    }
    return true;
}

bool ib_jinja_dict_set(jstate *st, jdict *d, jval key, jval value) {
    uint64_t hash;
    size_t at;
    if (!ib_jinja_hash(st, key, 0, &hash) || !dict_find(st, d, key, hash, &at))
        return false;
    if (at < d->n && d->entries) {
        d->entries[at].value = value;
        return true;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 4;
        jentry *grown = ib_jinja_array(st, cap, sizeof *grown);
        if (!grown || cap > UINT32_MAX / 4)
            return grown ? ib_jinja_raise_memory(st) : false;
        if (d->n)
            memcpy(grown, d->entries, d->n * sizeof *grown);
        d->entries = grown;
        d->cap = cap;
        if (cap > SMALL_DICT && !reindex(st, d))
            return false;
    } else if (d->cap > SMALL_DICT && !d->index && !reindex(st, d)) {
        return false;
    }
    d->entries[d->n++] = (jentry){key, value, hash};
    if (d->index) {
        size_t i = (size_t)hash & (d->n_index - 1);
        while (d->index[i])
            i = (i + 1) & (d->n_index - 1);
        d->index[i] = (uint32_t)d->n;
    }
    return true;
}

bool ib_jinja_dict_get(jstate *st, const jdict *d, jval key, jval *out, bool *found) {
    uint64_t hash;
    size_t at;
    if (!ib_jinja_hash(st, key, 0, &hash) || !dict_find(st, d, key, hash, &at))
        return false;
    *found = at != SIZE_MAX;
    if (*found)
        *out = d->entries[at].value;
    return true;
}

const jval *ib_jinja_dict_find(const jdict *d, ib_str key) {
    if (!d->index) {
        for (size_t i = 0; i < d->n; i++) {
            const jval *k = &d->entries[i].key;
            if (k->type == J_STR && k->as.s->n == key.len &&
                memcmp(k->as.s->p, key.ptr, key.len) == 0)
                return &d->entries[i].value;
        }
        return NULL;
    }
    uint64_t hash = ib_hash(key.ptr, key.len);
    for (size_t i = (size_t)hash & (d->n_index - 1); d->index[i]; i = (i + 1) & (d->n_index - 1)) {
        const jentry *e = &d->entries[d->index[i] - 1];
        if (e->hash == hash && e->key.type == J_STR && e->key.as.s->n == key.len &&
            memcmp(e->key.as.s->p, key.ptr, key.len) == 0)
            return &e->value;
    }
    return NULL;
}

bool ib_jinja_dict_set_str(jstate *st, jdict *d, ib_str key, jval value) {
    jval k;
    return ib_jinja_str_borrow(st, key.ptr, key.len, &k) && ib_jinja_dict_set(st, d, k, value);
}

/* --- JSON --- */

static bool from_array(jstate *st, const json_t *json, int depth, jval *out) {
    size_t n = json_array_size(json);
    jlist *l = ib_jinja_list_new(st, n);
    if (!l)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!ib_jinja_from_json(st, json_array_get(json, i), depth + 1, &l->items[i]))
            return false;
    l->n = n;
    *out = JLIST(l);
    return true;
}

static bool from_object(jstate *st, const json_t *json, int depth, jval *out) {
    const char *key;
    size_t len;
    json_t *v;
    jdict *d = ib_jinja_dict_new(st, json_object_size(json));
    if (!d)
        return false;
    json_object_keylen_foreach((json_t *)(uintptr_t)json, key, len, v) {
        jval value;
        if (!ib_jinja_from_json(st, v, depth + 1, &value) ||
            !ib_jinja_dict_set_str(st, d, (ib_str){key, len}, value))
            return false;
    }
    *out = JDICT(d);
    return true;
}

bool ib_jinja_from_json(jstate *st, const json_t *json, int depth, jval *out) {
    if (depth > JINJA_MAX_VALUE_DEPTH)
        return ib_jinja_raise_limit(st, "the messages are nested deeper than %d",
                                    JINJA_MAX_VALUE_DEPTH);
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return from_object(st, json, depth, out);
    case JSON_ARRAY:
        return from_array(st, json, depth, out);
    case JSON_STRING:
        return ib_jinja_str_borrow(st, json_string_value(json), json_string_length(json), out);
    case JSON_INTEGER:
        *out = JINT(json_integer_value(json));
        return true;
    case JSON_REAL:
        *out = JFLOAT(json_real_value(json));
        return true;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = JBOOL(json_is_true(json));
        return true;
    default:
        *out = JNONE;
        return true;
    }
}

/* --- undefined --- */

static bool undef(jstate *st, jundef fields, jval *out) {
    jundef *u = ib_jinja_alloc(st, sizeof *u);
    if (!u)
        return false;
    *u = fields;
    if (!u->exception)
        u->exception = "UndefinedError";
    *out = (jval){.type = J_UNDEF, .as.undef = u};
    return true;
}

bool ib_jinja_undef_name(jstate *st, ib_str name, jval *out) {
    jval n;
    return ib_jinja_str_borrow(st, name.ptr, name.len, &n) && undef(st, (jundef){.name = n}, out);
}

bool ib_jinja_undef_hint(jstate *st, const char *hint, jval *out) {
    jval h;
    return ib_jinja_str_copy(st, hint, strlen(hint), &h) &&
           undef(st, (jundef){.hint = h.as.s}, out);
}

bool ib_jinja_undef_attr(jstate *st, jval object, jval name, jval *out) {
    return undef(st, (jundef){.object = object, .name = name}, out);
}

bool ib_jinja_undef_unsafe(jstate *st, jval object, ib_str name, jval *out) {
    char text[200], shown[IB_QUOTED];
    jval h;
    (void)snprintf(text, sizeof text, "access to attribute '%s' of '%s' object is unsafe.",
                   ib_quote(name, shown), ib_jinja_type_name(object));
    return ib_jinja_str_copy(st, text, strlen(text), &h) &&
           undef(st, (jundef){.exception = "SecurityError", .hint = h.as.s}, out);
}

/* The type as object_type_repr of Jinja2 names it. */
static const char *object_repr(jval v, char *text, size_t size) {
    if (v.type == J_NONE)
        return "None";
    (void)snprintf(text, size, "%s%s object",
                   v.type == J_LOOP || v.type == J_MACRO || v.type == J_UNDEF ? "jinja2.runtime."
                   : v.type == J_CYCLER || v.type == J_JOINER                 ? "jinja2.utils."
                                                                              : "",
                   ib_jinja_type_name(v));
    return text;
}

void ib_jinja_set_problem_undef(jstate *st, const jundef *u) {
    char shown[IB_QUOTED], type[80];
    jval r;
    if (u->hint) {
        ib_jinja_set_problem_text(st, u->exception, (ib_str){u->hint->p, u->hint->n});
    } else if (u->name.type != J_STR) {
        if (ib_jinja_repr(st, u->name, &r))
            ib_jinja_set_problem(st, u->exception, "%s has no element %s",
                                 object_repr(u->object, type, sizeof type),
                                 ib_quote((ib_str){r.as.s->p, r.as.s->n}, shown));
    } else {
        (void)ib_quote((ib_str){u->name.as.s->p, u->name.as.s->n}, shown);
        if (u->object.type == J_MISSING)
            ib_jinja_set_problem(st, u->exception, "'%s' is undefined", shown);
        else
            ib_jinja_set_problem(st, u->exception, "'%s' has no attribute '%s'",
                                 object_repr(u->object, type, sizeof type), shown);
    }
}
