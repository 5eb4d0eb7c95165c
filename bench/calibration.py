"""Calibration methods side by side: output SQNR of Quantal's observers and of the same-named methods of public tools.

usage: calibration.py --models DIR --quantal PATH [--only NAME,...] [--markdown FILE] [--memory]

DIR is what get_models.sh makes (model.onnx, calib/*.npz, eval/*.npz per model; a net of one's own works, too). Every method
gets the same calibration samples, quantizes weights to s8 and activations to u8, and ONNX Runtime (one thread,
session.x64quantprecision=1: what a CPU with VNNI computes) judges the files on evaluation data that no method has seen.

  Quantal       statistics are gathered once (--activation-observer histogram) and clipped again by each method; the recipe is the
                type's default (static_int8 corrects biases, per_channel_int8 does not). The column `cut` is the share of observed
                tensors whose range is narrower than MinMax's by more than 1 % of it.
  onnxruntime   quantize_static with CalibrationMethod.MinMax, Entropy and Percentile, at its defaults, and variants its users can only
                reach by patching it: Entropy with 2048 bins, Percentile over both signs (symmetric=False).
                Distribution is defined for float8 only.
  ppq           its MSE rule (2048 bins of [min, max], steps of whole bins, start every 8 bins, error from bin centres), re-expressed over
                onnxruntime's quantizer; source: ppq quantization/observer/range.py, TorchMSEObserver.

onnxruntime's histogram methods need samples of one shape and hold all activations of all samples in memory, so for models
whose samples differ in shape every method gets the first --same-shape samples of the most frequent shape.

--memory instead measures Quantal's peak memory with 8 and with 128 samples at --batch-size 1, per model and method."""
import argparse
import collections
import glob
import json
import os
import shutil
import sys

import numpy as np

from accuracy import feeds, outputs, session, sqnr, task, with_peak

OURS = ["minmax", "entropy", "entropy_onnxruntime", "percentile", "percentile_symmetric", "mse", "histogram", "octav"]
PEERS = ["minmax", "entropy", "entropy2048", "percentile", "percentile_both_signs", "mse"]
NAMES = {"minmax": "onnxruntime MinMax", "entropy": "onnxruntime Entropy", "entropy2048": "onnxruntime Entropy, 2048 bins",
         "percentile": "onnxruntime Percentile", "percentile_both_signs": "onnxruntime Percentile, both signs", "mse": "ppq MSE (re-expressed)"}

PEER = r"""
import glob, os, sys
import numpy as np, onnx, onnx.version_converter
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static, quant_pre_process
from onnxruntime.quantization.calibrate import TensorsData
source, target, calib = (os.path.abspath(a) for a in sys.argv[1:4])
per_channel, method, percentile = sys.argv[4:7]
model = onnx.load(source)
if max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")) < 13:  # per channel needs 13
    source = target + ".opset17.onnx"
    onnx.save(onnx.version_converter.convert_version(model, 17), source)
names = {i.name for i in model.graph.input}
class Reader(CalibrationDataReader):
    def __init__(self): self.files = iter(sorted(glob.glob(calib + "/*.npz")))
    def get_next(self):
        f = next(self.files, None)
        if f is None: return None
        with np.load(f) as z: return {k: z[k] for k in z.files if k in names}

def ppq_mse(counts, edges, low, high, levels=256, bins=2048, interval=8):
    centres, width = (edges[1:] + edges[:-1]) / 2, (high - low) / bins
    if not width > 0: return low, high
    h = np.bincount(np.clip((centres - low) / width, 0, bins - 1).astype(int), weights=counts, minlength=bins)
    k = np.arange(bins)
    def loss(start, step, end):
        left = (k - start) % step
        right = step - left - 1
        inside = np.where(left == right, left + 0.25, np.minimum(left, right) + 0.5)
        return (h * np.where(k < start, start - k - 0.5, np.where(k > end, k - end + 0.5, inside)) ** 2).sum()
    best = (loss(0, bins // levels + 1, levels * (bins // levels + 1)), 0, levels * (bins // levels + 1))
    for start in range(0, bins, interval):
        if start * width + low > 0: break
        for step in range(1, bins // levels + 1):
            best = min(best, (loss(start, step, start + levels * step), start, start + levels * step))
    return best[1] * width + low, best[2] * width + low

quantize = sys.modules["onnxruntime.quantization.quantize"]
create = quantize.create_calibrator
def patched(*args, **kwargs):
    options = dict(kwargs.get("extra_options") or {})
    if method == "entropy2048": options["num_bins"] = 2048
    if method == "percentile_both_signs": options["symmetric"] = False
    if method == "mse": options.update(num_bins=16384, symmetric=False)
    kwargs["extra_options"] = options
    c = create(*args, **kwargs)
    if method == "mse":
        c.compute_data = lambda: TensorsData(CalibrationMethod.MinMax, {
            k: tuple(np.array(v, np.float32) for v in ppq_mse(h[0].astype(float), h[1].astype(float), float(h[2]), float(h[3])))
            for k, h in c.collector.get_histogram_dict().items()})
    return c
quantize.create_calibrator = patched
kind = {"minmax": "MinMax", "entropy": "Entropy", "entropy2048": "Entropy"}.get(method, "Percentile")
pre = target + ".pre.onnx"
os.chdir(os.path.dirname(target))  # quant_pre_process leaves a file where it stands
try: quant_pre_process(source, pre)
except Exception: quant_pre_process(source, pre, skip_symbolic_shape=True)
quantize_static(pre, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=per_channel == "1", weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8, calibrate_method=CalibrationMethod[kind],
                extra_options={"CalibPercentile": float(percentile)} if kind == "Percentile" else {})
"""


def calibration_folder(folder, work, same_shape):
    """The samples of a model; where their shapes differ, some of one shape, since the peers need that."""
    files = sorted(glob.glob(folder + "/calib/*.npz"))
    shapes = {}
    for f in files:
        with np.load(f) as z:
            shapes[f] = str([(k, z[k].shape) for k in z.files])
    common = collections.Counter(shapes.values()).most_common(1)[0][0]
    if all(s == common for s in shapes.values()):
        return folder + "/calib", len(files)
    os.makedirs(work, exist_ok=True)
    chosen = [f for f in files if shapes[f] == common][:same_shape]
    for f in chosen:
        shutil.copy(f, work)
    return work, len(chosen)


def evaluation_folder(name, folder, work, lines):
    """Where eval/ lies. ocr_cls gets more inputs: its two probabilities are saturated on all but a few, and SQNR hangs on those."""
    if name != "ocr_cls" or lines == 0:
        return folder
    if not os.path.isdir(work + "/eval"):
        from make_data import more_lines

        more_lines(work, lines)
    return work


def narrower(ranges, whole):
    """Share of tensors whose range is more than 1 % narrower."""
    if not ranges:
        return ""
    cut = sum(r["max"] - r["min"] < 0.99 * (whole[r["tensor"]]["max"] - whole[r["tensor"]]["min"]) for r in ranges if r["tensor"] in whole)
    return f"{cut} of {len(ranges)}"


def quantize_ours(a, folder, calib, kind, method, out, cache, percentile):
    command = [a.quantal, "quantize", folder + "/model.onnx", "--data", calib, "--num-calib-batches", "-1", "--quant-type", kind, "--activation-observer",
               method, "--calibration-cache", cache, "--percentile", str(percentile), "-o", out, "--json"]
    return with_peak(command)


def judge(name, path, folder, reference):
    try:
        y = outputs(session(path), folder + "/eval")
    except Exception as e:  # the file does not load: that is a result
        return None, "does not load: " + str(e).splitlines()[0][:60]
    return sqnr(reference, y), task(name, reference, y)


def methods_table(a, lines):
    say(lines, "| model | type | samples | method | percentile | SQNR dB | task | cut | s |")
    say(lines, "|---|---|---|---|---|---|---|---|---|")
    for name in a.names:
        folder, work = f"{a.models}/{name}", f"{a.models}/{name}/methods"
        os.makedirs(work, exist_ok=True)
        calib, count = calibration_folder(folder, work + "/calib", a.same_shape)
        judged = evaluation_folder(name, folder, work, a.lines)
        reference = outputs(session(folder + "/model.onnx"), judged + "/eval")
        cache = work + "/cache.json"
        if os.path.exists(cache):
            os.remove(cache)
        for kind in a.types.split(","):
            whole = {}
            for tool, methods in (("quantal", a.ours), ("peer", a.peers)):
                for method in methods:
                    for percentile in (a.percentiles.split(",") if method.startswith("percentile") else ["99.999"]):
                        out = f"{work}/{tool}_{kind}_{method}.onnx"
                        if tool == "quantal":
                            if not os.path.exists(cache):  # the first run gathers what every method needs
                                quantize_ours(a, folder, calib, kind, "histogram", out, cache, percentile)
                            r = quantize_ours(a, folder, calib, kind, method, out, cache, percentile)
                        else:
                            r = with_peak([sys.executable, "-c", PEER, folder + "/model.onnx", out, calib, str(int(kind == "per_channel_int8")), method, percentile])
                        shown = percentile if method.startswith("percentile") else ""
                        label = "quantal " + method if tool == "quantal" else NAMES[method]
                        if r["rc"] != 0:
                            say(lines, f"| {name} | {kind} | {count} | {label} | {shown} | fails | {(r['err'].strip().splitlines() or [''])[-1][:70]} | | |")
                            continue
                        ranges = json.loads(r["out"]).get("ranges", []) if tool == "quantal" else []
                        if method == "minmax":
                            whole = {x["tensor"]: x for x in ranges}
                        dbs, figure = judge(name, out, judged, reference)
                        db = "-" if dbs is None else " / ".join("%.2f" % v for v in dbs)
                        say(lines, f"| {name} | {kind} | {count} | {label} | {shown} | {db} | {figure} | {narrower(ranges, whole)} | {r['s']:.1f} |")


def memory_table(a, lines):
    say(lines, "| model | method | 8 samples MB | 128 samples MB | ratio |")
    say(lines, "|---|---|---|---|---|")
    for name in a.names:
        folder = f"{a.models}/{name}"
        files = sorted(glob.glob(folder + "/calib/*.npz"))
        shapes = collections.Counter()
        for f in files:
            with np.load(f) as z:
                shapes[str([(k, z[k].shape) for k in z.files])] += 1
        first = []
        for f in files:
            with np.load(f) as z:
                if str([(k, z[k].shape) for k in z.files]) == shapes.most_common(1)[0][0]:
                    first.append(f)
        for method in ["minmax", "entropy", "percentile", "mse"]:
            mb = {}
            for n in (8, 128):
                data = f"{folder}/methods/m{n}"
                os.makedirs(data, exist_ok=True)
                for i in range(n):  # samples are repeated where there are fewer
                    shutil.copy(first[i % len(first)], f"{data}/{i:03d}.npz")
                r = with_peak([a.quantal, "quantize", folder + "/model.onnx", "--data", data, "--batch-size", "1", "--num-calib-batches", "-1", "--quant-type",
                               "static_int8", "--activation-observer", method, "-o", f"{folder}/methods/m.onnx", "-q"])
                mb[n] = r["kb"] / 1024 if r["rc"] == 0 else float("nan")
                shutil.rmtree(data)
            say(lines, f"| {name} | {method} | {mb[8]:.1f} | {mb[128]:.1f} | {mb[128] / mb[8]:.3f} |")


def say(lines, text):
    lines.append(text)
    print(text, flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models", required=True)
    p.add_argument("--quantal", required=True)
    p.add_argument("--only", default="ocr_cls,ocr_det,b0")
    p.add_argument("--types", default="per_channel_int8,static_int8")
    p.add_argument("--ours", default=",".join(OURS))
    p.add_argument("--peers", default=",".join(PEERS))
    p.add_argument("--percentiles", default="99.999,99.9")
    p.add_argument("--same-shape", type=int, default=4)
    p.add_argument("--lines", type=int, default=2000, help="evaluation inputs of ocr_cls")
    p.add_argument("--memory", action="store_true")
    p.add_argument("--markdown", default="")
    a = p.parse_args()
    a.names = [n for n in a.only.split(",") if os.path.exists(f"{a.models}/{n}/model.onnx")]
    a.ours, a.peers = ([m for m in s.split(",") if m] for s in (a.ours, a.peers))
    lines = []
    (memory_table if a.memory else methods_table)(a, lines)
    if a.markdown:
        with open(a.markdown, "w") as f:
            f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
