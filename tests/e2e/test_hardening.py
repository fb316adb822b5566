# SPDX-License-Identifier: MIT
"""What the flags of a release build must have left in the program."""
import os
import re
import shutil
import subprocess
import unittest

from harness import binary


def readelf(*options):
    return subprocess.run(["readelf", "-W", *options, binary()], capture_output=True, text=True, check=True).stdout


@unittest.skipUnless(shutil.which("readelf"), "readelf is not installed")
@unittest.skipUnless(os.environ.get("IB_BUILD_TYPE", "Release") == "Release" and not os.environ.get("IB_SANITIZE"),
                     "not a release build")
class Hardening(unittest.TestCase):
    def test_position_independent(self):
        self.assertRegex(readelf("-h"), r"Type:\s+DYN")
        self.assertRegex(readelf("-d"), r"FLAGS_1.*\bPIE\b")

    def test_relro_and_bound_at_start(self):
        self.assertIn("GNU_RELRO", readelf("-l"))
        self.assertRegex(readelf("-d"), r"BIND_NOW|FLAGS_1.*\bNOW\b")

    def test_stack(self):
        self.assertRegex(readelf("-l"), r"GNU_STACK\s.*\sRW\s")
        self.assertIn("__stack_chk_fail", readelf("--dyn-syms"))

    def test_no_writable_code(self):
        self.assertNotRegex(readelf("-l"), r"LOAD\s.*\sRWE\s")

    def test_fortified_calls(self):
        self.assertGreater(len(set(re.findall(r"\b__\w+_chk@", readelf("--dyn-syms")))), 3)

    def test_control_flow_marks(self):
        if os.uname().machine != "x86_64":
            self.skipTest("marks of x86 only")
        # the note of the whole file is the linker's, and missing where the C library's start files lack theirs
        with open(binary(), "rb") as f:
            self.assertGreater(f.read().count(b"\xf3\x0f\x1e\xfa"), 500, "endbr64 at the start of functions")

    def test_no_text_relocations_and_no_run_path(self):
        self.assertNotIn("TEXTREL", readelf("-d"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
