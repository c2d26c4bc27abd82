#!/bin/bash
# SPDX-License-Identifier: MIT
#
# daruma's own processes, the supervisor's and the gateway's, are killed under load, one of them at random every EVERY_MS:
# GETs and POSTs, each POST with a number that the application writes down when it executes it. Beside nginx, whose master
# starts workers again, and HAProxy in master-worker mode; of those a worker is killed. Then the same with processes that are stopped, of daruma alone (nobody
# else notices), and how long it takes from the kill of a worker until its successor has answered a request that was sent at
# the same moment, with COUNT other connections, all idle, to take over.
#
#   NAMES (daruma*)  whom of daruma's processes it may hit; "daruma-g[wu]*[0-9]" are the gateway's
#   LENGTH (60)  seconds for each run    RATE (1000)  GETs and as many POSTs a second    EVERY_MS (200)
#   COUNT (10000)  connections    DEATHS (21)  of workers with those
#   FRONTS (daruma nginx haproxy)  whom to kill under load; empty: nobody
. "$(dirname "$0")/lib.sh"
need nginx haproxy
LENGTH=${LENGTH:-60} RATE=${RATE:-1000} EVERY_MS=${EVERY_MS:-200} COUNT=${COUNT:-10000} DEATHS=${DEATHS:-21}
FRONTS=${FRONTS-daruma nginx haproxy} NAMES=${NAMES:-daruma*}
export DELAY_MS=20 POST_LOG=$dir/posts

session_of() { ps -o sid= -p "$1" | tr -d ' '; }

# The workers of a peer's master.
peer_workers() { cat /proc/"$front_pid"/task/*/children 2>/dev/null || true; }

# Kills until the time is over; how many there were goes to $dir/kills.
kill_peer_workers() {
    local n=0 until=$((SECONDS + LENGTH)) pid
    while [[ $SECONDS -lt $until ]]; do
        pid=$(peer_workers | xargs -n 1 | shuf -n 1)
        if [[ -n $pid ]] && kill -KILL "$pid" 2>/dev/null; then n=$((n + 1)); fi
        echo "$n" >"$dir/kills"
        sleep "$(awk "BEGIN { print $EVERY_MS / 1000 }")"
    done
}

measure() { # FRONT SIGNAL EVERY_MS NAMES
    local killer_pid posts_pid doubled lost deaths=$((LENGTH * 1000 / $3))
    say "$1, SIG$2 every $3 ms for $LENGTH s"
    : >"$POST_LOG"
    echo 0 >"$dir/kills"
    MASTER=1 start_recorders "$1"
    if [[ $1 == daruma ]]; then
        "$root/build/bench/assassin" "$(session_of "$(supervisor_pid)")" "$4" "$deaths" "$3" "$(kill -l "$2")" \
            >"$dir/kills" &
    else
        kill_peer_workers &
    fi
    killer_pid=$!
    started=("$killer_pid" "${started[@]}")
    "$daruma" watch "http://127.0.0.1:$port/?id={n}" -X POST --data x --rate "$RATE" --duration "${LENGTH}s" \
        --timeout 15s --json --verbose >"$dir/posts-lines" &
    posts_pid=$!
    "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration "${LENGTH}s" --timeout 15s --json >"$dir/gets"
    wait "$posts_pid" || true
    wait "$killer_pid" || true
    doubled=$(executed_twice)
    lost=$(answered_but_lost "$dir/posts-lines")
    if [[ $1 == daruma ]]; then stop_daruma; fi
    stop_all
    jq -rs --arg front "$1" --arg what "SIG$2 every $3 ms" --arg kills "$(cat "$dir/kills")" --arg doubled "$doubled" \
        --arg lost "$lost" '.[0] as $g | .[1] as $p | "| \($front) | \($what) | \($kills) | \($g.sent + $p.sent) | " +
        "\($g.failed) | \($p.failed) | \($doubled) | \($lost) | \($g.latency_ms.p50) | \($g.latency_ms.p99_9) | " +
        "\($g.latency_ms.max) |"' "$dir/gets" <(tail -n 1 "$dir/posts-lines")
}

# How long from a worker's death to the next answer, median and worst.
take_over() {
    local session i
    say "taking over $COUNT connections, $DEATHS times"
    DELAY_MS=0
    DARUMA_WORKERS=1 start_recorders daruma
    session=$(session_of "$(supervisor_pid)")
    "$root/build/bench/hold" "$port" "$COUNT" >/dev/null &
    started=($! "${started[@]}")
    wait_for 30 eval "[[ \$(admin gateway | jq '[.workers[].connections] | add') -ge $COUNT ]]"
    for ((i = 0; i < DEATHS; i++)); do
        ps -o pid=,comm= -s "$session" | awk '/daruma-gw/ { print $1 }'
        sleep 0.6
    done | "$root/build/bench/gap" "$port" >"$dir/gaps"
    sort -g "$dir/gaps" | awk -v count="$COUNT" \
        '{ v[NR] = $1 } END { printf "| %d | %d | %s | %s |\n", count, NR, v[int((NR + 1) / 2)], v[NR] }'
    stop_daruma
    stop_all
}

echo "## Its own processes killed, $((2 * RATE)) requests/s, half of them POSTs, 20 ms service time, $LENGTH s"
echo
echo "| front | what | deaths | sent | GETs failed | POSTs failed | executed twice | answered but lost | p50 ms | p99.9 ms | max ms |"
echo "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
for front in $FRONTS; do measure "$front" KILL "$EVERY_MS" "$NAMES"; done
[[ $FRONTS != *daruma* ]] || measure daruma STOP 5000 "$NAMES"
echo
echo "| idle connections | deaths | to the next answer, ms (median) | ms (worst) |"
echo "|--:|--:|--:|--:|"
take_over
echo
