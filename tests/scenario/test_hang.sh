# SPDX-License-Identifier: MIT
# Instances that neither answer nor die.

story_an_instance_that_stops_for_two_seconds_twice_is_not_noticed() {
    two_instances
    up
    load 500 8
    for _ in 1 2; do
        sleep 1
        kill_instance app1-1 STOP
        sleep 2
        kill_instance app1-1 CONT
    done
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed probes: $(cat receipt)"
    # Without a second attempt a quarter of them would wait for up to 2 s. Other programs run on a test machine as well.
    assert_number "$(receipt .latency_ms.p99)" '<= 1000' "p99 in ms"
    assert_number "$(curl_admin gateway | jq '[.routes[].hedge_won] | add')" '>= 1' "second attempts that answered first"
    assert_eq "$(events instance.exit)" 0 "instances that ended"
    # Afterwards it works again.
    becomes 10 '[[ $(for i in 1 2 3 4 5 6 7 8; do curl -si '"$url"'/health; done) == *app1-1* ]]'
}

story_an_instance_that_answers_nobody_is_replaced() {
    # No health check: that requests on it are overdue is what leads to the question.
    two_instances '    stop_grace_period: 500ms'
    sed -i 's/process: {command/drain_timeout: 500ms, process: {command/' compose.yaml
    up
    load 100 60
    sleep 1
    kill_instance app1-1 STOP
    becomes 12 '[[ $(instance app1-1 .restarts) -eq 1 ]]'
    wait_for 5 all_ready
    end_load
    assert_eq "$(receipt .failed)" 0 "failed probes: $(cat receipt)"
    assert_eq "$(events instance.exit '.instance == "app1-1" and .cause == "hang"')" 1 "deaths by a hang"
    assert_eq "$(events instance.exit)" 1 "deaths"
}
