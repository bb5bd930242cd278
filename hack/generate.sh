#!/usr/bin/env bash
# Writes all generated files: deep copies, CRDs (for config/ and the chart), the
# runner's JSON schema.
set -euo pipefail
cd "$(dirname "$0")/.."

gen() { go tool -modfile=tools/go.mod controller-gen "$@"; }
gen object paths=./api/...
gen crd:allowDangerousTypes=false,maxDescLen=1000 paths=./api/... output:crd:dir=config/crd/bases
go generate ./internal/runner/...
