# SPDX-License-Identifier: MIT
"""Results -> one Markdown table for each case. A run's figure is its median; a row's is the median of its runs. A
ratio is of time per token against the first row of the case, paired by round (stats.py), above 1: slower."""
from shapes import CASES, ROWS
from stats import median, ratio

HEAD = ("| program | weights | runs | ms/token | prefill tok/s | GB/s | % of probe | peak MiB | load s | ms/token, of ours "
        "| prefill rate, of ours | state |\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n")
NEAR_NS = 120  # as IB_PING_NEAR_NS


def itl_ms(r):
    t = r["stamps_ns"]
    return median([(b - a) / 1e6 for a, b in zip(t[1:], t[2:])])


def prefill_rate(r):
    return CASES[r["case"]][1] / ((r["stamps_ns"][1] - r["stamps_ns"][0]) / 1e9)


def state(r):
    pings = [p for x in ("probe", "probe_after") for p in (r[x]["ping_before_ns"], r[x]["ping_after_ns"]) if p]
    names = {"NEAR" if p < NEAR_NS else "FAR" for p in pings}
    return names.pop() if len(names) == 1 else "changed"


def roof(r):
    return median([r["probe"]["read_gbps"], r["probe_after"]["read_gbps"]])


def against(first, rows, figure):
    """Ratio of the rounds that both have, as text."""
    a, b = {r["round"]: r for r in first}, {r["round"]: r for r in rows}
    both = sorted(set(a) & set(b))
    if not both or first is rows:
        return "1" if first is rows else "-"
    point, low, high = ratio([figure(a[k]) for k in both], [figure(b[k]) for k in both],
                             [a[k]["order"] for k in both], [b[k]["order"] for k in both])
    if low is None or high is None:
        return f"{point:.2f} (too few rounds for an interval)"
    return f"{point:.2f} ({low:.2f} to {high:.2f})"


def line(program, label, rows, first):
    errors = [r["error"] for r in rows if r["error"]]
    rows = first if rows is first else [r for r in rows if not r["error"]]
    if errors or not rows:
        why = errors[-1].replace("|", "/") if errors else "not run"
        return f"| {program} | {label} | {len(rows)} | does not run: {why} ||||||||||\n"
    rate = median([r["bytes_per_token"] / itl_ms(r) / 1e6 for r in rows])
    share = median([r["bytes_per_token"] / itl_ms(r) / 1e6 / roof(r) for r in rows])
    states = [state(r) for r in rows]
    counts = ", ".join(f"{states.count(s)} {s}" for s in ("NEAR", "FAR", "changed") if s in states)
    return (f"| {program} | {label} | {len(rows)} | {median([itl_ms(r) for r in rows]):.2f} "
            f"| {median([prefill_rate(r) for r in rows]):.1f} | {rate:.1f} | {share * 100:.0f} "
            f"| {median([r['vm_hwm_bytes'] for r in rows]) / 2**20:.0f} | {median([r['load_ns'] for r in rows]) / 1e9:.2f} "
            f"| {against(first, rows, itl_ms)} | {against(first, rows, prefill_rate)} | {counts} |\n")


def table(results):
    out = ""
    for case, (_, n_prompt, n) in CASES.items():
        mine = [r for r in results if r["case"] == case]
        if not mine:
            continue
        out += f"### {case}: {n_prompt} prompt ids, {n} new tokens, {mine[0]['threads']} threads\n\n{HEAD}"
        first = [r for r in mine if (r["program"], r["label"]) == ROWS[case][0][:2] and not r["error"]]
        for i, (program, label, _) in enumerate(ROWS[case]):
            rows = first if i == 0 else [r for r in mine if (r["program"], r["label"]) == (program, label)]
            out += line(program, label, rows, first)
        out += "\n"
    return out
