# SPDX-License-Identifier: MIT
"""compare as a user calls it: crafted records, and interleaved pairs of a tiny model."""
import copy
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

from harness import MODELS, Case, binary, run

COMMON = ["-m", MODELS / "llama_gqa", "--device", "cpu", "-t", 1, "-p", 6, "-n", 12]


class Stored(Case):
    def setUp(self):
        super().setUp()
        self.base = self.tmp / "base.json"
        done = run(*COMMON, "-r", 10, "-o", self.base, "--quiet")
        self.assertIn(done.returncode, (0, 10), done.stderr)
        self.record = json.loads(self.base.read_text())

    def crafted(self, name, gap_ns, change=None):
        """The record with gaps of gap_ns, one nanosecond more from run to run."""
        record = copy.deepcopy(self.record)
        cell = record["cells"][0]
        for i, one in enumerate(cell["runs"]):
            one["stamps_ns"] = [10**9 + k * (gap_ns + i) for k in range(len(one["stamps_ns"]))]
            one["prefill_done_ns"] = one["stamps_ns"][1]
        if change:
            change(record, cell)
        path = self.tmp / name
        path.write_text(json.dumps(record))
        return path

    def test_never_a_verdict(self):
        a, b = self.crafted("a.json", 10**7), self.crafted("b.json", 11 * 10**6)
        done = run("compare", a, b)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = done.stdout.decode()
        self.assertIn("10 and 10 runs, not interleaved", text)
        self.assertIn("Verdict      UNDECIDED: not interleaved", text)
        self.assertIn("Ratio B/A    1.1000, 95 % interval 1.1000 to 1.1000", text)
        self.assertNotRegex(text, "SLOWER|FASTER|SAME")
        done = run("compare", a, b, "--format", "json")
        one = json.loads(done.stdout)["comparisons"][0]
        self.assertAlmostEqual(one["metrics"]["itl_p50_ms"]["p"], 2 / 184756)  # 2 / C(20, 10)
        self.assertEqual((one["verdict"], one["interleaved"]), ("UNDECIDED", False))
        self.assertEqual(one["metrics"]["itl_p50_ms"]["a_ms"][:2], [10.0, 10.000001])

    def test_gate_says_that_it_cannot_decide(self):
        a, b = self.crafted("a.json", 10**7), self.crafted("b.json", 11 * 10**6)
        self.expect_error(run("compare", a, b, "--fail-if-slower", "2%"), 10, "INVALID",
                          b"not interleaved")
        done = run("compare", b, a, "--fail-if-slower", "2%")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"these runs cannot decide it", done.stdout)

    def test_other_work_is_refused(self):
        def ids(record, cell):
            for one in cell["runs"]:
                one["output_ids"][0] ^= 1
                raw = b"".join(i.to_bytes(4, "little") for i in one["output_ids"])
                one["ids_sha256"] = hashlib.sha256(raw).hexdigest()

        def version(record, cell):
            record["tool"]["version"] = "0.0.7"

        def fingerprint(record, cell):
            cell["model"]["fingerprint"] = "f" * 64

        def synthetic(record, cell):
            cell["model"]["synthetic"] = True

        a = self.crafted("a.json", 10**7)
        for change, part in ((ids, b"output ids"), (version, b"tool version"),
                             (fingerprint, b"model fingerprint"), (synthetic, b"synthetic")):
            b = self.crafted("b.json", 10**7, change)
            done = run("compare", a, b)
            self.expect_error(done, 10, "INVALID", part)
            self.assertIn(b"Verdict      REFUSED", done.stdout)
            done = run("compare", a, b, "--across")
            if change is synthetic:
                self.expect_error(done, 10, "INVALID", part)
            else:
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(b"Different    " + part, done.stdout)

    def test_usage(self):
        for args, part in ((["a.json"], b"A.json B.json"), ([], b"A.json B.json"),
                           (["a", "b", "--pairs", "3"], b"--pairs"),
                           (["a", "b", "-n", "3"], b"stored records"),
                           (["a", "b", "--a", ""], b"--a"),
                           (["a", "b", "--metric", "x"], b"itl_p50_ms"),
                           (["a", "b", "--fail-if-slower", "x%"], b"percentage"),
                           (["--a", "'x"], b"quote"), (["--b", "", "-n"], b"max-new-tokens"),
                           (["--b", "", "--pairs", "9", "--fail-if-slower", "2"], b"too few")):
            self.expect_error(run("compare", *args), 2, "USAGE", part)
        self.expect_error(run("compare", self.base, "missing.json"), 3, "INPUT")


class Pairs(Case):
    def setUp(self):
        super().setUp()
        self.env = {**os.environ, "TMPDIR": str(self.tmp)}

    def compare(self, *args, **options):
        return run("compare", *args, env=self.env, **options)

    def test_interleaved(self):
        out = self.tmp / "out.json"
        done = self.compare("--a", "--attn eager", "--b", "--attn 'sdpa'", *COMMON, "--across",
                            "--pairs", 6, "--order-seed", 5, "-o", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = done.stdout.decode()
        self.assertIn("6 pairs of fresh processes", text)
        self.assertIn("not enough runs", text)
        self.assertIn("attention: eager | sdpa", text)
        self.assertLessEqual(len(text.splitlines()), 24)
        one = json.loads(out.read_text())["comparisons"][0]
        self.assertEqual(one["verdict"], "UNDECIDED")
        self.assertEqual(len(one["order"]), 6)
        self.assertEqual(set(one["order"]), {"AB", "BA"})
        self.assertEqual((one["a"]["n_runs"], one["b"]["n_runs"]), (6, 6))
        padding = one["a"]["environment_padding_bytes"] + one["b"]["environment_padding_bytes"]
        self.assertTrue(all(0 <= n <= 4096 for n in padding) and len(set(padding)) > 6)
        self.assertEqual(set(one["metrics"]), {"itl_p50_ms", "tpot_ms", "ttft_ms", "e2e_ms"})
        out.unlink()
        self.expect_empty(self.tmp)

    def test_other_ids_are_refused(self):
        done = self.compare("--a", "--seed 1", "--b", "--seed 2", *COMMON, "--pairs", 1)
        self.expect_error(done, 10, "INVALID", b"prompt ids")
        self.expect_empty(self.tmp)

    def test_gate(self):
        """B has eight times the layers' work per token: a batch of 8 sequences."""
        done = self.compare("--a", "-b 1", "--b", "-b 8", "-m", MODELS / "llama_gqa", "--device",
                            "cpu", "-t", 1, "-p", 6, "-n", 200, "--across", "--quiet",
                            "--fail-if-slower", "2%")
        self.expect_error(done, 11, "REGRESSION", b"itl_p50_ms")
        self.assertIn(b"Verdict      SLOWER: B takes ", done.stdout)
        self.expect_empty(self.tmp)

    def test_a_child_that_fails(self):
        done = self.compare("--b", "--nonsense", *COMMON, "--pairs", 1)
        self.expect_error(done, 2, "USAGE", b"error: B: unknown option")
        done = self.compare("--a", "", "-m", self.tmp / "none", "--pairs", 1)
        self.expect_error(done, 3, "INPUT")
        done = self.compare("--binary-b", self.tmp / "none", *COMMON, "--pairs", 1)
        self.expect_error(done, 3, "INPUT", b"cannot start the program of B")
        done = self.compare("--binary-b", "/bin/false", *COMMON, "--pairs", 1)
        self.expect_error(done, 1, "INTERNAL", b"no error line")
        self.expect_empty(self.tmp)

    def test_two_builds(self):
        done = self.compare("--binary-b", binary(), *COMMON, "--pairs", 1, "--format", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIs(json.loads(done.stdout)["comparisons"][0]["refused"], False)

    def test_sigint(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)):
            child = subprocess.Popen(
                [binary(), "compare", "--a", "", "-m", "synthetic:smollm2-135m", "--device", "cpu",
                 "-t", "1", "-p", "4", "-n", "100000", "--pairs", "2"], env=self.env,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            deadline = time.monotonic() + 30
            children = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children")
            while not children.read_text().split() and time.monotonic() < deadline:
                time.sleep(0.02)
            grandchild = children.read_text().split()[0]
            child.send_signal(number)
            _, errors = child.communicate(timeout=30)
            self.assertEqual(child.returncode, code, errors)
            self.assertFalse(pathlib.Path(f"/proc/{grandchild}").exists())
            self.expect_empty(self.tmp)


if __name__ == "__main__":
    unittest.main()
