/* SPDX-License-Identifier: MIT
 *
 * Placement in x-gateway and x-daruma: targets with weights and backups, balance, sticky cookies, limits.
 */
#include "story.h"

#include "base/board.h"
#include "base/clock.h"

#define SERVICES "services: {a: {image: i, expose: [80]}, b: {image: i, expose: [80]}, c: {image: i, expose: [80]}}\n"
#define HEAD     SERVICES "x-gateway:\n  listeners:\n  - address: \":8080\"\n"

static void every_form_is_read(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story,
             HEAD "    balance: least_conn\n    routes:\n"
                  "    - {path: /plain, to: a}\n"
                  "    - {path: /shares, to: [{service: a, weight: 90}, {service: b, weight: 10}], balance: p2c}\n"
                  "    - {path: /spare, to: [a, {service: b, backup: true}], balance: round_robin}\n"
                  "    - {path: /source, to: a, balance: {hash: source}}\n"
                  "    - {path: /header, to: a, balance: {hash: {header: X-User}}}\n"
                  "    - {path: /cookie, to: a, balance: {hash: {cookie: sid}}}\n"
                  "    - {path: /sticky, to: a, sticky: at}\n"
                  "    - {path: /more, to: a, sticky: {cookie: at, max_age: 1h, secure: true}}\n");
    must_load(&story);
    const struct spec_listener *listener = &story.spec->listeners[0];
    const struct spec_route *plain = &listener->routes[0], *shares = plain + 1, *spare = plain + 2, *source = plain + 3,
                            *header = plain + 4, *cookie = plain + 5, *sticky = plain + 6, *more = plain + 7;
    assert_int_equal(plain->balance.placement, BOARD_LEAST_INFLIGHT);
    assert_true(plain->to_len == 1 && plain->to[0].weight == 0 && !plain->to[0].backup);
    assert_string_equal(plain->sticky.cookie, "");
    assert_int_equal(shares->balance.placement, BOARD_P2C_EWMA);
    assert_true(shares->to_len == 2 && shares->to[0].weight == 90 && shares->to[1].weight == 10);
    assert_string_equal(shares->to[1].name, "b");
    assert_int_equal(spare->balance.placement, BOARD_ROUND_ROBIN);
    assert_true(!spare->to[0].backup && spare->to[1].backup);
    assert_true(source->balance.placement == BOARD_HASH && source->balance.hash_of == BOARD_HASH_SOURCE);
    assert_true(header->balance.placement == BOARD_HASH && header->balance.hash_of == BOARD_HASH_HEADER);
    assert_string_equal(header->balance.name, "X-User");
    assert_true(cookie->balance.placement == BOARD_HASH && cookie->balance.hash_of == BOARD_HASH_COOKIE);
    assert_string_equal(cookie->balance.name, "sid");
    assert_string_equal(sticky->sticky.cookie, "at");
    assert_true(sticky->sticky.max_age_s == 0 && !sticky->sticky.secure);
    assert_true(more->sticky.max_age_s == 3600 && more->sticky.secure);
}

static void a_service_says_how_much_its_instances_take(void **unused)
{
    (void)unused;
    STORY before = { 0 }, after = { 0 };
    story_of(&before, "services: {a: {image: i}}\n");
    story_of(&after, "services: {a: {image: i, x-daruma: {max_inflight: 32, slow_start: 10s}}}\n");
    must_load(&before);
    must_load(&after);
    const struct spec_service *old = &before.spec->services[0], *new = &after.spec->services[0];
    assert_true(old->max_inflight == 0 && old->slow_start_ns == 0);
    assert_true(new->max_inflight == 32 && new->slow_start_ns == 10 * NS_PER_S);
    assert_int_equal(spec_service_change(old, new), SPEC_RESCALED); /* the instances stay */
}

static void what_cannot_be_meant_is_refused_at_its_place(void **unused)
{
    (void)unused;
    static const struct {
        const char *route, *told;
    } cases[] = {
        { "{to: [{service: a, weight: 5}, b]}", "compose.yaml:6:12: either every target of a route has a `weight`" },
        { "{to: [{service: a, weight: 0}]}", "6:34: " },
        { "{to: [{service: a, weight: 1001}]}", "1001" },
        { "{to: [{service: a, backup: true}]}", "6:12: a `backup` stands in for other targets" },
        { "{to: [{weight: 5}]}", "needs `service`" },
        { "{to: [{service: aa}]}", "6:23: there is no service `aa` to route to; did you mean `a`?" },
        { "{to: [{service: a, wait: 1}]}", "unknown attribute `wait`" },
        { "{to: a, balance: random}", "6:24: " },
        { "{to: a, balance: {}}", "needs `hash`" },
        { "{to: a, balance: {hash: host}}", "it is one of: source" },
        { "{to: a, balance: {hash: {}}}", "6:31: a `hash` is of one thing" },
        { "{to: a, balance: {hash: {header: A, cookie: b}}}", "6:31: a `hash` is of one thing" },
        { "{to: a, balance: {hash: {header: \"a b\"}}}", "6:40: `a b` is no name of a header field" },
        { "{to: a, sticky: \"a;b\"}", "6:23: `a;b` is no name of a cookie" },
        { "{to: a, sticky: {max_age: 1h}}", "needs `cookie`" },
        { "{to: a, sticky: at, balance: {hash: source}}", "6:23: `sticky` and a `hash` both say" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        STORY story = { 0 };
        char text[1024];
        (void)snprintf(text, sizeof(text), HEAD "    routes:\n    - %s\n", cases[i].route);
        story_of(&story, text);
        if (story.result == 0 || !strstr(story.told, cases[i].told))
            fail_msg("%s: %s", cases[i].route, story.told);
    }
    static const char *const not_for_tcp[] = { "sticky: at", "balance: {hash: {cookie: c}}", "balance: {hash: uri}",
                                               "error_pages: [{on: 502, body: sorry}]" };
    for (size_t i = 0; i < sizeof(not_for_tcp) / sizeof(not_for_tcp[0]); i++) {
        STORY story = { 0 };
        char text[1024];
        (void)snprintf(text, sizeof(text), HEAD "    protocol: tcp\n    routes: [{to: a, %s}]\n", not_for_tcp[i]);
        story_of(&story, text);
        must_refuse(&story, "only leads to services");
    }
    STORY limit = { 0 };
    story_of(&limit, "services: {a: {image: i, x-daruma: {max_inflight: 0}}}\n");
    must_refuse(&limit, "1:51");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_read),
        cmocka_unit_test(a_service_says_how_much_its_instances_take),
        cmocka_unit_test(what_cannot_be_meant_is_refused_at_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
