/* SPDX-License-Identifier: MIT
 * The filter wordwrap: textwrap.wrap of Python on each line of a text. */
#include "text/jinja/value.h"

#include <string.h>

typedef struct wrapper {
    jstate *st;
    jlist *chunks, *lines;
    int64_t width;
    bool break_long, hyphens;
} wrapper;

static bool add_chunk(wrapper *w, const char *p, size_t n) {
    jval v;
    return n == 0 ||
           (ib_jinja_str_borrow(w->st, p, n, &v) && ib_jinja_list_add(w->st, w->chunks, v));
}

static bool blank(char c) {
    return c == ' ' || (c >= 9 && c <= 13);
}

static bool letter_at(const char *p, const char *end) {
    size_t len;
    if (p >= end)
        return false;
    uint32_t c = ib_jinja_char_at(p, &len);
    return ib_jinja_is_word(c) && !ib_jinja_is_decimal(c) && c != '_';
}

/* A word, cut behind hyphens that join letters. */
static bool add_word(wrapper *w, const char *p, const char *end) {
    const char *start = p;
    for (const char *q = p; w->hyphens && q < end; q++) {
        if (*q != '-' || q - start < 2 || !letter_at(q + 1, end) || q + 2 >= end)
            continue;
        const char *b = q - 1;
        while (b > start && ((unsigned char)*b & 0xC0) == 0x80)
            b--;
        const char *b2 = b > start ? b - 1 : b;
        while (b2 > start && ((unsigned char)*b2 & 0xC0) == 0x80)
            b2--;
        size_t len;
        (void)ib_jinja_char_at(q + 1, &len);
        if (!letter_at(b, end) || b2 == b || !letter_at(b2, end) ||
            !(letter_at(q + 1 + len, end) || q[1 + len] == '-'))
            continue;
        if (!add_chunk(w, start, (size_t)(q + 1 - start)))
            return false;
        start = q + 1;
    }
    return add_chunk(w, start, (size_t)(end - start));
}

static bool make_chunks(wrapper *w, const jstr *line) {
    const char *p = line->p, *end = p + line->n;
    while (p < end) {
        const char *start = p;
        bool space = blank(*p);
        while (p < end && blank(*p) == space)
            p++;
        if (space ? !add_chunk(w, start, (size_t)(p - start)) : !add_word(w, start, p))
            return false;
    }
    return true;
}

static bool is_blank(const jstr *s) {
    for (size_t i = 0; i < s->n; i++)
        if (!blank(s->p[i]))
            return false;
    return true;
}

static bool flush_line(wrapper *w, const jlist *line) {
    jval joined, empty;
    size_t n = line->n;
    if (n && is_blank(line->items[n - 1].as.s))
        n--;
    if (n == 0)
        return true;
    jlist part = {.items = line->items, .n = n};
    return ib_jinja_strz(w->st, "", &empty) &&
           ib_jinja_join(w->st, empty.as.s, &part, true, &joined) &&
           ib_jinja_list_add(w->st, w->lines, joined);
}

static bool split_long(wrapper *w, jlist *line, jval *chunk, int64_t room) {
    jval head;
    if (w->break_long) {
        size_t at = (size_t)room;
        const jstr *s = chunk->as.s;
        if (w->hyphens && (int64_t)s->chars > room) {
            size_t limit = ib_jinja_byte_offset(s, at), h = limit;
            while (h > 0 && s->p[h - 1] != '-')
                h--;
            if (h > 1 && strspn(s->p, "-") < h - 1)
                at = ib_jinja_count_chars(s->p, h);
        }
        if (!ib_jinja_substr(w->st, s, 0, at, &head) ||
            !ib_jinja_substr(w->st, s, at, s->chars, chunk))
            return false;
        return ib_jinja_list_add(w->st, line, head);
    }
    if (line->n)
        return true;
    head = *chunk;
    return ib_jinja_strz(w->st, "", chunk) && ib_jinja_list_add(w->st, line, head);
}

static bool wrap_line(wrapper *w, const jstr *text) {
    w->chunks = ib_jinja_list_new(w->st, 16);
    size_t first_line = w->lines->n, i = 0;
    if (!w->chunks || !make_chunks(w, text))
        return false;
    while (i < w->chunks->n) {
        jlist *line = ib_jinja_list_new(w->st, 8);
        int64_t used = 0;
        if (!line || !ib_jinja_spend(w->st, 1))
            return false;
        if (w->lines->n > first_line && is_blank(w->chunks->items[i].as.s))
            i++;
        while (i < w->chunks->n && used + (int64_t)w->chunks->items[i].as.s->chars <= w->width) {
            used += (int64_t)w->chunks->items[i].as.s->chars;
            if (!ib_jinja_list_add(w->st, line, w->chunks->items[i++]))
                return false;
        }
        if (i < w->chunks->n && (int64_t)w->chunks->items[i].as.s->chars > w->width) {
            if (!split_long(w, line, &w->chunks->items[i], w->width - used))
                return false;
            i += w->chunks->items[i].as.s->n == 0;
        }
        if (!flush_line(w, line))
            return false;
    }
    return true;
}

static bool wanted_width(jstate *st, jval v, int64_t *out) {
    *out = 79;
    return v.type == J_MISSING || ib_jinja_as_int(v, out) ||
           ib_jinja_raise(st, "TypeError", "width must be an integer, not %s",
                          ib_jinja_type_name(v));
}

bool ib_jinja_wordwrap(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"width", "break_long_words", "wrapstring",
                                        "break_on_hyphens"};
    jval v[4];
    jlist *lines, *all;
    wrapper w = {.st = st};
    if (!ib_jinja_bind(st, "wordwrap", a, names, 0, 4, v) || !wanted_width(st, v[0], &w.width))
        return false;
    if (self.type == J_UNDEF)
        return ib_jinja_raise_undef(st, self.as.undef);
    if (self.type != J_STR)
        return ib_jinja_raise(st, "AttributeError", "'%s' object has no attribute 'splitlines'",
                              ib_jinja_type_name(self));
    if (w.width <= 0)
        return ib_jinja_raise(st, "ValueError", "invalid width (must be > 0)");
    w.break_long = v[1].type == J_MISSING || ib_jinja_truth(v[1]);
    w.hyphens = v[3].type == J_MISSING || ib_jinja_truth(v[3]);
    if ((v[2].type == J_MISSING || v[2].type == J_NONE) && !ib_jinja_strz(st, "\n", &v[2]))
        return false;
    all = ib_jinja_list_new(st, 8);
    if (!all || v[2].type != J_STR || !ib_jinja_split_lines(st, self.as.s, false, &lines))
        return st->status == IB_OK ? ib_jinja_raise(st, "TypeError", "wrapstring must be a string")
                                   : false;
    for (size_t i = 0; i < lines->n; i++) {
        jval joined;
        w.lines = ib_jinja_list_new(st, 4);
        if (!w.lines || !wrap_line(&w, lines->items[i].as.s) ||
            !ib_jinja_join(st, v[2].as.s, w.lines, true, &joined) ||
            !ib_jinja_list_add(st, all, joined))
            return false;
    }
    return ib_jinja_join(st, v[2].as.s, all, true, out);
}
