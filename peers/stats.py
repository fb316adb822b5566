# SPDX-License-Identifier: MIT
"""The project's comparison (docs/statistics.md) for pairs of runs: a Theil-Sen line in run order is taken off the
logs, all runs are ranked, the rank sum of B is held against every swap inside pairs; the interval holds the ratios
that this test does not reject."""
import math
from itertools import combinations


def median(v):
    v = sorted(v)
    return (v[(len(v) - 1) // 2] + v[len(v) // 2]) / 2


def detrended(y, order):
    slopes = [(y[j] - y[i]) / (order[j] - order[i]) for i, j in combinations(range(len(y)), 2) if order[i] != order[j]]
    slope = median(slopes) if slopes else 0
    return [v - slope * t for v, t in zip(y, order)]


def ranks(v):
    order, out = sorted(range(len(v)), key=v.__getitem__), [0.0] * len(v)
    i = 0
    while i < len(v):
        j = i
        while j + 1 < len(v) and abs(v[order[j + 1]] - v[order[i]]) <= 1e-12:
            j += 1
        for k in range(i, j + 1):
            out[order[k]] = (i + j) / 2 + 1
        i = j + 1
    return out


def p_value(a, b, order_a, order_b, shift):
    n = len(a)
    r = ranks(detrended(a + [v - shift for v in b], order_a + order_b))
    d = [round(2 * (r[n + i] - r[i])) for i in range(n)]
    observed, counts = abs(sum(d)), {0: 1}
    for x in d:  # every swap changes the sign of one difference
        step = {}
        for s, c in counts.items():
            for t in (s + x, s - x):
                step[t] = step.get(t, 0) + c
        counts = step
    return sum(c for s, c in counts.items() if abs(s) >= observed) / 2 ** n


def ratio(a, b, order_a, order_b, alpha=0.05):
    """B over A of paired runs: (point, low, high); an end is None where the test has too few pairs to find it."""
    a, b = [math.log(v) for v in a], [math.log(v) for v in b]
    if 2 ** (1 - len(a)) > alpha:
        return math.exp(median([y - x for x, y in zip(a, b)])), None, None
    flat = detrended(a + b, order_a + order_b)
    point = median([y - x for x in flat[:len(a)] for y in flat[len(a):]])

    def edge(sign):
        inside, outside = 0.0, 0.01
        while p_value(a, b, order_a, order_b, point + sign * outside) > alpha:
            inside, outside = outside, outside * 2
            if outside > 20:
                return None
        for _ in range(30):
            middle = (inside + outside) / 2
            if p_value(a, b, order_a, order_b, point + sign * middle) > alpha:
                inside = middle
            else:
                outside = middle
        return math.exp(point + sign * outside)

    return math.exp(point), edge(-1), edge(1)
