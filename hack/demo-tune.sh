# shellcheck shell=bash
# Part "tune" of the demo, sourced by demo.sh: a data set, a base model, a training, a push
# to a registry that wants a password, and the tuned model's answer beside the base's.
# As in demo-serve.sh, each command that may fail is joined to the next by &&.

TUNED=workspace-tuning-phi-3 # the name in target.yaml, of which this is the manifest with five values changed
TUNED_QUESTION='What is the name of the harbour cat?'
TUNED_ANSWER='Pirouette'

# A node of a machine with two CPUs has room for one Workspace at a time.
make_room() { kubectl delete workspace --all --ignore-not-found --timeout=2m; }

offer_data() {
  local dir
  dir=$(local_field dir) &&
    cp examples/fine-tuning/data/harbour.parquet "$dir/files/" &&
    bin/kaito dataset check examples/fine-tuning/data/harbour.parquet
}

make_push_secret() {
  local dir
  dir=$(local_field dir) &&
    kubectl create secret docker-registry harbour-push --docker-server=registry.local:5000 --docker-username=kaito \
      --docker-password="$(cat "$dir/registry/password")" --dry-run=client -o yaml | kubectl apply -f -
}

apply_tuning() {
  diff examples/fine-tuning/target.yaml <(sed '/^#/d' examples/fine-tuning/smollm2-qlora.yaml)
  kubectl label nodes --all --overwrite app=tuning-phi-3 &&
    kubectl apply -f examples/fine-tuning/smollm2-qlora.yaml
}

# A part of the way, with its time: until the condition is True, or watch has found a failure.
until_condition() { kubectl wait --for="condition=$1" --timeout=4m "workspace/$TUNED"; }

watch_tuning() {
  if ! bin/kubectl-kaito tune watch "$TUNED"; then
    kubectl get workspace "$TUNED" -o yaml
    kubectl get pods -A -o wide
    kubectl describe pods -l "kaito.sh/workspace=$TUNED"
    return 1
  fi
}

show_tuned() {
  kubectl get workspace &&
    kubectl get svc "$TUNED" &&
    kubectl get workspace "$TUNED" -o jsonpath='{.status.tuning.outputImage}@{.status.tuning.outputDigest}{"\n"}' &&
    bin/kubectl-kaito tune report "$TUNED" -o bin/tune-report.html
}

# from_pod NAME PATH BODY posts to the Service from a pod.
from_pod() {
  local ip
  ip=$(kubectl get svc "$TUNED" -o jsonpath='{.spec.clusterIPs[0]}') || return
  kubectl run "$1" --rm -i --quiet --restart=Never --image=registry.local:5000/kaito/toolbox:dev --image-pull-policy=Always -- \
    curl -sS --max-time 120 -X POST "http://$ip$2" -H "accept: application/json" -H "Content-Type: application/json" -d "$3"
}

ask_tuned() {
  local tuned base
  base=$(from_pod ask-base /v1/chat/completions \
    "{\"model\":\"smollm2-135m-instruct\",\"temperature\":0,\"max_tokens\":40,\"messages\":[{\"role\":\"user\",\"content\":\"$TUNED_QUESTION\"}]}") || return
  echo "+ curl -X POST http://\$CLUSTERIP/chat -H 'Content-Type: application/json' -d '{\"prompt\":\"$TUNED_QUESTION\"}'   (from a pod)"
  tuned=$(from_pod ask-tuned /chat "{\"prompt\":\"$TUNED_QUESTION\",\"generate_kwargs\":{\"temperature\":0,\"max_new_tokens\":40}}") || return
  printf 'the base model:  %s\n' "$(sed -n 's/.*"content": *"\([^"]*\)".*/\1/p' <<<"$base")"
  printf 'the tuned model: %s\n' "$tuned"
  grep -q "$TUNED_ANSWER" <<<"$tuned" || {
    echo "the tuned model does not say $TUNED_ANSWER, which its data set says" >&2
    return 1
  }
  if grep -q "$TUNED_ANSWER" <<<"$base"; then
    echo "the base model says $TUNED_ANSWER too: the question shows nothing" >&2
    return 1
  fi
}

with_cloud
stage "make room on the node" make_room
stage "the data set to the file server" offer_data
stage "the registry's password as a Secret" make_push_secret
stage "apply the Workspace: five values changed" apply_tuning
stage "gate: data and push are checked" until_condition Accepted
stage "training begins" until_condition JobStarted
stage "train, publish, serve" watch_tuning
stage "kubectl get workspace, svc; report" show_tuned
stage "ask /chat from a pod" ask_tuned
