/* SPDX-License-Identifier: MIT
 *
 * The ring, and the keys of requests, as pure functions.
 */
#include "gateway/affinity.h"

#include "base/hash.h"
#include "gateway/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct board *board;

static int begin(void **unused)
{
    (void)unused;
    board = board_new(NULL);
    return board ? 0 : -1;
}

static int over(void **unused)
{
    (void)unused;
    board_free(board);
    return 0;
}

/* --- the ring --------------------------------------------------------------------------------------------------- */

static void points_lie_in_order_and_are_found(void **unused)
{
    (void)unused;
    enum { ENDPOINTS = 50 };
    static struct gw_ring_point points[ENDPOINTS * GW_RING_POINTS], scratch[ENDPOINTS * GW_RING_POINTS];
    uint32_t len = 0;
    char name[32];
    for (int i = 0; i < ENDPOINTS; i++) {
        (void)snprintf(name, sizeof(name), "app-%d", i + 1);
        len += gw_ring_add(points + len, (uint16_t)i, gw_ring_name(name), 100, 100);
    }
    assert_int_equal(len, ENDPOINTS * GW_RING_POINTS);
    gw_ring_sort(points, scratch, len);
    for (uint32_t i = 1; i < len; i++)
        assert_true(points[i - 1].at <= points[i].at);
    for (uint32_t i = 1; i < len; i++) {
        uint32_t behind = points[i - 1].at + 1;
        assert_true(points[gw_ring_find(points, len, points[i].at)].at == points[i].at);
        assert_true(points[gw_ring_find(points, len, behind)].at == points[i].at || behind > points[i].at);
    }
    assert_int_equal(gw_ring_find(points, len, 0), 0);
    assert_int_equal(points[len - 1].at < UINT32_MAX ? gw_ring_find(points, len, UINT32_MAX) : 0, 0);
}

static void lighter_ones_have_fewer_points_and_keep_them_when_they_gain(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t weight, heaviest, points;
    } cases[] = {
        { 100, 100, GW_RING_POINTS },
        { 50, 100, GW_RING_POINTS / 2 },
        { 1, 1000, 1 },
        { 10, 1000, 1 },
        { 1000, 1000, GW_RING_POINTS },
        { 1, 1, GW_RING_POINTS },
        { 300, 200, GW_RING_POINTS },
        { 100, 1000, GW_RING_POINTS / 10 },
    };
    struct gw_ring_point all[GW_RING_POINTS], some[GW_RING_POINTS];
    (void)gw_ring_add(all, 3, gw_ring_name("app-1"), 1, 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t count = gw_ring_add(some, 3, gw_ring_name("app-1"), cases[i].weight, cases[i].heaviest);
        assert_int_equal(count, cases[i].points);
        assert_memory_equal(some, all, count * sizeof(some[0]));
    }
}

/* --- keys of requests ------------------------------------------------------------------------------------------- */

static struct http1_head head;

static const char *parse(const char *fields)
{
    static char buf[1024];
    (void)snprintf(buf, sizeof(buf), "GET / HTTP/1.1\r\nHost: t\r\n%s\r\n", fields);
    assert_true(http1_parse_request(buf, strlen(buf), &http1_default_limits, &head) > 0);
    return buf;
}

static void cookies_are_found_whatever_stands_beside_them(void **unused)
{
    (void)unused;
    static const struct {
        const char *fields, *value; /* of "id"; NULL: none */
    } cases[] = {
        { "Cookie: id=1\r\n", "1" },
        { "cookie: a=b; id=two\r\n", "two" },
        { "Cookie: id=\r\n", "" },
        { "Cookie: xid=1; id2=2; ID=3\r\n", NULL },
        { "Cookie: a=id=1\r\n", NULL },
        { "Cookie: id\r\n", NULL },
        { "Cookie:   a=1;\tid=x=y;z\r\n", "x=y" },
        { "Cookie: a=1;id=1;id=2\r\n", "1" },
        { "Cookie: a=1\r\nCookie: id=5\r\n", "5" },
        { "Cookie: ;;;=; id=7;\r\n", "7" },
        { "X-Cookie: id=1\r\n", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *buf = parse(cases[i].fields);
        struct gw_span value = gw_affinity_cookie(buf, &head, (struct gw_span){ "id", 2 });
        if (!cases[i].value != !value.text ||
            (value.text && (value.len != strlen(cases[i].value) || memcmp(value.text, cases[i].value, value.len) != 0)))
            fail_msg("%s", cases[i].fields);
    }
}

static void the_key_is_of_what_the_route_names(void **unused)
{
    (void)unused;
    struct board_route header = { .placement = BOARD_HASH, .hash_of = BOARD_HASH_HEADER };
    struct board_route cookie = { .placement = BOARD_HASH, .hash_of = BOARD_HASH_COOKIE };
    struct board_route source = { .placement = BOARD_HASH, .hash_of = BOARD_HASH_SOURCE };
    struct board_route none = { .placement = BOARD_ROUND_ROBIN };
    struct gw_client here = { { 127, 0, 0, 1 }, AF_INET }, there = { { 127, 0, 0, 2 }, AF_INET };
    assert_int_equal(board_text_add(board, "X-User", 6, &header.hash_name), 0);
    assert_int_equal(board_text_add(board, "user", 4, &cookie.hash_name), 0);

    uint64_t ann = gw_affinity_key(board, &header, parse("x-user: ann\r\n"), &head, here);
    assert_int_not_equal(ann, 0);
    assert_int_equal(ann, gw_affinity_key(board, &header, parse("A: b\r\nX-USER:  ann \r\n"), &head, there));
    assert_int_equal(ann, gw_affinity_key(board, &cookie, parse("Cookie: user=ann\r\n"), &head, there));
    assert_int_not_equal(ann, gw_affinity_key(board, &header, parse("X-User: bob\r\n"), &head, here));
    assert_int_equal(gw_affinity_key(board, &header, parse("X-User:\r\n"), &head, here), 0);
    assert_int_equal(gw_affinity_key(board, &header, parse("Cookie: user=ann\r\n"), &head, here), 0);
    assert_int_equal(gw_affinity_key(board, &cookie, parse("X-User: ann\r\n"), &head, here), 0);

    uint64_t local = gw_affinity_key(board, &source, NULL, NULL, here);
    assert_int_not_equal(local, 0);
    assert_int_not_equal(local, gw_affinity_key(board, &source, NULL, NULL, there));
    assert_int_equal(gw_affinity_key(board, &none, parse("X-User: ann\r\n"), &head, here), 0);
}

static void behind_a_trusted_proxy_the_source_is_whom_it_names(void **unused)
{
    (void)unused;
    const struct board_route source = { .placement = BOARD_HASH, .hash_of = BOARD_HASH_SOURCE };
    const struct gw_client proxy = { { 10, 0, 0, 1 }, AF_INET }, ann = { { 192, 0, 2, 1 }, AF_INET };
    const char *names_ann = "X-Forwarded-For: 192.0.2.1\r\n";
    uint64_t key = gw_affinity_key(board, &source, parse(""), &head, ann);

    assert_int_not_equal(key, gw_affinity_key(board, &source, parse(names_ann), &head, proxy));
    board->trusted[0] = (struct board_network){ .address = { 10 }, .family = AF_INET, .bits = 8 };
    board->used_trusted = 1;
    assert_int_equal(key, gw_affinity_key(board, &source, parse(names_ann), &head, proxy));
    assert_int_equal(key, gw_affinity_key(board, &source, parse("X-Forwarded-For: 8.8.8.8\r\n"), &head, ann));
    assert_int_not_equal(key, gw_affinity_key(board, &source, parse(""), &head, proxy));
    assert_int_equal(gw_affinity_key(board, &source, parse(""), &head, (struct gw_client){ { 0 }, AF_UNIX }), 0);
}

static void a_sticky_cookie_is_read_as_it_was_written_and_nothing_else_is(void **unused)
{
    (void)unused;
    struct board_route route = { .placement = BOARD_P2C_EWMA };
    assert_int_equal(board_text_add(board, "at", 2, &route.sticky), 0);
    static const uint64_t keys[] = { 1, UINT64_C(0xffffffff00000001), UINT64_C(0x0123456700000001) };
    for (size_t i = 0; i < 3; i++) {
        char value[GW_STICKY_VALUE], fields[64];
        gw_affinity_write(keys[i], value);
        (void)snprintf(fields, sizeof(fields), "Cookie: at=%.8s\r\n", value);
        assert_int_equal(gw_affinity_key(board, &route, parse(fields), &head, (struct gw_client){ 0 }), keys[i]);
    }
    static const char *const others[] = { "at=0123456",  "at=012345678", "at=0123456G",
                                          "at=ABCDEF01", "at=",          "x=01234567" };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        char fields[64];
        (void)snprintf(fields, sizeof(fields), "Cookie: %s\r\n", others[i]);
        assert_int_equal(gw_affinity_key(board, &route, parse(fields), &head, (struct gw_client){ 0 }), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_lie_in_order_and_are_found),
        cmocka_unit_test(lighter_ones_have_fewer_points_and_keep_them_when_they_gain),
        cmocka_unit_test(cookies_are_found_whatever_stands_beside_them),
        cmocka_unit_test_setup_teardown(the_key_is_of_what_the_route_names, begin, over),
        cmocka_unit_test_setup_teardown(behind_a_trusted_proxy_the_source_is_whom_it_names, begin, over),
        cmocka_unit_test_setup_teardown(a_sticky_cookie_is_read_as_it_was_written_and_nothing_else_is, begin, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
