#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What others notice of clients that send heads which never end, a byte a second: a load before and while COUNT of them
# are there. One worker on the first core.
#
#   COUNT (5000)    RATE (1000)    LENGTH (5)  seconds of each load, fewer than any front's patience with a head
#   FRONTS (daruma nginx haproxy caddy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy
COUNT=${COUNT:-5000} RATE=${RATE:-1000} LENGTH=${LENGTH:-5} FRONTS=${FRONTS:-daruma nginx haproxy caddy}
ulimit -Sn "$(ulimit -Hn)"

load() {
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration "${LENGTH}s" --json |
        jq -r '"\(.latency_ms.p50) \(.latency_ms.p99) \(.failed)"'
}

measure() { # FRONT: one line of the table
    local before during held
    start_pinned "$1"
    load >/dev/null
    before=$(load)
    taskset -c 1 "$root/build/bench/hold" "$port" "$COUNT" slow >"$dir/held" 2>/dev/null &
    started=($! "${started[@]}")
    wait_for 30 grep -q ready "$dir/held"
    held=$(awk '{ print $2 }' "$dir/held")
    during=$(load)
    stop_front "$1"
    echo "$1 $held $before $during" |
        awk '{ printf "| %s | %d | %.2f → %.2f | %.2f → %.2f | %d → %d |\n", $1, $2, $3, $6, $4, $7, $5, $8 }'
}

echo "## $COUNT clients whose heads never end: what a load of $RATE requests/s sees, before → meanwhile"
echo
echo "| front | slow clients | p50 ms | p99 ms | failed |"
echo "|---|---|---|---|---|"
for front in $FRONTS; do
    say "$front: $COUNT slow clients"
    measure "$front"
done
echo
