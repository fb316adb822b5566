#!/bin/sh
# SPDX-License-Identifier: MIT
# oclgrind.sh PROGRAM: the OpenCL kernels (the form for plain GPUs) under a simulator that watches every access: data
# races, accesses out of bounds. PROGRAM is tests/xpu_small of a build folder. Fails on any finding; exit code 77: no
# oclgrind here. The simulator comes in as an OpenCL driver of its own, because the program opens the loader at run
# time. It knows no saturating subtraction, which the optimizer makes: so without optimization.
set -eu
program=${1:?the program tests/xpu_small of a build folder}
driver=/usr/lib/oclgrind/liboclgrind-rt-icd.so
[ -e "$driver" ] || {
    echo "skipped: oclgrind is not installed"
    exit 77
}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/vendors"
echo "$driver" >"$tmp/vendors/oclgrind.icd"
export OCL_ICD_VENDORS="$tmp/vendors" OCLGRIND_DATA_RACES=1 OCLGRIND_LOG="$tmp/log" OCLGRIND_MAX_ERRORS=20 \
    OCLGRIND_BUILD_OPTIONS=-cl-opt-disable
"$program" local | tee "$tmp/out"
if [ -s "$tmp/log" ]; then
    cat "$tmp/log"
    exit 1
fi
grep -q "^Oclgrind.* 0 off" "$tmp/out" || {
    echo "the simulator was not used"
    exit 1
}
echo "oclgrind: no race, no access out of bounds"
