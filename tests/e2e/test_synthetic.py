# SPDX-License-Identifier: MIT
"""Synthetic models, context depth and --roofline as a user meets them."""
import json
import resource
import unittest

from harness import MODELS, Case, binary, read_npy, run
from sanitizer import REASON, sanitizer

CONFIG = {"model_type": "llama", "vocab_size": 640, "hidden_size": 256, "intermediate_size": 512,
          "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}


class Synthetic(Case):
    def model(self, **changes):
        path = self.tmp / "config.json"
        path.write_text(json.dumps({**CONFIG, **changes}))
        return f"synthetic:{path}"

    def record(self, *args):
        done = run("--device", "cpu", "--format", "json", *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_marked_in_text_and_record(self):
        args = ["-m", self.model(), "--device", "cpu", "--quant", "nf4-dq", "-p", 9, "-n", 4]
        done = run(*args, "--seed", 5)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = done.stdout.decode()
        self.assertIn("Weights      synthetic: true (random nf4-dq, seed 5); ", text)
        self.assertRegex(text, r"(?m)^Roofline     decode [\d.]+ of [\d.]+ GB/s read \(MBU [\d.]+ %\)"
                               r", prefill [\d.]+ of [\d.]+ GFLOP/s \(MFU [\d.]+ %\)")
        record = self.record("-m", self.model(), "--quant", "nf4-dq", "-p", 9, "-n", 4)
        self.assertIs(record["model"]["synthetic"], True)
        self.assertEqual(set(record["model"]["bytes_by_format"]), {"NF4", "BF16"})
        self.assertEqual(record["asked"]["quant"], "nf4-dq")
        self.assertIn("synthesize", record["cells"][0]["load_ns"])

    def test_a_well_known_shape(self):
        record = self.record("-m", "synthetic:smollm2-135m", "--quant", "q4_k", "-p", 3, "-n", 2)
        self.assertEqual(record["model"]["n_params"], 134515008)
        self.assertEqual(record["model"]["name"], "synthetic:smollm2-135m")
        # rows of 576: no multiple of 256; the matrices down have rows of 1536
        self.assertEqual(set(record["model"]["bytes_by_format"]), {"Q5_0", "Q8_0", "Q4_K", "F32"})

    def test_prompt_of_512_unless_given(self):
        record = self.record("-m", self.model(), "-n", 2)
        self.assertEqual(len(record["cells"][0]["prompt_ids"]), 512)
        record = self.record("-m", self.model(), "-n", 2, "--token-ids", "1,2,3")
        self.assertEqual(record["cells"][0]["prompt_ids"], [1, 2, 3])

    def test_refused(self):
        for option in ("--prompt", "--system-prompt"):
            self.expect_error(run("-m", self.model(), option, "hello"), 2, "USAGE", b"no tokenizer")
        self.expect_error(run("-m", "synthetic:"), 2, "USAGE", b"use one of llama-3.1-8b")
        self.expect_error(run("-m", "synthetic:x\x1b[2J"), 2, "USAGE", b"\\x1B")
        self.expect_error(run("-m", MODELS / "llama_gqa", "--quant", "nf4"), 5, "UNSUPPORTED")
        large = self.model(hidden_size=65536, intermediate_size=262144, num_hidden_layers=1000)
        self.expect_error(run("-m", large), 6, "RESOURCE", b"GB are at hand (")
        (self.tmp / "config.json").write_text("{\"model_type\": ")
        self.expect_error(run("-m", f"synthetic:{self.tmp}/config.json"), 4, "FORMAT")

    def test_address_space_limit(self):
        if sanitizer(binary()):
            self.skipTest(REASON)
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        done = run("-m", "synthetic:tinyllama-1.1b", "--device", "cpu", "-p", 4, "-n", 1,
                   preexec_fn=limit)
        self.expect_error(done, 6, "RESOURCE", b"weights 2.20 GB and KV cache 0.00 GB are needed")
        self.assertIn(b"(ulimit -v)", done.stderr)

    def test_logits(self):
        rows = []
        for threads in (1, 2):
            out = self.tmp / f"{threads}.npy"
            done = run("logits", "-m", self.model(), "--quant", "q8_0", "--token-ids", "5,6,7",
                       "--device", "cpu", "-t", threads, "-o", out)
            self.assertEqual(done.returncode, 0, done.stderr)
            rows.append(read_npy(out))
        self.assertEqual(rows[0], rows[1])
        self.assertEqual((len(rows[0]), len(rows[0][0])), (3, 640))
        self.assertTrue(all(abs(x) < 50 for row in rows[0] for x in row))
        self.assertGreater(max(abs(x) for x in rows[0][2]), 0.5)


class Limits(Case):
    ARGS = ["-m", MODELS / "llama_gqa", "--device", "cpu", "-n", 5, "-p", 6, "--format", "json"]

    def record(self, *args):
        done = run(*self.ARGS, *args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_roofline_is_on_unless_it_is_off(self):
        r = self.record("--roofline", "off")
        self.assertIs(r["cells"][0]["probe"]["done"], False)
        self.assertIsNone(r["cells"][0]["probe"]["read_gbps"])
        self.assertIsNone(r["summary"]["mbu"])
        self.assertIsNone(r["summary"]["limits"]["decode"]["binds"])
        r = self.record()
        probe, summary = r["cells"][0]["probe"], r["summary"]
        self.assertAlmostEqual(summary["mbu"] * probe["read_gbps"], summary["read_gbps"])
        self.assertAlmostEqual(summary["mfu"] * probe["flops"] / 1e9, summary["prefill_gflops"])
        self.assertIs(probe["read_weights"], False)

    def test_limits_stand_in_every_format(self):
        r = self.record("--peak-gbps", "12.5")
        s = r["summary"]
        self.assertEqual(r["asked"]["peak_gbps"], 12.5)
        self.assertAlmostEqual(s["mbu_of_peak"] * 12.5, s["read_gbps"])
        self.assertAlmostEqual(s["token_ms"]["decode_call"] + s["token_ms"]["pick_call"], s["tpot_ms"])
        self.assertEqual(s["token_ms"]["device"], s["token_ms"]["decode_call"])
        shares = s["limits"]["decode"]["shares"]
        self.assertAlmostEqual(shares["memory"], s["mbu"])
        self.assertAlmostEqual(shares["launch_or_host"], s["token_ms"]["pick_call"] / s["tpot_ms"])
        self.assertIn(s["limits"]["decode"]["binds"], ("memory", "compute", "launch or host", "none alone"))
        for form, wanted in (("csv", b",mbu,mbu_of_peak,prefill_gflops,mfu,decode_limit,prefill_limit,"),
                             ("markdown", b"| MB/token | GB/s | MBU % | MFU % | decode limit |"),
                             ("text", b"Limit        decode: "), ("text", b" % of the 12.50 GB/s given"),
                             ("text", b"Per token    device ")):
            done = run(*self.ARGS[:-2], "--format", form, "--peak-gbps", "12.5")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(wanted, done.stdout)
        for bad in ("0", "-1", "nan", "inf", "ten", ""):
            self.assertEqual(run(*self.ARGS, "--peak-gbps", bad).returncode, 2)

    def test_profile_of_operations(self):
        r = self.record("--profile", "ops")
        profile = r["cells"][0]["profile"]
        self.assertIs(profile["done"], True)
        self.assertEqual({o["phase"] for o in profile["ops"]}, {"decode", "prefill"})
        self.assertEqual(r["cells"][0]["runs"][0]["output_ids"], self.record()["cells"][0]["runs"][0]["output_ids"])
        self.assertIsNotNone(r["summary"]["limits"]["decode"]["shares"]["synchronisation"])
        self.assertIs(self.record()["cells"][0]["profile"]["done"], False)
        for form, wanted in (("text", b"Profile      a decode step: "), ("markdown", b"| operation | calls | ms a step |")):
            done = run(*self.ARGS[:-2], "--format", form, "--profile", "ops")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(wanted, done.stdout)
        self.assertEqual(run(*self.ARGS, "--profile", "all").returncode, 2)

    def test_roofline_can_be_off_in_text(self):
        done = run(*self.ARGS[:-2], "--roofline", "off")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(b"Roofline", done.stdout)

    def test_depth(self):
        plain, deep = self.record(), self.record("-d", 40, "-r", 2)
        self.assertEqual(plain["cells"][0]["prompt_ids"], deep["cells"][0]["prompt_ids"])
        self.assertEqual(deep["asked"]["n_depth"], 40)
        self.assertGreater(deep["cells"][0]["depth_ns"], 0)
        self.assertEqual(plain["cells"][0]["depth_ns"], 0)
        self.assertTrue(deep["summary"]["ids_equal"])
        per_position = plain["model"]["step_bytes"]["kv"] // (6 + 5 // 2 + 1)
        self.assertEqual(deep["model"]["step_bytes"]["kv"] - plain["model"]["step_bytes"]["kv"],
                         40 * per_position)
        done = run(*self.ARGS[:-2], "-d", 40)
        self.assertIn(b"behind a context of 40 (run in ", done.stdout)
        self.assertIn(b"at context 47 to 50", done.stdout)


if __name__ == "__main__":
    unittest.main()
