#!/usr/bin/env bash
# The main job end to end on this machine: builds everything, starts the local
# cluster, installs the chart, and runs the parts named (all that exist, without
# a name). Each step is printed with its time; the cluster stays up at the end.
#
#   hack/demo.sh [serve] [node] [tune]
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/stages.sh
source hack/stages.sh

parts=("$@")
if [ ${#parts[@]} -eq 0 ]; then parts=(serve node tune); fi
for part in "${parts[@]}"; do
  [ -f "hack/demo-$part.sh" ] || {
    echo "there is no part \"$part\"; there is: $(printf '%s ' hack/demo-*.sh | sed 's|hack/demo-||g; s|\.sh||g')" >&2
    exit 2
  }
done

stages_begin "make demo"
stage "Debian packages" hack/setup.sh
stage "build our programs" make --no-print-directory build
stage "build the cluster's programs" bin/kaito local programs
PATH="$(bin/kaito local programs --quiet):$PWD/bin:$PATH"
stage "start the local cluster" bin/kaito local up
KUBECONFIG=$(bin/kaito local kubeconfig)
export PATH KUBECONFIG
stage "images and the development model" bin/kaito local images

local_field() { bin/kaito local status -o json | sed -n "s/^ *\"$1\": \"\(.*\)\",*\$/\1/p" | head -1; }

# The cloud is the ARM emulator: its machines are nodes of the local cluster, and the
# provisioner is the one that is used with Azure. Data sets may come from the local file
# server: the fetcher refuses addresses inside of a cluster unless the chart names them.
install_chart_with_cloud() {
  local files
  files=$(local_field files) && files=${files#http://} &&
    hack/cloud.sh values >bin/cloud.yaml &&
    helm upgrade --install kaito charts/kaito --namespace kaito-system --create-namespace \
      --values bin/images.yaml --values bin/cloud.yaml \
      --set-file "gpuProvisioner.aks.caFile=$(hack/cloud.sh ca)" \
      --set registries.insecure=true --set "fetch.allowCIDRs={${files%%:*}/32}" \
      --wait --timeout 3m
}

CLOUD=
with_cloud() {
  if [ -n "$CLOUD" ]; then return; fi
  CLOUD=yes
  stage "start the cloud" hack/cloud.sh up
  stage "install the chart with the provisioner" install_chart_with_cloud
}

# shellcheck source=hack/demo-serve.sh
for part in "${parts[@]}"; do source "hack/demo-$part.sh"; done

cat <<EOT

The cluster stays up. To look around:
  export KUBECONFIG=$KUBECONFIG PATH=$(bin/kaito local programs --quiet):$PWD/bin:\$PATH
  kubectl get workspace
To stop it: make local-down; to remove all it left: make clean-local
EOT
