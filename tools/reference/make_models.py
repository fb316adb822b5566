# SPDX-License-Identifier: MIT
"""Writes tests/golden/models: tiny random models and what transformers answers to them in fp32.

    python tools/reference/make_models.py [--out DIR] [--only NAME,...]

Each case is a folder (or a .gguf file, see tiny_gguf.py) with golden.json and logits.npy beside it:
golden.json: prompt, greedy ids under the benchmark's generate() call, the smallest top-2 gap among the steps,
tolerance. logits.npy: float32 [n_tokens, n_vocab] of the prompt, all at once. INDEX.json lists the cases.
Every case asserts that eager and sdpa agree, and that a feature which is the point of the case (a RoPE scaling,
a window, ...) really changes the logits.
"""
import argparse
import copy
import json
import os
import shutil

import numpy as np
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

import oracle
import tiny_gguf
from tiny_tokenizer import VOCAB, write_tokenizer

BASE = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, pad_token_id=None, bos_token_id=0, eos_token_id=2)
SMALL = dict(BASE, hidden_size=48, intermediate_size=64, num_attention_heads=3, num_key_value_heads=1,
             tie_word_embeddings=True, rope_theta=10000.0)
TINY = dict(SMALL, hidden_size=32, intermediate_size=48, num_attention_heads=2)
MID = dict(BASE, hidden_size=48, intermediate_size=80, head_dim=16, tie_word_embeddings=True)
LOOSE = dict(TINY, tie_word_embeddings=False)
TOLERANCE = 1e-4


def rope(**kwargs):
    return dict(TINY, rope_parameters=dict(kwargs))


def cases():
    """name -> {family, config, dtype, prompt, new, ...}; `without` names config changes that must matter."""
    bf16, f16, f32 = torch.bfloat16, torch.float16, torch.float32
    none = {"rope_type": "default", "rope_theta": 10000.0}
    c = {}
    c["llama_gqa"] = dict(family="llama", config=BASE, dtype=bf16, style="4x")
    c["llama_mha_f32"] = dict(family="llama", dtype=f32,
                              config=dict(BASE, hidden_size=32, intermediate_size=64, num_attention_heads=4,
                                          num_key_value_heads=None, tie_word_embeddings=True))
    c["llama_mqa_f16"] = dict(family="llama", dtype=f16, config=dict(LOOSE, num_attention_heads=4, head_dim=16,
                                                                      rms_norm_eps=1e-5))
    c["llama_tied"] = dict(family="llama", dtype=bf16, config=MID)
    c["llama_bias"] = dict(family="llama", dtype=bf16, config=dict(LOOSE, attention_bias=True, mlp_bias=True))
    c["llama_head_dim"] = dict(family="llama", dtype=bf16, config=dict(TINY, num_attention_heads=4, num_key_value_heads=2,
                                                                        head_dim=24))
    c["llama_odd"] = dict(family="llama", dtype=f16,
                          config=dict(BASE, vocab_size=VOCAB + 3, hidden_size=36, intermediate_size=53, head_dim=14,
                                      num_attention_heads=3, num_key_value_heads=3, tie_word_embeddings=True))
    c["llama_gelu"] = dict(family="llama", dtype=bf16, config=dict(TINY, hidden_act="gelu"))
    c["llama_gelu_tanh"] = dict(family="llama", dtype=bf16, config=dict(TINY, hidden_act="gelu_pytorch_tanh"))
    c["llama_three_layers"] = dict(family="llama", dtype=bf16, prompt=24, config=dict(TINY, num_hidden_layers=3))
    c["llama_sharded"] = dict(family="llama", dtype=bf16, config=LOOSE, seed=3, shard="30KB")
    c["llama_tied_two_heads"] = dict(family="llama", dtype=bf16, config=TINY, edit="two_heads")
    c["llama_tied_head_only"] = dict(family="llama", dtype=bf16, config=TINY, edit="head_only")

    c["rope_linear"] = dict(family="llama", dtype=bf16, style="4x",
                            config=rope(rope_type="linear", factor=2.5, rope_theta=10000.0), without=none)
    dynamic = rope(rope_type="dynamic", factor=3.0, rope_theta=10000.0)
    c["rope_dynamic_below"] = dict(family="llama", dtype=bf16, config=dynamic)
    c["rope_dynamic_cross"] = dict(family="llama", dtype=bf16, config=dict(dynamic, max_position_embeddings=20),
                                   without=none, effect="greedy")
    c["rope_dynamic_beyond"] = dict(family="llama", dtype=bf16, config=dict(dynamic, max_position_embeddings=12),
                                    prompt=20, without=none)
    c["rope_llama3"] = dict(family="llama", dtype=bf16, without=none, style="4x",
                            config=rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                        original_max_position_embeddings=64, rope_theta=10000.0))
    yarn = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64, rope_theta=10000.0)
    c["rope_yarn"] = dict(family="llama", dtype=bf16, config=rope(**yarn), without=none, style="4x")
    c["rope_yarn_mscale"] = dict(family="llama", dtype=bf16, without=dict(yarn),
                                 config=rope(**yarn, mscale=0.7, mscale_all_dim=1.3))
    c["rope_yarn_no_truncate"] = dict(family="llama", dtype=bf16, without=dict(yarn, beta_fast=8.0, beta_slow=2.0),
                                      config=rope(**yarn, truncate=False, beta_fast=8.0, beta_slow=2.0))
    c["rope_yarn_attention_factor"] = dict(family="llama", dtype=bf16, without=dict(yarn),
                                           config=rope(**yarn, attention_factor=0.8))
    c["rope_yarn_factor_null"] = dict(family="llama", dtype=bf16, without=dict(yarn),
                                      config=dict(rope(**dict(yarn, factor=None)), max_position_embeddings=448))
    short = [1.0, 1.1, 1.2, 1.4, 1.7, 2.0, 2.5, 3.0]
    long = [1.0, 1.5, 2.2, 3.0, 4.5, 6.0, 9.0, 14.0]
    lr = dict(rope_type="longrope", short_factor=short, long_factor=long, rope_theta=10000.0)
    c["rope_longrope_below"] = dict(family="llama", dtype=bf16, without=none,
                                    config=rope(**lr, factor=4.0, original_max_position_embeddings=64))
    c["rope_longrope_above"] = dict(family="llama", dtype=bf16, prompt=20, without=none,
                                    config=rope(**lr, original_max_position_embeddings=16))

    window = dict(LOOSE, num_attention_heads=4, num_key_value_heads=2, head_dim=16)
    c["mistral_window"] = dict(family="mistral", dtype=bf16, prompt=24, config=dict(window, sliding_window=7),
                               without_config=dict(sliding_window=None))
    # not 1: there the reference's cache keeps every key (it slices [-W + 1:]) and decoding sees them all
    c["mistral_window_two"] = dict(family="mistral", dtype=f16, config=dict(TINY, sliding_window=2),
                                   without_config=dict(sliding_window=None))
    c["mistral_null"] = dict(family="mistral", dtype=bf16, config=dict(window, sliding_window=None))
    q2 = dict(LOOSE)
    c["qwen2_bias"] = dict(family="qwen2", dtype=bf16, config=dict(q2, sliding_window=5))
    c["qwen2_max_window_layers"] = dict(family="qwen2", dtype=bf16, prompt=20, without_config=dict(use_sliding_window=False),
                                        config=dict(q2, use_sliding_window=True, sliding_window=5, max_window_layers=1))
    c["qwen2_layer_types"] = dict(family="qwen2", dtype=bf16, prompt=20, without_config=dict(layer_types=None),
                                  config=dict(q2, use_sliding_window=True, sliding_window=6, max_window_layers=1,
                                              layer_types=["sliding_attention", "full_attention"]))
    q3 = dict(LOOSE, num_attention_heads=4, num_key_value_heads=2, head_dim=20)
    c["qwen3"] = dict(family="qwen3", dtype=bf16, seed=2, config=dict(q3, rope_theta=1000000.0), style="4x")
    c["qwen3_bias_window"] = dict(family="qwen3", dtype=f16, prompt=20, without_config=dict(use_sliding_window=False),
                                  config=dict(q3, head_dim=16, attention_bias=True, use_sliding_window=True,
                                              sliding_window=6, max_window_layers=0))
    s3 = dict(TINY, num_hidden_layers=3)
    c["smollm3"] = dict(family="smollm3", dtype=bf16, config=dict(s3, no_rope_layers=[1, 0, 1]), style="4x",
                        without_config=dict(no_rope_layers=[1, 1, 1]))
    c["smollm3_interval"] = dict(family="smollm3", dtype=bf16, prompt=20,
                                 config=dict(s3, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=6,
                                             rope_theta=2000000.0, tie_word_embeddings=False),
                                 without_config=dict(use_sliding_window=False), edit="drop_rope_lists")

    c["gen_repetition_penalty"] = dict(family="llama", dtype=bf16, config=LOOSE, seed=5,
                                       generation=dict(repetition_penalty=1.7))
    c["gen_no_repeat_ngram"] = dict(family="llama", dtype=bf16, config=LOOSE, seed=5,
                                    generation=dict(no_repeat_ngram_size=2))
    c["gen_eos_early"] = dict(family="llama", dtype=bf16, config=LOOSE, seed=6, boost=True, want="early",
                              generation=dict(eos_token_id=[2, 7], do_sample=True, temperature=0.3, top_k=5))
    c["gen_min_new_tokens"] = dict(family="llama", dtype=bf16, config=LOOSE, seed=6, boost=True, min_gap=0.01,
                                   generation=dict(min_new_tokens=12), want="late")
    c["gen_min_length"] = dict(family="llama", dtype=bf16, config=LOOSE, seed=6, boost=True, min_gap=0.01,
                               generation=dict(min_length=22), want="late")
    c["gen_suppress"] = dict(family="llama", dtype=bf16, config=LOOSE, seed=5,
                             generation=dict(suppress_tokens="top", begin_suppress_tokens="first"))
    c["gen_bad_words"] = dict(family="llama", dtype=bf16, config=LOOSE, seed=5, generation=dict(bad_words_ids="seen"))
    c["gen_sequence_bias"] = dict(family="llama", dtype=bf16, config=LOOSE, seed=5,
                                  generation=dict(sequence_bias="seen"))

    nf4 = dict(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    fp4 = dict(load_in_4bit=True, bnb_4bit_quant_type="fp4")
    dq = dict(nf4, bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype="bfloat16")
    c["bnb_nf4"] = dict(family="llama", dtype=bf16, config=dict(SMALL, tie_word_embeddings=False), bnb=nf4)
    c["bnb_fp4"] = dict(family="llama", dtype=f16, config=MID, bnb=fp4)
    c["bnb_nf4_dq"] = dict(family="llama", dtype=bf16, config=MID, bnb=dq)
    c["bnb_fp4_dq"] = dict(family="llama", dtype=bf16, config=TINY, bnb=dict(fp4, bnb_4bit_use_double_quant=True))
    c["bnb_nf4_dq_qwen2"] = dict(family="qwen2", dtype=bf16, config=q2, bnb=dq)
    c["bnb_nf4_qwen3"] = dict(family="qwen3", dtype=bf16, config=q3, bnb=nf4)
    c["bnb_nf4_f32"] = dict(family="llama", dtype=f32, config=SMALL, bnb=nf4)
    c["bnb_nf4_storage_bf16"] = dict(family="llama", dtype=bf16, config=TINY,
                                     bnb=dict(dq, bnb_4bit_quant_storage="bfloat16"))
    c["bnb_nf4_storage_f32"] = dict(family="llama", dtype=bf16, config=TINY,
                                    bnb=dict(nf4, bnb_4bit_quant_storage="float32"))
    c["bnb_nf4_lm_head"] = dict(family="llama", dtype=bf16, config=dict(TINY, tie_word_embeddings=False),
                                bnb=dict(nf4, llm_int8_skip_modules=["nothing"]))
    c["bnb_nf4_skip"] = dict(family="llama", dtype=bf16, config=dict(TINY, tie_word_embeddings=False),
                             bnb=dict(nf4, llm_int8_skip_modules=["lm_head", "down_proj"]))
    c["bnb_nf4_odd"] = dict(family="llama", dtype=bf16, bnb=dq,
                            config=dict(SMALL, hidden_size=72, intermediate_size=101, num_attention_heads=3,
                                        head_dim=18))
    for size in (32, 128, 256, 512, 1024, 2048, 4096):
        c[f"bnb_nf4_block{size}"] = dict(family="llama", dtype=bf16, config=SMALL if size >= 1024 else TINY, reblock=size,
                                         bnb=dict(nf4, bnb_4bit_use_double_quant=size in (32, 256)))
    c["bnb_nf4_sharded"] = dict(family="llama", dtype=bf16, config=TINY, bnb=dq, shard="20KB")
    int8 = dict(load_in_8bit=True)
    c["bnb_int8"] = dict(family="llama", dtype=f16, config=BASE, bnb=dict(int8, llm_int8_threshold=6.0), outliers=True)
    c["bnb_int8_no_threshold"] = dict(family="llama", dtype=f16, config=TINY, bnb=dict(int8, llm_int8_threshold=0.0),
                                      outliers=True)
    c["bnb_int8_bf16_bias"] = dict(family="qwen2", dtype=bf16, config=q2,
                                   bnb=dict(int8, llm_int8_threshold=3.0), outliers=True)
    return c


# ---------------------------------------------------------------- variations of a folder

def to_4x_style(folder):
    """Rewrite config.json as transformers 4.x wrote it; the reference reads both alike."""
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    config["torch_dtype"] = config.pop("dtype")
    parameters = config.pop("rope_parameters")
    config["rope_theta"] = parameters.pop("rope_theta")
    config["rope_scaling"] = None if parameters["rope_type"] == "default" else parameters
    config["transformers_version"] = "4.46.3"
    oracle.write_json(path, config)


def edit_config(folder, drop):
    path = os.path.join(folder, "config.json")
    with open(path, encoding="utf-8") as f:
        config = json.load(f)
    for key in drop:
        config.pop(key, None)
    oracle.write_json(path, config)


def edit_tensors(folder, how):
    """A tied model whose file also (or only) holds lm_head.weight."""
    from safetensors.torch import load_file, save_file
    path = os.path.join(folder, "model.safetensors")
    state = load_file(path)
    if how == "two_heads":
        g = torch.Generator().manual_seed(77)
        state["lm_head.weight"] = (torch.randn(state["model.embed_tokens.weight"].shape, generator=g) * 0.4).to(
            state["model.embed_tokens.weight"].dtype)
    else:
        state["lm_head.weight"] = state.pop("model.embed_tokens.weight")
    save_file(state, path, metadata={"format": "pt"})


def boost_eos(model):
    """Turn output row 1 towards a row that random continuations pick often, so that id 1 comes up by itself."""
    with torch.no_grad():
        w = model.lm_head.weight
        w[oracle.EOS] = w[oracle.EOS] * 1.35


def add_outliers(model):
    """A few channels far above the rest, as large models have them."""
    with torch.no_grad():
        for layer in model.model.layers:
            layer.input_layernorm.weight[3] = 6.0
            layer.post_attention_layernorm.weight[17] = -7.0
            layer.mlp.up_proj.weight[5] *= 6.0


def reblock(folder, size):
    """Quantize the linears of a folder again with another block size; transformers itself only offers 64."""
    import bitsandbytes.functional as F
    from safetensors.torch import load_file, save_file
    path = os.path.join(folder, "model.safetensors")
    state = load_file(path)
    source = load_file(os.path.join(folder, "source.safetensors"))
    marker = ".quant_state.bitsandbytes__nf4"
    for key in [k[:-len(marker)] for k in state if k.endswith(marker)]:
        nested = key + ".nested_absmax" in state
        for name in [k for k in state if k == key or k.startswith(key + ".")]:
            del state[name]
        packed, qs = F.quantize_4bit(source[key], blocksize=size, quant_type="nf4", compress_statistics=nested)
        state[key] = packed
        for name, value in qs.as_dict(packed=True).items():
            state[key + "." + name] = value
    save_file(state, path, metadata={"format": "pt"})


def quantize_folder(folder, bnb, size=None):
    """Load with bitsandbytes, save, replace. The source weights are kept only while they are needed."""
    plain = folder + ".plain"
    shutil.move(folder, plain)
    kwargs = dict(bnb)
    model = AutoModelForCausalLM.from_pretrained(plain, quantization_config=BitsAndBytesConfig(**kwargs))
    model.save_pretrained(folder)
    if size:
        shutil.copy(os.path.join(plain, "model.safetensors"), os.path.join(folder, "source.safetensors"))
        reblock(folder, size)
        os.remove(os.path.join(folder, "source.safetensors"))
    shutil.rmtree(plain)


# ---------------------------------------------------------------- one case

def make_folder(folder, case):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder + ".plain", ignore_errors=True)
    model = oracle.new_model(case["family"], case.get("seed", 1), case["dtype"], case.get("gains"), **case["config"])
    if case.get("boost"):
        boost_eos(model)
    if case.get("outliers"):
        add_outliers(model)
    shard = {"max_shard_size": case["shard"]} if case.get("shard") else {}
    model.save_pretrained(folder, **({} if case.get("bnb") else shard))
    if case.get("style") == "4x":
        to_4x_style(folder)
    edit = case.get("edit")
    if edit in ("two_heads", "head_only"):
        edit_tensors(folder, edit)
    elif edit == "drop_rope_lists":
        edit_config(folder, ["no_rope_layers", "layer_types"])
    if case.get("bnb"):
        quantize_folder(folder, case["bnb"], case.get("reblock"))
        if case.get("shard"):
            shard_folder(folder)
    write_tokenizer(folder)
    if not case.get("generation"):
        path = os.path.join(folder, "generation_config.json")
        if os.path.exists(path) and case["family"] != "llama":
            os.remove(path)


def shard_folder(folder):
    """Split model.safetensors in two by hand, cutting through the tensors of one quantized weight."""
    from safetensors.torch import load_file, save_file
    path = os.path.join(folder, "model.safetensors")
    state = load_file(path)
    names = sorted(state)
    cut = next(i for i, n in enumerate(names) if n.endswith("layers.1.mlp.up_proj.weight.absmax"))
    files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    weight_map = {}
    for file, part in zip(files, (names[:cut], names[cut:])):
        save_file({n: state[n] for n in part}, os.path.join(folder, file), metadata={"format": "pt"})
        weight_map.update({n: file for n in part})
    total = sum(t.numel() * t.element_size() for t in state.values())
    oracle.write_json(os.path.join(folder, "model.safetensors.index.json"),
                      {"metadata": {"total_size": total}, "weight_map": weight_map})
    os.remove(path)


def maker(folder, attn):
    base = oracle.load_fp32(folder, attn)
    return lambda: copy.deepcopy(base)


def stops_early(ids):
    return 5 <= len(ids) <= 15 and ids[-1] == oracle.EOS and len(set(ids)) > 3


def set_generation(folder, fields, case, make_plain, vocab):
    """Write generation_config.json; symbolic values are filled in from the plain continuation."""
    length = case.get("prompt", 12)
    new = case.get("new", 24)
    want = {"late": stops_early, "early": lambda ids: True, "any": lambda ids: True}.get(case.get("want"))
    prompt, ids, _ = oracle.choose_prompt(make_plain, length, vocab, new, seed=case.get("seed", 1), want=want)
    fields = dict(fields)
    common = [i for i in dict.fromkeys(ids) if i != oracle.EOS]
    if fields.get("suppress_tokens") == "top":
        fields["suppress_tokens"] = common[1:4]
        fields["begin_suppress_tokens"] = [ids[0], common[1]]
    if fields.get("bad_words_ids") == "seen":
        fields["bad_words_ids"] = [[common[0]], [common[2], common[3]], [common[4], common[5], common[6]]]
    if fields.get("sequence_bias") == "seen":
        fields["sequence_bias"] = [[[common[1]], -4.5], [[common[2], common[3]], -3.25], [[common[5]], 1.5],
                                   [[common[0], 9], 30.0]]
    config = {"_from_model_config": False, "transformers_version": "5.23.0", "bos_token_id": 0, "eos_token_id": 2}
    config.update(fields)
    oracle.write_json(os.path.join(folder, "generation_config.json"), config)
    return prompt


def int8_tolerance(make, prompt, reference):
    """How far the reference's own logits move when its activations move by one part in a million.

    Rounding to int8 is a step: a last-bit difference before it can become 1/127 after it. The tolerance
    of an int8 case is four times the largest shift of eight such trials, at least the usual one; models with
    a value on the edge of a step are passed over.
    """
    worst = 0.0
    for trial in range(8):
        model = make()
        g = torch.Generator().manual_seed(trial)
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "norm" in name:
                    p.mul_(1.0 + 1e-6 * torch.randn(p.shape, generator=g))
        worst = max(worst, oracle.relative(oracle.logits_of(lambda: model, prompt), reference))
    return max(TOLERANCE, 4.0 * worst), worst


def golden_of(folder, case, vocab):
    make = maker(folder, "eager")
    other = maker(folder, "sdpa")
    length, new = case.get("prompt", 12), case.get("new", 24)
    prompt = None
    if case.get("generation"):
        prompt = set_generation(folder, case["generation"], case, make, vocab)
        plain = oracle.greedy_of(make, prompt, new)[0]
        make = maker(folder, "eager")
        other = maker(folder, "sdpa")
    want = {"early": stops_early, "any": lambda ids: True}.get(case.get("want"))
    if case.get("generation") and want is None:
        ids, gaps = oracle.greedy_of(make, prompt, new)
        gap = min(gaps)
        if gap < 1e-3:
            raise oracle.Unsuitable(f"undecided step, gap {gap}")
        if ids == plain:
            raise oracle.Unsuitable("the generation setting changes nothing")
    else:
        prompt, ids, gap = oracle.choose_prompt(make, length, vocab, new, seed=case.get("seed", 1), want=want,
                                                min_gap=case.get("min_gap", 0.02))
    logits = oracle.logits_of(make, prompt)
    agree = oracle.relative(oracle.logits_of(other, prompt), logits)
    int8 = bool(case.get("bnb", {}).get("load_in_8bit"))
    tolerance, moved = int8_tolerance(make, prompt, logits) if int8 else (TOLERANCE, 0.0)
    if moved > 2e-5:
        raise oracle.Unsuitable(f"an int8 rounding stands on its edge: logits move by {moved:.1e}")
    dynamic = case["config"].get("rope_parameters", {}).get("rope_type") in ("dynamic", "longrope")
    if not int8 and not dynamic and oracle.greedy_of(make, prompt, new, cache=False)[0] != ids:
        raise RuntimeError("the reference's cache changes its ids")
    if oracle.greedy_of(other, prompt, new)[0] != ids:
        raise RuntimeError("eager and sdpa pick different ids")
    if agree > (tolerance if int8 else 1e-5):
        raise RuntimeError(f"eager and sdpa differ by {agree}")
    return dict(prompt=prompt, logits=logits, ids=ids, gap=gap, agree=agree, tolerance=tolerance, moved=moved)


def effect(folder, case, got):
    """Relative change of the logits when the feature of the case is taken away."""
    from transformers import AutoConfig
    change = case.get("without_config") or ({"rope_parameters": dict(case["without"])} if case.get("without") else None)
    if change is None:
        return None
    config = AutoConfig.for_model(case["family"], **dict(case["config"], **change))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    source = oracle.load_fp32(folder, "eager")
    model.load_state_dict(source.state_dict())
    if case.get("effect") == "greedy":
        same = oracle.greedy_of(lambda: model.eval(), got["prompt"], case.get("new", 24))[0] == got["ids"]
        value = 0.0 if same else 1.0
    else:
        value = oracle.relative(oracle.logits_of(lambda: model.eval(), got["prompt"]), got["logits"])
    if value < 100 * TOLERANCE:
        raise oracle.Unsuitable(f"the feature moves the logits by {value} only")
    return value


def write_golden(folder, name, case, got, moved):
    np.save(os.path.join(folder, "logits.npy"), got["logits"].astype(np.float32))
    golden = {"name": name, "prompt": got["prompt"], "logits": "logits.npy", "tolerance": float(f"{got['tolerance']:.3g}"),
              "max_new_tokens": case.get("new", 24), "eos_token_id": 1, "forced_eos_token_id": 1,
              "greedy_ids": got["ids"], "min_gap": round(got["gap"], 5)}
    oracle.write_ids(os.path.join(folder, "golden.json"), golden)


def build(out, name, case):
    folder = os.path.join(out, name)
    vocab = case["config"]["vocab_size"]
    for attempt in range(10):
        trial = dict(case, seed=case.get("seed", 1) + 100 * attempt)
        try:
            make_folder(folder, trial)
            got = golden_of(folder, trial, vocab)
            moved = effect(folder, trial, got)
            break
        except oracle.Unsuitable as e:
            print(f"{name}: seed {trial['seed']}: {e}")
    else:
        raise RuntimeError("no suitable seed")
    write_golden(folder, name, case, got, moved)
    size = sum(os.path.getsize(os.path.join(folder, f)) for f in os.listdir(folder))
    print(f"{name:28s} {size // 1024:4d} KB  eager-sdpa {got['agree']:.1e}  gap {got['gap']:.3f}  new {len(got['ids'])}"
          f"  distinct {len(set(got['ids']))}" + (f"  effect {moved:.2f}" if moved else "")
          + (f"  int8 moves {got['moved']:.1e} tolerance {got['tolerance']:.1e}" if got["moved"] else ""), flush=True)
    return got


def index(out):
    """INDEX.json from what lies in the folder."""
    rows = []
    for name in sorted(os.listdir(out)):
        path = os.path.join(out, name, "golden.json")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as f:
            golden = json.load(f)
        rows.append({"name": name, "model": name + ("/" + golden["model"] if "model" in golden else ""),
                     "golden": f"{name}/golden.json", "logits": f"{name}/logits.npy", "tolerance": golden["tolerance"]})
    with open(os.path.join(out, "INDEX.json"), "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(" " + json.dumps(r) for r in rows) + "\n]\n")
    print(f"{len(rows)} cases")


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.join(here, "..", "..", "tests", "golden", "models"))
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    only = [x for x in args.only.split(",") if x]
    os.makedirs(args.out, exist_ok=True)
    failed = []
    for name, case in cases().items():
        if only and not any(name.startswith(o) for o in only):
            continue
        try:
            build(args.out, name, case)
        except Exception as e:
            failed.append(name)
            print(f"{name:28s} FAILED {type(e).__name__}: {e}", flush=True)
    for name, case in tiny_gguf.cases().items():
        if only and not any(name.startswith(o) for o in only):
            continue
        try:
            tiny_gguf.build(args.out, name, case)
        except Exception as e:
            failed.append(name)
            print(f"{name:28s} FAILED {type(e).__name__}: {e}", flush=True)
    index(args.out)
    if failed:
        raise SystemExit("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
