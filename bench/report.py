#!/usr/bin/env python3
"""Judges results of quantal_bench against cases.json.

    build/bench/bin/quantal_bench --benchmark_out=r.json && bench/report.py r.json --gate bench/cases.json
    bench/report.py --run build/bench/bin/quantal_bench [--filter RE] --gate bench/cases.json

Per row: time, share of the machine's limit, ratio to the best right-answering peer (its time / ours; above 1 we are
faster) with a 95 % interval, verdict. Per family the geometric mean of the ratios. A list
(sum_ratio) compares sums of times over its rows. Sample i of every row is from round i, so ratios are taken within a
round and their median is stated; the interval is that of order statistics (no distribution assumed).

Shares: median speed over the limit's median speed, both from slices of the same run in the same regime (SMT neighbour
idle: `quiet`, or `busy`; quantal_bench tags each slice). A gate asks for the quiet one, and for the busy one where it has
`share_busy` or nothing was quiet. `of best` is the median of all slices over the limit's best slice.

Peers whose outputs differ from the integer reference (counter `wrong`) are named but never count. "not judged": the
row was not measured (this CPU has no such ISA, or another run measures it) or has too few samples, and says which.
Exit code: 0 nothing failed, 1 a row failed, 2 bad usage.
"""
import argparse
import json
import math
import subprocess
import sys
import tempfile
from statistics import median

NOT_JUDGED = "not judged"


def interval(samples):
    """95 % interval of the median: the order statistics whose binomial coverage first reaches 95 %."""
    s, n = sorted(samples), len(samples)
    for k in range(n // 2, -1, -1):
        outside = sum(math.comb(n, i) for i in range(k)) / 2 ** n
        if 2 * outside <= 0.05:
            return s[k - 1] if k else s[0], s[n - k] if k else s[-1]
    return s[0], s[-1]


class Row:
    def __init__(self, name):
        self.name, self.samples, self.regimes, self.wrong, self.checked, self.label, self.rate = name, {}, {}, 0, 0, "", 0.0


def read(paths):
    """name -> Row; later files replace earlier ones (a row is measured in one run, hence compared within one run)."""
    rows, isas = {}, set()
    for path in paths:
        with open(path) as f:
            data = json.load(f)
        isas.add(data["context"].get("isa", ""))
        fresh = {}
        for b in data["benchmarks"]:
            if b.get("run_type", "iteration") != "iteration" or b.get("error_occurred"):
                continue
            r = fresh.setdefault(b["name"], Row(b["name"]))
            unit = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[b["time_unit"]]
            if not b.get("preempted"):
                index = b.get("repetition_index", 0)
                r.samples[index] = b["real_time"] * unit
                r.regimes[index] = b.get("regime")
            r.wrong, r.checked, r.label = int(b.get("wrong", 0)), int(b.get("checked", 0)), b.get("label", "")
            for counter, scale in (("GOPS", 1e9), ("GBps", 1e9)):
                if counter in b:
                    r.rate = b[counter] * scale * b["real_time"] * unit  # operations or bytes of one call
        for r in fresh.values():
            r.run = fresh  # its peers and limits are those of the same run
        rows.update(fresh)
    return rows, isas


def peers_of(rows, name, right=True):
    prefix = name + "/peer:"
    return {n[len(prefix):]: r for n, r in rows[name].run.items() if n.startswith(prefix) and (r.wrong == 0) == right}


# Rows beside a case that are no library: only a gate that names them judges by them.
NO_PEERS = ("memcpy", "copy_loop", "two_steps", "fp32_rne")


def ratio_samples(ours, other):
    return [other.samples[i] / ours.samples[i] for i in sorted(ours.samples) if i in other.samples]


class Result:
    def __init__(self, gate, name):
        self.gate, self.name, self.verdict, self.why = gate, name, NOT_JUDGED, []
        self.time = self.rate = self.of_best = self.ratio = self.low = self.high = None
        self.shares = {}  # regime -> share; "any" where too few slices of one regime were measured
        self.peer = ""
        self.wrong_peers, self.undecided = [], False

    def judge(self, good, text):
        if not good:
            self.verdict = "FAIL"
            self.why.append(text)
        elif self.verdict == NOT_JUDGED:
            self.verdict = "pass"


def judge_row(rows, gate, name, cases):
    out = Result(gate["id"], name)
    row = rows.get(name)
    if row is None:
        out.why.append("not measured")
        return out
    out.wrong_peers = sorted(peers_of(rows, name, right=False))
    if len(row.samples) < cases["min_samples"]:
        out.why.append(f"{len(row.samples)} clean samples, {cases['min_samples']} needed")
        return out
    out.time = median(row.samples.values())
    out.rate = row.rate / out.time if row.rate else None
    out.judge(row.wrong == 0, f"{row.wrong} of {row.checked} outputs wrong")
    if "share" in gate:
        limit = row.run.get(gate["limit"])
        if limit is None or not limit.samples:
            out.undecided = True
            out.why.append(f"{gate['limit']} not measured in this run")
        else:
            judge_share(out, row, limit, gate, cases["min_samples"])
    if "max_us" in gate:
        out.judge(out.time * 1e6 <= gate["max_us"], f"{out.time * 1e6:.3f} us, {gate['max_us']} allowed")
    if "min_gbps" in gate:
        out.judge(out.rate >= gate["min_gbps"] * 1e9, f"{out.rate / 1e9:.2f} GB/s, {gate['min_gbps']} needed")
    peers = peers_of(rows, name)
    if "ratio_to" in gate:
        peers = {p: r for p, r in peers.items() if p in gate["ratio_to"]}
    else:
        peers = {p: r for p, r in peers.items() if p not in NO_PEERS}
    candidates = {p: s for p, r in peers.items() if len(s := ratio_samples(row, r)) >= cases["min_samples"]}
    if candidates:
        out.peer = min(candidates, key=lambda p: median(candidates[p]))
        out.ratio = median(candidates[out.peer])
        out.low, out.high = interval(candidates[out.peer])
        needed = gate.get("ratio", cases["min_ratio"])  # a list's sum_ratio asks its rows for no more than any row
        out.judge(out.ratio >= needed, f"{out.ratio:.3f}x {out.peer}, {needed} needed")
    elif "ratio" in gate or "ratio_to" in gate or "sum_ratio" in gate:
        out.undecided = True
        out.why.append("no right-answering peer was measured")
    if out.undecided and out.verdict == "pass":  # what could be judged is good, but not all could
        out.verdict = NOT_JUDGED
    return out


REGIMES = {"quiet": 1, "busy": 0}  # counter `regime`


def judge_share(out, row, limit, gate, min_samples):
    def share(of_row, of_limit):
        return weight(row, gate) / of_row / (limit.rate / of_limit)

    out.of_best = share(out.time, min(limit.samples.values()))
    for regime, tag in REGIMES.items():
        ours, theirs = ([t for i, t in r.samples.items() if r.regimes[i] == tag] for r in (row, limit))
        if min(len(ours), len(theirs)) >= min_samples:
            out.shares[regime] = share(median(ours), median(theirs))
    if not out.shares:
        out.shares["any"] = share(out.time, median(limit.samples.values()))
    for regime, value in out.shares.items():
        needed = gate["share"] if regime != "busy" else gate.get("share_busy", gate["share"] if len(out.shares) == 1 else None)
        if needed is not None:
            out.judge(value >= needed, f"{value:.1%} of {gate['limit']} ({regime}), {needed:.0%} needed")


def weight(row, gate):
    """What a row does per call in the limit's unit: a product read from memory is judged by its weights' bytes."""
    if "read" not in gate["limit"]:
        return row.rate
    m, n, k = (int(x) for x in row.name.split("/")[-1].split("x"))
    return n * k


def judge_list(rows, gate, family, names, cases):
    """The sum of the times of all rows, per round, against the peer with the smallest sum."""
    out = Result(gate["id"], f"{'/'.join(names[0].split('/')[:-1])}/[{gate['shapes']}]")
    ours = [rows.get(n) for n in names]
    if any(r is None for r in ours):
        out.why.append(f"{sum(r is None for r in ours)} of {len(names)} rows not measured")
        return out
    rounds = set.intersection(*(set(r.samples) for r in ours))
    totals = {i: sum(r.samples[i] for r in ours) for i in rounds}
    if len(totals) < cases["min_samples"]:
        # A preempted sample of one row must not cost the round of all: medians of each row instead.
        totals = {i: sum(r.samples.get(i, median(r.samples.values())) for r in ours) for i in range(cases["min_samples"])} \
            if all(len(r.samples) >= cases["min_samples"] for r in ours) else {}
    if not totals:
        out.why.append("too few clean samples")
        return out
    out.time = median(totals.values())
    out.rate = sum(r.rate for r in ours) / out.time
    best = None
    for peer in sorted({p for n in names for p in peers_of(rows, n)}):
        theirs = [peers_of(rows, n).get(peer) for n in names]
        if any(r is None or not r.samples for r in theirs):
            continue
        ratios = [sum(r.samples.get(i, median(r.samples.values())) for r in theirs) / t for i, t in totals.items()]
        if best is None or median(ratios) < median(best[1]):
            best = (peer, ratios)
    if best is None:
        out.why.append("no right-answering peer measured every row")
        return out
    out.peer, out.ratio, (out.low, out.high) = best[0], median(best[1]), interval(best[1])
    out.judge(out.ratio >= gate["sum_ratio"], f"{out.ratio:.3f}x {out.peer} for the list, {gate['sum_ratio']} needed")
    return out


def judge(rows, cases, isa=None):
    results, seen = [], set()
    for gate in cases["gates"]:
        if isa and gate.get("isa", isa) != isa:
            continue
        for family in gate["families"]:
            middle = f"{gate['isa']}/" if "isa" in gate else ""
            names = [f"{family}/{middle}{shape}" for shape in cases["shapes"][gate["shapes"]]]
            if family in ("overhead", "pack", "pack_rows"):  # one gate for every ISA
                measured = sorted({n.split("/")[1] for n in rows if n.startswith(family + "/")}) or [isa or "<isa>"]
                names = [f"{family}/{i}/{shape}" for i in measured for shape in cases["shapes"][gate["shapes"]]]
            for name in names:
                key = (name, "ratio_to" in gate)
                if key not in seen:
                    seen.add(key)
                    results.append(judge_row(rows, gate, name, cases))
            if "sum_ratio" in gate:
                results.append(judge_list(rows, gate, family, names, cases))
    return results


def geometric_means(results):
    families = {}
    for r in results:
        if r.ratio and "[" not in r.name and r.peer not in NO_PEERS:
            families.setdefault("/".join(r.name.split("/")[:-1]), []).append(r.ratio)
    return {f: (math.exp(sum(map(math.log, v)) / len(v)), len(v)) for f, v in families.items()}


def figure(value, form):
    return "" if value is None else format(value, form)


def time_text(seconds):
    if seconds is None:
        return ""
    return f"{seconds * 1e6:.3f} us" if seconds < 1e-5 else f"{seconds * 1e6:.1f} us" if seconds < 1e-2 else f"{seconds * 1e3:.2f} ms"


def table(results, markdown):
    head = ["row", "time", "G/s", "share quiet", "busy", "of best", "ratio", "interval", "best right peer", "wrong peers", "verdict"]
    lines = []
    for r in results:
        if r.verdict == NOT_JUDGED and markdown and r.time is None:
            continue
        quiet = figure(r.shares.get("quiet"), ".1%") or ("any: " + figure(r.shares["any"], ".1%") if "any" in r.shares else "")
        lines.append([r.name, time_text(r.time), figure(r.rate and r.rate / 1e9, ".1f"), quiet,
                      figure(r.shares.get("busy"), ".1%"), figure(r.of_best, ".1%"), figure(r.ratio, ".2f"),
                      "" if r.low is None else f"{r.low:.2f}-{r.high:.2f}", r.peer, " ".join(r.wrong_peers),
                      r.verdict + (f": {'; '.join(r.why)}" if r.why else "")])
    if markdown:
        return "\n".join(["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
                         + ["| " + " | ".join(line) + " |" for line in lines])
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head) - 1)] + [0]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in [head, *lines])


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("results", nargs="*", help="JSON files written by quantal_bench")
    a.add_argument("--gate", required=True, metavar="CASES", help="cases.json")
    a.add_argument("--run", metavar="BENCH", help="run this quantal_bench first")
    a.add_argument("--filter", default="", help="with --run: only these rows (limits are always measured)")
    a.add_argument("--isa", help="judge the gates of this ISA only")
    a.add_argument("--markdown", action="store_true")
    o = a.parse_args()
    results = list(o.results)
    if o.run:
        out = tempfile.NamedTemporaryFile(suffix=".json", delete=False).name
        pattern = [f"--benchmark_filter=limit/|{o.filter}"] if o.filter else []
        subprocess.run([o.run, f"--benchmark_out={out}", *pattern], check=True, stdout=subprocess.DEVNULL)
        results.append(out)
    if not results:
        a.error("name result files, or --run BENCH")
    with open(o.gate) as f:
        cases = json.load(f)
    rows, isas = read(results)
    judged = judge(rows, cases, o.isa)
    print(table(judged, o.markdown))
    print()
    for limit in sorted(n for n in rows if n.startswith("limit/")):
        r = rows[limit]
        if r.samples:
            medians = [f"{regime} {r.rate / median(times) / 1e9:.1f} ({len(times)} slices)" for regime, tag in REGIMES.items()
                       if (times := [t for i, t in r.samples.items() if r.regimes[i] == tag])]
            best = f"best {r.rate / min(r.samples.values()) / 1e9:.1f}"
            print(("- " if o.markdown else "") + f"{limit}, G/s: {', '.join([*medians, best])}")
    for family, (mean, count) in geometric_means(judged).items():
        print(("- " if o.markdown else "") + f"geometric mean of the ratios, {family}: {mean:.2f} ({count} rows)")
    counts = {v: sum(r.verdict == v for r in judged) for v in ("pass", "FAIL", NOT_JUDGED)}
    print(f"{counts['pass']} passed, {counts['FAIL']} failed, {counts[NOT_JUDGED]} not judged"
          f" (measured: {', '.join(sorted(isas))})")
    return 1 if counts["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
