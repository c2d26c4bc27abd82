/* SPDX-License-Identifier: MIT
 *
 * Routes of x-gateway: what they ask for, what they answer, and what is refused.
 */
#include "story.h"

#include "base/board.h"
#include "base/clock.h"

#include <sys/socket.h>

#define HEAD "services: {a: {image: i, expose: [80]}}\nx-gateway:\n  listeners:\n  - address: \":8080\"\n    routes:\n"

static void a_route_says_what_it_is_for(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "page.html", "<!doctype html><p>soon");
    story_of(&story, HEAD
             "    - {host: \"*.Example.org\", path: /api/, strip: true, to: a, body_limit: 10m,\n"
             "       headers: {request: {set: {X-A: 1, Host: b}, remove: Cookie}, response: {remove: [Server, X-B]}}}\n"
             "    - {path: /old, match: exact, redirect: {to: \"https://{host}{path}\", status: 302}}\n"
             "    - {path: /ok, respond: {body: fine}}\n"
             "    - {maintenance: {file: page.html, retry_after: 90s}, to: [a]}\n"
             "  access_log: {path: a.log, format: combined, sample: 0.25}\n  trusted_proxies: [10.0.0.0/8, "
             "\"2001:db8::/32\", 192.0.2.1]\n  via: false\n");
    must_load(&story);
    const struct spec *spec = story.spec;
    const struct spec_route *api = &spec->listeners[0].routes[0], *old = api + 1, *ok = api + 2, *closed = api + 3;
    assert_string_equal(api->host, "*.example.org");
    assert_string_equal(api->path, "/api");
    assert_true(api->replace && !*api->replace && api->match == SPEC_PREFIX && api->body_limit == 10 << 20 &&
                api->action == SPEC_FORWARD);
    assert_string_equal(api->request.set[0], "X-A: 1");
    assert_string_equal(api->request.set[1], "Host: b");
    assert_string_equal(api->request.remove[0], "Cookie");
    assert_string_equal(api->response.remove[1], "X-B");
    assert_true(old->action == SPEC_REDIRECT && old->match == SPEC_EXACT && old->page.status == 302);
    assert_string_equal(old->location, "https://\1G\2\1I\2");
    assert_true(ok->action == SPEC_RESPOND && ok->page.status == 200 && !ok->maintenance);
    assert_string_equal(ok->page.body, "fine");
    assert_string_equal(ok->page.type, "text/plain; charset=utf-8");
    assert_true(closed->maintenance && closed->closed.status == 503 && closed->closed.retry_after_s == 90);
    assert_string_equal(closed->closed.body, "<!doctype html><p>soon");
    assert_string_equal(closed->closed.type, "text/html; charset=utf-8");
    assert_int_equal(spec->access_log.format, BOARD_ACCESS_COMBINED);
    assert_true(spec->access_log.sample == 0.25 && spec->access_log.path[0] == '/');
    assert_true(!spec->via && spec->trusted_len == 3);
    assert_true(spec->trusted[0].family == AF_INET && spec->trusted[0].bits == 8 && spec->trusted[0].address[0] == 10);
    assert_true(spec->trusted[1].family == AF_INET6 && spec->trusted[1].bits == 32);
    assert_true(spec->trusted[2].bits == 32);
}

static void what_cannot_be_meant_is_refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *route, *told;
    } cases[] = {
        { "{path: /a}", "one of `to`, `redirect` and `respond`" },
        { "{to: a, respond: {}}", "one of `to`, `redirect` and `respond`" },
        { "{to: a, maintenance: {enabled: maybe}}", "truth value" },
        { "{maintenance: {enabled: false}}", "leads nowhere" },
        { "{to: a, path: api}", "`api` is no path" },
        { "{to: a, path: /a//b}", "`/a//b` is no path" },
        { "{to: a, path: /a/../b}", "is no path" },
        { "{to: a, path: /a/.}", "is no path" },
        { "{to: a, path: /%61}", "is no path" },
        { "{to: a, path: \"/a?b\"}", "is no path" },
        { "{to: a, strip: true}", "`path`, which is missing" },
        { "{to: a, host: \"*example.org\"}", "is no host" },
        { "{to: a, host: \"a.org:80\"}", "without its port" },
        { "{to: a, match: regex, path: \"(\"}", "is no regular expression: missing closing parenthesis" },
        { "{to: a, match: regex, path: /a, strip: true}", "is no prefix" },
        { "{to: a, match: glob, path: /a}", "glob" },
        { "{to: a, host: \"~(\"}", "is no regular expression" },
        { "{to: a, host: \"a..*\"}", "is no host" },
        { "{to: a, path: /a, strip: true, replace: /b}", "cannot both" },
        { "{rewrite: [{match: x, to: /y}]}", "`first: true`" },
        { "{to: a, rewrite: [{match: x}]}", "to" },
        { "{to: a, rewrite: [{match: \"(\", to: /y}]}", "is no regular expression" },
        { "{to: a, rewrite: [{match: x, to: y}]}", "`y` is no path" },
        { "{to: a, rewrite: [{match: x, to: \"/{header.a}\"}]}", "no gap that may hold one" },
        { "{to: a, rewrite: [{match: x, to: \"/a b\"}]}", "holds no space" },
        { "{to: a, rewrite: [{match: x, to: /y, then: again}]}", "again" },
        { "{to: a, error_pages: [{body: x}]}", "on" },
        { "{to: a, error_pages: [{on: []}]}", "at least one and at most 8" },
        { "{to: a, error_pages: [{on: 200}]}", "200" },
        { "{to: a, error_pages: [{on: 404, redirect: there}]}", "a redirect leads to" },
        { "{to: a, error_pages: [{on: 404, redirect: /x, body: y}]}", "not both" },
        { "{to: a, intercept_errors: true}", "needs `error_pages`" },
        { "{to: a, path: /a, replace: b}", "`b` is no path" },
        { "{to: a, headers: {request: {set: {A: \"{user}\"}}}}", "`{user}`: in braces can stand" },
        { "{to: a, body_limit: -1}", "cannot be -1" },
        { "{redirect: {status: 301}}", "to" },
        { "{redirect: {to: /x, status: 304}}", "301, 302, 303, 307 or 308" },
        { "{redirect: {to: \"javascript:x\"}}", "a redirect leads to" },
        { "{redirect: {to: \"/{quary}\"}}", "`{quary}`" },
        { "{respond: {file: nowhere.html}}", "nowhere.html" },
        { "{respond: {file: compose.yaml, body: x}}", "cannot both" },
        { "{to: a, headers: {request: {set: {\"a b\": 1}}}}", "`a b` is no name" },
        { "{to: a, headers: {request: {set: {Content-Length: 1}}}}", "written by the gateway itself" },
        { "{to: a, headers: {response: {remove: Transfer-Encoding}}}", "written by the gateway itself" },
        { "{to: a, headers: {request: {remove: Host}}}", "cannot be without `Host`" },
        { "{to: a, headers: {request: {set: {A: \"b\\r\\nC: d\"}}}}", "control characters" },
        { "{to: a}\n    - {to: a, host: \"\"}", "is no host" },
        { "{to: a, path: /x}\n    - {to: a, path: /x/}", "the route in line 6 asks for the same" },
        { "{to: a, pth: /x}", "pth" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        STORY story = { 0 };
        char text[1024];
        (void)snprintf(text, sizeof(text), HEAD "    - %s\n", cases[i].route);
        story_of(&story, text);
        if (story.result == 0 || !strstr(story.told, cases[i].told))
            fail_msg("%s: %s", cases[i].route, story.told);
    }
    STORY tcp = { 0 }, network = { 0 }, sample = { 0 };
    story_of(&sample, "services: {a: {image: i}}\nx-gateway: {access_log: {path: x, sample: 1.5}}\n");
    must_refuse(&sample, "lies between 0");
    story_of(&tcp, "services: {a: {image: i, expose: [80]}}\nx-gateway:\n  listeners:\n  - address: \":8080\"\n"
                   "    protocol: tcp\n    routes: [{to: a, path: /x}]\n");
    must_refuse(&tcp, "only leads to services");
    story_of(&network, "services: {a: {image: i}}\nx-gateway: {trusted_proxies: [10.0.0.0/33]}\n");
    must_refuse(&network, "`10.0.0.0/33` is no network");
}

static void limits_are_for_all_listeners_or_for_one(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story,
             "services: {a: {image: i, ports: [\"81:80\"]}}\nx-gateway:\n  max_connections: 1000\n"
             "  limits: {header_timeout: 5s, connections_per_source: 7, requests_per_source: {rate: 30, per: 1m}}\n"
             "  listeners:\n  - address: \":8080\"\n    routes: [{to: a}]\n"
             "    limits: {header_timeout: 0s, header_size: 4k, requests_per_source: {rate: 10, burst: 50}}\n");
    must_load(&story);
    const struct board_limits *one = &story.spec->listeners[0].limits, *all = &story.spec->listeners[1].limits;
    assert_int_equal(story.spec->connections, 1000);
    assert_int_equal(all->header_timeout_ns, 5 * NS_PER_S);
    assert_int_equal(all->body_timeout_ns, board_usual_limits.body_timeout_ns);
    assert_int_equal(all->source_interval_ns, 2 * NS_PER_S);
    assert_true(all->source_burst == 30 && all->source_connections == 7 && all->header_size == 16384);
    assert_true(one->header_timeout_ns == 0 && one->header_size == 4096 && one->source_connections == 7);
    assert_true(one->source_interval_ns == 100 * NS_PER_MS && one->source_burst == 50);
}

static void limits_that_make_no_sense_are_refused(void **unused)
{
    (void)unused;
    static const char *const cases[][2] = {
        { "{header_size: 17k}", "between 256 and 16384" },
        { "{header_count: 129}", "header_count" },
        { "{target_size: 0}", "between 1 and 16384" },
        { "{requests_per_source: {per: 1s}}", "rate" },
        { "{requests_per_source: {rate: 1, per: 2h}}", "between one an hour" },
        { "{requests_per_source: {rate: 5, burst: 0}}", "burst" },
        { "{requests_per_source: {rate: 1, per: 1h, burst: 4294967295}}", "more than `rate` allows in ten years" },
        { "{connections_per_source: -1}", "connections_per_source" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        STORY story = { 0 };
        char text[256];
        (void)snprintf(text, sizeof(text), "services: {a: {image: i}}\nx-gateway: {limits: %s}\n", cases[i][0]);
        story_of(&story, text);
        if (story.result == 0 || !strstr(story.told, cases[i][1]))
            fail_msg("%s: %s", cases[i][0], story.told);
    }
}

static void a_listener_may_be_a_unix_socket(void **unused)
{
    (void)unused;
    STORY story = { 0 }, mode = { 0 }, twice = { 0 };
    story_of(&story, "services: {a: {image: i, expose: [80]}}\nx-gateway:\n  trusted_proxies: \"unix:\"\n  listeners:\n"
                     "  - {address: \"unix:run/a.sock\", mode: \"0660\", routes: [{to: a}]}\n"
                     "  - {address: \"unix:/run/b.sock\", routes: [{to: a}]}\n");
    must_load(&story);
    const struct spec_listener *one = &story.spec->listeners[0], *other = one + 1;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/run/a.sock", story.spec->working_dir);
    assert_string_equal(one->path, path);
    assert_string_equal(other->path, "/run/b.sock");
    assert_true(one->mode == 0660 && other->mode == 0666);
    assert_true(story.spec->trusted_len == 1 && story.spec->trusted[0].family == AF_UNIX);
    story_of(&mode, HEAD "    - {to: a}\n    mode: 600\n");
    must_refuse(&mode, "`mode` is of Unix sockets");
    story_of(&twice, HEAD "    - {to: a}\n  - {address: \"unix:/x\", routes: [{to: a}]}\n"
                          "  - {address: \"unix:/x\", routes: [{to: a}]}\n");
    must_refuse(&twice, "stands already in line 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_says_what_it_is_for),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
        cmocka_unit_test(limits_are_for_all_listeners_or_for_one),
        cmocka_unit_test(a_listener_may_be_a_unix_socket),
        cmocka_unit_test(limits_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
