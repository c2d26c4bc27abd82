#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Latency under a load that all can bear: first how many requests a second each front serves at most (wrk, closed loop, one
# worker on one core) and what a request costs it then, where on two cores the load and the application reach their limit
# as soon as the front; then the percentiles at 70 % of what the slowest peer serves (open loop: a stall counts for every
# request that falls into it).
#
#   LENGTH (5)  seconds for each run    ROUNDS (3)    CONNECTIONS (32)  of wrk    FRONTS (daruma nginx haproxy caddy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy wrk
LENGTH=${LENGTH:-5} ROUNDS=${ROUNDS:-3} CONNECTIONS=${CONNECTIONS:-32} FRONTS=${FRONTS:-daruma nginx haproxy caddy}

capacity() { # FRONT: appends to $dir/capacity.FRONT
    local before
    start_pinned "$1"
    taskset -c 1 wrk -t1 -c"$CONNECTIONS" -d1s "http://127.0.0.1:$port/" >/dev/null
    # shellcheck disable=SC2086
    before=$(ticks $front_pids)
    taskset -c 1 wrk -t1 -c"$CONNECTIONS" -d"${LENGTH}s" "http://127.0.0.1:$port/" >"$dir/wrk"
    # shellcheck disable=SC2086
    awk -v ticks=$(($(ticks $front_pids) - before)) -v hz="$ticks_per_second" \
        '/requests in/ { n = $1 } /^Requests\/sec/ { print $2, ticks / hz * 1e6 / n }' "$dir/wrk" >>"$dir/capacity.$1"
    stop_front "$1"
}

percentiles() { # FRONT RATE: appends to $dir/latency.FRONT
    start_pinned "$1"
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$2" --duration 1s --json >/dev/null
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$2" --duration "${LENGTH}s" --json |
        jq -r '"\(.latency_ms.p50) \(.latency_ms.p99) \(.latency_ms.max) \(.failed)"' >>"$dir/latency.$1"
    stop_front "$1"
}

each_round() { # FUNCTION [ARGUMENT]
    local round front
    for ((round = 1; round <= ROUNDS; round++)); do
        for front in $FRONTS; do
            say "$1, round $round: $front"
            "$1" "$front" "${@:2}"
        done
    done
}

each_round capacity
slowest=$(for front in $FRONTS; do
    [[ $front == daruma ]] || column "$dir/capacity.$front" 1
done | sort -g | head -n 1)
rate=$(awk -v s="$slowest" 'BEGIN { printf "%d", s * 0.7 }')
each_round percentiles "$rate"

echo "## Latency at 70 % of the slowest peer's capacity: $rate requests/s for $LENGTH s, one worker, medians of $ROUNDS rounds"
echo
echo "| front | capacity requests/s | CPU µs a request then | p50 ms | p99 ms | max ms | failed in all |"
echo "|---|---|---|---|---|---|---|"
for front in $FRONTS; do
    file=$dir/latency.$front
    awk -v f="$front" -v s="$(column "$dir/capacity.$front" 1)" -v c="$(column "$dir/capacity.$front" 2)" \
        -v p="$(column "$file" 1)" -v q="$(column "$file" 2)" \
        -v m="$(column "$file" 3)" \
        '{ failed += $4 } END { printf "| %s | %d | %.1f | %.2f | %.2f | %.2f | %d |\n", f, s, c, p, q, m, failed }' "$file"
    plot "p99 ms at 70 % of the slowest peer's capacity" "$front" "$(column "$file" 2)"
done
echo
