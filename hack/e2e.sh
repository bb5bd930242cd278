#!/usr/bin/env bash
# End to end: the local cluster itself, then the product on a cluster of the tests' own.
set -euo pipefail
cd "$(dirname "$0")/.."

export KAITO_E2E=1
programs=$(bin/kaito local programs --quiet)
go test -C localcluster -count=1 -timeout 20m -v ./e2e -args -programs "$programs"
go test -count=1 -timeout 40m -v ./test/e2e -args -bin "$PWD/bin"
