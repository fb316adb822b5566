# SPDX-License-Identifier: MIT
"""run, report and logits as a user calls them: what is printed, what is written, how it stops."""
import hashlib
import json
import os
import pathlib
import re
import signal
import struct
import subprocess
import time
import unittest

from harness import MODELS, Case, binary, golden, read_npy, run

MODEL = MODELS / "llama_gqa"


def ids_text(name):
    return ",".join(map(str, golden(name)["prompt"]))


def arguments(name="llama_gqa", *more):
    g = golden(name)
    return ["--model-id", MODELS / name, "--device", "cpu", "--dtype", "float32", "--token-ids",
            ids_text(name), "-n", g["max_new_tokens"], *more]


class Run(Case):
    def test_text_has_the_references_lines(self):
        done = run(*arguments())
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.decode("utf-8", "replace").split("\n")
        n = len(golden("llama_gqa")["greedy_ids"])
        self.assertEqual(lines[0], f"Running inference on cpu with model {MODEL}")
        self.assertEqual(lines[1], "Using attention implementation: eager")
        for line in lines[2:2 + n]:
            self.assertRegex(line, r"\AToken latency: \d+\.\d ms\Z")
        self.assertEqual(lines[2 + n], "\\Output (including prompt):")
        self.assertEqual(lines[3 + n], "-" * 40)
        text = done.stdout.decode("utf-8", "replace")
        self.assertRegex(text, r"(?m)^Peak memory usage: \d+MB\nMedian latency: [\d.]+ms\n"
                               r"Latency percentiles \{10: [\d.]+, 25: [\d.]+, 50: [\d.]+, "
                               r"75: [\d.]+, 90: [\d.]+\}$")

    def test_record(self):
        out = self.tmp / "r.json"
        done = run(*arguments("llama_gqa", "--output", out, "--repetitions", 2, "--warmup", 1,
                              "--quiet"))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        record = json.loads(out.read_text())
        cell = record["cells"][0]
        want = golden("llama_gqa")["greedy_ids"]
        self.assertEqual(len(cell["runs"]), 3)
        for one in cell["runs"]:
            self.assertEqual(one["output_ids"], want)
            stamps = one["stamps_ns"]
            self.assertEqual(len(stamps), len(want) + 1)
            self.assertEqual(stamps, sorted(stamps))
            self.assertEqual(one["ids_sha256"], hashlib.sha256(
                struct.pack(f"<{len(want)}I", *want)).hexdigest())
        self.assertIn("summary", cell)
        self.assertEqual(record["schema_version"].split(".")[0], "1")

    def test_json_alone_on_stdout(self):
        done = run(*arguments("llama_gqa", "--format", "json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)["cells"]), 1)

    def test_text_and_file(self):
        out = self.tmp / "r.json"
        done = run(*arguments("llama_gqa", "--output", out))
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"Token latency:", done.stdout)
        self.assertEqual(len(json.loads(out.read_text())["cells"]), 1)
        text = self.tmp / "r.txt"
        done = run(*arguments("llama_gqa", "--output", text, "--format", "text", "--quiet"))
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertTrue(text.read_text(errors="replace").startswith("Running inference on cpu"))

    def test_report_renders_the_same(self):
        out, again = self.tmp / "r.json", self.tmp / "again.json"
        first = run(*arguments("llama_gqa", "--output", out))
        second = run("report", out)
        self.assertEqual(second.returncode, 0, second.stderr)
        self.assertEqual(first.stdout, second.stdout)
        self.assertEqual(run("report", out, "-o", again, "--quiet").returncode, 0)
        self.assertEqual(json.loads(out.read_text()), json.loads(again.read_text()))
        self.expect_error(run("report", out, "-o", out, "--force"), 8, "OUTPUT", b"input")
        self.expect_error(run("report", self.tmp / "no"), 3, "INPUT")
        out.write_text("{}")
        self.expect_error(run("report", out), 4, "FORMAT")

    def test_attentions_and_threads_give_the_same_ids(self):
        want = golden("llama_gqa")["greedy_ids"]
        for more in (["--attn", "sdpa"], ["--attn", "flash_attention"],
                     ["--attn", "flash_attention_2"], ["--threads", "1"], ["--threads", "3"],
                     ["--cpu-tier", "scalar"]):
            done = run(*arguments("llama_gqa", "--format", "json", *more))
            self.assertEqual(done.returncode, 0, done.stderr)
            cell = json.loads(done.stdout)["cells"][0]
            self.assertEqual(cell["runs"][0]["output_ids"], want, more)
            if more[0] == "--attn":
                self.assertEqual(cell["resolved"]["attn" if "attn" in cell["resolved"]
                                                  else "attention"], more[1].replace("_2", ""))

    def test_ends(self):
        def ids(*more):
            done = run(*arguments("llama_gqa", "--format", "json", *more))
            self.assertEqual(done.returncode, 0, done.stderr)
            return json.loads(done.stdout)["cells"][0]["runs"][0]["output_ids"]
        want = golden("llama_gqa")["greedy_ids"]
        free = ids("--ignore-eos")
        self.assertEqual(free[:-1], want[:-1])
        self.assertNotEqual(free[-1], 1)
        self.assertEqual(ids("--eos-token-id", f"7,{want[3]}"), want[:4])
        self.assertEqual(ids("--forced-eos-token-id", "5")[-1], 5)
        self.assertEqual(ids("--eos-token-id", "none", "--forced-eos-token-id", "none"), free)

    def test_random_prompt(self):
        def prompt(*more):
            done = run("-m", MODEL, "--device", "cpu", "-p", 9, "-n", 4, "--format", "json", *more)
            self.assertEqual(done.returncode, 0, done.stderr)
            cell = json.loads(done.stdout)["cells"][0]
            self.assertEqual(len(cell["runs"][0]["output_ids"]), 4)
            return cell["prompt_ids"]
        self.assertEqual(len(prompt()), 9)
        self.assertEqual(prompt(), prompt("--seed", "0"))
        self.assertNotEqual(prompt(), prompt("--seed", "1"))

    def test_logs_are_stamped_and_levelled(self):
        done = run(*arguments("llama_gqa", "--log-level", "debug"))
        self.assertTrue(done.stderr)
        for line in done.stderr.decode().splitlines():
            self.assertRegex(line, r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|info|debug): ")
        self.assertEqual(run(*arguments("llama_gqa", "--quiet")).stderr, b"")

    def test_locale_and_time_zone_change_nothing(self):
        a = json.loads(run(*arguments("llama_gqa", "--format", "json")).stdout)
        b = json.loads(run(*arguments("llama_gqa", "--format", "json"),
                           env={"LC_ALL": "de_DE.UTF-8", "TZ": ":/nonexistent"}).stdout)
        self.assertEqual(a["cells"][0]["runs"][0]["ids_sha256"],
                         b["cells"][0]["runs"][0]["ids_sha256"])

    def test_weights_that_are_not_numbers(self):
        folder = self.tmp / "nan"
        folder.mkdir()
        for path in MODEL.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        raw = bytearray((MODEL / "model.safetensors").read_bytes())
        (n,) = struct.unpack("<Q", raw[:8])
        at = json.loads(raw[8:8 + n])["model.norm.weight"]["data_offsets"][0]
        raw[8 + n + at:10 + n + at] = b"\xc0\x7f"  # a NaN in bfloat16
        (folder / "model.safetensors").write_bytes(raw)
        done = run("-m", folder, "--device", "cpu", "--token-ids", "1,2", "-n", 3, "--output",
                   self.tmp / "r.json")
        self.expect_error(done, 10, "INVALID")
        self.assertIn(b"Token latency", done.stdout)
        cell = json.loads((self.tmp / "r.json").read_text())["cells"][0]
        self.assertEqual(cell["summary"]["verdict"]["state"], "invalid")

    def test_hostile_name(self):
        link = self.tmp / "=cmd()<script>\x1b[31m"
        link.symlink_to(MODEL)
        done = run("-m", link, "--device", "cpu", "--token-ids", "1,2", "-n", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(b"\x1b", done.stdout + done.stderr)
        done = run("-m", link, "--device", "cpu", "--token-ids", "1,2", "-n", 2, "--format", "json")
        self.assertIn("<script>\x1b", json.loads(done.stdout)["cells"][0]["asked"]["model_id"])


class Stopping(Case):
    def start(self, *more):
        args = ["-m", MODEL, "--device", "cpu", "--token-ids", "1,2", "-n", "100", "--ignore-eos",
                "-r", "10000", "--log-level", "error", *more]
        return subprocess.Popen([binary(), *map(str, args)], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def test_signals(self):
        for number, code, name in ((signal.SIGINT, 130, "INTERRUPTED"),
                                   (signal.SIGTERM, 143, "TERMINATED")):
            for delay in (0.0, 0.01, 0.05, 0.2):
                out = self.tmp / f"{code}-{delay}.json"
                process = self.start("--output", out, "--quiet")
                time.sleep(0.05 + delay)
                process.send_signal(number)
                _, err = process.communicate(timeout=60)
                if process.returncode == 0:
                    continue  # it was faster
                self.assertIn(process.returncode, (code, -number), err)
                if process.returncode == code:
                    self.assertRegex(err, rb"\[E-" + name.encode() + rb"\]\n\Z")
                if out.exists():
                    record = json.loads(out.read_text())
                    self.assertTrue(record["cells"][0]["runs"])
                self.assertFalse(list(self.tmp.glob("*.tmp")))

    def test_what_was_measured_is_written(self):
        out = self.tmp / "r.json"
        process = self.start("--output", out)
        while not process.stdout.readline().startswith(b"Token latency"):
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        runs = json.loads(out.read_text())["cells"][0]["runs"]
        self.assertTrue(runs)
        for one in runs:
            self.assertEqual(len(one["stamps_ns"]), len(one["output_ids"]) + 1)


class Logits(Case):
    def test_file(self):
        out = self.tmp / "x.npy"
        done = run("logits", "-m", MODEL, "--device", "cpu", "--dtype", "float32", "--token-ids",
                   ids_text("llama_gqa"), "--output", out)
        self.assertEqual((done.returncode, done.stdout), (0, b""), done.stderr)
        rows = read_npy(out)
        self.assertEqual((len(rows), len(rows[0])), (len(golden("llama_gqa")["prompt"]), 288))
        top = max(range(288), key=lambda i: rows[-1][i])
        self.assertEqual(top, golden("llama_gqa")["greedy_ids"][0])

    def test_wrong_ids_and_places(self):
        args = ["logits", "-m", MODEL, "--device", "cpu", "--output", self.tmp / "x.npy"]
        self.expect_error(run(*args, "--token-ids", "1,288"), 2, "USAGE", b"288")
        self.expect_error(run(*args), 2, "USAGE", b"--token-ids")
        self.expect_error(run(*args[:-1], self.tmp / "no" / "x", "--token-ids", "1"), 8, "OUTPUT")
        self.expect_empty(self.tmp)


class Inspect(Case):
    def test_json_and_text(self):
        for name in ("llama_gqa", "bnb_nf4_dq", "gguf_llama_q4_k", "llama_tied", "llama_sharded"):
            done = run("inspect", MODELS / name if not name.startswith("gguf")
                       else MODELS / name / "model.gguf", "--format", "json")
            self.assertEqual(done.returncode, 0, done.stderr)
            seen = json.loads(done.stdout)
            self.assertEqual(sum(t["bytes"] for t in seen["tensors"]),
                             sum(f["bytes"] for f in seen["formats"]))
            step = seen["bytes_per_token"]
            self.assertEqual(step["total"], step["weights"] + step["scales"] + step["head"])
            self.assertEqual(seen["memory"]["total"],
                             seen["memory"]["weights"] + seen["memory"]["kv"])
            self.assertEqual(run("inspect", seen["path"]).returncode, 0)

    def test_parameters_are_those_of_the_shapes(self):
        config = json.loads((MODEL / "config.json").read_text())
        d, f, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
        kv = config["num_key_value_heads"] * config["head_dim"]
        q = config["num_attention_heads"] * config["head_dim"]
        layer = d * (q + 2 * kv) + q * d + 3 * d * f + 2 * d
        want = 2 * v * d + config["num_hidden_layers"] * layer + d
        seen = json.loads(run("inspect", MODEL, "--format", "json").stdout)
        self.assertEqual(seen["n_params"], want)
        self.assertEqual(seen["bytes_per_token"]["kv_per_position"],
                         2 * config["num_hidden_layers"] * kv * 2)

    def test_devices(self):
        seen = json.loads(run("devices", "--format", "json").stdout)
        self.assertIn("cpu", [d["kind"] for d in seen])
        self.assertIn(b"cpu", run("devices").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
