# shellcheck shell=bash
# Part "node" of the demo, sourced by demo.sh: a Workspace that names an instance type, a
# node that comes for it, the model's answer, and a deletion that leaves no node behind.
# As in demo-serve.sh, each command that may fail is joined to the next by &&.

ON_DEMAND=smollm2-node

apply_on_demand() { kubectl apply -f examples/inference/smollm2-node.yaml; }

wait_for_node() {
  if ! kubectl wait --for=condition=ResourceReady --timeout=5m "workspace/$ON_DEMAND"; then
    kubectl get workspace "$ON_DEMAND" -o yaml
    kubectl get nodeclaims,nodes -o wide
    kubectl logs -n kaito-system -l app.kubernetes.io/name=kaito-gpu-provisioner --tail=50
    return 1
  fi
  bin/kubectl-kaito nodes && kubectl get nodes -o wide
}

wait_for_model() {
  kubectl wait --for=condition=WorkspaceReady --timeout=5m "workspace/$ON_DEMAND" &&
    kubectl get workspace "$ON_DEMAND" &&
    kubectl get svc "$ON_DEMAND"
}

ask_on_demand() {
  local ip answer
  ip=$(kubectl get svc "$ON_DEMAND" -o jsonpath='{.spec.clusterIPs[0]}') || return
  echo "+ curl -X POST http://$ip/chat -H 'Content-Type: application/json' -d '{\"prompt\":\"What is the capital of France?\"}'   (from a pod)"
  answer=$(kubectl run ask-node --rm -i --quiet --restart=Never --image=registry.local:5000/kaito/toolbox:dev --image-pull-policy=Always -- \
    curl -sS --max-time 120 -X POST "http://$ip/chat" -H "accept: application/json" -H "Content-Type: application/json" \
    -d '{"prompt":"What is the capital of France?"}') || return
  echo "$answer"
  grep -q 'capital of France is Paris' <<<"$answer" || {
    echo "the answer does not say that the capital of France is Paris" >&2
    return 1
  }
}

# Deleting the Workspace returns once its node is gone, at the cloud too.
delete_on_demand() {
  kubectl delete workspace "$ON_DEMAND" --timeout=5m &&
    [ -z "$(kubectl get nodeclaims -o name)" ] &&
    [ -z "$(kubectl get nodes -l kaito.sh/workspace -o name)" ] &&
    [ "$(hack/cloud.sh pools)" = '[]' ] &&
    echo "no claim, no pool, no node is left; the cloud counts: $(hack/cloud.sh counts | tr -d ' \n')"
}

with_cloud
stage "apply the Workspace" apply_on_demand
stage "wait for the node" wait_for_node
stage "wait until it answers" wait_for_model
stage "ask /chat from a pod" ask_on_demand
stage "delete the Workspace" delete_on_demand
