#!/usr/bin/env bash
# Writes all generated files: deep copies, CRDs (config/crd/bases and the copies that
# the charts carry, because a chart holds all its files), the API reference of docs/,
# the runner's JSON schema, the page of training settings, the catalog as lines of JSON.
set -euo pipefail
cd "$(dirname "$0")/.."

gen() { go tool -modfile=tools/go.mod controller-gen "$@"; }
gen object paths=./api/...
gen crd:allowDangerousTypes=false,maxDescLen=1000 paths=./api/... output:crd:dir=config/crd/bases
# The NodeClaim is Karpenter's: its CRD comes with the module that we use.
install -m 0644 "$(go list -m -f '{{.Dir}}' sigs.k8s.io/karpenter)/pkg/apis/crds/karpenter.sh_nodeclaims.yaml" config/crd/bases/
for chart in kaito gpu-provisioner; do
  mkdir -p "charts/$chart/files/crds"
  rm -f "charts/$chart/files/crds"/*.yaml
done
cp config/crd/bases/kaito.sh_workspaces.yaml charts/kaito/files/crds/
cp config/crd/bases/kaito.sh_kaitonodeclasses.yaml config/crd/bases/karpenter.sh_nodeclaims.yaml charts/gpu-provisioner/files/crds/
mkdir -p docs/reference
go tool -modfile=tools/go.mod crd-ref-docs --log-level=ERROR --source-path=./api/v1beta1 --config=hack/api-reference.yaml \
  --renderer=markdown --output-path=docs/reference/workspace.md
go generate ./internal/catalog/... ./internal/runner/... ./internal/tuning/...
