#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill -9 at random points of a grid with a journal, again and again: kill_loop.py N [SEED]

Each grid is begun, killed at a random moment, resumed, killed ... until it ends; then every run that
stood in the journal at any death must stand in the file with the same time stamps. Prints the number of
kills, of finished runs and cells that had to survive, and of those lost; exit code 1 when one was."""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ.get("IB_BIN", str(ROOT / "build" / "inferbench"))
MODEL = ROOT / "tests" / "golden" / "models" / "llama_gqa"


def command(out):
    return [BIN, "-m", MODEL, "--device", "cpu", "--threads", "1", "--roofline", "off", "--token-ids", "1,2,3", "-n", "4",
            "--attn", "eager,sdpa,flash_attention", "--batch", "1,2", "-r", "3", "--warmup", "1", "--quiet", "--output", out]


def lines_of(journal):
    found = []
    if journal.exists():
        for line in journal.read_bytes().split(b"\n")[:-1]:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
    return found


def key(cell, run):
    return cell, tuple(run["stamps_ns"]), tuple(run["output_ids"])


def one_grid(folder, rng, most, longest):
    """Kills until the grid is complete or `most` kills were made; kills, and what went wrong."""
    out, journal = folder / "out.json", folder / "out.json.journal"
    for path in folder.iterdir():
        path.unlink()
    kept, cells, kills, wrong = set(), set(), 0, []
    while True:
        process = subprocess.Popen([*map(str, command(out)), "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if kills < most:
            time.sleep(rng.random() * longest)
            process.send_signal(signal.SIGKILL)
        err = process.communicate()[1]
        if process.returncode == -signal.SIGKILL:
            kills += 1
            for line in lines_of(journal):
                if "run" in line and not out.exists():
                    kept.add(key(line["cell"], line["run"]))
                if "done" in line:
                    cells.add(line["cell"])
        elif process.returncode not in (0, 10):
            wrong.append(f"exit code {process.returncode}: {err[-300:]}")
            break
        if out.exists() and not journal.exists():
            break
    if not wrong:
        record = json.loads(out.read_text())
        there = {key(i, r) for i, c in enumerate(record["cells"]) for r in c["runs"]}
        if len(record["cells"]) != 6:
            wrong.append(f"{len(record['cells'])} cells of 6")
        wrong += [f"lost: a run of cell {k[0]}" for k in kept - there]
    left = [p.name for p in folder.iterdir() if p.name not in ("out.json", "out.json.lock")]
    left = [n for n in left if not n.endswith(".tmp")]  # of a process that was killed: swept by the next
    if left:
        wrong.append(f"left: {left}")
    return kills, len(kept), len(cells), wrong


def main():
    n, rng = int(sys.argv[1]), random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    kills = runs = cells = grids = 0
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        before = time.monotonic()
        subprocess.run([*map(str, command(folder / "out.json"))], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        whole = time.monotonic() - before
        while kills < n:
            k, r, c, w = one_grid(folder, rng, min(n - kills, 12), 1.1 * whole)
            kills, runs, cells, grids, wrong = kills + k, runs + r, cells + c, grids + 1, wrong + w
    print(f"kills: {kills} in {grids} grids of 6 cells; {runs} finished runs and {cells} finished cells had to survive; "
          f"{sum(w.startswith('lost') for w in wrong)} lost, {len(wrong)} wrong")
    for line in wrong[:20]:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
