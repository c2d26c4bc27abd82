# SPDX-License-Identifier: MIT
# `up` with files that people have: it starts them, or says precisely what each service needs. A sample of the
# reference corpus, where that lies beside the repository; every file of it was tried by hand in the same way.

CORPUS=${CORPUS:-$root/../shared/reference/compose}

# Our own, and every 60th file of the corpus.
sample() {
    find "$root/tests/fuzz/corpus/compose" -name '*.yaml'
    [[ ! -d $CORPUS ]] ||
        find "$CORPUS/valid" "$CORPUS/invalid" -name '*.y*ml' -not -path '*/expected/*' | sort | awk 'NR % 60 == 1'
}

# What is wrong or missing is told with its place; files of images also say what they need as processes.
started_or_explained() { # FILE
    local said status=0
    said=$(timeout 40 "$BUILD/daruma" -f "$1" -p corpus up -d 2>&1) || status=$?
    if [[ $said == *"no Docker Engine"* ]]; then
        status=0
        said=$(timeout 40 "$BUILD/daruma" -f "$1" -p corpus --runtime process up -d 2>&1) || status=$?
    fi
    case $status in
        0) daruma -f "$1" -p corpus down >down.out 2>&1 || fail "down after up of $1: $(cat down.out)" ;;
        2) grep -Eq '^[^ ]+:[0-9]+:[0-9]+: [^w]|define no service|: cannot read|^cannot read|: the file is empty' <<<"$said" ||
            fail "the refusal of $1 does not say where: $said" ;;
        *) fail "up of $1 ended with $status: $said" ;;
    esac
    assert_lacks "$said" "Sanitizer" "up of $1"
}

story_files_that_people_have_start_or_say_what_they_need() { # sanitized
    local file n=0
    while IFS= read -r file; do
        started_or_explained "$file"
        n=$((n + 1))
    done < <(sample)
    [[ $n -gt 1 ]] || fail "only $n files were tried"
}

story_an_image_is_told_what_it_needs_service_by_service() {
    compose <<'END'
services:
  web: {image: nginx, ports: ["8080:80"], depends_on: [db]}
  db: {image: postgres, volumes: ["data:/var/lib/postgresql/data"]}
volumes: {data: }
END
    expect_exit 2 daruma up -d --runtime process
    assert_contains "$(cat err)" "compose.yaml:2:3: service \`web\` does not say what to run as a process"
    assert_contains "$(cat err)" "compose.yaml:3:3: service \`db\` does not say what to run as a process"
    assert_contains "$(cat err)" "     3 |   db: {image: postgres"
}
