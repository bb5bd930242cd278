#!/usr/bin/env bash
# The trainer's tests, with the libraries of its image: hack/tuner-test.sh [PYTEST ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$(hack/python.sh runtimes/tuner/image_tests/requirements.txt)
TUNER_SITE=$(echo "$venv"/lib/python3*/site-packages)
export TUNER_SITE
hack/tuner.sh --prepare >/dev/null
if [ $# -eq 0 ]; then hack/tuner-options.sh --check; fi
exec hack/tuner.sh python3 -m pytest -q -p no:cacheprovider -c /src/pyproject.toml /src/tuner/image_tests "$@"
