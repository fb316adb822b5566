# SPDX-License-Identifier: MIT
"""A byte-level BPE vocabulary of 288 entries for the tiny models: 256 bytes, 24 merges, 8 added tokens.

Also the same size of a SentencePiece-like vocabulary with scores, for GGUF files. Both are written down here,
not trained, so they never change.
"""
import json
import os

VOCAB = 288
MERGES = ["Ġ t", "h e", "Ġt he", "i n", "e r", "a n", "o n", "r e", "Ġ a", "e n", "a t", "o r", "e s", "i s", "i t",
          "Ġ s", "an d", "Ġ o", "o u", "in g", "l l", "Ġ w", "e d", "t o"]
SPECIAL = ["<|end|>", "<|start|>", "<|pad|>", "<|bos|>", "<|r5|>", "<|r6|>", "<|r7|>", "<|r8|>"]
TEMPLATE = ("{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}")
PIECES = ["▁", "▁t", "he", "▁the", "in", "er", "an", "on", "e", "t", "a", "o", "i", "n", "s", "r", "h", "l", "d", "u",
          "c", "m", "w", "f", "g", "y", "p", "b", "k"]


def byte_alphabet():
    """The 256 printable stand-ins of byte-level BPE, in the order of their code points."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = [chr(b) for b in keep]
    chars += [chr(256 + i) for i in range(256 - len(keep))]
    return sorted(chars)


def bpe_tokens():
    return byte_alphabet() + [m.replace(" ", "") for m in MERGES] + SPECIAL


def write_tokenizer(folder):
    """tokenizer.json and tokenizer_config.json; about 8 KB."""
    tokens = bpe_tokens()
    first = len(tokens) - len(SPECIAL)
    data = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": first + i, "content": s, "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True} for i, s in enumerate(SPECIAL)],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens[:first])},
                  "merges": [m.split(" ") for m in MERGES]},
    }
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(data, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|bos|>", "eos_token": "<|end|>",
              "pad_token": "<|pad|>", "clean_up_tokenization_spaces": False, "model_max_length": 2048,
              "chat_template": TEMPLATE}
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f, ensure_ascii=False, indent=1)
        f.write("\n")


def spm_tokens():
    """(tokens, scores, types) of a SentencePiece-like vocabulary of the same size."""
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + PIECES
    scores = [0.0] * 259 + [-float(i) - (0.0 if len(p) > 1 else 20.0) for i, p in enumerate(PIECES)]
    types = [2, 3, 3] + [6] * 256 + [1] * len(PIECES)
    return tokens, scores, types
