# SPDX-License-Identifier: MIT
# The gateway as clients see it: bytes on sockets.

# Sends bytes to the gateway on a connection of its own and prints the status code of the first answer (empty: closed).
raw() { # BYTES (as printf understands them)
    exec 4<>"/dev/tcp/127.0.0.1/$port"
    # shellcheck disable=SC2059
    printf "$1" >&4
    timeout 5 head -n 1 <&4 | cut -d' ' -f2
    exec 4>&-
}

story_malformed_http_is_refused_and_reaches_no_instance() { # sanitized
    one_instance
    up
    local before
    assert_eq "$(http_status "$url/health")" 200
    before=$(daruma logs app | wc -l)
    # /crash would show itself in an instance's end.
    assert_eq "$(raw 'GET /crash HTTP/1.1\r\n\r\n')" 400 "no Host"
    assert_eq "$(raw 'GET /crash HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')" 400 "two Hosts"
    assert_eq "$(raw 'GET /crash HTTP/1.1\r\nHost : a\r\n\r\n')" 400 "space before the colon"
    assert_eq "$(raw 'GET /crash HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n')" 400 "a folded line"
    assert_eq "$(raw 'GET /crash HTTP/1.1\nHost: a\n\n')" 400 "bare line feeds"
    assert_eq "$(raw 'POST /crash HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n')" 400 "both lengths"
    assert_eq "$(raw 'POST /crash HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd')" 400 "two lengths"
    assert_eq "$(raw 'POST /crash HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n')" 400 "a negative length"
    assert_eq "$(raw 'POST /crash HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n')" 501 "an unknown coding"
    assert_eq "$(raw 'GET /crash HTTP/3.7\r\nHost: a\r\n\r\n')" 505 "an unknown version"
    assert_eq "$(raw 'nonsense\r\n\r\n')" 400 "no request at all"
    assert_eq "$(raw "GET /crash HTTP/1.1\r\nHost: a\r\nX: $(printf 'x%.0s' {1..100000})\r\n\r\n")" 431 "a header of 100 kB"
    assert_eq "$(http_status "$url/health")" 200 "afterwards"
    assert_eq "$(events instance.exit)" 0 "instances that a refused request reached"
    assert_eq "$(daruma logs app | wc -l)" "$before" "log lines of the instance"
}

story_connections_are_kept_alive_on_both_sides_across_a_kill() {
    two_instances
    up
    # One client connection for all of it: curl says how many it opened.
    (
        local i
        for i in {1..40}; do
            echo "url = $url/health?$i"
            echo "output = /dev/null"
        done
    ) >urls
    curl -s -K urls -w '%{http_code} %{num_connects}\n' --rate 20/s >answers 2>curl-err &
    local client=$!
    sleep 0.7
    kill_instance app1-1
    wait $client
    assert_eq "$(awk '$1 != 200' answers | wc -l)" 0 "answers other than 200"
    assert_eq "$(awk '{ n += $2 } END { print n }' answers)" 1 "connections that the client had to open"
}

story_a_handed_over_socket_keeps_connections_through_restarts() {
    one_instance
    sed -i 's/process: {command/process: {socket: true, command/' compose.yaml
    # Half a second passes between a kill and the next accept.
    sed -i "s|command: \[.*\]|command: \"sleep 0.5; exec $app\"|" compose.yaml
    up
    local direct
    direct=$(instance app-1 .endpoint)
    becomes 5 'daruma logs app | grep -q "serves the socket that it was given"'
    kill_instance app-1
    # Straight to the instance, without the gateway: the connection waits in the backlog of the same socket.
    if [[ $direct == unix:* ]]; then
        assert_eq "$(http_status http://app/health --unix-socket "${direct#unix:}")" 200 "an answer on the same socket"
    else
        assert_eq "$(http_status "http://$direct/health")" 200 "an answer on the same address"
    fi
    assert_eq "$(instance app-1 .endpoint)" "$direct" "endpoint"
    assert_eq "$(instance app-1 .restarts)" 1 "restarts"
}

story_a_request_is_held_for_ten_seconds_at_most_then_503() {
    two_instances
    # While there is a file `closed`, its instances begin and do not get ready.
    sed -i "s/hold: 10s/hold: 1s/; s|command: .*|command: [sh, -c, 'while [ -e $PWD/closed ]; do sleep 0.05; done; exec $app'], port: 5000}}|" compose.yaml
    up
    touch closed
    kill -KILL "$(instance app1-1 .pid)" "$(instance app2-1 .pid)"
    local begun took
    begun=$(now_ms)
    assert_eq "$(http_status "$url/" -D head)" 503
    took=$(($(now_ms) - begun))
    [[ $took -ge 950 && $took -lt 9000 ]] || fail "it was held for $took ms instead of 1 s"
    assert_contains "$(tr A-Z a-z <head)" "retry-after:" "the header"
}

story_tcp_services_are_reached_through_the_gateway() {
    with_redis
    port=$(free_port)
    compose <<END
services:
  redis:
    ports: ["127.0.0.1:$port:6379"]
END
    up
    assert_eq "$(redis-cli -p "$port" SET colour red)" OK
    assert_eq "$(redis-cli -p "$port" GET colour)" red
    local pid
    pid=$(instance redis-1 .pid)
    kill -KILL "$pid"
    # One that a dying process has still let in is lost; one that comes while it is away waits.
    becomes 5 "! kill -0 $pid 2>&-"
    assert_eq "$(timeout 10 redis-cli -p "$port" GET colour)" red "after a kill"
}

story_instances_learn_where_their_peers_are() {
    compose <<'END'
services:
  asks:
    restart: "no"
    depends_on: [my-redis]
    x-daruma: {process: {command: 'echo "peer $$MY_REDIS_HOST:$$MY_REDIS_PORT"; exec sleep 1000'}}
  my-redis:
    x-daruma: {process: {command: [sleep, "1000"], port: 6379}}
END
    expect_exit 0 daruma up -d --no-wait # my-redis never listens
    becomes 5 'daruma logs asks | grep -Eq "peer [0-9.]+:[0-9]+"'
}
