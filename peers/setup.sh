#!/bin/sh
# SPDX-License-Identifier: MIT
# setup.sh NAME...: makes the environments of peer programs (all of them without a name), each in its own folder under
# PEERS_HOME (default ~/.cache/inferbench/peers), from the versions pinned in requirements/. llama.cpp is built for this
# machine from the sources that llama-cpp-python carries. A finished environment is left alone; an unfinished one goes on.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${PEERS_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/inferbench/peers}
python=${PEERS_PYTHON:-python3}
jobs=${PEERS_JOBS:-$(nproc)}

fresh() { # NAME: does its stamp differ from the pinned versions?
    ! cmp -s "$here/requirements/$1.txt" "$home/$1/requirements.done"
}

build_llama_cpp() {
    version=$(sed -n 's/^# sdist: //p' "$here/requirements/llama.cpp.txt")
    src=$home/llama.cpp/src
    if [ ! -f "$src/vendor/llama.cpp/CMakeLists.txt" ]; then
        rm -rf "$src" "$home/llama.cpp/dl"
        mkdir -p "$src" "$home/llama.cpp/dl"
        "$home/llama.cpp/bin/pip" download --quiet --no-deps --no-binary :all: -d "$home/llama.cpp/dl" "$version"
        tar xzf "$home"/llama.cpp/dl/*.tar.gz -C "$src" --strip-components 1
    fi
    cmake -S "$src/vendor/llama.cpp" -B "$home/llama.cpp/build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON \
        -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF \
        -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF >"$home/llama.cpp/cmake.log"
    cmake --build "$home/llama.cpp/build" -j "$jobs" --target llama llama-bench llama-quantize \
        >"$home/llama.cpp/build.log" 2>&1 || { tail -20 "$home/llama.cpp/build.log" >&2; return 1; }
}

setup_one() {
    if [ ! -f "$here/requirements/$1.txt" ]; then
        echo "setup.sh: no peer '$1'; there are: $(ls "$here/requirements" | sed 's/\.txt$//' | tr '\n' ' ')" >&2
        exit 2
    fi
    fresh "$1" || { echo "$1: ready in $home/$1"; return 0; }
    echo "$1: installing into $home/$1"
    [ -x "$home/$1/bin/python" ] || "$python" -m venv "$home/$1"
    "$home/$1/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements/$1.txt"
    [ "$1" != llama.cpp ] || build_llama_cpp
    "$home/$1/bin/pip" freeze >"$home/$1/freeze.txt"
    cp "$here/requirements/$1.txt" "$home/$1/requirements.done"
}

mkdir -p "$home"
[ $# -gt 0 ] || set -- llama.cpp transformers openvino onnxruntime
for name; do setup_one "$name"; done
