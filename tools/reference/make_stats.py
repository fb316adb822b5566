#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes into tests/golden/stats: vectors.txt, what NumPy and Python say about samples that the C test
makes again from the same generator. Needs NumPy (made with the version in the first line).

One fact a line, numbers as hexadecimal floats:
  sample NAME N SEED KIND          the sample that the next lines speak of
  q Q VALUE / median VALUE / mean VALUE
  round X DIGITS NUMPY PYTHON
  repr X TEXT
  fixed X DIGITS TEXT
and tests/golden/stats/script.txt: the two last lines that the reference script prints for gaps of
sample kind 0, after "N SEED".
"""
import argparse
import math
import os
import struct

import numpy as np

MASK = (1 << 64) - 1


def splitmix64(seed):
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def sample(n, seed, kind):
    """kind 0: gaps in seconds from integer ns; 1: any doubles of one binade; 2: few values, ties"""
    g = splitmix64(seed)
    if kind == 0:
        return [float(10_000_000 + next(g) % 50_000_000) / 1e9 for _ in range(n)]
    if kind == 1:
        return [1.0 + (next(g) >> 12) * 2.0**-52 for _ in range(n)]
    return [float(next(g) % 7) / 10 for _ in range(n)]


def samples(out):
    qs = [0, 1, 2.5, 10, 25, 33.3, 50, 75, 90, 95, 99, 99.9, 100]
    for n in (1, 2, 3, 7, 8, 9, 100, 101, 127, 128, 129, 255, 256, 2001, 10050):
        for kind in (0, 1, 2):
            x = np.array(sample(n, n * 3 + kind, kind))
            out.append(f"sample s{n}_{kind} {n} {n * 3 + kind} {kind}")
            for q in qs:
                out.append(f"q {float(q).hex()} {float(np.percentile(x, q)).hex()}")
            out.append(f"median {float(np.median(x)).hex()}")
            out.append(f"mean {float(np.mean(x)).hex()}")


def numbers():
    g = splitmix64(7)
    fixed = [0.5, 1.5, 2.5, 0.125, 0.375, 2.675, 1.005, 35.1, 34.0, 34.05, 34.15, 34.25, 0.05, 0.15,
             0.25, 0.35, 1e15 + 0.5, 123456.785, 0.045, 5e-324, 1e16, 1e22, 1e23, 9.5, 99.95, 1e-5,
             1e-4, 123456789012345680.0, 0.1 + 0.2, 1 / 3, 2.0**53, 2.0**53 + 2, 1.7976931348623157e308,
             2.2250738585072014e-308, 1e100, 9007199254740993.0, 0.001, 1e15, 999999999999999.9]
    out = fixed + [-v for v in fixed[:8]] + [0.0, -0.0]
    out += [(10_000_000 + next(g) % 90_000_000_000) / 1e6 for _ in range(400)]
    out += [round(v, 2) for v in out[-400:]]
    out += [(next(g) % 200_000) / 1000 + 0.005 for _ in range(200)]
    return out


def reprs():
    g = splitmix64(11)
    out = list(numbers())
    out += [2.0**e for e in range(-1074, 1024)]
    while len(out) < 6000:
        v = struct.unpack("<d", struct.pack("<Q", next(g)))[0]
        if math.isfinite(v):
            out.append(v)
    return out


def script_lines():
    """As the script's print_report does it."""
    out = []
    for n in (1, 2, 3, 10, 100, 101, 255, 256, 2001, 10050):
        diff = np.array(sample(n, n + 5, 0))
        table = {p: round(1000 * float(np.percentile(diff, p)), 1) for p in (10, 25, 50, 75, 90)}
        out.append(f"{n} {n + 5} Median latency: {round(np.median(diff) * 1000, 2)}ms")
        out.append(f"{n} {n + 5} Latency percentiles {table}")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    args = parser.parse_args()
    out = [f"# numpy {np.__version__}; made by tools/reference/make_stats.py"]
    samples(out)
    for v in numbers():
        for digits in (1, 2):
            out.append(f"round {v.hex()} {digits} {float(np.round(np.float64(v), digits)).hex()} "
                       f"{float(round(v, digits)).hex()}")
            out.append(f"fixed {v.hex()} {digits} {v:.{digits}f}")
    for v in reprs():
        out.append(f"repr {v.hex()} {v!r}")
    for name, lines in (("vectors.txt", out), ("script.txt", script_lines())):
        with open(os.path.join(args.folder, name), "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
