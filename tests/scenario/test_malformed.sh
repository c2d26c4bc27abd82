# SPDX-License-Identifier: MIT
# Hostile clients and lying or ailing instances: everybody else is served as if they were not there. What becomes of each
# malformed message by itself stands in tests/unit/gateway/hostile.h.

ailing=$BUILD/bench/app

# Sends bytes on a connection of its own and prints the status of the first answer; empty when there is none.
raw() { # BYTES (as printf understands them)
    exec 4<>"/dev/tcp/127.0.0.1/$port"
    # shellcheck disable=SC2059
    printf "$1" >&4 2>/dev/null || true
    timeout 5 head -n 1 <&4 2>/dev/null | cut -d' ' -f2
    exec 4>&-
}

# Two instances; the first one can be made ill: fall_ill.
one_may_fall_ill() { # ILLNESS
    port=$(free_port)
    url=http://127.0.0.1:$port
    compose <<END
services:
  app1: &app
    restart: always
    environment: {ILLNESS: "$1"}
    x-daruma: {process: {command: ["$ailing"], port: 5000}}
  app2: *app
x-gateway:
  listeners:
    - address: "127.0.0.1:$port"
      routes: [{to: [app1, app2], connect_timeout: 1s, retry: {on: [error, timeout, http_500], attempts: 3}}]
END
}

fall_ill() { kill_instance app1-1 USR1; }

story_hostile_clients_do_not_disturb_others() { # sanitized
    one_instance
    up
    load 100 4
    local smuggled='GET /crash HTTP/1.1\r\nHost: t\r\n\r\n' i
    for i in 1 2 3 4 5; do
        assert_eq "$(raw "POST /health HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$smuggled")" \
            400 "length and coding"
        assert_eq "$(raw "POST /health HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n$smuggled")" \
            400 "two codings"
        assert_eq "$(raw "GET /health HTTP/1.1\r\nHost: t\r\nX: y\rContent-Length: 40\r\n\r\n$smuggled")" 400 "a bare CR"
        assert_eq "$(raw "CONNECT t:80 HTTP/1.1\r\nHost: t:80\r\n\r\n$smuggled")" 501 "CONNECT"
        assert_eq "$(raw 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')" 505 "HTTP/2"
        assert_eq "$(raw '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n')" 400 "TLS"
        head -c 200000 /dev/urandom >"/dev/tcp/127.0.0.1/$port" 2>/dev/null || true
    done
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed requests of others"
    assert_eq "$(events instance.exit)" 0 "instances that a smuggled /crash reached"
}

story_heads_that_never_end_do_not_disturb_others() {
    one_may_fall_ill well
    up
    "$BUILD/bench/hold" "$port" 1000 slow >held &
    local holder=$!
    becomes 20 'grep -q "ready 1000" held'
    load 200 3
    load_ended
    kill "$holder"
    assert_eq "$(receipt .failed)" 0 "failed requests of others"
    assert_number "$(receipt .latency_ms.p99)" '< 1000' "p99 of others"
}

# GETs at a rate at which the retry budget is no matter, while the first instance falls ill.
no_get_fails() { # ILLNESS
    one_may_fall_ill "$1"
    up
    load 50 4 --timeout 3s
    sleep 0.5
    fall_ill
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed GETs"
}

story_an_instance_whose_answers_are_errors_costs_no_get() {
    no_get_fails errors
}

story_an_instance_that_accepts_and_closes_costs_no_get() {
    no_get_fails closes
}

story_an_instance_that_sends_a_byte_a_second_costs_no_get() {
    no_get_fails drips
}

story_an_instance_that_nothing_reaches_costs_no_get() {
    no_get_fails dark
}
