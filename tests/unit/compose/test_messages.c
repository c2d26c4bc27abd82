/* SPDX-License-Identifier: MIT
 *
 * What is told when files are wrong: the line with a caret, where a value came from, everything at once and in order.
 */
#include "story.h"

/* The told text with the story's folder written as @DIR@, to be compared as a whole. */
static void must_tell_all(const struct story *story, const char *expected)
{
    struct buf told CLEANUP_BUF = { 0 };
    size_t len = strlen(story->folder);

    for (const char *p = story->told; *p;) {
        bool folder = strncmp(p, story->folder, len) == 0;
        buf_add(&told, folder ? "@DIR@" : p, folder ? 5 : 1);
        p += folder ? len : 1;
    }
    char *text CLEANUP_FREE = buf_take(&told);
    assert_string_equal(text, expected);
}

static void the_line_is_shown_with_a_caret(void **unused)
{
    STORY story = { 0 };
    story_of(&story, "services:\n"
                     "  web:\n"
                     "    imgae: nginx\n"
                     "    stop_grace_period: soon\n");
    must_tell_all(&story, "@DIR@/compose.yaml:3:5: unknown attribute `imgae` in services.web; did you mean `image`?\n"
                          "     3 |     imgae: nginx\n"
                          "       |     ^\n"
                          "@DIR@/compose.yaml:4:24: `soon` is no duration; write it like 1m30s or 500ms\n"
                          "     4 |     stop_grace_period: soon\n"
                          "       |                        ^\n");
}

static void a_long_line_is_shown_in_part_and_characters_count_not_bytes(void **unused)
{
    STORY story = { 0 };
    char text[512];
    (void)snprintf(text, sizeof(text), "services: {web: {image: \"%0200d\", \"ünbekannt\": 1, more: \"%0200d\"}}\n", 0,
                   0);
    story_of(&story, text);
    must_tell(&story, "     1 | …000000000");
    must_tell(&story, "\"ünbekannt\": 1");
    assert_true(strlen(strstr(story.told, "     1 | ")) < 900);

    STORY wide = { 0 };
    story_of(&wide, "services: {\"äöü\": {image: i}, b: {image: i, nope: 1}}\n");
    must_tell(&wide, "     1 | services: {\"äöü\": {image: i}, b: {image: i, nope: 1}}\n"
                     "       |            ^\n");
    must_tell(&wide, "\n       |                                             ^\n");
}

static void what_no_shell_reads_is_told(void **unused)
{
    STORY story = { 0 };
    story_of(&story, "services:\n  web: {image: i, command: echo a && echo b}\n");
    must_say(&story, "services.web.command", "[\"echo\", \"a\"]");
    must_tell(&story, "compose.yaml:2:28: warning: only what stands before the `;`, `&`, `|`, `<` or `>` is run");
}

static void what_a_terminal_would_obey_is_not_shown(void **unused)
{
    STORY story = { 0 };
    story_of(&story, "services:\n\tweb: {image: i}\n");
    assert_null(story.spec);
    assert_null(strchr(story.told, '\t'));
}

static void a_variable_says_where_it_came_from(void **unused)
{
    static const char *const environment[] = { "HOME=/root", "PORT=high", NULL };
    STORY story = { 0 };
    story.request.environment = environment;
    story_file(&story, ".env", "# the shop\nLIMIT=much\n");
    story_of(&story, "services:\n"
                     "  web:\n"
                     "    image: i\n"
                     "    ports: [\"${PORT}:80\"]\n"
                     "    mem_limit: ${LIMIT}${UNIT:-}\n");
    must_refuse(&story, "compose.yaml:4:13: `high:80` is no port");
    must_tell(&story, "     4 |     ports: [\"${PORT}:80\"]\n"
                      "       |             ^\n"
                      "       = PORT comes from the environment\n");
    must_tell(&story, "       = LIMIT comes from /tmp/");
    must_tell(&story, "/.env:2\n");
}

static void a_variable_of_an_env_file_that_was_named_says_so(void **unused)
{
    static const char *const files[] = { "prod.env", NULL };
    STORY story = { 0 };
    story.request.env_files = files;
    story_file(&story, "prod.env", "GRACE=soon\n");
    story_of(&story, "services: {web: {image: i, stop_grace_period: $GRACE}}\n");
    must_refuse(&story, "`soon` is no duration");
    must_tell(&story, "/prod.env:1\n");
}

static void an_included_and_an_extended_file_say_who_wanted_them(void **unused)
{
    STORY story = { 0 };
    story_file(&story, "db/compose.yaml", "services:\n  db: {image: i, nope: 1}\n");
    story_file(&story, "base.yaml", "services:\n  base: {image: i, stop_grace_period: soon}\n");
    story_of(&story, "include: [db/compose.yaml]\n"
                     "services:\n"
                     "  web:\n"
                     "    extends: {file: base.yaml, service: base}\n");
    must_refuse(&story, "db/compose.yaml:2:18: unknown attribute `nope` in services.db");
    must_tell(&story, "     2 |   db: {image: i, nope: 1}\n");
    must_tell(&story, "       = included at /tmp/");
    must_tell(&story, "/compose.yaml:1:11\n");
    must_tell(&story, "base.yaml:2:39: `soon` is no duration");
    must_tell(&story, "       = extended at /tmp/");
    must_tell(&story, "/compose.yaml:4:21\n");
}

static void what_an_override_got_wrong_is_told_there(void **unused)
{
    STORY story = { 0 };
    story_file(&story, "compose.override.yaml", "services:\n  web:\n    depends_on: [bd]\n");
    story_of(&story, "services: {web: {image: i}, db: {image: i}}\n");
    must_refuse(&story, "compose.override.yaml:3:18: service `web` refers to the service `bd`, which is not defined; "
                        "did you mean `db`?\n"
                        "     3 |     depends_on: [bd]\n"
                        "       |                  ^\n");
}

static void all_files_tell_all_in_their_order_and_once(void **unused)
{
    STORY story = { 0 };
    story_file(&story, "base.yaml", "services: {base: {image: i, nope: 1}}\n");
    story_file(&story, "compose.override.yaml", "services:\n  a:\n    comand: x\n");
    story_of(&story, "services:\n"
                     "  c: {image: i, restart: bogus}\n"
                     "  a: {extends: {file: base.yaml, service: base}}\n"
                     "  b: {extends: {file: base.yaml, service: base}}\n");
    must_refuse(&story, "nope");
    const char *override = strstr(story.told, "comand"), *base = strstr(story.told, "unknown attribute `nope`");
    assert_true(override && base && override != base);
    assert_null(strstr(base + 1, "unknown attribute `nope`"));
}

static void a_warning_is_one_line(void **unused)
{
    STORY story = { 0 };
    story_of(&story, "services: {web: {image: \"i$TAG\"}}\n");
    must_load(&story);
    must_tell(&story, "compose.yaml:1:25: warning: the variable TAG is not set");
    assert_null(strstr(story.told, " | "));
}

/* Compose takes these; that it means something else than it seems to, or nothing, ought to be known. */
static void what_compose_passes_over_in_silence_is_a_warning(void **unused)
{
    STORY story = { 0 };
    story_of(&story,
             "services:\n"
             "  web:\n"
             "    image: i\n"
             "    volumes: [\"./a:/a:or\", \"./b:/b:ro,cached\", \"v:/v\"]\n"
             "    stop_grace_period: -5s\n"
             "    deploy: {update_config: {failure_action: rollbak}, rollback_config: {failure_action: rollback}}\n");
    must_load(&story);
    must_tell(&story, "compose.yaml:4:15: warning: `or` is no option of a mount");
    assert_null(strstr(story.told, "cached"));
    must_tell(&story, "compose.yaml:4:48: warning: `v:/v`: one letter before a colon is a drive of Windows");
    must_tell(&story, "compose.yaml:5:24: warning: `-5s` is negative");
    must_tell(&story, "compose.yaml:6:46: warning: `rollbak` is no failure_action, so it is `rollback`");
    must_tell(&story, "compose.yaml:6:90: warning: `rollback` is no failure_action, so it is `pause`");
}

static void env_files_are_not_shown(void **unused)
{
    STORY story = { 0 };
    story_file(&story, ".env", "PASSWORD=\"secret\nNEXT=1\n");
    story_of(&story, "services: {web: {image: i}}\n");
    must_refuse(&story, ".env:1:10: the quote \" is never closed");
    assert_null(strstr(story.told, "secret"));
}

static void an_env_file_says_who_wanted_it(void **unused)
{
    STORY story = { 0 };
    story_file(&story, "a.env", "A=1\nö B=secret\n");
    story_of(&story, "services:\n  web:\n    image: i\n    env_file: a.env\n");
    must_refuse(&story, "a.env:2:2: ` ` may not stand in a variable's name");
    must_tell(&story, "       = wanted at /tmp/");
    must_tell(&story, "/compose.yaml:4:15\n");
    assert_null(strstr(story.told, "secret"));
}

static void broken_yaml_says_what_may_mend_it(void **unused)
{
    static const struct {
        const char *file, *told;
    } rows[] = {
        { "services:\n\ta: {image: i}\n", "2:1: not YAML: tab character may not be used as indentation; indent with" },
        { "services:\n  a:\n    image: \"i\n    tty: true\n", "3:12: not YAML: wrongly indented double-quoted" },
        { "services:\n  a:\n    image: \"i\n    tty: true\n", "; is the quote closed?" },
        { "services:\n  a:\n    image i\n    tty: true\n",
          "3:5: not YAML: invalid multiline plain key; a `: ` is mis" },
        { "services:\n  a:\n    command: echo: x\n", "; a value with `: ` in it stands in quotes" },
        { "services:\n  a:\n    image: @i\n", "; write it in quotes" },
        { "services:\n  a: {image: i\n  b: {image: i}\n", "3:4: not YAML: missing comma in flow mapping" },
        { "services:\n  a: {ports: [80]\n  b: {}\n", "; is the bracket closed?" },
        { "services:\n  a:\n    command:\n      - x\n     - y\n", "; it stands exactly below its neighbours" },
        { "services:\n  a:\n   image: i\n b:\n   image: i\n", "; it stands exactly below its neighbours" },
        { "services:\n  a:\n    image: 'it's'\n", "; inside of '…' a quote is written twice" },
        { "services:\n  a: {image: \"a\\qb\"}\n", "; a backslash is written twice" },
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        story_of(&story, rows[i].file);
        must_refuse(&story, rows[i].told);
    }
}

static void one_broken_file_does_not_hide_the_others(void **unused)
{
    STORY story = { 0 };
    story_file(&story, "compose.override.yaml", "services:\n  a: {imag: i, image: i, depends_on: [b]}\n");
    story_of(&story, "services:\n  b: [\n");
    must_refuse(&story, "compose.yaml:3:1: not YAML");
    must_tell(&story, "compose.override.yaml:2:7: unknown attribute `imag`");
    assert_null(strstr(story.told, "not defined")); /* `b` may well be what is broken */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_line_is_shown_with_a_caret),
        cmocka_unit_test(a_long_line_is_shown_in_part_and_characters_count_not_bytes),
        cmocka_unit_test(what_no_shell_reads_is_told),
        cmocka_unit_test(what_a_terminal_would_obey_is_not_shown),
        cmocka_unit_test(a_variable_says_where_it_came_from),
        cmocka_unit_test(a_variable_of_an_env_file_that_was_named_says_so),
        cmocka_unit_test(an_included_and_an_extended_file_say_who_wanted_them),
        cmocka_unit_test(what_an_override_got_wrong_is_told_there),
        cmocka_unit_test(all_files_tell_all_in_their_order_and_once),
        cmocka_unit_test(a_warning_is_one_line),
        cmocka_unit_test(what_compose_passes_over_in_silence_is_a_warning),
        cmocka_unit_test(env_files_are_not_shown),
        cmocka_unit_test(an_env_file_says_who_wanted_it),
        cmocka_unit_test(broken_yaml_says_what_may_mend_it),
        cmocka_unit_test(one_broken_file_does_not_hide_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
