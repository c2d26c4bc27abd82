/* SPDX-License-Identifier: MIT
 *
 * From files to the model: which files, what they are called, how they are read, merged and normalised.
 */
#include "story.h"

#include <errno.h>
#include <sys/stat.h>

/* --- YAML --- */

static void scalars_mean_what_go_yaml_makes_of_them(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story,
             "services:\n  a:\n    image: i\n    environment:\n      A: 010\n      B: 1.0\n      C: 1e3\n"
             "      D: 0b11\n      E: TRUE\n      F: on\n      G: ~\n      H: \"010\"\n      I: 12345678901234567890\n"
             "      J: +1\n      K: !!str 1.0\n      L: 0x10\n      M: 1_000\n      N: 2001-01-01 10:00:00\n");
    must_say(&story, "services.a.environment",
             "{\"A\":\"8\",\"B\":\"1\",\"C\":\"1000\",\"D\":\"3\",\"E\":\"true\",\"F\":\"on\",\"G\":null,\"H\":\"010\","
             "\"I\":\"12345678901234567890\",\"J\":\"1\",\"K\":\"1.0\",\"L\":\"16\",\"M\":\"1000\","
             "\"N\":\"2001-01-01 10:00:00 +0000 UTC\"}");
}

/* As Go prints a time.Time of what go-yaml takes for one. */
static void a_date_reaches_an_environment_as_go_prints_it(void **unused)
{
    (void)unused;
    static const struct {
        const char *written, *said;
    } rows[] = {
        { "2024-02-29", "2024-02-29 00:00:00 +0000 UTC" },
        { "2023-02-29", "2023-02-29" },
        { "2001-1-2", "2001-01-02 00:00:00 +0000 UTC" },
        { "2001-001-02", "2001-001-02" },
        { "2001-01- 2", "2001-01- 2" },
        { "2001-01-01 10:00:00.50", "2001-01-01 10:00:00.5 +0000 UTC" },
        { "2001-01-01 10:00:00Z", "2001-01-01 10:00:00Z" },
        { "2001-01-01T10:00:00", "2001-01-01T10:00:00" },
        { "2001-01-01T10:00:00Z", "2001-01-01 10:00:00 +0000 UTC" },
        { "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.1 -0500 -0500" },
        { "2001-12-14T21:59:43+00:00", "2001-12-14 21:59:43 +0000 UTC" },
        { "2001-12-14T21:59:60Z", "2001-12-14T21:59:60Z" },
        { "2001-12-14T21:59", "2001-12-14T21:59" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        char text[256], said[256];
        (void)snprintf(text, sizeof(text), "services: {a: {image: i, hostname: h, environment:\n  {A: %s}}}\n",
                       rows[i].written);
        (void)snprintf(said, sizeof(said), "{\"A\":\"%s\"}", rows[i].said);
        story_of(&story, text);
        must_say(&story, "services.a.environment", said);
    }
}

static void merge_keys_bring_in_what_is_not_there(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "x-a: &a\n  image: i\n  labels: {k: a}\nx-b: &b\n  image: j\n  restart: always\nservices:\n  s:\n"
                     "    <<: [*a, *b]\n    labels: {z: z}\n  t: *a\n");
    must_say(&story, "services.s.image", "\"i\"");
    must_say(&story, "services.s.restart", "\"always\"");
    must_say(&story, "services.s.labels", "{\"z\":\"z\"}");
    must_say(&story, "services.t.labels", "{\"k\":\"a\"}");
}

static void what_is_wrong_with_yaml_has_a_place(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *told;
    } rows[] = {
        { "services:\n  a:\n    image: i\n  a:\n    image: j\n",
          "compose.yaml:4:3: the key `a` stands here a second time" },
        { "x-s: &s word\nservices:\n  a:\n    <<: *s\n", "`<<` wants a mapping" },
        { "x-a: &a\n  b:\n    <<: *a\n", "compose.yaml:3:9: the alias *a stands inside of what it names" },
        { "services: {a: {image: *none}}\n", "compose.yaml:1:23: there is no anchor &none" },
        { "services:\n\ta: b\n", "compose.yaml:2:" },
        { "services: {a: {image: \"\xff\"}}\n", "compose.yaml:1:24: not UTF-8" },
        { "[1, 2]\n", "compose.yaml:1:1: a compose file must be a mapping, not a list" },
        { "", "the file is empty" },
        { "? [a]\n: b\n", "compose.yaml:1:3: a key must be a word" },
        { "services: {a: {image: ${I}}}\n", "inside of brackets a text with brackets in it, like ${NAME}, stands in" },
        { "services: {a: {command: {{ x }}}}\n", "a text that begins with a bracket stands in quotes" },
        { "x-a: &a {image: i}\nservices:\n  a:\n    <<: *a\n    <<: *a\n",
          "compose.yaml:5:5: `<<` stands here a second time, first in line 4; write one with a list: <<: [*a, *b]" },
        { "services:\n  a:\n    environment:\n      - A=1\n      B: 2\n",
          "below an item with a dash only another one may stand" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        story_of(&story, rows[i].text);
        must_refuse(&story, rows[i].told);
    }
}

static void aliases_that_multiply_and_deep_nesting_are_refused_quickly(void **unused)
{
    (void)unused;
    STORY bomb = { 0 }, deep = { 0 };
    char *nested CLEANUP_FREE = calloc(1, 1000001);
    struct buf yaml CLEANUP_BUF = { 0 };

    buf_puts(&yaml, "x-a: &a {k: v}\n");
    for (char c = 'b'; c <= 'j'; c++)
        buf_printf(&yaml, "x-%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c - 1, c - 1, c - 1, c - 1,
                   c - 1, c - 1, c - 1, c - 1, c - 1);
    buf_puts(&yaml, "services: {}\n");
    story_of(&bomb, yaml.data);
    must_refuse(&bomb, "beyond reason");

    assert_non_null(nested);
    memset(nested, '[', 1000000);
    story_of(&deep, nested);
    must_refuse(&deep, "compose.yaml:1:");
}

/* --- Files --- */

static void devices_fifos_and_folders_are_no_files(void **unused)
{
    (void)unused;
    STORY fifo = { 0 }, folder = { 0 }, missing = { 0 };
    char path[PATH_MAX];

    story_file(&fifo, "x/y", "");
    (void)snprintf(path, sizeof(path), "%s/compose.yaml", fifo.folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    story_load(&fifo);
    must_refuse(&fifo, "it is no regular file");

    story_file(&folder, "compose.yaml/x", "");
    story_load(&folder);
    must_refuse(&folder, "it is a directory");

    missing.request.files = (const char *const[]){ "nothing.yaml", NULL };
    missing.request.working_dir = "/tmp";
    story_load(&missing);
    must_refuse(&missing, "nothing.yaml: No such file");
}

static void the_file_is_searched_for_upwards_with_its_override(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    char below[PATH_MAX];

    story_file(&story, "shop/docker-compose.yml", "services: {a: {image: i, labels: [x=1]}}");
    story_file(&story, "shop/docker-compose.override.yml", "services: {a: {labels: {y: 2}}}");
    story_file(&story, "shop/src/deep/x", "");
    (void)snprintf(below, sizeof(below), "%s/shop/src/deep", story.folder);
    story.request.working_dir = below;
    story_load(&story);
    must_say(&story, "name", "\"shop\"");
    must_say(&story, "services.a.labels", "{\"x\":\"1\",\"y\":\"2\"}");
}

static void of_several_files_the_first_counts_and_the_others_are_told(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "compose.yaml", "services: {a: {image: i}}");
    story_file(&story, "docker-compose.yml", "services: {b: {image: i}}");
    story_load(&story);
    must_say(&story, "services.b", NULL);
    must_tell(&story, "/docker-compose.yml: warning: this file is not read, for compose.yaml is beside it");
}

static void what_lies_elsewhere_is_not_fetched(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "include: [\"oci://a/b\"]\nservices: {a: {extends: {file: \"git@a.test:b/c\", service: d}}}");
    must_refuse(&story, "compose.yaml:1:11: cannot read ");
    must_tell(&story, "oci:/a/b: No such file or directory; nothing is fetched from elsewhere");
    must_tell(&story, "git@a.test:b/c: No such file or directory; nothing is fetched");
}

static void no_file_at_all_is_said(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story.request.working_dir = "/proc/self/task";
    story_load(&story);
    assert_int_equal(story.result, -ENOENT);
    must_refuse(&story, "there is no compose.yaml in /proc/self/task or above it");
}

static void the_environment_says_which_files_and_profiles(void **unused)
{
    (void)unused;
    STORY story = { 0 };

    story_file(&story, ".env", "COMPOSE_FILE=one.yaml:two.yaml\nCOMPOSE_PROFILES=x, debug\nWHO=file\n");
    story_file(&story, "one.yaml", "name: ${WHO}-${ALSO:-no}\nservices: {a: {image: i}}");
    story_file(&story, "two.yaml", "services: {b: {image: j, profiles: [debug]}, c: {image: k, profiles: [never]}}");
    story.request.environment = (const char *const[]){ "WHO=process", NULL };
    story_load(&story);
    must_say(&story, "name", "\"process-no\"");
    must_say(&story, "services.b.image", "\"j\"");
    must_say(&story, "services.c", NULL);
    assert_string_equal(story.spec->all_profiles[1], "never");
}

static void the_environment_says_which_env_files_there_are(void **unused)
{
    static const struct {
        const char *environment[3], *env_files[2], *image;
    } rows[] = {
        { { NULL }, { NULL }, "\"usual-\"" },
        { { "COMPOSE_ENV_FILES=sub/two.env,one.env" }, { NULL }, "\"one-two\"" },
        { { "COMPOSE_ENV_FILES=one.env" }, { "sub/two.env" }, "\"two-two\"" },
        { { "COMPOSE_DISABLE_ENV_FILE=1" }, { NULL }, "\"-\"" },
        { { "COMPOSE_DISABLE_ENV_FILE=false" }, { NULL }, "\"usual-\"" },
        { { "COMPOSE_DISABLE_ENV_FILE=1", "COMPOSE_ENV_FILES=one.env" }, { NULL }, "\"one-\"" },
    };
    (void)unused;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        story.request.environment = rows[i].environment;
        story.request.env_files = rows[i].env_files;
        story_file(&story, ".env", "A=usual\n");
        story_file(&story, "one.env", "A=one\n");
        story_file(&story, "sub/two.env", "A=two\nB=two\n");
        story_of(&story, "services: {a: {image: \"${A-}-${B-}\"}}\n");
        must_say(&story, "services.a.image", rows[i].image);
    }
}

static void a_project_has_a_proper_name(void **unused)
{
    (void)unused;
    STORY normal = { 0 }, given = { 0 }, own = { 0 };

    normal.request.files = (const char *const[]){ "My Shop_1!/compose.yaml", NULL };
    story_file(&normal, "My Shop_1!/compose.yaml", "services: {a: {image: i}}");
    story_load(&normal);
    must_say(&normal, "name", "\"myshop_1\"");

    own.request.environment = (const char *const[]){ "COMPOSE_PROJECT_NAME=", NULL };
    story_file(&own, "compose.yaml",
               "name: mine\nservices: {a: {image: i, container_name: \"${COMPOSE_PROJECT_NAME}-a\"}}");
    story_load(&own);
    must_say(&own, "services.a.container_name", "\"mine-a\"");

    given.request.project_name = "-x";
    story_file(&given, "compose.yaml", "services: {a: {image: i}}");
    story_load(&given);
    must_refuse(&given, "`-x` (-p) is no project name");
}

/* --- Merging --- */

static void two(struct story *story, const char *base, const char *over)
{
    story->request.project_name = "p";
    story_file(story, "compose.yaml", base);
    story_file(story, "compose.override.yaml", over);
    story_load(story);
}

static void a_later_file_is_laid_over_an_earlier_one(void **unused)
{
    (void)unused;
    static const struct {
        const char *base, *over, *path, *result;
    } rows[] = {
        { "command: a b", "command: c", "command", "[\"c\"]" },
        { "command: a", "command: !reset null", "command", "null" },
        { "ports: [\"80:80\"]", "ports: [\"81:80\", \"80:80\"]", "ports",
          "[{\"mode\":\"ingress\",\"target\":80,\"published\":\"80\",\"protocol\":\"tcp\"},"
          "{\"mode\":\"ingress\",\"target\":80,\"published\":\"81\",\"protocol\":\"tcp\"}]" },
        { "ports: [\"80:80\", \"81:81\"]", "ports: !override [\"82:82\"]", "ports",
          "[{\"mode\":\"ingress\",\"target\":82,\"published\":\"82\",\"protocol\":\"tcp\"}]" },
        { "ports: [\"80:80\"]", "ports: !reset []", "ports", NULL },
        { "environment: {A: 1, B: 2}", "environment: [B=3, C=4]", "environment",
          "{\"A\":\"1\",\"B\":\"3\",\"C\":\"4\"}" },
        { "environment: {A: 1, B: 2}", "environment: {A: !reset null}", "environment", "{\"B\":\"2\"}" },
        { "environment: {A: 1}", "environment: !override {B: 2}", "environment", "{\"B\":\"2\"}" },
        { "volumes: [\"/x:/a:ro\"]", "volumes: [\"/y:/a\"]", "volumes",
          "[{\"type\":\"bind\",\"source\":\"/y\",\"target\":\"/a\",\"bind\":{}}]" },
        { "dns: 1.1.1.1", "dns: [2.2.2.2, 1.1.1.1]", "dns", "[\"1.1.1.1\",\"2.2.2.2\"]" },
        { "ulimits: {nofile: {soft: 1, hard: 2}}", "ulimits: {nofile: 5}", "ulimits", "{\"nofile\":5}" },
        { "healthcheck: {test: a, interval: 1s}", "healthcheck: {test: [CMD, b]}", "healthcheck",
          "{\"test\":[\"CMD\",\"b\"],\"interval\":\"1s\"}" },
        { "logging: {driver: x, options: {a: 1}}", "logging: {options: {b: 2}}", "logging",
          "{\"driver\":\"x\",\"options\":{\"a\":\"1\",\"b\":\"2\"}}" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        char base[512], over[512], path[64];
        (void)snprintf(base, sizeof(base), "services:\n  a:\n    image: i\n    %s\n", rows[i].base);
        (void)snprintf(over, sizeof(over), "services:\n  a:\n    %s\n", rows[i].over);
        (void)snprintf(path, sizeof(path), "services.a.%s", rows[i].path);
        two(&story, base, over);
        must_say(&story, path, rows[i].result);
    }
}

static void a_dependency_may_be_completed_by_a_later_file(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    two(&story, "services: {a: {image: i, depends_on: {b: {condition: service_healthy}}}, b: {image: i}}",
        "services: {a: {depends_on: {b: {restart: true}}}}");
    must_say(&story, "services.a.depends_on",
             "{\"b\":{\"condition\":\"service_healthy\",\"restart\":true,\"required\":true}}");
}

static void documents_of_one_file_are_merged_too(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "services: {a: {image: i}}\n---\nservices: {a: {image: j}}\n");
    must_say(&story, "services.a.image", "\"j\"");
}

/* --- extends and include --- */

static void a_service_extends_another_one(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "sub/base.yaml",
               "services:\n  b: {extends: c, build: ., env_file: x.env}\n  c: {image: i, restart: always}\n"
               "  broken: {nonsense: 1}\n");
    story_file(&story, "sub/x.env", "K=v\n");
    story_of(&story, "services: {a: {extends: {file: sub/base.yaml, service: b}, image: j}}");
    must_say(&story, "services.a.image", "\"j\"");
    must_say(&story, "services.a.restart", "\"always\"");
    must_say(&story, "services.a.extends", NULL);
    must_say(&story, "services.a.build.context", "\"@DIR@/sub\"");
    must_say(&story, "services.a.environment", "{\"K\":\"v\"}");
}

static void extending_oneself_or_nobody_is_told(void **unused)
{
    (void)unused;
    STORY cycle = { 0 }, itself = { 0 }, nobody = { 0 };
    story_of(&cycle, "services:\n  z: {extends: b}\n  b: {extends: c}\n  c: {extends: a}\n  a: {extends: b}\n");
    must_refuse(&cycle, "compose.yaml:5:3: services extend each other in a circle: a → b → c → a");
    assert_null(strstr(strstr(cycle.told, "in a circle") + 1, "in a circle"));
    story_of(&itself, "services:\n  a: {extends: a}\n");
    must_refuse(&itself, "compose.yaml:2:3: services extend each other in a circle: a → a");
    story_of(&nobody, "services:\n  a: {extends: bas}\n  base: {image: i}\n");
    must_refuse(&nobody, "compose.yaml:2:16: there is no service `bas` in");
    must_tell(&nobody, "did you mean `base`?");
}

static void what_is_included_lies_below(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "sub/inc.yaml",
               "services:\n  a: {image: inc, command: x}\n  b: {image: \"${V}\", volumes: [\"./d:/d\"]}\n");
    story_file(&story, "sub/.env", "V=from-sub\n");
    story_of(&story, "include: [sub/inc.yaml]\nservices: {a: {image: main}}");
    must_say(&story, "services.a.image", "\"main\"");
    must_say(&story, "services.a.command", "[\"x\"]");
    must_say(&story, "services.b.image", "\"from-sub\"");
    must_say(&story, "services.b.volumes",
             "[{\"type\":\"bind\",\"source\":\"@DIR@/sub/d\",\"target\":\"/d\",\"bind\":{}}]");
}

static void an_include_in_a_circle_is_told(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "inc.yaml", "include:\n  - compose.yaml\nservices: {}\n");
    story_of(&story, "include: [inc.yaml]\nservices: {}\n");
    must_refuse(&story, "inc.yaml:2:5: ");
    must_tell(&story, "includes itself");
}

/* --- What is implied --- */

static void names_networks_and_dependencies_are_filled_in(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story,
             "services:\n  a: {image: i, links: [\"b:bb\"], volumes: [data:/d]}\n  b: {image: i, network_mode: host}\n"
             "volumes: {data: , out: {external: true}, own: {name: x}}\n");
    must_say(&story, "services.a.networks", "{\"default\":null}");
    must_say(&story, "services.b.networks", NULL);
    must_say(&story, "services.a.depends_on",
             "{\"b\":{\"condition\":\"service_started\",\"restart\":true,\"required\":true}}");
    must_say(&story, "networks", "{\"default\":{\"name\":\"p_default\",\"ipam\":{}}}");
    must_say(&story, "volumes",
             "{\"data\":{\"name\":\"p_data\"},\"out\":{\"name\":\"out\",\"external\":true},\"own\":{\"name\":\"x\"}}");
}

static void env_files_lie_below_the_environment(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "one.env", "A=1\nB=1\nC=${B}\n");
    story_file(&story, "two.env", "B=2\n");
    story_of(&story, "services: {a: {image: i, env_file: [one.env, two.env, {path: none.env, required: false}], "
                     "environment: {D: 4, A: 0}}}");
    must_say(&story, "services.a.environment", "{\"A\":\"0\",\"B\":\"2\",\"C\":\"1\",\"D\":\"4\"}");
}

static void a_missing_env_file_is_told_at_its_name(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "services:\n  a:\n    image: i\n    env_file: gone.env\n");
    must_refuse(&story, "compose.yaml:4:15: there is no file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_mean_what_go_yaml_makes_of_them),
        cmocka_unit_test(a_date_reaches_an_environment_as_go_prints_it),
        cmocka_unit_test(merge_keys_bring_in_what_is_not_there),
        cmocka_unit_test(what_is_wrong_with_yaml_has_a_place),
        cmocka_unit_test(aliases_that_multiply_and_deep_nesting_are_refused_quickly),
        cmocka_unit_test(devices_fifos_and_folders_are_no_files),
        cmocka_unit_test(the_file_is_searched_for_upwards_with_its_override),
        cmocka_unit_test(of_several_files_the_first_counts_and_the_others_are_told),
        cmocka_unit_test(what_lies_elsewhere_is_not_fetched),
        cmocka_unit_test(no_file_at_all_is_said),
        cmocka_unit_test(the_environment_says_which_files_and_profiles),
        cmocka_unit_test(the_environment_says_which_env_files_there_are),
        cmocka_unit_test(a_project_has_a_proper_name),
        cmocka_unit_test(a_later_file_is_laid_over_an_earlier_one),
        cmocka_unit_test(a_dependency_may_be_completed_by_a_later_file),
        cmocka_unit_test(documents_of_one_file_are_merged_too),
        cmocka_unit_test(a_service_extends_another_one),
        cmocka_unit_test(extending_oneself_or_nobody_is_told),
        cmocka_unit_test(what_is_included_lies_below),
        cmocka_unit_test(an_include_in_a_circle_is_told),
        cmocka_unit_test(names_networks_and_dependencies_are_filled_in),
        cmocka_unit_test(env_files_lie_below_the_environment),
        cmocka_unit_test(a_missing_env_file_is_told_at_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
