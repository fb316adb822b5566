#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/golden/model/rope.json: what transformers' LlamaRotaryEmbedding answers for every RoPE scaling.

    python tools/reference/make_rope.py [--out FILE]

Each case: the members of config.json (as a file would have them), and calls: a call has the positions of one forward
pass (0 .. length - 1), the inverse frequencies in force after it, and rows of cosines and sines of some positions.
Calls of one case that start a new sequence use a new module, as a new process would.
"""
import argparse
import json
import os
import warnings

import torch
import transformers
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

BASE = dict(model_type="llama", vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=1,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, torch_dtype="float32",
            bos_token_id=0, eos_token_id=1)
SHORT = [1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.7, 2.0]
LONG = [1.0, 1.5, 2.0, 3.5, 5.0, 8.0, 13.0, 21.0]
ROWS = (0, 1, 2, 7, 31, 100, 255, 1000)


def cases():
    c = {}

    def old(name, lengths=(1, 40), beside=None, **scaling):
        c[name] = (dict(BASE, rope_scaling=scaling or None, **(beside or {})), lengths)

    def new(name, lengths=(1, 40), beside=None, **parameters):
        c[name] = (dict(BASE, rope_parameters=parameters, **(beside or {})), lengths)

    old("plain")
    old("theta_beside", beside={"rope_theta": 500000.0})
    new("theta_inside", rope_type="default", rope_theta=777.0)
    old("large_head", beside={"head_dim": 128, "rope_theta": 1000000.0}, lengths=(1, 300))
    old("linear_4x", rope_type="linear", factor=2.5)
    old("linear_legacy", type="linear", factor=4)
    new("linear_5x", rope_type="linear", factor=8.0, rope_theta=20000.0)
    old("dynamic", rope_type="dynamic", factor=3.0, beside={"max_position_embeddings": 32},
        lengths=(1, 31, 32, 33, 34, 300))
    old("dynamic_theta", type="dynamic", factor=1.7, lengths=(16, 17, 1001),
        beside={"max_position_embeddings": 16, "rope_theta": 50000.0})
    old("llama3", rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=64, beside={"rope_theta": 500000.0}, lengths=(1, 1001))
    old("llama31_8b", rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=8192, lengths=(1, 1001),
        beside={"rope_theta": 500000.0, "head_dim": 128, "max_position_embeddings": 131072})
    old("llama32_1b", rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=8192, lengths=(1, 1001),
        beside={"rope_theta": 500000.0, "head_dim": 64, "max_position_embeddings": 131072})
    yarn = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64)
    old("yarn", **yarn, lengths=(1, 1001))
    old("yarn_beside_wins", **yarn, beside={"original_max_position_embeddings": 32})
    old("yarn_factor_null", rope_type="yarn", factor=None, original_max_position_embeddings=32)
    old("yarn_no_original", rope_type="yarn", factor=4.0)
    old("yarn_attention_factor", **yarn, attention_factor=0.83)
    old("yarn_mscale", **yarn, mscale=0.7, mscale_all_dim=1.3)
    old("yarn_one_mscale", **yarn, mscale=0.7)
    old("yarn_betas", **yarn, beta_fast=8.0, beta_slow=2.0)
    new("yarn_no_truncate", **yarn, truncate=False, beta_fast=8.0, beta_slow=2.0, rope_theta=1000.0)
    old("yarn_small_factor", rope_type="yarn", factor=0.5, original_max_position_embeddings=64)
    old("yarn_singular", rope_type="yarn", factor=4.0, original_max_position_embeddings=2)
    longrope = dict(rope_type="longrope", short_factor=SHORT, long_factor=LONG)
    old("longrope", **longrope, original_max_position_embeddings=32, lengths=(1, 32, 33, 40, 1001))
    old("longrope_beside", **longrope, lengths=(16, 17), beside={"original_max_position_embeddings": 16})
    old("longrope_factor", **longrope, factor=7.0, original_max_position_embeddings=32, lengths=(32, 33))
    old("longrope_attention_factor", **longrope, attention_factor=1.3, original_max_position_embeddings=32)
    old("longrope_no_scaling", **longrope, original_max_position_embeddings=512)
    return c


def calls(config, lengths):
    for length in lengths:
        module = LlamaRotaryEmbedding(LlamaConfig(**config))
        cos, sin = module(torch.zeros(1, dtype=torch.float32), torch.arange(length)[None])
        half = cos.shape[-1] // 2
        rows = {str(p): cos[0, p, :half].tolist() + sin[0, p, :half].tolist() for p in ROWS if p < length}
        yield {"length": length, "inv_freq": module.inv_freq.tolist(), "attention_factor": module.attention_scaling,
               "rows": rows}


def main():
    warnings.simplefilter("ignore")
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=os.path.join(here, "../../tests/golden/model/rope.json"))
    args = parser.parse_args()
    entries = [{"name": name, "config": config, "calls": list(calls(json.loads(json.dumps(config)), lengths))}
               for name, (config, lengths) in cases().items()]
    os.makedirs(os.path.dirname(args.out), exist_ok=True)
    with open(args.out, "w", encoding="utf-8") as f:
        f.write('{"made_with": %s,\n "cases": [\n' % json.dumps(
            f"transformers {transformers.__version__}, torch {torch.__version__}"))
        f.write(",\n".join(json.dumps(e) for e in entries) + "\n]}\n")


if __name__ == "__main__":
    main()
