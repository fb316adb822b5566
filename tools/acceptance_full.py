#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make acceptance-full: the experiments on the real clock and on real models (docs/acceptance.md). Hours; each result is
kept in STATE as soon as it is there, and a second call goes on behind it. Writes docs/acceptance_full.md.

  --only A4,AA     some of them      --trials N   comparisons of A5 to A8 (200)     --redo A4   forget a result
  --model FILE     a real model for A/A, A15, A16, A17; without it they are skipped
  --llama-bench P  llama.cpp's own program for A16; without it that is skipped"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "acceptance_full.md"
LAW = ["--engine", "synth", "--law", "sd=5%:run=1%:itl=200us:ttft=200us", "-p", "8", "-n", "64"]


def call(a, *words, **options):
    return subprocess.run([a.program, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **options)


def comparison(a, *words):
    done = call(a, "compare", *words, "--format", "json", "--quiet")
    if done.returncode not in (0, 11):
        raise RuntimeError(done.stderr.decode()[-300:])
    return json.loads(done.stdout)["comparisons"][0]


def real_clock(a):
    """A2 and A3: a program of their own."""
    program = pathlib.Path(a.program).parent / "tests" / "acceptance"
    if not program.exists():
        return [["A2", "real clock", "-", "skipped: tests/acceptance is not built", "", ""]]
    out = subprocess.run([program, "--real"], stdout=subprocess.PIPE, check=True).stdout.decode()
    return [[x.strip() for x in line.strip("|\n").split("|")] for line in out.splitlines()]


def streaming(a):
    """A4: the same engine with its live lines to nowhere, to a file and through a pipe; TPOT against none."""
    law = ["--engine", "synth", "--law", "constant:itl=500us:ttft=500us", "-p", "8", "-n", "1000", "--roofline", "off"]
    times = {"off": [], "file": [], "pipe": []}
    work = pathlib.Path(a.state).parent / "acceptance_full.tmp"
    work.mkdir(exist_ok=True)
    for _ in range(a.rounds):
        for kind in times:
            record = work / "r.json"
            words = [a.program, "run", *law, "-o", str(record), "--force"]
            words += ["--quiet"] if kind == "off" else []
            if kind == "pipe":
                done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            else:
                with open(work / "out", "wb") as out:
                    done = subprocess.run(words, stdout=out, stderr=subprocess.DEVNULL)
            if done.returncode in (0, 10):
                times[kind].append(json.loads(record.read_text())["summary"]["tpot_ms"])
    rows = []
    for kind in ("file", "pipe"):
        r = statistics.median(times[kind]) / statistics.median(times["off"])
        rows.append(["A4", f"live lines to a {kind} against none, {a.rounds} interleaved runs", "ratio of TPOT", f"{r:.5f}",
                     "0.998 to 1.002", "holds" if abs(r - 1) <= 0.002 else "FAILS"])
    return rows


def many(a, name, what, words, want, judge):
    hits = sum(judge(comparison(a, *words)) for _ in range(a.trials))
    least, bound = want
    good = hits >= bound * a.trials if least else hits <= bound * a.trials
    return [[name, what, "comparisons", f"{hits} of {a.trials}",
             f"at {'least' if least else 'most'} {bound * a.trials:.0f}", "holds" if good else "FAILS"]]


def a5(a):
    return many(a, "A5", "nothing differs, real clock, 10 pairs, a verdict of faster or slower",
                [*LAW, "--a", "", "--b", "", "--pairs", "10"], (False, 0.08),
                lambda c: c["verdict"] in ("FASTER", "SLOWER"))


def a6(a):
    return many(a, "A6", "+2 %, real clock, 10 pairs", [*LAW, "--a", "", "--b", "--slow-down 2%", "--pairs", "10"],
                (True, 0.8), lambda c: c["verdict"] == "SLOWER")


def real_aa(a):
    """The program against itself on a real model."""
    if not a.model:
        return [["A/A", "a real model against itself", "-", "skipped: no --model", "", ""]]
    c = comparison(a, "-m", a.model, "--device", "cpu", "-p", "64", "-n", "64", "--roofline",
                   "off", "--a", "", "--b", "", "--pairs", "16")
    return [["A/A", f"{pathlib.Path(a.model).name}, 16 pairs", "verdict", c["verdict"], "not FASTER, not SLOWER",
             "holds" if c["verdict"] in ("SAME", "UNDECIDED") else "FAILS"]]


def slower_build(a):
    """A build with a spin per token (IB_TEST_SPIN_NS at configuration) must be found."""
    if not (a.model and a.slow_build):
        return [["slow", "a real build slowed by a spin per token", "-", "skipped: no --model or --slow-build", "", ""]]
    c = comparison(a, "-m", a.model, "--device", "cpu", "-p", "64", "-n", "64", "--roofline", "off", "--a", "", "--b", "",
                   "--binary-b", a.slow_build, "--pairs", "16", "--across")
    return [["slow", f"{pathlib.Path(a.model).name}, a build slowed by a spin per token, 16 pairs", "verdict",
             c["verdict"], "SLOWER", "holds" if c["verdict"] == "SLOWER" else "FAILS"]]


def witness(a):
    """A15: another process stamps each line as it leaves the pipe."""
    words = [a.program, "run", "--engine", "synth", "--law", "constant:itl=60ms:ttft=60ms", "-p", "8", "-n", "60",
             "--roofline", "off"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    seen, printed = [], []
    for line in process.stdout:
        if line.startswith(b"Token latency: "):
            seen.append(time.monotonic_ns())
            printed.append(float(line.split()[2]))
    process.wait()
    gaps = [(b - x) / 1e6 for x, b in zip(seen[1:], seen[2:])]
    own = statistics.mean(printed[2:])
    mean = statistics.mean(gaps) if gaps else 0
    rows = [["A15", "a reader behind a pipe, 60 tokens of 60 ms", "tokens seen", f"{len(seen)} of 60", "all",
             "holds" if len(seen) == 60 else "FAILS"],
            ["A15", "the same", "mean ITL, reader against program", f"{mean:.3f} against {own:.3f} ms", "within one look of the printing thread (50 ms) over the run",
             "holds" if own and abs(mean - own) * len(gaps) <= 50 else "FAILS"]]
    return rows


def llama_bench(a):
    if not (a.llama_bench and a.model):
        return [["A16", "decode rate against llama-bench", "-", "skipped: no --llama-bench or --model", "", ""]]
    ours, theirs = [], []
    for _ in range(a.rounds):
        done = call(a, "-m", a.model, "--device", "cpu", "-p", "8", "-n", "64", "--format", "json", "--roofline", "off")
        ours.append(json.loads(done.stdout)["summary"]["decode_tok_s"])
        out = subprocess.run([a.llama_bench, "-m", a.model, "-p", "0", "-n", "64", "-r", "1", "-o", "json"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        theirs.append(json.loads(out)[0]["avg_ts"])
    r = [x / y for x, y in zip(ours, theirs)]
    return [["A16", f"decode rate over llama-bench's, {a.rounds} interleaved", "ratio",
             f"{statistics.median(r):.3f} ({min(r):.3f} to {max(r):.3f})", "to be explained beyond 3 %", ""]]


def padding(a):
    """A17: the same work under environments of other sizes: the bias that pairs randomise away."""
    medians = []
    words = ["-m", a.model, "--device", "cpu"] if a.model else LAW
    for n in range(0, 4097, a.padding_step):
        env = dict(os.environ, INFERBENCH_PADDING="x" * n)
        done = call(a, *words, "-p", "8", "-n", "32", "-r", "3", "--format", "json", "--roofline", "off", env=env) \
            if a.model else call(a, *words, "-r", "3", "--format", "json", env=env)
        medians.append(json.loads(done.stdout)["summary"]["itl_ms"]["p50"])
    spread = (max(medians) / min(medians) - 1) * 100
    return [["A17", f"environment padding 0 to 4096 by {a.padding_step}", "range of the median ITL",
             f"{min(medians):.4f} to {max(medians):.4f} ms ({spread:.2f} %)", "reported", ""]]


EXPERIMENTS = {"A2": real_clock, "A4": streaming, "A15": witness, "A17": padding, "AA": real_aa, "SLOW": slower_build,
               "A16": llama_bench, "A5": a5, "A6": a6}


def write_page(state):
    lines = ["## On the real clock", "", "`make acceptance-full` writes this part, experiment by experiment; what is not",
             "in the table was not run yet. Each row says when.", "",
             "| experiment | law | what | result | wanted | | when |", "|---|---|---|---|---|---|---|"]
    for name in EXPERIMENTS:
        if name in state:
            lines += ["| " + " | ".join(str(x) for x in row) + f" | {state[name]['when']} |" for row in state[name]["rows"]]
    missing = [n for n in EXPERIMENTS if n not in state]
    lines += ["", "Not run yet: " + (", ".join(missing) or "none") + "."]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default="build/inferbench")
    p.add_argument("--state", default="build/acceptance_full.json")
    p.add_argument("--only", default=",".join(EXPERIMENTS))
    p.add_argument("--redo", default="")
    p.add_argument("--trials", type=int, default=200)
    p.add_argument("--rounds", type=int, default=10)
    p.add_argument("--padding-step", type=int, default=16)
    p.add_argument("--model")
    p.add_argument("--slow-build")
    p.add_argument("--llama-bench")
    a = p.parse_args()
    a.program = str(pathlib.Path(a.program).resolve())
    path = pathlib.Path(a.state)
    state = json.loads(path.read_text()) if path.exists() else {}
    for name in a.redo.split(","):
        state.pop(name, None)
    for name in a.only.split(","):
        if name in state:
            continue
        print(f"{name} ...", flush=True)
        rows = EXPERIMENTS[name](a)
        for row in rows:
            print("  " + " | ".join(str(x) for x in row), flush=True)
        if any("skipped" in str(x) for row in rows for x in row):
            continue
        state[name] = {"rows": rows, "when": time.strftime("%Y-%m-%d", time.gmtime())}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(state, indent=1))
        write_page(state)
    bad = [n for n in state if any(row[-1] == "FAILS" for row in state[n]["rows"])]
    print("failed: " + (", ".join(bad) or "none"))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
