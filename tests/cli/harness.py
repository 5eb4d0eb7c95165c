"""What the tests of the command line share: running it, and what its results and errors look like."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import warnings

warnings.simplefilter("ignore", ResourceWarning)  # files that are read in one expression

QUANTAL, DIGITS = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
MODEL, CALIB, TEST = (os.path.join(DIGITS, f) for f in ("digits.onnx", "calib.npz", "test.npz"))
ERROR = re.compile(r"\Aquantal: error: [^\n]+\n\Z")


def run(*args, env=None, **kw):
    merged = dict(os.environ, **(env or {}))
    return subprocess.run([QUANTAL, *args], capture_output=True, env=merged, timeout=120, **kw)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def path(self, name):
        return os.path.join(self.dir, name)

    def fails(self, code, text, *args, **kw):
        """The run ends with this exit code and one line on stderr that holds `text`; nothing on stdout."""
        r = run(*args, **kw)
        err = r.stderr.decode()
        self.assertEqual(r.returncode, code, err)
        self.assertRegex(err, ERROR)
        self.assertIn(text, err)
        self.assertEqual(r.stdout, b"")
        return err

    def succeeds(self, *args, code=0, **kw):
        r = run(*args, **kw)
        self.assertEqual(r.returncode, code, r.stderr.decode())
        return r.stdout.decode()

    def json(self, *args, code=0):
        r = run(*args, "--json")
        self.assertEqual(r.returncode, code, r.stderr.decode())
        return json.loads(r.stdout)

    def narrow(self, text):
        for line in text.splitlines():
            self.assertLessEqual(len(line), 100, line)


def main():
    result = unittest.main(argv=[sys.argv[0]] + sys.argv[3:], exit=False, verbosity=1, warnings="ignore").result
    bad = len(result.failures) + len(result.errors)
    bad_tests = len({str(t).split(" (")[0] for t, _ in result.failures + result.errors})
    print(f"tests: {result.testsRun - bad_tests - len(result.skipped)} passed, {bad_tests} failed, {len(result.skipped)} skipped", flush=True)
    sys.exit(1 if bad else 0)
