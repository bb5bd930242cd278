#!/usr/bin/env bash
# All tests, in order of speed, with the time of each stage. Does its own set-up.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/stages.sh
source hack/stages.sh

make_() { make --no-print-directory "$@"; }

stages_begin "make test"
stage "Debian packages" hack/setup.sh
stage "who may import whom" make_ arch
stage "build our programs" make_ build
stage "python tests" make_ test-python
stage "unit tests" make_ test-unit
stage "build the linter" hack/lint-bin.sh
stage "generated files and formatting" make_ verify
stage "linters" make_ lint
stage "planted violations are caught" make_ planted
stage "build the cluster's programs" bin/kaito local programs
stage "the chart" hack/chart-test.sh
stage "the chart of the provisioner" hack/chart-test-nodes.sh
stage "tests against a real API server" make_ test-api
stage "the trainer in its image" hack/tuner-test.sh
stage "end to end on the tests' own clusters" make_ e2e
