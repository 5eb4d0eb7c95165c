#!/usr/bin/env python3
"""Images through the command line: every option of docs/data.md in every verb that reads data, against arithmetic done here.

    images_test.py QUANTAL DIGITS_DIR       needs only Python's standard library

The model adds an image to itself or passes it on, so what `run` writes is what the options made of the pixels.
"""
import os
import re
import struct

from files import FLAT_JPEG, bmp, floats, npy, npz, onnx, png, read_npz
from harness import Case, main

H, W = 4, 6
DATA_OPTIONS = ("--data", "--batch-size", "--num-calib-batches", "--workers", "--labels")
IMAGE_OPTIONS = ("--split", "--imgsz", "--layout", "--mean", "--std", "--value-range", "--color", "--letterbox")


def pixel(y, x, c):
    """Multiples of four: the mean of 2 x 2 of them needs no rounding."""
    return (8 * y + 24 * x + 60 * c + 4 * x * y) % 256


def planes(value, height=H, width=W, channels=(0, 1, 2)):
    return [value(y, x, c) for c in channels for y in range(height) for x in range(width)]


class Case(Case):
    def setUp(self):
        super().setUp()
        os.makedirs(self.path("img"))
        self.write("img/a.png", png(H, W, 3, pixel))
        self.free = self.write("free.onnx", onnx([("Identity", ["x"], ["y"])], [("x", ["N", 3, "H", "W"])], [("y", ["N", 3, "H", "W"])]))

    def write(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        return self.path(name)

    def identity(self, dims, elem=1):
        return self.write("identity.onnx", onnx([("Identity", ["x"], ["y"])], [("x", dims, elem)], [("y", dims, elem)]))

    def values(self, *options, model=None, image="img/a.png"):
        self.succeeds("run", model or self.free, "--input", self.path(image), "-o", self.path("y.npz"), *options)
        return read_npz(self.path("y.npz"))["y"]

    def close(self, got, shape, values):
        self.assertEqual(got[0], shape)
        for a, b in zip(got[1], values):
            self.assertAlmostEqual(a, b, delta=1e-6 * max(1, abs(b)))


class Options(Case):
    def test_pixels_become_values(self):
        plain = planes(lambda y, x, c: pixel(y, x, c) / 255)
        self.close(self.values(), (1, 3, H, W), plain)
        self.close(self.values("--color", "RGB", "--layout", "nchw"), (1, 3, H, W), plain)
        self.close(self.values("--color", "bgr"), (1, 3, H, W), planes(lambda y, x, c: pixel(y, x, c) / 255, channels=(2, 1, 0)))
        self.close(self.values("--value-range", "0..255"), (1, 3, H, W), planes(pixel))
        for words in (["--value-range=-1..1"], ["--value-range", "-1..1"]):
            self.close(self.values(*words), (1, 3, H, W), planes(lambda y, x, c: pixel(y, x, c) * 2 / 255 - 1))
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        self.close(self.values("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"), (1, 3, H, W),
                   planes(lambda y, x, c: (pixel(y, x, c) / 255 - mean[c]) / std[c]))
        self.close(self.values("--mean", "-0.5", "--std", "0.25"), (1, 3, H, W), planes(lambda y, x, c: (pixel(y, x, c) / 255 + 0.5) / 0.25))
        self.close(self.values("--value-range", "0..255", "--mean", "127.5", "--std", "64"), (1, 3, H, W),
                   planes(lambda y, x, c: (pixel(y, x, c) - 127.5) / 64))

    def test_layout(self):
        rows = [pixel(y, x, c) / 255 for y in range(H) for x in range(W) for c in range(3)]
        self.close(self.values(model=self.identity([1, H, W, 3])), (1, H, W, 3), rows)  # seen from the model
        self.close(self.values("--layout", "NHWC", model=self.identity(["N", "a", "b", "c"])), (1, H, W, 3), rows)

    def test_gray(self):
        def gray(y, x, c):  # ITU-R 601, as Pillow's "L"
            return (19595 * pixel(y, x, 0) + 38470 * pixel(y, x, 1) + 7471 * pixel(y, x, 2) + 32768 >> 16) / 255

        self.close(self.values(model=self.identity([1, 1, H, W])), (1, 1, H, W), planes(gray, channels=(0,)))
        self.close(self.values("--color", "gray"), (1, 3, H, W), planes(gray))

    def test_size_and_letterbox(self):
        def half(y, x, c):  # half the size: each value is the mean of 2 x 2 pixels
            return sum(pixel(2 * y + i, 2 * x + j, c) for i in (0, 1) for j in (0, 1)) / 4 / 255

        for model, options in ((self.free, ["--imgsz", "2x3"]), (self.identity([1, 3, 2, 3]), []), (self.identity([1, 3, 2, 3]), ["--imgsz", "2x3"])):
            self.close(self.values(*options, model=model), (1, 3, 2, 3), planes(half, 2, 3))

        def boxed(y, x, c):
            return pixel(y - 1, x, c) / 255 if 1 <= y <= 4 else 114 / 255

        self.close(self.values("--imgsz", "6", "--letterbox"), (1, 3, 6, 6), planes(boxed, 6, 6))
        self.assertEqual(self.values("--imgsz", "6")[0], (1, 3, 6, 6))
        self.assertNotEqual(self.values("--imgsz", "6")[1], self.values("--imgsz", "6", "--letterbox")[1])

    def test_integer_inputs_get_pixels(self):
        model = self.write("u8.onnx", onnx([("Identity", ["x"], ["y"])], [("x", [1, 3, H, W], 2)], [("y", [1, 3, H, W], 2)]))
        r = self.json("run", model, "--input", self.path("img/a.png"))["outputs"][0]
        self.assertEqual((r["dtype"], r["min"], r["max"]), ("u8", min(planes(pixel)), max(planes(pixel))))

    def test_formats(self):
        self.write("img/flat.jpg", FLAT_JPEG)
        self.write("img/alpha.png", png(H, W, 4, lambda y, x, c: 7 if c == 3 else pixel(y, x, c)))
        self.write("img/b.BMP", bmp(H, W, pixel))
        self.write("img/gray.png", png(H, W, 1, pixel))
        self.close(self.values(image="img/flat.jpg"), (1, 3, H, W), [128 / 255] * 3 * H * W)
        for name in ("img/alpha.png", "img/b.BMP"):
            self.close(self.values(image=name), (1, 3, H, W), planes(lambda y, x, c: pixel(y, x, c) / 255))
        self.close(self.values(image="img/gray.png"), (1, 3, H, W), planes(lambda y, x, c: pixel(y, x, 0) / 255))

    def test_help_names_every_option(self):
        for verb in ("quantize", "calibrate", "compare"):
            text = self.succeeds(verb, "--help")
            for option in DATA_OPTIONS + IMAGE_OPTIONS:
                self.assertRegex(text, re.compile(r"^ +%s\b.*\S" % option, re.M), verb)
        text = self.succeeds("run", "--help")
        for option in IMAGE_OPTIONS:
            self.assertRegex(text, re.compile(r"^ +%s\b.*\S" % option, re.M), "run")


class Forms(Case):
    """A directory, sub-directories as classes, lists and dataset yaml, in each verb."""

    def flat(self, name, level):
        return self.write(name, png(H, W, 3, lambda y, x, c: level))

    def run_all(self, source, *options):
        self.succeeds("run", self.free, "--input", self.path(source), "-o", self.path("out"), "--value-range", "0..255", *options)
        return {name: read_npz(self.path("out/" + name))["y"][1][0] for name in sorted(os.listdir(self.path("out")))}

    def test_directories_lists_and_yaml_in_run(self):
        for name, level in (("set/train/dog/1.png", 1), ("set/train/cat/1.png", 2), ("set/train/cat/deep/3.png", 3), ("set/val/9.png", 9)):
            self.flat(name, level)
        self.assertEqual(self.run_all("set/train"), {"1.npz": 2, "1-2.npz": 1, "3.npz": 3})
        self.write("list.txt", "# two\nset/val/9.png\n./set/train/dog/1.png 1\n")
        self.assertEqual(self.run_all("list.txt").keys(), {"1.npz", "1-2.npz", "3.npz", "9.npz"})
        self.write("d.yaml", "path: set\ntrain: train\nval: val\nnames: [dog, cat]\n")
        self.write("out/9.npz", b"")
        self.assertEqual(self.run_all("d.yaml", "--split", "VAL")["9.npz"], 9)
        self.fails(2, "-o DIR", "run", self.free, "--input", self.path("set/train"))

    def conv(self):
        return self.write("conv.onnx", onnx([("Conv", ["x", "w"], ["y"])], [("x", ["N", 3, H, W])], [("y", ["N", 1, H, W])],
                                            [("w", [1, 3, 1, 1], [0.5, 0.25, -0.125])]))

    def calibrated(self, *options):
        r = self.json("calibrate", self.conv(), "-o", self.path("c.json"), *options)
        x = {t["tensor"]: t for t in self.json("inspect", self.path("c.json"))["tensors"]}["x"]
        return r["samples"], x["min"], x["max"]

    def test_calibrate_and_quantize(self):
        self.flat("img/b.png", 102)
        self.flat("img/c.png", 255)
        low, high = min(planes(pixel)) / 255, 1.0
        samples, least, most = self.calibrated("--data", self.path("img"), "--batch-size", "2")
        self.assertEqual(samples, 3)
        self.assertAlmostEqual(least, low, places=6)
        self.assertAlmostEqual(most, high, places=6)
        samples, least, most = self.calibrated("--data", self.path("img"), "--mean", "0.5", "--std", "0.25")
        self.assertAlmostEqual(least, (low - 0.5) / 0.25, places=5)
        self.assertAlmostEqual(most, 2.0, places=5)
        self.assertEqual(self.calibrated("--data", self.path("img"), "--batch-size", "1", "--num-calib-batches", "2")[0], 2)
        for options, top in (([], 1.0), (["--value-range=-2..2"], 2.0)):
            r = self.json("quantize", self.conv(), "--data", self.path("img"), "-o", self.path("q.onnx"), *options)
            self.assertEqual(r["samples"], 3)
            self.assertAlmostEqual({t["tensor"]: t for t in r["ranges"]}["x"]["max"], top, places=5)

    def test_yaml_splits_are_compared_and_classes_named(self):
        for i in range(3):
            self.flat("set/train/dog/%d.png" % i, 40 + 80 * i)
            self.flat("set/val/dog/%d.png" % i, 255)
        self.write("d.yaml", "path: set\ntrain: train\nval: val\nnames: [cat, dog]\n")
        r = self.json("calibrate", self.conv(), "--data", self.path("d.yaml"), "--eval-data", self.path("d.yaml"), "-o", self.path("c.json"))
        ids = {w.split(":")[0]: w for w in r["warnings"]}
        self.assertIn("of class 'dog'", ids["one_class"])
        self.assertIn("('cat')", ids["missing_classes"])
        self.assertIn("evaluation data (1.000..1.000", ids["mismatch"])

    def test_compare(self):
        twice = self.write("twice.onnx", onnx([("Add", ["x", "x"], ["y"])], [("x", ["N", 3, "H", "W"])], [("y", ["N", 3, "H", "W"])]))
        self.flat("img/b.png", 255)
        r = self.json("compare", self.free, twice, "--data", self.path("img"), "--value-range", "0..4", "--imgsz", "4x6")
        self.assertEqual((r["samples"], r["outputs"][0]["max_abs_error"]), (2, 4.0))

    def classifier(self):
        """Two scores per image: its mean, and 0.5."""
        return self.write("classes.onnx", onnx(
            [("GlobalAveragePool", ["x"], ["p"]), ("Flatten", ["p"], ["f"]), ("Gemm", ["f", "w", "b"], ["y"])], [("x", ["N", 3, H, W])], [("y", ["N", 2])],
            [("w", [3, 2], [0, 1 / 3] * 3), ("b", [2], [0.5, 0])]))

    def test_labels(self):
        for name, level in (("s/dark/1.png", 10), ("s/dark/2.png", 200), ("s/light/1.png", 250), ("s/light/2.png", 240)):
            self.flat(name, level)
        top1 = ["compare", self.classifier(), self.classifier(), "--data", self.path("s"), "--metric", "top1"]
        self.assertEqual(self.json(*top1)["metric_a"], 75.0)
        self.write("y.txt", "0\n1\n1\n1\n")
        self.assertEqual(self.json(*top1, "--labels", self.path("y.txt"))["metric_a"], 100.0)
        self.write("y.npy", npy("<i8", (4,), struct.pack("<4q", 1, 0, 0, 0)))
        self.assertEqual(self.json(*top1, "--labels", self.path("y.npy"))["metric_a"], 0.0)
        self.write("list.txt", "s/dark/1.png 0\ns/light/1.png 0\n")
        self.assertEqual(self.json("compare", self.classifier(), self.classifier(), "--data", self.path("list.txt"), "--metric", "top1")["metric_a"], 50.0)
        self.write("short.txt", "0\n")
        self.fails(4, "labels", *top1, "--labels", self.path("short.txt"))
        self.write("words.txt", "dark\n")
        self.fails(4, "'dark' is not an integer", *top1, "--labels", self.path("words.txt"))
        self.fails(5, "none.npy", *top1, "--labels", self.path("none.npy"))


class Errors(Case):
    def each(self, code, text, *options, data="img", model=None):
        """The same from every verb."""
        model, data = model or self.free, self.path(data)
        for command in (["quantize", model, "--data", data, "-o", self.path("z.onnx")], ["calibrate", model, "--data", data, "-o", self.path("z.json")],
                        ["run", model, "--input", data, "-o", self.path("z")], ["compare", model, model, "--data", data]):
            self.fails(code, text, *command, *options)
        self.assertFalse(os.path.exists(self.path("z.onnx")) or os.path.exists(self.path("z.json")))

    def test_options_that_cannot_be_read(self):
        for option, value in (("--imgsz", "0"), ("--imgsz", "4x"), ("--imgsz", "1x2x3"), ("--imgsz", "big"), ("--mean", "1,2"), ("--mean", "a"), ("--std", "0"),
                              ("--std", "nan"), ("--value-range", "1..0"), ("--value-range", "0-1"), ("--color", "cmyk"), ("--layout", "chw"), ("--split", "test")):
            self.each(2, option, option, value)

    def test_options_that_contradict_the_model(self):
        self.each(2, "--imgsz", "--imgsz", "8", model=self.identity([1, 3, H, W]))
        self.each(2, "--color", "--color", "rgb", model=self.identity([1, 1, H, W]))
        self.each(2, "--layout", "--layout", "nhwc", model=self.identity([1, 3, H, W]))
        self.each(4, "images", model=self.identity([1, 7]))
        two = self.write("two.onnx", onnx([("Add", ["x", "z"], ["y"])], [("x", [1, 3, H, W]), ("z", [1, 3, H, W])], [("y", [1, 3, H, W])]))
        self.each(4, "images for a model with 2 inputs", model=two)

    def test_files_that_are_no_images(self):
        self.write("img/b.png", b"\x89PNG\r\n\x1a\n but no more")
        self.each(4, "b.png")
        self.write("cut/c.png", png(H, W, 3, pixel)[:-30])
        self.each(4, "c.png", data="cut")
        self.write("empty/d.jpg", b"")
        self.each(4, "d.jpg", data="empty")

    def test_no_data(self):
        os.mkdir(self.path("none"))
        self.each(4, "there is no data here", data="none")
        self.each(5, "nowhere", data="nowhere")
        self.write("bad.txt", "movie.avi\n")
        self.each(4, "'movie.avi' is not an image or array file", data="bad.txt")
        self.write("gone.txt", "img/gone.png\n")
        self.each(5, "gone.png", data="gone.txt")
        self.write("t.yaml", "train: img\n")
        self.each(4, "the dataset has no val", "--split", "val", data="t.yaml")
        self.write("bad.yaml", "train: [img\n")
        self.each(4, "bad.yaml", data="bad.yaml")
        self.write("what.xyz", "?")
        self.each(4, "unknown kind of data file", data="what.xyz")

    def test_two_kinds_of_data(self):
        npz(self.path("img/x.npz"), x=("<f4", (1, 3, H, W), floats(*[0.5] * 72)))
        for command in (["quantize", self.free, "-o", self.path("z.onnx")], ["calibrate", self.free, "-o", self.path("z.json")],
                        ["compare", self.free, self.free]):
            self.fails(4, "several kinds of data", *command, "--data", self.path("img"))


if __name__ == "__main__":
    main()
