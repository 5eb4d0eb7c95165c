"""A whole model from Python: samples are plain numpy arrays.   python 05_quantize.py digits/digits.onnx digits OUT.onnx"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bindings", "python"))  # or: pip install bindings/python
import quantal  # noqa: E402

model, folder, output = sys.argv[1:4]
calib = np.load(os.path.join(folder, "calib.npz"))["x"]
test = np.load(os.path.join(folder, "test.npz"))

report = quantal.quantize(model, output, quant_type="per_channel_int8", data=calib)
print(f"{report['compression_ratio']:.2f}x smaller, {100 * report['integer_macs']:.0f} % of the multiply-adds in integers")

for path in (model, output):
    with quantal.Session(path) as session:
        logits = session.run({"x": test["x"]})["logits"]
    print(f"{os.path.basename(path):28} {100 * (logits.argmax(1) == test['_label']).mean():.2f} % right")

scale, zero_point = quantal.choose_params(-2.0, 2.0, dtype="s8", preset="torch")
q = quantal.quantize_array(np.array([1.3]), scale, zero_point)
print(f"1.3 -> {q[0]} -> {quantal.dequantize_array(q, scale, zero_point)[0]:.5f}")
