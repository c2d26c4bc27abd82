#!/bin/bash
# SPDX-License-Identifier: MIT
#
# CPU time of the front for one kept-alive proxied request: one worker each on one core; the load and the upstream on the
# other. The same fixed rate for all, so that nobody is measured while overloaded. Rounds are interleaved, because a
# machine's speed drifts. "relay" is the least that a proxy can do (bench/relay.c); "-unix" has a Unix-socket upstream.
#
#   RATE (5000)  requests a second    LENGTH (5)  seconds for each run    ROUNDS (5)
#   FRONTS (relay daruma nginx haproxy caddy and, but for Caddy, the same with -unix)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy
RATE=${RATE:-5000} LENGTH=${LENGTH:-5} ROUNDS=${ROUNDS:-5}
FRONTS=${FRONTS:-relay daruma nginx haproxy caddy relay-unix daruma-unix nginx-unix haproxy-unix}

measure() { # FRONT
    local before
    start_pinned "$1"
    # The first second opens connections and warms caches; it is not counted.
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration 1s --json >/dev/null
    # shellcheck disable=SC2086
    before=$(ticks $front_pids)
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration "${LENGTH}s" --json >"$dir/receipt"
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

echo "## CPU for one kept-alive proxied request: $RATE requests/s for $LENGTH s, one worker, medians of $ROUNDS rounds"
echo
echo "| front | CPU µs a request | p50 ms | p99 ms | failed in all |"
echo "|---|---|---|---|---|"
for front in $FRONTS; do
    awk -v f="$front" -v c="$(column "$dir/$front" 1)" -v p="$(column "$dir/$front" 2)" -v q="$(column "$dir/$front" 3)" \
        '{ failed += $4 } END { printf "| %s | %.1f | %.2f | %.2f | %d |\n", f, c, p, q, failed }' "$dir/$front"
    plot "CPU µs for a kept-alive request" "$front" "$(column "$dir/$front" 1)"
done
echo
