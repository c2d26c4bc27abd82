#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Latency under a load that all can bear: first how many requests a second each front serves at most (wrk, closed loop, one
# worker on one core) and what a request costs it then, where on two cores the load and the application reach their limit
# as soon as the front; then the percentiles at 70 % of what the slowest peer serves (open loop: a stall counts for every
# request that falls into it).
#
# A short run's slowest hundredth is decided by the machine as much as by the front: one stall of 10 ms is all of it. So all
# fronts are there at once, with an application each, and the load goes from one to the next each second.
#
#   LENGTH (5)  seconds for each run of wrk    ROUNDS (3)  of them    CONNECTIONS (32)  of wrk
#   TURNS (20)  seconds of percentiles for each front             FRONTS (daruma nginx haproxy caddy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy wrk
LENGTH=${LENGTH:-5} ROUNDS=${ROUNDS:-3} CONNECTIONS=${CONNECTIONS:-32} TURNS=${TURNS:-20}
FRONTS=${FRONTS:-daruma nginx haproxy caddy}

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

load() { # PORT RATE
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$1/" --rate "$2" --duration 1s --json
}

percentiles() { # RATE: appends to $dir/latency.FRONT
    local front turn
    declare -A at
    for front in $FRONTS; do
        start_pinned "$front"
        at[$front]=$port
        load "$port" "$1" >/dev/null
    done
    for ((turn = 1; turn <= TURNS; turn++)); do
        say "percentiles, turn $turn"
        for front in $FRONTS; do
            load "${at[$front]}" "$1" |
                jq -r '"\(.latency_ms.p50) \(.latency_ms.p99) \(.latency_ms.max) \(.failed)"' >>"$dir/latency.$front"
            sleep 0.2 # what is not over yet is not to stand in another's way
        done
    done
    stop_front daruma
}

quartiles() { # FILE COLUMN
    awk -v n="$2" '{ print $n }' "$1" | sort -g |
        awk '{ v[NR] = $1 } END { printf "%.2f to %.2f", v[int((NR + 3) / 4)], v[int((3 * NR + 3) / 4)] }'
}

each_round capacity
slowest=$(for front in $FRONTS; do
    [[ $front == daruma ]] || column "$dir/capacity.$front" 1
done | sort -g | head -n 1)
rate=$(awk -v s="$slowest" 'BEGIN { printf "%d", s * 0.7 }')
percentiles "$rate"

echo "## Latency at 70 % of the slowest peer's capacity: $rate requests/s, one worker, medians of $TURNS seconds each"
echo
echo "| front | capacity requests/s | CPU µs a request then | p50 ms | p99 ms | quartiles of p99 | max ms | failed in all |"
echo "|---|---|---|---|---|---|---|---|"
for front in $FRONTS; do
    file=$dir/latency.$front
    awk -v f="$front" -v s="$(column "$dir/capacity.$front" 1)" -v c="$(column "$dir/capacity.$front" 2)" \
        -v p="$(column "$file" 1)" -v q="$(column "$file" 2)" \
        -v r="$(quartiles "$file" 2)" -v m="$(column "$file" 3)" \
        '{ failed += $4 } END { printf "| %s | %d | %.1f | %.2f | %.2f | %s | %.2f | %d |\n", f, s, c, p, q, r, m, failed }' "$file"
    plot "p99 ms at 70 % of the slowest peer's capacity" "$front" "$(column "$file" 2)"
done
echo
