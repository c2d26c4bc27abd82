#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Requests at a fixed rate while instances are killed with SIGKILL, one in turn: how many fail, how long they take, and
# what becomes of POSTs. daruma restarts its instances itself; those of the peers are restarted by this script, 0.3 s
# after the death or at once.
#
#   LENGTH (60)     seconds for each run         RATE (500)    requests a second       EVERY (1.7)  seconds between kills
#   INSTANCES (2)   1: the only one is killed    FRONTS        which ones (daruma nginx haproxy haproxy-l7)
#   METHODS         (GET POST)                   PAUSES        the peers' restarts (0.3 0)
. "$(dirname "$0")/lib.sh"
need nginx haproxy
LENGTH=${LENGTH:-60} RATE=${RATE:-500} EVERY=${EVERY:-1.7} INSTANCES=${INSTANCES:-2}
FRONTS=${FRONTS:-daruma nginx haproxy haproxy-l7} METHODS=${METHODS:-GET POST} PAUSES=${PAUSES:-0.3 0}
export DELAY_MS=20 POST_LOG=$dir/posts

# Keeps one backend of a peer alive; its process id is in $dir/pid.PORT.
keep() { # PORT PAUSE
    trap 'kill -KILL "$pid" 2>/dev/null; exit 0' TERM
    while :; do
        PORT=$1 "$app" 2>/dev/null &
        pid=$!
        echo "$pid" >"$dir/pid.$1"
        wait "$pid" 2>/dev/null || true
        sleep "$2"
    done
}

victim() { # NUMBER (from 0): its process id
    if [[ $front == daruma ]]; then
        (cd "$dir/project" && "$daruma" ps --json) | jq ".[$1].pid // empty"
    else
        cat "$dir/pid.${backends[$1]}"
    fi
}

# Kills one instance in turn until the time is over; how many there were goes to $dir/kills.
killer() {
    local n=0 until=$((SECONDS + LENGTH)) pid
    sleep 0.5
    while [[ $SECONDS -lt $until ]]; do
        pid=$(victim $((n % INSTANCES)))
        if [[ -n $pid ]] && kill -KILL "$pid" 2>/dev/null; then n=$((n + 1)); fi
        echo "$n" >"$dir/kills"
        sleep "$EVERY"
    done
}

compose() {
    local i list=
    echo "services:"
    for ((i = 1; i <= INSTANCES; i++)); do
        echo "  app$i:"
        echo "    environment: {DELAY_MS: '$DELAY_MS', POST_LOG: '$POST_LOG'}"
        echo "    restart: always"
        echo "    x-daruma: {process: {command: ['$app'], port: 5000}}"
        list="$list${list:+, }app$i"
    done
    echo "x-gateway: {listeners: [{address: '127.0.0.1:$port', routes: [{to: [$list]}]}]}"
}

start_front() { # PAUSE
    local i
    port=$(free_port)
    backends=()
    if [[ $front == daruma ]]; then
        compose | start_daruma
        wait_for 10 answers "$port"
        return
    fi
    for ((i = 0; i < INSTANCES; i++)); do
        backends+=("$(free_port)")
        keep "${backends[i]}" "$1" &
        started=($! "${started[@]}")
        wait_for 5 answers "${backends[i]}"
    done
    case $front in
    nginx) start_nginx "${backends[@]}" ;;
    haproxy) start_haproxy plain "${backends[@]}" ;;
    haproxy-l7) start_haproxy l7 "${backends[@]}" ;;
    esac
}

# One line of the table.
measure() { # METHOD PAUSE
    local killer_pid doubled=- lost=- options=()
    say "$front, $1, $INSTANCES instance(s), restart after ${2:-its own time} for $LENGTH s"
    : >"$POST_LOG"
    echo 0 >"$dir/kills"
    start_front "${2:-}"
    [[ $1 == GET ]] || options=(-X POST --data x)
    killer &
    killer_pid=$!
    started=("$killer_pid" "${started[@]}")
    "$daruma" watch "http://127.0.0.1:$port/?id={n}" "${options[@]}" --rate "$RATE" --duration "${LENGTH}s" --timeout 15s \
        --json --verbose >"$dir/lines"
    kill "$killer_pid" 2>/dev/null || true
    wait "$killer_pid" 2>/dev/null || true
    if [[ $1 == POST ]]; then
        doubled=$(executed_twice)
        lost=$(answered_but_lost "$dir/lines")
    fi
    if [[ $front == daruma ]]; then stop_daruma; fi
    stop_all
    tail -n 1 "$dir/lines" | jq -r --arg front "$front" --arg method "$1" --arg pause "${2:-itself}" \
        --arg kills "$(cat "$dir/kills")" --arg doubled "$doubled" --arg lost "$lost" \
        '"| \($front) | \($pause) | \($method) | \($kills) | \(.sent) | \(.failed) | \(.latency_ms.p50) | \(.latency_ms.p99) | \(.latency_ms.max) | \(.longest_gap_ms) | \($doubled) | \($lost) |"'
}

echo "## One of $INSTANCES instance(s) killed every $EVERY s, $RATE requests/s, $DELAY_MS ms service time, $LENGTH s"
echo
echo "| front | back after | method | kills | sent | failed | p50 ms | p99 ms | max ms | longest gap ms | executed twice | answered but lost |"
echo "|---|---|---|---|---|---|---|---|---|---|---|---|"
for front in $FRONTS; do
    pauses=$PAUSES
    [[ $front != daruma ]] || pauses=""
    for method in $METHODS; do
        for pause in ${pauses:-own}; do
            measure "$method" "${pause#own}"
        done
    done
done
echo
