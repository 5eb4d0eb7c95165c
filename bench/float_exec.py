"""Float executor against ONNX Runtime, at equal threads, interleaved: ratio of the times, and the largest difference.

    float_exec.py RUNNER MODEL[=FEED.npz][@NAME:1x3x48x192] ... [--threads 1,2] [--rounds 7]

RUNNER is quantal_run_model. Without a feed, inputs are random: dimensions that the model leaves open are 1 unless
@NAME:SHAPE gives them. A round runs a burst of each; a ratio is the median over rounds of (ours / theirs), each
burst's median. Use a quiet machine: bursts of the two see the same neighbours, single runs do not.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper


def save_tensors(path, tensors):
    graph = helper.make_graph([], "tensors", [], [], [numpy_helper.from_array(np.array(v, order="C"), k) for k, v in tensors.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    onnx.save(model, path)


def load_tensors(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def session(path, threads):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feed_for(s, npz, shapes):
    if npz:
        with np.load(npz) as z:
            return {k: z[k] for k in z.files if not k.startswith("_")}
    random = np.random.default_rng(0)
    feed = {}
    for i in s.get_inputs():
        shape = shapes.get(i.name) or [d if isinstance(d, int) and d > 0 else 1 for d in i.shape]
        feed[i.name] = random.standard_normal(shape).astype(np.float32) if "float" in i.type else random.integers(0, 8, shape)
    return feed


def parse(argument):
    shapes = {}
    while "@" in argument:
        argument, given = argument.rsplit("@", 1)
        name, shape = given.rsplit(":", 1)
        shapes[name] = [int(d) for d in shape.split("x")]
    path, _, npz = argument.partition("=")
    return path, npz, shapes


def ours(runner, path, feeds, results, threads, repeat):
    done = subprocess.run([runner, path, feeds, results, "--threads", str(threads), "--repeat", str(repeat)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return float(done.stdout.split()[1])


def theirs(s, feed, repeat):
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        s.run(None, feed)
        times.append((time.perf_counter() - begin) * 1e3)
    return sorted(times)[len(times) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runner")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"{'model':32} {'threads':>7} {'ours ms':>10} {'theirs ms':>10} {'ratio':>6} {'low':>6} {'high':>6}  largest difference / range")
    with tempfile.TemporaryDirectory() as folder:
        feeds, results = os.path.join(folder, "feeds.onnx"), os.path.join(folder, "results.onnx")
        for argument in options.models:
            path, npz, shapes = parse(argument)
            for threads in (int(t) for t in options.threads.split(",")):
                s = session(path, threads)
                feed = feed_for(s, npz, shapes)
                save_tensors(feeds, feed)
                reference = s.run(None, feed)
                first = ours(options.runner, path, feeds, results, threads, 1)
                repeat = max(3, min(200, int(200 / max(first, 0.01))))
                rows = [(ours(options.runner, path, feeds, results, threads, repeat), theirs(s, feed, repeat)) for _ in range(options.rounds)]
                got = load_tensors(results)
                worst = max(float(np.max(np.abs(got[o.name].astype(np.float64) - r)) / max(float(np.ptp(r)), 1e-30))
                            for o, r in zip(s.get_outputs(), reference) if r.size > 1)
                ratios = sorted(a / b for a, b in rows)
                middle = len(rows) // 2
                print(f"{os.path.basename(path)[:32]:32} {threads:7} {sorted(a for a, _ in rows)[middle]:10.3f} "
                      f"{sorted(b for _, b in rows)[middle]:10.3f} {ratios[middle]:6.2f} {ratios[0]:6.2f} {ratios[-1]:6.2f}  {worst:.1e}", flush=True)


if __name__ == "__main__":
    main()
