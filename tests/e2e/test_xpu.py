#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The xpu device on an OpenCL driver for the processor: tokens and logits of golden models."""
import json
import unittest

from harness import MODELS as GOLDEN
from harness import Case, read_npy, run

MODELS = ["llama_gqa", "llama_bias", "mistral_window", "qwen3", "bnb_nf4", "bnb_nf4_dq", "bnb_fp4",
          "gguf_llama_q4_1", "gguf_llama_q8_0", "gguf_llama_q6_k", "rope_llama3", "llama_mha_f32"]
ATTENTIONS = ["eager", "sdpa", "flash_attention"]


class Xpu(Case):
    @classmethod
    def setUpClass(cls):
        found = json.loads(run("devices", "--format", "json").stdout)
        if "xpu:cpu" not in [d["device"] for d in found]:
            raise unittest.SkipTest("no OpenCL driver for the processor (pocl-opencl-icd)")

    def test_golden_models(self):
        index = {m["name"]: m for m in json.loads((GOLDEN / "INDEX.json").read_text())}
        for name in MODELS:
            entry = index[name]
            golden = json.loads((GOLDEN / entry["golden"]).read_text())
            ids = ",".join(map(str, golden["prompt"]))
            expected = read_npy(GOLDEN / entry["logits"])
            for attention in ATTENTIONS:
                with self.subTest(model=name, attention=attention):
                    out = self.tmp / f"{name}.{attention}.npy"
                    done = run("logits", "--model-id", GOLDEN / entry["model"], "--token-ids", ids,
                               "--device", "xpu:cpu", "--attn", attention, "--dtype", "float32",
                               "--output", out)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    found = read_npy(out)
                    self.assertEqual(len(found), len(expected))
                    pairs = [p for f, e in zip(found, expected) for p in zip(f, e)]
                    off = sum((a - b) ** 2 for a, b in pairs) ** 0.5
                    norm = sum(b * b for _, b in pairs) ** 0.5
                    self.assertLess(off / norm, 1e-4)

    def test_tokens_are_those_of_the_cpu(self):
        for name in MODELS[:6]:
            for attention in ATTENTIONS:
                with self.subTest(model=name, attention=attention):
                    ids = []
                    for device in ["cpu", "xpu:cpu"]:
                        out = self.tmp / f"{name}.{attention}.{device}.json"
                        done = run("run", "--model-id", GOLDEN / name, "--token-ids",
                                   ",".join(map(str, range(3, 40))), "-n", "24", "--device", device,
                                   "--attn", attention, "--dtype", "float32", "--ignore-eos",
                                   "--output", out, "--quiet")
                        self.assertEqual(done.returncode, 0, done.stderr)
                        cell = json.loads(out.read_text())["cells"][0]
                        self.assertEqual(cell["resolved"]["attention"], attention)
                        ids.append(cell["runs"][0]["output_ids"])
                    self.assertEqual(ids[0], ids[1])

    def test_a_named_device_that_is_absent_is_an_error(self):
        done = run("run", "--model-id", GOLDEN / "llama_gqa", "--token-ids", "1,2", "--device", "xpu:63")
        self.expect_error(done, 9, "DEVICE", b"xpu")


if __name__ == "__main__":
    unittest.main(verbosity=2)
