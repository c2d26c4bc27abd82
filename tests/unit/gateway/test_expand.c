/* SPDX-License-Identifier: MIT
 *
 * Templates: what is compiled, and what a request fills the gaps with.
 */
#include "gateway/expand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char request[] = "GET /a//b%20c?x=1&name=value%20&y HTTP/1.1\r\nHost: Shop.Example.ORG:8080\r\n"
                              "Cookie: sid=abc; theme=dark\r\nX-User: me\r\nx-user: you\r\n"
                              "X-Forwarded-For: 10.0.0.1\r\nX-Request-Id: known\r\n\r\n";

/* The template, filled from that request at a route that takes `prefix`. */
static const char *filled_from(const char *raw, const char *template, const char *prefix)
{
    static char compiled[512], out[1024];
    static struct http1_head head;
    static struct gw_path path;
    struct text text = { .at = out, .end = out + sizeof(out) - 1 };
    const char *bad;

    assert_true(template_compile(template, compiled, &bad));
    assert_true(http1_parse_request(raw, strlen(raw), &http1_default_limits, &head) > 0);
    assert_true(gw_path_normalise(raw + head.path.at, head.path.len, &path));
    path.grouped = true;
    path.group[1] = (struct regex_group){ "first", 5 };
    path.group[2] = (struct regex_group){ NULL, 0 };
    struct gw_facts facts = { .buf = raw,
                              .head = &head,
                              .peer = { "192.0.2.7", 9 },
                              .made_id = "0123456789abcdef0123456789abcdef",
                              .port = 8080,
                              .target = { raw + head.path.at, head.path.len },
                              .path = &path };
    struct board *board = board_new(NULL);
    struct board_route route = { 0 };
    assert_int_equal(board_text_add(board, prefix, strlen(prefix), &route.path), 0);
    gw_route_replace(board, &route, (struct gw_span){ "", 0 }, raw + head.path.at, head.path.len, &path, facts.rest);
    gw_expand(&text, (struct gw_span){ compiled, strlen(compiled) }, &facts);
    board_free(board);
    *text.at = '\0';
    return out;
}

static const char *filled(const char *template)
{
    return filled_from(request, template, "");
}

static void gaps_are_filled_from_the_request(void **unused)
{
    (void)unused;
    assert_string_equal(filled("plain"), "plain");
    assert_string_equal(filled("{{}"), "{}");
    assert_string_equal(filled("{scheme}://{host}:{port}"), "http://shop.example.org:8080");
    assert_string_equal(filled("{authority}"), "Shop.Example.ORG:8080");
    assert_string_equal(filled("{client}"), "192.0.2.7");
    assert_string_equal(filled("{forwarded_for}"), "10.0.0.1, 192.0.2.7");
    assert_string_equal(filled("{cookie.sid}/{cookie.theme}/{cookie.none}"), "abc/dark/");
    assert_string_equal(filled("{header.X-USER}"), "me, you");
    assert_string_equal(filled("{method} {uri} {protocol}"), "GET /a//b%20c?x=1&name=value%20&y HTTP/1.1");
    assert_string_equal(filled("{path}"), "/a/b%20c?x=1&name=value%20&y");
    assert_string_equal(filled("{plain_path}|{query}"), "/a/b%20c|x=1&name=value%20&y");
    assert_string_equal(filled("{plain_path}{?}{query}"), "/a/b%20c?x=1&name=value%20&y");
    assert_string_equal(filled("{query.name}|{query.y}|{query.nam}"), "value%20||");
    assert_string_equal(filled("{request_id}"), "known");
    assert_string_equal(filled("{1}{2}{3}"), "first");
    assert_string_equal(filled_from("GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "{forwarded_for} {request_id}", ""),
                        "192.0.2.7 0123456789abcdef0123456789abcdef");
    assert_string_equal(filled_from("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "{host}", ""), "[::1]");
}

static const char *place(const char *template, const char *prefix, const char *target)
{
    static char raw[512];
    (void)snprintf(raw, sizeof(raw), "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target);
    return filled_from(raw, template, prefix);
}

static void redirects_lead_to_no_other_host(void **unused)
{
    (void)unused;
    assert_string_equal(place("/new{rest}", "/old", "/old/x?y"), "/new/x?y");
    assert_string_equal(place("/new{rest}", "/old", "/old?y"), "/new/?y");
    assert_string_equal(place("{path}", "", "//evil.org/x"), "/evil.org/x");
    assert_string_equal(place("{rest}", "/old", "/old//evil.org"), "/evil.org");
    assert_string_equal(place("{rest}", "/old", "/old/%2fevil.org"), "/evil.org");
    assert_string_equal(place("{rest}", "", "//evil.org"), "/evil.org");
}

static void lines_without_a_value_are_left_out(void **unused)
{
    (void)unused;
    static const char lines[] = "X-None: \1Fx-none\2\r\nX-A: a\r\nX-User: \1Fx-user\2!\r\nX-Empty: \r\n";
    struct http1_head head;
    char out[256];
    struct text text = { .at = out, .end = out + sizeof(out) };

    assert_int_equal(TEMPLATE_HEADER, 'F');
    assert_true(http1_parse_request(request, strlen(request), &http1_default_limits, &head) > 0);
    gw_expand_lines(&text, (struct gw_span){ lines, sizeof(lines) - 1 },
                    &(struct gw_facts){ .buf = request, .head = &head });
    static const char expected[] = "X-A: a\r\nX-User: me, you!\r\nX-Empty: \r\n";
    assert_int_equal(text.at - out, sizeof(expected) - 1);
    assert_memory_equal(out, expected, sizeof(expected) - 1);
    /* Without the request, and without room. */
    text = (struct text){ .at = out, .end = out + sizeof(out) };
    gw_expand_lines(&text, (struct gw_span){ lines, sizeof(lines) - 1 }, &(struct gw_facts){ 0 });
    assert_memory_equal(out, "X-A: a\r\nX-User: !\r\n", 19);
    for (size_t room = 0; room < sizeof(expected) - 1; room++) {
        text = (struct text){ .at = out, .end = out + room };
        gw_expand_lines(&text, (struct gw_span){ lines, sizeof(lines) - 1 },
                        &(struct gw_facts){ .buf = request, .head = &head });
        assert_true(text.full && text.at <= text.end);
    }
}

static void what_is_no_gap_is_told(void **unused)
{
    (void)unused;
    static const char *const wrong[] = { "{", "{}", "{nothing}", "{0}", "{10}", "{header.}", "{host", "a{queryx}" };
    char out[64];
    const char *bad;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(template_compile(wrong[i], out, &bad));
        assert_int_equal(*bad, '{');
    }
}

static void what_is_compiled_has_the_room_that_is_asked_for(void **unused)
{
    (void)unused;
    static const char *const texts[] = { "", "x", "{1}", "{1}{2}{3}{4}", "a{1}b{2}", "{query.a}{?}{1}" };
    const char *bad;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *out = malloc(TEMPLATE_ROOM(strlen(texts[i]))); /* the sanitizers look */
        assert_true(template_compile(texts[i], out, &bad));
        assert_true(strlen(out) < TEMPLATE_ROOM(strlen(texts[i])));
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_are_filled_from_the_request),
        cmocka_unit_test(redirects_lead_to_no_other_host),
        cmocka_unit_test(lines_without_a_value_are_left_out),
        cmocka_unit_test(what_is_no_gap_is_told),
        cmocka_unit_test(what_is_compiled_has_the_room_that_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
