#!/usr/bin/env bash
# A cloud on this machine: the ARM emulator before the local cluster, whose nodes are the
# machines of its agent pools. hack/cloud.sh up | down | down-all | counts | pools | ca | values
# CLOUD_CLUSTER names the local cluster; each may have a cloud of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

cluster=${CLOUD_CLUSTER:-kaito}
dir=/var/lib/kaito-cloud/$cluster
tenant=72f988bf-86f1-41af-91ab-2d7cd011db47
client=11111111-2222-3333-4444-555555555555

kaito_local() { bin/kaito local "$@" --name "$cluster"; }

# The address of this machine that pods of the local cluster reach.
host() { kaito_local status -o json | sed -n 's|^ *"files": "http://\([0-9.]*\):.*|\1|p' | head -1; }

# The third number of a cluster's address tells its control port from those of others.
control() { echo "127.0.0.1:$((9440 + $(cut -d. -f3 <<<"$(host)")))"; }

alive() { [ -f "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

up() {
  if alive; then return; fi
  mkdir -p "$dir"
  setsid bin/arm-emulator --dir "$dir" --address "$(host):9443" --control "$(control)" \
    --machines kubelets --localcluster bin/kaito-localcluster --localcluster-name "$cluster" \
    --tenant "$tenant" --kubeconfig "$(kaito_local kubeconfig)" \
    --identity "$client=system:serviceaccount:kaito-system:kaito-gpu-provisioner" \
    >"$dir/log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  for _ in $(seq 100); do
    if curl -sf -o "$dir/counts" "http://$(control)/counts"; then
      echo "the cloud listens on https://$(host):9443; its log: $dir/log"
      return
    fi
    alive || break
    sleep 0.1
  done
  cat "$dir/log" >&2
  return 1
}

down() {
  if alive; then kill "$(cat "$dir/pid")"; fi
  for _ in $(seq 100); do
    alive || break
    sleep 0.1
  done
  rm -rf "$dir"
}

case ${1:-} in
up) up ;;
down) down ;;
down-all)
  for one in /var/lib/kaito-cloud/*; do
    if [ -d "$one" ]; then CLOUD_CLUSTER=$(basename "$one") hack/cloud.sh down; fi
  done
  ;;
counts | pools) curl -sf "http://$(control)/$1" ;;
ca) echo "$dir/ca.crt" ;;
values)
  cat <<EOT
gpuProvisioner:
  enabled: true
  provider: aks
  aks:
    subscription: 00000000-0000-0000-0000-000000000000
    resourceGroup: kaito
    cluster: kaito
    location: eastus
    tenant: $tenant
    clientID: $client
    endpoint: https://$(host):9443
    audience: https://management.azure.com
    authorityHost: https://$(host):9443/
    privateAuthority: true
  networkPolicy:
    cloudPorts: [9443]
EOT
  ;;
*)
  echo "usage: hack/cloud.sh up|down|down-all|counts|pools|ca|values" >&2
  exit 2
  ;;
esac
