# SPDX-License-Identifier: MIT
# The second demonstration: what ends, hangs or falls ill is brought back.

self_healing() {
    cp "$root/examples/self-healing/compose.yaml" .
    sed -i "s|\.\./\.\./build/examples/app/app|$app|" compose.yaml
    export DEMO_PORT=${DEMO_PORT:-$(free_port)} DEMO_DATA=$dir/redis
    url=http://127.0.0.1:$DEMO_PORT
}

story_kill_exits_1_and_on_failure_brings_it_back() { # sanitized
    self_healing
    up
    assert_eq "$(curl -s "$url/" | jq -r .database)" connected
    assert_eq "$(http_status "$url/kill")" 502 "the answer to GET /kill"
    # The next request waits until the app is there again, and is answered.
    assert_eq "$(http_status "$url/")" 200
    assert_eq "$(jq .hits body)" 2 "hits, from before and after"
    assert_eq "$(instance app-1 .restarts)" 1 "restarts"
    assert_eq "$(instance app-1 '"\(.last_exit.cause) \(.last_exit.status)"')" "exit 1" "how it ended"
    assert_contains "$(daruma logs app)" "GET /kill: exiting with status 1" "logs"
    assert_contains "$(daruma ps)" "app-1" "ps"
    assert_eq "$(events instance.exit '.service == "app" and .status == 1')" 1 "exits in the events"
}

# While somebody is on the way a request waits; when nobody is, its client is told so.
story_nobody_waits_for_what_has_failed_for_good_or_was_stopped() {
    one_instance
    sed -i 's/restart: always/restart: "on-failure:1"/' compose.yaml
    up
    assert_eq "$(http_status "$url/kill")" 502 "the first death"
    assert_eq "$(http_status "$url/")" 200 "after the first death"
    assert_eq "$(http_status "$url/kill")" 502 "the second death"
    becomes 5 '[[ $(instance app-1 .state) == failed ]]'
    local begun
    begun=$(now_ms)
    assert_eq "$(http_status "$url/")" 503 "failed for good"
    assert_eq "$(http_status "$url/" -X POST)" 503 "failed for good"
    daruma restart app >/dev/null
    assert_eq "$(http_status "$url/")" 200 "brought back by hand"
    expect_exit 0 daruma scale app=0
    assert_eq "$(http_status "$url/")" 503 "scaled to nothing"
    assert_number $(($(now_ms) - begun)) '< 8000' "ms in all, less than one hold"
    expect_exit 0 daruma scale app=1
    assert_eq "$(http_status "$url/")" 200 "scaled up again"
}

story_the_app_waits_until_redis_is_healthy() {
    self_healing
    # Redis takes 700 ms before it listens.
    sed -i 's|mkdir -p|sleep 0.7; mkdir -p|' compose.yaml
    up
    local order
    order=$(daruma events --json | jq -rs '[.[] | select(.kind == "instance.spawn" or
        (.kind == "instance.health" and .to == "healthy")) | "\(.service):\(.kind)"] | map(select(. == "redis:instance.health" or . == "app:instance.spawn")) | join(" ")')
    assert_eq "$order" "redis:instance.health app:instance.spawn" "what came first"
    assert_eq "$(curl -s "$url/" | jq -r .database)" connected
}

story_an_instance_that_hangs_costs_no_request() {
    two_instances "" "          response_timeout: 300ms"
    up
    load 50 4 --timeout 10s
    sleep 0.8
    kill_instance app1-1 STOP
    sleep 2
    kill_instance app1-1 CONT
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_number "$(receipt .latency_ms.p90)" '< 1000' "p90 in ms"
}

story_a_hung_instance_is_found_ill_and_restarted() {
    two_instances '    healthcheck: {test: ["CMD-SHELL", "curl -fsS -o /dev/null http://$$HOST:$$PORT/health"], interval: 300ms, timeout: 300ms, retries: 2}
    stop_grace_period: 500ms' "          response_timeout: 300ms"
    sed -i 's/process: {command/drain_timeout: 500ms, process: {command/' compose.yaml
    up
    load 50 60 --timeout 10s
    sleep 0.5
    kill_instance app1-1 STOP
    becomes 8 "[[ \$(instance app1-1 .restarts) -eq 1 ]]"
    wait_for 5 all_ready
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_eq "$(instance app1-1 .last_exit.cause)" unhealthy "cause of death"
    assert_eq "$(instance app2-1 .restarts)" 0 "restarts of the other"
}

story_an_unhealthy_instance_is_drained_and_restarted() { # sanitized
    two_instances '    healthcheck: {test: ["CMD-SHELL", "curl -fsS -o /dev/null http://$$HOST:$$PORT/health"], interval: 200ms, timeout: 1s, retries: 2}'
    up
    # What it is working on when it falls ill is finished first.
    curl -s "http://$(instance app1-1 .endpoint)/sick" >/dev/null
    curl -s -D head -o slow "$url/slow?ms=1500" &
    local slow=$!
    load 50 60
    becomes 8 "[[ \$(instance app1-1 .restarts) -eq 1 ]]"
    wait_for 5 all_ready
    wait $slow
    end_load
    assert_contains "$(cat slow)" '"slept_ms":1500' "the answer to the slow request"
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_eq "$(instance app1-1 .last_exit.cause)" unhealthy "cause of death"
    assert_eq "$(events instance.state '.instance == "app1-1" and .to == "draining"')" 1 "drains"
}

story_an_unhealthy_instance_is_left_alone_when_the_file_says_so() {
    one_instance '    healthcheck: {test: ["CMD-SHELL", "curl -fsS -o /dev/null http://$$HOST:$$PORT/health"], interval: 100ms, timeout: 1s, retries: 2}'
    sed -i 's/x-daruma: {/x-daruma: {restart_unhealthy: false, /' compose.yaml
    up
    curl -s "$url/sick" >/dev/null
    becomes 5 "[[ \$(instance app-1 .health) == unhealthy ]]"
    assert_eq "$(http_status "$url/")" 200 "the last instance serves although it is ill"
    assert_eq "$(instance app-1 .restarts)" 0 "restarts"
}

story_a_crash_loop_never_spins_and_ends_in_failed() { # sanitized
    compose <<'END'
services:
  doomed:
    restart: on-failure:3
    x-daruma: {process: {command: "echo trying; exit 3"}}
END
    daruma up -d >out 2>err || true # it may be back before the first end
    becomes 30 '[[ $(instance doomed-1 .state) == failed ]]'
    assert_eq "$(instance doomed-1 .restarts)" 3 "restarts"
    assert_eq "$(daruma logs doomed | grep -c trying)" 4 "runs that its log shows"
    assert_contains "$(daruma ps)" "failed" "ps"
}

story_a_crash_loop_without_limit_slows_down() {
    compose <<'END'
services:
  doomed:
    restart: always
    x-daruma: {process: {command: "exit 3"}}
END
    daruma up -d >out 2>err &
    local up=$!
    becomes 5 '[[ $(instance doomed-1 .restarts) -ge 2 ]]'
    sleep 2
    assert_number "$(instance doomed-1 .restarts)" '< 12' "restarts within some seconds"
    kill $up 2>/dev/null || true
    wait $up || true
}

story_the_log_of_a_crashed_instance_is_there_afterwards() {
    compose <<'END'
services:
  job:
    restart: "no"
    x-daruma: {process: {command: "echo before the end; echo and a complaint >&2; exit 7"}}
END
    daruma up -d >out 2>err || true
    becomes 5 '[[ $(instance job-1 .last_exit.status) == 7 ]]'
    local logs
    logs=$(daruma logs job)
    assert_contains "$logs" "before the end" "logs"
    assert_contains "$logs" "and a complaint" "logs"
    assert_eq "$(events instance.exit '.instance == "job-1" and .status == 7')" 1 "exits in the events"
}

story_an_instance_that_ignores_sigterm_is_killed_on_time() {
    compose <<'END'
services:
  deaf:
    stop_grace_period: 700ms
    x-daruma: {process: {command: "trap '' TERM; echo deaf; while :; do sleep 0.1; done"}}
END
    up
    becomes 5 'daruma logs deaf | grep -q deaf'
    local begun took
    begun=$(now_ms)
    expect_exit 0 daruma down
    took=$(($(now_ms) - begun))
    [[ $took -ge 650 && $took -lt 9000 ]] || fail "down took $took ms with a grace period of 700 ms"
    becomes 5 nothing_left
}

story_processes_that_an_instance_leaves_behind_are_ended_too() {
    compose <<'END'
services:
  parent:
    x-daruma: {process: {command: "sleep 1000 & sleep 1000 & echo ready; wait"}}
END
    up
    becomes 5 'daruma logs parent | grep -q ready'
    kill_instance parent-1
    expect_exit 0 daruma down
    becomes 5 nothing_left
}
