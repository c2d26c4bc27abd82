#!/bin/bash
# SPDX-License-Identifier: MIT
#
# CPU time of the front for a request on a client connection of its own: accept, read, forward, answer, close. Otherwise as
# proxy.sh. Every front keeps its connections to the upstream but the relay, which knows of no requests.
#
#   RATE (2000)  requests a second    LENGTH (5)  seconds for each run    ROUNDS (5)
#   FRONTS (relay daruma nginx haproxy caddy)
. "$(dirname "$0")/lib.sh"
need nginx haproxy caddy
RATE=${RATE:-2000} LENGTH=${LENGTH:-5} ROUNDS=${ROUNDS:-5} FRONTS=${FRONTS:-relay daruma nginx haproxy caddy}

cpu_a_request "CPU for a request on a connection of its own" "CPU µs for a request on a new connection" --no-keepalive
