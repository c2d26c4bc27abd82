# SPDX-License-Identifier: MIT
# From version to version while somebody asks all the time: not one answer may be missing.

deployable() { # [SERVICE-LINES] [X-DARUMA]
    port=$(free_port)
    url=http://127.0.0.1:$port
    compose <<EOF
services:
  app:
    ports: ["127.0.0.1:$port:5000"]
    restart: always
    environment: {VERSION: "1"}
    deploy: {replicas: 2, update_config: {monitor: 500ms}}
    x-daruma: {process: {command: ["$app"]}${2:+, $2}}
${1:-}
EOF
}

version() { sed -i "s/VERSION: \"[^\"]*\"/VERSION: \"$1\"/" compose.yaml; }

answers() { curl -s --max-time 10 "$url/" | grep -o 'version [^:]*'; }

story_a_new_version_is_not_noticed_while_the_monkey_is_at_work() { # sanitized
    deployable
    up
    load 100 60
    "$BUILD/daruma" chaos kill app --every 700ms --duration 5s --seed 7 >monkey 2>&1 &
    local monkey=$!
    sleep 0.5
    version 2
    expect_exit 0 daruma up -d
    assert_eq "$(answers)" "version 2"
    wait "$monkey" || true
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    grep -q SIGKILL monkey || fail "the monkey did nothing: $(cat monkey)"
    assert_eq "$(daruma deploy --history --json | jq -r '.[] | "\(.service) \(.from) \(.to) \(.outcome) \(.failed)"')" \
        "app 1 2 deployed 0"
}

story_a_version_that_ends_at_once_is_undone_and_nobody_sees_it() {
    deployable
    up
    load 100 60
    sed -i 's|x-daruma: .*|x-daruma: {process: {command: "echo no such table >\&2; exit 3", port: 5000}}|' compose.yaml
    expect_exit 3 daruma up -d
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_eq "$(answers)" "version 1"
    assert_eq "$(daruma deploy --history --json | jq -c '.[].log')" '["no such table"]' "the log of what failed"
    assert_eq "$(instance app-1 .restarts) $(instance app-2 .restarts)" "0 0" "restarts of the old version"
}

story_deploy_and_rollback_by_hand() {
    deployable
    up
    load 100 60
    assert_eq "$(answers)" "version 1"
    expect_exit 0 daruma deploy app --env VERSION=7
    assert_contains "$(daruma deploy --history app)" "version 1 → 2, deployed"
    assert_eq "$(answers)" "version 7"
    expect_exit 0 daruma rollback app
    assert_eq "$(answers)" "version 1"
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    expect_exit 2 daruma deploy nobody
    expect_exit 2 daruma deploy --history nobody
    expect_exit 2 daruma rollback app --to 9
    expect_exit 0 daruma deploy app --dry-run
    assert_eq "$(daruma deploy --history --json | jq length)" 2 "deploys"
    local receipt
    receipt=$(daruma deploy --history --json | jq '.[0]')
    assert_eq "$(jq '[.requests, .longest_gap_ms, .p99_ms.before, .p99_ms.meanwhile, .p99_ms.after] | map(. > 0) | all' \
        <<<"$receipt")" true "all is in $receipt"
    assert_eq "$(jq -r '.steps | map(.what) | join(", ")' <<<"$receipt")" "1 started, 1 retired, 1 started, 1 retired"
}

story_a_program_that_changed_makes_a_new_version_of_those_that_run_it() {
    cp "$app" ./program
    app=./program deployable "$(printf '  script:\n    x-daruma: {process: {command: "exec sh ./script.sh"}}')"
    echo 'exec sleep 1000' >script.sh
    sed -i 's/monitor: 500ms/monitor: 0s/' compose.yaml
    up
    expect_exit 0 daruma deploy app
    assert_contains "$(cat out)" "nothing has changed"
    cp program next && mv next program
    expect_exit 0 daruma up -d
    assert_eq "$(deploys)" "1 2 deployed"
    kill_supervisor # what the version was made from is known all the same
    expect_exit 0 daruma up -d
    touch script.sh
    expect_exit 0 daruma deploy script --dry-run
    assert_contains "$(cat out)" "script: changed"
    assert_eq "$(deploys)" "1 2 deployed"
    expect_exit 0 daruma deploy app --force
    assert_eq "$(deploys | tail -n 1)" "2 3 deployed"
}

story_a_deploy_turns_round_for_another_one() {
    deployable "" "deploy: {ready_timeout: 60s}"
    up
    expect_exit 0 daruma deploy app -d --env PORT=1 # listens where nobody looks
    becomes 5 '[[ $(daruma ps --json | jq length) == 3 ]]'
    expect_exit 0 daruma deploy app -d --env VERSION=2
    assert_contains "$(cat out)" "waits for the end of the deploy to version 2" "what it says"
    assert_eq "$(daruma deploy app -d --json --env VERSION=4 | jq '.[].behind')" 2 "whom it waits for"
    expect_exit 0 daruma deploy app --replace --env VERSION=3
    assert_eq "$(answers)" "version 3"
    assert_eq "$(daruma deploy --history --json | jq -r 'map(.outcome) | join(", ")')" "rolled back, deployed"
}

story_blue_green_has_no_moment_with_two_versions() {
    deployable "" "deploy: {strategy: blue-green, keep: 500ms}"
    up
    version 2
    "$BUILD/daruma" up -d >up.log 2>&1 &
    local deploying=$! seen="" now
    while kill -0 $deploying 2>/dev/null; do
        now=$(answers)
        [[ $seen == *"$now" ]] || seen="$seen, $now"
    done
    wait $deploying || fail "$(cat up.log)"
    assert_eq "${seen#, }" "version 1, version 2" "who answered"
}

story_a_canary_gets_more_and_more() {
    deployable "" "deploy: {strategy: canary, steps: [20, 50], dwell: 1s}"
    up
    load 100 80
    version 2
    expect_exit 0 daruma up -d
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_eq "$(shares)" "20 % 50 % 100 %" "the shares"
    local fresh
    fresh=$(receipt '.instances | (."app-3" // 0) + (."app-4" // 0)')
    [[ $fresh -gt 30 && $fresh -lt $(receipt .sent) ]] || fail "of $(receipt .sent) probes $fresh went to the new version"
}

story_a_canary_keeps_clients_with_a_cookie_at_their_version() {
    deployable "" "deploy: {strategy: canary, steps: [50], dwell: 60s}"
    sed -i "s/    ports: .*/    expose: [5000]/; s/monitor: 500ms/monitor: 50ms/" compose.yaml
    echo "x-gateway: {listeners: [{address: \"127.0.0.1:$port\", routes: [{path: /, to: app, sticky: at}]}]}" >>compose.yaml
    up
    expect_exit 0 daruma deploy app -d --env VERSION=2
    becomes 5 '[[ $(daruma events --json | jq -r .text) == *"gets 50 %"* ]]'
    client() { curl -s --max-time 10 -b "$1" -c "$1" "$url/" | grep -o 'version [^:]*'; } # JAR
    local i
    for i in {1..12}; do client "jar.$i" >>first; done
    for i in {1..12}; do client "jar.$i" >>second; done
    assert_eq "$(sort -u first | paste -sd' ')" "version 1 version 2" "who answered new clients"
    assert_eq "$(cat second)" "$(cat first)" "who answered them again"
    expect_exit 0 daruma rollback app
    assert_eq "$(client "jar.$(grep -n 'version 2' first | head -n 1 | cut -d: -f1)")" "version 1" "after going back"
}

story_a_version_that_fails_now_and_then_is_found_out() {
    app=$BUILD/bench/app
    deployable "" "deploy: {strategy: canary, steps: [10, 50], dwell: 20s}"
    up
    load 400 80
    expect_exit 3 daruma deploy app --env FAULTY=20
    end_load
    assert_contains "$(daruma deploy --history)" "it fails more"
    assert_eq "$(receipt .failed)" 0 "failed probes: the old version was asked instead"
    assert_number "$(daruma deploy --history --json | jq '.[0].new.failures')" '>= 5' "failures that it was found out by"
    assert_eq "$(daruma ps --json | jq length)" 2 "instances"
}

story_a_version_that_nobody_asks_is_asked_by_the_deploy() {
    app=$BUILD/bench/app
    deployable
    up
    expect_exit 3 daruma deploy app --env FAULTY=60
    local receipt
    receipt=$(daruma deploy --history --json | jq '.[0]')
    assert_contains "$(jq -r .reason <<<"$receipt")" "(probes of /)"
    assert_number "$(jq .probes.new.failures <<<"$receipt")" '>= 5' "probes that failed"
    expect_exit 0 daruma deploy app --env DELAY_MS=1
    sed -i 's/x-daruma: {/x-daruma: {deploy: {probe: ""}, /' compose.yaml
    expect_exit 0 daruma deploy app --env FAULTY=60
    assert_eq "$(daruma deploy --history --json | jq '.[2].probes.new.answers')" 0 "probes that were not wanted"
}

kill_all_and_up() {
    kill_all_of_daruma
    expect_exit 0 daruma up -d --no-wait
}

deploys() { daruma deploy --history --json | jq -r '.[] | "\(.from) \(.to) \(.outcome)"'; }

story_a_deploy_outlives_the_supervisor_and_its_job_runs_once() {
    deployable "" 'deploy: {pre_deploy: "echo once >>jobs; sleep 2"}'
    up
    load 100 60
    version 2
    expect_exit 0 daruma up -d --no-wait
    becomes 5 '[[ -s jobs ]]'
    kill_supervisor
    assert_eq "$(daruma ps --json | jq -r 'map("\(.instance) \(.restarts)") | join(", ")')" "app-1 0, app-2 0" "instances"
    becomes 5 '[[ -n $(instance app-3 .pid) ]]' # some are new, some are not
    kill_supervisor
    becomes 10 '[[ $(deploys) == "1 2 deployed" ]]'
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_eq "$(answers)" "version 2"
    assert_eq "$(cat jobs)" once "runs of the job"
    assert_eq "$(events instance.exit '.cause != "deploy"')" 1 "ends, but for the deploy's: the job"
}

story_on_its_way_back_it_stays_on_it_when_the_supervisor_dies() {
    deployable "$(printf '    stop_grace_period: 4s')"
    up
    sed -i "s|command: .*|command: \"trap '' TERM; while :; do sleep 0.1; done\", port: 5000}}|" compose.yaml
    version 2
    expect_exit 0 daruma up -d --no-wait
    becomes 5 '[[ $(instance app-3 .state) == starting ]]'
    expect_exit 0 daruma rollback app -d
    becomes 5 '[[ $(instance app-3 .state) == stopping ]]'
    kill_supervisor
    becomes 10 '[[ $(deploys) == "1 2 rolled back" ]]'
    assert_eq "$(answers)" "version 1"
    assert_eq "$(daruma ps --json | jq -r 'map("\(.instance) \(.restarts)") | join(", ")')" "app-1 0, app-2 0" "instances"
}

story_taken_over_in_the_middle_it_still_goes_back_when_its_version_is_bad() {
    deployable
    up
    load 100 60
    sed -i 's|command: .*|command: "sleep 1; echo no such table >\&2; exit 3", port: 5000}}|' compose.yaml
    version 2
    expect_exit 0 daruma up -d --no-wait
    becomes 5 '[[ $(instance app-3 .state) == starting ]]'
    kill_supervisor
    becomes 5 '[[ $(deploys) == "1 2 rolled back" ]]'
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_contains "$(daruma deploy --history)" "no such table"
    assert_eq "$(daruma ps --json | jq -r 'map("\(.instance) \(.restarts)") | join(", ")')" "app-1 0, app-2 0" "instances"
}

story_what_a_canary_answered_before_a_takeover_still_counts() {
    app=$BUILD/bench/app
    deployable "" 'deploy: {strategy: canary, steps: [50], dwell: 60s, min_requests: 60, probe: ""}'
    sed -i 's/monitor: 500ms/monitor: 0s/' compose.yaml
    up
    expect_exit 0 daruma deploy app -d --env FAULTY=20
    becomes 5 '[[ $(shares) == "50 %" ]]'
    ask() { curl -s --max-time 10 -o answer "$url/?[1-80]"; }
    ask # about 40 of them of the new version, which are too few for a verdict
    kill_supervisor
    assert_eq "$(deploys)" "" "deploys that ended"
    ask
    becomes 5 '[[ $(deploys) == "1 2 rolled back" ]]'
    local receipt
    receipt=$(daruma deploy --history --json | jq '.[0]')
    assert_contains "$(jq -r .reason <<<"$receipt")" "it fails more"
    assert_number "$(jq .requests <<<"$receipt")" '>= 100' "requests"
    assert_number "$(jq .new.answers <<<"$receipt")" '>= 60' "answers of the new version"
    assert_eq "$(jq -r '.steps | map(.what) | join(", ")' <<<"$receipt")" "1 started, 50 %, went back, 1 retired"
}

story_the_versions_before_outlive_all_of_daruma() {
    deployable
    sed -i 's/replicas: 2/replicas: 1/; s/monitor: 500ms/monitor: 50ms/' compose.yaml
    up
    version 2
    up
    version 3
    up
    kill_all_of_daruma
    up
    expect_exit 0 daruma rollback app --to 1
    assert_eq "$(answers)" "version 1"
    kill_supervisor
    assert_eq "$(answers)" "version 1"
    expect_exit 0 daruma rollback app --to 3
    assert_eq "$(answers)" "version 3"
    expect_exit 2 daruma rollback app --to 9
    assert_eq "$(deploys | paste -sd,)" "1 2 deployed,2 3 deployed,3 1 deployed,1 3 deployed"
    # What nobody can go back to any more is not kept.
    local i
    for i in {4..13}; do
        version "$i"
        up
    done
    assert_number "$(ls "$DARUMA_RUN_DIR"/*/spec-*.json | wc -l)" '<= 12' "specs that are kept"
}

shares() { daruma events --json | jq -r 'select(.kind == "deploy") | .text' | grep -o '[0-9]* %' | paste -sd' '; }

story_a_canary_goes_on_at_its_step_after_all_of_daruma_was_killed() {
    deployable "" "deploy: {strategy: canary, steps: [20, 50], dwell: 600ms}"
    sed -i 's/monitor: 500ms/monitor: 50ms/' compose.yaml
    up
    version 2
    expect_exit 0 daruma up -d --no-wait
    becomes 5 '[[ $(shares) == "20 %" ]]'
    kill_all_of_daruma
    up
    becomes 5 '[[ $(deploys) == "1 2 deployed" ]]'
    assert_eq "$(shares)" "20 % 50 % 100 %" "the shares"
    assert_eq "$(answers)" "version 2"
}

# Those of the new version that the gateway places requests on.
fresh_in_rotation() {
    curl_admin gateway | jq '[.endpoints[] | select((.instance | IN("app-3", "app-4")) and (.draining | not))] | length'
}
switched() { events deploy '.text | test("gets 100 %")'; }

story_a_blue_green_one_does_not_switch_early_because_the_supervisor_died() {
    deployable "" "deploy: {strategy: blue-green, keep: 200ms}"
    sed -i 's/monitor: 500ms/monitor: 6s/' compose.yaml
    up
    version 2
    expect_exit 0 daruma up -d --no-wait
    becomes 5 'all_ready app-3 app-4'
    local death
    for death in kill_supervisor kill_all_and_up; do
        $death
        becomes 5 '[[ $(curl_admin gateway | jq ".endpoints | length") == 4 ]]'
        assert_eq "$(fresh_in_rotation) $(answers)" "0 version 1" "new ones in rotation, and who answers, after $death"
        assert_eq "$(switched)" 0 "switches before that was looked at"
    done
    becomes 10 '[[ $(deploys) == "1 2 deployed" ]]'
    assert_eq "$(answers) $(switched)" "version 2 1" "who answers, and switches"
}

# ---- the monkey in each phase ----

in_state() { becomes 5 "[[ \$(instance $1 .state) == $2 ]]"; } # INSTANCE STATE
gets() { becomes 5 "[[ \$(shares) == *'$1 %' ]]"; }            # SHARE
strike() { # INSTANCE…
    # shellcheck disable=SC2046
    kill -KILL $(daruma ps --json | jq '.[] | select(.instance | IN($ARGS.positional[])) | .pid // empty' --args "$@")
}

# Version 2 takes a moment to start. Upgraded connections hold app-2, which is spared until then, in its drain.
deploying_under_the_monkey() { # X-DARUMA-DEPLOY
    app=$BUILD/bench/app
    deployable "" "deploy: {$1}"
    sed -i "s/environment: {/&DELAY_MS: 20, /; s/monitor: 500ms/monitor: 300ms/" compose.yaml
    up
    load 100 60
    "$BUILD/bench/reconnect" "$port" 12 >upgraded &
    sed -i "s|command: .*\]}|command: \"sleep 0.2; exec $app\", port: 5000}|" compose.yaml
    version 2
    expect_exit 0 daruma up -d --no-wait
    in_state app-3 starting
    strike app-3 app-1 # while it starts
    in_state app-3 serving
    strike app-3 app-1 # while it is watched
}

# The last strike; then the deploy ends as if there had been none.
nobody_noticed() {
    in_state app-2 draining
    strike app-2 app-3
    becomes 10 '[[ $(deploys) == "1 2 deployed" ]]'
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes"
    assert_eq "$(daruma ps --json | jq length)" 2 "instances"
}

story_rolling_goes_on_when_the_monkey_strikes_in_each_phase() {
    deploying_under_the_monkey "strategy: rolling"
    nobody_noticed
}

story_blue_green_goes_on_when_the_monkey_strikes_in_each_phase() {
    deploying_under_the_monkey "strategy: blue-green, keep: 600ms"
    gets 100
    strike app-3 app-1 # while the old ones stay
    nobody_noticed
}

story_a_canary_goes_on_when_the_monkey_strikes_in_each_phase() {
    deploying_under_the_monkey "strategy: canary, steps: [50], dwell: 300ms"
    gets 50
    strike app-3 app-1
    gets 100
    strike app-3
    nobody_noticed
}
