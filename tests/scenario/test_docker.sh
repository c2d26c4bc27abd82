# SPDX-License-Identifier: MIT
#
# Containers: the docker runtime against a real Docker Engine, which each story starts for itself. Images are made from
# scratch.
. "$root/tests/scenario/containers.sh"

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
    # Nobody here knows of it any more, and it goes all the same; what is not the project's stays.
    docker volume create --label com.docker.compose.project=another other >/dev/null
    docker create --name user --network none -v project_data:/data daruma/app:1 /app >/dev/null
    expect_exit 1 daruma down -v
    assert_contains "$(cat err)" "project_data is used by a container"
    docker rm user >/dev/null
    expect_exit 0 daruma down -v
    assert_eq "$(docker volume ls -q)" "other" "volumes after down -v"
    expect_exit 1 daruma down -v
    docker volume rm other >/dev/null
    up
    expect_exit 0 daruma down -v
    assert_eq "$(docker volume ls -q)" "" "volumes after down -v"
    nothing_left || fail "processes are left"
}

story_a_killed_container_comes_back_and_no_request_fails() {
    engine_start
    containers "    deploy: {replicas: 2}"
    up
    load 50 60
    sleep 1
    docker kill project-app-1 >/dev/null
    becomes 10 '[[ $(instance app-1 .restarts) -eq 1 ]]'
    wait_for 10 all_ready
    docker kill project-app-2 >/dev/null
    becomes 10 '[[ $(instance app-2 .restarts) -eq 1 ]]'
    end_load
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
    kill_supervisor
    assert_eq "$(http_status "$url/")" 200 "the answer after the supervisor's death"
    wait_for 10 all_ready
    assert_eq "$(events instance.exit)" 0 "instances that ended"
    assert_eq "$(container_id project-app-1)" "$before" "the container"
    kill_all_of_daruma
    becomes 10 '! curl -s "$url/"'
    assert_eq "$(docker inspect -f '{{.State.Running}}' project-app-1)" true "the container after daruma's death"
    up
    wait_for 10 all_ready
    assert_eq "$(container_id project-app-1)" "$before" "the container"
    assert_eq "$(docker ps -aq | wc -l)" 1 "containers"
    assert_eq "$(http_status "$url/")" 200
}

# While daruma is there the Engine starts nothing again; when nothing of daruma is left, it does what the file says.
story_the_restart_policy_of_the_file_is_what_daruma_leaves_behind() {
    engine_start
    containers
    up
    assert_eq "$(docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' project-app-1)" always "the Engine's policy"
    local n
    for n in 1 2 3; do
        curl -s "$url/crash" >/dev/null || true
        becomes 10 '[[ $(instance app-1 .restarts) -eq $n ]]'
        wait_for 10 all_ready
    done
    assert_eq "$(instance app-1 .last_exit.status)" 1
    local before
    before=$(docker inspect -f '{{.RestartCount}}' project-app-1)
    [[ $before -le 1 ]] || fail "$before of 3 restarts were the Engine's, which may be faster once on a busy machine"
    kill_all_of_daruma
    kill -KILL "$(docker inspect -f '{{.State.Pid}}' project-app-1)"
    becomes 10 '[[ $(docker inspect -f "{{.RestartCount}}" project-app-1) -eq $((before + 1)) ]]'
    sed -i 's/restart: always/restart: on-failure:3/' compose.yaml
    up
    wait_for 10 all_ready
    becomes 5 '[[ $(docker inspect -f "{{.HostConfig.RestartPolicy}}" project-app-1) == "{on-failure 3}" ]]'
}

story_a_changed_file_replaces_the_container() {
    engine_start
    containers
    up
    sed -i 's/PORT: "8080"}/PORT: "8080", NEW: "1"}/' compose.yaml
    up
    becomes 10 '[[ $(docker ps -aq | wc -l) -eq 1 ]]'
    assert_contains "$(docker inspect -f '{{.Config.Env}}' "$(docker ps -aq)")" "NEW=1"
    assert_eq "$(http_status "$url/")" 200
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

story_an_out_of_memory_kill_is_named() {
    engine_start
    compose <<'END'
services:
  a: {image: "daruma/app:1", command: [/bin/busybox, tail, /dev/zero], mem_limit: 16m, restart: always}
END
    expect_exit 0 daruma up -d
    becomes 10 '[[ $(instance a-1 .last_exit.cause) == oom ]]'
}

story_the_health_check_of_an_image_counts() {
    engine_start
    printf '%s\n' "FROM daruma/app:1" \
        'HEALTHCHECK --interval=300ms --retries=2 CMD ["/bin/busybox", "test", "!", "-e", "/run/sick"]' >Dockerfile
    containers "    build: ."
    sed -i '/image: daruma/d; /healthcheck:/,/retries:/d' compose.yaml
    up
    assert_eq "$(instance app-1 .health)" healthy
    docker exec project-app-1 /bin/busybox touch /run/sick
    becomes 15 '[[ $(instance app-1 .last_exit.cause) == unhealthy ]]'
    wait_for 15 all_ready
    up # the file again: nothing is restarted, and the check stays
    assert_eq "$(instance app-1 .restarts)" 1
    assert_eq "$(instance app-1 .health)" healthy
}

story_a_health_check_that_hangs_is_a_failed_one() {
    engine_start
    containers
    sed -i 's,test: .*,test: ["CMD"\, "/bin/busybox"\, "sh"\, "-c"\, "test ! -e /run/sick || sleep 1000"],
        s/timeout: 5s/timeout: 300ms/' compose.yaml
    up
    docker exec project-app-1 /bin/busybox touch /run/sick
    becomes 15 '[[ $(instance app-1 .last_exit.cause) == unhealthy ]]'
    assert_contains "$(daruma events)" "unhealthy: the command took too long" "the event"
    wait_for 15 all_ready
}

# Someone who passes on what comes to a port, and can be ended.
between() { # PORT
    python3 - "$1" "$dir/e/sock" 2>/dev/null <<'END' &
import socket, sys, threading
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    try:
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    client = server.accept()[0]
    engine = socket.socket(socket.AF_UNIX)
    engine.connect(sys.argv[2])
    threading.Thread(target=pump, args=(client, engine), daemon=True).start()
    threading.Thread(target=pump, args=(engine, client), daemon=True).start()
END
    between=$!
}

story_what_happens_while_the_stream_of_events_is_cut_is_found_out() {
    engine_start
    containers
    local tcp
    tcp=$(free_port)
    between "$tcp"
    wait_for 5 curl -fs "http://127.0.0.1:$tcp/_ping"
    DOCKER_HOST=tcp://127.0.0.1:$tcp up
    kill -KILL $between
    wait $between 2>/dev/null || true
    docker kill project-app-1 >/dev/null
    sleep 0.5 # the event is over
    between "$tcp"
    becomes 15 '[[ $(instance app-1 .restarts) -eq 1 ]]'
    wait_for 15 all_ready
    assert_eq "$(http_status "$url/")" 200
    assert_eq "$(instance app-1 .last_exit.cause)" killed
}

story_an_engine_that_is_killed_in_the_middle_of_up_is_waited_for() {
    engine_start
    containers "    deploy: {replicas: 5}"
    (expect_exit 0 daruma up -d) &
    local up=$!
    becomes 10 '[[ -n $(docker ps -aq) ]]'
    engine_stop KILL
    engine_launch || fail "dockerd does not start again: $(tail -n 1 "$dir/e/log")"
    wait $up || fail "$(cat out err)"
    wait_for 30 all_ready
    assert_eq "$(docker ps -q | wc -l)" 5 "running containers"
    expect_exit 0 daruma down
    assert_eq "$(docker ps -aq | wc -l)" 0 "containers after down"
}

story_a_name_that_is_taken_is_told_and_a_second_up_mends_it() {
    engine_start
    docker create --name taken daruma/app:1 /app >/dev/null
    containers "    container_name: taken"
    expect_exit 1 daruma up -d --wait-timeout 60s # which says what it waits for
    assert_contains "$(cat err)" "cannot create the container taken"
    assert_contains "$(cat err)" "already in use"
    assert_contains "$(cat err)" "tried again until"
    docker rm taken >/dev/null
    up
    assert_eq "$(http_status "$url/")" 200
}

story_a_full_disk_while_building_is_told() {
    mkdir -p "$dir/small"
    [[ $(id -u) -ne 0 ]] || mount -t tmpfs -o size=40m tmpfs "$dir/small"
    engine_data=$dir/small
    engine_start
    printf 'FROM daruma/app:1\nRUN ["/bin/busybox", "dd", "if=/dev/zero", "of=/large", "bs=1M", "count=64"]\n' >Dockerfile
    compose <<'END'
services:
  a: {build: .}
END
    expect_exit 1 daruma up -d
    engine_stop
    umount -l "$dir/small"
    assert_contains "$(cat out err)" "cannot build the image project-a"
    assert_contains "$(cat out err)" "o space left on device"
}

story_a_user_who_may_not_use_the_engine_is_told() {
    engine_start
    containers
    chmod a+x "${dir%/*}"
    chmod 755 "$dir" "$dir/e"
    mkdir "$dir/nobody"
    chown nobody "$dir/nobody"
    expect_exit 1 env DARUMA_RUN_DIR="$dir/nobody" setpriv --reuid nobody --clear-groups "$BUILD/daruma" up -d
    assert_contains "$(cat err)" 'no permission for the Docker Engine'"'"'s socket'
    assert_contains "$(cat err)" "add your user to its group"
}

story_a_user_of_the_engines_group_needs_no_more() {
    engine_start
    containers
    cp "$BUILD/daruma" "$dir/daruma"
    chmod a+x "${dir%/*}"
    chmod 755 "$dir" "$dir/e" "$dir/daruma"
    chgrp 12345 "$dir/e/sock"
    chmod 660 "$dir/e/sock"
    mkdir "$DARUMA_RUN_DIR"
    chown -R nobody "$DARUMA_RUN_DIR" "$PWD"
    as_user() { setpriv --reuid nobody --regid nogroup --groups 12345 "$dir/daruma" "$@"; }
    expect_exit 0 as_user up -d
    assert_eq "$(http_status "$url/")" 200
    docker kill project-app-1 >/dev/null
    becomes 10 '[[ $(instance app-1 .restarts) -eq 1 ]]'
    assert_eq "$(instance app-1 .last_exit.cause)" killed
    wait_for 10 all_ready
    expect_exit 0 as_user down
    assert_eq "$(docker ps -aq | wc -l)" 0 "containers after down"
}

# The networks of such an Engine are its own; whose it is, its socket tells.
story_what_an_engine_of_an_ordinary_user_cannot_reach_is_told() {
    engine_start
    containers
    chown nobody "$dir/e/sock"
    up
    assert_contains "$(cat err)" "(rootless), so the gateway has no way to the network of service \"app\""
    expect_exit 0 daruma down
    sed -i 's/    restart: always/&\n    network_mode: host/' compose.yaml
    up
    assert_lacks "$(cat err)" rootless
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

make_image_of_daruma() {
    engine_start
    make_demonstration_images
    docker build -q -t daruma:1 "$root" >out 2>&1 || fail "$(cat out)"
}

story_the_image_of_daruma_is_built() { # slow
    make_image_of_daruma
}

story_daruma_runs_in_a_container() { # slow
    make_image_of_daruma
    [[ $(docker image inspect -f '{{.Size}}' daruma:1) -lt 80000000 ]] || fail "the image is large"
    containers
    docker run -d --name daruma --network host -v "$dir/e/sock:/var/run/docker.sock" -v "$PWD:$PWD" -w "$PWD" \
        -e DARUMA_RUN_DIR=/run/daruma daruma:1 >/dev/null
    wait_for 20 curl -fs "$url/"
    local before
    before=$(docker inspect -f '{{.State.Pid}}' project-app-1)
    docker kill project-app-1 >/dev/null
    becomes 10 '[[ $(docker inspect -f "{{.State.Running}} {{.State.Pid}}" project-app-1) =~ true ]]'
    [[ $(docker inspect -f '{{.State.Pid}}' project-app-1) != "$before" ]] || fail "it is the same process"
    wait_for 10 curl -fs "$url/"
    docker exec daruma /bin/daruma ps >out
    assert_contains "$(cat out)" "SIGKILL (killed)"
    docker stop -t 20 daruma >/dev/null
    assert_eq "$(docker inspect -f '{{.State.ExitCode}}' daruma)" 0 "how daruma ended"
    assert_eq "$(docker ps -a --format '{{.Names}}')" daruma "what is left"
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

story_a_new_image_is_not_noticed() {
    engine_start
    containers "    deploy: {replicas: 2, update_config: {monitor: 500ms}}"
    up
    docker tag daruma/app:1 daruma/app:2
    load 100 60
    sleep 0.5
    sed -i 's|daruma/app:1|daruma/app:2|' compose.yaml
    expect_exit 0 daruma up -d
    assert_eq "$(docker ps --format '{{.Image}}' | sort -u)" daruma/app:2
    # An image that is not there: nothing is lost, and the old one stays.
    expect_exit 1 daruma deploy app --image daruma/app:3
    assert_contains "$(cat out)" "nothing was touched"
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_eq "$(docker ps --format '{{.Image}}' | sort | xargs)" "daruma/app:2 daruma/app:2"
    assert_eq "$(daruma deploy --history --json | jq -r 'map(.outcome) | join(", ")')" "deployed, failed"
    expect_exit 0 daruma down
}

story_what_an_image_is_made_from_makes_a_version_that_can_be_gone_back_to() {
    engine_start
    mkdir src
    echo one >src/page
    printf 'FROM daruma/app:1\nCOPY page /page\n' >src/Dockerfile
    containers "$(printf "    build: src\n    deploy: {update_config: {monitor: 0s}}")"
    sed -i '/image: daruma/d; s/    healthcheck:/    x-daruma: {deploy: {ready_timeout: 5s}}\n&/' compose.yaml
    page() { docker exec "$(docker ps -q)" /bin/busybox cat /page; }
    up
    expect_exit 0 daruma deploy app
    assert_contains "$(cat out)" "nothing has changed"
    echo two >src/page
    expect_exit 0 daruma up -d
    assert_eq "$(page)" two
    # The name means the new image, and the version before the old one, also for whoever comes after all of daruma.
    kill_all_of_daruma
    expect_exit 0 daruma up -d
    assert_eq "$(daruma deploy --history --json | jq length)" 1 "deploys"
    expect_exit 0 daruma rollback app
    assert_eq "$(page)" one
    expect_exit 0 daruma deploy app --build
    assert_eq "$(page)" two
    echo "COPY nothing /" >>src/Dockerfile
    expect_exit 1 daruma up -d
    assert_contains "$(cat out)" "nothing was touched"
    assert_eq "$(page)" two
    expect_exit 0 daruma down
}

# It works, and takes more and more memory, until the kernel ends it.
story_a_version_that_leaks_until_it_is_killed_is_undone() {
    engine_start
    containers "$(printf '    mem_limit: 24m\n    memswap_limit: 24m\n    deploy: {update_config: {monitor: 3s}}')"
    up
    load 100 60
    sed -i 's|command: .*|command: [/bin/busybox, sh, -c, "/app \& sleep 0.5; x=xxxxxxxx; while :; do x=$$x$$x; done"]|' compose.yaml
    expect_exit 3 daruma up -d
    end_load
    # A request that was alone with it when it died is suspected, and not tried again.
    assert_number "$(receipt .failed)" '<= 2' "failed probes"
    assert_contains "$(daruma deploy --history --json | jq -r '.[0].reason')" "(oom)"
    assert_eq "$(http_status "$url/")" 200
    expect_exit 0 daruma down
}
