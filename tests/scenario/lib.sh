# SPDX-License-Identifier: MIT
#
# What stories are told with. `bash lib.sh FILE STORY` runs one story in a temporary directory: its project is ./ (a
# fresh, empty directory), its run directory is private, and whatever process it leaves is found and ended afterwards.
# A story ends at the first command that fails; then everything that daruma knows about the project is printed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-build}
[[ $BUILD == /* ]] || BUILD=$root/$BUILD
app=$BUILD/examples/app/app

daruma() { "$BUILD/daruma" "$@"; }

# ---- saying what should be ----

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

skip() { # REASON
    echo "$*"
    exit 77
}

assert_eq() { # ACTUAL EXPECTED [WHAT]
    [[ $1 == "$2" ]] || fail "${3:-value}: expected '$2', got '$1'"
}

assert_contains() { # TEXT PART [WHAT]
    [[ $1 == *"$2"* ]] || fail "${3:-text} does not contain '$2': $1"
}

assert_lacks() { # TEXT PART [WHAT]
    [[ $1 != *"$2"* ]] || fail "${3:-text} contains '$2': $1"
}

# A number holds a comparison, as jq writes it: assert_number 3.5 '< 4' latency.
assert_number() { # ACTUAL COMPARISON [WHAT]
    [[ $(jq -n "$1 $2") == true ]] || fail "${3:-number}: expected $2, got $1"
}

# Runs a command that must end with that status; its output goes to ./out and ./err.
expect_exit() { # STATUS COMMAND…
    local want=$1 got=0
    shift
    "$@" >out 2>err || got=$?
    [[ $got -eq $want ]] || fail "'$*' ended with $got instead of $want: $(cat out err)"
}

# Tries a command 20 times a second until it succeeds. The seconds are those of a machine that has nothing else to do: a
# busy one gets four times as many.
wait_for() { # SECONDS COMMAND…
    local limit=$(($1 * 4))
    local until=$((${EPOCHREALTIME/./} + limit * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        [[ ${EPOCHREALTIME/./} -lt $until ]] || fail "waited $limit s for: $*"
        sleep 0.05
    done
}

# The same for an expression: becomes 5 '[[ -e file ]]'.
becomes() { # SECONDS EXPRESSION
    wait_for "$1" eval "$2"
}

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# ---- projects ----

# A port that nothing listens on, below the range from which the kernel takes those of clients.
free_port() {
    local port
    while :; do
        port=$((15000 + RANDOM % 17000))
        grep -qi ":$(printf '%04X' "$port") [0-9A-F:]* 0A" /proc/net/tcp /proc/net/tcp6 2>/dev/null || break
    done
    echo "$port"
}

# Writes ./compose.yaml from standard input.
compose() { cat >compose.yaml; }

# `port` becomes the gateway's; ./compose.yaml two instances app1 and app2 behind it. More lines for each service
# (indented by four) may be given, and more for the route (indented by ten).
two_instances() { # [SERVICE-LINES] [ROUTE-LINES]
    port=$(free_port)
    url=http://127.0.0.1:$port
    compose <<END
services:
  app1: &app
    hostname: instance-01
    restart: always
    x-daruma: {process: {command: ["$app"], port: 5000}}
${1:-}
  app2:
    <<: *app
    hostname: instance-02
x-gateway:
  listeners:
    - address: "127.0.0.1:$port"
      routes:
        - to: [app1, app2]
          connect_timeout: 1s
          retry: {on: [error, timeout, http_500], attempts: 2}
          hold: 10s
${2:-}
END
}

# The same with one service, `app`.
one_instance() { # [SERVICE-LINES]
    port=$(free_port)
    url=http://127.0.0.1:$port
    compose <<END
services:
  app:
    ports: ["127.0.0.1:$port:5000"]
    restart: always
    x-daruma: {process: {command: ["$app"]}}
${1:-}
END
}

# Redis as a service, in a file that is merged into ./compose.yaml.
with_redis() {
    cat >compose.override.yaml <<'END'
services:
  redis:
    restart: always
    healthcheck:
      test: ["CMD-SHELL", "redis-cli -h $$HOST -p $$PORT ping | grep -q PONG"]
      interval: 1s
      timeout: 1s
    x-daruma:
      process:
        command: exec redis-server --port $$PORT --bind $$HOST --save "" --appendonly yes --loglevel warning
        port: 6379
END
}

# nginx as a service is configured (inside of `server {}`): `nginx_command` runs it, its root is ./www, and `port` is the
# gateway's.
nginx_service() { # CONFIGURATION [LISTEN-OPTIONS]
    command -v nginx >/dev/null || skip "no nginx"
    cat >nginx.tmpl <<END
$([[ $(id -u) -ne 0 ]] || echo "user root;") daemon off; worker_processes 1; pid $PWD/nginx.pid; error_log stderr;
events { worker_connections 256; }
http {
    access_log off; client_max_body_size 0; client_body_temp_path $PWD/tmp; proxy_temp_path $PWD/tmp2;
    fastcgi_temp_path $PWD/tmp3; uwsgi_temp_path $PWD/tmp4; scgi_temp_path $PWD/tmp5;
    server { listen 127.0.0.1:@PORT@ ${2:-}; root $PWD/www; $1 }
}
END
    mkdir -p www/put
    port=$(free_port)
    url=http://127.0.0.1:$port
    nginx_command="sed s/@PORT@/\$\$PORT/ nginx.tmpl >nginx.conf; exec nginx -e stderr -c $PWD/nginx.conf"
}

# The gateway's processes, workers and their guards: those of the supervisor's session that are called so.
gateway_pids() { # [NAME]
    ps -o pid=,comm= -s "$(ps -o sid= -p "$(supervisor_pid)" | tr -d ' ')" |
        awk -v n="${1:-daruma-(gw|guard)}[0-9]" '$2 ~ n { print $1 }'
}
worker_pids() { gateway_pids daruma-gw; }

# The memory of the largest worker, in KiB.
worker_kb() {
    local pid
    for pid in $(worker_pids); do awk '/^RssAnon|^RssShmem/ { n += $2 } END { print n }' "/proc/$pid/status"; done |
        sort -n | tail -n 1
}

up() { expect_exit 0 daruma up -d "$@"; }

# What `ps` knows: instance app-1 .pid
instance() { # INSTANCE FIELD
    daruma ps --json | jq -r --arg name "$1" ".[] | select(.instance == \$name) | $2"
}

# All instances of the project are ready (or the named ones).
all_ready() { # [INSTANCE…]
    daruma ps --json | jq -e '[.[] | select($ARGS.positional == [] or (.instance | IN($ARGS.positional[])))] |
        length > 0 and all(.state == "serving" and (.health | IN(null, "", "healthy")))' --args "$@"
}

# How many events of a kind match a jq condition: events instance.exit '.instance == "app-1"'
events() { # KIND [CONDITION]
    daruma events --json | jq -s "[.[] | select(.kind == \"$1\") | select(${2:-true})] | length"
}

http_status() { # URL [CURL-OPTIONS…]
    curl -s -o body -w '%{http_code}' --max-time 20 "$@" || true
}

kill_instance() { # INSTANCE [SIGNAL]
    kill "-${2:-KILL}" "$(instance "$1" .pid)"
}

# The load: a monitor at RATE probes a second for some time; ./receipt is what it saw. Each takes the app 20 ms, so that
# some are in flight whenever something happens.
load() { # RATE SECONDS [WATCH-OPTIONS…]
    "$BUILD/daruma" watch "$url/slow?ms=20" --rate "$1" --duration "$2s" --json "${@:3}" >receipt 2>watch-err &
    load=$!
}

# Asks the supervisor itself: curl_admin gateway [CURL-OPTIONS…]
curl_admin() { curl -s --unix-socket "$(echo "$DARUMA_RUN_DIR"/*/admin.sock)" "http://daruma/v1/$1" "${@:2}"; }

# Asks the project's Redis: redis GET hits
redis() {
    local endpoint
    endpoint=$(instance redis-1 .endpoint)
    redis-cli -h "${endpoint%:*}" -p "${endpoint##*:}" "$@"
}

receipt() { jq -r "$1" receipt; } # FIELD

load_ended() { wait "$load" || true; }

# Enough was seen: it ends before its time, with its receipt. What takes a busy machine longer has load all the time.
end_load() {
    kill -INT "$load" 2>/dev/null || true
    load_ended
}

# ---- requests of which it is known what became of each ----

# Two instances that write the number of each POST they execute into `executed`, and send back what comes over an upgraded
# connection (bench/app.c).
recorders() { # WORKERS
    export DARUMA_WORKERS=$1
    port=$(free_port)
    url=http://127.0.0.1:$port
    compose <<END
services:
  app:
    ports: ["127.0.0.1:$port:5000"]
    deploy: {replicas: 2}
    environment: {DELAY_MS: 20, POST_LOG: "$PWD/executed"}
    x-daruma: {process: {command: ["$BUILD/bench/app"]}}
END
    up
}

# A monitor that ends with its receipt at SIGINT, which a shell's background commands ignore otherwise.
watch_until_told() { # URL [WATCH-OPTIONS…]
    exec env --default-signal=INT "$BUILD/daruma" watch "$@" --rate 100 --duration 280s --json 2>>watch-err
}

# GETs, and POSTs that each have a number.
begin_recorded_load() {
    watch_until_told "$url/" >receipt &
    load=$!
    watch_until_told "$url/?id={n}" -X POST --data x >receipt-posts &
    posts=$!
}

# Nothing failed, no POST was executed twice, and no instance ended.
end_recorded_load() {
    end_load
    kill -INT "$posts"
    wait "$posts" || true
    assert_eq "$(receipt .failed)" 0 "failed GETs of $(receipt .sent)"
    assert_eq "$(jq .failed receipt-posts)" 0 "failed POSTs of $(jq .sent receipt-posts)"
    assert_eq "$(sort executed | uniq -d | wc -l)" 0 "POSTs that were executed twice"
    [[ $(wc -l <executed) -ge $(jq .ok receipt-posts) ]] || fail "POSTs were answered that nobody had executed"
    assert_eq "$(events instance.exit)" 0 "instances that ended"
}

# ---- before and after ----

# Processes that belong to the story: those with its run directory in the environment, and those outside this session
# that work in its directory (instances).
leftovers() {
    local pid sid
    for pid in $(unset DARUMA_RUN_DIR; grep -lszF "DARUMA_RUN_DIR=$dir/" /proc/[0-9]*/environ | cut -d/ -f3); do
        [[ $pid == "$$" ]] || echo "$pid"
    done
    for pid in $(find /proc -maxdepth 2 -name cwd -lname "$dir*" 2>/dev/null | cut -d/ -f3); do
        sid=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f4) || continue
        [[ -z $sid || $sid == "$my_sid" ]] || echo "$pid"
    done
}

nothing_left() { [[ -z $(leftovers) ]]; }

# ---- deaths of daruma itself ----

# Every process of daruma: whatever runs this program and belongs to the story.
all_of_daruma() {
    local pid
    for pid in $(find /proc -maxdepth 2 -name exe -lname "$(realpath "$BUILD/daruma")" 2>/dev/null | cut -d/ -f3); do
        ! grep -qszF "DARUMA_RUN_DIR=$dir/" "/proc/$pid/environ" || echo "$pid"
    done
}

# They restore each other, so first none of them may be able to. Who is made meanwhile is found in the next round.
kill_all_of_daruma() {
    local all seen=
    while all=$(all_of_daruma) && [[ $all != "$seen" ]]; do
        # shellcheck disable=SC2086
        kill -STOP $all 2>/dev/null || true
        seen=$all
    done
    # shellcheck disable=SC2086
    kill -KILL $all
    becomes 5 '[[ -z $(all_of_daruma) ]]'
}

supervisor_pid() { curl_admin project | jq -r .pid; }

another_supervisor_than() { # PID
    local pid
    pid=$(supervisor_pid) && [[ -n $pid && $pid != "$1" ]]
}

kill_supervisor() { # [SIGNAL]
    local pid
    pid=$(supervisor_pid)
    kill "-${1:-KILL}" "$pid"
    wait_for 5 another_supervisor_than "$pid"
}

# All of them in the same instant: who is stopped puts nobody back.
kill_together() { # PID…
    kill -STOP "$@"
    kill -KILL "$@"
}

dump() {
    echo "--- what daruma knows"
    [[ ! -f compose.yaml ]] || { echo "--- compose.yaml"; cat compose.yaml; }
    [[ ! -s receipt ]] || { echo "--- receipt"; cat receipt; }
    [[ ! -s watch-err ]] || { echo "--- watch"; tail -n 20 watch-err; }
    if timeout 5 "$BUILD/daruma" ps 2>&1; then
        echo "--- events"
        timeout 5 "$BUILD/daruma" events 2>&1 | tail -n 40
        echo "--- logs"
        timeout 5 "$BUILD/daruma" logs 2>&1 | tail -n 40
    fi
}

story_end() {
    local status=$?
    trap - EXIT ERR
    set +eE
    [[ $status -eq 0 || $status -eq 77 ]] || dump
    local tries pids
    for tries in {1..50}; do
        pids=$(leftovers)
        [[ -n $pids ]] || break
        # shellcheck disable=SC2086
        kill -KILL $pids 2>/dev/null
        sleep 0.05
    done
    if compgen -G "$dir/sanitizer*" >/dev/null; then
        cat "$dir"/sanitizer*
        status=1
    fi
    cd /
    if [[ $status -eq 0 || -z ${KEEP:-} ]]; then rm -rf "$dir"; else echo "kept: $dir"; fi
    exit "$status"
}

story_main() { # FILE STORY
    set -eEuo pipefail
    dir=$(mktemp -d "${TMPDIR:-/tmp}/daruma.XXXXXX")
    my_sid=$(sed 's/.*) //' /proc/$$/stat | cut -d' ' -f4)
    trap story_end EXIT
    trap 'exit 124' TERM
    trap 'echo "FAILED: line $LINENO of ${BASH_SOURCE[0]##*/}: $BASH_COMMAND" >&2' ERR
    # shellcheck disable=SC1090
    source "$root/tests/scenario/$1"
    unset "${!COMPOSE_@}" "${!DARUMA_@}" "${!DEMO_@}"
    export DARUMA_RUN_DIR=$dir/run
    export DOCKER_HOST=unix://$dir/none # an Engine of the machine is nobody's business; see containers.sh
    # A sanitized program says what it found in files, also when it has no terminal any more.
    export ASAN_OPTIONS=abort_on_error=1:log_path=$dir/sanitizer
    export UBSAN_OPTIONS=print_stacktrace=1:log_path=$dir/sanitizer
    mkdir "$dir/project"
    cd "$dir/project"
    "$2"
}

[[ ${BASH_SOURCE[0]} != "$0" ]] || story_main "$@"
