#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs the fuzz targets under libFuzzer with the address and undefined-behaviour sanitizers:
#   tools/fuzz.sh SECONDS [TARGET...]        each for so long, a quarter of it with failing malloc
# Inputs that the run finds worth keeping stay in build-fuzz/run/<target> and are the start of the
# next run. Findings are copied to build-fuzz/findings. Prints executions, coverage and findings,
# and adds a line per run to build-fuzz/run/ledger.tsv, which docs/reliability.md is made from.
# FUZZ_BUILD names another build folder.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-60}"; shift || true
build="${FUZZ_BUILD:-build-fuzz}"
if [ -z "${FUZZ_BUILD:-}" ]; then
  cmake --preset fuzz >/dev/null && cmake --build --preset fuzz --target fuzz_all >/dev/null || exit 1
fi
run="$build/run"; mkdir -p "$run" "$build/findings"
python3 tests/fuzz/make_corpus.py "$run/seeds" --all >/dev/null
python3 tests/fuzz/make_dict.py "$run/dict"
targets="${*:-$(sed -n '/^set(fuzz_names/,/)/p' tests/fuzz/CMakeLists.txt | tr -d '()' | sed 's/^setfuzz_names//' | tr '\n' ' ')}"
ledger="$run/ledger.tsv"
[ -e "$ledger" ] || printf 'target\tmode\tseconds\texecutions\tedges\tfeatures\tfindings\n' >"$ledger"
bad=0
one() { # target mode seconds
  local log="$run/$1.$2.log" before after
  mkdir -p "$run/$1"
  before=$(find "$build/findings" -type f ! -name '*slow-unit*' | wc -l)
  local max=4096; case "$1" in tokenizer | record | journal | gguf) max=16384 ;; esac
  if [ "$2" = oom ]; then export IB_FUZZ_OOM=1; else unset IB_FUZZ_OOM; fi
  "$build/tests/fuzz/fuzz_$1" -max_total_time="$3" -timeout=120 -report_slow_units=120 -rss_limit_mb=2048 -max_len=$max \
    -dict="$run/dict/$1.dict" -artifact_prefix="$build/findings/$1-" -print_final_stats=1 \
    "$run/$1" "tests/fuzz/corpus/$1" "$run/seeds/$1" >"$log" 2>&1
  after=$(find "$build/findings" -type f ! -name '*slow-unit*' | wc -l)
  local n edges features
  n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
  edges=$(grep -oE 'cov: [0-9]+' "$log" | tail -1 | cut -d' ' -f2)
  features=$(grep -oE 'ft: [0-9]+' "$log" | tail -1 | cut -d' ' -f2)
  printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${n:-0}" "${edges:-0}" "${features:-0}" $((after - before)) >>"$ledger"
  printf '%-12s %-7s %9s executions %7s edges %7s features %3s findings\n' "$1" "$2" "${n:-0}" "${edges:-0}" "${features:-0}" $((after - before))
  if [ $((after - before)) -gt 0 ]; then bad=1; grep -m3 -E 'ERROR|does not hold|not given back|allocation .* failed|runtime error' "$log"; fi
}
for target in $targets; do
  oom=$((seconds / 4)); [ $oom -ge 1 ] || oom=1
  one "$target" plain $((seconds - oom > 0 ? seconds - oom : 1))
  one "$target" oom $oom
done
exit $bad
