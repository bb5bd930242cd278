#!/usr/bin/env bash
# Prints the folder of a Python environment with the packages of a requirements file; by
# default with the tools that check runtimes/: ruff, mypy, pytest. It is made once in the
# cache, outside the checkout, and keyed by that file's content.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=${1:-runtimes/requirements-dev.txt}
cache=${KAITO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kaito}
key=$(cat "$requirements" <(python3 --version) | sha256sum | cut -c1-12)
venv=$cache/python/$key
if [ ! -e "$venv/done" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
  touch "$venv/done"
fi
echo "$venv"
