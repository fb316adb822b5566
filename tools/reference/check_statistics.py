#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Computes the figures of a record's summary again from its raw time stamps, with NumPy and SciPy
and nothing of the program, and holds them against the file: relative error at most 1e-9.

    check_statistics.py RECORD.json...           compare; exit code 1 when something differs
    check_statistics.py RECORD.json --write FILE store the figures, for tests without SciPy

Not computed here: changepoints and the samples of the gap test, which SciPy has no counterpart of
(tests/unit/test_stats_acceptance.c); the gap itself is."""
import json
import math
import sys

TOLERANCE = 1e-9
STANDARD = [50, 90, 95, 99, 99.9]


def name(q):
    return "p%d" % q if q == int(q) else "p" + repr(q)


def needs(q):
    p = q / 100
    return math.inf if not 0 < p < 1 else math.ceil(math.log(0.025) / math.log(max(p, 1 - p)))


class Rng:
    """xoshiro256** seeded by splitmix64, as its authors publish it."""
    MASK = (1 << 64) - 1

    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & self.MASK
            z = seed
            z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & self.MASK
            z = (z ^ z >> 27) * 0x94D049BB133111EB & self.MASK
            self.s.append(z ^ z >> 31)

    def u64(self):
        s = self.s
        rotate = lambda x, k: (x << k | x >> (64 - k)) & self.MASK
        out = rotate(s[1] * 5 & self.MASK, 7) * 9 & self.MASK
        t = s[1] << 17 & self.MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotate(s[3], 45)
        return out

    def below(self, bound):
        least = (1 << 64) % bound
        while True:
            x = self.u64()
            if x >= least:
                return x % bound

    def unit(self):
        return (self.u64() >> 11) * 2.0 ** -53


def bootstrap(np, x, rounds, seed):
    """Stationary block bootstrap of the median (Politis & Romano 1994)."""
    n = len(x)
    if n < 20:
        return None
    rng, p_new, found = Rng(seed), 1 / max(10, n ** (1 / 3)), []
    for _ in range(rounds):
        at, drawn = 0, []
        for i in range(n):
            at = rng.below(n) if i == 0 or rng.unit() < p_new else (at + 1) % n
            drawn.append(x[at])
        found.append(np.percentile(drawn, 50))
    return [np.percentile(found, 2.5), np.percentile(found, 97.5)]


def one_run(np, stats, cell, index, asked, seed, rounds):
    run = cell["runs"][index]
    t = np.array(run["stamps_ns"], dtype=np.int64)
    gaps = np.diff(t[1:]) / 1e6
    n = len(gaps)
    position = np.arange(n)
    prefill = run["prefill_done_ns"]
    ttft = (t[1] - t[0]) / 1e6
    out = {"run": index, "ttft_ms": ttft,
           "prefill_ms": (prefill - t[0]) / 1e6 if prefill else ttft,
           "tpot_ms": (t[-1] - t[1]) / 1e6 / n if n else None,
           "e2e_ms": (t[-1] - t[0]) / 1e6}
    if n < 3:
        return out, gaps, n
    line = np.polyfit(position - position.mean(), gaps, 1)
    rest = gaps - np.polyval(line, position - position.mean())
    rest -= rest.mean()
    lag1 = float((rest[:-1] * rest[1:]).sum() / (rest ** 2).sum()) if (rest ** 2).sum() else None
    effective = min(n, max(1, n * (1 - lag1) / (1 + lag1))) if lag1 is not None else n
    median = np.median(gaps)
    q1, q3 = np.percentile(gaps, [25, 75])
    iqr = q3 - q1
    itl = {"n": n, "min": gaps.min(), "max": gaps.max(), "mean": gaps.mean(),
           "stdev": gaps.std(ddof=1), "iqr": iqr,
           "mad": 1.4826 * np.median(np.abs(gaps - median))}
    for q in asked:
        itl[name(q)] = np.percentile(gaps, q) if effective >= needs(q) else None
    out["itl_ms"] = itl
    out["longest"] = {"token": int(gaps.argmax()) + 2, "ms": gaps.max(), "medians": gaps.max() / median}
    out["slow_share"] = gaps[gaps > 2 * median].sum() / gaps.sum()
    out["dependence"] = {"lag1": lag1, "n_effective": effective,
                         "p50_interval_ms": bootstrap(np, list(gaps), rounds, seed)}
    if n <= 2000:
        slope, intercept, low, high = stats.theilslopes(gaps, position, 0.95)
        first = cell["asked"]["n_depth"] + len(cell["prompt_ids"]) + 1
        context = first + position
        residual = gaps - slope * (position - (n - 1) / 2)
        bins, k = [], 0
        while 2 ** k <= context[-1]:
            inside = gaps[(context >= 2 ** k) & (context < 2 ** (k + 1))]
            if len(inside):
                bins.append({"from": int(max(first, 2 ** k)), "n": len(inside),
                             "to": int(min(context[-1] + 1, 2 ** (k + 1))),
                             "median_ms": np.median(inside)})
            k += 1
        out["trend"] = {"slope_ns": slope * 1e6, "slope_interval_ns": [low * 1e6, high * 1e6],
                        "intercept_ms": intercept,
                        "percent_per_1000": 1e5 * slope / (intercept + slope * (n - 1) / 2),
                        "residual_p50_ms": np.percentile(residual, 50),
                        "residual_p99_ms": np.percentile(residual, 99) if effective >= needs(99) else None,
                        "bins": bins}
    far = lambda x: max(x - (q3 + 1.5 * iqr), (q1 - 1.5 * iqr) - x)
    out["outliers"] = {"severe_low": int((gaps < q1 - 3 * iqr).sum()),
                       "severe_high": int((gaps > q3 + 3 * iqr).sum()),
                       "mild_low": int(((gaps < q1 - 1.5 * iqr) & (gaps >= q1 - 3 * iqr)).sum()),
                       "mild_high": int(((gaps > q3 + 1.5 * iqr) & (gaps <= q3 + 3 * iqr)).sum())}
    out["outliers"]["usual"] = n - sum(out["outliers"].values())
    out["outliers"]["listed"] = [{"ms": g} for g in sorted((g for g in gaps if far(g) > 0), key=far,
                                                           reverse=True)[:32]]
    return out, gaps, effective


def t_interval(np, stats, x):
    if len(x) < 5:
        return None
    logs = np.log(x)
    half = stats.t.ppf(0.975, len(x) - 1) * logs.std(ddof=1) / math.sqrt(len(x))
    return [math.exp(logs.mean() - half), math.exp(logs.mean() + half)]


def over_runs(np, stats, x):
    x, n = np.array(x, dtype=float), len(x)
    cv = x.std(ddof=1) / x.mean() if n > 1 else None
    out = {"n": n, "values": list(x), "median": np.median(x), "min": x.min(), "max": x.max(), "cv": cv,
           "geometric_mean": math.exp(np.log(x).mean()) if n >= 5 else None,
           "interval_95": t_interval(np, stats, x),
           "first_excess": x[0] / np.median(x[1:]) - 1 if n >= 3 else None,
           "order": {"slope_per_run": None, "slope_interval": None}}
    if n > 1:
        out["mdd"] = (stats.t.ppf(0.975, 2 * n - 2) + stats.t.ppf(0.8, 2 * n - 2)) * cv * math.sqrt(2 / n)
    if n >= 5:
        slope, _, low, high = stats.theilslopes(x, np.arange(n), 0.95)
        out["order"] = {"slope_per_run": slope, "slope_interval": [low, high]}
    k = 0
    while 2 * stats.binom.cdf(k, n, 0.5) <= 0.05:
        k += 1
    ordered = np.sort(x)
    out["rank_interval_95"] = [ordered[k - 1], ordered[n - k]] if k else None
    return out


def variance(np, groups, ttft, tpot):
    """One-way random effects (Searle, Casella & McCulloch 1992, 3.6)."""
    none = {"within_ms2": None, "between_ms2": None, "between_share": None, "tokens_per_run": None}
    sizes = np.array([len(g) for g in groups], dtype=float)
    total, count = sizes.sum(), len(groups)
    if count < 2 or total <= count or not sizes.all():
        return none
    n0 = (total - (sizes ** 2).sum() / total) / (count - 1)
    means = np.array([g.mean() for g in groups])
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (total - count)
    grand = (sizes * means).sum() / total
    between = max(0, ((sizes * (means - grand) ** 2).sum() / (count - 1) - within) / n0)
    whole = between + within / n0
    tokens = None
    if between > 0 and within > 0:
        best = math.sqrt(ttft / tpot * within / between)
        tokens = max(1, math.ceil(best))
    return {"within_ms2": within, "between_ms2": between,
            "between_share": between / whole if whole else None, "tokens_per_run": tokens}


def of_cell(cell):
    """The part of a cell's summary that this file can compute."""
    import numpy as np
    from scipy import stats
    whole = [i for i, r in enumerate(cell["runs"]) if not r["warmup"] and r["n_tokens"]]
    used = [i for i in whole if not cell["runs"][i]["cancelled"]] or whole
    told = cell["summary"]["statistics"]
    asked = sorted({float(k[1:]) for k in cell["summary"]["itl_ms"] if k[0] == "p"} | set(STANDARD))
    runs = [one_run(np, stats, cell, i, asked, told["seed"], told["bootstrap_rounds"]) for i in used]
    if not runs:
        return {"n_runs": 0}
    column = lambda key: [r[0][key] for r in runs]
    fewest, effective = min(len(r[1]) for r in runs), min(r[2] for r in runs)
    n_seqs = cell["runs"][used[0]]["n_seqs"]
    out = {"n_runs": len(runs)}
    for key in ("ttft_ms", "prefill_ms", "tpot_ms"):
        out[key] = np.median(column(key)) if None not in column(key) else None
    out["prefill_tok_s"] = n_seqs * len(cell["prompt_ids"]) * 1000 / out["prefill_ms"]
    out["e2e_tok_s"] = n_seqs * np.median([cell["runs"][i]["n_tokens"] * 1e3 / r[0]["e2e_ms"]
                                           for i, r in zip(used, runs)])
    intervals = {"ttft_ms": t_interval(np, stats, column("ttft_ms")),
                 "prefill_ms": t_interval(np, stats, column("prefill_ms"))}
    over = {k: over_runs(np, stats, column(k)) for k in ("ttft_ms", "prefill_ms", "e2e_ms")}
    told_out = {"per_run": [r[0] for r in runs], "over_runs": over}
    if fewest:
        gaps = np.concatenate([r[1] for r in runs])
        out["decode_tok_s"] = n_seqs * 1000 / out["tpot_ms"]
        intervals["tpot_ms"] = t_interval(np, stats, column("tpot_ms"))
        over["tpot_ms"] = over_runs(np, stats, column("tpot_ms"))
        itl = {"n": fewest, "n_effective": effective, "min": gaps.min(), "max": gaps.max(), "mean": gaps.mean()}
        pooled = {}
        for q in asked:
            values = [np.percentile(r[1], q) for r in runs]
            good = effective >= needs(q)
            itl[name(q)] = np.median(values) if good else None
            pooled[name(q)] = np.percentile(gaps, q) if effective * len(runs) >= needs(q) else None
            if good:
                intervals["itl_%s_ms" % name(q)] = t_interval(np, stats, values)
            if good and q in (50, 99):
                over["itl_%s_ms" % name(q)] = over_runs(np, stats, values)
        out["itl_ms"] = itl
        told_out["pooled_itl_ms"] = pooled
        told_out["variance"] = variance(np, [r[1] for r in runs], out["ttft_ms"], out["tpot_ms"])
    out["interval_95"] = intervals
    out["statistics"] = told_out
    return json.loads(json.dumps(out, default=float))


def compare(want, got, where=""):
    """Every figure of want against got; yields what differs, and counts figures in compare.n."""
    if isinstance(want, dict):
        for key, value in want.items():
            if not isinstance(got, dict) or key not in got:
                yield f"{where}/{key}: missing"
            else:
                yield from compare(value, got[key], f"{where}/{key}")
    elif isinstance(want, list):
        if not isinstance(got, list) or len(got) != len(want):
            yield f"{where}: {got!r}, expected {len(want)} values"
        else:
            for i, value in enumerate(want):
                yield from compare(value, got[i], f"{where}/{i}")
    else:
        compare.n += 1
        if want is None or isinstance(want, str) or got is None:
            if want != got:
                yield f"{where}: {got!r}, expected {want!r}"
        elif abs(want - got) > TOLERANCE * max(abs(want), abs(got)) + scale(where):
            yield f"{where}: {got!r}, expected {want!r}"


def scale(where):
    """Differences of large numbers: 1e-9 of a millisecond, in the unit of the figure."""
    if where.endswith(("_ns",)) or "slope_interval_ns" in where:
        return 1e-6
    return 1e-12


compare.n = 0


def main(paths, write):
    bad = 0
    stored = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        for number, cell in enumerate(record["cells"]):
            want = of_cell(cell)
            stored.append(want)
            for fault in compare(want, cell["summary"], f"{path} cell {number}"):
                print(fault)
                bad += 1
    if write:
        with open(write, "w", encoding="utf-8") as file:
            json.dump(stored, file, indent=1)
            file.write("\n")
    print(f"{len(paths)} records, {compare.n} figures, {bad} differ")
    return 1 if bad else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    target = None
    if "--write" in arguments:
        at = arguments.index("--write")
        target = arguments[at + 1]
        del arguments[at:at + 2]
    sys.exit(main(arguments, target))
