# SPDX-License-Identifier: MIT
# Nobody is a single point of failure: the supervisor, or all of daruma at once, is killed, and whoever comes next takes over
# what runs.

pids() { daruma ps --json | jq -c 'map({(.instance): .pid}) | add'; }

# Every process of daruma: whatever runs this program and belongs to the story.
all_of_daruma() {
    local pid
    for pid in $(leftovers || true); do
        [[ $(readlink "/proc/$pid/exe") != "$(realpath "$BUILD/daruma")" ]] || echo "$pid"
    done
}

# They restore each other, so first none of them may be able to. Who is made meanwhile is found in the next round.
kill_all_of_daruma() {
    local all seen=
    while all=$(all_of_daruma) && [[ $all != "$seen" ]]; do
        # shellcheck disable=SC2086
        kill -STOP $all 2>/dev/null || true
        seen=$all
    done
    # shellcheck disable=SC2086
    kill -KILL $all
    becomes 5 '[[ -z $(all_of_daruma) ]]'
}

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

# 1 … N, each line once, over the death of whoever reads them.
story_no_log_line_is_lost_or_doubled_when_all_of_daruma_is_killed() {
    compose <<'END'
services:
  app:
    x-daruma:
      process:
        command:
          - perl
          - -e
          - '$$|=1; for $$i (1..4000) { print qq(line $$i\n); select undef,undef,undef,0.0005 } sleep 1000'
END
    up
    local i
    for i in 1 2 3; do
        sleep 0.3
        kill_all_of_daruma
        sleep 0.1
        up
    done
    becomes 10 '[[ $(daruma logs app | tail -n 1) == *"line 4000" ]]'
    daruma logs app | grep -o 'line [0-9]*' | cut -d' ' -f2 >numbers
    seq 4000 | diff - numbers >difference || fail "lines lost or doubled: $(head -n 20 difference)"
}
