#!/usr/bin/env bash
# Prints the path of the linter: golangci-lint with the kube-api-linter in it,
# built once from tools/go.mod into the cache.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${KAITO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kaito}
key=$(cat tools/go.mod tools/go.sum <(go version) | sha256sum | cut -c1-12)
bin=$cache/tools/$key/golangci-lint
if [ ! -x "$bin" ]; then
  mkdir -p "$(dirname "$bin")"
  echo "building the linter (once)" >&2
  go build -C tools -ldflags '-s -w' -o "$bin.new" sigs.k8s.io/kube-api-linter/cmd/golangci-lint-kube-api-linter >&2
  mv "$bin.new" "$bin"
fi
echo "$bin"
