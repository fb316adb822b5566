#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/golden/model/processors.json: what transformers' logits processors make of random scores.

    python tools/reference/make_processors.py [--out FILE]

Each case: the members of generation_config.json, what the benchmark passes (eos, forced eos, max_new_tokens), the ids
so far, the scores before and after. The list of processors and its order are those that generate() builds for the
merged settings; "-inf" stands for minus infinity.
"""
import argparse
import json
import math
import os
import warnings

import torch
import transformers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

VOCAB = 40


def history(seed, n, vocab=VOCAB):
    return torch.randint(0, vocab, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def cases():
    """name -> settings of the file, n_prompt, all ids so far, and what is passed."""
    h = history(1, 12, 9)  # few different ids: n-grams repeat
    everything = dict(repetition_penalty=1.3, no_repeat_ngram_size=2, suppress_tokens=[3, 39],
                      begin_suppress_tokens=[5], sequence_bias=[[[4], 2.5], [[h[-1], 6], -1.5], [[6], 0.25]],
                      bad_words_ids=[[11], [h[-1], 12], [1]], min_new_tokens=4)
    yield "nothing", {}, 4, h, {}
    for p in (1.1, 0.7, 2.0):
        yield f"repetition_{p}", dict(repetition_penalty=p), 4, h, {}
    for n in (1, 2, 3, 12, 13):
        yield f"ngram_{n}", dict(no_repeat_ngram_size=n), 4, h, {}
    yield "bias_one", dict(sequence_bias=[[[7], 1.5], [[8], -2.25]]), 4, h, {}
    yield "bias_longer", dict(sequence_bias=[[[h[-2], h[-1], 7], 1.5], [[h[-1], 7], 0.7], [[7], 0.1],
                                             [[0, 7], 9.0]]), 4, h, {}
    yield "bias_too_long", dict(sequence_bias=[[list(range(10, 24)), 3.0]]), 4, h, {}
    yield "bias_twice", dict(sequence_bias=[[[7], 1.5], [[7], 2.5]]), 4, h, {}
    yield "bad_words", dict(bad_words_ids=[[2], [h[-1], 3], [h[-2], 4], [1]]), 4, h, {}
    yield "bad_words_and_bias", dict(bad_words_ids=[[2]], sequence_bias=[[[2], 4.0]]), 4, h, {}
    yield "min_length_before", dict(min_length=13), 4, h, {}
    yield "min_length_reached", dict(min_length=12), 4, h, {}
    yield "min_new_tokens_before", dict(min_new_tokens=9), 4, h, {}
    yield "min_new_tokens_reached", dict(min_new_tokens=8), 4, h, {}
    yield "min_new_tokens_wins", dict(min_new_tokens=2, min_length=100), 4, h, {}
    yield "suppress", dict(suppress_tokens=[0, 2, 17, 39]), 4, h, {}
    yield "begin_suppress_now", dict(begin_suppress_tokens=[0, 17]), 12, h, {}
    yield "begin_suppress_later", dict(begin_suppress_tokens=[0, 17]), 11, h, {}
    yield "forced_bos", dict(forced_bos_token_id=23), 1, h[:1], {}
    yield "forced_bos_later", dict(forced_bos_token_id=23), 2, h[:2], {}
    yield "forced_bos_begin_suppress", dict(forced_bos_token_id=23, begin_suppress_tokens=[5]), 1, h[:2], {}
    yield "forced_eos", {}, 4, h, dict(max_new_tokens=9)
    yield "forced_eos_not_yet", {}, 4, h, dict(max_new_tokens=10)
    yield "forced_eos_banned", dict(bad_words_ids=[[h[-1], 1]]), 4, h, dict(max_new_tokens=9)
    yield "forced_eos_other", dict(suppress_tokens=[1, 2]), 4, h, dict(max_new_tokens=9, forced_eos_token_id=7)
    yield "everything", everything, 4, h, {}
    yield "everything_first", everything, 12, h, {}
    yield "everything_last", everything, 4, h, dict(max_new_tokens=9)


def run(model, settings, n_prompt, ids, passed, seed):
    passed = dict(dict(max_new_tokens=256, eos_token_id=1, forced_eos_token_id=1, do_sample=False), **passed)
    config = GenerationConfig(**passed)
    config.update(**settings, defaults_only=True)
    config.update(**GenerationConfig._get_default_generation_params(), defaults_only=True)
    config.max_length = n_prompt + config.max_new_tokens
    if config.min_new_tokens is not None:
        config.min_length = n_prompt + config.min_new_tokens
    config._eos_token_tensor = torch.tensor([config.eos_token_id])
    prompt = torch.tensor([ids[:n_prompt]])
    processors = model._get_logits_processor(config, input_ids_seq_length=n_prompt, encoder_input_ids=prompt,
                                             device="cpu", model_kwargs={})
    before = torch.randn(1, VOCAB, generator=torch.Generator().manual_seed(seed)) * 3
    after = processors(torch.tensor([ids]), before.clone())
    return passed, before[0].tolist(), after[0].tolist()


def main():
    warnings.simplefilter("ignore")
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default=os.path.join(here, "../../tests/golden/model/processors.json"))
    args = parser.parse_args()
    model = LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                                         num_attention_heads=2))
    entries = []
    for seed, (name, settings, n_prompt, ids, passed) in enumerate(cases()):
        passed, before, after = run(model, json.loads(json.dumps(settings)), n_prompt, ids, passed, seed)
        entries.append({"name": name, "settings": settings, "n_prompt": n_prompt, "ids": ids, "passed": passed,
                        "before": before, "after": ["-inf" if math.isinf(x) else x for x in after]})
    os.makedirs(os.path.dirname(args.out), exist_ok=True)
    with open(args.out, "w", encoding="utf-8") as f:
        f.write('{"made_with": %s,\n "cases": [\n' % json.dumps(
            f"transformers {transformers.__version__}, torch {torch.__version__}"))
        f.write(",\n".join(json.dumps(e) for e in entries) + "\n]}\n")


if __name__ == "__main__":
    main()
