#!/bin/bash
# SPDX-License-Identifier: MIT
#
# From SIGKILL to the replacement's main(), and to its first answer: daruma beside s6, runit and supervisord, each with its
# defaults and the same application. daruma is asked at its gateway, the others at the application itself.
#
#   COUNT (30)  kills of each    GAP_MS (1300)  between a return and the next kill    WHO (daruma runit s6 supervisord)
. "$(dirname "$0")/lib.sh"
need s6 runit supervisor
COUNT=${COUNT:-30} GAP_MS=${GAP_MS:-1300} WHO=${WHO:-daruma runit s6 supervisord}

start_daruma_app() {
    start_daruma <<END
services:
  app:
    ports: ["127.0.0.1:$port:5000"]
    environment: {START_LOG: "$START_LOG"}
    restart: always
    x-daruma: {process: {command: ["$app"]}}
END
}

# A service folder as s6 and runit want it.
service_folder() {
    mkdir -p "$dir/services/app"
    printf '#!/bin/sh\nexec %s\n' "$app" >"$dir/services/app/run"
    chmod +x "$dir/services/app/run"
}

start_runit_app() {
    service_folder
    runsvdir "$dir/services" >/dev/null 2>&1 &
    # SIGHUP has runsvdir end its services; SIGTERM would leave them behind.
    leave=HUP
}

start_s6_app() {
    service_folder
    s6-svscan "$dir/services" >/dev/null 2>&1 &
}

start_supervisord_app() {
    printf '[supervisord]\nnodaemon=true\nuser=%s\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=%s\n[program:app]\ncommand=%s\nautorestart=true\n' \
        "$(id -un)" "$dir/supervisord.pid" "$app" >"$dir/supervisord.conf"
    supervisord -c "$dir/supervisord.conf" >/dev/null 2>&1 &
}

column() { awk -v n="$1" '{ print $n }' "$dir/times"; }
range() { column "$1" | sort -g | sed -n '1p;$p' | paste -sd '/' | sed 's:/: … :'; }

echo "## From kill -9 to the replacement ($COUNT kills, one every $GAP_MS ms)"
echo
echo "| who restarts | to main(): median ms | range | to the first answer: median ms | range |"
echo "|---|---|---|---|---|"
for who in $WHO; do
    say "$who"
    port=$(free_port) leave=TERM
    export PORT=$port START_LOG=$dir/starts.$who
    "start_${who}_app"
    [[ $who == daruma ]] || started=($! "${started[@]}")
    wait_for 10 answers "$port"
    timeout $((COUNT * 25)) build/bench/killer "$START_LOG" 127.0.0.1 "$port" "$COUNT" "$GAP_MS" >"$dir/times"
    echo "| $who | $(column 1 | median) | $(range 1) | $(column 2 | median) | $(range 2) |"
    if [[ $who == daruma ]]; then
        to_exec=$(cd "$dir/project" && "$daruma" events --json | jq -r 'select(.kind == "instance.spawn") | .span_ms // empty' | median)
        stop_daruma
    else
        kill -"$leave" "${started[0]}"
        stop_all
    fi
    rm -rf "$dir/services"
done
[[ -z ${to_exec:-} ]] ||
    printf '\nOf the time to main(), from the exit to the exec, as daruma itself tells: %s ms in the median.\n' "$to_exec"
echo
