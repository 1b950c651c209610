#!/usr/bin/env bash
# Build KenLM's lmplz and build_binary from its source package into .venv/bin. Needs cmake, a C++ compiler and Boost.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -x .venv/bin/lmplz ] && exit 0
missing=""
command -v cmake >/dev/null || missing="$missing cmake"
command -v c++ >/dev/null || missing="$missing a C++ compiler (Debian: g++)"
printf '#include <boost/program_options.hpp>\n#include <boost/test/unit_test.hpp>\n#include <boost/thread.hpp>\nint main(){}' > /tmp/headwater-boost.$$.cc
c++ -fsyntax-only /tmp/headwater-boost.$$.cc 2>/dev/null || missing="$missing Boost (Debian: libboost-program-options-dev libboost-system-dev libboost-thread-dev libboost-test-dev)"
rm -f /tmp/headwater-boost.$$.cc
if [ -n "$missing" ]; then
    printf 'set-up: lmplz needs:%s\n' "$missing"
    exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -n 's/^kenlm==\([0-9.]*\).*/\1/p' requirements.lock)
.venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary kenlm --dest "$work" "kenlm==$version"
tar -xzf "$work"/kenlm-*.tar.gz -C "$work"
cmake -S "$work"/kenlm-*/ -B "$work/build" -DCMAKE_BUILD_TYPE=Release > "$work/log" 2>&1 && cmake --build "$work/build" --parallel --target lmplz build_binary query >> "$work/log" 2>&1 || { tail -n 5 "$work/log"; exit 1; }
cp "$work/build/bin/lmplz" "$work/build/bin/build_binary" "$work/build/bin/query" .venv/bin/
printf 'set-up: built lmplz\n'
