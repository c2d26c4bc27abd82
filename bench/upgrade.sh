#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The front becomes another program, COUNT times in a row, under load: GETs and POSTs, each POST with a number that the
# application writes down when it executes it, and open upgraded connections (as WebSockets are) with a message a second on
# each. Beside nginx's change of its program (USR2, then WINCH and QUIT to the old one) and HAProxy's reload (USR2 in
# master-worker mode).
#
#   COUNT (100)   upgrades    SOCKETS (500)   upgraded connections    RATE (500)   GETs and as many POSTs a second
#   FRONTS (daruma nginx haproxy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy
COUNT=${COUNT:-100} SOCKETS=${SOCKETS:-500} RATE=${RATE:-500} FRONTS=${FRONTS:-daruma nginx haproxy}
export DELAY_MS=20 POST_LOG=$dir/posts

# Copies of the program that runs are other ones.
cp "$daruma" "$dir/daruma0"
cp "$daruma" "$dir/daruma1"

# In the foreground nginx does not change its program.
start_front() { # NAME
    MASTER=1 NGINX_DAEMON=on NGINX_HEADERS='proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;' \
        start_recorders "$1"
    [[ $1 != nginx ]] || started=("$(cat "$dir/nginx.pid")" "${started[@]}")
}

# Its pid file is away for a moment, and empty for another.
another_nginx_than() { # PID
    local now
    now=$(cat "$dir/nginx.pid" 2>/dev/null) && [[ -n $now && $now != "$1" ]]
}

# Its new master begins under the old one's pid file; an old one that still has connections takes no second such signal.
upgrade_nginx() {
    local old
    old=$(cat "$dir/nginx.pid")
    kill -USR2 "$old"
    wait_for 3 another_nginx_than "$old" || return 1
    kill -WINCH "$old"
    kill -QUIT "$old"
    started=("$(cat "$dir/nginx.pid")" "${started[@]}")
}

# The new worker tells the master when it is ready; that it has is seen by its being another one.
newest_child() { ps -o pid= --ppid "$front_pid" | sort -n | tail -n 1; }
upgrade_haproxy() {
    local before
    before=$(newest_child)
    kill -USR2 "$front_pid"
    wait_for 3 eval "[[ \$(newest_child) != '$before' ]]"
}

upgrade() { # FRONT NUMBER
    case $1 in
    daruma) (cd "$dir/project" && "$daruma" upgrade "$dir/daruma$(($2 % 2))" >/dev/null) ;;
    *) "upgrade_$1" ;;
    esac
}

measure() { # FRONT
    local loads sockets begun done=0 doubled lost
    say "$1: $COUNT upgrades with $SOCKETS upgraded connections"
    : >"$POST_LOG"
    start_front "$1"
    "$root/build/bench/sockets" "$port" "$SOCKETS" >"$dir/sockets" &
    sockets=$!
    "$daruma" watch "http://127.0.0.1:$port/" --rate "$RATE" --timeout 15s --json >"$dir/gets" 2>/dev/null &
    loads=($!)
    "$daruma" watch "http://127.0.0.1:$port/?id={n}" -X POST --data x --rate "$RATE" --timeout 15s --json --verbose \
        >"$dir/posts-lines" 2>/dev/null &
    loads+=($!)
    started=("$sockets" "${loads[@]}" "${started[@]}")
    wait_for 20 grep -q "^ready $SOCKETS\$" "$dir/sockets"
    begun=${EPOCHREALTIME/./}
    while [[ $done -lt $COUNT ]] && upgrade "$1" $done; do done=$((done + 1)); done
    begun=$(((${EPOCHREALTIME/./} - begun) / 1000 / (done > 0 ? done : 1)))
    sleep 2
    kill -INT "$sockets" "${loads[@]}"
    wait "$sockets" "${loads[@]}" || true
    doubled=$(executed_twice)
    lost=$(answered_but_lost "$dir/posts-lines")
    if [[ $1 == daruma ]]; then stop_daruma; fi
    stop_all
    jq -rs --arg front "$1" --arg done "$done of $COUNT" --arg each "$begun" --arg doubled "$doubled" --arg lost "$lost" \
        '.[0] as $g | .[1] as $p | .[2] as $s | "| \($front) | \($done) | \($each) | \($g.sent + $p.sent) | \($g.failed) | " +
        "\($p.failed) | \($doubled) | \($lost) | \($s.open + $s.closed) | \($s.closed) | \($s.wrong) | " +
        "\($g.latency_ms.p99) | \($g.latency_ms.max) | \($s.max_ms) |"' \
        "$dir/gets" <(tail -n 1 "$dir/posts-lines") <(tail -n 1 "$dir/sockets")
}

echo "## $COUNT changes of the program in a row, $((2 * RATE)) requests/s, half of them POSTs, 20 ms service time"
echo
echo "| front | changes | ms each | sent | GETs failed | POSTs failed | executed twice | answered but lost | upgraded connections | closed | wrong answers | p99 of GETs, ms | max, ms | max on upgraded ones, ms |"
echo "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
for front in $FRONTS; do measure "$front"; done
echo
