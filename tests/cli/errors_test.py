#!/usr/bin/env python3
"""Every error that the command line's contract names, as one table: exit code, what the message says, the command.

    errors_test.py QUANTAL DIGITS_DIR       needs only Python's standard library

Of each row: the exit code; one line `quantal: error: ...` with the text; nothing on stdout, or one JSON object with --json; no
file that was not there before. Errors of images are in images_test.py, odd environments in cli_test.py.
"""
import json
import os
import struct
import subprocess
import unittest

from files import floats, npy, npz, onnx
from harness import CALIB, ERROR, MODEL, TEST, Case, main, run

X = [("x", ["N", 1, 8, 8])]
ONE = floats(*[0.25 * i for i in range(64)])


def write(name, data):
    with open(name, "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def make_files():
    """Everything the table mentions, in the current directory."""
    for folder in ("empty", "mixed", "dir", "feeds", "two"):
        os.mkdir(folder)
    write("half.onnx", open(MODEL, "rb").read()[:9000])
    write("empty.onnx", b"")
    write("text.onnx", "hello, this is no model\n")
    write("cycle.onnx", onnx([("Relu", ["b"], ["a"]), ("Relu", ["a"], ["b"])], X, [("b", ["N", 1, 8, 8])]))
    write("nobody.onnx", onnx([("Relu", ["nothing"], ["y"])], X, [("y", ["N", 1, 8, 8])]))
    write("unknown.onnx", onnx([("Frobnicate", ["x"], ["y"])], X, [("y", ["N", 1, 8, 8])]))
    write("deconv.onnx", onnx([("ConvTranspose", ["x", "w"], ["y"])], X, [("y", ["N", 1, 9, 9])], [("w", [1, 1, 2, 2], [0.5, 1, -1, 0.25] * 1)]))
    write("relu.onnx", onnx([("Relu", ["x"], ["y"])], X, [("y", ["N", 1, 8, 8])]))
    write("ids.onnx", onnx([("Identity", ["x"], ["y"])], [("x", ["N", 4], 3)], [("y", ["N", 4], 3)]))
    write("pair.onnx", onnx([("Add", ["x", "z"], ["y"])], X + [("z", ["N", 1, 8, 8])], [("y", ["N", 1, 8, 8])]))
    write("outputs.onnx", onnx([("Relu", ["x"], ["y"]), ("Neg", ["x"], ["z"])], X, [("y", ["N", 1, 8, 8]), ("z", ["N", 1, 8, 8])]))
    write("pooled.onnx", onnx([("GlobalAveragePool", ["x"], ["y"])], X, [("y", ["N", 1, 1, 1])]))
    for name, scale in (("zero", 0.0), ("minus", -0.5), ("nan", float("nan")), ("inf", float("inf"))):
        write(f"scale_{name}.onnx", onnx([("QuantizeLinear", ["x", "s"], ["q"]), ("DequantizeLinear", ["q", "t"], ["y"])], X, [("y", ["N", 1, 8, 8])],
                                         [("s", [], [scale]), ("t", [], [0.5])]))
        write(f"back_{name}.onnx", onnx([("QuantizeLinear", ["x", "t"], ["q"]), ("DequantizeLinear", ["q", "s"], ["y"])], X, [("y", ["N", 1, 8, 8])],
                                        [("s", [], [scale]), ("t", [], [0.5])]))
    good = dict(x=("<f4", (2, 1, 8, 8), ONE * 2))
    npz("few.npz", **good)
    npz("shape.npz", x=("<f4", (2, 1, 9, 8), floats(*[0.5] * 144)))
    npz("rank.npz", x=("<f4", (2, 64), ONE * 2))
    npz("name.npz", **good, y=("<f4", (2, 1, 8, 8), ONE * 2))
    npz("other.npz", y=("<f4", (2, 1, 8, 8), ONE * 2))
    npz("none.npz", x=("<f4", (0, 1, 8, 8), b""))
    npz("counts.npz", x=("<f4", (2, 1, 8, 8), ONE * 2), z=("<f4", (1, 1, 8, 8), ONE))
    npz("object.npz", x=("|O", (1,), b"\x80\x04N."))
    npz("complex.npz", x=("<c8", (1, 1, 8, 8), ONE * 2))
    npz("real.npz", x=("<f4", (1, 4), floats(1, 2, 3, 4.5)))
    npz("wide.npz", x=("<u8", (1, 4), struct.pack("<4Q", 1, 2, 3, 2**63)))
    npz("narrow.npz", x=("<i8", (1, 4), struct.pack("<4q", 1, -2, 3, 400)))
    npz("nan.npz", x=("<f4", (1, 1, 8, 8), floats(*[float("nan")] * 64)))
    npz("label.npz", **good, _label=("<f4", (2,), floats(0, 1)))
    npz("labels.npz", **good, _label=("<i8", (3,), struct.pack("<3q", 0, 1, 2)))
    npz("up/..".replace("/", "_") + ".npz", **{"../x": good["x"]})
    write("cut.npz", open(CALIB, "rb").read()[:-30])
    data = bytearray(open("few.npz", "rb").read())
    data[200] ^= 1
    write("crc.npz", bytes(data))
    write("junk.npz", "no archive at all")
    write("junk.npy", "no array at all")
    write("x.npy", npy("<f4", (2, 1, 8, 8), ONE * 2))
    write("data.csv", "1,2,3\n")
    write("y1.npy", npy("<i8", (1,), struct.pack("<q", 3)))
    write("y2.npy", npy("<f4", (2,), floats(0, 1)))
    npz("mixed/a.npz", **good)
    write("mixed/b.npy", npy("<f4", (1, 1, 8, 8), ONE))
    npz("feeds/a.npz", **good)
    npz("feeds/b.npz", x=("<f4", (1, 1, 8, 7), floats(*[0.5] * 56)))
    npz("dir/few.npz", **good)
    for name in ("a.json", "b.json"):
        assert run("calibrate", MODEL, "--data", CALIB, "-o", name).returncode == 0
    assert run("calibrate", "deconv.onnx", "--data", "few.npz", "-o", "else.json").returncode == 0
    for name in ("m1.json", "m2.json"):
        assert run("calibrate", MODEL, "--data", CALIB, "-o", name, "--activation-observer", "moving_average").returncode == 0
    assert run("calibrate", MODEL, "--data", CALIB, "-o", "h.json", "--activation-observer", "histogram").returncode == 0
    cache = json.load(open("a.json"))
    write("new.json", json.dumps(dict(cache, schema=99)))
    write("bad.json", "{\"kind\": 3")
    write("hole.json", json.dumps(dict(cache, tensors={})))
    write("bad.cache", "TRT-8601-EntropyCalibration2\nx: 3c01\n")
    write("file", "")


def q(*words):
    return ["quantize", MODEL, "-o", "out.onnx", *words]


def c(*words):
    return ["calibrate", "-o", "out.json", *words]


TABLE = [
    # ---- 2: usage
    (2, "", []),
    (2, "unknown verb 'nonsense'", ["nonsense"]),
    (2, "unknown option --nonsense: see quantal quantize", q("--nonsense")),
    (2, "unknown option --imgsize; the nearest is --imgsz", q("--imgsize=640")),
    (2, "unexpected argument 'second.onnx'", ["inspect", "first.onnx", "second.onnx"]),
    (2, "--quant-type", q("--quant-type")),
    (2, "'int9' is not one of", q("--quant-type", "int9")),
    (2, "'guess' is not one of", q("--activation-observer", "guess")),
    (2, "'guess' is not one of", q("--weight-observer", "guess")),
    (2, "'keras' is not one of", q("--preset", "keras")),
    (2, "'tpu' is not one of", q("--device", "tpu")),
    (2, "'u12' is not one of", q("--activation-type", "u12")),
    (2, "'f32' is not one of", q("--weight-type", "f32")),
    (2, "'arm' is not one of", q("--target", "arm")),
    (2, "is not between", q("--data", CALIB, "--batch-size", "0")),
    (2, "is not a whole number", q("--data", CALIB, "--batch-size", "1.5")),
    (2, "is not a whole number", q("--data", CALIB, "--num-calib-batches", "99999999999999999999")),
    (2, "is not between", q("--data", CALIB, "--workers", "-1")),
    (2, "is not between", q("--data", CALIB, "--min-samples", "-1")),
    (2, "is not between", q("--data", CALIB, "--threads", "-3")),
    (2, "is not between", q("--data", CALIB, "--bins", "-1")),
    (2, "is not a number", q("--data", CALIB, "--percentile", "most")),
    (2, "percentile", q("--data", CALIB, "--activation-observer", "percentile", "--percentile", "101")),
    (2, "percentile", q("--data", CALIB, "--activation-observer", "percentile", "--percentile", "nan")),
    (2, "stddev", q("--data", CALIB, "--activation-observer", "stddev", "--stddev", "-1")),
    (2, "scale", q("--data", CALIB, "--activation-observer", "scale", "--scale", "0")),
    (2, "option bins", q("--data", CALIB, "--bins", "1")),
    (2, "option percentile", q("--data", CALIB, "--percentile", "400")),
    (2, "option percentile", c(MODEL, "--data", CALIB, "--percentile", "300")),
    (2, "is not a number", c(MODEL, "--data", CALIB, "--percentile", "nan")),
    (2, "--eval-data needs samples", q("--calibration-cache", "a.json", "--eval-data", "nodir")),
    (2, "--per-node has no effect without --data", ["compare", MODEL, MODEL, "--eval", "true", "--per-node"]),
    (2, "--labels has no effect without --data", ["compare", MODEL, MODEL, "--eval", "true", "--labels", "y1.npy"]),
    (2, "--data has no effect with --merge", c("--merge", "a.json", "b.json", "--data", CALIB)),
    (2, "--activation-observer has no effect with --merge", c("--merge", "a.json", "b.json", "--activation-observer", "mse")),
    (2, "no model given", ["quantize", "-o", "out.onnx"]),
    (2, "MODEL and --weights name different files", q("--weights", "relu.onnx")),
    (2, "would replace the model", ["quantize", "relu.onnx", "--quant-type", "fp16", "-o", "relu.onnx"]),
    (2, "--report must end in .html or .json", q("--quant-type", "fp16", "--report", "r.pdf")),
    (2, "no output given", ["calibrate", MODEL, "--data", CALIB]),
    (2, "no model given", c()),
    (2, "calibrate takes one model", c(MODEL, MODEL, "--data", CALIB)),
    (2, "--merge needs two caches or more", c("--merge", "a.json")),
    (2, "'onnx' is not one of", c(MODEL, "--data", CALIB, "--cache-format", "onnx")),
    (2, "would replace", ["calibrate", "relu.onnx", "--data", "few.npz", "-o", "relu.onnx"]),
    (2, "give a file or --preset", ["inspect"]),
    (2, "give a file or --preset", ["inspect", MODEL, "--preset", "torch"]),
    (2, "unknown preset 'keras'", ["inspect", "--preset", "keras"]),
    (2, "--input", ["run", MODEL]),
    (2, "many feeds need a directory for the results", ["run", MODEL, "--input", "dir"]),
    (2, "would replace the input", ["run", MODEL, "--input", "few.npz", "-o", "few.npz"]),
    (2, "would replace the model", ["run", "relu.onnx", "--input", "few.npz", "-o", "./relu.onnx"]),
    (2, "would replace the input", ["run", MODEL, "--input", "mixed", "-o", "mixed/"]),
    (2, "would replace the calibration data", ["calibrate", MODEL, "--data", "few.npz", "-o", "few.npz"]),
    (2, "would replace the evaluation data", ["calibrate", MODEL, "--data", CALIB, "--eval-data", "few.npz", "-o", "dir/../few.npz"]),
    (2, "would replace the calibration data", q("--data", "few.npz", "--calibration-cache", "few.npz")),
    (2, "would replace the calibration cache", q("--calibration-cache", "a.json", "--report", "a.json")),
    (2, "would replace the calibration cache", q("--data", CALIB, "--calibration-cache", "fresh.json", "--report", "./fresh.json")),
    (2, "would replace the calibration cache", q("--data", CALIB, "--calibration-cache", "out.onnx")),
    (2, "MODEL_B", ["compare", MODEL]),
    (2, "'f1' is not one of", ["compare", MODEL, MODEL, "--data", TEST, "--metric", "f1"]),
    (2, "--max-drop needs a figure to compare", ["compare", MODEL, MODEL, "--data", TEST, "--max-drop", "1"]),
    (2, "--min-sqnr needs samples", ["compare", MODEL, MODEL, "--eval", "true", "--min-sqnr", "1"]),
    (2, "exclude each other", ["compare", MODEL, MODEL, "--data", TEST, "--metric", "top1", "--eval", "true"]),
    (2, "did not print a number", ["compare", MODEL, MODEL, "--eval", "echo none; true"]),
    (2, "", ["cpu", "extra"]),
    (2, "", ["selftest", "extra"]),
    # ---- 3: the model or cache is bad
    *((3, name, [*verb, name, *more]) for name in ("half.onnx", "empty.onnx", "text.onnx", "cycle.onnx", "nobody.onnx")
      for verb, more in ((["quantize", "--quant-type", "fp16", "-o", "out.onnx"], []), (["inspect"], []), (["run"], ["--input", "few.npz"]),
                         (["compare", MODEL], ["--data", TEST]), (["calibrate", "-o", "out.json"], ["--data", CALIB]))),
    (3, "bad.json", ["inspect", "bad.json"]),
    (3, "bad.json", c("--merge", "a.json", "bad.json")),
    (3, "bad.json", q("--calibration-cache", "bad.json")),
    (3, "line 2", ["inspect", "bad.cache"]),
    *((3, "scale 0 is no positive finite number", ["run", name + ".onnx", "--input", "few.npz"])
      for name in ("scale_zero", "scale_minus", "scale_nan", "scale_inf", "back_minus", "back_nan", "back_inf")),
    (3, "the models have 1 and 2 outputs", ["compare", "relu.onnx", "outputs.onnx", "--data", "few.npz"]),
    # ---- 4: the data are bad
    (4, "calibration data required for static_int8: pass --data", q("--quant-type", "static_int8")),
    (4, "calibration data required for per_channel_int8: pass --data", q("--quant-type", "per_channel_int8")),
    (4, "calibration data required: pass --data", c(MODEL)),
    (4, "samples required for compare: pass --data", ["compare", MODEL, MODEL]),
    (4, "only 2 calibration samples", q("--data", "few.npz", "--strict")),
    (4, "no finite value was observed", q("--data", "nan.npz")),
    *((4, text, [*verb, name]) for name, text in (("shape.npz", "shape.npz"), ("rank.npz", "rank.npz"), ("other.npz", "other.npz"),
                                                  ("none.npz", "no samples"), ("object.npz", "pickle"), ("complex.npz", "complex"), ("cut.npz", "cut.npz"),
                                                  ("crc.npz", "crc.npz"), ("junk.npz", "junk.npz"), ("junk.npy", "junk.npy"), ("up_...npz", "up_...npz"))
      for verb in (q("--data"), c(MODEL, "--data"), ["compare", MODEL, MODEL, "--data"])),
    *((4, text, ["run", MODEL, "-o", "out.npz", "--input", name])
      for name, text in (("shape.npz", "shape.npz"), ("rank.npz", "rank.npz"), ("other.npz", "the model has no input 'y'"), ("object.npz", "pickle"),
                         ("cut.npz", "cut.npz"), ("crc.npz", "crc.npz"), ("junk.npz", "junk.npz"), ("junk.npy", "junk.npy"), ("data.csv", "data.csv"))),
    (4, "'y'", q("--data", "name.npz")),
    (4, "feeds/b.npz", q("--data", "feeds")),
    (4, "several kinds of data", q("--data", "mixed")),
    (4, "there is no data here", q("--data", "empty")),
    (4, "unknown kind of data file", q("--data", "data.csv")),
    (4, "counts.npz", ["compare", "pair.onnx", "pair.onnx", "--data", "counts.npz"]),
    (4, "'z'", ["compare", "pair.onnx", "pair.onnx", "--data", "few.npz"]),
    (4, "x.npy", ["compare", "pair.onnx", "pair.onnx", "--data", "x.npy"]),
    (4, "x.npy", ["run", "pair.onnx", "--input", "x.npy"]),
    (4, "'z'", ["run", "pair.onnx", "--input", "few.npz"]),
    (4, "real.npz", ["compare", "ids.onnx", "ids.onnx", "--data", "real.npz"]),
    (4, "wide.npz", ["compare", "ids.onnx", "ids.onnx", "--data", "wide.npz"]),
    (4, "narrow.npz", ["compare", "ids.onnx", "ids.onnx", "--data", "narrow.npz"]),
    (4, "f32 data for an input of type s8", ["run", "ids.onnx", "--input", "real.npz"]),
    (4, "does not fit into s8", ["run", "ids.onnx", "--input", "wide.npz"]),
    (4, "label", ["compare", MODEL, MODEL, "--data", "few.npz", "--metric", "top1"]),
    (4, "label", ["compare", MODEL, MODEL, "--data", "label.npz", "--metric", "top1"]),
    (4, "label", ["compare", MODEL, MODEL, "--data", "labels.npz", "--metric", "top1"]),
    (4, "1 labels for 2 samples", ["compare", MODEL, MODEL, "--data", "few.npz", "--labels", "y1.npy", "--metric", "top1"]),
    (4, "labels must be integers", ["compare", MODEL, MODEL, "--data", "few.npz", "--labels", "y2.npy", "--metric", "top1"]),
    (4, "the models give [2,1,8,8] and [2,1,1,1]", ["compare", "relu.onnx", "pooled.onnx", "--data", "few.npz"]),
    (4, "another model", q("--calibration-cache", "else.json")),
    (4, "does not know the tensor", q("--calibration-cache", "hole.json")),
    (4, "do not serve entropy", q("--calibration-cache", "a.json", "--activation-observer", "entropy")),
    (4, "else.json", c("--merge", "a.json", "else.json")),
    (4, "h.json", c("--merge", "a.json", "h.json")),
    # ---- 5: input and output
    (5, "model file not found: none.onnx", ["quantize", "none.onnx", "--data", CALIB, "-o", "out.onnx"]),
    (5, "model file not found: none.onnx", c("none.onnx", "--data", CALIB)),
    (5, "file not found: none.onnx", ["inspect", "none.onnx"]),
    (5, "model file not found: none.onnx", ["run", "none.onnx", "--input", "few.npz"]),
    (5, "model file not found: none.onnx", ["compare", MODEL, "none.onnx", "--data", TEST]),
    (5, "none.npz", q("--data", "none_at_all/none.npz")),
    (5, "input not found: none.npy", ["run", MODEL, "--input", "none.npy"]),
    (5, "none.npy", ["compare", MODEL, MODEL, "--data", TEST, "--labels", "none.npy", "--metric", "top1"]),
    (5, "nowhere.json", c("--merge", "a.json", "nowhere.json")),
    (5, "not a directory", ["quantize", MODEL, "--quant-type", "fp16", "-o", "file/out.onnx"]),
    (5, "file", ["calibrate", MODEL, "--data", CALIB, "-o", "file/out.json"]),
    (5, "file", ["run", MODEL, "--input", "few.npz", "-o", "file/out.npz"]),
    (5, "", ["quantize", MODEL, "--quant-type", "fp16", "-o", "/proc/nowhere/out.onnx"]),
    (5, "directory for the report does not exist", q("--quant-type", "fp16", "--report", "nowhere/r.html")),
    (5, "nowhere", q("--data", CALIB, "--calibration-cache", "nowhere/c.json")),
    (5, "not a regular file", ["inspect", "dir"]),
    (5, "not a regular file", ["quantize", "dir", "--quant-type", "fp16", "-o", "out.onnx"]),
    (5, "is a directory", ["calibrate", MODEL, "--data", CALIB, "-o", "dir"]),
    (5, "the command failed with exit code 7", ["compare", MODEL, MODEL, "--eval", "exit 7;"]),
    # ---- 6: unsupported
    (6, "files are device-independent; use --device cpu", q("--device", "cuda", "--data", CALIB)),
    *((6, "not available yet", q("--data", CALIB, "--quant-type", kind)) for kind in ("bf16", "fp8", "int16x8", "int4", "mixed")),
    (6, "Frobnicate", ["run", "unknown.onnx", "--input", "few.npz"]),
    (6, "Frobnicate", c("unknown.onnx", "--data", "few.npz")),
    (6, "nothing could be quantized as static_int8", q("--data", CALIB, "--include", "none*")),
    (6, "nothing could be quantized as static_int8", ["quantize", "relu.onnx", "--data", "few.npz", "-o", "out.onnx"]),
    (6, "nothing could be quantized as dynamic_int8", ["quantize", "deconv.onnx", "--quant-type", "dynamic_int8", "-o", "out.onnx"]),
    (6, "stayed in float", ["quantize", "deconv.onnx", "--data", "few.npz", "--strict", "--min-samples", "1", "-o", "out.onnx"]),
    (6, "order", c("--merge", "m1.json", "m2.json")),
    *((6, "not available yet", [verb, MODEL]) for verb in ("sensitivity", "study", "bench", "export", "ai8x")),
]


class Errors(Case):
    def setUp(self):
        super().setUp()
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.dir)
        make_files()

    def test_the_table(self):
        there = sorted(os.listdir("."))
        before = {name: open(name, "rb").read() for name in there + ["mixed/a.npz"] if os.path.isfile(name)}
        for code, text, command in TABLE:
            with self.subTest(" ".join(os.path.basename(word) for word in command)):
                err = self.fails(code, text, *command)
                if not command or command[0] == "nonsense":
                    continue
                r = run(command[0], "--json", *command[1:])
                self.assertEqual(r.returncode, code)
                self.assertRegex(r.stderr.decode(), ERROR)
                error = json.loads(r.stdout)["error"]
                self.assertEqual(set(error), {"what", "where", "advice", "status", "exit_code"})
                self.assertEqual(error["exit_code"], code)
                self.assertTrue(error["what"] and error["what"][:40] in err, err)
                self.assertEqual(sorted(os.listdir(".")), there)
        self.assertEqual({name for name in before if open(name, "rb").read() != before[name]}, set())
        print(f"{len(TABLE)} errors: " + ", ".join(f"{sum(1 for row in TABLE if row[0] == code)} x {code}" for code in (2, 3, 4, 5, 6)))

    def test_1_is_done_but_below_the_gate(self):
        assert run(*q("--data", CALIB)).returncode == 0
        for gate in (["--min-sqnr", "90"], ["--metric", "top1", "--max-drop", "-50"], ["--metric", "top5", "--max-drop", "-50"],
                     ["--eval", "stat -c %s", "--max-drop", "0.5"]):
            r = run("compare", MODEL, "out.onnx", "--data", TEST, *gate)
            self.assertEqual(r.returncode, 1, gate)
            self.assertRegex(r.stderr.decode(), r"\Aquantal: warning: .* (below|above) --\S+ .*\n\Z")
            self.assertIn("Compared on 500 samples", r.stdout.decode())
            self.assertEqual(run("compare", MODEL, "out.onnx", "--data", TEST, *gate, "-q").stderr, b"")

    def test_an_unknown_operator_stays_and_is_named(self):
        """Weights can be stored smaller although the operator cannot be run."""
        r = json.loads(run("inspect", "unknown.onnx", "--json").stdout)
        self.assertEqual(r["unknown_operators"], ["Frobnicate"])

    def test_unknown_isa_is_a_warning(self):
        r = run("cpu", env={"QUANTAL_ISA": "avx9000"})
        self.assertEqual(r.returncode, 0)
        self.assertRegex(r.stderr.decode(), r"\Aquantal: warning: QUANTAL_ISA=avx9000 .*\n\Z")


if __name__ == "__main__":
    main()
