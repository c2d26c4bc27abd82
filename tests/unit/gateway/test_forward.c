/* SPDX-License-Identifier: MIT
 *
 * Heads as they are passed on, as pairs of before and after; the quarantine and the slots beside them.
 */
#include "gateway/forward.h"

#include "base/hash.h"
#include "gateway/gateway.h"
#include "gateway/shared.h"
#include "gateway/slots.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char out[GW_FORWARD_MAX];

/* The head as it goes on, under the facts given. */
static void check_request_with(const char *before, const struct gw_forward_request *given, const char *after)
{
    struct http1_head head;
    struct gw_forward_request facts = *given;
    memcpy(facts.made_id, "0123456789abcdef0123456789abcdef", sizeof(facts.made_id));
    if (!facts.peer.text)
        facts.peer = (struct gw_span){ "10.0.0.1", 8 };
    facts.service = (struct gw_span){ "shop", 4 };
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

static void check_request(const char *before, const char *after)
{
    check_request_with(before, &(struct gw_forward_request){ 0 }, after);
}

#define ID "X-Request-Id: 0123456789abcdef0123456789abcdef\r\n"
#define OURS(host)                                                                                                     \
    "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: " host                                  \
    "\r\nForwarded: for=10.0.0.1;host=\"" host "\";proto=http\r\n" ID

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
                  "GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: http\r\n"
                  "Forwarded: for=10.0.0.1;proto=http\r\n" ID "\r\n");
}

/* What clients say about who was before them is replaced; what a trusted proxy says is added to. */
static void only_trusted_proxies_are_believed(void **unused)
{
    (void)unused;
    static const char told[] = "GET / HTTP/1.1\r\nHost: a:80\r\nX-Forwarded-For: 1.1.1.1\r\n"
                               "X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nX-Forwarded-Port: 443\r\n"
                               "Forwarded: for=1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n";
    struct gw_forward_request facts = { .peer = { "::1", 3 }, .port = 8080 };
    check_request_with(told, &facts,
                       "GET / HTTP/1.1\r\nHost: a:80\r\nX-Forwarded-For: ::1\r\nX-Forwarded-Proto: http\r\n"
                       "X-Forwarded-Host: a:80\r\nX-Forwarded-Port: 8080\r\n"
                       "Forwarded: for=\"[::1]\";host=\"a:80\";proto=http\r\n" ID "\r\n");
    facts.trusted = true;
    check_request_with(told, &facts,
                       "GET / HTTP/1.1\r\nHost: a:80\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n"
                       "X-Forwarded-Port: 443\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, ::1\r\n"
                       "Forwarded: for=1.1.1.1, for=\"[::1]\";host=\"a:80\";proto=http\r\n" ID "\r\n");
    /* A client cannot get rid of ours by naming them hop-by-hop. */
    facts.trusted = false;
    check_request_with("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\nX-Request-Id: mine\r\n"
                       "Connection: x-forwarded-for, x-request-id\r\n\r\n",
                       &facts,
                       "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ::1\r\nX-Forwarded-Proto: http\r\n"
                       "X-Forwarded-Host: a\r\nX-Forwarded-Port: 8080\r\n"
                       "Forwarded: for=\"[::1]\";host=\"a\";proto=http\r\n" ID "\r\n");
}

static void request_ids_are_kept_when_they_are_valid(void **unused)
{
    (void)unused;
    char text[512], long_id[130];
    struct http1_head head;
    static const char made[GW_REQUEST_ID] = "0123456789abcdef0123456789abcde";
    static const char *const bad[] = { "", "a b", "a\"b", "a;b", "a\tb", "\xc3\xa4" };

    memset(long_id, 'x', 129);
    long_id[129] = '\0';
    assert_false(gw_forward_id_valid(long_id, 129));
    assert_true(gw_forward_id_valid(long_id, 128));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: %s\r\n\r\n", bad[i]);
        assert_true(http1_parse_request(text, (size_t)len, &http1_default_limits, &head) > 0);
        assert_ptr_equal(gw_forward_id(text, &head, made).text, made);
    }
    int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: 4bf9-2f_3:A/b+c=\r\n\r\n");
    assert_true(http1_parse_request(text, (size_t)len, &http1_default_limits, &head) > 0);
    struct gw_span id = gw_forward_id(text, &head, made);
    assert_int_equal(id.len, 16);
    assert_memory_equal(id.text, "4bf9-2f_3:A/b+c=", 16);
}

static void via_counts_how_often_a_request_came_by(void **unused)
{
    (void)unused;
    struct http1_head head;
    static const char none[] = "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 nginx\r\n\r\n";
    static const char three[] =
        "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 daruma, 1.1 nginx, 1.1 daruma\r\nVia: 1.1 daruma\r\n\r\n";
    assert_true(http1_parse_request(none, strlen(none), &http1_default_limits, &head) > 0);
    assert_int_equal(gw_forward_hops(none, &head), 0);
    assert_true(http1_parse_request(three, strlen(three), &http1_default_limits, &head) > 0);
    assert_int_equal(gw_forward_hops(three, &head), 3);
    check_request_with("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 x\r\n\r\n", &(struct gw_forward_request){ .via = true },
                       "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 x\r\n" OURS("a") "Via: 1.1 daruma\r\n\r\n");
}

static void routes_change_header_fields_and_paths(void **unused)
{
    (void)unused;
    const struct gw_forward_request facts = {
        .own = BOARD_OWN_HOST,
        .target = { { "", 0 }, { "/rest?q", 7 } },
        .rewrite = { .drop = { "cookie\nx-a\nhost\n", 16 }, .add = { "X-A: mine\r\nHost: inner\r\n", 24 } },
    };
    static const char traced[] = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
    char before[512], after[1024];
    (void)snprintf(before, sizeof(before),
                   "GET /api/rest?q HTTP/1.1\r\nHost: a\r\nX-a: theirs\r\n%sCOOKIE: c\r\nB: 1\r\n\r\n", traced);
    (void)snprintf(after, sizeof(after),
                   "GET /rest?q HTTP/1.1\r\n%sB: 1\r\n" OURS("a") "X-A: mine\r\nHost: inner\r\n\r\n", traced);
    check_request_with(before, &facts, after);
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
    struct gw_forward_response rewritten = {
        .rewrite = { .drop = { "server\nx-a\n", 11 }, .add = { "X-A: mine\r\n", 11 } },
    };
    check_response("HTTP/1.1 200 OK\r\nServer: x\r\nX-a: 1\r\nX-A: 2\r\nB: 1\r\nContent-Length: 0\r\n\r\n", HTTP1_GET,
                   rewritten, "HTTP/1.1 200 OK\r\nB: 1\r\nContent-Length: 0\r\nX-A: mine\r\n\r\n");
    struct gw_forward_response dated = { .date = { "now", 3 } };
    check_response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HTTP1_GET, dated,
                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: now\r\n\r\n");
    dated.rewrite = (struct gw_rewrite){ .drop = { "x-date\ndate\n", 12 }, .add = { "Date: never\r\n", 13 } };
    check_response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HTTP1_GET, dated,
                   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: never\r\n\r\n");
    struct gw_forward_response moved = { .rewrite = { .locations = { "http://app/\n/x/\nhttp://\nhttps://\n", 33 } } };
    check_response("HTTP/1.1 302 Found\r\nLocation: http://app/a?b\r\nContent-Length: 0\r\nA: b\r\n\r\n", HTTP1_GET,
                   moved, "HTTP/1.1 302 Found\r\nA: b\r\nLocation: /x/a?b\r\nContent-Length: 0\r\n\r\n");
    check_response("HTTP/1.1 201 Created\r\nlocation: http://apple/\r\nContent-Length: 0\r\n\r\n", HTTP1_GET, moved,
                   "HTTP/1.1 201 Created\r\nLocation: https://apple/\r\nContent-Length: 0\r\n\r\n");
    check_response("HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n", HTTP1_GET, moved,
                   "HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n");
    check_response("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", HTTP1_GET, plain,
                   "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
}

static void the_quarantine_keeps_for_its_time(void **unused)
{
    (void)unused;
    struct gw_shared *shared = gateway_shared_new(NULL);
    uint64_t crash = hash_bytes(HASH_SEED, "GET /crash", 10);
    uint64_t other = hash_bytes(HASH_SEED, "GET /other", 10);
    assert_non_null(shared);
    assert_false(gw_poison_any(&shared->quarantine, 0));
    gw_poison_add(&shared->quarantine, crash, 100);
    assert_true(gw_poison_any(&shared->quarantine, 99) && gw_poison_has(&shared->quarantine, crash, 99));
    assert_false(gw_poison_has(&shared->quarantine, other, 99));
    assert_false(gw_poison_any(&shared->quarantine, 100) || gw_poison_has(&shared->quarantine, crash, 100));
    gateway_shared_free(shared);
}

static void suspects_are_tried_one_after_the_other(void **unused)
{
    (void)unused;
    struct gw_shared *shared = gateway_shared_new(NULL);
    assert_non_null(shared);
    assert_true(gw_poison_trial(&shared->quarantine, 1, 0, 100));
    assert_true(gw_poison_trial(&shared->quarantine, 1, 50, 150)); /* still its turn */
    assert_false(gw_poison_trial(&shared->quarantine, 2, 50, 150));
    gw_poison_trial_over(&shared->quarantine, 2); /* it was never its turn */
    assert_false(gw_poison_trial(&shared->quarantine, 2, 50, 150));
    gw_poison_trial_over(&shared->quarantine, 1);
    assert_true(gw_poison_trial(&shared->quarantine, 2, 60, 160));
    assert_false(gw_poison_trial(&shared->quarantine, 3, 159, 300));
    assert_true(
        gw_poison_trial(&shared->quarantine, 3, 160, 300)); /* one that takes too long has the next one beside it */
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

static void how_long_an_idle_connection_is_kept_is_read(void **unused)
{
    (void)unused;
    static const struct {
        const char *value;
        uint32_t seconds;
    } rows[] = {
        { "timeout=5", 5 },  { "timeout=5, max=100", 5 }, { "max=7, Timeout=65", 65 }, { "", 0 },
        { "timeout", 0 },    { "timeout=", 0 },           { "timeout=x", 0 },          { "max=3", 0 },
        { "timeout= 5", 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[128];
        struct http1_head head;
        (void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: %s\r\n\r\n",
                       rows[i].value);
        assert_true(http1_parse_response(text, strlen(text), HTTP1_GET, &http1_default_limits, &head) > 0);
        assert_int_equal(gw_forward_keep_alive(text, &head), rows[i].seconds);
    }
    struct http1_head head;
    const char *none = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_true(http1_parse_response(none, strlen(none), HTTP1_GET, &http1_default_limits, &head) > 0);
    assert_int_equal(gw_forward_keep_alive(none, &head), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_before_and_after),
        cmocka_unit_test(responses_before_and_after),
        cmocka_unit_test(only_trusted_proxies_are_believed),
        cmocka_unit_test(request_ids_are_kept_when_they_are_valid),
        cmocka_unit_test(via_counts_how_often_a_request_came_by),
        cmocka_unit_test(routes_change_header_fields_and_paths),
        cmocka_unit_test(how_long_an_idle_connection_is_kept_is_read),
        cmocka_unit_test(the_quarantine_keeps_for_its_time),
        cmocka_unit_test(suspects_are_tried_one_after_the_other),
        cmocka_unit_test(slots_and_blocks_are_given_out_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
