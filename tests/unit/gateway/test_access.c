/* SPDX-License-Identifier: MIT
 *
 * The access log: what its lines look like, what the ring does when it is full, and what a worker writes.
 */
#include "rig.h"

#include "gateway/access.h"

#include <jansson.h>

static char line[ACCESS_LINE + 1];

#define SPAN(text) ((struct gw_span){ (text), sizeof(text) - 1 })

static struct access_entry usual(void)
{
    return (struct access_entry){
        .wall_ns = INT64_C(1700000000) * NS_PER_S + 7 * NS_PER_MS,
        .client = SPAN("2001:db8::1"),
        .method = SPAN("GET"),
        .target = SPAN("/a?b=\"c\\"),
        .host = SPAN("shop"),
        .agent = SPAN("x\t\"y\"\xff"),
        .id = SPAN("id-1"),
        .minor = 1,
        .status = 200,
        .retries = 1,
        .bytes = 12345,
        .duration_ns = 1234567,
        .held_ns = 20 * NS_PER_MS,
        .upstream = "app-1",
    };
}

static void a_line_says_what_happened(void **unused)
{
    (void)unused;
    struct access_entry entry = usual();
    line[access_format(BOARD_ACCESS_JSON, &entry, line)] = '\0';
    assert_string_equal(line, "{\"time\":\"2023-11-14T22:13:20.007Z\",\"client\":\"2001:db8::1\",\"method\":\"GET\","
                              "\"host\":\"shop\",\"target\":\"/a?b=\\u0022c\\u005c\",\"status\":200,\"bytes\":12345,"
                              "\"duration_ms\":1.234,\"upstream\":\"app-1\",\"retries\":1,\"held_ms\":20.000,"
                              "\"request_id\":\"id-1\"}\n");
    json_t *json = json_loads(line, 0, NULL);
    assert_non_null(json);
    json_decref(json);
    line[access_format(BOARD_ACCESS_COMBINED, &entry, line)] = '\0';
    assert_string_equal(line,
                        "2001:db8::1 - - [14/Nov/2023:22:13:20 +0000] \"GET /a?b=\\x22c\\x5c HTTP/1.1\" 200 12345 "
                        "\"-\" \"x\\x09\\x22y\\x22\\xff\"\n");
}

/* Whatever a client sends: one line, that fits. */
static void hostile_texts_are_cut_and_escaped(void **unused)
{
    (void)unused;
    static char hostile[16384];
    for (size_t i = 0; i < sizeof(hostile); i++)
        hostile[i] = (char)i;
    struct access_entry entry = usual();
    entry.target = entry.host = entry.agent = entry.referer = entry.method = entry.id =
        (struct gw_span){ hostile, sizeof(hostile) };
    entry.upstream = NULL;
    for (enum board_access format = BOARD_ACCESS_JSON; format <= BOARD_ACCESS_COMBINED; format++) {
        size_t len = access_format(format, &entry, line);
        assert_true(len > 0 && len <= ACCESS_LINE);
        assert_ptr_equal(memchr(line, '\n', len), line + len - 1);
    }
    line[access_format(BOARD_ACCESS_JSON, &entry, line)] = '\0';
    json_t *json = json_loads(line, JSON_ALLOW_NUL, NULL);
    assert_true(json && json_is_null(json_object_get(json, "upstream")));
    json_decref(json);
}

static void a_full_ring_drops_and_counts(void **unused)
{
    (void)unused;
    static char text[ACCESS_RING], piece[1000], expected[ACCESS_RING];
    struct access_ring *ring = access_rings_new(1, NULL);
    assert_non_null(ring);
    memset(piece, 'x', sizeof(piece));
    piece[999] = '\n';
    unsigned put = 0;
    while (access_ring_put(ring, piece, sizeof(piece)))
        put++;
    assert_int_equal(put, ACCESS_RING / 1000);
    assert_int_equal(ring->dropped, 1);
    /* Only whole lines are taken, and what was taken makes room. */
    assert_int_equal(access_ring_take(ring, text, ACCESS_LINE), 12000);
    assert_true(access_ring_put(ring, piece, sizeof(piece)));
    while (access_ring_take(ring, text, sizeof(text)) > 0)
        ;
    /* Across the end of the ring, many times. */
    for (unsigned i = 0; i < 3000; i++) {
        int len = snprintf(expected, sizeof(expected), "%u %.*s\n", i, (int)(i * 7 % 900), piece);
        assert_true(access_ring_put(ring, expected, (size_t)len));
        assert_int_equal(access_ring_take(ring, text, sizeof(text)), len);
        assert_memory_equal(text, expected, (size_t)len);
    }
    access_rings_free(ring, 1);
}

/* --- through a worker ------------------------------------------------------------------------------------------- */

static struct client client;

static int ready(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .access = BOARD_ACCESS_JSON, .hold_ns = 50 * NS_PER_MS });
    return 0;
}

/* The next line of the log, as JSON. */
static json_t *next_line(void)
{
    static char text[ACCESS_RING];
    size_t len = 0;
    WAIT_FOR((len = access_ring_take(rig.access, text, sizeof(text))) > 0);
    json_t *json = json_loadb(text, len, 0, NULL);
    if (!json)
        fail_msg("not one line of JSON: %.*s", (int)len, text);
    return json;
}

static void check_line(const char *method, const char *target, int status, const char *upstream)
{
    json_t *json = next_line();
    assert_string_equal(json_string_value(json_object_get(json, "method")), method);
    assert_string_equal(json_string_value(json_object_get(json, "target")), target);
    assert_int_equal(json_integer_value(json_object_get(json, "status")), status);
    assert_string_equal(json_string_value(json_object_get(json, "client")), "127.0.0.1");
    if (upstream)
        assert_string_equal(json_string_value(json_object_get(json, "upstream")), upstream);
    else
        assert_true(json_is_null(json_object_get(json, "upstream")));
    json_decref(json);
}

static void each_request_is_a_line(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /mirror HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    json_t *json = next_line();
    const char *id = json_string_value(json_object_get(json, "request_id"));
    assert_int_equal(strlen(id), 32);
    if (!strstr(client.body, id)) /* the upstream got the same */
        fail_msg("%s is not in %s", id, client.body);
    assert_true(json_integer_value(json_object_get(json, "bytes")) > (json_int_t)client.body_len);
    json_decref(json);
    assert_true(
        puts_fd(client.fd, "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nX-Request-Id: mine\r\n\r\nabc"));
    assert_int_equal(client_response(&client, HTTP1_POST), 200);
    json = next_line();
    assert_string_equal(json_string_value(json_object_get(json, "request_id")), "mine");
    json_decref(json);
    /* A body that is larger than the block: the head is still known at the end. */
    static char piece[65536];
    assert_true(puts_fd(client.fd, "PUT /large HTTP/1.1\r\nHost: t\r\nContent-Length: 1048576\r\n\r\n"));
    for (int i = 0; i < 16; i++)
        assert_true(put(client.fd, piece, sizeof(piece)));
    assert_int_equal(client_response(&client, HTTP1_PUT), 200);
    assert_int_equal(rig.up[0].seen->body_bytes, 3 + 1048576);
    check_line("PUT", "/large", 200, "app-1");
    client_close(&client);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 101);
    check_line("GET", "/upgrade", 101, "app-1");
    client_close(&client);
    WAIT_FOR(rig.gauges->worker[0].connections == 0);
    static char rest[ACCESS_RING];
    assert_int_equal(access_ring_take(rig.access, rest, sizeof(rest)), 0);
}

static void a_request_that_was_held_in_vain_says_how_long(void **unused)
{
    (void)unused;
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 503);
    json_t *json = next_line();
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 503);
    assert_true(json_is_null(json_object_get(json, "upstream")));
    double held = json_number_value(json_object_get(json, "held_ms"));
    if (held < 50 || held > 5000)
        fail_msg("held for %f ms", held);
    json_decref(json);
}

static void a_sample_is_a_share(void **unused)
{
    (void)unused;
    static char text[ACCESS_RING];
    rig_upstream(&rig, 0, NULL);
    board_write_begin(rig.board);
    rig.board->access_sample = UINT32_MAX / 4;
    board_write_end(rig.board);
    ring(&rig);
    unsigned lines = 0;
    client_open(&client, &rig);
    for (int i = 0; i < 1000; i++) {
        assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
        assert_int_equal(client_response(&client, HTTP1_GET), 200);
        size_t len = access_ring_take(rig.access, text, sizeof(text));
        for (size_t at = 0; at < len; at++)
            lines += text[at] == '\n';
    }
    client_close(&client);
    if (lines < 150 || lines > 350)
        fail_msg("%u of 1000 were logged", lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_what_happened),
        cmocka_unit_test(hostile_texts_are_cut_and_escaped),
        cmocka_unit_test(a_full_ring_drops_and_counts),
        cmocka_unit_test_setup_teardown(each_request_is_a_line, ready, over),
        cmocka_unit_test_setup_teardown(a_request_that_was_held_in_vain_says_how_long, ready, over),
        cmocka_unit_test_setup_teardown(a_sample_is_a_share, ready, over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
