#!/usr/bin/env bash
# Runs each fuzz target of the main module for the time given (default 20s).
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-20s}
git grep -l '^func Fuzz' -- '*_test.go' | while read -r file; do
  grep -o '^func Fuzz[A-Za-z0-9_]*' "$file" | cut -c6- | while read -r target; do
    echo "$target in $file"
    go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x
  done
done
