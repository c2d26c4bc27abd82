/* SPDX-License-Identifier: MIT
 *
 * What `up` asks for, on its way through JSON.
 */
#include "daemon/request.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_request_arrives_as_it_was_sent(void **state)
{
    const char *const files[] = { "a.yaml", "b.yaml", NULL }, *const environment[] = { "A=1", "BAD=\xff", "B=", NULL };
    const char *const services[] = { "web", NULL };
    const struct compose_request compose = {
        .working_dir = "/srv/shop",
        .project_name = "shop",
        .files = files,
        .environment = environment,
    };
    json_t *scale = json_pack("{s:i}", "web", 3);
    json_t *json = up_request_json(&compose, services, scale, "process");
    struct up_request request = { 0 };
    struct err err = { 0 };

    assert_int_equal(up_request_parse(json, &request, &err), 0);
    json_decref(json); /* the request has its own */
    assert_string_equal(request.compose.working_dir, "/srv/shop");
    assert_string_equal(request.compose.project_name, "shop");
    assert_null(request.compose.project_dir);
    assert_string_equal(request.compose.files[1], "b.yaml");
    assert_null(request.compose.files[2]);
    assert_null(request.compose.profiles);
    assert_string_equal(request.compose.environment[1], "B="); /* what is no UTF-8 cannot travel */
    assert_null(request.compose.environment[2]);
    assert_string_equal(request.services[0], "web");
    assert_string_equal(request.runtime, "process");
    up_request_free(&request);
    up_request_free(&request);
    json_decref(scale);
}

static void malformed_requests_are_refused(void **state)
{
    static const char *const wrong[] = {
        "{}",
        "{\"working_dir\": 1}",
        "{\"working_dir\": \"relative\"}",
        "{\"working_dir\": \"/\", \"files\": \"a\"}",
        "{\"working_dir\": \"/\", \"files\": [1]}",
        "{\"working_dir\": \"/\", \"environment\": {\"A\": \"1\"}}",
        "{\"working_dir\": \"/\", \"services\": [\"a\", null]}",
        "{\"working_dir\": \"/\", \"project_name\": []}",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct up_request request = { 0 };
        struct err err = { 0 };
        json_t *json = json_loads(wrong[i], 0, NULL);
        assert_non_null(json);
        if (up_request_parse(json, &request, &err) != -EINVAL)
            fail_msg("%s", wrong[i]);
        assert_true(err.message[0] != '\0');
        json_decref(json);
    }
}

static int apply(const char *text, struct spec *spec)
{
    struct up_request request = { 0 };
    struct err err = { 0 };
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_int_equal(up_request_parse(json, &request, &err), 0);
    int r = up_request_apply(&request, spec, &err);
    up_request_free(&request);
    json_decref(json);
    return r;
}

static void numbers_of_replicas_reach_the_spec_and_strangers_are_refused(void **state)
{
    struct spec_service services[] = {
        { .name = (char[]){ "fixed" }, .container_name = (char[]){ "only-one" }, .replicas = 1 },
        { .name = (char[]){ "web" }, .container_name = (char[]){ "" }, .replicas = 1 },
    };
    struct spec spec = { .name = (char[]){ "shop" }, .services = services, .services_len = 2 };

    assert_int_equal(apply("{\"working_dir\": \"/\", \"services\": [\"web\"], \"scale\": {\"web\": 5}}", &spec), 0);
    assert_int_equal(services[1].replicas, 5);
    assert_int_equal(apply("{\"working_dir\": \"/\", \"services\": [\"nobody\"]}", &spec), -ENOENT);
    assert_int_equal(apply("{\"working_dir\": \"/\", \"scale\": {\"nobody\": 1}}", &spec), -ENOENT);
    assert_int_equal(apply("{\"working_dir\": \"/\", \"scale\": {\"web\": -1}}", &spec), -EINVAL);
    assert_int_equal(apply("{\"working_dir\": \"/\", \"scale\": {\"web\": \"2\"}}", &spec), -EINVAL);
    assert_int_equal(apply("{\"working_dir\": \"/\", \"scale\": {\"fixed\": 2}}", &spec), -EINVAL);
    assert_int_equal(apply("{\"working_dir\": \"/\", \"scale\": {\"fixed\": 0}}", &spec), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_arrives_as_it_was_sent),
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(numbers_of_replicas_reach_the_spec_and_strangers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
