# SPDX-License-Identifier: MIT
"""tokenize and render: JSON lines in, JSON lines out; the golden rows of the repository, and those of
IB_TEST_DATA where it is set."""
import json
import os
import pathlib
import subprocess
import unittest

from harness import MODELS, ROOT, Case, binary, run

MODEL = MODELS / "llama_gqa"
GGUF = MODELS / "gguf_llama_q4_k" / "model.gguf"
HAS_DATA = bool(os.environ.get("IB_TEST_DATA"))
DATA = pathlib.Path(os.environ.get("IB_TEST_DATA") or "/nonexistent")
NO_DATA = "IB_TEST_DATA is not set: it names the folder with the shared test data"


def lines(command, rows, *args):
    """Exit code and one answer for each row (objects, or raw bytes)."""
    raw = b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in rows)
    done = run(command, *args, input=raw)
    return done, [json.loads(x) for x in done.stdout.splitlines()]


def read_lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(x) for x in f]


class Tokenize(Case):
    def test_there_and_back(self):
        texts = ["", " ", "hello world", "a\0b", "\u00e9\u4e2d\U0001f600", "<|end|> x", "\r\n\t"]
        for model in (MODEL, GGUF):
            done, ids = lines("tokenize", [{"text": t} for t in texts], "-m", model)
            self.assertEqual(done.returncode, 0, done.stderr)
            done, back = lines("tokenize", [{"ids": x["ids"]} for x in ids], "-m", model)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual([b["text"] for b in back][:5], texts[:5])

    def test_special_tokens(self):
        done, answers = lines("tokenize", [
            {"text": "x<|end|>"}, {"text": "x<|end|>", "add_special_tokens": False}], "-m", MODEL)
        ids = answers[1]["ids"]
        done, answers = lines("tokenize", [{"ids": ids}, {"ids": ids, "skip_special_tokens": True}],
                              "-m", MODEL)
        self.assertEqual([a["text"] for a in answers], ["x<|end|>", "x"])
        done, answers = lines("tokenize", [{"text": "x<|end|>", "add_special_tokens": False}],
                              "-m", MODEL, "--no-parse-special")
        self.assertNotEqual(answers[0]["ids"], ids)

    def test_bad_lines_are_answered_and_counted(self):
        rows = [{"text": "ok"}, b"{", {"ids": [1, -1]}, {"ids": "x"}, {}, b"[]", {"text": 5},
                b'{"text": "\\ud800"}', b"\xff", {"text": "x", "ids": []}, {"text": "ok"}]
        done, answers = lines("tokenize", rows, "-m", MODEL)
        self.assertEqual(len(answers), len(rows))
        for i, answer in enumerate(answers):
            if i in (0, len(rows) - 1):
                self.assertIn("ids", answer)
            else:
                self.assertEqual(answer["error"]["type"], "E-FORMAT", answer)
        self.expect_error(done, 4, "FORMAT", b"9, the first is line 2")

    def test_no_newline_at_the_end_and_empty_lines(self):
        done = run("tokenize", "-m", MODEL, input=b'\n{"text": "a"}\r\n\n{"text": "a"}')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 2)

    def test_dialogue(self):
        process = subprocess.Popen([binary(), "tokenize", "-m", str(MODEL)], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        for text in ("a", "b"):
            process.stdin.write(json.dumps({"text": text}).encode() + b"\n")
            process.stdin.flush()
            self.assertIn("ids", json.loads(process.stdout.readline()))
        process.stdin.close()
        process.stdout.close()
        self.assertEqual(process.wait(60), 0)

    def test_for_people(self):
        done = run("tokenize", "-m", MODEL, "--text", "hello")
        self.assertRegex(done.stdout, rb"\A\d+(,\d+)*\n\Z")
        ids = done.stdout.decode().strip()
        done = run("tokenize", "-m", MODEL, "--ids", ids, "--skip-special-tokens")
        self.assertEqual(done.stdout, b"hello\n")
        self.expect_error(run("tokenize", "-m", MODEL, "--text", "a", "--ids", "1"), 2, "USAGE")

    def test_folder_without_tokenizer(self):
        self.expect_error(run("tokenize", "-m", self.tmp), 3, "INPUT", b"tokenizer.json")

    def check_golden(self, folders):
        n = 0
        for folder in sorted(folders):
            if not (folder / "golden_tokens.jsonl").exists():
                continue
            rows, want = [], []
            golden = read_lines(folder / "golden_tokens.jsonl")
            for r in golden:
                rows.append({"text": r["text"], "add_special_tokens": r["add_special_tokens"]})
                want.append({"ids": r["ids"]})
            if (folder / "golden_decode.jsonl").exists():
                golden += read_lines(folder / "golden_decode.jsonl")
            for r in golden:
                rows += [{"ids": r["ids"]}, {"ids": r["ids"], "skip_special_tokens": True}]
                want += [{"text": r["decoded"]}, {"text": r["decoded_skip_special"]}]
            done, answers = lines("tokenize", rows, "-m", folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(len(answers), len(want))
            bad = [i for i in range(len(want)) if answers[i] != want[i]]
            self.assertEqual(bad, [], folder.name)
            n += 1
        self.assertGreater(n, 5)

    def test_golden_tokens_of_the_repository(self):
        self.check_golden((ROOT / "tests" / "golden" / "tokenizers").iterdir())

    @unittest.skipUnless(HAS_DATA, NO_DATA)
    def test_golden_tokens(self):
        self.check_golden((DATA / "tokenizers").iterdir())


def agrees(answer, row):
    """As the rows say: the message counts only for what a template raises itself."""
    if "error" not in row:
        return answer.get("text") == row["rendered"]
    error = answer.get("error")
    if row["error"]["type"] != "TemplateError":
        return error is not None
    return error == row["error"]


class Render(Case):
    def render(self, source, *rows):
        path = self.tmp / "t.jinja"
        path.write_bytes(source.encode())
        return lines("render", rows, "--template", path)

    def test_model_and_template(self):
        messages = [{"role": "user", "content": " hi "}]
        want = "<|start|>user\nhi<|end|>\n"
        done, answers = lines("render", [{"messages": messages},
                                         {"messages": messages, "add_generation_prompt": True}],
                              "-m", MODEL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([a["text"] for a in answers], [want, want + "<|start|>assistant\n"])
        done, answers = self.render("{{ bos_token }}{{ x }}{{ tools is none }}", {
            "messages": [], "special_tokens": {"bos_token": "<s>"}, "kwargs": {"x": 1.0}})
        self.assertEqual(answers, [{"text": "<s>1.0True"}])

    def test_now(self):
        done, answers = self.render("{{ strftime_now('%Y-%m-%d %H:%M:%S %a %j %U') }}",
                                    {"messages": [], "now": "2025-01-15T10:30:00"},
                                    {"messages": [], "now": "2024-12-31 23:59:59.5"},
                                    {"messages": [], "now": "2024-02-29"},
                                    {"messages": [], "now": "2025-02-29T00:00:00"},
                                    {"messages": [], "now": "soon"}, {"messages": []})
        self.assertEqual([a.get("text") for a in answers][:3],
                         ["2025-01-15 10:30:00 Wed 015 02", "2024-12-31 23:59:59 Tue 366 52",
                          "2024-02-29 00:00:00 Thu 060 08"])
        self.assertIn("error", answers[3])
        self.assertIn("error", answers[4])
        self.assertRegex(answers[5]["text"], r"\A\d{4}-")
        self.assertEqual(done.returncode, 4)

    def test_template_errors_are_answers(self):
        done, answers = self.render("{{ raise_exception('no \x1b way') }}", {"messages": []})
        self.assertEqual(answers, [{"error": {"type": "TemplateError", "message": "no \x1b way"}}])
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        done, answers = self.render("{% if %}", {"messages": []})
        self.assertEqual(answers[0]["error"]["type"], "TemplateSyntaxError")
        self.assertEqual(done.returncode, 0)

    def test_paths(self):
        self.expect_error(run("render", "--template", self.tmp / "no"), 3, "INPUT")
        self.expect_error(run("render"), 2, "USAGE", b"--template")

    @unittest.skipUnless(HAS_DATA, NO_DATA)
    def test_golden_templates(self):
        folder = DATA / "chat_templates"
        conversations = {c["id"]: c for c in read_lines(folder / "conversations.jsonl")}
        for template in read_lines(folder / "index.jsonl"):
            golden = read_lines(folder / "golden" / f"{template['name']}.jsonl")
            rows = []
            for g in golden:
                c = conversations[g["conversation"]]
                row = {k: c[k] for k in ("messages", "tools", "documents", "kwargs") if k in c}
                row.update(add_generation_prompt=g["add_generation_prompt"],
                           special_tokens=template["special_tokens"], now="2025-01-15T10:30:00")
                rows.append(row)
            done, answers = lines("render", rows, "--template", folder / template["file"])
            self.assertEqual(done.returncode, 0, done.stderr)
            bad = [g["conversation"] for a, g in zip(answers, golden) if not agrees(a, g)]
            self.assertEqual((bad, len(answers)), ([], len(golden)), template["name"])

    @unittest.skipUnless(HAS_DATA, NO_DATA)
    def test_golden_chats(self):
        keys = ("messages", "tools", "documents", "add_generation_prompt", "kwargs",
                "special_tokens", "now")
        for folder in sorted((DATA / "tokenizers").iterdir()):
            if not (folder / "golden_chat.jsonl").exists():
                continue
            golden = read_lines(folder / "golden_chat.jsonl")
            for name in sorted({g["template"] for g in golden}):
                mine = [g for g in golden if g["template"] == name]
                source = ["--template", folder / name] if name.endswith(".jinja") else \
                    ["--model-id", folder]
                done, answers = lines("render", [{k: g[k] for k in keys if k in g} for g in mine],
                                      *source)
                self.assertEqual(done.returncode, 0, done.stderr)
                bad = [g["id"] for a, g in zip(answers, mine) if not agrees(a, g)]
                self.assertEqual((bad, len(answers)), ([], len(mine)), folder.name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
