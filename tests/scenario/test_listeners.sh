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
