# SPDX-License-Identifier: MIT
"""inferbench report and compare on files that are not what they should be: other programs' results, other
versions, broken and hostile ones. One line and a code of the contract, never half a report; what can be
rendered is rendered in every format without a byte that a terminal obeys."""
import copy
import json
import unittest

import harness

GOLDEN = harness.ROOT / "tests" / "golden" / "report"
FORMATS = ("text", "json", "jsonl", "csv", "markdown", "html", "llama-bench", "vllm", "hyperfine")


class Files(harness.Case):
    def setUp(self):
        super().setUp()
        self.record = json.loads((GOLDEN / "json.txt").read_text())

    def file(self, content):
        path = self.tmp / "file.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def changed(self, change):
        record = copy.deepcopy(self.record)
        change(record)
        return self.file(json.dumps(record))

    def refused(self, content, code, name, part=b""):
        path = self.file(content)
        for command in (["report", path], ["compare", path, path]):
            done = harness.run(*command)
            self.expect_error(done, code, name, part)
            self.assertEqual(done.stdout, b"")

    def test_other_programs(self):
        for name, part in (("llama-bench", b"rows of llama-bench"), ("vllm", b"vllm bench"),
                           ("hyperfine", b"export of hyperfine")):
            self.refused((GOLDEN / f"{name}.txt").read_bytes(), 4, "FORMAT", part)
        self.refused('{"comparison_version": "1.0"}', 4, "FORMAT", b"a comparison")

    def test_no_json(self):
        whole = (GOLDEN / "json.txt").read_bytes()
        for content in (b"", b"\0" * 99, b"hello", b"7", whole[:5000], b"[" * 100000, whole.replace(b"example", b"\xe9"),
                        whole[:-400], b"{}\n{", whole.decode().encode("utf-16")):
            if content == whole:
                continue
            self.refused(content, 4, "FORMAT")
        done = harness.run("report", self.file(whole[:5000]))
        self.assertIn(b"fix: give a whole record", done.stderr)
        self.assertNotIn(b"download", done.stderr)

    def test_no_record(self):
        self.refused("[]", 4, "FORMAT")
        self.refused("{}", 4, "FORMAT", b"schema_version")
        self.refused(json.dumps({**self.record, "schema_version": "2.0\x1b[31m"}), 5, "UNSUPPORTED", b"version")

    def test_what_cannot_have_been(self):
        run = lambda r: r["cells"][0]["runs"][0]
        for change in (lambda r: run(r)["stamps_ns"].reverse(), lambda r: run(r)["stamps_ns"].pop(),
                       lambda r: run(r).update(n_tokens=2 ** 62), lambda r: run(r).update(ids_sha256="0" * 64),
                       lambda r: run(r).update(output_ids=[-1]), lambda r: r["cells"][0].pop("memory"),
                       lambda r: r["cells"][0].update(runs=[None]), lambda r: r.update(cells=7)):
            self.expect_error(harness.run("report", self.changed(change)), 4, "FORMAT")

    def test_no_file(self):
        for path in (self.tmp / "absent", self.tmp, "/dev/null"):
            self.expect_error(harness.run("report", path), 3, "INPUT")

    def test_rendered(self):
        """Members that are missing (older) or unknown (newer), times of zero, hostile names."""
        def zero(r):
            for cell in r["cells"]:
                for run in cell["runs"]:
                    run["stamps_ns"] = [5] * len(run["stamps_ns"])
                    run["prefill_done_ns"] = None

        def names(r):
            bad = "=cmd()|<script>`x`\x1b[31m\u202e\x9b\r\nfake"
            r["command"] = r["started_utc"] = bad
            r["environment"] = {bad: {bad: bad}, "record 1": {"environment": {}, "n_cells": -5}, "cpu": {"model": [bad]}}
            for key in ("model_id", "device", "attn"):
                r["cells"][0]["asked"][key] = bad
            for key in ("device", "device_name", "attention", "tier"):
                r["cells"][0]["resolved"][key] = bad

        def old(r):
            for key in ("probe", "depth_ns", "generation", "summary"):
                r["cells"][0].pop(key, None)

        for change in (zero, names, old, lambda r: r.update(later={"a": 1}), lambda r: r.update(cells=[])):
            path = self.changed(change)
            for form in FORMATS:
                done = harness.run("report", path, "--format", form)
                self.assertEqual((done.returncode, done.stderr), (0, b""), form)
                self.assertNotIn(b"\x1b", done.stdout)
                self.assertNotIn("\u202e".encode(), done.stdout)
                self.assertNotIn(b"<script", done.stdout if form == "html" else b"")

    def test_lines(self):
        """The jsonl form is read as the record that it came from."""
        lines = (GOLDEN / "jsonl.txt").read_bytes()
        for form in ("csv", "markdown", "llama-bench"):
            whole = harness.run("report", GOLDEN / "json.txt", "--format", form)
            again = harness.run("report", self.file(lines + b"\n"), "--format", form)
            self.assertEqual((again.returncode, again.stdout), (0, whole.stdout))
        broken = lines.splitlines(keepends=True)
        broken[1] = broken[1].replace(b'"stamps_ns":[', b'"stamps_ns":[-1,', 1)
        self.expect_error(harness.run("report", self.file(b"".join(broken))), 4, "FORMAT", b"record 2")


if __name__ == "__main__":
    unittest.main()
