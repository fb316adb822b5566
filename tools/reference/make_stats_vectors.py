# SPDX-License-Identifier: MIT
"""Answers of SciPy and NumPy for the statistics core -> tests/golden/stats/core.json.

    make_stats_vectors.py OUT

Each case is {"f": function, "in": {...}, "out": [...]}; tests/unit/test_stats_core.c computes "out" again. Where
SciPy has no such function (exact laws with ties, Holm, pair swaps) the answer is counted here one by one, by a
method other than the one under test. Made with SciPy 1.17.1 and NumPy; samples come from a fixed seed.
"""
import itertools
import json
import math
import sys

import numpy as np
from scipy import special, stats

rng = np.random.default_rng(20260401)
cases = []


def put(f, out, **inputs):
    inputs = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in inputs.items()}
    out = [float(v) for v in np.atleast_1d(np.asarray(out, dtype=float))]
    cases.append({"f": f, "in": inputs, "out": [v if math.isfinite(v) else repr(v) for v in out]})


def samples():
    yield 10 + rng.standard_normal(5)
    yield np.exp(rng.standard_normal(40) * 0.1)
    yield rng.integers(1, 6, 25).astype(float)
    yield rng.gamma(2.0, 1e7, 301)
    yield np.full(7, 3.25)


def distributions():
    for a, b, x in [(0.5, 0.5, 0.3), (2, 3, 0.1), (5.5, 0.5, 0.99), (500, 0.5, 0.998), (1000, 20, 0.97), (3, 900, 0.001),
                    (40, 60, 0.4), (1e4, 1e4, 0.501), (0.5, 7, 1e-9)]:
        put("beta_inc", special.betainc(a, b, x), a=a, b=b, x=x)
    for df in (1, 2, 3.7, 9, 18, 98, 1998):
        for t in (-12.0, -2.5, -0.3, 0.0, 1e-4, 1.0, 4.2):
            put("t_cdf", stats.t.cdf(t, df), t=t, df=df)
        for p in (1e-9, 0.0005, 0.025, 0.2, 0.5, 0.8, 0.975, 0.995, 0.9995):
            put("t_quantile", stats.t.ppf(p, df), p=p, df=df)
    for p in (1e-12, 1e-4, 0.025, 0.3, 0.5, 0.75, 0.995):
        put("normal_quantile", stats.norm.ppf(p), p=p)
    for z in (-8.0, -1.96, 0.0, 0.5, 3.0):
        put("normal_cdf", stats.norm.cdf(z), z=z)
    for n, k, p in [(10, 3, 0.5), (100, 95, 0.99), (1000, 982, 0.99), (1000, 996, 0.99), (100000, 49800, 0.5), (36, 35, 0.9)]:
        put("binomial_cdf", stats.binom.cdf(k, n, p), k=k, n=n, p=p)


def one_sample():
    for x in samples():
        m = np.median(x)
        put("mad", np.median(np.abs(x - m)) * 1.4826, x=x)
        put("iqr", stats.iqr(x), x=x)
        put("stdev", [np.std(x), np.std(x, ddof=1)], x=x)
        put("cv", stats.variation(x, ddof=1), x=x)
        put("slow_share", x[x > 2 * m].sum() / x.sum(), x=x)
        put("stall", [x.max(), np.argmax(x), x.max() / m], x=x)
        q1, q3 = np.percentile(x, [25, 75])
        put("fences", [q1 - 3 * (q3 - q1), q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1), q3 + 3 * (q3 - q1)], x=x)
        put("midranks", stats.rankdata(x), x=x)
        line = stats.theilslopes(x, np.arange(len(x)), 0.95)
        put("theil_sen", [line.slope, line.low_slope, line.high_slope, line.intercept], x=x)
        logs = np.log(x)
        half = stats.t.ppf(0.975, len(x) - 1) * stats.sem(logs)
        put("t_log", np.exp([logs.mean(), logs.mean() - half, logs.mean() + half]), x=x)
        if np.ptp(x) > 0:
            d = x - x.mean()
            rho = (d[:-1] * d[1:]).sum() / (d * d).sum()
            put("lag1", [rho, min(len(x), max(1, len(x) * (1 - rho) / (1 + rho)))], x=x)
            put("modified_z", d_over_mad(x), x=x)


def d_over_mad(x):
    m = np.median(x)
    return (x - m) / (1.4826 * np.median(np.abs(x - m)))


def percentile_ranks():
    for n, q, alpha in [(6, 50, 0.05), (5, 50, 0.05), (36, 90, 0.05), (128, 99, 0.05), (368, 99, 0.05), (1000, 99, 0.05),
                        (1000, 50, 0.01), (3688, 99.9, 0.05), (100000, 99.9, 0.05), (72, 95, 0.05)]:
        f = stats.binom.cdf(np.arange(-1, n), n, q / 100)  # f[j] = P(X <= j - 1)
        lo = [j for j in range(1, n + 1) if f[j] <= alpha / 2]
        hi = [j for j in range(1, n + 1) if stats.binom.sf(j - 1, n, q / 100) <= alpha / 2]
        if lo and hi:
            put("percentile_ranks", [1, lo[-1], hi[0], f[hi[0]] - f[lo[-1]]], n=n, q=q, alpha=alpha)
        else:
            put("percentile_ranks", [0, lo[-1] if lo else 0, hi[0] if hi else 0, 0], n=n, q=q, alpha=alpha)


def two_samples():
    yield 10 + rng.standard_normal(5), 11 + rng.standard_normal(5)
    yield 10 + rng.standard_normal(4), 15 + rng.standard_normal(4)
    yield 10 + rng.standard_normal(12), 10.5 + 2 * rng.standard_normal(9)
    yield rng.integers(1, 6, 7).astype(float), rng.integers(2, 8, 6).astype(float)
    yield rng.integers(1, 20, 40).astype(float), rng.integers(1, 22, 33).astype(float)
    yield 10 + rng.standard_normal(60), 10.2 + rng.standard_normal(30)


def mann_whitney(a, b):
    if len(a) + len(b) > 50:
        return stats.mannwhitneyu(b, a, method="asymptotic")
    if len(set(a) | set(b)) == len(a) + len(b):
        return stats.mannwhitneyu(b, a, method="exact")
    ranks = stats.rankdata(np.concatenate([a, b]))
    seen = ranks[len(a):].sum()
    sums = np.array([sum(c) for c in itertools.combinations(ranks, len(b))])
    return seen - len(b) * (len(b) + 1) / 2, min(1, 2 * min((sums <= seen).mean(), (sums >= seen).mean()))


def hodges_lehmann(a, b, alpha):
    diffs = np.sort(np.subtract.outer(b, a).ravel())
    m, n = len(a), len(b)
    if m + n <= 50:  # law of U by the recursion of Mann and Whitney
        table = {}

        def count(i, j, u):
            if u < 0:
                return 0
            if i == 0 or j == 0:
                return int(u == 0)
            if (i, j, u) not in table:
                table[i, j, u] = count(i - 1, j, u - j) + count(i, j - 1, u)
            return table[i, j, u]
        total, below, c = math.comb(m + n, m), 0, 0
        while c < m * n and (below + count(m, n, c)) / total <= alpha / 2:
            below += count(m, n, c)
            c += 1
    else:
        c = max(0, math.floor(m * n / 2 - stats.norm.ppf(1 - alpha / 2) * math.sqrt(m * n * (m + n + 1) / 12)))
    return [np.median(diffs), diffs[c - 1] if c else -math.inf, diffs[m * n - c] if c else math.inf]


def signed_rank(d):
    d = d[d != 0]
    ranks = stats.rankdata(np.abs(d))
    plus = ranks[d > 0].sum()
    if len(d) > 50:
        return plus, stats.wilcoxon(d, method="asymptotic", correction=True).pvalue
    if len(set(np.abs(d))) == len(d):
        return plus, stats.wilcoxon(d, method="exact").pvalue
    sums = np.array([np.dot(s, ranks) for s in itertools.product((0, 1), repeat=len(d))])
    return plus, min(1, 2 * min((sums <= plus).mean(), (sums >= plus).mean()))


def comparisons():
    for a, b in two_samples():
        put("mann_whitney", list(mann_whitney(a, b)), a=a, b=b)
        for alpha in (0.05, 0.01):
            put("hodges_lehmann", hodges_lehmann(a, b, alpha), a=a, b=b, alpha=alpha)
        w = stats.ttest_ind(np.log(b), np.log(a), equal_var=False)
        ci = w.confidence_interval(0.95)
        put("welch_log", [w.statistic, w.pvalue, w.df, np.exp(np.log(b).mean() - np.log(a).mean()), np.exp(ci.low),
                          np.exp(ci.high)], a=a, b=b)
        if a.max() >= b.min():
            bm = stats.brunnermunzel(a, b)
            put("brunner_munzel", [bm.statistic, bm.pvalue], a=a, b=b)
        m = min(len(a), len(b)) if len(set(a)) == len(a) else min(len(a), len(b), 14)  # ties are counted one by one
        put("signed_rank", signed_rank(b[:m] - a[:m]), d=b[:m] - a[:m])
    put("signed_rank", signed_rank(d := rng.standard_normal(70) + 0.2), d=d)
    for a, b in itertools.islice(two_samples(), 4):
        if math.comb(len(a) + len(b), len(b)) <= 20000:
            x = np.concatenate([a, b])
            far = abs(b.mean() - a.mean())
            hits = [abs(x[list(c)].mean() - np.delete(x, list(c)).mean()) >= far - 1e-11
                    for c in itertools.combinations(range(len(x)), len(b))]
            put("permutation", [b.mean() - a.mean(), np.mean(hits)], a=a, b=b)


def pairs():
    """The pair-flip test swap by swap, with SciPy's ranks and lines."""
    for n, effect in [(4, 0.1), (6, 0.02), (8, 0.0), (10, 0.02), (12, 0.01)]:
        first = rng.integers(0, 2, n)
        a, b = np.exp(0.01 * rng.standard_normal(n)), (1 + effect) * np.exp(0.01 * rng.standard_normal(n))
        for ratio in (1.0, 1.01):
            y = np.empty(2 * n)
            at_a, at_b = 2 * np.arange(n) + first, 2 * np.arange(n) + 1 - first
            y[at_a], y[at_b] = np.log(a), np.log(b) - math.log(ratio)
            ranks = stats.rankdata(y - stats.theilslopes(y, np.arange(2 * n)).slope * np.arange(2 * n))
            half = ranks.sum() / 2
            seen = abs(ranks[at_b].sum() - half)
            swaps = np.array(list(itertools.product((0, 1), repeat=n)))
            sums = np.where(swaps, ranks[at_a], ranks[at_b]).sum(axis=1)
            put("pairs", np.mean(np.abs(sums - half) >= seen), a=a, b=b, first=first, ratio=ratio)


def holm():
    for p in ([0.01, 0.04, 0.03, 0.005], [0.2], [0.5, 0.5, 0.01, 0.01], [0.9, 0.001, 0.8]):
        order, best, out = np.argsort(p, kind="stable"), 0.0, [0.0] * len(p)
        for j, i in enumerate(order):
            best = max(best, min(1, (len(p) - j) * p[i]))
            out[i] = best
        put("holm", out, p=p)


def plans():
    for cv, runs, alpha, power in [(0.01, 10, 0.05, 0.8), (0.02, 5, 0.01, 0.9), (0.005, 200, 0.05, 0.8)]:
        df = 2 * runs - 2
        put("mdd", (stats.t.ppf(1 - alpha / 2, df) + stats.t.ppf(power, df)) * cv * math.sqrt(2 / runs), cv=cv, runs=runs,
            alpha=alpha, power=power)
    groups = [rng.standard_normal(k) + 3 * rng.standard_normal() for k in (4, 6, 5, 9)]
    x, sizes = np.concatenate(groups), np.array([len(g) for g in groups])
    f = stats.f_oneway(*groups).statistic
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (len(x) - 4)
    n0 = (len(x) - (sizes ** 2).sum() / len(x)) / 3
    between = max(0, (f * within - within) / n0)
    put("variance_split", [within, between, between / (between + within / n0), n0], x=x, sizes=sizes)


for make in (distributions, one_sample, percentile_ranks, comparisons, pairs, holm, plans):
    make()
with open(sys.argv[1], "w") as out:
    out.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
print(len(cases), "cases")
