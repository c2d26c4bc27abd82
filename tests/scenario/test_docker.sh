# SPDX-License-Identifier: MIT
#
# Containers: the docker runtime against a real Docker Engine, which each story starts for itself. Images are made from
# scratch.
. "$root/tests/scenario/containers.sh"

# ./compose.yaml: the app behind the gateway, as people write such files. More lines for the service may be given.
containers() { # [SERVICE-LINES]
    port=$(free_port)
    url=http://127.0.0.1:$port
    compose <<END
version: "3.8"
services:
  app:
    image: daruma/app:1
    command: ["/app"]
    environment: {HOST: 0.0.0.0, PORT: "8080"}
    ports: ["127.0.0.1:$port:8080"]
    restart: always
    stop_grace_period: 1s
    tmpfs: [/run]
    volumes: ["data:/data"]
    healthcheck:
      test: ["CMD", "/bin/busybox", "test", "!", "-e", "/run/sick"]
      interval: 500ms
      timeout: 5s
      retries: 2
${1:-}
volumes: {data: {}}
END
}

container_id() { docker inspect -f '{{.Id}}' "$1"; } # NAME

story_containers_are_served_and_down_leaves_nothing() { # sanitized
    engine_start
    containers "    deploy: {replicas: 2}"
    up
    assert_eq "$(http_status "$url/")" 200
    assert_eq "$(docker ps --format '{{.Names}}' | sort | xargs)" "project-app-1 project-app-2" "the containers"
    assert_eq "$(docker network ls -q --filter name=project_default | wc -l)" 1 "its networks"
    local names
    names=$(docker ps --filter label=com.docker.compose.project=project --format '{{.Label "com.docker.compose.container-number"}}')
    assert_eq "$(sort <<<"$names" | xargs)" "1 2" "the numbers"
    # Nothing is published by the Engine: the gateway has the port.
    assert_lacks "$(docker ps --format '{{.Ports}}')" "->" "the Engine's ports"
    expect_exit 0 daruma down
    assert_eq "$(docker ps -aq | wc -l)" 0 "containers after down"
    assert_eq "$(docker network ls -q --filter name=project_default | wc -l)" 0 "networks after down"
    assert_eq "$(docker volume ls -q)" "project_data" "volumes after down"
    up
    expect_exit 0 daruma down -v
    assert_eq "$(docker volume ls -q)" "" "volumes after down -v"
    nothing_left || fail "processes are left"
}

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

story_a_killed_container_comes_back_and_no_request_fails() {
    engine_start
    containers "    deploy: {replicas: 2}"
    up
    load 50 6
    sleep 1
    docker kill project-app-1 >/dev/null
    becomes 10 '[[ $(instance app-1 .restarts) -eq 1 ]]'
    wait_for 10 all_ready
    docker kill project-app-2 >/dev/null
    becomes 10 '[[ $(instance app-2 .restarts) -eq 1 ]]'
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed requests"
    assert_eq "$(instance app-1 .last_exit.cause)" killed
}

story_a_removed_container_is_made_again() {
    engine_start
    containers
    up
    local before
    before=$(container_id project-app-1)
    docker rm -f project-app-1 >/dev/null
    becomes 10 '[[ $(instance app-1 .restarts) -eq 1 ]]'
    wait_for 10 all_ready
    [[ $(container_id project-app-1) != "$before" ]] || fail "it is the same container"
    assert_eq "$(http_status "$url/")" 200
}

story_an_unhealthy_container_is_restarted() {
    engine_start
    containers
    up
    docker exec project-app-1 /bin/busybox touch /run/sick
    becomes 15 '[[ $(events instance.health ".to == \"unhealthy\"") -eq 1 ]]'
    becomes 15 '[[ $(instance app-1 .restarts) -eq 1 ]]'
    wait_for 15 all_ready
    assert_eq "$(instance app-1 .last_exit.cause)" unhealthy
}

story_a_program_that_exits_is_started_again_and_its_output_is_kept() {
    engine_start
    containers "    entrypoint: [/bin/busybox, sh, -c, 'echo hello from \$\$HOSTNAME; exec /app']
    hostname: box"
    up
    becomes 5 '[[ $(daruma logs) == *"hello from box"* ]]'
    curl -s "$url/crash" >/dev/null || true
    becomes 10 '[[ $(instance app-1 .last_exit.status) == 1 ]]'
    wait_for 10 all_ready
    assert_eq "$(instance app-1 .last_exit.cause)" exit
    becomes 5 '[[ $(daruma logs | grep -c "hello from box") -eq 2 ]]'
}

story_containers_outlive_their_supervisor_and_are_taken_over() {
    engine_start
    containers
    up
    local before
    before=$(container_id project-app-1)
    kill -KILL "$(daruma_pid)"
    becomes 10 '! curl -s "$url/"'
    assert_eq "$(docker inspect -f '{{.State.Running}}' project-app-1)" true "the container after the supervisor's death"
    up
    assert_eq "$(container_id project-app-1)" "$before" "the container"
    assert_eq "$(docker ps -aq | wc -l)" 1 "containers"
    assert_eq "$(http_status "$url/")" 200
}

story_a_changed_file_replaces_the_container() {
    engine_start
    containers
    up
    local before
    before=$(container_id project-app-1)
    sed -i 's/PORT: "8080"}/PORT: "8080", NEW: "1"}/' compose.yaml
    up
    becomes 10 '[[ $(container_id project-app-1) != "'"$before"'" ]]'
    wait_for 10 all_ready
    assert_eq "$(docker ps -aq | wc -l)" 1 "containers"
    assert_contains "$(docker inspect -f '{{.Config.Env}}' project-app-1)" "NEW=1"
}

story_an_engine_that_restarts_finds_everything_in_order() {
    engine_start
    containers
    up
    engine_stop
    engine_launch || fail "dockerd does not start again: $(tail -n 1 "$dir/e/log")"
    wait_for 30 eval '[[ $(http_status "$url/") == 200 ]] && all_ready'
    assert_eq "$(docker ps -q | wc -l)" 1 "running containers"
}

story_an_engine_that_hangs_stops_nothing() {
    engine_start
    containers "    x-unused: 1"
    sed -i 's/timeout: 5s/timeout: 1s/' compose.yaml
    up
    kill -STOP "$engine_pid"
    sleep 4 # several checks' worth of interval and timeout: what must not happen needs its time
    assert_eq "$(http_status "$url/")" 200
    assert_eq "$(instance app-1 .state)" serving
    kill -CONT "$engine_pid"
    sleep 1
    assert_eq "$(instance app-1 .restarts)" 0
    assert_eq "$(events instance.health '.to == "unhealthy"')" 0
}

story_an_image_that_cannot_be_pulled_is_told() {
    engine_start
    compose <<'END'
services:
  a: {image: "127.0.0.1:1/nothing:1"}
END
    expect_exit 1 daruma up -d
    assert_contains "$(cat out err)" "cannot pull the image 127.0.0.1:1/nothing:1"
}

story_an_image_is_built_without_what_is_ignored() { # sanitized
    engine_start
    mkdir -p src/deep
    echo kept >src/kept
    echo secret | tee src/secret >src/deep/secret
    head -c 3000000 /dev/urandom >src/big
    printf '**/secret\n# comment\n' >src/.dockerignore
    cat >src/Dockerfile <<'END'
FROM daruma/app:1 AS base
ARG WORD=none
COPY . /src
RUN ["/bin/busybox", "sh", "-c", "echo the word is $WORD; echo $WORD >/word"]
FROM base AS other
RUN ["/bin/busybox", "false"]
END
    containers "    build: {context: src, target: base, args: {WORD: hello}}"
    sed -i '/image: daruma/d' compose.yaml
    up
    assert_eq "$(docker exec project-app-1 /bin/busybox cat /word)" hello "the argument"
    assert_eq "$(docker exec project-app-1 /bin/busybox find /src -type f | sort | xargs)" \
        "/src/.dockerignore /src/Dockerfile /src/big /src/kept" "what was sent"
    assert_eq "$(docker exec project-app-1 /bin/busybox sha256sum /src/big | cut -d' ' -f1)" \
        "$(sha256sum src/big | cut -d' ' -f1)" "a large file"
    assert_contains "$(daruma logs)" "the word is hello" "the output of the build"
}

story_a_build_that_fails_shows_its_output() {
    engine_start
    printf 'FROM daruma/app:1\nRUN ["/bin/busybox", "sh", "-c", "echo it broke; exit 3"]\n' >Dockerfile
    compose <<'END'
services:
  a: {build: .}
END
    expect_exit 1 daruma up -d
    assert_contains "$(cat out err)" "cannot build the image project-a"
    assert_contains "$(cat out err)" "it broke"
}

story_a_program_that_is_not_in_the_image_is_told() {
    engine_start
    compose <<'END'
services:
  a: {image: "daruma/app:1", command: [/nowhere]}
END
    expect_exit 1 daruma up -d
    assert_contains "$(cat out err)" "cannot start the container project-a-1"
    assert_contains "$(cat out err)" "/nowhere"
}

story_without_an_engine_nothing_starts() {
    compose <<'END'
services:
  a: {image: nginx}
END
    DOCKER_HOST=unix://$dir/none expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "no Docker Engine at unix://$dir/none; start it" "the refusal"
    DOCKER_HOST=nonsense expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "DOCKER_HOST" "the refusal"
}

story_the_gateway_does_the_work_of_an_nginx() {
    engine_start
    port=$(free_port)
    url=http://127.0.0.1:$port
    cat >nginx.conf <<'END'
events {}
http {
    upstream apps {
        server app1:8080;
        server second:8080;
    }
    server {
        listen 80;
        location / {
            proxy_pass http://apps;
            proxy_set_header Host $host;
            proxy_connect_timeout 1s;
            proxy_next_upstream error timeout http_500;
        }
    }
}
END
    compose <<END
services:
  nginx:
    image: nginx:latest
    ports: ["127.0.0.1:$port:80"]
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    depends_on: [app1, app2]
  app1: &app
    image: daruma/app:1
    command: ["/app"]
    environment: {HOST: 0.0.0.0, PORT: "8080"}
    restart: always
    stop_grace_period: 1s
  app2:
    <<: *app
    container_name: second
END
    up
    assert_contains "$(cat err)" '`nginx` is not started: the gateway does' "what is said"
    assert_eq "$(docker ps --format '{{.Names}}' | sort | xargs)" "project-app1-1 second" "the containers"
    load 100 2
    sleep 0.5
    docker kill second >/dev/null
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed requests"
    assert_number "$(receipt '.instances | length')" '== 2' "who answered"
    expect_exit 0 daruma down
}
