#!/usr/bin/env python3
"""The command line from outside: exit codes, one-line errors, JSON, tables, options, odd environments.

    cli_test.py QUANTAL DIGITS_DIR          needs only Python's standard library

Names begin with the IDs of the reliability list where one fits (P4 locale, P9 closed pipes, P10 arguments...).
"""
import json
import os
import random
import re
import struct
import subprocess
import zipfile
import zlib

from files import floats, npy, npz, onnx
from harness import CALIB, ERROR, MODEL, QUANTAL, TEST, Case, main, run


class Quantize(Case):
    def test_summary_block_is_the_contract(self):
        out = self.succeeds("quantize", MODEL, "--quant-type", "static_int8", "--data", CALIB, "-o", self.dir + "/", "-q")
        written = os.path.join(self.dir, "digits_static_int8.onnx")
        size = os.path.getsize(written)
        block = out.split("\n")[:7]
        self.assertEqual(block[0], "Quantization Summary:")
        self.assertEqual(block[1], "  Original model: " + MODEL)
        self.assertRegex(block[2], r"\A  Quantized model: .*digits_static_int8\.onnx\Z")
        self.assertEqual(block[3], "  Quantization type: static_int8")
        self.assertEqual(block[4], "  Original size: %.2f MB" % (os.path.getsize(MODEL) / 2**20))
        self.assertEqual(block[5], "  Quantized size: %.2f MB" % (size / 2**20))
        self.assertEqual(block[6], "  Compression ratio: %.2fx" % (os.path.getsize(MODEL) / size))
        self.assertLess(size, os.path.getsize(MODEL))

    def test_json_has_the_keys_of_the_contract(self):
        r = self.json("quantize", MODEL, "--quant-type", "per_channel_int8", "--data", CALIB, "-o", self.path("q.onnx"))
        for key in ("original_model", "quantized_model", "quantization_type", "original_bytes", "quantized_bytes", "compression_ratio",
                    "coverage", "integer_macs", "outputs", "samples", "warnings", "seconds", "peak_rss_bytes"):
            self.assertIn(key, r)
        self.assertEqual(set(r["coverage"][0]) >= {"node", "op", "status", "reason"}, True)
        self.assertEqual(set(r["outputs"][0]), {"name", "sqnr_db", "cosine", "max_abs_error"})
        self.assertEqual(r["quantized_bytes"], os.path.getsize(self.path("q.onnx")))
        self.assertEqual(r["samples"], 200)
        self.assertGreater(r["integer_macs"], 0.95)

    def test_every_type_is_within_half_a_point_of_float(self):
        for kind in ("fp16", "dynamic_int8", "static_int8", "per_channel_int8"):
            with self.subTest(kind):
                q = self.path(kind + ".onnx")
                self.succeeds("quantize", "--weights", MODEL, "--quant-type", kind.upper(), "--data", CALIB, "-o", q)
                r = self.json("compare", MODEL, q, "--data", TEST, "--metric", "top1", "--max-drop", "0.5")
                self.assertEqual(r["samples"], 500)
                self.assertGreaterEqual(r["metric_a"], 98.0)
                self.assertLessEqual(abs(r["drop"]), 0.5)

    def test_words_in_any_case(self):
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", self.path("a/"), "--weight-observer", "mse", "--activation-observer", "percentile")
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", self.path("b/"), "--quant-type", "Static_INT8", "--weight-observer", "MSE",
                      "--activation-observer", "Percentile", "--activation-type", "U8", "--target", "ONNXRuntime", "--device", "CPU")
        names = [os.path.join(self.path(d), "digits_static_int8.onnx") for d in "ab"]
        self.assertEqual(open(names[0], "rb").read(), open(names[1], "rb").read())

    def test_same_input_same_bytes(self):
        for name, threads in (("a", "1"), ("b", "2")):
            self.succeeds("quantize", MODEL, "--data", CALIB, "-o", self.path(name + ".onnx"), "--threads", threads)
        self.assertEqual(open(self.path("a.onnx"), "rb").read(), open(self.path("b.onnx"), "rb").read())

    def test_reports(self):
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"), "--report", self.path("r.html"))
        html = open(self.path("r.html"), encoding="utf-8").read()
        self.assertIn("conv1", html)
        self.assertIsNone(re.search(r'(src|href)\s*=\s*"(https?:)?//', html), "the page must be self-contained")
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"), "--report", self.path("r.json"))
        self.assertEqual(json.load(open(self.path("r.json")))["quantization_type"], "static_int8")
        self.fails(2, "--report must end in .html or .json", "quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"), "--report", "r.pdf")

    def test_missing_data(self):
        for kind in ("static_int8", "per_channel_int8"):
            self.fails(4, f"calibration data required for {kind}: pass --data", "quantize", MODEL, "--quant-type", kind, "-o", self.path("q.onnx"))
        self.assertEqual(os.listdir(self.dir), [])

    def test_missing_model(self):
        err = self.fails(5, "model file not found: nowhere.onnx", "quantize", "nowhere.onnx", "--data", CALIB)
        self.assertEqual(err, "quantal: error: model file not found: nowhere.onnx\n")

    def test_device_cuda(self):
        self.fails(6, "files are device-independent; use --device cpu", "quantize", MODEL, "--device", "cuda", "--quant-type", "fp16")

    def test_types_and_options_of_later_versions_are_refused(self):
        for kind in ("bf16", "fp8", "int16x8", "int4", "mixed"):
            self.fails(6, "not available yet", "quantize", MODEL, "--quant-type", kind, "--data", CALIB, "-o", self.path("q.onnx"))
        for option in (["--format", "qoperator"], ["--io", "int8"], ["--contract", "fixed_double"], ["--accuracy", "auto"], ["--config", "x.yaml"],
                       ["--block-size", "32"], ["--max-drop", "1"], ["--min-sqnr", "30"], ["--max-size", "1000"], ["--eval", "true"],
                       ["--activation-type", "u16"], ["--weight-type", "s4"]):
            with self.subTest(option):
                self.fails(6, "not available yet", "quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"), *option)
        self.assertEqual(os.listdir(self.dir), [])
        # A value that changes nothing is no request for something else.
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"), "--format", "qdq", "--io", "float", "--contract", "FP32_RNE",
                      "--accuracy", "none", "--target", "onnxruntime", "--device", "cpu", "--seed", "1")

    def test_verbs_of_later_versions(self):
        for verb in ("sensitivity", "study", "bench", "export", "ai8x"):
            self.fails(6, f"quantal {verb} is not available yet", verb, MODEL, "--data", CALIB)

    def test_few_samples_warn_or_fail(self):
        few = npz(self.path("few.npz"), x=("<f4", (3, 1, 8, 8), floats(*([0.5, 0.25, 0.0] * 64))))
        r = self.json("quantize", MODEL, "--data", few, "-o", self.path("q.onnx"))
        self.assertTrue(any("3 calibration samples" in w for w in r["warnings"]), r["warnings"])
        os.remove(self.path("q.onnx"))
        self.fails(4, "3 calibration samples", "quantize", MODEL, "--data", few, "-o", self.path("q.onnx"), "--strict")
        self.assertFalse(os.path.exists(self.path("q.onnx")))
        r = self.json("quantize", MODEL, "--data", few, "-o", self.path("q.onnx"), "--min-samples", "3")
        self.assertFalse(any("calibration samples" in w for w in r["warnings"]), r["warnings"])

    def test_options_without_effect_are_named(self):
        cache = self.path("c.json")
        cases = {"dynamic_int8": (["--calibration-cache", cache], ["--activation-observer", "mse"], ["--symmetric"],
                                  ["--weight-type", "u8"], ["--target", "any"], ["--min-samples", "3"], ["--eval-data", TEST], ["--labels", "none.npy"],
                                  ["--percentile", "99"]),
                 "fp16": (["--weight-observer", "mse"], ["--percentile", "99"], ["--bins", "64"], ["--weight-type", "u8"], ["--reduce-range"]),
                 "static_int8": (["--percentile", "99"], ["--stddev", "3"], ["--scale", "0.5"], ["--imgsz", "3x"], ["--mean", "abc"], ["--letterbox"],
                                 ["--layout", "nhwc"])}
        for kind, options in cases.items():
            base = ["quantize", MODEL, "--quant-type", kind, "--data", CALIB]
            self.assertFalse(any("no effect" in w for w in self.json(*base, "-o", self.path("a.onnx"))["warnings"]))
            given = [word for option in options for word in option if option[0] != "--labels"]
            r = self.json(*base, "-o", self.path("b.onnx"), *given)
            named = {w.split()[0] for w in r["warnings"] if " has no effect" in w}
            self.assertEqual(named, {option[0] for option in options if option[0] != "--labels"})
            self.assertEqual(open(self.path("a.onnx"), "rb").read(), open(self.path("b.onnx"), "rb").read())
        self.assertFalse(os.path.exists(cache))
        self.assertIn("--labels has no effect without data", self.json("quantize", MODEL, "--quant-type", "fp16", "--labels", "none.npy", "-o", self.path("a.onnx"))["warnings"])
        for word, option in (("percentile", "--percentile"), ("stddev", "--stddev"), ("scale", "--scale")):
            r = self.json("quantize", MODEL, "--data", CALIB, "-o", self.path("a.onnx"), "--activation-observer", word.upper(), option, "0.9")
            self.assertFalse(any("no effect" in w for w in r["warnings"]), r["warnings"])
        r = self.json("calibrate", MODEL, "--data", CALIB, "-o", cache, "--imgsz", "64")
        self.assertEqual(r["warnings"], ["--imgsz has no effect: no images are read"])
        for verb in (["compare", MODEL, MODEL, "--data", CALIB], ["run", MODEL, "--input", npz(self.path("x.npz"), x=("<f4", (1, 1, 8, 8), floats(*[0.5] * 64)))]):
            r = run(*verb, "--color", "gray")
            self.assertEqual((r.returncode, r.stderr), (0, b"quantal: warning: --color has no effect: no images are read\n"))

    def test_a_larger_result_is_a_warning(self):
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"))
        r = self.json("quantize", self.path("q.onnx"), "--quant-type", "fp16", "-o", self.path("h.onnx"))
        self.assertGreater(r["quantized_bytes"], r["original_bytes"])
        self.assertTrue(any("larger than the original" in w for w in r["warnings"]), r["warnings"])

    def test_include_and_exclude(self):
        r = self.json("quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"), "--exclude", "Gemm", "--exclude", "conv1")
        status = {row["node"]: row["status"] for row in r["coverage"]}
        floats_left = [row for row in r["coverage"] if row["status"] == "float"]
        self.assertTrue(any(row["op"] == "Gemm" and row["reason"] for row in floats_left), status)
        self.assertLess(r["integer_macs"], 1.0)

    def test_P2_output_is_the_input(self):
        before = open(MODEL, "rb").read()
        self.fails(2, "would replace the model", "quantize", MODEL, "--data", CALIB, "-o", MODEL)
        self.assertEqual(open(MODEL, "rb").read(), before)

    def test_P2_a_failed_job_leaves_no_directory(self):
        self.fails(6, "nothing could be quantized", "quantize", MODEL, "--data", CALIB, "--include", "none*", "-o", self.path("a/b"))
        os.mkdir(self.path("in"))
        npz(self.path("in/x.npz"), y=("<f4", (1, 1, 8, 8), floats(*[0.0] * 64)))
        self.fails(4, "x.npz", "run", MODEL, "--input", self.path("in"), "-o", self.path("out"))
        self.assertEqual(os.listdir(self.dir), ["in"])

    def test_endings_in_any_case(self):
        self.succeeds("quantize", MODEL, "--quant-type", "fp16", "-o", self.path("A.ONNX"), "--report", self.path("R.HTML"))
        self.assertTrue(os.path.isfile(self.path("A.ONNX")))
        self.assertTrue(os.path.isfile(self.path("R.HTML")))
        open(self.path("X.NPY"), "wb").write(npy("<f4", (1, 1, 8, 8), floats(*[0.5] * 64)))
        self.assertEqual(self.json("run", MODEL, "--input", self.path("X.NPY"))["feeds"], 1)

    def test_P2_output_cannot_be_written(self):
        open(self.path("file"), "w").close()
        self.fails(5, "", "quantize", MODEL, "--data", CALIB, "-o", self.path("file") + "/q.onnx")
        self.fails(5, "", "quantize", MODEL, "--quant-type", "fp16", "-o", "/proc/nowhere/q.onnx")
        self.assertEqual(os.listdir(self.dir), ["file"])

    def test_damaged_model(self):
        data = open(MODEL, "rb").read()
        for name, content in (("half.onnx", data[:len(data) // 2]), ("empty.onnx", b""), ("text.onnx", b"hello, this is no model")):
            open(self.path(name), "wb").write(content)
            self.fails(3, name, "quantize", self.path(name), "--quant-type", "fp16", "-o", self.path("out.onnx"))
        self.assertFalse(os.path.exists(self.path("out.onnx")))


class Data(Case):
    def quantize_fails(self, code, text, data):
        self.fails(code, text, "quantize", MODEL, "--data", data, "-o", self.path("out.onnx"))
        self.assertFalse(os.path.exists(self.path("out.onnx")))

    def test_data_not_found(self):
        self.quantize_fails(5, "nowhere.npz", "nowhere.npz")

    def test_wrong_shape(self):
        self.quantize_fails(4, "bad.npz", npz(self.path("bad.npz"), x=("<f4", (4, 1, 9, 9), floats(*[0.0] * 324))))

    def test_wrong_name(self):
        self.quantize_fails(4, "bad.npz", npz(self.path("bad.npz"), y=("<f4", (1, 1, 8, 8), floats(*[0.0] * 64))))

    def test_pickle_is_refused(self):
        self.quantize_fails(4, "bad.npz", npz(self.path("bad.npz"), x=("|O", (1,), b"\x80\x04N.")))

    def test_truncated_archive(self):
        data = open(CALIB, "rb").read()
        open(self.path("bad.npz"), "wb").write(data[:-30])
        r = run("quantize", MODEL, "--data", self.path("bad.npz"), "-o", self.path("out.onnx"))
        self.assertEqual(r.returncode, 4)
        self.assertRegex(r.stderr.decode(), ERROR)

    def test_empty_directory(self):
        os.mkdir(self.path("none"))
        self.quantize_fails(4, "", self.path("none"))

    def test_all_nan(self):
        self.quantize_fails(4, "", npz(self.path("nan.npz"), x=("<f4", (2, 1, 8, 8), floats(*[float("nan")] * 128))))

    def test_uint8_and_float64_are_converted(self):
        whole = npz(self.path("u8.npz"), x=("|u1", (2, 1, 8, 8), bytes(range(128))))
        wide = npz(self.path("f64.npz"), x=("<f8", (2, 1, 8, 8), struct.pack("<128d", *range(128))))
        for name, data in (("a", whole), ("b", wide)):
            self.succeeds("quantize", MODEL, "--data", data, "-o", self.path(name + ".onnx"))
        self.assertEqual(open(self.path("a.onnx"), "rb").read(), open(self.path("b.onnx"), "rb").read())

    def test_directory_of_feeds(self):
        os.mkdir(self.path("d"))
        for i in range(3):
            npz(self.path("d/%d.npz" % i), x=("<f4", (i + 1, 1, 8, 8), floats(*[0.1 * i] * 64 * (i + 1))))
        r = self.json("quantize", MODEL, "--data", self.path("d"), "-o", self.path("q.onnx"))
        self.assertEqual(r["samples"], 6)


class Linter(Case):
    """What each warning needs is in tests/pipeline/lint_test.cpp; here: where they are shown, and the options."""

    def twins(self, scale=1.0):
        rng = random.Random(3)
        images = [floats(*[scale * rng.random() for _ in range(64)]) for _ in range(4)]
        return npz(self.path("twins%g.npz" % scale), x=("<f4", (8, 1, 8, 8), b"".join(images * 2)), _label=("<i8", (8,), struct.pack("<8q", *[2] * 8)))

    def test_warnings_everywhere(self):
        data, line = self.twins(), "duplicate: 4 of 8 samples repeat an earlier one: they add no information"
        ids = {"too_few_samples", "duplicate", "one_class", "missing_classes"}
        quantize = ["quantize", MODEL, "--data", data, "-o", self.path("q.onnx"), "--report", self.path("r.html")]
        calibrate = ["calibrate", MODEL, "--data", data, "-o", self.path("c.json")]
        for command in (quantize, calibrate):
            warnings = self.json(*command)["warnings"]
            self.assertIn(line, warnings)
            self.assertEqual({w.split(":")[0] for w in warnings if re.match(r"[a-z_]+: ", w)}, ids)
            text = self.succeeds(*command)
            self.narrow(text)
            self.assertIn("\nWarnings:\n", text)
            self.assertIn("  " + line + "\n", text)
            self.assertNotIn("Warnings:", self.succeeds(*command, "-q"))
        self.assertIn("<li>" + line, open(self.path("r.html"), encoding="utf-8").read())
        self.assertEqual(self.json("calibrate", MODEL, "--data", CALIB, "-o", self.path("c.json"))["warnings"], [])

    def test_min_samples_of_calibrate(self):
        r = self.json("calibrate", MODEL, "--data", self.twins(), "-o", self.path("c.json"), "--min-samples", "8")
        self.assertFalse(any(w.startswith("too_few_samples") for w in r["warnings"]), r["warnings"])

    def test_mismatch_with_evaluation_data(self):
        for command in (["quantize", MODEL, "-o", self.path("q.onnx")], ["calibrate", MODEL, "-o", self.path("c.json")]):
            r = self.json(*command, "--data", CALIB, "--eval-data", TEST)
            self.assertFalse(any(w.startswith("mismatch") for w in r["warnings"]), r["warnings"])
            r = self.json(*command, "--data", CALIB, "--eval-data", self.twins(255))
            self.assertTrue(any(w.startswith("mismatch: input 'x': calibration data (0.000..1.000,") for w in r["warnings"]), r["warnings"])
        self.fails(5, "nowhere.npz", "quantize", MODEL, "--data", CALIB, "--eval-data", "nowhere.npz", "-o", self.path("r.onnx"))
        r = self.json("quantize", MODEL, "--calibration-cache", self.path("c.json"), "--data", CALIB, "--eval-data", TEST, "-o", self.path("q.onnx"))
        self.assertTrue(any("not compared with the evaluation data" in w for w in r["warnings"]), r["warnings"])

    def test_D1_strict_refuses_nan(self):
        data = npz(self.path("nan.npz"), x=("<f4", (2, 1, 8, 8), floats(*([float("nan")] + [0.5, 0.25] * 63 + [1.0]))))
        r = self.json("quantize", MODEL, "--data", data, "-o", self.path("q.onnx"))
        self.assertTrue(any(w.startswith("nan: input 'x': 1 NaN values, the first in") for w in r["warnings"]), r["warnings"])
        self.fails(4, "NaN", "quantize", MODEL, "--data", data, "-o", self.path("s.onnx"), "--strict", "--min-samples", "1")
        self.assertFalse(os.path.exists(self.path("s.onnx")))


class Run(Case):
    def test_run_describes_and_writes(self):
        x = npz(self.path("x.npz"), x=("<f4", (2, 1, 8, 8), floats(*[0.5] * 128)), _label=("<i8", (2,), struct.pack("<2q", 1, 2)))
        r = self.json("run", MODEL, "--input", x, "-o", self.path("y.npz"))
        self.assertEqual(r["outputs"][0]["name"], "logits")
        self.assertEqual(r["outputs"][0]["shape"], [2, 10])
        with zipfile.ZipFile(self.path("y.npz")) as z:
            self.assertEqual(z.namelist(), ["logits.npy"])
        self.narrow(self.succeeds("run", MODEL, "--input", x))

    def test_directory_of_inputs(self):
        os.mkdir(self.path("in"))
        for i in range(2):
            npz(self.path("in/f%d.npz" % i), x=("<f4", (1, 1, 8, 8), floats(*[0.5] * 64)))
        self.fails(2, "-o DIR", "run", MODEL, "--input", self.path("in"))
        self.succeeds("run", MODEL, "--input", self.path("in"), "-o", self.path("out"))
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["f0.npz", "f1.npz"])

    def test_errors(self):
        self.fails(5, "input not found: nowhere.npz", "run", MODEL, "--input", "nowhere.npz")
        wrong = npz(self.path("x.npz"), y=("<f4", (1, 1, 8, 8), floats(*[0.5] * 64)))
        self.fails(4, "the model has no input 'y'", "run", MODEL, "--input", wrong)
        shape = npz(self.path("s.npz"), x=("<f4", (1, 1, 8, 9), floats(*[0.5] * 72)))
        self.fails(4, "s.npz", "run", MODEL, "--input", shape, "-o", self.path("y.npz"))
        self.assertFalse(os.path.exists(self.path("y.npz")))


class Compare(Case):
    def test_identical_models(self):
        r = self.json("compare", MODEL, MODEL, "--data", TEST, "--min-sqnr", "100")
        self.assertIsNone(r["outputs"][0]["sqnr_db"])  # infinite
        self.assertEqual(r["outputs"][0]["max_abs_error"], 0)

    def test_gates(self):
        q = self.path("q.onnx")
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", q)
        self.succeeds("compare", MODEL, q, "--data", TEST, "--min-sqnr", "10")
        self.succeeds("compare", MODEL, q, "--data", TEST, "--min-sqnr", "90", code=1)
        self.succeeds("compare", MODEL, q, "--data", TEST, "--metric", "top1", "--max-drop", "-50", code=1)
        self.assertEqual(self.json("compare", MODEL, q, "--data", TEST, "--min-sqnr", "90", code=1)["samples"], 500)

    def test_per_node(self):
        q = self.path("q.onnx")
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", q)
        r = self.json("compare", MODEL, q, "--data", CALIB, "--per-node", "--num-calib-batches", "2")
        rows = {n["value"]: n for n in r["nodes"]}
        self.assertIn("logits", rows)
        self.assertAlmostEqual(rows["logits"]["accumulated_db"], r["outputs"][0]["sqnr_db"], places=6)
        self.assertGreater(rows["logits"]["isolated_db"], rows["logits"]["accumulated_db"])
        self.narrow(self.succeeds("compare", MODEL, q, "--data", CALIB, "--per-node"))

    def test_eval_command(self):
        script = self.path("size.sh")
        open(script, "w").write("echo measuring\nstat -c %s \"$1\"\n")
        q = self.path("q.onnx")
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", q)
        r = self.json("compare", MODEL, q, "--eval", "sh " + script)
        self.assertEqual(r["metric_a"], os.path.getsize(MODEL))
        self.assertEqual(r["metric_b"], os.path.getsize(q))
        self.fails(5, "exit code 1", "compare", MODEL, q, "--eval", "false")
        self.fails(2, "did not print a number", "compare", MODEL, q, "--eval", "echo none; true")

    def test_errors(self):
        self.fails(4, "samples required", "compare", MODEL, MODEL)
        self.fails(2, "--max-drop needs", "compare", MODEL, MODEL, "--data", TEST, "--max-drop", "1")
        self.fails(2, "exclude each other", "compare", MODEL, MODEL, "--data", TEST, "--metric", "top1", "--eval", "true")
        self.fails(5, "model file not found: b.onnx", "compare", MODEL, "b.onnx", "--data", TEST)
        bare = npz(self.path("x.npz"), x=("<f4", (2, 1, 8, 8), floats(*[0.5] * 128)))
        self.fails(4, "labels", "compare", MODEL, MODEL, "--data", bare, "--metric", "top1")


class Calibrate(Case):
    def shards(self):
        """The 200 calibration images as two files of 120 and 80."""
        with zipfile.ZipFile(CALIB) as z:
            data = z.read("x.npy")[-200 * 64 * 4:]
        return (npz(self.path("s1.npz"), x=("<f4", (120, 1, 8, 8), data[:120 * 256])),
                npz(self.path("s2.npz"), x=("<f4", (80, 1, 8, 8), data[120 * 256:])))

    def test_merged_shards_are_one_run(self):
        for observer in ("minmax", "histogram"):
            a, b = self.shards()
            for data, name in ((a, "a"), (b, "b"), (CALIB, "all")):
                self.succeeds("calibrate", MODEL, "--data", data, "-o", self.path(name + ".json"), "--activation-observer", observer)
            self.succeeds("calibrate", "--merge", self.path("a.json"), self.path("b.json"), "-o", self.path("merged.json"))
            with open(self.path("merged.json")) as f, open(self.path("all.json")) as g:
                self.assertEqual(f.read(), g.read(), observer)

    def test_cache_replaces_the_data(self):
        r = self.json("calibrate", MODEL, "--data", CALIB, "-o", self.path("c.json"))
        self.assertEqual(r["samples"], 200)
        rows = [t["tensor"] for t in self.json("inspect", self.path("c.json"))["tensors"]]
        self.assertEqual(r["tensors"], len([name for name in rows if not name.endswith("#channel_means")]))
        self.assertLess(r["tensors"], len(rows))
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", self.path("a.onnx"))
        self.succeeds("quantize", MODEL, "--calibration-cache", self.path("c.json"), "-o", self.path("b.onnx"))
        with open(self.path("a.onnx"), "rb") as f, open(self.path("b.onnx"), "rb") as g:
            self.assertEqual(f.read(), g.read())

    def test_cache_is_written_and_read(self):
        cache = self.path("c.json")
        self.succeeds("quantize", MODEL, "--data", CALIB, "--calibration-cache", cache, "-o", self.path("a.onnx"))
        r = self.json("inspect", cache)
        self.assertEqual((r["kind"], r["samples"]), ("calibration_cache", 200))
        self.assertAlmostEqual({t["tensor"]: t for t in r["tensors"]}["x"]["max"], 1.0)
        self.narrow(self.succeeds("inspect", cache))
        # A cache of another model is not used: without data an error, with data a warning and a new cache.
        q = self.path("other.onnx")
        with open(q, "wb") as f:
            f.write(onnx([("Conv", ["x", "w"], ["y"])], [("x", ["N", 1, 8, 8])], [("y", ["N", 1, 6, 6])], [("w", [1, 1, 3, 3], [0.5, -1, 0.25] * 3)]))
        self.fails(4, "another model", "quantize", q, "--calibration-cache", cache, "-o", self.path("b.onnx"))
        r = self.json("quantize", q, "--calibration-cache", cache, "--data", CALIB, "-o", self.path("b.onnx"))
        self.assertTrue(any("another model" in w for w in r["warnings"]), r["warnings"])

    def test_errors(self):
        self.fails(4, "calibration data required: pass --data", "calibrate", MODEL, "-o", self.path("c.json"))
        self.fails(2, "no output given", "calibrate", MODEL, "--data", CALIB)
        self.fails(2, "--merge needs two", "calibrate", "--merge", self.path("a.json"), "-o", self.path("c.json"))
        self.fails(2, "takes one model", "calibrate", MODEL, MODEL, "--data", CALIB, "-o", self.path("c.json"))
        self.fails(5, "model file not found: none.onnx", "calibrate", "none.onnx", "--data", CALIB, "-o", self.path("c.json"))
        self.succeeds("calibrate", MODEL, "--data", CALIB, "-o", self.path("a.json"))
        with open(self.path("bad.json"), "w") as f:
            f.write("{\"kind\": 3")
        self.fails(3, "bad.json", "calibrate", "--merge", self.path("a.json"), self.path("bad.json"), "-o", self.path("c.json"))
        self.fails(3, "bad.json", "inspect", self.path("bad.json"))
        self.assertFalse(os.path.exists(self.path("c.json")))


class Inspect(Case):
    def test_float_model_says_what_would_be_quantized(self):
        r = self.json("inspect", MODEL)
        status = {row["op"]: row["status"] for row in r["coverage"]}
        self.assertEqual(status["Conv"], "quantized")
        self.assertIn("With static_int8", self.succeeds("inspect", MODEL))

    def test_model(self):
        out = self.succeeds("inspect", MODEL)
        self.narrow(out)
        for word in ("Conv", "BatchNormalization", "opset 17", "[batch,1,8,8]"):
            self.assertIn(word, out)
        r = self.json("inspect", MODEL)
        self.assertEqual(r["operators"]["Conv"], 5)
        self.assertEqual(r["unknown_operators"], [])

    def test_quantized_model_shows_parameters(self):
        q = self.path("q.onnx")
        self.succeeds("quantize", MODEL, "--data", CALIB, "-o", q)
        r = self.json("inspect", q)
        scales = {p["tensor"]: p for p in r["quantization"]}
        self.assertEqual(scales["x"]["dtype"], "u8")
        self.assertAlmostEqual(float(scales["x"]["scale"]), 1 / 255, places=7)

    def test_presets(self):
        for name in ("quantal", "onnxruntime", "torch", "tflite", "tensorrt", "ai8x"):
            self.narrow(self.succeeds("inspect", "--preset", name))
            self.assertEqual(self.json("inspect", "--preset", name)["preset"], name)
        self.fails(2, "unknown preset", "inspect", "--preset", "nobody")
        self.fails(5, "file not found: none.onnx", "inspect", "none.onnx")
        self.fails(2, "give a file or --preset", "inspect")


class Machine(Case):
    def test_cpu(self):
        self.narrow(self.succeeds("cpu"))
        self.assertIn("isa", self.json("cpu"))
        r = subprocess.run([QUANTAL, "cpu", "--json"], env=dict(os.environ, QUANTAL_ISA="ref"), capture_output=True)
        self.assertEqual(json.loads(r.stdout)["isa"], "ref")

    def test_selftest(self):
        r = self.json("selftest")
        self.assertTrue(r["passed"])
        words = list(r["parts"].values())
        self.assertEqual(len(set(words)), 8)
        for word in words:
            self.assertRegex(word, r"\A[0-9a-f]{8}\Z")
        self.assertEqual(r["checksum"], "%08x" % zlib.crc32(b"".join(int(word, 16).to_bytes(4, "little") for word in words)))
        ran = [row for row in r["isas"] if row["ran"]]
        self.assertGreaterEqual(len(ran), 1)
        for row in ran:
            self.assertEqual((row["checksum"], row["parts"]), (r["checksum"], r["parts"]))
        table = self.succeeds("selftest")
        self.narrow(table)
        self.assertEqual(table.count(r["checksum"]), len(ran) + 1)


class Usage(Case):
    def test_help_of_every_verb_has_an_example(self):
        self.assertIn("Exit codes", self.succeeds("--help"))
        for verb in ("quantize", "calibrate", "inspect", "run", "compare", "cpu", "selftest"):
            self.assertIn("Example:\n  quantal " + verb, self.succeeds(verb, "--help"))
        self.assertRegex(self.succeeds("--version"), r"\Aquantal \d+\.\d+\.\d+\n\Z")

    def test_usage_errors(self):
        for args in ([], ["nonsense"], ["quantize"], ["quantize", MODEL, "--nonsense"], ["quantize", MODEL, "--quant-type"],
                     ["quantize", MODEL, "--quant-type", "int9"], ["quantize", MODEL, "--batch-size", "x"], ["quantize", MODEL, "--batch-size", "0"],
                     ["quantize", MODEL, "--batch-size", "99999999999999999999"], ["quantize", MODEL, "other.onnx"], ["compare", MODEL],
                     ["compare", MODEL, MODEL, "--data", TEST, "--metric", "f1"], ["quantize", MODEL, "--weights", "other.onnx"],
                     ["quantize", MODEL, "--activation-observer", "guess"], ["quantize", MODEL, "--threads", "-3"]):
            with self.subTest(args):
                self.fails(2, "", *args)

    def test_error_is_an_object_with_json(self):
        r = run("quantize", "nowhere.onnx", "--json", "--quant-type", "fp16")
        self.assertEqual(r.returncode, 5)
        self.assertEqual(json.loads(r.stdout)["error"]["exit_code"], 5)
        self.assertRegex(r.stderr.decode(), ERROR)

    def test_names_cannot_move_the_cursor(self):
        name = "evil\x1b[2J\nname.onnx"
        err = self.fails(5, "model file not found", "quantize", name, "--quant-type", "fp16")
        self.assertNotIn("\x1b", err)


class Environment(Case):
    def test_P4_locales_change_nothing(self):
        plain = self.json("quantize", MODEL, "--data", CALIB, "-o", self.path("a.onnx"))
        have = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.split()
        tried = [name for name in have if re.match(r"(de_DE|tr_TR|fr_FR|C\.utf8|POSIX)", name)]
        for name in tried + ["de_DE.UTF-8", "tr_TR.UTF-8"]:
            r = run("quantize", MODEL, "--data", CALIB, "-o", self.path("a.onnx"), "--json", env={"LC_ALL": name, "TZ": "Asia/Kolkata"})
            other = json.loads(r.stdout)
            for report in (plain, other):
                report.pop("seconds", None), report.pop("peak_rss_bytes", None)
            self.assertEqual(plain, other)
            text = run("compare", MODEL, self.path("a.onnx"), "--data", CALIB, env={"LC_ALL": name}).stdout.decode()
            self.assertRegex(text, r"\d+\.\d\d dB")

    def test_P9_closed_stdout(self):
        r = subprocess.run(f'"{QUANTAL}" quantize "{MODEL}" --data "{CALIB}" -o "{self.path("q.onnx")}" >&-', shell=True, capture_output=True)
        self.assertEqual(r.returncode, 5, r.stderr)
        self.assertIn(b"standard output", r.stderr)
        # The model that was written is a model: nothing of the summary went into it.
        self.succeeds("inspect", self.path("q.onnx"))

    def test_P9_full_disk_and_broken_pipe(self):
        r = subprocess.run(f'"{QUANTAL}" cpu >/dev/full', shell=True, capture_output=True)
        self.assertEqual(r.returncode, 5)
        r = subprocess.run(["bash", "-c", f'"{QUANTAL}" inspect --preset quantal --json | true; echo ${{PIPESTATUS[0]}}'], capture_output=True, text=True)
        self.assertIn(r.stdout.strip(), ("0", "5"))  # 0: the pipe took all of it before the reader left

    def test_P9_closed_stdin_and_stderr(self):
        r = subprocess.run(f'"{QUANTAL}" quantize "{MODEL}" --data "{CALIB}" -o "{self.path("q.onnx")}" <&- 2>&-', shell=True, capture_output=True)
        self.assertEqual(r.returncode, 0)
        self.succeeds("inspect", self.path("q.onnx"))

    def test_progress_goes_to_stderr_only(self):
        r = run("quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"), "--json")
        json.loads(r.stdout)
        r = run("quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"), "-q")
        self.assertEqual(r.stderr, b"")


class P10Arguments(Case):
    def test_long_and_strange_arguments(self):
        for argument in ("x" * 100000, "--" + "y" * 100000, "-" * 1000, "\u202e\u0007", "=", "--=", "--quant-type=", "@", "%s%n", "-9", "--data=--data"):
            r = run("quantize", argument)
            self.assertIn(r.returncode, (2, 4, 5), argument[:20])
            self.assertLess(len(r.stderr), 5000)
            self.assertRegex(r.stderr.decode(), ERROR)

    def test_random_arguments_end_with_a_known_exit_code(self):
        rng = random.Random(7)
        words = ["quantize", "compare", "run", "inspect", "cpu", MODEL, CALIB, "--data", "--quant-type", "static_int8", "-o", self.path("o.onnx"),
                 "--json", "-q", "-v", "--threads", "1", "-1", "0", "1e999", "", "--exclude", "*", "[", "--help", "--batch-size", "\u00e9", "--metric",
                 "top1", "--per-node", "--report", self.path("r.html"), "--input", "--preset", "torch", "--", "-", "nan"]
        for _ in range(150):
            args = [rng.choice(words) for _ in range(rng.randrange(0, 9))]
            r = run(*args, cwd=self.dir)
            self.assertIn(r.returncode, (0, 1, 2, 3, 4, 5, 6), args)
            if r.returncode > 1:
                self.assertRegex(r.stderr.decode(), re.compile(r"quantal: error: [^\n]+\n\Z"), args)


class Json(Case):
    """docs/cli.md lists the keys of every object; these are the objects."""

    def documented(self):
        page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "cli.md")
        text = open(page, encoding="utf-8").read().split("\n## JSON\n")[1]
        rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in text.splitlines() if line.startswith("|")][2:]
        return {name: set(keys.split()) for name, keys in rows}

    def objects(self):
        q, cache = self.path("q.onnx"), self.path("c.json")
        yield "quantize", self.json("quantize", MODEL, "--data", CALIB, "-o", q, "--report", self.path("r.json"))
        self.assertEqual(json.load(open(self.path("r.json"))).keys(), self.documented()["quantize"])
        yield "calibrate", self.json("calibrate", MODEL, "--data", CALIB, "-o", cache)
        yield "inspect model", self.json("inspect", MODEL)
        yield "inspect model", self.json("inspect", q)
        for form in ("quantal", "tensorrt", "onnxruntime"):
            self.succeeds("calibrate", MODEL, "--data", CALIB, "-o", cache, "--cache-format", form)
            r = self.json("inspect", cache)
            self.assertEqual((r["kind"], r["format"]), ("calibration_cache", form))
            yield "inspect cache", r
        yield "inspect preset", self.json("inspect", "--preset", "TORCH")
        x = npz(self.path("x.npz"), x=("<f4", (2, 1, 8, 8), floats(*[0.5] * 128)))
        yield "run", self.json("run", MODEL, "--input", x)
        yield "compare", self.json("compare", MODEL, q, "--data", TEST)
        yield "compare with a metric", self.json("compare", MODEL, q, "--data", TEST, "--metric", "TOP5")
        yield "compare per node", self.json("compare", MODEL, q, "--data", CALIB, "--per-node")
        yield "cpu", self.json("cpu")
        yield "selftest", self.json("selftest")
        yield "any failure", self.json("run", "none.onnx", "--input", x, code=5)

    def test_keys(self):
        documented, seen = self.documented(), set()
        for name, found in self.objects():
            parts = {name: found}
            for key, value in found.items():
                if isinstance(value, list) and value and isinstance(value[0], dict):
                    parts.update({f"{name}.{key}": row for row in value})
                elif isinstance(value, dict) and f"{name}.{key}" in documented:
                    parts[f"{name}.{key}"] = value
            for part, row in parts.items():
                if part in documented:
                    self.assertEqual(set(row), documented[part], part)
                    seen.add(part)
        self.assertEqual(seen, set(documented))

    def test_types(self):
        r = self.json("quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"))
        for key, kind in {"original_model": str, "quantized_model": str, "quantization_type": str, "original_bytes": int, "quantized_bytes": int,
                          "compression_ratio": float, "coverage": list, "integer_macs": (int, float), "outputs": list, "samples": int, "warnings": list,
                          "seconds": float, "peak_rss_bytes": int}.items():
            self.assertIsInstance(r[key], kind, key)
        self.assertTrue(0 <= r["integer_macs"] <= 1)
        self.assertTrue(all(isinstance(w, str) for w in r["warnings"]))
        self.assertTrue(all(row["status"] in ("quantized", "float") and (row["status"] == "float") == bool(row["reason"]) for row in r["coverage"]))
        self.assertAlmostEqual(r["compression_ratio"], r["original_bytes"] / r["quantized_bytes"], places=6)

    def test_no_data_no_outputs(self):
        r = self.json("quantize", MODEL, "--quant-type", "fp16", "-o", self.path("q.onnx"))
        self.assertEqual((r["outputs"], r["samples"]), ([], 0))
        self.assertIn("not measured (no calibration data)", self.succeeds("quantize", MODEL, "--quant-type", "fp16", "-o", self.path("q.onnx")))

    def test_inspect_tensors(self):
        rows = {t["name"]: t for t in self.json("inspect", MODEL)["tensors"]}
        self.assertEqual(rows["x"], {"name": "x", "kind": "input", "dtype": "f32", "shape": "[batch,1,8,8]"})
        self.assertEqual((rows["logits"]["kind"], rows["logits"]["shape"]), ("output", "[batch,10]"))
        self.assertIn("constant", {t["kind"] for t in rows.values()})
        self.assertNotIn("?", {t["dtype"] for t in rows.values()})
        text = self.succeeds("inspect", MODEL, "-v")
        self.narrow(text)
        self.assertIn("\nTensors:\n", text)


class Caches(Case):
    def test_other_tools_caches_there_and_back(self):
        for form in ("tensorrt", "onnxruntime"):
            cache, q = self.path(form), self.path(form + ".onnx")
            self.succeeds("calibrate", MODEL, "--data", CALIB, "--activation-observer", "percentile", "--cache-format", form.upper(), "-o", cache)
            kept = {t["tensor"]: t for t in self.json("inspect", cache)["tensors"]}
            r = self.json("quantize", MODEL, "--calibration-cache", cache, "-o", q, "--strict")
            known = [t for t in r["ranges"] if t["tensor"] in kept]  # others take the range of the tensor they are copies of
            self.assertGreaterEqual(len(known), 6)
            for t in known:
                self.assertLessEqual(t["max"], kept[t["tensor"]]["max"] * 1.0001 + 1e-6)
            self.assertFalse(any("samples" in w for w in r["warnings"]), r["warnings"])
            if form == "tensorrt":
                self.assertTrue(all(t["min"] == -t["max"] for t in kept.values()))
                self.assertRegex(open(cache).read(), r"\ATRT-\d+-EntropyCalibration2\n([^\n]+: [0-9a-f]{8}\n)+\Z")
            score = self.json("compare", MODEL, q, "--data", TEST, "--metric", "top1")
            self.assertLess(abs(score["drop"]), 1)

    def test_merged_shards_for_another_tool(self):
        for name in ("a", "b"):
            self.succeeds("calibrate", MODEL, "--data", CALIB, "-o", self.path(name), "--activation-observer", "entropy")
        self.succeeds("calibrate", "--merge", self.path("a"), self.path("b"), "-o", self.path("trt"), "--cache-format", "tensorrt")
        self.succeeds("calibrate", MODEL, "--data", CALIB, "-o", self.path("one"), "--activation-observer", "entropy", "--cache-format", "tensorrt")
        self.assertEqual(open(self.path("trt")).read(), open(self.path("one")).read())

    def test_every_observer_in_both_places(self):
        kinds = ["static_int8", "per_channel_int8"]
        for observer in ("minmax", "moving_average", "percentile", "percentile_symmetric", "entropy", "entropy_onnxruntime", "mse", "histogram", "octav",
                         "avgmax", "stddev", "scale", "max", "qat_shift"):
            kinds.reverse()
            for options in (["--activation-observer", observer], ["--weight-observer", observer]):
                r = self.json("quantize", MODEL, "--data", CALIB, "-o", self.path("q.onnx"), "--quant-type", kinds[0], *options)
                self.assertEqual(r["integer_macs"], 1)
        plain, other = self.path("p.onnx"), self.path("o.onnx")
        self.succeeds("quantize", MODEL, "--quant-type", "dynamic_int8", "-o", plain)
        self.succeeds("quantize", MODEL, "--quant-type", "dynamic_int8", "-o", other, "--weight-observer", "scale", "--scale", "0.5")
        self.assertNotEqual(open(plain, "rb").read(), open(other, "rb").read())


if __name__ == "__main__":
    main()
