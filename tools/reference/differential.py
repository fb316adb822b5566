#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Differential tests against the libraries that define the formats: safetensors and tokenizers (PyPI).

    differential.py safetensors N     random and mutated files: accepted by both, or refused by both
    differential.py texts N           random texts through every golden tokenizer: the same ids, and back
    differential.py tokenizers N      mutated tokenizer.json: both refuse, or the same ids

Needs Python with safetensors and tokenizers (requirements.txt); IB_BIN names the program, IB_JUDGE the
replay program of tests/fuzz. Exit code 1 when a difference is not on the list of known ones, which
is printed with counts."""
import collections
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZERS = ROOT / "tests" / "golden" / "tokenizers"
BIN = os.environ.get("IB_BIN", str(ROOT / "build" / "inferbench"))
JUDGE = os.environ.get("IB_JUDGE", str(ROOT / "build" / "tests" / "fuzz" / "fuzz_replay"))
TEXTS = ["Hello, world! It's 12345", "caf\u00e9 \u4f60\u597d \U0001f600 <s>", "  \n\t x  ", "aaaab \u0130\u00df \ufb01",
         "<unk></s>A\u0301b's 3.14"]


def report(title, counts, examples):
    print(f"{title}: " + ", ".join(f"{v} {k}" for k, v in sorted(counts.items())))
    for kind, rows in sorted(examples.items()):
        for row in rows[:6]:
            print(f"  {kind}: {row}")


# --- safetensors ---

SIZES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "U8": 1, "I8": 1, "BOOL": 1, "I64": 8, "U32": 4}


def random_file(rng):
    header, at = {}, 0
    if rng.random() < 0.3:
        header["__metadata__"] = {"format": rng.choice(["pt", "np", "\u00e9"])}
    for i in range(rng.randrange(0, 5)):
        dtype = rng.choice(list(SIZES))
        shape = [rng.randrange(0, 4) for _ in range(rng.randrange(0, 4))]
        n = SIZES[dtype]
        for d in shape:
            n *= d
        header[f"t{i}" + rng.choice(["", ".weight", "\u00e9"])] = {"dtype": dtype, "shape": shape,
                                                               "data_offsets": [at, at + n]}
        at += n
    items = list(header.items())
    rng.shuffle(items)
    raw = json.dumps(dict(items), ensure_ascii=rng.random() < 0.5).encode()
    raw += b" " * rng.choice([0, 0, 3, 8 - len(raw) % 8])
    return struct.pack("<Q", len(raw)) + raw + bytes(rng.randrange(256) for _ in range(at))


def change_bytes(rng, raw):
    raw = bytearray(raw)
    for _ in range(rng.randrange(1, 4)):
        kind, at = rng.randrange(5), rng.randrange(len(raw)) if raw else 0
        if kind == 0 and raw:
            raw[at] = rng.choice([0, 32, 34, 44, 48, 49, 57, 91, 93, 123, 125, 255, rng.randrange(256)])
        elif kind == 1:
            raw[at:at] = rng.choice([b"0", b"1", b",", b" ", b"\"", b"[", b"-", b"e1", b".0", b"\\u0041"])
        elif kind == 2 and raw:
            del raw[at:at + rng.randrange(1, 4)]
        elif kind == 3:
            raw += bytes(rng.randrange(0, 3))
        elif len(raw) > 8:
            raw[0:8] = struct.pack("<Q", max(0, struct.unpack("<Q", raw[:8])[0] + rng.randrange(-2, 3)))
    return bytes(raw)


def mutate_header(rng, raw):
    """A change of one value, the lengths put right."""
    n, = struct.unpack("<Q", raw[:8])
    try:
        header = json.loads(raw[8:8 + n])
    except ValueError:
        return raw
    names = [k for k in header if k != "__metadata__"]
    if names:
        entry = header[rng.choice(names)]
        what = rng.randrange(5)
        if what == 0:
            entry["shape"] = entry["shape"] + [rng.choice([0, 1, 2, 1 << 31, 1 << 62, 1 << 63, -1])]
        elif what == 1:
            entry["data_offsets"][rng.randrange(2)] += rng.choice([-4, -1, 1, 4])
        elif what == 2:
            entry["dtype"] = rng.choice(list(SIZES) + ["F8_E4M3", "F4", "X", "f32"])
        elif what == 3:
            entry["data_offsets"] = entry["data_offsets"][::-1]
        else:
            entry.pop(rng.choice(list(entry)))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + raw[8 + n:]


def judge(target, paths):
    done = subprocess.run([JUDGE, "--judge", target], input="\n".join(map(str, paths)) + "\n", text=True,
                          stdout=subprocess.PIPE, check=True)
    return [tuple(line.split("\t", 1)) for line in done.stdout.splitlines()]


# Where we are stricter, or more lenient, on purpose: words of our message, or of the reference's.
KNOWN_ST = {"the first byte is not": "blanks in front of the header, which the format forbids", "rank is above 8": "rank above 8", "duplicate": "duplicate keys are refused",
            "is not model weights": "recognised as another kind of file", "control character": "control characters in names",
            "name is longer": "names above 1 KiB", "sub-byte": "sub-byte types"}


def safetensors_files(n):
    import safetensors
    rng, counts, examples = random.Random(7), collections.Counter(), collections.defaultdict(list)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        for start in range(0, n, 500):
            paths, bodies = [], []
            for i in range(min(500, n - start)):
                raw = random_file(rng)
                raw = raw if i % 5 == 0 else mutate_header(rng, raw) if i % 5 < 3 else change_bytes(rng, raw)
                path = pathlib.Path(folder) / f"{i}.safetensors"
                path.write_bytes(raw)
                paths.append(path)
                bodies.append(raw)
            for raw, (status, said) in zip(bodies, judge("safetensors", paths)):
                try:
                    safetensors.deserialize(raw)
                    theirs, words = True, ""
                except Exception as error:
                    theirs, words = False, str(error)
                ours = status in ("0", "5")
                if ours == theirs:
                    counts["both accept" if ours else "both refuse"] += 1
                    continue
                known = [v for k, v in KNOWN_ST.items() if k in said]
                kind = (f"only we refuse ({known[0]})" if known else "ONLY WE REFUSE") if theirs else "ONLY WE ACCEPT"
                counts[kind] += 1
                examples[kind].append(f"{raw[:160]!r} | {said[:160]} | {words[:120]}")
    report(f"safetensors: {n} files", counts, {k: v for k, v in examples.items() if k.isupper()})
    return any(k.isupper() for k in counts)


# --- tokenizers ---

def ours(folder, texts, extra=()):
    lines = "".join(json.dumps({"text": t, "add_special_tokens": False}) + "\n" for t in texts)
    done = subprocess.run([BIN, "tokenize", "-m", folder, *extra], input=lines.encode(), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    if done.returncode != 0:
        return None, done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return [json.loads(x)["ids"] for x in done.stdout.splitlines()], None


def random_text(rng):
    pools = ["abcdefghij ABC", " \t\n\r", "0123456789.,", "'s'll!?<>/|_-", "\u00e9\u00c5\u0301\u0130\u00df\u1e9b\u0323\ufb01",
             "\u4f60\u597d\u3042\uac00\u0627\u05d0", "\U0001f600\u200d\U0001f468\ufe0f", "\u2581\u0120\u00a0\u2028\u0085\u200b"]
    parts = []
    for _ in range(rng.randrange(1, 12)):
        pool = rng.choice(pools)
        parts.append("".join(rng.choice(pool) for _ in range(rng.randrange(1, 9))))
        if rng.random() < 0.08:
            parts.append(rng.choice(["<s>", "</s>", "<unk>", "<|im_end|>", "[CLS]", "<pad>"]))
    return "".join(parts)


def texts(n):
    import tokenizers
    rng, counts, examples = random.Random(11), collections.Counter(), collections.defaultdict(list)
    folders = sorted(p.parent for p in TOKENIZERS.glob("*/tokenizer.json"))
    each = -(-n // len(folders))
    for folder in folders:
        theirs = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        theirs.no_truncation()
        theirs.no_padding()
        batch = [random_text(rng) for _ in range(each)]
        got, error = ours(folder, batch)
        if got is None:
            counts["REFUSED"] += 1
            examples["REFUSED"].append(f"{folder.name}: {error}")
            continue
        for text, ids in zip(batch, got):
            want = theirs.encode(text, add_special_tokens=False).ids
            kind = "same ids" if ids == want else "OTHER IDS"
            counts[kind] += 1
            if kind.isupper():
                examples[kind].append(f"{folder.name} {text!r}: {ids[:20]} {want[:20]}")
    report(f"texts: {len(folders)} tokenizers, {each} texts each", counts, examples)
    return any(k.isupper() for k in counts)


def walk(value, path=()):
    yield path
    if isinstance(value, dict):
        for k in value:
            yield from walk(value[k], path + (k,))
    elif isinstance(value, list):
        for i in range(min(len(value), 6)):
            yield from walk(value[i], path + (i,))


VALUES = [None, True, False, 0, 1, -1, 2 ** 31, 2 ** 32, 0.5, "", "a", "\u2581", [], {}, "Sequence", "First", "always", "Isolated"]


def mutate_json(rng, value):
    for _ in range(rng.randrange(1, 3)):
        places = [p for p in walk(value) if p and p[0] not in ("truncation", "padding")]
        place = rng.choice(places)
        parent = value
        for step in place[:-1]:
            parent = parent[step]
        if not isinstance(parent, (dict, list)):
            continue
        kind = rng.randrange(3)
        if kind == 0:
            parent[place[-1]] = rng.choice(VALUES)
        elif kind == 1:
            del parent[place[-1]]
        elif isinstance(parent, list):
            parent.insert(rng.randrange(len(parent) + 1), parent[place[-1]])
        else:
            parent[place[-1]] = rng.choice([x for p in places for x in [p[-1]] if isinstance(x, str)] or [""])
    return value


def mutated_tokenizers(n):
    import tokenizers
    rng, counts, examples = random.Random(13), collections.Counter(), collections.defaultdict(list)
    sources = [json.loads(p.read_text()) for p in sorted(TOKENIZERS.glob("*/tokenizer.json"))]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for _ in range(n):
            text = json.dumps(mutate_json(rng, json.loads(json.dumps(rng.choice(sources)))))
            (folder / "tokenizer.json").write_text(text)
            try:
                theirs = tokenizers.Tokenizer.from_str(text)
                theirs.no_truncation()
                theirs.no_padding()
                want = [theirs.encode(t, add_special_tokens=False).ids for t in TEXTS]
            except BaseException as error:
                want, words = None, str(error)
            got, said = ours(folder, TEXTS)
            if (got is None) != (want is None):
                kind = "only we refuse" if got is None else "only we accept"
                examples[kind].append(said if got is None else words)
            else:
                kind = "both refuse" if got is None else "same ids" if got == want else "OTHER IDS"
                if kind.isupper():
                    examples[kind].append([f"{t!r} {a[:12]} {b[:12]}" for t, a, b in zip(TEXTS, got, want) if a != b][:1] + [text[:60]])
                    out = os.environ.get("IB_DIFF_KEEP")
                    if out:
                        pathlib.Path(out, f"{len(examples[kind])}.json").write_text(text)
            counts[kind] += 1
    report(f"tokenizers: {n} mutated files", counts, examples)
    return counts["OTHER IDS"] > 0


def main():
    what, n = sys.argv[1], int(sys.argv[2])
    return 1 if {"safetensors": safetensors_files, "texts": texts, "tokenizers": mutated_tokenizers}[what](n) else 0


if __name__ == "__main__":
    sys.exit(main())
