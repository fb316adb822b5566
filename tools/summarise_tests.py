#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the test cases in a verbose CTest log (cmocka programs and Python unittest suites)."""
import re
import sys


def main():
    log, status = sys.argv[1], int(sys.argv[2])
    text = re.sub(r"\x1b\[[0-9;]*m", "", open(log, encoding="utf-8", errors="replace").read())
    passed = failed = 0
    skips, failures, programs = [], [], {}
    last, output, names = {}, {}, {}
    for raw in text.splitlines():
        m = re.match(r"^(\d+): (.*)$", raw)
        if not m:
            lost = re.match(r"^\s+\d+ - (\S+) \((.*)\)", raw)
            if lost:
                programs[lost.group(1)] = lost.group(2)
            start = re.match(r"^\s+Start\s+(\d+): (\S+)", raw)
            if start:
                names[start.group(1)] = start.group(2)
            p = re.match(r"^\s*\d+/\d+ Test\s+#(\d+): (\S+) \.*\s*(.*?)\s+[\d.]+ sec", raw)
            if p:
                programs[p.group(2)] = p.group(3)
            continue
        number, line = m.groups()
        output.setdefault(names.get(number, number), []).append(line)
        if re.match(r"^\[\s+OK\s+\]", line):
            passed += 1
        elif re.match(r"^\[\s+FAILED\s+\] (\S+)", line) and "test(s)" not in line:
            name = line.split("]", 1)[1].strip()
            if name not in failures:
                failures.append(name)
        elif re.match(r"^\[\s+SKIPPED\s+\] (\S+)", line) and "test(s)" not in line:
            name = line.split("]", 1)[1].strip()
            if name not in [s[0] for s in skips]:
                skips.append((name, last.get(number, "no reason given")))
        else:
            u = re.match(r"^(test\S* \(.*?\))(?:\n.*)? \.\.\. (ok|FAIL|ERROR|skipped (.*))$", line)
            v = u or re.match(r"^(.*) \.\.\. (ok|FAIL|ERROR|skipped (.*))$", line)
            if v:
                if v.group(2) == "ok":
                    passed += 1
                elif v.group(3):
                    skips.append((v.group(1), v.group(3).strip("'\"")))
                else:
                    failures.append(v.group(1))
        if line.strip():
            last[number] = line.strip()
    failed = len(failures)
    for name, state in programs.items():
        if "Skipped" in state:
            reasons = [t.split(": ", 1)[1] for t in output.get(name, []) if t.startswith("skipped: ")]
            skips.append((name, reasons[-1] if reasons else "no reason given"))
    bad = {n: s for n, s in programs.items() if not s.startswith("Passed") and "Skipped" not in s}
    for name, state in sorted(programs.items()):
        word = "ok  " if state.startswith("Passed") else "skip" if "Skipped" in state else "FAIL"
        print(f"{word} {name}")
    for name in failures:
        print(f"failed: {name}")
    for name, reason in skips:
        print(f"skipped: {name}: {reason}")
    for name, state in bad.items():
        print(f"program {name}: {state}; its output is in {log}")
    if bad and not failed:
        failed = len(bad)
    for name in bad:
        print(f"--- the last lines of {name} ---")
        print("\n".join(output.get(name, [])[-30:]))
    if status != 0 and not failed:
        failed = 1
    print(f"{passed} passed, {failed} failed, {len(skips)} skipped")
    return 1 if failed or status or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
