# SPDX-License-Identifier: MIT
#
# Both demonstrations as people write them (examples/containers), unchanged but for the ports and how often health is
# asked: with plain docker-compose, and with daruma, where everything that breaks is mended.
. "$root/tests/scenario/containers.sh"

# Copies it to ./, and moves the published ports to free ones: $front is nginx's, $direct that of an app.
demonstration() { # NAME FRONT DIRECT OTHERS…
    local published
    engine_start
    make_demonstration_images
    cp -r "$root/examples/containers/$1/." .
    for published in "${@:2}"; do
        port=$(free_port)
        sed -i "s/\"$published:/\"$port:/" docker-compose.yml
        [[ $published != "$2" ]] || front=http://127.0.0.1:$port
        [[ $published != "$3" ]] || direct=http://127.0.0.1:$port
        [[ $published != 9090 ]] || prometheus=http://127.0.0.1:$port
    done
    # A machine that is busy may be slow with starting Python, and is not to be waited for.
    sed -i '/start_period:/d; s/interval: .*s$/interval: 500ms\n      start_period: 20s/' docker-compose.yml
}

first_demonstration() { demonstration indestructible 8080 5001 5002 6379 9090; }
second_demonstration() { demonstration self-healing 8080 5000 6379; }

# Both ways to run a project end with this.
compose_shows() { # CONTAINERS…
    docker-compose ps >out 2>err || fail "docker-compose ps: $(cat err)"
    local container
    for container; do
        grep -q "^$container .* Up" out || fail "docker-compose ps does not show $container: $(cat out)"
    done
}

answers() { [[ $(http_status "$1") == 200 ]]; } # URL
scraped() { [[ $(curl -s "$prometheus/api/v1/query?query=sum(up)" | jq -r '.data.result[0].value[1]') == "$1" ]]; }

# The first one, so that the stories proper are not charged with it.
story_the_images_of_the_demonstrations_are_made() { # slow
    first_demonstration
    docker build -q -t app app >out 2>&1 || fail "$(cat out)"
}

story_docker_compose_runs_the_first_demonstration() { # slow
    first_demonstration
    docker-compose up -d >out 2>&1 || fail "$(cat out)"
    wait_for 15 answers "$front/"
    compose_shows nginx app1 app2 redis prometheus
    docker-compose down -v -t 1 >out 2>&1 || fail "$(cat out)"
}

story_docker_compose_runs_the_second_demonstration() { # slow
    second_demonstration
    docker-compose up -d >out 2>&1 || fail "$(cat out)"
    wait_for 15 answers "$front/"
    compose_shows gateway app redis
    docker-compose down -v -t 1 >out 2>&1 || fail "$(cat out)"
}

story_the_first_demonstration_runs_unchanged() { # slow
    first_demonstration
    up
    assert_eq "$(curl -s "$front/" | jq .hits)" 1 "visits"
    assert_eq "$(curl -s "$direct/" | jq -r '.instance, .hits' | xargs)" "instance-01 2" "who answered, and the visits"
    compose_shows app1 app2 redis prometheus
    wait_for 15 scraped 2
    expect_exit 0 daruma down -v
    assert_eq "$(docker ps -aq; docker network ls -q --filter name=project; docker volume ls -q)" "" "what is left"
}

story_a_killed_app_of_the_first_demonstration_costs_nothing() {
    first_demonstration
    up
    url=$direct
    load 20 5 --timeout 20s
    sleep 0.5
    docker kill app1 >/dev/null
    becomes 15 '[[ $(instance app1-1 .restarts) -eq 1 ]]'
    wait_for 15 all_ready app1-1
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed requests"
    # What it brought upon itself is answered once, to the one who asked.
    assert_eq "$(http_status "$direct/crash")" 502
    assert_eq "$(http_status "$direct/")" 200
    assert_eq "$(instance app1-1 .last_exit.cause)" exit
    assert_eq "$(instance app1-1 .restarts)" 2
    assert_eq "$(instance app2-1 .restarts)" 0
    # Through the front, which leads to both: one of them dies of it, not the other one, too.
    assert_eq "$(http_status "$front/crash")" 502
    wait_for 15 all_ready
    assert_eq "$(daruma ps --json | jq '[.[] | select(.service | startswith("app")) | .restarts] | add')" 3
}

story_what_docker_leaves_alone_is_mended_in_the_first_demonstration() {
    first_demonstration
    sed -i 's/^    restart: always/    restart: always\n    stop_grace_period: 500ms/' docker-compose.yml
    up
    # An unhealthy container.
    assert_eq "$(http_status "$direct/sick")" 200
    becomes 15 '[[ $(instance app1-1 .last_exit.cause) == unhealthy ]]'
    wait_for 15 all_ready app1-1
    # A frozen one.
    docker pause app1 >/dev/null
    becomes 20 '[[ $(instance app1-1 .restarts) -eq 2 ]]'
    wait_for 15 all_ready app1-1
    assert_eq "$(http_status "$direct/")" 200
    # The database, killed: its data is in a volume.
    docker kill redis >/dev/null
    becomes 15 '[[ $(instance redis-1 .restarts) -eq 1 ]]'
    wait_for 15 all_ready
    [[ $(curl -s "$direct/" | jq .hits) -ge 2 ]] || fail "the visits are lost"
}

story_the_second_demonstration_heals_itself() {
    second_demonstration
    up
    assert_eq "$(curl -s "$front/" | jq -r '.database, .hits' | xargs)" "connected 1"
    compose_shows app redis
    # The app ends with an error; the one who did it is told, and nobody else notices.
    assert_eq "$(http_status "$direct/kill")" 502
    assert_eq "$(http_status "$direct/")" 200
    assert_eq "$(instance app-1 .last_exit.status)" 1
    wait_for 10 answers "$front/"
    assert_eq "$(http_status "$front/kill")" 502
    wait_for 10 answers "$front/"
    assert_eq "$(instance app-1 .restarts)" 2
}

story_the_second_demonstration_survives_its_engine() {
    second_demonstration
    up
    engine_stop
    engine_launch || fail "dockerd does not start again: $(tail -n 1 "$dir/e/log")"
    wait_for 40 answers "$front/"
    wait_for 10 all_ready
    compose_shows app redis
}
