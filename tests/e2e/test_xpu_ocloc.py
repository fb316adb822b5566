#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every kernel compiled by Intel's offline compiler (ocloc) for six generations of GPUs, as the program
would have it compiled there: no warning, no spill in the decode kernels, the matrix engine in prefill.

By default three of the GPUs and what nf4 needs there; everything with IB_OCLOC=all.

A spill shows in the disassembly as messages to scratch memory. ocloc disassembles when it finds
libiga64.so; Debian ships libiga64.so.1 only, so a link of that name is made for it."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "src" / "backend" / "opencl" / "kernels"
DEVICES = ["skl", "tgllp", "dg1", "adlp", "acm-g10", "pvc"]
ENGINES = {"acm-g10": 8, "pvc": 16}
FORMATS = ["F32", "F16", "BF16", "NF4", "FP4", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K",
           "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "MXFP4"]
# (cache type, head dimension): all types, and every way to tile
CACHES = [(0, 64), (1, 64), (2, 64), (1, 80), (1, 128), (2, 256)]
ALL = os.environ.get("IB_OCLOC") == "all"
if not ALL:
    DEVICES = ["skl", "acm-g10", "pvc"]
    FORMATS = ["NF4"]
    CACHES = [(1, 64)]


def variants(device):
    """name, sources, options of every program that a device of this kind may be asked for."""
    def options(form, lanes, group, more):
        std = "CL2.0" if form == 2 else "CL1.2"
        return f"-cl-std={std} -DFORM={form} -DSG={lanes} -DGROUP={group} -DLINE=64 {more}".strip()

    for form, lanes in ((1, 0), (2, 16)) if ALL else ((2, 16),):
        yield f"rows.{form}", ["rows"], options(form, lanes, 256, "")
        yield f"int8.{form}", ["int8"], options(form, lanes, 64, "")
        for cache, dim in CACHES:
            yield (f"attention.{form}.{cache}.{dim}", ["attention"],
                   options(form, lanes, 64, f"-DKV={cache} -DHD={dim}"))
        for name in FORMATS:
            yield (f"linear.{form}.{name}", ["weights", "linear"],
                   options(form, lanes, 64, f"-DWT_{name}=1"))
    if device in ENGINES:
        lanes = ENGINES[device]
        for name in FORMATS:
            yield (f"engine.2.{name}", ["weights", "linear", "engine"],
                   options(2, lanes, 8 * lanes,
                           f"-DWT_{name}=1 -Dcl_intel_subgroup_matrix_multiply_accumulate=1"))


@unittest.skipUnless(shutil.which("ocloc"), "ocloc is not installed (intel-opencl-icd)")
class Ocloc(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.tmp = pathlib.Path(cls.folder.name)
        iga = next((p for p in ("/usr/lib/x86_64-linux-gnu/libiga64.so.1", "/usr/lib64/libiga64.so.1",
                                "/usr/lib/libiga64.so.1") if os.path.exists(p)), None)
        cls.env = dict(os.environ)
        if iga:
            (cls.tmp / "lib").mkdir()
            (cls.tmp / "lib" / "libiga64.so").symlink_to(iga)
            cls.env["LD_LIBRARY_PATH"] = str(cls.tmp / "lib")
        cls.disassembles = iga is not None
        cls.results = {}
        jobs = [(device, *v) for device in DEVICES for v in variants(device)]
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for key, result in pool.map(cls.compile, jobs):
                cls.results[key] = result

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def compile(cls, job):
        device, name, sources, options = job
        folder = cls.tmp / device / name
        folder.mkdir(parents=True)
        text = "".join((SOURCES / f"{s}.cl").read_text() for s in ["forms", *sources])
        (folder / "k.cl").write_text(text)
        done = subprocess.run(["ocloc", "compile", "-file", "k.cl", "-device", device, "-options", options,
                               "-out_dir", "out"], cwd=folder, env=cls.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        result = {"rc": done.returncode, "log": done.stdout, "asm": {}}
        if done.returncode == 0 and cls.disassembles and device in ENGINES:
            binary = next((folder / "out").glob("*.bin"))
            subprocess.run(["ocloc", "disasm", "-file", binary, "-device", device, "-dump", "asm"],
                           cwd=folder, env=cls.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for path in (folder / "asm").glob("*.asm"):
                kernel = re.sub(r"^\.text\.|_KernelHeap$", "", path.stem)
                result["asm"][kernel] = path.read_text(errors="replace")
        shutil.rmtree(folder)
        return (device, name), result

    def test_no_errors_and_no_warnings(self):
        count = 0
        for (device, name), result in self.results.items():
            with self.subTest(device=device, program=name):
                self.assertEqual(result["rc"], 0, result["log"][-2000:])
                lines = [line for line in result["log"].splitlines()
                         if "warning" in line.lower()]
                self.assertEqual(lines, [], result["log"][-2000:])
                count += 1
        print(f"{count} programs compiled", flush=True)

    def asm_of(self, kernels):
        if not self.disassembles:
            self.skipTest("ocloc does not disassemble here (no libiga64)")
        for (device, name), result in self.results.items():
            if device not in ENGINES:
                continue
            for kernel, text in result["asm"].items():
                if kernel in kernels:
                    yield device, name, kernel, text

    def test_decode_kernels_do_not_spill(self):
        seen = 0
        for device, name, kernel, text in self.asm_of({"gemv1", "codes1", "gemv4", "int8_dot1", "int8_dot4",
                                                       "flash_split", "flash_reduce", "sdpa", "norm",
                                                       "add_norm"}):
            if ".2" not in name:
                continue
            with self.subTest(device=device, program=name, kernel=kernel):
                self.assertEqual(text.count("scratch"), 0)
                seen += 1
        self.assertGreaterEqual(seen, 2 * (3 * len(FORMATS) + 7))
        print(f"{seen} decode kernels without a spill", flush=True)

    def test_prefill_uses_the_matrix_engine(self):
        seen = 0
        for device, name, kernel, text in self.asm_of({"gemm_engine"}):
            with self.subTest(device=device, program=name):
                self.assertGreater(text.count("dpas"), 0)
                seen += 1
        self.assertEqual(seen, 2 * len(FORMATS))
        print(f"{seen} prefill kernels with dpas", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
