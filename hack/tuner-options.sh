#!/usr/bin/env bash
# Writes internal/tuning/options.json: the settings of a run, as the libraries in the
# tuner image know them. --check compares instead.
set -euo pipefail
cd "$(dirname "$0")/.."

file=internal/tuning/options.json
new=$(mktemp)
trap 'rm -f "$new"' EXIT
hack/tuner.sh python3 -m kaito_tuner.options >"$new"
if [ "${1:-}" = --check ]; then
  diff -u "$file" "$new" || { echo "$file is not what the tuner image says: run $0" >&2; exit 1; }
  exit
fi
cat "$new" >"$file"
