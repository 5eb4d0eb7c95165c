#!/usr/bin/env python3
"""Trains the small CNN of the quickstart and writes its model and its data.

    python3 examples/digits/train.py            # needs numpy, scikit-learn, onnx

Writes next to itself: digits.onnx (float32, opset 17, dynamic batch), calib.npz (200 training images) and test.npz
(500 images that training never saw; `_label` holds their classes). The images are scikit-learn's handwritten digits
(8x8 pixels, 16 grey levels, from the UCI "Optical Recognition of Handwritten Digits" test set), scaled to 0..1.

The network is what mobile CNNs are made of, so that one small file shows every kind of rewrite: convolution with
BatchNorm (folded by the quantizer), depthwise + pointwise, ReLU, max pooling, a residual Add, global average pooling,
a Gemm. Everything is plain numpy; seeds are fixed. The last bit of the weights depends on the BLAS.

    x[N,1,8,8] -conv3x3-BN-relu-> 16 -depthwise3x3-relu-pointwise-relu-> 32 -maxpool-> [32,4,4]
               -(conv3x3-BN-relu-conv3x3-BN) + skip -relu-> -average pool-> 32 -Gemm-> logits[N,10]
"""
import os

import numpy as np

SEED, EPOCHS, BATCH, RATE = 7, 40, 64, 2e-3
HERE = os.path.dirname(os.path.abspath(__file__))


def patches(x):
    """[N,C,H,W] -> [N,C,9,H,W]: the 3x3 neighbourhood of every pixel, zero outside."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.stack([padded[:, :, i:i + h, j:j + w] for i in range(3) for j in range(3)], axis=2)


def unpatches(g):
    """The transpose of `patches`: adds every neighbourhood's gradient back to its pixels."""
    n, c, _, h, w = g.shape
    padded = np.zeros((n, c, h + 2, w + 2), g.dtype)
    for k in range(9):
        padded[:, :, k // 3:k // 3 + h, k % 3:k % 3 + w] += g[:, :, k]
    return padded[:, :, 1:-1, 1:-1]


class Conv:
    """3x3 (same padding) or 1x1 convolution; weights [O,C,k,k]."""

    def __init__(self, rng, c, o, k=3, bias=True):
        self.k = k
        self.p = {"w": rng.normal(0, np.sqrt(2 / (c * k * k)), (o, c, k, k)).astype(np.float32)}
        if bias:
            self.p["b"] = np.zeros(o, np.float32)

    def forward(self, x, train):
        self.cols = patches(x) if self.k == 3 else x[:, :, None]
        w = self.p["w"].reshape(len(self.p["w"]), x.shape[1], -1)
        y = np.einsum("nckhw,ock->nohw", self.cols, w, optimize=True)
        return y + self.p["b"][:, None, None] if "b" in self.p else y

    def backward(self, g):
        w = self.p["w"].reshape(len(self.p["w"]), self.cols.shape[1], -1)
        self.g = {"w": np.einsum("nckhw,nohw->ock", self.cols, g, optimize=True).reshape(self.p["w"].shape)}
        if "b" in self.p:
            self.g["b"] = g.sum((0, 2, 3))
        gx = np.einsum("nohw,ock->nckhw", g, w, optimize=True)
        return unpatches(gx) if self.k == 3 else gx[:, :, 0]


class Depthwise:
    """3x3, one filter per channel; weights [C,1,3,3]."""

    def __init__(self, rng, c):
        self.p = {"w": rng.normal(0, np.sqrt(2 / 9), (c, 1, 3, 3)).astype(np.float32), "b": np.zeros(c, np.float32)}

    def forward(self, x, train):
        self.cols = patches(x)
        return np.einsum("nckhw,ck->nchw", self.cols, self.p["w"].reshape(-1, 9)) + self.p["b"][:, None, None]

    def backward(self, g):
        self.g = {"w": np.einsum("nckhw,nchw->ck", self.cols, g).reshape(self.p["w"].shape), "b": g.sum((0, 2, 3))}
        return unpatches(g[:, :, None] * self.p["w"].reshape(-1, 9)[:, :, None, None])


class BatchNorm:
    def __init__(self, c):
        self.p = {"w": np.ones(c, np.float32), "b": np.zeros(c, np.float32)}
        self.mean, self.var, self.eps = np.zeros(c, np.float32), np.ones(c, np.float32), 1e-5

    def forward(self, x, train):
        if train:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
            self.mean, self.var = 0.9 * self.mean + 0.1 * mean, 0.9 * self.var + 0.1 * var
        else:
            mean, var = self.mean, self.var
        self.inv = 1 / np.sqrt(var + self.eps)
        self.hat = (x - mean[:, None, None]) * self.inv[:, None, None]
        return self.p["w"][:, None, None] * self.hat + self.p["b"][:, None, None]

    def backward(self, g):
        self.g = {"w": (g * self.hat).sum((0, 2, 3)), "b": g.sum((0, 2, 3))}
        m = g.size / g.shape[1]
        mean_g, mean_gh = self.g["b"] / m, self.g["w"] / m
        scale = (self.p["w"] * self.inv)[:, None, None]
        return scale * (g - mean_g[:, None, None] - self.hat * mean_gh[:, None, None])


class Relu:
    p = {}  # no parameters

    def forward(self, x, train):
        self.on = x > 0
        return x * self.on

    def backward(self, g):
        return g * self.on


class MaxPool:
    p = {}  # no parameters

    def forward(self, x, train):
        n, c, h, w = x.shape
        self.x = x.reshape(n, c, h // 2, 2, w // 2, 2)
        self.y = self.x.max((3, 5), keepdims=True)
        return self.y[:, :, :, 0, :, 0]

    def backward(self, g):
        hit = self.x == self.y
        spread = hit * (g[:, :, :, None, :, None] / hit.sum((3, 5), keepdims=True))
        n, c, h, _, w, _ = self.x.shape
        return spread.reshape(n, c, 2 * h, 2 * w)


class Residual:
    def __init__(self, *body):
        self.body, self.p = body, {}

    def forward(self, x, train):
        y = x
        for layer in self.body:
            y = layer.forward(y, train)
        return x + y

    def backward(self, g):
        inner = g
        for layer in reversed(self.body):
            inner = layer.backward(inner)
        return g + inner


class Head:
    """Global average pooling and a fully connected layer; weights [out, in] (Gemm, transB)."""

    def __init__(self, rng, c, o):
        self.p = {"w": rng.normal(0, np.sqrt(1 / c), (o, c)).astype(np.float32), "b": np.zeros(o, np.float32)}

    def forward(self, x, train):
        self.shape, self.x = x.shape, x.mean((2, 3))
        return self.x @ self.p["w"].T + self.p["b"]

    def backward(self, g):
        self.g = {"w": g.T @ self.x, "b": g.sum(0)}
        n, c, h, w = self.shape
        return np.broadcast_to(((g @ self.p["w"]) / (h * w))[:, :, None, None], self.shape)


def build(rng):
    c1, n1, dw, pw = Conv(rng, 1, 16, bias=False), BatchNorm(16), Depthwise(rng, 16), Conv(rng, 16, 32, 1)
    r1, rn1, r2, rn2 = Conv(rng, 32, 32, bias=False), BatchNorm(32), Conv(rng, 32, 32, bias=False), BatchNorm(32)
    head = Head(rng, 32, 10)
    layers = [c1, n1, Relu(), dw, Relu(), pw, Relu(), MaxPool(), Residual(r1, rn1, Relu(), r2, rn2), Relu(), head]
    named = dict(conv1=c1, bn1=n1, depthwise=dw, pointwise=pw, conv2=r1, bn2=rn1, conv3=r2, bn3=rn2, head=head)
    return layers, named


def forward(layers, x, train=False):
    for layer in layers:
        x = layer.forward(x, train)
    return x


def shifted(rng, x):
    """Moves each image by -1, 0 or 1 pixels: the digits are not well centred."""
    out = np.zeros_like(x)
    for i, (dy, dx) in enumerate(rng.integers(-1, 2, (len(x), 2))):
        h, w = x.shape[2:]
        out[i, :, max(dy, 0):h + min(dy, 0), max(dx, 0):w + min(dx, 0)] = \
            x[i, :, max(-dy, 0):h + min(-dy, 0), max(-dx, 0):w + min(-dx, 0)]
    return out


def train(x, label):
    rng = np.random.default_rng(SEED)
    layers, named = build(rng)
    moments = {}
    step = 0
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        order = rng.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH):
            pick = order[start:start + BATCH]
            logits = forward(layers, shifted(rng, x[pick]), train=True)
            prob = np.exp(logits - logits.max(1, keepdims=True))
            prob /= prob.sum(1, keepdims=True)
            prob[np.arange(BATCH), label[pick]] -= 1
            g = prob / BATCH
            for layer in reversed(layers):
                g = layer.backward(g)
            step += 1
            for name, layer in named.items():
                for key, value in layer.p.items():  # Adam
                    m, v = moments.setdefault((name, key), [np.zeros_like(value), np.zeros_like(value)])
                    grad = layer.g[key] + 1e-4 * value
                    m += 0.1 * (grad - m)
                    v += 0.01 * (grad * grad - v)
                    value -= (rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.99**step)) + 1e-8)).astype(np.float32)
    return layers, named


def export(named, path):
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    nodes, weights = [], []

    def constant(name, value):
        weights.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def conv(name, x, **kw):
        layer = named[name]
        inputs = [x, constant(name + ".weight", layer.p["w"])]
        if "b" in layer.p:
            inputs.append(constant(name + ".bias", layer.p["b"]))
        k = layer.p["w"].shape[2]
        nodes.append(helper.make_node("Conv", inputs, [name + ".out"], name, kernel_shape=[k, k], pads=[k // 2] * 4, **kw))
        return name + ".out"

    def norm(name, x):
        layer = named[name]
        values = (("scale", layer.p["w"]), ("bias", layer.p["b"]), ("mean", layer.mean), ("var", layer.var))
        nodes.append(helper.make_node("BatchNormalization", [x] + [constant(f"{name}.{k}", v) for k, v in values],
                                      [name + ".out"], name, epsilon=layer.eps))
        return name + ".out"

    def simple(op, name, inputs, **kw):
        nodes.append(helper.make_node(op, inputs, [name + ".out"], name, **kw))
        return name + ".out"

    x = simple("Relu", "relu1", [norm("bn1", conv("conv1", "x"))])
    x = simple("Relu", "relu2", [conv("depthwise", x, group=16)])
    x = simple("Relu", "relu3", [conv("pointwise", x)])
    skip = simple("MaxPool", "pool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = simple("Relu", "relu4", [norm("bn2", conv("conv2", skip))])
    x = norm("bn3", conv("conv3", x))
    x = simple("Relu", "relu5", [simple("Add", "add", [x, skip])])
    x = simple("Flatten", "flatten", [simple("GlobalAveragePool", "average", [x])])
    head = named["head"]
    nodes.append(helper.make_node("Gemm", [x, constant("head.weight", head.p["w"]), constant("head.bias", head.p["b"])],
                                  ["logits"], "head", transB=1))
    graph = helper.make_graph(nodes, "digits",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 8, 8])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])], weights)
    model = helper.make_model(graph, producer_name="quantal examples/digits/train.py",
                              opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def main():
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    digits = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)
    x, x_test, y, y_test = train_test_split(images, digits.target, test_size=500, random_state=SEED,
                                            stratify=digits.target)
    layers, named = train(x, y)
    wrong = (forward(layers, x_test).argmax(1) != y_test).sum()
    print(f"test accuracy {100 * (1 - wrong / len(y_test)):.2f} % ({wrong} of {len(y_test)} wrong)")
    export(named, os.path.join(HERE, "digits.onnx"))
    np.savez_compressed(os.path.join(HERE, "calib.npz"), x=x[:200], _label=y[:200].astype(np.int64))
    np.savez_compressed(os.path.join(HERE, "test.npz"), x=x_test, _label=y_test.astype(np.int64))


if __name__ == "__main__":
    main()
