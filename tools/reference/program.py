# SPDX-License-Identifier: MIT
"""Running the inferbench program from the check scripts. Needs NumPy alone."""
import json
import os
import subprocess
import tempfile

import numpy as np

ATTENTION = ("eager", "sdpa", "flash_attention")


class Failed(Exception):
    """The program gave no result; the text holds its last line on stderr."""


def call(command, timeout=600):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise Failed(f"exit {done.returncode}: {lines[-1] if lines else 'no message'}")
    return done.stdout


def logits(binary, model, ids, attn="eager", dtype="float32", extra=()):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "logits.npy")
        call([binary, "logits", "--model-id", model, "--token-ids", ",".join(map(str, ids)), "--output", out,
              "--device", "cpu", "--attn", attn, "--dtype", dtype, *extra])
        return np.load(out)


def generate(binary, model, ids, new, attn="eager", dtype="float32", extra=()):
    """(new ids, the whole record) of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "run.json")
        call([binary, "run", "--model-id", model, "--token-ids", ",".join(map(str, ids)), "--max-new-tokens", str(new),
              "--device", "cpu", "--attn", attn, "--dtype", dtype, "--format", "json", "--output", out, *extra])
        with open(out, encoding="utf-8") as f:
            record = json.load(f)
    return record["cells"][0]["runs"][0]["output_ids"], record
