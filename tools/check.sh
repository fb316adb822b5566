#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# make check: formatting, layering, banned calls, exported symbols, static analysis.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
part() { printf '%-18s ' "$1"; }
verdict() { if [ "$1" -eq 0 ]; then echo ok; else echo FAILED; failed=1; fi; }

part format
if command -v clang-format >/dev/null 2>&1; then
  out=$(git ls-files '*.c' '*.h' | xargs clang-format --dry-run --Werror 2>&1); status=$?
  verdict $status; [ $status -eq 0 ] || printf '%s\n' "$out" | grep -oE '^[^:]+' | sort | uniq -c | head -20
else
  echo "skipped: clang-format is not installed"
fi

part layers
out=$(python3 tools/check_layers.py); status=$?; verdict $status; [ $status -eq 0 ] || printf '%s\n' "$out"

part "banned calls"
out=$(git grep -nE '\b(sprintf|strcpy|strcat|atoi|gets)[ ]*\(' -- 'src/*.c' 'src/*.h'
      git grep -nE '\b(exit|abort|printf)[ ]*\(' -- 'src/*.c' ':!src/cli' ':!src/main.c'
      git grep -nE '\bgetenv[ ]*\(' -- 'src/*.c' ':!src/cli' ':!src/hub' ':!src/main.c')
[ -z "$out" ]; verdict $?; [ -z "$out" ] || printf '%s\n' "$out"

part "sizes"
out=$(git ls-files 'src/*.c' 'src/*.h' 'include/*.h' | xargs wc -l | awk '$2 != "total" && $1 > 1000')
[ -z "$out" ]; verdict $?; [ -z "$out" ] || printf '%s\n' "$out"

part "size arithmetic"
out=$(python3 tools/check_sizes.py 2>/dev/null); status=$?; verdict $status; [ $status -eq 0 ] || printf '%s\n' "$out" | head -20

part build
cmake --preset release >/dev/null && cmake --build --preset release 2>&1 | tail -3 >/tmp/ib-check-build.$$
status=$?; verdict $status; [ $status -eq 0 ] || cat /tmp/ib-check-build.$$; rm -f /tmp/ib-check-build.$$

part "exported symbols"
out=$(nm -D --defined-only build/src/api/libinferbench.so 2>/dev/null | awk '$2 ~ /[TDBRV]/ && $3 !~ /^inferbench_/ {print $3}')
[ -e build/src/api/libinferbench.so ] && [ -z "$out" ]; verdict $?; [ -z "$out" ] || printf '%s\n' "$out" | head

part cppcheck
if command -v cppcheck >/dev/null 2>&1; then
  out=$(cppcheck --quiet --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
        --suppress=missingIncludeSystem --suppressions-list=tools/cppcheck.txt -Isrc -Iinclude -j2 \
        src include 2>&1); status=$?
  verdict $status; [ $status -eq 0 ] || printf '%s\n' "$out" | head -40
else
  echo "skipped: cppcheck is not installed"
fi

part "gcc -fanalyzer"
analyze() {
  gcc -std=c11 -O1 -fanalyzer -c -o /dev/null -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE '-DIB_VERSION="0"' \
    '-DIB_COMMIT="0"' -Isrc -Iinclude -Ibuild/generated "$1" 2>&1 | grep -E 'warning:|error:'
}
if command -v gcc >/dev/null 2>&1; then
  export -f analyze
  out=$(git ls-files 'src/*.c' ':!src/backend/cpu/kernels_*' ':!src/backend/cuda' |
        xargs -P "$(nproc)" -I{} bash -c 'analyze {}')
  [ -z "$out" ]; verdict $?; [ -z "$out" ] || printf '%s\n' "$out" | head -20
else
  echo "skipped: gcc is not installed"
fi

part clang-tidy
tidy=$(command -v clang-tidy-19 || command -v clang-tidy || true)
if [ -n "$tidy" ] && [ -f build/compile_commands.json ]; then
  out=$(git ls-files 'src/*.c' ':!src/backend/cpu/kernels_*' ':!src/backend/cuda' |
        xargs -P "$(nproc)" -n 8 "$tidy" -p build --quiet 2>/dev/null | grep -E 'warning:|error:')
  [ -z "$out" ]; verdict $?; [ -z "$out" ] || printf '%s\n' "$out" | head -40
else
  echo "skipped: clang-tidy is not installed"
fi
exit $failed
