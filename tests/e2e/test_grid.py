# SPDX-License-Identifier: MIT
"""Grids as a user runs them: order, defaults, failing cells, the journal under kill -9, --resume, --dry-run."""
import json
import os
import pty
import random
import resource
import signal
import subprocess
import time
import unittest

from harness import MODELS, Case, binary, run

MODEL = MODELS / "llama_gqa"
BASE = ["-m", MODEL, "--device", "cpu", "--roofline", "off"]


def cells_of(path):
    return json.loads(path.read_text())["cells"]


def asked(cell, *keys):
    return tuple(cell["asked"][k] for k in keys)


def journal_bytes(path):
    """b"" when there is none: the program removes it at any moment."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def journal_lines(path):
    """Whole lines of a journal."""
    text = journal_bytes(path)
    return [json.loads(x) for x in text[:text.rfind(b"\n") + 1].splitlines()]


class Output(Case):
    def setUp(self):
        super().setUp()
        self.out = self.tmp / "r.json"
        self.journal = self.tmp / "r.json.journal"

    def grid(self, *more, **options):
        return run(*BASE, "-o", self.out, "--quiet", *more, **options)


class Grid(Output):
    def test_order_and_defaults(self):
        done = self.grid("--attn", "sdpa,eager", "-b", "1,2", "-p", "3-6+3", "-n", "2,1", "-d", "4")
        self.assertEqual(done.returncode, 0, done.stderr)
        got = [asked(c, "attn", "n_batch", "n_prompt", "max_new_tokens", "n_depth", "n_repetitions",
                     "n_warmup") for c in cells_of(self.out)]
        self.assertEqual(got, [(a, b, p, n, 4, 5, 1) for a in ("sdpa", "eager") for b in (1, 2)
                               for p in (3, 6) for n in (2, 1)])
        for cell in cells_of(self.out):
            runs = cell["runs"]
            self.assertEqual([r["warmup"] for r in runs], [True] + [False] * 5)
            self.assertEqual(len({r["ids_sha256"] for r in runs}), 1)
            self.assertEqual(cell["resolved"]["attention"], cell["asked"]["attn"])
        self.assertFalse(self.journal.exists())

    def test_two_models_and_threads(self):
        done = run("-m", f"{MODEL},{MODELS / 'qwen3'}", "--device", "cpu", "-t", "1,2", "--dtype",
                   "fp32,bf16", "-p", "3", "-n", "2", "-r", "1", "--warmup", "0", "--format", "jsonl")
        self.assertEqual(done.returncode, 0, done.stderr)
        got = [asked(json.loads(x)["cells"][0], "model_id", "dtype", "threads")
               for x in done.stdout.splitlines()]
        self.assertEqual(got, [(str(m), d, t) for m in (MODEL, MODELS / "qwen3")
                               for d in ("float32", "bfloat16") for t in (1, 2)])

    def test_text_has_a_block_for_each_cell(self):
        done = run(*BASE, "-p", "3,4", "-n", "2", "-r", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        text = done.stdout.decode()
        self.assertEqual(text.count("\nVerdict "), 2)
        self.assertEqual(text.count("Running inference on cpu with model "), 2)
        self.assertNotIn("Token latency:", text)
        self.assertIn("Cell 1 of 2: ", text)
        self.assertIn(", -p 4, -n 2\n", text)
        self.assertRegex(done.stderr, rb"info: cell 2 of 2: [^\n]*; time left \d+:\d\d\n")

    def test_a_failing_cell_is_reported_and_the_rest_runs(self):
        done = run("-m", f"{MODEL},{self.tmp / 'absent'},{MODEL}", "--device", "cpu", "--roofline", "off",
                   "-p", "3", "-n", "2", "-o", self.out, "--quiet")
        self.expect_error(done, 3, "INPUT", b"cell 2 of 3: ")
        self.assertEqual(len(cells_of(self.out)), 2)
        self.assertFalse(self.journal.exists())

    def test_a_folder_with_a_comma_is_one_model(self):
        link = self.tmp / "a,b"
        link.symlink_to(MODEL)
        done = run("-m", link, "--device", "cpu", "-p", "3", "-n", "2", "--format", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["cells"]), 1)

    def test_dry_run(self):
        done = run("-m", "synthetic:llama-3.1-70b", "--device", "cpu", "-p", "128,256", "-n", "64",
                   "--dry-run", "-o", self.out)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = done.stdout.decode()
        self.assertIn("Cell 2 of 2: synthetic:llama-3.1-70b, cpu, eager, -p 256, -n 64", text)
        # 70.55e9 parameters in 2 bytes; 192 positions of 80 layers, 2 x 8 heads of 128, 2 bytes
        self.assertIn("weights 134570.5, KV cache of 192 positions in BF16 60.0,", text)
        self.assertEqual(text.count("Time       unknown"), 2)
        self.expect_empty(self.tmp)
        real = run(*BASE, "--dry-run", "--prompt", "a b")  # a text has to be counted
        self.assertEqual(real.returncode, 0, real.stderr)
        self.assertRegex(real.stdout, rb"Prompt     [1-9]\d* tokens")
        self.expect_error(run("-m", self.tmp / "absent", "--dry-run"), 3, "INPUT")

    def test_progress_line_on_a_terminal(self):
        try:
            ours, theirs = pty.openpty()
        except OSError as problem:
            self.skipTest(f"no terminal can be opened here: {problem}")
        process = subprocess.Popen([binary(), *map(str, BASE), "-p", "3,4", "-n", "2", "--format", "csv"],
                                   stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 4096):
                seen += piece
        except OSError:
            pass  # the other end is closed
        os.close(ours)
        self.assertEqual(process.wait(60), 0, seen)
        self.assertIn(b"\r\x1b[Kcell 2 of 2: ", seen)
        self.assertRegex(seen, rb"time left 0:0\d")
        self.assertTrue(seen.endswith(b"\r\x1b[K"), seen[-80:])


class Journal(Output):
    LISTS = ["-p", "3-6", "-n", "2,4", "-r", "3"]  # 8 cells of 1 + 3 runs

    def start(self, *more):
        return subprocess.Popen([binary(), *map(str, BASE), "-o", str(self.out), "--quiet", *self.LISTS,
                                 *more], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def wait_for_lines(self, process, n):
        """Until the journal has n lines (False: it was faster)."""
        while process.poll() is None:
            if self.journal.exists() and journal_bytes(self.journal).count(b"\n") >= n:
                return True
            time.sleep(0.0005)
        return False

    def expect_whole(self):
        cells = cells_of(self.out)
        self.assertEqual([asked(c, "n_prompt", "max_new_tokens") for c in cells],
                         [(p, n) for p in (3, 4, 5, 6) for n in (2, 4)])
        for cell in cells:
            runs = cell["runs"]
            self.assertEqual(sum(not r["warmup"] for r in runs), 3)
            self.assertEqual(len({r["ids_sha256"] for r in runs}), 1)
            self.assertTrue(cell["model"]["n_params"])
        self.assertFalse(self.journal.exists())
        self.assertEqual(sorted(p.name for p in self.tmp.iterdir()), ["r.json"])

    def test_kill_at_random_points_loses_nothing(self):
        rng = random.Random(4)
        for _ in range(6):
            kept = []  # stamps of every run that the journal had when the program died
            for round_ in range(40):
                process = self.start(*(["--resume"] if round_ else []))
                had = len(journal_lines(self.journal))
                self.wait_for_lines(process, had + rng.randrange(0, 14))
                process.send_signal(signal.SIGKILL)
                err = process.communicate(timeout=60)[1]
                if process.returncode != 0:
                    self.assertEqual(process.returncode, -signal.SIGKILL, err)
                if self.journal.exists():
                    kept = [x["run"]["stamps_ns"] for x in journal_lines(self.journal) if "run" in x]
                elif self.out.exists():
                    break  # complete, even if it was killed after its last step
            if self.journal.exists():
                self.assertEqual(self.grid(*self.LISTS, "--resume").returncode, 0)
            self.expect_whole()
            written = [r["stamps_ns"] for c in cells_of(self.out) for r in c["runs"]]
            for stamps in kept:
                self.assertIn(stamps, written)
            self.out.unlink()

    def interrupted(self, n_lines=12):
        process = self.start()
        self.assertTrue(self.wait_for_lines(process, n_lines), "too fast to be killed")
        process.kill()
        process.communicate(timeout=60)
        return self.journal.read_bytes()

    def test_a_journal_is_not_overwritten(self):
        before = self.interrupted()
        self.expect_error(self.grid(*self.LISTS), 8, "OUTPUT", b"journal of an interrupted run")
        self.assertEqual(self.journal.read_bytes(), before)
        self.assertEqual(self.grid(*self.LISTS, "--force").returncode, 0)
        self.expect_whole()

    def test_another_command_is_refused(self):
        before = self.interrupted()
        self.expect_error(self.grid("-p", "3-6", "-n", "2,5", "-r", "3", "--resume"), 2, "USAGE",
                          b"journal of another command")
        self.assertEqual(self.journal.read_bytes(), before)

    def test_cut_and_damaged(self):
        whole = self.interrupted()
        whole = whole[:whole.rfind(b"\n") + 1]
        n = len(journal_lines(self.journal))
        self.journal.write_bytes(whole[:-20])
        lines = whole.splitlines(keepends=True)
        done = run(*BASE, "-o", self.out, *self.LISTS, "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, rb"warn: the last line of the journal was cut \('[^\n]*' line %d\)" % n)
        self.expect_whole()
        self.out.unlink()
        lines[3] = b"\0" * 40 + b"\n"
        self.journal.write_bytes(b"".join(lines))
        self.expect_error(self.grid(*self.LISTS, "--resume"), 4, "FORMAT", b"line 4")
        self.journal.write_bytes(b"{}\n")
        self.expect_error(self.grid(*self.LISTS, "--resume"), 4, "FORMAT", b"no journal in")

    def test_signal_then_resume(self):
        process = self.start()
        self.assertTrue(self.wait_for_lines(process, 9), "too fast to be stopped")
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 130, err)
        part = cells_of(self.out)
        self.assertTrue(1 <= len(part) < 8)
        done = self.grid(*self.LISTS, "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.expect_whole()
        self.assertEqual(cells_of(self.out)[0]["runs"], part[0]["runs"])

    def test_one_cell_keeps_its_finished_runs(self):
        args = [*BASE, "-p", "3", "-n", "4", "-r", "400", "-o", self.out, "--quiet"]
        process = subprocess.Popen([binary(), *map(str, args)], stderr=subprocess.PIPE)
        self.assertTrue(self.wait_for_lines(process, 20), "too fast to be killed")
        process.kill()
        process.communicate(timeout=60)
        kept = [x["run"]["stamps_ns"] for x in journal_lines(self.journal) if "run" in x]
        self.assertEqual(run(*args, "--resume").returncode, 0)
        stamps = [r["stamps_ns"] for r in cells_of(self.out)[0]["runs"]]
        self.assertEqual(len(stamps), 400)
        self.assertEqual(stamps[:len(kept)], kept)

    def test_resume_without_a_journal_begins(self):
        self.assertEqual(self.grid(*self.LISTS, "--resume").returncode, 0)
        self.expect_whole()

    def test_no_room(self):
        def small():
            resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
        done = self.grid(*self.LISTS, preexec_fn=small)
        self.expect_error(done, 8, "OUTPUT", b"r.json.journal")
        self.assertFalse(self.out.exists())
        self.assertEqual(self.journal.read_bytes()[-1:], b"\n")
        self.assertEqual(self.grid(*self.LISTS, "--resume").returncode, 0)
        self.expect_whole()

    def test_places(self):
        self.journal.symlink_to(self.tmp / "elsewhere")
        self.expect_error(self.grid("-p", "3", "-n", "2"), 8, "OUTPUT", b"symbolic link")
        self.expect_error(run(*BASE, "--resume"), 2, "USAGE", b"--output")


if __name__ == "__main__":
    unittest.main()
