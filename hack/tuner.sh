#!/usr/bin/env bash
# Runs a command inside the tuner image's own tree, as the image's user and with the
# checkout's Python in place of the image's: hack/tuner.sh python3 -m kaito_tuner.options
# The tree is unpacked once, keyed by the Dockerfile and the packages; --prepare does
# only that. Inside, runtimes/ is /src, TUNER_WORK (a folder) is /work, the development
# model in its transformers form is /model, TUNER_SITE (a folder) is /site for Python;
# /small is a disk of 512 KB.
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${KAITO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/kaito}
key=$(cat runtimes/tuner/Dockerfile runtimes/tuner/packages.lock | sha256sum | cut -c1-12)
tree=$cache/tuner/$key
model=$cache/images/models/smollm2-135m-instruct/dequantized

prepare() {
  mkdir -p "$cache/tuner"
  exec 7>"$cache/tuner/lock"
  flock 7
  if [ -e "$tree/ready" ] && [ -d "$model" ]; then return; fi
  bin/kaito local images tuner models --no-push --out "$(mktemp -d)/images.yaml" >&2
  rm -rf "${cache:?}/tuner/"*/
  mkdir -p "$tree/root"
  python3 - "$cache/images/records/tuner.json" <<'PYTHON' | while read -r layer; do
import json, sys
print(*(l["digest"].removeprefix("sha256:") for l in json.load(open(sys.argv[1]))["layers"]), sep="\n")
PYTHON
    tar --zstd -xf "$cache/images/layers/$layer.tar.zst" -C "$tree/root"
  done
  mkdir "$tree/root/src" "$tree/root/work" "$tree/root/model" "$tree/root/site"
  touch "$tree/ready"
}

prepare
exec 7>&-
if [ "${1:-}" = --prepare ]; then
  echo "$tree/root"
  exit
fi
work=${TUNER_WORK:-$(mktemp -d)}
mkdir -p "$work"
chmod 1777 "$work"
export TREE=$tree/root WORK=$work MODEL=$model SITE=${TUNER_SITE:-}
# A name space of its own for mounts and processes: all of it ends with the command.
# shellcheck disable=SC2016 # the shell inside expands it
exec unshare --mount --pid --fork --kill-child -- bash -euc '
  mount -t proc proc "$TREE/proc"
  mount --rbind /dev "$TREE/dev"
  mount -t tmpfs tmpfs "$TREE/tmp"
  mkdir -p "$TREE/small"
  mount -t tmpfs -o size=512k,mode=1777 tmpfs "$TREE/small"
  mount --bind "$PWD/runtimes" "$TREE/src"
  mount --bind "$WORK" "$TREE/work"
  mount --bind "$MODEL" "$TREE/model"
  path=/src/tuner/src:/src/gate/src
  if [ -n "$SITE" ]; then mount --bind "$SITE" "$TREE/site"; path=$path:/site; fi
  exec env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin HOME=/tmp XDG_CACHE_HOME=/tmp/.cache HF_HOME=/tmp/.cache/huggingface \
    HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 HF_HUB_DISABLE_PROGRESS_BARS=1 TOKENIZERS_PARALLELISM=false \
    OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" OMP_WAIT_POLICY=passive PYTHONPATH="$path" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    chroot --userspec=2000:0 "$TREE" "$@"' tuner "$@"
