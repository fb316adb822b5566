/* SPDX-License-Identifier: MIT
 * Hostile templates: every one ends in an error of the right kind (or in harmless text) in well
 * under a second, without deep C recursion, and a template cut anywhere is an error with a line or
 * renders. */
#include "support.h"

#include "base/clock.h"
#include "text/jinja/jinja.h"

#include <stdlib.h>

static const struct tm noon = {
    .tm_year = 125, .tm_mday = 15, .tm_hour = 12, .tm_wday = 3, .tm_yday = 14};

typedef struct result {
    ib_status status;
    ib_buf out;
    ib_jinja_problem problem;
    ib_error err;
    uint64_t ns;
} result;

static void done(result *r) {
    ib_buf_clear(&r->out);
    ib_jinja_problem_clear(&r->problem);
}

static result run_limited(ib_str source, const char *context, const ib_jinja_limits *limits) {
    result r = {.status = IB_OK};
    ib_jinja *t = NULL;
    json_t *c = json_loads(context, JSON_ALLOW_NUL, NULL);
    assert_non_null(c);
    uint64_t start = ib_now_ns();
    r.status = ib_jinja_compile(&t, source, "hostile", &r.problem, &r.err);
    if (r.status == IB_OK)
        r.status = ib_jinja_render(t, c, &noon, limits, &r.out, &r.problem, &r.err);
    r.ns = ib_now_ns() - start;
    ib_jinja_free(t);
    json_decref(c);
    return r;
}

static result run(const char *source) {
    return run_limited(ib_str_of(source), "{\"l\": [1, 2, 3], \"s\": \"text\"}", NULL);
}

/* status, and a part of the error's text; quick. */
static void refuse(const char *source, ib_status status, const char *part) {
    result r = run(source);
    if (r.status != status || !strstr(r.err.text, part) || !strstr(r.err.text, "; fix: "))
        fail_msg("%.80s: status %d (%s), wanted %d with '%s'", source, (int)r.status, r.err.text,
                 (int)status, part);
    assert_int_equal(r.out.len, 0);
    assert_true(r.ns < 10000000000u);
    done(&r);
}

static void render(const char *source, const char *text) {
    result r = run(source);
    if (r.status != IB_OK)
        fail_msg("%.80s: %s", source, r.err.text);
    assert_string_equal(r.out.len ? r.out.ptr : "", text);
    done(&r);
}

static void no_host_to_reach(void **state) {
    (void)state;
    render("{{ s.__class__ }}{{ l.__len__ }}{{ s|attr('__class__') }}|", "|");
    refuse("{{ ().__class__.__mro__ }}", IB_E_FORMAT, "SecurityError");
    refuse("{{ cycler.__init__.__globals__ }}", IB_E_FORMAT, "SecurityError");
    refuse("{{ s|attr('__class__')|attr('__mro__') }}", IB_E_FORMAT, "SecurityError");
    refuse("{{ '{0.__class__.__mro__}'.format(s) }}", IB_E_FORMAT, "SecurityError");
    refuse("{{ '{0[__class__][x]}'.format(s) }}", IB_E_FORMAT, "SecurityError");
    refuse("{{ l.append(1) }}", IB_E_FORMAT, "unsafe");
    refuse("{{ self._TemplateReference__context }}{{ self.x.y }}", IB_E_FORMAT, "UndefinedError");
    refuse("{% set ns = namespace() %}{% set ns.__class__ = 1 %}", IB_E_FORMAT, "SecurityError");
}

static void too_much_of_everything(void **state) {
    (void)state;
    refuse("{{ range(10**9)|list }}", IB_E_RESOURCE, "Range too big");
    refuse("{{ 'A' * 10**9 }}", IB_E_RESOURCE, "larger than");
    refuse("{{ [1] * 10**9 }}", IB_E_RESOURCE, "larger than");
    refuse("{{ s.center(10**9) }}", IB_E_RESOURCE, "larger than");
    refuse("{{ '%1000000000d' % 1 }}", IB_E_RESOURCE, "width");
    refuse("{{ '{:1000000000}'.format(1) }}", IB_E_RESOURCE, "width");
    refuse("{{ ['x']|batch(10**9, 'f')|list }}", IB_E_RESOURCE, "memory limit");
    refuse("{{ 'a\tb'.expandtabs(10**9) }}", IB_E_RESOURCE, "steps");
    refuse("{{ [1]|slice(10**9)|list }}", IB_E_RESOURCE, "");
    refuse("{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = ns.x + ns.x "
           "%}{% endfor %}",
           IB_E_RESOURCE, "");
    refuse("{% set ns = namespace(x='ab') %}{% for i in range(100000) %}{% set ns.x = ns.x ~ ns.x "
           "%}{% endfor %}",
           IB_E_RESOURCE, "");
    refuse("{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = "
           "ns.x.replace('a', 'aaaaaaaa') %}"
           "{% endfor %}",
           IB_E_RESOURCE, "");
    refuse("{% for a in range(100) %}{% for b in range(100) %}{% for c in range(100) %}{% for d in "
           "range(100) %}"
           "{% for e in range(100) %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
           IB_E_RESOURCE, "steps");
    refuse("{% set x = 'x' * 1000000 %}{% for i in range(100000) %}{% if 'y' in x %}{% endif %}{% "
           "endfor %}",
           IB_E_RESOURCE, "steps");
    refuse("{% set x = 'x' * 1000000 %}{% for i in range(100000) %}{{ x }}{% endfor %}",
           IB_E_RESOURCE, "output");
    refuse("{% set x = range(100000)|list %}{% for i in range(100000) %}{% if -1 in x %}{% endif "
           "%}{% endfor %}",
           IB_E_RESOURCE, "steps");
}

static void calls_without_end(void **state) {
    (void)state;
    refuse("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", IB_E_RESOURCE, "128 calls");
    refuse("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
           IB_E_RESOURCE, "128 calls");
    refuse("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", IB_E_RESOURCE, "128 calls");
    refuse("{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
           IB_E_RESOURCE, "128 calls");
    refuse("{% block a %}{{ self.a() }}{% endblock %}", IB_E_RESOURCE, "128 calls");
    render("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}.{% endmacro %}{{ m(100)|length }}",
           "101");
    refuse("{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = "
           "ns.x|map('string') %}"
           "{% endfor %}{{ ns.x|list }}",
           IB_E_RESOURCE, "");
    refuse("{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = "
           "[ns.x]|map('list') %}"
           "{% endfor %}{{ ns.x|list }}",
           IB_E_RESOURCE, "");
    refuse("{% set ns = namespace(x=[1]) %}{% for i in range(100000) %}{% set ns.x = [ns.x] %}{% "
           "endfor %}{{ ns.x }}",
           IB_E_RESOURCE, "nested deeper");
    refuse("{% set ns = namespace(x=1) %}{% for i in range(100000) %}{% set ns.x = {'a': ns.x} "
           "%}{% endfor %}"
           "{{ ns.x|tojson }}",
           IB_E_RESOURCE, "nested deeper");
    refuse("{% set ns = namespace(x=(1,), y=(1,)) %}{% for i in range(100000) %}{% set ns.x = "
           "(ns.x,) %}"
           "{% set ns.y = (ns.y,) %}{% endfor %}{{ ns.x == ns.y }}",
           IB_E_RESOURCE, "nested deeper");
    refuse("{% set ns = namespace(x=(1,)) %}{% for i in range(100000) %}{% set ns.x = (ns.x,) %}{% "
           "endfor %}"
           "{{ {ns.x: 1} }}",
           IB_E_RESOURCE, "nested deeper");
}

/* n times head, then tail. */
static char *repeated(const char *start, const char *piece, size_t n, const char *tail) {
    size_t len = strlen(piece), a = strlen(start), b = strlen(tail);
    char *text = malloc(a + len * n + b + 1), *p = text;
    assert_non_null(text);
    memcpy(p, start, a);
    p += a;
    for (size_t i = 0; i < n; i++, p += len)
        memcpy(p, piece, len);
    memcpy(p, tail, b + 1);
    return text;
}

static void deep_source(void **state) {
    static const struct {
        const char *start, *piece, *tail;
    } cases[] = {
        {"{{ ", "(", "1"},
        {"{{ ", "[", "1"},
        {"{{ ", "{1:", "1"},
        {"{{ ", "-", "1 }}"},
        {"{{ ", "not ", "1 }}"},
        {"{{ x", "|upper", " }}"},
        {"{{ x", ".a", " }}"},
        {"{{ x", "[0]", " }}"},
        {"{{ x", "()", " }}"},
        {"{{ 1", "+1", " }}"},
        {"{{ 1", " and 1", " }}"},
        {"{{ 1", " or 1", " }}"},
        {"{{ 1", "**1", " }}"},
        {"{{ x", " is defined", " }}"},
        {"{{ ", "f(", "1"},
        {"{{ ", "1 if 1 else ", "1 }}"},
        {"{{ 1", " if 1", " }}"},
        {"", "{% if 1 %}", ""},
        {"", "{% for x in l %}", ""},
        {"", "{% filter upper %}", ""},
        {"", "{% set x %}", ""},
        {"", "{% macro m() %}", ""},
        {"", "{% call x() %}", ""},
        {"", "{% with %}", ""},
        {"", "{% generation %}", ""},
        {"{{ x[", "x[", ""},
        {"{% set ", "(", "a"},
        {"{% for ", "(", "a"},
        {"{{ ", "x|f(", ""},
        {"{{ ", "a if b else (", ""},
    };
    static const size_t counts[] = {150, 1000, 100000};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
            char *text = repeated(cases[i].start, cases[i].piece, counts[k], cases[i].tail);
            result r = run_limited(ib_str_of(text), "{}", NULL);
            /* shallow chains may render or fail on their values; what is deeper is refused */
            if (counts[k] > 1000 && r.status != IB_E_RESOURCE && r.status != IB_E_FORMAT)
                fail_msg("%s%s x %zu: status %d", cases[i].start, cases[i].piece, counts[k],
                         (int)r.status);
            assert_true(r.ns < 10000000000u);
            done(&r);
            free(text);
        }
    char *text = repeated("", "{# #}x", 300000, "");
    result r = run_limited(ib_str_of(text), "{}", NULL);
    assert_int_equal(r.status, IB_E_RESOURCE); /* 1 MiB of source */
    done(&r);
    free(text);
}

static void nesting_cap(void **state) {
    (void)state;
    for (size_t n = 60; n <= 66; n++) {
        char *open = repeated("{{ ", "[", n, ""), *close = repeated(open, "]", n, " }}");
        result r = run_limited(ib_str_of(close), "{}", NULL);
        assert_int_equal(r.status, n <= 64 ? IB_OK : IB_E_RESOURCE);
        if (n > 64)
            assert_non_null(strstr(r.err.text, "64"));
        done(&r);
        free(open);
        free(close);
    }
}

static void caps_are_exact(void **state) {
    (void)state;
    ib_jinja_limits limits = {.output_bytes = 10};
    static const struct {
        const char *source;
        ib_status status;
    } cases[] = {
        {"{{ 'x' * 9 }}", IB_OK}, {"{{ 'x' * 10 }}", IB_OK}, {"{{ 'x' * 11 }}", IB_E_RESOURCE}};
    for (size_t i = 0; i < 3; i++) {
        result r = run_limited(ib_str_of(cases[i].source), "{}", &limits);
        assert_int_equal(r.status, cases[i].status);
        done(&r);
    }
    limits = (ib_jinja_limits){.steps = 1000};
    result r = run_limited(IB_STR("{% for i in range(5000) %}{% endfor %}"), "{}", &limits);
    assert_int_equal(r.status, IB_E_RESOURCE);
    done(&r);
    limits = (ib_jinja_limits){.memory_bytes = 100000};
    r = run_limited(IB_STR("{{ range(100000)|list|length }}"), "{}", &limits);
    assert_int_equal(r.status, IB_E_RESOURCE);
    done(&r);
    render("{{ range(100000)|length }}", "100000");
    refuse("{{ range(100001)|length }}", IB_E_RESOURCE, "100000");
    /* 128 calls inside each other, not 129 */
    render("{% macro m(n) %}{% if n > 1 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(128) }}", "");
    refuse("{% macro m(n) %}{% if n > 1 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(129) }}",
           IB_E_RESOURCE, "128");
}

static void unknown_things_are_named(void **state) {
    (void)state;
    refuse("a\nb\n{{ s|frobnicate }}", IB_E_UNSUPPORTED, "line 3: No filter named 'frobnicate'");
    refuse("\n{{ s is frobnicated }}", IB_E_UNSUPPORTED, "line 2: No test named 'frobnicated'");
    refuse("{% frob %}", IB_E_UNSUPPORTED, "unknown tag 'frob'");
    refuse("{{ frob() }}", IB_E_FORMAT, "'frob' is undefined");
    refuse("{{ l|random }}", IB_E_UNSUPPORTED, "random");
    refuse("{{ lipsum() }}", IB_E_UNSUPPORTED, "lipsum");
    refuse("{% include 'x' %}", IB_E_UNSUPPORTED, "include");
    refuse("\n\n{% import 'x' as y %}", IB_E_UNSUPPORTED, "line 3");
    refuse("{% from 'x' import y %}", IB_E_UNSUPPORTED, "from");
    refuse("{% extends 'x' %}", IB_E_UNSUPPORTED, "extends");
    refuse("{% autoescape true %}{% endautoescape %}", IB_E_UNSUPPORTED, "autoescape");
    refuse("\n{{ 1 + }}", IB_E_FORMAT, "line 2");
    refuse("{% else %}{% endif %}{{", IB_E_FORMAT, "else");
}

static void numbers_that_do_not_fit(void **state) {
    (void)state;
    refuse("{{ 9**99 }}", IB_E_FORMAT, "OverflowError");
    refuse("{{ 9223372036854775807 + 1 }}", IB_E_FORMAT, "OverflowError");
    refuse("{{ -9223372036854775807 - 2 }}", IB_E_FORMAT, "OverflowError");
    refuse("{{ 9223372036854775807 * 2 }}", IB_E_FORMAT, "OverflowError");
    refuse("{{ (-9223372036854775807 - 1) // -1 }}", IB_E_FORMAT, "OverflowError");
    refuse("{{ -(-9223372036854775807 - 1) }}", IB_E_FORMAT, "OverflowError");
    refuse("{{ (-9223372036854775807 - 1)|abs }}", IB_E_FORMAT, "OverflowError");
    refuse("{{ 99999999999999999999 }}", IB_E_FORMAT, "OverflowError");
    refuse("{{ '99999999999999999999'|int }}", IB_E_FORMAT, "OverflowError");
    refuse("{{ 1e300|int }}", IB_E_FORMAT, "OverflowError");
    refuse("{{ 1/0 }}", IB_E_FORMAT, "ZeroDivisionError");
    refuse("{{ -1 % 0 }}", IB_E_FORMAT, "ZeroDivisionError");
    render("{{ 'x'[10**18] }}|{{ l[-(10**18)] }}|{{ l[:10**18] }}|{{ l[::10**18] }}|{{ "
           "l[::-(10**18)] }}",
           "||[1, 2, 3]|[1]|[3]");
    refuse("{{ l[::0] }}", IB_E_FORMAT, "ValueError");
    render("{{ (-9223372036854775807 - 1) % -1 }}", "0");
    refuse("{{ {l: 1} }}", IB_E_FORMAT, "unhashable");
    render("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
           "<Namespace {'x': <Namespace {...}>}>");
    refuse("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns|tojson }}", IB_E_FORMAT,
           "not JSON serializable");
}

static void messages_are_safe_to_print(void **state) {
    (void)state;
    result r = run("{{ raise_exception('\\x1b[31m' ~ 'A' * 1000000) }}");
    assert_int_equal(r.status, IB_E_FORMAT);
    assert_string_equal(r.problem.type, "TemplateError");
    assert_int_equal(strlen(r.problem.message), 1000005);
    assert_null(strchr(r.err.text, 0x1b));
    assert_true(strlen(r.err.text) < 640);
    done(&r);
    r = run_limited((ib_str){"a\xff", 2}, "{}", NULL);
    assert_int_equal(r.status, IB_E_FORMAT);
    done(&r);
}

/* Every prefix of a good template renders or is refused with a line. */
static void every_prefix(void **state) {
    static const char whole[] =
        "{%- macro m(a, b='x') -%}[{{ a ~ b|upper }}]{%- endmacro -%}\n{# note #}\n"
        "{%- for m2 in l if m2 is odd recursive %}{% set q = {'a': [1, (2, 3)], \"b\": m2 ** 2} "
        "%}\n"
        "{{ m(q.a[0], b=q['b']|string) }}{% if not loop.last and m2 in [1, 3] %},{% elif m2 > "
        "1.5e0 %};"
        "{% else %}{% break %}{% endif %}{% endfor %}{% raw %}{{ x }}{% endraw %}\n"
        "{% call(v) m('\\u00e9') %}{{ v }}{% endcall %}{% filter trim %} x {% endfilter %}"
        "{% set z | upper %}z{% endset %}{% with k = 1 %}{{ k if k else z[::-1] }}{% endwith %}";
    (void)state;
    for (size_t n = 0; n < sizeof whole; n++) {
        result r = run_limited((ib_str){whole, n}, "{\"l\": [1, 2, 3]}", NULL);
        if (r.status != IB_OK) {
            assert_true(r.status == IB_E_FORMAT || r.status == IB_E_UNSUPPORTED);
            assert_true(r.problem.line >= 1);
            assert_non_null(r.problem.message);
        }
        done(&r);
    }
}

/* Each byte changed to each of a few others: no crash, no hang. */
static void changed_bytes(void **state) {
    static const char source[] =
        "{% for x in l %}{{ x|join(',')[1:-1] ~ '%d' % 3 }}{% if x %}{{ \"{:>3}\".format(x) }}"
        "{% endif %}{{ loop.cycle(1, 2) }}{% endfor %}{{ s.split('e')|last }}";
    static const char others[] = "{}%()[]'\"|.-#0 x*,:=\n\\";
    (void)state;
    for (size_t i = 0; i + 1 < sizeof source; i++)
        for (size_t k = 0; k + 1 < sizeof others; k++) {
            char text[sizeof source];
            memcpy(text, source, sizeof source);
            text[i] = others[k];
            result r = run(text);
            assert_true(r.status == IB_OK || r.status == IB_E_FORMAT ||
                        r.status == IB_E_UNSUPPORTED || r.status == IB_E_RESOURCE);
            done(&r);
        }
}

static void output_is_appended(void **state) {
    (void)state;
    ib_error err = {0};
    ib_buf out;
    ib_jinja *t = NULL;
    json_t *context = json_object();
    ib_buf_init(&out);
    assert_int_equal(ib_buf_adds(&out, "before ", &err), IB_OK);
    assert_int_equal(ib_jinja_compile(&t, IB_STR("{{ 'x' }}{{ 1 / zz }}"), "t", NULL, &err), IB_OK);
    assert_int_equal(ib_jinja_render(t, context, &noon, NULL, &out, NULL, &err), IB_E_FORMAT);
    assert_string_equal(out.ptr, "before ");
    ib_jinja_free(t);
    assert_int_equal(ib_jinja_compile(&t, IB_STR("{{ 'x' }}"), "t", NULL, &err), IB_OK);
    assert_int_equal(ib_jinja_render(t, context, &noon, NULL, &out, NULL, &err), IB_OK);
    assert_int_equal(ib_jinja_render(t, context, &noon, NULL, &out, NULL, &err), IB_OK);
    assert_string_equal(out.ptr, "before xx");
    ib_jinja_free(t);
    ib_buf_clear(&out);
    json_decref(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_host_to_reach),
        cmocka_unit_test(too_much_of_everything),
        cmocka_unit_test(calls_without_end),
        cmocka_unit_test(deep_source),
        cmocka_unit_test(nesting_cap),
        cmocka_unit_test(caps_are_exact),
        cmocka_unit_test(unknown_things_are_named),
        cmocka_unit_test(numbers_that_do_not_fit),
        cmocka_unit_test(messages_are_safe_to_print),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(changed_bytes),
        cmocka_unit_test(output_is_appended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
