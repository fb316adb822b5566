# SPDX-License-Identifier: MIT
"""BN: bitsandbytes weights, 4-bit and LLM.int8."""
import json
import struct

from .base import Group, copy_model, edit_json, run_model, st_pack, st_tensors

ENTRIES = Group()
add = ENTRIES.add
W = "model.layers.0.mlp.up_proj.weight"
STATE = W + ".quant_state.bitsandbytes__nf4"
SCB = "model.layers.0.mlp.up_proj.SCB"


def spoil(change, name="bnb_nf4"):
    """change(tensors) edits name -> [dtype, shape, bytes]."""
    def make(folder):
        model = copy_model(folder, name)
        path = model / "model.safetensors"
        tensors = st_tensors(path)
        change(tensors)
        path.write_bytes(st_pack(tensors))
        return run_model(model)
    return make


def without(tensor, **more):
    return spoil(lambda t: t.pop(tensor), **more)


def put(tensor, dtype, shape, raw, **more):
    def change(t):
        t[tensor] = [dtype, shape, raw]
    return spoil(change, **more)


def blob(raw, **more):
    return put(STATE, "U8", [len(raw)], raw, **more)


def state(model="bnb_nf4", **values):
    """quant_state with other members; ... removes one."""
    def change(t):
        text = json.loads(t[STATE][2])
        for key, value in values.items():
            if value is ...:
                del text[key]
            else:
                text[key] = value
        raw = json.dumps(text).encode()
        t[STATE] = ["U8", [len(raw)], raw]
    return spoil(change, name=model)


def state_text(key, text, model="bnb_nf4"):
    def change(t):
        old = json.loads(t[STATE][2])
        old[key] = "@"
        raw = json.dumps(old).replace('"@"', text).encode()
        t[STATE] = ["U8", [len(raw)], raw]
    return spoil(change, name=model)


def floats(name, change, model="bnb_nf4"):
    """change(list of floats) edits in place; the length may change."""
    def edit(t):
        values = list(struct.unpack(f"<{len(t[name][2]) // 4}f", t[name][2]))
        change(values)
        t[name] = ["F32", [len(values)], struct.pack(f"<{len(values)}f", *values)]
    return spoil(edit, name=model)


def first(value):
    def change(values):
        values[0] = value
    return change


DQ = "bnb_nf4_dq"
add("BN01", "no absmax", without(W + ".absmax"), 4, W, "absmax")
add("BN02", "no quant_state", without(STATE), 4, W, "quant_state")
add("BN03", "nf4 and fp4", spoil(lambda t: t.__setitem__(
    STATE[:-3] + "fp4", list(t[STATE]))), 4, W, "two quant_state")
add("BN04", "unknown companion", put(W + ".colour", "U8", [1], b"x"), 4, W, "colour")
add("BN04", "unknown key in quant_state", state(colour=1), 4, W, "colour")
for what, raw in (("no UTF-8", b'{"a":"\xff"}'), ("no JSON", b"{"), ("a list", b"[]"),
                  ("0 bytes", b""), ("NUL behind", b"{}\0"), ("nested", b"[" * 60_000),
                  ("duplicate key", b'{"dtype":"a","dtype":"b"}')):
    add("BN05", what, blob(raw), 4, W, "quant_state")
add("BN05", "1 MB", blob(b" " * 1_000_000), 4, W, "quant_state", "1000000")
add("BN05", "100 MB", spoil(lambda t: t.__setitem__(
    STATE, ["U8", [100_000_000], bytes(100_000_000)])), 4, W, "quant_state", slow=True)
add("BN05", "F32 in place of U8", spoil(lambda t: t[STATE].__setitem__(slice(0, 3), [
    "F32", [1], b"{}  "])), 4, W, "quant_state")
for value in (0, 3, -64, 1 << 40, 16, 8192, 96):
    add("BN06", str(value), state(blocksize=value), 4, W, "blocksize", str(value))
for value in ("64", 64.0, None):
    add("BN06", repr(value), state(blocksize=value), 4, W, "blocksize")
add("BN06", "missing", state(blocksize=...), 4, W, "blocksize")
for value in (0, -1, 255, 1 << 40):
    add("BN07", str(value), state(DQ, nested_blocksize=value), 4, W, "nested_blocksize")
add("BN08", "shape product", state(shape=[96, 66]), 4, W, "96, 66")
add("BN08", "odd count", state(shape=[95, 63]), 4, W)
add("BN08", "codes cut", spoil(lambda t: t[W].__setitem__(slice(0, 3), [
    "U8", [t[W][1][0] - 1, 1], t[W][2][:-1]])), 4, W, "bytes")
for value in ([-96, 64], [96], [96, 8, 8], [0, 64], [1 << 62, 1 << 62], [96.0, 64], "96x64", None):
    add("BN09", str(value), state(shape=value), 4, W, "shape")
add("BN09", "other than config.json", state(shape=[48, 128]), 4)
add("BN10", "one too few", floats(W + ".absmax", lambda v: v.pop()), 4, W, "absmax")
add("BN10", "one too many", floats(W + ".absmax", lambda v: v.append(1.0)), 4, W, "absmax")
add("BN10", "none", put(W + ".absmax", "F32", [0], b""), 4, W, "absmax")
add("BN10", "U8 without nesting", spoil(lambda t: t[W + ".absmax"].__setitem__(slice(0, 3), [
    "U8", [len(t[W + ".absmax"][2]) // 4], t[W + ".absmax"][2][:len(t[W + ".absmax"][2]) // 4]])),
    4, W, "absmax")
add("BN11", "one too many", floats(W + ".nested_absmax", lambda v: v.append(1.0), DQ), 4, W,
    "nested_absmax")
add("BN11", "missing", without(W + ".nested_absmax", name=DQ), 4, W, "nested_absmax")
add("BN11", "without nested keys",
    put(W + ".nested_absmax", "F32", [1], struct.pack("<f", 1)), 4, W, "nested_absmax")
add("BN12", "15 entries", floats(W + ".quant_map", lambda v: v.pop()), 4, W, "quant_map")
add("BN12", "255 entries", floats(W + ".nested_quant_map", lambda v: v.pop(), DQ), 4, W,
    "nested_quant_map")
add("BN12", "no nested_quant_map", without(W + ".nested_quant_map", name=DQ), 4, W,
    "nested_quant_map")
add("BN12", "other values", floats(W + ".quant_map", first(-0.9)), 4, W, "quant_map")
for value in ("os.system", "float8", "", 5, None, "__class__"):
    add("BN13", repr(value), state(dtype=value), 4, W, "dtype")
add("BN13", "hostile", state(dtype="\x1b[31m\u202e" + "x" * 300), 4, W, "\\x1B")
add("BN13", "nested_dtype", state(DQ, nested_dtype="float16x"), 4, W, "nested_dtype")
add("BN14", "nested_offset missing", state(DQ, nested_offset=...), 4, W, "nested_offset")
for text in ("NaN", "1e400", "-1e400", '"x"', "null", "1e300"):
    add("BN14", f"nested_offset {text}", state_text("nested_offset", text, DQ), 4, W)
for value in (float("nan"), float("inf"), -1.0):
    add("BN14", f"absmax {value}", floats(W + ".absmax", first(value)), 4, W, "absmax", "index 0")
    add("BN14", f"nested_absmax {value}", floats(W + ".nested_absmax", first(value), DQ), 4, W,
        "nested_absmax")
add("BN14", "nested_quant_map NaN", floats(W + ".nested_quant_map", first(float("nan")), DQ), 4, W,
    "nested_quant_map")
add("BN14", "absmax 3e38", floats(W + ".absmax", lambda v: v.__setitem__(
    slice(None), [3e38] * len(v))), 10, "not finite", logs=("non-finite logits at token 0",))
add("BN15", "int8", state(quant_type="int8"), 4, W, "quant_type", "int8")
add("BN15", "fp4 under the name nf4", state(quant_type="fp4"), 4, W, "quant_type")
add("BN15", "null", state(quant_type=None), 4, W, "quant_type")
INT8 = "bnb_int8"
for value in (1, 2, 3):
    add("BN16", f"weight_format {value}", put(
        "model.layers.0.mlp.up_proj.weight_format", "U8", [], bytes([value]), name=INT8), 5,
        "up_proj", "weight_format")
add("BN16", "weight_format 4", put("model.layers.0.mlp.up_proj.weight_format", "U8", [], b"\4",
                                   name=INT8), (4, 5), "weight_format")
add("BN16", "no SCB", without(SCB, name=INT8), 4, "up_proj", "SCB")
add("BN16", "SCB too short", floats(SCB, lambda v: v.pop(), INT8), 4, "SCB")
add("BN16", "SCB F16", put(SCB, "F16", [96], bytes(192), name=INT8), 4, "SCB")
for value in (float("nan"), float("inf"), -1.0):
    add("BN16", f"SCB {value}", floats(SCB, first(value), INT8), 4, "SCB")
for what, value in (("negative", -1.0), ("a string", "6"), ("a list", [])):
    def threshold(folder, v=value):
        model = copy_model(folder, INT8)
        edit_json(model / "config.json",
                  lambda c: c["quantization_config"].__setitem__("llm_int8_threshold", v))
        return run_model(model)
    add("BN16", f"threshold {what}", threshold, 4, "llm_int8_threshold")


def quantized(name):
    """The tensor becomes a 4-bit one, companions and all."""
    def change(t):
        shape = t[name][1]
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        text = json.dumps({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16",
                           "shape": shape}).encode()
        t[name] = ["U8", [(n + 1) // 2, 1], bytes((n + 1) // 2)]
        t[name + ".absmax"] = ["F32", [(n + 63) // 64], bytes((n + 63) // 64 * 4)]
        t[name + ".quant_map"] = ["F32", [16], t[W + ".quant_map"][2]]
        t[name + ".quant_state.bitsandbytes__nf4"] = ["U8", [len(text)], text]
    return spoil(change)


for name in ("model.norm.weight", "model.layers.0.input_layernorm.weight",
             "model.embed_tokens.weight"):
    add("BN17", name, quantized(name), 4, name)
