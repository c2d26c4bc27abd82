/* SPDX-License-Identifier: MIT
 *
 * Heads as they are passed on, as pairs of before and after; the quarantine and the slots beside them.
 */
#include "gateway/forward.h"
#include "gateway/gateway.h"
#include "gateway/poison.h"
#include "gateway/slots.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char out[GW_FORWARD_MAX];

static void check_request(const char *before, const char *after)
{
    struct http1_head head;
    const struct gw_forward_request facts = { .peer = "10.0.0.1", .peer_len = 8 };
    assert_true(http1_parse_request(before, strlen(before), &http1_default_limits, &head) > 0);
    ssize_t len = gw_forward_request(before, &head, &facts, out, sizeof(out));
    assert_true(len > 0);
    out[len] = '\0';
    assert_string_equal(out, after);
    /* Whatever we forward, the next one must read as the same request. */
    struct http1_head again;
    assert_int_equal(http1_parse_request(out, (size_t)len, &http1_default_limits, &again), len);
    assert_int_equal(again.framing, head.framing);
    assert_int_equal(again.content_length, head.content_length);
    assert_int_equal(again.method, head.method);
    for (size_t room = 0; room < (size_t)len; room++)
        assert_int_equal(gw_forward_request(before, &head, &facts, out, room), -ENOSPC);
}

#define OURS(host) "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: " host "\r\n"

static void requests_before_and_after(void **unused)
{
    (void)unused;
    check_request("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB:  2 \r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB:  2 \r\n" OURS("a") "\r\n");
    check_request("GET /x HTTP/1.1\r\nA: 1\r\nHost: a\r\nConnection: close, b\r\nB: 2\r\nC: 3\r\nTE: trailers\r\n\r\n",
                  "GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nC: 3\r\n" OURS("a") "\r\n");
    check_request(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n" OURS("a") "\r\n");
    check_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" OURS("a") "\r\n");
    check_request("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:  CHUNKED\r\n\r\n",
                  "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" OURS("a") "\r\n");
    check_request("GET http://b:8?q HTTP/1.1\r\nHost: a\r\n\r\n",
                  "GET /?q HTTP/1.1\r\nHost: b:8\r\n" OURS("b:8") "\r\n");
    check_request("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\n" OURS("b") "\r\n");
    check_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: a\r\n" OURS("a") "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    check_request("GET / HTTP/1.0\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n"
                  "X-Forwarded-For: 2.2.2.2\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: \r\nX-Forwarded-Proto: https\r\n"
                  "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1\r\n\r\n");
}

static void check_response(const char *before, enum http1_method method, struct gw_forward_response facts,
                           const char *after)
{
    struct http1_head head;
    assert_true(http1_parse_response(before, strlen(before), method, &http1_default_limits, &head) > 0);
    ssize_t len = gw_forward_response(before, &head, &facts, out, sizeof(out));
    assert_true(len > 0);
    out[len] = '\0';
    assert_string_equal(out, after);
    /* It grows by no more than the headroom of the block it is rewritten in. */
    assert_true((size_t)len <= strlen(before) + GW_HEADROOM);
}

static void responses_before_and_after(void **unused)
{
    (void)unused;
    struct gw_forward_response plain = { 0 }, named = { .served_by = "app-1" }, last = { .close = true };
    struct gw_forward_response old = { .close = true, .http10 = true, .dechunk = true };
    check_response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: 5\r\nConnection: keep-alive\r\nA: b\r\n\r\n",
                   HTTP1_GET, plain, "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n");
    check_response("HTTP/1.0 200 OK\r\nX-Served-By: me\r\nContent-Length: 0\r\n\r\n", HTTP1_GET, named,
                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Served-By: app-1\r\n\r\n");
    check_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n", HTTP1_GET, last,
                   "HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    check_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP1_GET, old,
                   "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    check_response("HTTP/1.1 304\r\nContent-Length: 9\r\n\r\n", HTTP1_GET, plain,
                   "HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n");
    check_response("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", HTTP1_GET, plain,
                   "HTTP/1.1 204 No Content\r\n\r\n");
    check_response("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", HTTP1_GET, last,
                   "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n");
    check_response("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", HTTP1_GET, plain,
                   "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
}

static void the_quarantine_keeps_for_its_time(void **unused)
{
    (void)unused;
    void *shared = gateway_shared_new(NULL);
    uint64_t crash = gw_poison_hash(GW_POISON_SEED, "GET /crash", 10);
    uint64_t other = gw_poison_hash(GW_POISON_SEED, "GET /other", 10);
    assert_non_null(shared);
    assert_false(gw_poison_any(shared, 0));
    gw_poison_add(shared, crash, 100);
    assert_true(gw_poison_any(shared, 99) && gw_poison_has(shared, crash, 99));
    assert_false(gw_poison_has(shared, other, 99));
    assert_false(gw_poison_any(shared, 100) || gw_poison_has(shared, crash, 100));
    gateway_shared_free(shared);
}

static void slots_and_blocks_are_given_out_once_each(void **unused)
{
    (void)unused;
    struct slots slots;
    assert_int_equal(gw_slots_new(&slots, 3, NULL), 0);
    uint32_t conns[3], blocks[6];
    for (int i = 0; i < 3; i++) {
        conns[i] = gw_conn_take(&slots);
        assert_true(conns[i] < 3);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(conns[i], conns[j]);
    }
    assert_int_equal(gw_conn_take(&slots), GW_NONE);
    uint32_t generation = slots.conns[conns[1]].generation;
    gw_conn_put(&slots, conns[1]);
    assert_int_equal(gw_conn_take(&slots), conns[1]);
    assert_int_not_equal(slots.conns[conns[1]].generation, generation);
    for (int i = 0; i < 6; i++) {
        blocks[i] = gw_block_take(&slots);
        memset(gw_block(&slots, blocks[i]), i, GW_BLOCK);
    }
    for (int i = 0; i < 6; i++)
        assert_int_equal(gw_block(&slots, blocks[i])[GW_BLOCK - 1], i);
    uint32_t last = blocks[4];
    gw_block_put(&slots, &blocks[4]);
    assert_int_equal(blocks[4], GW_NONE);
    gw_block_put(&slots, &blocks[4]);
    assert_int_equal(gw_block_take(&slots), last);
    gw_slots_free(&slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_before_and_after),
        cmocka_unit_test(responses_before_and_after),
        cmocka_unit_test(the_quarantine_keeps_for_its_time),
        cmocka_unit_test(slots_and_blocks_are_given_out_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
