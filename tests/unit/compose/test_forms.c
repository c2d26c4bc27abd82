/* SPDX-License-Identifier: MIT
 *
 * Short forms and what they stand for, attribute by attribute, and what a file implies without saying it.
 */
#include "story.h"

/* `attribute` of service `a`, beside one called `b`; what the model says at `path` below it. */
struct form_row {
    const char *attribute, *path, *result;
};

static void must_mean(const struct form_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        STORY story = { 0 };
        char text[512], path[64];
        (void)snprintf(text, sizeof(text),
                       "services: {a: {image: i, %s}, b: {image: j}}\n"
                       "models: {m: {model: x}}\nconfigs: {c: {content: x}}\nsecrets: {s: {environment: X}}\n",
                       rows[i].attribute);
        (void)snprintf(path, sizeof(path), "services.a.%s", rows[i].path);
        story_of(&story, text);
        must_say(&story, path, rows[i].result);
    }
}

static void a_short_form_stands_for_the_long_one(void **unused)
{
    static const struct form_row rows[] = {
        { "build: ../b", "build", "{\"context\": \"/tmp/b\", \"dockerfile\": \"Dockerfile\"}" },
        { "build: {additional_contexts: [r=./x, \"w=https://x/y\", \"s=service:b\"]}", "build.additional_contexts",
          "{\"r\": \"@DIR@/x\", \"w\": \"https://x/y\", \"s\": \"service:b\"}" },
        { "build: {ssh: [default, k=/p]}", "build.ssh", "[\"default\", \"k=/p\"]" },
        { "build: {secrets: [s]}", "build.secrets", "[{\"source\": \"s\"}]" },
        { "build: {args: {A: 1, B: true}}", "build.args", "{\"A\": \"1\", \"B\": \"true\"}" },
        { "command: a 'b c'", "command", "[\"a\", \"b c\"]" },
        { "entrypoint: a b", "entrypoint", "[\"a\", \"b\"]" },
        { "configs: [c]", "configs", "[{\"source\": \"c\"}]" },
        { "secrets: [s]", "secrets", "[{\"source\": \"s\", \"target\": \"/run/secrets/s\"}]" },
        { "configs: [{source: c, target: /x, uid: \"1\", mode: 0440}]", "configs",
          "[{\"source\": \"c\", \"target\": \"/x\", \"uid\": \"1\", \"mode\": \"0440\"}]" },
        { "depends_on: [b]", "depends_on", "{\"b\": {\"condition\": \"service_started\", \"required\": true}}" },
        { "devices: [/dev/null, \"/a:/b:r\"]", "devices",
          "[{\"source\": \"/dev/null\", \"target\": \"/dev/null\", \"permissions\": \"rwm\"},"
          " {\"source\": \"/a\", \"target\": \"/b\", \"permissions\": \"r\"}]" },
        { "dns: 1.1.1.1", "dns", "[\"1.1.1.1\"]" },
        { "environment: [A=1, B=]", "environment", "{\"A\": \"1\", \"B\": \"\"}" },
        { "environment: {A: 1, B: true, C: 0.5, D: null}", "environment",
          "{\"A\": \"1\", \"B\": \"true\", \"C\": \"0.5\", \"D\": null}" },
        { "expose: [80, \"81-82\"]", "expose", "[\"80\", \"81-82\"]" },
        { "extra_hosts: [\"h:1.2.3.4\", \"v6=::1\", \"t=1.1.1.1,2.2.2.2\"]", "extra_hosts",
          "[\"h=1.2.3.4\", \"t=1.1.1.1\", \"t=2.2.2.2\", \"v6=::1\"]" },
        { "gpus: all", "gpus", "[{\"count\": -1}]" },
        { "gpus: [{driver: x, count: 2}, {device_ids: [a]}]", "gpus",
          "[{\"driver\": \"x\", \"count\": 2}, {\"device_ids\": [\"a\"]}]" },
        { "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: all}]}}}",
          "deploy.resources.reservations.devices", "[{\"capabilities\": [\"gpu\"], \"count\": -1}]" },
        { "healthcheck: {test: curl x}", "healthcheck.test", "[\"CMD-SHELL\", \"curl x\"]" },
        { "labels: [a=1, b]", "labels", "{\"a\": \"1\", \"b\": \"\"}" },
        { "models: [m]", "models", "{\"m\": null}" },
        { "networks: [default]", "networks", "{\"default\": null}" },
        { "ports: [80, \"127.0.0.1:81-82:81-82/udp\"]", "ports",
          "[{\"mode\": \"ingress\", \"target\": 80, \"protocol\": \"tcp\"},"
          " {\"mode\": \"ingress\", \"host_ip\": \"127.0.0.1\", \"target\": 81, \"published\": \"81\","
          "  \"protocol\": \"udp\"},"
          " {\"mode\": \"ingress\", \"host_ip\": \"127.0.0.1\", \"target\": 82, \"published\": \"82\","
          "  \"protocol\": \"udp\"}]" },
        { "ports: [\"8000-8010:80\"]", "ports",
          "[{\"mode\": \"ingress\", \"target\": 80, \"published\": \"8000-8010\", \"protocol\": \"tcp\"}]" },
        { "tmpfs: /t", "tmpfs", "[\"/t\"]" },
        { "ulimits: {nofile: 5}", "ulimits", "{\"nofile\": 5}" },
        { "volumes: [\"./d:/d:ro\"]", "volumes",
          "[{\"type\": \"bind\", \"source\": \"@DIR@/d\", \"target\": \"/d\", \"read_only\": true, \"bind\": {}}]" },
    };
    (void)unused;
    must_mean(rows, ARRAY_LEN(rows));
}

static void a_value_is_what_its_attribute_says(void **unused)
{
    static const struct form_row rows[] = {
        { "mem_limit: 1gb", "mem_limit", "\"1073741824\"" },
        { "mem_limit: 100", "mem_limit", "\"100\"" },
        { "shm_size: 1.5k", "shm_size", "\"1536\"" },
        { "cpus: \"0.5\"", "cpus", "0.5" },
        { "init: \"true\"", "init", "true" },
        { "scale: \"2\"", "scale", "2" },
        { "stop_grace_period: 90s", "stop_grace_period", "\"1m30s\"" },
        { "volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0700}}]", "volumes",
          "[{\"type\": \"tmpfs\", \"target\": \"/t\", \"tmpfs\": {\"size\": \"1048576\", \"mode\": \"0700\"}}]" },
        { "storage_opt: {size: 1}", "storage_opt", "{\"size\": 1}" },
        { "x-any: {of: [it]}", "x-any", "{\"of\": [\"it\"]}" },
        { "develop: {watch: [{path: ./src, action: rebuild, ignore: x}]}", "develop.watch",
          "[{\"path\": \"@DIR@/src\", \"action\": \"rebuild\", \"ignore\": [\"x\"], \"exec\": {\"command\": null}}]" },
    };
    (void)unused;
    must_mean(rows, ARRAY_LEN(rows));
}

static void using_another_service_is_depending_on_it(void **unused)
{
    static const char *const attributes[] = {
        "links: [b]",         "links: [\"b:name\"]", "network_mode: \"service:b\"",
        "ipc: \"service:b\"", "pid: \"service:b\"",  "uts: \"service:b\"",
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++)
        must_mean(&(struct form_row){ attributes[i], "depends_on",
                                      "{\"b\": {\"condition\": \"service_started\", \"restart\": true,"
                                      " \"required\": true}}" },
                  1);
    const struct form_row mounts[] = {
        { "volumes_from: [\"b:ro\"]", "depends_on",
          "{\"b\": {\"condition\": \"service_started\", \"required\": true}}" },
        { "volumes_from: [\"container:b\"]", "depends_on", NULL },
        { "links: [b], depends_on: {b: {condition: service_healthy}}", "depends_on",
          "{\"b\": {\"condition\": \"service_healthy\", \"required\": true}}" },
    };
    must_mean(mounts, ARRAY_LEN(mounts));
}

static void what_runs_before_runs_in_the_same_image(void **unused)
{
    (void)unused;
    must_mean(&(struct form_row){ "pre_start: [{command: echo hi}, {image: other, command: x}]", "pre_start",
                                  "[{\"command\": [\"echo\", \"hi\"], \"image\": \"i\"},"
                                  " {\"command\": [\"x\"], \"image\": \"other\"}]" },
              1);
}

static void a_provider_needs_nothing_to_run(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "services: {p: {provider: {type: t, options: {a: 1, b: [x, true]}}}}");
    must_say(&story, "services.p.provider",
             "{\"type\": \"t\", \"options\": {\"a\": [\"1\"], \"b\": [\"x\", \"true\"]}}");
    must_say(&story, "services.p.networks", NULL);
}

static void files_of_labels_and_variables_are_read_in_their_formats(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "l.label", "k=file\nl=file\n");
    story_file(&story, "raw.env", "Q=\"$HOME\" # no comment\n");
    story_of(&story, "services: {a: {image: i, label_file: l.label, labels: {l: own},"
                     " env_file: [{path: raw.env, format: raw}]}}");
    must_say(&story, "services.a.labels", "{\"k\": \"file\", \"l\": \"own\"}");
    must_say(&story, "services.a.environment", "{\"Q\": \"\\\"$HOME\\\" # no comment\"}");
}

static void an_include_has_its_own_folder_and_variables(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "sub/a.yaml", "services: {a: {image: \"$TAG\", volumes: [\"./d:/d\"]}}\n");
    story_file(&story, "sub/over.yaml", "services: {a: {command: x}}\n");
    story_file(&story, "tags.env", "TAG=from-file\n");
    story_of(&story, "include:\n"
                     "  - path: [sub/a.yaml, sub/over.yaml]\n"
                     "    project_directory: elsewhere\n"
                     "    env_file: tags.env\n");
    must_say(&story, "services.a.image", "\"from-file\"");
    must_say(&story, "services.a.command", "[\"x\"]");
    must_say(&story, "services.a.volumes",
             "[{\"type\": \"bind\", \"source\": \"@DIR@/elsewhere/d\", \"target\": \"/d\", \"bind\": {}}]");
}

static void of_two_includes_the_first_wins_and_the_file_itself_over_both(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "one.yaml", "services: {a: {image: one, command: one, hostname: one}}\n");
    story_file(&story, "two.yaml", "services: {a: {image: two, command: two, user: two}}\n");
    story_of(&story, "include: [one.yaml, two.yaml]\nservices: {a: {image: own}}\n");
    must_say(&story, "services.a.image", "\"own\"");
    must_say(&story, "services.a.command", "[\"one\"]");
    must_say(&story, "services.a.hostname", "\"one\"");
    must_say(&story, "services.a.user", "\"two\"");
}

static void names_and_extensions_stand_at_the_top(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "compose.yaml",
               "name: shop\nx-own: {a: 1}\nservices: {a: {image: \"$COMPOSE_PROJECT_NAME\"}}\n"
               "networks: {n: {external: {name: old}}}\n"
               "volumes: {v: {driver_opts: {type: none, o: bind, device: ./data}}}\n");
    story_load(&story);
    must_say(&story, "name", "\"shop\"");
    must_say(&story, "x-own", "{\"a\": 1}");
    must_say(&story, "services.a.image", "\"shop\"");
    must_say(&story, "networks.n", "{\"name\": \"old\", \"external\": true, \"ipam\": {}}");
    must_say(
        &story, "volumes.v",
        "{\"name\": \"shop_v\", \"driver_opts\": {\"type\": \"none\", \"o\": \"bind\", \"device\": \"@DIR@/data\"}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_form_stands_for_the_long_one),
        cmocka_unit_test(a_value_is_what_its_attribute_says),
        cmocka_unit_test(using_another_service_is_depending_on_it),
        cmocka_unit_test(what_runs_before_runs_in_the_same_image),
        cmocka_unit_test(a_provider_needs_nothing_to_run),
        cmocka_unit_test(files_of_labels_and_variables_are_read_in_their_formats),
        cmocka_unit_test(an_include_has_its_own_folder_and_variables),
        cmocka_unit_test(of_two_includes_the_first_wins_and_the_file_itself_over_both),
        cmocka_unit_test(names_and_extensions_stand_at_the_top),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
