# shellcheck shell=bash
# Part "serve" of the demo, sourced by demo.sh: a Workspace, a real model, an answer from /chat.
# `stage` looks at the result of these functions, and bash then ignores `set -e` inside
# them: each command that may fail is joined to the next by &&.

install_chart() {
  helm upgrade --install kaito charts/kaito --namespace kaito-system --create-namespace \
    --values bin/images.yaml --wait --timeout 3m
}

apply_workspace() {
  kubectl label nodes --all --overwrite apps=smollm2 &&
    kubectl apply -f examples/inference/smollm2.yaml
}

wait_for_workspace() {
  if ! kubectl wait --for=condition=WorkspaceReady --timeout=5m workspace/smollm2; then
    kubectl get workspace smollm2 -o yaml
    kubectl get pods -A -o wide
    kubectl describe pods -l kaito.sh/workspace=smollm2
    return 1
  fi
}

show_workspace() {
  kubectl get workspace &&
    kubectl get svc smollm2
}

ask() {
  local ip answer
  ip=$(kubectl get svc smollm2 -o jsonpath='{.spec.clusterIPs[0]}') || return
  echo "+ curl -X POST http://$ip/chat -H 'Content-Type: application/json' -d '{\"prompt\":\"What is the capital of France?\"}'   (from a pod)"
  answer=$(kubectl run curl --rm -i --quiet --restart=Never --image=registry.local:5000/kaito/toolbox:dev --image-pull-policy=Always -- \
    curl -sS --max-time 120 -X POST "http://$ip/chat" -H "accept: application/json" -H "Content-Type: application/json" \
    -d '{"prompt":"What is the capital of France?"}') || return
  echo "$answer"
  grep -q 'capital of France is Paris' <<<"$answer" || {
    echo "the answer does not say that the capital of France is Paris" >&2
    return 1
  }
}

stage "install the chart" install_chart
stage "apply the Workspace" apply_workspace
stage "wait until it answers" wait_for_workspace
stage "kubectl get workspace, svc" show_workspace
stage "ask /chat from a pod" ask
