#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Branch coverage of the parsers by the tests and the kept fuzz inputs: tools/coverage.sh [BUILD]
# Needs gcc with gcov, and gcovr. Prints one row per parser and the total.
set -uo pipefail
cd "$(dirname "$0")/.."
build="${1:-build-coverage}"
[ -n "${1:-}" ] || { cmake --preset coverage >/dev/null && cmake --build --preset coverage >/dev/null || exit 1; }
find "$build" -name '*.gcda' -delete
ctest --test-dir "$build" -R 'fuzz_|test_(safetensors|index|gguf|bnb|config|generat|rope|processors|json|base|tokenizer|jinja|chat|record|report|plan|options|hub|limits|writer|model_load|cli_messages)' \
  -j "$(nproc)" --timeout 600 >/dev/null
gcovr -r . "$build" --branches --exclude-throw-branches --filter 'src/(checkpoint|text|hub)/' --filter 'src/base/(json|json_parse|str)' \
  --filter 'src/record/read' --filter 'src/model/(config|generation|rope_config)' --filter 'src/bench/(journal|user_text|plan)' \
  --filter 'src/cli/options' --filter 'src/engine/text_side' -j 2 2>/dev/null
