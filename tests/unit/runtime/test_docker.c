/* SPDX-License-Identifier: MIT
 *
 * The parts of the docker runtime that need no Engine: frames, versions, and what a service becomes in the API's JSON.
 */
#include "base/err.h"
#include "compose/spec.h"
#include "runtime/container.h"
#include "runtime/engine.h"
#include "runtime/frames.h"
#include "runtime/runtime.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- frames ---- */

struct heard {
    char text[3][64];
};

static void hear(void *owner, int stream, const char *data, size_t len)
{
    struct heard *heard = owner;
    (void)strncat(heard->text[stream], data, len);
}

static const char frames[] = "\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\3bad\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1!";

static void frames_are_read_however_they_are_cut(void **unused)
{
    (void)unused;
    for (size_t step = 1; step < sizeof(frames); step++) {
        struct heard heard = { 0 };
        struct frames state = { 0 };
        for (size_t at = 0; at < sizeof(frames) - 1; at += step) {
            size_t left = sizeof(frames) - 1 - at;
            frames_take(&state, frames + at, step < left ? step : left, hear, &heard);
        }
        assert_string_equal(heard.text[1], "hello!");
        assert_string_equal(heard.text[2], "bad");
        assert_int_equal(state.left + state.head_len, 0);
    }
}

static void a_terminal_has_no_frames(void **unused)
{
    (void)unused;
    struct heard heard = { 0 };
    struct frames state = { .raw = true };
    frames_take(&state, "plain", 5, hear, &heard);
    assert_string_equal(heard.text[1], "plain");
}

/* ---- versions and hosts ---- */

static void the_newest_version_both_know_is_spoken(void **unused)
{
    (void)unused;
    assert_string_equal(engine_choose_version("1.41"), "1.41");
    assert_string_equal(engine_choose_version("1.43"), "1.43");
    assert_string_equal(engine_choose_version("1.99"), ENGINE_NEWEST);
    assert_string_equal(engine_choose_version("2.0"), ENGINE_NEWEST);
    assert_null(engine_choose_version("1.40"));
    assert_null(engine_choose_version("0.9"));
    assert_null(engine_choose_version("new"));
    assert_null(engine_choose_version(NULL));
}

static void a_host_is_a_socket_or_tcp(void **unused)
{
    (void)unused;
    const char *const bad[] = { "nonsense", "unix://relative", "ssh://me@there", "unix:" };
    struct err err = { 0 };
    struct loop *loop = loop_new();
    struct engine *engine = engine_new(loop, "", &err);
    assert_string_equal(engine_host(engine), "unix:///var/run/docker.sock");
    assert_true(engine_is_local(engine));
    engine_free(engine);
    engine = engine_new(loop, "tcp://127.0.0.1:2375", &err);
    assert_non_null(engine);
    assert_false(engine_is_local(engine));
    engine_free(engine);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(engine_new(loop, bad[i], &err));
        assert_int_equal(err.code, -EINVAL);
    }
    loop_free(loop);
}

static void an_engine_elsewhere_is_remote(void **unused)
{
    (void)unused;
    static const struct {
        const char *host;
        bool local, remote;
    } rows[] = { { NULL, true, false },
                 { "unix:///run/podman/podman.sock", true, false },
                 { "tcp://127.0.0.1:2375", false, false },
                 { "tcp://localhost:2375", false, false },
                 { "tcp://[::1]:2375", false, false },
                 { "tcp://10.0.0.7:2375", false, true },
                 { "tcp://build.example.org:2375", false, true } };
    struct loop *loop = loop_new();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct err err = { 0 };
        struct engine *engine = engine_new(loop, rows[i].host, &err);
        assert_non_null(engine);
        assert_int_equal(engine_is_local(engine), rows[i].local);
        assert_int_equal(engine_is_remote(engine), rows[i].remote);
        engine_free(engine);
    }
    loop_free(loop);
}

static void nobody_at_the_socket_is_said(void **unused)
{
    (void)unused;
    struct runtime_published published;
    struct err err = { 0 };
    assert_int_equal(runtime_docker_published("unix:///nowhere/docker.sock", "p", &published, &err), -ENOENT);
    assert_non_null(strstr(err.message, "/nowhere/docker.sock"));
    assert_non_null(strstr(err.message, "DOCKER_HOST"));
}

/* ---- what a service becomes ---- */

static char folder[64], path[96];
static struct spec *spec;

static int setup(void **unused)
{
    strcpy(folder, "/tmp/daruma-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/compose.yaml", folder);
    return 0;
}

static int teardown(void **unused)
{
    spec_free(spec);
    spec = NULL;
    (void)unlink(path);
    (void)rmdir(folder);
    return 0;
}

static void load(const char *text)
{
    struct problems problems = { 0 };
    const struct compose_request request = { .working_dir = folder, .project_name = "shop" };
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    assert_int_equal(compose_load(&request, &spec, &problems), 0);
    problems_free(&problems);
}

/* Holds a part of the body, as "HostConfig.Memory", against JSON. */
static void holds(const json_t *body, const char *where, const char *expected)
{
    const json_t *at = body;
    char name[64];
    for (const char *rest = where; *rest;) {
        size_t len = strcspn(rest, "/");
        (void)snprintf(name, sizeof(name), "%.*s", (int)len, rest);
        at = json_object_get(at, name);
        rest += len + (rest[len] == '/');
    }
    json_t *wanted = json_loads(expected, JSON_DECODE_ANY, NULL);
    char *got = json_dumps(at, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    assert_non_null(wanted);
    if (!json_equal(at, wanted))
        fail_msg("%s: expected %s, got %s", where, expected, got ? got : "nothing");
    free(got);
    json_decref(wanted);
}

static void every_attribute_has_its_place(void **unused)
{
    (void)unused;
    load("services:\n  web:\n    image: nginx\n    command: [a, b]\n    environment: {B: 2, A: 1}\n    user: \"1:2\"\n"
         "    mem_limit: 20m\n    cpus: 0.5\n    shm_size: 1m\n    cap_add: [NET_ADMIN]\n    privileged: true\n"
         "    tmpfs: [/run, \"/tmp:size=1m\"]\n    extra_hosts: [\"a:1.2.3.4\"]\n    ulimits: {nofile: {soft: 1, hard: "
         "2}}\n"
         "    devices: [\"/dev/null:/dev/x:r\"]\n    ports: [\"80:8080\", \"53:53/udp\"]\n    init: true\n"
         "    logging: {driver: none}\n    sysctls: {net.core.somaxconn: 1024}\n    labels: {mine: x}\n"
         "    deploy: {resources: {limits: {memory: 20m, pids: 7}}}\n    restart: on-failure:3\n"
         "    blkio_config: {weight: 300, device_read_bps: [{path: /dev/x, rate: 1mb}], weight_device: [{path: /dev/x, "
         "weight: 400}]}\n");
    json_t *body = container_body(spec, &spec->services[0], 2);
    assert_non_null(body);
    holds(body, "Image", "\"nginx\"");
    holds(body, "Cmd", "[\"a\", \"b\"]");
    holds(body, "Env", "[\"A=1\", \"B=2\"]");
    holds(body, "User", "\"1:2\"");
    holds(body, "HostConfig/Memory", "20971520");
    holds(body, "HostConfig/PidsLimit", "7");
    holds(body, "HostConfig/NanoCpus", "500000000");
    holds(body, "HostConfig/ShmSize", "1048576");
    holds(body, "HostConfig/CapAdd", "[\"NET_ADMIN\"]");
    holds(body, "HostConfig/Privileged", "true");
    holds(body, "HostConfig/Init", "true");
    holds(body, "HostConfig/Tmpfs", "{\"/run\": \"\", \"/tmp\": \"size=1m\"}");
    holds(body, "HostConfig/ExtraHosts", "[\"a:1.2.3.4\"]");
    holds(body, "HostConfig/Ulimits", "[{\"Name\": \"nofile\", \"Soft\": 1, \"Hard\": 2}]");
    holds(body, "HostConfig/Devices",
          "[{\"PathOnHost\": \"/dev/null\", \"PathInContainer\": \"/dev/x\", \"CgroupPermissions\": \"r\"}]");
    holds(body, "HostConfig/LogConfig", "{\"Type\": \"none\", \"Config\": {}}");
    holds(body, "HostConfig/Sysctls", "{\"net.core.somaxconn\": \"1024\"}");
    holds(body, "HostConfig/BlkioWeight", "300");
    holds(body, "HostConfig/BlkioDeviceReadBps", "[{\"Path\": \"/dev/x\", \"Rate\": 1048576}]");
    holds(body, "HostConfig/BlkioWeightDevice", "[{\"Path\": \"/dev/x\", \"Weight\": 400}]");
    holds(body, "HostConfig/RestartPolicy", "{\"Name\": \"on-failure\", \"MaximumRetryCount\": 3}");
    holds(body, "ExposedPorts", "{\"8080/tcp\": {}, \"53/udp\": {}}");
    holds(body, "Labels/mine", "\"x\"");
    holds(body, "Labels/com.docker.compose.project", "\"shop\"");
    holds(body, "Labels/com.docker.compose.service", "\"web\"");
    holds(body, "Labels/com.docker.compose.container-number", "\"2\"");
    holds(body, "Labels/com.docker.compose.oneoff", "\"False\"");
    assert_null(json_object_get(json_object_get(body, "HostConfig"), "PortBindings"));
    json_decref(body);
}

static void mounts_are_binds_volumes_and_memory(void **unused)
{
    (void)unused;
    load(
        "services:\n  db:\n    image: redis\n    volumes: [\"data:/data\", \"/srv:/srv:ro\", /anonymous, {type: tmpfs, "
        "target: /t, tmpfs: {size: 10}}]\n    secrets: [key]\nvolumes: {data: {}}\nsecrets: {key: {file: /k}}\n");
    json_t *body = container_body(spec, &spec->services[0], 1);
    holds(body, "HostConfig/Binds", "[\"/srv:/srv:ro\"]");
    json_t *mounts = json_object_get(json_object_get(body, "HostConfig"), "Mounts");
    assert_int_equal(json_array_size(mounts), 4);
    holds(json_array_get(mounts, 0), "Source", "\"shop_data\"");
    holds(json_array_get(mounts, 1), "Target", "\"/anonymous\"");
    holds(json_array_get(mounts, 2), "TmpfsOptions", "{\"SizeBytes\": 10}");
    holds(json_array_get(mounts, 3), "Target", "\"/run/secrets/key\"");
    json_decref(body);
}

static void a_service_is_known_by_its_name_in_its_networks(void **unused)
{
    (void)unused;
    load("services:\n  web: {image: i, networks: {back: {aliases: [front], ipv4_address: 10.9.0.5}}}\n"
         "  side: {image: i, network_mode: \"service:web\", hostname: h, expose: [1]}\n"
         "  old: {image: i, container_name: fixed}\n"
         "networks: {back: {name: real, ipam: {config: [{subnet: 10.9.0.0/24}]}}}\n");
    const struct spec_service *web = spec_find_service(spec, "web");
    json_t *body = container_body(spec, web, 1);
    holds(body, "HostConfig/NetworkMode", "\"real\"");
    holds(body, "NetworkingConfig/EndpointsConfig/real",
          "{\"Aliases\": [\"web\", \"shop-web-1\", \"front\"], \"IPAMConfig\": {\"IPv4Address\": \"10.9.0.5\"}}");
    json_decref(body);
    body = container_body(spec, spec_find_service(spec, "side"), 1);
    holds(body, "HostConfig/NetworkMode", "\"container:shop-web-1\"");
    assert_null(json_object_get(body, "Hostname"));
    assert_null(json_object_get(body, "ExposedPorts"));
    json_decref(body);
    body = container_body(spec, spec_find_service(spec, "old"), 1);
    holds(body, "HostConfig/NetworkMode", "\"shop_default\"");
    json_decref(body);
    char *name = container_name(spec, spec_find_service(spec, "old"), 1);
    assert_string_equal(name, "fixed");
    free(name);
}

static void a_health_check_of_ours_is_not_the_engines(void **unused)
{
    (void)unused;
    load("services:\n  a: {image: i, healthcheck: {test: [CMD, x]}}\n  b: {image: i}\n");
    json_t *body = container_body(spec, spec_find_service(spec, "a"), 1);
    holds(body, "Healthcheck", "{\"Test\": [\"NONE\"]}");
    json_decref(body);
    body = container_body(spec, spec_find_service(spec, "b"), 1);
    holds(body, "Healthcheck", "{}");
    json_decref(body);
}

static void the_check_of_an_image_may_get_other_times(void **unused)
{
    (void)unused;
    load("services:\n  a: {image: i, healthcheck: {interval: 2s, retries: 5}}\n  b: {image: i, healthcheck: {disable: "
         "true}}\n  c: {image: i, healthcheck: {test: [NONE]}}\n");
    json_t *body = container_body(spec, spec_find_service(spec, "a"), 1);
    holds(body, "Healthcheck", "{\"Interval\": 2000000000, \"Retries\": 5}");
    json_decref(body);
    for (const char *name = "b"; name; name = *name == 'b' ? "c" : NULL) {
        body = container_body(spec, spec_find_service(spec, name), 1);
        holds(body, "Healthcheck", "{\"Test\": [\"NONE\"]}");
        json_decref(body);
    }
}

static void a_link_is_a_name_of_the_first_instance(void **unused)
{
    (void)unused;
    load("services:\n  a: {image: i, links: [\"b:store\", b], external_links: [other]}\n  b: {image: i}\n");
    json_t *body = container_body(spec, spec_find_service(spec, "a"), 1);
    holds(body, "NetworkingConfig/EndpointsConfig/shop_default/Links", "[\"shop-b-1:store\", \"other:other\"]");
    json_decref(body);
}

static void an_anonymous_volume_is_inherited_where_nothing_else_is(void **unused)
{
    (void)unused;
    load("services:\n  a: {image: i, volumes: [/anonymous, \"named:/named\", \"/host:/host:ro\"], tmpfs: "
         "[/fast]}\nvolumes: {named: }\n");
    json_t *body = container_body(spec, spec_find_service(spec, "a"), 1);
    const json_t *mounts = json_object_get(json_object_get(body, "HostConfig"), "Mounts");
    size_t before = json_array_size(mounts);
    const char *const taken[] = { "/anonymous", "/named", "/host", "/fast" };
    for (size_t i = 0; i < 4; i++)
        container_inherit(body, "old", taken[i]);
    assert_int_equal(json_array_size(mounts), before);
    assert_string_equal(json_string_value(json_object_get(json_array_get(mounts, 0), "Source")), "old");
    assert_string_equal(json_string_value(json_object_get(json_array_get(mounts, 1), "Source")), "shop_named");
    container_inherit(body, "old", "/of/the/image");
    assert_int_equal(json_array_size(mounts), before + 1);
    json_decref(body);
}

/* ---- a container that somebody else made ---- */

/* As the Engine tells of a container; the second is as ours, and then changed at one place. */
static const char theirs[] =
    "{'Id': 'aaaaaaaaaaaabbbb', 'Name': '/shop_db_1', 'Image': 'sha256:1', 'Config': {'Hostname': 'aaaaaaaaaaaa',"
    "'Env': ['A=1', 'B=2'], 'Cmd': ['db'], 'Labels': {'mine': 'x', 'com.docker.compose.version': '1.29.2'},"
    "'Image': 'db', 'Volumes': {'/data': {}}, 'ExposedPorts': {'1/tcp': {}}, 'AttachStdout': true, 'StopTimeout': 3,"
    "'Healthcheck': {'Test': ['CMD', 'ask']}},"
    "'HostConfig': {'Binds': ['shop_v:/data:rw'], 'Memory': 64, 'VolumesFrom': [], 'PortBindings': {}, 'NetworkMode': "
    "'shop_back', 'RestartPolicy': {'Name': 'always'}},"
    "'Mounts': [{'Type': 'volume', 'Name': 'shop_v', 'Destination': '/data', 'Mode': 'rw', 'RW': true}],"
    "'NetworkSettings': {'Networks': {'shop_back': {'Aliases': ['db', 'aaaaaaaaaaaa'], 'IPAddress': '10.0.0.2'},"
    "'shop_default': {'Aliases': ['db', 'store']}}}}";
static const char ours[] =
    "{'Id': 'ccccccccccccdddd', 'Name': '/shop-db-1-next', 'Image': 'sha256:1', 'Config': {'Hostname': 'cccccccccccc',"
    "'Env': ['B=2', 'A=1'], 'Cmd': ['db'], 'Labels': {'com.docker.compose.version': '0.1', 'mine': 'x'},"
    "'Image': 'db:latest', 'Volumes': null, 'Domainname': '', 'Healthcheck': {'Test': ['NONE']}},"
    "'HostConfig': {'Binds': null, 'Mounts': [{'Type': 'volume', 'Source': 'shop_v', 'Target': '/data'}], 'Memory': 64,"
    "'VolumesFrom': null, 'NetworkMode': 'shop_default', 'RestartPolicy': {'Name': 'no'}},"
    "'Mounts': [{'Type': 'volume', 'Name': 'shop_v', 'Destination': '/data', 'Mode': 'z', 'RW': true}],"
    "'NetworkSettings': {'Networks': {'shop_default': {}}}}";
static const char asked[] =
    "{'shop_default': {'Aliases': ['db', 'shop-db-1', 'store']}, 'shop_back': {'Aliases': ['db']}}";

/* Texts are written with ' for ". */
static json_t *parse(const char *text, const char *from, const char *to)
{
    char *copy = strdup(text), *at = from ? strstr(copy, from) : NULL, *whole = NULL;
    assert_true(!from || at);
    assert_true(asprintf(&whole, "%.*s%s%s", at ? (int)(at - copy) : (int)strlen(copy), copy, at ? to : "",
                         at ? at + strlen(from) : "") > 0);
    for (char *c = whole; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    json_t *json = json_loads(whole, 0, NULL);
    assert_non_null(json);
    free(copy);
    free(whole);
    return json;
}

static bool same_with(const char *from, const char *to)
{
    json_t *a = parse(theirs, from, to), *b = parse(ours, NULL, NULL), *endpoints = parse(asked, NULL, NULL);
    bool same = container_same(a, b, endpoints, "shop-db-1");
    json_decref(a);
    json_decref(b);
    json_decref(endpoints);
    return same;
}

static void a_container_of_another_is_the_same_only_if_nothing_differs(void **unused)
{
    static const char *const changes[][2] = {
        { "'sha256:1'", "'sha256:2'" },
        { "'Hostname': 'aaaaaaaaaaaa'", "'Hostname': 'box'" },
        { "'B=2'", "'B=3'" },
        { "'B=2'", "'B=2', 'C=3'" },
        { "['db']", "['db', '-v']" },
        { "'mine': 'x'", "'mine': 'y'" },
        { "'Memory': 64", "'Memory': 65" },
        { "'PortBindings': {}", "'PortBindings': {'1/tcp': []}" },
        { "'Name': 'shop_v'", "'Name': 'other'" },
        { "'RW': true", "'RW': false" },
        { "'shop_default': {'Aliases': ['db', 'store']}", "'shop_default': {'Aliases': ['db']}" },
        { ", 'IPAddress'", ", 'IPAMConfig': {'IPv4Address': '10.0.0.2'}, 'IPAddress'" },
        { "'shop_default': {'Aliases'", "'third': {}, 'shop_default': {'Aliases'" },
        { "'shop_default': {'Aliases'", "'third': {'Aliases'" },
    };
    (void)unused;
    assert_true(same_with(NULL, NULL));
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++)
        if (same_with(changes[i][0], changes[i][1]))
            fail_msg("the same with %s", changes[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_read_however_they_are_cut),
        cmocka_unit_test(a_terminal_has_no_frames),
        cmocka_unit_test(the_newest_version_both_know_is_spoken),
        cmocka_unit_test(a_host_is_a_socket_or_tcp),
        cmocka_unit_test(an_engine_elsewhere_is_remote),
        cmocka_unit_test(nobody_at_the_socket_is_said),
        cmocka_unit_test_setup_teardown(every_attribute_has_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(mounts_are_binds_volumes_and_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_is_known_by_its_name_in_its_networks, setup, teardown),
        cmocka_unit_test_setup_teardown(a_health_check_of_ours_is_not_the_engines, setup, teardown),
        cmocka_unit_test_setup_teardown(the_check_of_an_image_may_get_other_times, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_is_a_name_of_the_first_instance, setup, teardown),
        cmocka_unit_test_setup_teardown(an_anonymous_volume_is_inherited_where_nothing_else_is, setup, teardown),
        cmocka_unit_test(a_container_of_another_is_the_same_only_if_nothing_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
