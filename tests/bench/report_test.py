"""bench/report.py against results written here by rule: which rows pass, fail and are not judged, and why."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = sys.argv.pop(1)
REPORT = os.path.join(ROOT, "bench", "report.py")
sys.path.insert(0, os.path.join(ROOT, "bench"))
import report  # noqa: E402

CASES = {
    "min_samples": 9, "min_ratio": 0.97,
    "shapes": {"main": ["64x64x64", "8x8x8"], "list": ["1x8x8x8-8-k1s1", "1x4x4x8-8-k1s1"], "call": ["1x16x64"], "array": ["1000"]},
    "gates": [
        {"id": "gemm", "isa": "avx2", "families": ["gemm_u8s8"], "shapes": "main", "limit": "limit/avx2_maddwd", "share": 0.8},
        {"id": "net", "isa": "avx2", "families": ["conv_u8s8"], "shapes": "list", "sum_ratio": 1.4},
        {"id": "tiles", "isa": "amx", "families": ["gemm_u8s8"], "shapes": "main", "limit": "limit/amx_tdpbusd", "share": 0.54,
         "share_busy": 0.26},
        {"id": "call", "families": ["overhead"], "shapes": "call", "max_us": 0.08},
        {"id": "copy", "families": ["quantize"], "shapes": "array", "ratio_to": ["memcpy", "copy_loop"], "ratio": 0.93},
    ],
}


def samples(name, microseconds, rounds=9, rate=None, **counters):
    """`rounds` iterations around a median of `microseconds`; rate: (counter, units per call in 1e9)."""
    out = []
    for i in range(rounds):
        t = microseconds * (1 + 0.01 * (i - rounds // 2))
        b = {"name": name, "run_type": "iteration", "repetition_index": i, "real_time": t, "time_unit": "us", **counters}
        if rate:
            b[rate[0]] = rate[1] / (t * 1e-6)
        out.append(b)
    return out


def good():
    """Everything passes: 100 Gop/s limit, our product at 90, peers slower; the list twice as fast as its peer. No regimes."""
    ops = ("GOPS", 0.001)
    return [
        *samples("limit/avx2_maddwd", 10, rate=ops),  # the best of its rounds is 4 % faster: 9.6
        *samples("gemm_u8s8/avx2/64x64x64", 10 / 0.9, rate=ops, wrong=0, checked=500),
        *samples("gemm_u8s8/avx2/64x64x64/peer:a", 20, rate=ops, wrong=0, checked=500),
        *samples("gemm_u8s8/avx2/64x64x64/peer:b", 30, rate=ops, wrong=0, checked=500),
        *samples("gemm_u8s8/avx2/64x64x64/peer:saturating", 1, rate=ops, wrong=17, checked=500),
        *samples("gemm_u8s8/avx2/8x8x8", 11, rate=ops),
        *samples("conv_u8s8/avx2/1x8x8x8-8-k1s1", 10), *samples("conv_u8s8/avx2/1x8x8x8-8-k1s1/peer:a", 15),
        *samples("conv_u8s8/avx2/1x4x4x8-8-k1s1", 10), *samples("conv_u8s8/avx2/1x4x4x8-8-k1s1/peer:a", 25),
        *samples("overhead/avx2/1x16x64", 0.07),
        *samples("quantize/1000", 1.0), *samples("quantize/1000/peer:memcpy", 5.0), *samples("quantize/1000/peer:copy_loop", 0.95),
        {"name": "gemm_u8s8/avx2/64x64x64_mean", "run_type": "aggregate", "real_time": 1, "time_unit": "us"},
        {"name": "quantize/1000/peer:absent", "run_type": "iteration", "error_occurred": True, "error_message": "not offered",
         "real_time": 0, "time_unit": "us"},
    ]


def scaled(benchmarks, name, factor):
    return [dict(b, real_time=b["real_time"] * factor, **({"GOPS": b["GOPS"] / factor} if "GOPS" in b else {}))
            if b["name"] == name else b for b in benchmarks]


class ReportTest(unittest.TestCase):
    def run_report(self, benchmarks, *extra):
        with tempfile.TemporaryDirectory() as d:
            results, cases = os.path.join(d, "r.json"), os.path.join(d, "c.json")
            with open(results, "w") as f:
                json.dump({"context": {"isa": "avx2"}, "benchmarks": benchmarks}, f)
            with open(cases, "w") as f:
                json.dump(CASES, f)
            p = subprocess.run([sys.executable, REPORT, results, "--gate", cases, *extra], capture_output=True, text=True)
            rows, _ = report.read([results])
        return p.returncode, p.stdout, {r.name: r for r in report.judge(rows, CASES)}

    def test_all_pass_but_what_this_cpu_lacks(self):
        code, out, rows = self.run_report(good())
        self.assertEqual(code, 0, out)
        self.assertEqual({n for n, r in rows.items() if r.verdict != "pass"},
                         {"gemm_u8s8/amx/64x64x64", "gemm_u8s8/amx/8x8x8"})
        self.assertEqual(rows["gemm_u8s8/amx/64x64x64"].verdict, report.NOT_JUDGED)
        r = rows["gemm_u8s8/avx2/64x64x64"]
        self.assertAlmostEqual(r.shares["any"], 0.9, places=6)
        self.assertAlmostEqual(r.of_best, 0.9 * 0.96, places=6)
        self.assertEqual((r.peer, r.wrong_peers), ("a", ["saturating"]))
        self.assertAlmostEqual(r.ratio, 1.8, places=6)
        self.assertTrue(r.low <= r.ratio <= r.high)
        self.assertAlmostEqual(rows["conv_u8s8/avx2/[list]"].ratio, 2.0, places=6)
        self.assertEqual(rows["quantize/1000"].peer, "copy_loop")
        self.assertIn("7 passed, 0 failed, 2 not judged", out)
        self.assertRegex(out, r"geometric mean of the ratios, conv_u8s8/avx2: 1\.94 \(2 rows\)")

    def test_share_below_the_gate_fails(self):
        code, out, rows = self.run_report(scaled(good(), "gemm_u8s8/avx2/64x64x64", 1.2))
        self.assertEqual((code, rows["gemm_u8s8/avx2/64x64x64"].verdict), (1, "FAIL"))
        self.assertIn("75.0% of limit/avx2_maddwd (any), 80% needed", out)

    def test_slower_than_a_right_peer_fails(self):
        code, _, rows = self.run_report(scaled(good(), "gemm_u8s8/avx2/64x64x64/peer:b", 0.3))
        r = rows["gemm_u8s8/avx2/64x64x64"]
        self.assertEqual((code, r.verdict, r.peer), (1, "FAIL", "b"))

    def test_list_below_its_ratio_fails_though_its_rows_pass(self):
        slow = scaled(good(), "conv_u8s8/avx2/1x4x4x8-8-k1s1/peer:a", 0.4)
        code, _, rows = self.run_report(slow)
        self.assertEqual((code, rows["conv_u8s8/avx2/[list]"].verdict), (1, "FAIL"))
        self.assertAlmostEqual(rows["conv_u8s8/avx2/[list]"].ratio, 1.25, places=6)
        self.assertEqual(rows["conv_u8s8/avx2/1x4x4x8-8-k1s1"].verdict, "pass")

    def test_own_wrong_result_fails(self):
        wrong = [dict(b, wrong=3) if b["name"] == "gemm_u8s8/avx2/64x64x64" else b for b in good()]
        code, out, _ = self.run_report(wrong)
        self.assertEqual(code, 1)
        self.assertIn("3 of 500 outputs wrong", out)

    def test_call_cost_fails(self):
        code, out, _ = self.run_report(scaled(good(), "overhead/avx2/1x16x64", 2))
        self.assertEqual(code, 1)
        self.assertIn("0.140 us, 0.08 allowed", out)

    def test_a_cheap_call_fails_beside_a_cheaper_peer(self):
        code, out, _ = self.run_report(good() + samples("overhead/avx2/1x16x64/peer:a", 0.06, wrong=0, checked=16))
        self.assertEqual(code, 1)
        self.assertIn("0.857x a, 0.97 needed", out)

    def test_too_few_clean_samples_are_not_judged(self):
        dirty = [dict(b, preempted=1) if b["name"] == "overhead/avx2/1x16x64" and b["repetition_index"] == 4 else b for b in good()]
        code, out, rows = self.run_report(dirty)
        self.assertEqual((code, rows["overhead/avx2/1x16x64"].verdict), (0, report.NOT_JUDGED))
        self.assertIn("8 clean samples, 9 needed", out)

    def regimes(self, name, quiet, busy, rate=("GOPS", 0.001)):
        """9 slices with an idle neighbour, then 9 with a busy one; samples() spreads each by 4 %."""
        second = [dict(b, repetition_index=b["repetition_index"] + 9) for b in samples(name, busy, rate=rate, regime=0)]
        return samples(name, quiet, rate=rate, regime=1) + second

    def test_shares_compare_slices_of_one_regime(self):
        rest = [b for b in good() if b["name"] not in ("limit/avx2_maddwd", "gemm_u8s8/avx2/64x64x64")]
        _, out, rows = self.run_report(rest + self.regimes("limit/avx2_maddwd", 10, 16) + self.regimes("gemm_u8s8/avx2/64x64x64", 12, 17))
        r = rows["gemm_u8s8/avx2/64x64x64"]
        self.assertEqual(r.verdict, "pass")
        self.assertAlmostEqual(r.shares["quiet"], 10 / 12, places=6)
        self.assertAlmostEqual(r.shares["busy"], 16 / 17, places=6)
        self.assertLess(r.of_best, 0.75)  # all slices over the best of the limit: what the neighbour makes of it
        self.assertIn("limit/avx2_maddwd, G/s: quiet 100.0 (9 slices), busy 62.5 (9 slices), best 104.2", out)

    def test_busy_slices_do_not_help_the_quiet_share(self):
        rest = [b for b in good() if b["name"] not in ("limit/avx2_maddwd", "gemm_u8s8/avx2/64x64x64")]
        code, out, _ = self.run_report(rest + self.regimes("limit/avx2_maddwd", 10, 20) + self.regimes("gemm_u8s8/avx2/64x64x64", 13, 13))
        self.assertEqual(code, 1)
        self.assertIn("76.9% of limit/avx2_maddwd (quiet), 80% needed", out)

    def test_busy_regime_has_its_own_share(self):
        amx = [*self.regimes("limit/amx_tdpbusd", 10, 10), *self.regimes("gemm_u8s8/amx/64x64x64", 15, 30),
               *self.regimes("gemm_u8s8/amx/8x8x8", 15, 50)]
        code, out, rows = self.run_report(good() + amx)
        self.assertEqual(code, 1)
        self.assertEqual((rows["gemm_u8s8/amx/64x64x64"].verdict, rows["gemm_u8s8/amx/8x8x8"].verdict), ("pass", "FAIL"))
        self.assertIn("20.0% of limit/amx_tdpbusd (busy), 26% needed", out)

    def test_a_row_without_its_limit_is_not_judged(self):
        code, out, rows = self.run_report([b for b in good() if b["name"] != "limit/avx2_maddwd"])
        self.assertEqual((code, rows["gemm_u8s8/avx2/64x64x64"].verdict), (0, report.NOT_JUDGED))
        self.assertIn("limit/avx2_maddwd not measured in this run", out)

    def test_markdown_leaves_out_what_was_not_measured(self):
        _, out, _ = self.run_report(good(), "--markdown")
        self.assertTrue(out.startswith("| row | time |"))
        self.assertNotIn("gemm_u8s8/amx", out)

    def test_interval_covers_the_median(self):
        self.assertEqual(report.interval([5, 1, 9, 3, 7, 2, 8, 4, 6]), (2, 8))  # 9 samples: 96.1 %
        self.assertEqual(report.interval([1, 2, 3]), (1, 3))

    def test_committed_cases_are_well_formed(self):
        with open(os.path.join(ROOT, "bench", "cases.json")) as f:
            cases = json.load(f)
        for gate in cases["gates"]:
            self.assertIn(gate["shapes"], cases["shapes"])
            self.assertFalse(set(gate) - {"id", "isa", "families", "shapes", "limit", "share", "share_busy", "ratio", "ratio_to",
                                          "sum_ratio", "max_us", "min_gbps"}, gate["id"])
            self.assertEqual("share" in gate, "limit" in gate, gate["id"])
        self.assertEqual(len({g["id"] for g in cases["gates"]}), len(cases["gates"]))


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(unittest.defaultTestLoader.loadTestsFromTestCase(ReportTest))
    failed = len(result.failures) + len(result.errors)
    print(f"tests: {result.testsRun - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)
