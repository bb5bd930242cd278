#!/usr/bin/env bash
# Runs the tests that need a real API server, on the local cluster's own hyperkube.
set -euo pipefail
cd "$(dirname "$0")/.."

KUBEBUILDER_ASSETS=$(bin/kaito local programs --quiet)
export KUBEBUILDER_ASSETS
mapfile -t packages < <(git grep -l 'internal/testkit"' -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's|^|./|')
go test -count=1 "${packages[@]}"
