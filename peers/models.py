# SPDX-License-Identifier: MIT
"""models.py HOME SHAPE FILES...: makes model files of a shape with random weights, the same kind of file that the
program would be given for a real model. Nothing is downloaded. Needs the packages of the `transformers` environment.

All layers hold the same values, so that a layer is quantized once; they are written out in full, so that as many
bytes are read as in a real model. Each set appears under its name only when it is complete."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from shapes import linears, shape

HF = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
      "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
GG = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up",
      "down": "ffn_down"}
END = "<|endoftext|>"  # without any special token, OpenVINO cannot compile its tokenizer
SHARD = 3_000_000_000


def values(rows, cols, seed):
    return np.random.default_rng(seed).standard_normal((rows, cols), dtype=np.float32) * (0.6 / cols ** 0.5)


def byte_alphabet():
    """The 256 characters that byte-level tokenizers write bytes with."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = iter(range(256, 512))
    return [chr(b) if b in keep else chr(next(other)) for b in range(256)]


def vocabulary(n):
    letters = byte_alphabet()
    pairs = [(a, b) for a in letters[97:123] for b in letters[97:123]][:16]
    tokens = [END] + letters + [a + b for a, b in pairs]
    tokens += [f"<|unused_{i}|>" for i in range(n - len(tokens))]
    return tokens, [f"{a} {b}" for a, b in pairs]


# --- Hugging Face folders ---------------------------------------------------------------------------------------


def write_folder_texts(folder, s, quantized):
    tokens, merges = vocabulary(s["n_vocab"])
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": s["n_vocab"],
        "hidden_size": s["d_model"], "intermediate_size": s["d_ff"], "num_hidden_layers": s["n_layers"],
        "num_attention_heads": s["n_heads"], "num_key_value_heads": s["n_kv_heads"], "head_dim": s["head_dim"],
        "max_position_embeddings": s["n_ctx"], "rope_theta": s["rope_base"], "rms_norm_eps": 1e-5,
        "hidden_act": "silu", "tie_word_embeddings": s["tied"], "torch_dtype": "bfloat16", "bos_token_id": 0,
        "eos_token_id": 0, "attention_bias": False, "mlp_bias": False,
    }
    if quantized:
        config["quantization_config"] = {
            "quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False,
            "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
            "bnb_4bit_compute_dtype": "bfloat16", "bnb_4bit_quant_storage": "uint8",
            "llm_int8_threshold": 6.0, "llm_int8_skip_modules": ["lm_head"],
        }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 0, "do_sample": False}))
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "added_tokens": [{"id": 0, "content": END, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": merges}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast",
                                                              "eos_token": tokens[0]}))


def save_shards(folder, named):
    """named: pairs of name and tensor, in order."""
    from safetensors.torch import save_file
    shards, size = [{}], 0
    for name, t in named:
        n = t.numel() * t.element_size()
        if size + n > SHARD and shards[-1]:
            shards.append({})
            size = 0
        shards[-1][name] = t
        size += n
    index = {}
    for i, shard in enumerate(shards):
        file = "model.safetensors" if len(shards) == 1 else f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        # tensors of several names share their memory: the writer wants owners of their own
        save_file({k: v.clone() for k, v in shard.items()}, folder / file, metadata={"format": "pt"})
        index.update({k: file for k in shard})
    if len(shards) > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def hf_tensors(s, quantized):
    import torch

    def bf16(rows, cols, seed):
        return torch.from_numpy(values(rows, cols, seed)).to(torch.bfloat16)

    layer = {}
    for i, (role, rows, cols) in enumerate(linears(s)):
        w = bf16(rows, cols, 10 + i)
        if not quantized:
            layer[HF[role] + ".weight"] = w
            continue
        import bitsandbytes.functional as F
        packed, state = F.quantize_4bit(w, blocksize=64, compress_statistics=True, quant_type="nf4")
        layer[HF[role] + ".weight"] = packed
        for key, value in state.as_dict(packed=True).items():
            layer[f"{HF[role]}.weight.{key}"] = value
    ones = torch.ones(s["d_model"], dtype=torch.bfloat16)
    yield "model.embed_tokens.weight", bf16(s["n_vocab"], s["d_model"], 1)
    for n in range(s["n_layers"]):
        for key, value in layer.items():
            yield f"model.layers.{n}.{key}", value
        yield f"model.layers.{n}.input_layernorm.weight", ones
        yield f"model.layers.{n}.post_attention_layernorm.weight", ones
    yield "model.norm.weight", ones
    if not s["tied"]:
        yield "lm_head.weight", bf16(s["n_vocab"], s["d_model"], 2)


def make_folder(out, s, quantized):
    out.mkdir()
    write_folder_texts(out, s, quantized)
    save_shards(out, hf_tensors(s, quantized))


# --- GGUF -------------------------------------------------------------------------------------------------------


def random_k(kind, rows, cols, seed):
    """Blocks of Q4_K or Q6_K: random codes, scales such that the values look like `values`."""
    rng = np.random.default_rng(seed)
    n, std = rows * cols // 256, 0.6 / cols ** 0.5
    if kind == "Q4_K":
        block = rng.integers(0, 256, (n, 144), dtype=np.uint8)
        block[:, 0:2] = np.array([std / 230], dtype=np.float16).view(np.uint8)
        block[:, 2:4] = np.array([std / 230 * 7.5], dtype=np.float16).view(np.uint8)
    else:
        block = rng.integers(0, 256, (n, 210), dtype=np.uint8)
        block[:, 208:210] = np.array([std / 1360], dtype=np.float16).view(np.uint8)
    return block.reshape(rows, -1)


def gguf_data(kind, rows, cols, seed):
    """(array, type) of a matrix; k formats give way where rows are no multiple of 256, as converters do."""
    from gguf import GGMLQuantizationType as T
    from gguf.quants import quantize
    if kind.endswith("_K") and cols % 256:
        kind = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}[kind]
    if kind.endswith("_K"):
        return random_k(kind, rows, cols, seed), T[kind]
    return quantize(values(rows, cols, seed), T[kind]), T[kind]


def mix(kind, role, n, n_layers):
    """The usual Q4_K_M: values and down products of some layers, and the head, in Q6_K."""
    if kind != "Q4_K_M":
        return kind
    more = n < n_layers // 8 or n >= 7 * n_layers // 8 or (n - n_layers // 8) % 3 == 2
    return "Q6_K" if role in ("v", "down") and more else "Q4_K"


def make_gguf(out, s, kind):
    from gguf import GGUFWriter, GGMLQuantizationType as T
    w = GGUFWriter(out, "llama")
    tokens, merges = vocabulary(s["n_vocab"])
    w.add_name(f"random {out.stem}")
    w.add_context_length(s["n_ctx"])
    w.add_embedding_length(s["d_model"])
    w.add_block_count(s["n_layers"])
    w.add_feed_forward_length(s["d_ff"])
    w.add_head_count(s["n_heads"])
    w.add_head_count_kv(s["n_kv_heads"])
    w.add_key_length(s["head_dim"])
    w.add_value_length(s["head_dim"])
    w.add_rope_dimension_count(s["head_dim"])
    w.add_rope_freq_base(s["rope_base"])
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(s["n_vocab"])
    w.add_file_type({"BF16": 32, "Q4_0": 2, "Q4_K_M": 15}[kind])
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("llama-bpe")
    w.add_token_list(tokens)
    w.add_token_types([3] + [1] * (len(tokens) - 1))
    w.add_token_merges(merges)
    w.add_bos_token_id(0)
    w.add_eos_token_id(0)
    w.add_add_bos_token(False)

    def add(name, data):
        w.add_tensor(name, data[0], raw_dtype=data[1])

    ends = {"BF16": "BF16", "Q4_0": "BF16", "Q4_K_M": "Q6_K"}[kind]
    table = "Q4_K" if kind == "Q4_K_M" and not s["tied"] else ends
    add("token_embd.weight", gguf_data(table, s["n_vocab"], s["d_model"], 1))
    ones = (np.ones(s["d_model"], dtype=np.float32), T.F32)
    made = {}
    for n in range(s["n_layers"]):
        for i, (role, rows, cols) in enumerate(linears(s)):
            key = (role, mix(kind, role, n, s["n_layers"]))
            if key not in made:
                made[key] = gguf_data(key[1], rows, cols, 10 + i)
            add(f"blk.{n}.{GG[role]}.weight", made[key])
        add(f"blk.{n}.attn_norm.weight", ones)
        add(f"blk.{n}.ffn_norm.weight", ones)
    add("output_norm.weight", ones)
    if not s["tied"]:
        add("output.weight", gguf_data(ends, s["n_vocab"], s["d_model"], 2))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# --- ONNX -------------------------------------------------------------------------------------------------------


def make_onnx(out, home, s, name):
    source = ensure(home, name, "bf16")
    subprocess.run([sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", source, "-o", out, "-p", "int4",
                    "-e", "cpu", "-c", home / "onnx-cache", "--extra_options", "int4_accuracy_level=4"], check=True)


# --- bytes ------------------------------------------------------------------------------------------------------


def stored_tensors(path):
    """(name, bytes) of every tensor in a set of files."""
    if path.suffix == ".gguf":
        from gguf import GGUFReader
        yield from ((t.name, int(t.n_bytes)) for t in GGUFReader(path).tensors)
    elif list(path.glob("*.onnx")):
        import onnx_ir
        model = onnx_ir.load(next(path.glob("*.onnx")))
        yield from ((n, v.const_value.nbytes) for n, v in model.graph.initializers.items())
    else:
        for file in sorted(path.glob("*.safetensors")):
            with open(file, "rb") as f:
                head = json.loads(f.read(int.from_bytes(f.read(8), "little")))
            for name, t in head.items():
                if name != "__metadata__":
                    yield name, t["data_offsets"][1] - t["data_offsets"][0]


def note_bytes(path, s):
    """What one decode step reads of the weights: everything but the embedding table, unless it is the head too."""
    note = path.with_name(path.name + ".json")
    if note.exists():
        return
    total = sum(n for name, n in stored_tensors(path)
                if s["tied"] or not ("embed_tokens" in name or name.startswith("token_embd")))
    note.write_text(json.dumps({"step_weight_bytes": total}))


# --- sets -------------------------------------------------------------------------------------------------------


def ensure(home, name, files):
    final = home / "models" / name / files
    if final.exists():
        note_bytes(final, shape(name))
        return final
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f"{final.stem}.{os.getpid()}.part{final.suffix}")
    s = shape(name)
    print(f"making {name} {files}", flush=True)
    try:
        if files in ("nf4-dq", "bf16"):
            make_folder(part, s, files == "nf4-dq")
        elif files == "onnx-int4":
            make_onnx(part, home, s, name)
        else:
            make_gguf(part, s, {"q4_0": "Q4_0", "q4_k_m": "Q4_K_M", "bf16": "BF16"}[final.stem])
        part.rename(final)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        elif part.exists():
            part.unlink()
    note_bytes(final, s)
    return final


def main():
    home, name, *sets = sys.argv[1:]
    for files in sets:
        ensure(Path(home), name, files)


if __name__ == "__main__":
    main()
