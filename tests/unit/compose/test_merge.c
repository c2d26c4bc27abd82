/* SPDX-License-Identifier: MIT */
#include "story.h"

static void two(struct story *story, const char *base, const char *over)
{
    story->request.project_name = "p";
    story_file(story, "compose.yaml", base);
    story_file(story, "compose.override.yaml", over);
    story_load(story);
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
