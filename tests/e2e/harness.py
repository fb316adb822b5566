# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: calling the program, and looking at its one error line."""
import json
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODELS = ROOT / "tests" / "golden" / "models"
ERROR_LINE = re.compile(rb"inferbench: error: .+; fix: .+ \[E-([A-Z]+)\]\n\Z", re.S)


def binary():
    path = os.environ.get("IB_BIN", str(ROOT / "build" / "inferbench"))
    if not os.access(path, os.X_OK):
        raise AssertionError(f"{path} is not built (IB_BIN names the program)")
    return path


def run(*args, **options):
    """Runs the program; stdout and stderr as bytes."""
    options.setdefault("stdin", subprocess.DEVNULL)
    if "input" in options:
        del options["stdin"]
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    options.setdefault("timeout", 120)
    return subprocess.run([binary(), *map(str, args)], **options)


def read_npy(path):
    """Shape and rows of a NumPy 1.0 file of float32."""
    raw = pathlib.Path(path).read_bytes()
    assert raw[:8] == b"\x93NUMPY\x01\x00"
    (length,) = struct.unpack("<H", raw[8:10])
    assert (10 + length) % 64 == 0
    header = raw[10:10 + length].decode()
    assert header.endswith("\n") and "'descr': '<f4'" in header and "'fortran_order': False" in header
    rows, cols = map(int, re.search(r"'shape': \((\d+), (\d+)\)", header).groups())
    values = struct.unpack(f"<{rows * cols}f", raw[10 + length:])
    return [values[i * cols:(i + 1) * cols] for i in range(rows)]


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tmp = pathlib.Path(folder.name)

    def expect_error(self, done, code, name, part=b""):
        """One line of the contract, and nothing of the kind on standard output."""
        lines = [x for x in done.stderr.splitlines(keepends=True)
                 if x.startswith(b"inferbench: error:")]
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)
        match = ERROR_LINE.match(lines[0])
        self.assertTrue(match, lines[0])
        self.assertEqual(match.group(1).decode(), name, lines[0])
        self.assertIn(part, lines[0])
        self.assertLessEqual(len(lines[0]), 400)
        self.assertFalse(any(b < 0x20 for b in lines[0][:-1]), lines[0])

    def expect_empty(self, folder):
        self.assertEqual(sorted(p.name for p in pathlib.Path(folder).iterdir()), [])


def golden(name):
    return json.loads((MODELS / name / "golden.json").read_text())
