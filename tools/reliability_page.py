#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/reliability.md from what tools/reliability.sh measured: reliability_page.py FOLDER LEDGER"""
import collections
import csv
import pathlib
import re
import sys

HEAD = """# Reliability

Written by `tools/reliability.sh`; the figures are those of its last run. What is promised is in the failure contract of
[cli.md](cli.md) and in [SECURITY.md](../SECURITY.md).

"""


def text(folder, name):
    path = folder / name
    return path.read_text().strip() if path.exists() else ""


def section(title, intro, body):
    return f"## {title}\n\n{intro}\n\n" + (f"{body}\n\n" if body else "Not measured in the last run.\n\n")


def block(body):
    return f"```\n{body}\n```" if body else ""


def fuzz_table(ledger):
    if not ledger.exists():
        return ""
    sums = collections.defaultdict(lambda: [0, 0, 0, 0, 0])
    for row in csv.DictReader(ledger.open(), delimiter="\t"):
        s = sums[row["target"]]
        s[0] += int(row["executions"]) if row["mode"] == "plain" else 0
        s[1] += int(row["executions"]) if row["mode"] == "oom" else 0
        s[2] += int(row["seconds"])
        s[3] = max(s[3], int(row["edges"]))
        s[4] += int(row["findings"])
    rows = ["| target | executions | with failing malloc | minutes | edges | findings |", "|---|---|---|---|---|---|"]
    for name, s in sums.items():
        rows.append(f"| {name} | {s[0]:,} | {s[1]:,} | {s[2] / 60:.1f} | {s[3]} | {s[4]} |")
    total = [sum(s[i] for s in sums.values()) for i in range(5)]
    rows.append(f"| all | {total[0]:,} | {total[1]:,} | {total[2] / 60:.1f} ({total[2] / 3600:.2f} machine-hours) | | {total[4]} |")
    return "\n".join(rows)


def coverage_rows(body):
    rows = [line for line in body.splitlines() if re.match(r"^(src/|TOTAL)", line)]
    return block("\n".join(rows))


def main():
    folder, ledger = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    page = HEAD
    page += section("Fuzzing", "libFuzzer with the address and undefined-behaviour sanitizers, one target per parser (`make fuzz "
                    "SECONDS=n`). Each executes the parser, then checks what must hold of its answer; in the second column an "
                    "allocation chosen by the input fails. The aim of 10 million executions per target is what the table "
                    "is to be held against. Findings are crashes, leaks, broken promises, and wrong status codes; "
                    "each is kept as `tests/fuzz/corpus/*/found_*` and was fixed. The column counts files that libFuzzer left behind: time limits "
                    "that were passed on a busy or stopped machine are among them.", fuzz_table(ledger))
    page += section("Kept inputs", "Replayed by `make test`, each with its first 400 allocations failing, once and from then on: "
                    "the status is then \"out of a resource\", and everything is given back.", block(text(folder, "replay.txt")))
    page += section("Branch coverage of the parsers", "`tools/coverage.sh`: unit tests and kept inputs.",
                    coverage_rows(text(folder, "coverage.txt")))
    page += section("Hostile inputs", "`make hostile`: each with its asserted exit code, message, time, memory, and no file "
                    "left.", block(text(folder, "hostile.txt")))
    page += section("Fault injection", "`tests/e2e/faults.py`: the program as shipped; each allocation (once, and all from then "
                    "on), open, read, write, fsync, rename, mmap and thread creation fails in turn. Asserted: exit code, one "
                    "line, no temporary file, no partial output.", block(text(folder, "faults.txt")))
    page += section("Kills", "`tests/e2e/kill_loop.py`: SIGKILL at random moments of a grid with a journal, then `--resume`.",
                    block(text(folder, "kills.txt")))
    names = ("safetensors", "texts", "tokenizers")
    found = "\n".join(filter(None, (text(folder, f"differential_{n}.txt") for n in names)))
    page += section("Against the defining libraries", "`tools/reference/differential.py`: the same bytes to this program and to the "
                    "Python packages safetensors and tokenizers.", block(found))
    sanitizers = text(folder, "sanitizers.txt")
    page += section("Sanitizers and analysis", "`make check` and the presets `asan-ubsan` and `tsan`.", block(sanitizers))
    print(page.rstrip())


if __name__ == "__main__":
    main()
