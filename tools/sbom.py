#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Software bill of materials of a dist folder, as CycloneDX 1.5 JSON: sbom.py FOLDER VERSION. One component
for each shared library: its package and version where dpkg knows them, and the SHA-256 of the file."""
import hashlib
import json
import pathlib
import re
import subprocess
import sys

LICENSES = re.compile(r"^License: (\S+)", re.M)


def package_of(name):
    """Package and version of the library that the loader would take."""
    cache = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout
    found = re.search(r"^\s+" + re.escape(name) + r" .*=> (\S+)", cache, re.M)
    if not found:
        return None
    real = pathlib.Path(found.group(1)).resolve()
    for path in (str(real), str(real).removeprefix("/usr")):
        owner = subprocess.run(["dpkg-query", "-S", path], capture_output=True, text=True).stdout
        if owner:
            package = owner.split(":")[0]
            version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True,
                                     text=True).stdout
            return package, version
    return None


def licenses(package):
    path = pathlib.Path("/usr/share/doc") / package / "copyright"
    if not path.exists():
        return []
    return sorted(set(LICENSES.findall(path.read_text(errors="replace"))))[:8]


def component(path):
    known = package_of(path.name)
    out = {"type": "library", "name": known[0] if known else path.name,
           "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}],
           "properties": [{"name": "file", "value": path.name}]}
    if known:
        out["version"] = known[1]
        out["purl"] = f"pkg:deb/debian/{known[0]}@{known[1]}"
        names = licenses(known[0])
        if names:
            out["licenses"] = [{"license": {"name": n}} for n in names]
    return out


def main():
    folder, version = pathlib.Path(sys.argv[1]), sys.argv[2]
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.read_bytes()[:4] == b"\x7fELF")
    own = [p for p in files if p.name == "inferbench" or p.name.startswith(("inferbench-", "libinferbench"))]
    main_part = {"type": "application", "name": "inferbench", "version": version,
                 "licenses": [{"license": {"id": "MIT"}}],
                 "components": [{"type": "file", "name": p.name, "hashes": [
                     {"alg": "SHA-256", "content": hashlib.sha256(p.read_bytes()).hexdigest()}]} for p in own]}
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": main_part},
           "components": [component(p) for p in files if p not in own]}
    json.dump(bom, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
