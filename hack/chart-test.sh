#!/usr/bin/env bash
# Checks the chart kaito without a cluster: it lints, renders in each of its forms, asks for
# no right that it should not have, and refuses values that it does not know.
set -euo pipefail
cd "$(dirname "$0")/.."
chart=charts/kaito
# shellcheck source=hack/charts.sh
. hack/charts.sh

# builder_values: the file that `kaito local images --out` writes, with made-up digests.
builder_values() {
  local name
  echo "images:"
  for name in gate gpu-provisioner llamacpp operator runner toolbox tuner; do
    printf '  %s:\n    repository: registry.local:5000/kaito/%s\n    tag: dev\n    digest: sha256:%s\n' \
      "$name" "$name" "$(sha256sum <<<"$name" | cut -d' ' -f1)"
  done
  printf 'gpuProvisioner:\n  images:\n    gpu-provisioner:\n      repository: registry.local:5000/kaito/gpu-provisioner\n      digest: sha256:%s\n' \
    "$(sha256sum <<<gpu-provisioner | cut -d' ' -f1)"
}

helm lint "$chart" --strict --quiet || wrong "helm lint is not content"
for crd in charts/*/files/crds/*.yaml; do
  cmp -s "$crd" "config/crd/bases/$(basename "$crd")" || wrong "$crd is not that of config/crd/bases: run make generate"
done

render defaults
for image in operator runner llamacpp gate tuner tuner-gpu; do has defaults "registry.local:5000/kaito/$image:dev"; done
has defaults "--vllm-image=vllm/vllm-openai:v0.33.0"
has defaults "--vllm-rocm-image=vllm/vllm-openai-rocm:v0.33.0"
has defaults "--amd-groups=109"
has defaults "--hub-endpoint=https://huggingface.co"
lacks defaults "--hub-m"
render mirrors --set 'hub.mirrors={https://mirror.example,http://other.example:8080}' --set hub.models=false
has mirrors "--hub-mirror=https://mirror.example"
has mirrors "--hub-mirror=http://other.example:8080"
has mirrors "--hub-models=false"
lacks defaults "--insecure-registries"
lacks defaults "--pull-secret"
lacks defaults "--fetch-allow-cidrs"
lacks defaults "--node-provisioning"
lacks defaults "--instance-types"
has defaults "verbs: [get, list, watch, delete, create, patch]"
render no-nodes --set nodeProvisioning.enabled=false
has no-nodes "--node-provisioning=false"
has no-nodes "verbs: [get, list, watch, delete]"
has defaults "helm.sh/resource-policy: keep"
has defaults "name: v1alpha1"
has defaults "name: v1beta1"
has defaults "runAsNonRoot: true"
has defaults "readOnlyRootFilesystem: true"

builder_values >"$work/images.yaml"
render digests --values "$work/images.yaml"
for image in operator runner llamacpp gate tuner; do
  has digests "kaito/$image@sha256:$(sha256sum <<<"$image" | cut -d' ' -f1)"
  lacks digests "kaito/$image:"
done
[ ! -f bin/images.yaml ] || render "bin-images" --values bin/images.yaml

lacks defaults "gpu-provisioner"
render with-nodes --values "$work/images.yaml" --set gpuProvisioner.enabled=true,gpuProvisioner.provider=sim
has with-nodes "kaito/gpu-provisioner@sha256:$(sha256sum <<<gpu-provisioner | cut -d' ' -f1)"
has with-nodes "name: nodeclaims.karpenter.sh"
refuses "provider is not set" --set gpuProvisioner.enabled=true
refuses "sweeps" --set gpuProvisioner.enabled=true,gpuProvisioner.provider=sim,gpuProvisioner.sweeps=1

has defaults "kind: PodDisruptionBudget"
has defaults "kind: NetworkPolicy"
render open-network --set networkPolicy.enabled=false
lacks open-network "kind: NetworkPolicy"
for values in charts/kaito/examples/*.yaml; do
  render "example-$(basename "$values")" --values "$values"
done

render without-crds --set crds.install=false
lacks without-crds "CustomResourceDefinition"
render crds-not-kept --set crds.keep=false
has crds-not-kept "CustomResourceDefinition"
lacks crds-not-kept "helm.sh/resource-policy"

render all-values --set replicas=2 --set logLevel=debug --set 'imagePullSecrets[0].name=pull' --set nodeSelector.pool=system \
  --set 'tolerations[0].operator=Exists' --set podAnnotations.team=ml --set registries.models=example.com/models \
  --set affinity.podAntiAffinity.x=y --set resources.limits.cpu=1 --set 'networkPolicy.apiServerPorts={8443}' \
  --set hub.endpoint=https://mirror.example.com/hf --set registries.insecure=true --set 'workspacePods.imagePullSecrets={one,two}' \
  --set 'fetch.allowCIDRs={10.0.0.0/8,fd00::/8}' --set images.tunerGPU.tag=v9 \
  --set 'nodeProvisioning.instanceTypes[0].name=Lab_L4,nodeProvisioning.instanceTypes[0].gpus=1,nodeProvisioning.instanceTypes[0].memoryGiB=24' \
  --set-string 'nodeProvisioning.instanceTypes[0].capability=8.9'
for text in "replicas: 2" "--log-level=debug" "name: pull" "pool: system" "operator: Exists" "team: ml" "--models=example.com/models" "podAntiAffinity:" "port: 8443" \
  "--hub-endpoint=https://mirror.example.com/hf" "--insecure-registries" "--pull-secret=one" "--pull-secret=two" "--fetch-allow-cidrs=10.0.0.0/8" "--fetch-allow-cidrs=fd00::/8" "kaito/tuner-gpu:v9" \
  '--instance-types=[{\"capability\":\"8.9\",\"gpus\":1,\"memoryGiB\":24,\"name\":\"Lab_L4\"}]'; do
  has all-values "$text"
done

[ "$(roles defaults | grep -cE '^kind: (Cluster)?Role$')" -eq 2 ] || wrong "the roles were not found: this check looks at nothing"
harmless_roles defaults

refuses "repicas" --set repicas=2
refuses "runer" --set images.runer.tag=x
refuses "digset" --set images.runner.digset=sha256:0
refuses "digest" --set images.runner.digest=sha256:beef
refuses "repository" --set images.runner.repository=registry.example.com/kaito/runner:v1
refuses "logLevel" --set logLevel=loud
refuses "models" --set registries.models=https://registry.example.com/models/
refuses "apiServerPorts" --set 'networkPolicy.apiServerPorts={https}'
refuses "replicas" --set replicas=two
refuses "endpoint" --set hub.endpoint=huggingface.co
refuses "allowCIDRs" --set 'fetch.allowCIDRs={10.0.0.1}'
refuses "instanceTypes" --set 'nodeProvisioning.instanceTypes[0].name=Lab_L4,nodeProvisioning.instanceTypes[0].gpus=1'
refuses "imagePullSecrets" --set 'workspacePods.imagePullSecrets={My_Secret}'
refuses "images.runner has neither a tag nor a digest" --set images.runner.tag=

finish "the chart kaito"
