# SPDX-License-Identifier: MIT
# The monkey and the monitor.

story_the_monkey_kills_and_says_whom_it_hit() { # sanitized
    two_instances
    up
    load 50 60
    expect_exit 0 daruma chaos kill --every 500ms --count 5 --seed 7
    assert_eq "$(grep -c 'app[12]-1' out)" 5 "victims named in: $(cat out)"
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_eq "$(events instance.exit '.signal == 9')" 5 "instances that were killed"
}

story_the_monkey_spares_the_last_healthy_instance() {
    one_instance
    up
    local pid
    pid=$(instance app-1 .pid)
    expect_exit 1 daruma chaos kill --count 1
    assert_contains "$(cat err)" "last"
    assert_eq "$(instance app-1 .pid)" "$pid" "its process"
    expect_exit 0 daruma chaos kill --count 1 --allow-last
    becomes 5 "[[ \$(instance app-1 .restarts) -eq 1 ]]"
}

story_the_monkey_asks_the_instance_itself() {
    two_instances
    up
    expect_exit 0 daruma chaos kill app1 --via /crash --count 1
    becomes 5 "[[ \$(instance app1-1 .restarts) -eq 1 ]]"
    assert_eq "$(instance app1-1 .last_exit.cause)" exit "cause of death"
    assert_eq "$(instance app2-1 .restarts)" 0 "restarts of the other"
}

# As /proc/PID/stat says: T is stopped.
process_state() { sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f1; } # PID

story_who_was_stopped_goes_on_in_time_whoever_was_killed() {
    two_instances
    up
    local first second
    first=$(instance app1-1 .pid)
    second=$(instance app2-1 .pid)
    # Who asked for it, and the supervisor.
    "$BUILD/daruma" chaos pause app1 --for 60s >monkey 2>&1 &
    becomes 5 '[[ $(process_state '"$first"') == T && $(instance app1-1 .state) == paused ]]'
    kill -KILL $!
    kill_supervisor
    assert_eq "$(process_state "$first") $(instance app1-1 .state)" "T paused" "the longer one, with another supervisor"
    # All of daruma: who comes next sees to it.
    "$BUILD/daruma" chaos pause app2 --for 400ms --allow-last >monkey 2>&1 &
    becomes 5 '[[ $(process_state '"$second"') == T ]]'
    kill_all_of_daruma
    up --no-wait
    becomes 5 '[[ $(process_state '"$second"') != T && $(instance app2-1 .state) == serving ]]'
    assert_eq "$(instance app2-1 .pid) $(instance app2-1 .restarts)" "$second 0" "its process and restarts"
    assert_eq "$(process_state "$first") $(instance app1-1 .state)" "T paused" "the longer one, after all of it was killed"
}

story_the_monkey_stops_one_and_says_when_it_goes_on() {
    two_instances
    up
    load 100 60
    expect_exit 0 daruma chaos pause --for 400ms --every 600ms --count 2
    assert_eq "$(grep -Ec 'stopped for 400 ms, back after [0-9.]+ m?s' out)" 2 "victims named in: $(cat out)"
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    expect_exit 2 daruma chaos kill --signal STOP
    # A stopped one ends like any other.
    "$BUILD/daruma" chaos pause app1 --for 60s >/dev/null 2>&1 &
    becomes 5 '[[ $(instance app1-1 .state) == paused ]]'
    expect_exit 1 daruma chaos kill app2 --count 1 # the other one is the last
    local begun
    begun=$(now_ms)
    expect_exit 0 daruma down
    assert_number $(($(now_ms) - begun)) '< 30000' "ms until all was down"
}

story_the_monitor_exits_4_when_the_goal_is_missed() {
    url=http://127.0.0.1:$(free_port)
    expect_exit 4 daruma watch "$url/" --rate 20 --duration 1s --slo 99.9
    expect_exit 4 daruma watch "$url/" --rate 20 --duration 1s --slo 99.9 --json
    assert_eq "$(jq .failed out)" 20 "failed probes"
    assert_eq "$(jq .sent out)" 20 "sent probes"
}

story_the_monitor_keeps_a_session() {
    two_instances
    with_redis
    up
    expect_exit 0 daruma watch "$url/" --rate 20 --duration 1s --slo 100 --session --json
    assert_eq "$(redis KEYS 'session:*' | grep -c .)" 1 "sessions that the monitor began"
}

story_the_demonstration_proves_its_point() {
    DEMO_SECONDS=6 DEMO_PORT=$(free_port) TMPDIR=$dir expect_exit 0 "$root/examples/indestructible/demo.sh"
    assert_contains "$(cat out)" "Not one request was lost."
    assert_contains "$(cat out)" "make test"
    becomes 5 nothing_left
}

story_the_interrupted_demonstration_leaves_nothing_behind() {
    DEMO_SECONDS=60 DEMO_PORT=$(free_port) TMPDIR=$dir setsid "$root/examples/indestructible/demo.sh" >out 2>err &
    local demo=$!
    becomes 15 'grep -q "✔ 200" out'
    kill -INT -- "-$demo" 2>/dev/null || kill -TERM "$demo"
    wait "$demo" || true
    becomes 10 nothing_left
}
