#!/bin/bash
# SPDX-License-Identifier: MIT
#
# One of two instances is stopped with SIGSTOP for two seconds, twice, while GETs come at a fixed rate.
#
#   LENGTH (12)  seconds, at least 9    RATE (500)  requests a second    ROUNDS (3)    FRONTS (daruma nginx haproxy caddy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy
LENGTH=${LENGTH:-12} RATE=${RATE:-500} ROUNDS=${ROUNDS:-3} FRONTS=${FRONTS:-daruma nginx haproxy caddy}

# An instance that was replaced meanwhile is left in peace: its process id is gone.
freeze_twice() {
    for _ in 1 2; do
        sleep 1.5
        kill -STOP "$first_pid" 2>/dev/null || true
        sleep 2
        kill -CONT "$first_pid" 2>/dev/null || true
    done
}

measure() { # FRONT
    local freezer
    start_pair "$1" well
    freeze_twice &
    freezer=$!
    "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration "${LENGTH}s" --timeout 15s --json |
        jq -r '"\(.failed) \(.latency_ms.p50) \(.latency_ms.p99) \(.latency_ms.max) \(.sent)"' >>"$dir/$1"
    wait "$freezer"
    stop_front "$1"
}

each_round measure

echo "## One of two instances under SIGSTOP for 2 s, twice: $RATE GETs/s for $LENGTH s, medians of $ROUNDS rounds"
echo
echo "| front | sent in all | failed in all | p50 ms | p99 ms | max ms |"
echo "|---|---|---|---|---|---|"
for front in $FRONTS; do
    awk -v f="$front" -v p="$(column "$dir/$front" 2)" -v q="$(column "$dir/$front" 3)" -v m="$(column "$dir/$front" 4)" \
        '{ failed += $1; sent += $5 } END { printf "| %s | %d | %d | %.2f | %.1f | %.1f |\n", f, sent, failed, p, q, m }' \
        "$dir/$front"
    plot "p99 ms while one of two instances hangs" "$front" "$(column "$dir/$front" 3)"
done
echo
