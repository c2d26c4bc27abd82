# SPDX-License-Identifier: MIT
# Ways to reach the gateway, and ways to reach services: the PROXY protocol with HAProxy and nginx at the other end, Unix
# sockets, IPv6.

need_haproxy() { command -v haproxy >/dev/null || skip "no haproxy"; }

# HAProxy in the background: what stands on standard input is its configuration, behind the usual defaults.
haproxy_runs() {
    {
        echo "global"
        echo "defaults"
        echo "    mode http"
        echo "    timeout connect 5s"
        echo "    timeout client 10s"
        echo "    timeout server 10s"
        cat
    } >haproxy.cfg
    haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
}

story_haproxy_tells_the_gateway_who_its_clients_are() { # sanitized
    need_haproxy
    # shellcheck disable=SC2016
    nginx_service 'location / { return 200 "$http_x_forwarded_for $http_x_forwarded_port\n"; }'
    local front=()
    front=("$(free_port)" "$(free_port)" "$(free_port)")
    compose <<END
services:
  web:
    x-daruma: {process: {command: "$nginx_command", port: 80}}
x-gateway:
  access_log: {path: access.log}
  listeners:
    - address: "127.0.0.1:$port"
      proxy_protocol: true
      proxy_from: 127.0.0.1
      routes: [{to: web}]
END
    up
    haproxy_runs <<END
listen v1
    bind 127.0.0.1:${front[0]}
    server gateway 127.0.0.1:$port send-proxy
listen v2
    bind 127.0.0.1:${front[1]}
    server gateway 127.0.0.1:$port send-proxy-v2
listen options
    bind 127.0.0.1:${front[2]}
    server gateway 127.0.0.1:$port send-proxy-v2 proxy-v2-options crc32c,unique-id
    unique-id-format %Ts
END
    local i
    for i in 0 1 2; do
        becomes 5 "[[ \$(http_status http://127.0.0.1:${front[i]}/ --interface 127.0.0.7) == 200 ]]"
        assert_eq "$(cat body)" "127.0.0.7 ${front[i]}" "front $i"
    done
    becomes 5 '[[ $(wc -l <access.log) -ge 3 ]]'
    assert_eq "$(jq -r .client access.log | sort -u)" 127.0.0.7 "the access log"
    # Who speaks without it, or may not speak it, is not served; both are counted.
    assert_eq "$(http_status "$url/")" 000 "without a header"
    assert_eq "$(http_status "$url/" --haproxy-protocol --interface 127.0.0.8)" 000 "from elsewhere"
    assert_eq "$(http_status "$url/" --haproxy-protocol)" 200 "curl's own header"
    assert_eq "$(curl_admin gateway | jq '[.workers[].limits.proxy] | add')" 2
}

story_nginx_and_haproxy_are_told_who_the_clients_are() {
    need_haproxy
    # shellcheck disable=SC2016
    nginx_service 'location / { return 200 "$proxy_protocol_addr\n"; } location /health { return 204; }' proxy_protocol
    local tcp
    tcp=$(free_port)
    cat >haproxy.tmpl <<'END'
defaults
    mode http
    timeout client 10s
frontend here
    bind 127.0.0.1:@PORT@ accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[dst_port]"
END
    compose <<END
services:
  web:
    x-daruma:
      proxy_protocol: v1
      process: {command: "$nginx_command", port: 80}
      healthcheck: http:///health
    healthcheck: {interval: 500ms, retries: 1}
  ha:
    x-daruma:
      proxy_protocol: v2
      process: {command: "sed s/@PORT@/\$\$PORT/ haproxy.tmpl >haproxy.cfg; exec haproxy -db -f haproxy.cfg", port: 80}
x-gateway:
  listeners:
    - address: "127.0.0.1:$port"
      routes: [{to: web}]
    - address: "127.0.0.1:$tcp"
      protocol: tcp
      routes: [{to: ha}]
END
    up
    becomes 10 all_ready
    assert_eq "$(http_status "$url/" --interface 127.0.0.7)" 200
    assert_eq "$(cat body)" 127.0.0.7 "what nginx reads"
    assert_eq "$(http_status "http://127.0.0.1:$tcp/" --interface 127.0.0.9)" 200
    assert_eq "$(cat body)" "127.0.0.9 $tcp" "what HAProxy reads"
    sed -i 's/proxy_protocol: v1/proxy_protocol: v2/' compose.yaml
    up
    becomes 10 all_ready
    assert_eq "$(http_status "$url/" --interface 127.0.0.8)" 200
    assert_eq "$(cat body)" 127.0.0.8 "version 2"
}

story_a_unix_socket_is_a_listener_like_any_other() { # sanitized
    # shellcheck disable=SC2016
    nginx_service 'location / { return 200 "$http_x_forwarded_for\n"; }'
    compose <<END
services:
  web:
    x-daruma: {process: {command: "$nginx_command", port: 80}}
x-gateway:
  listeners:
    - address: "unix:shop.sock"
      mode: "0640"
      routes: [{to: web}]
    - address: "127.0.0.1:$port"
      routes: [{to: web}]
END
    up
    local i
    for i in {1..3}; do assert_eq "$(curl -s --unix-socket shop.sock http://shop/)" unknown "who comes over a socket"; done
    assert_eq "$(stat -c %a shop.sock)" 640
    # Whoever comes over it may speak for others, if the file says so; its mode changes with the file.
    sed -i 's/"0640"/"0600"/; s/^x-gateway:/&\n  trusted_proxies: "unix:"/' compose.yaml
    up
    becomes 5 '[[ $(curl -s --unix-socket shop.sock http://shop/ -H "X-Forwarded-For: 192.0.2.1") == "192.0.2.1, unknown" ]]'
    assert_eq "$(stat -c %a shop.sock)" 600
    # What is not wanted any more is gone, file and all.
    sed -i '/unix:shop.sock/,+2d' compose.yaml
    up
    becomes 5 '[[ ! -e shop.sock ]]'
    assert_eq "$(http_status "$url/")" 200
}

story_a_stale_socket_is_replaced_and_a_living_one_is_not() {
    command -v python3 >/dev/null || skip "no python3"
    one_instance
    cat >>compose.yaml <<'END'
x-gateway:
  listeners:
    - address: "unix:shop.sock"
      routes: [{to: app}]
END
    echo precious >shop.sock
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "is there and no socket" "a file in its place"
    assert_eq "$(cat shop.sock)" precious
    rm shop.sock
    python3 -c 'import socket, time; s = socket.socket(socket.AF_UNIX); s.bind("shop.sock"); s.listen(); time.sleep(60)' &
    local other=$!
    becomes 5 '[[ -S shop.sock ]]'
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "compose.yaml:9:7: " "the place"
    assert_contains "$(cat err)" "another program listens there"
    kill -KILL "$other"
    wait "$other" 2>/dev/null || true
    [[ -S shop.sock ]] || fail "the other program's socket is gone"
    up
    assert_eq "$(http_status http://shop/health --unix-socket shop.sock)" 200
    expect_exit 0 daruma down
    [[ ! -e shop.sock ]] || fail "the socket outlived the project"
}

story_ipv6_beside_ipv4() {
    grep -q . /proc/net/if_inet6 2>/dev/null || skip "no IPv6"
    # shellcheck disable=SC2016
    nginx_service 'location / { return 200 "$http_x_forwarded_for|$http_forwarded\n"; }'
    compose <<END
services:
  web:
    x-daruma: {process: {command: "$nginx_command", port: 80}}
x-gateway:
  limits: {connections_per_source: 100}
  listeners:
    - address: "[::1]:$port"
      routes: [{to: web}]
    - address: "127.0.0.1:$port"
      routes: [{to: web}]
END
    up
    assert_eq "$(http_status "http://[::1]:$port/" -g)" 200
    assert_eq "$(cat body)" "::1|for=\"[::1]\";host=\"[::1]:$port\";proto=http"
    assert_eq "$(http_status "$url/")" 200
    assert_eq "$(cat body)" "127.0.0.1|for=127.0.0.1;host=\"127.0.0.1:$port\";proto=http"
    # An address that has a zone or is no address is told with its place.
    sed -i 's/\[::1\]/[::g]/' compose.yaml
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "is no address to listen at"
    assert_eq "$(http_status "http://[::1]:$port/" -g)" 200 "what was there before"
}

# Connections to a port of which the kernel has not told anybody yet: state SYN_RECV.
deferred() { # PORT
    grep -c ": 0100007F:$(printf %04X "$1") [0-9A-F:]* 03 " /proc/net/tcp || true
}

story_who_has_connected_is_taken_when_it_has_said_something() {
    local tcp_port
    tcp_port=$(free_port)
    port=$(free_port)
    url=http://127.0.0.1:$port
    compose <<END
services:
  web:
    ports:
      - "127.0.0.1:$port:5000"
      - {host_ip: 127.0.0.1, published: "$tcp_port", target: 5000, app_protocol: tcp}
    x-daruma: {process: {command: ["$app"]}}
END
    up
    exec 4<>"/dev/tcp/127.0.0.1/$port" 5<>"/dev/tcp/127.0.0.1/$tcp_port"
    assert_eq "$(deferred "$port") $(deferred "$tcp_port")" "1 0" "silent clients that are not taken yet: HTTP, TCP"
    printf 'GET / HTTP/1.0\r\n\r\n' >&4
    assert_contains "$(timeout 5 cat <&4)" "200 OK" "what it gets once it asks"
    # Who stays silent is taken all the same, and served whenever it speaks.
    exec 4<>"/dev/tcp/127.0.0.1/$port"
    becomes 5 '[[ $(deferred "$port") == 0 ]]'
    printf 'GET / HTTP/1.0\r\n\r\n' >&4
    assert_contains "$(timeout 5 cat <&4)" "200 OK" "what it gets later"
}
