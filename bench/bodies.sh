#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Throughput of large bodies through the front: of 1 MiB over several connections, and of 100 MiB over one; down (GET) from
# an nginx with the files, up (POST) to bench/app.c. The front has one worker on the first core. What is on the second one
# costs so little that it is the front that is measured: nginx has sendfile(2), the client and the application drop what
# they get in the kernel (bench/bulk.c). How much CPU time the front needs for a MiB is shown, too.
#
# In a network of its own, with a congestion control that does not pace (reno, which every kernel has). Where the machine is
# set to bbr each segment of the loopback waits for a timer of its own, also between origin and front, and that is what
# would be measured: the more of it, the faster a front is.
#
#   LENGTH (5)  seconds for each run    ROUNDS (3)    FRONTS (relay daruma nginx haproxy caddy)
if [[ -z ${BODIES_NETWORK:-} && $(id -u) -eq 0 ]]; then
    BODIES_NETWORK=1 exec unshare --net bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy
LENGTH=${LENGTH:-5} ROUNDS=${ROUNDS:-3} FRONTS=${FRONTS:-relay daruma nginx haproxy caddy}
if [[ -n ${BODIES_NETWORK:-} ]]; then
    ip link set lo up
    echo reno >/proc/sys/net/ipv4/tcp_congestion_control
fi

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

bulk() { taskset -c 1 build/bench/bulk "$port" "$@" "$LENGTH"; } # down|up MIB CONNECTIONS

measure() { # FRONT
    local small large small_up large_up
    start_before_origin "$1"
    small=$(paced bulk down 1 8)
    large=$(paced bulk down 100 1)
    stop_front "$1"
    start_pinned "$1"
    small_up=$(paced bulk up 1 8)
    large_up=$(paced bulk up 100 1)
    stop_front "$1"
    echo "$small $large $small_up $large_up" >>"$dir/$1"
}

mkdir "$dir/files"
head -c 1048576 /dev/zero >"$dir/files/1M"
head -c 104857600 /dev/zero >"$dir/files/100M"
each_round measure

echo "## Throughput of large bodies, one worker, medians of $ROUNDS rounds"
echo
echo "| front | 1 MiB down, 8 connections: MiB/s | 100 MiB down: MiB/s | 1 MiB up, 8 connections: MiB/s |" \
    "100 MiB up: MiB/s | CPU ms a MiB of each |"
echo "|---|---|---|---|---|---|"
for front in $FRONTS; do
    printf '| %s | %.0f | %.0f | %.0f | %.0f | %.2f, %.2f, %.2f, %.2f |\n' "$front" \
        "$(column "$dir/$front" 1)" "$(column "$dir/$front" 3)" "$(column "$dir/$front" 5)" "$(column "$dir/$front" 7)" \
        "$(column "$dir/$front" 2)" "$(column "$dir/$front" 4)" "$(column "$dir/$front" 6)" "$(column "$dir/$front" 8)"
    plot "MiB/s of 1 MiB bodies" "$front" "$(column "$dir/$front" 1)"
    plot "MiB/s of 100 MiB uploads" "$front" "$(column "$dir/$front" 7)"
done
echo
