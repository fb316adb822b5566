#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Dictionaries for the fuzz targets: the words of each format as the parsers' own sources have them.

    make_dict.py FOLDER     FOLDER/<target>.dict"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
SOURCES = {
    "safetensors": ["src/checkpoint/st_header.c", "src/quant/types.h", "src/checkpoint/checkpoint.c"],
    "index": ["src/checkpoint/index.c"], "gguf": ["src/checkpoint/gguf*.c", "src/engine/text_side.c",
                                                "src/model/config_gguf.c", "src/text/tok_gguf.c"],
    "bnb": ["src/checkpoint/bnb4.c", "src/checkpoint/weights.c"],
    "config": ["src/model/config*.c", "src/model/rope_config.c", "src/model/families/*.c", "src/checkpoint/bnb_config.c"],
    "generation": ["src/model/generation.c"],
    "tokenizer": ["src/text/tok_*.c", "src/text/tokenizer.c"], "encode": [], "regex": ["src/text/tok_regex.c"],
    "jinja": ["src/text/jinja/*.c"], "chat": ["src/text/chat.c", "src/bench/user_text.c"],
    "record": ["src/record/*.c"], "journal": ["src/record/*.c", "src/bench/journal.c"],
    "options": ["src/cli/options_table.c"], "http": ["src/hub/headers.c"], "listing": ["src/hub/listing.c"],
    "names": ["src/hub/names.c", "src/hub/url.c"],
}
EXTRA = {
    "regex": ["\\p{L}", "\\p{N}", "(?i:", "(?!", "(?<=", "(?>", "[^", "&&", "{1,3}", "++", "\\K", "\\G", "(?<n>", "\\R"],
    "jinja": ["{{", "}}", "{%", "%}", "{%-", "-%}", "{#", "#}", "| ", "loop.", "namespace(", "**", "//", "~", "is not",
              "not in", "{% endfor %}", "{% endif %}", "{% set ", "{% macro ", "[::-1]", "'%s'|format("],
    "encode": ["\u2581", "<s>", "</s>", "\u0120", "\u00e9", "e\u0301", "\U0001f600", "\u200d", "\u4f60", "'s", "\r\n"],
    "options": ["--", "=", ",", "-", "*", "+", "1-64*2", "nf4-dq", "cpu:0", "xpu"],
    "gguf": ["GGUF", "general.alignment", "\x00\x00\x00\x00\x00\x00\x00\x80", "\xff\xff\xff\xff\xff\xff\xff\xff"],
    "chat": ["role", "content", "user", "text", "tool_calls", "<s>", "<|im_end|>"],
}


def words(patterns):
    found = set()
    for pattern in patterns:
        for path in ROOT.glob(pattern):
            for line in path.read_text().splitlines():
                if not line.startswith("#include"):
                    found.update(w for w in LITERAL.findall(line) if 2 <= len(w) <= 40 and " " not in w and "%" not in w)
    return found


def quoted(text):
    raw = text.encode("latin-1") if all(ord(c) < 256 for c in text) and "\x00" in text else text.encode()
    return "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\' else f"\\x{b:02x}" for b in raw)


def main():
    to = pathlib.Path(sys.argv[1])
    to.mkdir(parents=True, exist_ok=True)
    for target, patterns in SOURCES.items():
        plain = {w for w in words(patterns) if "\\" not in w}
        # JSON's keys and texts with their quotes, too
        rows = sorted(plain | {f'"{w}"' for w in plain if re.fullmatch(r"[\w.]+", w)} | set(EXTRA.get(target, [])))
        (to / f"{target}.dict").write_text("".join(f'"{quoted(w)}"\n' for w in rows))


if __name__ == "__main__":
    main()
