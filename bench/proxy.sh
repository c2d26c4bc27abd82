#!/bin/bash
# SPDX-License-Identifier: MIT
#
# CPU time of the front for one kept-alive proxied request: one worker each on one core; the load and the upstream on the
# other. The same fixed rate for all, so that nobody is measured while overloaded. Rounds are interleaved, because a
# machine's speed drifts. "relay" is the least that a proxy can do (bench/relay.c); "-unix" has a Unix-socket upstream.
#
#   RATE (5000)  requests a second    LENGTH (5)  seconds for each run    ROUNDS (5)
#   FRONTS (relay daruma nginx haproxy caddy and, but for Caddy, the same with -unix)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy
RATE=${RATE:-5000} LENGTH=${LENGTH:-5} ROUNDS=${ROUNDS:-5}
FRONTS=${FRONTS:-relay daruma nginx haproxy caddy relay-unix daruma-unix nginx-unix haproxy-unix}

cpu_a_request "CPU for one kept-alive proxied request" "CPU µs for a kept-alive request"
