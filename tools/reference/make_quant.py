#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Golden vectors of the stored number formats, from the packages that define them.

  blocks.bin         random GGUF blocks and their values by gguf.quants
  bnb.bin            fp32 input, and codes and scales by bitsandbytes' device-independent operators
  bnb.safetensors    layers saved by bitsandbytes itself, with "expect.<layer>": their values in fp32

All integers little-endian u32, numbers fp32. Made with: gguf 0.19.0, bitsandbytes 0.50.2, torch 2.15,
safetensors 0.8.0. Usage: make_quant.py [FOLDER]   (default: tests/golden/quant)
"""
import inspect
import os
import struct
import sys

os.environ["OMP_NUM_THREADS"] = "1"  # the order of PyTorch's sums depends on the number of threads

import bitsandbytes as bnb
import bitsandbytes.backends.default.ops as default_ops
import gguf
import numpy as np
import torch
from bitsandbytes.functional import create_dynamic_map
from safetensors.torch import save_file

BLOCK_TYPES = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL MXFP4".split()


def make_blocks(folder):
    rng = np.random.default_rng(20)
    with open(os.path.join(folder, "blocks.bin"), "wb") as out:
        out.write(struct.pack("<I", len(BLOCK_TYPES)))
        for name in BLOCK_TYPES:
            kind = getattr(gguf.GGMLQuantizationType, name)
            elements, size = gguf.GGML_QUANT_SIZES[kind]
            n = 128 // elements or 1
            while True:
                raw = rng.integers(0, 256, n * size, dtype=np.uint8)
                values = gguf.quants.dequantize(raw.copy(), kind).astype("<f4").ravel()
                if np.isfinite(values).all():
                    break
            out.write(name.encode().ljust(8, b"\0"))
            out.write(struct.pack("<II", n, values.size) + raw.tobytes() + values.tobytes())


def default_quantize_blockwise():
    """The operator registered for any device; on a CPU another one hides it."""
    text = inspect.getsource(default_ops)
    start = text.index('@register_kernel("bitsandbytes::quantize_blockwise", "default")')
    body = text[start : text.index("@_try_torch_compile", start)].split("\n", 1)[1]
    scope = {"torch": torch}
    exec(body.replace("def _(", "def quantize(", 1), scope)
    return scope["quantize"]


def inputs():
    rng = np.random.default_rng(21)
    normal = lambda n: rng.standard_normal(n).astype(np.float32)
    edges = [0.0, -0.0, 1, -1, 0.0026041667, -0.0026041667, 1e-30, -1e-30, 0.0859375, 0.29166667, 0.5833333]
    edges += [0.03979014977812767, -0.8480964004993439, 0.8614784181118011, 0.2920137718319893, 0.045525018]
    zeros = normal(200)
    zeros[:128] = 0
    zeros[192:] = 0  # a partial block of zeros
    yield 64, normal(64)
    yield 64, normal(3 * 96)  # blocks cross rows of 96
    yield 32, normal(7 * 9)  # odd number of values
    yield 64, zeros
    yield 64, np.concatenate([np.array(edges, np.float32), np.array(edges, np.float32)[::-1]])
    yield 32, np.resize(np.array(edges, np.float32), 97)
    yield 128, (normal(1) * np.float32(1e-40))
    yield 4096, normal(130)


def make_bnb(folder):
    block = default_quantize_blockwise()
    table = create_dynamic_map()
    cases = [(t, b, x) for t in ("nf4", "fp4") for b, x in inputs()]
    with open(os.path.join(folder, "bnb.bin"), "wb") as out:
        out.write(table.numpy().astype("<f4").tobytes())
        out.write(struct.pack("<I", len(cases)))
        for kind, size, x in cases:
            codes, absmax = torch.ops.bitsandbytes.quantize_4bit.default(
                torch.from_numpy(x), size, kind, torch.uint8
            )
            out.write(struct.pack("<III", kind == "fp4", size, x.size) + x.astype("<f4").tobytes())
            out.write(codes.numpy().tobytes() + absmax.numpy().astype("<f4").tobytes())
        rng = np.random.default_rng(22)
        nested = [np.abs(rng.standard_normal(n)).astype(np.float32) for n in (1, 256, 300, 2000)]
        nested.append(np.full(257, 0.1, np.float32))
        out.write(struct.pack("<I", len(nested)))
        for x in nested:
            offset = torch.from_numpy(x).mean()
            codes, absmax = block(torch.from_numpy(x) - offset, table, 256)
            out.write(struct.pack("<If", x.size, offset.item()) + x.astype("<f4").tobytes())
            out.write(codes.numpy().tobytes() + absmax.numpy().astype("<f4").tobytes())


def linear4(rows, cols, kind, nested, size, storage):
    weight = bnb.nn.Params4bit(
        torch.randn(rows, cols),
        requires_grad=False,
        compress_statistics=nested,
        blocksize=size,
        quant_type=kind,
        quant_storage=storage,
    )
    layer = bnb.nn.Linear4bit(
        cols, rows, bias=False, quant_type=kind, compress_statistics=nested, quant_storage=storage
    )
    layer.weight = weight
    layer = layer.to("cpu")
    state = layer.weight.quant_state
    absmax = state.absmax
    if state.nested:
        scale = state.state2
        index = torch.arange(absmax.numel()) // scale.blocksize
        absmax = scale.code[absmax.long()] * scale.absmax[index] + state.offset
    raw = layer.weight.data.contiguous().view(-1).view(torch.uint8)
    values = default_ops._dequantize_4bit_compute(
        raw, absmax, state.code, size, (rows, cols), torch.float32
    )
    return layer, values


def make_layers(folder):
    torch.manual_seed(23)
    tensors = {}
    layers = [
        (10, 24, "nf4", False, 64, torch.uint8),
        (3, 96, "nf4", True, 64, torch.uint8),
        (7, 9, "fp4", False, 32, torch.uint8),
        (4, 32, "fp4", True, 32, torch.bfloat16),
        (4, 32, "nf4", False, 4096, torch.float16),
        (4, 32, "nf4", True, 32, torch.float32),
    ]
    for i, spec in enumerate(layers):
        layer, values = linear4(*spec)
        for key, value in layer.state_dict().items():
            tensors[f"layer{i}.{key}"] = value.contiguous()
        tensors[f"expect.layer{i}"] = values.contiguous()
    int8 = bnb.nn.Linear8bitLt(16, 6, bias=False, has_fp16_weights=False).to("cpu")
    int8(torch.randn(2, 16).half())
    for key, value in int8.state_dict().items():
        tensors[f"int8.{key}"] = value.contiguous()
    tensors["expect.int8"] = torch.ops.bitsandbytes.int8_vectorwise_dequant.default(
        tensors["int8.weight"], tensors["int8.SCB"]
    ).float()
    save_file(tensors, os.path.join(folder, "bnb.safetensors"))


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    target = sys.argv[1] if len(sys.argv) > 1 else os.path.join(here, "../../tests/golden/quant")
    os.makedirs(target, exist_ok=True)
    make_blocks(target)
    make_bnb(target)
    make_layers(target)
