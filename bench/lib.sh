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

# ---- fronts: each listens on $port and spreads over 127.0.0.1:PORT of its backends ----

start_nginx() { # BACKEND-PORT…
    local backend
    {
        echo "daemon off; master_process on; worker_processes ${WORKERS:-2}; pid $dir/nginx.pid; error_log /dev/null;"
        echo "events { worker_connections 8192; }"
        echo "http { access_log off; keepalive_requests 100000000;"
        for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $dir/nginx-$kind;"; done
        echo "upstream app { keepalive 256; keepalive_requests 100000000;"
        for backend in "$@"; do echo "server 127.0.0.1:$backend;"; done
        echo "} server { listen 127.0.0.1:$port backlog=4096; location / { proxy_pass http://app;"
        echo "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_connect_timeout 1s;"
        echo "proxy_next_upstream error timeout http_500; } } }"
    } >"$dir/nginx.conf"
    nginx -c "$dir/nginx.conf" -e /dev/null &
    started=($! "${started[@]}")
    front_pid=$!
    wait_for 5 answers "$port"
}

start_haproxy() { # VARIANT BACKEND-PORT…; VARIANT "l7" also retries what was sent
    local backend variant=$1
    shift
    {
        echo "global"
        echo "    nbthread ${WORKERS:-2}"
        echo "    maxconn 8192"
        echo "defaults"
        echo "    mode http"
        echo "    timeout connect 1s"
        echo "    timeout client 30s"
        echo "    timeout server 30s"
        echo "    option redispatch"
        echo "    retries 3"
        [[ $variant != l7 ]] || echo "    retry-on all-retryable-errors"
        echo "frontend front"
        echo "    bind 127.0.0.1:$port"
        echo "    default_backend app"
        echo "backend app"
        echo "    balance roundrobin"
        for backend in "$@"; do echo "    server s$backend 127.0.0.1:$backend check inter 200ms"; done
    } >"$dir/haproxy.cfg"
    haproxy -q -db -f "$dir/haproxy.cfg" 2>/dev/null &
    started=($! "${started[@]}")
    front_pid=$!
    wait_for 5 answers "$port"
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

# daruma's processes below the supervisor that are no instances: the gateway's workers.
worker_pids() {
    local child
    for child in $(cat /proc/"$(supervisor_pid)"/task/*/children); do
        [[ $(readlink "/proc/$child/exe") != "$daruma" ]] || echo "$child"
    done
}
