# SPDX-License-Identifier: MIT
# `daruma config` shows the project as it was understood, whole or in one aspect.

shop() {
    printf 'TAG=2\n' >.env
    compose <<'END'
name: shop
services:
  web:
    image: "nginx:${TAG}"
    command: echo "$$HOME"
    depends_on: [db]
    networks: [front]
  db:
    build: ./db
    volumes: ["data:/d"]
  debug:
    image: busybox
    profiles: [debug]
networks: {front: }
volumes: {data: , unused: }
models: {llm: {model: ai/small}}
END
}

story_each_aspect_is_printed_alone() {
    shop
    assert_eq "$(daruma config --services | paste -sd ' ')" "db web"
    assert_eq "$(daruma --profile debug config --services | paste -sd ' ')" "db debug web"
    assert_eq "$(daruma config --volumes | paste -sd ' ')" "data unused"
    assert_eq "$(daruma config --networks | paste -sd ' ')" "default front"
    assert_eq "$(daruma config --images | sort | paste -sd ' ')" "nginx:2 shop-db"
    assert_eq "$(daruma config --models)" "ai/small"
    assert_eq "$(daruma config --profiles)" "debug"
    assert_contains "$(daruma config --environment)" "TAG=2"
    assert_eq "$(daruma config --hash web | wc -w)" 2
    assert_eq "$(daruma config --hash '*' | cut -d ' ' -f 1 | paste -sd ' ')" "$(daruma config --services | paste -sd ' ')"
    echo old >out
    assert_eq "$(daruma config -q -o out)$(cat out)" "old"
    assert_contains "$(daruma --profile debgu config -q 2>&1)" "no service has the profile \`debgu\`; did you mean \`debug\`?"
}

story_what_is_printed_loads_to_the_same_project() {
    shop
    daruma config -o whole.yaml
    daruma config --format json >first.json
    daruma -f whole.yaml config --format json >second.json
    cmp first.json second.json || fail "the printed project is another one"
    daruma config --format json | daruma -f - config --format json >third.json
    cmp first.json third.json || fail "the project printed as JSON is another one"
}

story_what_is_printed_does_not_refer_to_what_a_profile_switches_off() {
    compose <<'END'
services:
  web: {image: i, depends_on: {db: {condition: service_started, required: false}, app: {condition: service_started}}}
  app: {image: i}
  db: {image: i, profiles: [x]}
END
    daruma config | daruma -f - config --format json >out
    assert_eq "$(jq -c '.services.web.depends_on | keys' out)" '["app"]'
}

# Texts that YAML would take for something else, as values and as keys; numbers as they were written.
story_strange_texts_and_fractions_come_through() {
    cat >compose.yaml <<'END'
services:
  web:
    image: i
    environment: {A: "a\u2028b", B: "\u0085", C: "x\n  y\n", D: "\ufeff", E: "no", F: "- a", G: "<<", H: "\x07", I: "\n"}
    labels: {"two\nlines": k, "? a": k, "\u2029": k, "#": k, "<<": k, "1": k, "a: b": k}
END
    daruma config --format json >first.json
    daruma config | daruma -f - config --format json >second.json
    cmp first.json second.json || fail "the printed project is another one"
    printf 'services: {web: {image: i, cpus: 0.1, deploy: {update_config: {max_failure_ratio: 0.30}}}}\n' >compose.yaml
    assert_contains "$(daruma config)" "cpus: 0.1"$'\n'
    assert_contains "$(daruma config --format json)" '"max_failure_ratio": 0.3'$'\n'
    assert_eq "$(jq -ac '.services.web.labels | keys' first.json)" '["#","1","<<","? a","a: b","two\nlines","\u2029"]'
}

story_variables_and_what_is_implied_can_be_left_out() {
    shop
    assert_contains "$(daruma config --no-interpolate)" 'nginx:${TAG}'
    printf 'services: {web: {image: i, ports: ["$PORT:80", "${PORT}:81"], volumes: ["$DIR:/d"]}}\n' |
        daruma -f - config --no-interpolate >out
    assert_contains "$(tr -d "\n" <out)" '$PORT:80'
    assert_contains "$(tr -d "\n" <out)" '${PORT}:81'
    assert_contains "$(tr -d "\n" <out)" '$DIR:/d'
    assert_lacks "$(daruma config --no-normalize)" "default"
    assert_contains "$(daruma config)" '$$HOME'
}

story_env_files_can_be_left_unread() {
    printf 'A=1\n' >a.env
    printf 'services: {web: {image: i, env_file: a.env}}\n' >compose.yaml
    assert_contains "$(daruma config)" 'A: "1"'
    assert_contains "$(daruma config --no-env-resolution)" "path: $PWD/a.env"
    rm a.env
    expect_exit 2 daruma config -q
    daruma config --no-env-resolution -q
}

story_paths_can_stay_relative() {
    mkdir -p sub/inner ../elsewhere
    printf 'A=1\n' >a.env
    printf 'B=1\n' >sub/b.env
    printf 'services: {base: {extends: {file: inner/root.yaml, service: root}, build: ., env_file: b.env,
        volumes: ["./d:/d", "../up:/up"]}}\n' >sub/base.yaml
    printf 'services: {root: {volumes: ["./r:/r"]}}\n' >sub/inner/root.yaml
    printf 'services: {more: {build: ../x}}\n' >sub/inner/more.yaml
    printf 'services: {far: {build: ./y}}\n' >../elsewhere/far.yaml
    cat >compose.yaml <<'END'
include: [sub/inner/more.yaml, ../elsewhere/far.yaml]
services:
  own: {build: ./o/../p, env_file: ./a.env, volumes: ["~/h:/h", "./v:/v", "/w:/w"]}
  ext: {extends: {file: sub/base.yaml, service: base}}
secrets: {s: {file: ./s.txt}}
END
    daruma config --no-path-resolution --format json >out
    assert_eq "$(jq -c '[.services[].build.context]' out)" '["sub","../elsewhere/y","sub/x","./o/../p"]'
    assert_eq "$(jq -c '[.services[].volumes[]?.source], .secrets.s.file' out | paste -sd ' ')" \
        '["sub/inner/r","sub/d","up","~/h","./v","/w"] "./s.txt"'
    assert_eq "$(jq -r '.services | .own.environment.A + .ext.environment.B' out)" "11"
    cd sub
    daruma -f ../compose.yaml config --no-path-resolution --format json | cmp - ../out ||
        fail "it depends on where it is asked"
}

story_files_are_found_although_variables_are_left_standing() {
    printf 'services: {base: {image: "b:$TAG"}}\n' >base.yaml
    printf 'services: {more: {image: "m:$TAG"}}\n' >more.yaml
    printf 'A=1\n' >a.env
    cat >compose.yaml <<'END'
include: ["${MORE:-more}.yaml"]
services: {web: {extends: {file: "$BASE.yaml", service: base}, env_file: "${DIR:-.}/a.env"}}
END
    BASE=base daruma config --no-interpolate >out
    assert_contains "$(cat out)" 'b:$TAG'
    assert_contains "$(cat out)" 'm:$TAG'
    assert_contains "$(cat out)" 'A: "1"'
    assert_eq "$(BASE=base daruma config --variables | awk 'NR > 1 { print $1 }' | paste -sd ' ')" "BASE DIR MORE TAG"
}

story_variables_are_listed_with_what_is_said_about_them() {
    compose <<'END'
services: {web: {image: "${IMAGE:?which one}:${TAG:-latest}", hostname: "$HOST${SUFFIX:+-${SUFFIX}}$$NO", ports: ["$PORT:80"]}}
END
    daruma config --variables >out
    assert_eq "$(awk 'NR > 1 { print $1, $2, $3 }' out | paste -sd ';' | tr -s ' ')" \
        "HOST false ;IMAGE true ;PORT false ;SUFFIX false -\${SUFFIX};TAG false latest"
    assert_eq "$(daruma config --variables --format json | jq -c '.TAG, .IMAGE.Required')" \
        '{"DefaultValue":"latest","Name":"TAG","PresenceValue":"","Required":false}'$'\ntrue'
}

story_a_named_service_comes_with_what_it_needs_and_nothing_else() {
    shop
    assert_eq "$(daruma config --services debug)" "debug"
    assert_eq "$(daruma config --services web | paste -sd ' ')" "db web"
    assert_lacks "$(daruma config db)" "unused"
    expect_exit 2 daruma config wbe
    assert_contains "$(cat err)" "there is no service \`wbe\`; did you mean \`web\`?"
}

story_what_cannot_be_done_is_refused_with_a_reason() {
    shop
    for option in --resolve-image-digests --lock-image-digests; do
        expect_exit 2 daruma config $option
        assert_contains "$(cat err)" "asks no registry"
    done
    expect_exit 2 daruma config --format toml
    assert_contains "$(cat err)" "yaml or json"
    expect_exit 1 daruma config -o missing/folder.yaml
    assert_contains "$(cat err)" "missing/folder.yaml: No such file"
    expect_exit 1 daruma config -o /dev/full
    assert_contains "$(cat err)" "No space left"
    expect_exit 2 daruma config --hash nobody
    printf 'services: {a: {image: 1}}\n' >wrong
    expect_exit 2 daruma -f - config <wrong
    assert_contains "$(cat err)" "-:1:23: services.a.image must be a string"
}
