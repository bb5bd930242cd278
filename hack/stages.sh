# shellcheck shell=bash
# Sourced by the scripts beside it: runs named stages, prints each one's wall time
# and CPU time (user and system, of all children that it waited for), and a table
# at the end. A failing stage ends the script and says which one it was.

STAGES=()
STAGES_TITLE=""
STAGES_BEGIN=0

stages_begin() {
  STAGES_TITLE=$1
  STAGES_BEGIN=$EPOCHREALTIME
  trap stages_end EXIT
}

STAGES_TIMES=$(mktemp)

# stage NAME COMMAND...: runs the command (a program or a function) in this shell.
stage() {
  local name=$1 began=$EPOCHREALTIME cpu0 cpu1 rc=0
  shift
  times >"$STAGES_TIMES" && cpu0=$(cpu_from_file)
  printf '\n==> %s\n' "$name"
  "$@" || rc=$?
  times >"$STAGES_TIMES" && cpu1=$(cpu_from_file)
  local line
  line=$(awk -v a="$began" -v b="$EPOCHREALTIME" -v c="$cpu0" -v d="$cpu1" 'BEGIN { printf "%8.1f s %8.1f s", b - a, d - c }')
  STAGES+=("$(printf '%-44s %s' "$name" "$line")")
  printf '<== %s: wall%s CPU\n' "$name" "$line"
  if [ "$rc" -ne 0 ]; then
    STAGES+=("$(printf '%-44s failed with %d' "$name" "$rc")")
    printf '\nStage "%s" ended with %d; what it printed stands above.\n' "$name" "$rc" >&2
    exit "$rc"
  fi
}

cpu_from_file() {
  awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, p, /[ms]/); s += p[1] * 60 + p[2] } } END { printf "%.2f", s }' "$STAGES_TIMES"
}

stages_end() {
  local rc=$? total
  times >"$STAGES_TIMES" && total=$(cpu_from_file)
  printf '\n%-44s %10s %10s\n' "$STAGES_TITLE" wall CPU
  printf '%s\n' "${STAGES[@]}"
  awk -v a="$STAGES_BEGIN" -v b="$EPOCHREALTIME" -v c="$total" 'BEGIN { printf "%-44s %8.1f s %8.1f s (%.1f CPU minutes)\n", "all", b - a, c, c / 60 }'
  rm -f "$STAGES_TIMES"
  exit "$rc"
}
