#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Deploys in a row while requests come at a fixed rate: GETs on kept-alive connections, GETs on a new one each, and POSTs,
# of which each is to be executed once; and while upgraded connections, as WebSockets are, are held open. Beside it the same
# change done with nginx: the two new instances are started, the configuration is written anew, `nginx -s reload`, and the old
# ones are asked to end. And with containers: by daruma, and by plain docker-compose, where one container publishes the port,
# since two cannot. Each time the same load runs first for a while in which nothing is deployed: the p99 of then is beside that of
# the deploys. Last come bad versions, and what becomes of them.
#
# What a deploy watches is short, for there are many of them: `monitor`, each `dwell` and `keep` are 200 ms.
#
#   COUNT (30)   deploys of each kind           RATE (1000)     requests a second, in all
#   CONTAINER_COUNT (10)   … of containers      SOCKETS (50)    upgraded connections
#   QUIET (10)   seconds without a deploy
#   KINDS        (rolling blue-green canary nginx; with a Docker Engine also docker-rolling … and docker-compose)
#   BAD (1)      0: no bad versions
. "$(dirname "$0")/lib.sh"
need nginx
COUNT=${COUNT:-30} RATE=${RATE:-1000} SOCKETS=${SOCKETS:-50} CONTAINER_COUNT=${CONTAINER_COUNT:-10} QUIET=${QUIET:-10}
KINDS=${KINDS:-rolling blue-green canary nginx$(! command -v dockerd >/dev/null ||
    echo " docker-rolling docker-blue-green docker-canary docker-compose")}
export DELAY_MS=5 POST_LOG=$dir/log/posts
mkdir "$dir/log"

strategy() { # STRATEGY
    echo "{strategy: $1, steps: [10, 50, 100], dwell: ${DWELL:-200ms}, keep: 200ms, ready_timeout: 3s}"
}

compose() { # STRATEGY [VARIABLE]
    cat <<EOF
services:
  app:
    restart: always
    ports: ["127.0.0.1:$port:5000"]
    environment: {${2:-DELAY_MS: "$DELAY_MS"}, POST_LOG: "$POST_LOG"}
    deploy: {replicas: 2, update_config: {monitor: 200ms}}
    x-daruma:
      process: {command: ["$app"]}
      drain_upgraded: 0s
      deploy: $(strategy "$1")
EOF
}

# The same of an image, or what docker-compose knows of that. Its log of POSTs lies in a folder that is mounted.
compose_containers() { # [STRATEGY]
    cat <<EOF
version: "3.8"
services:
  app:
    image: daruma/app:1
    command: [/app]
    restart: always
    stop_grace_period: 1s
    ports: ["127.0.0.1:$port:8080"]
    volumes: ["$dir/log:/log"]
    environment: {HOST: 0.0.0.0, PORT: "8080", DELAY_MS: "$DELAY_MS", POST_LOG: /log/posts, N: "${N:-0}"}
EOF
    [[ -z ${1:-} ]] || cat <<EOF
    deploy: {replicas: 2, update_config: {monitor: 200ms}}
    x-daruma: {drain_upgraded: 0s, deploy: $(strategy "$1")}
EOF
}

load_start() {
    local n=0 options
    : >"$POST_LOG"
    loads=()
    for options in "" "--no-keepalive" "-X POST --data x"; do
        # shellcheck disable=SC2086
        "$daruma" watch "http://127.0.0.1:$port/?id={n}" $options --rate $((RATE / 3)) --timeout 15s --json --verbose \
            >"$dir/lines.$n" 2>/dev/null &
        loads+=($!)
        n=$((n + 1))
    done
    "$root/build/bench/reconnect" "$port" "$SOCKETS" >"$dir/sockets" &
    loads+=($!)
    started=("${loads[@]}" "${started[@]}")
    sleep 1
}

load_end() {
    local pid
    for pid in "${loads[@]}"; do
        kill -INT "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

p99() { tail -qn 1 "$dir"/lines.[012] | jq -s 'map(.latency_ms.p99) | max'; }

# sent, failed, p50, p99, max of all; POSTs doubled and lost; upgraded connections that were ended, and refused
load_row() {
    local doubled lost
    doubled=$(executed_twice)
    lost=$(answered_but_lost "$dir/lines.2")
    jq -rs --arg doubled "$doubled" --arg lost "$lost" --argjson sockets "$(cat "$dir/sockets")" \
        '"\(map(.sent) | add) | \(map(.failed) | add) | \(map(.latency_ms.p50) | max) | \(map(.latency_ms.p99) | max) | \(map(.latency_ms.max) | max) | \($doubled) | \($lost) | \($sockets.ended) | \($sockets.refused) |"' \
        <(tail -qn 1 "$dir"/lines.[012])
}

deploys_begin() {
    load_start
    sleep "$QUIET"
    load_end
    quiet=$(p99)
    load_start
    begun=${EPOCHREALTIME/./}
}

deploys_end() { # TITLE DEPLOYS
    local took=$(((${EPOCHREALTIME/./} - begun) / 1000))
    load_end
    echo "| $1 | $2 | $((took / ($2 > 0 ? $2 : 1))) | $quiet | $(jq -n "$(p99) / $quiet * 100 | round / 100") | $(load_row)"
}

row_daruma() { # TITLE COUNT COMMAND, which prints the compose file
    local i deployed=0
    port=$(free_port)
    "${@:3}" | start_daruma
    wait_for 20 answers "$port"
    deploys_begin
    for ((i = 1; i <= $2; i++)); do
        if (cd "$dir/project" && "$daruma" deploy app --env "N=$i" --json >/dev/null); then deployed=$((deployed + 1)); fi
    done
    deploys_end "$1" "$deployed"
    stop_daruma
}

# Two instances more, then the configuration that knows only them, then the old ones go.
row_nginx() {
    local i old=() new backends
    port=$(free_port)
    backends=("$(free_port)" "$(free_port)")
    for i in 0 1; do start_app "${backends[i]}" && old+=("$app_pid"); done
    start_nginx "${backends[@]}"
    # As its documentation says for WebSockets.
    sed -i "s/^upstream app {/map \$http_upgrade \$connection_upgrade { default upgrade; '' ''; }\n&/
        s/proxy_set_header Connection '';/proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection \$connection_upgrade;/" \
        "$dir/nginx.conf"
    nginx -c "$dir/nginx.conf" -e /dev/null -s reload
    deploys_begin
    for ((n = 0; n < COUNT; n++)); do
        backends=("$(free_port)" "$(free_port)")
        new=()
        for i in 0 1; do start_app "${backends[i]}" && new+=("$app_pid"); done
        sed -i '/^server [^{]*;$/d' "$dir/nginx.conf"
        sed -i "s/^upstream app {.*/&\nserver 127.0.0.1:${backends[0]};\nserver 127.0.0.1:${backends[1]};/" "$dir/nginx.conf"
        nginx -c "$dir/nginx.conf" -e /dev/null -s reload
        sleep 0.2
        kill "${old[@]}"
        old=("${new[@]}")
        sleep 0.2
    done
    deploys_end "nginx, reload" "$COUNT"
    stop_all
}

row_docker_compose() {
    local deployed=0
    port=$(free_port)
    mkdir "$dir/project"
    cd "$dir/project"
    for ((N = 0; N <= CONTAINER_COUNT; N++)); do
        compose_containers >docker-compose.yml
        if docker-compose up -d >/dev/null 2>&1; then deployed=$N; fi
        [[ $N -gt 0 ]] || { wait_for 20 answers "$port" && deploys_begin; }
    done
    deploys_end "docker-compose, one container" "$deployed"
    docker-compose down -v -t 1 >/dev/null 2>&1
    cd "$root"
    rm -rf "$dir/project"
}

. "$root/bench/containers.sh"
[[ $KINDS != *docker* ]] || engine_start

echo "## $COUNT deploys in a row ($CONTAINER_COUNT of containers), $RATE requests/s, $DELAY_MS ms service time, two instances"
echo
echo "A third each of GETs on kept-alive connections, GETs on a new connection each, and POSTs. $SOCKETS upgraded connections are"
echo "held open: the end of an instance ends its own, and they connect anew at once. \"Quiet\" is the p99 of the same load in the"
echo "$QUIET s before, when nothing was deployed. \`monitor\`, each step of the canary (10, 50, 100 %) and \`keep\` are 200 ms."
echo
echo "| how | deploys | ms each | quiet p99 ms | times that | sent | failed | p50 ms | p99 ms | max ms | POSTs executed twice | answered but lost | upgraded: ended | refused |"
echo "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
for kind in $KINDS; do
    say "$kind"
    case $kind in
        nginx) row_nginx ;;
        docker-compose) row_docker_compose ;;
        docker-*) row_daruma "daruma, containers, ${kind#docker-}" "$CONTAINER_COUNT" compose_containers "${kind#docker-}" ;;
        *) row_daruma "daruma, $kind" "$COUNT" compose "$kind" ;;
    esac
done
echo

[[ ${BAD:-1} != 0 ]] || exit 0

# A version that is bad: how it ended, and what clients saw meanwhile.
row_bad() { # WHAT VARIABLE [COMMAND]
    local begun took outcome
    port=$(free_port)
    DWELL=2s compose canary | start_daruma
    wait_for 10 answers "$port"
    load_start
    begun=${EPOCHREALTIME/./}
    (
        cd "$dir/project"
        DWELL=2s compose canary "$2" >compose.yaml
        [[ -z ${3:-} ]] || sed -i "s|command: .*|command: [$3]}|" compose.yaml
        "$daruma" deploy app --json >"$dir/receipt" 2>/dev/null
    ) || true
    took=$(((${EPOCHREALTIME/./} - begun) / 1000))
    outcome=$(jq -r .outcome "$dir/receipt")
    sleep 0.5
    load_end
    stop_daruma
    echo "| $1 | $outcome | $took | $(load_row)"
}

DELAY_MS=10
echo "## Bad versions, canary of 10, 50, 100 %, $RATE requests/s, $DELAY_MS ms service time"
echo
echo "| the new version | ended | after ms | sent | failed | p50 ms | p99 ms | max ms | POSTs executed twice | answered but lost | upgraded: ended | refused |"
echo "|---|---|---|---|---|---|---|---|---|---|---|---|"
row_bad "ends at once" "" '"false"'
row_bad "never listens" "" '"sleep", "60"'
row_bad "answers 500 to 5 %" 'DELAY_MS: "10", FAULTY: "5"'
row_bad "is killed again and again" "" '"sh", "-c", "kill -9 $$$$"'
row_bad "takes twice as long" 'DELAY_MS: "20"'
echo
