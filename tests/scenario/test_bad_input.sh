# SPDX-License-Identifier: MIT
# What is wrong is said with its place, all of it in one go, with exit code 2 and nothing started.

# Starts ./compose.yaml, which must be refused; every word must be in what is said.
refused() { # WORDS…
    local word
    expect_exit 2 daruma up -d
    for word; do
        assert_contains "$(cat err)" "$word" "the refusal"
    done
    becomes 2 nothing_left
    [[ ! -e started ]] || fail "something was started"
}

story_broken_yaml_is_refused_with_its_place() {
    printf 'services:\n  app:\n    image: "unclosed\n' | compose
    refused "compose.yaml:3:"
}

story_all_problems_are_told_at_once() { # sanitized
    compose <<'END'
services:
  first:
    comand: [touch, started]
    image: x
  second:
    x-daruma: {process: {command: [touch, started]}}
    stop_grace_period: soon
  third:
    x-daruma: {process: {command: [touch, started]}}
    depends_on: [nobody]
END
    refused "compose.yaml:3:5:" "comand" "compose.yaml:7:" "`soon` is no duration" "nobody"
}

story_one_mistake_does_not_hide_another() { # sanitized
    cat >base.yaml <<'END'
services: {base: {image: x, stop_grace_period: 10}}
END
    cat >compose.override.yaml <<'END'
services: {first: {imgae: x}}
END
    compose <<'END'
services:
  first: {image: x, depends_on: [frist], env_file: nowhere.env, restart: allways}
  second: {extends: {file: base.yaml, service: base}, ports: ["${WEB_PORT}:80"]}
  third:
  image: x
x-gateway: {listeners: [{address: ":0", routes: [{to: [frist]}]}]}
END
    echo "WEB_PORT=high" >.env
    refused \
        "base.yaml:1:48: services.base.stop_grace_period must be a string, not an integer; write it with its unit, like 10s" \
        "extended at $PWD/compose.yaml:3:28" "compose.override.yaml:1:20: unknown attribute \`imgae\`" \
        "compose.yaml:2:34: service \`first\` refers to the service \`frist\`, which is not defined; did you mean \`first\`?" \
        "compose.yaml:2:52: there is no file $PWD/nowhere.env" "compose.yaml:2:74: \`allways\` is no restart rule" \
        "compose.yaml:3:63: \`high:80\` is no port" "WEB_PORT comes from $PWD/.env:1" \
        "compose.yaml:4:3: services.third must be a mapping, not null; nothing stands below it" \
        "compose.yaml:5:10: services.image must be a mapping, not a string; \`image\` belongs to a service" \
        "compose.yaml:6:35: \`:0\` is no address to listen at" "     5 |   image: x
       |          ^"
}

story_a_cycle_is_refused_by_name() {
    compose <<'END'
services:
  a: {depends_on: [b], x-daruma: {process: {command: [touch, started]}}}
  b: {depends_on: [c], x-daruma: {process: {command: [touch, started]}}}
  c: {depends_on: [a], x-daruma: {process: {command: [touch, started]}}}
END
    refused "compose.yaml:" "a" "b" "c"
}

story_a_missing_variable_is_refused_with_its_message() {
    compose <<'END'
services:
  a:
    environment: {KEY: "${SECRET_KEY:?set it to the key of the shop}"}
    x-daruma: {process: {command: [touch, started]}}
END
    refused "compose.yaml:3:" "SECRET_KEY" "set it to the key of the shop"
}

story_a_command_that_does_not_exist_is_refused() {
    compose <<'END'
services:
  a: {x-daruma: {process: {command: [touch, started]}}}
  b:
    x-daruma:
      process:
        command: [/no/such/program]
END
    refused "compose.yaml:6:" "/no/such/program"
}

story_a_file_that_is_not_executable_is_refused() {
    echo data >data.txt
    compose <<'END'
services:
  a: {x-daruma: {process: {command: [./data.txt]}}}
END
    refused "compose.yaml:2:" "data.txt" "executable"
}

story_an_unknown_user_is_refused() {
    compose <<'END'
services:
  a:
    user: nobody-of-that-name
    x-daruma: {process: {command: [touch, started]}}
END
    refused "compose.yaml:3:" "nobody-of-that-name"
}

story_a_port_that_is_taken_is_refused() {
    port=$(free_port)
    HOSTNAME=other PORT=$port "$app" >/dev/null &
    local other=$!
    becomes 5 "(exec 3<>/dev/tcp/127.0.0.1/$port)"
    compose <<END
services:
  a:
    ports: ["127.0.0.1:$port:5000"]
    x-daruma: {process: {command: [touch, started]}}
END
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "$port" "the refusal"
    assert_contains "$(cat err)" "compose.yaml:3:" "the refusal"
    [[ ! -e started ]] || fail "something was started"
    kill $other
    wait $other || true
}

story_no_compose_file_says_which_names_were_tried() {
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "compose.yaml"
}

story_a_run_directory_that_may_not_be_written_is_refused() {
    [[ $(id -u) -eq 0 ]] && { touch "$dir/blocked"; export DARUMA_RUN_DIR=$dir/blocked/run; } || {
        mkdir -m 500 "$dir/blocked"
        export DARUMA_RUN_DIR=$dir/blocked/run
    }
    compose <<'END'
services:
  a: {x-daruma: {process: {command: [touch, started]}}}
END
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "$dir/blocked" "the refusal"
    [[ ! -e started ]] || fail "something was started"
}

story_who_is_named_and_not_there_is_a_mistake_of_the_command_line() {
    local command
    compose <<'END'
services:
  app: {x-daruma: {process: {command: [sleep, "1000"]}}}
END
    up
    for command in ps logs restart kill deploy rollback "chaos kill" "chaos pause" "kill app" "up -d"; do
        # shellcheck disable=SC2086
        expect_exit 2 daruma $command wbe
        assert_contains "$(cat err)" 'there is no service' "what \`$command\` says"
    done
    expect_exit 2 daruma scale wbe=2
    expect_exit 2 daruma rollback app --to 9
    expect_exit 1 daruma rollback app # nothing is named that is not there
    expect_exit 0 daruma down
}

story_a_limit_on_the_size_of_files_is_told() {
    one_instance
    expect_exit 1 bash -c "ulimit -f 1000; exec '$BUILD/daruma' up -d"
    assert_contains "$(cat err)" "File too large"
}

# The command, the supervisor's guard, the supervisor, its first worker: whoever is one too many. Processes that have ended count
# as well, until somebody reaps them, so each time it is another user.
story_a_limit_on_processes_is_told() {
    [[ $(id -u) -eq 0 ]] || skip "only root can be another user"
    one_instance
    mkdir -m 777 "$dir/user"
    chmod 755 "$dir" .
    local limit
    for limit in 1 2 3 4; do
        expect_exit 1 timeout 20 setpriv --reuid $((54320 + limit)) --clear-groups env DARUMA_RUN_DIR="$dir/user/$limit" \
            prlimit --nproc=$limit "$BUILD/daruma" up -d
        assert_contains "$(cat err)" "no more processes are allowed; raise the limit" "what is said of $limit"
    done
}

story_files_without_a_service_are_refused() {
    echo 'services: {}' >compose.yaml
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "no service"
    compose <<'END'
services:
  a: {profiles: [extra], x-daruma: {process: {command: [sleep, "1000"]}}}
END
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "--profile"
    expect_exit 0 daruma --profile extra up -d
    # What runs is not taken down by a file that became empty.
    echo 'services: {}' >compose.yaml
    expect_exit 2 daruma up -d
    wait_for 5 all_ready
}

story_usage_mistakes_are_explained() {
    expect_exit 2 daruma
    expect_exit 2 daruma upp
    assert_contains "$(cat err)" "up"
    expect_exit 2 daruma up --no-such-option
    expect_exit 2 daruma scale
    expect_exit 0 daruma --help
    expect_exit 0 daruma --version
}

story_names_that_are_no_text_are_refused_and_mean_nobody_else() {
    one_instance
    up
    local pid
    pid=$(instance app-1 .pid)
    expect_exit 2 daruma kill $'\xff'
    assert_contains "$(cat err)" "UTF-8"
    expect_exit 2 daruma restart $'app\xff'
    assert_eq "$(instance app-1 .pid)" "$pid" "the instance that nobody named"
    expect_exit 0 daruma down
    mkdir $'folder\xff'
    cp compose.yaml folder*
    cd folder*
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" "UTF-8"
    expect_exit 1 daruma down
}

# Where docs/cli.md leaves the details of a command to another page.
page_of() { # COMMAND
    case $1 in
    config) echo compose ;;
    gateway) echo nginx ;;
    *) echo "$1" ;;
    esac
}

options_in() { grep -oh -- '--[a-z][a-z-]*' "$@" | sort -u; }

story_every_option_is_documented_and_every_documented_one_is_there() {
    local command option
    daruma --help >help.all
    for command in $(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' help.all); do
        daruma "$command" --help >help
        cat help >>help.all
        cat "$root/docs/cli.md" >pages
        cat "$root/docs/$(page_of "$command").md" >>pages 2>/dev/null || true
        options_in pages >documented
        for option in $(options_in help); do
            grep -qx -- "$option" documented || fail "docs do not tell of: daruma $command $option"
        done
    done
    options_in help.all >known
    for option in $(options_in "$root/docs/cli.md"); do
        grep -qx -- "$option" known || fail "docs/cli.md tells of $option, which no command takes"
    done
}

story_an_attribute_that_processes_cannot_honour_is_a_warning() {
    compose <<'END'
services:
  a:
    x-daruma: {process: {command: "touch started; exec sleep 1000"}}
    cap_add: [NET_ADMIN]
END
    up
    assert_contains "$(cat out err)" "compose.yaml:4:" "the warning"
    assert_contains "$(cat out err)" "cap_add" "the warning"
    becomes 5 '[[ -e started ]]'
}
