#!/bin/sh
# SPDX-License-Identifier: MIT
# make acceptance: the experiments on the virtual clock (deterministic, a few minutes), and the statistics
# against their vectors; writes the counts to docs/acceptance.md. PRESET names the build.
set -e
cd "$(dirname "$0")/.."
preset=${PRESET:-release}
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset" --target acceptance test_stats_core >/dev/null
case $preset in release) build=build ;; *) build=build-$preset ;; esac
[ -x "$build/tests/acceptance" ] || build=$(find . -path '*/tests/acceptance' -type f -perm -u+x | head -1 | sed 's,/tests/acceptance,,')
new=docs/acceptance.md.new
{
    cat tools/acceptance_head.md
    failed=0
    "$build/tests/acceptance" --table || failed=1
    vectors=$("$build/tests/test_stats_core" 2>&1) && state=holds || { state=FAILS; failed=1; }
    passed=$(printf '%s\n' "$vectors" | grep -c '^\[       OK' || true)
    total=$(printf '%s\n' "$vectors" | grep -c '^\[ RUN' || true)
    echo "| A18 | statistics against NumPy, SciPy and tables, 1e-9 | groups of vectors and properties | $passed of $total | all | $state |"
    [ -f docs/acceptance_full.md ] && { echo; cat docs/acceptance_full.md; }
    exit $failed
} >"$new" && good=1 || good=0
mv "$new" docs/acceptance.md
cat docs/acceptance.md
[ $good = 1 ]
