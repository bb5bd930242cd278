#!/usr/bin/env bash
# Checks the chart gpu-provisioner without a cluster; that its rights are enough, a test of
# internal/provisioner shows.
set -euo pipefail
cd "$(dirname "$0")/.."
chart=charts/gpu-provisioner
# shellcheck source=hack/charts.sh
. hack/charts.sh

aks=(--values charts/gpu-provisioner/examples/aks.yaml)
sim=(--set provider=sim)
helm lint "$chart" --strict --quiet "${aks[@]}" || wrong "helm lint is not content"

for values in charts/gpu-provisioner/examples/*.yaml; do
  render "example-$(basename "$values")" --values "$values"
done

render sim "${sim[@]}"
has sim "registry.local:5000/kaito/gpu-provisioner:dev"
has sim "--provider=sim"
has sim "--sim-create=5s"
lacks sim "--aks-"
lacks sim "azure"
has sim "nodes/status"
for text in "--cluster-nodes=100" "--cluster-attempts=300" "--namespace-attempts=60" "--sweep-dry-run=false" "--repair=true" "--leader-elect" \
  "resourceNames: [kaito-gpu-provisioner]" "runAsNonRoot: true" "readOnlyRootFilesystem: true" "kind: PodDisruptionBudget" "kind: NetworkPolicy" \
  "helm.sh/resource-policy: keep" "name: nodeclaims.karpenter.sh" "name: kaitonodeclasses.kaito.sh" "kind: KaitoNodeClass" \
  "{key: kaito.sh/kaitonodeclass, operator: DoesNotExist}"; do
  has sim "$text"
done

helm template gpu-provisioner "$chart" "${sim[@]}" >"$work/own-name"
has own-name "name: gpu-provisioner"
lacks own-name "gpu-provisioner-gpu-provisioner"

# Workload identity without a webhook, and no more rights than AKS needs.
render aks "${aks[@]}"
for text in "audience: api://AzureADTokenExchange" "--aks-token-file=/var/run/secrets/azure/tokens/azure-identity-token" "mountPath: /var/run/secrets/azure/tokens" \
  "--aks-subscription=00000000-0000-0000-0000-000000000000" "--cluster-gpus=40" "replicas: 2"; do
  has aks "$text"
done
lacks aks "nodes/status"
lacks aks "kube-node-lease"
lacks aks "--aks-endpoint"
lacks aks "--sim-"

render elsewhere "${aks[@]}" --set aks.endpoint=https://127.0.0.1:8443,aks.authorityHost=https://127.0.0.1:8443,aks.audience=x,aks.privateAuthority=true \
  --set-string aks.caFile=PEM --set 'aks.zones={1,2}' --set 'networkPolicy.cloudPorts={443,8443}'
for text in "--aks-endpoint=https://127.0.0.1:8443" "--aks-authority-host=https://127.0.0.1:8443" "--aks-audience=x" "--aks-private-authority" \
  "--aks-ca-file=/etc/kaito/cloud/ca.crt" "--aks-zones=1,2" "port: 8443" "ca.crt:"; do
  has elsewhere "$text"
done

render all-values "${sim[@]}" --set replicas=2,logLevel=debug,nodeSelector.pool=system,podAnnotations.team=ml,affinity.podAntiAffinity.x=y,resources.limits.cpu=1 \
  --set 'imagePullSecrets[0].name=pull,tolerations[0].operator=Exists,networkPolicy.apiServerPorts={8443}' \
  --set limits.cluster.nodes=7,limits.namespace.gpus=8,deadlines.launch=1h30m,deadlines.replacements=0,sweep.every=5m,sweep.dryRun=true \
  --set repair.enabled=false,repair.percent=50,repair.hourly=1,repair.after=90s,sim.gpu=1s \
  --set 'instanceTypes[0].name=Lab_L4,instanceTypes[0].gpus=1,instanceTypes[0].memoryGiB=24' --set-string 'instanceTypes[0].capability=8.9'
for text in "replicas: 2" "--log-level=debug" "name: pull" "pool: system" "operator: Exists" "team: ml" "podAntiAffinity:" "port: 8443" \
  "--cluster-nodes=7" "--namespace-gpus=8" "--launch-deadline=1h30m" "--replacements=0" "--sweep-every=5m" "--sweep-dry-run=true" \
  "--repair=false" "--repair-percent=50" "--repair-hourly=1" "--repair-after=90s" "--sim-gpu=1s" \
  '--instance-types=[{\"capability\":\"8.9\",\"gpus\":1,\"memoryGiB\":24,\"name\":\"Lab_L4\"}]'; do
  has all-values "$text"
done
lacks all-values "operator: DoesNotExist"

render without-crds "${sim[@]}" --set crds.install=false,nodeClass.create=false
lacks without-crds "CustomResourceDefinition"
lacks without-crds "kind: KaitoNodeClass"
render crds-not-kept "${sim[@]}" --set crds.keep=false
lacks crds-not-kept "helm.sh/resource-policy"
render open-network "${sim[@]}" --set networkPolicy.enabled=false
lacks open-network "kind: NetworkPolicy"
[ ! -f bin/images.yaml ] || render bin-images --values bin/images.yaml "${sim[@]}"

[ "$(roles aks | grep -cE '^kind: (Cluster)?Role$')" -eq 2 ] || wrong "the roles were not found: this check looks at nothing"
harmless_roles aks
harmless_roles sim

refuses "provider is not set: say who makes machines, aks or sim"
refuses "provider" --set provider=eks
refuses "aks.subscription is not set" --set provider=aks
refuses "aks.clientID is not set" "${aks[@]}" --set aks.clientID=
refuses "resourceGroup" "${aks[@]}" --set aks.resourceGroup=MC_group_cluster_eastus
refuses "endpoint" "${aks[@]}" --set aks.endpoint=http://management.example.com
refuses "limts" "${sim[@]}" --set limts.cluster.nodes=1
refuses "nodes" "${sim[@]}" --set limits.cluster.nodes=-1
refuses "every" "${sim[@]}" --set sweep.every=5
refuses "percent" "${sim[@]}" --set repair.percent=101
refuses "instanceTypes" "${sim[@]}" --set 'instanceTypes[0].name=Lab_L4,instanceTypes[0].gpus=1'
refuses "images.gpu-provisioner has neither a tag nor a digest" "${sim[@]}" --set images.gpu-provisioner.tag=
finish "the chart gpu-provisioner"
