#!/usr/bin/env python3
"""quantal.gemm, with numpy (sums) and ONNX Runtime (QLinearMatMul) as the oracles.   (QUANTAL_LIBRARY is set)"""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bindings", "python"))

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import helper
except ImportError as missing:
    print(f"skip: {missing.name} is not installed (tests/run.sh makes tests/.venv)")
    sys.exit(77)

import quantal  # noqa: E402

TYPES = {np.uint8: onnx.TensorProto.UINT8, np.int8: onnx.TensorProto.INT8}


def codes(rng, kind, shape):
    return rng.integers(np.iinfo(kind).min, np.iinfo(kind).max + 1, shape).astype(kind)


def sums(a, b, lhs_zero_point=0, rhs_zero_point=0):
    return (a.astype(np.int64) - lhs_zero_point) @ (b.astype(np.int64) - rhs_zero_point)


def qlinear_matmul(a, b, a_scale, a_zp, b_scale, y_scale, y_zp):
    names = ["a", "a_scale", "a_zp", "b", "b_scale", "b_zp", "y_scale", "y_zp"]
    given = [np.asarray(v) for v in (a, np.float32(a_scale), a.dtype.type(a_zp), b, np.float32(b_scale), b.dtype.type(0), np.float32(y_scale),
                                     a.dtype.type(y_zp))]
    kinds = [TYPES[v.dtype.type] if v.dtype.type in TYPES else onnx.TensorProto.FLOAT for v in given]
    graph = helper.make_graph([helper.make_node("QLinearMatMul", names, ["y"])], "g",
                              [helper.make_tensor_value_info(n, k, v.shape) for n, k, v in zip(names, kinds, given)],
                              [helper.make_tensor_value_info("y", kinds[0], [a.shape[0], b.shape[1]])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, dict(zip(names, given)))[0]


class Gemm(unittest.TestCase):
    def test_sums_equal_numpy(self):
        rng = np.random.default_rng(1)
        for m, k, n in ((1, 1, 1), (3, 7, 5), (17, 64, 33), (2, 1000, 16), (5, 0, 3), (0, 4, 2)):
            for left in TYPES:
                for right in TYPES:
                    a, b, bias = codes(rng, left, (m, k)), codes(rng, right, (k, n)), rng.integers(-10**6, 10**6, n)
                    zero = [int(codes(rng, kind, ())) for kind in (left, right)]
                    got = quantal.gemm(a, b, bias=bias, lhs_zero_point=zero[0], rhs_zero_point=zero[1])
                    self.assertEqual(got.dtype, np.int32)
                    np.testing.assert_array_equal(got, sums(a, b, *zero) + bias)

    def test_A3_any_layout(self):
        rng = np.random.default_rng(2)
        a, b = codes(rng, np.uint8, (40, 24)), codes(rng, np.int8, (30, 24))
        np.testing.assert_array_equal(quantal.gemm(a[::-2, ::3], b.T[::3, ::-1]), sums(a[::-2, ::3], b.T[::3, ::-1]))

    def test_codes_equal_onnxruntime(self):
        rng = np.random.default_rng(3)
        for _ in range(50):
            kind = (np.uint8, np.int8)[rng.integers(2)]
            m, k, n = rng.integers(1, 70, 3)
            # 7-bit weights: the 16-bit sums of ONNX Runtime's kernels saturate with more on CPUs without VNNI.
            a, b = codes(rng, kind, (m, k)), rng.integers(-63, 64, (k, n)).astype(np.int8)
            a_zp, y_zp = int(codes(rng, kind, ())), int(codes(rng, kind, ()))
            # Powers of two but one: the ratio is the same in whatever order the three scales are joined.
            y_scale = np.float32(2.0 ** rng.integers(0, 6) * rng.uniform(1, 2))
            expected = qlinear_matmul(a, b, 0.5, a_zp, 0.25, y_scale, y_zp)
            got = quantal.gemm(a, b, lhs_zero_point=a_zp, dtype={np.uint8: "u8", np.int8: "s8"}[kind], ratios=np.float32(0.125) / y_scale, zero_point=y_zp)
            np.testing.assert_array_equal(got, expected)

    def test_real_results_and_clamp(self):
        rng = np.random.default_rng(4)
        a, b = codes(rng, np.uint8, (9, 50)), codes(rng, np.int8, (50, 6))
        ratios = rng.uniform(1e-4, 1e-3, 6).astype(np.float32)
        np.testing.assert_array_equal(quantal.gemm(a, b, dtype="f32", ratios=ratios), sums(a, b).astype(np.float32) * ratios)
        np.testing.assert_array_equal(quantal.gemm(a, b, dtype="f32", ratios=ratios, min=0), np.maximum(sums(a, b).astype(np.float32) * ratios, 0))
        relu = quantal.gemm(a, b, ratios=ratios, zero_point=-100, min=-100, max=90)
        np.testing.assert_array_equal(relu, np.clip(np.rint(sums(a, b).astype(np.float32) * ratios) - 100, -100, 90))

    def test_fixed_single_rounds_the_exact_product(self):
        rng = np.random.default_rng(5)
        a, b = codes(rng, np.int8, (20, 30)), codes(rng, np.int8, (30, 20))
        # 3 * 2^-10 is a multiplier without error: round half up of sum * 3 / 1024
        expected = np.clip((sums(a, b) * 3 + 512) >> 10, -128, 127)
        np.testing.assert_array_equal(quantal.gemm(a, b, ratios=3 / 1024, contract="fixed_single"), expected)

    def test_multipliers_are_made_of_doubles(self):
        # 5 * 0.1 is just below a half as a 31-bit multiplier (1717986918 * 2^-34), just above it through float32.
        one = np.ones((1, 1), np.int8)
        self.assertEqual(quantal.gemm(one * 5, one, ratios=0.1, contract="fixed_single").tolist(), [[0]])

    def test_names_of_types(self):
        a, b = np.full((1, 2), 100, np.int8), np.ones((2, 1), np.int8)
        for name in ("s8", "int8", np.int8):
            self.assertEqual(quantal.gemm(a, b, ratios=0.5, dtype=name, min=-100).tolist(), [[100]])
        self.assertEqual(quantal.gemm(a, b, dtype="int32").tolist(), [[200]])

    def test_every_kernel_of_this_machine(self):
        rng = np.random.default_rng(6)
        a, b = codes(rng, np.uint8, (13, 100)), codes(rng, np.int8, (100, 37))
        ran = 0
        for row in quantal.cpu()["isas"]:
            try:
                np.testing.assert_array_equal(quantal.gemm(a, b, kernel=row["name"]), sums(a, b))
                ran += 1
            except quantal.UnsupportedError:
                pass
        self.assertGreaterEqual(ran, 1)
        with self.assertRaises(quantal.Error):
            quantal.gemm(a, b, kernel="abacus")

    def test_errors(self):
        a, b = np.zeros((2, 3), np.uint8), np.zeros((3, 4), np.int8)
        for call, kind in ((lambda: quantal.gemm(a, a), ValueError), (lambda: quantal.gemm(a.astype(np.int32), b), TypeError),
                           (lambda: quantal.gemm(a[0], b), TypeError), (lambda: quantal.gemm(a, b, dtype="u8"), ValueError),
                           (lambda: quantal.gemm(a, b, dtype="s32", ratios=1), ValueError), (lambda: quantal.gemm(a, b, dtype="s16", ratios=1), TypeError),
                           (lambda: quantal.gemm(a, b, ratios=[1, 2]), ValueError), (lambda: quantal.gemm(a, b, ratios=float("nan")), ValueError),
                           (lambda: quantal.gemm(a, b, ratios=-1.0, contract="fixed_single"), ValueError),
                           (lambda: quantal.gemm(a, b, bias=[1.5] * 4), TypeError), (lambda: quantal.gemm(a, b, bias=[2**40] * 4), TypeError),
                           (lambda: quantal.gemm(a, b, lhs_zero_point=256), ValueError), (lambda: quantal.gemm(a, b, lhs_zero_point=2**40), ValueError),
                           (lambda: quantal.gemm(a, b, min=0), ValueError), (lambda: quantal.gemm(a, b, ratios=1, dtype="f32", min=0.5), TypeError), (lambda: quantal.gemm(a, b, ratios=1, min=9, max=3), ValueError),
                           (lambda: quantal.gemm(a, b, ratios=1, contract="rounded"), ValueError), (lambda: quantal.gemm("a", b), TypeError)):
            with self.assertRaises(kind):
                call()


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1], exit=False).result
    bad = len({str(t).split(" (")[0] for t, _ in result.failures + result.errors})
    print(f"tests: {result.testsRun - bad} passed, {bad} failed, 0 skipped", flush=True)
    sys.exit(1 if bad else 0)
