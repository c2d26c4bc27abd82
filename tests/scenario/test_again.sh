# SPDX-License-Identifier: MIT
# `up` again, scale and restart: what did not change is left alone, and what changes is not noticed.

pids() { daruma ps --json | jq -c 'map({(.instance): .pid}) | add'; }

story_up_again_changes_nothing_when_nothing_changed() { # sanitized
    two_instances
    up
    local before
    before=$(pids)
    up
    assert_eq "$(pids)" "$before" "processes"
    assert_eq "$(events instance.spawn)" 2 "starts"
}

story_up_again_replaces_only_the_service_that_changed() {
    two_instances
    up
    local before after
    before=$(pids)
    load 50 60
    sleep 0.3
    sed -i 's/hostname: instance-02/&\n    environment: {VERSION: "2"}/' compose.yaml
    up
    becomes 5 'all_ready && [[ $(curl -s "http://$(instance app2-2 .endpoint)/") == *"version 2"* ]]'
    after=$(pids)
    end_load
    assert_eq "$(jq '."app1-1"' <<<"$after")" "$(jq '."app1-1"' <<<"$before")" "process of app1"
    assert_eq "$(jq '."app2-1"' <<<"$after")" null "process of the first app2"
    assert_eq "$(receipt .failed)" 0 "failed probes"
}

story_up_again_stops_what_left_the_file_and_starts_what_came() {
    compose <<'END'
services:
  stays: &sleeper
    x-daruma: {process: {command: [sleep, "1000"]}}
  goes: *sleeper
END
    up
    local pid
    pid=$(instance stays-1 .pid)
    sed -i 's/goes/comes/' compose.yaml
    up
    becomes 5 '[[ $(daruma ps --json | jq -r "map(.service) | join(\" \")") == "comes stays" ]]'
    assert_eq "$(instance stays-1 .pid)" "$pid" "process of what stays"
}

story_a_broken_file_leaves_what_runs_alone() {
    two_instances
    up
    local before
    before=$(pids)
    echo "  nonsense: [" >>compose.yaml
    expect_exit 2 daruma up -d
    assert_eq "$(pids)" "$before" "processes"
    assert_eq "$(http_status "$url/")" 200
}

story_scaling_up_and_down_is_not_noticed() {
    one_instance
    up
    load 100 60
    sleep 0.3
    expect_exit 0 daruma scale app=4
    becomes 5 'all_ready && [[ $(daruma ps --json | jq length) -eq 4 ]]'
    # All of them get requests.
    becomes 5 '[[ $(for i in {1..12}; do curl -s -o /dev/null -D - "$url/" | grep -i ^x-served-by; done | sort -u | wc -l) -ge 3 ]]'
    expect_exit 0 daruma scale app=1
    becomes 5 '[[ $(daruma ps --json | jq length) -eq 1 ]]'
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
}

story_restart_of_a_service_is_not_noticed() {
    two_instances
    up
    local before
    before=$(instance app1-1 .pid)
    load 100 60
    sleep 0.3
    expect_exit 0 daruma restart app1
    becomes 8 "all_ready && [[ \$(instance app1-1 .pid) != $before ]]"
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
}

story_only_the_named_services_and_what_they_need_are_started() {
    compose <<'END'
services:
  page: {depends_on: [database], x-daruma: {process: {command: [sleep, "1000"]}}}
  database: {x-daruma: {process: {command: [sleep, "1000"]}}}
  other: {x-daruma: {process: {command: [sleep, "1000"]}}}
END
    up page
    assert_eq "$(daruma ps --json | jq -r '[.[] | select(.pid) | .service] | join(" ")')" "database page" "what runs"
}
