# SPDX-License-Identifier: MIT
# What clients may do: how slow, how many, how often, how much; and what happens when descriptors run out.

limited() { # LIMITS [GATEWAY-LINES]
    one_instance
    cat >>compose.yaml <<END
x-gateway:
  limits: $1
${2:-}
END
}

counted() { curl_admin gateway | jq "[.workers[].limits.$1] | add"; }

# Opens connections that send what is given and stay; descriptors in `held`.
hold_open() { # COUNT TEXT
    local i fd
    held=()
    for ((i = 0; i < $1; i++)); do
        exec {fd}<>"/dev/tcp/127.0.0.1/$port"
        held+=("$fd")
        [[ -z $2 ]] || printf '%b' "$2" >&"$fd"
    done
}

let_go() {
    local fd
    for fd in "${held[@]}"; do exec {fd}>&-; done
    held=()
}

connections() { curl_admin gateway | jq '[.workers[].connections] | add'; }

story_slow_clients_are_told_that_they_are_late() { # sanitized
    limited '{header_timeout: 700ms, body_timeout: 700ms, keep_alive: 700ms}'
    up
    hold_open 1 'GET / HTTP/1.1\r\nHost: t\r\n'
    assert_contains "$(timeout 5 cat <&"${held[0]}")" "HTTP/1.1 408 " "a head that never ends"
    let_go
    hold_open 1 'POST /health HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nabc'
    assert_contains "$(timeout 5 cat <&"${held[0]}")" "HTTP/1.1 408 " "a body that never ends"
    let_go
    hold_open 1 'GET /health HTTP/1.1\r\nHost: t\r\n\r\n'
    assert_contains "$(timeout 5 cat <&"${held[0]}")" "HTTP/1.1 200 " "a connection that is kept and then closed"
    let_go
    assert_eq "$(counted header_timeout) $(counted body_timeout) $(counted keep_alive)" "1 1 1" "what is counted"
}

story_one_address_gets_its_share_and_no_more() {
    limited '{connections_per_source: 4, requests_per_source: {rate: 1, per: 10s, burst: 5}}'
    up
    hold_open 4 ''
    becomes 5 '[[ $(connections) -ge 4 ]]'
    assert_eq "$(http_status "$url/health" -D head)" 429 "the fifth connection"
    assert_contains "$(cat head body)" "Retry-After: 1"
    # Another address is another matter.
    assert_eq "$(http_status "$url/health" --interface 127.0.0.2)" 200 "from elsewhere"
    let_go
    becomes 5 '[[ $(connections) -eq 0 ]]'
    local i codes=
    for i in {1..7}; do codes+="$(http_status "$url/health" -D head) "; done
    assert_eq "$codes" "200 200 200 200 200 429 429 " "a burst of 5"
    assert_number "$(tr -d '\r' <head | sed -n 's/^Retry-After: //p')" '<= 10' Retry-After
    assert_eq "$(counted source_connections) $(counted source_requests)" "1 2" "what is counted"
    # The file may change its mind while it runs, and services among each other know no such limit.
    sed -i '/^x-gateway/,$d' compose.yaml
    up
    becomes 5 '[[ $(http_status "$url/health") == 200 ]]'
}

story_heads_and_bodies_have_their_size() {
    limited '{header_size: 2k, header_count: 10, target_size: 100}'
    up
    local long
    long=$(head -c 3000 /dev/zero | tr '\0' x)
    assert_eq "$(http_status "$url/health" -H "X-Long: $long")" 431 "a long field"
    # shellcheck disable=SC2046
    assert_eq "$(http_status "$url/health" $(for i in {1..9}; do echo "-HX-$i:1"; done))" 431 "many fields"
    assert_eq "$(http_status "$url/${long:0:120}")" 414 "a long target"
    assert_eq "$(http_status "$url/health")" 200
    assert_eq "$(counted header_size)" 3
}

story_more_clients_than_there_is_room_for_are_told_so() {
    limited '{}' '  max_connections: 10'
    DARUMA_WORKERS=1 up
    # Who is idle, at the same worker, makes room; who is in the middle of a request does not.
    hold_open 10 ''
    becomes 5 '[[ $(connections) -eq 10 ]]'
    assert_eq "$(http_status "$url/health")" 200 "one more than there may be"
    assert_eq "$(counted made_room)" 1
    let_go
    becomes 5 '[[ $(connections) -eq 0 ]]'
    hold_open 10 'GET / HT'
    becomes 5 '[[ $(connections) -eq 10 ]]'
    becomes 5 '[[ $(http_status "$url/health" -D head) == 503 ]]'
    assert_contains "$(cat head)" "Retry-After: 1"
    assert_number "$(counted connections)" '>= 1' "what is counted"
    sed -i 's/max_connections: 10/max_connections: 4000000000/' compose.yaml
    up
    assert_contains "$(cat out err)" "compose.yaml:9:20: warning: 4000000000 connections are more than" "a promise too many"
    becomes 5 '[[ $(http_status "$url/health") == 200 ]]'
    let_go
}

# The ticks of CPU that a process has used, of 10 ms each.
ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }

# One answer with a length from a kept connection: its first line.
ask() { # DESCRIPTOR
    local line first='' length=0
    printf 'GET /health HTTP/1.1\r\nHost: t\r\n\r\n' >&"$1"
    while IFS= read -r -t 5 line <&"$1"; do
        line=${line%$'\r'}
        first=${first:-$line}
        [[ ${line,,} != content-length:* ]] || length=${line#*: }
        [[ -n $line ]] || break
    done
    read -r -t 5 -N "$length" <&"$1"
    echo "$first"
}

story_without_descriptors_the_gateway_serves_whom_it_has_and_does_not_spin() { # sanitized
    command -v prlimit >/dev/null || skip "no prlimit"
    one_instance
    DARUMA_WORKERS=1 up
    local worker before
    worker=$(worker_pids)
    hold_open 1 ''
    kept=${held[0]}
    assert_eq "$(ask "$kept")" "HTTP/1.1 200 OK"
    # None beyond those that it has: what comes now waits in the kernel's queue.
    local free=0
    while [[ -e /proc/$worker/fd/$free ]]; do free=$((free + 1)); done
    prlimit --nofile="$free:" --pid "$worker"
    curl -s -o waited -w '%{http_code}' --max-time 20 "$url/health" >status &
    becomes 5 '[[ $(curl_admin gateway | jq "[.workers[].accept_errors] | add") -gt 0 ]]'
    before=$(ticks "$worker")
    local i
    for i in {1..10}; do
        assert_eq "$(ask "$kept")" "HTTP/1.1 200 OK" "who was there before"
        sleep 0.05
    done
    assert_number $(($(ticks "$worker") - before)) '< 40' "ticks in half a second"
    assert_number "$(curl_admin gateway | jq '[.workers[].accept_errors] | add')" '< 500' "tries to accept"
    [[ ! -s status ]] || fail "it was served without a descriptor"
    prlimit --nofile=1000: --pid "$worker"
    becomes 5 '[[ $(cat status) == 200 ]]'
    let_go
}
