#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Throughput of large bodies through the front: 1 MiB over several connections (wrk), and 100 MiB over one (curl, GET and
# POST). The front has one worker on the first core; the client and the origin (for GETs an nginx with the files, for
# POSTs bench/app.c) are on the second, and may well be what limits it: so the front's CPU time for a MiB is shown, too.
#
#   LENGTH (5)  seconds for each run of 1 MiB    TIMES (5)  transfers of 100 MiB in a run    ROUNDS (3)
#   FRONTS (relay daruma nginx haproxy caddy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy wrk curl
LENGTH=${LENGTH:-5} TIMES=${TIMES:-5} ROUNDS=${ROUNDS:-3} FRONTS=${FRONTS:-relay daruma nginx haproxy caddy}

origin_conf() { # WHERE (as nginx listens)
    [[ $(id -u) -ne 0 ]] || echo "user root;"
    echo "daemon off; worker_processes 1; pid $dir/origin.pid; error_log /dev/null; events { worker_connections 4096; }"
    echo "http { access_log off; sendfile on; keepalive_requests 100000000; client_max_body_size 0;"
    for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $dir/origin-$kind;"; done
    echo "server { listen $1; root $dir/files; location = /health { return 200; } } }"
}

# As start_pinned, with the origin as the application.
start_before_origin() { # FRONT
    local where
    port=$(free_port)
    if [[ $1 == daruma ]]; then
        origin_conf "unix:$dir/origin.sock" >"$dir/origin.conf"
        # The origin has a port of its own that daruma gives it.
        cat >"$dir/origin.sh" <<END
#!/bin/sh
sed "s,unix:$dir/origin.sock,127.0.0.1:\$PORT," "$dir/origin.conf" >"$dir/origin-port.conf"
exec taskset -c 1 nginx -c "$dir/origin-port.conf" -e /dev/null
END
        chmod +x "$dir/origin.sh"
        on_core 0
        start_daruma <<END
services:
  app:
    ports: ["127.0.0.1:$port:5000"]
    x-daruma: {process: {command: ["$dir/origin.sh"]}}
END
        on_core "$all_cores"
        wait_for 10 answers "$port"
        front_pids=$(worker_pids)
        return
    fi
    where=$(free_port)
    origin_conf "127.0.0.1:$where" >"$dir/origin.conf"
    setsid taskset -c 1 nginx -c "$dir/origin.conf" -e /dev/null &
    started=($! "${started[@]}")
    wait_for 5 answers "$where"
    on_core 0
    WORKERS=1 start_peer "$1" "$where"
    on_core "$all_cores"
    front_pids="$front_pid $(cat /proc/"$front_pid"/task/*/children)"
}

# "MiB/s ms": the throughput of a command that says how many MiB it has moved, and the front's CPU time for one.
paced() { # COMMAND…
    local before=${EPOCHREALTIME/./} cpu moved
    # shellcheck disable=SC2086
    cpu=$(ticks $front_pids)
    moved=$("$@")
    # shellcheck disable=SC2086
    awk -v us=$((${EPOCHREALTIME/./} - before)) -v ticks=$(($(ticks $front_pids) - cpu)) -v hz="$ticks_per_second" \
        -v moved="$moved" 'BEGIN { print moved / us * 1e6, ticks / hz * 1e3 / moved }'
}

many() { taskset -c 1 wrk -t1 -c8 -d"${LENGTH}s" "http://127.0.0.1:$port/1M" | awk '/requests in/ { print $1 }'; }

# TIMES transfers on one connection.
transfer() { # PATH CURL-OPTIONS…
    local options=() i
    for ((i = 0; i < TIMES; i++)); do options+=("http://127.0.0.1:$port/$1" -o /dev/null); done
    taskset -c 1 curl -sSf "${@:2}" "${options[@]}"
    echo $((100 * TIMES))
}

measure() { # FRONT
    local small large up
    start_before_origin "$1"
    small=$(paced many)
    large=$(paced transfer 100M)
    stop_front "$1"
    start_pinned "$1"
    up=$(paced transfer '?id=1' -H 'Expect:' -X POST --data-binary "@$dir/files/100M")
    stop_front "$1"
    echo "$small $large $up" >>"$dir/$1"
}

mkdir "$dir/files"
head -c 1048576 /dev/zero >"$dir/files/1M"
head -c 104857600 /dev/zero >"$dir/files/100M"
for ((round = 1; round <= ROUNDS; round++)); do
    for front in $FRONTS; do
        say "round $round: $front"
        measure "$front"
    done
done

echo "## Throughput of large bodies, one worker, medians of $ROUNDS rounds"
echo
echo "| front | 1 MiB down, 8 connections: MiB/s | 100 MiB down: MiB/s | 100 MiB up: MiB/s | CPU ms a MiB of each |"
echo "|---|---|---|---|---|"
for front in $FRONTS; do
    printf '| %s | %.0f | %.0f | %.0f | %.2f, %.2f, %.2f |\n' "$front" \
        "$(column "$dir/$front" 1)" "$(column "$dir/$front" 3)" "$(column "$dir/$front" 5)" \
        "$(column "$dir/$front" 2)" "$(column "$dir/$front" 4)" "$(column "$dir/$front" 6)"
    plot "MiB/s of 1 MiB bodies" "$front" "$(column "$dir/$front" 1)"
done
echo
