#!/usr/bin/env bash
# Make .venv from requirements.lock, on a machine where nothing was installed by hand.
# Finds Python 3.12 or newer and Java 17 or newer, or says exactly what to install; builds lmplz where it can.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'set-up: %s\n' "$*"; }
stop() { printf 'set-up: %s\n' "$*" >&2; exit 2; }

fits() { "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3.12 python3.13 python3.14 python3; do
        candidate=$(command -v "$candidate" 2>/dev/null) || continue
        # A pyenv shim may exist for a version that is not active: ask it to run.
        if fits "$candidate"; then "$candidate" -c 'import sys; print(sys.executable)'; return; fi
    done
    for candidate in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python; do
        if fits "$candidate"; then echo "$candidate"; return; fi
    done
    if command -v uv >/dev/null; then
        candidate=$(uv python find '>=3.12' 2>/dev/null) && fits "$candidate" && echo "$candidate"
    fi
}

python=$(find_python)
[ -n "$python" ] || stop "Python 3.12 or newer was not found (PATH, pyenv, uv). Install it, for example with 'pyenv install 3.12' or 'uv python install 3.12', or name it: PYTHON=/path/to/python3.12 make ..."

command -v java >/dev/null || stop "Java was not found. Install a Java 17 runtime (Debian and Ubuntu: apt-get install openjdk-17-jre-headless)."
java_major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
[ "${java_major:-0}" -ge 17 ] || stop "Java ${java_major:-of an unknown version} was found; Spark 4 needs 17 or newer (Debian and Ubuntu: apt-get install openjdk-17-jre-headless)."

say "$("$python" --version), Java $java_major"
[ -x .venv/bin/python ] && fits .venv/bin/python || { rm -rf .venv; "$python" -m venv .venv; }
.venv/bin/python -m pip install --quiet --disable-pip-version-check uv
say "installing the locked packages into .venv (a few minutes the first time: torch brings several GB)"
.venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --no-deps -r requirements.lock
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps -e .

bash .ci/build_lmplz.sh || say "lmplz was not built; only training of perplexity models needs it"
touch .venv/.done
say "done"
