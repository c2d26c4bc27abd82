# SPDX-License-Identifier: MIT
#
# What the benchmarks share. Sourced by each script, which prints a Markdown section to standard output and its progress
# to standard error. Everything runs in a temporary directory, on free ports, and is ended by its process id.

set -eEuo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
daruma=$root/build/daruma
app=$root/build/bench/app
make --no-print-directory -s -j2 all benchmarks >&2

dir=$(mktemp -d "${TMPDIR:-/tmp}/daruma-bench.XXXXXX")
export DARUMA_RUN_DIR=$dir/run
started=() # process ids to end, the latest first

need() { tools/install-packages "$@" >&2; } # PACKAGE…

say() { echo "$*" >&2; }

stop_all() {
    local pid
    for pid in "${started[@]}"; do
        kill "$pid" 2>/dev/null || continue
        # A stop is asked for; who does not obey within 3 s is killed.
        for _ in {1..60}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.05; done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    started=()
}

finish() {
    local status=$?
    trap - EXIT INT TERM ERR
    set +e
    [[ ! -d $dir/project ]] || (cd "$dir/project" && timeout 20 "$daruma" down >/dev/null 2>&1)
    stop_all
    rm -rf "$dir"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'say "FAILED: ${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR

# A port that nothing listens on, below the range from which the kernel takes those of clients.
free_port() {
    local port
    while :; do
        port=$((15000 + RANDOM % 17000))
        grep -qi ":$(printf '%04X' "$port") [0-9A-F:]* 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null || break
    done
    echo "$port"
}

answers() { curl -s -o /dev/null --max-time 1 "http://127.0.0.1:$1/health"; } # PORT

wait_for() { # SECONDS COMMAND…
    local until=$((${EPOCHREALTIME/./} + $1 * 1000000)) limit=$1
    shift
    until "$@" >/dev/null 2>&1; do
        [[ ${EPOCHREALTIME/./} -lt $until ]] || { say "waited $limit s for: $*"; return 1; }
        sleep 0.05
    done
}

median() { sort -g | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'; }

# CPU time that processes have used, in clock ticks (utime + stime).
ticks() { # PID…
    local pid sum=0 fields
    for pid in "$@"; do
        fields=$(sed 's/.*) //' "/proc/$pid/stat")
        # shellcheck disable=SC2086
        set -- $fields
        sum=$((sum + ${12} + ${13}))
    done
    echo "$sum"
}
ticks_per_second=$(getconf CLK_TCK)

# CPU cycles are few and shared: what is measured stands on the first core, load and applications on the second.
on_core() { taskset -pc "$1" $$ >/dev/null; } # CORES: this shell, and what it starts from now on
all_cores=0-$(($(nproc --all) - 1))

# One value for the plot that bench/run draws: charts are named by their title.
plot() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"${PLOT:-/dev/null}"; } # CHART LABEL VALUE

# The median of a column in a file of lines.
column() { awk -v n="$2" '{ print $n }' "$1" | median; } # FILE NUMBER

# ---- fronts: each listens on $port and spreads over its backends: ports on 127.0.0.1, or paths of Unix sockets ----
# Each has a session of its own, as daruma and its instances have: the kernel divides a busy core by sessions.

# A backend as nginx, HAProxy and Caddy write it.
backend() { # PREFIX BACKEND
    if [[ $2 == /* ]]; then echo "$1$2"; else echo "127.0.0.1:$2"; fi
}

start_nginx() { # BACKEND…
    local each
    {
        # Its workers are to reach Unix sockets and files in $dir.
        [[ $(id -u) -ne 0 ]] || echo "user root;"
        echo "daemon ${NGINX_DAEMON:-off}; master_process on; worker_processes ${WORKERS:-2}; pid $dir/nginx.pid; error_log /dev/null;"
        echo "worker_rlimit_nofile $(ulimit -Hn); events { worker_connections $((65536 / ${WORKERS:-2})); }"
        echo "http { access_log off; keepalive_requests 100000000; keepalive_timeout 600s; sendfile on;"
        echo "client_max_body_size 0;"
        for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $dir/nginx-$kind;"; done
        echo "upstream app { keepalive 256; keepalive_requests 100000000;"
        for each in "$@"; do echo "server $(backend unix: "$each");"; done
        echo "} server { listen 127.0.0.1:$port backlog=4096; location / { proxy_pass http://app;"
        echo "proxy_http_version 1.1; ${NGINX_HEADERS:-proxy_set_header Connection '';} proxy_connect_timeout 1s;"
        echo "proxy_next_upstream error timeout http_500; } } }"
    } >"$dir/nginx.conf"
    setsid "$(command -v nginx)" -c "$dir/nginx.conf" -e /dev/null &
    started=($! "${started[@]}")
    front_pid=$!
    wait_for 5 answers "$port"
}

start_haproxy() { # VARIANT BACKEND…; VARIANT "l7" also retries what was sent
    local each number=0 variant=$1
    shift
    {
        echo "global"
        echo "    no strict-limits" # as many as descriptors suffice for
        echo "    nbthread ${WORKERS:-2}"
        echo "    maxconn ${MAXCONN:-8192}"
        echo "defaults"
        echo "    mode http"
        echo "    timeout connect 1s"
        echo "    timeout client 600s"
        echo "    timeout server 30s"
        echo "    option redispatch"
        echo "    retries 3"
        [[ $variant != l7 ]] || echo "    retry-on all-retryable-errors"
        echo "frontend front"
        echo "    bind 127.0.0.1:$port"
        echo "    default_backend app"
        echo "backend app"
        echo "    balance roundrobin"
        for each in "$@"; do echo "    server s$((++number)) $(backend unix@ "$each") check inter 200ms"; done
    } >"$dir/haproxy.cfg"
    setsid haproxy ${MASTER:+-W} -q -db -f "$dir/haproxy.cfg" 2>/dev/null &
    started=($! "${started[@]}")
    front_pid=$!
    wait_for 5 answers "$port"
}

start_caddy() { # BACKEND…
    local each
    {
        echo "{"
        echo "    admin off"
        echo "    auto_https off"
        echo "}"
        echo "http://:$port {"
        echo "    bind 127.0.0.1"
        echo "    reverse_proxy $(for each in "$@"; do printf '%s ' "$(backend unix/ "$each")"; done) {"
        echo "        lb_policy round_robin"
        echo "        lb_try_duration 1s"
        echo "        fail_duration 1s"
        echo "        transport http {"
        echo "            dial_timeout 1s"
        echo "            keepalive_idle_conns_per_host 256"
        echo "        }"
        echo "    }"
        echo "}"
    } >"$dir/Caddyfile"
    XDG_DATA_HOME=$dir/xdg XDG_CONFIG_HOME=$dir/xdg GOMAXPROCS=${WORKERS:-2} \
        setsid caddy run --config "$dir/Caddyfile" --adapter caddyfile >/dev/null 2>&1 &
    started=($! "${started[@]}")
    front_pid=$!
    wait_for 10 answers "$port"
}

start_relay() { # BACKEND
    setsid "$root/build/bench/relay" "$port" "$1" &
    started=($! "${started[@]}")
    front_pid=$!
    wait_for 5 answers "$port"
}

# An application that is no daruma's; its process id is in $app_pid.
start_app() { # BACKEND [NAME=VALUE…]
    local where=PORT=$1
    [[ $1 != /* ]] || where=SOCKET=$1
    setsid env "$where" "${@:2}" "$app" &
    app_pid=$!
    started=("$app_pid" "${started[@]}")
    if [[ $1 == /* ]]; then wait_for 5 test -S "$1"; else wait_for 5 answers "$1"; fi
}

# A front by its name with the one backend $1, or several (not relay).
start_peer() { # NAME BACKEND…
    case $1 in
    nginx) start_nginx "${@:2}" ;;
    haproxy) start_haproxy plain "${@:2}" ;;
    haproxy-l7) start_haproxy l7 "${@:2}" ;;
    caddy) start_caddy "${@:2}" ;;
    relay) start_relay "${@:2}" ;;
    *) say "no front is called $1" && return 2 ;;
    esac
}

# A front with one worker on the first core, its application on the second. NAME-unix: with a Unix-socket upstream.
# Afterwards $port is where it listens and $front_pids are the processes whose CPU time is its own.
start_pinned() { # NAME
    local name=${1%-unix} socket= where
    [[ $1 == "$name" ]] || socket="socket: true, "
    port=$(free_port)
    if [[ $name == daruma ]]; then
        # The number of workers is that of the CPUs it may use.
        on_core 0
        start_daruma <<END
services:
  app:
    ports: ["127.0.0.1:$port:5000"]
    x-daruma: {process: {${socket}command: ["taskset", "-c", "1", "$app"]}}
END
        on_core "$all_cores"
        wait_for 10 answers "$port"
        front_pids=$(worker_pids)
        return
    fi
    where=$(free_port)
    [[ -z $socket ]] || where=$dir/app.sock
    on_core 1
    start_app "$where"
    on_core 0
    WORKERS=1 start_peer "$name" "$where"
    on_core "$all_cores"
    front_pids="$front_pid $(cat /proc/"$front_pid"/task/*/children)"
}

# Two instances behind a front, not pinned: $front is its name, the instances' environment is "NAME: value" pairs.
# The first one's process id is in $first_pid.
start_pair() { # NAME ILLNESS
    local backends
    port=$(free_port)
    if [[ $1 == daruma ]]; then
        start_daruma <<END
services:
  app1: &app
    restart: always
    environment: {ILLNESS: "$2"}
    x-daruma: {process: {command: ["$app"], port: 5000}}
  app2: *app
x-gateway:
  listeners:
    - address: "127.0.0.1:$port"
      routes: [{to: [app1, app2], connect_timeout: 1s, retry: {on: [error, timeout, http_500], attempts: 3}}]
END
        wait_for 10 answers "$port"
        first_pid=$(cd "$dir/project" && "$daruma" ps --json | jq '.[0].pid')
        return
    fi
    backends=("$(free_port)" "$(free_port)")
    start_app "${backends[0]}" ILLNESS="$2"
    first_pid=$app_pid
    start_app "${backends[1]}"
    start_peer "$1" "${backends[@]}"
}

stop_front() { # NAME
    [[ $1 != daruma* ]] || stop_daruma
    stop_all
}

# daruma with its own supervisor. The compose file comes from standard input.
start_daruma() {
    mkdir -p "$dir/project"
    cat >"$dir/project/compose.yaml"
    (cd "$dir/project" && timeout 120 "$daruma" up -d >"$dir/up" 2>&1) || { cat "$dir/up" >&2; return 1; }
}

stop_daruma() {
    (cd "$dir/project" && timeout 30 "$daruma" down >/dev/null)
    rm -rf "$dir/project"
}

admin() { curl -s --unix-socket "$(echo "$DARUMA_RUN_DIR"/*/admin.sock)" "http://daruma/v1/$1"; } # PATH

supervisor_pid() { admin project | jq .pid; }

# The gateway's processes, workers and their guards: those of the supervisor's session that are called so.
worker_pids() { ps -o pid=,comm= -s "$(ps -o sid= -p "$(supervisor_pid)" | tr -d ' ')" | awk '/daruma-(gw|guard)[0-9]/ { print $1 }'; }

# ---- two instances that write down the number of each POST they execute, in $POST_LOG ----

start_recorders() { # FRONT, which is in front of them at $port
    local backends=("$(free_port)" "$(free_port)")
    port=$(free_port)
    if [[ $1 == daruma ]]; then
        start_daruma <<YAML
services:
  app1: &app
    environment: {DELAY_MS: "$DELAY_MS", POST_LOG: "$POST_LOG"}
    x-daruma: {process: {command: ["$app"], port: 5000}}
  app2: *app
x-gateway: {listeners: [{address: "127.0.0.1:$port", routes: [{to: [app1, app2]}]}]}
YAML
        wait_for 10 answers "$port"
        return
    fi
    start_app "${backends[0]}"
    start_app "${backends[1]}"
    start_peer "$1" "${backends[@]}"
}

executed_twice() { sort "$POST_LOG" | uniq -d | wc -l; }

# Of the numbers that a monitor's lines (--json --verbose) call answered.
answered_but_lost() { # LINES
    comm -23 <(jq -r 'select(.ok and has("probe")) | .probe' "$1" | sort) <(sort -u "$POST_LOG") | wc -l
}

# Measures each of $FRONTS in $ROUNDS interleaved rounds, because a machine's speed drifts.
each_round() { # FUNCTION [ARGUMENT…], which gets the front first
    local front round
    for ((round = 1; round <= ROUNDS; round++)); do
        for front in $FRONTS; do
            say "round $round: $front"
            "$1" "$front" "${@:2}"
        done
    done
}

# CPU time of each of $FRONTS for a request, at $RATE requests/s for $LENGTH s; printed as a section. One worker each on one core; load and upstream on the other.
cpu_a_request() { # TITLE CHART [WATCH-OPTIONS…]
    local title=$1 chart=$2 front
    shift 2
    each_round cpu_round "$@"
    echo "## $title: $RATE requests/s for $LENGTH s, one worker, medians of $ROUNDS rounds"
    echo
    echo "| front | CPU µs a request | p50 ms | p99 ms | failed in all |"
    echo "|---|---|---|---|---|"
    for front in $FRONTS; do
        awk -v f="$front" -v c="$(column "$dir/$front" 1)" -v p="$(column "$dir/$front" 2)" \
            -v q="$(column "$dir/$front" 3)" \
            '{ failed += $4 } END { printf "| %s | %.1f | %.2f | %.2f | %d |\n", f, c, p, q, failed }' "$dir/$front"
        plot "$chart" "$front" "$(column "$dir/$front" 1)"
    done
    echo
}

cpu_round() { # FRONT [WATCH-OPTIONS…]
    local before
    start_pinned "$1"
    local load=(taskset -c 1 "$daruma" watch "http://127.0.0.1:$port/" "${@:2}" --rate "$RATE" --json)
    # The first second opens connections and warms caches; it is not counted.
    "${load[@]}" --duration 1s >/dev/null
    # shellcheck disable=SC2086
    before=$(ticks $front_pids)
    "${load[@]}" --duration "${LENGTH}s" >"$dir/receipt"
    # shellcheck disable=SC2086
    jq -r --argjson ticks $(($(ticks $front_pids) - before)) --argjson hz "$ticks_per_second" \
        '"\($ticks / $hz * 1e6 / .sent) \(.latency_ms.p50) \(.latency_ms.p99) \(.failed)"' "$dir/receipt" >>"$dir/$1"
    stop_front "$1"
}
