/* SPDX-License-Identifier: MIT
 *
 * A real worker that binds clients to instances, and lets requests wait for room.
 */
#include "rig.h"

static struct client client;

static int ready(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .placement = BOARD_ROUND_ROBIN });
    return 0;
}

static int ready_to_give_up(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .hold_ns = 150 * NS_PER_MS });
    return 0;
}

static void limit(uint32_t max_inflight)
{
    board_write_begin(rig.board);
    rig.board->services[rig.service].max_inflight = max_inflight;
    board_write_end(rig.board);
    ring(&rig);
}

static struct board_text text(const char *bytes)
{
    struct board_text text;
    assert_int_equal(board_text_add(rig.board, bytes, strlen(bytes), &text), 0);
    return text;
}

static const struct worker_gauges *gauges(void)
{
    return &rig.gauges->worker[0];
}

/* Sends a GET on a new connection. */
static void ask(struct client *one, const char *path)
{
    char request[128];
    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: t\r\n\r\n", path);
    client_open(one, &rig);
    assert_true(puts_fd(one->fd, request));
}

/* It gets its answer, and goes. */
static void is_served(struct client *one)
{
    assert_int_equal(client_response(one, HTTP1_GET), 200);
    client_close(one);
}

/* Lets one go on that waits in upstream `i`. */
static void release(int i)
{
    assert_int_equal(write(rig.up[i].release_fd, "x", 1), 1);
}

/* --- room ------------------------------------------------------------------------------------------------------- */

/* The first upstream has room for one, and `one` has it. */
static void take_the_only_place(struct client *one)
{
    rig_upstream(&rig, 0, NULL);
    limit(1);
    ask(one, "/wait");
    WAIT_FOR(rig.up[0].seen->requests == 1);
}

/* One more that has to wait. */
static void queue_up(struct client *one, const char *path)
{
    uint32_t before = gauges()->holding;
    ask(one, path);
    WAIT_FOR(gauges()->holding == before + 1);
}

enum { CLIENTS = 5 };

static bool has_answer(const struct client *one)
{
    char byte;
    return recv(one->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void those_who_wait_for_room_get_it_in_order_of_arrival(void **unused)
{
    (void)unused;
    static struct client clients[CLIENTS];
    take_the_only_place(&clients[0]);
    for (int i = 1; i < CLIENTS; i++)
        queue_up(&clients[i], "/wait");
    assert_true(gauges()->waiting_ns[rig.service] > 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(rig_gauge(&rig, 0)->inflight, 1);
        release(0);
        assert_int_equal(client_response(&clients[i], HTTP1_GET), 200);
        for (int later = i + 1; later < CLIENTS; later++)
            assert_false(has_answer(&clients[later]));
        WAIT_FOR(i + 1 == CLIENTS || rig.up[0].seen->requests == (uint32_t)i + 2);
        client_close(&clients[i]);
    }
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0);
    assert_true(gauges()->holding == 0 && gauges()->waiting_ns[rig.service] == 0);
    assert_int_equal(gauges()->routes[rig.route].held, CLIENTS - 1);
}

static void who_leaves_or_is_given_more_room_keeps_nobody_waiting(void **unused)
{
    (void)unused;
    static struct client clients[CLIENTS];
    take_the_only_place(&clients[0]);
    for (int i = 1; i < CLIENTS; i++)
        queue_up(&clients[i], "/");
    /* The first in the queue leaves; an orderly end at once might mean that it still listens. */
    (void)setsockopt(clients[1].fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    client_close(&clients[1]);
    WAIT_FOR(gauges()->holding == CLIENTS - 2);
    limit(2);
    for (int i = 2; i < CLIENTS; i++)
        assert_int_equal(client_response(&clients[i], HTTP1_GET), 200);
    /* A second instance is room as well. */
    limit(1);
    assert_true(puts_fd(clients[2].fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(gauges()->holding == 1);
    rig_upstream(&rig, 1, NULL);
    assert_int_equal(client_response(&clients[2], HTTP1_GET), 200);
    assert_string_equal(clients[2].body, "hello from app-2\n");
    release(0);
    is_served(&clients[0]);
    for (int i = 2; i < CLIENTS; i++)
        client_close(&clients[i]);
}

static void who_ends_while_it_waits_has_given_up(void **unused)
{
    (void)unused;
    static struct client patient, hasty, second;
    take_the_only_place(&client);
    queue_up(&patient, "/");
    assert_int_equal(shutdown(patient.fd, SHUT_WR), 0); /* all is said, as `nc -N` says it */
    queue_up(&hasty, "/");
    queue_up(&second, "/");
    clock_sleep(1100 * NS_PER_MS);
    client_close(&hasty);
    WAIT_FOR(gauges()->holding == 2);
    release(0);
    is_served(&client);
    is_served(&patient);
    is_served(&second);
    assert_int_equal(rig.up[0].seen->requests, 3);
}

static void who_has_waited_for_room_too_long_gets_503(void **unused)
{
    (void)unused;
    static struct client first;
    take_the_only_place(&first);
    ask(&client, "/");
    assert_int_equal(client_response(&client, HTTP1_GET), 503);
    assert_non_null(client_header(&client, "Retry-After"));
    client_close(&client);
    assert_int_equal(gauges()->routes[rig.route].hold_expired, 1);
    assert_int_equal(gauges()->holding, 0);
    assert_int_equal(rig.up[0].seen->requests, 1);
    client_close(&first);
}

static void nobody_stays_in_the_queue_of_the_dead(void **unused)
{
    (void)unused;
    static struct client first;
    take_the_only_place(&first);
    queue_up(&client, "/");
    upstream_kill(&rig.up[0]);
    rig_endpoint(&rig, 0, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 1);
    rig_upstream(&rig, 1, NULL);
    release(1); /* the first one, which is innocent, came before */
    is_served(&first);
    is_served(&client);
}

/* Half of them break off at once, more than may be tried again at a time. */
static void retries_beyond_the_budget_wait_for_each_other(void **unused)
{
    (void)unused;
    enum { MANY = 24 };
    static struct client clients[MANY];
    limit(0);
    for (int i = 0; i < MANY; i++)
        ask(&clients[i], "/close-1");
    WAIT_FOR(gauges()->holding == MANY);
    board_write_begin(rig.board); /* both at once */
    rig_upstream(&rig, 0, NULL);
    rig_upstream(&rig, 1, NULL);
    board_write_end(rig.board);
    ring(&rig);
    for (int i = 0; i < MANY; i++) {
        is_served(&clients[i]);
        assert_string_equal(clients[i].body, "hello from app-2\n");
    }
    assert_int_equal(rig.up[0].seen->requests, MANY / 2);
    assert_int_equal(gauges()->routes[rig.route].retry_denied, 0);
    assert_int_equal(gauges()->holding, 0);
}

/* --- bound to an instance --------------------------------------------------------------------------------------- */

/* Which upstream answered: "app-1" … */
static const char *served(const char *fields)
{
    static char name[16];
    char request[256];
    (void)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: t\r\n%s\r\n", fields);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, request));
    is_served(&client);
    assert_int_equal(sscanf(client.body, "hello from %15s", name), 1);
    return name;
}

static void a_sticky_client_comes_back_to_its_instance_until_that_is_gone(void **unused)
{
    (void)unused;
    board_write_begin(rig.board);
    rig.board->routes[rig.route].sticky = text("at");
    rig.board->routes[rig.route].sticky_more = text("; Path=/");
    board_write_end(rig.board);
    for (int i = 0; i < 3; i++)
        rig_upstream(&rig, i, NULL);
    WAIT_FOR(rig_gauge(&rig, 2)->generation > 0);

    char first[16], cookie[64], fields[128];
    (void)snprintf(first, sizeof(first), "%s", served(""));
    const char *given = client_header(&client, "Set-Cookie");
    assert_non_null(given);
    assert_int_equal(sscanf(given, "at=%8[0-9a-f]; Path=/", cookie), 1);
    (void)snprintf(fields, sizeof(fields), "Cookie: other=1; at=%s; x=y\r\n", cookie);
    for (int i = 0; i < 12; i++) {
        assert_string_equal(served(fields), first);
        assert_null(client_header(&client, "Set-Cookie")); /* it has it already */
    }
    int gone = first[4] - '1';
    rig_endpoint(&rig, gone, BOARD_ENDPOINT_DRAINING, CAUSE_NONE, 0);
    WAIT_FOR(strcmp(served(fields), first) != 0);
    given = client_header(&client, "Set-Cookie");
    assert_non_null(given);
    assert_null(strstr(given, cookie));
    /* What somebody has made up is no cookie of ours. */
    (void)served("Cookie: at=zzzzzzzz\r\n");
    assert_non_null(client_header(&client, "Set-Cookie"));
}

static void the_same_value_goes_to_the_same_instance(void **unused)
{
    (void)unused;
    static const char *const forms[] = { "X-User: %d\r\n", "Cookie: a=b; user=%d\r\n" };
    for (int i = 0; i < 4; i++)
        rig_upstream(&rig, i, NULL);
    WAIT_FOR(rig_gauge(&rig, 3)->generation > 0);
    for (int form = 0; form < 2; form++) {
        board_write_begin(rig.board);
        struct board_route *route = &rig.board->routes[rig.route];
        route->placement = BOARD_HASH;
        route->hash_of = form == 0 ? BOARD_HASH_HEADER : BOARD_HASH_COOKIE;
        route->hash_name = text(form == 0 ? "x-user" : "user");
        board_write_end(rig.board);
        ring(&rig);
        unsigned used = 0;
        for (int user = 0; user < 24; user++) {
            char fields[64], first[16];
            (void)snprintf(fields, sizeof(fields), forms[form], user);
            (void)snprintf(first, sizeof(first), "%s", served(fields));
            for (int i = 0; i < 3; i++)
                assert_string_equal(served(fields), first);
            used |= 1u << (first[4] - '1');
        }
        assert_int_equal(used, 15); /* all of them have somebody */
    }
}

#define T(name, setup) cmocka_unit_test_setup_teardown(name, setup, over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(those_who_wait_for_room_get_it_in_order_of_arrival, ready),
        T(who_leaves_or_is_given_more_room_keeps_nobody_waiting, ready),
        T(who_ends_while_it_waits_has_given_up, ready),
        T(who_has_waited_for_room_too_long_gets_503, ready_to_give_up),
        T(nobody_stays_in_the_queue_of_the_dead, ready),
        T(retries_beyond_the_budget_wait_for_each_other, ready),
        T(a_sticky_client_comes_back_to_its_instance_until_that_is_gone, ready),
        T(the_same_value_goes_to_the_same_instance, ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
