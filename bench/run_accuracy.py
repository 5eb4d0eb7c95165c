"""`quantal run` beside ONNX Runtime on the same files: how far apart are their outputs?

usage: run_accuracy.py --models DIR --quantal PATH [--only NAME,...] [--feeds 16] [--markdown FILE]

DIR as for accuracy.py (model.onnx, calib/*.npz, eval/*.npz per folder). For the float model: largest difference over the
range of the output, against ONNX Runtime, against ONNX Runtime with its optimizations off, and between these two; the
line is 1e-4 to the nearer of them. For the static_int8 and per_channel_int8 files: SQNR of Quantal's outputs against ONNX Runtime's, and
beside it the SQNR of ONNX Runtime against itself with its optimizations off; the line to reach is the smaller of 50 dB and
that figure - 1 dB. ONNX Runtime runs with session.x64quantprecision=1 (see accuracy.py: without it a CPU without VNNI
saturates)."""
import argparse
import glob
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime as ort


def session(path, optimized):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def decibel(signal, noise):
    return float("inf") if noise == 0 else 10 * np.log10(max(signal, 1e-300) / noise)


def compare(path, feeds, quantal, float_model):
    """Worst output of: (max difference / range: quantal to ort, to ort unoptimized, ort to itself) or
    (sqnr(quantal, ort), sqnr(ort, ort unoptimized))."""
    with tempfile.TemporaryDirectory() as work:
        optimized, plain = session(path, True), session(path, False)
        names = [o.name for o in optimized.get_outputs()]
        inputs = {i.name for i in optimized.get_inputs()}
        os.mkdir(work + "/in")
        for f in feeds:
            with np.load(f) as z:
                np.savez(work + "/in/" + os.path.basename(f), **{k: z[k] for k in z.files if k in inputs})
        run = subprocess.run([quantal, "run", path, "--input", work + "/in", "-o", work + "/out", "-q"], capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"quantal run {path}: {run.stderr}")
        signal, ours, theirs, span = (np.zeros(len(names)) for _ in range(4))
        worst = np.zeros((3, len(names)))
        for f in feeds:
            with np.load(work + "/in/" + os.path.basename(f)) as z:
                x = {k: z[k] for k in z.files}
            with np.load(work + "/out/" + os.path.basename(f)) as z:
                q = [z[n].astype(np.float64) for n in names]
            a = [y.astype(np.float64) for y in optimized.run(None, x)]
            u = [y.astype(np.float64) for y in plain.run(None, x)]
            for i in range(len(names)):
                signal[i] += (a[i] ** 2).sum()
                ours[i] += ((a[i] - q[i]) ** 2).sum()
                theirs[i] += ((a[i] - u[i]) ** 2).sum()
                for row, (x, y) in enumerate(((a, q), (u, q), (a, u))):
                    worst[row, i] = max(worst[row, i], np.abs(x[i] - y[i]).max())
                span[i] = max(span[i], a[i].max() - min(a[i].min(), 0))
        if float_model:
            return (worst / np.maximum(span, 1e-300)).max(axis=1)
        pairs = [(decibel(s, o), decibel(s, t)) for s, o, t in zip(signal, ours, theirs)]
        return min(pairs, key=lambda p: p[0] - min(50, p[1] - 1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models", required=True)
    p.add_argument("--quantal", required=True)
    p.add_argument("--only", default="")
    p.add_argument("--feeds", type=int, default=16)
    p.add_argument("--markdown", default="")
    args = p.parse_args()
    lines = ["| model | type | quantal to ORT | quantal to ORT unoptimized | ORT to itself | reached |", "|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    missed = 0
    for folder in sorted(glob.glob(args.models + "/*/model.onnx")):
        folder = os.path.dirname(folder)
        name = os.path.basename(folder)
        if args.only and name not in args.only.split(","):
            continue
        feeds = sorted(glob.glob(folder + "/eval/*.npz"))[: args.feeds]
        d = compare(folder + "/model.onnx", feeds, args.quantal, True)
        reached = min(d[0], d[1]) <= 1e-4
        missed += not reached
        lines.append(f"| {name} | float | {d[0]:.1e} | {d[1]:.1e} | {d[2]:.1e} | {'yes' if reached else 'NO'} |")
        print(lines[-1], flush=True)
        for kind in ("static_int8", "per_channel_int8"):
            with tempfile.TemporaryDirectory() as work:
                path = work + "/q.onnx"
                subprocess.run([args.quantal, "quantize", folder + "/model.onnx", "--quant-type", kind, "--data", folder + "/calib", "-o", path, "-q"],
                               check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                ours, theirs = compare(path, feeds, args.quantal, False)
            reached = ours >= min(50, theirs - 1)
            missed += not reached
            lines.append(f"| {name} | {kind} | {ours:.1f} dB | | {theirs:.1f} dB | {'yes' if reached else 'NO'} |")
            print(lines[-1], flush=True)
    if args.markdown:
        with open(args.markdown, "w") as f:
            f.write("\n".join(lines) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
