# SPDX-License-Identifier: MIT
# HTTP through the gateway with other people's programs on both sides: curl, a WebSocket client, nginx.

story_several_services_behind_one_listener() { # sanitized
    port=$(free_port)
    url=http://127.0.0.1:$port
    echo '<!doctype html><h1>Closed for an hour</h1>' >closed.html
    compose <<END
services:
  shop: &app
    hostname: shop
    x-daruma: {process: {command: ["$app"], port: 5000}}
  api:
    <<: *app
    hostname: api
x-gateway:
  listeners:
    - address: "127.0.0.1:$port"
      routes:
        - {to: shop}
        - {host: api.example.org, to: api}
        - {host: "*.example.org", path: /api, strip: true, to: api, headers: {response: {set: {X-Stripped: "yes"}}}}
        - {host: old.example.org, redirect: {to: "https://new.example.org{path}", status: 301}}
        - {path: /ping, match: exact, respond: {body: "pong"}}
        - {path: /closed, maintenance: {file: closed.html, retry_after: 1h}}
END
    up
    served_by() { curl -s -o body -D - "$@" | tr -d '\r' | sed -n 's/^X-Served-By: //p'; }
    assert_eq "$(served_by "$url/health")" shop-1 "without a host"
    assert_eq "$(served_by "$url/health" -H 'Host: API.example.org:80')" api-1 "by host"
    assert_eq "$(served_by "$url/api/health" -H 'Host: www.example.org')" api-1 "by wildcard and path"
    assert_eq "$(http_status "$url/api/health" -H 'Host: www.example.org' -D head)" 200 "stripped"
    assert_contains "$(cat head)" "X-Stripped: yes"
    assert_eq "$(http_status "$url/a?b" -H 'Host: old.example.org' -D head)" 301
    assert_contains "$(cat head)" "Location: https://new.example.org/a?b"
    assert_eq "$(http_status "$url/ping")" 200
    assert_eq "$(cat body)" pong
    assert_eq "$(http_status "$url/x/..%2fclosed/it" --path-as-is -D head)" 503 "written otherwise"
    assert_contains "$(cat body)" "Closed for an hour"
    assert_contains "$(cat head)" "Retry-After: 3600"
    assert_eq "$(http_status "$url/../ping" --path-as-is)" 400 "above the root"
    # Maintenance begins and ends with the file; what is served meanwhile is not disturbed.
    sed -i "s|{to: shop}|{to: shop, maintenance: {body: soon}}|" compose.yaml
    up
    becomes 5 '[[ $(http_status "$url/health") == 503 ]]'
    assert_eq "$(cat body)" soon
    assert_eq "$(served_by "$url/health" -H 'Host: api.example.org')" api-1 "the other one"
    sed -i "s|maintenance: {body: soon}|maintenance: {body: soon, enabled: false}|" compose.yaml
    up
    becomes 5 '[[ $(http_status "$url/health") == 200 ]]'
}

story_nginx_as_an_upstream_in_every_framing() {
    # shellcheck disable=SC2016
    nginx_service 'location /mirror { return 200 "$http_host $http_x_forwarded_for $http_via $request_uri\n"; }
        location /none { return 204; } location /put { dav_methods PUT; }
        location /gone { return 404 "no"; }'
    head -c 3000000 /dev/urandom >www/large
    compose <<END
services:
  web:
    ports: ["127.0.0.1:$port:80"]
    x-daruma: {process: {command: "$nginx_command"}}
END
    up
    local expect
    expect=$(sha256sum <www/large)
    assert_eq "$(curl -s "$url/large" | sha256sum)" "$expect" "a file"
    assert_eq "$(curl -s0 "$url/large" | sha256sum)" "$expect" "a file over HTTP/1.0"
    assert_eq "$(curl -s -r 100-199 "$url/large" | sha256sum)" "$(tail -c +101 www/large | head -c 100 | sha256sum)" "a range"
    assert_eq "$(http_status "$url/large" -I)" 200 HEAD
    assert_eq "$(curl -sI "$url/large" | tr -d '\r' | awk 'tolower($1) == "content-length:" { print $2 }')" 3000000
    assert_eq "$(http_status "$url/none")" 204
    assert_eq "$(http_status "$url/gone")" 404
    local etag
    etag=$(curl -sI "$url/large" | tr -d '\r' | sed -n 's/^E[Tt]ag: //p')
    assert_eq "$(http_status "$url/large" -H "If-None-Match: $etag")" 304
    assert_contains "$(curl -s "$url/mirror?a=%2F" -H 'X-Forwarded-For: 6.6.6.6')" \
        "127.0.0.1:$port 127.0.0.1 1.1 daruma /mirror?a=%2F" "what nginx sees"
    assert_eq "$(http_status "$url/put/a" -T www/large)" 201 "an upload with a length"
    assert_eq "$(sha256sum <www/put/a)" "$expect"
    assert_eq "$(http_status "$url/put/b" -T - <www/large)" 201 "a chunked upload"
    assert_eq "$(sha256sum <www/put/b)" "$expect"
    assert_eq "$(http_status "$url/put/c" -T - -H 'Expect: 100-continue' <www/large)" 201 "after 100"
    assert_eq "$(sha256sum <www/put/c)" "$expect"
}

story_an_early_answer_is_not_lost_to_a_client_that_goes_on_sending() {
    nginx_service 'client_max_body_size 1k; location / { dav_methods PUT; }'
    compose <<END
services:
  web:
    ports: ["127.0.0.1:$port:80"]
    x-daruma: {process: {command: "$nginx_command"}}
END
    up
    head -c 8000000 /dev/zero >large
    local i
    for i in {1..10}; do
        assert_eq "$(http_status "$url/x" -T large -H 'Expect:')" 413 "early answer $i"
        assert_eq "$(http_status "$url/x" -T - -H 'Expect:' <large)" 413 "early answer to chunks $i"
    done
}

story_a_gigabyte_passes_in_constant_memory() {
    local sink before slow
    nginx_service 'location /put { dav_methods PUT; }'
    sink=http://127.0.0.1:$(free_port)
    truncate -s 512M www/huge
    head -c 32M /dev/urandom >www/some
    compose <<END
services:
  web:
    ports: ["127.0.0.1:$port:80"]
    x-daruma: {process: {command: "$nginx_command"}}
  sink:
    ports: ["${sink#http://}:5000"]
    x-daruma: {process: {command: ["$BUILD/bench/app"]}}
END
    up
    assert_eq "$(http_status "$url/put/first" -T compose.yaml)" 201
    before=$(worker_kb)
    [[ $before -gt 0 ]] || fail "no worker is found"
    # Who reads slowly makes the upstream wait, who writes slowly the gateway, and nothing grows meanwhile.
    curl -s --limit-rate 2M --max-time 2 -o /dev/null "$url/huge" &
    slow=$!
    curl -s --limit-rate 2M --max-time 2 -o /dev/null -T www/huge -X POST "$sink/?id=slow" || true
    wait "$slow" || true
    assert_eq "$(curl -s -o /dev/null -w '%{http_code} %{size_download}' "$url/huge")" "200 $((512 << 20))" "down"
    assert_eq "$(curl -s -o /dev/null -w '%{http_code} %{size_upload}' -T www/huge -X POST -H 'Expect:' "$sink/?id=1")" \
        "200 $((512 << 20))" "up"
    assert_eq "$(http_status "$sink/?id=2" -T - -X POST -H 'Expect:' <www/some)" 200 "up in chunks"
    assert_eq "$(curl -s "$url/some" | sha256sum)" "$(sha256sum <www/some)" "what came down"
    assert_eq "$(http_status "$url/put/up" -T www/some -H 'Expect:')" 201
    assert_eq "$(sha256sum <www/put/up)" "$(sha256sum <www/some)" "what went up"
    [[ $(worker_kb) -lt $((before + 1024)) ]] || fail "a worker grew from $before to $(worker_kb) KiB"
}

story_websockets_are_tunnelled_both_ways() {
    command -v python3 >/dev/null || skip "no python3"
    port=$(free_port)
    url=http://127.0.0.1:$port
    cat >server.py <<'END'
# A WebSocket server: answers each message with the same in capitals, and begins to speak by itself.
import base64, hashlib, os, socket, struct, threading
def exactly(f, n):
    data = f.read(n)
    if len(data) != n: raise EOFError
    return data
def serve(c):
    f = c.makefile("rb")
    key = b""
    while (line := f.readline().strip()):
        if line.lower().startswith(b"sec-websocket-key:"): key = line.split(b":", 1)[1].strip()
    if not key:
        c.sendall(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n"); return c.close()
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + b"\x81\x05hello")
    try:
        while True:
            first, length = exactly(f, 2)
            length &= 127
            if length == 126: length = struct.unpack(">H", exactly(f, 2))[0]
            mask = exactly(f, 4)
            text = bytes(b ^ mask[i % 4] for i, b in enumerate(exactly(f, length))).upper()
            c.sendall(bytes([first]) + (bytes([length]) if length < 126 else b"\x7e" + struct.pack(">H", length)) + text)
            if first & 15 == 8: break
    except EOFError: pass
    c.close()
s = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
END
    cat >client.py <<'END'
import base64, hashlib, os, socket, struct, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
key = base64.b64encode(os.urandom(16))
def frame(kind, text):
    mask = os.urandom(4)
    size = bytes([128 | len(text)]) if len(text) < 126 else b"\xfe" + struct.pack(">H", len(text))
    return bytes([128 | kind]) + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text))
# The first message goes out before the answer has come.
s.sendall(b"GET /chat HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
          b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n" + frame(1, b"early"))
f = s.makefile("rb")
assert f.readline().startswith(b"HTTP/1.1 101 "), "no 101"
accept = b""
while (line := f.readline().strip()):
    if line.lower().startswith(b"sec-websocket-accept:"): accept = line.split(b":", 1)[1].strip()
assert accept == base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()), "accept"
def message():
    first, length = f.read(2)
    if length == 126: length = struct.unpack(">H", f.read(2))[0]
    return first & 15, f.read(length)
assert message() == (1, b"hello"), "what the server says by itself"
assert message() == (1, b"EARLY"), "what was sent early"
for size in (1, 125, 126, 20000, 65535):
    s.sendall(frame(2, b"x" * size))
    assert message() == (2, b"X" * size), size
s.sendall(frame(8, b""))
assert message() == (8, b"") and f.read(1) == b"", "the end"
print("all well")
END
    compose <<END
services:
  chat:
    ports: ["127.0.0.1:$port:80"]
    x-daruma: {process: {command: [python3, server.py]}}
END
    up
    local i
    for i in {1..5}; do
        assert_eq "$(timeout 20 python3 client.py "$port" 2>&1)" "all well" "WebSocket client $i"
    done
    assert_eq "$(http_status "$url/chat")" 426 "without an upgrade"
}

story_what_is_seldom_sent_is_passed_on_as_it_is() {
    command -v python3 >/dev/null || skip "no python3"
    port=$(free_port)
    url=http://127.0.0.1:$port
    cat >server.py <<'END'
# Answers with the head and body that it has read, or as the path says: /hints, /trailers, /upgrade.
import os, socket, threading
def serve(c):
    f = c.makefile("rb")
    while (line := f.readline()):
        head = line
        while (line := f.readline()) not in (b"\r\n", b""): head += line
        size = [int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length:")]
        body = f.read(size[0]) if size else b""
        path = head.split(b" ")[1]
        if path == b"/trailers":
            c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\nX-Sum: 7\r\n\r\n")
        elif path == b"/upgrade":
            c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout/1\r\n\r\n")
            while (line := f.readline()): c.sendall(line.upper())
        else:
            if path == b"/hints": c.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
            head += body
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(head), head))
s = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True: threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
END
    cat >client.py <<'END'
# Sends what stands on standard input, and prints what comes until the end, or `upgrade` until two lines have come.
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
s.sendall(sys.stdin.buffer.read())
f = s.makefile("rb")
if len(sys.argv) > 2:
    while f.readline().strip(): pass
    print((f.readline() + f.readline()).decode())
else: print(f.read().decode())
END
    compose <<END
services:
  odd:
    x-daruma: {process: {command: [python3, server.py], port: 80}}
x-gateway:
  listeners:
    - address: "127.0.0.1:$port"
      routes: [{to: odd}, {path: /circle, to: "127.0.0.1:$port"}]
END
    up
    local answer i
    # An absolute form, as curl sends it to a proxy, and fields that go no further than one hop.
    answer=$(curl -s -x "$url" "http://shop.example.org:81/a?b" -H 'X-Request-Id: mine' -H 'X-Hop: 1' -H 'Connection: X-Hop' \
        -H 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' -H 'Forwarded: for=6.6.6.6' | tr -d '\r')
    assert_contains "$answer" "GET /a?b HTTP/1.1"
    assert_contains "$answer" "Host: shop.example.org:81"
    assert_contains "$answer" "X-Forwarded-Host: shop.example.org:81"
    assert_contains "$answer" 'Forwarded: for=127.0.0.1;host="shop.example.org:81";proto=http'
    assert_contains "$answer" "X-Request-Id: mine"
    assert_contains "$answer" "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert_lacks "$answer" "X-Hop"
    assert_lacks "$answer" "6.6.6.6"
    answer=$(curl -s -D - "$url/hints")
    assert_contains "$answer" "HTTP/1.1 103 Early Hints"
    assert_contains "$answer" "Link: </style.css>"
    assert_contains "$answer" "HTTP/1.1 200 OK"
    assert_lacks "$(curl -s0 -D - "$url/hints")" "103" "hints for HTTP/1.0"
    assert_contains "$(curl -s --raw "$url/trailers")" "X-Sum: 7"
    assert_eq "$(curl -s0 "$url/trailers")" "some" "chunks for HTTP/1.0"
    # A hundred at once behind a POST: all are answered, in order.
    {
        printf 'POST /first HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nbody'
        for i in {1..99}; do printf 'GET /%d HTTP/1.1\r\nHost: t\r\n\r\n' "$i"; done
        printf 'GET /last HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n'
    } >pipeline
    assert_eq "$(python3 client.py "$port" <pipeline | grep -oE '(POST|GET) /[a-z0-9]+' | tr '\n' ' ')" \
        "POST /first $(printf 'GET /%d ' {1..99})GET /last " "what was pipelined"
    printf 'GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: shout/1\r\n\r\nhello\nthere\n' >upgrade
    assert_eq "$(python3 client.py "$port" upgrade <upgrade)" $'HELLO\nTHERE' "another protocol than WebSocket"
    assert_eq "$(http_status "$url/circle")" 508 "a route that leads to itself"
}

# Clients and an upstream of every kind talk through the gateway while its workers are killed.
story_conversations_of_every_kind_stay_in_order() { # sanitized
    command -v python3 >/dev/null || skip "no python3"
    local upstream said
    port=$(free_port)
    upstream=$(free_port)
    compose <<END
x-gateway:
  listeners:
    - {address: "127.0.0.1:$port", routes: [{to: "127.0.0.1:$upstream"}]}
END
    up
    python3 "$root/tests/scenario/conversations.py" "$port" "$upstream" 1 200 >said 2>errors &
    said=$!
    while kill -0 "$said" 2>/dev/null; do
        sleep 0.3
        # shellcheck disable=SC2046
        kill -KILL $(worker_pids) 2>/dev/null || true
    done
    wait "$said" || fail "$(cat errors)"
    assert_contains "$(cat said)" "all well"
}

story_upstreams_of_http_1_0_and_half_closed_clients() {
    command -v python3 >/dev/null || skip "no python3"
    port=$(free_port)
    url=http://127.0.0.1:$port
    echo "from 1.0" >file
    compose <<END
services:
  old:
    ports: ["127.0.0.1:$port:80"]
    x-daruma: {process: {command: "exec python3 -m http.server --bind 127.0.0.1 \$\$PORT"}}
END
    up
    local i
    for i in {1..3}; do assert_eq "$(curl -s "$url/file")" "from 1.0"; done
    assert_eq "$(curl -s0 "$url/file")" "from 1.0" "1.0 on both sides"
    # The client says that it will send no more, before it has got anything.
    assert_contains "$(python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
s.sendall(b"GET /file HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
s.shutdown(socket.SHUT_WR)
print(s.makefile("rb").read().decode())' "$port")" "from 1.0" "the answer to a half-closed client"
    assert_eq "$(http_status "$url/file" -X CONNECT --request-target db:80)" 501 CONNECT
    assert_eq "$(http_status "$url" -X OPTIONS --request-target '*')" 501 "the upstream's own answer to OPTIONS *"
}

story_the_access_log_has_a_line_for_each_request() { # sanitized
    one_instance
    cat >>compose.yaml <<'END'
x-gateway:
  access_log: {path: access.log}
END
    up
    local i
    for i in {1..20}; do http_status "$url/health?$i" >/dev/null; done
    assert_eq "$(http_status "$url/health" -H 'X-Request-Id: mine')" 200
    becomes 5 '[[ $(wc -l <access.log) -eq 21 ]]'
    assert_eq "$(jq -s 'map(select(.status == 200 and .upstream == "app-1" and .method == "GET")) | length' access.log)" 21
    # Workers hand in their lines each for itself, so that the last one need not come last.
    assert_eq "$(jq -r 'select(.request_id == "mine") | .target' access.log)" /health
    # Whoever rotates it only renames it.
    mv access.log access.log.old
    http_status "$url/health" >/dev/null
    becomes 5 '[[ $(wc -l <access.log) -eq 1 ]]'
    sed -i 's/access_log: .*/access_log: {path: other.log, format: combined}/' compose.yaml
    up
    becomes 5 'http_status "$url/health?x" -A me >/dev/null; grep -Eq "^127.0.0.1 - - \[.*\] \"GET /health\?x HTTP/1.1\" 200 [0-9]+ \"-\" \"me\"$" other.log'
    # The last lines are in the file when the project is down.
    for i in {1..5}; do http_status "$url/last" >/dev/null; done
    expect_exit 0 daruma down
    assert_eq "$(grep -c /last other.log)" 5
}
