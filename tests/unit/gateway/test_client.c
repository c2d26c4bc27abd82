/* SPDX-License-Identifier: MIT
 *
 * Whose request it is, as proxies tell it: what is believed, and where that ends.
 */
#include "gateway/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static const struct board_network trusted[] = {
    { .address = { 10 }, .family = AF_INET, .bits = 8 },
    { .address = { 0xfd }, .family = AF_INET6, .bits = 8 },
    { .family = AF_UNIX },
};

/* The client of a request with these header lines that `peer` has sent, as text. */
static const char *client_of(const char *peer, const char *lines)
{
    static char text[INET6_ADDRSTRLEN];
    char request[1024];
    struct http1_head head;
    struct gw_client client = { .family = strchr(peer, ':')           ? AF_INET6
                                          : strcmp(peer, "unix") == 0 ? AF_UNIX
                                                                      : AF_INET };
    if (client.family != AF_UNIX)
        assert_int_equal(inet_pton(client.family, peer, client.address), 1);
    (void)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: t\r\n%s\r\n", lines);
    assert_true(http1_parse_request(request, strlen(request), &http1_default_limits, &head) > 0);
    client = gw_client_behind(client, request, &head, trusted, sizeof(trusted) / sizeof(trusted[0]));
    text[gw_client_text(&client, text)] = '\0';
    return text;
}

#define XFF "X-Forwarded-For: "

static void only_who_is_trusted_speaks_for_others(void **unused)
{
    (void)unused;
    assert_string_equal(client_of("192.0.2.1", XFF "198.51.100.1\r\n"), "192.0.2.1");
    assert_string_equal(client_of("10.0.0.1", ""), "10.0.0.1");
    assert_string_equal(client_of("10.0.0.1", XFF "198.51.100.1\r\n"), "198.51.100.1");
    assert_string_equal(client_of("fd00::1", XFF "2001:db8::1\r\n"), "2001:db8::1");
    assert_string_equal(client_of("unix", XFF "198.51.100.1\r\n"), "198.51.100.1");
    assert_string_equal(client_of("unix", ""), "unknown");
}

static void the_last_one_that_is_none_of_ours_is_the_client(void **unused)
{
    (void)unused;
    assert_string_equal(client_of("10.0.0.1", XFF "6.6.6.6, 198.51.100.1\r\n"), "198.51.100.1");
    assert_string_equal(client_of("10.0.0.1", XFF "6.6.6.6, 198.51.100.1 ,\t10.0.0.2\r\n"), "198.51.100.1");
    assert_string_equal(client_of("10.0.0.1", XFF "6.6.6.6\r\n" XFF "198.51.100.1\r\n"), "198.51.100.1");
    assert_string_equal(client_of("10.0.0.1", XFF "198.51.100.1\r\n" XFF "10.0.0.2, 10.0.0.3\r\n"), "198.51.100.1");
    assert_string_equal(client_of("10.0.0.1", XFF "10.0.0.3,10.0.0.2\r\n"), "10.0.0.3");
}

static void addresses_are_written_in_many_ways(void **unused)
{
    (void)unused;
    assert_string_equal(client_of("10.0.0.1", XFF "198.51.100.1:8080\r\n"), "198.51.100.1");
    assert_string_equal(client_of("10.0.0.1", XFF "[2001:db8::1]\r\n"), "2001:db8::1");
    assert_string_equal(client_of("10.0.0.1", XFF "[2001:db8::1]:8080\r\n"), "2001:db8::1");
    static const char *const none[] = {
        "unknown", "_hidden",       ",",         "198.51.100.300", "[2001:db8::1",    "[]",
        ":80",     "2001:db8::1%1", "1.2.3.4.5", "6.6.6.6,",       "6.6.6.6, unknown"
    };
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        char lines[128];
        (void)snprintf(lines, sizeof(lines), XFF "%s\r\n", none[i]);
        if (strcmp(client_of("10.0.0.1", lines), "10.0.0.1") != 0)
            fail_msg("%s", none[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_is_trusted_speaks_for_others),
        cmocka_unit_test(the_last_one_that_is_none_of_ours_is_the_client),
        cmocka_unit_test(addresses_are_written_in_many_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
