#!/bin/bash
# SPDX-License-Identifier: MIT
#
# One of two instances falls ill after a second and stays so, while GETs come at a fixed rate; a GET fails when it has no
# whole 2xx answer within 5 s. The illnesses (bench/app.c): `errors` half of its answers are 500; `closes` it accepts and
# closes; `drips` its answers come one byte a second; `dark` it neither reads nor answers, and connection attempts get no
# answer either, as behind a broken network.
#
#   LENGTH (6)  seconds    RATE (500)  requests a second    ILLNESSES (errors closes drips dark)
#   FRONTS (daruma nginx haproxy-l7 caddy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy
LENGTH=${LENGTH:-6} RATE=${RATE:-500} ILLNESSES=${ILLNESSES:-errors closes drips dark}
FRONTS=${FRONTS:-daruma nginx haproxy-l7 caddy}

infect() {
    sleep 1
    kill -USR1 "$first_pid"
}

measure() { # FRONT ILLNESS: one line of the table
    local infection
    start_pair "$1" "$2"
    infect &
    infection=$!
    "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration "${LENGTH}s" --timeout 5s --json >"$dir/receipt"
    wait "$infection"
    jq -r --arg front "$1" --arg illness "$2" \
        '"| \($illness) | \($front) | \(.sent) | \(.failed) | \(.latency_ms.p50) | \(.latency_ms.p99) | \(.latency_ms.max) |"' \
        "$dir/receipt"
    plot "failed of $((RATE * LENGTH)) GETs: one of two instances $2" "$1" "$(jq .failed "$dir/receipt")"
    stop_front "$1"
}

echo "## One of two instances is ill: $RATE GETs/s for $LENGTH s"
echo
echo "| the instance | front | sent | failed | p50 ms | p99 ms | max ms |"
echo "|---|---|---|---|---|---|---|"
for illness in $ILLNESSES; do
    for front in $FRONTS; do
        say "$illness: $front"
        measure "$front" "$illness"
    done
done
echo
