#!/usr/bin/env python3
"""The Python package, with ONNX Runtime and numpy as the oracles.   python_test.py DIGITS_DIR   (QUANTAL_LIBRARY is set)"""
import gc
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import unittest

DIGITS = sys.argv[1]
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bindings", "python"))

try:
    import numpy as np
    import onnxruntime as ort
except ImportError as missing:
    print(f"skip: {missing.name} is not installed (tests/run.sh makes tests/.venv)")
    sys.exit(77)

import quantal  # noqa: E402
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from files import png  # noqa: E402

MODEL = os.path.join(DIGITS, "digits.onnx")
CALIB, TEST = (dict(np.load(os.path.join(DIGITS, f))) for f in ("calib.npz", "test.npz"))


def ort_run(path, x):
    options = ort.SessionOptions()
    # CPUs without VNNI: ONNX Runtime's 16-bit sums saturate unless this is set.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def sqnr(a, b):
    noise = ((a.astype(np.float64) - b) ** 2).sum()
    return np.inf if noise == 0 else 10 * np.log10((a.astype(np.float64) ** 2).sum() / noise)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = os.path.join(folder.name, "q.onnx")


class Numbers(Case):
    def test_worked_example(self):
        self.assertEqual(quantal.choose_params(-2.0, 2.0, dtype="s8", preset="torch")[1], -1)
        self.assertEqual(quantal.choose_params(-2.0, 2.0, dtype="s8", preset="onnxruntime")[1], 0)
        scale, zero = quantal.choose_params(-1.3, 2.7, dtype="u8")
        self.assertEqual((np.float32(scale), zero), (np.float32(0.015686275), 83))

    def test_choose_params_equals_onnxruntime_tools(self):
        from onnxruntime.quantization.quant_utils import compute_scale_zp
        rng = np.random.default_rng(0)
        limits = {"u8": (0, 255, np.uint8), "s8": (-128, 127, np.int8)}
        for _ in range(1000):
            low, high = np.sort(rng.normal(0, 10.0 ** rng.integers(-6, 6), 2))
            for name, (qmin, qmax, kind) in limits.items():
                zp, scale = compute_scale_zp(np.array(low, np.float64), np.array(high, np.float64), np.array(qmin, kind), np.array(qmax, kind), False)
                self.assertEqual(quantal.choose_params(low, high, dtype=name, preset="onnxruntime"), (float(np.float32(scale)), int(zp)))

    def test_quantize_array_equals_numpy(self):
        rng = np.random.default_rng(1)
        x = rng.normal(0, 3, (4, 5, 6)).astype(np.float32)
        for dtype, (low, high) in {"s8": (-128, 127), "u8": (0, 255), "s16": (-32768, 32767), "u16": (0, 65535)}.items():
            zero = 0 if low < 0 else (high + 1) // 2
            expected = np.clip(np.rint(x / np.float32(0.05)) + zero, low, high)
            got = quantal.quantize_array(x, 0.05, zero, dtype=dtype)
            np.testing.assert_array_equal(got, expected)
            np.testing.assert_array_equal(quantal.dequantize_array(got, 0.05, zero),
                                          ((got.astype(np.float32) - zero) * np.float32(0.05)).astype(np.float32))

    def test_quantize_array_per_axis_equals_onnxruntime(self):
        import onnx
        from onnx import TensorProto, helper
        rng = np.random.default_rng(2)
        x = rng.normal(0, 3, (7, 5)).astype(np.float32)
        scale = rng.uniform(0.01, 0.1, 5).astype(np.float32)
        zero = rng.integers(-100, 100, 5).astype(np.int8)
        node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"], axis=1)
        graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [7, 5])],
                                  [helper.make_tensor_value_info("y", TensorProto.INT8, [7, 5])],
                                  [onnx.numpy_helper.from_array(scale, "s"), onnx.numpy_helper.from_array(zero, "z")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        expected = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        np.testing.assert_array_equal(quantal.quantize_array(x, scale, zero, dtype="s8", axis=1), expected)
        np.testing.assert_array_equal(quantal.quantize_array(x, scale, zero, dtype="int8", axis=-1), expected)

    def test_A3_any_layout_of_the_array(self):
        x = np.arange(24, dtype=np.float32).reshape(4, 6) - 12
        expected = quantal.quantize_array(x, 0.5)
        for y in (np.asfortranarray(x), x.astype(np.float64), x.astype(">f4"), np.repeat(x, 2, axis=1)[:, ::2]):
            np.testing.assert_array_equal(quantal.quantize_array(y, 0.5), expected)
        np.testing.assert_array_equal(quantal.quantize_array(x[::-1, ::-1], 0.5), expected[::-1, ::-1])
        frozen = x.copy()
        frozen.flags.writeable = False
        np.testing.assert_array_equal(quantal.quantize_array(frozen, 0.5), expected)
        self.assertEqual(quantal.quantize_array(np.float32(3), 0.5).shape, ())
        self.assertEqual(quantal.quantize_array(np.empty((0, 3), np.float32), 0.5).shape, (0, 3))

    def test_errors(self):
        x = np.ones((2, 3), np.float32)
        for call, kind in ((lambda: quantal.choose_params(2, 1), ValueError), (lambda: quantal.choose_params(0, float("nan")), ValueError),
                           (lambda: quantal.choose_params(0, 1, dtype="s9"), TypeError), (lambda: quantal.choose_params(0, 1, dtype="f32"), TypeError),
                           (lambda: quantal.choose_params(0, 1, preset="nobody"), ValueError), (lambda: quantal.quantize_array(x, 0.0), ValueError),
                           (lambda: quantal.quantize_array(x, float("nan")), ValueError), (lambda: quantal.quantize_array(x, 0.5, 128), ValueError),
                           (lambda: quantal.quantize_array(x, [0.5, 0.5], axis=1), ValueError), (lambda: quantal.quantize_array(x, 0.5, axis=2), ValueError),
                           (lambda: quantal.quantize_array(x, 0.5, 0.5), TypeError), (lambda: quantal.quantize_array(["a"], 0.5), TypeError),
                           (lambda: quantal.quantize_array(x, 0.5, dtype="f32"), TypeError), (lambda: quantal.dequantize_array(x, 0.5), TypeError)):
            with self.assertRaises(kind):
                call()
        with self.assertRaises(ValueError) as caught:
            quantal.quantize_array(x, -1.0)
        self.assertEqual((caught.exception.code, caught.exception.status), (-20, "scale"))


class Observers(Case):
    def setUp(self):
        super().setUp()
        r = np.random.default_rng(3)
        self.x = (r.standard_normal((40, 5, 30)) * np.arange(1, 6)[:, None]).astype(np.float32)

    def test_worked_example_and_numpy(self):
        obs = quantal.Observer("MinMax")
        obs.observe(np.array([-2.0, 2.0], np.float32))
        self.assertEqual(obs.params(dtype="s8", preset="torch")[1], -1)
        self.assertEqual(obs.params(dtype="s8", preset="onnxruntime")[1], 0)
        obs = quantal.Observer("percentile", percentile=90)
        obs.observe(self.x)
        low, high, _ = obs.range()
        np.testing.assert_allclose([low, high], np.quantile(self.x, [0.05, 0.95]), atol=0.05)

    def test_per_channel_equals_numpy(self):
        obs = quantal.Observer("minmax", axis=1)
        for part in np.array_split(self.x, 3):
            obs.observe(part)
        low, high, _ = obs.range(dtype="s8")
        np.testing.assert_array_equal(low, self.x.min((0, 2)))
        np.testing.assert_array_equal(high, self.x.max((0, 2)))
        scale, zero = obs.params(dtype="s8", symmetric=True)
        np.testing.assert_allclose(scale, np.abs(self.x).max((0, 2)) / 127, rtol=1e-6)
        self.assertTrue((zero == 0).all())

    def test_merged_shards_equal_one_run(self):
        for method in ("minmax", "entropy", "mse", "percentile", "stddev", "octav"):
            whole, a, b = (quantal.Observer(method) for _ in range(3))
            whole.observe(self.x)
            a.observe(self.x[25:])
            b.observe(self.x[:25])
            a.merge(b)
            self.assertEqual(a.save(), whole.save())
            self.assertEqual(a.range(), whole.range())

    def test_saved_statistics_are_clipped_again_without_data(self):
        obs = quantal.Observer("histogram", bins=512)
        obs.observe(self.x)
        path = self.out + ".json"
        text = obs.save(path)
        with open(path, encoding="utf-8") as f:
            self.assertEqual(f.read(), text)
        again = quantal.Observer.load(text, bins=512)
        self.assertEqual(again.range(), obs.range())
        entropy, direct = quantal.Observer.load(text, "entropy", bins=512), quantal.Observer("entropy", bins=512)
        direct.observe(self.x)
        self.assertEqual(entropy.range(), direct.range())
        self.assertGreater(entropy.range().candidates, 0)
        again.observe(self.x)  # and goes on
        self.assertEqual(quantal.Observer.load(again.save(), bins=512).range("s8"), again.range("s8"))

    def test_D8_other_float_types_and_layouts(self):
        half = self.x.astype(np.float16)
        a, b = quantal.Observer("histogram"), quantal.Observer("histogram")
        a.observe(half[::-1, :, ::2])
        b.observe(np.ascontiguousarray(half[::-1, :, ::2]).astype(np.float32))
        self.assertEqual(a.save(), b.save())

    def test_errors(self):
        self.assertRaises(ValueError, quantal.Observer, "fastest")
        self.assertRaises(ValueError, quantal.Observer, "percentile", percentile=101)
        self.assertRaises(TypeError, quantal.Observer, None)
        self.assertRaises(ValueError, quantal.Observer, "minmax", axis=-1)
        obs = quantal.Observer()
        self.assertRaises(quantal.DataError, obs.params)  # nothing was observed
        self.assertRaises(TypeError, obs.observe, np.arange(3))
        self.assertRaises(TypeError, obs.merge, self.x)
        obs.observe(self.x)
        before = obs.save()
        self.assertRaises(TypeError, obs.params, dtype="f32")
        self.assertRaises(ValueError, obs.params, preset="nobody")
        self.assertRaises(quantal.DataError, obs.merge, quantal.Observer("histogram"))
        average = quantal.Observer("moving_average")
        average.observe(self.x)
        self.assertRaises(quantal.UnsupportedError, average.merge, average)
        channels = quantal.Observer("minmax", axis=3)
        self.assertRaises(ValueError, channels.observe, self.x)
        self.assertRaises(quantal.ModelError, quantal.Observer.load, before[:-9])
        self.assertRaises(ValueError, quantal.Observer.load, before, axis=0)
        self.assertRaises(quantal.DataError, quantal.Observer.load(before, "entropy").range)  # no histogram in it
        self.assertEqual(obs.save(), before)


class Models(Case):
    def test_float_model_equals_onnxruntime(self):
        with quantal.Session(MODEL) as session:
            self.assertEqual([(v.name, v.dtype, v.shape) for v in session.inputs], [("x", np.dtype(np.float32), (None, 1, 8, 8))])
            y = session.run({"x": TEST["x"]})["logits"]
        expected = ort_run(MODEL, TEST["x"])
        self.assertLessEqual(np.abs(y - expected).max(), 1e-4 * (expected.max() - expected.min()))

    def test_quantized_models_equal_onnxruntime(self):
        for kind in ("static_int8", "per_channel_int8"):
            with self.subTest(kind):
                report = quantal.quantize(MODEL, self.out, quant_type=kind, data=CALIB["x"])
                self.assertEqual(report["quantization_type"], kind)
                self.assertEqual(report["samples"], 200)
                mine = quantal.Session(self.out).run(TEST["x"])["logits"]
                theirs = ort_run(self.out, TEST["x"])
                self.assertGreater(sqnr(theirs, mine), 30)
                agreement = (mine.argmax(1) == theirs.argmax(1)).mean()
                self.assertGreaterEqual(agreement, 0.998)
                self.assertGreaterEqual((theirs.argmax(1) == TEST["_label"]).mean(), 0.987)

    def test_fp16_and_dynamic_load_in_onnxruntime(self):
        expected = ort_run(MODEL, TEST["x"])
        for kind in ("fp16", "dynamic_int8"):
            with self.subTest(kind):
                quantal.quantize(MODEL, self.out, quant_type=kind)
                self.assertGreater(sqnr(expected, ort_run(self.out, TEST["x"])), 25)

    def test_every_form_of_data_gives_the_same_model(self):
        x = CALIB["x"]
        feeds = [x[i:i + 16] for i in range(0, 200, 16)]
        forms = {"array": x, "dict": {"x": x}, "list": feeds, "dicts": [{"x": f} for f in feeds], "generator": (f for f in feeds),
                 "float64": x.astype(np.float64), "path": os.path.join(DIGITS, "calib.npz"), "extra axis": x[:192].reshape(12, 16, 1, 8, 8)}
        results = {}
        for name, data in forms.items():
            quantal.quantize(MODEL, self.out, data=data)
            with open(self.out, "rb") as f:
                results[name] = f.read()
        same = {name for name, model in results.items() if model == results["array"]}
        self.assertEqual(same | {"extra axis"}, set(forms))

    def test_images_and_labels_have_the_command_lines_options(self):
        pixels = np.random.default_rng(5).integers(0, 256, (40, 8, 8))
        names = []
        for i, picture in enumerate(pixels):
            names.append(os.path.join(os.path.dirname(self.out), f"{i:02}.png"))
            with open(names[-1], "wb") as f:
                f.write(png(8, 8, 1, lambda y, x, _: picture[y, x]))
        listed, labels = (os.path.join(os.path.dirname(self.out), n) for n in ("images.txt", "labels.npy"))
        with open(listed, "w") as f:
            f.write("\n".join(names))
        np.save(labels, np.zeros(40, np.int64))
        made = {}
        for key, keywords in {"arrays": {"data": (pixels[:, None] / 255 * 2 - 1).astype(np.float32)},
                              "images": {"data": listed, "imgsz": 8, "value_range": (-1, 1), "layout": "nchw", "color": "gray", "labels": labels},
                              "std": {"data": listed, "imgsz": (8, 8), "mean": 0.5, "std": [0.5], "value_range": "0..1", "letterbox": True}}.items():
            quantal.quantize(MODEL, self.out, **keywords)
            made[key] = quantal.compare(MODEL, self.out, CALIB["x"])["outputs"][0]["sqnr_db"]
        # 2 (p / 255) - 1 and (p / 255 - 0.5) / 0.5 are rounded at different places: the ranges agree to some 1e-7.
        self.assertAlmostEqual(made["arrays"], made["images"], places=2)
        self.assertAlmostEqual(made["arrays"], made["std"], places=2)
        same = quantal.compare(MODEL, MODEL, listed, metric="top1", labels=labels, value_range="-1..1")
        mine = quantal.Session(MODEL).run((pixels[:, None] / 255 * 2 - 1).astype(np.float32))["logits"]
        self.assertAlmostEqual(same["metric_a"], 100 * (mine.argmax(1) == 0).mean(), places=9)

    def test_observer_options_and_held_out_samples(self):
        ranges = {}
        for percentile in (100, 90):
            quantal.quantize(MODEL, self.out, data=CALIB["x"], activation_observer="percentile", percentile=percentile)
            with open(self.out, "rb") as f:
                ranges[percentile] = f.read()
        self.assertNotEqual(ranges[100], ranges[90])
        other = os.path.join(os.path.dirname(self.out), "other.npz")
        np.savez(other, x=CALIB["x"] * 50)
        told = quantal.quantize(MODEL, self.out, data=CALIB["x"], eval_data=other)["warnings"]
        self.assertTrue(any("evaluation" in w for w in told), told)

    def test_bytes_in_and_out(self):
        with open(MODEL, "rb") as f:
            model = f.read()
        quantized, report = quantal.quantize(model, quant_type="static_int8", data=CALIB["x"])
        self.assertEqual(report["quantized_bytes"], len(quantized))
        y = quantal.Session(quantized).run(TEST["x"][:50])["logits"]
        self.assertEqual(y.shape, (50, 10))
        quantal.quantize(MODEL, self.out, quant_type="static_int8", data=CALIB["x"])
        with open(self.out, "rb") as f:
            self.assertEqual(f.read(), quantized)

    def test_P2_output_is_the_input(self):
        copy = os.path.join(os.path.dirname(self.out), "m.onnx")
        before = read(MODEL)
        shutil.copyfile(MODEL, copy)
        os.symlink("m.onnx", self.out)
        for output in (copy, self.out):
            with self.assertRaisesRegex(ValueError, "would replace the model"):
                quantal.quantize(copy, output, data=CALIB["x"])
        self.assertEqual(read(copy), before)

    def test_sizes_count_external_data(self):
        import onnx
        folder = os.path.dirname(self.out)
        path = os.path.join(folder, "m.onnx")
        onnx.save_model(onnx.load(MODEL), path, save_as_external_data=True, location="m.bin", size_threshold=0)
        data = os.path.getsize(os.path.join(folder, "m.bin"))
        report = quantal.quantize(path, self.out, data=CALIB["x"])
        self.assertEqual(report["original_bytes"], os.path.getsize(path) + data)
        self.assertEqual(report["quantized_bytes"], os.path.getsize(self.out))
        self.assertAlmostEqual(report["compression_ratio"], report["original_bytes"] / report["quantized_bytes"])
        with self.assertRaisesRegex(ValueError, "external data"):
            quantal.quantize(path, os.path.join(folder, "m.bin"), data=CALIB["x"])
        self.assertEqual(os.path.getsize(os.path.join(folder, "m.bin")), data)

    def fixed_batch(self, batch):
        import onnx
        model = onnx.load(MODEL)
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = batch
        path = os.path.join(os.path.dirname(self.out), "fixed.onnx")
        onnx.save(model, path)
        return path

    def test_fillers_of_a_fixed_batch_are_not_counted(self):
        model = self.fixed_batch(16)
        x, labels = TEST["x"][:40], TEST["_label"][:40].copy()
        labels[39] = (labels[39] + 1) % 10  # what fills the last batch would be eight more misses
        path = os.path.join(os.path.dirname(self.out), "forty.npz")
        np.savez(path, x=x, _label=labels)
        expected = quantal.compare(model, model, path, metric="top1")
        self.assertEqual(expected["samples"], 40)
        for data in ({"x": x, "_label": labels}, {"_label": labels, "x": x}):
            got = quantal.compare(model, model, data, metric="top1")
            self.assertEqual((got["samples"], got["metric_a"]), (40, expected["metric_a"]))
        self.assertEqual(quantal.quantize(model, self.out, data=x)["samples"], 40)

    def test_integer_inputs_are_not_truncated(self):
        import onnx
        from onnx import TensorProto, helper
        path = os.path.join(os.path.dirname(self.out), "ids.onnx")
        for kind, wanted in ((TensorProto.INT64, np.int64), (TensorProto.UINT8, np.uint8), (TensorProto.BOOL, np.bool_)):
            values = [helper.make_tensor_value_info(n, kind, ["N"]) for n in "xy"]
            onnx.save(helper.make_model(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", *[[v] for v in values]),
                                        opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
            with quantal.Session(path) as session:
                got = session.run(np.array([0, 1, 1], np.int16))["y"]
                self.assertEqual((got.dtype, got.tolist()), (np.dtype(wanted), [0, 1, 1]))
                bad = [np.array([1.5, 2.7, 1e30]), np.array([1.0], np.float32)]
                bad += [np.array([2**63], np.uint64)] if wanted is np.int64 else [np.array([0, 256]), np.array([-1])]
                for x in bad:
                    self.assertRaises(quantal.DataError, session.run, x)
                    self.assertRaises(quantal.DataError, quantal.compare, path, path, x)

    def test_words_in_any_case(self):
        x = CALIB["x"]
        quantal.quantize(MODEL, self.out, data=x, activation_type="s8", target="any")
        before = read(self.out)
        report = quantal.quantize(MODEL, self.out, data=x, quant_type="STATIC_INT8", activation_type="S8", weight_type="S8", format="QDQ", target="Any",
                                  activation_observer="MinMax")
        self.assertEqual(read(self.out), before)
        self.assertTrue(any("16 bits" in w for w in report["warnings"]), report["warnings"])
        self.assertEqual(quantal.compare(MODEL, self.out, TEST, metric="TOP1")["metric"], "top1")
        for option in ({"activation_type": "foo"}, {"weight_type": "foo"}, {"format": "foo"}, {"target": "foo"}, {"preset": "foo"}):
            with self.assertRaises(ValueError) as caught:
                quantal.quantize(MODEL, self.out, data=x, **option)
            self.assertNotIsInstance(caught.exception, quantal.UnsupportedError)
        with self.assertRaises(quantal.UnsupportedError):
            quantal.quantize(MODEL, self.out, data=x, activation_type="U16")

    def test_options_without_effect_are_named(self):
        report = quantal.quantize(MODEL, self.out, quant_type="dynamic_int8", data=os.path.join(DIGITS, "calib.npz"), symmetric=True, imgsz=64)
        named = {w.split()[0] for w in report["warnings"] if "no effect" in w}
        self.assertEqual(named, {"--symmetric", "--imgsz"})

    def test_no_workers(self):
        path = os.path.join(DIGITS, "calib.npz")
        threads, before = [], len(os.listdir("/proc/self/task"))
        quantal.quantize(MODEL, self.out, data=path, workers=0, threads=1, progress=lambda *_: threads.append(len(os.listdir("/proc/self/task"))))
        self.assertLessEqual(max(threads), before)
        self.assertRaises(ValueError, quantal.quantize, MODEL, self.out, data=path, num_calib_batches=0)

    def test_numbers_are_not_cut_to_their_fields(self):
        x = CALIB["x"]
        for call in (lambda: quantal.Observer(bins=2**40), lambda: quantal.Observer(axis=2**33), lambda: quantal.Observer(axis=-1),
                     lambda: quantal.Session(MODEL, threads=2**32 + 1), lambda: quantal.quantize(MODEL, self.out, data=x, threads=2**32 + 1),
                     lambda: quantal.quantize(MODEL, self.out, data=x, workers=2**32 + 1), lambda: quantal.quantize(MODEL, self.out, data=x, bins=2**40),
                     lambda: quantal.compare(MODEL, MODEL, x, batch_size=0), lambda: quantal.compare(MODEL, MODEL, x, threads=2**32 + 1)):
            self.assertRaises(ValueError, call)

    def test_P2_bytes_to_a_file_that_cannot_be_written(self):
        model = read(MODEL)
        report = quantal.quantize(model, self.out, quant_type="fp16")
        self.assertEqual((report["quantized_model"], report["quantized_bytes"]), (self.out, os.path.getsize(self.out)))
        before = read(self.out)
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
        try:
            self.assertRaises(OSError, quantal.quantize, model, self.out, data=CALIB["x"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        self.assertEqual(read(self.out), before)
        self.assertEqual(os.listdir(os.path.dirname(self.out)), ["q.onnx"])

    def test_selftest(self):
        report = quantal.selftest()
        self.assertTrue(report["passed"])
        self.assertRegex(report["checksum"], r"\A[0-9a-f]{8}\Z")
        self.assertEqual({row["checksum"] for row in report["isas"] if row["ran"]}, {report["checksum"]})

    def test_compare(self):
        quantal.quantize(MODEL, self.out, data=CALIB["x"])
        r = quantal.compare(MODEL, self.out, TEST, metric="top1")
        mine = quantal.Session(MODEL).run(TEST["x"])["logits"], quantal.Session(self.out).run(TEST["x"])["logits"]
        self.assertAlmostEqual(r["metric_a"], 100 * (mine[0].argmax(1) == TEST["_label"]).mean(), places=9)
        self.assertAlmostEqual(r["metric_b"], 100 * (mine[1].argmax(1) == TEST["_label"]).mean(), places=9)
        self.assertAlmostEqual(r["outputs"][0]["sqnr_db"], sqnr(*mine), places=3)
        self.assertIsNone(quantal.compare(MODEL, MODEL, TEST["x"])["outputs"][0]["sqnr_db"])

    def test_progress_and_cancelling(self):
        stages = []
        quantal.quantize(MODEL, self.out, data=CALIB["x"], progress=lambda stage, done, total: stages.append((stage, done, total)))
        self.assertIn("calibrate", {s for s, _, _ in stages})
        os.remove(self.out)
        with self.assertRaises(quantal.CancelledError):
            quantal.quantize(MODEL, self.out, data=CALIB["x"], progress=lambda *_: False)
        with self.assertRaises(ZeroDivisionError):
            quantal.quantize(MODEL, self.out, data=CALIB["x"], progress=lambda *_: 1 / 0)
        self.assertFalse(os.path.exists(self.out))

    def test_failing_iterables_raise_their_own_exception(self):
        def broken():
            yield CALIB["x"][:16]
            raise KeyError("my own")

        with self.assertRaises(KeyError):
            quantal.quantize(MODEL, self.out, data=broken())
        self.assertFalse(os.path.exists(self.out))

    def test_errors(self):
        x = CALIB["x"]
        for call, kind in ((lambda: quantal.quantize("nowhere.onnx", self.out, quant_type="fp16"), FileNotFoundError),
                           (lambda: quantal.quantize(MODEL, self.out), quantal.DataError), (lambda: quantal.quantize(MODEL), TypeError),
                           (lambda: quantal.quantize(MODEL, self.out, quant_type="int9", data=x), ValueError),
                           (lambda: quantal.quantize(MODEL, self.out, quant_type="int4", data=x), quantal.UnsupportedError),
                           (lambda: quantal.quantize(MODEL, self.out, data=x[:, :, :4]), quantal.DataError),
                           (lambda: quantal.quantize(MODEL, self.out, data=[]), quantal.DataError),
                           (lambda: quantal.quantize(MODEL, self.out, data=7), TypeError),
                           (lambda: quantal.quantize(MODEL, self.out, data={1: x}), TypeError),
                           (lambda: quantal.quantize(MODEL, self.out, data=(y for y in (x, None, x))), TypeError),
                           (lambda: quantal.quantize(MODEL, self.out, data=["not an array"]), TypeError),
                           (lambda: quantal.quantize(MODEL, self.out, data=x, batch_size=0), ValueError),
                           (lambda: quantal.quantize(MODEL, self.out, data=x, workers="2"), TypeError),
                           (lambda: quantal.quantize(MODEL, self.out, data=x, imgsz=8), ValueError),  # arrays are no images
                           (lambda: quantal.quantize(MODEL, self.out, data=x, letterbox=True), ValueError),
                           (lambda: quantal.quantize(MODEL, self.out, data=x, activation_observer="percentile", percentile=101), quantal.Error),
                           (lambda: quantal.quantize(MODEL, self.out, data=x, eval_data="nowhere.npz"), FileNotFoundError),
                           (lambda: quantal.quantize(MODEL, os.path.join(self.out, "no", "dir.onnx"), data=x), OSError),
                           (lambda: quantal.quantize("a\0b", self.out, data=x), ValueError), (lambda: quantal.Session("nowhere.onnx"), OSError),
                           (lambda: quantal.Session(b"no model"), quantal.ModelError), (lambda: quantal.Session(MODEL).run({}), quantal.DataError),
                           (lambda: quantal.Session(MODEL).run({"y": x}), ValueError),
                           (lambda: quantal.Session(MODEL).run(x[:, :, :5]), quantal.DataError),
                           (lambda: quantal.Session(MODEL).run(x, outputs=["nothing"]), quantal.Error),
                           (lambda: quantal.compare(MODEL, MODEL, x, metric="top1"), quantal.DataError)):
            with self.assertRaises(kind):
                call()
        self.assertFalse(os.path.exists(self.out))
        with self.assertRaises(quantal.DataError) as caught:
            quantal.Session(MODEL).run({})
        self.assertEqual((caught.exception.code, caught.exception.status), (-34, "data_missing"))

    def test_intermediate_values(self):
        y = quantal.Session(MODEL).run(TEST["x"][:2], outputs=["relu1.out", "logits"])
        self.assertEqual(list(y), ["relu1.out", "logits"])
        self.assertEqual(y["relu1.out"].shape, (2, 16, 8, 8))
        self.assertGreaterEqual(y["relu1.out"].min(), 0)

    def test_results_outlive_the_session(self):
        session = quantal.Session(MODEL)
        y = session.run(TEST["x"][:3])["logits"]
        before = y.copy()
        session.close()
        del session
        gc.collect()
        np.testing.assert_array_equal(y, before)

    def test_threads_share_a_session(self):
        session = quantal.Session(MODEL, threads=1)
        expected = [session.run(TEST["x"][i:i + 10])["logits"] for i in range(8)]
        wrong = []

        def work(i):
            for _ in range(20):
                if not np.array_equal(session.run(TEST["x"][i:i + 10])["logits"], expected[i]):
                    wrong.append(i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        self.assertEqual(wrong, [])

    def test_cpu(self):
        self.assertIn("isa", quantal.cpu())


if __name__ == "__main__":
    result = unittest.main(argv=[sys.argv[0]] + sys.argv[2:], exit=False).result
    bad = len({str(t).split(" (")[0] for t, _ in result.failures + result.errors})
    print(f"tests: {result.testsRun - bad - len(result.skipped)} passed, {bad} failed, {len(result.skipped)} skipped", flush=True)
    sys.exit(1 if bad else 0)
