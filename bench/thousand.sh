#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A supervisor with many idle instances: how long they take to start, what it costs to have them, how fast `ps` is.
#
#   INSTANCES (1000)    IDLE (10)  seconds over which CPU time is counted
. "$(dirname "$0")/lib.sh"
INSTANCES=${INSTANCES:-1000} IDLE=${IDLE:-10}

milliseconds() { # COMMAND…: how long it took
    local before=${EPOCHREALTIME/./}
    "$@" >/dev/null
    echo $(((${EPOCHREALTIME/./} - before) / 1000))
}

in_project() { (cd "$dir/project" && "$@"); }

say "$INSTANCES instances of sleep"
before=${EPOCHREALTIME/./}
start_daruma <<END
services:
  sleeper:
    deploy: {replicas: $INSTANCES}
    restart: always
    x-daruma: {process: {command: ["sleep", "1000000"]}}
END
started_ms=$(((${EPOCHREALTIME/./} - before) / 1000))
pid=$(supervisor_pid)
running=$(in_project "$daruma" ps --json | jq '[.[] | select(.state == "serving")] | length')
sleep 1
before=$(ticks "$pid")
sleep "$IDLE"
used=$(($(ticks "$pid") - before))
ps_ms=$(for _ in {1..7}; do milliseconds in_project "$daruma" ps --json; done | median)
memory=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
down_ms=$(milliseconds in_project "$daruma" down)

echo "## $INSTANCES idle instances of sleep"
echo
echo "| running | \`up -d\` s | supervisor's CPU over $IDLE s | its memory KiB | \`ps\` median ms | \`down\` s |"
echo "|---|---|---|---|---|---|"
awk -v r="$running" -v s="$started_ms" -v u="$used" -v t="$ticks_per_second" -v i="$IDLE" -v m="$memory" -v p="$ps_ms" \
    -v d="$down_ms" 'BEGIN { printf "| %d | %.2f | %.2f %% | %d | %d | %.2f |\n", r, s / 1000, 100 * u / t / i, m, p, d / 1000 }'
echo
