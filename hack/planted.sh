#!/usr/bin/env bash
# A check that cannot fail is none: plants violations in a scratch copy of the tree
# and sees that archtest, the linters and the goldens catch each one.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do
  if [ -f "$f" ]; then printf '%s\0' "$f"; fi
done | tar -c --null -T - | tar -x -C "$copy"
linter=$(hack/lint-bin.sh)
venv=$(hack/python.sh)
cd "$copy"
failures=0

# caught WHAT WORD COMMAND...: the command must fail and say WORD.
caught() {
  local what=$1 word=$2 out
  shift 2
  if out=$("$@" 2>&1); then
    echo "not caught: $what (${*} was content)" >&2
    failures=$((failures + 1))
  elif ! grep -q -- "$word" <<<"$out"; then
    printf '%s: caught, but for another reason than "%s":\n%s\n' "$what" "$word" "$out" >&2
    failures=$((failures + 1))
  else
    echo "caught: $what"
  fi
}

mkdir internal/utils && echo 'package utils' >internal/utils/utils.go
caught "a package in no room" "stands in no room" go test ./internal/archtest
rm -r internal/utils

printf 'package estimate\n\nimport "os"\n\nvar _ = os.Args\n' >internal/estimate/planted.go
caught "an effect in a pure room" "may not import" go test ./internal/archtest
rm internal/estimate/planted.go

printf '// Package kube writes.\npackage kube\n\nimport "time"\n\nfunc planted() time.Time { return time.Now() }\n\nvar _ = planted()\n' >internal/kube/planted.go
caught "a clock in the middle" "take a clock" "$linter" run --allow-parallel-runners ./internal/kube/...
rm internal/kube/planted.go

cat >api/v1beta1/planted.go <<'EOT'
package v1beta1

// Planted has a field that no client can set.
//
// +kubebuilder:object:root=true
type Planted struct {
	Field string `json:"Field"`
}
EOT
caught "an API field against the conventions" "kubeapilinter" "$linter" run --allow-parallel-runners ./api/...
rm api/v1beta1/planted.go

golden=$(git -C "$OLDPWD" ls-files 'localcluster/internal/render/testdata/*kubelet*' | head -n 1)
sed -i 's/failCgroupV1: false/failCgroupV1: true/' "$golden"
caught "a golden of the local cluster that is not what is rendered" "kubelet" go test -C localcluster ./internal/render/...

golden=$(git -C "$OLDPWD" ls-files 'internal/render/testdata/*/want.yaml' | head -n 1)
sed -i 's/port: 80$/port: 81/' "$golden"
caught "a golden of a Workspace that is not what is rendered" "objects differ" go test ./internal/render/...

printf 'def planted(x):\n    return x\n' >>runtimes/gate/src/kaito_gate/doctor.py
caught "Python without types" "no-untyped-def" env -C runtimes/gate "$venv/bin/mypy" src

# shellcheck disable=SC2016 # the trap is what is planted
printf '#!/bin/sh\necho $1\n' >hack/planted-2.sh
caught "a shell script with a trap" "SC2086" shellcheck hack/planted-2.sh

exit "$((failures > 0))"
