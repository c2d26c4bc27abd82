/* SPDX-License-Identifier: MIT
 *
 * The PROXY protocol as its specification writes it: both versions, what names nobody, and what is none. Each header is
 * read whole and after every byte: a decision never changes.
 */
#include "base/proxy_header.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* In a block of its own size, so that a byte read too many is seen by a sanitizer. */
static ssize_t parse_exactly(const char *text, size_t len, struct proxy_header *header)
{
    char *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, text, len);
    ssize_t result = proxy_header_parse(exact, len, header);
    free(exact);
    return result;
}

static ssize_t parse(const char *text, size_t len, struct proxy_header *header)
{
    ssize_t whole = parse_exactly(text, len, header);
    for (size_t part = 0; part < len; part++) {
        struct proxy_header other;
        ssize_t step = parse_exactly(text, part, &other);
        if (step != whole && step != 0)
            fail_msg("%zu bytes: %zd, whole: %zd", part, step, whole);
        if (step == 0 && whole > 0)
            assert_true((ssize_t)part < whole);
    }
    return whole;
}

#define PARSE(text, header) parse(text, sizeof(text) - 1, header)
#define SIGNATURE           "\r\n\r\n\0\r\nQUIT\n"

static void assert_address(int family, const uint8_t *address, const char *expected)
{
    char text[INET6_ADDRSTRLEN];
    assert_non_null(inet_ntop(family, address, text, sizeof(text)));
    assert_string_equal(text, expected);
}

static void a_line_of_version_1_names_both_ends(void **unused)
{
    (void)unused;
    struct proxy_header header;
    assert_int_equal(PARSE("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET / HTTP/1.1\r\n", &header), 45);
    assert_int_equal(header.family, AF_INET);
    assert_address(AF_INET, header.source, "192.0.2.1");
    assert_address(AF_INET, header.destination, "198.51.100.7");
    assert_true(header.source_port == 56324 && header.destination_port == 443);
    assert_int_equal(PARSE("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", &header), 36);
    assert_int_equal(header.family, AF_INET6);
    assert_address(AF_INET6, header.source, "2001:db8::1");
    assert_true(header.source_port == 0 && header.destination_port == 65535);
    assert_int_equal(PARSE("PROXY UNKNOWN\r\n", &header), 15);
    assert_int_equal(header.family, AF_UNSPEC);
    assert_int_equal(PARSE("PROXY UNKNOWN ffff:f...f:ffff 65535 whatever\r\n", &header), 46);
}

static void a_header_of_version_2_names_both_ends(void **unused)
{
    (void)unused;
    struct proxy_header header;
    assert_int_equal(PARSE(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\7\xdc\4\1\xbb"
                                     "GET",
                           &header),
                     28);
    assert_int_equal(header.family, AF_INET);
    assert_address(AF_INET, header.source, "192.0.2.1");
    assert_address(AF_INET, header.destination, "198.51.100.7");
    assert_true(header.source_port == 56324 && header.destination_port == 443);
    /* IPv6, and a TLV (ALPN "h2") behind it. */
    assert_int_equal(PARSE(SIGNATURE
                           "\x21\x21\0\x29\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
                           "\0\x50\0\x51\1\0\2h2",
                           &header),
                     57);
    assert_int_equal(header.family, AF_INET6);
    assert_address(AF_INET6, header.source, "2001:db8::1");
    assert_true(header.source_port == 80 && header.destination_port == 81);
}

static void some_headers_name_nobody(void **unused)
{
    (void)unused;
    struct proxy_header header = { .family = AF_INET };
    assert_int_equal(PARSE(SIGNATURE "\x20\0\0\0", &header), 16); /* LOCAL */
    assert_int_equal(header.family, AF_UNSPEC);
    header.family = AF_INET;
    assert_int_equal(PARSE(SIGNATURE "\x20\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\7\xdc\4\1\xbb", &header), 28);
    assert_int_equal(header.family, AF_UNSPEC);
    assert_int_equal(PARSE(SIGNATURE "\x21\0\0\3\4\0\0", &header), 19); /* UNSPEC, with a no-op */
    assert_int_equal(header.family, AF_UNSPEC);
    assert_int_equal(PARSE(SIGNATURE "\x21\x12\0\x0c\xc0\0\2\1\xc6\x33\x64\7\xdc\4\1\xbb", &header), 28); /* UDP */
    assert_int_equal(header.family, AF_UNSPEC);
}

static void a_checksum_has_to_be_right(void **unused)
{
    (void)unused;
    char text[] = SIGNATURE "\x21\x11\0\x13\xc0\0\2\1\xc6\x33\x64\7\xdc\4\1\xbb\3\0\4\xcc\xcc\xcc\xcc";
    const size_t len = sizeof(text) - 1;
    struct proxy_header header;
    uint32_t crc = ~UINT32_C(0);
    assert_int_equal(parse(text, len, &header), -EBADMSG);
    memset(text + len - 4, 0, 4);
    for (size_t i = 0; i < len; i++) /* from its definition: the remainder of a division, most significant bit last */
        for (int bit = 0; bit < 8; bit++) {
            uint32_t odd = (crc ^ (uint32_t)((uint8_t)text[i] >> bit)) & 1;
            crc = crc >> 1 ^ (odd ? UINT32_C(0x82f63b78) : 0);
        }
    crc = htonl(~crc);
    memcpy(text + len - 4, &crc, 4);
    assert_int_equal(parse(text, len, &header), (ssize_t)len);
    text[20] ^= 1;
    assert_int_equal(parse(text, len, &header), -EBADMSG);
}

static void what_is_no_header_is_refused_as_early_as_it_can_be(void **unused)
{
    (void)unused;
    struct proxy_header header;
    static const char *const lines[] = {
        "GET / HTTP/1.1\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n",
        "PROXY TCP4 1.2.3.256 1.2.3.4 1 1\r\n",
        "PROXY TCP4 ::1 ::1 1 1\r\n",
        "PROXY TCP6 1.2.3.4 ::1 1 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 1\n",
        "PROXY UNKNOWN "
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
        "\r\n\r\nGET",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (parse(lines[i], strlen(lines[i]), &header) != -EBADMSG)
            fail_msg("%s", lines[i]);
    assert_int_equal(proxy_header_parse("G", 1, &header), -EBADMSG);
    assert_int_equal(proxy_header_parse("\r\n\r\nG", 5, &header), -EBADMSG);
    assert_int_equal(PARSE(SIGNATURE "\x11\x11\0\0", &header), -EBADMSG);               /* version 1 in the form of 2 */
    assert_int_equal(PARSE(SIGNATURE "\x22\x11\0\0", &header), -EBADMSG);               /* no such command */
    assert_int_equal(PARSE(SIGNATURE "\x21\x11\0\x4 1234", &header), -EBADMSG);         /* too short for its family */
    assert_int_equal(PARSE(SIGNATURE "\x21\x41\0\0", &header), -EBADMSG);               /* no such family */
    assert_int_equal(PARSE(SIGNATURE "\x21\x13\0\x0c 12345678901", &header), -EBADMSG); /* no such transport */
    assert_int_equal(PARSE(SIGNATURE "\x21\0\0\2\4\0", &header), -EBADMSG);             /* half a TLV */
    assert_int_equal(PARSE(SIGNATURE "\x21\0\0\4\4\0\2.", &header), -EBADMSG); /* one that is longer than the rest */
    assert_int_equal(PARSE(SIGNATURE "\x21\0\xff\xff", &header), -EBADMSG);    /* longer than anyone needs */
}

static void what_is_written_is_read_again(void **unused)
{
    (void)unused;
    static const struct proxy_header headers[] = {
        { .family = AF_INET, .source = { 1, 2, 3, 4 }, .destination = { 255, 255, 255, 255 }, .source_port = 1 },
        { .family = AF_INET6,
          .source = { 0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
          .destination = { 0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
          .source_port = 65535,
          .destination_port = 65535 },
        { .family = AF_UNSPEC },
    };
    for (unsigned version = 1; version <= 2; version++)
        for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
            char text[PROXY_HEADER_WRITTEN];
            struct proxy_header header = { 0 };
            size_t len = proxy_header_format(&headers[i], version, text);
            assert_in_range(len, 1, sizeof(text));
            assert_int_equal(parse(text, len, &header), (ssize_t)len);
            assert_memory_equal(&header, &headers[i], sizeof(header));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_version_1_names_both_ends),
        cmocka_unit_test(a_header_of_version_2_names_both_ends),
        cmocka_unit_test(some_headers_name_nobody),
        cmocka_unit_test(a_checksum_has_to_be_right),
        cmocka_unit_test(what_is_no_header_is_refused_as_early_as_it_can_be),
        cmocka_unit_test(what_is_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
