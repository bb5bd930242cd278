#!/usr/bin/env bash
# All linters: Go (golangci-lint v2 with kube-api-linter) over each module, shell, Python.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
linter=$(hack/lint-bin.sh)
rc=0
for m in . localcluster tools; do
  echo "golangci-lint in module $m"
  (cd "$m" && "$linter" run --allow-parallel-runners --config "$root/.golangci.yml" ./...) || rc=1
done
echo shellcheck
git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck || rc=1
venv=$(hack/python.sh)
echo ruff
"$venv/bin/ruff" check runtimes test/e2e/openai && "$venv/bin/ruff" format --check runtimes test/e2e/openai || rc=1
echo mypy
for d in runtimes/*/pyproject.toml; do
  # Globbing leaves out those folders that a package has not.
  (cd "$(dirname "$d")" && shopt -s nullglob && "$venv/bin/mypy" src tests image_test[s] benc[h]) || rc=1
done
exit "$rc"
