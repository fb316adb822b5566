# SPDX-License-Identifier: MIT
"""Prints the tables of src/text/tok_newer.c and, with the argument props, of src/text/tok_props.c.

tok_newer.c: the characters that the reference's regular expressions know and the
local PCRE2 (Unicode 14) does not, with an older character of the same category, script group and length
in UTF-8 for each range. tok_props.c: where other parts of the reference differ from utf8proc 2.8 (Unicode 15),
mostly because their tables are older. Needs the package tokenizers (made with 0.23.3) and libpcre2-8 or libutf8proc."""

import ctypes
import sys
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Cf".split()
STAND_INS = {3: {"Lu": 0x1E00, "Ll": 0x1E01, "Lm": 0xA717, "Lo": 0x0E01, "Mn": 0x302A, "Mc": 0x1B04, "Nd": 0x0E50, "Po": 0x1B5A,
                 "Pd": 0x2E3A, "So": 0x2422, "Sm": 0x2A00, "Sc": 0x20A1, "Sk": 0xA700},
             4: {"Lu": 0x10400, "Ll": 0x10428, "Lm": 0x10781, "Lo": 0x10000, "Mn": 0x101FD, "Mc": 0x11000, "Nd": 0x104A0,
                 "Nl": 0x10140, "No": 0x10107, "Po": 0x10100, "Pd": 0x10EAD, "So": 0x10137, "Sm": 0x1D6C1, "Cf": 0x110BD,
                 "Sc": 0x1E2FF, "Sk": 0x1F3FB}}
HAN = 0x20000
CYRILLIC = {(3, "Lu"): 0xA640, (3, "Ll"): 0xA641}
ALL = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c <= 0xDFFF]


def known_to_reference(pattern):
    splitter = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    out = set()
    for i in range(0, len(ALL), 20000):
        for piece, _ in splitter.pre_tokenize_str("".join(ALL[i:i + 20000])):
            out.update(piece)
    return out


def unknown_to_pcre2():
    lib = ctypes.CDLL("libpcre2-8.so.0")
    lib.pcre2_compile_8.restype = lib.pcre2_match_data_create_8.restype = ctypes.c_void_p
    code, offset = ctypes.c_int(), ctypes.c_size_t()
    pattern = rb"\p{Cn}"
    regex = ctypes.c_void_p(lib.pcre2_compile_8(pattern, ctypes.c_size_t(len(pattern)), ctypes.c_uint32(0x000A0000),
                                                ctypes.byref(code), ctypes.byref(offset), None))
    data = ctypes.c_void_p(lib.pcre2_match_data_create_8(1, None))
    out = set()
    for ch in ALL:
        text = ch.encode()
        if lib.pcre2_match_8(regex, text, ctypes.c_size_t(len(text)), ctypes.c_size_t(0), ctypes.c_uint32(0), data, None) > 0:
            out.add(ch)
    return out


def main():
    new = unknown_to_pcre2()
    han, cyrillic = known_to_reference(r"\p{Han}"), known_to_reference(r"\p{Cyrillic}")
    stand_in = {}
    for category in CATEGORIES:
        for ch in known_to_reference(r"\p{%s}" % category) & new:
            length = len(ch.encode())
            if ch in cyrillic and (length, category) in CYRILLIC:
                stand_in[ord(ch)] = CYRILLIC[length, category]
                continue
            stand_in[ord(ch)] = HAN if ch in han and category == "Lo" else STAND_INS[length][category]
    for length, table in STAND_INS.items():
        for category, code in table.items():
            assert unicodedata.category(chr(code)) == category and len(chr(code).encode()) == length, hex(code)
    ranges = []
    for code in sorted(stand_in):
        if ranges and ranges[-1][1] == code - 1 and ranges[-1][2] == stand_in[code]:
            ranges[-1][1] = code
        else:
            ranges.append([code, code, stand_in[code]])
    print("/* SPDX-License-Identifier: MIT\n * Made by tools/reference/make_newer_chars.py: first, last, stand-in. */")
    for first, last, code in ranges:
        print("{0x%X, 0x%X, 0x%X}," % (first, last, code))


def print_ranges(name, codes):
    ranges = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    print("static const range %s[] = {%s};" % (name, ", ".join("{0x%X, 0x%X}" % tuple(r) for r in ranges)))


def props():
    lib = ctypes.CDLL("libutf8proc.so.2")
    codes = [ord(ch) for ch in ALL]
    category = {c: lib.utf8proc_category(c) for c in codes}
    strip = normalizers.StripAccents()
    bert = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    punctuation = pre_tokenizers.Punctuation(behavior="removed")
    marks = {c for c in codes if strip.normalize_str("a" + chr(c)) == "a"}
    nonspacing = {c for c in codes if bert.normalize_str("a" + chr(c)) == "a"}
    dropped = {c for c in codes if clean.normalize_str("a" + chr(c) + "b") == "ab"}
    points = {c for c in codes if punctuation.pre_tokenize_str("a" + chr(c) + "b")[0][0] == "a"}
    print_ranges("no_marks", {c for c in codes if category[c] in (6, 7, 8)} - marks)
    print_ranges("no_nonspacing", {c for c in codes if category[c] == 6} - nonspacing)
    print_ranges("no_other", {c for c in codes if category[c] in (26, 27, 29) and c not in (9, 10, 13)} - dropped)
    print_ranges("no_punctuation", {c for c in codes if 12 <= category[c] <= 18} - points)
    print_ranges("no_decomposition", {c for c in codes if normalizers.NFKD().normalize_str(chr(c)) == chr(c)
                                      and unicodedata.normalize("NFKD", chr(c)) != chr(c)} | NEWER_THAN_PYTHON)
    print("/* also marks:", [hex(c) for c in marks if category[c] not in (6, 7, 8)], "*/")
    print("/* also nonspacing:", [hex(c) for c in nonspacing if category[c] != 6], "*/")
    print("/* also punctuation:", [hex(c) for c in points if c > 127 and not 12 <= category[c] <= 18], "*/")
    lower, python = normalizers.Lowercase(), lib.utf8proc_tolower
    print("static const mapping lower[] = {%s};" % ", ".join(
        "{0x%X, 0x%X}" % (c, ord(lower.normalize_str(chr(c)))) for c in codes
        if c != 0x130 and lower.normalize_str(chr(c)) != chr(python(c))))


# Decomposed by utf8proc 2.8, unknown to the unicodedata of older Pythons, left alone by the reference.
NEWER_THAN_PYTHON = set(range(0x1E030, 0x1E06E))


if __name__ == "__main__":
    props() if sys.argv[1:] == ["props"] else main()
