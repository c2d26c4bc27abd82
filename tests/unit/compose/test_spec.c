/* SPDX-License-Identifier: MIT
 *
 * What daruma acts on: the typed form of services, ports, health checks, listeners; changes; runtimes.
 */
#include "story.h"

#include "base/board.h"
#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

static void a_service_has_its_defaults(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "services: {a: {image: i}}");
    const struct spec_service *a = story_service(&story, "a");
    assert_int_equal(a->replicas, 1);
    assert_int_equal(a->stop_signal, SIGTERM);
    assert_true(a->stop_grace_period_ns == 10 * NS_PER_S && a->drain_timeout_ns == 10 * NS_PER_S);
    assert_int_equal(a->restart.condition, SPEC_RESTART_NO);
    assert_int_equal(a->restart.max_attempts, -1);
    assert_int_equal(a->healthcheck.test, SPEC_TEST_NONE);
    assert_true(a->restart_unhealthy && story.spec->served_by);
    assert_null(a->command);
    assert_null(a->process_command);
    assert_string_equal(a->working_dir, "");
    assert_int_equal(strlen(a->config_hash), 64);
}

static void what_to_run_has_several_forms(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story,
             "services:\n  a: {command: prog 'a b'}\n  b: {image: i, x-daruma: {process: {command: \"x | y\"}}}\n"
             "  c: {image: i, x-daruma: {process: {command: [x, 1], socket: true, port: 7000}}}\n"
             "  d: {image: i, command: x}\n");
    const struct spec_service *a = story_service(&story, "a"), *b = story_service(&story, "b"),
                              *c = story_service(&story, "c");
    assert_string_equal(a->command[1], "a b");
    assert_string_equal(b->process_command[0], "/bin/sh");
    assert_string_equal(b->process_command[2], "x | y");
    assert_string_equal(c->process_command[1], "1");
    assert_null(c->process_command[2]);
    assert_true(c->process_socket);
    assert_int_equal(c->ports[0].target, 7000);
    assert_true(spec_service_is_process(a) && spec_service_is_process(b) && spec_service_is_process(c));
    assert_false(spec_service_is_process(story_service(&story, "d")));
}

static void restarts_have_two_spellings(void **unused)
{
    (void)unused;
    STORY story = { 0 }, bad = { 0 };
    story_of(&story, "services:\n  a: {image: i, restart: \"on-failure:5\"}\n  b: {image: i, restart: always, deploy: "
                     "{restart_policy: "
                     "{condition: on-failure, delay: 2s, max_attempts: 3, window: 1m}}}\n  c: {image: i, restart: "
                     "unless-stopped}\n");
    const struct spec_restart_policy *a = &story_service(&story, "a")->restart,
                                     *b = &story_service(&story, "b")->restart;
    assert_int_equal(a->condition, SPEC_RESTART_ON_FAILURE);
    assert_int_equal(a->max_attempts, 5);
    assert_int_equal(b->condition, SPEC_RESTART_ON_FAILURE);
    assert_true(b->delay_ns == 2 * NS_PER_S && b->window_ns == 60 * NS_PER_S && b->max_attempts == 3);
    assert_int_equal(story_service(&story, "c")->restart.condition, SPEC_RESTART_UNLESS_STOPPED);
    story_of(&bad, "services:\n  a:\n    image: i\n    restart: allways\n");
    must_refuse(&bad, "compose.yaml:4:14: `allways` is no restart rule");
}

static void ports_are_published_exposed_and_guessed(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "services:\n  a:\n    image: i\n    ports: [\"127.0.0.1:8080:80\", \"6000:6379\", \"9000:9000\", "
                     "70, \"53:53/udp\", "
                     "{target: 81, published: \"81\", app_protocol: tcp}]\n    expose: [80, \"90-91\"]\n");
    const struct spec_service *a = story_service(&story, "a");
    assert_int_equal(a->ports_len, 8);
    assert_string_equal(a->ports[0].host_ip, "127.0.0.1");
    assert_int_equal(a->ports[0].protocol, SPEC_PROTOCOL_HTTP);
    assert_int_equal(a->ports[1].protocol, SPEC_PROTOCOL_TCP);
    assert_int_equal(a->ports[4].protocol, SPEC_PROTOCOL_UDP);
    assert_int_equal(a->ports[5].protocol, SPEC_PROTOCOL_TCP);
    assert_int_equal(a->published_len, 6);
    assert_int_equal(a->published[3].published, 0);
    assert_int_equal(a->ports[7].target, 91);
    must_tell(&story, "warning: the gateway cannot serve udp");
    assert_int_equal(story.spec->listeners_len, 5);
}

/* Over IPv4 and IPv6, or at two ports of the host: an instance still serves it at one. */
static void a_port_may_be_published_twice(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "services: {a: {image: i, ports: [\"127.0.0.1:80:5000\", \"[::1]:80:5000\", \"81:5000\", 5001]}}");
    const struct spec_service *a = story_service(&story, "a");
    assert_int_equal(a->published_len, 4);
    assert_int_equal(a->ports_len, 2);
    assert_int_equal(a->ports[0].target, 5000);
    assert_int_equal(a->ports[1].target, 5001);
    assert_int_equal(story.spec->listeners_len, 4);
}

static void health_is_checked_by_command_or_by_address(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(
        &story,
        "x-t: &t {image: i, expose: [5000, 6000]}\nservices:\n"
        "  a: {<<: *t, healthcheck: {test: [CMD, x, y], interval: 1s, timeout: 2s, retries: 4, start_period: 5s}}\n"
        "  b: {<<: *t, healthcheck: {test: x y}}\n  c: {<<: *t, healthcheck: {test: [NONE]}}\n"
        "  d: {<<: *t, x-daruma: {healthcheck: \"http://localhost/health?x=1\"}, healthcheck: {interval: 3s}}\n"
        "  e: {<<: *t, x-daruma: {healthcheck: \"http://:6000\"}}\n"
        "  f: {<<: *t, x-daruma: {healthcheck: \"tcp://db:5432\"}}\n"
        "  g: {<<: *t, x-daruma: {healthcheck: \"tcp://\"}, healthcheck: {disable: true}}\n"
        "  h: {<<: *t, x-daruma: {healthcheck: \"http://127.0.0.1:9999/x\"}}\n"
        "  i: {<<: *t, healthcheck: {test: [CMD-SHELL, ready, -U, x], interval: 0s, timeout: 0s, retries: 0}}\n");
    must_tell(&story, "warning: only `ready` is run: write all of it in one string, or CMD in place of CMD-SHELL");
    const struct spec_healthcheck *i = &story_service(&story, "i")->healthcheck;
    assert_int_equal(i->test, SPEC_TEST_SHELL);
    assert_string_equal(i->command[0], "ready");
    assert_int_equal(i->interval_ns, 30 * NS_PER_S);
    assert_int_equal(i->timeout_ns, 30 * NS_PER_S);
    assert_int_equal(i->retries, 3);
    const struct spec_healthcheck *a = &story_service(&story, "a")->healthcheck,
                                  *d = &story_service(&story, "d")->healthcheck,
                                  *e = &story_service(&story, "e")->healthcheck,
                                  *f = &story_service(&story, "f")->healthcheck,
                                  *h = &story_service(&story, "h")->healthcheck;
    assert_int_equal(a->test, SPEC_TEST_CMD);
    assert_string_equal(a->command[0], "x");
    assert_true(a->interval_ns == NS_PER_S && a->timeout_ns == 2 * NS_PER_S && a->start_period_ns == 5 * NS_PER_S);
    assert_int_equal(a->retries, 4);
    assert_int_equal(story_service(&story, "b")->healthcheck.test, SPEC_TEST_SHELL);
    assert_string_equal(story_service(&story, "b")->healthcheck.command[0], "x y");
    assert_int_equal(story_service(&story, "c")->healthcheck.test, SPEC_TEST_NONE);
    assert_int_equal(d->test, SPEC_TEST_HTTP);
    assert_string_equal(d->url, "/health?x=1");
    assert_true(!d->host && d->port == 0 && d->interval_ns == 3 * NS_PER_S);
    assert_true(!e->host && e->port == 6000);
    assert_string_equal(e->url, "/");
    assert_string_equal(f->host, "db");
    assert_int_equal(f->port, 5432);
    assert_int_equal(story_service(&story, "g")->healthcheck.test, SPEC_TEST_NONE);
    assert_string_equal(h->host, "127.0.0.1");
}

static void limits_and_dependencies_are_typed(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story,
             "services:\n  a:\n    image: i\n    ulimits: {nofile: {soft: 10, hard: 20}, core: -1}\n    scale: 3\n"
             "    stop_signal: SIGINT\n    stop_grace_period: 1m\n    depends_on:\n"
             "      b: {condition: service_completed_successfully, restart: true}\n  b: {image: i}\n");
    const struct spec_service *a = story_service(&story, "a");
    assert_int_equal(a->ulimits_len, 2);
    assert_int_equal(a->ulimits[0].resource, RLIMIT_NOFILE);
    assert_true(a->ulimits[0].soft == 10 && a->ulimits[0].hard == 20 && a->ulimits[1].hard == -1);
    assert_int_equal(a->replicas, 3);
    assert_int_equal(a->stop_signal, SIGINT);
    assert_true(a->stop_grace_period_ns == 60 * NS_PER_S);
    assert_int_equal(a->depends_on[0].condition, SPEC_COMPLETED);
    assert_true(a->depends_on[0].restart && a->depends_on[0].required);
}

static void listeners_are_declared_or_come_from_ports(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story,
             "services:\n  a: {image: i, ports: [\"8080:80\", \"9090:90\"]}\n  b: {image: i, expose: [80]}\n"
             "x-gateway:\n  served_by: false\n  listeners:\n    - address: \":8080\"\n      balance: least_conn\n"
             "      routes: [{to: [a, b], connect_timeout: 2s, hold: 0s, patience: {max: 500ms}, retry: {on: [error, "
             "http_500], attempts: 5}}]\n"
             "    - address: \"[::]:6379\"\n      protocol: tcp\n      routes: [{to: b}]\n");
    must_load(&story);
    const struct spec *spec = story.spec;
    assert_false(spec->served_by);
    assert_int_equal(spec->listeners_len, 3);
    assert_int_equal(spec->listeners[0].routes[0].balance.placement, BOARD_LEAST_INFLIGHT);
    const struct spec_route *route = &spec->listeners[0].routes[0];
    assert_string_equal(route->to[1].name, "b");
    assert_int_equal(route->retry_on, BOARD_RETRY_ERROR | BOARD_RETRY_500);
    assert_int_equal(route->attempts, 5);
    assert_true(route->connect_timeout_ns == 2 * NS_PER_S && route->hold_ns == 0);
    assert_true(route->patience_min_ns == 25 * NS_PER_MS && route->patience_max_ns == 500 * NS_PER_MS);
    assert_string_equal(spec->listeners[1].host, "::");
    assert_int_equal(spec->listeners[1].protocol, SPEC_PROTOCOL_TCP);
    assert_int_equal(spec->listeners[2].port, 9090);
    assert_string_equal(spec->listeners[2].published_by, "a");
    /* A SYN that is lost once (the backlog of a busy instance) must cost no request. */
    assert_true(spec->listeners[2].routes[0].connect_timeout_ns > NS_PER_S);
    assert_int_equal(spec->listeners[2].routes[0].retry_on, BOARD_RETRY_ERROR | BOARD_RETRY_TIMEOUT);
    assert_int_equal(spec->listeners[2].routes[0].attempts, 3);
}

/* How service a changes between two texts. */
static enum spec_change change(const char *before, const char *after)
{
    STORY one = { 0 }, two = { 0 };
    char text[512];

    (void)snprintf(text, sizeof(text), "services: {a: {image: i, %s}}", before);
    story_of(&one, text);
    (void)snprintf(text, sizeof(text), "services: {a: {image: i, %s}}", after);
    story_of(&two, text);
    return spec_service_change(story_service(&one, "a"), story_service(&two, "a"));
}

static void only_what_matters_makes_new_instances(void **unused)
{
    (void)unused;
    assert_int_equal(change("command: x", "command: [x]"), SPEC_SAME);
    assert_int_equal(change("command: x", "command: y"), SPEC_CHANGED);
    assert_int_equal(change("environment: {A: 1}", "environment: {A: 2}"), SPEC_CHANGED);
    assert_int_equal(change("scale: 1", "scale: 2"), SPEC_RESCALED);
    assert_int_equal(change("restart: always", "restart: \"no\""), SPEC_RESCALED);
    assert_int_equal(change("healthcheck: {test: x}", "healthcheck: {test: x, interval: 1s}"), SPEC_RESCALED);
    assert_int_equal(change("ports: [\"80:80\"]", "ports: [\"81:80\"]"), SPEC_RESCALED);
    assert_int_equal(change("ports: [\"80:80\"]", "ports: [\"80:81\"]"), SPEC_CHANGED);
    assert_int_equal(change("ports: [\"80:80\"]", "ports: [\"80:80\", \"81:80\"]"), SPEC_RESCALED);
    assert_int_equal(change("deploy: {replicas: 1}", "deploy: {replicas: 2}"), SPEC_RESCALED);
    assert_int_equal(change("environment: {A: 1, B: 2}", "environment: {B: 2, A: 1}"), SPEC_SAME);
    assert_int_equal(change("command: [a, b]", "command: [ab]"), SPEC_CHANGED);
    assert_int_equal(change("cpus: 1", "cpus: 1.5"), SPEC_CHANGED);
    assert_int_equal(change("mem_limit: 9007199254740993", "mem_limit: 9007199254740992"), SPEC_CHANGED);
    assert_int_equal(change("x-daruma: {drain_timeout: 1s}", "x-daruma: {drain_timeout: 2s}"), SPEC_RESCALED);
    assert_int_equal(change("x-daruma: {drain_upgraded: 1s}", "x-daruma: {drain_upgraded: 2s}"), SPEC_RESCALED);
    assert_int_equal(change("x-daruma: {process: {port: 80}}", "x-daruma: {process: {port: 81}}"), SPEC_CHANGED);
    assert_int_equal(spec_service_change(NULL, NULL), SPEC_SAME);
}

/* What two services that say the same are made from. */
static enum spec_change stamped(uint64_t source_before, const char *image_before, struct spec_service *after)
{
    struct spec_service before = *after;

    before.build = false;
    before.stamp = (struct spec_stamp){ .source = source_before };
    (void)snprintf(before.stamp.image, sizeof(before.stamp.image), "%s", image_before);
    enum spec_change change = spec_service_change(&before, after);
    spec_service_follow(&before, after);
    return change;
}

static void what_it_is_made_from_makes_new_instances_too(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "services: {a: {image: i, build: .}}");
    const struct spec_service *plain = story_service(&story, "a");
    struct spec_service after = *plain;

    assert_int_equal(stamped(0, "", &after), SPEC_SAME);
    after.stamp = (struct spec_stamp){ .source = 7, .image = "sha256:1" };
    assert_int_equal(stamped(7, "sha256:1", &after), SPEC_SAME);
    assert_int_equal(stamped(0, "", &after), SPEC_SAME); /* what is not known is no change */
    assert_int_equal(stamped(7, "sha256:0", &after), SPEC_CHANGED);
    assert_string_equal(after.stamp.image, "sha256:1");

    assert_int_equal(stamped(6, "sha256:1", &after), SPEC_CHANGED);
    assert_true(after.build); /* and which image it is turns out then */
    assert_string_equal(after.stamp.image, "");

    after = *plain;
    assert_int_equal(stamped(7, "sha256:1", &after), SPEC_SAME); /* an Engine that did not answer */
    assert_true(after.stamp.source == 7);
    assert_string_equal(after.stamp.image, "sha256:1");
    after.build = true;
    assert_int_equal(stamped(7, "sha256:1", &after), SPEC_CHANGED);
}

static void variables_may_be_left_standing(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story.request.no_interpolate = true;
    story_of(&story, "services: {a: {image: \"i:$TAG\", ports: [\"$PORT:80\", 81], scale: $N, mem_limit: $M}}");
    must_say(&story, "services.a.image", "\"i:$TAG\"");
    must_say(&story, "services.a.ports",
             "[\"$PORT:80\", {\"mode\": \"ingress\", \"target\": 81, \"protocol\": \"tcp\"}]");
    must_say(&story, "services.a.scale", "\"$N\"");
    assert_int_equal(strlen(story_service(&story, "a")->config_hash), 64);
}

static void the_runtime_is_chosen_in_this_order(void **unused)
{
    (void)unused;
    STORY process = { 0 }, mixed = { 0 }, said = { 0 };
    enum spec_runtime runtime;
    struct err err = { 0 };

    story_of(&process, "services: {a: {command: x}}");
    story_of(&mixed, "services: {a: {command: x}, b: {image: i}}");
    story_of(&said, "x-daruma: {runtime: docker}\nservices: {a: {command: x, image: i}}");
    assert_int_equal(spec_choose_runtime(process.spec, NULL, &runtime, &err), 0);
    assert_int_equal(runtime, SPEC_RUNTIME_PROCESS);
    assert_int_equal(spec_choose_runtime(mixed.spec, NULL, &runtime, &err), 0);
    assert_int_equal(runtime, SPEC_RUNTIME_DOCKER);
    assert_int_equal(spec_choose_runtime(said.spec, NULL, &runtime, &err), 0);
    assert_int_equal(runtime, SPEC_RUNTIME_DOCKER);
    assert_int_equal(spec_choose_runtime(said.spec, "process", &runtime, &err), 0);
    assert_int_equal(runtime, SPEC_RUNTIME_PROCESS);
    assert_int_equal(spec_choose_runtime(said.spec, "swarm", &runtime, &err), -EINVAL);
}

/* What is said about the file for that runtime; the caller's. */
static char *told_for(const struct story *story, enum spec_runtime runtime, size_t *ret_problems)
{
    struct problems problems = { 0 };
    struct buf text = { 0 };

    must_load(story);
    compose_unsupported(story->spec, runtime, &problems);
    problems_format(&problems, false, &text);
    *ret_problems = problems.len;
    problems_free(&problems);
    char *told = buf_take(&text);
    assert_non_null(told);
    return told;
}

static void must_say_to(const char *told, const char *part)
{
    if (!strstr(told, part))
        fail_msg("expected \"%s\", told was: %s", part, told);
}

static void what_a_runtime_does_not_honour_is_named_with_its_place(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    size_t n;

    story_of(&story, "services:\n  a:\n    command: x\n    privileged: true\n    tty: false\n    labels: {k: v}\n"
                     "    deploy: {replicas: 1, resources: {limits: {cpus: 1}}}\n  b:\n    image: i\n"
                     "  c: {image: i, x-daruma: {process: {command: x}}}\n");
    char *told CLEANUP_FREE = told_for(&story, SPEC_RUNTIME_PROCESS, &n);
    assert_int_equal(n, 3);
    must_say_to(told, "compose.yaml:4:5: warning: the process runtime does not honour `services.a.privileged`");
    must_say_to(told, "compose.yaml:7:27: warning: the process runtime does not honour `services.a.deploy.resources`");
    must_say_to(told, "compose.yaml:8:3: service `b` does not say what to run");
}

static void a_port_leads_to_one_place(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    size_t n;

    story_of(&story, "services:\n  a: {command: x, ports: [\"53:53\", \"54:1\", \"54:2\"]}\n"
                     "  b: {command: x, ports: [\"53:53/udp\", \"54:3\"]}\n");
    char *told CLEANUP_FREE = told_for(&story, SPEC_RUNTIME_PROCESS, &n);
    assert_int_equal(n, 2);
    must_say_to(told, "compose.yaml:2:44: port 54 leads to port 1 of service `a` already, in line 2");
    must_say_to(told, "compose.yaml:3:40: port 54 is published by service `a` already, in line 2");
}

static void what_containers_do_not_honour_is_named_down_to_the_last_key(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    size_t n;

    story_of(&story,
             "services:\n"
             "  a:\n"
             "    image: i\n"
             "    attach: false\n"
             "    links: [\"b:base\", \"b:b\", b]\n"
             "    volumes: [{type: bind, source: /s, target: /t, bind: {recursive: writable}}]\n"
             "    networks: {front: {priority: 1}}\n"
             "    deploy: {mode: replicated, resources: {limits: {cpus: 1}, reservations: {cpus: 1, memory: 1m}}}\n"
             "  b: {image: i, attach: true, develop: {watch: []}}\n"
             "networks:\n"
             "  front: {enable_ipv4: false, enable_ipv6: false}\n");
    char *told CLEANUP_FREE = told_for(&story, SPEC_RUNTIME_DOCKER, &n);
    must_say_to(told, "4:5: warning: the docker runtime does not honour `services.a.attach`");
    must_say_to(told, "6:59: warning: the docker runtime does not honour `services.a.volumes[].bind.recursive`");
    must_say_to(told, "7:24: warning: the docker runtime does not honour `services.a.networks.front.priority`");
    must_say_to(told,
                "8:78: warning: the docker runtime does not honour `services.a.deploy.resources.reservations.cpus`");
    must_say_to(told, "11:11: warning: the docker runtime does not honour `networks.front.enable_ipv4`");
    assert_int_equal(n, 5);
}

static void as_processes_no_link_gives_a_name(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    size_t n;

    story_of(&story, "services:\n"
                     "  a:\n"
                     "    command: x\n"
                     "    links: [\"b:base\", \"b:b\", b]\n"
                     "  b: {command: x}\n");
    char *told CLEANUP_FREE = told_for(&story, SPEC_RUNTIME_PROCESS, &n);
    must_say_to(told, "4:13: warning: nothing makes `base` a name of service `b`");
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_has_its_defaults),
        cmocka_unit_test(what_to_run_has_several_forms),
        cmocka_unit_test(restarts_have_two_spellings),
        cmocka_unit_test(ports_are_published_exposed_and_guessed),
        cmocka_unit_test(a_port_may_be_published_twice),
        cmocka_unit_test(health_is_checked_by_command_or_by_address),
        cmocka_unit_test(limits_and_dependencies_are_typed),
        cmocka_unit_test(listeners_are_declared_or_come_from_ports),
        cmocka_unit_test(only_what_matters_makes_new_instances),
        cmocka_unit_test(what_it_is_made_from_makes_new_instances_too),
        cmocka_unit_test(variables_may_be_left_standing),
        cmocka_unit_test(the_runtime_is_chosen_in_this_order),
        cmocka_unit_test(what_a_runtime_does_not_honour_is_named_with_its_place),
        cmocka_unit_test(as_processes_no_link_gives_a_name),
        cmocka_unit_test(a_port_leads_to_one_place),
        cmocka_unit_test(what_containers_do_not_honour_is_named_down_to_the_last_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
