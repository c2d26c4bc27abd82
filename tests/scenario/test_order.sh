# SPDX-License-Identifier: MIT
# Dependencies: what waits for what, on the way up, on the way down and after a crash.

# The services in the order of their first start.
started_order() {
    daruma events --json | jq -rs '[.[] | select(.kind == "instance.spawn") | .service] | reduce .[] as $s ([]; if index($s) then . else . + [$s] end) | join(" ")'
}

story_services_start_in_the_order_of_their_dependencies() { # sanitized
    compose <<'END'
services:
  page:
    x-daruma: {process: {command: [sleep, "1000"]}}
    depends_on:
      migrate: {condition: service_completed_successfully}
      cache: {condition: service_started}
  migrate:
    x-daruma: {process: {command: "sleep 0.3; echo migrated"}}
    depends_on:
      database: {condition: service_healthy}
  cache:
    x-daruma: {process: {command: [sleep, "1000"]}}
    depends_on: [database]
  database:
    x-daruma: {process: {command: "sleep 0.3; touch healthy; exec sleep 1000"}}
    healthcheck: {test: ["CMD", "test", "-e", "healthy"], interval: 1s, timeout: 1s}
END
    up
    assert_eq "$(started_order)" "database cache migrate page" "order of starts"
    local events
    events=$(daruma events --json | jq -rs 'map(
        if .kind == "instance.health" and .to == "healthy" and .service == "database" then "healthy"
        elif .kind == "instance.exit" and .service == "migrate" then "migrated"
        elif .kind == "instance.spawn" and (.service | IN("migrate", "page")) then "start-" + .service
        else empty end) | join(" ")')
    assert_eq "$events" "healthy start-migrate migrated start-page" "what waited for what"
    assert_eq "$(instance migrate-1 .restarts)" 0 "runs of the one-shot"

    expect_exit 0 daruma down
    becomes 5 nothing_left
}

story_a_service_whose_dependency_fails_is_not_started() {
    compose <<'END'
services:
  page:
    x-daruma: {process: {command: [touch, started]}}
    depends_on:
      migrate: {condition: service_completed_successfully}
  migrate:
    restart: "no"
    x-daruma: {process: {command: "echo cannot migrate; exit 5"}}
END
    expect_exit 1 daruma up -d
    [[ ! -e started ]] || fail "page was started although its dependency failed"
    assert_eq "$(instance page-1 .pid)" null "pid of page"
    assert_contains "$(daruma logs migrate)" "cannot migrate" "logs"
    assert_eq "$(daruma logs migrate --json | jq -r '"\(.instance) \(.stream): \(.text)"')" \
        "migrate-1 stdout: cannot migrate" "the same as JSON"
}

story_a_dependency_that_is_not_required_may_fail() {
    compose <<'END'
services:
  page:
    restart: "no"
    x-daruma: {process: {command: "touch started; exec sleep 1000"}}
    depends_on:
      extra: {condition: service_completed_successfully, required: false}
  extra:
    restart: "no"
    x-daruma: {process: {command: "exit 5"}}
END
    daruma up -d >out 2>err || true
    becomes 5 '[[ -e started ]]'
}

story_dependents_are_restarted_with_their_dependency() {
    compose <<'END'
services:
  follower:
    x-daruma: {process: {command: [sleep, "1000"]}}
    depends_on:
      leader: {condition: service_started, restart: true}
  bystander:
    x-daruma: {process: {command: [sleep, "1000"]}}
    depends_on:
      leader: {condition: service_started}
  leader:
    restart: always
    x-daruma: {process: {command: [sleep, "1000"]}}
END
    up
    local follower bystander
    follower=$(instance follower-1 .pid) bystander=$(instance bystander-1 .pid)
    kill_instance leader-1
    becomes 5 "all_ready && [[ \$(instance follower-1 .pid) != $follower ]]"
    assert_eq "$(instance bystander-1 .pid)" "$bystander" "process of the one that did not ask for it"
}

story_services_stop_in_the_reverse_order() {
    compose <<'END'
services:
  page:
    x-daruma: {process: {command: "trap 'echo page >>stopped; exit 0' TERM; touch page; while :; do sleep 0.05; done"}}
    depends_on: [database]
  database:
    x-daruma: {process: {command: "trap 'echo database >>stopped; exit 0' TERM; touch database; while :; do sleep 0.05; done"}}
END
    up
    becomes 5 '[[ -e page && -e database ]]'
    expect_exit 0 daruma down
    assert_eq "$(tr '\n' ' ' <stopped)" "page database " "order of stops"
}
