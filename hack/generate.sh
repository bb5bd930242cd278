#!/usr/bin/env bash
# Writes all generated files: deep copies, CRDs (config/crd/bases and the copy that
# the chart carries, because a chart holds all its files), the API reference of docs/,
# the runner's JSON schema, the page of training settings.
set -euo pipefail
cd "$(dirname "$0")/.."

gen() { go tool -modfile=tools/go.mod controller-gen "$@"; }
gen object paths=./api/...
gen crd:allowDangerousTypes=false,maxDescLen=1000 paths=./api/... output:crd:dir=config/crd/bases
mkdir -p charts/kaito/files/crds
rm -f charts/kaito/files/crds/*.yaml
cp config/crd/bases/*.yaml charts/kaito/files/crds/
mkdir -p docs/reference
go tool -modfile=tools/go.mod crd-ref-docs --log-level=ERROR --source-path=./api/v1beta1 --config=hack/api-reference.yaml \
  --renderer=markdown --output-path=docs/reference/workspace.md
go generate ./internal/runner/... ./internal/tuning/...
