#!/usr/bin/env python3
"""Image decoding against Pillow, resizing against ONNX Runtime's Resize (linear, half_pixel), the rest against numpy.

usage: image_oracle_test.py DATA_TOOL      (exit code 77: a package is missing)
"""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from PIL import Image
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

TOOL = sys.argv[1]
checked = 0


def require(condition, what):
    global checked
    checked += 1
    if not condition:
        print("FAILED:", what)
        sys.exit(1)


def load(path, directory, dims, dtype="f32", **options):
    out = directory / "out.npz"
    words = [f"{k}={v}" for k, v in options.items()]
    done = subprocess.run([TOOL, str(path), str(out), dtype, dims, *words], capture_output=True, text=True)
    require(done.returncode == 0, f"{path} {options}: {done.stdout}")
    with np.load(out) as z:
        return [z[k] for k in z if k.startswith("x")]


def pictures(rng):
    """Smooth pictures with texture, of awkward sizes: what photographs look like to a decoder."""
    for i, (h, w) in enumerate([(1, 1), (7, 5), (48, 64), (33, 130), (200, 150)]):
        y, x = np.mgrid[0:h, 0:w]
        base = [127 + 100 * np.sin(x / 9 + i + c) * np.cos(y / 7 - c) for c in range(3)]
        yield np.clip(np.stack(base, -1) + rng.normal(0, 6, (h, w, 3)), 0, 255).astype(np.uint8)


def resize(image, height, width):
    """uint8 [h, w, c] -> uint8 [height, width, c] by ONNX Runtime in float, rounded."""
    node = onnx.helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear", coordinate_transformation_mode="half_pixel")
    graph = onnx.helper.make_graph([node], "g", [onnx.helper.make_tensor_value_info("x", 1, [1, None, None, None]),
                                                 onnx.helper.make_tensor_value_info("sizes", 7, [4])],
                                   [onnx.helper.make_tensor_value_info("y", 1, None)])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = image.transpose(2, 0, 1)[None].astype(np.float32)
    y = session.run(None, {"x": x, "sizes": np.array([1, x.shape[1], height, width], np.int64)})[0]
    return np.floor(y[0].transpose(1, 2, 0) + 0.5).astype(np.uint8)


def decoding(directory, rng):
    for i, image in enumerate(pictures(rng)):
        rgb = Image.fromarray(image)
        kinds = {"rgb.png": rgb, "gray.png": rgb.convert("L"), "alpha.png": rgb.convert("RGBA"), "palette.png": rgb.quantize(17),
                 "bits.png": rgb.convert("1"), "rgb.bmp": rgb, "palette.bmp": rgb.quantize(200), "gray.bmp": rgb.convert("L")}
        for name, picture in kinds.items():
            path = directory / f"{i}_{name}"
            picture.save(path)
            want = np.asarray(Image.open(path).convert("RGB"))
            got = load(path, directory, "1,-1,-1,3", "u8", layout="nhwc")[0][0]
            require(np.array_equal(got, want), f"{path.name}: decoded pixels differ by {np.abs(got.astype(int) - want).max() if got.shape == want.shape else got.shape}")
        for name, options in {"q95.jpg": dict(quality=95, subsampling=0), "q60.jpg": dict(quality=60), "progressive.jpeg": dict(progressive=True), }.items():
            path = directory / f"{i}_{name}"
            rgb.save(path, **options)
            want = np.asarray(Image.open(path).convert("RGB")).astype(int)
            got = load(path, directory, "1,-1,-1,3", "u8", layout="nhwc")[0][0].astype(int)
            require(got.shape == want.shape and np.abs(got - want).mean() < 1.5, f"{path.name}: JPEG differs")
        want = np.asarray(rgb.convert("L")).astype(int)
        got = load(directory / f"{i}_rgb.png", directory, "1,1,-1,-1", "u8")[0][0, 0]
        require(np.array_equal(got, want), f"{i}: gray differs by {np.abs(got - want).max()}")


def resizing(directory, rng):
    different = total = 0
    for i, image in enumerate(pictures(rng)):
        path = directory / f"resize{i}.png"
        Image.fromarray(image).save(path)
        for height, width in [(32, 32), (64, 48), (17, 91), (224, 224)]:
            got = load(path, directory, "1,3,-1,-1", "u8", imgsz=f"{height}x{width}")[0][0].transpose(1, 2, 0).astype(int)
            want = resize(image, height, width).astype(int)
            require(got.shape == want.shape and np.abs(got - want).max() <= 1, f"resize {image.shape} to {height}x{width}")
            different += int((got != want).sum())
            total += got.size
            scale = min(height / image.shape[0], width / image.shape[1])
            inner = [max(1, min(m, int(np.floor(s * scale + 0.5)))) for s, m in zip(image.shape, (height, width))]
            boxed = np.full((height, width, 3), 114)
            top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
            boxed[top:top + inner[0], left:left + inner[1]] = resize(image, *inner)
            got = load(path, directory, f"1,3,{height},{width}", "u8", letterbox=1)[0][0].transpose(1, 2, 0).astype(int)
            require(np.abs(got - boxed).max() <= 1, f"letterbox {image.shape} to {height}x{width}")
    require(different <= total / 1000, f"{different} of {total} resized values differ by one")
    return different, total


def values(directory):
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3) * 4
    path = directory / "values.png"
    Image.fromarray(image).save(path)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    want = (image / 255.0 - mean) / std
    got = load(path, directory, "1,3,4,5", mean="0.485,0.456,0.406", std="0.229, 0.224, 0.225")[0][0]
    require(np.array_equal(got, want.astype(np.float32).transpose(2, 0, 1)), "mean and std")
    got = load(path, directory, "1,4,5,3", value_range="-1..1", color="bgr")[0][0]
    require(np.array_equal(got, (image[..., ::-1].astype(float) * 2 / 255 - 1).astype(np.float32)), "range, bgr, nhwc")


with tempfile.TemporaryDirectory() as name:
    root, rng = pathlib.Path(name), np.random.default_rng(3)
    decoding(root, rng)
    different, total = resizing(root, rng)
    values(root)
print(f"Pillow {Image.__version__ if hasattr(Image, '__version__') else ''}, onnxruntime {ort.__version__}: {checked} checks passed; "
      f"{different} of {total} resized values differ by one")
