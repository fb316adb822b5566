# SPDX-License-Identifier: MIT
"""TK: tokenizer.json, tokenizer_config.json, and texts to encode."""
import json
import shutil

from .base import MIB, TOKENIZERS, Call, Group, copy_model, edit_json, run_model

ENTRIES = Group()
add = ENTRIES.add
NOT_TRIED = {"TK17": "a text of 2^31 tokens is above the cap of a prompt file, which is tested"}
M = "model"
MARK = "@here@"


def answer(n=1):
    """The program prints n lines of JSON without an error in them."""
    def check(done, _):
        lines = done.stdout.splitlines()
        bad = [x for x in lines if b'"error"' in x]
        return None if len(lines) == n and not bad else f"{len(lines)} lines: {done.stdout[:200]}"
    return check


def line(**members):
    return json.dumps(members).encode("utf-8", "surrogatepass") + b"\n"


def tokenizer(change=None, text="ab abc", name="llama_gqa", raw=None, **more):
    """tokenizer.json edited by change(object), then used on a text."""
    def make(folder):
        if (TOKENIZERS / name).is_dir():
            model = folder / "model"
            model.mkdir()
            shutil.copy(TOKENIZERS / name / "tokenizer.json", model)
        else:
            model = copy_model(folder, name)
        if raw is not None:
            (model / "tokenizer.json").write_bytes(raw)
        else:
            edit_json(model / "tokenizer.json", change or (lambda t: None))
        given = more.get("input", b"")
        return Call(["tokenize", "--model-id", model, "--log-level", "warn",
                     *more.get("args", ["--text", text])],
                    input=given() if callable(given) else given)
    return make


def model(**values):
    def change(t):
        for key, value in values.items():
            if value is ...:
                t[M].pop(key, None)
            else:
                t[M][key] = value
    return change


def vocab(change):
    return lambda t: change(t[M]["vocab"])


def member(key, value):
    return lambda t: t.__setitem__(key, value)


for what, value in (("negative", -1), ("2^31", 1 << 31), ("2^32", 1 << 32), ("2^64", 1 << 64),
                    ("a real", 1.5), ("a string", "5"), ("null", None)):
    add("TK01", f"id {what}", tokenizer(vocab(lambda v, x=value: v.__setitem__("!", x))), 4,
        "/model/vocab/!")
add("TK01", "id twice", tokenizer(vocab(lambda v: v.__setitem__("zz!", 5))), 4, "5")
add("TK01", "token twice", tokenizer(
    lambda t: json.dumps(t).replace('"vocab": {', '"vocab": {"!": 300, ')), 4, "!")
add("TK01", "gap of 2^31", tokenizer(vocab(lambda v: v.__setitem__("zz", (1 << 31) - 2))), (0, 4))
add("TK01", "vocab a string", tokenizer(model(vocab="x")), 4)
add("TK01", "vocab missing", tokenizer(model(vocab=...)), 4)
for what, merge in (("left", "\u1234 a"), ("right", "a \u1234"), ("both", "\u1234 \u1235")):
    add("TK02", f"{what} part unknown", tokenizer(lambda t, m=merge: t[M]["merges"].insert(0, m)),
        4, "/model/merges/0")
add("TK03", "result unknown", tokenizer(lambda t: t[M]["merges"].append("! !")), 4, "merges/")
add("TK04", "part shorter than the prefix",
    tokenizer(model(continuing_subword_prefix="#######")), 4, "/model/merges/0")
for what, merge in (("two blanks", "a  b"), ("three parts", "a b c"), ("no blank", "ab"),
                    ("empty", ""), ("one string", ["a"]), ("three strings", ["a", "b", "c"]),
                    ("a number", 5), ("numbers", [1, 2])):
    add("TK05", what, tokenizer(lambda t, m=merge: t[M]["merges"].insert(1, m)), 4)


def pairs(mixed):
    def change(t):
        t[M]["merges"] = [m.split(" ") if isinstance(m, str) and (i % 2 or not mixed) else m
                          for i, m in enumerate(t[M]["merges"])]
    return change


add("TK05", "pairs", tokenizer(pairs(False)), 0)
add("TK05", "pairs and strings", tokenizer(pairs(True)), 0)
add("TK06", "merge twice", tokenizer(
    lambda t: t[M]["merges"].append(t[M]["merges"][0])), 0, logs=("merge",))
add("TK06", "1 MB of one letter", tokenizer(
    name="bpe_words", args=[], input=lambda: line(text="a" * 1_000_000)), 0, check=answer(),
    memory=256 * MIB)
add("TK06", "10 MB of one letter", tokenizer(
    name="bpe_words", args=[], input=lambda: line(text="a" * 10_000_000)), 0, check=answer(),
    slow=True, memory=2048 * MIB)


def pattern(regex):
    return member("pre_tokenizer", {"type": "Split", "pattern": {"Regex": regex},
                                    "behavior": "Isolated", "invert": False})


LONG = "a" * 40 + "!"
for regex in ("(a+)+$", "(a*)*b", "(.*){20}x", "(a|a)*$", "(a|aa)+$", "(?:a?){40}a{40}"):
    add("TK07", regex, tokenizer(pattern(regex), text=LONG * 20), (0, 6), seconds=3)
add("TK07", "1,000 nested groups", tokenizer(pattern("(" * 1000 + "a" + ")" * 1000)), (0, 4, 5, 6))
add("TK07", "100,000 open groups", tokenizer(pattern("(" * 60_000)), (4, 5, 6))
add("TK07", "counted to 1e9", tokenizer(pattern("a{1000000000}")), (4, 5, 6))
add("TK07", "counts nested", tokenizer(pattern("(((a{1000}){1000}){1000}){1000}")), (4, 5, 6))
for what, regex, code in (
        ("unknown property", r"\p{Bogus}", (4, 5)), ("unclosed class", "[a-", 4),
        ("unclosed group", "(a", 4), ("lonely )", "a)", 4), ("lonely *", "*a", (0, 4)),
        ("recursion", r"(?R)", (4, 5)), ("call", r"(?{code})", (4, 5)),
        ("back reference to nothing", r"\9", (4, 5)), ("range reversed", "[z-a]", 4),
        ("trailing backslash", "a\\", 4), ("NUL", "a\0b", (0, 4))):
    add("TK08", what, tokenizer(pattern(regex)), code)
add("TK08", "look-behind", tokenizer(pattern(r"(?<=a)b")), 0)
add("TK08", "64 KiB of source", tokenizer(pattern("a|" * 32_767 + "b")), (0, 4, 5, 6))
add("TK08", "1 MB of source", tokenizer(lambda t: pattern("a" * 1_000_000)(t)), (4, 5, 6))
for what, value in (("no base64", "%%%%"), ("truncated", "AAAA"), ("empty", ""),
                    ("length beyond", "/////w=="), ("offset out of range", "BAAAAP////8="),
                    ("a number", 5), ("random", "BAAAAPv+/f4AAAA=")):
    add("TK09", what, tokenizer(member("normalizer", {
        "type": "Precompiled", "precompiled_charsmap": value}), text="\u00e9\uff21\u3042"), (0, 4)
        if what in ("empty", "random", "offset out of range") else 4)   # 0: no match, no over-read


def score(text):
    def change(t):
        t[M]["vocab"][5][1] = MARK
        return json.dumps(t).replace(f'"{MARK}"', text)
    return change


for text in ("NaN", "Infinity", "1e400", '"x"', "null"):
    add("TK10", f"score {text}", tokenizer(score(text), name="unigram"), 4)
for value in (-1, 100_000, 1 << 40, "x"):
    add("TK10", f"unk_id {value}", tokenizer(model(unk_id=value), name="unigram"), 4, "unk_id")
add("TK10", "vocab of triples", tokenizer(model(vocab=[["a", 1, 2]]), name="unigram"), 4)
add("TK10", "vocab empty", tokenizer(model(vocab=[], unk_id=None), name="unigram"), 4)
add("TK11", "no [UNK]", tokenizer(model(unk_token="[NONE]"), name="wordpiece"), 4, "unk_token")
TOKEN = {"id": 288, "content": "x", "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}


def added(**values):
    return lambda t: t["added_tokens"].append({**TOKEN, **values})


add("TK12", "1 MiB long", tokenizer(added(content="x" * (1 << 20))), 6, "65536")
add("TK12", "id of another token", tokenizer(added(id=5, content="<other>")), (0, 4))
add("TK12", "content a number", tokenizer(added(content=5)), 4, "added_tokens")
add("TK12", "id negative", tokenizer(added(id=-1)), 4, "added_tokens")
add("TK12", "list an object", tokenizer(member("added_tokens", {})), 4, "added_tokens")
add("TK12", "entry null", tokenizer(member("added_tokens", [None])), 4, "added_tokens/0")
add("TK12", "empty content", tokenizer(added(content="")), 0)
add("TK12", "the same twice", tokenizer(lambda t: t["added_tokens"].append(t["added_tokens"][0])),
    0)


def many_added(n):
    return lambda t: t["added_tokens"].extend(
        {**TOKEN, "id": 288 + i, "content": f"<t{i}>"} for i in range(n))


add("TK12", "70,000 of them", tokenizer(many_added(70_000)), 6, "65536")
add("TK12", "1,000,000 of them", tokenizer(many_added(1_000_000)), 6, "65536", slow=True,
    memory=512 * MIB)                                   # the tree of a 107 MB JSON file
add("TK13", "special token missing", tokenizer(member("post_processor", {
    "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<no>", "type_id": 0}},
                                             {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [], "special_tokens": {}})), 4, "<no>")
add("TK13", "template of numbers", tokenizer(member("post_processor", {
    "type": "TemplateProcessing", "single": [5], "pair": [], "special_tokens": {}})), 4)
for key in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
    add("TK14", f"{key} of unknown type", tokenizer(member(key, {"type": "Magic\x1b"})), 5,
        "Magic\\x1B")
    add("TK14", f"{key} without a type", tokenizer(member(key, {})), 4, key)
    add("TK14", f"{key} a string", tokenizer(member(key, "x")), 4)

    def nested(t, k=key):
        """10,000 sequences inside each other, as text: a JSON writer would recurse."""
        t[k] = MARK
        part = {"normalizer": "normalizers", "pre_tokenizer": "pretokenizers",
                "post_processor": "processors", "decoder": "decoders"}[k]
        inner = f'{{"type":"Sequence","{part}":[' * 10_000 + "]}" * 10_000
        return json.dumps(t).replace(f'"{MARK}"', inner)
    add("TK14", f"{key} nested 10,000 deep", tokenizer(nested), 4, "64")
add("TK14", "model of unknown type", tokenizer(model(type="Magic")), 5, "Magic")
add("TK14", "version 2.0", tokenizer(member("version", "2.0")), 5, "2.0")
for what, value in (("max_length 0", {"max_length": 0}), ("max_length -1", {"max_length": -1}),
                    ("a string", "x")):
    add("TK15", f"truncation {what}", tokenizer(member("truncation", value)), 0)
add("TK15", "padding to 2^31", tokenizer(member("padding", {"strategy": {"Fixed": 1 << 31}})), 0)


def zeros(n):
    def write(path):
        with path.open("wb") as f:
            f.truncate(n)
    return write


def prompt(content):
    def make(folder):
        model = copy_model(folder)
        path = folder / "prompt.txt"
        if callable(content):
            content(path)
        else:
            path.write_bytes(content)
        return run_model(model, "--prompt-file", path, ids=None)
    return make


add("TK16", "prompt file no UTF-8", prompt(b"abc\xff"), 4, "prompt.txt", "byte 3")
add("TK16", "prompt file with NUL", prompt(b"a\0b"), 4, "prompt.txt", "byte 1")
add("TK16", "prompt file of surrogates", prompt(b"ab\xed\xa0\x80"), 4, "byte 2")
add("TK16", "prompt file empty", prompt(b""), (0, 4))
add("TK16", "prompt file of 65 MB", prompt(zeros(65_000_001)), 6,
    "prompt.txt", "64")
add("TK16", "prompt file of 64 MB", prompt(lambda p: p.write_bytes(b"ab " * 21_000_000)), (4, 5, 6),
    slow=True, seconds=20, memory=2048 * MIB)
add("TK16", "lone surrogate", tokenizer(args=[], input=b'{"text":"a\\ud800b"}\n'), 4)
add("TK16", "invalid UTF-8", tokenizer(args=[], input=b'{"text":"a\xff"}\n'), 4, "line 1")
add("TK16", "NUL in the text", tokenizer(args=[], input=b'{"text":"a\\u0000b"}\n'), 0,
    check=answer())
add("TK16", "no object", tokenizer(args=[], input=b"[]\n5\n"), 4, "line 1")
for what, part, n in (("1,000,000 combining marks", "\u0301", 1_000_000),
                      ("ZWJ chain", "\U0001f468\u200d", 200_000),
                      ("no white space", "abcdefghij", 100_000)):
    for kind in ("llama_gqa", "norm_nfc", "bpe_sp", "unigram", "wordpiece"):
        add("TK16", f"{what}, {kind}", tokenizer(
            name=kind, args=[], input=lambda p=part, n=n: line(text="a" + p * n)), 0,
            check=answer(), memory=512 * MIB)


def parsed(done, folder):
    return None if b"special tokens" in done.stderr or b"special" in done.stderr else \
        f"nothing said about special tokens in the user's text: {done.stderr[-300:]}"


def special_text(*more):
    def make(folder):
        call = run_model(copy_model(folder), "--prompt", "say <|end|> now", *more, ids=None)
        call.args[call.args.index("warn")] = "info"
        return call
    return make


add("TK18", "special token in the prompt", special_text(), 0, check=parsed)
add("TK18", "--no-parse-special", special_text("--no-parse-special"), 0)
for what, ids, code in (("-1", "-1", 2), ("2^32", "4294967296", 2), ("beyond", "100000", 0),
                        ("half a character", "127", 0)):
    add("TK19", what, tokenizer(args=["--ids", ids]), code)
add("TK19", "-1 in JSON", tokenizer(args=[], input=b'{"ids":[-1]}\n'), 4)
add("TK19", "2^32 in JSON", tokenizer(args=[], input=b'{"ids":[4294967296]}\n'), 4)
add("TK19", "beyond the vocabulary in JSON", tokenizer(args=[], input=b'{"ids":[4294967295,3]}\n'),
    0, check=answer())
add("TK19", "byte-fallback halves", tokenizer(name="dec_byte_fallback", args=[], input=line(
    ids=list(range(0, 300)))), 0, check=answer())
for what, raw in (("empty", b""), ("no JSON", b"{"), ("a list", b"[]"), ("NUL", b"\0" * 100),
                  ("cut", (TOKENIZERS / "unigram" / "tokenizer.json").read_bytes()[:3000])):
    add("TK14", f"file {what}", tokenizer(raw=raw), 4, "tokenizer.json")
add("TK14", "file LFS pointer", tokenizer(raw=b"version https://git-lfs.github.com/spec/v1\n"), 4,
    "tokenizer.json")
