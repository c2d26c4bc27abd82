/* SPDX-License-Identifier: MIT
 *
 * Which route a request takes: what goes before what, paths that try to look like others, and what a lookup costs.
 */
#include "gateway/route.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct board *board;
static struct gw_routes routes;
static struct gw_path path;

static int ready(void **unused)
{
    (void)unused;
    board = board_new(NULL);
    memset(&routes, 0, sizeof(routes));
    return board ? 0 : -1;
}

static int over(void **unused)
{
    (void)unused;
    gw_routes_free(&routes);
    board_free(board);
    return 0;
}

/* They are in the order in which they are added. */
static uint32_t add_with(const char *host, const char *prefix, enum board_match match, uint32_t flags)
{
    struct board_route route = { .match = match, .flags = flags, .order = board->used_routes };
    assert_int_equal(board_text_add(board, host, strlen(host), &route.host), 0);
    assert_int_equal(board_text_add(board, prefix, strlen(prefix), &route.path), 0);
    int index = board_route_add(board, &route);
    assert_true(index >= 0);
    return (uint32_t)index;
}

static uint32_t add(const char *host, const char *prefix, enum board_match match)
{
    return add_with(host, prefix, match, 0);
}

static uint32_t find(const char *host, const char *target)
{
    gw_routes_update(&routes, board);
    assert_true(gw_path_normalise(target, strlen(target), &path));
    return gw_route_find(&routes, board, 0, host, strlen(host), false, &path);
}

static void the_most_special_host_and_the_longest_path_win(void **unused)
{
    (void)unused;
    uint32_t any = add("", "", 0), api = add("", "/api", 0), v1 = add("", "/api/v1", 0);
    uint32_t exact = add("", "/api/v1", BOARD_EXACT), shop = add("shop.example.org", "", 0);
    uint32_t wild = add("*.example.org", "", 0), wilder = add("*.eu.example.org", "/", 0);
    uint32_t shop_api = add("shop.example.org", "/api", 0), pay = add("pay.example.org", "/pay", 0);

    assert_int_equal(find("x", "/"), any);
    assert_int_equal(find("", "/apix"), any);
    assert_int_equal(find("x", "/api"), api);
    assert_int_equal(find("x", "/api/"), api);
    assert_int_equal(find("x", "/api?v1"), api);
    assert_int_equal(find("x", "/api/v1"), exact);
    assert_int_equal(find("x", "/api/v1?q=/x"), exact);
    assert_int_equal(find("x", "/api/v1/"), v1);
    assert_int_equal(find("x", "/api/v1/a/b/c"), v1);
    assert_int_equal(find("x", "/api/v11"), api);
    assert_int_equal(find("x", "*"), any);
    assert_int_equal(find("x", "?q"), any);
    assert_int_equal(find("SHOP.example.ORG:8080", "/"), shop);
    assert_int_equal(find("shop.example.org.", "/api/v1"), shop_api);
    assert_int_equal(find("a.example.org", "/api"), wild);
    assert_int_equal(find("a.b.example.org", "/"), wild);
    assert_int_equal(find("a.eu.example.org", "/"), wilder);
    assert_int_equal(find("a.b.eu.example.org:1", "/"), wilder);
    assert_int_equal(find("example.org", "/"), any);
    assert_int_equal(find("xexample.org", "/"), any);
    assert_int_equal(find("[::1]:80", "/"), any);
    /* A host that has no route for the path leaves the request to the next less special one. */
    assert_int_equal(find("pay.example.org", "/pay/1"), pay);
    assert_int_equal(find("pay.example.org", "/other"), wild);
}

static void without_a_route_there_is_none(void **unused)
{
    (void)unused;
    assert_int_equal(find("x", "/"), GW_ROUTE_NONE);
    (void)add("a", "/b", 0);
    assert_int_equal(find("x", "/b"), GW_ROUTE_NONE);
    assert_int_equal(find("a", "/"), GW_ROUTE_NONE);
    assert_int_equal(find("a", "/b"), 0);
    board_write_begin(board);
    board->routes[0].used = 0;
    board_text_clear(board);
    board_write_end(board);
    assert_int_equal(find("a", "/b"), GW_ROUTE_NONE);
}

static void paths_are_normalised_before_they_are_matched(void **unused)
{
    (void)unused;
    static const struct {
        const char *target, *path; /* NULL: refused */
    } cases[] = {
        { "/", "/" },
        { "/a/b?c=/../d", "/a/b" },
        { "", "/" },
        { "?q", "/" },
        { "*", "/" },
        { "//a///b", "/a/b" },
        { "/./a/./b/.", "/a/b/" },
        { "/a/../b", "/b" },
        { "/a/b/..", "/a/" },
        { "/a/b/../", "/a/" },
        { "/..", NULL },
        { "/a/../../b", NULL },
        { "/%2e%2e/b", NULL },
        { "/a/%2E%2e/b", "/b" },
        { "/a/.%2e/b", "/b" },
        { "/a%2f..%2fadmin", "/admin" },
        { "/public/..%2f..%2fadmin", NULL },
        { "/%61%70%69/x", "/api/x" },
        { "/a%20b%3f", "/a%20b%3F" },
        { "/a%252e", "/a%252e" },
        { "/%00", NULL },
        { "/%", NULL },
        { "/%4", NULL },
        { "/%zz", NULL },
        { "/.well-known/x", "/.well-known/x" },
        { "/...", "/..." },
        { "/a/..b", "/a/..b" },
        { "/a;x/..;/b", "/a;x/..;/b" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool good = gw_path_normalise(cases[i].target, strlen(cases[i].target), &path);
        if (good != (cases[i].path != NULL))
            fail_msg("%s was %s", cases[i].target, good ? "taken" : "refused");
        if (good && (path.len != strlen(cases[i].path) || memcmp(path.text, cases[i].path, path.len) != 0))
            fail_msg("%s became %.*s", cases[i].target, (int)path.len, path.text);
    }
    uint32_t any = add("", "", 0), admin = add("", "/admin", 0);
    static const char *const tricks[] = {
        "/admin",          "//admin",     "/./admin",      "/x/../admin", "/%61dmin",
        "/x/%2e%2e/admin", "/%2fadmin/x", "/x%2f../admin", "/admin%2fx",  "/admin/."
    };
    for (size_t i = 0; i < sizeof(tricks) / sizeof(tricks[0]); i++)
        if (find("h", tricks[i]) != admin)
            fail_msg("%s does not look like /admin", tricks[i]);
    assert_int_equal(find("h", "/admin/.."), any);
}

/* Whatever a path is made of: normalising it once more changes nothing, and nothing of what is forbidden is left. */
static void normalising_is_idempotent(void **unused)
{
    (void)unused;
    static const char alphabet[] = "/.%2efF5ca0";
    static struct gw_path again;
    uint32_t state = 1;
    for (int round = 0; round < 200000; round++) {
        char text[24] = "/";
        size_t len = 1;
        for (; len < 1 + state % 20; len++) {
            state = state * 1664525u + 1013904223u;
            text[len] = alphabet[(state >> 16) % (sizeof(alphabet) - 1)];
        }
        state = state * 1664525u + 1013904223u;
        if (!gw_path_normalise(text, len, &path))
            continue;
        char copy[64];
        assert_true(path.len < sizeof(copy) - 2);
        memcpy(copy, path.text, path.len);
        memcpy(copy + path.len, "/", 2);
        const char *slashes = strstr(copy, "//"); /* one stands there when the path ends with a slash */
        if (strstr(copy, "/../") || strstr(copy, "/./") || (slashes && slashes < copy + path.len - 1))
            fail_msg("%.*s became %.*s", (int)len, text, (int)path.len, path.text);
        assert_true(gw_path_normalise(copy, path.len, &again));
        assert_int_equal(again.len, path.len);
        assert_memory_equal(again.text, copy, again.len);
    }
}

static void replace(enum board_match match, const char *prefix, const char *with, const char *target,
                    const char *expected)
{
    struct board_route route = { .match = match, .flags = BOARD_REPLACE };
    struct gw_span pieces[3];
    char text[256];
    assert_int_equal(board_text_add(board, prefix, strlen(prefix), &route.path), 0);
    assert_true(gw_path_normalise(target, strlen(target), &path));
    gw_route_replace(board, &route, (struct gw_span){ with, strlen(with) }, target, strlen(target), &path, pieces);
    (void)snprintf(text, sizeof(text), "%.*s%.*s%.*s", (int)pieces[0].len, pieces[0].text, (int)pieces[1].len,
                   pieces[1].text, (int)pieces[2].len, pieces[2].text);
    assert_string_equal(text, expected);
}

static void strip(const char *prefix, const char *target, const char *expected)
{
    replace(BOARD_PREFIX, prefix, "", target, expected);
}

static void a_prefix_is_stripped_and_the_rest_stays_as_it_was_written(void **unused)
{
    (void)unused;
    strip("/api", "/api", "/");
    strip("/api", "/api?q=1", "/?q=1");
    strip("/api", "/api/", "/");
    strip("/api", "/api/v1?q=1", "/v1?q=1");
    strip("/api", "/api/a%2Fb%20c", "/a%2Fb%20c");
    strip("/api", "/%61pi/a%2fb", "/a%2fb");
    strip("/api", "/x/../api/a", "/a");
    strip("/api", "//api//a%41", "/aA");
    strip("/api", "/api%2fa", "/a");
    strip("/", "/a", "/a");
    strip("", "*", "*");
}

static void a_prefix_is_replaced(void **unused)
{
    (void)unused;
    replace(BOARD_PREFIX, "/api", "/v2", "/api/x?q", "/v2/x?q");
    replace(BOARD_PREFIX, "/api", "/v2", "/api?q", "/v2?q");
    replace(BOARD_PREFIX, "/api", "/", "/api/x", "/x");
    replace(BOARD_PREFIX, "/api", "/", "/api", "/");
    replace(BOARD_PREFIX, "/", "/v2", "/x", "/v2/x");
    replace(BOARD_PREFIX, "/api", "/v2", "/a/../api//x", "/v2/x");
    replace(BOARD_EXACT, "/api", "/v2", "/api?q", "/v2?q");
    /* By bytes it is as nginx does it. */
    replace(BOARD_BEGINS, "/api", "/v2", "/apix/y", "/v2x/y");
    replace(BOARD_BEGINS, "/api/", "/", "/api/x?q", "/x?q");
    replace(BOARD_BEGINS, "/api", "/", "/api/x", "//x");
    replace(BOARD_BEGINS, "/", "/v2/", "/x", "/v2/x");
    replace(BOARD_BEGINS, "/api/", "/", "/x/../api/y", "/y");
}

static void regular_expressions_come_between_exact_paths_and_prefixes(void **unused)
{
    (void)unused;
    uint32_t any = add("", "", BOARD_PREFIX), image = add("", "\\.png$", BOARD_REGEX);
    uint32_t user = add("", "^/u/(\\d+)/(?<tab>.*)$", BOARD_REGEX), later = add("", "^/u/", BOARD_REGEX);
    uint32_t exact = add("", "/u/1/x", BOARD_EXACT), prefix = add("", "/u", BOARD_PREFIX);
    uint32_t raw = add_with("", "/raw/", BOARD_BEGINS, BOARD_FIRST), bytes = add("", "/ra", BOARD_BEGINS);
    uint32_t before = add_with("", "^/never/", BOARD_REGEX, BOARD_FIRST), never = add("", "/never/x", BOARD_EXACT);
    (void)add("", "(((", BOARD_REGEX);

    assert_int_equal(find("a", "/u/1/x"), exact);
    assert_int_equal(find("a", "/u/42/files/a"), user);
    assert_true(path.grouped && path.group[1].len == 2 && memcmp(path.group[1].text, "42", 2) == 0);
    assert_true(path.group[2].len == 7 && !path.group[3].text);
    assert_int_equal(find("a", "/u/me"), later);
    assert_int_equal(find("a", "/u"), prefix);
    assert_false(path.grouped);
    assert_int_equal(find("a", "/x/a.png?b"), image);
    assert_int_equal(find("a", "/raw/a.png"), raw);
    assert_int_equal(find("a", "/raw"), bytes);
    assert_int_equal(find("a", "/rabbit"), bytes);
    assert_int_equal(find("a", "/rabbit.png"), image);
    assert_int_equal(find("a", "/r"), any);
    assert_int_equal(find("a", "/never/x"), before);
    assert_int_not_equal(before, never);
}

static void hosts_by_what_they_begin_with_and_by_regular_expressions(void **unused)
{
    (void)unused;
    uint32_t full = add("www.example.org", "", BOARD_PREFIX), front = add("*.example.org", "", BOARD_PREFIX);
    uint32_t behind = add("www.example.*", "", BOARD_PREFIX), shorter = add("www.*", "", BOARD_PREFIX);
    uint32_t second = add("~^(?:a|b)[0-9]\\.", "", BOARD_PREFIX), third = add("~^a1", "/x", BOARD_PREFIX);
    uint32_t any = add("", "", BOARD_PREFIX);

    assert_int_equal(find("www.example.org", "/"), full);
    assert_int_equal(find("mail.example.org", "/"), front);
    assert_int_equal(find("www.example.net:80", "/"), behind);
    assert_int_equal(find("WWW.example.co.uk", "/"), behind);
    assert_int_equal(find("www.shop.net", "/"), shorter);
    assert_int_equal(find("A1.test", "/x"), second);
    assert_int_equal(find("a1", "/x/y"), third);
    assert_int_equal(find("a1", "/"), any);
    assert_int_equal(find("", "/x"), any);
}

/* No expression may take long, whatever it is asked about. */
static void an_expression_that_explodes_is_given_up(void **unused)
{
    (void)unused;
    uint32_t any = add("", "", BOARD_PREFIX);
    char target[64];
    (void)add("", "^/(a+)+$", BOARD_REGEX);
    (void)snprintf(target, sizeof(target), "/%.*s!", 60,
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    int64_t begun = clock_now();
    assert_int_equal(find("a", target), any);
    assert_true(clock_now() - begun < 10 * NS_PER_S); /* it would take years */
}

/* The best of many rounds: everything else is the machine's doing. */
static int64_t lookup_ns(void)
{
    int64_t best = INT64_MAX;
    volatile uint32_t found = 0;
    for (int round = 0; round < 200; round++) {
        int64_t begun = clock_now();
        for (unsigned i = 0; i < 1000; i++) {
            static const char host[] = "service-0000.example.org";
            static const char target[] = "/api/v1/orders/4711";
            (void)gw_path_normalise(target, sizeof(target) - 1, &path);
            found += gw_route_find(&routes, board, 0, host, sizeof(host) - 1, false, &path);
        }
        int64_t took = clock_now() - begun;
        best = took < best ? took : best;
    }
    return best;
}

static void a_thousand_routes_cost_no_more_than_one(void **unused)
{
    (void)unused;
    assert_int_equal(add("service-0000.example.org", "/api/v1", 0), 0);
    assert_int_equal(find("service-0000.example.org", "/api/v1/orders/4711"), 0);
    int64_t one = lookup_ns();
    for (unsigned i = 1; i < 1000; i++) {
        char host[64], prefix[64];
        (void)snprintf(host, sizeof(host), "service-%04u.example.org", i % 250);
        (void)snprintf(prefix, sizeof(prefix), "/api/v%u", 1 + i / 250);
        (void)add(host, i % 250 == 0 ? "/other" : prefix, i % 250 == 0 ? BOARD_EXACT * (i / 250 & 1) : 0);
    }
    assert_int_equal(find("service-0000.example.org", "/api/v1/orders/4711"), 0);
    assert_int_equal(find("service-0249.example.org", "/api/v4/x"), 999);
    int64_t thousand = lookup_ns();
    print_message("one lookup: %.1f ns with 1 route, %.1f ns with 1,000\n", (double)one / 1000,
                  (double)thousand / 1000);
    /* 1.2 is the aim and what a quiet machine measures; a list would be a hundred times as slow. */
    assert_true(thousand < one * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_most_special_host_and_the_longest_path_win, ready, over),
        cmocka_unit_test_setup_teardown(without_a_route_there_is_none, ready, over),
        cmocka_unit_test_setup_teardown(paths_are_normalised_before_they_are_matched, ready, over),
        cmocka_unit_test_setup_teardown(normalising_is_idempotent, ready, over),
        cmocka_unit_test_setup_teardown(a_prefix_is_stripped_and_the_rest_stays_as_it_was_written, ready, over),
        cmocka_unit_test_setup_teardown(a_prefix_is_replaced, ready, over),
        cmocka_unit_test_setup_teardown(regular_expressions_come_between_exact_paths_and_prefixes, ready, over),
        cmocka_unit_test_setup_teardown(hosts_by_what_they_begin_with_and_by_regular_expressions, ready, over),
        cmocka_unit_test_setup_teardown(an_expression_that_explodes_is_given_up, ready, over),
        cmocka_unit_test_setup_teardown(a_thousand_routes_cost_no_more_than_one, ready, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
