# SPDX-License-Identifier: MIT
"""quantize: the folder's files and tensors against the format's rules, recomputed here."""
import json
import pathlib
import resource
import signal
import struct
import subprocess
import time
import unittest

from harness import MODELS, Case, binary, read_npy, run

NF4 = (-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
       -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534,
       0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434,
       0.5626170039176941, 0.7229568362236023, 1.0)
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def read_tensors(folder):
    """name -> (dtype, shape, bytes) of every safetensors file."""
    out = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        raw = path.read_bytes()
        (n,) = struct.unpack("<Q", raw[:8])
        header = json.loads(raw[8:8 + n])
        header.pop("__metadata__", None)
        for name, t in header.items():
            a, b = t["data_offsets"]
            out[name] = (t["dtype"], t["shape"], raw[8 + n + a:8 + n + b])
    return out


def floats(tensor):
    dtype, _, raw = tensor
    if dtype == "F32":
        return struct.unpack(f"<{len(raw) // 4}f", raw)
    if dtype == "F16":
        return struct.unpack(f"<{len(raw) // 2}e", raw)
    bits = struct.unpack(f"<{len(raw) // 2}H", raw)
    return struct.unpack(f"<{len(bits)}f", struct.pack(f"<{len(bits)}I", *(b << 16 for b in bits)))


def nf4(values, blocksize):
    """codes (packed) and absmax, whole blocks by the reciprocal and a partial last one divided."""
    middle = [f32((f32(a) + f32(b)) / 2) for a, b in zip(NF4, NF4[1:])]
    codes, absmax = [], []
    for i in range(0, len(values), blocksize):
        block = values[i:i + blocksize]
        a = max(abs(x) for x in block)
        absmax.append(a)
        scale = f32(1 / a)
        for x in block:
            y = f32(x * scale) if len(block) == blocksize else f32(x / a)
            codes.append(sum(y > m for m in middle))
    if len(codes) % 2:
        codes.append(7)
    return bytes(a << 4 | b for a, b in zip(codes[::2], codes[1::2])), absmax


class Quantize(Case):
    def quantize(self, source, *args):
        out = self.tmp / f"out{len(list(self.tmp.iterdir()))}"
        done = run("quantize", MODELS / source, out, *args, "--quiet")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        return out

    def test_codes_and_scales(self):
        for source, blocksize in (("llama_gqa", 64), ("llama_mqa_f16", 128), ("llama_odd", 32),
                                  ("llama_mha_f32", 64)):
            with self.subTest(source):
                out = self.quantize(source, "--quant", "nf4", "--blocksize", blocksize)
                old, new = read_tensors(MODELS / source), read_tensors(out)
                for name, tensor in old.items():
                    if not name.endswith(tuple(f"{x}.weight" for x in LINEAR)):
                        self.assertEqual(new[name], tensor, name)
                        continue
                    codes, absmax = nf4(floats(tensor), blocksize)
                    self.assertEqual(new[name][:2], ("U8", [len(codes), 1]))
                    self.assertEqual(new[name][2], codes, name)
                    self.assertEqual(floats(new[name + ".absmax"]), tuple(absmax))
                    self.assertEqual(floats(new[name + ".quant_map"]), tuple(map(f32, NF4)))
                    state = new[name + ".quant_state.bitsandbytes__nf4"][2].decode()
                    dtype = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}[tensor[0]]
                    self.assertEqual(state, json.dumps(
                        {"quant_type": "nf4", "blocksize": blocksize, "dtype": dtype,
                         "shape": tensor[1]}))

    def test_nested_scales(self):
        plain = read_tensors(self.quantize("llama_gqa", "--quant", "fp4"))
        for args in (["--quant", "fp4-dq"], ["--quant", "fp4", "--double-quant"]):
            nested = read_tensors(self.quantize("llama_gqa", *args))
            for name in [n for n in plain if n.endswith(".weight.absmax")]:
                weight = name[:-len(".absmax")]
                self.assertEqual(nested[weight], plain[weight])
                want = floats(plain[name])
                state = json.loads(nested[weight + ".quant_state.bitsandbytes__fp4"][2])
                self.assertEqual((state["nested_blocksize"], state["nested_dtype"]),
                                 (256, "float32"))
                self.assertAlmostEqual(state["nested_offset"], sum(want) / len(want), 6)
                code = floats(nested[weight + ".nested_quant_map"])
                scale = floats(nested[weight + ".nested_absmax"])
                self.assertEqual(list(code), sorted(code))
                self.assertEqual(nested[name][0], "U8")
                for i, (byte, x) in enumerate(zip(nested[name][2], want)):
                    got = code[byte] * scale[i // 256] + state["nested_offset"]
                    self.assertLess(abs(got - x), scale[i // 256] * 0.02 + 1e-7)

    def test_configuration_and_other_files(self):
        out = self.quantize("qwen3", "--quant", "nf4-dq")
        old = json.loads((MODELS / "qwen3" / "config.json").read_text())
        new = json.loads((out / "config.json").read_text())
        q = new.pop("quantization_config")
        self.assertEqual((q["quant_method"], q["load_in_4bit"], q["bnb_4bit_quant_type"],
                          q["bnb_4bit_use_double_quant"], q["bnb_4bit_compute_dtype"],
                          q["bnb_4bit_quant_storage"], q["llm_int8_skip_modules"]),
                         ("bitsandbytes", True, "nf4", True, "bfloat16", "uint8", None))
        dtype = new.pop("dtype")
        self.assertEqual(dtype, old.pop("dtype", None) or old["torch_dtype"])
        self.assertEqual(new, old)
        for source, new in (("qwen3", out), ("llama_gqa", self.quantize("llama_gqa", "--quant",
                                                                        "fp4"))):
            for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
                old = MODELS / source / name
                self.assertEqual((new / name).exists(), old.exists())
                if old.exists():
                    self.assertEqual((new / name).read_bytes(), old.read_bytes())
        self.assertFalse(list(out.glob("*.tmp")))

    def test_shards(self):
        whole = self.quantize("llama_gqa", "--quant", "nf4-dq")
        parts = self.quantize("llama_gqa", "--quant", "nf4-dq", "--max-shard-bytes", 40000)
        self.assertGreater(len(list(parts.glob("model-*-of-*.safetensors"))), 2)
        self.assertEqual(read_tensors(whole), read_tensors(parts))
        index = json.loads((parts / "model.safetensors.index.json").read_text())
        self.assertEqual(sorted(index["weight_map"]), sorted(read_tensors(parts)))
        self.assertEqual(index["metadata"]["total_size"],
                         sum(len(t[2]) for t in read_tensors(parts).values()))
        self.assertEqual(run("inspect", parts).returncode, 0)

    def test_threads_change_nothing(self):
        one = self.quantize("llama_odd", "--quant", "nf4-dq", "--threads", 1)
        for n in (2, 3, 7):
            many = self.quantize("llama_odd", "--quant", "nf4-dq", "--threads", n)
            self.assertEqual((one / "model.safetensors").read_bytes(),
                             (many / "model.safetensors").read_bytes())

    def logits(self, model):
        out = self.tmp / "x.npy"
        done = run("logits", "-m", model, "--device", "cpu", "--dtype", "float32", "--token-ids",
                   "5,6,7,80,9", "--output", out, "--force", "--quiet")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return [x for row in read_npy(out) for x in row]

    def test_result_behaves_like_its_source(self):
        # 4-bit noise, but not another model: a wrong order of rows gives a distance above 1
        for source in ("llama_gqa", "qwen2_bias", "gguf_llama_f32/model.gguf",
                       "gguf_llama_rope_freqs/model.gguf", "gguf_llama_rope_yarn/model.gguf",
                       "gguf_llama_rope_linear/model.gguf", "gguf_qwen2_q8_0/model.gguf",
                       "gguf_qwen3_q4_1/model.gguf"):
            with self.subTest(source):
                out = self.quantize(source, "--quant", "nf4", "--dtype", "float32", "--blocksize",
                                    32)
                a, b = self.logits(MODELS / source), self.logits(out)
                error = sum((x - y) ** 2 for x, y in zip(a, b)) ** 0.5
                self.assertLess(error / sum(x * x for x in a) ** 0.5, 0.5)

    def test_tokenizer_of_a_gguf_file(self):
        texts = ["", "hello world 123", " a  b\n\nc", "<|end|>x <s>", "\u00e9\u4e2d\U0001f600", "a\0"]
        rows = b"".join(json.dumps({"text": t}).encode() + b"\n" for t in texts)
        for source in ("gguf_llama_f32/model.gguf", "gguf_llama_spm_v2/model.gguf"):
            with self.subTest(source):
                out = self.quantize(source, "--quant", "nf4")
                a = run("tokenize", "-m", MODELS / source, input=rows)
                b = run("tokenize", "-m", out, input=rows)
                self.assertEqual((a.returncode, b.returncode), (0, 0), a.stderr + b.stderr)
                self.assertEqual(a.stdout, b.stdout)

    def test_refusals(self):
        source = MODELS / "llama_gqa"
        full, empty, file = self.tmp / "full", self.tmp / "empty", self.tmp / "file"
        full.mkdir()
        (full / "x").write_text("x")
        empty.mkdir()
        file.write_text("x")
        for target in (full, file, self.tmp / "no" / "x", source):
            done = run("quantize", source, target, "--quant", "nf4", "--quiet")
            self.expect_error(done, 8, "OUTPUT")
        self.assertEqual([p.name for p in full.iterdir()], ["x"])
        self.expect_error(run("quantize", self.tmp / "none.gguf", self.tmp / "y", "--quant", "nf4"),
                          3, "INPUT")
        self.expect_error(run("quantize", MODELS / "bnb_nf4", self.tmp / "y", "--quant", "nf4",
                              "--quiet"), 5, "UNSUPPORTED", b"quantized already")
        self.expect_error(run("quantize", source, self.tmp / "y", "--quant", "q4"), 2, "USAGE")
        self.expect_error(run("quantize", source, self.tmp / "y", "--quant", "int8"), 5,
                          "UNSUPPORTED")
        self.assertFalse((self.tmp / "y").exists())
        self.assertEqual(run("quantize", source, empty, "--quant", "nf4", "--quiet").returncode, 0)
        self.assertTrue((empty / "config.json").exists())

    def test_a_full_disk_leaves_nothing(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        out = self.tmp / "out"
        done = run("quantize", MODELS / "llama_gqa", out, "--quant", "nf4", "--quiet",
                   preexec_fn=limit)
        self.expect_error(done, 8, "OUTPUT")
        self.assertFalse(out.exists())

    def test_a_signal_leaves_nothing_or_all(self):
        for delay in (0.0, 0.005, 0.01, 0.02, 0.04):
            out = self.tmp / f"out{delay}"
            process = subprocess.Popen([binary(), "quantize", str(MODELS / "llama_gqa"), str(out),
                                        "--quant", "nf4-dq", "--quiet"], stderr=subprocess.PIPE)
            time.sleep(delay)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            if process.returncode == 0:
                self.assertTrue((out / "config.json").exists())
            else:
                self.assertIn(process.returncode, (143, -signal.SIGTERM))
                self.assertFalse(out.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
