/* SPDX-License-Identifier: MIT
 *
 * Routes through a real worker: who gets the request, what is answered without anybody, what is changed on the way.
 */
#include "base/template.h"
#include "rig.h"

static struct client client;

static int ready(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ 0 });
    return 0;
}

static struct board_text text_of(const char *text)
{
    struct board_text ret;
    assert_int_equal(board_text_add(rig.board, text, strlen(text), &ret), 0);
    return ret;
}

static struct board_text template_of(const char *text)
{
    char compiled[256];
    const char *bad;
    assert_true(template_compile(text, compiled, &bad));
    return text_of(compiled);
}

/* The rig's route without its conditions, to be changed and added beside it. */
static struct board_route like_the_first(const char *path)
{
    struct board_route route = rig.board->routes[rig.route];
    route.path = text_of(path);
    return route;
}

static void put_route(const struct board_route *route)
{
    assert_true(board_route_add(rig.board, route) >= 0);
    ring(&rig);
}

static void change_first(const struct board_route *route)
{
    board_write_begin(rig.board);
    rig.board->routes[rig.route] = *route;
    rig.board->routes[rig.route].used = 1;
    rig.board->routes_version++;
    board_write_end(rig.board);
    ring(&rig);
}

/* RFC 9110 §5.6.7: the answer says that it was made about now. */
static bool is_dated(void)
{
    struct tm tm = { 0 };
    const char *date = client_header(&client, "Date");
    const char *end = date ? strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm) : NULL;
    return end && *end == '\0' && llabs((long long)(time(NULL) - timegm(&tm))) < 60;
}

static int exchange(const char *text, enum http1_method method)
{
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, text));
    int status = client_response(&client, method);
    client_close(&client);
    return status;
}

/* The whole answer as it came, head and body. */
static const char *raw_answer(const char *text)
{
    static char answer[32768];
    size_t len = 0;
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, text));
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    for (ssize_t n; (n = recv(client.fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0;)
        len += (size_t)n;
    answer[len] = '\0';
    client_close(&client);
    return answer;
}

static void paths_lead_to_different_answers(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    struct board_route fixed = like_the_first("/fixed"), old = like_the_first("/old");
    fixed.action = BOARD_RESPOND;
    fixed.page = (struct board_page){ .status = 418, .type = text_of("text/x"), .body = text_of("short and stout") };
    old.action = BOARD_REDIRECT;
    old.location = template_of("https://{host}/new{rest}");
    old.page.status = 308;
    put_route(&fixed);
    put_route(&old);
    assert_int_equal(exchange("GET / HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_GET), 200);
    assert_int_equal(exchange("GET /x/../fixed HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_GET), 418);
    assert_string_equal(client.body, "short and stout");
    assert_true(is_dated());
    assert_int_equal(exchange("HEAD /fixed HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_HEAD), 418);
    assert_int_equal(client.head.content_length, 15);
    assert_non_null(
        strstr(raw_answer("GET /old/a?b HTTP/1.1\r\nHost: shop:80\r\n\r\n"), "\r\nLocation: https://shop/new/a?b\r\n"));
    assert_int_equal(exchange("GET /../etc/passwd HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_GET), 400);
    assert_true(is_dated());
    assert_int_equal(rig.up[0].seen->requests, 1);
    /* Several on one connection: pages keep it. */
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /fixed HTTP/1.1\r\nHost: t\r\n\r\nPOST /fixed HTTP/1.1\r\nHost: t\r\n"
                                   "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 418);
    assert_int_equal(client_response(&client, HTTP1_POST), 418);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    client_close(&client);
}

static void maintenance_is_switched_on_and_off_while_it_runs(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    struct board_route open = rig.board->routes[rig.route], closed = open;
    closed.flags = BOARD_MAINTENANCE;
    closed.closed = (struct board_page){
        .status = 503, .retry_after_s = 60, .type = text_of("text/html"), .body = text_of("<h1>Back soon</h1>")
    };
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    change_first(&closed);
    WAIT_FOR(fetch(&rig, &client, "GET", "/") == 503);
    assert_string_equal(client.body, "<h1>Back soon</h1>");
    const char *answer = raw_answer("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_non_null(strstr(answer, "\r\nRetry-After: 60\r\n"));
    assert_non_null(strstr(answer, "\r\nContent-Type: text/html\r\n"));
    change_first(&open);
    WAIT_FOR(fetch(&rig, &client, "GET", "/") == 200);
}

static void a_body_over_the_limit_is_refused_before_or_while_it_comes(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    struct board_route route = rig.board->routes[rig.route];
    route.body_limit = 10;
    change_first(&route);
    assert_int_equal(exchange("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n0123456789", HTTP1_POST),
                     200);
    assert_int_equal(rig.up[0].seen->requests, 1);
    assert_int_equal(exchange("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\n", HTTP1_POST), 413);
    assert_int_equal(exchange("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "b\r\n01234567890\r\n0\r\n\r\n",
                              HTTP1_POST),
                     413);
    assert_int_equal(rig.up[0].seen->requests, 1);
    /* Ten bytes in many chunks are ten bytes; the eleventh is one too many, though the upstream has begun to read. */
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "POST /mirror HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (int i = 0; i < 10; i++)
        assert_true(puts_fd(client.fd, "1;extension=long\r\nx\r\n"));
    WAIT_FOR(rig.up[0].seen->body_bytes == 20);
    assert_true(puts_fd(client.fd, "1\r\nx\r\n"));
    assert_int_equal(client_response(&client, HTTP1_POST), 413);
    assert_false(client.head.keep_alive);
    client_close(&client);
    assert_int_equal(rig.up[0].seen->body_bytes, 20);
}

static void header_fields_and_paths_are_changed_on_the_way(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    struct board_route route = like_the_first("/in");
    route.flags = BOARD_REPLACE;
    route.own = BOARD_OWN_HOST;
    route.request.drop = text_of("cookie\nhost\nx-mine\n");
    route.request.add =
        template_of("Host: inner.example\r\nX-Mine: ours\r\nX-Gap: {method} {rest} {header.none}\r\nX-None: {1}\r\n");
    route.response.drop = text_of("x-app\n");
    route.response.add = template_of("Strict-Transport-Security: max-age=1\r\nX-Asked: {uri}\r\n");
    route.response.add_on_success = text_of("X-Good: yes\r\n");
    route.flags |= BOARD_USES_PATH;
    put_route(&route);
    const char *answer = raw_answer("GET /in/mirror HTTP/1.1\r\nHost: t\r\nX-Mine: theirs\r\nCookie: a=b\r\n"
                                    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n");
    assert_non_null(strstr(answer, "\r\nStrict-Transport-Security: max-age=1\r\n"));
    assert_non_null(strstr(answer, "\r\nX-Asked: /in/mirror\r\nX-Good: yes\r\n"));
    assert_non_null(strstr(answer, "\r\nX-Gap: GET /mirror \r\n"));
    assert_null(strstr(answer, "X-None"));
    assert_non_null(strstr(answer, "\r\n\r\nGET /mirror HTTP/1.1\r\n"));
    assert_non_null(strstr(answer, "\r\nHost: inner.example\r\nX-Mine: ours\r\n"));
    assert_non_null(strstr(answer, "\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"));
    assert_null(strstr(answer, "theirs"));
    assert_null(strstr(answer, "Cookie"));
    assert_null(strstr(answer, "\r\nHost: t\r\n"));
    assert_null(strstr(raw_answer("GET /in/hello HTTP/1.1\r\nHost: t\r\n\r\n"), "X-App"));
    assert_non_null(strstr(raw_answer("GET /hello HTTP/1.1\r\nHost: t\r\n\r\n"), "X-App"));
}

static void paths_are_rewritten(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    struct board_route front = like_the_first("^"), in = like_the_first("/in");
    front.match = BOARD_REGEX;
    front.flags = BOARD_FIRST;
    front.action = BOARD_PASS;
    front.rewrites = template_of("n^/old/(.*)$\n/in/{1}\n"
                                 "p^/away/(.*)$\n//there/{1}?x=1\n");
    in.request.add = template_of("X-Query: {query}\r\nX-Group: {1}\r\n");
    in.flags = BOARD_USES_PATH;
    in.rewrites = template_of("n^/in/a(.*)$\n/in/b{1}\n"
                              "b^/in/b(.*)$\n/mirror{1}?\n"
                              "p^/in/new$\n/to?by={method}?\n"
                              "l^/in/circle$\n/in/circle\n"
                              "b^/in/none$\n{query.none}\n");
    put_route(&front);
    put_route(&in);
    assert_non_null(strstr(raw_answer("GET /old/a?q HTTP/1.1\r\nHost: t\r\n\r\n"), "\r\n\r\nGET /mirror HTTP/1.1\r\n"));
    assert_non_null(strstr(raw_answer("GET /in/b HTTP/1.1\r\nHost: t\r\n\r\n"), "\r\n\r\nGET /mirror HTTP/1.1\r\n"));
    assert_non_null(strstr(raw_answer("GET /in/new?q HTTP/1.1\r\nHost: t\r\n\r\n"), "\r\nLocation: /to?by=GET\r\n"));
    assert_int_equal(exchange("GET /in/circle HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_GET), 500);
    assert_int_equal(exchange("GET /in/none HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_GET), 500);
    const char *answer = raw_answer("GET /away/x?y HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_non_null(strstr(answer, "HTTP/1.1 301 "));
    assert_non_null(strstr(answer, "\r\nLocation: /there/x?x=1&y\r\n"));
    assert_int_equal(exchange("GET /hello HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_GET), 200);
}

static void errors_have_pages(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    struct board_route mine = like_the_first("/mine"), sent = like_the_first("/sent"), left = like_the_first("/left");
    const struct board_error_page page = { .statuses = 2, .on = { 404, 500 }, .page = { .body = text_of("a page") } };
    const struct board_error_page good = { .statuses = 1,
                                           .on = { 410 },
                                           .page = { .status = 200, .body = text_of("good") } };
    const struct board_error_page elsewhere = {
        .statuses = 1, .on = { 404 }, .page = { .status = 302 }, .location = template_of("/from{path}")
    };
    mine.action = sent.action = BOARD_RESPOND;
    mine.page.status = sent.page.status = 404;
    left.action = BOARD_RESPOND;
    left.page.status = 410;
    assert_int_equal(board_error_page_add(rig.board, &good, &mine), 0);
    assert_int_equal(board_error_page_add(rig.board, &page, &mine), 0);
    assert_int_equal(board_error_page_add(rig.board, &elsewhere, &sent), 0);
    left.errors = mine.errors;
    put_route(&mine);
    put_route(&sent);
    put_route(&left);
    assert_int_equal(exchange("GET /mine HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_GET), 404);
    assert_string_equal(client.body, "a page");
    assert_int_equal(exchange("GET /left HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_GET), 200);
    assert_string_equal(client.body, "good");
    assert_non_null(
        strstr(raw_answer("GET /sent/x?y HTTP/1.1\r\nHost: t\r\n\r\n"), "\r\nLocation: /from/sent/x?y\r\n"));
}

static void requests_in_circles_are_stopped(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    board_write_begin(rig.board);
    rig.board->via = 1;
    board_write_end(rig.board);
    ring(&rig);
    static const char seven[] = "GET /mirror HTTP/1.1\r\nHost: t\r\nVia: 1.1 daruma, 1.1 daruma, 1.1 daruma\r\n"
                                "Via: 1.1 daruma, 1.1 daruma, 1.1 daruma, 1.1 daruma\r\n\r\n";
    assert_non_null(strstr(raw_answer(seven), "\r\nVia: 1.1 daruma\r\n"));
    assert_int_equal(
        exchange("GET /mirror HTTP/1.1\r\nHost: t\r\nVia: 1.1 daruma, 1.1 daruma, 1.1 daruma, 1.1 daruma\r\n"
                 "Via: 1.1 daruma, 1.1 daruma, 1.1 daruma, 1.1 daruma\r\n\r\n",
                 HTTP1_GET),
        508);
    assert_int_equal(rig.up[0].seen->requests, 1);
}

static void only_named_networks_are_believed(void **unused)
{
    (void)unused;
    static const char told[] = "GET /mirror HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n";
    rig_upstream(&rig, 0, NULL);
    assert_non_null(strstr(raw_answer(told), "\r\nX-Forwarded-For: 127.0.0.1\r\n"));
    static const struct {
        uint8_t address[4];
        uint16_t bits;
        bool trusted;
    } cases[] = {
        { { 10, 0, 0, 0 }, 8, false },   { { 127, 0, 0, 0 }, 8, true },  { { 127, 0, 0, 1 }, 32, true },
        { { 127, 0, 0, 2 }, 32, false }, { { 127, 0, 0, 2 }, 30, true }, { { 0, 0, 0, 0 }, 0, true },
        { { 127, 0, 0, 4 }, 30, false },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        board_write_begin(rig.board);
        rig.board->used_trusted = 1;
        rig.board->trusted[0] = (struct board_network){ .family = AF_INET, .bits = cases[i].bits };
        memcpy(rig.board->trusted[0].address, cases[i].address, 4);
        board_write_end(rig.board);
        ring(&rig);
        bool added = strstr(raw_answer(told), "\r\nX-Forwarded-For: 9.9.9.9, 127.0.0.1\r\n");
        if (added != cases[i].trusted)
            fail_msg("case %zu", i);
    }
}

/* The same for every attempt of one request, another one for every request; a client's own is kept. */
static void request_ids_name_requests(void **unused)
{
    (void)unused;
    char ids[3][33] = { 0 };
    rig_upstream(&rig, 0, NULL);
    client_open(&client, &rig);
    for (int i = 0; i < 3; i++) {
        assert_true(puts_fd(client.fd, "GET /mirror HTTP/1.1\r\nHost: t\r\n\r\n"));
        assert_int_equal(client_response(&client, HTTP1_GET), 200);
        const char *id = strstr(client.body, "X-Request-Id: ");
        assert_non_null(id);
        (void)snprintf(ids[i], sizeof(ids[i]), "%s", id + 14);
        assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
    }
    assert_true(puts_fd(client.fd, "GET /mirror HTTP/1.1\r\nHost: t\r\nX-Request-Id: order-4711\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_non_null(strstr(client.body, "\r\nX-Request-Id: order-4711\r\n"));
    client_close(&client);
}

static void trailers_reach_the_client(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    const char *answer = raw_answer("GET /chunked HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_non_null(strstr(answer, "\r\n0\r\nX-Sum: 7\r\n\r\n"));
}

/* A target of 5,000 bytes fits into a field that the route adds to answers; more than there is room for is the request's
   misfortune, and nobody's fault. */
static void long_targets_in_answers_harm_no_instance(void **unused)
{
    (void)unused;
    char text[6000];
    rig_upstream(&rig, 0, NULL);
    struct board_route once = like_the_first("/once"), often = like_the_first("/often"), page = like_the_first("/page");
    once.response.add = template_of("X-Uri: {uri}\r\n");
    often.response.add = template_of("X-Uri: {uri} {uri} {uri} {uri}\r\n");
    page.response.add = often.response.add;
    page.action = BOARD_RESPOND;
    page.page = (struct board_page){ .status = 200, .body = text_of("a page") };
    put_route(&once);
    put_route(&often);
    put_route(&page);
    (void)snprintf(text, sizeof(text), "GET /once?%05000d HTTP/1.1\r\nHost: t\r\n\r\n", 0);
    assert_int_equal(exchange(text, HTTP1_GET), 200);
    assert_non_null(strstr(client.head_text, "X-Uri: /once?0"));
    (void)snprintf(text, sizeof(text), "GET /often?%05000d HTTP/1.1\r\nHost: t\r\n\r\n", 0);
    assert_int_equal(exchange(text, HTTP1_GET), 502);
    assert_int_equal(rig.up[0].seen->requests, 2);
    assert_int_equal(rig_gauge(&rig, 0)->errors, 0);
    (void)snprintf(text, sizeof(text), "GET /page?%05000d HTTP/1.1\r\nHost: t\r\n\r\n", 0);
    assert_int_equal(exchange(text, HTTP1_GET), 500);
    assert_int_equal(exchange("GET /page HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_GET), 200);
}

/* What a route adds to a request may make its head longer than any upstream gets: the request is refused, and counted. */
static void heads_that_swell_are_refused(void **unused)
{
    (void)unused;
    char text[16000];
    rig_upstream(&rig, 0, NULL);
    struct board_route route = like_the_first("/swell");
    route.request.add = template_of("X-A: {header.x-big}{header.x-big}{header.x-big}{header.x-big}\r\n"
                                    "X-B: {header.x-big}{header.x-big}{header.x-big}{header.x-big}\r\n");
    put_route(&route);
    (void)snprintf(text, sizeof(text), "GET /swell HTTP/1.1\r\nHost: t\r\nX-Big: %01000d\r\n\r\n", 0);
    assert_int_equal(exchange(text, HTTP1_GET), 200);
    (void)snprintf(text, sizeof(text), "POST /swell HTTP/1.1\r\nHost: t\r\nX-Big: %09000d\r\nContent-Length: 9\r\n\r\n",
                   0);
    assert_int_equal(exchange(text, HTTP1_POST), 431);
    assert_int_equal(rig.up[0].seen->requests, 1);
    assert_int_equal(rig_gauge(&rig, 0)->errors, 0);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0);
    assert_int_equal(rig.gauges->worker[0].limits[GAUGE_HEADER_SIZE], 1);
    assert_int_equal(exchange("GET / HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_GET), 200);
}

#define ROUTING_TEST(name) cmocka_unit_test_setup_teardown(name, ready, over)

/* RFC 9110 §6.6.1. */
static void an_answer_without_a_date_gets_one(void **unused)
{
    (void)unused;
    rig_upstream(&rig, 0, NULL);
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    assert_true(is_dated());
    assert_int_equal(fetch(&rig, &client, "GET", "/dated"), 200);
    assert_string_equal(client_header(&client, "Date"), "Thu, 01 Jan 1970 00:00:00 GMT");
    unsigned dates = 0;
    for (unsigned i = 0; i < client.head.headers; i++)
        dates += client.head.header[i].field == HTTP1_FIELD_DATE;
    assert_int_equal(dates, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTING_TEST(an_answer_without_a_date_gets_one),
        ROUTING_TEST(paths_lead_to_different_answers),
        ROUTING_TEST(maintenance_is_switched_on_and_off_while_it_runs),
        ROUTING_TEST(a_body_over_the_limit_is_refused_before_or_while_it_comes),
        ROUTING_TEST(header_fields_and_paths_are_changed_on_the_way),
        ROUTING_TEST(paths_are_rewritten),
        ROUTING_TEST(errors_have_pages),
        ROUTING_TEST(requests_in_circles_are_stopped),
        ROUTING_TEST(only_named_networks_are_believed),
        ROUTING_TEST(request_ids_name_requests),
        ROUTING_TEST(trailers_reach_the_client),
        ROUTING_TEST(long_targets_in_answers_harm_no_instance),
        ROUTING_TEST(heads_that_swell_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
