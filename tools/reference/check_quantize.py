# SPDX-License-Identifier: MIT
"""Holds a folder that `inferbench quantize` wrote against bitsandbytes' own quantization of the same weights.

    check_quantize.py SRC DST [--blocksize 64] [--quant nf4] [--double-quant] [--ids 1,2,3]

SRC is the Hugging Face folder or the GGUF file that was quantized, DST the result. For every quantized matrix:
codes and (plain) absmax bit for bit; the JSON of the quant state; with double quantization the offset within one
unit in the last place of torch's mean, and, given DST's own offset, nested bytes and nested absmax bit for bit
against bitsandbytes' default operation, with the number of bytes in which its CPU operation differs. Weights of a
GGUF file are first rounded to the dtype that DST's config.json names. Then the
set of quantized modules, the tensors that stay as they are, config.json, and loading with transformers.
"""
import argparse
import json
import os
import sys

import numpy as np
import torch

import oracle

import bitsandbytes.functional as F
from safetensors import safe_open
from torch._C import DispatchKey, DispatchKeySet
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

MARKER = ".quant_state.bitsandbytes__"
DEFAULT = DispatchKeySet(DispatchKey.CompositeExplicitAutograd)


def read_folder(folder):
    tensors = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            with safe_open(os.path.join(folder, name), framework="pt") as f:
                for key in f.keys():
                    tensors[key] = f.get_tensor(key)
    return tensors


def read_source(path):
    """Tensors under Hugging Face names; those of a GGUF file dequantized to fp32."""
    if os.path.isdir(path):
        return read_folder(path)
    import gguf
    from tiny_gguf import NAMES, unpermute
    reader = gguf.GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()
    heads = reader.fields[arch + ".attention.head_count"].contents()
    kv = reader.fields.get(arch + ".attention.head_count_kv")
    turn = {"attn_q": heads, "attn_k": kv.contents() if kv else heads} if arch == "llama" else {}
    back = {v: k for k, v in NAMES.items()}
    top = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
    state = {}
    for t in reader.tensors:
        if t.name == "rope_freqs.weight":
            continue
        w = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).reshape([int(x) for x in t.shape][::-1])
        stem, suffix = t.name.split(".")[-2:]
        w = unpermute(w, turn[stem]) if stem in turn else w
        layer = t.name.split(".")[1]
        name = f"{top[stem]}.{suffix}" if stem in top else f"model.layers.{layer}.{back[stem]}.{suffix}"
        state[name] = torch.from_numpy(w.copy())
    return state


def ulps(a, b):
    x, y = (int(np.float32(v).view(np.int32)) for v in (a, b))
    return abs(x - y)


class Tally:
    def __init__(self):
        self.failures = []
        self.matrices = self.elements = self.code_bytes = self.nested_bytes = self.cpu_other = self.cpu_far = 0
        self.worst_offset = 0

    def expect(self, ok, text):
        if not ok:
            self.failures.append(text)
            print("FAIL", text, flush=True)


def check_state_json(tally, key, blob, want, nested):
    for name in ("quant_type", "blocksize", "dtype", "shape"):
        tally.expect(blob.get(name) == want.get(name), f"{key}: {name} {blob.get(name)}, expected {want.get(name)}")
    names = list(want)
    tally.expect(list(blob) == names, f"{key}: keys {list(blob)}, expected {names}")
    if nested:
        tally.expect(blob["nested_blocksize"] == 256 and blob["nested_dtype"] == "float32", f"{key}: nested fields")


def check_matrix(tally, key, dst, source, quant, blocksize, double):
    stat = lambda name: dst.get(f"{key}.{name}")
    suffix = "quant_state.bitsandbytes__" + quant
    blob = json.loads(bytes(stat(suffix).numpy().tobytes()))
    codes, state = F.quantize_4bit(source, blocksize=blocksize, quant_type=quant, compress_statistics=False)
    nested_state = F.quantize_4bit(source, blocksize=blocksize, quant_type=quant, compress_statistics=double)[1]
    packed = nested_state.as_dict(packed=True)
    want = json.loads(bytes(packed[suffix].numpy().tobytes()))
    check_state_json(tally, key, blob, want, double)
    mine = dst[key]
    tally.expect(mine.shape == codes.shape and mine.dtype == codes.dtype, f"{key}: {mine.dtype} {tuple(mine.shape)}")
    if mine.shape == codes.shape:
        n = int((mine != codes).sum())
        tally.expect(n == 0, f"{key}: {n} of {codes.numel()} code bytes differ")
    tally.expect(torch.equal(stat("quant_map"), packed["quant_map"]), f"{key}: quant_map differs")
    absmax = state.absmax
    if not double:
        tally.expect(torch.equal(stat("absmax"), absmax), f"{key}: absmax differs")
        tally.expect(stat("nested_absmax") is None, f"{key}: nested tensors without double quantization")
    else:
        check_nested(tally, key, stat, absmax, blob, packed)
    tally.matrices += 1
    tally.elements += source.numel()
    tally.code_bytes += codes.numel()


def check_nested(tally, key, stat, absmax, blob, packed):
    offset = np.float32(blob["nested_offset"])
    away = ulps(offset, absmax.mean().item())
    tally.worst_offset = max(tally.worst_offset, away)
    tally.expect(away <= 1, f"{key}: offset {offset!r} is {away} ulp from torch's mean")
    tally.expect(float(offset) == blob["nested_offset"], f"{key}: offset is no float32")
    code = stat("nested_quant_map")
    tally.expect(torch.equal(code, packed["nested_quant_map"]), f"{key}: nested_quant_map differs")
    op = torch.ops.bitsandbytes.quantize_blockwise.default
    shifted = absmax - torch.tensor(offset)
    want, want_absmax = op.redispatch(DEFAULT, shifted, packed["nested_quant_map"], 256)
    cpu, _ = op(shifted, packed["nested_quant_map"], 256)
    mine = stat("absmax")
    n = int((mine != want).sum()) if mine.shape == want.shape else -1
    tally.expect(n == 0, f"{key}: {n} nested bytes differ from the default operation")
    tally.expect(torch.equal(stat("nested_absmax"), want_absmax), f"{key}: nested_absmax differs")
    tally.nested_bytes += want.numel()
    if mine.shape == cpu.shape:
        # the CPU operation first rounds to a grid of 65536 steps, coarser than the codes next to zero
        tally.cpu_other += int((mine != cpu).sum())
        tally.cpu_far += int(((mine.int() - cpu.int()).abs() > 1).sum())


def check_rest(tally, dst, source, quantized):
    for name, value in source.items():
        if name in quantized or name.endswith("rotary_emb.inv_freq"):
            continue
        tally.expect(name in dst, f"{name} is missing")
        if name in dst:
            tally.expect(dst[name].shape == value.shape, f"{name}: shape {tuple(dst[name].shape)}")
            same = torch.equal(dst[name].float(), value.to(dst[name].dtype).float())
            tally.expect(same, f"{name}: values changed")
    known = set(source) | {k for q in quantized for k in dst if k.startswith(q)}
    tally.expect(set(dst) <= known, f"unexpected tensors {sorted(set(dst) - known)[:5]}")


def check_load(tally, folder, ids, double, whole):
    """transformers + bitsandbytes load the folder and answer as the flat rule says."""
    from make_smollm2 import load_bnb
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        q = json.load(f)["quantization_config"]
    tally.expect(q.get("quant_method") == "bitsandbytes" and q.get("load_in_4bit") is True, "quantization_config")
    tally.expect(q.get("bnb_4bit_use_double_quant") == double, "bnb_4bit_use_double_quant")
    AutoConfig.from_pretrained(folder)
    plain = AutoModelForCausalLM.from_pretrained(folder)
    print(f"transformers loads it: {type(plain).__name__}, {plain.dtype}")
    flat = oracle.logits_of(lambda: oracle.load_fp32(folder, "eager"), ids)
    away = oracle.relative(oracle.logits_of(lambda: load_bnb(folder, torch.float32, packed=False), ids), flat)
    note = "" if whole else " (rows are no multiple of the block size: bitsandbytes may scale them wrongly on a CPU)"
    print(f"logits of bitsandbytes in true fp32: {away:.1e} from the flat rule{note}")
    tally.expect(away < 1e-4 or not whole, "bitsandbytes gives other logits than the flat rule")


def check_tokenizer(tally, src, dst):
    """The tokenizer of SRC came along: same ids, same chat template."""
    if os.path.isdir(src):
        if not os.path.exists(os.path.join(src, "tokenizer.json")):
            return
        old = AutoTokenizer.from_pretrained(src)
    else:
        old = AutoTokenizer.from_pretrained(os.path.dirname(os.path.abspath(src)), gguf_file=os.path.basename(src))
    new = AutoTokenizer.from_pretrained(dst)
    text = "Tell me, O muse,\n of 12 that ingenious  hero's \u00fc\u4e2d\U0001f600"
    tally.expect(old.encode(text, add_special_tokens=False) == new.encode(text, add_special_tokens=False),
                 "the tokenizers give different ids")
    tally.expect(old.chat_template == new.chat_template, "the chat template differs")
    print(f"tokenizer: {len(new)} entries, chat template {'there' if new.chat_template else 'absent'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("src")
    parser.add_argument("dst")
    parser.add_argument("--quant", default="nf4")
    parser.add_argument("--blocksize", type=int, default=64)
    parser.add_argument("--double-quant", action="store_true")
    parser.add_argument("--ids", default="5,17,33,2,9,120,64,7")
    args = parser.parse_args()
    source, dst = read_source(args.src), read_folder(args.dst)
    if not os.path.isdir(args.src):
        # a GGUF file has no dtype of its own: the folder says which one its values were rounded to
        dtype = AutoConfig.from_pretrained(args.dst).dtype
        source = {k: v.to(dtype) for k, v in source.items()}
    tally = Tally()
    quantized = {k.split(MARKER)[0] for k in dst if MARKER in k}
    linear = {k for k, v in source.items() if v.dim() == 2 and "embed_tokens" not in k and k != "lm_head.weight"}
    tally.expect(quantized == linear, f"quantized modules: {sorted(quantized ^ linear)[:6]} differ")
    for key in sorted(quantized & linear):
        check_matrix(tally, key, dst, source[key], args.quant, args.blocksize, args.double_quant)
    check_rest(tally, dst, source, quantized)
    print(f"{tally.matrices} matrices, {tally.elements} weights, {tally.code_bytes} code bytes; nested bytes "
          f"{tally.nested_bytes}, of these {tally.cpu_other} differ from bitsandbytes' CPU operation ({tally.cpu_far} by more "
          f"than one code); offset at most {tally.worst_offset} ulp away")
    whole = all(source[k].shape[1] % args.blocksize == 0 for k in quantized & linear)
    try:
        check_load(tally, args.dst, [int(x) for x in args.ids.split(",")], args.double_quant, whole)
        check_tokenizer(tally, args.src, args.dst)
    except Exception as e:
        tally.expect(False, f"loading with transformers: {type(e).__name__}: {e}")
    print("all equal" if not tally.failures else f"{len(tally.failures)} failures")
    sys.exit(1 if tally.failures else 0)


if __name__ == "__main__":
    main()
