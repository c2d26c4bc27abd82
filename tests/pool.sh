# SPDX-License-Identifier: MIT
#
# Runs programs side by side, for the runners of unit tests and of stories. As root each runs in namespaces of its own, so
# that none meets another one's ports and processes, and that nothing outlives one: no process and no mount.

pool_dir=$(mktemp -d "${TMPDIR:-/tmp}/daruma.XXXXXX") # short: sockets lie in it
pool_tmp=$pool_dir # whatever they leave
[[ -z ${KEEP:-} ]] || pool_tmp=${TMPDIR:-/tmp}
declare -A pool_runs=() # process: name
declare -A pool_since=()
trap 'pool_end; rm -rf "$pool_dir"' EXIT
trap 'exit 130' INT TERM

# The shell stays, as process 1 that buries orphans. `pool_prepare` may be a command for it.
pool_alone=(unshare --net --mount --pid --fork --kill-child --mount-proc
    sh -c "busybox ifconfig lo up && ${pool_prepare:-:} && \"\$@\"; exit \$?" sh)
"${pool_alone[@]}" true 2>/dev/null || pool_alone=()

# Its output goes to the file pool_log NAME.
pool_start() { # NAME SECONDS COMMAND…
    pool_since[$1]=${EPOCHREALTIME/./}
    TMPDIR=$pool_tmp timeout --kill-after=20 "$2" "${pool_alone[@]}" "${@:3}" >"$(pool_log "$1")" 2>&1 </dev/null &
    pool_runs[$!]=$1
}

pool_log() { echo "$pool_dir/${1//\//_}.log"; } # NAME

# Waits for one of them to end: `ended` becomes its name, `status` how, `took` after how many seconds.
pool_wait() {
    local pid
    status=0
    wait -n -p pid "${!pool_runs[@]}" || status=$?
    ended=${pool_runs[$pid]}
    unset "pool_runs[$pid]"
    took=$(((${EPOCHREALTIME/./} - pool_since[$ended]) / 100000))
    took=$((took / 10)).$((took % 10))
}

# Interrupted, they get the time to clean up.
pool_end() {
    [[ ${#pool_runs[@]} -eq 0 ]] || { kill "${!pool_runs[@]}"; wait "${!pool_runs[@]}"; } 2>/dev/null
}
