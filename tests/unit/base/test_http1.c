/* SPDX-License-Identifier: MIT
 *
 * What is accepted, what is refused and how; each message also byte by byte, which must end the same.
 */
#include "base/http1.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(literal) (literal), sizeof(literal) - 1

/* Parses at every length from 0 on: nothing may be decided differently before the end than with all bytes there. */
static int parse_request(const char *text, size_t len, struct http1_head *head)
{
    int whole = http1_parse_request(text, len, &http1_default_limits, head);
    for (size_t part = 0; part < len; part++) {
        struct http1_head ignored;
        int step = http1_parse_request(text, part, &http1_default_limits, &ignored);
        if (step != 0 && step != whole)
            fail_msg("%d after %zu bytes, %d after all %zu: %.60s", step, part, whole, len, text);
        if (step > 0 && (size_t)step > part)
            fail_msg("a head of %d bytes in %zu", step, part);
    }
    return whole;
}

static int parse_response(const char *text, size_t len, enum http1_method method, struct http1_head *head)
{
    int whole = http1_parse_response(text, len, method, &http1_default_limits, head);
    for (size_t part = 0; part < len; part++) {
        struct http1_head ignored;
        int step = http1_parse_response(text, part, method, &http1_default_limits, &ignored);
        if (step != 0 && step != whole)
            fail_msg("%d after %zu bytes, %d after all %zu: %.60s", step, part, whole, len, text);
    }
    return whole;
}

static void assert_slice(const char *text, struct http1_slice slice, const char *expected)
{
    assert_int_equal(slice.len, strlen(expected));
    assert_memory_equal(text + slice.at, expected, slice.len);
}

static void a_plain_get_is_read(void **unused)
{
    (void)unused;
    static const char text[] =
        "GET /a/b?c=d HTTP/1.1\r\nHost: shop.example:8080\r\nAccept:  text/html, */*\t \r\n\r\nrest";
    struct http1_head head;
    assert_int_equal(parse_request(text, sizeof(text) - 1, &head), sizeof(text) - 1 - 4);
    assert_int_equal(head.method, HTTP1_GET);
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.framing, HTTP1_NO_BODY);
    assert_true(head.keep_alive);
    assert_false(head.upgrade || head.expect_continue);
    assert_int_equal(head.headers, 2);
    assert_slice(text, head.path, "/a/b?c=d");
    assert_slice(text, head.host, "shop.example:8080");
    assert_slice(text, head.header[1].name, "Accept");
    assert_slice(text, head.header[1].value, "text/html, */*");
}

static void the_target_may_come_in_four_forms(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *host, *path;
    } good[] = {
        { "GET http://a.example/x?y HTTP/1.1\r\nHost: other\r\n\r\n", "a.example", "/x?y" },
        { "GET HTTP://a.example:81 HTTP/1.1\r\nHost: a.example:81\r\n\r\n", "a.example:81", "" },
        { "GET https://[::1]:8/?q HTTP/1.1\r\nHost: x\r\n\r\n", "[::1]:8", "/?q" },
        { "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "x", "*" },
        { "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n", "db:5432", "" },
        { "GET / HTTP/1.0\r\n\r\n", "", "/" },
        { "\r\n\r\nGET / HTTP/1.1\r\nHost:\r\n\r\n", "", "/" },
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct http1_head head;
        if (parse_request(good[i].text, strlen(good[i].text), &head) <= 0)
            fail_msg("refused: %s", good[i].text);
        assert_slice(good[i].text, head.host, good[i].host);
        assert_slice(good[i].text, head.path, good[i].path);
    }
}

static void what_is_ambiguous_or_wrong_is_refused(void **unused)
{
    (void)unused;
#define H "Host: x\r\n"
    static const struct {
        int status;
        const char *text;
        size_t len;
    } bad[] = {
        /* the request line */
        { -400, TEXT(" GET / HTTP/1.1\r\n") },
        { -400, TEXT("GET  / HTTP/1.1\r\n") },
        { -400, TEXT("GET /  HTTP/1.1\r\n") },
        { -400, TEXT("GET /\r\n") },
        { -400, TEXT("GET\t/ HTTP/1.1\r\n") },
        { -400, TEXT("G(T / HTTP/1.1\r\n") },
        { -400, TEXT("GET /\x01 HTTP/1.1\r\n") },
        { -400, TEXT("GET /\xc3\xa4 HTTP/1.1\r\n") },
        { -400, TEXT("GET /a#b HTTP/1.1\r\n") },
        { -400, TEXT("GET x HTTP/1.1\r\n" H "\r\n") },
        { -400, TEXT("GET * HTTP/1.1\r\n" H "\r\n") },
        { -400, TEXT("GET ftp://x/ HTTP/1.1\r\n" H "\r\n") },
        { -400, TEXT("GET http:///x HTTP/1.1\r\n" H "\r\n") },
        { -400, TEXT("GET http://u@x/ HTTP/1.1\r\n" H "\r\n") },
        { -400, TEXT("GET / http/1.1\r\n") },
        { -400, TEXT("GET / HTTP/1.1 \r\n") },
        { -400, TEXT("GET / HTTP/1.11\r\n") },
        { -400, TEXT("GET / HTTP/x.1\r\n") },
        { -400, TEXT("GET / HTTP/1.1\n") },
        { -400, TEXT("GET / HTTP/1.1\rX") },
        { -400, TEXT("\r\n\r\n\r\nGET / HTTP/1.1\r\n") },
        { -400, TEXT("\nGET / HTTP/1.1\r\n") },
        { -400, TEXT("\0GET / HTTP/1.1\r\n") },
        { -505, TEXT("GET / HTTP/2.0\r\n") },
        { -505, TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") },
        { -505, TEXT("GET / HTTP/0.9\r\n") },
        /* fields */
        { -400, TEXT("GET / HTTP/1.1\r\n" H "A: b\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "A: b\r\n\tc\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "A : b\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "A\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H ": b\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "A\": b\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "A: b\0c\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "A: 0123456789b\x7f\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "A: 01234567\x1f 9b\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n A: b\r\n" H "\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "\r\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H "\n") },
        /* Host */
        { -400, TEXT("GET / HTTP/1.1\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\n" H H "\r\n") },
        { -400, TEXT("GET / HTTP/1.0\r\n" H H "\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\nHost: u@b\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n") },
        { -400, TEXT("GET / HTTP/1.1\r\nHost: a]\r\n\r\n") },
        /* framing */
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "transfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 3, 4\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 3,\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 3 3\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n") },
        { -413, TEXT("POST / HTTP/1.1\r\n" H "Content-Length: 9999999999999999999999\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked,\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n") },
        { -501, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n") },
        { -501, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n") },
        { -501, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n") },
        { -501, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n") },
        { -501, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n") },
        { -400, TEXT("POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n") },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http1_head head;
        int status = parse_request(bad[i].text, bad[i].len, &head);
        if (status != bad[i].status)
            fail_msg("%d instead of %d: %s", status, bad[i].status, bad[i].text);
    }
#undef H
}

/* RFC 9110 §5.6.2 and §5.5, written down once more. */
static bool may_stand(unsigned char byte, bool in_name)
{
    if (!in_name)
        return byte == '\t' || (byte >= ' ' && byte != 0x7f);
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

static void each_byte_is_taken_or_refused_wherever_it_stands_in_a_field(void **unused)
{
    (void)unused;
    static const char before[] = "GET / HTTP/1.1\r\nHost: a\r\n",
                      field[] = "Abcdefgh-Jklmnop: 0123456789 abcdef\r\n\r\n";
    const size_t colon = strcspn(field, ":"), end = strcspn(field, "\r");
    char text[sizeof(before) + sizeof(field)];
    struct http1_head head;
    int len = snprintf(text, sizeof(text), "%s%s", before, field);
    for (size_t at = 0; at < end; at++) {
        char *place = text + sizeof(before) - 1 + at, was = *place;
        for (unsigned byte = 0; at != colon && byte < 256; byte++) {
            bool ends_the_name = at > 0 && at < colon && byte == ':';
            *place = (char)byte;
            bool taken = http1_parse_request(text, (size_t)len, &http1_default_limits, &head) == len;
            if (taken != (may_stand((unsigned char)byte, at < colon) || ends_the_name))
                fail_msg("byte %u at %zu was %s", byte, at, taken ? "taken" : "refused");
        }
        *place = was;
    }
}

static void fields_are_known_in_either_case_and_by_each_of_their_letters(void **unused)
{
    (void)unused;
    static const char *const names[] = {
        "Te",         "Via",         "Cookie",       "Upgrade",           "Forwarded",          "Idempotency-Key",
        "Keep-Alive", "X-Served-By", "X-Request-Id", "X-Forwarded-Proto", "Proxy-Authenticate", "Proxy-Authorization"
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        for (size_t at = 0; at < strlen(names[i]); at++) {
            char text[128];
            struct http1_head head;
            int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s: b\r\n\r\n", names[i]);
            char *place = strstr(text, names[i]) + at;
            if (*place != '-')
                *place ^= 0x20;
            assert_int_equal(http1_parse_request(text, (size_t)len, &http1_default_limits, &head), len);
            assert_int_not_equal(head.header[1].field, HTTP1_FIELD_OTHER);
            *place = *place == '~' ? '!' : '~';
            assert_int_equal(http1_parse_request(text, (size_t)len, &http1_default_limits, &head), len);
            assert_int_equal(head.header[1].field, HTTP1_FIELD_OTHER);
        }
}

static void what_is_too_long_is_refused_at_the_limit(void **unused)
{
    (void)unused;
    static char text[64 * 1024];
    struct http1_head head;
    const struct http1_limits limits = { .head = 200, .target = 50, .headers = 3 };

    int len = snprintf(text, sizeof(text), "GET /%060d HTTP/1.1\r\nHost: x\r\n\r\n", 0);
    assert_int_equal(http1_parse_request(text, (size_t)len, &limits, &head), -414);
    assert_int_equal(http1_parse_request(text, 56, &limits, &head), -414);
    assert_int_equal(http1_parse_request(text, 54, &limits, &head), 0);

    len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\nA: %0300d\r\n\r\n", 0);
    assert_int_equal(http1_parse_request(text, (size_t)len, &limits, &head), -431);
    assert_int_equal(http1_parse_request(text, 200, &limits, &head), -431);
    assert_int_equal(http1_parse_request(text, 199, &limits, &head), 0);

    len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\nA:\r\nB:\r\nC:\r\n\r\n");
    assert_int_equal(http1_parse_request(text, (size_t)len, &limits, &head), -431);
    len = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n");
    assert_int_equal(http1_parse_response(text, (size_t)len, HTTP1_GET, &limits, &head), -EMSGSIZE);

    /* A head of exactly the limit is whole. */
    len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\nA: %0168d\r\n\r\n", 0);
    assert_int_equal(len, 200);
    assert_int_equal(http1_parse_request(text, 200, &limits, &head), 200);
}

static void bodies_are_framed_as_the_fields_say(void **unused)
{
    (void)unused;
    static const struct {
        const char *fields;
        enum http1_framing framing;
        uint64_t length;
        bool keep_alive, expect, upgrade;
    } good[] = {
        { "Content-Length: 0\r\n", HTTP1_NO_BODY, 0, true, false, false },
        { "Content-Length: 12\r\n", HTTP1_LENGTH, 12, true, false, false },
        { "Content-Length: 12, 12\r\nContent-Length: 12\r\n", HTTP1_LENGTH, 12, true, false, false },
        { "Content-Length: 9223372036854775799\r\n", HTTP1_LENGTH, 9223372036854775799u, true, false, false },
        { "TRANSFER-ENCODING: Chunked\r\n", HTTP1_CHUNKED, 0, true, false, false },
        { "Connection: close\r\nExpect: 100-Continue\r\n", HTTP1_NO_BODY, 0, false, true, false },
        { "Connection: keep-alive, CLOSE\r\n", HTTP1_NO_BODY, 0, false, false, false },
        { "Connection: Upgrade\r\nUpgrade: websocket\r\n", HTTP1_NO_BODY, 0, true, false, true },
        { "Connection: Upgrade\r\n", HTTP1_NO_BODY, 0, true, false, false },
        { "Upgrade: websocket\r\n", HTTP1_NO_BODY, 0, true, false, false },
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char text[512];
        struct http1_head head;
        int len = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n", good[i].fields);
        assert_int_equal(parse_request(text, (size_t)len, &head), len);
        assert_int_equal(head.framing, good[i].framing);
        assert_int_equal(head.content_length, good[i].length);
        assert_int_equal(head.keep_alive, good[i].keep_alive);
        assert_int_equal(head.expect_continue, good[i].expect);
        assert_int_equal(head.upgrade, good[i].upgrade);
    }
    struct http1_head head;
    assert_true(parse_request(TEXT("GET / HTTP/1.0\r\n\r\n"), &head) > 0 && !head.keep_alive);
    assert_true(parse_request(TEXT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), &head) > 0 && head.keep_alive);
    assert_true(parse_request(TEXT("GET / HTTP/1.9\r\nHost: x\r\n\r\n"), &head) > 0 && head.minor == 1);
}

static void fields_named_in_connection_are_hop_by_hop_but_not_those_that_carry_meaning(void **unused)
{
    (void)unused;
    static const char text[] =
        "GET / HTTP/1.1\r\nHost: x\r\nX-Mine: 1\r\nX-Other: 2\r\nConnection: x-mine, host\r\n"
        "X-Forwarded-For: 1.2.3.4\r\nConnection: X-Forwarded-For, X-Forwarded-Port\r\nTE: trailers\r\n"
        "X-Forwarded-Port: 443\r\n\r\n";
    static const bool expected[] = { false, true, false, true, false, true, true, false };
    struct http1_head head;
    assert_true(parse_request(text, sizeof(text) - 1, &head) > 0);
    assert_int_equal(head.headers, 8);
    for (int i = 0; i < 8; i++)
        assert_int_equal(head.header[i].hop_by_hop, expected[i]);
}

static void responses_are_framed_by_request_and_status(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        enum http1_method request;
        enum http1_framing framing;
        bool keep_alive;
    } good[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP1_GET, HTTP1_LENGTH, true },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP1_HEAD, HTTP1_NO_BODY, true },
        { "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", HTTP1_GET, HTTP1_NO_BODY, true },
        { "HTTP/1.1 204 No Content\r\n\r\n", HTTP1_GET, HTTP1_NO_BODY, true },
        { "HTTP/1.1 100 Continue\r\n\r\n", HTTP1_POST, HTTP1_NO_BODY, true },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP1_GET, HTTP1_CHUNKED, true },
        { "HTTP/1.1 200 OK\r\n\r\n", HTTP1_GET, HTTP1_UNTIL_CLOSE, false },
        { "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP1_GET, HTTP1_LENGTH, false },
        { "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", HTTP1_GET, HTTP1_NO_BODY, true },
        { "HTTP/1.1 200 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n", HTTP1_GET, HTTP1_NO_BODY, false },
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct http1_head head;
        if (parse_response(good[i].text, strlen(good[i].text), good[i].request, &head) <= 0)
            fail_msg("refused: %s", good[i].text);
        assert_int_equal(head.framing, good[i].framing);
        assert_int_equal(head.keep_alive, good[i].keep_alive);
    }
    struct http1_head head;
    static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    assert_true(parse_response(upgraded, sizeof(upgraded) - 1, HTTP1_GET, &head) > 0);
    assert_true(head.upgrade && head.status == 101);
    assert_slice(upgraded, head.reason, "Switching Protocols");
}

static void a_bad_response_is_refused(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "HTTP/2 200 OK\r\n",
        "HTTP/1.1 099 OK\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000 OK\r\n",
        "HTTP/1.1  200 OK\r\n",
        "HTTP/1.1 200 OK\n",
        "ICY 200 OK\r\n",
        "HTTP/1.1 200 O\x01K\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http1_head head;
        int status = parse_response(bad[i], strlen(bad[i]), HTTP1_GET, &head);
        if (status != -EBADMSG)
            fail_msg("%d: %s", status, bad[i]);
    }
}

/* Feeds in two pieces, cut at `cut`. */
static ssize_t feed_cut(const char *text, size_t len, size_t cut, struct http1_chunked *chunked, char *out, size_t *got)
{
    size_t first = 0, second = 0;
    *chunked = (struct http1_chunked){ 0 };
    ssize_t n = http1_chunked_data(chunked, text, cut, out, &first);
    if (n < 0 || (size_t)n < cut || chunked->done) {
        *got = first;
        return n;
    }
    ssize_t m = http1_chunked_data(chunked, text + cut, len - cut, out + first, &second);
    *got = first + second;
    return m < 0 ? m : n + m;
}

static void a_chunked_body_is_followed_wherever_it_is_cut(void **unused)
{
    (void)unused;
    static const char text[] =
        "5\r\nhello\r\n00c;a=\"b\"\r\n brave \r\n\r\nw\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\nGET /";
    static const char data[] = "hello brave \r\n\r\nw!";
    size_t len = sizeof(text) - 1, body = len - 5;
    for (size_t cut = 0; cut <= len; cut++) {
        struct http1_chunked chunked;
        char out[128];
        size_t got;
        assert_int_equal(feed_cut(text, len, cut, &chunked, out, &got), body);
        assert_true(chunked.done);
        assert_int_equal(got, sizeof(data) - 1);
        assert_memory_equal(out, data, got);
    }
    char place[sizeof(text)];
    memcpy(place, text, sizeof(text));
    struct http1_chunked chunked = { 0 };
    size_t got;
    assert_int_equal(http1_chunked_data(&chunked, place, len, place, &got), body);
    assert_memory_equal(place, data, got);
}

/* Data may go by unseen, all of it or a part. */
static void chunk_data_need_not_be_looked_at(void **unused)
{
    (void)unused;
    struct http1_chunked chunked = { 0 };
    assert_int_equal(http1_chunked_run(&chunked), 0);
    assert_int_equal(http1_chunked_feed(&chunked, "a\r\nxy", 5), 5);
    assert_int_equal(http1_chunked_run(&chunked), 8);
    http1_chunked_skip(&chunked, 5);
    assert_int_equal(http1_chunked_run(&chunked), 3);
    http1_chunked_skip(&chunked, 3);
    assert_int_equal(http1_chunked_run(&chunked), 0);
    assert_int_equal(http1_chunked_feed(&chunked, "\r\n0\r\n\r\nGET", 10), 7);
    assert_true(chunked.done);
    assert_int_equal(chunked.data, 10);
}

static void a_bad_chunk_is_refused_wherever_it_is_cut(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        size_t len;
    } bad[] = {
        { TEXT("\r\n") },
        { TEXT("g\r\n") },
        { TEXT("-1\r\n") },
        { TEXT("0x5\r\n") },
        { TEXT(" 5\r\nhello\r\n") },
        { TEXT("5 \r\nhello\r\n") },
        { TEXT("5\nhello\r\n") },
        { TEXT("5;a\nhello\r\n") },
        { TEXT("5;a\0\r\nhello\r\n") },
        { TEXT("5\r\nhello!\r\n") },
        { TEXT("5\r\nhello\n") },
        { TEXT("5\r\nhello\r\r") },
        { TEXT("1234567890abcdef\r\n") },
        { TEXT("0\r\n x\r\n\r\n") },
        { TEXT("0\r\nA b: c\r\n\r\n") },
        { TEXT("0\r\nA: b\n\r\n") },
        { TEXT("0\r\n\n") },
        { TEXT("0\r\n\rX") },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (size_t cut = 0; cut <= bad[i].len; cut++) {
            struct http1_chunked chunked;
            char out[64];
            size_t got;
            if (feed_cut(bad[i].text, bad[i].len, cut, &chunked, out, &got) != -EBADMSG)
                fail_msg("taken: %s", bad[i].text);
        }
}

static void methods_know_whether_twice_is_as_once(void **unused)
{
    (void)unused;
    struct http1_head head;
    assert_true(http1_method_idempotent(HTTP1_GET) && http1_method_idempotent(HTTP1_PUT));
    assert_false(http1_method_idempotent(HTTP1_POST) || http1_method_idempotent(HTTP1_PATCH) ||
                 http1_method_idempotent(HTTP1_OTHER));
    assert_true(parse_request(TEXT("get / HTTP/1.0\r\n\r\n"), &head) > 0);
    assert_int_equal(head.method, HTTP1_OTHER);
    assert_string_equal(http1_method_text(HTTP1_PATCH), "PATCH");
    assert_string_equal(http1_reason(503), "Service Unavailable");
    assert_string_equal(http1_reason(599), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_get_is_read),
        cmocka_unit_test(the_target_may_come_in_four_forms),
        cmocka_unit_test(what_is_ambiguous_or_wrong_is_refused),
        cmocka_unit_test(each_byte_is_taken_or_refused_wherever_it_stands_in_a_field),
        cmocka_unit_test(fields_are_known_in_either_case_and_by_each_of_their_letters),
        cmocka_unit_test(what_is_too_long_is_refused_at_the_limit),
        cmocka_unit_test(bodies_are_framed_as_the_fields_say),
        cmocka_unit_test(fields_named_in_connection_are_hop_by_hop_but_not_those_that_carry_meaning),
        cmocka_unit_test(responses_are_framed_by_request_and_status),
        cmocka_unit_test(a_bad_response_is_refused),
        cmocka_unit_test(a_chunked_body_is_followed_wherever_it_is_cut),
        cmocka_unit_test(chunk_data_need_not_be_looked_at),
        cmocka_unit_test(a_bad_chunk_is_refused_wherever_it_is_cut),
        cmocka_unit_test(methods_know_whether_twice_is_as_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
