# SPDX-License-Identifier: MIT
# Connections that are kept to instances, and instances that close them.

story_an_upstream_that_closes_kept_connections_costs_no_request() {
    command -v python3 >/dev/null || skip "no python3"
    nginx_service "keepalive_timeout 40ms; access_log $PWD/seen; location / { return 200 'well'; }"
    compose <<END
services:
  web:
    ports: ["127.0.0.1:$port:80"]
    x-daruma: {process: {command: "$nginx_command"}}
END
    up
    # Requests at just about the moment at which nginx closes the connection that the one before went on.
    cat >client.py <<'END'
import random, socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
f = s.makefile("rb")
for method in ("GET", "POST"):
    for i in range(40):
        s.sendall(f"{method} /{method}-{i} HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello".encode())
        status = f.readline()
        assert b" 200 " in status, (method, i, status)
        while f.readline().strip(): pass
        assert f.read(4) == b"well"
        time.sleep(random.uniform(0.0395, 0.0405))
print("all well")
END
    assert_eq "$(timeout 20 python3 client.py "$port" 2>&1)" "all well"
    becomes 5 '[[ $(grep -c "POST /" seen) -ge 40 ]]'
    assert_eq "$(grep -c "POST /" seen)" 40 "POSTs that nginx has seen"
}

story_an_upstream_that_ends_connections_after_three_requests_costs_none() {
    nginx_service 'keepalive_requests 3; location / { return 200 "well"; }'
    compose <<END
services:
  web:
    ports: ["127.0.0.1:$port:80"]
    x-daruma: {process: {command: "$nginx_command"}}
END
    up
    printf "url = $url/%s\noutput = /dev/null\n" {1..100} >urls
    assert_eq "$(curl -s -K urls -w '%{http_code}\n' | sort | uniq -c | xargs)" "100 200" "GETs"
    assert_eq "$(curl -s -K urls -d hello -w '%{http_code} %{num_connects}\n' | sort | uniq -c | xargs)" \
        "99 200 0 1 200 1" "POSTs, and the client's own connections"
    assert_eq "$(curl_admin gateway | jq '[.routes[].own_5xx] | add')" 0 "errors of the gateway's own"
}
