#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fault injection into the program as it is shipped: each allocation, and each open, read, write,
fsync, rename, mmap and pthread_create fails in turn; once, and (allocations) from then on.

    faults.py [--every N] [--only CALL] [--seconds S]
        every N-th point of all scenarios (1 = all); stops after S seconds; prints points tried and
        what was wrong

After each: one error line of the contract or none, the right exit code, no temporary file, no
output file that is not whole. IB_BIN is the program, IB_FAULT_LIB the library of tests/fault."""
import argparse
import errno
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "golden" / "models"
LINE = re.compile(rb"inferbench: error: .+; fix: .+ \[E-[A-Z]+\]")
SHORT = ["--device", "cpu", "--threads", "1", "--roofline", "off", "-n", "2"]
IDS = ["--token-ids", "1,2,3"]
# call -> errno, and the exit codes that its failure may have
CALLS = {"alloc": (errno.ENOMEM, {0, 6}), "open": (errno.EACCES, {0, 3, 8, 9}),
         "read": (errno.EIO, {0, 3}), "write": (errno.ENOSPC, {0, 8}), "fsync": (errno.EIO, {0, 8}),
         "rename": (errno.EACCES, {0, 8}), "mmap": (errno.ENOMEM, {0, 6}),
         "thread": (errno.EAGAIN, {0, 6})}


def run(model, *more, out=True):
    return ["-m", MODELS / model, *SHORT, *(["--output", "OUT.json"] if out else []), *more]


def scenarios(folder):
    """Name -> arguments. Words OUT... are paths in a fresh folder."""
    record = folder / "record.json"
    text = ["--no-chat-template", "--prompt", "Hello <s> w\u00f6rld 12"]
    found = {name: run(name, *IDS) for name in (
        "llama_gqa", "bnb_nf4_dq", "bnb_fp4", "bnb_int8", "llama_sharded", "qwen2_bias", "qwen3", "smollm3",
        "mistral_window", "rope_longrope_above", "llama_tied")}
    found.update({f"gguf {n}": run(f"gguf_llama_{n}/model.gguf", *IDS) for n in ("q4_0", "q8_0", "q6_k", "spm_v2")})
    found.update({
        "eager": run("llama_gqa", *IDS, "--attn", "eager"), "flash": run("llama_gqa", *IDS, "--attn", "flash_attention"),
        "int8 compute": run("bnb_nf4", *IDS, "--compute", "int8", "--dtype", "bfloat16"),
        "two threads": run("llama_gqa", *IDS, "--threads", "2")[:4] + run("llama_gqa", *IDS)[6:] + ["--threads", "2"],
        "batch": run("llama_gqa", *IDS, "--batch", "2"), "depth": run("llama_gqa", *IDS, "--depth", "9"),
        "text": run("llama_gqa", *text), "grid": run("llama_gqa", *IDS, "--attn", "eager,sdpa", "-r", "2", "--warmup", "0"),
        "html": run("llama_gqa", *IDS, "--format", "html", "--output", "OUT.html", out=False), "text report": run("llama_gqa", *IDS, out=False),
        "scalar": run("llama_gqa", *IDS, "--cpu-tier", "scalar"), "dry run": run("llama_gqa", *IDS, "--dry-run", out=False),
        "synthetic": ["-m", f"synthetic:{MODELS / 'llama_gqa' / 'config.json'}", "--quant", "nf4", *SHORT, "-p", "4"],
        "inspect": ["inspect", MODELS / "bnb_nf4_dq"], "inspect gguf": ["inspect", MODELS / "gguf_llama_q4_0" / "model.gguf"],
        "tokenize": ["tokenize", "-m", MODELS / "llama_gqa", "--text", "Hello w\u00f6rld 12's"],
        "logits": ["logits", "-m", MODELS / "llama_gqa", "--device", "cpu", *IDS, "--output", "OUT.npy"],
        "quantize": ["quantize", MODELS / "llama_gqa", "OUT.folder"],
        "quantize gguf": ["quantize", MODELS / "gguf_llama_f16" / "model.gguf", "OUT.folder"],
        "compare": ["compare", record, record], "help": ["--help"], "man": ["man"], "bad option": ["--bogus"],
        "no model": run("llama_gqa", out=False)[:1] + ["/nonexistent/model"]})
    found.update({f"report {f}": ["report", record, "--format", f, "--output", "OUT.txt"] for f in
                  ("text", "json", "csv", "markdown", "html", "vllm", "hyperfine", "llama-bench")})
    return found


def prepare(folder):
    done = subprocess.run([binary(), *map(str, run("llama_gqa", *IDS, out=False)), "--output", folder / "record.json",
                           "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())


def binary():
    return os.environ.get("IB_BIN", str(ROOT / "build" / "inferbench"))


class Sweep:
    def __init__(self, folder):
        self.folder = folder
        self.points, self.wrong = {}, []
        self.baseline = {}

    def call(self, args, fault, count=None):
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        args = [str(out / a) if isinstance(a, str) and a.startswith("OUT") else str(a) for a in args]
        env = dict(os.environ, LD_PRELOAD=os.environ["IB_FAULT_LIB"], IB_FAULT=fault, OCL_ICD_VENDORS="/nonexistent",
                   HF_HUB_CACHE="/nonexistent")
        if count:
            env["IB_FAULT_COUNT"] = str(count)
        done = subprocess.run([binary(), *args], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        return done, out

    def count(self, args, call):
        file = self.folder / "count"
        done, _ = self.call(args, f"{call}:0:5", file)
        self.baseline[call] = done.returncode
        return int(file.read_text())

    def complaint(self, done, out, allowed):
        if done.returncode not in allowed:
            return f"exit code {done.returncode}, allowed {sorted(allowed)}: {done.stderr[-300:]}"
        lines = [x for x in done.stderr.splitlines() if x.startswith(b"inferbench: error:")]
        cells = [x for x in lines if x.startswith(b"inferbench: error: cell ")]  # of a grid: one line each
        if done.returncode not in (0, 10) and (len(lines) != max(1, len(cells)) or not LINE.fullmatch(lines[0])):
            return f"{len(lines)} error lines: {done.stderr[-300:]}"
        left = [p.name for p in out.rglob("*")]
        if any(".tmp" in name for name in left):
            return f"temporary files left: {left}"
        for path in out.glob("OUT.json"):
            try:
                json.loads(path.read_text())
            except ValueError:
                return "an output file that is not whole"
        if done.returncode not in (0, 10) and "OUT.folder" in left and (out / "OUT.folder" / "config.json").exists():
            return "a model folder that looks whole"
        return None

    def point(self, name, args, call, n, sticky):
        code, allowed = CALLS[call]
        mark = "+" if sticky else ""
        done, out = self.call(args, f"{call}:{n}{mark}:{code}")
        self.points[call] = self.points.get(call, 0) + 1
        said = self.complaint(done, out, allowed | {self.baseline[call]})
        if said:
            self.wrong.append(f"{name}: {call} {n}{mark}: {said}")

    def scenario(self, name, args, call, every, until):
        total = self.count(args, call)
        first = 1 + (hash(name) % every if every > 1 else 0)
        for n in range(min(first, max(total, 1)), total + 1, every):
            if time.monotonic() > until:
                return
            self.point(name, args, call, n, False)
            if call == "alloc":
                self.point(name, args, call, n, True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=1e9)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prepare(folder)
        sweep, until = Sweep(folder), time.monotonic() + args.seconds
        every = scenarios(folder)
        for call in CALLS:
            if args.only and call != args.only:
                continue
            for title, line in every.items():
                sweep.scenario(title, line, call, args.every if call == "alloc" else 1, until)
            print(f"{call}: {sweep.points.get(call, 0)} failures in {len(every)} scenarios, "
                  f"{sum(f': {call} ' in w for w in sweep.wrong)} not as the contract says", flush=True)
        for line in sweep.wrong[:60]:
            print(line, file=sys.stderr)
    return 1 if sweep.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
