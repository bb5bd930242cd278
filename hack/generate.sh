#!/usr/bin/env bash
# Writes all generated files: deep copies, CRDs (config/crd/bases and the copy that
# the chart carries, because a chart holds all its files), the runner's JSON schema.
set -euo pipefail
cd "$(dirname "$0")/.."

gen() { go tool -modfile=tools/go.mod controller-gen "$@"; }
gen object paths=./api/...
gen crd:allowDangerousTypes=false,maxDescLen=1000 paths=./api/... output:crd:dir=config/crd/bases
mkdir -p charts/kaito/files/crds
rm -f charts/kaito/files/crds/*.yaml
cp config/crd/bases/*.yaml charts/kaito/files/crds/
go generate ./internal/runner/...
