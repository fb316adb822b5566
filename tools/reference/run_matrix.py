# SPDX-License-Identifier: MIT
"""Runs a program on the tiny models and prints a table: logits within the tolerance, greedy ids equal.

    run_matrix.py BINARY --goldens                 the committed models of tests/golden/models (needs NumPy alone)
    run_matrix.py BINARY --random 30 --seed 100    fresh models: other shapes, other seeds (needs requirements.txt)

Each model is run with eager, sdpa and flash_attention in float32. --keep DIR keeps the fresh models. The exit code
is 1 if anything fails.
"""
import argparse
import json
import os
import random
import sys
import tempfile

import numpy as np

import compare_logits
import program

HERE = os.path.dirname(os.path.abspath(__file__))


# ---------------------------------------------------------------- fresh models

def random_rope(r, head_dim):
    kind = r.choice(["default", "default", "linear", "dynamic", "llama3", "yarn", "yarn", "longrope"])
    p = {"rope_type": kind, "rope_theta": r.choice([300.0, 10000.0, 500000.0])}
    original = r.choice([24, 64, 200])
    if kind in ("linear", "dynamic"):
        p["factor"] = r.choice([1.5, 2.0, 4.0])
    elif kind == "llama3":
        p.update(factor=r.choice([4.0, 8.0, 32.0]), low_freq_factor=1.0, high_freq_factor=r.choice([2.0, 4.0]),
                 original_max_position_embeddings=original)
    elif kind == "yarn":
        p.update(factor=r.choice([2.0, 4.0, 8.0]), original_max_position_embeddings=original)
        p.update(r.choice([{}, {"mscale": 1.0, "mscale_all_dim": 0.5}, {"truncate": False}, {"attention_factor": 1.2},
                           {"beta_fast": 16.0, "beta_slow": 2.0}]))
    elif kind == "longrope":
        p.update(short_factor=[round(1 + 0.1 * i, 2) for i in range(head_dim // 2)],
                 long_factor=[round(1 + 0.6 * i, 2) for i in range(head_dim // 2)],
                 factor=4.0, original_max_position_embeddings=r.choice([4, 2000]))
    return p


def random_quant(r, case):
    """Choose a storage: plain, 4-bit with options, or int8."""
    import torch
    kind = r.choice(["plain", "plain", "nf4", "nf4", "fp4", "int8"])
    case["dtype"] = r.choice([torch.bfloat16, torch.float16, torch.float32])
    if kind == "plain":
        if r.random() < 0.2:
            case["shard"] = "60KB"
        return
    if kind == "int8":
        case["bnb"] = dict(load_in_8bit=True, llm_int8_threshold=r.choice([0.0, 2.5, 6.0]))
        case["outliers"] = True
        case["dtype"] = r.choice([torch.float16, torch.bfloat16])
        return
    case["bnb"] = dict(load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=r.random() < 0.5,
                       bnb_4bit_quant_storage=r.choice(["uint8", "uint8", "bfloat16"]))
    if kind == "nf4" and case["bnb"]["bnb_4bit_quant_storage"] == "uint8" and r.random() < 0.4:
        case["reblock"] = r.choice([32, 128, 512, 2048])


def random_case(number):
    r = random.Random(number)
    family = r.choice(["llama", "llama", "mistral", "qwen2", "qwen3", "smollm3"])
    kv = r.choice([1, 2, 3])
    heads = kv * r.choice([1, 2, 3, 4])
    head_dim = r.choice([8, 16, 18, 24, 32, 40, 64])
    hidden = heads * r.choice([8, 12, 16, 20]) if heads > 1 else r.choice([32, 56, 96])
    config = dict(vocab_size=r.choice([288, 301, 512, 1000]), hidden_size=hidden,
                  intermediate_size=r.choice([33, 64, 100, 160, 224]), num_hidden_layers=r.choice([1, 2, 3, 4]),
                  num_attention_heads=heads, num_key_value_heads=kv, head_dim=head_dim,
                  max_position_embeddings=r.choice([16, 512]), rms_norm_eps=r.choice([1e-5, 1e-6]),
                  tie_word_embeddings=r.random() < 0.35, pad_token_id=None, bos_token_id=0, eos_token_id=2,
                  rope_parameters=random_rope(r, head_dim))
    if config["rope_parameters"]["rope_type"] not in ("dynamic", "default"):
        config["max_position_embeddings"] = 512
    if family in ("llama", "smollm3"):
        config.update(attention_bias=r.random() < 0.3, mlp_bias=r.random() < 0.3)
    if family == "llama":
        config["hidden_act"] = r.choice(["silu", "silu", "silu", "gelu", "gelu_pytorch_tanh"])
    if family == "qwen3":
        config["attention_bias"] = r.random() < 0.3
    if family == "mistral":
        config["sliding_window"] = r.choice([None, 2, 5, 17, 300])
    if family in ("qwen2", "qwen3"):
        config.update(use_sliding_window=r.random() < 0.6, sliding_window=r.choice([3, 9, 30]),
                      max_window_layers=r.choice([0, 1, 2]))
    if family == "smollm3":
        config["no_rope_layers"] = [r.choice([0, 1]) for _ in range(config["num_hidden_layers"])]
        config.update(use_sliding_window=r.random() < 0.5, sliding_window=r.choice([3, 9]))
    case = dict(family=family, config=config, seed=number, prompt=r.choice([1, 2, 13, 31, 70]), want="any", min_gap=0.004)
    random_quant(r, case)
    if case.get("bnb", {}).get("load_in_8bit"):
        # few roundings, so that some seed has none on its edge
        config.update(num_hidden_layers=1, intermediate_size=min(config["intermediate_size"], 100))
        config.pop("no_rope_layers", None)
        case["prompt"] = min(case["prompt"], 13)
    if r.random() < 0.3:
        case["style"] = "4x"
    return f"{number}_{family}", case


def random_gguf(number):
    r = random.Random(number)
    kind = r.choice(["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K",
                     "Q6_K"])
    kv = r.choice([1, 2])
    heads = kv * r.choice([1, 2, 3])
    family = r.choice(["llama", "llama", "qwen2", "qwen3"])
    hidden = 256 if kind.endswith("_K") else r.choice([32, 64, 96])
    hidden = hidden if hidden % heads == 0 else 64 * heads
    if kind.endswith("_K"):
        heads, kv, hidden = 4, 2, r.choice([256, 512])
    config = dict(vocab_size=288, hidden_size=hidden, intermediate_size=r.choice([64, 96, 256]),
                  num_hidden_layers=r.choice([1, 2, 3]), num_attention_heads=heads, num_key_value_heads=kv,
                  head_dim=hidden // heads if family == "qwen2" else r.choice([16, 32, 64]),
                  max_position_embeddings=512, rope_theta=r.choice([10000.0, 100000.0]), rms_norm_eps=1e-5,
                  tie_word_embeddings=r.random() < 0.5, pad_token_id=None, bos_token_id=283, eos_token_id=280)
    case = dict(family=family, kind=kind, config=config, seed=number, want="any", prompt=r.choice([1, 12, 40]),
                pre="qwen2" if family != "llama" else "llama-bpe")
    return f"{number}_gguf_{family}_{kind.lower()}", case


def make_random(out, count, seed):
    import make_models
    import tiny_gguf
    for k in range(count):
        number = seed + k
        maker, (name, case) = (tiny_gguf, random_gguf(number)) if k % 4 == 3 else (make_models, random_case(number))
        try:
            maker.build(out, name, case)
        except Exception as e:
            print(f"{name}: not made: {type(e).__name__}: {str(e)[:150]}", flush=True)
            golden = os.path.join(out, name, "golden.json")
            if os.path.exists(golden):
                os.remove(golden)
    make_models.index(out)


# ---------------------------------------------------------------- the table

def first_difference(a, b):
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def check(binary, folder, row, attentions, extra):
    """Print one line; return the number of failures."""
    with open(os.path.join(folder, row["golden"]), encoding="utf-8") as f:
        golden = json.load(f)
    reference = np.load(os.path.join(folder, row["logits"]))
    model = os.path.join(folder, row["model"])
    cells, bad, values = [], 0, {}
    for attn in attentions:
        try:
            mine = program.logits(binary, model, golden["prompt"], attn, extra=extra)
            values[attn] = mine
            relative = compare_logits.measure(mine, reference)[0] if mine.shape == reference.shape else float("inf")
            ids, _ = program.generate(binary, model, golden["prompt"], golden["max_new_tokens"], attn, extra=extra)
        except (program.Failed, KeyError, IndexError, ValueError) as e:
            cells.append(f"{attn}: {e}")
            bad += 1
            continue
        ok = relative <= row["tolerance"]
        same = ids == golden["greedy_ids"]
        bad += (not ok) + (not same)
        text = f"{relative:.1e}" + ("" if ok else " FAIL")
        text += "" if same else f" ids differ at {first_difference(ids, golden['greedy_ids'])}"
        cells.append(text)
    if len(values) == len(attentions) > 1:
        spread = max(compare_logits.measure(v, values[attentions[0]])[0] for v in values.values())
        if spread > max(1e-5, row["tolerance"] / 10):
            cells.append(f"attentions differ by {spread:.1e} FAIL")
            bad += 1
    print(f"{'ok  ' if not bad else 'FAIL'} {row['name']:32s} " + " | ".join(cells), flush=True)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--goldens", action="store_true")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--keep")
    parser.add_argument("--folder", help="a folder with an INDEX.json made before")
    parser.add_argument("--only", default="")
    parser.add_argument("--attn", default=",".join(program.ATTENTION))
    parser.add_argument("--extra", default="", help="further options for the program, blank-separated")
    args = parser.parse_args()
    attentions = args.attn.split(",")
    failures = rows = 0
    with tempfile.TemporaryDirectory() as temporary:
        folders = [args.folder] if args.folder else []
        if args.goldens:
            folders.append(os.path.join(HERE, "..", "..", "tests", "golden", "models"))
        if args.random:
            fresh = args.keep or temporary
            os.makedirs(fresh, exist_ok=True)
            make_random(fresh, args.random, args.seed)
            folders.append(fresh)
        print("     name".ljust(38) + " | ".join(attentions) + "   (relative difference of the logits)")
        for folder in folders:
            with open(os.path.join(folder, "INDEX.json"), encoding="utf-8") as f:
                index = json.load(f)
            for row in index:
                if args.only and not any(row["name"].startswith(o) for o in args.only.split(",")):
                    continue
                rows += 1
                failures += check(args.binary, folder, row, attentions, args.extra.split()) > 0
    print(f"{rows - failures} of {rows} models pass")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
