# SPDX-License-Identifier: MIT
"""What the golden makers share: random weights, the reference's forward pass and its greedy loop.

Everything here runs transformers on the CPU in fp32. A 4-bit checkpoint is first turned into plain fp32
weights by the flat rule (element i of the flattened matrix belongs to block i / blocksize), because
bitsandbytes itself repacks such weights to bf16 on some processors and mis-scales rows whose length is no
multiple of the block size on others. LLM.int8 has no such detour: its arithmetic is part of the format, so
bitsandbytes runs it.
"""
import json
import logging
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import torch
import transformers
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

torch.set_num_threads(2)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

EOS = 1
NF4 = np.array([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
    0.7229568362236023, 1.0], dtype=np.float32)
FP4 = np.array([0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3], dtype=np.float32) / np.float32(12)


class Unsuitable(Exception):
    """This seed gives no model whose answers are decided clearly; another one may."""


# ---------------------------------------------------------------- weights

def randomize(model, seed, head_gain=3.0, qk_gain=1.6, embed_gain=None):
    """Fill a model with weights that make attention peaked and logits spread over several units."""
    g = torch.Generator().manual_seed(seed)
    tied = bool(model.config.tie_word_embeddings)
    if embed_gain is None:
        embed_gain = head_gain / model.config.hidden_size ** 0.5 if tied else 1.0
    with torch.no_grad():
        for name, p in model.named_parameters():
            r = torch.randn(p.shape, generator=g)
            if name.endswith("embed_tokens.weight"):
                p.copy_(r * embed_gain)
            elif name.endswith("bias"):
                p.copy_(r * 0.3)
            elif p.dim() == 1:
                p.copy_(1.0 + 0.3 * r.clamp(-2.5, 2.5))
            elif "lm_head" in name:
                p.copy_(r * head_gain / p.shape[1] ** 0.5)
            elif "q_proj" in name or "k_proj" in name:
                p.copy_(r * qk_gain / p.shape[1] ** 0.5)
            else:
                p.copy_(r / p.shape[1] ** 0.5)


def new_model(family, seed, dtype=torch.bfloat16, gains=None, **kwargs):
    """A random model of a family, its weights rounded to dtype."""
    config = AutoConfig.for_model(family, **kwargs)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomize(model, seed, **(gains or {}))
    model.config.dtype = dtype
    return model.to(dtype).eval()


# ---------------------------------------------------------------- bitsandbytes, by the flat rule

def dequantize_4bit(codes, absmax, table, blocksize, shape):
    """codes: packed u8, high nibble first; absmax: fp32 per block; returns fp32 of the given shape."""
    packed = np.asarray(codes, dtype=np.uint8).reshape(-1)
    n = int(np.prod(shape))
    nibbles = np.empty(packed.size * 2, dtype=np.uint8)
    nibbles[0::2] = packed >> 4
    nibbles[1::2] = packed & 15
    scale = np.asarray(absmax, dtype=np.float32)[np.arange(n) // blocksize]
    return (table[nibbles[:n]] * scale).reshape(shape)


def denest(absmax_u8, code, nested_absmax, nested_blocksize, offset):
    block = np.arange(absmax_u8.size) // nested_blocksize
    product = code[absmax_u8] * nested_absmax[block]
    return product + np.float32(offset)


def raw_bytes(tensor):
    return tensor.contiguous().view(torch.uint8).reshape(-1).numpy()


def dequantized_state(folder):
    """Every tensor of a 4-bit folder as fp32, quantized ones by the flat rule."""
    tensors = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            with safe_open(os.path.join(folder, name), framework="pt") as f:
                for key in f.keys():
                    tensors[key] = f.get_tensor(key)
    marker = ".quant_state.bitsandbytes__"
    state = {}
    quantized = {}
    for key, value in tensors.items():
        if marker in key:
            quantized[key.split(marker)[0]] = json.loads(bytes(value.numpy().tobytes()))
    for key, value in tensors.items():
        base = key[:key.index(".weight.") + 7] if ".weight." in key else key
        if base in quantized:
            continue
        state[key] = value.float()
    for key, q in quantized.items():
        absmax = tensors[key + ".absmax"].numpy()
        if "nested_blocksize" in q:
            absmax = denest(absmax, tensors[key + ".nested_quant_map"].numpy(), tensors[key + ".nested_absmax"].numpy(),
                            q["nested_blocksize"], q["nested_offset"])
        table = NF4 if q["quant_type"] == "nf4" else FP4
        n = int(np.prod(q["shape"]))
        codes = raw_bytes(tensors[key])[:(n + 1) // 2]
        state[key] = torch.from_numpy(dequantize_4bit(codes, absmax, table, q["blocksize"], q["shape"]))
    return state


# ---------------------------------------------------------------- running the reference

def load_fp32(folder, attn):
    """The reference model of a folder in fp32; 4-bit folders become plain fp32 models."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        quant = json.load(f).get("quantization_config")
    if not quant:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attn).eval()
    if quant.get("load_in_8bit") or quant.get("_load_in_8bit"):
        # transformers ignores the dtype asked for here and keeps the stored one: widen what is not quantized
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attn)
        for p in model.parameters():
            if p.is_floating_point():
                p.data = p.data.float()
        return model.eval()
    config = AutoConfig.from_pretrained(folder)
    del config.quantization_config
    config.dtype = torch.float32
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=attn)
    return fill(model, dequantized_state(folder), folder)


def fill(model, state, folder):
    """Put named fp32 tensors into a model; a missing one must be a tied head."""
    state = {k: v for k, v in state.items() if not k.endswith("rotary_emb.inv_freq")}
    missing, unexpected = model.load_state_dict(state, strict=False)
    missing = [k for k in missing if not (k == "lm_head.weight" and model.config.tie_word_embeddings)]
    if missing or unexpected:
        raise RuntimeError(f"missing {missing}, unexpected {unexpected} in {folder}")
    model.tie_weights()
    path = os.path.join(folder, "generation_config.json") if os.path.isdir(folder) else None
    if path and os.path.exists(path):
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()


def logits_of(make, ids):
    """Teacher-forced logits [n_tokens, n_vocab] in one pass of a fresh model (RoPE state is per model)."""
    with torch.no_grad():
        return make()(torch.tensor([ids])).logits[0].float().numpy()


def greedy_of(make, ids, max_new_tokens, eos=EOS, forced_eos=EOS, cache=True):
    """The benchmark's generate() call. Returns the new ids and, per step, the gap of the two best scores."""
    config = GenerationConfig(use_cache=cache, forced_eos_token_id=forced_eos, eos_token_id=eos,
                              max_new_tokens=max_new_tokens, do_sample=False)
    config.return_dict_in_generate = True
    config.output_scores = True
    prompt = torch.tensor([ids])
    with torch.no_grad():
        out = make().generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=config)
    gaps = []
    for score in out.scores:
        best = torch.topk(score[0].double(), 2).values
        gaps.append(float(best[0] - best[1]))
    return out.sequences[0, len(ids):].tolist(), gaps


def relative(a, b):
    """||a - b|| / ||b||, the measure of every tolerance."""
    a = np.asarray(a, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


# ---------------------------------------------------------------- writing

def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=1, ensure_ascii=False, separators=(",", ": "))
        f.write("\n")


def write_ids(path, value):
    """As write_json, with lists of numbers on one line."""
    lines = []
    for key, item in value.items():
        lines.append(f" {json.dumps(key)}: {json.dumps(item, ensure_ascii=False)}")
    with open(path, "w", encoding="utf-8") as f:
        f.write("{\n" + ",\n".join(lines) + "\n}\n")


def seeded_prompt(seed, length, vocab):
    r = np.random.default_rng(seed)
    return [int(x) for x in r.integers(2, vocab, size=length)]


def choose_prompt(make, length, vocab, max_new_tokens, want=None, tries=48, min_gap=0.02, seed=0, make_other=None):
    """A prompt whose greedy continuation is decided clearly at each step and is not one repeated token.

    want(ids) may ask for more (an early id 1, for instance). make_other, a second attention implementation,
    must give the same ids.
    """
    best = None
    for k in range(tries):
        prompt = seeded_prompt(seed * 1000 + k, length, vocab)
        ids, gaps = greedy_of(make, prompt, max_new_tokens)
        gap = min(gaps)
        ok = want(ids) if want else (len(ids) == max_new_tokens and len(set(ids)) >= min(8, max_new_tokens // 3))
        if not ok or gap < min_gap:
            continue
        if make_other is not None and greedy_of(make_other, prompt, max_new_tokens)[0] != ids:
            continue
        if best is None or gap > best[2]:
            best = (prompt, ids, gap)
        if k >= 5 and best:
            break
    if best is None:
        raise Unsuitable("no prompt with a clear continuation")
    return best
