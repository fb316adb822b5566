# SPDX-License-Identifier: MIT
"""Every tiny model of tests/golden/models through the program: teacher-forced logits of each
attention within the model's tolerance of the reference in fp32, and the reference's greedy ids."""
import json
import unittest

from harness import MODELS, Case, read_npy, run


def index():
    return json.loads((MODELS / "INDEX.json").read_text())


def distance(got, want):
    error = sum((a - b) ** 2 for x, y in zip(got, want) for a, b in zip(x, y)) ** 0.5
    return error / sum(b * b for y in want for b in y) ** 0.5


class GoldenModels(Case):
    def test_logits(self):
        for row in index():
            golden = json.loads((MODELS / row["golden"]).read_text())
            want = read_npy(MODELS / row["logits"])
            seen = []
            for attn in ("eager", "sdpa", "flash_attention"):
                with self.subTest(row["name"], attn=attn):
                    out = self.tmp / f"{row['name']}-{attn}.npy"
                    done = run("logits", "-m", MODELS / row["model"], "--device", "cpu", "--dtype",
                               "float32", "--attn", attn, "--token-ids",
                               ",".join(map(str, golden["prompt"])), "--output", out, "--quiet")
                    self.assertEqual((done.returncode, done.stderr), (0, b""))
                    seen.append(read_npy(out))
                    self.assertEqual((len(seen[-1]), len(seen[-1][0])), (len(want), len(want[0])))
                    self.assertLess(distance(seen[-1], want), row["tolerance"])
                    self.assertLess(distance(seen[-1], seen[0]), 1e-5)

    def test_greedy_ids(self):
        for row in index():
            golden = json.loads((MODELS / row["golden"]).read_text())
            with self.subTest(row["name"]):
                done = run("-m", MODELS / row["model"], "--device", "cpu", "--roofline", "off", "--dtype", "float32",
                           "--token-ids", ",".join(map(str, golden["prompt"])), "-n",
                           golden["max_new_tokens"], "--format", "json", "--quiet")
                self.assertEqual((done.returncode, done.stderr), (0, b""))
                runs = json.loads(done.stdout)["cells"][0]["runs"]
                self.assertEqual(runs[0]["output_ids"], golden["greedy_ids"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
