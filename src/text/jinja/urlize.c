/* SPDX-License-Identifier: MIT
 * The filter urlize: words that look like URLs or mail addresses become links. */
#include "text/jinja/value.h"

#include <string.h>

typedef struct linker {
    jstate *st;
    ib_buf b;
    int64_t limit; /* -1: none */
    jval rel, target;
    jlist *schemes;
} linker;

static bool starts(ib_str s, const char *prefix) {
    return ib_str_starts(s, prefix);
}

static bool is_word_char(char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' ||
           (c & 0x80) != 0;
}

static bool is_letter(char c) {
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

/* ":8080" and "/path": what may follow the host; nothing else may. */
static bool tail_ok(const char *p, const char *end) {
    if (p < end && *p == ':') {
        const char *q = p + 1;
        while (q < end && q - p <= 5 && *q >= '0' && *q <= '9')
            q++;
        if (q > p + 1)
            p = q;
    }
    return p == end || *p == '/' || *p == '?' || *p == '#';
}

/* Does [from, to) consist of labels of \w, % and - ended by dots, then a last label? */
static bool host_ok(const char *from, const char *to, bool scheme) {
    static const char *const basic[] = {"com", "net",  "int", "edu", "gov",
                                        "org", "info", "mil", NULL};
    const char *last = to;
    size_t label = 0, labels = 0;
    while (last > from && last[-1] != '.')
        last--;
    for (const char *p = from; p < last; p++) {
        if (*p == '.') {
            if (label == 0 || (!scheme && (label < 2 || label > 63)))
                return false;
            label = 0;
            labels++;
        } else if (is_word_char(*p) || *p == '%' || *p == '-') {
            label++;
        } else {
            return false;
        }
    }
    size_t n = (size_t)(to - last);
    if (scheme) {
        size_t i = n > 4 && strncmp(last, "xn--", 4) == 0 ? 4 : 0;
        for (size_t k = i; k < n; k++)
            if (i ? !(is_word_char(last[k]) || last[k] == '%') : !is_letter(last[k]))
                return false;
        return n - i >= 2 && n - i <= (i ? 59 : 63);
    }
    for (const char *const *t = basic; *t && labels; t++)
        if (strlen(*t) == n && ib_str_is((ib_str){last, n}, *t))
            return true;
    return false;
}

static bool ipv4_ok(const char *p, const char *to) {
    for (int i = 0; i < 4; i++) {
        const char *start = p;
        while (p < to && *p >= '0' && *p <= '9')
            p++;
        if (p == start || p - start > 3 || (i < 3 && (p == to || *p++ != '.')))
            return false;
    }
    return p == to;
}

static bool is_url(ib_str s) {
    const char *p = s.ptr, *end = p + s.len, *host_end;
    bool http = starts(s, "http://") || starts(s, "https://"), www = starts(s, "www.");
    if (http)
        p += starts(s, "https://") ? 8 : 7;
    else if (www)
        p += 4;
    for (host_end = p; host_end < end && !strchr(":/?#", *host_end); host_end++)
        continue;
    if (!tail_ok(host_end, end))
        return false;
    if (http && ipv4_ok(p, host_end))
        return true;
    return host_ok(p, host_end, http || www);
}

static bool is_mail(ib_str s) {
    const char *at = memchr(s.ptr, '@', s.len), *end = s.ptr + s.len, *dot = NULL;
    if (!at || at == s.ptr || at + 1 >= end || !is_word_char(at[1]))
        return false;
    for (const char *p = at + 1; p < end; p++) {
        if (!is_word_char(*p) && *p != '.' && *p != '-')
            return false;
        if (*p == '.')
            dot = p;
    }
    if (!dot || dot == at + 1 || dot + 1 == end)
        return false;
    for (const char *p = dot + 1; p < end; p++)
        if (!is_word_char(*p))
            return false;
    return true;
}

static bool put(linker *l, ib_str s) {
    return ib_jinja_put(l->st, &l->b, s.ptr, s.len);
}

static bool put_attr(linker *l, const char *name, jval v) {
    jval e;
    if (v.type == J_MISSING || !ib_jinja_truth(v))
        return true;
    return ib_jinja_html_escape(l->st, v, &e) && ib_jinja_puts(l->st, &l->b, name) &&
           ib_jinja_put(l->st, &l->b, e.as.s->p, e.as.s->n) && ib_jinja_puts(l->st, &l->b, "\"");
}

/* <a href="prefix url" ...>shown</a> */
static bool put_link(linker *l, const char *prefix, ib_str url, ib_str shown, bool attrs,
                     bool trim) {
    size_t chars = ib_jinja_count_chars(shown.ptr, shown.len);
    bool cut = trim && l->limit >= 0 && (int64_t)chars > l->limit;
    jstr s = {.p = shown.ptr, .n = shown.len, .chars = chars};
    if (cut)
        shown.len = ib_jinja_byte_offset(&s, (size_t)l->limit);
    return ib_jinja_puts(l->st, &l->b, "<a href=\"") && ib_jinja_puts(l->st, &l->b, prefix) &&
           put(l, url) && ib_jinja_puts(l->st, &l->b, "\"") &&
           (!attrs || (put_attr(l, " rel=\"", l->rel) && put_attr(l, " target=\"", l->target))) &&
           ib_jinja_puts(l->st, &l->b, ">") && put(l, shown) &&
           (!cut || ib_jinja_puts(l->st, &l->b, "...")) && ib_jinja_puts(l->st, &l->b, "</a>");
}

static bool put_middle(linker *l, ib_str m) {
    if (is_url(m))
        return put_link(l, starts(m, "https://") || starts(m, "http://") ? "" : "https://", m, m,
                        true, true);
    ib_str rest = {m.ptr + 7, m.len > 7 ? m.len - 7 : 0};
    if (starts(m, "mailto:") && is_mail(rest))
        return put_link(l, "", m, rest, false, false);
    if (!starts(m, "www.") && !starts(m, "@") && !memchr(m.ptr, ':', m.len) && is_mail(m))
        return put_link(l, "mailto:", m, m, false, false);
    for (size_t i = 0; l->schemes && i < l->schemes->n; i++) {
        const jstr *s = l->schemes->items[i].as.s;
        if (m.len > s->n && memcmp(m.ptr, s->p, s->n) == 0)
            return put_link(l, "", m, m, true, false);
    }
    return put(l, m);
}

static size_t head_len(ib_str w) {
    size_t i = 0;
    while (i < w.len) {
        if (w.ptr[i] == '(' || w.ptr[i] == '<')
            i++;
        else if (w.len - i >= 4 && memcmp(w.ptr + i, "&lt;", 4) == 0)
            i += 4;
        else
            break;
    }
    return i;
}

static size_t tail_start(ib_str w) {
    size_t i = w.len;
    while (i > 0) {
        if (strchr(")>.,\n", w.ptr[i - 1]))
            i--;
        else if (i >= 4 && memcmp(w.ptr + i - 4, "&gt;", 4) == 0)
            i -= 4;
        else
            break;
    }
    return i;
}

static size_t occurrences(const char *p, size_t n, const char *x) {
    size_t count = 0, at, m = strlen(x);
    while ((at = ib_jinja_find_bytes(p, n, x, m)) != SIZE_MAX) {
        count++;
        p += at + m;
        n -= at + m;
    }
    return count;
}

static bool put_word(linker *l, ib_str w) {
    static const char *const pairs[][2] = {{"(", ")"}, {"<", ">"}, {"&lt;", "&gt;"}};
    size_t head = head_len(w);
    ib_str m = {w.ptr + head, w.len - head};
    size_t end = tail_start(m);
    for (int k = 0; k < 3; k++) {
        size_t open = occurrences(m.ptr, end, pairs[k][0]),
               close = occurrences(m.ptr, end, pairs[k][1]);
        size_t more = occurrences(m.ptr + end, m.len - end, pairs[k][1]);
        if (open <= close)
            continue;
        for (size_t i = 0; i < (open < more ? open : more); i++)
            end += ib_jinja_find_bytes(m.ptr + end, m.len - end, pairs[k][1], strlen(pairs[k][1])) +
                   strlen(pairs[k][1]);
    }
    return put(l, (ib_str){w.ptr, head}) && put_middle(l, (ib_str){m.ptr, end}) &&
           put(l, (ib_str){m.ptr + end, m.len - end});
}

/* rel: the words given, nofollow when asked, noopener always; sorted. */
static bool make_rel(linker *l, jval rel, bool nofollow) {
    jval text, set, args_v, sorted;
    jlist *words = ib_jinja_list_new(l->st, 4);
    jargs none = {.n = 0};
    bool found;
    if (!words)
        return false;
    if (rel.type == J_STR && rel.as.s->n) {
        jval split, all;
        if (!ib_jinja_find_method(l->st, rel, IB_STR("split"), &split, &found) ||
            !ib_jinja_call(l->st, split, &none, &all))
            return false;
        words = all.as.l;
    }
    if (nofollow &&
        (!ib_jinja_strz(l->st, "nofollow", &text) || !ib_jinja_list_add(l->st, words, text)))
        return false;
    if (!ib_jinja_strz(l->st, "noopener", &text) || !ib_jinja_list_add(l->st, words, text))
        return false;
    jkeyword kw = {IB_STR("case_sensitive"), JBOOL(true)};
    jargs sensitive = {.kw = &kw, .n_kw = 1};
    if (!ib_jinja_find_filter(IB_STR("unique"))->call(l->st, JLIST(words), &sensitive, &set) ||
        !ib_jinja_find_filter(IB_STR("sort"))->call(l->st, set, &sensitive, &sorted) ||
        !ib_jinja_strz(l->st, " ", &args_v))
        return false;
    return ib_jinja_join(l->st, args_v.as.s, sorted.as.l, true, &l->rel);
}

static bool run(linker *l, const jstr *text) {
    size_t i = 0, len;
    while (i < text->n) {
        size_t start = i;
        bool space = ib_jinja_is_space(ib_jinja_char_at(text->p + i, &len));
        while (i < text->n && ib_jinja_is_space(ib_jinja_char_at(text->p + i, &len)) == space)
            i += len;
        ib_str w = {text->p + start, i - start};
        if (!(space ? put(l, w) : put_word(l, w)))
            return false;
    }
    return true;
}

bool ib_jinja_urlize(jstate *st, jval self, const jargs *a, jval *out) {
    static const char *const names[] = {"trim_url_limit", "nofollow", "target", "rel",
                                        "extra_schemes"};
    jval v[5], text;
    linker l = {.st = st, .limit = -1};
    if (!ib_jinja_bind(st, "urlize", a, names, 0, 5, v))
        return false;
    if (v[0].type != J_MISSING && v[0].type != J_NONE && !ib_jinja_as_int(v[0], &l.limit))
        return ib_jinja_raise(st, "TypeError", "trim_url_limit must be an integer");
    l.target = v[2];
    if (!make_rel(&l, v[3], ib_jinja_truth(v[1])))
        return false;
    if (v[4].type != J_MISSING && v[4].type != J_NONE) {
        if (!ib_jinja_to_list(st, v[4], &l.schemes))
            return false;
        for (size_t i = 0; i < l.schemes->n; i++)
            if (l.schemes->items[i].type != J_STR ||
                !memchr(l.schemes->items[i].as.s->p, ':', l.schemes->items[i].as.s->n))
                return ib_jinja_raise(st, "FilterArgumentError", "not a valid URI scheme prefix.");
    }
    if (!ib_jinja_html_escape(st, self, &text))
        return false;
    ib_buf_init(&l.b);
    bool ok = run(&l, text.as.s) && ib_jinja_str_copy(st, l.b.len ? l.b.ptr : "", l.b.len, out);
    ib_buf_clear(&l.b);
    return ok;
}
