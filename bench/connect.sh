#!/bin/bash
# SPDX-License-Identifier: MIT
#
# CPU time of the front for a request on a client connection of its own: accept, read, forward, answer, close. Otherwise as
# proxy.sh. Every front keeps its connections to the upstream but the relay, which knows of no requests.
#
#   RATE (2000)  requests a second    LENGTH (5)  seconds for each run    ROUNDS (5)
#   FRONTS (relay daruma nginx haproxy caddy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy
RATE=${RATE:-2000} LENGTH=${LENGTH:-5} ROUNDS=${ROUNDS:-5} FRONTS=${FRONTS:-relay daruma nginx haproxy caddy}

load() { # SECONDS
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --no-keepalive --rate "$RATE" --duration "${1}s" --json
}

measure() { # FRONT
    local before
    start_pinned "$1"
    load 1 >/dev/null
    # shellcheck disable=SC2086
    before=$(ticks $front_pids)
    load "$LENGTH" >"$dir/receipt"
    # shellcheck disable=SC2086
    jq -r --argjson ticks $(($(ticks $front_pids) - before)) --argjson hz "$ticks_per_second" \
        '"\($ticks / $hz * 1e6 / .sent) \(.latency_ms.p50) \(.latency_ms.p99) \(.failed)"' "$dir/receipt" >>"$dir/$1"
    stop_front "$1"
}

for ((round = 1; round <= ROUNDS; round++)); do
    for front in $FRONTS; do
        say "round $round: $front"
        measure "$front"
    done
done

echo "## CPU for a request on a connection of its own: $RATE requests/s for $LENGTH s, one worker, medians of $ROUNDS rounds"
echo
echo "| front | CPU µs a request | p50 ms | p99 ms | failed in all |"
echo "|---|---|---|---|---|"
for front in $FRONTS; do
    awk -v f="$front" -v c="$(column "$dir/$front" 1)" -v p="$(column "$dir/$front" 2)" -v q="$(column "$dir/$front" 3)" \
        '{ failed += $4 } END { printf "| %s | %.1f | %.2f | %.2f | %d |\n", f, c, p, q, failed }' "$dir/$front"
    plot "CPU µs for a request on a new connection" "$front" "$(column "$dir/$front" 1)"
done
echo
