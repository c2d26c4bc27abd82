/* SPDX-License-Identifier: MIT */
#include "story.h"

static void two(struct story *story, const char *base, const char *over)
{
    story->request.project_name = "p";
    story_file(story, "compose.yaml", base);
    story_file(story, "compose.override.yaml", over);
    story_load(story);
}

/* `base` and `over` under services.a; the result at `path` below it. */
struct merge_row {
    const char *base, *over, *path, *result;
};

static void must_merge(const struct merge_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        STORY story = { 0 };
        char base[512], over[512], path[64];
        (void)snprintf(base, sizeof(base),
                       "services: {a: {image: i, %s}}\nsecrets: {s: {file: ./s}}\nconfigs: {c: {file: ./c}}\n",
                       rows[i].base);
        (void)snprintf(over, sizeof(over), "services: {a: {%s}}\n", rows[i].over);
        (void)snprintf(path, sizeof(path), "services.a.%s", rows[i].path);
        two(&story, base, over);
        must_say(&story, path, rows[i].result);
    }
}

/* What makes two items the same is the attribute's; the later one takes the place of the earlier. */
static void lists_whose_items_have_an_identity_hold_each_once(void **unused)
{
    static const struct merge_row rows[] = {
        { "cap_add: [A, B]", "cap_add: [B, C]", "cap_add", "[\"A\", \"B\", \"C\"]" },
        { "cap_drop: [A]", "cap_drop: [A]", "cap_drop", "[\"A\"]" },
        { "dns: 1.1.1.1", "dns: [2.2.2.2, 1.1.1.1]", "dns", "[\"1.1.1.1\", \"2.2.2.2\"]" },
        { "dns_opt: [a]", "dns_opt: [a, b]", "dns_opt", "[\"a\", \"b\"]" },
        { "dns_search: a", "dns_search: a", "dns_search", "[\"a\"]" },
        { "expose: [80]", "expose: [\"80\", 81]", "expose", "[\"80\", \"81\"]" },
        { "profiles: [x]", "profiles: [x]", "profiles", NULL },
        { "tmpfs: /t", "tmpfs: [/t, /u]", "tmpfs", "[\"/t\", \"/u\"]" },
        { "sysctls: [a=1]", "sysctls: {a: 2, b: 3}", "sysctls", "{\"a\": \"2\", \"b\": \"3\"}" },
        { "annotations: {a: 1}", "annotations: [a=2]", "annotations", "{\"a\": \"2\"}" },
        { "labels: [a=1, b=1]", "labels: {b: 2}", "labels", "{\"a\": \"1\", \"b\": \"2\"}" },
        { "devices: [\"/a:/x\"]", "devices: [\"/b:/x:r\", \"/c\"]", "devices",
          "[{\"source\": \"/b\", \"target\": \"/x\", \"permissions\": \"r\"},"
          " {\"source\": \"/c\", \"target\": \"/c\", \"permissions\": \"rwm\"}]" },
        { "secrets: [s]", "secrets: [{source: s, target: /run/secrets/s, mode: \"0400\"}]", "secrets",
          "[{\"source\": \"s\", \"target\": \"/run/secrets/s\", \"mode\": \"0400\"}]" },
        { "configs: [c]", "configs: [{source: c, target: /c}, {source: c, target: /d}]", "configs",
          "[{\"source\": \"c\", \"target\": \"/c\"}, {\"source\": \"c\", \"target\": \"/d\"}]" },
        { "build: {context: /b, tags: [a]}", "build: {tags: [a, b]}", "build.tags", "[\"a\", \"b\"]" },
        { "build: {context: /b, args: {A: 1}}", "build: {args: [A=2]}", "build.args", "{\"A\": \"2\"}" },
        { "build: {context: /b, labels: [a=1]}", "build: {labels: {a: 2}}", "build.labels", "{\"a\": \"2\"}" },
        { "build: {context: /b, additional_contexts: [a=/x]}", "build: {additional_contexts: {a: /y}}",
          "build.additional_contexts", "{\"a\": \"/y\"}" },
        { "networks: {default: {aliases: [a]}}", "networks: {default: {aliases: [a, b]}}", "networks.default.aliases",
          "[\"a\", \"b\"]" },
    };
    (void)unused;
    must_merge(rows, ARRAY_LEN(rows));
}

static void env_files_are_known_by_their_path(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "a.env", "A=1\n");
    two(&story, "services: {a: {image: i, env_file: [a.env, b.env]}}",
        "services: {a: {env_file: [{path: b.env, required: false}, c.env]}}");
    must_refuse(&story, "compose.override.yaml:1:59: there is no file");
    assert_null(strstr(story.told, "b.env:"));

    story_file(&story, "c.env", "A=2\n");
    free(story.told);
    story_load(&story);
    must_say(&story, "services.a.env_file",
             "[{\"path\": \"@DIR@/a.env\"}, {\"path\": \"@DIR@/b.env\", \"required\": false},"
             " {\"path\": \"@DIR@/c.env\"}]");
    must_say(&story, "services.a.environment", "{\"A\": \"2\"}");
}

static void lists_without_one_are_put_behind_each_other(void **unused)
{
    static const struct merge_row rows[] = {
        { "build: {context: /b, platforms: [a]}", "build: {platforms: [a]}", "build.platforms", "[\"a\", \"a\"]" },
        { "build: {context: /b, cache_from: [a]}", "build: {cache_from: [b]}", "build.cache_from", "[\"a\", \"b\"]" },
        { "blkio_config: {device_read_bps: [{path: /a, rate: 1}]}",
          "blkio_config: {device_read_bps: [{path: /a, rate: 2}]}", "blkio_config.device_read_bps",
          "[{\"path\": \"/a\", \"rate\": \"1\"}, {\"path\": \"/a\", \"rate\": \"2\"}]" },
        { "deploy: {placement: {constraints: [a]}}", "deploy: {placement: {constraints: [a]}}",
          "deploy.placement.constraints", "[\"a\", \"a\"]" },
    };
    (void)unused;
    must_merge(rows, ARRAY_LEN(rows));
}

static void some_values_are_replaced_as_a_whole(void **unused)
{
    static const struct merge_row rows[] = {
        { "command: [a, b]", "command: [c]", "command", "[\"c\"]" },
        { "command: a", "command: []", "command", "[]" },
        { "entrypoint: [a, b]", "entrypoint: c d", "entrypoint", "[\"c\", \"d\"]" },
        { "healthcheck: {test: [CMD, a], retries: 2}", "healthcheck: {test: b}", "healthcheck",
          "{\"test\": [\"CMD-SHELL\", \"b\"], \"retries\": 2}" },
        { "ulimits: {nofile: 1, nproc: 2}", "ulimits: {nofile: {soft: 3, hard: 4}}", "ulimits",
          "{\"nofile\": {\"soft\": 3, \"hard\": 4}, \"nproc\": 2}" },
        { "build: /x", "build: /y", "build.context", "\"/y\"" },
        { "build: /x", "build: {target: t}", "build",
          "{\"context\": \"/x\", \"target\": \"t\", \"dockerfile\": \"Dockerfile\"}" },
        { "network_mode: host", "network_mode: none", "network_mode", "\"none\"" },
        { "init: true", "init: false", "init", "false" },
        { "cpus: 1", "cpus: \"0.5\"", "cpus", "0.5" },
        { "x-daruma: {process: {command: [a, b]}}", "x-daruma: {process: {command: c}}", "x-daruma.process.command",
          "\"c\"" },
    };
    (void)unused;
    must_merge(rows, ARRAY_LEN(rows));
}

static void mappings_are_merged_key_by_key(void **unused)
{
    static const struct merge_row rows[] = {
        { "deploy: {replicas: 1, resources: {limits: {cpus: 1, memory: 1m}}}",
          "deploy: {resources: {limits: {memory: 2m}}}", "deploy.resources.limits",
          "{\"cpus\": 1, \"memory\": \"2097152\"}" },
        { "storage_opt: {a: 1}", "storage_opt: {b: x}", "storage_opt", "{\"a\": 1, \"b\": \"x\"}" },
        { "networks: {default: {priority: 1}}", "networks: {default: {mac_address: m}}", "networks.default",
          "{\"priority\": 1, \"mac_address\": \"m\"}" },
        { "healthcheck: {interval: 1s}", "healthcheck: {timeout: 2s}", "healthcheck",
          "{\"interval\": \"1s\", \"timeout\": \"2s\"}" },
    };
    (void)unused;
    must_merge(rows, ARRAY_LEN(rows));
}

/* `!reset` takes away, `!override` puts its own in place, also inside of lists and mappings. */
static void tags_take_away_or_replace(void **unused)
{
    static const struct merge_row rows[] = {
        { "environment: {A: 1, B: 2}", "environment: {A: !reset null}", "environment", "{\"B\": \"2\"}" },
        { "environment: {A: 1, B: 2}", "environment: !reset {}", "environment", NULL },
        { "environment: {A: 1}", "environment: !override [B=2]", "environment", "{\"B\": \"2\"}" },
        { "ports: [\"80:80\"]", "ports: !reset []", "ports", NULL },
        { "expose: [80, 81]", "expose: !override [82]", "expose", "[\"82\"]" },
        { "deploy: {replicas: 2, resources: {limits: {cpus: 1}}}", "deploy: {resources: !reset null}", "deploy",
          "{\"replicas\": 2, \"resources\": {}, \"placement\": {}}" },
        { "healthcheck: {test: a, interval: 1s}", "healthcheck: !override {test: b}", "healthcheck",
          "{\"test\": [\"CMD-SHELL\", \"b\"]}" },
        { "build: {context: /x, target: t}", "build: {target: !reset null}", "build",
          "{\"context\": \"/x\", \"dockerfile\": \"Dockerfile\"}" },
    };
    (void)unused;
    must_merge(rows, ARRAY_LEN(rows));
}

static void another_log_driver_brings_its_own_options(void **unused)
{
    STORY story = { 0 };
    two(&story, "services: {a: {image: i, logging: {driver: local, options: {max-size: 10m}}}}",
        "services: {a: {logging: {driver: syslog, options: {tag: t}}}}");
    must_say(&story, "services.a.logging", "{\"driver\": \"syslog\", \"options\": {\"tag\": \"t\"}}");

    STORY same = { 0 };
    two(&same, "services: {a: {image: i, logging: {driver: local, options: {max-size: 10m}}}}",
        "services: {a: {logging: {options: {tag: t}}}}");
    must_say(&same, "services.a.logging",
             "{\"driver\": \"local\", \"options\": {\"max-size\": \"10m\", \"tag\": \"t\"}}");
}

static void address_pools_are_merged_by_their_subnet(void **unused)
{
    STORY story = { 0 };
    two(&story,
        "services: {a: {image: i}}\n"
        "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/8, gateway: 10.0.0.1, aux_addresses: {h: 10.0.0.2}}]}}}",
        "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/8, gateway: 10.0.0.9}, {subnet: 11.0.0.0/8}]}}}");
    must_say(&story, "networks.n.ipam.config",
             "[{\"subnet\": \"10.0.0.0/8\", \"gateway\": \"10.0.0.9\", \"aux_addresses\": {\"h\": \"10.0.0.2\"}},"
             " {\"subnet\": \"11.0.0.0/8\"}]");
}

static void an_extra_host_has_each_address_once(void **unused)
{
    STORY story = { 0 };
    two(&story, "services: {a: {image: i, extra_hosts: [h=1.2.3.4]}}",
        "services: {a: {extra_hosts: [h=1.2.3.4, h=4.3.2.1]}}");
    must_say(&story, "services.a.extra_hosts", "[\"h=1.2.3.4\", \"h=4.3.2.1\"]");
}

static void a_base_without_a_body_leaves_extends_standing(void **unused)
{
    STORY story = { 0 };
    story_file(&story, "base.yaml", "services: {nothing: }\n");
    story_of(&story, "services: {a: {image: i, extends: {file: base.yaml, service: nothing}}}");
    must_say(&story, "services.a.extends", "{\"file\": \"@DIR@/base.yaml\", \"service\": \"nothing\"}");
}

static void what_a_mount_is_shows_in_its_parts(void **unused)
{
    STORY story = { 0 };
    story_of(&story, "services:\n"
                     "  a:\n"
                     "    image: i\n"
                     "    volumes: ['data:/a', '/b:/b:ro,Z', 'C:\\x:/c', 'd:', 'a:/only', 'data:/d:nocopy,unheard']\n"
                     "volumes: {data: }\n");
    must_say(&story, "services.a.volumes",
             "[{\"type\": \"volume\", \"source\": \"data\", \"target\": \"/a\", \"volume\": {}},"
             " {\"type\": \"bind\", \"source\": \"/b\", \"target\": \"/b\", \"read_only\": true,"
             "  \"bind\": {\"selinux\": \"Z\"}},"
             " {\"type\": \"bind\", \"source\": \"C:\\\\x\", \"target\": \"/c\", \"bind\": {}},"
             " {\"type\": \"volume\", \"target\": \"d:\"},"
             " {\"type\": \"volume\", \"target\": \"a:/only\", \"volume\": {}},"
             " {\"type\": \"volume\", \"source\": \"data\", \"target\": \"/d\", \"volume\": {\"nocopy\": true}}]");

    STORY wrong = { 0 };
    story_of(&wrong, "services: {a: {image: i, volumes: ['/a::ro', '/a:/b:ro:x', '']}}");
    must_refuse(&wrong, "`/a::ro` is no mount");
    must_tell(&wrong, "`/a:/b:ro:x` is no mount");
    must_tell(&wrong, "`` is no mount");
}

/* --- Only some services --- */

static const char shop[] = "services:\n"
                           "  web: {image: i, depends_on: [db], networks: [front]}\n"
                           "  db: {image: i, volumes: ['data:/d'], networks: [front]}\n"
                           "  debug: {image: i, profiles: [debug], networks: [back], env_file: missing.env}\n"
                           "networks: {front: , back: , nobody: }\n"
                           "volumes: {data: , old: }\n";

static void chosen_services_come_with_what_they_need(void **unused)
{
    STORY story = { 0 };
    story.request.services = (const char *const[]){ "web", NULL };
    story.request.prune = true;
    story_of(&story, shop);
    must_say(&story, "services.debug", NULL);
    must_say(&story, "services.db.image", "\"i\"");
    must_say(&story, "networks", "{\"front\": {\"name\": \"p_front\", \"ipam\": {}}}");
    must_say(&story, "volumes", "{\"data\": {\"name\": \"p_data\"}}");
}

static void naming_a_service_switches_it_on(void **unused)
{
    STORY story = { 0 };
    story.request.services = (const char *const[]){ "debug", NULL };
    story_file(&story, "missing.env", "A=1\n");
    story_of(&story, shop);
    must_say(&story, "services.web", NULL);
    must_say(&story, "services.debug.environment", "{\"A\": \"1\"}");
}

static void an_unknown_service_is_told_with_the_nearest(void **unused)
{
    STORY story = { 0 };
    story.request.services = (const char *const[]){ "wbe", NULL };
    story_of(&story, shop);
    must_refuse(&story, "there is no service `wbe`; did you mean `web`?");
}

static void rules_for_single_values_hold_without_consistency(void **unused)
{
    STORY story = { 0 };
    story.request.no_consistency = true;
    story_of(&story, "services: {a: {volumes: [{type: bind, target: /a}], networks: [nowhere]}}\n"
                     "volumes: {v: {external: true, driver: x}}\n");
    must_refuse(&story, "a bind mount needs `source`");
    must_tell(&story, "the volume `v` is external, so `driver` has no meaning");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_whose_items_have_an_identity_hold_each_once),
        cmocka_unit_test(env_files_are_known_by_their_path),
        cmocka_unit_test(lists_without_one_are_put_behind_each_other),
        cmocka_unit_test(some_values_are_replaced_as_a_whole),
        cmocka_unit_test(mappings_are_merged_key_by_key),
        cmocka_unit_test(tags_take_away_or_replace),
        cmocka_unit_test(another_log_driver_brings_its_own_options),
        cmocka_unit_test(address_pools_are_merged_by_their_subnet),
        cmocka_unit_test(an_extra_host_has_each_address_once),
        cmocka_unit_test(a_base_without_a_body_leaves_extends_standing),
        cmocka_unit_test(what_a_mount_is_shows_in_its_parts),
        cmocka_unit_test(chosen_services_come_with_what_they_need),
        cmocka_unit_test(naming_a_service_switches_it_on),
        cmocka_unit_test(an_unknown_service_is_told_with_the_nearest),
        cmocka_unit_test(rules_for_single_values_hold_without_consistency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
