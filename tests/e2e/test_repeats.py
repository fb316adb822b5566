# SPDX-License-Identifier: MIT
"""Repeats as a user asks for them: fresh processes, --until-ci, the synthetic engine, kill -9 and --resume with
--processes, a process that is stopped, comparisons of the synthetic engine."""
import json
import os
import signal
import subprocess
import time
import unittest

from harness import MODELS, Case, binary, run

MODEL = MODELS / "llama_gqa"
VIRTUAL = ["--engine", "synth", "--law", "lognormal:run=1%:clock=virtual", "-p", "8"]


class Repeats(Case):
    def setUp(self):
        super().setUp()
        self.out = self.tmp / "r.json"

    def cells(self):
        return json.loads(self.out.read_text())["cells"]

    def test_processes(self):
        done = run("-m", MODEL, "--device", "cpu", "--roofline", "off", "-p", "4", "-n", "3", "-r", "2",
                   "--warmup", "1", "--processes", "3", "-o", self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        cell = self.cells()[0]
        runs = cell["runs"]
        self.assertEqual([r["process"] for r in runs], [0] * 3 + [1] * 3 + [2] * 3)
        self.assertEqual([r["first_run"] for r in runs], [True, False, False] * 3)
        self.assertEqual([r["warmup"] for r in runs], [True, False, False] * 3)
        self.assertEqual(len({r["ids_sha256"] for r in runs}), 1)
        self.assertEqual(len({r["logits_sha256"] for r in runs}), 1)
        self.assertEqual(cell["asked"]["n_processes"], 3)
        self.assertTrue(cell["prompt_ids"])
        for p in cell["processes"]:
            self.assertGreater(p["before"]["spin_ns"], 0)
            self.assertGreater(p["after"]["monotonic_ns"], p["before"]["monotonic_ns"])
        self.assertGreater(len({p["env_padding"] for p in cell["processes"]}), 1)
        self.assertIn(b"Verdict ", done.stdout)
        self.expect_only("r.json")

    def expect_only(self, *names):
        self.assertEqual(sorted(p.name for p in self.tmp.iterdir()), sorted(names))

    def test_processes_of_a_grid(self):
        done = run(*VIRTUAL, "-n", "4,6", "-r", "1", "--warmup", "0", "--processes", "2", "-o", self.out,
                   "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([[r["n_tokens"] for r in c["runs"]] for c in self.cells()], [[4, 4], [6, 6]])

    def test_a_failing_process(self):
        done = run("-m", self.tmp / "absent", "--processes", "2", "-o", self.out, "--quiet")
        self.expect_error(done, 3, "INPUT", b"process 1: ")
        self.expect_only()

    def test_kill_and_resume(self):
        command = [binary(), *VIRTUAL, "-n", "4,5,6", "-r", "2", "--warmup", "0", "--processes", "4", "-o",
                   str(self.out), "--quiet"]
        journal = self.tmp / "r.json.journal"
        for at in range(2, 12, 2):
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            while process.poll() is None:
                if journal.exists() and journal.read_bytes().count(b"\n") >= at:
                    break
                time.sleep(0.001)
            process.kill()
            process.communicate()
            kept = [json.loads(x) for x in journal.read_bytes().split(b"\n")[:-1]]
            held = [run["stamps_ns"] for x in kept for run in x.get("runs", [])]
            done = run(*command[1:], "--resume")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertFalse(journal.exists())
            found = []
            for cell in self.cells():
                self.assertGreaterEqual(len(cell["processes"]), 4)
                self.assertLessEqual(len(cell["processes"]), 5)
                self.assertEqual([r["process"] for r in cell["runs"]],
                                 [i for i in range(len(cell["processes"])) for _ in range(2)])
                self.assertTrue(cell["model"]["synthetic"])
                found += [r["stamps_ns"] for r in cell["runs"]]
            for stamps in held:
                self.assertIn(stamps, found)
            self.out.unlink()

    def test_until_ci(self):
        done = run("--engine", "synth", "--law", "constant:run=1%:clock=virtual", "-n", "8", "--until-ci", "1%",
                   "-o", self.out, "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)
        cell = self.cells()[0]
        self.assertTrue(cell["stopping"]["reached"])
        self.assertLessEqual(cell["stopping"]["half_width"], 0.01)
        self.assertEqual(cell["stopping"]["n"], len(cell["runs"]))
        done = run("--engine", "synth", "--law", "constant:run=20%:clock=virtual", "-n", "8", "--until-ci", "0.1%",
                   "--max-time", "1", "--processes", "2", "-o", self.out, "--quiet", "--force")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.cells()[0]["stopping"]["why"], "max-time")
        self.expect_error(run("--until-ci", "0", "-m", MODEL), 2, "USAGE", b"--until-ci")

    def test_options_of_the_engine(self):
        self.expect_error(run("--law", "constant"), 2, "USAGE", b"--engine synth")
        self.expect_error(run("--engine", "synth", "-m", MODEL), 2, "USAGE", b"model-id")
        self.expect_error(run("--engine", "synth", "--law", "speed=3"), 2, "USAGE", b"speed=3")
        self.expect_error(run("--engine", "synth", "--slow-down", "much"), 2, "USAGE", b"slow-down")
        self.expect_error(run("--engine", "synth", "--prompt", "a"), 2, "USAGE", b"no tokenizer")
        done = run(*VIRTUAL, "-n", "4", "--dry-run")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_other_ids_are_invalid(self):
        done = run("--engine", "synth", "--law", "constant:clock=virtual:flip=1x2", "-n", "4", "-r", "3", "-o",
                   self.out, "--quiet")
        self.expect_error(done, 10, "INVALID", b"token ids differ")
        self.assertFalse(self.cells()[0]["summary"]["ids_equal"])

    def test_a_stopped_process_is_invalid(self):
        process = subprocess.Popen([binary(), "--engine", "synth", "--law", "constant:itl=20ms", "-p", "4", "-n",
                                    "100", "-o", str(self.out), "--quiet"], stderr=subprocess.PIPE)
        time.sleep(0.8)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)
        process.send_signal(signal.SIGCONT)
        stderr = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 10, stderr)
        reasons = self.cells()[0]["summary"]["verdict"]["reasons"]
        self.assertTrue(any("stopped and continued 1 time" in r for r in reasons), reasons)

    def test_noisy_is_an_error_with_strict(self):
        law = ["--engine", "synth", "--law", "sd=1%:walk=3%:clock=virtual:noise=1", "-n", "64"]
        self.assertEqual(run(*law).returncode, 0)
        self.expect_error(run(*law, "--strict"), 10, "INVALID", b"no steady state")

    def compare(self, *more):
        done = run("compare", "--engine", "synth", "--law", "sd=2%:run=0.4%:clock=virtual", "-n", "100", *more,
                   "--order-seed", "7", "--format", "json", timeout=300)
        return done, json.loads(done.stdout)["comparisons"][0]

    def test_three_per_cent_slower_is_found(self):
        done, c = self.compare("--a", "", "--b", "--slow-down 3%", "--pairs", "12", "--fail-if-slower", "1%")
        self.expect_error(done, 11, "REGRESSION")
        self.assertEqual(c["verdict"], "SLOWER")

    def test_nothing_is_found_in_itself(self):
        done, c = self.compare("--a", "", "--b", "", "--pairs", "12")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(c["verdict"], ("SAME", "UNDECIDED"))


if __name__ == "__main__":
    unittest.main()
