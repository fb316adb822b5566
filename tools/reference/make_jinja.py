#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Answers the templates of tests/golden/jinja/features.jsonl with Python's Jinja2, set up as
transformers sets it up, and writes the file again. Needs jinja2 3.1.6.

The first line holds the context that all templates see; each other line has `id`, `template` and
`rendered`, or `error` with the exception's type and message. To add templates, append lines that
have only `template` (one a line, a JSON object) and run the script. Templates whose text depends on
addresses or chance are left out by hand.

With --tables it prints src/text/jinja/unicode_tables.h instead.
"""
import argparse
import datetime
import json
import pathlib
import unicodedata

FILE = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/jinja/features.jsonl"
NOW = datetime.datetime(2025, 1, 15, 10, 30, 0)


def environment():
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox

    class Generation(jinja2.ext.Extension):
        """{% generation %}: a call block whose text passes through."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_through"), [], [], body).set_lineno(line)

        def _through(self, caller):
            return caller()

    class Dict:
        def __call__(self, *args, **kwargs):
            return dict(*args, **kwargs)

        def fromkeys(self, *args, **kwargs):
            return dict.fromkeys(*args, **kwargs)

    class Namespace(jinja2.utils.Namespace):
        def __init__(*args, **kwargs):
            self, args = args[0], args[1:]
            attrs = dict(*args, **kwargs)
            for name in attrs:
                Namespace.refuse(name)
            jinja2.utils.Namespace.__init__(self, attrs)

        def __setitem__(self, name, value):
            Namespace.refuse(name)
            jinja2.utils.Namespace.__setitem__(self, name, value)

        @staticmethod
        def refuse(name):
            if isinstance(name, str) and name.startswith("_"):
                raise jinja2.exceptions.SecurityError(f"underscore-prefixed attribute {name!r}")

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def strftime_now(format):
        return NOW.strftime(format)

    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals.update(
        raise_exception=raise_exception, strftime_now=strftime_now, dict=Dict(), namespace=Namespace
    )
    return env


def answer(env, template, context):
    try:
        rendered = env.from_string(template).render(**context)
        rendered.encode()
        return {"rendered": rendered}
    except Exception as e:
        return {"error": {"type": type(e).__name__, "message": str(e)}}


def update(path):
    env = environment()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    context = lines[0]["context"]
    with path.open("w") as out:
        print(json.dumps(lines[0]), file=out)
        for i, row in enumerate(lines[1:]):
            print(json.dumps({"id": f"f{i:04}", "template": row["template"]} | answer(env, row["template"], context)), file=out)


def ranges(matches):
    found = []
    for code in range(0x110000):
        if matches(chr(code)):
            if found and found[-1][1] == code - 1:
                found[-1][1] = code
            else:
                found.append([code, code])
    return found


def print_table(name, comment, matches):
    print(f"/* {comment} */\nstatic const uint32_t {name}[][2] = {{")
    for first, last in ranges(matches):
        print(f"    {{0x{first:X}, 0x{last:X}}},")
    print("};\n")


def print_tables():
    category = unicodedata.category
    print(f"""/* SPDX-License-Identifier: MIT
 * Tables made by tools/reference/make_jinja.py from Python's own Unicode data (version {unicodedata.unidata_version}): the
 * character classes that general categories alone do not give, and letters whose upper, title,
 * lower or folded form is more than one letter. */
#ifndef IB_TEXT_JINJA_UNICODE_TABLES_H
#define IB_TEXT_JINJA_UNICODE_TABLES_H

#include <stdint.h>

/* clang-format off */
""")
    print_table("digit_ranges", "isdigit() but not isdecimal()", lambda c: c.isdigit() and not c.isdecimal())
    print_table("numeric_ranges", "isnumeric() letters",
                lambda c: c.isnumeric() and not c.isdigit() and category(c) not in ("Nl", "No"))
    print_table("other_lower_ranges", "islower() beyond category Ll", lambda c: c.islower() and category(c) != "Ll")
    print_table("other_upper_ranges", "isupper() beyond category Lu", lambda c: c.isupper() and category(c) != "Lu")
    print("/* letter, kind (0 upper, 1 lower, 2 title, 3 fold), up to three letters */")
    print("static const uint32_t special_cases[][5] = {")
    for code in range(0x110000):
        for kind, change in enumerate((str.upper, str.lower, str.title, str.casefold)):
            to = [ord(c) for c in change(chr(code))]
            if len(to) > 1:
                to += [0] * (3 - len(to))
                print(f"    {{0x{code:X}, {kind}, 0x{to[0]:X}, 0x{to[1]:X}, 0x{to[2]:X}}},")
    print("};\n\n#endif")


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--file", type=pathlib.Path, default=FILE)
parser.add_argument("--tables", action="store_true")
args = parser.parse_args()
if args.tables:
    print_tables()
else:
    update(args.file)
