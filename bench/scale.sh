#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What many endpoints and many routes cost: CPU time of the gateway's worker for a kept-alive request with few and with
# many of them. All endpoints are real processes with connections of their own, so what is added is not placement alone:
# it is also the kernel's and the caches' share of a thousand sockets. What the choice of an endpoint costs by itself is
# measured beside that, for each placement.
#
#   ENDPOINTS (2 1000, two numbers)    ROUTES (1 1000)    RATE (3000)    LENGTH (5)    ROUNDS (3)
. "$(dirname "$0")/lib.sh"
ENDPOINTS=${ENDPOINTS:-2 1000} ROUTES=${ROUTES:-1 1000} RATE=${RATE:-3000} LENGTH=${LENGTH:-5} ROUNDS=${ROUNDS:-3}

compose_endpoints() { # COUNT
    cat <<END
services:
  app:
    ports: ["127.0.0.1:$port:5000"]
    deploy: {replicas: $1}
    x-daruma: {process: {command: ["taskset", "-c", "1", "$app"]}}
END
}

# The request's route is the last one, of as many as there are.
compose_routes() { # COUNT
    local i
    cat <<END
services:
  app:
    x-daruma: {process: {command: ["taskset", "-c", "1", "$app"], port: 5000}}
x-gateway:
  listeners:
    - address: "127.0.0.1:$port"
      routes:
END
    for ((i = 1; i < $1; i++)); do echo "        - {host: h$i.example, path: /p$i, to: [app]}"; done
    echo "        - {to: [app]}"
}

measure() { # endpoints|routes COUNT
    local before
    port=$(free_port)
    on_core 0
    "compose_$1" "$2" | start_daruma || { on_core "$all_cores"; return 1; }
    on_core "$all_cores"
    wait_for 20 answers "$port"
    front_pids=$(worker_pids)
    # Every endpoint has been asked by then.
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration 3s --json >/dev/null
    # shellcheck disable=SC2086
    before=$(ticks $front_pids)
    taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration "${LENGTH}s" --json >"$dir/receipt"
    # shellcheck disable=SC2086
    jq -r --argjson ticks $(($(ticks $front_pids) - before)) --argjson hz "$ticks_per_second" \
        '"\($ticks / $hz * 1e6 / .sent) \(.latency_ms.p50) \(.latency_ms.p99) \(.failed)"' "$dir/receipt" >>"$dir/$1-$2"
    stop_daruma
}

for ((round = 1; round <= ROUNDS; round++)); do
    for count in $ENDPOINTS; do
        say "round $round: $count endpoints"
        measure endpoints "$count"
    done
    for count in $ROUTES; do
        say "round $round: $count routes"
        measure routes "$count" || say "$count routes are more than it takes"
    done
done

echo "## Many endpoints, many routes: $RATE requests/s for $LENGTH s, one worker, medians of $ROUNDS rounds"
echo
echo "| | CPU µs a request | p50 ms | p99 ms | failed in all |"
echo "|---|---|---|---|---|"
for what in $(printf 'endpoints-%s ' $ENDPOINTS) $(printf 'routes-%s ' $ROUTES); do
    [[ -s $dir/$what ]] || continue
    awk -v w="${what#*-} ${what%-*}" -v c="$(column "$dir/$what" 1)" -v p="$(column "$dir/$what" 2)" \
        -v q="$(column "$dir/$what" 3)" \
        '{ failed += $4 } END { printf "| %s | %.1f | %.2f | %.2f | %d |\n", w, c, p, q, failed }' "$dir/$what"
    plot "CPU µs for a request with many endpoints or routes" "${what#*-} ${what%-*}" "$(column "$dir/$what" 1)"
done
echo
echo "### The choice of an endpoint alone, half of them with a request in flight"
echo
echo "| placement | ns with ${ENDPOINTS% *} endpoints | with ${ENDPOINTS#* } |"
echo "|---|--:|--:|"
# shellcheck disable=SC2086
taskset -c 0 "$root/build/bench/pick" $ENDPOINTS
echo
