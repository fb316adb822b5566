# SPDX-License-Identifier: MIT
"""GG: GGUF files. A small model is read, changed and written again."""
import dataclasses
import os
import shutil
import struct

from .base import MODELS, Call, Group

ENTRIES = Group()
add = ENTRIES.add
U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)
SIZES = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "B", U64: "Q",
         I64: "q", F64: "d"}


@dataclasses.dataclass
class Raw:
    """Bytes written as they are."""
    data: bytes


def text(s):
    raw = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind, value):
    if isinstance(value, Raw):
        return value.data
    return text(value) if kind == STR else struct.pack("<" + SIZES[kind], value)


class Gguf:
    def __init__(self, path):
        self.raw, self.at = path.read_bytes(), 8
        self.magic, self.version = b"GGUF", struct.unpack("<I", self.raw[4:8])[0]
        n_tensors, n_kv = self.take("Q"), self.take("Q")
        self.kv = []                                    # [key, kind, value]
        for _ in range(n_kv):
            key, kind = self.take_text(), self.take("I")
            self.kv.append([key, kind, self.take_value(kind)])
        self.tensors = []                               # [name, dims, type, offset]
        for _ in range(n_tensors):
            name, n = self.take_text(), self.take("I")
            dims = [self.take("Q") for _ in range(n)]
            self.tensors.append([name, dims, self.take("I"), self.take("Q")])
        self.data = self.raw[(self.at + 31) // 32 * 32:]
        self.n_tensors = self.n_kv = None               # other than the true numbers
        self.tail = b""

    def take(self, kind):
        value, = struct.unpack_from("<" + kind, self.raw, self.at)
        self.at += struct.calcsize(kind)
        return value

    def take_text(self):
        n = self.take("Q")
        self.at += n
        return self.raw[self.at - n:self.at]

    def take_value(self, kind):
        if kind == STR:
            return self.take_text()
        if kind != ARR:
            return self.take(SIZES[kind])
        item, n = self.take("I"), self.take("Q")
        return [item, [self.take_value(item) for _ in range(n)]]

    def find(self, key):
        return next(e for e in self.kv if e[0] == key.encode())

    def tensor(self, name):
        return next(e for e in self.tensors if e[0] == name.encode())

    def bytes(self):
        out = bytearray(self.magic + struct.pack("<I", self.version))
        out += struct.pack("<QQ", len(self.tensors) if self.n_tensors is None else self.n_tensors,
                           len(self.kv) if self.n_kv is None else self.n_kv)
        for key, kind, value in self.kv:
            out += (key.data if isinstance(key, Raw) else text(key)) + struct.pack("<I", kind)
            if isinstance(value, Raw):
                out += value.data
            elif kind == ARR:
                out += struct.pack("<IQ", value[0], len(value[1]))
                for item in value[1]:
                    out += scalar(value[0], item)
            else:
                out += scalar(kind, value)
        for name, dims, kind, offset in self.tensors:
            out += text(name) + struct.pack("<I", len(dims) if isinstance(dims, list) else dims[0])
            out += b"".join(struct.pack("<Q", d % (1 << 64)) for d in (
                dims if isinstance(dims, list) else dims[1]))
            out += struct.pack("<IQ", kind, offset)
        out += bytes(-len(out) % 32)
        return bytes(out) + self.data + self.tail


def call(folder, path):
    return Call(["--model-id", path, "--device", "cpu", "--threads", "1", "-n", "2",
                 "--roofline", "off", "--log-level", "warn", "--output", folder / "result.json",
                 "--prompt", "ab", "--no-chat-template"])


def content(raw):
    def make(folder):
        (folder / "m.gguf").write_bytes(raw)
        return call(folder, folder / "m.gguf")
    return make


def spoil(change, name="gguf_llama_f32"):
    """change(Gguf) edits, or returns the bytes to write."""
    def make(folder):
        g = Gguf(MODELS / name / "model.gguf")
        raw = change(g)
        (folder / "m.gguf").write_bytes(raw if isinstance(raw, bytes) else g.bytes())
        return call(folder, folder / "m.gguf")
    return make


def attribute(**values):
    def change(g):
        for key, value in values.items():
            setattr(g, key, value)
    return spoil(change)


def meta(key, kind=None, value=None, **more):
    """Another value of a key, a new key, or none (kind None)."""
    def change(g):
        g.kv = [e for e in g.kv if e[0] != key.encode()]
        if kind is not None:
            g.kv.append([key, kind, value])
    return spoil(change, **more)


def new(key, kind, value):
    return spoil(lambda g: g.kv.append([key, kind, value]))


def tensor(place, value, name="output_norm.weight", **more):
    """place: 0 name, 1 sizes, 2 type, 3 offset."""
    def change(g):
        g.tensor(name)[place] = value
    return spoil(change, **more)


M63, M64 = 1 << 63, (1 << 64) - 1
add("GG01", "bad magic", attribute(magic=b"GGUX"), 4, "GGUF")
add("GG01", "empty", content(b""), 4, "GGUF")
add("GG01", "the magic alone", content(b"GGUF"), 4, "ends inside the header")
add("GG01", "LFS pointer", content(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    4, "Git LFS pointer")
for version, code in ((0, 4), (1, 5), (4, 5), (1000, 5)):
    add("GG02", f"version {version}", attribute(version=version), code, f"version {version}")
add("GG03", "big-endian", attribute(version=3 << 24), 5, "big-endian")
for n in (M64, M63, 1 << 40):
    add("GG04", f"{n} tensors", attribute(n_tensors=n), 4, "tensors")
    add("GG04", f"{n} values", attribute(n_kv=n), 4, "metadata values")
for n in (M64, 1 << 40):
    add("GG05", f"key of {n} bytes", spoil(lambda g, n=n: g.kv[3].__setitem__(
        0, Raw(struct.pack("<Q", n) + b"abc"))), 4, "metadata key")
add("GG05", "empty key", new("", U8, 1), 4, "empty metadata key")
add("GG05", "key no UTF-8", new(b"a\xff", U8, 1), 4, "UTF-8")
add("GG06", "duplicate key", spoil(lambda g: g.kv.append(g.kv[0])), 4, "duplicate")
for kind in (13, 99, 0xFFFFFFFF):
    add("GG07", f"type {kind}", new("a.b", kind, Raw(bytes(8))), 4, "unknown type", "a.b")
add("GG08", "bool 2", new("a.b", BOOL, 2), 4, "bool", "a.b")
add("GG09", "array of arrays", new("a.b", ARR, Raw(struct.pack("<IQ", ARR, 1) + bytes(12))), 4,
    "array of arrays")
add("GG09", "array of unknown type", new("a.b", ARR, Raw(struct.pack("<IQ", 77, 1))), 4, "77")
for n in (M64, M63, 1 << 40):
    add("GG10", f"string of {n} bytes", new("a.b", STR, Raw(struct.pack("<Q", n))), 4, "left")
    add("GG10", f"array of {n}", new("a.b", ARR, Raw(struct.pack("<IQ", U8, n))), 4, "left")
    add("GG10", f"strings, {n}", new("a.b", ARR, Raw(struct.pack("<IQ", STR, n))), 4, "left")
add("GG10", "43 bytes, 2^63 elements", content(
    b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("abc")[:11] + struct.pack("<I", ARR)
    + struct.pack("<IQ", U8, M63)), 4, "left")
for value in (0, 13, 0x80000000, 8192):
    add("GG11", f"alignment {value}", new("general.alignment", U32, value), 4,
        "general.alignment", str(value))
add("GG11", "alignment I32", new("general.alignment", I32, 32), 4, "general.alignment")
for n in (0, 5, (1 << 32) - 1):
    add("GG12", f"rank {n}", tensor(1, (n, [64])), 4, "rank", str(n))
for dims in ([0], [-1], [(1 << 42) + 1, 1 << 22, 1 << 22], [1 << 62, 4]):
    add("GG13", str(dims), tensor(1, dims), 4, "output_norm.weight")
add("GG14", "bytes wrap", tensor(1, [1 << 61]), 4, "output_norm.weight")
add("GG15", "padding wraps", tensor(1, [(M63 - 64) // 4 * 2]), 4, "output_norm.weight")


def sum_wraps(g):
    size = (1 << 62) // 4
    for i in range(4):
        g.tensors[i][1] = [size]
        g.tensors[i][3] = (i * size * 4) % (1 << 64)


add("GG16", "sum wraps", spoil(sum_wraps), 4)
for kind, code in ((4, 5), (5, 5), (31, 5), (16, 5), (34, 5), (41, 5), (43, 4), (999, 4),
                   ((1 << 32) - 1, 4)):
    add("GG17", f"type {kind}", tensor(2, kind), code, "output_norm.weight")
for kind in (24, 26, 28):
    add("GG17", f"type {kind} as a matrix", tensor(2, kind, name="blk.0.ffn_up.weight"),
        (4, 5), "m.gguf")


def ragged(g):
    t = g.tensor("blk.0.ffn_up.weight")
    t[1], t[2] = [t[1][0] - 1, t[1][1]], 8              # Q8_0: blocks of 32


add("GG18", "row and block", spoil(ragged), (4, 5), "ffn_up", "block")
add("GG19", "offset unaligned", tensor(3, 1), 4, "output_norm.weight", "offset 1")
add("GG19", "offset past the end", tensor(3, 1 << 40), 4, "offset")
add("GG19", "overlap", spoil(lambda g: g.tensors[1].__setitem__(3, 0)), 4, "offset 0")
add("GG19", "unordered", spoil(lambda g: g.tensors.__setitem__(slice(0, 2), g.tensors[1::-1])), 4,
    "offset")
for n in (1, 4096):
    add("GG20", f"{n} bytes cut", spoil(lambda g, n=n: g.bytes()[:-n - (len(g.bytes()) % 32)]), 4,
        "ends at byte")
for n in (30, 100, 1000, 5000):
    add("GG20", f"cut to {n} bytes", spoil(lambda g, n=n: g.bytes()[:n]), 4, "m.gguf")
add("GG21", "duplicate tensor", tensor(0, b"token_embd.weight"), 4, "token_embd.weight")
add("GG21", "64 bytes", tensor(0, b"n" * 64), 4, "63")
add("GG21", "no UTF-8", tensor(0, b"a\xffb"), 4, "UTF-8", "a\\xFFb")
add("GG21", "NUL", tensor(0, b"a\0b"), 4, "\\x00")
add("GG21", "ESC", tensor(0, b"a\x1b[31mb"), 4)
TOKENS = "tokenizer.ggml.tokens"
TYPES = "tokenizer.ggml.token_type"


def tokens_edit(change):
    return spoil(lambda g: change(g.find(TOKENS)[2][1]))


add("GG22", "scores as u8[]", spoil(lambda g: g.kv.append(
    ["tokenizer.ggml.scores", ARR, [U8, [0] * len(g.find(TOKENS)[2][1])]])), 4,
    "tokenizer.ggml.scores")
add("GG22", "scores a string", new("tokenizer.ggml.scores", STR, "x"), 4, "scores")
add("GG22", "types one too few", spoil(lambda g: g.find(TYPES)[2][1].pop()), 4, TYPES)
add("GG22", "types of strings", spoil(lambda g: g.find(TYPES).__setitem__(
    2, [STR, ["1"] * len(g.find(TOKENS)[2][1])])), 4, TYPES)
add("GG22", "type 99", spoil(lambda g: g.find(TYPES)[2][1].__setitem__(5, 99)), (0, 4))
add("GG22", "no tokens", meta(TOKENS), 4, "tokens")
add("GG22", "tokens of numbers", meta(TOKENS, ARR, [U32, [1, 2, 3]]), 4, TOKENS)
add("GG22", "tokens a string", meta(TOKENS, STR, "x"), 4, TOKENS)
add("GG22", "token no UTF-8", tokens_edit(lambda t: t.__setitem__(20, b"\xff\xfe")), (0, 4))
add("GG22", "token twice", tokens_edit(lambda t: t.__setitem__(20, t[21])), (0, 4))
add("GG22", "merge without a blank", spoil(
    lambda g: g.find("tokenizer.ggml.merges")[2][1].insert(0, "ab")), 4, "merge")
add("GG22", "merge of unknown parts", spoil(
    lambda g: g.find("tokenizer.ggml.merges")[2][1].insert(0, "\u1234 \u1235")), 4, "merge")
add("GG22", "unknown tokenizer", meta("tokenizer.ggml.model", STR, "magic"), 5, "magic")
add("GG22", "unknown pre-tokenizer", meta("tokenizer.ggml.pre", STR, "magic"), 5, "magic")
add("GG22", "end id outside", meta("tokenizer.ggml.eos_token_id", U32, 1 << 31), 4, "eos")
add("GG22", "no tokenizer, text given", meta("tokenizer.ggml.model"), (3, 4), "tokenizer")
for key in ("block_count", "embedding_length", "attention.head_count", "feed_forward_length",
            "attention.layer_norm_rms_epsilon"):
    if not key.endswith("epsilon"):                     # the reference has a default for it
        add("GG23", f"{key} missing", meta("llama." + key), 4, key)
    add("GG23", f"{key} a string", meta("llama." + key, STR, "4"), 4, key)
for key, value in (("block_count", 1 << 31), ("block_count", 0), ("embedding_length", 0),
                   ("embedding_length", 1 << 31), ("attention.head_count", 0),
                   ("attention.head_count", 3), ("attention.head_count_kv", 3),
                   ("feed_forward_length", 0)):
    add("GG23", f"{key} {value}", meta("llama." + key, U32, value), 4, key)
add("GG23", "block_count 3", meta("llama.block_count", U32, 3), 4, "blk.2.")
add("GG23", "embedding_length 96", meta("llama.embedding_length", U32, 96), 4, "expected")
add("GG23", "epsilon NaN", meta("llama.attention.layer_norm_rms_epsilon", F32, float("nan")), 4,
    "epsilon")
add("GG23", "rope base 0", meta("llama.rope.freq_base", F32, 0.0), 4, "freq_base")
add("GG23", "no architecture", meta("general.architecture"), 4, "general.architecture")
add("GG23", "unknown architecture", meta("general.architecture", STR, "mystery\x1b"), 5, "mystery",
    "\\x1B")
add("GG23", "context 0", meta("llama.context_length", U32, 0), 4, "context_length")
add("GG23", "tensor missing", tensor(0, b"other.weight"), 4, "output_norm.weight")


def split(change=None, drop=()):
    """The model in two files by llama.cpp's naming, then edited by change(first, second)."""
    def make(folder):
        whole = MODELS / "gguf_llama_f32" / "model.gguf"
        parts = [Gguf(whole), Gguf(whole)]
        n = len(parts[0].tensors) // 2
        cut = parts[0].tensors[n][3]
        parts[0].tensors, parts[1].tensors = parts[0].tensors[:n], parts[1].tensors[n:]
        parts[0].data, parts[1].data = parts[0].data[:cut], parts[1].data[cut:]
        parts[1].kv = []
        for t in parts[1].tensors:
            t[3] -= cut
        for i, part in enumerate(parts):
            part.kv += [[b"split.no", U16, i], [b"split.count", U16, 2],
                        [b"split.tensors.count", I32, n + len(parts[1].tensors)]]
        if change:
            change(*parts)
        names = [folder / f"m-{i}-of-00002.gguf" for i in ("00001", "00002")]
        for i, part in enumerate(parts):
            if i not in drop:
                names[i].write_bytes(part.bytes())
        return call(folder, names[0])
    return make


def renamed(folder):
    result = split()(folder)
    shutil.move(folder / "m-00001-of-00002.gguf", folder / "m.gguf")
    result.args[1] = folder / "m.gguf"
    return result


def second_is(how):
    def make(folder):
        result = split(drop=(1,))(folder)
        how(folder / "m-00002-of-00002.gguf")
        return result
    return make


def set_second(key, value):
    def change(_, second):
        second.find(key)[2] = value
    return split(change)


add("GG24", "good", split(), 0)
add("GG24", "part missing", split(drop=(1,)), 3, "00002-of-00002")
add("GG24", "count wrong", set_second("split.count", 3), 4, "part 2 of 3, expected 2 of 2")
add("GG24", "same part twice", set_second("split.no", 0), 4, "part 1 of 2, expected 2 of 2")
add("GG24", "tensor twice", split(lambda a, b: b.tensors[0].__setitem__(0, a.tensors[0][0])), 4)
add("GG24", "name does not fit", renamed, 4, "m.gguf")
add("GG24", "count 65535", split(lambda a, b: a.find("split.count").__setitem__(2, 65535)),
    (3, 4))
add("GG24", "part a FIFO", second_is(os.mkfifo), (3, 4), "not a regular file")
add("GG24", "part a folder", second_is(os.mkdir), (3, 4), "not a regular file")
