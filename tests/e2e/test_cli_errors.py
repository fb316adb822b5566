# SPDX-License-Identifier: MIT
"""Wrong usage and output that cannot be written: exit code, error line, nothing left behind."""
import json
import os
import resource
import subprocess
import sys
import unittest

from harness import MODELS, Case, binary, run

MODEL = MODELS / "llama_gqa"
SHORT = ["--model-id", str(MODEL), "--device", "cpu", "--token-ids", "1,2,3", "-n", "3",
         "--log-level", "error"]


class Usage(Case):
    def test_unknown_duplicate_and_conflicting_options(self):
        self.expect_error(run("--nothing"), 2, "USAGE", b"nothing")
        self.expect_error(run("nothing"), 2, "USAGE", b"nothing")
        self.expect_error(run("-n", "1", "-n", "2"), 2, "USAGE", b"twice")
        self.expect_error(run("--prompt", "a", "-p", "3"), 2, "USAGE", b"--prompt and --input-len")
        self.expect_error(run("tokenize"), 2, "USAGE", b"--model-id")

    def test_numbers(self):
        for text in ["-1", "0", "1e9", "99999999999999999999", "0x10", " 5", "5abc", "NaN", ""]:
            with self.subTest(text):
                self.expect_error(run("--max-new-tokens", text), 2, "USAGE",
                                  b"--max-new-tokens: '" + text.encode() + b"'; fix: give a whole "
                                  b"number from 1 to 1000000")

    def test_what_comes_later_is_refused_by_name(self):
        for args in (["--quant", "nf4"],):
            with self.subTest(args):
                self.expect_error(run(*args), 5, "UNSUPPORTED", b"comes with a later version")

    def test_odd_arguments(self):
        self.expect_error(run(b"--prompt\xff".decode("utf-8", "surrogateescape")), 2, "USAGE",
                          b"UTF-8")
        self.expect_error(run("--model-id", "a\nb\x1b[31m"), 2, "USAGE", b"\\x0A")
        self.expect_error(run("--attn", "x" * 100000), 2, "USAGE", b"xxx...")
        done = run(*SHORT, "--system-prompt", "x")
        self.expect_error(done, 2, "USAGE")

    def test_empty_argv(self):
        code = ("import ctypes, sys\n"
                "none = (ctypes.c_char_p * 1)(None)\n"
                "env = (ctypes.c_char_p * 3)(b'HF_HOME=/nonexistent', b'HF_HUB_OFFLINE=1', None)\n"
                "ctypes.CDLL(None).execve(sys.argv[1].encode(), none, env)\n")
        done = subprocess.run([sys.executable, "-c", code, binary()], capture_output=True,
                              timeout=60)
        self.expect_error(done, 3, "INPUT", b"unsloth")

    def test_default_model_is_not_in_the_cache(self):
        done = run(env={"HF_HOME": str(self.tmp), "HF_HUB_OFFLINE": "1"})
        self.expect_error(done, 3, "INPUT", b"unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit")
        done = run(env={"HF_HOME": str(self.tmp), "HF_ENDPOINT": "http://127.0.0.1:1"})
        self.expect_error(done, 7, "NETWORK", b"unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit")
        self.expect_empty(self.tmp)

    def test_absent_device_is_an_error(self):
        done = run(*[a if a != "cpu" else "cuda:99" for a in SHORT])
        self.assertIn(done.returncode, (9,))
        self.expect_error(done, 9, "DEVICE")
        self.assertEqual(done.stdout, b"")

    def test_errors_as_json(self):
        done = run("--bad", "--errors", "json")
        self.assertEqual(done.returncode, 2)
        error = json.loads(done.stderr)
        self.assertEqual(error["code"], "E-USAGE")
        self.assertEqual(error["exit_code"], 2)
        self.assertIn("bad", error["error"])
        self.assertIn("--help", error["fix"])

    def test_help_and_version_work_for_every_command(self):
        for command in ["run", "report", "inspect", "tokenize", "render", "logits", "quantize",
                        "devices", "download", "verify"]:
            done = run(command, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"--log-level", done.stdout)
        for args in (["--help"], ["-h"], ["help"], ["help", "quantize"], ["--version"], ["man"],
                     ["completion"]):
            done = run(*args)
            self.assertEqual((done.returncode, done.stderr), (0, b""), args)
            self.assertTrue(done.stdout)


class Paths(Case):
    def test_models_that_are_no_model(self):
        fifo = self.tmp / "fifo.gguf"
        os.mkfifo(fifo)
        empty = self.tmp / "folder"
        empty.mkdir()
        for path in ["", "/dev/zero", fifo, empty, "n" * 300, self.tmp / "absent.gguf"]:
            with self.subTest(path):
                done = run("--model-id", path, "--device", "cpu")
                self.assertIn(done.returncode, (2, 3), done.stderr)
                self.assertRegex(done.stderr, rb"\[E-(INPUT|USAGE)\]\n\Z")
        self.expect_error(run("--model-id", "", "--device", "cpu"), 3, "INPUT")

    def test_prompt_files(self):
        bad = self.tmp / "bad.txt"
        bad.write_bytes(b"abc\xff")
        args = [a for a in SHORT if a not in ("--token-ids", "1,2,3")]
        self.expect_error(run(*args, "--prompt-file", bad), 4, "FORMAT", b"at byte 3")
        bad.write_bytes(b"a\0c")
        self.expect_error(run(*args, "--prompt-file", bad), 4, "FORMAT", b"at byte 1")
        self.expect_error(run(*args, "--prompt-file", self.tmp), 3, "INPUT")
        self.expect_error(run(*args, "--prompt-file", self.tmp / "no"), 3, "INPUT")
        bad.write_text('{"role": "user"}')
        self.expect_error(run(*args, "--messages", bad), 4, "FORMAT", b"list of messages")
        bad.write_text('[')
        self.expect_error(run(*args, "--messages", bad), 4, "FORMAT")

    def test_output_is_refused_before_the_run(self):
        exists, link = self.tmp / "exists", self.tmp / "link"
        exists.write_text("old")
        link.symlink_to(exists)
        for path in [exists, link, self.tmp, self.tmp / "no" / "x", "/dev/null", "/proc/x", "",
                     str(self.tmp) + "/", self.tmp / ("n" * 300)]:
            with self.subTest(path):
                done = run(*SHORT, "--output", path)
                self.expect_error(done, 8, "OUTPUT")
                self.assertEqual(done.stdout, b"")
        self.assertEqual(exists.read_text(), "old")
        self.expect_error(run(*SHORT, "--force", "--output", link), 8, "OUTPUT", b"link")
        prompt = self.tmp / "prompt"
        prompt.write_text("x")
        args = [a for a in SHORT if a not in ("--token-ids", "1,2,3")]
        done = run(*args, "--prompt-file", prompt, "--output", prompt, "--force")
        self.expect_error(done, 8, "OUTPUT", b"is an input")
        self.assertEqual(sorted(p.name for p in self.tmp.iterdir()), ["exists", "link", "prompt"])

    def test_force_replaces_a_regular_file(self):
        out = self.tmp / "out.json"
        out.write_text("old")
        done = run(*SHORT, "--output", out, "--force")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(out.read_text())["cells"]), 1)
        self.assertEqual([p.name for p in self.tmp.iterdir()], ["out.json"])

    def test_an_empty_file_is_a_reserved_name(self):
        out = self.tmp / "out.json"
        out.touch()
        self.assertEqual(run(*SHORT, "--output", out).returncode, 0)
        self.assertEqual(len(json.loads(out.read_text())["cells"]), 1)
        self.expect_error(run(*SHORT, "--output", out), 8, "OUTPUT", b"exists")

    def test_logits_replace_logits_only(self):
        args = ["logits", *SHORT[SHORT.index("--model-id"):SHORT.index("--model-id") + 2],
                "--token-ids", "1,2,3", "--device", "cpu"]
        out = self.tmp / "out.npy"
        for _ in range(2):
            done = run(*args, "--output", out)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(out.read_bytes()[:6], b"\x93NUMPY")
        out.write_text("notes")
        self.expect_error(run(*args, "--output", out), 8, "OUTPUT", b"exists")

    def test_read_only_folder(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        self.tmp.chmod(0o555)
        self.addCleanup(self.tmp.chmod, 0o755)
        self.expect_error(run(*SHORT, "--output", self.tmp / "x"), 8, "OUTPUT")

    def test_temporary_files_of_dead_processes_are_removed(self):
        done = subprocess.Popen(["true"])
        done.wait()
        stale = self.tmp / f"out.json.{done.pid}.0123456789abcdef.tmp"
        mine = self.tmp / f"out.json.{os.getpid()}.0123456789abcdef.tmp"
        stale.write_text("x")
        mine.write_text("x")
        self.assertEqual(run(*SHORT, "--output", self.tmp / "out.json").returncode, 0)
        self.assertFalse(stale.exists())
        self.assertTrue(mine.exists())


class Stdout(Case):
    def test_full(self):
        for args in (SHORT, SHORT + ["--format", "json"], ["--help"], ["devices"],
                     ["inspect", MODEL], ["tokenize", "-m", MODEL, "--text", "hello"]):
            with self.subTest(args), open("/dev/full", "wb") as full:
                self.expect_error(run(*args, stdout=full), 8, "OUTPUT", b"No space left")

    def run_closed(self, closed, *args):
        words = " ".join(f"{fd}>&-" for fd in closed if fd) + (" 0<&-" if 0 in closed else "")
        script = f'exec "$@" {words}'
        return subprocess.run(["sh", "-c", script, "sh", binary(), *map(str, args)],
                              capture_output=True, timeout=60)

    def test_closed(self):
        out = self.tmp / "out.json"
        self.expect_error(self.run_closed([1], *SHORT), 8, "OUTPUT", b"it is closed")
        self.expect_error(self.run_closed([1], "tokenize", "-m", MODEL), 8, "OUTPUT")
        self.expect_error(self.run_closed([1], "--help"), 8, "OUTPUT")
        done = self.run_closed([1], *SHORT, "--output", out, "--quiet")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertEqual(len(json.loads(out.read_text())["cells"]), 1)

    def test_everything_closed(self):
        out = self.tmp / "out.json"
        done = self.run_closed([0, 1, 2], *SHORT, "--output", out, "--quiet")
        self.assertEqual(done.returncode, 0)
        runs = json.loads(out.read_text())["cells"][0]["runs"]
        self.assertEqual(len(runs[0]["output_ids"]), 3)

    def test_reader_that_goes_away(self):
        out = self.tmp / "out.json"
        script = '"$@" | head -n 1; exit 0'
        for extra in ([], ["--output", str(out)]):
            done = subprocess.run(["sh", "-c", script, "sh", binary(), *SHORT[:-4], "-n", "200",
                                   "--ignore-eos", "--log-level", "error", *extra],
                                  capture_output=True, timeout=60)
            self.assertEqual(done.stderr, b"")
            self.assertTrue(done.stdout.startswith(b"Running inference on cpu"))
        runs = json.loads(out.read_text())["cells"][0]["runs"]
        self.assertEqual(len(runs[0]["output_ids"]), 200)

    def test_file_size_limit(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        done = run(*SHORT, "--output", self.tmp / "out.json", preexec_fn=limit)
        self.expect_error(done, 8, "OUTPUT")
        self.expect_empty(self.tmp)

    def test_few_descriptors(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))
        done = run(*SHORT, preexec_fn=limit)
        self.assertIn(done.returncode, (0, 6), done.stderr)

    def test_no_home_no_tmp_no_cwd(self):
        folder = self.tmp / "gone"
        folder.mkdir()
        script = 'rmdir "$PWD"; exec "$@"'
        done = subprocess.run(["sh", "-c", script, "sh", binary(), *SHORT], cwd=folder, env={},
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
