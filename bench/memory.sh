#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Memory of the front for a client connection that is kept alive and idle: what its processes' share of memory (PSS) and
# their resident memory (RSS) grow by while COUNT connections are held, each of which has made one request; and whether
# a load sees a difference meanwhile. daruma and nginx reserve their slots at the start, so the whole is shown too: what
# a front uses in all while the connections are held, code and buffers included. The kernel's own memory for sockets is
# the same for all and not in it.
#
#   COUNT (20000)  connections, fewer where descriptors do not suffice    RATE (1000)  LENGTH (5)  of the load
#   FRONTS (daruma nginx haproxy caddy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy
COUNT=${COUNT:-20000} RATE=${RATE:-1000} LENGTH=${LENGTH:-5} FRONTS=${FRONTS:-daruma nginx haproxy caddy}
ulimit -Sn "$(ulimit -Hn)"
spare=$(($(ulimit -Hn) - 1500))
[[ $COUNT -le $spare ]] || COUNT=$spare
export MAXCONN=$((COUNT + 500))

memory() { # FIELD: KiB over all processes of the front
    local pid
    for pid in $front_pids; do
        awk -v f="$1:" '$1 == f { print $2 }' "/proc/$pid/smaps_rollup"
    done | awk '{ sum += $1 } END { print sum }'
}

load() {
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration "${LENGTH}s" --json |
        jq -r '"\(.latency_ms.p50) \(.latency_ms.p99) \(.failed)"'
}

measure() { # FRONT: one line of the table
    local pss rss before during held whole
    start_pinned "$1"
    load >/dev/null
    before=$(load)
    pss=$(memory Pss) rss=$(memory Rss)
    "$root/build/bench/hold" "$port" "$COUNT" >"$dir/held" 2>"$dir/held-errors" &
    started=($! "${started[@]}")
    wait_for 120 grep -q ready "$dir/held"
    held=$(awk '{ print $2 }' "$dir/held")
    whole=$(memory Pss)
    pss=$((whole - pss)) rss=$(($(memory Rss) - rss))
    during=$(load)
    stop_front "$1"
    echo "$1 $held $pss $rss $whole $before $during" | awk '{
        printf "| %s | %d | %.2f | %.2f | %.1f | %.2f → %.2f | %.2f → %.2f | %d → %d |\n",
            $1, $2, $3 / $2, $4 / $2, $5 / 1024, $6, $9, $7, $10, $8, $11 }'
    plot "KiB for an idle kept-alive connection" "$1" "$(awk -v p="$pss" -v h="$held" 'BEGIN { print p / h }')"
}

echo "## Memory for an idle kept-alive client connection, one worker"
echo
echo "p50, p99 and failures are those of a load of $RATE requests/s before and while the connections are held."
echo
echo "| front | held | grown by KiB each (PSS) | (RSS) | in all MiB | p50 ms | p99 ms | failed |"
echo "|---|---|---|---|---|---|---|---|"
for front in $FRONTS; do
    say "$front: $COUNT connections"
    measure "$front"
done
echo
