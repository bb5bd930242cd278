#!/usr/bin/env bash
# Asks the parser of the real vLLM (its wheel from PyPI, 336 MB; no GPU, no torch) two things: whether the table that
# internal/engine/flags embeds is what the program says, and whether it takes every command line that we render.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.33.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kaito/vllm-$version
table=internal/engine/flags/vllm-$version.json
pipelined=internal/estimate/pipelined.txt
lines=$(mktemp)
trap 'rm -f "$lines" "$lines.table" "$lines.pipelined"' EXIT

if [ ! -e "$cache/ready" ]; then
  rm -rf "$cache"
  mkdir -p "$cache"
  python3 -m venv "$cache/venv"
  "$cache/venv/bin/pip" -q install pydantic regex packaging numpy msgspec fastapi openai huggingface_hub psutil
  "$cache/venv/bin/pip" -q download --no-deps -d "$cache" "vllm==$version"
  "$cache/venv/bin/python" - "$cache" <<'PYTHON'
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
(wheel,) = folder.glob("vllm-*.whl")
with zipfile.ZipFile(wheel) as z:  # the compiled kernels stay packed
    z.extractall(folder / "src", [n for n in z.namelist() if n.endswith(".py") or ".dist-info/" in n])
wheel.unlink()
PYTHON
  touch "$cache/ready"
fi

ask() { PYTHONPATH=$cache/src "$cache/venv/bin/python" hack/vllm_flags.py "$@"; }

if [ "${1:-}" = --update ]; then
  ask table "$table"
  ask pipelined "$pipelined"
  exit
fi
ask table "$lines.table"
diff -u "$table" "$lines.table" || { echo "$table is not that of vLLM $version: run $0 --update" >&2; exit 1; }
ask pipelined "$lines.pipelined"
diff -u "$pipelined" "$lines.pipelined" || { echo "$pipelined is not that of vLLM $version: run $0 --update" >&2; exit 1; }
echo "$table and $pipelined are what vLLM $version says"
go test -count=1 -run TestVLLMTakesEveryLine ./internal/engine/vllm -lines "$lines"
ask check "$lines"
