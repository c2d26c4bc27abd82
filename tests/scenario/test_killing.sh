# SPDX-License-Identifier: MIT
# The first demonstration: instances are killed, and nobody who asks notices.

story_killing_instances_in_turn_under_load_loses_no_get() { # sanitized
    two_instances
    up
    load 200 60
    local kills=7 victim=app1-1 i
    for ((i = 0; i < kills; i++)); do
        sleep 0.4
        wait_for 5 all_ready
        kill_instance $victim
        [[ $victim == app1-1 ]] && victim=app2-1 || victim=app1-1
    done
    becomes 5 "[[ \$(events instance.exit) -eq $kills ]]"
    end_load
    assert_number "$(receipt .sent)" '> 500' "probes sent"
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_number "$(curl_admin gateway | jq '[.routes[].retried] | add')" '> 0' "requests that had to be sent again"
    assert_eq "$(events instance.exit '.cause == "killed"')" $kills "deaths that were noticed"
}

story_a_single_killed_instance_makes_requests_wait_and_none_fail() { # sanitized
    one_instance
    # It takes 300 ms to start, so that requests must be held.
    sed -i "s|command: \[.*\]|command: \"sleep 0.3; exec $app\"|" compose.yaml
    up
    load 100 4
    sleep 0.5
    local i
    for i in 1 2 3; do
        wait_for 5 all_ready
        kill_instance app-1
        sleep 1
    done
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_number "$(receipt .latency_ms.max)" '> 250' "the longest wait, in ms"
    assert_number "$(receipt .latency_ms.max)" '< 6000' "the longest wait, in ms"
    assert_number "$(curl_admin gateway | jq '[.routes[].held] | add')" '> 0' "held requests"
}

story_a_killed_instance_is_started_again_within_milliseconds() {
    two_instances
    up
    local i
    for i in 1 2 3 4 5; do
        wait_for 5 all_ready
        kill_instance app1-1
        becomes 5 "[[ \$(instance app1-1 .restarts) -eq $i ]]"
    done
    # The fastest: what others take longer is the machine's doing.
    assert_number "$(daruma events --json | jq -s '[.[] | select(.kind == "instance.spawn" and .starts > 1) | .span_ms] | min')" \
        '< 25' "milliseconds from exit to exec"
}

story_killing_both_instances_at_once_makes_requests_wait() {
    two_instances
    up
    load 100 3
    sleep 0.8
    kill -KILL "$(instance app1-1 .pid)" "$(instance app2-1 .pid)"
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed probes"
}

story_a_post_is_never_executed_twice_while_instances_are_killed() {
    two_instances
    with_redis
    up
    # Each order has an id of its own, and the app counts how often it was executed.
    "$BUILD/daruma" watch "$url/orders/{n}" -X POST --data 1 --expect 201 --rate 400 --duration 60s --json >receipt 2>watch-err &
    load=$!
    local kills
    for kills in {1..8}; do
        wait_for 5 all_ready
        kill_instance "app$((kills % 2 + 1))-1"
        sleep 0.4
    done
    end_load
    local executed twice
    executed=$(redis KEYS 'order:*' | grep -c .)
    twice=$(redis EVAL "local n = 0 for _, k in ipairs(redis.call('KEYS', 'order:*')) do
        if tonumber(redis.call('GET', k)) > 1 then n = n + 1 end end return n" 0)
    assert_eq "$twice" 0 "orders that were executed twice"
    assert_number "$(receipt .sent)" '> 1000' "orders sent"
    [[ $(receipt .ok) -le $executed ]] || fail "$(receipt .ok) orders were acknowledged, $executed executed"
    # Only what was in flight on a victim may fail.
    [[ $(receipt .failed) -le $((4 * kills)) ]] || fail "$(receipt .failed) orders failed over $kills kills"
}

story_one_get_crash_ends_one_instance_and_costs_only_that_request() { # sanitized
    two_instances
    up
    assert_eq "$(http_status "$url/crash")" 502 "the answer to GET /crash"
    assert_eq "$(http_status "$url/")" 200 "the next request"
    wait_for 5 all_ready
    assert_eq "$(events instance.exit)" 1 "instances that ended"
    assert_eq "$(events instance.exit '.cause == "exit" and .status == 1')" 1 "instances that ended by themselves"
}

# With others in flight nobody can tell at the first death who it was: each is tried once more, and whoever sees the
# second death is answered 502 and kept out for a while. So it takes two instances at most, and costs no one else.
story_a_crash_among_other_requests_costs_only_that_request() {
    two_instances
    up
    load 200 3
    sleep 0.5
    assert_eq "$(http_status "$url/crash")" 502 "the answer to GET /crash"
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed probes of others"
    local ended
    ended=$(events instance.exit)
    ((ended >= 1 && ended <= 2)) || fail "$ended instances ended, not 1 or 2"
    wait_for 5 all_ready
}

story_a_crash_that_is_asked_for_again_and_again_never_takes_all_instances() {
    two_instances
    up
    local i
    for i in 1 2 3 4; do
        wait_for 10 all_ready
        http_status "$url/crash" >/dev/null
        assert_eq "$(http_status "$url/")" 200 "another request after crash $i"
    done
}

story_redis_is_killed_and_the_sessions_come_back() {
    two_instances
    with_redis
    up
    local i
    for i in 1 2 3; do curl -s -b jar -c jar "$url/" >page; done
    assert_contains "$(cat page)" "visit 3 of your session"
    kill_instance redis-1 STOP
    # A hung Redis delays one answer by its timeout, and no health check.
    assert_contains "$(curl -s -b jar "$url/")" "redis is away"
    kill_instance redis-1 KILL
    becomes 10 'curl -s -b jar "$url/" | grep -q "of your session"'
    assert_contains "$(curl -s -b jar "$url/")" "of your session"
    curl -s -b jar "$url/" >page
    [[ $(sed 's/.*visit \([0-9]*\) of your.*/\1/' page) -ge 4 ]] || fail "the session began anew: $(cat page)"
    assert_eq "$(events instance.exit '.service != "redis"')" 0 "instances of the app that ended"
}
