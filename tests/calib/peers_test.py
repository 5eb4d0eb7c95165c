#!/usr/bin/env python3
"""Compares calibration with the tools themselves on seeded random inputs.

  peers_test.py DRIVER onnxruntime     onnxruntime.quantization.calibrate.HistogramCollector; scipy for TensorRT's entropy
  peers_test.py DRIVER torch           torch.ao.quantization observers (Debian's python3-torch)
  peers_test.py DRIVER numpy           Python's integers: the exact sums of x and x^2

Exit 77: the tool is not installed. Equal means equal bits of float32 unless a line says otherwise.
"""
import contextlib
import io
import struct
import subprocess
import sys

import numpy as np

GRID = {"aligned": 0, "onnxruntime": 1, "onnxruntime_absolute": 2, "torch": 3, "torch_1": 4}
failures = passes = 0


class Cases:
    """Cases for one run of the driver."""

    def __init__(self, driver):
        self.driver, self.blob = driver, []

    def add(self, name, batches, grid="aligned", bins=0, quantized_bins=128, symmetric=0, channels=0, percentile=99.999, averaging=0.01, stddev=2.0):
        self.blob.append(struct.pack("<32s6i3d", name.encode(), GRID[grid], bins, quantized_bins, symmetric, channels, len(batches), percentile, averaging, stddev))
        for b in batches:
            self.blob.append(struct.pack("<I", b.size) + b.astype("<f4").tobytes())

    def run(self):
        out = subprocess.run([self.driver], input=b"".join(self.blob), stdout=subprocess.PIPE, check=True).stdout.decode()
        rows = []
        for line in out.splitlines():
            if line.startswith(("error", "sums")):
                rows.append(line)
                continue
            head, tail = line.split("|")
            f = head.split()
            rows.append(dict(min=float(f[0]), max=float(f[1]), candidates=int(f[2]), bins=int(f[3]), dropped=int(f[4]), weighted=int(f[5]), mean=float(f[6]),
                             deviation=float(f[7]), avg_max=float(f[8]), channels=[float(v) for v in tail.split()]))
        return rows


def report(name, equal, total, note="", least=None):
    global failures, passes
    ok = equal >= (total if least is None else least)
    failures, passes = failures + (not ok), passes + ok
    print(f"{'ok  ' if ok else 'FAIL'} {name}: {equal} of {total} inputs equal{note}")


def batches(rng, most=4):
    """Batches of one tensor: normal, Laplace, uniform or one-sided, shifted, of growing and shrinking size."""
    kind, count, scale = rng.integers(5), int(rng.integers(1, most + 1)), float(np.exp(rng.uniform(-6, 6)))
    shift = float(rng.normal()) if rng.integers(3) == 0 else 0.0
    out = []
    for _ in range(count):
        n = int(rng.integers(40, 1500))
        x = [rng.normal(size=n), rng.laplace(size=n), rng.uniform(-1, 1, n), np.abs(rng.normal(size=n)), np.maximum(rng.laplace(size=n), 0)][kind]
        out.append(((x + shift) * scale * rng.uniform(0.3, 1.5)).astype(np.float32))
    return out


def same(row, low, high):
    return isinstance(row, dict) and np.float32(row["min"]) == np.float32(low) and np.float32(row["max"]) == np.float32(high)


def tensorrt_entropy(counts, levels, start=128):
    """pytorch-quantization's _compute_amax_entropy over a magnitude histogram: the number of bins kept."""
    from scipy.stats import entropy
    bins = counts.astype(np.float64).copy()
    bins[0] = bins[1]
    divergences = []
    for i in range(start, len(bins) + 1):
        group = np.digitize(np.arange(i), np.linspace(0, i, num=levels + 1)) - 1
        filled = bins[:i] != 0
        sums = np.bincount(group[filled], weights=bins[:i][filled], minlength=levels)
        sizes = np.bincount(group[filled], minlength=levels)
        spread = np.where(filled, (sums / np.maximum(sizes, 1))[group], 0.0)
        reference = bins[:i].copy()
        reference[-1] += bins[i:].sum()
        divergences.append(entropy(reference, spread) if spread.sum() > 0 else np.inf)
    d = np.array(divergences)
    return start + len(d) - 1 - int(np.argmin(d[::-1])), d


def against_onnxruntime(driver):
    from onnxruntime.quantization import calibrate
    from onnxruntime.quantization.calibrate import HistogramCollector
    divergences, entropy, smooth, smoothed = [], calibrate.entropy, calibrate.smooth_distribution, []

    def remembered(p, q):
        divergences.append(float(entropy(p, q)))
        return divergences[-1]

    def remembered_smooth(p):  # called for p, then for q; None of either is an infinite divergence
        smoothed.append(smooth(p))
        if len(smoothed) == 2:
            if smoothed[0] is None or smoothed[1] is None:
                divergences.append(np.inf)
            smoothed.clear()
            return smooth(p)
        return smoothed[-1]

    calibrate.entropy, calibrate.smooth_distribution = remembered, remembered_smooth
    rng = np.random.default_rng(2026)

    def collected(method, symmetric, bins, quantized, percentile, data):
        c = HistogramCollector(method=method, symmetric=symmetric, num_bins=bins, num_quantized_bins=quantized, percentile=percentile, scenario="same")
        with contextlib.redirect_stdout(io.StringIO()):
            for b in data:
                c.collect({"x": b})
            return c.compute_collection_result()["x"], c.get_histogram_dict()["x"]

    for symmetric in (True, False):
        cases, expected = Cases(driver), []
        for _ in range(1000):
            data, bins = batches(rng), int(rng.integers(16, 2049))
            percentile = float(rng.choice([50, 90, 99, 99.9, 99.99, 99.999, 100]))
            result, histogram = collected("percentile", symmetric, bins, 128, percentile, data)
            expected.append((result, histogram))
            cases.add("percentile_symmetric" if symmetric else "percentile", data, "onnxruntime_absolute" if symmetric else "onnxruntime", bins, percentile=percentile)
        rows = cases.run()
        name = "percentile symmetric" if symmetric else "percentile asymmetric"
        weights = [int((np.arange(1, h[0].size + 1) * h[0]).sum()) for _, h in expected]
        report(f"onnxruntime {name} range", sum(same(r, *e[0][:2]) for r, e in zip(rows, expected)), 1000)
        report(f"onnxruntime {name} histogram", sum(r["weighted"] == w and r["bins"] == e[1][0].size for r, e, w in zip(rows, expected, weights)), 1000)

    cases, expected = Cases(driver), []
    for _ in range(1000):
        data, quantized = batches(rng, 2), int(rng.choice([16, 32, 64]))
        bins = quantized + 2 * int(rng.integers(0, 40))
        divergences.clear()
        expected.append((*collected("entropy", False, bins, quantized, 99, data), quantized, list(divergences)))
        cases.add("entropy_onnxruntime", data, "onnxruntime", bins, quantized)
    rows = cases.run()
    equal = ties = 0
    for r, (chosen, (counts, edges, low, high, _), quantized, found) in zip(rows, expected):
        middle, first = counts.size // 2, quantized // 2
        if same(r, *chosen[:2]):
            equal += 1
        else:  # another candidate, as good within the noise of its float32 sums
            ties += any(d <= min(found) + 1e-5 and same(r, max(edges[middle - i], low), min(edges[min(middle + i + 1, counts.size)], high))
                        for i, d in zip(range(first, middle + 1), found))
    report("onnxruntime entropy range", equal + ties, 1000, f", {ties} of them another candidate within 1e-5 of the least divergence (it sums in float32)")
    report("onnxruntime entropy candidates", sum(r["candidates"] == e[1][0].size // 2 - e[2] // 2 + 1 for r, e in zip(rows, expected)), 1000)

    cases, expected = Cases(driver), []
    for _ in range(1000):
        x = np.concatenate(batches(rng, 3)) * np.float32(rng.choice([1, 30]))
        amax = np.abs(x).max()
        exponent = int(np.frexp(np.float64(amax))[1]) - 8  # 256 bins on each side
        width = 2.0 ** exponent
        counts = np.bincount((np.abs(x.astype(np.float64)) / width).astype(int))
        kept, divergences = tensorrt_entropy(counts, 128) if counts.size >= 128 else (counts.size, None)
        expected.append((min(kept * width, float(amax)), divergences, width, float(x.min()), float(x.max())))
        cases.add("entropy", [x], bins=256, symmetric=1)
    rows = cases.run()
    equal = 0
    for r, (a, d, width, low, high) in zip(rows, expected):
        ours = max(abs(r["min"]), abs(r["max"]))
        hit = same(r, min(max(-a, low), high), max(min(a, high), low))
        if not hit and d is not None:  # a tie to the last bits of double
            i = min(round(ours / width) - 128, d.size - 1)
            hit = 0 <= i < d.size and d[i] <= d.min() + 1e-12
        equal += hit
    report("TensorRT entropy (re-expressed over scipy.stats.entropy)", equal, 1000)


def against_torch(driver):
    import torch
    from torch.ao.quantization import HistogramObserver, MinMaxObserver, MovingAverageMinMaxObserver, PerChannelMinMaxObserver
    rng = np.random.default_rng(2027)

    for name, make in (("minmax", lambda c: MinMaxObserver()), ("moving_average", lambda c: MovingAverageMinMaxObserver(averaging_constant=c))):
        cases, expected = Cases(driver), []
        for _ in range(1000):
            data, c = batches(rng), float(np.float32(rng.uniform(0.001, 0.5)))
            o = make(c)
            for b in data:
                o(torch.from_numpy(b))
            expected.append((float(o.min_val), float(o.max_val)))
            cases.add(name, data, averaging=c)
        report(f"torch {name}", sum(same(r, *e) for r, e in zip(cases.run(), expected)), 1000)

    cases, expected = Cases(driver), []
    for _ in range(1000):
        channels = int(rng.integers(1, 9))
        x = (rng.normal(size=(channels, int(rng.integers(1, 50)))) * np.exp(rng.uniform(-3, 3, (channels, 1)))).astype(np.float32)
        o = PerChannelMinMaxObserver(ch_axis=0)
        o(torch.from_numpy(x))
        expected.append([v for pair in zip(o.min_val.tolist(), o.max_val.tolist()) for v in pair])
        cases.add("minmax", [x.reshape(-1)], channels=channels)
    report("torch per-channel minmax", sum(r["channels"] == e for r, e in zip(cases.run(), expected)), 1000)

    cases, expected, torch_1 = Cases(driver), [], torch.__version__.startswith("1.")
    for _ in range(1000):
        data = batches(rng, 1)
        o = HistogramObserver(bins=256)
        o(torch.from_numpy(data[0]))
        low, high = o._non_linear_param_search()
        expected.append((float(low), float(high), o.histogram.numpy().copy(), float(o.max_val - o.min_val) / 256))
        cases.add("histogram", data, "torch_1" if torch_1 else "torch", 256)
    rows = cases.run()
    weights = [int((np.arange(1, 257) * e[2]).sum()) for e in expected]
    report("torch histogram counts", sum(r["weighted"] == w for r, w in zip(rows, weights)), 1000, " (its bin index is vectorized float32: at least 950)", 950)
    near = sum(abs(r["min"] - e[0]) < 1e-3 * e[3] and abs(r["max"] - e[1]) < 1e-3 * e[3] for r, e in zip(rows, expected))
    report("torch histogram range", near, 1000, " (to a thousandth of a bin; its error is summed in float32: at least 950)", 950)

    cases, expected = Cases(driver), []
    shapes = [(32, 27), (32, 288), (64, 288), (64, 576), (128, 576), (10, 512)]  # the weights of the published ai8x log
    for i in range(1000):
        shape = shapes[i % len(shapes)]
        w = torch.from_numpy((rng.normal(size=shape) * rng.uniform(0.02, 0.2) + rng.normal() * 0.01).astype(np.float32))
        n = float(rng.choice([1, 2, 3]))
        rows_ = w.view(shape[0], -1)
        avg_max = max(rows_.min(1)[0].mean().abs().item(), rows_.max(1)[0].mean().abs().item())
        mean, sigma = w.mean(), w.std(unbiased=True)
        saturation = max(torch.max(w.min(), mean - n * sigma).abs().item(), torch.min(w.max(), mean + n * sigma).abs().item())
        expected.append((avg_max, mean.item(), sigma.item(), saturation))
        cases.add("stddev", [w.numpy().reshape(-1)], channels=-shape[0], stddev=n)
    close = lambda a, b: abs(a - b) <= 1e-6 * max(1.0, abs(b))
    report("torch avg_max, mean, std, STDDEV saturation (to 1e-6) over the layer shapes of the ai8x log",
           sum(close(r["avg_max"], e[0]) and close(r["mean"], e[1]) and close(r["deviation"], e[2]) and close(r["max"], e[3]) for r, e in zip(cases.run(), expected)), 1000)


def against_integers(driver):
    rng = np.random.default_rng(2028)
    cases, expected = Cases(driver), []
    for i in range(1000):
        data = batches(rng)
        if i % 4 == 1:  # any bits: denormals, the whole spread, NaN and infinities
            data = [rng.integers(0, 2 ** 32, size=int(rng.integers(1, 700)), dtype=np.uint32).view(np.float32)]
        if i % 4 == 2:  # alternating, nearly cancelling, with a far tail
            x = np.float32(2.0) ** rng.integers(-60, 60) * (-1) ** np.arange(rng.integers(1, 3000)) * rng.choice([1, 1 + 2 ** -20, 2 ** -30], size=1)
            data = [x.astype(np.float32)]
        finite = [v for b in data for v in b[np.isfinite(b)].astype(np.float64).tolist()]
        units = [int(np.ldexp(v, 100)) << 49 if abs(v) >= 2.0 ** -47 else int(np.ldexp(v, 149)) for v in finite]  # of 2^-149
        expected.append(f"sums {len(units)} {sum(units):x} {sum(u * u for u in units):x}")
        cases.add("moments", data)
    report("sums of x and x^2 as Python's integers", sum(r == e for r, e in zip(cases.run(), expected)), 1000)


def main():
    driver, tool = sys.argv[1:3]
    try:
        __import__(tool)
    except ImportError:
        print(f"skip: {tool} is not installed" + (" (Debian: apt install python3-torch)" if tool == "torch" else ""))
        return 77
    {"torch": against_torch, "onnxruntime": against_onnxruntime, "numpy": against_integers}[tool](driver)
    print(f"tests: {passes} passed, {failures} failed, 0 skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
