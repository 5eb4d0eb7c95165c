#!/usr/bin/env python3
"""Our npy/npz reader and writer against numpy: every dtype, order, byte order, compression, zip64, format version.

usage: npz_numpy_test.py NPZ_TOOL      (exit code 77: numpy is missing)
"""
import io
import pathlib
import subprocess
import sys
import tempfile
import warnings
import zipfile

try:
    import numpy as np
except ImportError:
    print("skipped: numpy is not installed for", sys.executable)
    sys.exit(77)

TOOL = sys.argv[1]
DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
SHAPES = [(), (0,), (1,), (7,), (3, 4), (2, 0, 3), (2, 3, 4), (2, 1, 3, 2), (1, 2, 1, 2, 1, 2, 1, 2)]
STATUS = {"unsupported": -61, "model_syntax": -50, "limit": -53, "bomb": -54, "path": -42, "not_found": -41}
checked = 0


def copy(source, target):
    done = subprocess.run([TOOL, "copy", str(source), str(target)], capture_output=True, text=True)
    return done.returncode, done.stdout.strip()


def sample(rng, dtype, shape):
    raw = rng.integers(0, 256, size=int(np.prod(shape)) * dtype.itemsize, dtype=np.uint8)
    if dtype.kind == "b":
        raw &= 1
    return np.frombuffer(raw.tobytes(), dtype).reshape(shape)  # NaN and denormals included


def require(condition, what):
    global checked
    checked += 1
    if not condition:
        print("FAILED:", what)
        sys.exit(1)


def same(a, b):
    b = b.astype(b.dtype.newbyteorder("="))
    a = a.astype(a.dtype.newbyteorder("="))
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def good(directory, rng):
    arrays = {}
    for code in DTYPES:
        for order in "<>":
            dtype = np.dtype(code).newbyteorder(order)
            for i, shape in enumerate(SHAPES):
                x = sample(rng, dtype, shape)
                arrays[f"{code}_{'le' if order == '<' else 'be'}_{i}_c"] = x
                arrays[f"{code}_{'le' if order == '<' else 'be'}_{i}_f"] = np.asfortranarray(x)
    limits = zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT
    for name, save, zip64 in [("stored", np.savez, False), ("deflated", np.savez_compressed, False), ("zip64", np.savez, True),
                              ("zip64_deflated", np.savez_compressed, True)]:
        if zip64:  # zip64 fields everywhere, without files of 4 GB
            zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = 8, 1
        save(directory / f"{name}.npz", **arrays)
        zipfile.ZIP64_LIMIT, zipfile.ZIP_FILECOUNT_LIMIT = limits
        code, text = copy(directory / f"{name}.npz", directory / "copy.npz")
        require(code == 0, f"{name}: {text}")
        with np.load(directory / "copy.npz", allow_pickle=False) as back:
            require(list(back) == list(arrays), f"{name}: names")
            for key, x in arrays.items():
                require(same(x, back[key]), f"{name}: {key}")
    for version in [(1, 0), (2, 0), (3, 0)]:
        with open(directory / "v.npy", "wb") as f:
            np.lib.format.write_array(f, np.arange(24, dtype="f4").reshape(2, 3, 4), version=version)
        code, text = copy(directory / "v.npy", directory / "w.npy")
        require(code == 0 and np.load(directory / "w.npy").tolist() == np.arange(24).reshape(2, 3, 4).tolist(), f"{version}: {text}")
    # A sparse directory: many small entries, names that numpy's users really have.
    many = {f"layer.{i}/weight:0": np.full((i % 5,), i, "f4") for i in range(2000)}
    np.savez(directory / "many.npz", **many)
    code, text = copy(directory / "many.npz", directory / "copy.npz")
    require(code == 0, text)
    with np.load(directory / "copy.npz") as back:
        require(all(same(x, back[k]) for k, x in many.items()), "many")


def bad(directory):
    def fails(name, status):
        code, text = copy(directory / name, directory / "out.npz")
        require(code == 1 and int(text.split()[0]) == STATUS[status], f"{name}: want {status}, got {code} {text}")
        require(not (directory / "out.npz").exists(), f"{name}: an output file was written")

    np.save(directory / "object.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    fails("object.npy", "unsupported")
    np.savez(directory / "object.npz", x=np.array([None]))
    fails("object.npz", "unsupported")
    np.save(directory / "structure.npy", np.zeros(2, dtype=[("a", "f4"), ("b", "i4")]))
    fails("structure.npy", "unsupported")
    for i, x in enumerate([np.array(["text"]), np.array([b"bytes"]), np.array(["2020-01-01"], "M8[D]"), np.zeros(1, "V3"),
                           np.zeros(1, np.longdouble)]):
        np.save(directory / f"kind{i}.npy", x)
        fails(f"kind{i}.npy", "unsupported")
    np.save(directory / "rank.npy", np.zeros((1,) * 9, "f4"))
    fails("rank.npy", "limit")
    np.savez_compressed(directory / "bomb.npz", x=np.zeros(100_000_000, "u1"))
    fails("bomb.npz", "bomb")
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3, "f4"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, entries in {"twice": ["x.npy", "x.npy"], "up": ["../x.npy"], "inner": ["a/../../x.npy"], "back": ["a\\..\\x.npy"]}.items():
            with zipfile.ZipFile(directory / f"{name}.npz", "w") as z:
                for entry in entries:
                    info = zipfile.ZipInfo("placeholder")
                    info.filename = entry
                    z.writestr(info, buffer.getvalue())
    fails("twice.npz", "model_syntax")
    for name in ["up", "inner", "back"]:
        fails(f"{name}.npz", "path")
    for method, name in [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "lzma")]:
        with zipfile.ZipFile(directory / f"{name}.npz", "w", method) as z:
            z.writestr("x.npy", buffer.getvalue())
        fails(f"{name}.npz", "unsupported")
    (directory / "text.npz").write_text("hello")
    fails("text.npz", "model_syntax")
    fails("absent.npz", "not_found")


with tempfile.TemporaryDirectory() as name:
    good(pathlib.Path(name), np.random.default_rng(7))
    bad(pathlib.Path(name))
print(f"numpy {np.__version__}: {checked} checks passed")
