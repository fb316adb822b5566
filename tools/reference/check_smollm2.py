# SPDX-License-Identifier: MIT
"""Holds a program against the SmolLM2 oracle.

    check_smollm2.py BINARY --nf4 DIR [--gguf FILE] [--bf16 DIR] [--logits DIR] [--attn eager,sdpa,...]

--nf4, --bf16: folders nf4-dq-bnb and hf-bf16 that make_smollm2.py wrote; --logits: its logits folder. Checked:
  - greedy ids of 256 tokens under --dtype float32 equal the oracle's, 256 of 256, for each model and attention;
  - teacher-forced logits over prompt + continuation within 1e-4 of true fp32;
  - against the reference in bf16: mean KL(reference || mine) below 2e-3, and the best token equal wherever the
    reference's two best logits are more than two of its rounding steps apart (a step is the spacing of bf16 numbers
    at the best logit; each of the two logits is uncertain by about one).
Needs NumPy alone. Exit code 1 if anything fails.
"""
import argparse
import json
import os
import sys

import numpy as np

import compare_logits
import program

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden", "smollm2")
STEPS = 2.0
MAX_KL = 2e-3


def golden(name):
    with open(os.path.join(GOLDEN, name), encoding="utf-8") as f:
        return json.load(f)


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def mean_kl(reference, mine):
    total = 0.0
    for a in range(0, len(reference), 128):
        p, q = log_softmax(reference[a:a + 128]), log_softmax(mine[a:a + 128])
        total += float((np.exp(p) * (p - q)).sum())
    return total / len(reference)


def bf16_agreement(reference, mine):
    """(rows whose gap exceeds the rounding, of these with another best token, all rows with another best token)."""
    best = np.sort(np.partition(reference, -2, axis=1)[:, -2:], axis=1)
    step = 2.0 ** (np.floor(np.log2(np.abs(best[:, 1]))) - 7)
    decided = best[:, 1] - best[:, 0] > STEPS * step
    other = reference.argmax(axis=1) != mine.argmax(axis=1)
    return int(decided.sum()), int((decided & other).sum()), int(other.sum())


def check_ids(binary, label, model, want, prompt, attn, extra):
    try:
        ids, record = program.generate(binary, model, prompt, want["max_new_tokens"], attn, extra=extra)
    except (program.Failed, KeyError, IndexError) as e:
        print(f"FAIL {label} {attn}: {e}", flush=True)
        return False
    same = sum(a == b for a, b in zip(ids, want["ids"]))
    ok = ids == want["ids"]
    note = ""
    if not ok:
        at = next((i for i, (a, b) in enumerate(zip(ids, want["ids"])) if a != b), min(len(ids), len(want["ids"])))
        note = f"; first difference at {at}, where the oracle's gap is {want['top2_gap'][at]}"
    print(f"{'ok  ' if ok else 'FAIL'} {label} {attn}: {same}/{len(want['ids'])} ids{note}", flush=True)
    return ok


def check_logits(binary, label, model, exact, low, ids, attn, extra):
    try:
        mine = program.logits(binary, model, ids, attn, extra=extra)
    except program.Failed as e:
        print(f"FAIL {label} logits {attn}: {e}", flush=True)
        return False
    relative, largest, _, other = compare_logits.measure(mine, exact)
    good = relative <= 1e-4
    print(f"{'ok  ' if good else 'FAIL'} {label} logits {attn}: relative {relative:.2e} of true fp32, max {largest:.2e}, "
          f"another best id in {len(other)}/{len(mine)} rows", flush=True)
    for name, reference in low:
        kl = mean_kl(reference, mine)
        decided, wrong, differ = bf16_agreement(reference, mine)
        ok = kl < MAX_KL and wrong == 0
        good &= ok
        print(f"{'ok  ' if ok else 'FAIL'} {label} against {name} {attn}: mean KL {kl:.2e}, best token equal in "
              f"{decided - wrong}/{decided} decided rows ({len(mine) - differ}/{len(mine)} of all)", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--nf4")
    parser.add_argument("--gguf")
    parser.add_argument("--bf16")
    parser.add_argument("--logits")
    parser.add_argument("--attn", default=",".join(program.ATTENTION))
    parser.add_argument("--extra", default="")
    args = parser.parse_args()
    prompt = golden("prompt_ids.json")["ids"]
    extra = args.extra.split()
    good = True
    for label, model in (("nf4dq", args.nf4), ("gguf", args.gguf), ("bf16", args.bf16)):
        if not model:
            continue
        want = golden(f"greedy_{label}_fp32.json")
        exact, low = None, []
        if args.logits:
            exact = np.load(os.path.join(args.logits, f"{label}_fp32.npy"))
            for name in ("nf4dq_bf16", "nf4dq_bf16_avx512"):
                path = os.path.join(args.logits, name + ".npy")
                if label == "nf4dq" and os.path.exists(path):
                    low.append((name, np.load(path)))
        for attn in args.attn.split(","):
            good &= check_ids(args.binary, label, model, want, prompt, attn, extra)
            if exact is not None:
                good &= check_logits(args.binary, label, model, exact, low, prompt + want["ids"], attn, extra)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
