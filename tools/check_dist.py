#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gates of the dist folder: check_dist.py FOLDER. Symbol versions, needed libraries, run path, and a
start from another place with an empty environment."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

MOST = (2, 36)
SYSTEM = re.compile(r"(linux-vdso|ld-linux[-\w]*|libc|libm|libdl|librt|libpthread|libresolv|libutil|libanl)\.so\.\d+$")


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, path], capture_output=True, text=True, check=True).stdout


def check_file(path, present):
    wrong = []
    versions = {tuple(map(int, v.split("."))) for v in re.findall(r"Name: GLIBC_([\d.]+)", readelf(path, "-V"))}
    if any(v > MOST for v in versions):
        wrong.append(f"needs glibc {max(versions)}")
    dynamic = readelf(path, "-d")
    for name in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic):
        if name not in present and not SYSTEM.match(name):
            wrong.append(f"needs {name}, which is not in the folder")
    paths = re.findall(r"\((?:RPATH|RUNPATH)\).*\[(.*)\]", dynamic)
    if any(p != "$ORIGIN" for p in paths):
        wrong.append(f"run path {paths}")
    if path.name == "inferbench" and paths != ["$ORIGIN"]:
        wrong.append("the program has no run path $ORIGIN")
    return [f"{path.name}: {w}" for w in wrong], max(versions, default=(0,))


def starts_elsewhere(folder):
    with tempfile.TemporaryDirectory() as name:
        moved = pathlib.Path(name) / "moved here"
        shutil.copytree(folder, moved)
        done = subprocess.run([moved / "inferbench", "--version"], env={"LD_DEBUG": "libs"}, capture_output=True, text=True)
        if done.returncode != 0:
            return [f"does not start: {done.stderr[-300:]}"]
        loaded = set(re.findall(r"calling init: (\S.*)$", done.stderr, re.M))
        strange = [p for p in loaded if not p.startswith(str(moved)) and not SYSTEM.match(os.path.basename(p))]
        return [f"loads {p} from outside" for p in strange]


def main():
    folder = pathlib.Path(sys.argv[1])
    files = [p for p in folder.iterdir() if p.is_file() and p.read_bytes()[:4] == b"\x7fELF"]
    wrong, newest = [], (0,)
    for path in files:
        said, version = check_file(path, {p.name for p in files})
        wrong += said
        newest = max(newest, version)
    wrong += starts_elsewhere(folder)
    for line in wrong:
        print(f"dist: {line}", file=sys.stderr)
    print(f"dist: {len(files)} ELF files, at most glibc {'.'.join(map(str, newest))}, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
