#!/bin/bash
# SPDX-License-Identifier: MIT
#
# How many probes a second the monitor sends on one core, against an nginx with a tiny answer on the other.
#
#   LENGTH (5)  seconds for each rate    RATES (5000 10000 20000 30000 40000)
. "$(dirname "$0")/lib.sh"
need nginx
LENGTH=${LENGTH:-5} RATES=${RATES:-5000 10000 20000 30000 40000}

port=$(free_port)
{
    echo "daemon off; worker_processes 1; pid $dir/nginx.pid; error_log /dev/null; events { worker_connections 16384; }"
    echo "http { access_log off; keepalive_requests 100000000;"
    for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $dir/nginx-$kind;"; done
    echo "server { listen 127.0.0.1:$port backlog=4096; location / { return 200 \"ok\\n\"; } } }"
} >"$dir/nginx.conf"
taskset -c 0 nginx -c "$dir/nginx.conf" -e /dev/null &
started=($! "${started[@]}")
wait_for 5 answers "$port"

echo "## The monitor's own speed: probes a second on one core"
echo
echo "| asked for | sent a second | failed | p50 ms | p99 ms | sent late by at most ms | CPU of the core |"
echo "|---|---|---|---|---|---|---|"
TIMEFORMAT='%U %S'
for rate in $RATES; do
    say "$rate probes/s"
    { time taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" --rate "$rate" --duration "${LENGTH}s" --json >"$dir/receipt"; } \
        2>"$dir/time"
    cpu=$(awk -v l="$LENGTH" '{ printf "%.0f", 100 * ($1 + $2) / l }' "$dir/time")
    jq -r --arg cpu "$cpu" '"| \(.rate) | \(.sent / .seconds | round) | \(.failed) | \(.latency_ms.p50) | \(.latency_ms.p99) | \(.monitor_lag_ms) | \($cpu) % |"' "$dir/receipt"
done
echo
