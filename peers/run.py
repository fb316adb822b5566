#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run.py: other programs and this one on the same prompt ids, lengths and threads, in rounds, each round in an order
drawn by a coin, with the bandwidth probe before every run. Each finished run is appended to the result file; what is
there already is not run again. Prints the table of the result file. See docs/peers.md."""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shapes import CASES, NOT_MADE, ROWS, SHAPES, WHY_NOT, prompt, shape
from table import table

HERE = Path(__file__).resolve().parent
PYTHON_OF_MODELS = "transformers"  # the environment that models.py needs


def arguments():
    home = os.environ.get("PEERS_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache",
                                                "inferbench", "peers")
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--home", default=home, type=Path, help="environments and models (PEERS_HOME)")
    p.add_argument("--binary", default=HERE.parent / "build" / "inferbench", type=Path)
    p.add_argument("--peers", default="", help="programs, with commas; all unless given")
    p.add_argument("--cases", default="", help=f"of {','.join(CASES)}; all unless given")
    p.add_argument("--rounds", default=6, type=int, help="6 are the fewest that give an interval")
    p.add_argument("--threads", default=os.cpu_count(), type=int)
    p.add_argument("--results", default=HERE / "results" / "results.jsonl", type=Path)
    p.add_argument("--seconds", default=0, type=float, help="begin no run after so many; exit code 3 when some are left")
    p.add_argument("--timeout", default=600, type=float, help="of one run")
    p.add_argument("--wrap", default="", help="a command put in front of every measured run")
    p.add_argument("--table", action="store_true", help="only print the table")
    return p.parse_args()


def rows_of(case, peers):
    return [r for r in ROWS[case] if r[0] == "inferbench" or not peers or r[0] in peers]


def wanted(a):
    peers = [p for p in a.peers.split(",") if p]
    cases = [c for c in a.cases.split(",") if c] or list(CASES)
    for case in cases:
        for round in range(a.rounds):
            order = rows_of(case, peers)
            random.Random(f"{case} {round}").shuffle(order)
            yield from ((case, round, *row) for row in order)


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def key(r):
    return r["case"], r["program"], r["label"], r["round"]


def given_up(results, case, program, label):
    """A program that failed a case once is not tried again."""
    return any(r["error"] for r in results if (r["case"], r["program"], r["label"]) == (case, program, label))


# --- one run ----------------------------------------------------------------------------------------------------


def command(a, words):
    return [*a.wrap.split(), *map(str, words)]


def probe(a):
    """Read bandwidth and the distance of the cores, by a tiny run of our own program."""
    done = subprocess.run(command(a, [a.binary, "-m", "synthetic:smollm2-135m", "-p", 1, "-n", 1, "-t", a.threads,
                                      "--roofline", "on", "--format", "json"]), capture_output=True, check=True)
    p = json.loads(done.stdout)["cells"][0]["probe"]
    return {k: p[k] for k in ("read_gbps", "read_gbps_median", "ping_before_ns", "ping_after_ns")}


def run_own(a, job):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        done = subprocess.run(
            command(a, [a.binary, "-m", job["path"], "--attn", "flash_attention", "-t", a.threads, "-n", job["n"],
                        "--ignore-eos", "--token-ids", ",".join(map(str, job["ids"])), "--warmup", 1, "--roofline",
                        "off", "--quiet", "--output", file]), capture_output=True, text=True, timeout=a.timeout)
        if done.returncode not in (0, 10):
            return {"error": done.stderr.strip().splitlines()[-1][:300]}
        record = json.loads(file.read_text())
    cell = record["cells"][0]
    run = [r for r in cell["runs"] if not r["warmup"]][0]
    return {"load_ns": sum(cell["load_ns"].values()), "stamps_ns": run["stamps_ns"], "output_ids": run["output_ids"],
            "vm_hwm_bytes": cell["memory"]["vm_hwm_bytes"], "bytes_per_token": record["summary"]["bytes_per_token"],
            "about": {"inferbench": record["tool"]["version"], "commit": record["tool"]["commit"],
                      "verdict": record["summary"]["verdict"]}}


def run_peer(a, program, job):
    env = dict(os.environ, OMP_NUM_THREADS=str(a.threads), LLAMA_CPP_LIB_PATH=str(a.home / "llama.cpp/build/bin"),
               HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    if program == "llama.cpp":
        env["PYTHONPATH"] = str(a.home / "llama.cpp/src")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(job, file)
        file.flush()
        done = subprocess.run(command(a, [a.home / program / "bin/python", HERE / "adapter.py", program, file.name]),
                              capture_output=True, text=True, timeout=a.timeout, env=env)
    lines = [x for x in done.stdout.splitlines() if x.startswith("{")]
    if not lines:
        return {"error": f"ended with {done.returncode}: {' '.join(done.stderr.split())[-200:]}"}
    return json.loads(lines[-1])


def files_of(a, case, program, files):
    """The path, or why there is none."""
    name = CASES[case][0]
    if files is None:
        return None, WHY_NOT[(program, ROWS_LABEL[(case, program)])]
    if (name, files) in NOT_MADE:
        return None, NOT_MADE[(name, files)]
    if not (a.home / program / "requirements.done").exists() and program != "inferbench":
        return None, f"not set up: peers/setup.sh {program}"
    python = a.home / PYTHON_OF_MODELS / "bin/python"
    done = subprocess.run([python, HERE / "models.py", a.home, name, files], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        return None, "its files cannot be made: " + " ".join(done.stderr.split())[-200:]
    return a.home / "models" / name / files, None


ROWS_LABEL = {(case, r[0]): r[1] for case in ROWS for r in ROWS[case] if r[2] is None}


def bytes_per_token(a, case, files, about):
    """Weights as they are stored, and the cache at the middle of the run in the program's own precision."""
    name, n_prompt, n = CASES[case]
    note = a.home / "models" / name / (files + ".json")
    s = shape(name)
    kv = 2 * s["n_layers"] * s["n_kv_heads"] * s["head_dim"] * about["kv_bytes_per_element"]
    return json.loads(note.read_text())["step_weight_bytes"] + kv * (n_prompt + n // 2)


def measure(a, case, program, files):
    path, why = files_of(a, case, program, files)
    if why:
        return {"error": why}
    sdist = [x for x in (HERE / "requirements/llama.cpp.txt").read_text().splitlines() if x.startswith("# sdist: ")][0].split("==")[1]
    job = {"path": str(path), "ids": prompt(case), "n": CASES[case][2], "threads": a.threads, "sdist": sdist}
    result = {"probe": probe(a)}
    try:
        result |= run_own(a, job) if program == "inferbench" else run_peer(a, program, job)
    except subprocess.TimeoutExpired:
        result["error"] = f"not done after {a.timeout:.0f} s"
    result["probe_after"] = probe(a)
    if "bytes_per_token" not in result and not result.get("error"):
        result["bytes_per_token"] = bytes_per_token(a, case, files, result["about"])
    return result


def main():
    a = arguments()
    results, start = read(a.results), time.monotonic()
    done = {key(r) for r in results}
    for case, round, program, label, files in [] if a.table else wanted(a):
        if (case, program, label, round) in done or given_up(results, case, program, label):
            continue
        if a.seconds and time.monotonic() - start > a.seconds:
            print("more to do", file=sys.stderr)
            return 3
        r = {"case": case, "program": program, "label": label, "round": round, "threads": a.threads,
             "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "order": len(results), "error": None}
        r |= measure(a, case, program, files)
        results.append(r)
        a.results.parent.mkdir(parents=True, exist_ok=True)
        with open(a.results, "a") as f:
            f.write(json.dumps(r) + "\n")
        print(f"{case} round {round} {program} {label}: {r['error'] or 'done'}", file=sys.stderr, flush=True)
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
