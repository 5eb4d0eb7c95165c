"""Peers that live in Python: ONNX Runtime, LiteRT, numpy, torch. Started by quantal_bench (peers.cpp states the protocol).

Each peer gets a problem with its data, builds its own model, runs it once and hands the output back for the check; then
it times slices on request. A package that is missing is a peer that is absent. Nothing here prints to stdout but answers.
"""
import json
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what packages print goes to stderr
import numpy as np  # noqa: E402

TYPES = {"input": np.uint8, "weights": np.int8, "bias": np.int32, "ratios": np.float32, "values": np.float32}


class Problem:
    def __init__(self, fields, path):
        self.__dict__.update(fields)
        for key, dtype in TYPES.items():
            offset, count = fields[key]
            data = np.fromfile(path, dtype, count, offset=offset) if count else np.zeros(0, dtype)
            setattr(self, key, data)
        if self.what in ("product", "convolution", "depthwise") and not self.unsigned_codes:
            self.input = self.input.view(np.int8)
        if self.what == "dequantize":
            self.input = self.input.view(np.int8)


class Absent(Exception):
    pass


def onnxruntime_peer():
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto as T
    from onnx import helper as h
    from onnx import numpy_helper

    ort.set_default_logger_severity(3)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1

    def session(op, domain, x, y, constants, attributes, inputs):
        initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
        node = h.make_node(op, inputs, ["y"], domain=domain, **attributes)
        graph = h.make_graph([node], "g", [x], [y], initial)
        model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17), h.make_opsetid("com.microsoft", 1)], ir_version=9)
        return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def make(p):
        kinds = {np.dtype(np.uint8): T.UINT8, np.dtype(np.int8): T.INT8, np.dtype(np.float32): T.FLOAT}

        def value(name, array_type, dims):
            return h.make_tensor_value_info(name, kinds[np.dtype(array_type)], dims)

        if p.what in ("quantize", "dequantize"):
            n = p.values.size
            constants = {"s": np.float32(p.scale), "z": np.int8(p.output_zero_point)}
            source, result = (p.values, np.int8) if p.what == "quantize" else (p.input, np.float32)
            op = "QuantizeLinear" if p.what == "quantize" else "DequantizeLinear"
            s = session(op, "", value("x", source.dtype, [n]), value("y", result, [n]), constants, {}, ["x", "s", "z"])
        else:
            codes = p.input.dtype
            # The output scale is 1, the weight scales are the ratios.
            common = {"xs": np.float32(1), "xz": codes.type(p.input_zero_point), "ws": p.ratios,
                      "wz": np.zeros(p.out_channels, np.int8), "ys": np.float32(1), "yz": codes.type(p.output_zero_point)}
            result = codes
            if p.what == "product":
                # QGemm: QLinearMatMul has no bias.
                source = p.input.reshape(p.width, p.in_channels)
                constants = {"w": np.ascontiguousarray(p.weights.reshape(p.out_channels, p.in_channels).T), "b": p.bias, **common}
                s = session("QGemm", "com.microsoft", value("x", codes, source.shape), value("y", codes, [p.width, p.out_channels]),
                            constants, {}, ["x", "xs", "xz", "w", "ws", "wz", "b", "ys", "yz"])
            else:
                source = p.input.reshape(1, p.height, p.width, p.in_channels)
                w = p.weights.reshape(p.out_channels, p.kernel_h, p.kernel, -1).transpose(0, 3, 1, 2)
                constants = {"w": np.ascontiguousarray(w), "b": p.bias, **common}
                after = [(o - 1) * p.stride + (k - 1) * p.dilation + 1 - size - pad
                         for o, k, size, pad in ((p.out_height, p.kernel_h, p.height, p.pad_h),
                                                 (p.out_width, p.kernel, p.width, p.pad))]
                s = session("QLinearConv", "com.microsoft", value("x", codes, source.shape),
                            value("y", codes, [1, p.out_height, p.out_width, p.out_channels]), constants,
                            {"channels_last": 1, "group": p.groups, "strides": [p.stride] * 2, "dilations": [p.dilation] * 2,
                             "kernel_shape": [p.kernel_h, p.kernel], "pads": [p.pad_h, p.pad, *after]}, ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"])
        out = np.zeros(s.get_outputs()[0].shape, result)
        binding = s.io_binding()
        binding.bind_ortvalue_input("x", ort.OrtValue.ortvalue_from_numpy(source))
        target = ort.OrtValue.ortvalue_from_numpy(out)
        binding.bind_ortvalue_output("y", target)
        run = lambda: s._sess.run_with_iobinding(binding._iobinding, None)  # noqa: E731
        return run, lambda: target.numpy(), {}

    return ort.__version__, make


def litert_peer():
    import flatbuffers
    import importlib.metadata
    from ai_edge_litert import schema_py_generated as fb
    from ai_edge_litert.interpreter import Interpreter

    kinds = {np.dtype(np.int8): fb.TensorType.INT8, np.dtype(np.int32): fb.TensorType.INT32,
             np.dtype(np.float32): fb.TensorType.FLOAT32}

    def model(op, version, options_kind, options, tensors, inputs):
        """tensors: (shape, dtype, data or None, scales or None, zero points, axis); the last one is the output."""
        m = fb.ModelT()
        m.version = 3
        m.buffers = [fb.BufferT()]
        graph = fb.SubGraphT()
        graph.tensors = []
        for i, (shape, dtype, data, scales, zeros, axis) in enumerate(tensors):
            t = fb.TensorT()
            t.name, t.shape, t.type, t.buffer = f"t{i}".encode(), list(shape), kinds[np.dtype(dtype)], 0
            if data is not None:
                b = fb.BufferT()
                b.data = np.ascontiguousarray(data).view(np.uint8).reshape(-1)
                t.buffer = len(m.buffers)
                m.buffers.append(b)
            if scales is not None:
                q = fb.QuantizationParametersT()
                q.scale, q.zeroPoint, q.quantizedDimension = np.asarray(scales, np.float32), np.asarray(zeros, np.int64), axis
                t.quantization = q
            graph.tensors.append(t)
        node = fb.OperatorT()
        node.opcodeIndex, node.inputs, node.outputs = 0, list(inputs), [len(tensors) - 1]
        node.builtinOptionsType, node.builtinOptions = options_kind, options
        graph.operators, graph.inputs, graph.outputs = [node], [0], [len(tensors) - 1]
        code = fb.OperatorCodeT()
        code.builtinCode = op
        code.deprecatedBuiltinCode = op
        code.version = version
        m.operatorCodes, m.subgraphs = [code], [graph]
        b = flatbuffers.Builder(1 << 16)
        b.Finish(m.Pack(b), b"TFL3")
        return bytes(b.Output())

    def make(p):
        ops, kinds_of = fb.BuiltinOperator, fb.BuiltinOptions
        note = {}
        if p.what in ("quantize", "dequantize"):
            n = p.values.size
            codes = ([n], np.int8, None, [p.scale], [p.output_zero_point], 0)
            floats = ([n], np.float32, None, None, None, 0)
            if p.what == "quantize":
                source, blob = p.values, model(ops.QUANTIZE, 1, kinds_of.QuantizeOptions, fb.QuantizeOptionsT(), [floats, codes], [0])
            else:
                source, blob = p.input, model(ops.DEQUANTIZE, 2, kinds_of.DequantizeOptions, fb.DequantizeOptionsT(), [codes, floats], [0])
            shift = 0
        else:
            shift = 128 if p.unsigned_codes else 0
            source = (p.input.astype(np.int16) - shift).astype(np.int8)
            zeros = np.zeros(p.out_channels, np.int64)
            x_quant = ([1.0], [p.input_zero_point - shift], 0)
            y_quant = ([1.0], [p.output_zero_point - shift], 0)
            bias = ([p.out_channels], np.int32, p.bias, p.ratios, zeros, 0)
            if p.what == "product":
                source = source.reshape(p.width, p.in_channels)
                w = p.weights.reshape(p.out_channels, p.in_channels)
                y_shape, options, op, version, kind = [p.width, p.out_channels], fb.FullyConnectedOptionsT(), ops.FULLY_CONNECTED, 12, kinds_of.FullyConnectedOptions
                axis = 0
            else:
                source = source.reshape(1, p.height, p.width, p.in_channels)
                y_shape = [1, p.out_height, p.out_width, p.out_channels]
                w = p.weights.reshape(p.out_channels, p.kernel_h, p.kernel, -1)
                axis = 0
                if p.what == "depthwise":
                    w = w.transpose(3, 1, 2, 0)
                    axis = 3
                    options, op, version, kind = fb.DepthwiseConv2DOptionsT(), ops.DEPTHWISE_CONV_2D, 3, kinds_of.DepthwiseConv2DOptions
                    options.depthMultiplier = p.out_channels // p.in_channels
                else:
                    options, op, version, kind = fb.Conv2DOptionsT(), ops.CONV_2D, 3, kinds_of.Conv2DOptions
                options.padding = fb.Padding.SAME if p.pad else fb.Padding.VALID
                options.strideH = options.strideW = p.stride
                options.dilationHFactor = options.dilationWFactor = p.dilation
                if p.pad:  # SAME puts the odd pixel after
                    note["pad"] = max((p.out_width - 1) * p.stride + (p.kernel - 1) * p.dilation + 1 - p.width, 0) // 2
            tensors = [(source.shape, np.int8, None, *x_quant), (w.shape, np.int8, w, p.ratios, zeros, axis), bias,
                       (y_shape, np.int8, None, *y_quant)]
            blob = model(op, version, kind, options, tensors, [0, 1, 2])
        try:
            interpreter = Interpreter(model_content=blob, num_threads=1)
            interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as e:
            raise Absent(str(e)) from None
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], source)
        out = interpreter.get_output_details()[0]["index"]
        run = interpreter._interpreter.Invoke
        return run, lambda: interpreter.get_tensor(out).astype(np.float64) + shift, note

    return importlib.metadata.version("ai-edge-litert"), make


def observed(functions):
    """A peer that only observes: method -> function(x, low, high), returning a list of numbers."""
    def make(p):
        run = functions[p.method](p.values)
        return run, None, {}
    return make


def numpy_peer():
    def histogram(x):
        low, high = float(x.min()), float(x.max())
        return lambda: np.histogram(x, bins=2048, range=(low, high))
    return np.__version__, observed({"min_max": lambda x: lambda: (x.min(), x.max()), "histogram": histogram,
                                     "moments": lambda x: lambda: (x.mean(dtype=np.float64), x.std(dtype=np.float64))})


def torch_peer():
    import torch
    torch.set_num_threads(1)

    def histogram(x):
        low, high, t = float(x.min()), float(x.max()), torch.from_numpy(x)
        return lambda: torch.histc(t, bins=2048, min=low, max=high)

    def min_max(x):
        t = torch.from_numpy(x)
        return lambda: torch.aminmax(t)

    def moments(x):
        t = torch.from_numpy(x)
        return lambda: torch.std_mean(t)
    return torch.__version__, observed({"min_max": min_max, "histogram": histogram, "moments": moments})


def main():
    peers, versions = {}, {}
    codes = ["product", "convolution", "depthwise", "quantize", "dequantize"]
    for name, load, kinds in (("onnxruntime", onnxruntime_peer, codes), ("litert", litert_peer, codes),
                              ("numpy", numpy_peer, ["observe"]), ("torch", torch_peer, ["observe"])):
        try:
            version, peers[name] = load()
            versions[name] = {"version": f"{name} {version}", "kinds": kinds}
        except ImportError as e:
            print(f"peer {name} absent in {sys.executable}: {e}", file=sys.stderr)

    def answer(a):
        answers.write(json.dumps(a) + "\n")
        answers.flush()

    answer(versions)
    ready = []
    wall, cpu = time.perf_counter, time.thread_time
    for line in sys.stdin:
        q = json.loads(line)
        if "run" in q:
            run, calls = ready[q["run"]], range(q["calls"])
            c, w = cpu(), wall()
            for _ in calls:
                run()
            answer({"wall": wall() - w, "cpu": cpu() - c})
            continue
        try:
            run, output, note = peers[q["peer"]](Problem(q["problem"], q["data"]))
            run()
            a = {"id": len(ready), **note}
            if output is not None:
                out = np.ascontiguousarray(output(), np.float64)
                out.tofile(q["data"] + ".out")
                a.update(output=q["data"] + ".out", outputs=out.size)
            ready.append(run)
            answer(a)
        except Exception as e:  # whatever a package throws: this row has no such peer
            answer({"absent": f"{type(e).__name__}: {e}"[:200]})


if __name__ == "__main__":
    main()
