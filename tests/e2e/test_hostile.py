# SPDX-License-Identifier: MIT
"""Every entry of the catalogue of hostile inputs (hostile/), slow ones left to `make hostile`."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import hostile  # noqa: E402  (the package, not the script of the same name)
from hostile import base  # noqa: E402


class Catalogue(unittest.TestCase):
    def run_group(self, group):
        entries = [e for e in hostile.entries(group) if not e.slow]
        self.assertTrue(entries)
        for entry in entries:
            with self.subTest(entry.name), tempfile.TemporaryDirectory() as folder:
                self.assertIsNone(base.judge(entry, pathlib.Path(folder)))

    def test_names_are_unique(self):
        names = [e.name for g in hostile.GROUPS for e in hostile.entries(g)]
        self.assertEqual(len(names), len(set(names)),
                         sorted(n for n in set(names) if names.count(n) > 1))


class Judge(unittest.TestCase):
    """The judgement itself finds what it looks for."""
    entry = base.Entry("X", "x", None, 4, ("word",))

    def complaint(self, stderr, code=4):
        return base.judge_line(self.entry, base.Done(code, b"", stderr, 0, 0))

    def test_lines(self):
        good = b"inferbench: error: a word in b: 5; fix: do c [E-FORMAT]\n"
        self.assertIsNone(self.complaint(good))
        self.assertIsNone(self.complaint(b"2025-01-01T00:00:00.000Z warn: x\n" + good))
        for bad in (b"", good + good, b"noise\n" + good, good.replace(b"; fix: do c", b""),
                    good.replace(b"FORMAT", b"INPUT"), good.replace(b"word", b"ward"),
                    good.replace(b"5", b"\x1b"), good.replace(b"5", "\u202e".encode()),
                    good.replace(b"5", b"5" * 400), good.replace(b"5", b"\xff")):
            self.assertIsNotNone(self.complaint(bad), bad)
        self.assertIsNotNone(self.complaint(good, code=0))


def add_tests():
    for group, (title, _) in hostile.GROUPS.items():
        def test(self, group=group):
            self.run_group(group)
        test.__doc__ = f"{group}: {title}"
        setattr(Catalogue, f"test_{group.lower()}", test)


add_tests()

if __name__ == "__main__":
    unittest.main(verbosity=2)
