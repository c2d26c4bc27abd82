/* SPDX-License-Identifier: MIT
 *
 * What the monitor sends: URLs, numbered messages, cookies.
 */
#include "base/cleanup.h"
#include "watch/jar.h"
#include "watch/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct watch_request request;

static int teardown(void **unused)
{
    (void)unused;
    watch_request_free(&request);
    return 0;
}

static void init(const struct watch_request_options *options)
{
    struct err err = { 0 };
    watch_request_free(&request);
    if (watch_request_init(&request, options, &err) < 0)
        fail_msg("%s: %s", options->url, err.message);
}

/* Probe `number`'s message, in a block that is exactly as large as promised, so that the sanitizer sees more. */
static const char *rendered(uint64_t number, const struct watch_jar *jar)
{
    static char text[8192];
    CLEANUP_FREE char *exact = malloc(request.max_len);
    assert_non_null(exact);
    size_t len = watch_request_render(&request, number, jar, exact);
    assert_true(len <= request.max_len && len < sizeof(text));
    memcpy(text, exact, len);
    text[len] = '\0';
    return text;
}

static void urls_are_taken_apart(void **unused)
{
    (void)unused;
    static const struct {
        const char *url, *host, *port, *line;
    } cases[] = {
        { "http://localhost", "localhost", "80", "GET / HTTP/1.1\r\nHost: localhost\r\n" },
        { "127.0.0.1:8080/a/b?c=d#e", "127.0.0.1", "8080", "GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n" },
        { "HTTP://[::1]:90?q", "::1", "90", "GET /?q HTTP/1.1\r\nHost: [::1]:90\r\n" },
        { "http://[::1]/", "::1", "80", "GET / HTTP/1.1\r\nHost: [::1]\r\n" },
        { "http://a:/", "a", "80", "GET / HTTP/1.1\r\nHost: a:\r\n" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        init(&(struct watch_request_options){ .url = cases[i].url });
        assert_string_equal(request.host, cases[i].host);
        assert_string_equal(request.port, cases[i].port);
        assert_memory_equal(rendered(0, NULL), cases[i].line, strlen(cases[i].line));
        assert_false(request.varies);
    }
}

static void what_cannot_be_sent_is_refused(void **unused)
{
    (void)unused;
    const struct watch_request_options bad[] = {
        { .url = "https://x/" },
        { .url = "ftp://x/" },
        { .url = "" },
        { .url = "http://" },
        { .url = "http:///path" },
        { .url = "http://x:port/" },
        { .url = "http://x:123456789/" },
        { .url = "http://x:65536/" },
        { .url = "http://x:0/" },
        { .url = "http://[::1/" },
        { .url = "http://user@x/" },
        { .url = "http://x/a b" },
        { .url = "http://x/\r\nEvil: 1" },
        { .url = "http://x/", .method = "CONNECT" },
        { .url = "http://x/", .method = "GET /\r\n" },
        { .url = "http://x/", .headers = (const char *const[]){ "no colon", NULL } },
        { .url = "http://x/", .headers = (const char *const[]){ "X: 1\r\nEvil: 1", NULL } },
        { .url = "http://x/", .headers = (const char *const[]){ "Content-Length: 5", NULL } },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = { 0 };
        if (watch_request_init(&request, &bad[i], &err) != -EINVAL)
            fail_msg("case %zu was taken", i);
        assert_true(err.message[0] != '\0');
        watch_request_free(&request);
    }
}

static void the_number_stands_wherever_it_is_asked_for(void **unused)
{
    (void)unused;
    init(&(struct watch_request_options){
        .url = "http://x/p/{n}?id={n}",
        .headers = (const char *const[]){ "X-Number: {n}", "Host: other", NULL },
        .data = "n={n}&m={n}",
    });
    assert_true(request.varies);
    assert_int_equal(request.method, HTTP1_POST);
    const char *text = rendered(1234, NULL);
    assert_non_null(strstr(text, "POST /p/1234?id=1234 HTTP/1.1\r\n"));
    assert_non_null(strstr(text, "\r\nX-Number: 1234\r\n"));
    assert_non_null(strstr(text, "\r\nHost: other\r\n"));
    assert_null(strstr(text, "Host: x"));
    assert_non_null(strstr(text, "\r\nContent-Length: 13\r\n\r\nn=1234&m=1234"));
    assert_non_null(strstr(rendered(UINT64_MAX, NULL), "Content-Length: 45\r\n\r\nn=18446744073709551615&m="));
}

static void cookies_are_sent_back(void **unused)
{
    (void)unused;
    struct watch_jar jar = { 0 };
    init(&(struct watch_request_options){ .url = "http://x/", .session = true });
    assert_null(strstr(rendered(0, &jar), "Cookie"));
    watch_jar_set(&jar, "sid=abc; Path=/; HttpOnly", 25);
    assert_non_null(strstr(rendered(0, &jar), "\r\nCookie: sid=abc\r\n\r\n"));
}

static void set(struct watch_jar *jar, const char *value)
{
    watch_jar_set(jar, value, strlen(value));
}

static void the_jar_replaces_deletes_and_never_overflows(void **unused)
{
    (void)unused;
    struct watch_jar jar = { 0 };
    set(&jar, "a=1");
    set(&jar, "b=2; Path=/");
    set(&jar, "ab=3 ; Secure");
    assert_string_equal(jar.line, "a=1; b=2; ab=3");
    set(&jar, "b=two");
    assert_string_equal(jar.line, "a=1; ab=3; b=two");
    set(&jar, "a=; max-age=0");
    assert_string_equal(jar.line, "ab=3; b=two");
    set(&jar, "b=x; Path=/; Max-Age=-1");
    assert_string_equal(jar.line, "ab=3");
    set(&jar, "nonsense");
    set(&jar, "=x");
    set(&jar, "");
    assert_string_equal(jar.line, "ab=3");
    for (int i = 0; i < 1000; i++) {
        char cookie[64];
        (void)snprintf(cookie, sizeof(cookie), "cookie-%d=%030d", i, i);
        set(&jar, cookie);
        assert_true(strlen(jar.line) < sizeof(jar.line));
    }
    init(&(struct watch_request_options){ .url = "http://x/", .session = true });
    assert_non_null(strstr(rendered(0, &jar), "ab=3; cookie-0="));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(urls_are_taken_apart, teardown),
        cmocka_unit_test_teardown(what_cannot_be_sent_is_refused, teardown),
        cmocka_unit_test_teardown(the_number_stands_wherever_it_is_asked_for, teardown),
        cmocka_unit_test_teardown(cookies_are_sent_back, teardown),
        cmocka_unit_test_teardown(the_jar_replaces_deletes_and_never_overflows, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
