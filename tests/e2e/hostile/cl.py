# SPDX-License-Identifier: MIT
"""CL: the command line and what is written."""
import json
import os
import shutil

from .base import MIB, MODELS, Call, Group, copy_model, run_model

ENTRIES = Group()
add = ENTRIES.add
MODEL = MODELS / "llama_gqa"


def args(*words, **more):
    return lambda folder: Call(list(words), **more)


def short(*more, **options):
    """A good short run in front of more."""
    return lambda folder: Call(["--model-id", MODEL, "--device", "cpu", "--token-ids", "1,2,3",
                                "-n", "3", "--threads", "1", "--roofline", "off", "--log-level",
                                "warn", *[m(folder) if callable(m) else m for m in more]],
                               **{k: v(folder) if callable(v) else v for k, v in options.items()})


def at(name):
    return lambda folder: folder / name


add("CL01", "unknown option", args("--nothing"), 2, "unknown option", "nothing")
add("CL01", "unknown command", args("nothing"), 2, "nothing")
add("CL01", "option twice", args("-n", "1", "-n", "2"), 2, "twice")
add("CL01", "long and short", args("--max-new-tokens", "1", "-n", "2"), 2, "twice")
add("CL01", "prompt and ids", args("--prompt", "a", "--token-ids", "1"), 2, "--prompt")
add("CL01", "prompt and length", args("--prompt", "a", "-p", "3"), 2, "--input-len")
add("CL01", "value missing", args("--prompt"), 2, "--prompt", json_too=False)
add("CL01", "value for a flag", args("--ignore-eos=yes"), 2, "--ignore-eos")
add("CL01", "unknown choice", args("--attn", "quick"), 2, "--attn", "quick")
add("CL01", "wrong ids", args("--token-ids", "1,,2"), 2, "--token-ids")
add("CL01", "no model", args("tokenize"), 2, "--model-id")
add("CL01", "option of another command", args("tokenize", "--attn", "sdpa"), 2, "tokenize", "attn")
add("CL01", "no arguments", args(env={"HF_HOME": "/nonexistent", "HF_HUB_OFFLINE": "1"}), 3, "unsloth/")
NUMBERS = ["-1", "0", "1e9", "99999999999999999999", "0x10", " 5", "5abc", "NaN", "", "+5", "5 ",
           "1.0", "\u0665"]
for option, least in (("--max-new-tokens", 1), ("--repetitions", 1), ("--threads", 1),
                      ("--batch", 1), ("--input-len", 1), ("--warmup", 0), ("--depth", 0)):
    for text in NUMBERS:
        if text == "0" and least == 0:
            continue
        add("CL02", f"{option} {text!r}", args(option, text), 2, option, "whole number from")
for text in ("-1", "4294967296", "1e3", "x", "", "1 2"):
    add("CL02", f"--token-ids {text!r}", args("--token-ids", text), 2, "--token-ids")
add("CL02", "--token-ids outside the model", lambda f: run_model(copy_model(f), ids="1,288"),
    (2, 4), "288")
add("CL02", "--percentiles 101", args("--percentiles", "101"), 2, "--percentiles")
add("CL02", "--percentiles NaN", args("--percentiles", "NaN"), 2, "--percentiles")
add("CL03", "128 KiB argument", args("--attn", "x" * 131_000), 2, "xxx...")
add("CL03", "128 KiB model id", args("--model-id", "x/" * 65_000), (2, 3), "x/x/x")
add("CL03", "no UTF-8", args(b"--prompt\xff"), 2, "UTF-8")
add("CL03", "no UTF-8 in a value", args("--prompt", b"a\xff"), 2, "UTF-8")
add("CL03", "no UTF-8 in a path", args("--model-id", b"/tmp/\xff\xfe"), (2, 3))
add("CL03", "newline and ESC in a path", args("--model-id", "/a\nb\x1b[31m"), 3, "\\x0A", "\\x1B")
add("CL03", "bidi control in a path", args("--model-id", "/a\u202eb"), 3)
for what, path in (("empty", ""), ("a device", "/dev/zero"), ("/dev/full", "/dev/full"),
                   ("300 bytes", "n" * 300), ("absent", "/nonexistent/m.gguf"),
                   ("4,096 bytes", "/" + "n/" * 2048)):
    add("CL04", what, args("--model-id", path, "--device", "cpu"), (2, 3) if "0" in what else 3)
for suffix in ("", ".gguf", ".safetensors"):
    def fifo(folder, s=suffix):
        os.mkfifo(folder / f"m{s}")
        return Call(["--model-id", folder / f"m{s}", "--device", "cpu"])

    def loop(folder, s=suffix):
        (folder / f"m{s}").symlink_to(f"m{s}")
        return Call(["--model-id", folder / f"m{s}", "--device", "cpu"])

    def empty(folder, s=suffix):
        (folder / f"m{s}").mkdir()
        return Call(["--model-id", folder / f"m{s}", "--device", "cpu"])
    add("CL04", f"FIFO{suffix}", fifo, 3)
    add("CL04", f"link to itself{suffix}", loop, 3)
    add("CL04", f"empty folder{suffix}", empty, 3)


def existing(text="old", force=False, how=None):
    def make(folder):
        out = folder / "out.json"
        out.write_text(text)
        if how:
            out = how(folder, out)
        return short("--output", out, *(["--force"] if force else []))(folder)
    return make


def linked(folder, out):
    link = folder / "link.json"
    link.symlink_to(out)
    return link


def dangling(folder, _):
    link = folder / "link.json"
    link.symlink_to("nowhere")
    return link


def kept(done, folder):
    return None if (folder / "out.json").read_text() == "old" else "the old file was changed"


def before_the_run(done, _):
    return "the run was started" if done.stdout else None


add("CL05", "exists", existing(), 8, "exists", "--force", check=kept)
add("CL05", "a link", existing(how=linked), 8, "link", check=kept)
add("CL05", "a link, with --force", existing(how=linked, force=True), 8, "link", check=kept)
add("CL05", "a dangling link", existing(how=dangling), 8, "link", check=kept)
for what, path in (("no such folder", "no/x"), ("a folder", ""), ("a long name", "n" * 300),
                   ("behind a file", "file/x")):
    def place(folder, p=path):
        (folder / "file").write_text("x")
        return folder / p
    add("CL05", what, short("--output", place), 8, "--output" if what == "a folder" else "",
        check=before_the_run)
for path in ("/dev/null", "/dev/full", "/proc/x", "/nonexistent/x", ""):
    add("CL05", f"'{path}'", short("--output", path), 8, check=before_the_run)


def is_input(folder):
    path = folder / "prompt.txt"
    path.write_text("ab")
    return Call(["--model-id", MODEL, "--device", "cpu", "--prompt-file", path, "--output", path,
                 "--force"])


def model_file(folder):
    model = copy_model(folder)
    return Call(
        ["--model-id", model, "--device", "cpu", "--token-ids", "1", "--output",
         model / "config.json", "--force"])


add("CL05", "is an input", is_input, 8, "is an input")
add("CL05", "is a file of the model", model_file, 8)
add("CL05", "quantize onto the source", lambda f: Call(
    ["quantize", copy_model(f), f / "model", "--quant", "nf4"]), (2, 8))
add("CL05", "quantize onto a file", lambda f: (
    (f / "dst").write_text("x"), Call(["quantize", MODEL, f / "dst", "--quant", "nf4"]))[1], 8)
add("CL05", "logits onto a folder", lambda f: Call(
    ["logits", "--model-id", MODEL, "--token-ids", "1", "--device", "cpu", "--output", f]), 8)
for what, words in (("run", short()), ("json", short("--format", "json")),
                    ("help", args("--help")), ("devices", args("devices")),
                    ("inspect", args("inspect", MODEL)),
                    ("tokenize", args("tokenize", "-m", MODEL, "--text", "hello"))):
    def full(folder, make=words):
        call = make(folder)
        call.stdout = "/dev/full"
        return call

    def closed(folder, make=words):
        call = make(folder)
        call.wrap = ["sh", "-c", 'exec "$0" "$@" >&-']
        return call

    def gone(folder, make=words):
        """Standard output is a pipe that nobody reads."""
        call = make(folder)
        call.wrap = ["sh", "-c", '{ sleep 0.2; "$0" "$@"; echo "$?" >"$OUT"; } | true; '
                     'while [ ! -s "$OUT" ]; do sleep 0.02; done; exit "$(cat "$OUT")"']
        call.env = dict(os.environ, OUT=str(folder / "code"))
        return call
    add("CL06", what, full, 8, "standard output", memory=64 * MIB)
    add("CL07", what, closed, 8, "standard output", "closed", memory=64 * MIB)
    add("CL08", what, gone, 0, memory=64 * MIB)


def whole_record(done, folder):
    runs = json.loads((folder / "out.json").read_text())["cells"][0]["runs"]
    return None if len(runs[0]["output_ids"]) == 3 else "the record is not whole"


def gone_with_file(folder):
    call = short("--output", at("out.json"))(folder)
    call.wrap = ["sh", "-c", '"$0" "$@" | true; exit 0']
    return call


def waiting_record(done, folder):
    import time
    for _ in range(100):
        if (folder / "out.json").exists():
            return whole_record(done, folder)
        time.sleep(0.05)
    return "no record"


add("CL08", "the file is whole", gone_with_file, 0, check=waiting_record)
HOSTILE = "=cmd()<script>alert(1)</script>\x1b[31m|`x`,\""


def hostile_name(form):
    def make(folder):
        model = folder / HOSTILE
        shutil.copytree(MODEL, model)
        call = run_model(model, "--format", form, "--prompt", "hi", ids=None)
        call.args[call.args.index("--output") + 1] = folder / "out"
        return call
    return make


def escaped(form):
    def check(done, folder):
        text = done.stdout + (folder / "out").read_bytes()
        if b"\x1b" in text:
            return "ESC in the output"
        if form == "csv" and any(line.startswith(b"=") or b',=' in line
                                 for line in text.splitlines()):
            return "a formula in the CSV"
        if form == "markdown" and b"<script>" in (folder / "out").read_bytes():
            return "a script in the page"
        if form == "json":
            json.loads((folder / "out").read_bytes())
        return None
    return check


for form in ("text", "json", "jsonl", "csv", "markdown"):
    add("CL09", form, hostile_name(form), 0, check=escaped(form))


def hash_of(env):
    """The same ids and the same form of numbers in any environment."""
    def make(folder):
        call = short("--output", at("out.json"))(folder)
        call.env = {**env, "PATH": os.environ["PATH"]}
        return call
    return make


def plain_numbers(done, folder):
    record = json.loads((folder / "out.json").read_text())
    number = [line for line in done.stdout.decode().splitlines() if "Median latency" in line]
    if not number or "," in number[0]:
        return f"a decimal comma: {number}"
    return None if record["cells"] else "no cell"


for what, env in (("decimal comma", {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}),
                  ("unknown locale", {"LC_ALL": "xx_XX"}), ("odd TZ", {"TZ": ":/dev/zero"}),
                  ("TZ of 1,000 letters", {"TZ": "A" * 1000}), ("no environment", {})):
    add("CL10", what, hash_of(env), 0, check=plain_numbers)
SECRET = "hf_SECRETSECRETSECRET"


def no_secret(done, folder):
    text = done.stdout + done.stderr
    for path in folder.glob("out*"):
        text += path.read_bytes()
    return "the secret is shown" if SECRET.encode() in text else None


def with_token(folder):
    call = short("--output", at("out.json"))(folder)
    call.env = dict(os.environ, HF_TOKEN=SECRET, HUGGING_FACE_HUB_TOKEN=SECRET,
                    HF_ENDPOINT=f"https://user:{SECRET}@host")
    return call


def debugging(folder):
    call = with_token(folder)
    call.args[call.args.index("warn")] = "debug"
    return call


add("CL11", "token in the environment", with_token, 0, check=no_secret)
add("CL11", "token in the environment, debug log", debugging, 0, check=no_secret)
add("CL11", "token as an option", args("--token", SECRET, "--model-id", "a/b"), (2, 3, 5),
    check=no_secret)
add("CL11", "URL as a model", args("--model-id", f"https://user:{SECRET}@host/x"), (2, 3, 5),
    check=no_secret)
add("CL11", "URL with a query", args("--model-id", f"https://host/x?token={SECRET}"), (2, 3, 5),
    check=no_secret)
for what, raw in (("empty", b""), ("a list", b"[]"), ("cut", b'{"schema_version": 1, "cells": ['),
                  ("no record", b"{}"), ("cells a number", b'{"schema_version": 1, "cells": 5}'),
                  ("nested", b"[" * 100_000), ("future", b'{"schema_version": 999}'),
                  ("LFS", b"version https://git-lfs.github.com/spec/v1\n")):
    def record(folder, raw=raw):
        (folder / "r.json").write_bytes(raw)
        return Call(["report", folder / "r.json"])
    add("CL09", f"report: {what}", record, (4, 5), "r.json")
for what, raw in (("no JSON", b"["), ("an object", b'{"role": "user"}'), ("a number", b"5"),
                  ("empty list", b"[]"),
                  ("nested", b"[" * 100_000), ("no UTF-8", b'[{"role":"\xff"}]')):
    def messages(folder, raw=raw):
        (folder / "m.json").write_bytes(raw)
        return Call(["--model-id", MODEL, "--device", "cpu", "--messages", folder / "m.json"])
    add("CL04", f"--messages: {what}", messages, 4, "m.json" if what != "empty list" else "")
