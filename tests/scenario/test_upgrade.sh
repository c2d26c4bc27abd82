# SPDX-License-Identifier: MIT
# daruma goes on as another program, and nobody who asks notices.

# Programs to go to: copies of the one that runs are others.
programs() { # NAME…
    local name
    for name; do cp "$BUILD/daruma" "$name"; done
}

upgrade() { daruma upgrade --json "$1" >upgraded; }

# The program that each of daruma's processes runs, once each.
programs_that_run() {
    local pid
    for pid in $(ps -o pid=,comm= -s "$session" | awk '$2 ~ /^daruma/ { print $1 }'); do
        readlink "/proc/$pid/exe" || true # who has just died has none
    done | sed 's,.*/,,' | sort -u
}

project() { # [WORKERS (2)]
    recorders "${1:-2}"
    session=$(ps -o sid= -p "$(supervisor_pid)" | tr -d ' ')
}

open_sockets() { # COUNT
    "$BUILD/bench/sockets" "$port" "$1" 200 >sockets &
    sockets=$!
    becomes 10 "grep -q '^ready $1\$' sockets"
}

sockets_are_open() { # COUNT
    kill -INT "$sockets"
    wait "$sockets" || true
    assert_eq "$(tail -n 1 sockets | jq -c '[.open, .closed, .wrong]')" "[$1,0,0]" "connections open, closed, with wrong answers"
    assert_number "$(tail -n 1 sockets | jq .messages)" "> $1" "messages that came back"
}

story_five_upgrades_under_load_close_nothing() {
    project
    programs one two
    open_sockets 50
    begin_recorded_load
    local guard i
    guard=$(curl_admin project | jq .guard)
    for i in one two one two one; do
        upgrade $i
        assert_eq "$(jq -r .state upgraded)" done "the upgrade"
        assert_eq "$(programs_that_run)" $i "programs that run"
    done
    end_recorded_load
    sockets_are_open 50
    assert_eq "$(curl_admin project | jq .guard)" "$guard" "the guard's pid"
    assert_eq "$(events gateway '.text | test("goes on as another program")')" 10 "upgrades of workers that were told"
    assert_eq "$(events gateway '.text | test("ended|dropped")')" 0 "deaths that were told"
    assert_eq "$(events project '.text | test("goes on as")')" 10 "upgrades that were told"
    kill_supervisor
    assert_eq "$(programs_that_run)" one "programs after a death of the supervisor"
    expect_exit 0 daruma down
}

story_a_held_request_and_half_a_post_wait_through_an_upgrade() {
    project 1
    programs one
    # While there is a file `closed`, its instances begin and do not get ready.
    sed -i "s|command: .*|command: [sh, -c, 'while [ -e $PWD/closed ]; do sleep 0.05; done; exec $BUILD/bench/app']}}\n    restart: always|" compose.yaml
    expect_exit 0 daruma down
    up
    touch closed
    kill_instance app-1
    kill_instance app-2
    curl -s --max-time 20 "$url/" >held &
    local held=$! half
    becomes 5 '[[ $(curl_admin gateway | jq ".workers[0].holding") -eq 1 ]]'
    (printf 'POST /?id=7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nha' && becomes 10 '[[ -e go ]]' &&
        printf 'lf') | timeout 20 python3 -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
while piece := sys.stdin.buffer.read1(100): s.sendall(piece)
print(s.recv(1000).decode())' "$port" >half-answer &
    half=$!
    becomes 5 '[[ $(curl_admin gateway | jq ".workers[0].connections") -eq 2 ]]'
    upgrade one
    rm closed
    touch go
    wait $held $half
    assert_eq "$(cat held)" ok "the answer to the held request"
    assert_contains "$(cat half-answer)" "200 OK"
    assert_eq "$(cat executed)" 7 "POSTs that were executed"
}

story_a_program_that_fails_its_self_check_is_refused() {
    project 1
    printf '#!/bin/sh\nexec %q "$@"\n' "$BUILD/daruma" >script
    chmod +x script
    local before pid program
    before=$(programs_that_run) pid=$(supervisor_pid)
    for program in /bin/false /bin/true /bin/cat script; do
        expect_exit 1 daruma upgrade "$program"
        assert_contains "$(cat err)" "is refused"
    done
    assert_contains "$(cat err)" "not a script"
    expect_exit 1 daruma upgrade compose.yaml
    assert_contains "$(cat err)" "no program that can be run"
    expect_exit 2 daruma upgrade nothing
    expect_exit 0 daruma upgrade "$BUILD/daruma"
    assert_contains "$(cat out)" "runs already"
    assert_eq "$(http_status "$url/")" 200
    assert_eq "$(supervisor_pid) $(programs_that_run)" "$pid $before" "the supervisor and its program"
    assert_eq "$(events warning '.text | test("goes on as it was")')" 4 "refusals that were told"
}

# Without a name it is what lies where the running one was started from.
story_the_default_is_what_was_installed_since() {
    mkdir bin
    programs bin/daruma
    BUILD=$PWD/bin
    cp "$(dirname "$app")/app" bin/app
    app=$PWD/bin/app
    one_instance
    up
    cp bin/daruma bin/new
    local old
    old=$(stat -c %i bin/daruma)
    mv bin/new bin/daruma
    expect_exit 0 daruma upgrade
    assert_eq "$(stat -Lc %i "/proc/$(supervisor_pid)/exe")" "$(stat -c %i bin/daruma)" "what runs"
    [[ $(stat -Lc %i "/proc/$(supervisor_pid)/exe") != "$old" ]] || fail "the old program still runs"
    assert_eq "$(http_status "$url/")" 200
    expect_exit 0 daruma down
}

# Whoever of daruma's processes is killed, at whatever moment of an upgrade: it comes to its end, or all is as before.
story_kills_in_the_middle_of_upgrades_cost_nothing() {
    project
    programs one two
    begin_recorded_load
    "$BUILD/bench/assassin" "$session" "daruma*" 40 30 >/dev/null &
    local assassin=$! i
    for i in one two one two; do
        daruma upgrade --json $i >>upgrades 2>>refusals || true
    done
    wait $assassin
    becomes 5 '[[ $(programs_that_run | wc -l) -eq 1 ]]'
    end_recorded_load
    assert_eq "$(events gateway '.text | test("both ended")')" 0 "pairs that ended"
}

# Its connections cannot be taken over: what is in flight and open ends with the program that has it.
story_a_program_of_another_layout_drains_the_one_before() {
    project
    open_sockets 20
    curl -s --max-time 20 "$url/" >slow &
    local slow=$! pid
    pid=$(supervisor_pid)
    expect_exit 0 daruma upgrade --json "$BUILD/tests/other/daruma"
    assert_eq "$(jq -c '[.state, .in_place, .draining]' out)" '["done",false,2]' "the upgrade"
    assert_eq "$(events gateway '.text | test("lays out .arena. differently")')" 1 "words about it"
    [[ $(supervisor_pid) != "$pid" ]] || fail "the supervisor is the same one"
    wait $slow
    assert_eq "$(cat slow)" ok "what was in flight"
    assert_eq "$(http_status "$url/")" 200
    sockets_are_open 20
    becomes 5 '[[ $(curl_admin upgrade | jq .draining) -eq 0 ]]'
    becomes 5 '[[ $(gateway_pids | wc -l) -eq 4 ]]'
    assert_eq "$(programs_that_run)" daruma "programs that run"
    assert_eq "$(http_status "$url/")" 200
    expect_exit 0 daruma down
}
