# SPDX-License-Identifier: MIT
#
# A Docker Engine for whoever sources this, one at a time, with its own socket and addresses, without a bridge and without
# a rule in the machine's firewall; and images for it, made without a registry. Its data stay in build/engine, so that
# images are made once and not for each story.

# Stories begin again in a network of their own: the firewall that another Engine has set up for this machine would drop what
# their containers say to each other.
if [[ $(type -t story_main) && -z ${STORY_NETWORK:-} && $(id -u) -eq 0 ]]; then
    rmdir "$dir"
    STORY_NETWORK=1 exec unshare --net bash "$0" "$@"
fi
[[ -z ${STORY_NETWORK:-} ]] || ip link set lo up

engine_data=${ENGINE_DATA:-$root/build/engine}
engine_pid=

engine_runs() { [[ -S $dir/e/sock ]] && curl -s --unix-socket "$dir/e/sock" http://docker/_ping | grep -q OK; }

# An environment of its own, so that nobody takes it for a process of the story's project.
engine_launch() { # OPTIONS…
    rm -f "$dir/e/sock"
    (cd / && exec env -i PATH="$PATH" dockerd --data-root "$engine_data/data" --exec-root "$dir/e/run" -H "unix://$dir/e/sock" \
        --pidfile "$engine_data/pid" --bridge=none --iptables=false --ip-masq=false --ip-forward=false \
        --default-address-pool "base=10.$pool.0.0/16,size=24" "$@") >>"$dir/e/log" 2>&1 {lock}>&- &
    engine_pid=$!
    local tries
    for tries in {1..400}; do
        ! engine_runs || return 0
        kill -0 $engine_pid 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

engine_start() {
    local tool
    for tool in dockerd docker busybox gcc; do
        command -v $tool >/dev/null || skip "there is no $tool"
    done
    [[ $(id -u) -eq 0 ]] || skip "only root can start a Docker Engine"
    mkdir -p "$dir/e" "$engine_data"
    pool=$((100 + RANDOM % 120))
    exec {lock}>"$engine_data/lock"
    flock -w 60 "$lock" || fail "another story holds $engine_data"
    engine_end_old
    trap engine_end EXIT
    engine_fresh || rm -rf "$engine_data"/data
    engine_launch || engine_launch --storage-driver vfs || skip "dockerd does not start: $(tail -n 1 "$dir/e/log")"
    export DOCKER_HOST=unix://$dir/e/sock
    engine_clean
    docker image inspect daruma/app:1 >/dev/null 2>&1 || make_image
    engine_stamp >"$engine_data/stamp"
}

# What a story left that was killed.
engine_end_old() {
    local pid tries
    pid=$(cat "$engine_data/pid" 2>/dev/null) || pid=none
    for tries in {1..200}; do
        [[ $(cat "/proc/$pid/comm" 2>/dev/null) == dockerd ]] || break
        kill "-$([[ $tries -lt 190 ]] && echo TERM || echo KILL)" "$pid" 2>/dev/null || true
        sleep 0.05
    done
    rm -f "$engine_data/pid"
    end_containerd "$(cat "$engine_data/exec-root" 2>/dev/null || true)"
    engine_unmount "$engine_data/data"
    echo "$dir/e/run" >"$engine_data/exec-root"
}

# An Engine that was killed, and containers with the host's network, leave mounts behind.
engine_unmount() { # FOLDER
    local mount
    for mount in $(awk -v at="$1" 'index($2, at) == 1 { print $2 }' /proc/mounts | sort -r); do
        umount -l "$mount" || true
    done
}

# The images are those that would be made now.
engine_stamp() { cat "${BASH_SOURCE[0]}" "$root/Dockerfile" "$root/bench/app.c" /var/lib/dpkg/status | sha256sum; }
engine_fresh() { [[ -d $engine_data/data && $(cat "$engine_data/stamp" 2>/dev/null) == "$(engine_stamp)" ]]; }

engine_clean() {
    # shellcheck disable=SC2046
    { docker rm -vf $(docker ps -aq); docker network prune -f; docker volume rm $(docker volume ls -q)
      docker rmi -f $(docker images --format '{{.Repository}}:{{.Tag}}' | grep '^project'); } >/dev/null 2>&1 || true
}

# Killed, it leaves the containerd that it has started, which a service manager would end with it.
engine_stop() { # [SIGNAL]
    kill "-${1:-TERM}" $engine_pid 2>/dev/null || true
    wait $engine_pid 2>/dev/null || true
    [[ ${1:-TERM} != KILL ]] || end_containerd "$dir/e/run"
}

end_containerd() { # EXEC-ROOT
    local pid tries
    pid=$(cat "$1/containerd/containerd.pid" 2>/dev/null) || return 0
    for tries in {1..100}; do
        [[ $(cat "/proc/$pid/comm" 2>/dev/null) == containerd ]] || return 0
        kill -KILL "$pid" 2>/dev/null || true
        sleep 0.02
    done
}

# Before lib.sh ends what is left: containers and networks are no processes of the story.
engine_end() {
    local status=$?
    set +eE
    trap - ERR
    [[ $status -eq 0 || $status -eq 77 ]] || { dump; docker ps -a; tail -n 20 "$dir/e/log"; }
    (kill_all_of_daruma) 2>/dev/null
    kill -CONT "$engine_pid" 2>/dev/null
    ! engine_runs || engine_clean
    engine_stop KILL # with nothing left to stop it would only take a second longer
    engine_unmount "$dir/e/run"
    (exit $status)
    story_end
}

# FROM scratch: the application of the benchmarks and a shell, both static.
make_image() {
    mkdir -p "$dir/image/bin" "$dir/image/tmp"
    gcc -static -O1 -w -I"$root/src" -D_GNU_SOURCE -o "$dir/image/app" "$root/bench/app.c" "$root/build/libdaruma.a" -lm -lpcre2-8 \
        2>"$dir/gcc-err" || fail "$(cat "$dir/gcc-err")"
    cp "$(command -v busybox)" "$dir/image/bin/"
    tar -C "$dir/image" -c . | docker import - daruma/app:1 >/dev/null
}

# The files of these packages and of all that they need, as they are installed on this machine: what debootstrap would
# fetch, in a second. Without documents and translations.
package_files() { # PACKAGES…
    local path
    # shellcheck disable=SC2046
    apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances $(dpkg-query -W -f='${Essential} ${Package}\n' | sed -n 's/^yes //p') "$@" |
        sed -n '/^[a-z0-9]/p' | sort -u >"$dir/packages"
    # Names that stand for other packages have no files.
    { xargs dpkg-query -L <"$dir/packages" 2>/dev/null || true; } |
        sed -E '\#^/usr/share/(doc|man|locale|info|lintian|zoneinfo|fonts|javascript)/|/gconv/#d
            s,^/(bin|sbin|lib|lib64)/,/usr/\1/,' | sort -u | while read -r path; do
            if [[ -L $path || -f $path ]]; then echo "${path#/}"; fi
        done
}

# The images that the demonstrations' files name, with what the real ones are started with.
make_demonstration_images() {
    local package tree=$dir/debian built
    # What the Dockerfile of daruma itself installs.
    built=$(sed -n '/^RUN apt-get/,/[^\\]$/p' "$root/Dockerfile" | grep -owE '[a-z0-9.-]+-dev|gcc|make|pkg-config' | xargs)
    ! docker image inspect prom/prometheus:latest >/dev/null 2>&1 || return 0
    for package in python3-flask python3-redis python3-pip prometheus redis-server nginx curl; do
        [[ -n $(dpkg-query -W -f='${db:Status-Abbrev}' $package 2>/dev/null | grep ^ii) ]] || skip "there is no $package"
    done
    mkdir -p "$tree"/{usr/bin,etc/apt/{sources.list,preferences}.d,tmp,run,proc,sys,dev,root,data,prometheus}
    mkdir -p "$tree"/var/{tmp,log/nginx,lib/nginx,lib/apt/lists/partial,cache/apt/archives/partial}
    chmod 1777 "$tree/tmp" "$tree/var/tmp"
    ln -s python3 "$tree/usr/bin/python"
    # shellcheck disable=SC2086
    { package_files apt curl python3-flask python3-redis python3-pip prometheus redis-server nginx $built
      find /etc/alternatives /etc/ld.so.c* /etc/passwd /etc/group /etc/nsswitch.conf /etc/ssl/certs ! -type d |
          sed 's,^/,,'; echo var/lib/dpkg/status; } | sort -u >"$dir/files"
    # apt is to see that nothing is missing; it has nowhere to fetch from.
    tar -c --exclude='etc/apt/sources.list*' --exclude=EXTERNALLY-MANAGED \
        --no-recursion -C / -T "$dir/files" --recursion -C "$tree" . | docker import - debian:12 >/dev/null
    rm -rf "$tree"
    tag python:3.11-slim 'CMD ["python3"]'
    tag redis:7-alpine 'EXPOSE 6379' 'VOLUME /data' 'WORKDIR /data' 'CMD ["redis-server"]' \
        'ENTRYPOINT ["/bin/sh", "-c", "exec \"$@\" --protected-mode no", "sh"]'
    for package in latest alpine; do
        tag nginx:$package 'EXPOSE 80' 'STOPSIGNAL SIGQUIT' 'CMD ["nginx", "-g", "daemon off;"]'
    done
    tag prom/prometheus:latest 'EXPOSE 9090' 'WORKDIR /prometheus' 'ENTRYPOINT ["/usr/bin/prometheus"]' \
        'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]'
}

tag() { # IMAGE LINES…
    { echo "FROM debian:12"; printf '%s\n' "${@:2}"; } | docker build -q -t "$1" - >/dev/null 2>"$dir/e/build"
}

# ./compose.yaml: the app behind the gateway, as people write such files. More lines for the service may be given.
containers() { # [SERVICE-LINES]
    port=$(free_port)
    url=http://127.0.0.1:$port
    compose <<END
version: "3.8"
services:
  app:
    image: daruma/app:1
    command: ["/app"]
    environment: {HOST: 0.0.0.0, PORT: "8080"}
    ports: ["127.0.0.1:$port:8080"]
    restart: always
    stop_grace_period: 1s
    tmpfs: [/run]
    volumes: ["data:/data"]
    healthcheck:
      test: ["CMD", "/bin/busybox", "test", "!", "-e", "/run/sick"]
      interval: 500ms
      timeout: 5s
      retries: 2
${1:-}
volumes: {data: {}}
END
}

container_id() { docker inspect -f '{{.Id}}' "$1"; } # NAME
