# SPDX-License-Identifier: MIT
#
# A project that Compose started, and daruma goes on with; see test_docker.sh.
. "$root/tests/scenario/containers.sh"

story_compose_shows_the_project() {
    command -v docker-compose >/dev/null || skip "there is no docker-compose"
    engine_start
    containers
    up
    docker-compose ps >out 2>err || fail "docker-compose ps: $(cat err)"
    assert_contains "$(cat out)" "project-app-1"
    assert_contains "$(cat out)" "Up"
}

story_a_project_that_compose_started_is_taken_over() {
    command -v docker-compose >/dev/null || skip "there is no docker-compose"
    engine_start
    containers
    sed -i 's,"data:/data","data:/data"\, /anonymous,' compose.yaml
    docker-compose up -d >out 2>&1 || fail "$(cat out)"
    wait_for 10 curl -fs "$url/"
    docker exec project_app_1 /bin/busybox sh -c 'echo named >/data/word; echo anonymous >/anonymous/word'
    # A port that is somebody else's: then nothing is touched.
    local other
    other=$(free_port)
    sed -i "s/ports: \[/&\"127.0.0.1:$other:9\", /" compose.yaml
    HOST=127.0.0.1 PORT=$other "$BUILD/bench/app" &
    wait_for 5 curl -fs "http://127.0.0.1:$other/"
    expect_exit 2 daruma up -d
    kill $!
    assert_contains "$(cat err)" "port 127.0.0.1:$other is taken" "the refusal"
    assert_eq "$(http_status "$url/")" 200
    sed -i "s/\"127.0.0.1:$other:9\", //" compose.yaml
    up
    assert_contains "$(cat err)" "the container project_app_1, which Compose had started, was stopped" "what is told"
    assert_eq "$(http_status "$url/")" 200
    assert_eq "$(docker ps -a --format '{{.Names}} {{.Ports}}')" "project-app-1 8080/tcp" "the containers"
    assert_eq "$(docker exec project-app-1 /bin/busybox cat /data/word /anonymous/word | xargs)" "named anonymous" "the data"
    docker-compose ps >out 2>&1
    assert_contains "$(cat out)" "project-app-1"
}

# What need not be replaced runs on, under the name that it has with daruma.
story_a_container_of_compose_that_is_as_the_file_says_runs_on() {
    command -v docker-compose >/dev/null || skip "there is no docker-compose"
    engine_start
    printf '%s\n' "FROM daruma/app:1" 'ENV FROM=image' 'VOLUME /data' 'STOPSIGNAL SIGINT' 'LABEL a=b' 'CMD ["/app"]' |
        docker build -q -t redis:7 - >/dev/null 2>&1
    compose <<'END'
version: "3.8"
services:
  redis:
    image: redis:7
    environment: {HOST: 0.0.0.0, PORT: "8080"}
    restart: always
    stop_grace_period: 0s
    expose: [8080]
    labels: {mine: x}
    mem_limit: 64m
    ulimits: {nofile: 1000}
    tmpfs: [/run]
    volumes: ["named:/named", "./folder:/f:ro", /anonymous]
    networks: {default: {}, back: {aliases: [store]}}
    healthcheck: {test: ["CMD", "/bin/busybox", "true"], interval: 100s}
  changes: {image: "redis:7", stop_grace_period: 0s, environment: {HOST: 0.0.0.0, PORT: "8080", OLD: "1"}}
volumes: {named: {}}
networks: {back: {}}
END
    docker-compose up -d >out 2>&1 || fail "$(cat out)"
    local before pid
    before=$(container_id project_redis_1)
    pid=$(docker inspect -f '{{.State.Pid}}' project_redis_1)
    sed -i 's/, OLD: "1"//' compose.yaml
    up
    assert_eq "$(docker ps -a --format '{{.Names}}' | sort | xargs)" "project-changes-1 project-redis-1" "the containers"
    assert_eq "$(container_id project-redis-1)" "$before" "the container"
    assert_eq "$(docker inspect -f '{{.State.Pid}}' project-redis-1)" "$pid" "its process"
    assert_lacks "$(docker inspect -f '{{.Config.Env}}' project-changes-1)" OLD "the environment of what was changed"
    docker kill project-redis-1 >/dev/null
    becomes 10 '[[ $(instance redis-1 .restarts) -eq 1 ]]'
    wait_for 10 all_ready
    assert_eq "$(container_id project-redis-1)" "$before" "the container after a death"
    kill_all_of_daruma
    up
    wait_for 10 all_ready
    assert_eq "$(container_id project-redis-1)" "$before" "the container after the death of daruma"
    expect_exit 0 daruma down -v
    assert_eq "$(docker ps -aq; docker volume ls -q --filter name=project; docker network ls -q --filter name=project)" \
        "" "what is left"
}

story_a_replacement_that_is_cut_off_is_made_anew() {
    command -v docker-compose >/dev/null || skip "there is no docker-compose"
    engine_start
    compose <<'END'
version: "3.8"
services:
  a: {image: "daruma/app:1", command: [/app], stop_grace_period: 2s, environment: {WORD: old}, volumes: [/anonymous]}
END
    docker-compose up -d >out 2>&1 || fail "$(cat out)"
    docker exec project_a_1 /bin/busybox touch /anonymous/kept
    sed -i 's/WORD: old/WORD: new/' compose.yaml
    daruma up -d >/dev/null 2>&1 &
    becomes 10 '[[ $(docker ps -a --format "{{.Names}}") == *project-a-1-next* ]]' # and the old one is being stopped
    kill_all_of_daruma
    up
    assert_eq "$(docker ps -a --format '{{.Names}}')" project-a-1 "the containers"
    assert_contains "$(docker inspect -f '{{.Config.Env}}' project-a-1)" "WORD=new"
    docker exec project-a-1 /bin/busybox test -e /anonymous/kept || fail "the anonymous volume is lost"
}
