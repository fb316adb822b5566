# SPDX-License-Identifier: MIT
"""What is measured: shapes of models, cases, and which program runs a case on which files."""

# vocabulary, width, inner width, layers, heads, heads of keys and values, head size, positions, rope base, tied
SHAPES = {
    "smollm2": (49152, 576, 1536, 30, 9, 3, 64, 8192, 1e5, True),
    "tinyllama": (32000, 2048, 5632, 22, 32, 4, 64, 2048, 1e4, False),
    "llama-8b": (128256, 4096, 14336, 32, 32, 8, 128, 131072, 5e5, False),
}
FIELDS = ("n_vocab", "d_model", "d_ff", "n_layers", "n_heads", "n_kv_heads", "head_dim", "n_ctx",
          "rope_base", "tied")

# case: shape, prompt ids, new tokens
CASES = {
    "smollm2": ("smollm2", 512, 128),
    "tinyllama": ("tinyllama", 512, 64),
    "tinyllama-bf16": ("tinyllama", 512, 32),
    "llama-8b": ("llama-8b", 512, 24),
}

# case -> rows: (program, label, files of models.py). The first row is what the others are held against.
FOUR_BIT = [
    ("inferbench", "nf4-dq", "nf4-dq"),
    ("inferbench", "Q4_0", "q4_0.gguf"),
    ("llama.cpp", "Q4_0", "q4_0.gguf"),
    ("llama.cpp", "Q4_K_M", "q4_k_m.gguf"),
    ("transformers", "nf4-dq (bitsandbytes)", "nf4-dq"),
    ("openvino", "Q4_0 (GGUF)", "q4_0.gguf"),
    ("onnxruntime", "int4", "onnx-int4"),
]
ROWS = {
    "smollm2": FOUR_BIT,
    "tinyllama": FOUR_BIT,
    "llama-8b": FOUR_BIT,
    "tinyllama-bf16": [
        ("inferbench", "bf16", "bf16"),
        ("llama.cpp", "bf16", "bf16.gguf"),
        ("transformers", "bf16", "bf16"),
        ("openvino", "bf16 (GGUF)", "bf16.gguf"),
        ("onnxruntime", "bf16", None),
    ],
}
WHY_NOT = {("onnxruntime", "bf16"): "its processor kernels have no bf16 products"}
# the int4 builder holds a whole fp32 model in memory
NOT_MADE = {("llama-8b", "onnx-int4"): "its model builder needs more than the 24 GiB of the machine for this shape"}


def shape(name):
    return dict(zip(FIELDS, SHAPES[name]))


def linears(s):
    """(role, rows, columns) of one layer."""
    q, kv = s["n_heads"] * s["head_dim"], s["n_kv_heads"] * s["head_dim"]
    return [("q", q, s["d_model"]), ("k", kv, s["d_model"]), ("v", kv, s["d_model"]),
            ("o", s["d_model"], q), ("gate", s["d_ff"], s["d_model"]),
            ("up", s["d_ff"], s["d_model"]), ("down", s["d_model"], s["d_ff"])]


def prompt(case):
    """The same ids for every program: a linear congruential sequence below the vocabulary, low ids left out."""
    name, n, _ = CASES[case]
    n_vocab, x, ids = SHAPES[name][0], 12345, []
    while len(ids) < n:
        x = (1103515245 * x + 12345) % (1 << 31)
        ids.append(300 + (x >> 8) % (n_vocab - 300))
    return ids
