# SPDX-License-Identifier: MIT
"""A part of the fault injection of faults.py that fits a test run; `tools/reliability.sh` runs all of it."""
import os
import pathlib
import tempfile
import time
import unittest

import faults

EVERY = {"alloc": 97}
SECONDS = 8


class Faults(unittest.TestCase):
    def setUp(self):
        if not os.environ.get("IB_FAULT_LIB"):
            self.skipTest("IB_FAULT_LIB is not set: it names the library of tests/fault")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        faults.prepare(self.folder)
        self.sweep = faults.Sweep(self.folder)

    def run_call(self, call):
        until = time.monotonic() + SECONDS
        names = list(faults.scenarios(self.folder).items())
        for name, args in names if call == "alloc" else names[::3]:
            self.sweep.scenario(name, args, call, EVERY.get(call, 1), until)
        self.assertEqual(self.sweep.wrong, [])
        self.assertGreater(self.sweep.points.get(call, 0), 0)
        print(f"{self.sweep.points[call]} points", end=" ", flush=True)

    def test_the_judgement_can_fail(self):
        done, out = self.sweep.call(["--help"], "alloc:0:12")
        self.assertIsNone(self.sweep.complaint(done, out, {0}))
        self.assertIsNotNone(self.sweep.complaint(done, out, {6}))
        (out / "x.tmp").write_text("")
        self.assertIsNotNone(self.sweep.complaint(done, out, {0}))


for call in faults.CALLS:
    setattr(Faults, f"test_{call}", lambda self, call=call: self.run_call(call))

if __name__ == "__main__":
    unittest.main(verbosity=2)
