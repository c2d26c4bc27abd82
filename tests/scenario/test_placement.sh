# SPDX-License-Identifier: MIT
# Which instance a request goes to: shares, backups, keys, cookies, limits, and those that fail.

# `port` and `url`; services app (some instances), next and spare, and the route to them.
several() { # APP-REPLICAS APP-LINES ROUTE
    port=$(free_port)
    url=http://127.0.0.1:$port
    compose <<END
services:
  app: &app
    restart: always
    deploy: {replicas: $1}
    x-daruma: {process: {command: ["$app"], port: 5000}$2}
  next:
    <<: *app
    deploy: {replicas: 1}
  spare:
    <<: *app
    deploy: {replicas: 1}
x-gateway:
  listeners:
    - address: "127.0.0.1:$port"
      routes: [$3]
END
}

# Who answers COUNT requests on one connection, each with those curl options: "app-1 app-1 next-1 …", a line each.
servers() { # COUNT [CURL-OPTIONS…]
    local i count=$1
    shift
    for ((i = 0; i < count; i++)); do
        [[ $i -eq 0 ]] || echo next
        printf 'url = "%s/health"\nwrite-out = "%%{http_code} %%header{x-served-by}\\n"\noutput = /dev/null\n' "$url"
        for option; do echo "$option"; done
    done >requests
    curl -s -K requests | while read -r status server; do
        [[ $status == 200 ]] || server=$status
        echo "$server"
    done
}

# What the workers know of an instance: endpoint app-1 .errors
endpoint() { # INSTANCE FIELD
    curl_admin gateway | jq --arg name "$1" ".endpoints[] | select(.instance == \$name) | $2"
}

share() { grep -c "^$1-" || true; } # SERVICE

story_targets_get_their_shares_and_a_backup_gets_none() { # sanitized
    several 3 "" '{to: [{service: app, weight: 90}, {service: next, weight: 10}, {service: spare, weight: 100, backup: true}], balance: round_robin}'
    up
    servers 200 >seen
    assert_eq "$(sort seen | uniq -c | wc -l)" 4 "instances that served"
    assert_number "$(share next <seen)" '| . >= 18 and . <= 22' "next's share of 200 requests"
    assert_eq "$(share spare <seen)" 0 "the backup's share"
    # Without anybody else the backup does.
    expect_exit 0 daruma scale app=0 next=0
    assert_eq "$(servers 20 | sort -u)" spare-1
    expect_exit 0 daruma scale next=1
    becomes 5 '[[ $(servers 5 | sort -u) == next-1 ]]'
}

story_the_same_user_meets_the_same_instance_also_after_it_was_killed() {
    several 4 "" '{to: app, balance: {hash: {header: X-User}}, patience: {max: 0s}}' # on a busy machine, too
    up
    local user
    for user in {1..12}; do servers 3 "header = \"X-User: $user\"" | sort -u; done >before
    assert_eq "$(wc -l <before)" 12 "one instance for each user"
    assert_eq "$(sort -u before | wc -l)" 4 "instances that have users"
    kill_instance app-2
    becomes 5 '[[ $(instance app-2 .restarts) -ge 1 ]] && all_ready'
    for user in {1..12}; do servers 1 "header = \"X-User: $user\""; done >after
    cmp before after || fail "users have moved: $(diff before after)"
    # While one is away only its own users are elsewhere.
    expect_exit 0 daruma scale app=3
    for user in {1..12}; do servers 1 "header = \"X-User: $user\""; done >after
    assert_eq "$(diff before after | grep -c '^<')" "$(grep -c app-4 before)" "users that have moved"
}

story_a_cookie_keeps_a_browser_at_its_instance() { # sanitized
    several 3 "" '{to: app, sticky: {cookie: at, max_age: 1h}, balance: round_robin}'
    up
    curl -s -o /dev/null -c jar -D head "$url/health"
    local home gone
    home=$(tr -d '\r' <head | awk 'tolower($1) == "x-served-by:" { print $2 }')
    assert_contains "$(cat head)" "; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600" "the cookie"
    assert_eq "$(servers 20 "cookie = jar" | sort -u)" "$home" "the same browser"
    assert_eq "$(servers 60 | sort -u | wc -l)" 3 "instances for browsers without a cookie"
    # Over a restart of it the browser is served elsewhere, and comes back to where its last cookie says.
    gone=$home
    kill_instance "$gone" STOP
    home=$(curl -s -o /dev/null -b jar -c jar -w '%header{x-served-by}' "$url/health")
    [[ $home != "$gone" ]] || fail "it was served by the instance that hangs"
    assert_eq "$(servers 20 "cookie = jar" | sort -u)" "$home" "the same browser, at its new instance"
    kill_instance "$gone" CONT
}

story_more_than_an_instance_takes_waits_its_turn() {
    several 1 ", max_inflight: 1" '{to: app, hold: 60s, patience: {max: 0s}}'
    up
    local i begun took
    # While it is stopped the first request is in its hands, and nobody else's is.
    kill_instance app-1 STOP
    for i in {1..5}; do
        curl -s -o /dev/null -w '%{http_code}\n' "$url/slow?ms=100" >"status-$i" &
        clients[i]=$!
        becomes 5 "[[ \$(curl_admin gateway | jq '[.workers[].holding] | add') -eq $((i - 1)) ]]"
        becomes 5 '[[ $(endpoint app-1 .inflight) -eq 1 ]]'
    done
    begun=$(now_ms)
    kill_instance app-1 CONT
    wait "${clients[@]}"
    took=$(($(now_ms) - begun))
    assert_eq "$(sort -u status-*)" 200
    [[ $took -ge 500 ]] || fail "five requests of 100 ms took $took ms: more than one ran at a time"
    sed -i 's/hold: 60s/hold: 300ms/' compose.yaml
    up
    kill_instance app-1 STOP
    curl -s -o /dev/null "$url/health" &
    becomes 5 '[[ $(endpoint app-1 .inflight) -eq 1 ]]'
    assert_eq "$(http_status "$url/health" -D head)" 503 "who waits too long"
    assert_contains "$(tr A-Z a-z <head)" "retry-after:"
    kill_instance app-1 CONT
    wait $!
    assert_eq "$(instance app-1 .restarts)" 0 "restarts for the change of a limit"
}

story_a_fresh_instance_begins_slowly_but_not_when_it_is_alone() {
    several 1 "" '{to: [app, fresh], balance: round_robin}'
    sed -i "s|^x-gateway:|  fresh: {x-daruma: {process: {command: [\"$app\"], port: 5000}, slow_start: 300s}}\n&|" compose.yaml
    up
    servers 200 >seen
    assert_number "$(share fresh <seen)" '| . > 0 and . < 60' "its share of 200 requests"
    expect_exit 0 daruma scale app=0
    assert_eq "$(servers 20 | sort -u)" fresh-1 "who serves alone"
}

story_an_instance_that_fails_half_of_its_requests_is_left_out() {
    several 2 "" '{to: app, retry: {on: [error, timeout, http_500], attempts: 3}}'
    up
    load 200 60
    sleep 0.5
    assert_eq "$(http_status "http://$(instance app-1 .endpoint)/fail")" 200
    becomes 5 '[[ $(endpoint app-1 .ejected) -gt 0 && $(servers 20 | sort -u) == app-2 ]]'
    end_load
    assert_eq "$(receipt .failed)" 0 "failed requests"
    # Otherwise it would be some 250.
    assert_number "$(endpoint app-1 .errors)" '| . > 0 and . < 100' "failures of the sick instance"
    assert_eq "$(http_status "http://$(instance app-1 .endpoint)/well")" 200
    becomes 20 'servers 20 | grep -q app-1'
}
