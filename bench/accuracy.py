"""Accuracy, coverage, time and memory of quantization, Quantal beside ONNX Runtime's quantize_static.

usage: accuracy.py --models DIR --quantal PATH [--only NAME,...] [--repeats 3] [--markdown FILE]

DIR has one folder per model: model.onnx, calib/*.npz, eval/*.npz (get_models.sh makes it; own models work, too). For each
model and each of static_int8 and per_channel_int8 both tools quantize the same file with the same calibration data, in a
process of their own; the median wall time and VmHWM of the repeats are kept. ONNX Runtime (1 thread) is the judge of every
file: SQNR per output against float, a task figure, and the share of the multiply-adds of Conv, ConvTranspose, Gemm and
MatMul that run in integer kernels of its optimized graph. Evaluation data is never used for calibration.

A CPU without VNNI saturates in ONNX Runtime's u8 x s8 kernels, whatever wrote the file. Both figures are printed: `exact`
with session.x64quantprecision=1 (what a CPU with VNNI computes), and `as is`."""
import argparse
import collections
import glob
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

PEER = r"""
import glob, os, sys
import numpy as np, onnx, onnx.version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static, quant_pre_process
source, target, calib = (os.path.abspath(a) for a in sys.argv[1:4])
per_channel = sys.argv[4] == "1"
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
pre = target + ".pre.onnx"
os.chdir(os.path.dirname(os.path.abspath(target)))  # quant_pre_process leaves a file where it stands
try: quant_pre_process(source, pre)
except Exception: quant_pre_process(source, pre, skip_symbolic_shape=True)
quantize_static(pre, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=per_channel, weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8)
"""


def measured(command):
    """Runs a command; returns (seconds, peak resident MB, output)."""
    begin = time.perf_counter()
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = p.communicate()
    seconds = time.perf_counter() - begin
    return seconds, p.returncode, out, err


def with_peak(command):
    """The same through a small parent that reports the child's ru_maxrss."""
    parent = (
        "import resource,subprocess,sys,json,time\n"
        "t=time.perf_counter();r=subprocess.run(sys.argv[1:],capture_output=True,text=True)\n"
        "print(json.dumps(dict(s=time.perf_counter()-t,kb=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,rc=r.returncode,out=r.stdout,err=r.stderr[-400:])))"
    )
    _, _, out, _ = measured([sys.executable, "-c", parent, *command])
    return json.loads(out)


def session(path, exact=True, optimized=None):
    import onnxruntime as ort

    o = ort.SessionOptions()
    o.intra_op_num_threads = 1
    o.log_severity_level = 3
    if exact:
        o.add_session_config_entry("session.x64quantprecision", "1")
    if optimized:
        o.optimized_model_filepath = optimized
        o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED  # no layout-specific nodes
    return ort.InferenceSession(path, o, providers=["CPUExecutionProvider"])


def feeds(folder):
    for f in sorted(glob.glob(folder + "/*.npz")):
        with np.load(f) as z:
            yield {k: z[k] for k in z.files}


def outputs(s, folder):
    names = {i.name for i in s.get_inputs()}
    return [s.run(None, {k: v for k, v in f.items() if k in names}) for f in feeds(folder)]


def sqnr(reference, other):
    figures = []
    for k in range(len(reference[0])):
        x = np.concatenate([r[k].ravel().astype(np.float64) for r in reference])
        y = np.concatenate([r[k].ravel().astype(np.float64) for r in other])
        noise = ((x - y) ** 2).sum()
        figures.append(round(float(10 * np.log10((x**2).sum() / noise)), 2) if noise > 0 else float("inf"))
    return figures


def task(name, reference, other):
    if name == "ocr_det":
        iou = [((a[0] > 0.3) & (b[0] > 0.3)).sum() / max(1, ((a[0] > 0.3) | (b[0] > 0.3)).sum()) for a, b in zip(reference, other)]
        return "mask IoU %.4f" % np.mean(iou)
    if name == "basic_pitch":
        a, b = (np.concatenate([r[1] for r in rs]) > 0.3 for rs in (reference, other))
        return "note F1 %.4f" % (2 * (a & b).sum() / max(1, a.sum() + b.sum()))
    a, b = (np.concatenate([r[0] for r in rs]).argmax(-1) for rs in (reference, other))
    return "top-1 agreement %.4f" % (a == b).mean()


INTEGER = {"QLinearConv": (0, 3), "ConvInteger": (0, 1), "QLinearMatMul": (0, 3), "MatMulInteger": (0, 1), "QGemm": (0, 3),
           "MatMulIntegerToFloat": (0, 1), "DynamicQuantizeMatMul": (0, 1)}
FLOAT = {"Conv": (0, 1), "FusedConv": (0, 1), "ConvTranspose": (0, 1), "Gemm": (0, 1), "FusedGemm": (0, 1), "MatMul": (0, 1), "FusedMatMul": (0, 1)}


def integer_share(optimized, folder):
    """Multiply-adds in integer kernels / all, from the shapes of one real run; and the float nodes that remain."""
    import onnx
    import onnxruntime as ort

    m = onnx.load(optimized)
    known = {i.name: tuple(i.dims) for i in m.graph.initializer}
    wanted = [n for n in m.graph.node if n.op_type in INTEGER or n.op_type in FLOAT]
    names = {x for n in wanted for x in list(n.input)[:4] + list(n.output)[:1] if x and x not in known}
    have = {o.name for o in m.graph.output}
    for x in names - have - {i.name for i in m.graph.input}:
        m.graph.output.add().name = x
    o = ort.SessionOptions()
    o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    o.log_severity_level = 3
    s = ort.InferenceSession(m.SerializeToString(), o, providers=["CPUExecutionProvider"])
    feed = next(feeds(folder))
    inputs = {i.name for i in s.get_inputs()}
    feed = {k: v for k, v in feed.items() if k in inputs}
    known.update({k: v.shape for k, v in feed.items()})
    asked = [x.name for x in s.get_outputs()]
    known.update({k: v.shape for k, v in zip(asked, s.run(asked, feed))})
    integer = total = 0
    left = collections.Counter()
    for n in wanted:
        x, w = (INTEGER.get(n.op_type) or FLOAT[n.op_type])
        xs, ws, ys = known[n.input[x]], known[n.input[w]], known[n.output[0]]
        if n.op_type == "ConvTranspose":
            macs = np.prod(xs) * np.prod(ws[1:])
        elif "Conv" in n.op_type:
            macs = np.prod(ys) * np.prod(ws[1:])
        else:
            attributes = {a.name: a.i for a in n.attribute}
            macs = np.prod(ys) * (xs[0] if attributes.get("transA") else xs[-1])
        total += macs
        if n.op_type in INTEGER:
            integer += macs
        else:
            left[n.op_type] += 1
    return float(integer) / max(1.0, float(total)), dict(left)


def judge(name, path, folder, reference):
    optimized = path + ".optimized.onnx"
    try:
        exact = outputs(session(path, True, optimized), folder + "/eval")
    except Exception as e:  # the file does not load: that is a result
        return {"fails": str(e).splitlines()[0][:90]}
    plain = outputs(session(path, False), folder + "/eval")
    share, left = integer_share(optimized, folder + "/eval")
    os.remove(optimized)
    return {"sqnr": sqnr(reference, exact), "task": task(name, reference, exact), "plain": sqnr(reference, plain),
            "integer": share, "float_nodes": left, "bytes": os.path.getsize(path)}


def row(name, kind, tool, r):
    if "fails" in r["q"]:
        return f"| {name} | {kind} | {tool} | does not load | | | | {r['s']:.1f} | {r['mb']:.0f} | | {r['q']['fails']} |"
    q = r["q"]
    dbs = " / ".join("%.1f" % v for v in q["sqnr"])
    plain = " / ".join("%.1f" % v for v in q["plain"])
    left = ", ".join(f"{v} {k}" for k, v in q["float_nodes"].items())
    return f"| {name} | {kind} | {tool} | {dbs} | {plain} | {q['task']} | {100 * q['integer']:.1f} % | {r['s']:.1f} | {r['mb']:.0f} | {q['bytes']} | {left} |"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models", required=True)
    p.add_argument("--quantal", required=True)
    p.add_argument("--only", default="")
    p.add_argument("--types", default="static_int8,per_channel_int8")
    p.add_argument("--repeats", type=int, default=3)
    p.add_argument("--markdown", default="")
    a = p.parse_args()
    names = [n for n in sorted(os.listdir(a.models)) if os.path.exists(f"{a.models}/{n}/model.onnx")]
    if a.only:
        names = [n for n in names if n in a.only.split(",")]
    lines = ["| model | type | tool | SQNR dB (exact) | SQNR dB (as is) | task | integer MACs | s | peak MB | bytes | float nodes |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for name in names:
        folder = f"{a.models}/{name}"
        reference = outputs(session(folder + "/model.onnx"), folder + "/eval")
        for kind in a.types.split(","):
            tools = {
                "quantal": lambda out: [a.quantal, "quantize", folder + "/model.onnx", "--data", folder + "/calib", "--quant-type", kind, "-o", out, "-q"],
                "onnxruntime MinMax": lambda out: [sys.executable, "-c", PEER, folder + "/model.onnx", out, folder + "/calib", "1" if kind == "per_channel_int8" else "0"],
            }
            runs = {t: [] for t in tools}
            for _ in range(a.repeats):  # interleaved: a busy neighbour disturbs both
                for t, command in tools.items():
                    runs[t].append(with_peak(command(f"{folder}/{t.split()[0]}_{kind}.onnx")))
            for t in tools:
                bad = [x for x in runs[t] if x["rc"] != 0]
                r = {"s": statistics.median(x["s"] for x in runs[t]), "mb": statistics.median(x["kb"] for x in runs[t]) / 1024}
                path = f"{folder}/{t.split()[0]}_{kind}.onnx"
                r["q"] = {"fails": bad[0]["err"].strip().splitlines()[-1][:90]} if bad else judge(name, path, folder, reference)
                lines.append(row(name, kind, t, r))
                print(lines[-1], flush=True)
    if a.markdown:
        with open(a.markdown, "w") as f:
            f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
