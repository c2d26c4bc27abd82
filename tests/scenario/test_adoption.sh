# SPDX-License-Identifier: MIT
# The gateway's own processes are killed, and nobody who asks notices.

# Two workers and their guards are there.
gateway_is_whole() { [[ $(gateway_pids | wc -l) -eq 4 ]]; }

# Kills one of the gateway's processes and waits until it has a successor.
strike() { # PID [SIGNAL]
    kill "-${2:-KILL}" "$1"
    becomes 5 "! gateway_pids | grep -qx $1"
    wait_for 5 gateway_is_whole
}

a_random_one() { gateway_pids "${1:-}" | shuf -n 1; }

# Strikes COUNT of them at random, one every MS milliseconds, but never before the last one has its successor.
assassin() { # COUNT MS
    local session
    session=$(ps -o sid= -p "$(supervisor_pid)")
    "$BUILD/bench/assassin" "${session// /}" "daruma-g[wu]*[0-9]" "$1" "$2"
}

story_two_hundred_deaths_of_the_gateway_under_load_cost_nothing() { # slow
    recorders 2
    wait_for 5 gateway_is_whole
    begin_recorded_load
    assert_eq "$(assassin 200 40)" 200 "deaths"
    end_recorded_load
    assert_number "$(events gateway '.text | test("took over")')" '> 20' "adoptions that were told"
    assert_eq "$(events gateway '.text | test("dropped|both ended")')" 0 "losses that were told"
}

story_a_gateway_process_that_is_stopped_is_replaced_within_a_second() {
    export DARUMA_WORKERS=2
    two_instances
    up
    wait_for 5 gateway_is_whole
    load 200 60
    sleep 0.3
    local i begun
    for i in 1 2; do
        begun=$(now_ms)
        strike "$(a_random_one daruma-gw)" STOP
        assert_number $(($(now_ms) - begun)) '< 9000' "ms until a stopped worker was replaced"
        strike "$(a_random_one daruma-guard)" STOP
    done
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_number "$(receipt .latency_ms.max)" '< 9000' "the longest wait, in ms"
    assert_number "$(events gateway '.text | test("hung")')" '>= 2' "hung workers that were told of"
}

# What nobody can adopt is lost: the connections of that pair, and nothing else.
story_a_worker_and_its_guard_die_in_the_same_instant() {
    export DARUMA_WORKERS=1
    two_instances
    up
    becomes 5 '[[ $(gateway_pids | wc -l) -eq 2 ]]'
    load 200 60
    local death pids
    for death in 1 2 3; do
        sleep 0.2
        pids=$(gateway_pids)
        # shellcheck disable=SC2086
        kill_together $pids
        becomes 5 "[[ \$(events gateway '.text | test(\"have both ended\")') -eq $death ]]"
        assert_eq "$(http_status "$url/")" 200
    done
    end_load
    # Five or so are in flight at a time, on a busy machine more.
    assert_number "$(receipt .failed)" '< 150' "failed probes of $(receipt .sent)"
    assert_eq "$(events instance.exit)" 0 "instances that ended"
}

story_a_download_goes_on_where_it_stood() {
    export DARUMA_WORKERS=1
    port=$(free_port)
    head -c 20000000 /dev/urandom >file
    compose <<END
services:
  files:
    ports: ["127.0.0.1:$port:5000"]
    x-daruma: {process: {command: "exec python3 -m http.server \$\$PORT --bind 127.0.0.1"}}
END
    up
    # Who reads it stops now and then, until the last death, so that it is under way whenever the worker dies.
    cat >slow.py <<'PY'
import os, sys, time
while piece := sys.stdin.buffer.read(400000):
    sys.stdout.buffer.write(piece)
    if not os.path.exists("hurry"): time.sleep(0.3)
PY
    curl -s "http://127.0.0.1:$port/file" | python3 slow.py >got &
    local download=$!
    assert_eq "$(assassin 10 80)" 10 "deaths"
    kill -0 $download || fail "the download was over before the last death"
    touch hurry
    wait $download
    cmp file got || fail "what was downloaded is not what was there"
}

story_after_down_no_process_of_the_gateway_comes_back() {
    two_instances
    up
    local pids
    pids=$(gateway_pids)
    kill -KILL "$(a_random_one)"
    expect_exit 0 daruma down
    local pid
    for pid in $pids; do becomes 5 "! kill -0 $pid"; done
    wait_for 5 nothing_left
}
