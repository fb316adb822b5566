# SPDX-License-Identifier: MIT
"""JT: chat templates, in a model's folder (run) and as a file (render)."""
import json
import os

from .base import MODELS, Call, Group, copy_model, edit_json, run_model

ENTRIES = Group()
add = ENTRIES.add
MESSAGES = json.dumps({"messages": [{"role": "user", "content": "hi"}],
                       "now": "2025-01-15T10:30:00"}).encode() + b"\n"


def template(source):
    """The model's own template; the main command renders it."""
    def make(folder):
        model = copy_model(folder)
        text = source() if callable(source) else source
        edit_json(model / "tokenizer_config.json", lambda c: c.__setitem__("chat_template", text))
        return run_model(model, "--prompt", "hi", ids=None)
    return make


def rendered(source):
    """render: the template's failure is an answer on standard output."""
    def make(folder):
        path = folder / "t.jinja"
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        return Call(["render", "--template", path], input=MESSAGES)
    return make


def answer(*parts):
    def check(done, _):
        text = done.stdout.decode("utf-8", "replace")
        missing = [p for p in parts if p not in text]
        return f"{missing} not in {text[:300]}" if missing else None
    return check


def bad(id, variant, source, code, *words, **more):
    add(id, variant, template(source), code, *words, **more)


for source in ("{{ ().__class__.__mro__ }}", "{{ cycler.__init__.__globals__ }}",
               "{{ ''|attr('__class__') }}", "{{ '{0.__class__}'.format(messages) }}",
               "{{ messages.__class__.__base__.__subclasses__() }}",
               "{{ self.__init__ }}", "{{ ''['__class__'] }}",
               "{{ messages|map(attribute='__class__')|list }}"):
    bad("JT01", source[:40], source + "x", (0, 4, 5, 6))
    add("JT01", f"render {source[:40]}", rendered(source), (0, 4, 5), json_too=False,
        check=lambda done, _: "an object of the host" if b"<class" in done.stdout else None)
for id, what, source in (
        ("JT02", "range of 10^9", "{% for i in range(10**9) %}x{% endfor %}"),
        ("JT02", "range as a list", "{{ range(10**9)|list|length }}"),
        ("JT03", "text repeated", "{{ 'A' * 10**9 }}"),
        ("JT03", "padded", "{{ '%1000000000d' % 5 }}"),
        ("JT03", "centred", "{{ 'a'|center(1000000000) }}"),
        ("JT03", "indented", "{{ 'a\nb'|indent(1000000000) }}"),
        ("JT04", "list doubled", "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}"
         "{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l|length }}"),
        ("JT04", "text doubled", "{% set ns = namespace(l='a') %}{% for i in range(60) %}"
         "{% set ns.l = ns.l ~ ns.l %}{% endfor %}{{ ns.l|length }}"),
        ("JT05", "100^5 loops", "".join("{%% for %s in range(100) %%}" % c for c in "abcde") + "x"
         + "{% endfor %}" * 5),
        ("JT05", "output", "{% for i in range(99999) %}" + "x" * 1000 + "{% endfor %}"),
        ("JT06", "macro calls itself", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
        ("JT06", "two macros", "{% macro a() %}{{ b() }}{% endmacro %}"
         "{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}")):
    bad(id, what, source, (4, 6), seconds=3, memory=256 << 20)
for n in (150, 10_000, 300_000):
    for what, source in (("(", "{{ " + "(" * n + "1" + ")" * n + " }}"),
                         ("if", "{% if 1 %}" * n + "x" + "{% endif %}" * n),
                         ("[", "{{ " + "[" * n + "]" * n + " }}"),
                         ("filters", "{{ 1" + "|string" * n + " }}"),
                         ("not", "{{ " + "not " * n + "1 }}"),
                         ("minus", "{{ " + "-" * n + "1 }}"),
                         ("dots", "{{ a" + ".b" * n + " }}")):
        if len(source) < 1 << 20:
            bad("JT07", f"{n} {what}", source, (0, 4, 6), seconds=3, memory=256 << 20)
for source in ("{% else %}{% endif %}{{", "{{", "{%", "{# x", "{% if %}", "{% for %}", "{{ 1 + }}",
               "{% endfor %}", "{{ 'abc }}", "{% raw %}x", "{% set %}", "{{ a b }}", "{{ (1 }}",
               "{% macro %}", "{{ 1 if }}", "{% block x %}", "x{{ 5 | }}"):
    bad("JT08", source, source, 4, "line 1")


def prefixes(folder):
    """Every start of a good template: text or an error, an answer each."""
    good = json.loads((MODELS / "llama_gqa" / "tokenizer_config.json").read_text())["chat_template"]
    for i in range(len(good)):
        (folder / f"{i:04}").write_text(good[:i])
    script = 'for t in "$1"/0*; do printf "%s" "$2" | "$0" render --template "$t" >/dev/null ' \
             '2>&1; c=$?; [ $c -le 5 ] || { echo "inferbench: $t: $c" >&2; exit $c; }; done'
    return Call([folder, MESSAGES.decode()], wrap=["sh", "-c", script])


add("JT08", "every prefix of a good template", prefixes, 0, seconds=30)
for what, source, word in (
        ("filter", "{{ 1|magic }}", "magic"), ("test", "{{ 1 is magic }}", "magic"),
        ("tag", "{% magic %}", "magic"), ("include", "{% include '/etc/passwd' %}", "include"),
        ("import", "{% import 'x' as x %}", "import"), ("extends", "{% extends 'x' %}", "extends"),
        ("from", "{% from 'x' import y %}", "from")):
    bad("JT09", what, source, (4, 5), word)
bad("JT09", "global", "{{ magic(5) }}", (4, 5), "magic")
bad("JT10", "1 MB of words", "{{ raise_exception('w' * 1000000) }}", 4, "wwwwww")
bad("JT10", "ESC and bidi", "{{ raise_exception('\\x1b[31m\u202e\\n') }}", 4, "\\x1B")
bad("JT11", "empty", "{% if false %}x{% endif %}", 4, "prompt is empty")
bad("JT11", "nothing", "", 4, "prompt is empty")
bad("JT11", "user's text dropped", "hello", 0, logs=("dropped a message's text",))
add("JT12", "fixed clock", rendered("{{ strftime_now('%Y') }}"), 0, check=answer("2025"))
bad("JT12", "random", "{{ [1,2,3]|random }}", (4, 5, 10), "random")
for source in ("{{ 9**99 }}", "{{ 9**9999999 }}", "{{ 1/0 }}", "{{ -1 % 0 }}", "{{ 1//0 }}",
               "{{ 'x'[10**18] }}x", "{{ 'abc'[::0] }}", "{{ [1,2][5].a }}", "{{ range(1,5,0) }}",
               "{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}",
               "{{ (-9223372036854775807-1)//-1 }}", "{{ 1e308*10 }}", "{{ 2**-1000000 }}",
               "{{ 'a' + 1 }}", "{{ 1 << 70 }}", "{{ 'x' * -5 }}y", "{{ [1] * 99999999999 }}"):
    bad("JT13", source, source, (0, 4, 6), seconds=3)
for source in ("{{ {[1]: 2} }}", "{{ {} [ [1] ] }}x", "{{ {{}: 1} }}", "{{ [1,2]|unique }}x",
               "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns|tojson }}",
               "{{ messages|tojson(indent=10**9) }}", "{{ cycler|tojson }}"):
    bad("JT14", source, source, (0, 4, 5, 6), seconds=3)


def three_places(folder):
    model = copy_model(folder)
    (model / "chat_template.jinja").write_text("{{ raise_exception('the file counts') }}")
    return run_model(model, "--prompt", "hi", ids=None)


add("JT15", "chat_template.jinja wins", three_places, 4, "the file counts")


def named(values):
    return template(values)


add("JT16", "names without default", named([{"name": "a", "template": "x"},
                                            {"name": "b", "template": "y"}]), 4, "default")
add("JT16", "name with ../", named([{"name": "../a", "template": "x"}]), 4, "../a")
for what, value in (("a number", 5), ("an object", {}), ("list of texts", ["x"]),
                    ("entry without text", [{"name": "default"}])):
    add("JT16", what, named(value), 4, "chat_template")


def extra_file(name, how):
    def make(folder):
        model = copy_model(folder)
        (model / "additional_chat_templates").mkdir()
        how(model / name)
        return run_model(model, "--prompt", "hi", ids=None)
    return make


add("JT16", "template file a FIFO", extra_file("chat_template.jinja", os.mkfifo), 3,
    "not a regular file")
add("JT16", "additional file no UTF-8", extra_file(
    "additional_chat_templates/x.jinja", lambda p: p.write_bytes(b"\xff")), 4, "UTF-8")
bad("JT16", "1 MiB and one byte", lambda: "x" * ((1 << 20) + 1), 6, "1048576")
add("JT09", "render names the error", rendered("{{ 1|magic }}"), (0, 4, 5), json_too=False,
    check=answer('"error"', "magic"))
add("JT10", "render escapes the error", rendered(b"{{ raise_exception('\\x1b[31m') }}"), (0, 4),
    json_too=False, check=lambda done, _: "ESC printed" if b"\x1b" in done.stdout else None)
add("JT08", "template file no UTF-8", rendered(b"abc\xff"), (0, 4), json_too=False)
