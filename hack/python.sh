#!/usr/bin/env bash
# Prints the folder of a Python environment with the tools that check runtimes/:
# ruff, mypy, pytest at the versions of runtimes/requirements-dev.txt. It is made
# once in the cache, outside the checkout, and keyed by that file's content.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${KAITO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kaito}
key=$(cat runtimes/requirements-dev.txt <(python3 --version) | sha256sum | cut -c1-12)
venv=$cache/python/$key
if [ ! -e "$venv/done" ]; then
  rm -rf "$venv"
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r runtimes/requirements-dev.txt >&2
  touch "$venv/done"
fi
echo "$venv"
