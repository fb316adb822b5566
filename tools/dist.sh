#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make dist: a relocatable folder dist/inferbench-VERSION-x86_64-linux: the program, its plugins and
# library, every shared library that is not the C library's, an SBOM, licence and manual. Gates:
# no file needs more than glibc 2.36, every needed library is in the folder or part of glibc, and
# the program starts from another place with nothing but this folder.
set -euo pipefail
cd "$(dirname "$0")/.."
build="${DIST_BUILD:-build-dist}"
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DIB_DIST=ON -DIB_TESTS=off >/dev/null
cmake --build "$build" >/dev/null
version=$(sed -n 's/^project(inferbench VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
to="dist/inferbench-$version-$(uname -m)-linux"
rm -rf "$to"; mkdir -p "$to"
cp "$build/inferbench" "$build/src/api/libinferbench.so" "$build/inferbench.1" "$build/inferbench.bash" "$to/"
cp include/inferbench.h LICENSE README.md SECURITY.md "$to/" 2>/dev/null || true
find "$build" -name 'inferbench-*.so' -exec cp {} "$to/" \;
# what belongs to the C library stays the system's
glibc='^(linux-vdso|ld-linux|libc|libm|libdl|librt|libpthread|libresolv|libutil|libanl|libnss)[-.]'
ldd "$to/inferbench" "$to"/*.so | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u | while read -r lib; do
  [[ $(basename "$lib") =~ $glibc ]] || [[ $lib = "$PWD/$to/"* ]] || cp -L "$lib" "$to/"
done
strip --strip-debug "$to/inferbench" "$to"/*.so* 2>/dev/null || true
python3 tools/sbom.py "$to" "$version" >"$to/sbom.cdx.json"
python3 tools/check_dist.py "$to"
tar -C dist -czf "$to.tar.gz" "$(basename "$to")"
echo "$to ($(du -sh "$to" | cut -f1)), $to.tar.gz"
