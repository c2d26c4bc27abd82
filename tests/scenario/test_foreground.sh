# SPDX-License-Identifier: MIT
# `up` in the foreground, `down`, and who may run what twice.

foreground_up() {
    setsid "$BUILD/daruma" up >foreground 2>&1 &
    up=$!
    wait_for 10 all_ready
}

story_sigterm_to_up_leaves_no_process() { # sanitized
    two_instances
    foreground_up
    assert_eq "$(http_status "$url/")" 200
    kill -TERM $up
    wait $up || true
    becomes 10 nothing_left
    assert_eq "$(http_status "$url/")" 000 "an answer after the end"
}

story_ctrl_c_stops_in_order_and_leaves_no_process() {
    two_instances
    foreground_up
    becomes 5 'grep -q "serves 127.0.0.1" foreground' # logs are streamed
    kill -INT $up
    wait $up || true
    becomes 10 nothing_left
    assert_contains "$(cat foreground)" "SIGTERM: finishing" "what the instances said"
}

story_ctrl_c_counts_also_when_it_ends_who_reads() {
    one_instance
    mkfifo lines
    cat lines >/dev/null &
    local reader=$!
    setsid "$BUILD/daruma" up >lines 2>&1 &
    up=$!
    wait_for 10 all_ready
    kill -STOP $up
    kill -KILL $reader
    wait $reader || true
    kill -INT $up
    kill -CONT $up
    becomes 10 nothing_left
}

story_up_leaves_the_project_when_nobody_reads_it() {
    one_instance
    daruma up 2>err | head -n 1 >/dev/null || true
    assert_contains "$(cat err)" "the project goes on"
    wait_for 5 all_ready
    expect_exit 0 daruma down
}

story_ctrl_c_twice_stops_at_once() {
    compose <<'END'
services:
  deaf:
    stop_grace_period: 60s
    x-daruma: {process: {command: "trap '' TERM; while :; do sleep 0.1; done"}}
END
    foreground_up
    local begun
    begun=$(now_ms)
    kill -INT $up
    sleep 0.5
    kill -INT $up
    wait $up || true
    [[ $(($(now_ms) - begun)) -lt 30000 ]] || fail "it took $(($(now_ms) - begun)) ms"
    becomes 5 nothing_left
}

story_down_without_a_project_says_so() {
    compose <<'END'
services:
  idle: {x-daruma: {process: {command: [sleep, "1000"]}}}
END
    expect_exit 1 daruma down
    assert_contains "$(cat err)" "not running"
}

story_a_second_project_of_the_same_name_is_refused() {
    compose <<'END'
name: twin
services:
  idle: {x-daruma: {process: {command: [sleep, "1000"]}}}
END
    up
    local pid
    pid=$(instance idle-1 .pid)
    mkdir ../other
    sed 's/1000/2000/' compose.yaml >../other/compose.yaml
    cd ../other
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "$dir/project" "the refusal"
    cd ../project
    assert_eq "$(instance idle-1 .pid)" "$pid" "the first project's process"
}

story_down_finishes_requests_that_are_in_flight() {
    one_instance
    up
    curl -s "$url/slow?ms=2000" >slow &
    local slow=$!
    becomes 5 '[[ $(instance app-1 .in_flight) -eq 1 ]]'
    expect_exit 0 daruma down
    wait $slow
    assert_contains "$(cat slow)" '"slept_ms":2000' "the answer"
    becomes 5 nothing_left
}

# The command is in the background, and the first instance on its way down.
begin_down() {
    daruma down >down 2>&1 &
    down=$!
    becomes 5 '[[ $(daruma ps --json | jq -r ".[0].state") == stopping ]]'
}

end_down() { wait "$down" || fail "down ended with $?: $(cat down)"; }

story_down_is_done_also_when_an_up_follows_at_once() {
    compose <<'END'
services:
  slow:
    stop_grace_period: 1s
    x-daruma: {process: {command: "trap '' TERM; while :; do sleep 0.1; done"}}
END
    up
    begin_down
    up
    end_down
    assert_eq "$(instance slow-1 .state)" serving
}

story_a_second_down_is_as_patient_as_the_first() {
    compose <<'END'
services:
  slow:
    stop_grace_period: 60s
    x-daruma: {process: {command: 'trap "while [ ! -e go ]; do sleep 0.05; done; exit 0" TERM; while :; do sleep 0.05; done'}}
END
    up
    begin_down
    assert_eq "$(curl_admin down -d '{}' -o body -w '%{http_code}')" 202
    touch go
    end_down
    assert_contains "$(cat down)" "slow-1 exited with status 0"
}

# What is opened must not become a standard stream: the supervisor would close the project's lock with it.
story_closed_standard_streams_do_no_harm() { # sanitized
    one_instance
    daruma up -d <&- >&- 2>&- || true # it could not say what it did
    wait_for 5 all_ready
    assert_eq "$(http_status "$url/")" 200
    for command in ps events logs config; do
        ! daruma $command >/dev/full 2>err || fail "$command: what could not be written counts as done"
        assert_contains "$(cat err)" "daruma" "what is said of it"
    done
    expect_exit 0 daruma down <&-
    becomes 5 nothing_left
}

story_how_instances_end_is_known_whatever_signals_were_ignored() {
    one_instance
    env --ignore-signal=CHLD "$BUILD/daruma" up -d >/dev/null
    local ignored
    ignored=$(awk '/^SigIgn/ { print $2 }' "/proc/$(supervisor_pid)/status")
    [[ $((0x$ignored >> 16 & 1)) -eq 0 ]] || fail "the supervisor ignores SIGCHLD"
    curl -s "$url/kill" >/dev/null || true
    becomes 5 '[[ $(events instance.exit ".cause == \"exit\" and .status == 1") -ge 1 ]]'
}

story_up_d_does_not_wait_for_ever() {
    compose <<'END'
services:
  never:
    healthcheck: {test: ["CMD", "false"], interval: 1s, start_period: 1000s}
    x-daruma: {process: {command: "echo I am not ready; exec sleep 1000"}}
END
    expect_exit 1 daruma up -d --wait-timeout 1
    assert_contains "$(cat err)" "not ready after 1 s"
    assert_contains "$(cat err)" "never-1 is starting"
    assert_contains "$(cat err)" "I am not ready" "the last lines"
    assert_eq "$(instance never-1 .state)" starting "what runs goes on:"
}

story_up_d_tells_why_a_process_could_not_be_started() {
    compose <<END
services:
  big:
    x-daruma: {process: {command: [sleep, "1000"]}}
    env_file: [big.env]
END
    printf 'BIG=%0200000d\n' 1 >big.env
    local i
    for i in 1 2 3 4 5; do
        expect_exit 1 daruma up -d
        assert_contains "$(cat out)" "Argument list too long" "what up -d says"
        expect_exit 0 daruma down
    done
}

story_a_supervisor_that_hangs_does_not_hang_the_commands() {
    one_instance
    export DARUMA_HANG_MS=600000
    up
    local supervisor
    supervisor=$(curl_admin project | jq .pid)
    kill -STOP "$supervisor"
    expect_exit 1 timeout 60 "$BUILD/daruma" ps
    assert_contains "$(cat err)" "does not answer"
    assert_eq "$(http_status "$url/")" 200 "what the gateway answers meanwhile"
    kill -CONT "$supervisor"
    expect_exit 0 daruma ps
}

# As on a terminal: at_terminal COLUMNS COMMAND
at_terminal() { script -qec "stty cols $1; $2" /dev/null </dev/null | tr -d '\r'; }

story_a_terminal_gets_what_it_can_show() {
    one_instance
    up
    local ps="$BUILD/daruma ps" line
    assert_contains "$(TERM=xterm at_terminal 120 "$ps")" $'\e[' "with colours"
    assert_contains "$(TERM=xterm at_terminal 120 "$ps")" ENDPOINT
    assert_lacks "$(TERM=xterm NO_COLOR=1 at_terminal 120 "$ps")" $'\e[' "without colours"
    assert_lacks "$(TERM=dumb at_terminal 120 "$ps")" $'\e[' "with TERM=dumb"
    while IFS= read -r line; do
        [[ ${#line} -le 40 ]] || fail "too wide: $line"
    done < <(TERM=dumb at_terminal 40 "$ps")
    assert_lacks "$(TERM=dumb at_terminal 40 "$BUILD/daruma watch $url --rate 50 --duration 2s")" $'\e[' "what is drawn over"
}
