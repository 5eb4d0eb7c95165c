"""quantal_bench and report.py together: every family's smallest row once, in slices of microseconds, without peers but the
Python ones of the tests' interpreter. Checked: what is printed and that outputs are right. Nothing timed is asserted.
"""
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT, BENCH, PYTHON = sys.argv[1:4]
del sys.argv[1:4]
REPORT, CASES = (os.path.join(ROOT, "bench", f) for f in ("report.py", "cases.json"))


def call(*command):
    p = subprocess.run(command, capture_output=True, text=True, timeout=300)
    return p.returncode, p.stdout, p.stderr


def listed(*options):
    code, out, err = call(BENCH, "--no_peers", "--benchmark_list_tests", *options)
    assert code == 0, err
    return [line for line in out.splitlines() if "/" in line]


def work(name):
    return math.prod(int(n) for n in re.findall(r"\d+", name.rsplit("/", 1)[-1]))


class Smoke(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rows = [n for n in listed() if "/peer:" not in n]
        families = {}
        for n in rows:
            if not n.startswith("limit/"):
                families.setdefault(n.split("/")[0], []).append(n)
        cls.rows = sorted(min(names, key=work) for names in families.values())
        cls.limits = [n for n in rows if n.startswith("limit/") and not n.endswith("memory")]
        with tempfile.TemporaryDirectory() as d:
            out = os.path.join(d, "r.json")
            # The pattern has no end: peers of the rows are measured too.
            pattern = "^(" + "|".join(cls.rows + cls.limits) + ")(/peer|$)"
            peers = [f"--peer_python={PYTHON}"] if os.path.exists(PYTHON) else ["--no_peers"]
            code, _, err = call(BENCH, *peers, "--rounds=1", "--slice_ms=0.01", f"--benchmark_filter={pattern}", f"--benchmark_out={out}")
            assert code == 0, err
            with open(out) as f:
                cls.result = json.load(f)
            cls.code, cls.report, _ = call(sys.executable, REPORT, out, "--gate", CASES)
        cls.measured = {b["name"]: b for b in cls.result["benchmarks"]}

    def test_every_family_has_a_row(self):
        with open(CASES) as f:
            gates = json.load(f)["gates"]
        isa = self.result["context"]["isa"]
        wanted = {family for g in gates if g.get("isa", isa) == isa for family in g["families"]}
        self.assertEqual({n.split("/")[0] for n in self.rows}, wanted)

    def test_every_row_is_measured_and_right(self):
        for name in self.rows + self.limits:
            b = self.measured[name]
            self.assertFalse(b.get("error_occurred"), f"{name}: {b.get('error_message')}")
            self.assertGreater(b["real_time"], 0, name)
            self.assertEqual(b.get("wrong", 0), 0, name)
        checked = {n.split("/")[0] for n in self.rows if self.measured[n].get("checked", 0) > 0}
        self.assertLessEqual({"quantize", "dequantize"}, checked)
        self.assertTrue(all(n.split("/")[0] in checked for n in self.rows if n.startswith(("gemm", "gemv", "conv", "depthwise"))), checked)

    def test_the_report_has_a_line_for_each(self):
        for name in self.rows:
            line = re.search(rf"^{re.escape(name)} .*$", self.report, re.M)
            self.assertIsNotNone(line, name)
            self.assertRegex(line.group(), r"not judged: [01] clean samples, 9 needed")  # one round proves nothing
        self.assertEqual(self.code, 0, self.report)
        self.assertRegex(self.report, r"(?m)^0 passed, 0 failed, \d+ not judged")

    def test_python_peers_answer(self):
        if not os.path.exists(PYTHON):
            self.skipTest(f"no {PYTHON}")
        answered = {n for n, b in self.measured.items() if "/peer:onnxruntime" in n and not b.get("error_occurred")}
        self.assertIn("quantize/65536/peer:onnxruntime", answered)
        self.assertEqual(self.measured["quantize/65536/peer:onnxruntime"]["wrong"], 0)

    def test_bad_input_is_refused(self):
        with tempfile.TemporaryDirectory() as d:
            bad = os.path.join(d, "c.json")
            with open(bad, "w") as f:
                json.dump({"shapes": {"s": ["1"]}, "gates": [{"id": "x", "families": ["gemmm"], "shapes": "s"}]}, f)
            for option, message in ((f"--cases={bad}", 'no rows of a family "gemmm"'), (f"--cases={d}/none.json", "cannot read"),
                                    ("--isa=mmx", 'does not offer the ISA "mmx"')):
                code, _, err = call(BENCH, "--no_peers", "--benchmark_list_tests", option)
                self.assertEqual(code, 2, option)
                self.assertIn(message, err)


if __name__ == "__main__":
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=1).run(unittest.defaultTestLoader.loadTestsFromTestCase(Smoke))
    failed, skipped = len(result.failures) + len(result.errors), len(result.skipped)
    print(f"tests: {result.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)
