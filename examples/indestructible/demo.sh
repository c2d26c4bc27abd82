#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The first demonstration by itself (`make demo`): brings up two instances and Redis, kills an instance about every
# second while a monitor asks ten times a second, and ends with the monitor's verdict as exit code (0: nothing lost).
#
#   DEMO_SECONDS  how long (20)          DEMO_RATE  questions a second (10)          DEMO_PORT  where (8080, or the next free)
set -euo pipefail
cd "$(dirname "$0")"
daruma=$PWD/../../build/daruma
seconds=${DEMO_SECONDS:-20}
rate=${DEMO_RATE:-10}

# A run directory and data of its own: a project that runs already is not touched.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/daruma-demo.XXXXXX")
export DARUMA_RUN_DIR=$scratch/run DEMO_DATA=$scratch/redis
monkey=

finish() {
    trap - EXIT INT TERM
    [ -z "$monkey" ] || kill "$monkey" 2>/dev/null || true
    "$daruma" down >"$scratch/down" 2>&1 || true
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bold= faint= green= red= plain=
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' faint=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi
step() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
shown() { printf '%s$ %s%s\n' "$faint" "$1" "$plain"; }

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
if [ -z "${DEMO_PORT:-}" ]; then
    DEMO_PORT=8080
    while taken "$DEMO_PORT"; do
        DEMO_PORT=$((DEMO_PORT + 1))
    done
fi
export DEMO_PORT
url=http://127.0.0.1:$DEMO_PORT/

step "Two instances of an app and its Redis, behind $url"
shown "cd examples/indestructible && ../../build/daruma up -d"
"$daruma" up -d
shown "daruma ps"
"$daruma" ps

step "A monitor asks $rate times a second; a monkey kills an instance with SIGKILL every second"
shown "daruma chaos kill app1 app2 --every 1s &"
shown "daruma watch $url --rate $rate --duration ${seconds}s --slo 100"
"$daruma" chaos kill app1 app2 --every 1s &
monkey=$!
verdict=0
"$daruma" watch "$url" --rate "$rate" --duration "${seconds}s" --session --slo 100 || verdict=$?
kill "$monkey" 2>/dev/null || true
wait "$monkey" 2>/dev/null || true
monkey=

step "Afterwards"
shown "daruma ps"
"$daruma" ps
kills=$("$daruma" events --json | jq -s '[.[] | select(.kind == "instance.exit" and .signal == 9)] | length')
restarts=$("$daruma" ps --json | jq '[.[].restarts] | add')
back=$("$daruma" events --json |
    jq -s '[.[] | select(.kind == "instance.spawn" and (.starts // 1) > 1) | .span_ms] | sort | .[length / 2 | floor] // 0')
printf '\nkills %s, restarts %s, from death to the next start %.1f ms (median)\n' "$kills" "$restarts" "$back"

if [ "$verdict" -eq 0 ] && [ "$kills" -gt 0 ]; then
    printf '%s%sNot one request was lost.%s\n' "$bold" "$green" "$plain"
elif [ "$kills" -eq 0 ]; then
    verdict=1
    printf '%s%sNothing was killed, so this proves nothing.%s\n' "$bold" "$red" "$plain"
else
    printf '%s%sRequests were lost; the receipt above says which.%s\n' "$bold" "$red" "$plain"
fi

step "Next"
cat <<END
    cd examples/indestructible && ../../build/daruma up     (then open http://localhost:8080/, and kill what you like)
    make test
END
exit "$verdict"
