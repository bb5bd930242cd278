#!/usr/bin/env bash
# Installs the Debian packages that building and running the local cluster needs.
# Does nothing, and asks nobody, when they are there.
set -euo pipefail

packages=(
  gcc libc6-dev pkg-config libseccomp-dev # runc
  nftables iproute2                       # kube-proxy, and a look at the network
  buildah mmdebstrap skopeo zstd          # images without a container engine
  shellcheck python3-venv ca-certificates git curl unzip
)

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
if [ "${#missing[@]}" -eq 0 ]; then
  echo "all ${#packages[@]} Debian packages are there"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "these Debian packages are missing: ${missing[*]}" >&2
  echo "run as root, or first: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]}"
log=$(mktemp --suffix=.apt.log)
if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "apt-get could not install ${missing[*]}; the whole log is $log" >&2
  exit 1
fi
rm -f "$log"
