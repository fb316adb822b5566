# SPDX-License-Identifier: MIT
"""ST: safetensors files."""
import json
import struct

from .base import Group, copy_model, run_model, st_bytes, st_pack, st_tensors

ENTRIES = Group()
add = ENTRIES.add
NORM = "model.norm.weight"


def file_of(content):
    """The model with other weights: bytes, or a function of the good tensors that gives bytes."""
    def make(folder):
        model = copy_model(folder)
        path = model / "model.safetensors"
        path.write_bytes(content(st_tensors(path)) if callable(content) else content)
        return run_model(model)
    return make


def header(text, data=b""):
    return file_of(st_bytes(text, data))


def one(dtype='"F32"', shape="[1]", offsets="[0,4]", name='"a"', more="", data=bytes(4)):
    """A header with one tensor; every part is JSON text."""
    return header(f'{{{name}:{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}{more}}}}}',
                  data)


def spoil(change):
    """change(tensors) edits the good tensors in place."""
    def content(tensors):
        change(tensors)
        return st_pack(tensors)
    return file_of(content)


def length(n):
    return file_of(struct.pack("<Q", n) + b"{}" + bytes(54))


add("ST01", "empty file", file_of(b""), 4, "model.safetensors", "0 bytes", "need 8")
for n in range(1, 8):
    add("ST02", f"{n} bytes", file_of(bytes(n)), 4, f"{n} bytes", "need 8")
add("ST03", "length 0", length(0), 4, "header length", "byte 0")
add("ST04", "length one above the file", length(57), 4, "header length", "57", "56")
add("ST05", "length above the cap", length(100_000_001), 4, "header length", "100000001")
add("ST06", "length 2^63", length(1 << 63), 4, "header length", "9223372036854775808")
add("ST06", "length 2^64-1", length((1 << 64) - 1), 4, "header length", "18446744073709551615")
for what, raw in (("overlong", b"\xc0\xaf"), ("surrogate", b"\xed\xa0\x80"), ("0xFF", b"\xff")):
    add("ST07", what, header(b'{"a' + raw + b'":{}}'), 4, "byte 11", "UTF-8")
add("ST08", "no JSON", header(b"{hello}"), 4, "byte 9")
add("ST09", "truncated", header(b'{"a":{"dtype":"F32","shape":[1'), 4, "ends too early")
add("ST09", "truncated in a string", header(b'{"a":{"dtype":"F3'), 4, "ends inside a string")
add("ST10", "second value", header(b"{}{}"), 4, "byte 10")
add("ST10", "NUL behind", header(b"{}\0"), 4, "byte 10")
add("ST11", "array", header(b"[]"), 4, "'{'")
add("ST11", "string", header(b'"x"'), 4, "'{'")


def blanks_behind(tensors):
    packed = st_pack(tensors)
    n, = struct.unpack("<Q", packed[:8])
    return struct.pack("<Q", n + 9) + packed[8:8 + n] + b" " * 9 + packed[8 + n:]


def blanks_before(tensors):
    packed = st_pack(tensors)
    n, = struct.unpack("<Q", packed[:8])
    return struct.pack("<Q", n + 8) + b" " * 8 + packed[8:]


add("ST12", "blanks behind", file_of(blanks_behind), 0)
add("ST12", "blanks before", file_of(blanks_before), 4, "first byte")
add("ST13", "100,000 brackets", header(b"{" + b'"a":' + b"[" * 100_000), 4, "byte")
add("ST13", "100,000 brackets in an unknown key",
    one(more=',"x":' + "[" * 100_000), 4, "deeper than 64")
add("ST14", "duplicate tensor",
    header('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
           '"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', bytes(2)), 4, "'a'")
add("ST14", "duplicate tensor by an escape",
    header('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
           '"\\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', bytes(2)), 4, "'a'")
add("ST15", "duplicate key", one(more=',"dtype":"F32"'), 4, "duplicate key", "'a'")
add("ST15", "duplicate key by an escape", one(more=',"\\u0064type":"F32"'), 4, "duplicate key")
for key in ("dtype", "shape", "data_offsets"):
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    del entry[key]
    add("ST16", f"no {key}", header({"a": entry}, bytes(4)), 4, "'a'", f"{key} is missing")
add("ST17", "dtype a number", one(dtype="5"), 4, "dtype")
add("ST17", "shape a number", one(shape="1"), 4, "'a'", "array")
add("ST17", "shape of strings", one(shape='["1"]'), 4, "'a'", "integer")
add("ST17", "offsets an object", one(offsets="{}"), 4, "'a'", "array")
add("ST17", "one offset", one(offsets="[4]"), 4, "'a'", "2 numbers")
add("ST17", "three offsets", one(offsets="[0,4,8]"), 4, "'a'", "2 numbers")
add("ST17", "entry null", header('{"a":null}'), 4, "'a'", "object")


def unknown_key(tensors):
    packed = st_pack(tensors)
    n, = struct.unpack("<Q", packed[:8])
    text = json.loads(packed[8:8 + n])
    text[NORM]["colour"] = {"red": [1, 2]}
    return st_bytes(text, packed[8 + n:])


add("ST18", "unknown key", file_of(unknown_key), 0, logs=("unknown header key 'colour'",))
add("ST19", "unknown dtype", one(dtype='"F33"'), 4, "unknown dtype 'F33'")


def retyped(dtype, n_bytes):
    def change(tensors):
        tensors[NORM] = [dtype, [64], bytes(n_bytes)]
    return spoil(change)


for name, n in (("F4", 32), ("F8_E4M3", 64), ("F8_E5M2", 64), ("F8_E8M0", 64)):
    add("ST20", name, retyped(name, n), 5, NORM, name)
for what, text in (("negative", "-1"), ("fraction", "1.5"), ("1e3", "1e3"), ("2^64", str(1 << 64)),
                   ("2^53+1", str((1 << 53) + 1)), ("leading zero", "01"), ("plus", "+1")):
    add("ST21", f"{what} in shape", one(shape=f"[{text}]"), 4, "'a'")
    add("ST21", f"{what} in offsets", one(offsets=f"[0,{text}]"), 4, "'a'")
add("ST22", "begin above end", one(offsets="[4,0]"), 4, "'a'", "[4, 0]")
add("ST23", "end behind the data", one(offsets="[0,5]", shape="[5]", dtype='"U8"'), 4, "[0, 5]")
add("ST23", "end 2^64-1", one(offsets=f"[0,{(1 << 64) - 1}]"), 4, "'a'")
add("ST24", "bytes and shape differ", one(shape="[2]"), 4, "'a'", "4 bytes", "8 by shape")
add("ST25", "three halves of a byte", one(dtype='"F4"', shape="[3]", offsets="[0,1]", data=b"x"), 4,
    "whole number of bytes")
add("ST26", "product overflows", one(shape="[4294967296,4294967296]"), 4, "overflows")
add("ST27", "bytes overflow", one(shape="[4611686018427387904]"), 4, "overflows")
add("ST28", "[2, 2^63-1]", one(shape="[2,9223372036854775807]"), 4, "'a'")
add("ST28", "overflow before a zero", one(shape="[4294967296,4294967296,0]", offsets="[0,0]",
                                         data=b""), 4, "overflows")


def overlapping(n, size):
    entries = {f"t{i}": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
               for i in range(n)}
    return header(entries, bytes(size))


add("ST29", "10 tensors on the same bytes", overlapping(10, 64), 4, "overlaps")
add("ST29", "100,000 tensors on one megabyte", overlapping(100_000, 1_000_000), 4, "overlaps")
add("ST30", "hole", header({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
                            "b": {"dtype": "U8", "shape": [1], "data_offsets": [2, 3]}}, bytes(3)),
    4, "hole of 1 byte", "'b'")
add("ST31", "bytes behind the last", file_of(lambda t: st_pack(t) + b"PK\3\4"), 4,
    "4 bytes follow the last tensor")


def with_extra(name, dtype, shape, raw):
    def change(tensors):
        tensors[name] = [dtype, shape, raw]
    return spoil(change)


add("ST32", "empty tensor", with_extra("nothing", "F32", [0, 7], b""), 0, logs=("nothing",))
add("ST33", "scalar", with_extra("scalar", "F32", [], bytes(4)), 0, logs=("scalar",))
add("ST34", "rank 9", one(shape=json.dumps([1] * 9)), 4, "rank")
add("ST34", "10,000 dimensions", one(shape=json.dumps([1] * 10_000)), 4, "rank")
add("ST35", "name of 1 MiB", one(name=json.dumps("n" * (1 << 20))), 4, "1024 bytes", "nnn...")
add("ST35", "name of 1025 bytes", one(name=json.dumps("n" * 1025)), 4, "1024 bytes")
for what, text in (("NUL", "\0"), ("newline", "\n"), ("ESC", "\x1b[31m")):
    add("ST35", f"{what} in a name", one(name=json.dumps(f"a{text}b")), 4,
        "control character", "\\x%02X" % ord(text[0]))


def bidi(tensors):
    del tensors[NORM]
    tensors["\u202egpj.\x85x"] = ["F32", [1], bytes(4)]


add("ST35", "bidi control in a name", spoil(bidi), 4, NORM)
add("ST36", "metadata values no strings", header({"__metadata__": {"a": 1}}), 4, "__metadata__")
add("ST36", "metadata a list", header({"__metadata__": []}), 4, "__metadata__")


def large_metadata(n):
    def content(tensors):
        packed = st_pack(tensors)
        size, = struct.unpack("<Q", packed[:8])
        text = b'{"__metadata__":{"k":"' + b"v" * n + b'"},' + packed[9:8 + size]
        return struct.pack("<Q", len(text)) + text + packed[8 + size:]
    return file_of(content)


add("ST36", "9 MB of metadata", large_metadata(9_000_000), 0)
add("ST36", "99 MB of metadata", large_metadata(99_000_000), 0, slow=True)


def many(tensors):
    for i in range(100_000):
        tensors[f"extra.{i}"] = ["U8", [0], b""]
    return st_pack(tensors)


add("ST37", "100,000 tensors", file_of(many), 0, seconds=3)
add("ST38", "F32 became I32", lambda folder: int_norm(folder), 4, NORM, "I32")
add("ST38", "BF16 became I16", retyped("I16", 128), 4, NORM, "I16")


def int_norm(folder):
    model = copy_model(folder, "llama_mha_f32")
    path = model / "model.safetensors"
    tensors = st_tensors(path)
    tensors[NORM][0] = "I32"
    path.write_bytes(st_pack(tensors))
    return run_model(model)


def filled(name, value):
    def change(tensors):
        tensors[name][2] = struct.pack("<H", value) * (len(tensors[name][2]) // 2)
    return spoil(change)


for what, value in (("NaN", 0x7FC0), ("infinity", 0x7F80)):
    add("ST39", f"{what} in a norm", filled(NORM, value), 10, "not finite",
        logs=("non-finite logits at token 0",))
    add("ST39", f"{what} in a matrix", filled("model.layers.0.mlp.up_proj.weight", value), 10,
        "not finite", logs=("non-finite logits at token 0",))
add("ST39", "denormals", filled(NORM, 0x0001), 0)
add("ST40", "LFS pointer", file_of(b"version https://git-lfs.github.com/spec/v1\noid sha256:"
                                   + b"0" * 64 + b"\nsize 12345\n"), 4,
    "Git LFS pointer", "git lfs")
add("ST41", "HTML page", file_of(b"<!DOCTYPE html><html><body>404</body></html>"), 4, "HTML")
add("ST41", "zip or pickle", file_of(b"PK\3\4" + bytes(60)), 4, "zip or pickle")
add("ST41", "pickle", file_of(b"\x80\x02}q\x00." + bytes(60)), 4, "pickle")
