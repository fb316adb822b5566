#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sizes are computed by base/checked.h. Two rules over the sources, each site of an exception listed with
its reason in tools/sizes.txt (a site that is gone fails too; reasons in capitals are explained there):

  allocation   no product in a size argument of malloc, realloc or an arena; a sum only with constants
  file values  in the readers of model files, no raw product, and no raw sum with what a file says"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
CALLS = re.compile(r"\b(malloc|realloc|ib_arena_alloc|ib_jinja_alloc|ib_jinja_compile_alloc)\(")
READERS = re.compile(r"src/(checkpoint/.*|engine/text_side|text/tok_(read|precompiled|vocab|gguf)|model/config.*)\.c$")
PRODUCT = re.compile(r"[\w)\]] \* [\w(&*]")
SUM = re.compile(r"[\w)\]] \+ (?!\d)[\w(&*]")
FILE_VALUE = r"(?:shape\[\w+\]|\bbegin\b|n_elements|n_bytes|->n\b|->end\b|\.end\b|n_dims)"
FILE_SUM = re.compile(FILE_VALUE + r" \+ |\+ [\w.>-]*" + FILE_VALUE)


def argument(text, at):
    """The text between the bracket at `at` and its partner."""
    depth = 0
    for i in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return text[at + 1:i]
    return text[at + 1:]


def bare(text):
    """Without comments and strings, lines kept."""
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', text)


def sites(path):
    text = bare((ROOT / path).read_text())
    for m in CALLS.finditer(text):
        inside = argument(text, m.end() - 1)
        if re.match(r"\s*(size_t|void|jstate|ib_arena|jcompiler) ?\*? ?\w+[,)]", inside):
            continue
        if PRODUCT.search(inside) or SUM.search(inside):
            yield "allocation", " ".join(inside.split())
    if READERS.search(path):
        for line in text.splitlines():
            if "ib_fail_memory(" in line or CALLS.search(line):  # a message; looked at above
                continue
            if re.match(r"\s*(const )?[\w ]+ \*\w+( =|;|,|\))", line) and " * " not in line.replace(" *", " *", 1):
                continue
            if PRODUCT.search(line) or FILE_SUM.search(line):
                yield "file value", line.strip()


def main():
    listed = {}
    for row in (ROOT / "tools" / "sizes.txt").read_text().splitlines():
        if row and not row.startswith("#"):
            path, site, reason = (x.strip() for x in row.split(" | "))
            listed[(path, site)] = reason
    found, wrong = set(), []
    files = subprocess.run(["git", "ls-files", "src/*.c"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in files.split():
        for kind, site in sites(path):
            found.add((path, site))
            if (path, site) not in listed:
                wrong.append(f"{path}: {kind}: {site}")
    wrong += [f"{path}: gone, but listed: {site}" for path, site in listed if (path, site) not in found]
    for line in wrong:
        print(line)
    print(f"sizes: {len(found)} exceptions, each with its reason; {len(wrong)} wrong", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
