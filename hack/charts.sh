# Functions to check a chart without a cluster; hack/chart-test*.sh read this. The variable
# chart names the chart's folder. Takes helm from PATH, else from the local cluster's programs.
# shellcheck shell=bash
: "${chart:?}"
command -v helm >/dev/null || PATH="$(bin/kaito local programs --quiet):$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

wrong() {
  echo "$chart: $*" >&2
  failures=$((failures + 1))
}

# render NAME [HELM FLAGS]: writes the rendered chart to $work/NAME.
render() {
  local name=$1
  shift
  helm template kaito "$chart" --namespace kaito-system "$@" >"$work/$name" 2>"$work/said" || wrong "\"$name\" does not render: $(cat "$work/said")"
}

# has NAME TEXT / lacks NAME TEXT: looks for fixed text in what was rendered.
has() { grep -qF -- "$2" "$work/$1" || wrong "rendered with $1, there is no $2"; }
lacks() { ! grep -nF -- "$2" "$work/$1" >&2 || wrong "rendered with $1, there is $2"; }

# refuses WORD HELM FLAGS: the chart must not render, and the message must name WORD.
refuses() {
  local word=$1
  shift
  if helm template kaito "$chart" "$@" >"$work/refused" 2>&1; then
    wrong "accepts $*"
  elif ! grep -qF -- "$word" "$work/refused"; then
    wrong "refuses $* without naming \"$word\": $(cat "$work/refused")"
  fi
}

# roles NAME: the Roles and ClusterRoles, without comments.
roles() {
  awk 'BEGIN { RS = "\n---\n" } /(^|\n)kind: (Cluster)?Role\n/' "$work/$1" | sed 's/#.*//'
}

# harmless_roles NAME: no Secrets, no wildcards, nothing that leads to other rights.
harmless_roles() {
  local name=$1
  ! roles "$name" | grep -niE 'secrets?\b' >&2 || wrong "a role names secrets: nothing of ours reads one"
  ! roles "$name" | grep -nF '*' >&2 || wrong "a role has a wildcard"
  ! roles "$name" | grep -niE '\b(escalate|bind|impersonate|exec|attach|serviceaccounts|clusterroles?|rolebindings)\b' | grep -v '^[0-9]*:kind:' >&2 ||
    wrong "a role can be used to gain other rights"
}

# finish WHAT: says how it went, and ends.
finish() {
  if [ "$failures" -gt 0 ]; then
    echo "$chart: $failures checks failed" >&2
    exit 1
  fi
  echo "$1 lints, renders in $(find "$work" -type f ! -name refused ! -name said ! -name images.yaml | wc -l) forms, asks for no Secret and refuses what it does not know"
}
