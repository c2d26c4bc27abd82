#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Deploys in a row while requests come at a fixed rate: GETs on kept-alive connections, GETs on a new one each, and POSTs,
# of which each is to be executed once. Beside it the same change done with nginx: the two new instances are started, the
# configuration is written anew, `nginx -s reload`, and the old ones are asked to end. Then bad versions, and what becomes
# of them.
#
#   COUNT (30)   deploys of each kind       RATE (1000)   requests a second, in all
#   KINDS        (rolling blue-green canary nginx)
. "$(dirname "$0")/lib.sh"
need nginx
COUNT=${COUNT:-30} RATE=${RATE:-1000} KINDS=${KINDS:-rolling blue-green canary nginx}
export DELAY_MS=5 POST_LOG=$dir/posts

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
      deploy: {strategy: $1, steps: [10, 50, 100], dwell: ${DWELL:-200ms}, keep: 200ms, ready_timeout: 3s}
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

# sent, failed, p50, p99, max of GETs, then of POSTs, doubled and lost
load_row() {
    local doubled lost
    doubled=$(sort "$POST_LOG" | uniq -d | wc -l)
    lost=$(comm -23 <(jq -r 'select(.ok and has("probe")) | .probe' "$dir/lines.2" | sort) <(sort -u "$POST_LOG") | wc -l)
    jq -rs --arg doubled "$doubled" --arg lost "$lost" \
        '"\(map(.sent) | add) | \(map(.failed) | add) | \(map(.latency_ms.p50) | max) | \(map(.latency_ms.p99) | max) | \(map(.latency_ms.max) | max) | \($doubled) | \($lost) |"' \
        <(tail -qn 1 "$dir"/lines.[012])
}

row_daruma() { # STRATEGY
    local i deployed=0 begun
    port=$(free_port)
    compose "$1" | start_daruma
    wait_for 10 answers "$port"
    load_start
    begun=$SECONDS
    for ((i = 0; i < COUNT; i++)); do
        if (cd "$dir/project" && "$daruma" deploy app --env "N=$i" --json >/dev/null); then deployed=$((deployed + 1)); fi
    done
    say "$1: $deployed deploys in $((SECONDS - begun)) s"
    load_end
    stop_daruma
    echo "| daruma, $1 | $deployed | $(load_row)"
}

# Two instances more, then the configuration that knows only them, then the old ones go.
row_nginx() {
    local i old=() new backends
    port=$(free_port)
    backends=("$(free_port)" "$(free_port)")
    for i in 0 1; do start_app "${backends[i]}" && old+=("$app_pid"); done
    start_nginx "${backends[@]}"
    load_start
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
    load_end
    stop_all
    echo "| nginx, reload | $COUNT | $(load_row)"
}

echo "## $COUNT deploys in a row, $RATE requests/s, $DELAY_MS ms service time, two instances"
echo
echo "A third each of GETs on kept-alive connections, GETs on a new connection each, and POSTs."
echo
echo "| how | deploys | sent | failed | p50 ms | p99 ms | max ms | POSTs executed twice | answered but lost |"
echo "|---|---|---|---|---|---|---|---|---|"
for kind in $KINDS; do
    if [[ $kind == nginx ]]; then row_nginx; else row_daruma "$kind"; fi
done
echo

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

echo "## Bad versions, canary of 10, 50, 100 %, $RATE requests/s"
echo
echo "| the new version | ended | after ms | sent | failed | p50 ms | p99 ms | max ms | POSTs executed twice | answered but lost |"
echo "|---|---|---|---|---|---|---|---|---|---|"
row_bad "ends at once" "" '"false"'
row_bad "never listens" "" '"sleep", "60"'
row_bad "answers 500 to 5 %" 'DELAY_MS: "5", FAULTY: "5"'
row_bad "takes three times as long" 'DELAY_MS: "15"'
echo
