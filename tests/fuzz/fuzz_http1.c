/* SPDX-License-Identifier: MIT
 *
 * Properties of the HTTP parser over any bytes. The first byte says what the rest is: a request, a response (to which
 * method), or a chunked body.
 *  - A decision does not depend on how much more has arrived.
 *  - Slices lie within the head; a head is never longer than what was given or allowed.
 *  - A chunked body cut anywhere is followed the same way, and its data is the same; also when data goes by unseen.
 */
#include "base/http1.h"

#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static int parse(const char *buf, size_t len, unsigned kind, struct http1_head *head)
{
    return kind == 0 ? http1_parse_request(buf, len, &http1_default_limits, head)
                     : http1_parse_response(buf, len, (enum http1_method)(kind % 10), &http1_default_limits, head);
}

static void check_slice(struct http1_slice slice, uint32_t len)
{
    CHECK(slice.at <= len && slice.len <= len - slice.at);
}

static void check_head(const char *buf, size_t len, unsigned kind)
{
    struct http1_head head, part;
    int whole = parse(buf, len, kind, &head);
    CHECK(whole <= (int)len);
    size_t stride = len > 600 ? len / 300 : 1;
    for (size_t cut = 0; cut < len; cut += stride) {
        int step = parse(buf, cut, kind, &part);
        CHECK(step == 0 || step == whole);
    }
    if (whole <= 0)
        return;
    CHECK(head.len == (uint32_t)whole && head.len <= http1_default_limits.head);
    CHECK(head.headers <= http1_default_limits.headers);
    CHECK(memcmp(buf + head.len - 2, "\r\n", 2) == 0);
    check_slice(head.target, head.len);
    check_slice(head.host, head.len);
    check_slice(head.path, head.len);
    check_slice(head.reason, head.len);
    for (int i = 0; i < head.headers; i++) {
        check_slice(head.header[i].name, head.len);
        check_slice(head.header[i].value, head.len);
        CHECK(head.header[i].name.len > 0);
        CHECK(!memchr(buf + head.header[i].value.at, '\n', head.header[i].value.len));
    }
    CHECK(parse(buf, head.len, kind, &part) == whole);
}

/* Nothing but the framing is looked at. */
static void check_unseen(const char *buf, size_t len, ssize_t end, size_t data)
{
    struct http1_chunked chunked = { 0 };
    size_t at = 0;
    while (at < len && !chunked.done) {
        uint64_t run = http1_chunked_run(&chunked);
        if (run == 0 && http1_chunked_feed(&chunked, buf + at, 1) < 0) {
            CHECK(end < 0);
            return;
        }
        if (run > len - at)
            run = len - at;
        if (run > 0)
            http1_chunked_skip(&chunked, run);
        at += run > 0 ? (size_t)run : 1;
    }
    CHECK(end >= 0 && at == (size_t)end && chunked.data == data);
}

static void check_chunked(const char *buf, size_t len)
{
    struct http1_chunked whole = { 0 };
    char *out = malloc(len + 1), *piecewise = malloc(len + 1);
    size_t out_len = 0, got = 0, at = 0;
    CHECK(out && piecewise);
    ssize_t end = http1_chunked_data(&whole, buf, len, out, &out_len);

    struct http1_chunked byte = { 0 };
    ssize_t step = 0;
    while (at < len && !byte.done) {
        size_t one = 0;
        step = http1_chunked_data(&byte, buf + at, 1, piecewise + got, &one);
        if (step < 0)
            break;
        got += one;
        at++;
    }
    CHECK((end < 0) == (step < 0));
    if (end >= 0) {
        CHECK((size_t)end == at && whole.done == byte.done && got == out_len);
        CHECK(memcmp(out, piecewise, got) == 0);
    }
    check_unseen(buf, len, end, out_len);
    free(out);
    free(piecewise);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    /* A copy of exact size, so that the sanitizer sees each byte read beyond. */
    char *buf = malloc(size - 1 ? size - 1 : 1);
    CHECK(buf);
    memcpy(buf, data + 1, size - 1);
    if (data[0] == 'c')
        check_chunked(buf, size - 1);
    else
        check_head(buf, size - 1, data[0] == 'q' ? 0 : (unsigned)data[0] % 10 + 10);
    free(buf);
    return 0;
}
