# SPDX-License-Identifier: MIT
"""The GGUF cases of make_models.py: one tiny random model per tensor type and per convention of the format.

The bytes of the file come first; the reference weights are what gguf.quants makes of those bytes, put into a plain
transformers model in fp32. gguf.quants cannot quantize to the K types: their blocks are random bytes with scales
that give weights of the wanted spread. As real converters do, q and k of architecture llama have their rows
permuted for pairwise rotation, and the reference undoes that.
"""
import copy
import json
import os
import shutil
import struct

import gguf
import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import oracle
import tiny_tokenizer
from tiny_tokenizer import VOCAB

T = gguf.GGMLQuantizationType
SHAPE = dict(vocab_size=VOCAB, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=16, max_position_embeddings=256, rope_theta=10000.0, rms_norm_eps=1e-5,
             tie_word_embeddings=True, pad_token_id=None, bos_token_id=283, eos_token_id=280)
K_SHAPE = dict(SHAPE, hidden_size=256, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1)
# where the f16 scales of a block lie, and the factor of the second that roughly centres the values
K_SCALES = {T.Q2_K: (80, 82, 1.5), T.Q3_K: (108, None, 0), T.Q4_K: (0, 2, 7.5), T.Q5_K: (0, 2, 15.5),
            T.Q6_K: (208, None, 0)}
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
         "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}


def cases():
    c = {}
    for kind in ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"):
        c[f"gguf_llama_{kind.lower()}"] = dict(family="llama", kind=kind, config=SHAPE)
    for kind in ("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"):
        c[f"gguf_llama_{kind.lower()}"] = dict(family="llama", kind=kind, config=K_SHAPE)
    c["gguf_qwen2_q8_0"] = dict(family="qwen2", kind="Q8_0", pre="qwen2",
                                config=dict(SHAPE, num_attention_heads=2, num_key_value_heads=1,
                                            tie_word_embeddings=False, rope_theta=1000000.0, rms_norm_eps=1e-6))
    c["gguf_qwen3_q4_1"] = dict(family="qwen3", kind="Q4_1", pre="qwen2",
                                config=dict(SHAPE, tie_word_embeddings=False, rope_theta=1000000.0))
    llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 64, "rope_theta": 10000.0}
    c["gguf_llama_rope_freqs"] = dict(family="llama", kind="F16", pre="llama-bpe", rope_freqs=True,
                                      config=dict(SHAPE, rope_parameters=llama3))
    linear = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}
    c["gguf_llama_rope_linear"] = dict(family="llama", kind="F16", config=dict(SHAPE, rope_parameters=linear))
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 10000.0}
    c["gguf_llama_rope_yarn"] = dict(family="llama", kind="F16", config=dict(SHAPE, rope_parameters=yarn))
    c["gguf_llama_spm_v2"] = dict(family="llama", kind="F16", tokenizer="llama", version=2, alignment=128,
                                  config=dict(SHAPE, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2))
    c["gguf_llama_mixed"] = dict(family="llama", kind="Q4_0", mixed=True,
                                 config=dict(SHAPE, tie_word_embeddings=False))
    return c


def permute(w, heads):
    """Rows of a projection from halves to interleaved pairs, per head, as converters to GGUF do."""
    d = w.shape[0] // heads
    return np.ascontiguousarray(w.reshape(heads, 2, d // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape))


def unpermute(w, heads):
    d = w.shape[0] // heads
    return np.ascontiguousarray(w.reshape(heads, d // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape))


def random_k_blocks(kind, shape, spread, rng):
    """Random bytes that are valid blocks of a K type and dequantize to values of about the given spread."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    n = shape[0] * shape[1] // block
    data = rng.integers(0, 256, size=(n, size), dtype=np.uint8)
    at, at_min, centre = K_SCALES[kind]
    wobble = rng.uniform(0.7, 1.3, size=n)

    def put(scale):
        data[:, at:at + 2] = (wobble * scale).astype(np.float16).view(np.uint8).reshape(n, 2)
        if at_min is not None:
            data[:, at_min:at_min + 2] = (wobble * scale * centre).astype(np.float16).view(np.uint8).reshape(n, 2)
        return gguf.quants.dequantize(data.reshape(shape[0], -1), kind)

    put(spread / put(1.0 / 64).std() / 64)
    return data.reshape(shape[0], -1)


def encode(w, kind, rng):
    """(bytes or array for the writer, type really used, the values these bytes mean)."""
    block = gguf.GGML_QUANT_SIZES[kind][0]
    if w.ndim == 1:
        kind = T.F32
    elif w.shape[1] % block:
        kind = T.F16
    if kind in K_SCALES:
        data = random_k_blocks(kind, w.shape, float(w.std()), rng)
    else:
        data = gguf.quants.quantize(w, kind)
    return data, kind, gguf.quants.dequantize(data, kind).reshape(w.shape)


def gguf_name(name):
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    if name == "lm_head.weight":
        return "output.weight"
    _, _, layer, rest = name.split(".", 3)
    stem, suffix = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[stem]}.{suffix}"


def add_metadata(w, case, config):
    a = case["family"]
    w.add_name("tiny")
    w.add_uint32(f"{a}.vocab_size", config.vocab_size)
    w.add_context_length(config.max_position_embeddings)
    w.add_embedding_length(config.hidden_size)
    w.add_block_count(config.num_hidden_layers)
    w.add_feed_forward_length(config.intermediate_size)
    w.add_head_count(config.num_attention_heads)
    w.add_head_count_kv(config.num_key_value_heads)
    w.add_layer_norm_rms_eps(config.rms_norm_eps)
    head_dim = case["config"]["head_dim"]
    w.add_key_length(head_dim)
    w.add_value_length(head_dim)
    w.add_rope_dimension_count(head_dim)
    rope = config.rope_parameters
    w.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        w.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        w.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    w.add_bos_token_id(config.bos_token_id)
    w.add_eos_token_id(config.eos_token_id)
    w.add_chat_template(tiny_tokenizer.TEMPLATE)
    if case.get("tokenizer") == "llama":
        tokens, scores, types = tiny_tokenizer.spm_tokens()
        w.add_tokenizer_model("llama")
        w.add_token_list(tokens)
        w.add_token_scores(scores)
        w.add_token_types(types)
        w.add_unk_token_id(0)
        w.add_add_bos_token(True)
        return
    tokens = tiny_tokenizer.bpe_tokens()
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(case.get("pre", "gpt-2"))
    w.add_token_list(tokens)
    w.add_token_types([1] * (VOCAB - 8) + [3] * 8)
    w.add_token_merges(tiny_tokenizer.MERGES)
    w.add_pad_token_id(VOCAB - 6)
    w.add_add_bos_token(False)


def kind_of(case, name):
    if not case.get("mixed"):
        return T[case["kind"]]
    # as the mixtures of real files: some tensors finer than the rest, the head finest
    if name == "output.weight":
        return T.Q8_0
    if ".attn_v." in name or ".ffn_down." in name:
        return T.Q5_1
    return T.BF16 if name == "token_embd.weight" else T.Q4_0


def write_file(path, case, seed):
    """Write the file; returns (config, state dict of fp32 tensors under Hugging Face names)."""
    rng = np.random.default_rng(seed)
    config = AutoConfig.for_model(case["family"], **copy.deepcopy(case["config"]))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    oracle.randomize(model, seed)
    writer = gguf.GGUFWriter(path, case["family"])
    if case.get("alignment"):
        writer.add_custom_alignment(case["alignment"])
    add_metadata(writer, case, config)
    state = {}
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, p in model.named_parameters():
        target = gguf_name(name)
        stem = target.split(".")[-2]
        w = p.detach().numpy().astype(np.float32)
        turn = heads.get(stem) if case["family"] == "llama" else None
        data, kind, meant = encode(permute(w, turn) if turn else w, kind_of(case, target), rng)
        writer.add_tensor(target, data, raw_dtype=kind)
        state[name] = torch.from_numpy((unpermute(meant, turn) if turn else meant).astype(np.float32).copy())
    if case.get("rope_freqs"):
        plain = 1.0 / (10000.0 ** (torch.arange(0, 16, 2, dtype=torch.float) / 16))
        factors = (plain / model.model.rotary_emb.inv_freq).numpy().astype(np.float32)
        writer.add_tensor("rope_freqs.weight", factors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if case.get("version"):
        with open(path, "r+b") as f:
            f.seek(4)
            f.write(struct.pack("<I", case["version"]))
    return config, state


def reference(config, state, attn):
    model = AutoModelForCausalLM.from_config(copy.deepcopy(config), dtype=torch.float32, attn_implementation=attn)
    return oracle.fill(model, dict(state), "")


def loader_agrees(path, prompt, logits):
    """How far transformers' own GGUF loader is from the reference weights; None where it cannot read the file."""
    try:
        model = AutoModelForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path),
                                                     dtype=torch.float32).eval()
        return oracle.relative(oracle.logits_of(lambda: model, prompt), logits)
    except Exception as e:
        return f"{type(e).__name__}: {str(e)[:60]}"


def build(out, name, case):
    folder = os.path.join(out, name)
    path = os.path.join(folder, "model.gguf")
    for attempt in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        seed = case.get("seed", 1) + 100 * attempt
        try:
            config, state = write_file(path, case, seed)
            base = reference(config, state, "eager")
            make = lambda: copy.deepcopy(base)
            want = (lambda ids: len(ids) == 24 and len(set(ids)) >= 4) if case["kind"].endswith("_K") else None
            if case.get("want") == "any":
                want = lambda ids: True
            prompt, ids, gap = oracle.choose_prompt(make, case.get("prompt", 12), VOCAB, 24, seed=seed, want=want)
            break
        except oracle.Unsuitable as e:
            print(f"{name}: seed {seed}: {e}")
    else:
        raise RuntimeError("no suitable seed")
    logits = oracle.logits_of(make, prompt)
    agree = oracle.relative(oracle.logits_of(lambda: reference(config, state, "sdpa"), prompt), logits)
    if agree > 1e-5:
        raise RuntimeError(f"eager and sdpa differ by {agree}")
    np.save(os.path.join(folder, "logits.npy"), logits)
    oracle.write_ids(os.path.join(folder, "golden.json"),
                     {"name": name, "model": "model.gguf", "prompt": prompt, "logits": "logits.npy", "tolerance": 1e-4,
                      "max_new_tokens": 24, "eos_token_id": 1, "forced_eos_token_id": 1, "greedy_ids": ids,
                      "min_gap": round(gap, 5)})
    loader = loader_agrees(path, prompt, logits)
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:28s} {size // 1024:4d} KB  eager-sdpa {agree:.1e}  gap {gap:.3f}  distinct {len(set(ids))}  "
          f"transformers' loader {loader if isinstance(loader, str) else format(loader, '.1e')}", flush=True)
