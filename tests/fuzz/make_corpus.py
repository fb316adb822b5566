#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""First inputs of every fuzz target: small files of each format, made here.

    make_corpus.py FOLDER [--all]     FOLDER/<target>/base_<n>

Without --all the set that is kept in the tree; with it also what the golden data of the tests
holds, to start a long run from. Inputs that were findings (name: found_...) are never touched."""
import hashlib
import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"


def dump(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


# --- model files ---

def st(header, data=b""):
    raw = header if isinstance(header, bytes) else dump(header)
    return struct.pack("<Q", len(raw)) + raw + data


def entry(dtype, shape, begin, end, **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}


def safetensors():
    yield st({}), st({"a": entry("F32", [2, 2], 0, 16)}, bytes(range(16)))
    yield st({"__metadata__": {"format": "pt", "k\u00e9": "v"}, "a.weight": entry("BF16", [2, 3], 0, 12),
              "b": entry("I64", [], 12, 20), "c": entry("F16", [0, 5], 20, 20)}, b"x" * 20),
    yield st({"a": entry("U8", [4], 0, 4), "b": entry("BOOL", [1, 1, 1, 1, 1, 1, 1, 1], 4, 5)}, b"abcde"),
    yield st(b'{"a\\u0041\\ud83d\\ude00":{"shape":[1],"extra":[{"x":[1.5e3,null]}],"dtype":"F64",'
             b'"data_offsets":[0,8]}}   ', b"12345678"),
    yield st({"a": entry("F8_E4M3", [4], 0, 4), "b": entry("F4", [8], 4, 8)}, b"12345678"),
    yield st({"__metadata__": None, "a": entry("U8", [1], 0, 1)}, b"1"),
    yield b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04zip", b"<!DOCTYPE html>"
    for first, second in ((0, 3), (4, 4)):
        yield st({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], first, second + 4)}, b"x" * 8),
    state = dump({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [2, 32]})
    absmax = struct.pack("<f", 0.5)
    table = struct.pack("<16f", *NF4)
    parts = [("m.weight", "U8", [32, 1], bytes(range(32))), ("m.weight.absmax", "F32", [1], absmax),
             ("m.weight.quant_map", "F32", [16], table),
             ("m.weight.quant_state.bitsandbytes__nf4", "U8", [len(state)], state)]
    header, data = {}, b""
    for name, dtype, shape, raw in parts:
        header[name] = entry(dtype, shape, len(data), len(data) + len(raw))
        data += raw
    yield st(header, data),


NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
       -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
       0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
       0.7229568362236023, 1.0]


def index():
    a, b = "a.safetensors", "b.safetensors"
    yield dump({"metadata": {"total_size": 6}, "weight_map": {"a": a, "b": b}}),
    yield dump({"weight_map": {"a": a}}), dump({"weight_map": {}}), dump({"weight_map": {"a": b}})
    yield dump({"metadata": {"total_size": "6"}, "weight_map": {"a": a, "b": "../" + b}}),
    yield dump({"weight_map": {"a": "c.safetensors", "b": b}}), dump({"weight_map": [a]})
    yield dump({"weight_map": {"a": "./a.safetensors", "b": "x/../" + b}}), b"\xef\xbb\xbf{}"


U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
PACK = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q",
        I64: "q", F64: "d"}


def text(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, v):
    return text(v) if kind == STR else struct.pack("<" + PACK[kind], v)


def key(name, kind, v):
    if isinstance(v, list):
        body = struct.pack("<IQ", kind, len(v)) + b"".join(value(kind, x) for x in v)
        return text(name) + struct.pack("<I", ARR) + body
    return text(name) + struct.pack("<I", kind) + value(kind, v)


def gguf_file(keys, tensors, version=3, alignment=32):
    raw = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(keys)
    at, data = 0, b""
    for name, shape, kind, body in tensors:
        raw += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", d) for d in shape)
        raw += struct.pack("<IQ", kind, at)
        body += bytes(-len(body) % alignment)
        at += len(body)
        data += body
    return raw + bytes(-len(raw) % alignment) + data


def llama_keys(arch="llama", **more):
    numbers = {"block_count": 1, "context_length": 64, "embedding_length": 32, "feed_forward_length": 32,
               "attention.head_count": 2, "attention.head_count_kv": 1, "rope.dimension_count": 16}
    return [key("general.architecture", STR, arch), *[key(f"{arch}.{k}", U32, v) for k, v in numbers.items()],
            key(f"{arch}.attention.layer_norm_rms_epsilon", F32, 1e-5), *more.get("keys", [])]


def vocab_keys():
    spm = ["<unk>", "<s>", "</s>", "<0x41>", "\u2581", "a", "b", "\u2581a", "c"]
    bpe = ["a", "b", "c", "ab", "\u0120", "\u0120a", "1", "<s>", "\u010a"]
    yield [key("tokenizer.ggml.model", STR, "llama"), key("tokenizer.ggml.tokens", STR, spm),
           key("tokenizer.ggml.scores", F32, [-float(i) for i in range(len(spm))]),
           key("tokenizer.ggml.token_type", I32, [2, 3, 3, 6, 1, 1, 1, 1, 4]),
           key("tokenizer.ggml.bos_token_id", U32, 1), key("tokenizer.ggml.add_bos_token", BOOL, 1)]
    yield [key("tokenizer.ggml.model", STR, "gpt2"), key("tokenizer.ggml.pre", STR, "llama-bpe"),
           key("tokenizer.ggml.tokens", STR, bpe), key("tokenizer.ggml.merges", STR, ["a b", "\u0120 a"]),
           key("tokenizer.ggml.token_type", I32, [1] * 7 + [3, 1]),
           key("tokenizer.chat_template", STR, "{% for m in messages %}{{ m.content }}{% endfor %}")]


def gguf():
    f32 = ("token_embd.weight", [4, 2], 0, bytes(32))
    q4 = ("blk.0.attn_q.weight", [32, 1], 2, bytes(18))
    q8 = ("output.weight", [32, 2], 8, bytes(68))
    yield gguf_file([], []), gguf_file([], [], version=2)
    kinds = [(U8, 1), (I8, -1), (U16, 2), (I16, -2), (U32, 3), (I32, -3), (F32, 0.5), (BOOL, 1), (STR, "x"),
             (U64, 4), (I64, -4), (F64, 1.5)]
    yield gguf_file([key(f"k{t}", t, v) for t, v in kinds] + [key(f"a{t}", t, [v, v]) for t, v in kinds], []),
    yield gguf_file(llama_keys(), [f32, q4, q8]),
    yield gguf_file([key("general.alignment", U32, 64), *llama_keys("qwen2")], [f32, q4], alignment=64),
    for vocab in vocab_keys():
        yield gguf_file(llama_keys(keys=vocab), [f32]),
    yield gguf_file(llama_keys(keys=[key("split.no", U16, 0), key("split.count", U16, 2)]), [f32]),


def bnb():
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [2, 32]}
    nested = {**state, "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.25}

    def case(flags, kind, rows, n_absmax, n_nested, value):
        head = bytes([flags, kind, rows & 255, rows >> 8]) + bytes([n_absmax, n_nested, 17])
        fills = bytes([32] * bin(flags & 0b10101101).count("1")) if flags & 16 == 0 else bytes([32, 0])
        return head + fills + dump(value)
    yield case(1, 0, 32, 1, 1, state), case(17, 0, 32, 1, 1, state)
    yield case(1, 4, 32, 1, 1, {**state, "quant_type": "fp4"}), case(64, 0, 32, 1, 1, {})
    yield case(15, 0, 32, 1, 1, nested), case(1, 0, 32, 1, 1, {**state, "blocksize": 48})
    yield bytes([96, 19, 4, 0, 8, 1, 1, 2, 2]), bytes([96, 3, 4, 0, 1, 1, 1, 2])


# --- configurations ---

def golden(pattern, most):
    for path in sorted(GOLDEN.glob(pattern)):
        if path.stat().st_size <= most:
            yield path.read_bytes(),


CONFIGS = ("llama_gqa", "bnb_nf4_dq", "mistral_window", "qwen2_layer_types", "qwen3_bias_window", "smollm3_interval",
           "rope_dynamic_beyond", "rope_llama3", "rope_longrope_above", "rope_yarn", "rope_linear")


def config():
    for name in CONFIGS:
        yield (GOLDEN / "models" / name / "config.json").read_bytes(),
    base = json.loads((GOLDEN / "models" / "llama_gqa" / "config.json").read_text())
    for change in ({"eos_token_id": [1, 2]}, {"text_config": {}}, {"hidden_act": "gelu"}, {"head_dim": None},
                   {"rope_scaling": {"type": "linear", "factor": 2}}, {"model_type": "x"}, {"attention_bias": True}):
        yield dump({**base, **change}),


def generation():
    for name in ("gen_bad_words", "gen_min_length", "gen_repetition_penalty", "gen_sequence_bias", "gen_suppress"):
        path = GOLDEN / "models" / name / "generation_config.json"
        if path.exists():
            yield path.read_bytes(),
    yield dump({"eos_token_id": [1, 2, 3], "temperature": 0.7, "do_sample": True, "top_k": 5}), b"{}"
    yield dump({"sequence_bias": [[[1, 2], -1.5]], "bad_words_ids": [[3], [4, 5]], "num_beams": 1,
                "no_repeat_ngram_size": 3, "forced_bos_token_id": 0, "exponential_decay_length_penalty": None}),


# --- text ---

TOKENIZERS = ("wordlevel", "unigram_untyped", "bpe_sp", "norm_all", "norm_precompiled", "pre_sequence", "pre_deepseek",
              "wordpiece", "pre_metaspace_old", "bpe_unk_fused")


def tokenizer():
    yield from golden("tokenizers/dec_*/tokenizer.json", 1000)
    for name in TOKENIZERS:
        raw = (GOLDEN / "tokenizers" / name / "tokenizer.json").read_bytes()
        if len(raw) < 12000:
            yield raw,


TEXTS = ["", "a", "Hello, world! It's 12345", "\u00e9\u00c5\u0301 \u4f60\u597d \U0001f600\u200d\U0001f468", "  \n\t \r\n x  ",
         "<s> </s> <|im_end|><unk>", "\u2581a\u2581b", "\ufb01 \u00bd \u1e9b\u0323", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"]


def encode():
    for i, body in enumerate(TEXTS):
        for which in range(i % 3, 23, 3):
            yield bytes([which, which % 8]) + body.encode(),
    yield bytes([0, 0]) + b"\xff\xfe\xed\xa0\x80a\xf0\x9f\x98", bytes([2, 1]) + b"\x00\x01\x02\x00\x05\x00\x00\x00"


PATTERNS = [r"\p{L}+|\p{N}{1,3}|[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", r"(?i:'s|'t|'re)|\w+", r"[^\r\n\p{L}]?\p{L}+",
            r"(a+)+$", r"(?<=a)b|(?<!c)d", r"(x)\1", r"[a-z&&[^m]]+", r"\A\d{2,}?\z", r"[[:alpha:]]+\b", r"(?>a|b)*",
            r"\x{4f60}|\u00e9", r"(?m)^.$", r"[\p{Han}\p{^Lu}]", r"a{,3}b{2,}+", r"(?<n>q)\k<n>", r"\h\R\X", "[", "(", "\\"]


def regex():
    for i, pattern in enumerate(PATTERNS):
        yield pattern.encode(), pattern.encode() + b"\0" + TEXTS[i % len(TEXTS)].encode()


def templates():
    for line in (GOLDEN / "jinja" / "features.jsonl").read_text().splitlines():
        row = json.loads(line) if line.strip() else {}
        if "template" in row:
            yield row["template"].encode()


def jinja(step=9):
    every = list(templates())
    for body in every[::step]:
        if b"\0" not in body and len(body) < 2000:
            yield body,
    yield b"{{ x }}\0" + dump({"x": [1, {"a": None}]}), b"{% macro f(x) %}{{ x }}{% endmacro %}{{ f(f(1)) }}"
    yield b"{{ messages | map(attribute='role') | join(',') }}{{ '%5.2f|%s' | format(1.5, n) }}", b"{{ 9 ** 99 }}{{ 1 / 0 }}"


def chat():
    def message(role, content, **more):
        return {"role": role, "content": content, **more}
    yield dump([message("user", "Hi")]), dump([message("user", "<|im_end|> <s>\u00e9"), message("assistant", None)])
    yield dump([message("user", [{"type": "text", "text": "a <s> b"}, {"type": "image"}])]), dump([]), b"{}"
    yield dump([message("user", " a ", tools=[{"name": "f", "parameters": {"x": 1.5}}]), {"role": 1, "content": 2}]),


# --- records ---

def small_record():
    record = json.loads((GOLDEN / "report" / "json.txt").read_text())
    kept = []
    for cell in record["cells"]:
        cell.pop("summary", None)
        cell["runs"] = [r for r in cell["runs"] if len(json.dumps(r)) < 3000][:3]
        kept.append(cell)
    record["cells"] = kept
    return record


def short_run(n, seqs=1):
    ids = list(range(5, 5 + n * seqs))
    return {"warmup": False, "n_tokens": n, "n_seqs": seqs, "prefill_done_ns": 1500, "render_ns": 1, "tokenize_ns": 2,
            "detokenize_ns": 3, "finite": True, "stopped_by_eos": False, "cancelled": False, "ring_overflows": 0,
            "major_faults": 0, "minor_faults": 1, "involuntary_switches": 0, "voluntary_switches": 1, "window_ns": 9000,
            "steal_ns": 0, "throttled_periods": 0, "pressure_cpu_ns": 0, "suspended_ns": 0,
            "stamps_ns": [1000 * (i + 1) for i in range(n + 1)], "output_ids": ids,
            "ids_sha256": hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()}


def record():
    whole = small_record()
    yield dump(whole),
    for i, cell in enumerate(whole["cells"]):
        cell["runs"] = [short_run(3, 1 + i), short_run(2, 1 + i)]
        yield dump({**whole, "cells": [cell]}),
    yield dump({**whole, "cells": []}), dump({"schema_version": "1.0"}), dump({"schema_version": "2.0"})


def journal():
    whole = small_record()
    cells = whole.pop("cells")
    head = dump({"journal": 1, "identity": "identity", "n_cells": 3, "record": {**whole, "cells": []}}) + b"\n"
    opened, done = dict(cells[0]), dict(cells[0])
    opened["runs"] = done["runs"] = []
    lines = [dump({"cell": 0, "opened": opened}), dump({"cell": 0, "run": short_run(3)}),
             dump({"cell": 0, "done": done, "detokenize_ns": 5}), dump({"cell": 2, "opened": opened}),
             dump({"cell": 2, "run": short_run(1)})]
    for n in range(len(lines) + 1):
        yield head + b"".join(x + b"\n" for x in lines[:n]),
    yield head + lines[0] + b"\n" + lines[1][:40], head[:50], head + b"{}\n" + lines[0] + b"\n"


COMMANDS = ["-m model --device cpu --token-ids 1,2,3 -n 5 --output x.json", "run --attn eager,sdpa -p 128-512+128 -n 1-64*2",
            "report a.json b.json --format html", "compare --a --attn\u00a0eager --b -n\u00a05 -m x --pairs 12",
            "tokenize -m x --text hello", "render --template t", "inspect model", "quantize a b --quant nf4 --blocksize 64",
            "logits -m x --ids 1,2 --output y.npy", "devices", "--help", "--version", "--errors json --bogus",
            "-m synthetic:llama-3.1-8b --quant nf4-dq,q4_0 --batch 1,2 --depth 0,5 --threads 1,2 --percentiles 10,50.5,99",
            "-m a,b --model-id c", "--n=5 --n 6", "-n -1", "-n 99999999999999999999 --strict --resume --force --dry-run"]


def options():
    for line in COMMANDS:
        yield b"\0".join(word.encode() for word in line.split(" ")),


def http():
    sha = b"a" * 40
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"" + b"b" * 64 + b"\"\r\nX-Repo-Commit: " + sha + b"\r\n\r\n",
    yield (b"HTTP/1.1 302 Found\r\nLocation: /x/y?z\r\nX-Linked-Size: 77\r\nX-Linked-Etag: W/\"" + sha + b"\"\r\n\r\n",
           b"HTTP/2 206\r\ncontent-range: bytes 0-4/10\r\ncontent-length: 5\r\n\r\n")
    yield b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Later\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n",
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", b"HTTP/1.1 503 x\r\nRetry-After: 12\r\n\r\n"
    yield (b"HTTP/1.1 200 OK\r\nLink: <https://h.example/p?cursor=2>; rel=\"next\"\r\nX-Error-Code: GatedRepo\r\n"
           b"X-Error-Message: no\r\nContent-Encoding: gzip\r\n\r\n"),


def listing():
    yield dump([]), dump([{"type": "file", "oid": "a" * 40, "size": 12, "path": "config.json"},
                          {"type": "directory", "oid": "b" * 40, "size": 0, "path": "sub"}])
    yield dump([{"type": "file", "oid": "a" * 40, "size": 12345, "path": "sub/model.safetensors",
                 "lfs": {"oid": "c" * 64, "size": 12345, "pointerSize": 135}, "xetHash": "d" * 64}]),
    yield dump([{"type": "file", "size": 1, "path": "../x"}]), dump({"error": "Repository not found"})
    yield b'[{"path":"a\\u0041","size":1e3,"type":"file"}, {"path":"b","size":-1}]', b'[{"path":"a"},]'


def names():
    yield b"org/name", b"name", b"a..b", b"../x", b"main", b"refs/pr/1", b"a" * 40 + b"\n", b"sub/dir/file.json"
    yield b"https://user:pw@h.example:8080/p?q#f", b"http://127.0.0.1:5000", b"https://[::1]/x", b"http://localhost/", b"file:///etc"
    yield "caf\u00e9/\u4f60 %".encode(), b"C:\\x", b"con", b".git/config"


TARGETS = {"safetensors": safetensors, "index": index, "gguf": gguf, "bnb": bnb, "config": config,
           "generation": generation, "tokenizer": tokenizer, "encode": encode, "regex": regex, "jinja": jinja,
           "chat": chat, "record": record, "journal": journal, "options": options,
           "http": http, "listing": listing, "names": names}
MORE = {"safetensors": lambda: golden("models/bnb_nf4/*.safetensors", 60000),
        "gguf": lambda: golden("models/gguf*/model.gguf", 40000),
        "config": lambda: golden("models/*/config.json", 4000),
        "generation": lambda: golden("models/*/generation_config.json", 4000),
        "tokenizer": lambda: golden("tokenizers/*/tokenizer.json", 12000), "jinja": lambda: jinja(1)}


def main():
    to, every = pathlib.Path(sys.argv[1]), "--all" in sys.argv[2:]
    for name, make in TARGETS.items():
        folder = to / name
        folder.mkdir(parents=True, exist_ok=True)
        seen = set()
        groups = list(make()) + (list(MORE[name]()) if every and name in MORE else [])
        for body in (x for group in groups for x in group):
            if body not in seen:
                (folder / f"base_{len(seen):03}").write_bytes(body)
                seen.add(body)
        print(f"{name}: {len(seen)} inputs")


if __name__ == "__main__":
    main()
