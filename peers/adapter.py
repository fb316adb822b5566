# SPDX-License-Identifier: MIT
"""adapter.py PROGRAM JOB: runs one generation in another program, in that program's own environment, and prints one
JSON line: stamps as inferbench takes them (the prompt's ids are there; then each token's id is on the host), load
time, peak memory, version. JOB is JSON: path, ids, n, threads, dtype. Greedy; no id ends it. One short generation
comes first and is not kept."""
import importlib.metadata
import json
import sys
import time
from pathlib import Path

WARM_IDS, WARM_TOKENS = 64, 4
now = time.monotonic_ns


def peak_bytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def versions(*names):
    return {n: importlib.metadata.version(n) for n in names}


class LlamaCpp:
    """The C interface that llama-cpp-python binds, one token at a time; the library stands in LLAMA_CPP_LIB_PATH."""

    def load(self, job):
        import ctypes
        import llama_cpp.llama_cpp as c
        import numpy as np
        self.c, self.np = c, np
        self.quiet = c.llama_log_callback(lambda level, text, user: None)
        c.llama_log_set(self.quiet, ctypes.c_void_p(0))
        c.llama_backend_init()
        self.model = c.llama_model_load_from_file(job["path"].encode(), c.llama_model_default_params())
        if not self.model:
            raise RuntimeError("llama.cpp cannot load the file")
        p = c.llama_context_default_params()
        p.n_ctx = len(job["ids"]) + job["n"] + 8
        p.n_batch = p.n_ubatch = 512
        p.n_threads = p.n_threads_batch = job["threads"]
        p.no_perf = True
        self.ctx = c.llama_init_from_model(self.model, p)
        self.n_vocab = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))
        info = c.llama_print_system_info().decode()
        self.about = {"llama-cpp-python": job["sdist"], "system_info": info, "kv_bytes_per_element": 2}

    def pick(self):
        import ctypes
        logits = self.c.llama_get_logits_ith(self.ctx, -1)
        logits = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * self.n_vocab)).contents
        return int(self.np.frombuffer(logits, dtype=self.np.float32).argmax())

    def feed(self, ids):
        array = (self.c.llama_token * len(ids))(*ids)
        if self.c.llama_decode(self.ctx, self.c.llama_batch_get_one(array, len(ids))) != 0:
            raise RuntimeError("llama_decode failed")
        return array

    def generate(self, ids, n):
        self.c.llama_memory_clear(self.c.llama_get_memory(self.ctx), True)
        stamps, out = [now()], []
        self.feed(ids)
        for i in range(n):
            out.append(self.pick())
            stamps.append(now())
            if i + 1 < n:
                self.feed(out[-1:])
        return stamps, out


class Transformers:
    """The original script's stack: generate() with a streamer that takes the time of each token."""

    def load(self, job):
        import torch
        import transformers
        torch.set_num_threads(job["threads"])
        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self.torch = torch
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            job["path"], dtype=torch.bfloat16, attn_implementation="sdpa", device_map="cpu")
        self.model.eval()
        self.about = versions("torch", "transformers", "bitsandbytes") | {"kv_bytes_per_element": 2}

    def generate(self, ids, n):
        torch, stamps = self.torch, []

        class Streamer:
            def put(self, value):  # the first call brings the prompt
                stamps.append(now())

            def end(self):
                pass

        x = torch.tensor([ids])
        start = now()
        with torch.inference_mode():
            out = self.model.generate(x, attention_mask=torch.ones_like(x), max_new_tokens=n, min_new_tokens=n,
                                      do_sample=False, streamer=Streamer(), pad_token_id=0)
        return [start] + stamps[1:], out[0, len(ids):].tolist()


class OpenVino:
    """LLMPipeline on ids, with a streamer; GGUF files are read as they are."""

    def load(self, job):
        import numpy as np
        import openvino as ov
        import openvino_genai as g
        self.g, self.ov, self.np = g, ov, np
        self.pipe = g.LLMPipeline(job["path"], "CPU", INFERENCE_NUM_THREADS=job["threads"], PERFORMANCE_HINT="LATENCY")
        self.about = versions("openvino-genai", "openvino")
        self.about["kv_bytes_per_element"] = 1  # its default on processors is an 8-bit cache

    def generate(self, ids, n):
        g, stamps, out = self.g, [], []

        class Streamer(g.StreamerBase):
            def write(self, token):
                t = now()
                for id in token if isinstance(token, list) else [token]:
                    stamps.append(t)
                    out.append(id)
                return g.StreamingStatus.RUNNING

            def end(self):
                pass

        config = g.GenerationConfig()
        config.max_new_tokens, config.min_new_tokens, config.ignore_eos, config.do_sample = n, n, True, False
        x = self.ov.Tensor(self.np.array([ids], dtype=self.np.int64))
        mask = self.ov.Tensor(self.np.ones((1, len(ids)), dtype=self.np.int64))
        start = now()
        self.pipe.generate(g.TokenizedInputs(x, mask), config, Streamer())
        return [start] + stamps, out


class OnnxRuntime:
    def load(self, job):
        import onnxruntime_genai as g
        self.g = g
        config = g.Config(job["path"])
        config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": job["threads"]}}}}))
        self.model = g.Model(config)
        self.about = versions("onnxruntime-genai", "onnxruntime") | {"kv_bytes_per_element": 4}

    def generate(self, ids, n):
        params = self.g.GeneratorParams(self.model)
        params.set_search_options(max_length=len(ids) + n, min_length=len(ids) + n, do_sample=False)
        generator = self.g.Generator(self.model, params)
        stamps, out = [now()], []
        generator.append_tokens(ids)
        for _ in range(n):
            generator.generate_next_token()
            out.append(int(generator.get_next_tokens()[0]))
            stamps.append(now())
        return stamps, out


PROGRAMS = {"llama.cpp": LlamaCpp, "transformers": Transformers, "openvino": OpenVino, "onnxruntime": OnnxRuntime}


def main():
    program, job = PROGRAMS[sys.argv[1]](), json.loads(Path(sys.argv[2]).read_text())
    begin = now()
    program.load(job)
    loaded = now()
    program.generate(job["ids"][:WARM_IDS], WARM_TOKENS)
    stamps, out = program.generate(job["ids"], job["n"])
    if len(stamps) != job["n"] + 1:
        raise RuntimeError(f"{len(stamps) - 1} tokens in place of {job['n']}")
    print(json.dumps({"load_ns": loaded - begin, "stamps_ns": stamps, "output_ids": out, "vm_hwm_bytes": peak_bytes(),
                      "about": program.about}))


if __name__ == "__main__":
    try:
        main()
    except Exception as e:  # a program that cannot run a case is a result too
        print(json.dumps({"error": f"{type(e).__name__}: {' '.join(str(e).split())}"[:300]}))
