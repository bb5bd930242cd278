#!/usr/bin/env bash
# Fails when generated files or formatting are not what the sources give. Works on
# a dirty tree as well: it compares the tree before and after, not with git's HEAD.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
state() {
  git ls-files -z --cached --others --exclude-standard | sort -zu | while IFS= read -r -d '' f; do
    if [ -f "$f" ]; then sha256sum "$f"; fi
  done
}
before=$(mktemp) after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT
state >"$before"
hack/generate.sh
linter=$(hack/lint-bin.sh)
for m in . localcluster tools; do
  (cd "$m" && "$linter" fmt --config "$root/.golangci.yml")
done
state >"$after"
if ! cmp -s "$before" "$after"; then
  echo "these files were not up to date; they are now: look at the difference and commit it" >&2
  diff "$before" "$after" | awk '/^>/{print "  " $3}' >&2
  exit 1
fi
echo "generated files and formatting are up to date"
