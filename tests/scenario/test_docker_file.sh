# SPDX-License-Identifier: MIT
#
# What a compose file says of a service, and the Engine is to do; see test_docker.sh.
. "$root/tests/scenario/containers.sh"

story_an_image_is_built_without_what_is_ignored() { # sanitized
    engine_start
    mkdir -p src/deep
    echo kept >src/kept
    echo secret | tee src/secret >src/deep/secret
    head -c 3000000 /dev/urandom >src/big
    printf '**/secret\n# comment\n' >src/.dockerignore
    cat >src/Dockerfile <<'END'
FROM daruma/app:1 AS base
ARG WORD=none
COPY . /src
RUN ["/bin/busybox", "sh", "-c", "echo the word is $WORD; echo $WORD >/word"]
FROM base AS other
RUN ["/bin/busybox", "false"]
END
    containers "    build: {context: src, target: base, args: {WORD: hello}}"
    sed -i '/image: daruma/d' compose.yaml
    up
    assert_eq "$(docker exec project-app-1 /bin/busybox cat /word)" hello "the argument"
    assert_eq "$(docker exec project-app-1 /bin/busybox find /src -type f | sort | xargs)" \
        "/src/.dockerignore /src/Dockerfile /src/big /src/kept" "what was sent"
    assert_eq "$(docker exec project-app-1 /bin/busybox sha256sum /src/big | cut -d' ' -f1)" \
        "$(sha256sum src/big | cut -d' ' -f1)" "a large file"
    assert_contains "$(daruma logs)" "the word is hello" "the output of the build"
}

story_a_dockerfile_may_be_written_in_the_compose_file_or_lie_elsewhere() {
    engine_start
    mkdir src other
    echo kept >src/kept
    printf 'FROM daruma/app:1\nCOPY kept /kept\n' >other/Dockerfile
    compose <<'END'
services:
  inline:
    build:
      context: src
      dockerfile_inline: |
        FROM daruma/app:1
        COPY kept /inline
      tags: [another/name:2]
    command: [/bin/busybox, cat, /inline]
  outside:
    build: {context: src, dockerfile: ../other/Dockerfile}
    command: [/bin/busybox, cat, /kept]
END
    expect_exit 0 daruma up -d
    becomes 10 '[[ $(daruma logs | grep -c "| kept") -eq 2 ]]'
    docker image inspect another/name:2 >/dev/null || fail "the tag is missing"
}

story_secrets_and_configs_need_no_files() {
    engine_start
    echo from a file >secret
    compose <<'END'
services:
  a:
    image: daruma/app:1
    user: "1000"
    secrets: [file, {source: variable, target: renamed}]
    configs: [{source: inline, target: /etc/app/inline.conf, mode: 0400, uid: "1000", gid: "7"}]
    command: [/bin/busybox, sh, -c, "/bin/busybox stat -c '%a %u %g' /etc/app/inline.conf; /bin/busybox cat /run/secrets/file /run/secrets/renamed /etc/app/inline.conf"]
secrets: {file: {file: ./secret}, variable: {environment: WORD}}
configs: {inline: {content: "from the compose file\n"}}
END
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "what the variable WORD says, and there is none"
    WORD="from a variable
" expect_exit 0 daruma up -d
    becomes 10 '[[ $(daruma logs) == *"from the compose file"* ]]'
    assert_contains "$(daruma logs)" "400 1000 7"
    assert_contains "$(daruma logs)" "from a file"
    assert_contains "$(daruma logs)" "from a variable"
    # A start that was cut off before they were put into the container is not gone on with.
    local label labels=()
    while read -r label; do labels+=(--label "$label"); done < <(docker inspect project-a-1 |
        jq -r '.[0].Config.Labels | to_entries[] | "\(.key)=\(.value)"')
    expect_exit 0 daruma down
    docker create --name project-a-1 --network none "${labels[@]}" daruma/app:1 /bin/busybox false >/dev/null
    WORD=again expect_exit 0 daruma up -d
    becomes 10 '[[ $(daruma logs) == *again* ]]'
    # The Engine puts nothing into what may not be written to.
    sed -i 's/user: "1000"/read_only: true/' compose.yaml
    WORD=x expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "is \`read_only\`, so the Docker Engine"
}

# The attributes that people's files have, as the Engine tells of the container.
story_what_a_service_says_is_what_the_engine_has() {
    engine_start
    mkdir folder
    echo FROM_FILE=1 >env
    compose <<'END'
services:
  other: {image: "daruma/app:1", command: [/bin/busybox, sleep, "1000"], ipc: shareable, volumes: [shared:/shared]}
  a:
    image: daruma/app:1
    blkio_config: {device_read_bps: [{path: /dev/loop0, rate: 1mb}]}
    cap_add: [NET_ADMIN]
    cap_drop: [MKNOD]
    command: [sleep, "1000"]
    container_name: named
    cpus: 0.5
    cpu_shares: 100
    depends_on: [other]
    devices: ["/dev/null:/dev/xnull:r"]
    dns: 9.9.9.9
    dns_search: [example.org]
    entrypoint: [/bin/busybox]
    env_file: env
    environment: [C=d]
    expose: ["99"]
    extra_hosts: ["h=1.2.3.4"]
    group_add: ["7"]
    healthcheck: {test: [CMD, /bin/busybox, "true"]}
    hostname: box
    init: true
    ipc: service:other
    labels: [n=o]
    links: [other:friend]
    logging: {driver: json-file, options: {max-size: 1m}}
    mem_limit: 64m
    networks: {default: {aliases: [al], ipv4_address: 10.77.0.9}, two: {}}
    pids_limit: 50
    ports: ["127.0.0.1::99"]
    read_only: true
    restart: unless-stopped
    runtime: runc
    security_opt: ["no-new-privileges:true"]
    shm_size: 32m
    stdin_open: true
    stop_grace_period: 1s
    stop_signal: SIGUSR1
    sysctls: {net.core.somaxconn: 512}
    tmpfs: [/run]
    tty: true
    ulimits: {nofile: {soft: 100, hard: 200}}
    user: "0:0"
    volumes: [named:/n, "./folder:/f:ro", {type: tmpfs, target: /t, tmpfs: {size: 1048576}}]
    volumes_from: [other]
    working_dir: /tmp
volumes: {named: {}, shared: {}}
networks: {default: {ipam: {config: [{subnet: 10.77.0.0/24}]}}, two: {}}
END
    up
    docker inspect named >inspected
    has() { # WHERE JSON
        assert_eq "$(jq -Sc ".[0] | $1" inspected)" "$(jq -Sc . <<<"$2")" "$1"
    }
    has .Config.Cmd '["sleep", "1000"]'
    has .Config.Entrypoint '["/bin/busybox"]'
    has .Config.Env '["C=d", "FROM_FILE=1"]'
    has '.Config | [.Hostname, .User, .Tty, .OpenStdin, .StopSignal, .StopTimeout, .WorkingDir, .Labels.n]' \
        '["box", "0:0", true, true, "SIGUSR1", 1, "/tmp", "o"]'
    has '.HostConfig | [.CapAdd, .CapDrop, .Dns, .DnsSearch, .ExtraHosts, .GroupAdd, .VolumesFrom]' \
        '[["NET_ADMIN"], ["MKNOD"], ["9.9.9.9"], ["example.org"], ["h:1.2.3.4"], ["7"], ["project-other-1"]]'
    has '.HostConfig | [.NanoCpus, .CpuShares, .Memory, .PidsLimit, .ShmSize, .Init, .ReadonlyRootfs, .Runtime]' \
        '[500000000, 100, 67108864, 50, 33554432, true, true, "runc"]'
    has .HostConfig.BlkioDeviceReadBps '[{"Path": "/dev/loop0", "Rate": 1048576}]'
    has .HostConfig.Devices '[{"PathOnHost": "/dev/null", "PathInContainer": "/dev/xnull", "CgroupPermissions": "r"}]'
    has .HostConfig.LogConfig '{"Type": "json-file", "Config": {"max-size": "1m"}}'
    has .HostConfig.RestartPolicy.Name '"unless-stopped"'
    has .HostConfig.Sysctls '{"net.core.somaxconn": "512"}'
    has .HostConfig.Tmpfs '{"/run": ""}'
    has .HostConfig.Ulimits '[{"Name": "nofile", "Soft": 100, "Hard": 200}]'
    has .HostConfig.SecurityOpt[0] '"no-new-privileges:true"'
    has '.Mounts | map(.Destination) | sort' '["/f", "/n", "/shared", "/t"]'
    has '.NetworkSettings.Networks | map_values(.Links)' \
        '{"project_default": ["project-other-1:friend"], "project_two": ["project-other-1:friend"]}'
    has .NetworkSettings.Networks.project_default.IPAddress '"10.77.0.9"'
    assert_eq "$(jq -r '.[0].HostConfig.IpcMode' inspected)" "container:$(container_id project-other-1)" "whose memory it shares"
}

story_links_and_networks_name_others() {
    engine_start
    compose <<'END'
services:
  db: {image: "daruma/app:1", command: [/app], environment: {HOST: 0.0.0.0, PORT: "8080"}, networks: {back: {aliases: [store]}}}
  asks:
    image: daruma/app:1
    links: ["db:database"]
    networks: [back, front]
    command: [/bin/busybox, sh, -c, "for name in db store database; do /bin/busybox wget -qO- http://$$name:8080/; echo; done"]
    depends_on: [db]
networks: {back: {}, front: {internal: true}}
END
    expect_exit 0 daruma up -d
    becomes 10 '[[ $(daruma logs asks | grep -c "| ok") -eq 3 ]]'
    assert_lacks "$(cat err)" "links" "the warnings"
}

story_a_build_that_fails_shows_its_output() {
    engine_start
    printf 'FROM daruma/app:1\nRUN ["/bin/busybox", "sh", "-c", "echo it broke; exit 3"]\n' >Dockerfile
    compose <<'END'
services:
  a: {build: .}
END
    expect_exit 1 daruma up -d
    assert_contains "$(cat out err)" "cannot build the image project-a"
    assert_contains "$(cat out err)" "it broke"
}

story_a_program_that_is_not_in_the_image_is_told() {
    engine_start
    compose <<'END'
services:
  a: {image: "daruma/app:1", command: [/nowhere]}
END
    expect_exit 1 daruma up -d
    assert_contains "$(cat out err)" "cannot start the container project-a-1"
    assert_contains "$(cat out err)" "/nowhere"
}

story_what_cannot_hear_its_stop_signal_is_not_waited_for() {
    engine_start
    compose <<'END'
services:
  deaf: {image: "daruma/app:1", command: [/bin/busybox, sleep, "1000"], stop_grace_period: 60s}
  hears: {image: "daruma/app:1", command: [/bin/busybox, sh, -c, "trap 'echo bye; exit 7' TERM; echo hears; while :; do sleep 0.1; done"]}
  init: {image: "daruma/app:1", command: [/bin/busybox, sleep, "1000"], init: true, stop_grace_period: 60s}
END
    up
    becomes 5 '[[ $(docker logs project-hears-1) == hears ]]'
    expect_exit 0 timeout 30 "$BUILD/daruma" down
    assert_contains "$(cat out err)" "deaf-1: is process 1 and has no handler for its stop signal"
    assert_contains "$(cat out err)" "hears-1 exited with status 7"
    assert_contains "$(cat out err)" "init-1 ended by SIGTERM"
}

story_hooks_run_after_the_start_and_before_the_stop() {
    engine_start
    compose <<'END'
services:
  a:
    image: daruma/app:1
    command: [/bin/busybox, sh, -c, "trap 'cat /tmp/log; exit 0' TERM; while :; do sleep 0.1; done"]
    post_start:
      - command: [/bin/busybox, sh, -c, 'echo "started by $$(id -u)" >/tmp/log; chmod 666 /tmp/log']
      - command: [/bin/busybox, sh, -c, 'echo "then by $$(id -u), $$WORD in $$PWD" >>/tmp/log']
        user: "1000"
        working_dir: /bin
        environment: {WORD: hello}
    pre_stop:
      - command: /bin/busybox sh -c 'echo "about to stop" >>/tmp/log'
END
    up
    expect_exit 0 daruma down
    assert_eq "$(daruma logs --no-log-prefix)" $'started by 0\nthen by 1000, hello in /bin\nabout to stop' "what the hooks did"
    # What its hook leaves half prepared does not serve.
    sed -i 's/echo "started by.*log/echo broken; exit 3/' compose.yaml
    expect_exit 1 daruma up -d
    assert_contains "$(cat out err)" "in line 6 ended with status 3: broken"
    assert_eq "$(instance a-1 .state)" failed
}
