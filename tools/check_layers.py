#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fails when an #include "..." under src/ breaks the table in tools/layers.txt."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def read_table():
    table = {}
    for line in (ROOT / "tools/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            name, _, allowed = line.partition(":")
            table[name.strip()] = set(allowed.split()) | {name.strip()}
    return table


def breaches_of(path, table):
    module = path.relative_to(ROOT / "src").parts[0]
    folder = path.parent
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not m:
            continue
        target = m.group(1)
        where = f"{path.relative_to(ROOT)}:{number}"
        if ".." in target:
            yield f"{where}: include of '{target}': never ../; name it from src/"
            continue
        if target == "inferbench.h" or (ROOT / "src" / target).exists() is False:
            continue  # the public header, or a generated file
        other = target.split("/")[0]
        if module not in table:
            continue  # src/main.c
        if other not in table[module]:
            yield f"{where}: {module} may not include {other} ('{target}')"
        device = re.match(r"backend/(cpu|opencl|cuda)/", target)
        if device and f"/backend/{device.group(1)}/" not in f"{folder}/":
            yield f"{where}: only backend/{device.group(1)} may include '{target}'"


def main():
    table = read_table()
    files = sorted(p for p in (ROOT / "src").rglob("*") if p.suffix in (".c", ".h", ".cu"))
    found = [b for p in files for b in breaches_of(p, table)]
    print("\n".join(found) if found else f"layers: {len(files)} files, no breach")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
