# SPDX-License-Identifier: MIT
"""CF: config.json and generation_config.json."""
import json

from .base import Group, copy_model, edit_json, run_model, st_pack, st_tensors

ENTRIES = Group()
add = ENTRIES.add


def config(change=None, name="llama_gqa", more=(), **values):
    """config.json with other values (... removes a key), then edited by change(object)."""
    def make(folder):
        model = copy_model(folder, name)

        def edit(c):
            for key, value in values.items():
                if value is ...:
                    c.pop(key, None)
                else:
                    c[key] = value
            return change(c) if change else None
        edit_json(model / "config.json", edit)
        return run_model(model, *more)
    return make


def raw(key, text, **more):
    """A value of config.json as JSON text."""
    def change(c):
        c[key] = "@"
        return json.dumps(c).replace('"@"', text)
    return config(change, **more)


SIZES = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
         "num_attention_heads", "num_key_value_heads", "head_dim", "max_position_embeddings"]
add("CF01", "no attention heads", config(num_attention_heads=0), 4, "/num_attention_heads")
add("CF02", "no key heads", config(num_key_value_heads=0), 4, "/num_key_value_heads")
for key in SIZES:
    add("CF03", f"{key} negative", config(**{key: -1}), 4, f"/{key}", "-1")
    for value in (1 << 31, (1 << 63) - 1):
        add("CF04", f"{key} {value}", config(**{key: value}),
            6 if key == "max_position_embeddings" else 4, f"/{key}", str(value))
    add("CF04", f"{key} 2^63", config(**{key: 1 << 63}), 4, f"/{key}")
    for value, text in (("4", "a string"), (2.5, "a real"), (True, "true"), ([4], "an array")):
        add("CF05", f"{key} {text}", config(**{key: value}), 4, f"/{key}", text)
for key in SIZES[:5]:
    add("CF05", f"{key} null", config(**{key: None}), 4, f"/{key}", "null")
add("CF06", "width and heads", config(num_attention_heads=5, num_key_value_heads=5, head_dim=...),
    4, "/hidden_size", "64", "5")
add("CF07", "width no multiple, head_dim given", config(name="llama_odd"), 0)
add("CF08", "heads no multiple of key heads", config(num_key_value_heads=3), 4,
    "/num_key_value_heads", "3")
add("CF09", "odd head_dim", config(head_dim=15), 4, "/head_dim", "15")
add("CF10", "head_dim 2^20", config(head_dim=1 << 20), 4, "/head_dim")
add("CF11", "no layers", config(num_hidden_layers=0), 4, "/num_hidden_layers")
add("CF11", "1,000,000 layers", config(num_hidden_layers=1_000_000), 4, "num_hidden_layers")
add("CF12", "more layers than tensors", config(num_hidden_layers=3), 4,
    "missing tensor", "model.layers.2.")
add("CF13", "vocabulary below the table", config(vocab_size=200), 4, "200")


def padded(folder):
    """Four rows more than the tokenizer has ids."""
    call = config(vocab_size=292)(folder)
    path = folder / "model" / "model.safetensors"
    tensors = st_tensors(path)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        dtype, shape, data = tensors[name]
        tensors[name] = [dtype, [292, shape[1]], data + data[:4 * 2 * shape[1]]]
    path.write_bytes(st_pack(tensors))
    return call


def large_id(folder):
    """The tokenizer has an id that the model lacks, and the prompt uses it."""
    model = copy_model(folder)

    def change(t):
        t["added_tokens"].append({"id": 5000, "content": "<far>", "single_word": False,
                                  "lstrip": False, "rstrip": False, "normalized": False,
                                  "special": True})
    edit_json(model / "tokenizer.json", change)
    return run_model(model, "--prompt", "a<far>b", "--no-chat-template", ids=None)


add("CF13", "padded up", padded, 0)
add("CF13", "tokenizer ids above it", large_id, 4, "288", "prompt")
add("CF14", "no positions", config(max_position_embeddings=0), 4, "/max_position_embeddings")
add("CF14", "2^40 positions", config(max_position_embeddings=1 << 40), 6,
    "/max_position_embeddings")
for what, text in (("0", "0"), ("negative", "-1"), ("1e400", "1e400"), ("NaN", "NaN"),
                   ("a string", '"x"')):
    add("CF15", f"rope_theta {what}", raw("rope_theta", text), 4, "config.json")
for what, value, code, word in (
        ("unknown type", {"rope_type": "spiral", "factor": 2}, 5, "spiral"),
        ("linear, factor 0", {"rope_type": "linear", "factor": 0}, 4, "factor"),
        ("linear, factor missing", {"rope_type": "linear"}, 4, "factor"),
        ("linear, factor text", {"rope_type": "linear", "factor": "2"}, 4, "factor"),
        ("a string", "linear", 4, "rope_scaling"),
        ("llama3, factor -1", {"rope_type": "llama3", "factor": -1, "low_freq_factor": 1,
                               "high_freq_factor": 4, "original_max_position_embeddings": 8192}, 4,
         "factor"),
        ("longrope, short list", {"rope_type": "longrope", "short_factor": [1.0],
                                  "long_factor": [1.0] * 8, "factor": 2,
                                  "original_max_position_embeddings": 128}, 4, "short_factor"),
        ("longrope, zero in the list", {"rope_type": "longrope", "short_factor": [0.0] * 8,
                                        "long_factor": [1.0] * 8, "factor": 2,
                                        "original_max_position_embeddings": 128}, 4,
         "short_factor"),
        ("yarn, factor 1e400", {"rope_type": "yarn", "factor": -1.0}, 4, "factor")):
    add("CF15", f"rope_scaling {what}", config(rope_scaling=value), code, word)
for what, text in (("0", "0"), ("negative", "-1e-6"), ("NaN", "NaN"), ("1e400", "1e400"),
                   ("a string", '"x"')):
    add("CF16", f"rms_norm_eps {what}", raw("rms_norm_eps", text), 4, "config.json")
add("CF16", "tied and lm_head present", config(name="llama_tied_two_heads"), 0)
add("CF16", "tied a string", config(tie_word_embeddings="yes"), 4, "/tie_word_embeddings")
add("CF17", "unknown model_type", config(model_type="mystery"), 5, "mystery", "llama")
add("CF17", "model_type missing", config(model_type=...), 4, "/model_type")
add("CF17", "model_type hostile", config(model_type="\x1b[31m" + "x" * 500), 5, "\\x1B")


def auto_map(folder):
    call = config(auto_map={"AutoModel": "modeling_x.X"})(folder)
    (folder / "model" / "modeling_x.py").write_text("raise SystemExit(99)\n")
    call.args[call.args.index("warn")] = "info"
    return call


add("CF17", "auto_map", auto_map, 0, logs=("auto_map",))
FOUR = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
EIGHT = {"quant_method": "bitsandbytes", "load_in_8bit": True}
add("CF18", "says 4-bit, is not", config(quantization_config=FOUR), 4, "quantization_config")
add("CF18", "says 8-bit, is not", config(quantization_config=EIGHT), 4, "quantization_config")
add("CF18", "says both", config(quantization_config={**FOUR, **EIGHT}), 4, "quantization_config")
add("CF18", "is 4-bit, does not say so", config(name="bnb_nf4", quantization_config=...), 4)
add("CF18", "is 4-bit, says 8-bit", config(name="bnb_nf4", quantization_config=EIGHT), 4)
add("CF18", "is 8-bit, says 4-bit", config(name="bnb_int8", quantization_config=FOUR), 4)
add("CF18", "a list", config(quantization_config=[]), 4, "quantization_config")
add("CF18", "another method", config(quantization_config={"quant_method": "gptq"}), 5, "gptq")
add("CF19", "a list", config(eos_token_id=[2, 3]), 0)
add("CF19", "missing", config(eos_token_id=...), 0)
add("CF19", "null", config(eos_token_id=None), 0)
add("CF19", "outside the vocabulary", config(eos_token_id=288), 4, "eos", "288")
add("CF19", "negative", config(eos_token_id=-1), 4, "eos", "-1")
add("CF19", "a string", config(eos_token_id="2"), 4, "/eos_token_id")
add("CF19", "1,000 of them", config(eos_token_id=[2] * 1000), (4, 6), "/eos_token_id")


def generation(text):
    def make(folder):
        model = copy_model(folder)
        (model / "generation_config.json").write_text(text)
        return run_model(model)
    return make


for key, text in (("temperature", "NaN"), ("temperature", "-1"), ("temperature", "1e400"),
                  ("top_k", "-1"), ("top_p", "2"), ("top_p", '"x"'),
                  ("repetition_penalty", "0"), ("repetition_penalty", "-1"),
                  ("no_repeat_ngram_size", "-1"), ("min_new_tokens", "-1"),
                  ("suppress_tokens", "[-5]"),
                  ("bad_words_ids", "[[]]"), ("bad_words_ids", "5")):
    add("CF20", f"{key} {text}", generation(f'{{"{key}": {text}}}'), 4, "generation_config.json")
add("CF20", "no JSON", generation("{"), 4, "generation_config.json")
add("CF20", "a list", generation("[]"), 4, "generation_config.json")
add("CF20", "stop strings", generation('{"stop_strings": ["x"]}'), 5, "stop_strings")
add("CF21", "nested text_config", config(text_config={"hidden_size": 64}), 5, "text_config")


def text(change):
    return config(lambda c: change(json.dumps(c)))


add("CF22", "duplicate key", text(lambda t: t[:-1] + ', "vocab_size": 288}'), 4, "config.json",
    "vocab_size")
add("CF22", "duplicate key by an escape", text(lambda t: t[:-1] + ', "\\u0076ocab_size": 288}'), 4,
    "config.json")
add("CF23", "byte order mark", text(lambda t: "\ufeff" + t), 0)
add("CF23", "UTF-16", text(lambda t: t.encode("utf-16")), 4, "config.json")
for literal in ("NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "'a'"):
    add("CF23", f"literal {literal}", raw("other", literal), 4, "config.json", "line 1")
add("CF23", "integer above 64 bits", raw("other", "1" + "0" * 30), 0)
for what, value in (("empty", ""), ("a list", "[]"), ("null", "null"), ("NUL", "{}\0"),
                    ("truncated", '{"model_type": "lla'), ("nested", "[" * 100_000),
                    ("no UTF-8", b'{"a": "\xff"}')):
    add("CF23", what, text(lambda t, v=value: v), 4, "config.json")


def missing(folder):
    model = copy_model(folder)
    (model / "config.json").unlink()
    return run_model(model)


def large(folder):
    model = copy_model(folder)
    path = model / "config.json"
    with open(path, "r+b") as f:
        f.truncate(257 * 1000 * 1000)
    return run_model(model)


add("CF23", "missing", missing, 3, "config.json")
add("CF23", "257 MB", large, 6, "config.json", "256000000")
WRONG_SHAPES = ["model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"] + [
    f"model.layers.1.{part}.weight" for part in (
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "input_layernorm",
        "post_attention_layernorm")]


def wrong_shape(name):
    def make(folder):
        model = copy_model(folder)
        path = model / "model.safetensors"
        tensors = st_tensors(path)
        dtype, shape, data = tensors[name]
        tensors[name] = [dtype, [shape[0] - 1, *shape[1:]],
                         data[:len(data) // shape[0] * (shape[0] - 1)]]
        path.write_bytes(st_pack(tensors))
        return run_model(model)
    return make


def transposed(name):
    def make(folder):
        model = copy_model(folder)
        path = model / "model.safetensors"
        tensors = st_tensors(path)
        tensors[name][1].reverse()
        path.write_bytes(st_pack(tensors))
        return run_model(model)
    return make


for name in WRONG_SHAPES:
    add("CF24", name, wrong_shape(name), 4, name, "expected", "found")
add("CF24", "transposed", transposed("model.layers.0.mlp.up_proj.weight"), 4,
    "[96, 64]", "[64, 96]")
