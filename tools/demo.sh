#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The main job on a real model: benchmark SmolLM2-135M as it is published, quantize it the
# bitsandbytes way (nf4, double quantization), and benchmark the quantized folder.
set -euo pipefail
cd "$(dirname "$0")/.."
make --no-print-directory all
model=$(tools/fetch_demo_model.sh)
folder="$(dirname "$model")/SmolLM2-135M-Instruct-bnb-4bit"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() { printf '\n\033[1m== %s\033[0m\n' "$1"; }
[ -t 1 ] || step() { printf '\n== %s\n' "$1"; }

step "1/3  The published model (GGUF Q4_1)"
build/inferbench run --model-id "$model"

step "2/3  Quantize it to bitsandbytes nf4 with double quantization"
rm -rf "$folder"
build/inferbench quantize "$model" "$folder" --quant nf4 --double-quant

step "3/3  The quantized Hugging Face folder"
build/inferbench run --model-id "$folder" --output "$work/demo.json"
echo
echo "The record with every time stamp was written and read back: $(build/inferbench report "$work/demo.json" --format csv | wc -l) CSV lines."
