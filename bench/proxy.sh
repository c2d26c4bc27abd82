#!/bin/bash
# SPDX-License-Identifier: MIT
#
# CPU time of the front for one kept-alive proxied request: daruma, nginx and HAProxy, one worker each on one core; the load
# and the upstream on the other. The same fixed rate for all, so that nobody is measured while overloaded. Rounds are
# interleaved, because a machine's speed drifts.
#
#   RATE (5000)  requests a second    LENGTH (5)  seconds for each run    ROUNDS (5)    FRONTS (daruma nginx haproxy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy
RATE=${RATE:-5000} LENGTH=${LENGTH:-5} ROUNDS=${ROUNDS:-5} FRONTS=${FRONTS:-daruma nginx haproxy}
export WORKERS=1

measure() { # FRONT
    local pids before
    port=$(free_port) backend=$(free_port)
    case $1 in
    daruma)
        # The number of workers is that of the CPUs it may use.
        taskset -pc 0 $$ >/dev/null
        start_daruma <<END
services:
  app:
    ports: ["127.0.0.1:$port:5000"]
    x-daruma: {process: {command: ["taskset", "-c", "1", "$app"]}}
END
        taskset -pc 0-$(($(nproc --all) - 1)) $$ >/dev/null
        wait_for 10 answers "$port"
        pids=$(worker_pids)
        ;;
    *)
        PORT=$backend taskset -c 1 "$app" &
        started=($! "${started[@]}")
        wait_for 5 answers "$backend"
        taskset -pc 0 $$ >/dev/null
        if [[ $1 == nginx ]]; then start_nginx "$backend"; else start_haproxy plain "$backend"; fi
        taskset -pc 0-$(($(nproc --all) - 1)) $$ >/dev/null
        pids="$front_pid $(cat /proc/"$front_pid"/task/*/children)"
        ;;
    esac
    # The first second opens connections and warms caches; it is not counted.
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration 1s --json >/dev/null
    # shellcheck disable=SC2086
    before=$(ticks $pids)
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration "${LENGTH}s" --json >"$dir/receipt"
    # shellcheck disable=SC2086
    jq -r --argjson ticks $(($(ticks $pids) - before)) --argjson hz "$ticks_per_second" \
        '"\($ticks / $hz * 1e6 / .sent) \(.latency_ms.p50) \(.latency_ms.p99) \(.failed)"' "$dir/receipt" >>"$dir/$1"
    if [[ $1 == daruma ]]; then stop_daruma; fi
    stop_all
}

for ((round = 1; round <= ROUNDS; round++)); do
    for front in $FRONTS; do
        say "round $round: $front"
        measure "$front"
    done
done

column() { awk -v n="$2" '{ print $n }' "$dir/$1" | median; }
echo "## CPU for one kept-alive proxied request: $RATE requests/s for $LENGTH s, one worker, medians of $ROUNDS rounds"
echo
echo "| front | CPU µs a request | p50 ms | p99 ms | failed in all |"
echo "|---|---|---|---|---|"
for front in $FRONTS; do
    awk -v f="$front" -v c="$(column "$front" 1)" -v p="$(column "$front" 2)" -v q="$(column "$front" 3)" \
        '{ failed += $4 } END { printf "| %s | %.1f | %.2f | %.2f | %d |\n", f, c, p, q, failed }' "$dir/$front"
done
echo
