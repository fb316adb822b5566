# SPDX-License-Identifier: MIT
"""The statistics of a record against the same figures computed from its time stamps by NumPy and
SciPy (tools/reference/check_statistics.py): those that were stored, and where both are installed
computed now, for the record of the tests and for a run made now."""
import copy
import json
import sys
import unittest

import harness

sys.path.insert(0, str(harness.ROOT / "tools" / "reference"))
import check_statistics  # noqa: E402

RECORD = harness.ROOT / "tests" / "golden" / "report" / "json.txt"
STORED = harness.ROOT / "tests" / "golden" / "stats" / "record.json"


def faults(want, record):
    found = []
    for number, cell in enumerate(record["cells"]):
        found += check_statistics.compare(want[number], cell["summary"], f"cell {number}")
    return found


class Statistics(harness.Case):
    def report(self, path):
        done = harness.run("report", path, "--format", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def scipy(self):
        try:
            import numpy  # noqa: F401
            import scipy  # noqa: F401
        except ImportError as error:
            self.skipTest(f"NumPy and SciPy are not installed: {error}")

    def test_stored(self):
        want = json.loads(STORED.read_text())
        check_statistics.compare.n = 0
        self.assertEqual(faults(want, self.report(RECORD)), [])
        self.assertGreater(check_statistics.compare.n, 500)

    def test_a_wrong_figure_is_seen(self):
        want, record = json.loads(STORED.read_text()), self.report(RECORD)

        def numbers(node, path=()):
            for key, value in node.items() if isinstance(node, dict) else enumerate(node):
                if isinstance(value, (dict, list)):
                    yield from numbers(value, path + (key,))
                elif isinstance(value, float) and value:
                    yield path + (key,)

        for path in list(numbers(want[1]))[::7]:
            wrong = copy.deepcopy(record)
            node = wrong["cells"][1]["summary"]
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] *= 1 + 1e-6
            self.assertEqual(len(faults(want, wrong)), 1, path)

    def test_computed_now(self):
        self.scipy()
        record = self.report(RECORD)
        self.assertEqual(faults([check_statistics.of_cell(c) for c in record["cells"]], record), [])

    def test_a_run(self):
        self.scipy()
        out = self.tmp / "run.json"
        done = harness.run("run", "-m", harness.MODELS / "llama_gqa", "-p", 8, "-n", 40, "-b", 2, "-r", 6,
                           "--device", "cpu", "--output", out, "--quiet", "--percentiles", "20,50,66.6")
        self.assertIn(done.returncode, (0, 10), done.stderr)
        record = json.loads(out.read_text())
        self.assertEqual(faults([check_statistics.of_cell(c) for c in record["cells"]], record), [])
        self.assertIn("p66.6", record["summary"]["itl_ms"])


if __name__ == "__main__":
    unittest.main()
