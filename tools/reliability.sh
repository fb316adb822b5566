#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Measures every figure of docs/reliability.md again and writes the page:
#   tools/reliability.sh [FUZZ_SECONDS] [KILLS] [EVERY] [DIFFERENTIAL]
# seconds for each fuzz target (0 = take the ledger as it is), kills of a run, every n-th failing
# allocation (1 = all), inputs of each differential test (0 = leave out). BUILD names a release build
# with tests, PYTHON a Python with safetensors and tokenizers.
set -uo pipefail
cd "$(dirname "$0")/.."
fuzz="${1:-60}"; kills="${2:-1000}"; every="${3:-1}"; inputs="${4:-20000}"
build="${BUILD:-build}"; out="${RELIABILITY_OUT:-$build/reliability}"; mkdir -p "$out"
export IB_BIN="$PWD/$build/inferbench" IB_FAULT_LIB="$PWD/$build/tests/fault/ib_fault_preload.so"
export IB_JUDGE="$PWD/$build/tests/fuzz/fuzz_replay"
case "$build" in /*) IB_BIN="$build/inferbench" IB_FAULT_LIB="$build/tests/fault/ib_fault_preload.so" IB_JUDGE="$build/tests/fuzz/fuzz_replay" ;; esac
[ "$fuzz" -eq 0 ] || tools/fuzz.sh "$fuzz" | tee "$out/fuzz.txt"
python3 tests/e2e/faults.py --every "$every" 2>&1 | tee "$out/faults.txt"
[ "$kills" -eq 0 ] || python3 tests/e2e/kill_loop.py "$kills" | tee "$out/kills.txt"
"$IB_JUDGE" 2>&1 | tee "$out/replay.txt"
python3 tests/e2e/hostile.py --report >"$out/hostile.txt" 2>&1
if [ "$inputs" -gt 0 ]; then
  for what in safetensors texts tokenizers; do
    "${PYTHON:-python3}" tools/reference/differential.py $what "$inputs" | tee "$out/differential_$what.txt"
  done
fi
[ -z "${COVERAGE:-}" ] || tools/coverage.sh | tee "$out/coverage.txt"
python3 tools/reliability_page.py "$out" "${FUZZ_BUILD:-build-fuzz}/run/ledger.tsv" >docs/reliability.md
echo "docs/reliability.md"
