#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The same compose file run by plain docker-compose and by daruma, on the same Docker Engine: how long a killed container
# is away, how many requests fail while containers are killed, how long `up` of the first demonstration takes, and what
# watching many containers costs. The file has an nginx in front of two apps, whose work daruma's gateway does.
#
# `docker kill` is a stop that was asked for: the Engine's restart policy does not apply, and the container stays dead. So
# docker-compose is measured with a SIGKILL of the process from outside as well, which is what the policy is for.
#
#   LENGTH (60)     seconds of requests          RATE (500)       requests a second      EVERY (1.7)  seconds between kills
#   KILLS (5)       kills to measure the absence, 3 s apart       ROUNDS (3)     of `up`
#   CONTAINERS (200), IDLE (20)   seconds over which the CPU time of watching is counted

# In a network of its own: the firewall of another Engine would drop what the containers say to each other.
if [[ -z ${STORY_NETWORK:-} && $(id -u) -eq 0 ]]; then
    STORY_NETWORK=1 exec unshare --net bash "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
need docker.io docker-compose busybox-static python3-flask python3-redis python3-pip prometheus redis-server nginx
LENGTH=${LENGTH:-60} RATE=${RATE:-500} EVERY=${EVERY:-1.7} KILLS=${KILLS:-5} ROUNDS=${ROUNDS:-3}
CONTAINERS=${CONTAINERS:-200} IDLE=${IDLE:-20}

. "$root/bench/containers.sh"
mkdir -p "$dir/project"
cd "$dir/project"
engine_start
make_demonstration_images

# ---- two apps ----

port=$(free_port)
two_apps() {
    cat >nginx.conf <<END
events {}
http {
    access_log off;
    upstream app { server app1:8080; server app2:8080; keepalive 64; }
    server {
        listen 80;
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 1s;
            proxy_next_upstream error timeout http_500;
        }
    }
}
END
    cat >docker-compose.yml <<END
version: "3.8"
services:
  app1: &app
    image: daruma/app:1
    command: [/app]
    environment: {HOST: 0.0.0.0, PORT: "8080", DELAY_MS: "20"}
    expose: ["8080"]
    container_name: app1
    restart: always
    stop_grace_period: 1s
  app2:
    <<: *app
    container_name: app2
  nginx:
    image: nginx:latest
    container_name: nginx
    ports: ["127.0.0.1:$port:80"]
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    depends_on: [app1, app2]
    restart: always
END
}

run_up() { # RUNNER
    if [[ $1 == daruma ]]; then "$daruma" up -d >/dev/null; else docker-compose up -d >/dev/null 2>&1; fi
}
run_down() { # RUNNER
    if [[ $1 == daruma ]]; then "$daruma" down -v >/dev/null; else docker-compose down -v -t 1 >/dev/null 2>&1; fi
}

address() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"; } # CONTAINER
pid_of() { docker inspect -f '{{.State.Pid}}' "$1"; }
strike() { # HOW CONTAINER
    local pid
    if [[ $1 == "docker kill" ]]; then
        docker kill "$2" >/dev/null 2>&1 || true
        return
    fi
    pid=$(pid_of "$2") || true
    [[ ${pid:-0} -eq 0 ]] || kill -KILL "$pid" 2>/dev/null || true # it may be dead already
}

# Milliseconds from the kill until the container answers at its own address again; "-" after 20 s.
absence() { # HOW CONTAINER
    local ip began until
    ip=$(address "$2")
    began=${EPOCHREALTIME/./}
    strike "$1" "$2"
    sleep 0.02
    until=$((began + 20000000))
    until curl -s -o /dev/null --max-time 0.2 "http://$ip:8080/health"; do
        [[ ${EPOCHREALTIME/./} -lt $until ]] || { echo -; return; }
        sleep 0.005
    done
    echo $(((${EPOCHREALTIME/./} - began) / 1000))
}

absences() { # RUNNER HOW
    local n each list=
    say "$1, $2: $KILLS times"
    run_up "$1"
    wait_for 30 answers "$port"
    for ((n = 0; n < KILLS; n++)); do
        sleep 3
        each=$(absence "$2" app1)
        list="$list $each"
        [[ $each != - ]] || break
    done
    run_down "$1"
    echo "| $1 | $2 |$(sed 's/ -$/ never/; s/ \([0-9]\)/, \1/g; s/^,//' <<<"$list") |"
}

killer() { # HOW
    local n=0 until=$((SECONDS + LENGTH))
    sleep 0.5
    while [[ $SECONDS -lt $until ]]; do
        strike "$1" app$((1 + n % 2))
        n=$((n + 1))
        echo "$n" >"$dir/kills"
        sleep "$EVERY"
    done
}

failures() { # RUNNER HOW
    say "$1, $2 every $EVERY s at $RATE requests/s for $LENGTH s"
    run_up "$1"
    wait_for 30 answers "$port"
    killer "$2" &
    started=($! "${started[@]}")
    "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --duration "${LENGTH}s" --timeout 15s --json \
        >"$dir/receipt" || true
    stop_all
    run_down "$1"
    jq -r --arg who "$1" --arg how "$2" --arg kills "$(cat "$dir/kills")" \
        '"| \($who) | \($how) | \($kills) | \(.failed) of \(.sent) | \(.latency_ms.p50 | round) | \(.latency_ms.p99 | round) | \(.longest_gap_ms | round) |"' "$dir/receipt"
}

# ---- up of the first demonstration ----

# Milliseconds until every published port answers; the images are built, there are no containers and no networks.
up_ms() { # RUNNER
    local began=${EPOCHREALTIME/./} each
    run_up "$1"
    for each in "${ports[@]}"; do
        until curl -s -f -o /dev/null --max-time 1 "http://127.0.0.1:$each/"; do sleep 0.01; done
    done
    echo $(((${EPOCHREALTIME/./} - began) / 1000))
}

ups() { # RUNNER
    local round
    for ((round = 0; round < ROUNDS; round++)); do
        up_ms "$1"
        run_down "$1"
    done >"$dir/ups"
    echo "| $1 | $(median <"$dir/ups") | $(sort -n "$dir/ups" | tail -n 1) |"
}

demonstration() {
    local published
    rm -rf "$dir/project"
    cp -r "$root/examples/containers/indestructible" "$dir/project"
    cd "$dir/project"
    ports=()
    for published in 8080 5001 5002 9090 6379; do
        port=$(free_port)
        sed -i "s/\"$published:/\"127.0.0.1:$port:/" docker-compose.yml
        [[ $published == 6379 ]] || ports+=("$port")
    done
    # Both call what they build differently; the layers are the same.
    docker-compose build >/dev/null 2>&1
    for app in app1 app2; do docker tag "project_$app" "project-$app"; done
}

# ---- watching ----

watching() {
    rm -rf "$dir/project"
    mkdir "$dir/project"
    cd "$dir/project"
    cat >docker-compose.yml <<END
services:
  sleeper:
    image: daruma/app:1
    command: [/bin/busybox, sleep, "1000000"]
    init: true
    stop_grace_period: 1s
    deploy: {replicas: $CONTAINERS}
END
    say "$CONTAINERS containers"
    "$daruma" up -d >/dev/null
    local pid before used engine running
    pid=$(supervisor_pid)
    running=$("$daruma" ps --json | jq '[.[] | select(.state == "serving")] | length')
    sleep 5
    before=$(ticks "$pid")
    engine=$(ticks "$engine_pid")
    sleep "$IDLE"
    used=$(($(ticks "$pid") - before)) engine=$(($(ticks "$engine_pid") - engine))
    awk -v r="$running" -v u="$used" -v e="$engine" -v t="$ticks_per_second" -v i="$IDLE" -v m="$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")" \
        'BEGIN { printf "| %d | %.2f %% | %.2f %% | %d |\n", r, 100 * u / t / i, 100 * e / t / i, m }'
    "$daruma" down >/dev/null
}

two_apps
echo "## Containers: docker-compose and daruma on the same Docker Engine"
echo
echo "One of two containers is killed: milliseconds until it answers again, one kill after the other, 3 s apart."
echo
echo "| run by | killed by | ms |"
echo "|---|---|---|"
absences docker-compose "docker kill"
absences docker-compose "SIGKILL from outside"
absences daruma "docker kill"
absences daruma "SIGKILL from outside"
echo
echo "Requests at $RATE a second, 20 ms service time, one of two containers killed every $EVERY s."
echo
echo "| run by | killed by | kills | failed | p50 ms | p99 ms | longest gap ms |"
echo "|---|---|--:|--:|--:|--:|--:|"
failures docker-compose "docker kill"
failures docker-compose "SIGKILL from outside"
failures daruma "docker kill"
failures daruma "SIGKILL from outside"
echo
echo "\`up -d\` of the first demonstration from built images until all of its ports answer, $ROUNDS rounds."
echo
echo "| run by | median ms | slowest ms |"
echo "|---|--:|--:|"
demonstration
ups docker-compose
ups daruma
echo
echo "Watching idle containers, CPU time over $IDLE s."
echo
echo "| running | supervisor's CPU | the Engine's | supervisor's memory KiB |"
echo "|--:|--:|--:|--:|"
watching
echo
