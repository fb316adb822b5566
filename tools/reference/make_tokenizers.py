# SPDX-License-Identifier: MIT
"""Makes the small tokenizers of tests/golden/tokenizers and the reference's answers for them.

    python3 make_tokenizers.py OUT [--random N] [--only NAME]

Needs the package tokenizers (made with 0.23.3). Each folder holds tokenizer.json, sometimes
tokenizer_config.json, and golden_tokens.jsonl / golden_decode.jsonl in this form, one object a line:
{"text", "add_special_tokens", "ids", "decoded", "decoded_skip_special"} and {"ids", "decoded",
"decoded_skip_special"}. All text below was written for this file. --random adds N random strings per
tokenizer (for a comparison on the spot; not kept)."""

import argparse
import base64
import json
import os
import random
import struct

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, trainers

CORPUS = [
    "The harbour was quiet when the first boats came back, and nobody on the quay said a word.",
    "She counted the lamps along the shore: one, two, three, and then the fog took the others.",
    "It's not that they couldn't see; they'd simply stopped looking, and we'll never know why.",
    "In 1887 the mill had 42 looms and 316 workers; by 1902 there were 7 looms and a cat.",
    "def add(a, b):\n    return a + b  # both are numbers\n\n\nprint(add(2, 40))\n",
    "Der Fluß trägt das Holz ins Tal, und über den Dächern hängt der Rauch der Öfen.",
    "Le café était fermé à midi, mais l'élève attendait déjà devant la porte.",
    "Река была широкой и медленной, а берег низким и зелёным.",
    "山の上に小さな家があり、老人が一人で住んでいた。カタカナもある。",
    "河水流过田野，风从北方来。今年的收成很好！",
    "바람이 불고 나뭇잎이 떨어졌다.",
    "The the THE tHe, again and again: the harbour, the lamps, the fog, the mill, the looms.",
]

TEXTS = [
    "", " ", "  ", "\n", "\t", "a", " a", "a ", "  a  b   c    ", "\r\n\r\n", "line one\r\nline two\n\n",
    "Hello, world!", "hello world", "HELLO World", "don't can't I'LL we'Ve IT'S", "x=1;y+=22;z**=333",
    "1234567890", "12,345.678", "3½ ², Ⅷ ٣ 四 ①", "a.b.c...d!!?", "----- ---- --- -- -", "(a[b]{c}<d>)",
    "naïve café Ångström", "e\u0301 a\u0308\u0323 \u1e69 \u0073\u0323\u0307", "ﬁ ﬂ ﬀ ½ ™ ℌ Å",
    "ß ẞ İ ı ſ ŉ ΑΣ ΣΑΣ", "’ “quoted” ‘single’ — dash – en … ellipsis", "日本語のテキスト。漢字とかな",
    "中文，标点！", "한국어 텍스트", "русский ТЕКСТ", "العربية نص", "हिन्दी पाठ", "ไทย",
    "emoji 😀 👍🏽 👨‍👩‍👧‍👦 🇩🇪 ❤️", "zero\u200bwidth\u200djoin\u200cnon\u2060w", "nbsp\u00a0thin\u2009ideo\u3000end",
    "nel\u0085ls\u2028ps\u2029end", "bell\u0007nul\u0000del\u007f", "\ufeffbom \ufffd bad", "▁low▁line ▁",
    "a_b __init__ snake_case9", "mixed漢字and1234ひらがなカタカナー", "<0x41> <0xE2><0x96>", "Ġ Ċ ġ",
    "<s>", "</s>", "<s>hi</s>", "x<s>y", " <s> ", "[MASK] a[MASK]b", "a <sep>  b", "<sep>\n\n<sep>", "word wordy sword word",
    "tok<tok>ken tokken", "<|end|><|end|>", "the harbour the lamps", "The quick brown fox", "lamps looms",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "thethethethethethethethethethethethethethethethethethethethethethethethe",
    "supercalifragilisticexpialidocious", "\u0301\u0302abc\u0303", "\u1100\u1161\u11a8 각", "ｆｕｌｌｗｉｄｔｈ ＡＢＣ１２３",
    "\U0001d400\U0001d401 \U00020000 \U0001f1e6", "a\u00adb\u061cc", "١٢٣ ४५६", "$5.00 €10 £3 ¥7", "^caret `tick` ~tilde |pipe",
    "end of text with spaces   ", "\n\n  indented\n\tTabbed", "a\n \n  \n b",
    "newer \U0001fa77\U0001fae8! \U00031350\U0002ebf0漢 \u1c89\u1c8a \ua7cb\ua7cd \U00011bf0\U00011bf1 \u31ef\u2ffc",
]

ALPHABET = list("aabcdeefhilmnoprstuw  ''.,-12<>▁\n\t") + ["é", "ß", "İ", "漢", "か", "カ", "ー", "\u0301", "\u0323", "😀", "ﬁ",
            "Σ", "½", "\u200d", "\u00a0", "ĠĊ", "</s>", "<s>", "<sep>", "[MASK]", "the", " the", "word", "가", "Ω", "я"]


def special(content, **flags):
    return AddedToken(content, special=True, normalized=False, **flags)


def bytes_model(suffix=None):
    """256 byte tokens and nothing else: ids are the bytes of the text, and the suffix shows where pieces end."""
    return {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": suffix, "fuse_unk": False, "byte_fallback": True, "ignore_merges": False,
            "vocab": {"<0x%02X>" % b: b for b in range(256)}, "merges": []}


def tokenizer_json(model, **parts):
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": None, "post_processor": None, "decoder": None}
    base.update(parts)
    base["model"] = model
    return base


def added(id_, content, **flags):
    entry = {"id": id_, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": False}
    entry.update(flags)
    return entry


def template(first, first_id, last=None, last_id=None):
    def items(seq):
        out = [{"SpecialToken": {"id": first, "type_id": 0}}] if first else []
        out.append({"Sequence": {"id": seq, "type_id": 0}})
        return out + ([{"SpecialToken": {"id": last, "type_id": 0}}] if last else [])
    names = {}
    for name, i in ((first, first_id), (last, last_id)):
        if name:
            names[name] = {"id": name, "ids": [i], "tokens": [name]}
    return {"type": "TemplateProcessing", "single": items("A"), "pair": items("A") + items("B"), "special_tokens": names}


def replace(pattern, content, regex=False):
    return {"type": "Replace", "pattern": {"Regex" if regex else "String": pattern}, "content": content}


def split(pattern, behavior="Isolated", invert=False, regex=True):
    return {"type": "Split", "pattern": {"Regex" if regex else "String": pattern}, "behavior": behavior, "invert": invert}


def sequence(key, *steps):
    return {"type": "Sequence", key: list(steps)}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BYTE_LEVEL_RAW = dict(BYTE_LEVEL, use_regex=False)
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
          r"|\s+(?!\S)|\s")
KIMI = (r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+"
        r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
WHITESPACE = {"type": "WhitespaceSplit"}
LLAMA_DECODER = sequence("decoders", replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                         {"type": "Strip", "content": " ", "start": 1, "stop": 0})


def trained(model, trainer, normalizer=None, pre=None):
    t = Tokenizer(model)
    if normalizer:
        t.normalizer = normalizer
    if pre:
        t.pre_tokenizer = pre
    t.train_from_iterator(CORPUS * 3, trainer)
    return json.loads(t.to_str())


def byte_level_model(size=420):
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return trained(models.BPE(), trainer, pre=pre_tokenizers.ByteLevel(add_prefix_space=False))["model"]


def sp_model(size=460):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, limit_alphabet=60,
                                  special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)])
    t.train_from_iterator(CORPUS[:6] * 3, trainer)
    return json.loads(t.to_str())["model"]


def unigram_model(byte_fallback=False):
    """Scores by hand: pieces of the corpus, longer ones dearer; ties on purpose."""
    counts = {}
    for line in CORPUS[:5]:
        for word in line.split():
            word = "▁" + word
            for i in range(len(word)):
                for n in range(1, 6):
                    if i + n <= len(word):
                        counts[word[i:i + n]] = counts.get(word[i:i + n], 0) + 1
    best = sorted((p for p in counts if len(p) == 1 or counts[p] > 2), key=lambda p: (-counts[p] * len(p), p))[:260]
    vocab = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0]]
    if byte_fallback:
        vocab += [["<0x%02X>" % b, -20.0] for b in range(256)]
    vocab += [[p, round(-9.0 + counts[p] * 0.0625 + (len(p) - 1) * 0.125, 4)] for p in best]
    return {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": byte_fallback}


def charsmap(rules):
    """A double-array trie as SentencePiece stores it. rules: {key: replacement}."""
    blob, offsets = b"", {}
    for value in rules.values():
        if value not in offsets:
            offsets[value] = len(blob)
            blob += value.encode() + b"\0"
    root = {}
    for key, value in rules.items():
        node = root
        for b in key.encode():
            node = node.setdefault(b, {})
        node[None] = offsets[value]
    units, used = {0: 0}, {0}

    def place(node, at):
        labels = [0 if k is None else k for k in node]
        base = 1
        while any((base ^ label) in used for label in labels) or (base >= 1 << 21):
            base += 1
        offset = base ^ at
        units[at] |= offset << 10
        for key, child in node.items():
            slot = base ^ (0 if key is None else key)
            used.add(slot)
            if key is None:
                units[at] |= 1 << 8
                units[slot] = child | 0x80000000
            else:
                units[slot] = key
        for key, child in node.items():
            if key is not None:
                place(child, base ^ key)

    place(root, 0)
    n = (max(units) // 256 + 1) * 256
    array = struct.pack("<%dI" % n, *[units.get(i, 0) for i in range(n)])
    return base64.b64encode(struct.pack("<I", len(array)) + array + blob).decode()


CHARSMAP = charsmap({"ﬁ": "fi", "ﬂ": "fl", "™": "TM", "Å": "Å", "½": "1/2", "\u00a0": " ", "\u3000": " ", "\u200b": "",
                     "e\u0301": "é", "a\u0308": "ä", "Ａ": "A", "Ｂ": "B", "１": "1", "\t": " ", "\n": " ", "…": "...",
                     "\u00ad": "", "Ⅷ": "VIII", "\u1100\u1161": "가"})

NORMALIZERS = {
    "nfc": {"type": "NFC"}, "nfd": {"type": "NFD"}, "nfkc": {"type": "NFKC"}, "nfkd": {"type": "NFKD"},
    "lowercase": {"type": "Lowercase"}, "nmt": {"type": "Nmt"}, "byte_level": {"type": "ByteLevel"},
    "strip": {"type": "Strip", "strip_left": True, "strip_right": True},
    "strip_right": {"type": "Strip", "strip_left": False, "strip_right": True},
    "strip_accents": sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"}),
    "prepend": {"type": "Prepend", "prepend": "▁"},
    "replace": sequence("normalizers", replace(" ", "▁"), replace("[ae]+", "*", True), replace("▁{2,}", "__", True)),
    "replace_empty": replace("(?=[A-Z])", "|", True),
    "bert": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
             "lowercase": True},
    "bert_cased": {"type": "BertNormalizer", "clean_text": False, "handle_chinese_chars": False, "strip_accents": True,
                   "lowercase": False},
    "precompiled": {"type": "Precompiled", "precompiled_charsmap": CHARSMAP},
    "all": sequence("normalizers", {"type": "Precompiled", "precompiled_charsmap": CHARSMAP}, {"type": "Nmt"},
                    {"type": "NFKC"}, {"type": "Lowercase"}, replace(r"\s+", " ", True), {"type": "Prepend", "prepend": ">"}),
}

PRE_TOKENIZERS = {
    "byte_level": BYTE_LEVEL, "byte_level_space": dict(BYTE_LEVEL, add_prefix_space=True),
    "whitespace": {"type": "Whitespace"}, "whitespace_split": WHITESPACE, "bert": {"type": "BertPreTokenizer"},
    "punctuation": {"type": "Punctuation", "behavior": "Isolated"},
    "punctuation_contiguous": {"type": "Punctuation", "behavior": "Contiguous"},
    "digits": {"type": "Digits", "individual_digits": False}, "digits_each": {"type": "Digits", "individual_digits": True},
    "delimiter": {"type": "CharDelimiterSplit", "delimiter": "e"}, "scripts": {"type": "UnicodeScripts"},
    "fixed": {"type": "FixedLength", "length": 3}, "metaspace": METASPACE,
    "metaspace_first": dict(METASPACE, prepend_scheme="first"),
    "metaspace_never": dict(METASPACE, prepend_scheme="never", split=False),
    "metaspace_old": {"type": "Metaspace", "replacement": "▁", "str_rep": "▁", "add_prefix_space": True},
    "removed": split(r"\s+", "Removed"), "with_previous": split(r"[ .]", "MergedWithPrevious"),
    "with_next": split(r"[ .]", "MergedWithNext"), "contiguous": split(r"[ .]", "Contiguous"),
    "inverted": split(r"\w+", "Removed", True), "inverted_next": split(r"\w", "MergedWithNext", True),
    "literal": split(" ", "MergedWithPrevious", regex=False), "literal_special": split(".", "Isolated", regex=False),
    "empty_match": split(r"(?=[A-Z])", "Isolated"), "star": split(r"a*", "MergedWithNext"),
    "llama3": split(LLAMA3), "cl100k": split(CL100K), "kimi": split(KIMI), "word_edges": split(r"\b"),
    "anchors": split(r"^\s*|$"), "lookbehind": split(r"(?<=\d)(?=\D)|(?<=[a-z])(?=[A-Z])"),
    "interval": split(r"a{2}?|\d{,3}+|[b-e]{2,}?"), "classes": split(r"[[:alpha:]&&[^aeiou]]+|[\h-]+|[^\W\d_]+|\H"),
    "back_reference": split(r"(.)\1+"), "option": split(r"x(?i)th|HE|(?m:.)q|\R"),
    "posix": split(r"[[:punct:]]+|[[:^space:]]|\p{^L}"), "scripts_named": split(r"\p{Han}+|\p{Hiragana}+|\p{Cyrillic}+|\P{ASCII}"),
    "sequence": sequence("pretokenizers", WHITESPACE, {"type": "Digits", "individual_digits": True}, METASPACE),
    "sequence_first": sequence("pretokenizers", {"type": "Punctuation", "behavior": "MergedWithNext"},
                               dict(METASPACE, prepend_scheme="first")),
    "deepseek": sequence("pretokenizers", split(r"\p{N}{1,3}"), split("[一-龥぀-ゟ゠-ヿ]+"),
                         split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                               "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"), BYTE_LEVEL_RAW),
}

WORDS = ["<pad>", "the", "##s", "▁har", "bour", "</w>", "lamp</w>", "fog", " ", "'", "s", "n't", ".", "!", "do", "not", "don</w>t",
         "|", "<0xE2>", "<0x96>", "<0x81>", "<0x41>", "<0xc3>", "▁", "▁▁a▁", "é", "", "Ġthe", "Ċ", "Ã", "©", "ð", "Ł", "ĺ", "Ģ",
         "<s>", "x  ", "  y", "ab ab", "<0x+A>"]

DECODERS = {
    "none": None, "byte_level": BYTE_LEVEL, "byte_fallback": {"type": "ByteFallback"},
    "fuse": {"type": "Fuse"}, "wordpiece": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "wordpiece_raw": {"type": "WordPiece", "prefix": "##", "cleanup": False},
    "metaspace": METASPACE, "metaspace_never": dict(METASPACE, prepend_scheme="never"),
    "bpe": {"type": "BPEDecoder", "suffix": "</w>"},
    "ctc": {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": True},
    "ctc_raw": {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|", "cleanup": False},
    "replace": replace("a.|▁+", "_", True), "llama": LLAMA_DECODER,
    "strip_tokens": {"type": "Strip", "content": " ", "start": 1, "stop": 1},
    "fuse_strip": sequence("decoders", {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 2, "stop": 2}),
    "bytes_then": sequence("decoders", BYTE_LEVEL, replace("the", "THE"), {"type": "Metaspace", "replacement": "H",
                           "prepend_scheme": "always", "split": True}),
    "fallback_wordpiece": sequence("decoders", {"type": "ByteFallback"}, {"type": "WordPiece", "prefix": "##",
                                   "cleanup": True}, {"type": "Fuse"}, replace("  ", " ")),
}


def word_tokenizer(decoder, specials=("<s>",)):
    vocab = {w: i for i, w in enumerate(WORDS)}
    tokens = [added(vocab[s], s, special=True) for s in specials]
    return tokenizer_json({"type": "WordLevel", "vocab": vocab, "unk_token": "<pad>"}, decoder=decoder, added_tokens=tokens)


def families():
    out = {}
    byte_model = byte_level_model()
    n = len(byte_model["vocab"])
    extra = [added(n, "<s>", special=True), added(n + 1, "</s>", special=True, rstrip=True),
             added(n + 2, "<sep>", lstrip=True, rstrip=True), added(n + 3, "word", single_word=True, normalized=True),
             added(n + 4, "[MASK]", special=True, lstrip=True), added(n + 5, "<tok>", normalized=True), added(n + 6, "<|end|>"),
             added(n + 7, "<|end|><|end|>", special=True)]
    out["bpe_bytes"] = tokenizer_json(byte_model, pre_tokenizer=BYTE_LEVEL, decoder=BYTE_LEVEL, added_tokens=extra,
                                      post_processor=dict(BYTE_LEVEL, trim_offsets=False))
    strings = dict(byte_model, merges=["#version: 0.2"] + [" ".join(m) for m in byte_model["merges"]])
    del strings["type"]
    out["bpe_bytes_space"] = tokenizer_json(strings, pre_tokenizer=dict(BYTE_LEVEL, add_prefix_space=True), decoder=BYTE_LEVEL,
                                            normalizer={"type": "NFC"},
                                            post_processor={"type": "RobertaProcessing", "sep": ["</s>", n + 1],
                                                            "cls": ["<s>", n], "trim_offsets": True, "add_prefix_space": True},
                                            added_tokens=extra[:2])
    out["bpe_bytes_llama3"] = tokenizer_json(dict(byte_model, ignore_merges=True), decoder=BYTE_LEVEL,
                                             pre_tokenizer=sequence("pretokenizers", split(LLAMA3), BYTE_LEVEL_RAW),
                                             post_processor=sequence("processors", dict(BYTE_LEVEL, trim_offsets=False),
                                                                     template("<s>", n)), added_tokens=extra)
    sp = sp_model()
    sp_added = [added(0, "<unk>", special=True), added(1, "<s>", special=True), added(2, "</s>", special=True),
                added(len(sp["vocab"]), "<sep>", rstrip=True, normalized=False), added(len(sp["vocab"]) + 1, "word", normalized=True)]
    out["bpe_sp"] = tokenizer_json(sp, normalizer=sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")),
                                   decoder=LLAMA_DECODER, post_processor=template("<s>", 1), added_tokens=sp_added)
    out["bpe_sp_first"] = tokenizer_json(sp, pre_tokenizer=dict(METASPACE, prepend_scheme="first", split=False),
                                         decoder=LLAMA_DECODER, post_processor=template("<s>", 1, "</s>", 2), added_tokens=sp_added)
    out["bpe_sp_gemma"] = tokenizer_json(sp, normalizer=replace(" ", "▁"), pre_tokenizer=split(" ", "MergedWithPrevious", regex=False),
                                         decoder=sequence("decoders", replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"}),
                                         added_tokens=sp_added)
    unk = dict(sp, byte_fallback=False)
    out["bpe_unk_fused"] = tokenizer_json(unk, pre_tokenizer=METASPACE, decoder=METASPACE, added_tokens=sp_added[:3])
    out["bpe_unk"] = tokenizer_json(dict(unk, fuse_unk=False), pre_tokenizer=METASPACE, decoder=METASPACE, added_tokens=sp_added[:3])
    out["bpe_dropping"] = tokenizer_json(dict(unk, unk_token=None), pre_tokenizer=METASPACE, decoder=METASPACE)
    words = trained(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>", continuing_subword_prefix="##"),
                    trainers.BpeTrainer(vocab_size=330, show_progress=False, limit_alphabet=40, special_tokens=["[UNK]"],
                                        end_of_word_suffix="</w>", continuing_subword_prefix="##"),
                    normalizers.Lowercase(), pre_tokenizers.Whitespace())
    out["bpe_words"] = tokenizer_json(words["model"], normalizer={"type": "Lowercase"}, pre_tokenizer={"type": "Whitespace"},
                                      decoder={"type": "BPEDecoder", "suffix": "</w>"})
    out["unigram"] = tokenizer_json(unigram_model(), normalizer={"type": "Precompiled", "precompiled_charsmap": CHARSMAP},
                                    pre_tokenizer=sequence("pretokenizers", WHITESPACE, METASPACE), decoder=METASPACE,
                                    post_processor=template(None, 0, "</s>", 2),
                                    added_tokens=[added(i, s, special=True) for i, s in enumerate(("<unk>", "<s>", "</s>"))])
    out["unigram_bytes"] = tokenizer_json(unigram_model(True), normalizer=replace(" ", "▁"), decoder=LLAMA_DECODER)
    untyped = unigram_model()
    del untyped["type"], untyped["byte_fallback"]
    out["unigram_untyped"] = tokenizer_json(untyped, pre_tokenizer=PRE_TOKENIZERS["metaspace_old"], decoder=PRE_TOKENIZERS["metaspace_old"])
    piece = trained(models.WordPiece(unk_token="[UNK]"),
                    trainers.WordPieceTrainer(vocab_size=380, show_progress=False, limit_alphabet=70,
                                              special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]),
                    normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer())["model"]
    bert_added = [added(i, s, special=True) for i, s in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))]
    out["wordpiece"] = tokenizer_json(piece, normalizer=NORMALIZERS["bert"], pre_tokenizer={"type": "BertPreTokenizer"},
                                      post_processor={"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
                                      decoder=DECODERS["wordpiece"], added_tokens=bert_added)
    small = dict(piece, max_input_chars_per_word=8)
    del small["type"]
    out["wordpiece_untyped"] = tokenizer_json(small, pre_tokenizer={"type": "Whitespace"}, decoder=DECODERS["wordpiece_raw"])
    vocab = {w: i for i, w in enumerate(["<unk>"] + sorted({w for line in CORPUS for w in line.split()})[:120])}
    out["wordlevel"] = tokenizer_json({"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"}, pre_tokenizer=WHITESPACE)
    marks = [added(256, "<s>", special=True), added(257, "<sep>", lstrip=True, rstrip=True), added(258, "word", single_word=True, normalized=True),
             added(259, "THE", normalized=True)]
    for name, part in NORMALIZERS.items():
        out["norm_" + name] = tokenizer_json(bytes_model(), normalizer=part, added_tokens=marks, decoder={"type": "ByteFallback"})
    for name, part in PRE_TOKENIZERS.items():
        out["pre_" + name] = tokenizer_json(bytes_model("\u0001"), pre_tokenizer=part, added_tokens=marks[:2], decoder={"type": "ByteFallback"})
    out["pre_shifted"] = tokenizer_json(bytes_model(), normalizer=NORMALIZERS["strip"], decoder={"type": "ByteFallback"},
                                        pre_tokenizer=dict(METASPACE, prepend_scheme="first"))
    out["pre_shifted_replace"] = tokenizer_json(bytes_model(), normalizer=replace("[ a]+", "", True), decoder={"type": "ByteFallback"},
                                                pre_tokenizer=dict(METASPACE, prepend_scheme="first"))
    for name, part in DECODERS.items():
        out["dec_" + name] = word_tokenizer(part)
    return out


def random_text(rng):
    return "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(1, 40)))


def decoded(t, ids):
    return t.decode(ids, skip_special_tokens=False), t.decode(ids, skip_special_tokens=True)


def write(folder, content, n_random):
    rng = random.Random(1)
    os.makedirs(folder, exist_ok=True)
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    t = Tokenizer.from_str(text)
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
        f.write(text + "\n")
    decoder_only = os.path.basename(folder).startswith("dec_")
    rows = []
    for s in [] if decoder_only else TEXTS + [random_text(rng) for _ in range(n_random + 20)]:
        for flag in (False, True) if content["post_processor"] else (False,):
            ids = t.encode(s, add_special_tokens=flag).ids
            a, b = decoded(t, ids)
            rows.append({"text": s, "add_special_tokens": flag, "ids": ids, "decoded": a, "decoded_skip_special": b})
    if rows:
        dump(os.path.join(folder, "golden_tokens.jsonl"), rows)
    size = t.get_vocab_size()
    rows = []
    for _ in range((120 if decoder_only else 12) + n_random):
        ids = [rng.randrange(size + 2) for _ in range(rng.randrange(0, 9))]
        try:
            a, b = decoded(t, ids)
        except BaseException:  # the reference panics where a Strip takes more than a token has
            continue
        rows.append({"ids": ids, "decoded": a, "decoded_skip_special": b})
    dump(os.path.join(folder, "golden_decode.jsonl"), rows)


def dump(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        for row in rows:
            f.write(json.dumps(row, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    for name, content in families().items():
        if args.only in name:
            try:
                write(os.path.join(args.out, name), content, args.random)
            except Exception as problem:  # name the part that the reference refuses
                print(f"{name}: {problem}")


if __name__ == "__main__":
    main()
