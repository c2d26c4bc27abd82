/* SPDX-License-Identifier: MIT
 *
 * The corpus of malformed and hostile messages, each with what must come of it. Outcomes are written as reader.h notes
 * them. Included by test_differential.c only.
 *
 *  - `answers`: what the client gets: statuses, for 2xx with a body "200=BODY" (the upstream's usual body is the target
 *    that it was asked for), then "kept" when another request on the same connection is answered, else "closed".
 *  - `reads`: the requests that the upstream understood: "METHOD TARGET HOST BODY;" each. None: no whole request may
 *    have reached it.
 */
#ifndef DARUMA_TESTS_GATEWAY_HOSTILE_H
#define DARUMA_TESTS_GATEWAY_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>

/* "\1" in the text stands for `times` repetitions of `unit` ("a" when NULL). */
struct hostile_request {
    const char *name, *text;
    size_t len;
    const char *answers, *reads;
    const char *peers_read;   /* what is read behind a peer that drops trailers; NULL: the same */
    const char *peers_refuse; /* why we forward what nginx or HAProxy refuses; NULL: they must not */
    const char *unit;
    unsigned times;
    bool half_close; /* the client sends FIN behind the text */
};

#define REQUEST(row, bytes, gets, sees, ...)                                                                           \
    {                                                                                                                  \
        .name = row, .text = bytes, .len = sizeof(bytes) - 1, .answers = gets, .reads = sees, ##__VA_ARGS__            \
    }

#define H      "Host: t\r\n"
#define GET_A  "GET /a HTTP/1.1\r\n" H "\r\n"
#define POST   "POST /p HTTP/1.1\r\n" H
#define CODED  POST "Transfer-Encoding: chunked\r\n\r\n"
#define SPY    "GET /smuggled HTTP/1.1\r\n" H "\r\n"
#define HELLO  "POST /p t hello;"
#define NO     "400 closed"
#define YES    "200=/p kept"
#define FIELDS "GET /p HTTP/1.1\r\n" H
#define PLAIN  "GET /p t ;"

static const struct hostile_request hostile_requests[] = {
    /* --- the length of the body, RFC 9112 §6.3 --- */
    REQUEST("length and coding", POST "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", NO, ""),
    REQUEST("coding and length", POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" SPY, NO, ""),
    REQUEST("chunked twice", POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("chunked, chunked", POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("chunked, identity", POST "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("identity behind chunked",
            POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("identity and a length", POST "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", NO, ""),
    REQUEST("an unknown coding", POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501 closed", ""),
    REQUEST("gzip, chunked", POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501 closed", ""),
    REQUEST("chunked with a parameter", POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "501 closed", ""),
    REQUEST("chunked in quotes", POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", "501 closed", ""),
    REQUEST("no coding at all", POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("an empty coding behind chunked", POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("a vertical tab before chunked",
            POST "Transfer-Encoding: \x0b"
                 "chunked\r\n\r\n0\r\n\r\n",
            NO, ""),
    REQUEST("NUL in chunked", POST "Transfer-Encoding: chunk\0ed\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("non-ASCII behind chunked", POST "Transfer-Encoding: chunked\xa0\r\n\r\n0\r\n\r\n", "501 closed", ""),
    REQUEST("coding: space before the colon", POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("coding: tab before the colon", POST "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("coding: folded", POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("coding: indented", POST " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("coding behind a bare CR", POST "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("coding behind a bare LF", POST "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("chunked in HTTP/1.0", "POST /p HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NO, ""),
    REQUEST("CHUNKED", POST "TRANSFER-ENCODING: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n", YES, HELLO),
    REQUEST("an underscore is no hyphen", POST "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", YES,
            HELLO),
    REQUEST("two lengths", POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", NO, ""),
    REQUEST("5, 6", POST "Content-Length: 5, 6\r\n\r\nhello!", NO, ""),
    REQUEST("the same length twice", POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", YES, HELLO,
            .peers_refuse = "RFC 9110 §8.6 lets a recipient take equal values for one; one field is forwarded"),
    REQUEST("5, 5", POST "Content-Length: 5, 5\r\n\r\nhello", YES, HELLO,
            .peers_refuse = "RFC 9110 §8.6 lets a recipient take equal values for one; a plain 5 is forwarded"),
    REQUEST("00005", POST "Content-Length: 00005\r\n\r\nhello", YES, HELLO),
    REQUEST("+5", POST "Content-Length: +5\r\n\r\nhello", NO, ""),
    REQUEST("-5", POST "Content-Length: -5\r\n\r\nhello", NO, ""),
    REQUEST("0x5", POST "Content-Length: 0x5\r\n\r\nhello", NO, ""),
    REQUEST("5,", POST "Content-Length: 5,\r\n\r\nhello", NO, ""),
    REQUEST("5;", POST "Content-Length: 5;\r\n\r\nhello", NO, ""),
    REQUEST("another expectation", POST "Expect: the-best\r\nContent-Length: 5\r\n\r\nhello", YES, HELLO),
    REQUEST("TE: trailers", POST "TE: trailers\r\nContent-Length: 5\r\n\r\nhello", YES, HELLO),
    REQUEST("5 5", POST "Content-Length: 5 5\r\n\r\nhello", NO, ""),
    REQUEST("5.0", POST "Content-Length: 5.0\r\n\r\nhello", NO, ""),
    REQUEST("an empty length", POST "Content-Length:\r\n\r\nhello", NO, ""),
    REQUEST("2^64 + 5", POST "Content-Length: 18446744073709551621\r\n\r\nhello", "413 closed", ""),
    REQUEST("a length in HTTP/1.0", "POST /p HTTP/1.0\r\n" H "Content-Length: 5\r\n\r\nhello", "200=/p closed", HELLO),
    REQUEST("GET with a body", "GET /p HTTP/1.1\r\n" H "Content-Length: 39\r\n\r\n" SPY "1234", YES,
            "GET /p t GET /smuggled HTTP/1.1\\x0d\\x0aHost: t\\x0d\\x0a\\x0d\\x0a1234;"),
    REQUEST("Connection names the length", POST "Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello", YES,
            HELLO),
    REQUEST("Connection names the coding",
            POST "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", YES,
            HELLO),
    REQUEST("Connection names Host", "GET /p HTTP/1.1\r\n" H "Connection: Host\r\n\r\n", YES, PLAIN),
    REQUEST("the body never comes", POST "Content-Length: 5\r\n\r\nhel", "closed", "", .half_close = true),
    REQUEST("half a head, then the end", "GET /p HTTP/1.1\r\nHos", "closed", "", .half_close = true),
    REQUEST("a whole one, then the end", FIELDS "\r\n", "200=/p closed", PLAIN, .half_close = true,
            .peers_refuse = "a client may end its direction behind its last request, RFC 9112 §9.6; nginx gives up"),

    /* --- chunks, RFC 9112 §7.1 --- */
    REQUEST("an extension", CODED "5;a=b;c=\"d\"\r\nhello\r\n0;last\r\n\r\n", YES, HELLO),
    REQUEST("leading zeros", CODED "0005\r\nhello\r\n000\r\n\r\n", YES, HELLO),
    REQUEST("trailers", CODED "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n", YES,
            "POST /p t hello x-sum: 1 x-more: 2;", .peers_read = HELLO),
    REQUEST("trailers that lie about the length",
            CODED "5\r\nhello\r\n0\r\nContent-Length: 50\r\nHost: u\r\n\r\n" GET_A, "200=/p 200=/a kept",
            "POST /p t hello content-length: 50 host: u;GET /a t ;", .peers_read = HELLO "GET /a t ;"),
    REQUEST("an empty extension", CODED "5;\r\nhello\r\n0\r\n\r\n", YES, HELLO),
    REQUEST("a space behind the size", CODED "5 \r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("a tab behind the size", CODED "5\t\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("no size", CODED "\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("size 0x5", CODED "0x5\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("size +5", CODED "+5\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("size -5", CODED "-5\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("size g", CODED "g\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("a space before the size", CODED " 5\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("2^64 + 5 as a size", CODED "10000000000000005\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("the largest size", CODED "ffffffffffffffff\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("LF behind the size", CODED "5\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("CR without LF behind the size", CODED "5\rhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("LF in an extension", CODED "5;a\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("CR in an extension", CODED "5;a\rb\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("NUL in an extension", CODED "5;a\0b\r\nhello\r\n0\r\n\r\n", NO, ""),
    REQUEST("data longer than its size", CODED "5\r\nhelloworld\r\n0\r\n\r\n", NO, ""),
    REQUEST("LF behind the data", CODED "5\r\nhello\n0\r\n\r\n", NO, ""),
    REQUEST("CR CR behind the data", CODED "5\r\nhello\r\r\n0\r\n\r\n", NO, ""),
    REQUEST("LF at the very end", CODED "0\r\n\n", NO, ""),
    REQUEST("a trailer with a space before the colon", CODED "0\r\nX : 1\r\n\r\n", NO, ""),
    REQUEST("a folded trailer", CODED "0\r\nX: 1\r\n 2\r\n\r\n", NO, ""),
    REQUEST("a trailer without a colon", CODED "0\r\nGET / HTTP/1.1\r\n\r\n", NO, ""),
    REQUEST("a trailer with a bare CR", CODED "0\r\nX: 1\r2\r\n\r\n", NO, ""),
    REQUEST("a trailer with LF", CODED "0\r\nX: 1\n\r\n", NO, ""),
    REQUEST("an overlong extension", CODED "5;\1\r\nhello\r\n0\r\n\r\n", NO, "", .times = 20000),
    REQUEST("overlong trailers", CODED "0\r\n\1\r\n", NO, "", .unit = "X: y\r\n", .times = 10000),
    REQUEST("the last chunk never comes", CODED "5\r\nhello\r\n", "closed", "", .half_close = true),

    /* --- lines and fields, RFC 9112 §2.2 and §5 --- */
    REQUEST("LF everywhere", "GET /p HTTP/1.1\nHost: t\n\n", NO, ""),
    REQUEST("LF behind the request line", "GET /p HTTP/1.1\n" H "\r\n", NO, ""),
    REQUEST("LF at the end", FIELDS "\n", NO, ""),
    REQUEST("CR CR LF", "GET /p HTTP/1.1\r\r\n" H "\r\n", NO, ""),
    REQUEST("CR in a value", FIELDS "X: a\rb\r\n\r\n", NO, ""),
    REQUEST("NUL in a value", FIELDS "X: a\0b\r\n\r\n", NO, ""),
    REQUEST("DEL in a value", FIELDS "X: a\x7f\r\n\r\n", NO, ""),
    REQUEST("a control in a value", FIELDS "X: a\x08\r\n\r\n", NO, ""),
    REQUEST("a tab in a value", FIELDS "X: a\tb\r\n\r\n", YES, PLAIN),
    REQUEST("UTF-8 in a value", FIELDS "X: \xe2\x82\xac\r\n\r\n", YES, PLAIN),
    REQUEST("NUL in a name", FIELDS "X\0: a\r\n\r\n", NO, ""),
    REQUEST("UTF-8 in a name", FIELDS "X\xc3\xa9: a\r\n\r\n", NO, ""),
    REQUEST("a slash in a name", FIELDS "X/Y: a\r\n\r\n", NO, ""),
    REQUEST("an empty name", FIELDS ": a\r\n\r\n", NO, ""),
    REQUEST("no colon", FIELDS "X\r\n\r\n", NO, ""),
    REQUEST("a space before the colon", FIELDS "X : a\r\n\r\n", NO, ""),
    REQUEST("a folded value", FIELDS "X: a\r\n b\r\n\r\n", NO, ""),
    REQUEST("the first field is indented", "GET /p HTTP/1.1\r\n X: y\r\n" H "\r\n", NO, ""),
    REQUEST("an empty value", FIELDS "X:\r\n\r\n", YES, PLAIN),
    REQUEST("too many fields", FIELDS "\1\r\n", "431 closed", "", .unit = "X: y\r\n", .times = 200),
    REQUEST("a field that is too long", FIELDS "X: \1\r\n\r\n", "431 closed", "", .times = 40000),
    REQUEST("a name that is too long", FIELDS "\1: x\r\n\r\n", "431 closed", "", .times = 40000),

    /* --- the request line, RFC 9112 §3 --- */
    REQUEST("one empty line before it", "\r\n" FIELDS "\r\n", YES, PLAIN),
    REQUEST("many empty lines before it", "\r\n\r\n\r\n\r\n" FIELDS "\r\n", NO, ""),
    REQUEST("LF before it", "\n" FIELDS "\r\n", NO, ""),
    REQUEST("a space before it", " " FIELDS "\r\n", NO, ""),
    REQUEST("two spaces", "GET  /p HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("two spaces behind the target", "GET /p  HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("a space behind the version", "GET /p HTTP/1.1 \r\n" H "\r\n", NO, ""),
    REQUEST("a tab", "GET\t/p\tHTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("a space in the target", "GET /p q HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("NUL in the target", "GET /p\0 HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("CR in the target", "GET /p\rX HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("a fragment", "GET /p#x HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("UTF-8 in the target", "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("dots and escapes stay as they are", "GET /a/../p%2f%00?x=../y HTTP/1.1\r\n" H "\r\n",
            "200=/a/../p%2f%00?x=../y kept", "GET /a/../p%2f%00?x=../y t ;",
            .peers_refuse = "nginx decodes the path for its own routing and refuses a NUL there; we forward the bytes"),
    REQUEST("HTTP/0.9", "GET /p\r\n", NO, ""),
    REQUEST("HTTP/0.9 by name", "GET /p HTTP/0.9\r\n" H "\r\n", "505 closed", ""),
    REQUEST("HTTP/2.0 by name", "GET /p HTTP/2.0\r\n" H "\r\n", "505 closed", ""),
    REQUEST("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 closed", ""),
    REQUEST("HTTP/1.2", "GET /p HTTP/1.2\r\n" H "\r\n", YES, PLAIN),
    REQUEST("HTTP/1.10", "GET /p HTTP/1.10\r\n" H "\r\n", NO, ""),
    REQUEST("HTTP/01.1", "GET /p HTTP/01.1\r\n" H "\r\n", "505 closed", ""),
    REQUEST("http/1.1", "GET /p http/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more\r\n\r\n", NO, ""),
    REQUEST("no method", "/p HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("a method with a slash", "G/T /p HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("an overlong method", "\1 /p HTTP/1.1\r\n" H "\r\n", "431 closed", "", .unit = "G", .times = 40000),
    REQUEST("an overlong target", "GET /\1 HTTP/1.1\r\n" H "\r\n", "414 closed", "", .times = 9000),
    REQUEST("a method of WebDAV", "PROPFIND /p HTTP/1.1\r\n" H "\r\n", YES, "PROPFIND /p t ;"),
    REQUEST("CONNECT", "CONNECT t:80 HTTP/1.1\r\nHost: t:80\r\n\r\n" SPY, "501 closed", ""),

    /* --- who is meant, RFC 9112 §3.2 --- */
    REQUEST("no Host", "GET /p HTTP/1.1\r\n\r\n", NO, ""),
    REQUEST("no Host in HTTP/1.0", "GET /p HTTP/1.0\r\n\r\n", "200=/p closed", "GET /p app ;"),
    REQUEST("two Hosts", "GET /p HTTP/1.1\r\n" H "Host: u\r\n\r\n", NO, ""),
    REQUEST("the same Host twice", "GET /p HTTP/1.1\r\n" H H "\r\n", NO, ""),
    REQUEST("a path in Host", "GET /p HTTP/1.1\r\nHost: t/x\r\n\r\n", NO, ""),
    REQUEST("a user in Host", "GET /p HTTP/1.1\r\nHost: u@t\r\n\r\n", NO, ""),
    REQUEST("a space in Host", "GET /p HTTP/1.1\r\nHost: t u\r\n\r\n", NO, ""),
    REQUEST("a port that is none", "GET /p HTTP/1.1\r\nHost: t:8o\r\n\r\n", NO, ""),
    REQUEST("an open bracket in Host", "GET /p HTTP/1.1\r\nHost: [::1\r\n\r\n", NO, ""),
    REQUEST("an empty Host", "GET /p HTTP/1.1\r\nHost:\r\n\r\n", YES, "GET /p app ;",
            .peers_refuse = "RFC 9112 §3.2 has it sent where the target has no authority; nginx insists on a name"),
    REQUEST("a colon without a port", "GET /p HTTP/1.1\r\nHost: t:\r\n\r\n", YES, "GET /p t: ;"),
    REQUEST("an underscore in Host", "GET /p HTTP/1.1\r\nHost: my_app\r\n\r\n", YES, "GET /p my_app ;"),
    REQUEST("a comma in Host", "GET /p HTTP/1.1\r\nHost: t,u\r\n\r\n", YES, "GET /p t,u ;"),
    REQUEST("IPv6 in Host", "GET /p HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", YES, "GET /p [::1]:80 ;"),
    REQUEST("absolute-form outranks Host", "GET http://u/p HTTP/1.1\r\n" H "\r\n", YES, "GET /p u ;",
            .peers_refuse =
                "RFC 9112 §3.2.2: the target outranks Host, which is replaced; HAProxy insists that they agree"),
    REQUEST("absolute-form without a path", "GET http://t?x HTTP/1.1\r\n" H "\r\n", "200=/?x kept", "GET /?x t ;",
            .peers_refuse = "RFC 9112 §3.2.1: the empty path before a query becomes /; HAProxy does not know the form"),
    REQUEST("absolute-form without a host", "GET http:///p HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("absolute-form with a user", "GET http://x@t/p HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("another scheme", "GET ftp://t/p HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("a target without a slash", "GET p HTTP/1.1\r\n" H "\r\n", NO, ""),
    REQUEST("a target with two slashes", "GET //evil/p HTTP/1.1\r\n" H "\r\n", "200=//evil/p kept", "GET //evil/p t ;"),
    REQUEST("asterisk-form", "OPTIONS * HTTP/1.1\r\n" H "\r\n", "200=* kept", "OPTIONS * t ;",
            .peers_refuse = "nginx as an origin has nothing to say to it; RFC 9112 §3.2.4 has it forwarded"),
    REQUEST("asterisk-form with GET", "GET * HTTP/1.1\r\n" H "\r\n", NO, ""),

    /* --- several requests on one connection --- */
    REQUEST("three at once", GET_A POST "Content-Length: 5\r\n\r\nhello" GET_A, "200=/a 200=/p 200=/a kept",
            "GET /a t ;" HELLO "GET /a t ;"),
    REQUEST("a bad one behind a good one", GET_A "GET /b HTTP/1.1\r\nHost : t\r\n\r\n" SPY, "200=/a 400 closed",
            "GET /a t ;"),
    REQUEST("a good one behind a bad one", "GET /b HTTP/1.1\nHost: t\n\n" SPY, NO, ""),
    REQUEST("one behind a bad chunk", CODED "5\r\nhello\r\nx\r\n\r\n" SPY, NO, ""),
    REQUEST("one behind the last that is kept", "GET /a HTTP/1.1\r\n" H "Connection: close\r\n\r\n" SPY,
            "200=/a closed", "GET /a t ;"),
    REQUEST("chunked, then another", CODED "5\r\nhello\r\n0\r\n\r\n" GET_A, "200=/p 200=/a kept", HELLO "GET /a t ;"),
    REQUEST("bytes behind a declined upgrade",
            "GET /p HTTP/1.1\r\n" H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
            YES, PLAIN),
};

/* --- what upstreams do to us ------------------------------------------------------------------------------------ */

/* The answer is to "POST /p" without a body unless `ask` says otherwise. Whatever it is, the next request on another
   client connection must get its own answer. */
struct hostile_response {
    const char *name, *text;
    size_t len;
    const char *answers;
    bool closes; /* the upstream ends the connection behind it */
    const char *ask;
    const char *unit;
    unsigned times;
};

#define RESPONSE(row, bytes, gets, ...)                                                                                \
    {                                                                                                                  \
        .name = row, .text = bytes, .len = sizeof(bytes) - 1, .answers = gets, ##__VA_ARGS__                           \
    }

#define OK    "HTTP/1.1 200 OK\r\n"
#define BAD   "502 kept"
#define GOOD  "200=hello kept"
#define FIVE  OK "Content-Length: 5\r\n\r\n"
#define SPLIT OK "Transfer-Encoding: chunked\r\n\r\n"
#define FAKE  OK "Content-Length: 6\r\n\r\npoison"

static const struct hostile_response hostile_responses[] = {
    /* --- the status line, RFC 9112 §4 --- */
    RESPONSE("plain", FIVE "hello", GOOD),
    RESPONSE("no phrase and no space", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", GOOD),
    RESPONSE("a status that nobody knows", "HTTP/1.1 799 What\r\nContent-Length: 0\r\n\r\n", "799 kept"),
    RESPONSE("nothing at all", "", BAD, .closes = true),
    RESPONSE("half a status line", "HTTP/1.1 20", BAD, .closes = true),
    RESPONSE("half a head", OK "Content-Len", BAD, .closes = true),
    RESPONSE("no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", BAD),
    RESPONSE("ICY", "ICY 200 OK\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("HTTP/2", "HTTP/2 200\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("HTTP/0.9", "<html>hello</html>", BAD, .closes = true),
    RESPONSE("two digits", "HTTP/1.1 20 OK\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("no digits", "HTTP/1.1 OK\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("HTTP/1", "HTTP/1 200 OK\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello", GOOD),
    RESPONSE("a tab", "HTTP/1.1\t200 OK\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("099", "HTTP/1.1 099 Low\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("two spaces", "HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("an empty line before it", "\r\n" FIVE "hello", BAD),
    RESPONSE("LF behind it", "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("CR in the phrase", "HTTP/1.1 200 O\rK\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("NUL in the phrase", "HTTP/1.1 200 O\0K\r\nContent-Length: 5\r\n\r\nhello", BAD),

    /* --- fields --- */
    RESPONSE("a space before the colon", OK "Content-Length : 5\r\n\r\nhello", BAD),
    RESPONSE("a folded field", OK "X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("NUL in a value", OK "X: a\0\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("CR in a value", OK "X: a\rSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("LF in the fields", OK "X: a\nContent-Length: 5\r\n\r\nhello", BAD),
    RESPONSE("too many fields", OK "\1Content-Length: 5\r\n\r\nhello", BAD, .unit = "X: y\r\n", .times = 300),
    RESPONSE("a field that is too long", OK "X: \1\r\nContent-Length: 5\r\n\r\nhello", BAD, .times = 40000),
    RESPONSE("a head that never ends", OK "\1", BAD, .unit = "X: y\r\n", .times = 50000),

    /* --- the length of the body --- */
    RESPONSE("length and coding", OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
             BAD),
    RESPONSE("two lengths", OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", BAD),
    RESPONSE("the same length twice", OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", GOOD),
    RESPONSE("a negative length", OK "Content-Length: -5\r\n\r\nhello", BAD),
    RESPONSE("a length that overflows", OK "Content-Length: 18446744073709551621\r\n\r\nhello", BAD),
    RESPONSE("gzip as the coding", OK "Transfer-Encoding: gzip\r\n\r\nhello", BAD),
    RESPONSE("chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
             BAD),
    RESPONSE("gzip, chunked", OK "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", BAD),
    RESPONSE("chunked, gzip", OK "Transfer-Encoding: chunked, gzip\r\n\r\n5\r\nhello\r\n0\r\n\r\n", BAD),
    RESPONSE("chunked twice", OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    RESPONSE("a length in words", OK "Content-Length: five\r\n\r\nhello", BAD),
    RESPONSE("a length, and it closes", OK "Connection: close\r\nContent-Length: 5\r\n\r\nhello", GOOD, .closes = true),
    RESPONSE("until it closes in HTTP/1.1", OK "\r\nhello", GOOD, .closes = true),
    RESPONSE("until it closes, and nothing", OK "\r\n", "200 kept", .closes = true),
    RESPONSE("until it closes, what looks like chunks", OK "\r\n0\r\n\r\npoison",
             "200=0\\x0d\\x0a\\x0d\\x0apoison kept", .closes = true),
    RESPONSE("until it closes for HTTP/1.0", OK "\r\nhello", "200=hello closed", .closes = true,
             .ask = "GET /p HTTP/1.0\r\n\r\n"),
    RESPONSE("chunks for HTTP/1.0", SPLIT "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "200=hello closed",
             .ask = "GET /p HTTP/1.0\r\n\r\n"),
    RESPONSE("until it closes", "HTTP/1.0 200 OK\r\n\r\nhello", "200=hello kept", .closes = true),
    RESPONSE("too little", FIVE "hel", "200=hel cut closed", .closes = true),
    RESPONSE("too little in chunks", SPLIT "5\r\nhel", "200=hel cut closed", .closes = true),
    RESPONSE("no last chunk", SPLIT "5\r\nhello\r\n", "200=hello cut closed", .closes = true),
    /* Refused before its head went out; a later chunk would cut off what has gone. */
    RESPONSE("a bad chunk size", SPLIT "5\r\nhello\r\nxyz\r\n", "closed"),
    RESPONSE("a chunk that is too long", SPLIT "5\r\nhelloworld\r\n0\r\n\r\n", "closed"),
    RESPONSE("chunks with LF", SPLIT "5\nhello\n0\n\n", "closed"),
    RESPONSE("an extension", SPLIT "5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n", GOOD),
    RESPONSE("a size of 17 digits", SPLIT "00000000000000005\r\nhello\r\n0\r\n\r\n", "closed"),
    RESPONSE("trailers", SPLIT "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", GOOD),

    /* --- more than was asked for: the next request must not get it --- */
    RESPONSE("garbage behind the body", FIVE "hellogarbage", GOOD),
    RESPONSE("a second answer behind the body", FIVE "hello" FAKE, GOOD),
    RESPONSE("a second answer behind the chunks", SPLIT "5\r\nhello\r\n0\r\n\r\n" FAKE, GOOD),
    RESPONSE("a body with 204", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello" FAKE, "204 kept"),
    RESPONSE("a body with 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello" FAKE, "304 kept"),
    RESPONSE("a body to HEAD", FIVE "hello" FAKE, "200 kept", .ask = "HEAD /p HTTP/1.1\r\n" H "\r\n"),
    RESPONSE("a body in chunks to HEAD", SPLIT "5\r\nhello\r\n0\r\n\r\n" FAKE, "200 kept",
             .ask = "HEAD /p HTTP/1.1\r\n" H "\r\n"),
    RESPONSE("an answer of no length behind another", OK "Content-Length: 0\r\n\r\n" FAKE, "200 kept"),

    /* --- interim answers --- */
    RESPONSE("103", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" FIVE "hello", "103 200=hello kept"),
    RESPONSE("199", "HTTP/1.1 199 Nobody Knows\r\n\r\n" FIVE "hello", "199 200=hello kept"),
    RESPONSE("103 for HTTP/1.0", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" FIVE "hello", "200=hello closed",
             .ask = "GET /p HTTP/1.0\r\n\r\n"),
    RESPONSE("a body behind 100", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello" FIVE "hello",
             "100 502 kept"),
    RESPONSE("an upgrade that nobody asked for",
             "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello", BAD),
    RESPONSE("only interim answers", "HTTP/1.1 103 Early Hints\r\n\r\n", "103 502 kept", .closes = true),
};

#endif
