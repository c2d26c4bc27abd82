# SPDX-License-Identifier: MIT
# What Prometheus is told: over TCP, through a route of the gateway.

# The value of a series; nothing when there is none.
metric() { curl -s "$url/metrics" | grep -F "$1 " | cut -d' ' -f2; } # SERIES

story_prometheus_reads_what_is_counted_and_nothing_else() {
    command -v promtool >/dev/null || skip "no promtool"
    port=$(free_port) url=http://127.0.0.1:$port
    compose <<END
name: shop
services:
  app:
    restart: always
    deploy: {replicas: 2}
    x-daruma: {process: {command: ["$app"], port: 5000}}
x-gateway:
  listeners:
    - address: "127.0.0.1:$port"
      routes:
        - {path: /metrics, match: exact, to: "unix:$DARUMA_RUN_DIR/shop/admin.sock"}
        - {path: /, match: exact, to: app}
END
    up
    local i route
    for ((i = 0; i < 10; i++)); do curl -s "$url/" >/dev/null; done
    curl -s "$url/metrics" >metrics
    promtool check metrics <metrics >lint 2>&1 || fail "promtool: $(<lint)"
    route="{listener=\"127.0.0.1:$port\",route=\"1\",host=\"\",path=\"/\"}"
    assert_eq "$(metric "daruma_route_requests_total$route")" 10 "requests"
    assert_eq "$(metric 'daruma_instance_ready{service="app",name="app-2"}')" 1 "ready"
    assert_eq "$(metric 'daruma_project_state{state="ready"}')" 1 "the project's state"

    daruma kill app-1
    becomes 5 '[[ $(metric "daruma_instance_restarts_total{service=\"app\",name=\"app-1\"}") == 1 ]]'

    assert_eq "$(curl -s -o /dev/null -w '%{http_code}' -X POST "$url/v1/down")" 404 "the rest of the admin API"
    assert_eq "$(curl -s -o /dev/null -w '%{http_code}' -X POST "$url/metrics")" 405 "another method"
    assert_eq "$(curl -s -o /dev/null -w '%{http_code}' --path-as-is "$url/metrics/../v1/project")" 404 "a detour"

    # A scrape while the supervisor dies waits for the next one.
    kill -9 "$(curl_admin project | jq .pid)"
    assert_eq "$(metric "daruma_route_requests_total$route")" 10 "requests, told by the next supervisor"
}

story_the_rules_for_alerts_are_well_formed() {
    command -v promtool >/dev/null || skip "no promtool"
    promtool check config "$root/deploy/prometheus/prometheus.yml" >said 2>&1 || fail "$(<said)"
}
