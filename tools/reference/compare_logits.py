# SPDX-License-Identifier: MIT
"""Compare logits with a golden: compare_logits.py MINE.npy GOLDEN.npy [--tolerance 1e-4] [--rows]

Prints ||mine - golden|| / ||golden||, the largest absolute difference and where, and the rows whose best token
differs. --rows prints one line per row. Needs NumPy alone. Exit code 1 above the tolerance.
"""
import argparse
import sys

import numpy as np


def measure(mine, golden):
    """(relative norm of the difference, largest absolute difference, its place, rows with another best token)."""
    a, b = mine.astype(np.float64), golden.astype(np.float64)
    d = a - b
    place = np.unravel_index(np.argmax(np.abs(d)), d.shape)
    other = np.nonzero(a.argmax(axis=1) != b.argmax(axis=1))[0]
    return np.linalg.norm(d) / np.linalg.norm(b), float(np.abs(d).max()), place, other


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mine")
    parser.add_argument("golden")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--rows", action="store_true")
    args = parser.parse_args()
    mine, golden = np.load(args.mine), np.load(args.golden)
    if mine.shape != golden.shape or mine.dtype != np.float32:
        sys.exit(f"shape {mine.shape} {mine.dtype}, expected {golden.shape} float32")
    if not np.isfinite(mine).all():
        sys.exit(f"{np.count_nonzero(~np.isfinite(mine))} values are not finite")
    relative, largest, place, other = measure(mine, golden)
    if args.rows:
        for i, (x, y) in enumerate(zip(mine, golden)):
            print(f"row {i:5d}: relative {np.linalg.norm(x - y) / np.linalg.norm(y):.3e}  max {np.abs(x - y).max():.3e}"
                  f"  best {x.argmax()} / {y.argmax()}")
    print(f"relative {relative:.3e}  max {largest:.3e} at row {place[0]} id {place[1]}  "
          f"rows with another best id: {len(other)} {other[:8].tolist()}")
    sys.exit(0 if relative <= args.tolerance else 1)


if __name__ == "__main__":
    main()
