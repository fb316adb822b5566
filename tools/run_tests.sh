#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs every test; prints each skipped test with its reason, then one closing line that
# counts test cases (not programs): "N passed, N failed, N skipped".
set -uo pipefail
cd "$(dirname "$0")/.."
preset="${1:-release}"
build="build"
[ "$preset" = release ] || build="build-${preset%-ubsan}"
cmake --preset "$preset" -DIB_TESTS=on >/dev/null || exit 1
cmake --build --preset "$preset" || exit 1
log="$build/Testing/tests.log"
mkdir -p "$build/Testing"
ctest --test-dir "$build" --verbose --timeout 600 -j "$(nproc)" >"$log" 2>&1
status=$?
python3 tools/summarise_tests.py "$log" "$status"
