#!/bin/bash
# SPDX-License-Identifier: MIT
#
# How long compose files take to load, and how much memory: one with many services, and every file of the reference corpus
# where that lies beside the repository, beside Debian's `docker-compose config`, which starts Python for each of them.
#
#   SERVICES (1000)    RUNS (5)    CORPUS (../shared/reference/compose)    PEER_FILES (10)  corpus files for the peer
. "$(dirname "$0")/lib.sh"
need docker-compose
SERVICES=${SERVICES:-1000} RUNS=${RUNS:-5} CORPUS=${CORPUS:-../shared/reference/compose} PEER_FILES=${PEER_FILES:-10}

make_file() { # a file as people write them: a template that is merged in, variables, dependencies, ports, checks
    echo "x-base: &base {restart: unless-stopped, stop_grace_period: 10s, labels: {team: shop}}"
    echo "services:"
    for ((i = 0; i < SERVICES; i++)); do
        echo "  service$i:"
        echo "    <<: *base"
        echo "    image: registry.example/shop/service$i:\${TAG:-latest}"
        echo "    command: serve --listen :8080 --name \"service $i\""
        echo "    environment: {PORT: 8080, NAME: service$i, LEVEL: \"\${LEVEL:-info}\"}"
        echo "    ports: [\"$((10000 + i)):8080\"]"
        echo "    volumes: [\"./data/$i:/data\", \"cache:/cache:ro\"]"
        echo "    healthcheck: {test: [CMD, curl, -f, http://localhost:8080/], interval: 5s}"
        ((i == 0)) || echo "    depends_on: [service$((i - 1))]"
    done
    echo "volumes: {cache: }"
}

# Median milliseconds and most kilobytes of RUNS runs; what ran last is left in $dir/load.
measure() { # RUNS COMMAND…
    local n=$1
    shift
    : >"$dir/load"
    for ((i = 0; i < n; i++)); do
        local before=${EPOCHREALTIME/./}
        /usr/bin/time -f %M -o "$dir/memory" "$@" >/dev/null
        echo "$(((${EPOCHREALTIME/./} - before))) $(cat "$dir/memory")" >>"$dir/load"
    done
    awk '{ print $1 / 1000 }' "$dir/load" | median
}
memory() { awk '$2 > m { m = $2 } END { printf "%.1f", m / 1024 }' "$dir/load"; }

# The corpus: every file that has a model to be loaded to, each by a program of its own.
each_file() { # PROGRAM LIMIT
    local file
    head -n "$2" "$dir/files" | while IFS= read -r file; do
        cd "${file%/*}"
        "$1" -f "$file" -p corpus config -q >/dev/null 2>&1 </dev/null || true
    done
}

in_one_program() { build/conformance "$CORPUS" | grep "^[a-z]*: " >"$dir/rows"; }

seconds() { # COMMAND…
    local before=${EPOCHREALTIME/./}
    "$@"
    echo "$(((${EPOCHREALTIME/./} - before) / 1000))" | awk '{ printf "%.2f", $1 / 1000 }'
}

need time
make_file >"$dir/compose.yaml"
echo "## Loading compose files"
echo
echo "| who | what | time | memory |"
echo "|---|---|---|---|"
say "$SERVICES services"
echo "| daruma | $SERVICES services, $(wc -l <"$dir/compose.yaml") lines, the load alone |" \
    "$(build/bench/load "$dir/compose.yaml" "$((RUNS * 3))" | median) ms | |"
took=$(measure "$RUNS" "$daruma" -f "$dir/compose.yaml" config -q)
echo "| daruma | the same, \`config -q\` as a program | $took ms | $(memory) MiB |"
say "$SERVICES services, docker-compose"
took=$(measure 1 docker-compose -f "$dir/compose.yaml" config -q)
echo "| docker-compose $(docker-compose version --short) | the same, once | $took ms | $(memory) MiB |"
if [[ -d $CORPUS/valid ]]; then
    make -s build/conformance >&2
    corpus=$(realpath "$CORPUS/valid")
    find "$corpus" -name '*.y*ml' -not -path '*/expected/*' | sort | awk 'NR <= 549' >"$dir/files"
    say "$(wc -l <"$dir/files") files of the corpus"
    echo "| daruma | $(wc -l <"$dir/files") corpus files, one program each | $(seconds each_file "$daruma" 549) s | |"
    took=$(seconds in_one_program)
    echo "| daruma | all $(awk '{ n += $4 } END { print n }' "$dir/rows") rows of the corpus, loaded and compared by one" \
        "program | $took s | |"
    say "$PEER_FILES of them, docker-compose"
    echo "| docker-compose | $PEER_FILES of them | $(seconds each_file docker-compose "$PEER_FILES") s | |"
fi
echo
