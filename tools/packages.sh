#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs the Debian or Ubuntu packages that are missing for: build, test, demo, check.
# Does nothing, and needs no network, when all of them are there.
set -euo pipefail

build="gcc libc6-dev make cmake ninja-build pkg-config libjansson-dev libpcre2-dev libutf8proc-dev libcurl4-openssl-dev libssl-dev opencl-c-headers"
test="libcmocka-dev python3"
demo="python3 python3-pip ca-certificates"
check="clang-format cppcheck git binutils"

want=""
for group in "$@"; do
  case "$group" in
    build | test | demo | check) want="$want ${!group}" ;;
    *) echo "usage: $0 [build] [test] [demo] [check]" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
  echo "packages: not a Debian system; make sure these are installed: $want" >&2
  exit 0
fi

# A tool on PATH that did not come as a package (a newer cmake, say) counts as present.
have_tool() {
  case "$1" in
    gcc | make | cmake | git | python3 | cppcheck | clang-format) command -v "$1" >/dev/null 2>&1 ;;
    ninja-build) command -v ninja >/dev/null 2>&1 ;;
    pkg-config) command -v pkg-config >/dev/null 2>&1 ;;
    python3-pip) python3 -m pip --version >/dev/null 2>&1 ;;
    *) return 1 ;;
  esac
}

missing=""
for package in $want; do
  state=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$state" = "install ok installed" ] || have_tool "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=""
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "packages: cannot install$missing: not root and no sudo; fix: install them and run again" >&2
    exit 1
  fi
  sudo="sudo"
fi
echo "packages: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
  { $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null; }
