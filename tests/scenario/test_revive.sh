# SPDX-License-Identifier: MIT
# Nobody is a single point of failure: the supervisor, or all of daruma at once, is killed, and whoever comes next takes over
# what runs.

pids() { daruma ps --json | jq -c 'map({(.instance): .pid}) | add'; }

story_all_of_daruma_is_killed_and_up_takes_over_what_runs() { # sanitized
    two_instances
    up
    expect_exit 0 daruma scale app1=3
    wait_for 5 all_ready
    local before
    before=$(pids)
    kill_all_of_daruma
    up
    assert_eq "$(pids)" "$before" "processes"
    assert_eq "$(events instance.spawn)" 4 "starts, all of them before"
    assert_eq "$(events instance.exit)" 0 "ends"
    assert_eq "$(http_status "$url/")" 200
    expect_exit 0 daruma down
    nothing_left || fail "left behind: $(leftovers)"
}

story_what_died_while_nobody_was_there_is_started_again_once() {
    two_instances
    up
    local victim other
    victim=$(instance app1-1 .pid)
    other=$(instance app2-1 .pid)
    kill_all_of_daruma
    kill -KILL "$victim"
    up
    becomes 5 '[[ $(instance app1-1 .restarts) -eq 1 ]] && all_ready'
    assert_eq "$(instance app2-1 .pid)" "$other" "process of the one that lived"
    assert_contains "killed unknown" "$(instance app1-1 .last_exit.cause)" "cause of death"
}

story_a_file_that_changed_meanwhile_is_rolled_after_the_takeover() {
    two_instances
    up
    local app1
    app1=$(instance app1-1 .pid)
    kill_all_of_daruma
    sed -i 's/hostname: instance-02/&\n    environment: {VERSION: "2"}/' compose.yaml
    up
    becomes 10 'daruma ps --json | jq -e "[.[] | select(.service == \"app2\") | .instance] == [\"app2-2\"]"'
    assert_contains "$(curl -s "http://$(instance app2-2 .endpoint)/")" "version 2" "the new one's answer"
    assert_eq "$(instance app1-1 .pid)" "$app1" "process of what did not change"
    assert_eq "$(events instance.exit '.cause == "deploy" and .instance == "app2-1"')" 1 "the old one's end"
}

story_a_service_that_left_the_file_meanwhile_is_stopped() {
    compose <<'END'
services:
  stays: &sleeper
    x-daruma: {process: {command: [sleep, "1000"]}}
  goes: *sleeper
END
    up
    local pid
    pid=$(instance stays-1 .pid)
    kill_all_of_daruma
    sed -i '/goes/d' compose.yaml
    up
    becomes 5 '[[ $(daruma ps --json | jq -r "map(.service) | join(\" \")") == stays ]]'
    assert_eq "$(instance stays-1 .pid)" "$pid" "process of what stays"
    assert_eq "$(events instance.exit '.instance == "goes-1" and .cause == "stop"')" 1 "the other one's end"
}

story_down_ends_what_runs_without_a_supervisor() {
    two_instances
    up
    kill_all_of_daruma
    expect_exit 0 daruma down
    nothing_left || fail "left behind: $(leftovers)"
    expect_exit 1 daruma ps
}

sleepers() { { leftovers || true; } | xargs -I{} readlink /proc/{}/exe | grep -c '/sleep$\|/coreutils$'; }

# Whatever the state has become: it is said, and nothing runs twice.
story_a_damaged_state_doubles_nothing() {
    compose <<'END'
services:
  app: {x-daruma: {process: {command: [sleep, "1000"]}}}
END
    up
    local damage
    for damage in 'truncate -s 5000 state' 'head -c 100000 /dev/urandom >state' 'printf x | dd of=state bs=1 seek=8 conv=notrunc' \
        'dd if=/dev/urandom of=state bs=4096 seek=1 count=4000 conv=notrunc' 'rm state' 'echo {} >applied.json' 'rm applied.json'; do
        kill_all_of_daruma
        (cd "$DARUMA_RUN_DIR/project" && eval "$damage") 2>/dev/null
        up
        wait_for 5 all_ready
        assert_eq "$(sleepers)" 1 "instances after: $damage"
        [[ $damage != *random*state || $damage == dd* ]] || assert_contains "$(cat out)" "cannot be used" "what is said"
    done
}

story_the_supervisor_is_killed_again_and_again_and_nobody_notices() { # sanitized
    two_instances
    up
    local before kills
    before=$(pids)
    load 200 60
    for kills in {1..10}; do
        kill_supervisor
        sleep 0.1
    done
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_eq "$(pids)" "$before" "processes"
    assert_eq "$(events instance.spawn)" 2 "starts"
    # Whoever has taken over does what a supervisor does.
    kill_instance app1-1
    becomes 5 '[[ $(instance app1-1 .restarts) -eq 1 ]] && all_ready'
    assert_eq "$(events instance.exit '.cause == "killed"')" 1 "ends of instances"
    expect_exit 0 daruma down
    wait_for 5 nothing_left
}

# More often than its guard puts it back at once: then it takes a little longer, and the gateway goes on.
story_a_supervisor_that_is_killed_four_times_a_second_costs_no_request() {
    two_instances
    up
    load 200 170
    local kills
    for kills in {1..35}; do kill_supervisor; done
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_eq "$(events instance.exit)" 0 "instances that ended"
}

story_a_supervisor_that_hangs_is_replaced_within_a_second_or_so() {
    two_instances
    up
    local before began
    before=$(pids)
    began=$(now_ms)
    kill_supervisor STOP
    assert_number $(($(now_ms) - began)) '< 9000' "milliseconds until another one answers"
    assert_eq "$(pids)" "$before" "processes"
}

# At random ones, which are shown when it fails: "in NUMBER" or "out NUMBER" of the call.
story_killed_at_any_system_call_of_a_deploy_its_successor_finishes_it() {
    one_instance
    sed -i 's/restart: always/&\n    environment: {VERSION: "0"}\n    deploy: {update_config: {monitor: 20ms}}/' compose.yaml
    up
    local i killer pid
    for i in {1..4}; do
        rm -f killed
        pid=$(supervisor_pid)
        "$BUILD/bench/killat" $((RANDOM % 330 + 1)) "$pid" >killed 2>&1 &
        killer=$!
        becomes 5 'grep -q ready killed'
        sed -i "s/VERSION: .*/VERSION: \"$i\"}/" compose.yaml
        up
        kill $killer 2>/dev/null || true
        wait $killer || true
        grep -E '^(in|out) ' killed >>stops || true
        becomes 5 'all_ready && [[ $(daruma ps --json | jq length) -eq 1 ]]'
        assert_contains "$(curl -s --max-time 10 "$url/")" "version $i" "answer after $(paste -sd, stops)"
        assert_eq "$(daruma deploy --history --json | jq -r '.[-1] | "\(.outcome) \(.reason)"')" "deployed null" \
            "outcome after $(paste -sd, stops)"
    done
    assert_eq "$(daruma deploy --history --json | jq length)" 4 "receipts"
    expect_exit 0 daruma down
    wait_for 5 nothing_left
}

story_killed_at_any_system_call_of_up_the_next_up_finishes_it() {
    one_instance
    local i
    for i in 1 2 3; do
        "$BUILD/bench/killat" $((RANDOM % 1800 + 1)) "$BUILD/daruma" up -d >killed 2>&1 || true
        grep -E '^(in|out) ' killed >>stops || true
        up
        wait_for 5 all_ready
        assert_eq "$(http_status "$url/")" 200 "status after $(paste -sd, stops)"
        assert_eq "$({ leftovers || true; } | xargs -I{} readlink /proc/{}/exe | grep -c '/app$')" 1 \
            "instances after $(paste -sd, stops)"
        expect_exit 0 daruma down
        wait_for 5 nothing_left
    done
}

# Each running instance costs three of them. The guard has no more than the soft limit, its successors need what the first one had.
story_a_supervisor_with_all_the_descriptors_that_it_may_have_is_taken_over() {
    compose <<'END'
services:
  app: {restart: always, scale: 60, x-daruma: {process: {command: [sleep, "1000"]}}}
END
    ulimit -Sn 64
    ulimit -Hn 160
    expect_exit 1 daruma up -d
    assert_contains "$(cat err)" "too many open files; raise the limit"
    local before death
    before=$(pids | jq -c 'with_entries(select(.value))')
    assert_number "$(jq length <<<"$before")" '> 25' "instances that could be started"
    for death in 1 2; do
        kill_supervisor
        assert_eq "$(pids | jq --argjson before "$before" 'contains($before)')" true "all of them run after death $death"
    done
    assert_eq "$(events instance.exit '.pid > 0')" 0 "instances that ended"
    expect_exit 0 daruma down
    wait_for 5 nothing_left
}

# systemd-tmpfiles takes an exclusive lock of a folder before it removes what is old in it.
story_the_run_directory_is_not_cleared_of_what_is_old() {
    compose <<'END'
services:
  app: {x-daruma: {process: {command: [sleep, "1000"]}}}
END
    up
    local life
    for life in 1 2; do
        ! flock -n "$DARUMA_RUN_DIR/project" true || fail "in life $life nobody holds the folder"
        kill_supervisor
    done
    if [[ $(type -t systemd-tmpfiles) ]]; then
        echo "d $DARUMA_RUN_DIR 0700 - - 1ms" >clear.conf
        systemd-tmpfiles --clean "$PWD/clear.conf"
    fi
    assert_eq "$(instance app-1 .state)" serving
    expect_exit 0 daruma down
    flock -n "$DARUMA_RUN_DIR/project" true || fail "somebody still holds the folder"
}

failed_begins() { grep -c "^daruma: .*oo many open files" "$DARUMA_RUN_DIR/project/daruma.log"; }

# Whoever takes its place may lack something as well (with each limit something else), and dies of it, again and again: the gateway
# goes on with what it has.
story_a_supervisor_that_cannot_begin_leaves_the_gateway_alone() {
    export DARUMA_WORKERS=2
    two_instances
    up
    local guard workers descriptors less failed=0
    guard=$(curl_admin project | jq .guard)
    workers=$(worker_pids)
    descriptors=$(ls "/proc/$guard/fd" | sort -n | tail -n 1)
    prlimit --nofile=$((descriptors - 8)) --pid "$guard"
    kill -KILL "$(supervisor_pid)"
    for less in 8 22 23 24; do
        prlimit --nofile=$((descriptors - less)) --pid "$guard"
        becomes 5 "[[ \$(failed_begins) -ge $((failed + 2)) ]]"
        failed=$(failed_begins)
    done
    assert_eq "$(http_status "$url/")" 200
    # shellcheck disable=SC2086
    assert_eq "$(ps -o pid=,comm= -p "${workers//$'\n'/,}" | awk '/daruma-gw/ { print $1 }')" "$workers" "workers"
}

story_the_supervisor_and_its_guard_die_in_the_same_instant() {
    two_instances
    up
    local before
    before=$(pids)
    kill_together "$(curl_admin project | jq .guard)" "$(supervisor_pid)"
    # The gateway ends with who owns it; instances go on.
    becomes 5 '[[ -z $(all_of_daruma) ]]'
    up
    assert_eq "$(pids)" "$before" "processes"
    assert_eq "$(http_status "$url/")" 200
    assert_eq "$(events instance.exit)" 0 "instances that ended"
}

# What a successor knows of the file is the model: what files beside it said is in it, who was switched off is not.
story_for_a_successor_an_unchanged_file_is_unchanged() {
    printf 'A=1\n' >a.env
    compose <<END
services:
  app: {command: sleep 60, env_file: a.env, depends_on: {extra: {condition: service_started, required: false}}}
  extra: {command: sleep 60, profiles: [extra]}
END
    up
    local before
    before=$(pids)
    kill_supervisor
    expect_exit 0 daruma up -d
    assert_eq "$(pids)" "$before" "processes"
    assert_eq "$(events instance.spawn)" 1 "starts"
}

story_its_guard_is_restored_by_the_supervisor() {
    one_instance
    up
    local guard
    guard=$(curl_admin project | jq .guard)
    kill -KILL "$guard"
    becomes 5 '[[ $(curl_admin project | jq .guard) != '"$guard"' ]]'
    kill_supervisor
    assert_eq "$(events instance.exit)" 0 "instances that ended"
    expect_exit 0 daruma down
    wait_for 5 nothing_left
}

# What it was about to do, its successor does.
story_a_restart_and_a_down_survive_the_supervisor() {
    compose <<END
services:
  app: &app
    stop_grace_period: 5s
    x-daruma: {process: {command: 'trap "" TERM; while :; do sleep 0.1; done'}}
  crashes:
    restart: always
    x-daruma: {process: {command: 'exit 3'}}
END
    expect_exit 0 daruma up -d --no-wait
    becomes 10 '[[ $(instance crashes-1 .restarts) -ge 3 && $(instance crashes-1 .state) == waiting ]]'
    local restarts
    restarts=$(instance crashes-1 .restarts)
    kill_supervisor
    [[ $(instance crashes-1 .restarts) -ge $restarts ]] || fail "the restarts were forgotten"
    (daruma down -t 2 >down-out 2>&1; echo $? >down-status) &
    becomes 5 '[[ $(curl_admin project | jq -r .state) == stopping ]]'
    kill -KILL "$(supervisor_pid)"
    wait_for 10 nothing_left
    expect_exit 1 daruma ps
}

story_after_sigterm_nothing_is_resurrected() {
    local who
    for who in pid guard; do
        one_instance
        up
        kill -TERM "$(curl_admin project | jq ".$who")"
        wait_for 10 nothing_left
        sleep 0.3
        nothing_left || fail "it came back after SIGTERM to its $who: $(leftovers)"
    done
}

story_what_is_asked_of_a_supervisor_that_dies_its_successor_does() {
    compose <<'END'
services:
  app: {x-daruma: {process: {command: [sleep, "1000"]}}}
END
    up
    local supervisor guard
    sed -i 's/1000/1001/' compose.yaml
    supervisor=$(supervisor_pid) guard=$(curl_admin project | jq .guard)
    kill -KILL "$supervisor"
    kill -HUP "$guard"
    becomes 5 '[[ $(tr "\0" " " <"/proc/$(instance app-1 .pid)/cmdline") == "sleep 1001 " ]]'
    kill -KILL "$(supervisor_pid)"
    kill -TERM "$guard"
    wait_for 10 nothing_left
}

# What is started then has no record. It is told that its supervisor must not die; when that does, nothing runs twice.
story_what_a_full_disk_kept_from_being_known_is_ended() {
    [[ $(id -u) -eq 0 ]] || skip "only root can mount a disk that is full"
    compose <<'END'
services:
  app: {x-daruma: {process: {command: [sleep, "1000"]}}}
END
    mkdir -p "$DARUMA_RUN_DIR"
    mount -t tmpfs -o size=30m tmpfs "$DARUMA_RUN_DIR"
    up
    local pid
    pid=$(instance app-1 .pid)
    dd if=/dev/zero of="$DARUMA_RUN_DIR/full" bs=1M 2>/dev/null || true
    expect_exit 0 daruma scale app=3
    wait_for 5 all_ready
    assert_eq "$(events warning '.text | contains("cannot be kept")')" 1 "what is told of it"
    kill_supervisor
    wait_for 5 all_ready
    assert_eq "$(instance app-1 .pid)" "$pid" "process of the one that is known"
    assert_eq "$(sleepers)" "$(daruma ps --json | jq length)" "processes"
    expect_exit 0 daruma down
    wait_for 5 nothing_left
}

# A folder that cannot be written (a file system that became read-only, a run directory that somebody removed) is no reason to stay
# dead, and what is written goes on to be read, also by the next supervisor.
story_an_instance_comes_back_where_no_named_pipe_can_be_made() {
    compose <<'END'
services:
  app: {restart: always, x-daruma: {process: {command: 'n=0; while :; do n=$$((n + 1)); echo "line $$n of $$$$"; sleep 0.05; done'}}}
END
    up
    rm -r "$DARUMA_RUN_DIR/project/pipes"
    touch "$DARUMA_RUN_DIR/project/pipes"
    kill_instance app-1
    becomes 5 '[[ $(instance app-1 .restarts) -eq 1 ]] && all_ready'
    assert_eq "$(events project '.text | contains("no pipes could be made")')" 1 "what is told of it"
    local pid lines
    pid=$(instance app-1 .pid)
    becomes 5 'daruma logs app | grep -q "line 5 of $pid"'
    kill_supervisor
    lines=$(daruma logs app | grep -c "of $pid")
    becomes 5 '[[ $(daruma logs app | grep -c "of $pid") -gt $((lines + 5)) ]]'
    assert_eq "$(instance app-1 .pid)" "$pid" "process"
    expect_exit 0 daruma down
    wait_for 5 nothing_left
}

story_up_in_the_foreground_goes_on_to_show_what_happens() {
    compose <<'END'
services:
  app: {restart: always, x-daruma: {process: {command: 'while :; do echo alive; sleep 0.2; done'}}}
END
    "$BUILD/daruma" up >shown 2>&1 &
    local up=$!
    wait_for 5 all_ready
    kill_supervisor
    becomes 5 'grep -q "its successor took over" shown'
    kill_instance app-1
    becomes 5 'grep -q "app-1 started again" shown'
    kill -INT $up
    wait_for 10 nothing_left
    wait $up || fail "up ended with $?: $(cat shown)"
}

lines_logged() { daruma logs app | wc -l; }

# 1 … N, each line once, over the deaths of whoever reads them. The application writes until it is told to stop, so that each
# death comes while it does.
count_lines() { # COMMAND…
    compose <<'END'
services:
  app:
    x-daruma:
      process:
        command:
          - perl
          - -e
          - '$$| = 1; while (!-e q(stop)) { print qq(line ), ++$$i, qq(\n); select undef, undef, undef, 0.0005 } print qq(end\n); sleep 1000'
END
    up
    daruma logs -f --no-log-prefix app >followed &
    local death seen
    for death in 1 2 3 4; do
        seen=$(lines_logged)
        becomes 5 "[[ \$(lines_logged) -gt $seen ]]"
        "$@"
    done
    touch stop
    becomes 20 '[[ $(daruma logs app | tail -n 1) == *"| end" ]]'
    daruma logs app | sed 's/^.*| //' >lines
    seen=$(($(lines_logged) - 1))
    [[ $seen -ge 100 ]] || fail "only $seen lines were written, so little was proved"
    { seq -f 'line %.0f' "$seen"; echo end; } | diff - lines >difference || fail "lines lost or doubled: $(head -n 20 difference)"
}

story_no_log_line_is_lost_or_doubled_when_the_supervisor_is_killed() {
    count_lines kill_supervisor
    becomes 5 'cmp -s lines followed' # so it is for who follows them
}

kill_all_and_up() {
    kill_all_of_daruma
    up
}

story_no_log_line_is_lost_or_doubled_when_all_of_daruma_is_killed() {
    count_lines kill_all_and_up
}

story_who_follows_events_and_logs_goes_on_with_the_next_supervisor() {
    one_instance
    up
    daruma events -f --json >events &
    local events=$! logs
    daruma logs -f >lines &
    logs=$!
    becomes 5 '[[ -s events && -s lines ]]'
    kill_supervisor
    daruma kill app-1
    becomes 5 'grep -q "started again" events && [[ $(grep -c "serves 127" lines) -eq 2 ]]'
    assert_eq "$(jq .seq events | sort -n | uniq -d)" "" "events that were told twice"
    expect_exit 2 timeout 10 "$BUILD/daruma" logs -f nobody
    expect_exit 0 daruma down
    wait "$events" || fail "events -f ended with status $?"
    wait "$logs" || fail "logs -f ended with status $?"
    expect_exit 2 daruma logs nobody
    assert_contains "$(cat events)" '"to":"down"' "the events"
}

# What systemd hears, by the protocol of sd_notify(3).
story_the_service_manager_is_told() {
    one_instance
    # shellcheck disable=SC2016
    perl -MSocket -e 'socket(S, AF_UNIX, SOCK_DGRAM, 0); bind(S, sockaddr_un("notify")) or die; $| = 1;
        while (recv(S, $m, 4096, 0), defined $m) { print "$m\n" }' >heard &
    local manager=$! guard
    becomes 5 '[[ -S notify ]]'
    export NOTIFY_SOCKET=$PWD/notify WATCHDOG_USEC=400000
    up
    guard=$(curl_admin project | jq .guard)
    becomes 5 'grep -qx READY=1 heard'
    assert_contains "$(cat heard)" "MAINPID=$guard" "the main process"
    becomes 5 '[[ $(grep -cx WATCHDOG=1 heard) -ge 3 ]]'
    kill -KILL "$guard"
    becomes 5 '[[ $(curl_admin project | jq .guard) != '"$guard"' ]]'
    guard=$(curl_admin project | jq .guard)
    becomes 5 "grep -qx MAINPID=$guard heard"
    expect_exit 0 daruma down
    becomes 5 'grep -qx STOPPING=1 heard'
    kill $manager
}

story_the_systemd_unit_is_sound() {
    command -v systemd-analyze >/dev/null || skip "no systemd-analyze here"
    sed "s,/usr/local/bin/daruma,$BUILD/daruma," "$root/deploy/systemd/daruma@.service" >daruma@shop.service
    expect_exit 0 systemd-analyze verify "$PWD/daruma@shop.service"
    assert_eq "$(cat err)" "" "what systemd-analyze finds"
}
