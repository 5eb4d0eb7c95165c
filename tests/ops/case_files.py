"""Writes test cases for quantal_node_runner: one folder, two ONNX files per case and cases.txt."""
import os
import re

import numpy as np
import onnx
from onnx import helper, numpy_helper


def has_sequences(values):
    return any(isinstance(v, (list, tuple)) for v in values)


def tensor(array, name):
    if isinstance(array, onnx.TensorProto):
        t = onnx.TensorProto()
        t.CopyFrom(array)
        t.name = name
        return t
    return numpy_helper.from_array(np.asarray(array), name)


class Writer:
    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.lines = []

    def add(self, name, op, domain, version, model, inputs, outputs, rtol=1e-3, atol=1e-7):
        """inputs, outputs: dicts name -> array."""
        initializers = [tensor(v, "in:" + k) for k, v in inputs.items()]
        initializers += [tensor(v, "out:" + k) for k, v in outputs.items()]
        data = helper.make_model(helper.make_graph([], "data", [], [], initializers), opset_imports=[helper.make_opsetid("", 21)])
        data.ir_version = 10
        onnx.save(model, os.path.join(self.folder, name + ".onnx"))
        onnx.save(data, os.path.join(self.folder, name + ".data.onnx"))
        self.lines.append("\t".join(map(str, (name, op, domain or "ai.onnx", version, rtol, atol))))

    def close(self):
        with open(os.path.join(self.folder, "cases.txt"), "w") as f:
            f.write("\n".join(self.lines) + "\n")


def base_name(case_name):
    """test_gelu_tanh_1_expanded_ver18 -> test_gelu_tanh_1"""
    return re.sub(r"_expanded(_.*)?$", "", case_name)
