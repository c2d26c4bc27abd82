/* SPDX-License-Identifier: MIT
 *
 * A real worker before instances that stop answering: SIGSTOP, as a hung program looks from outside.
 */
#include "rig.h"

static struct client client;

static int ready(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .placement = BOARD_ROUND_ROBIN,
                                           .response_timeout_ns = 10 * NS_PER_S,
                                           .patience_min_ns = 50 * NS_PER_MS,
                                           .patience_max_ns = 300 * NS_PER_MS });
    rig_upstream(&rig, 0, NULL);
    rig_upstream(&rig, 1, NULL);
    return 0;
}

static const struct route_gauge *route_gauge(void)
{
    return &rig.gauges->worker[0].routes[rig.route];
}

static void stop(int i)
{
    int status;
    assert_int_equal(kill(rig.up[i].pid, SIGSTOP), 0);
    assert_int_equal(waitpid(rig.up[i].pid, &status, WUNTRACED), rig.up[i].pid);
    assert_true(WIFSTOPPED(status));
}

static void go_on(int i)
{
    assert_int_equal(kill(rig.up[i].pid, SIGCONT), 0);
}

/* Answers from both, so that it is known how long they take. */
static void warm_up(void)
{
    for (int i = 0; i < 20; i++)
        assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    assert_true(rig.up[0].seen->requests > 0 && rig.up[1].seen->requests > 0);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0 && rig_gauge(&rig, 1)->inflight == 0);
}

static uint64_t sum_of(const _Atomic uint32_t *cells, uint64_t ret_counts[GAUGES_LATENCY])
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < GAUGES_LATENCY; i++)
        sum += ret_counts[i] = cells[i];
    return sum;
}

static void how_long_nobody_was_answered_is_counted(void **unused)
{
    (void)unused;
    uint64_t counts[GAUGES_LATENCY];

    warm_up();
    assert_int_equal(sum_of(route_gauge()->latency, counts), 20);
    assert_int_equal(sum_of(route_gauge()->quiet, counts), 20);
    assert_int_equal(route_gauge()->waiting, 0);
    stop(0);
    stop(1);
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    WAIT_FOR(route_gauge()->waiting == 1);
    int64_t begun = clock_now();
    WAIT_FOR(clock_now() - begun > 100 * NS_PER_MS);
    go_on(0);
    go_on(1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    client_close(&client);
    WAIT_FOR(route_gauge()->waiting == 0);
    assert_int_equal(sum_of(route_gauge()->latency, counts), 21);
    assert_true(gauges_quantile_us(counts, 1) >= 100000);
    assert_int_equal(sum_of(route_gauge()->quiet, counts), 21);
    assert_true(gauges_quantile_us(counts, 1) * GAUGES_QUIET_UNIT >= 100000);
    /* Nothing is counted while nobody waits. */
    int64_t idle = clock_now() - begun;
    WAIT_FOR(clock_now() - begun > 4 * idle);
    assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    (void)sum_of(route_gauge()->quiet, counts);
    assert_true(gauges_quantile_us(counts, 1) * GAUGES_QUIET_UNIT < 2 * (uint64_t)idle / NS_PER_US);
}

static void requests_on_an_instance_that_hangs_are_answered_by_another(void **unused)
{
    (void)unused;
    warm_up();
    stop(0);
    int64_t longest = 0;
    for (int i = 0; i < 30; i++) {
        int64_t begun = clock_now();
        assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
        int64_t span = clock_now() - begun;
        longest = span > longest ? span : longest;
        assert_string_equal(client.body, "hello from app-2\n");
    }
    assert_true(longest < 5 * NS_PER_S); /* about 50 ms on a machine that has time; the time limit is 10 s */
    assert_true(route_gauge()->hedge_won >= 3);
    assert_int_equal(rig_gauge(&rig, 0)->hung, 1);
    assert_int_equal(rig_gauge(&rig, 0)->ejected, 1);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0 && rig_gauge(&rig, 1)->inflight == 0);
    uint64_t rung = 0;
    assert_int_equal(read(rig.supervisor_bell, &rung, sizeof(rung)), sizeof(rung));

    go_on(0);
    WAIT_FOR(fetch(&rig, &client, "GET", "/") == 200 && rig_gauge(&rig, 0)->ejected == 0);
    WAIT_FOR(rig_gauge(&rig, 0)->hung == 0);
}

/* The first one comes back to life before the second has answered. */
static void whoever_answers_first_wins(void **unused)
{
    (void)unused;
    rig_endpoint(&rig, 1, BOARD_ENDPOINT_DRAINING, CAUSE_NONE, 0);
    WAIT_FOR(fetch(&rig, &client, "GET", "/") == 200 && strcmp(client.body, "hello from app-1\n") == 0);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0);
    uint64_t won = route_gauge()->hedge_won;
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 1);
    rig_upstream(&rig, 2, NULL);
    WAIT_FOR(rig_gauge(&rig, 2)->inflight == 1); /* the second attempt, which waits as well */
    assert_int_equal(write(rig.up[0].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    assert_string_equal(client.body, "hello from app-1\n");
    WAIT_FOR(rig_gauge(&rig, 2)->inflight == 0 && rig_gauge(&rig, 0)->inflight == 0);
    assert_int_equal(route_gauge()->hedge_won, won);
    client_close(&client);
}

/* Of two attempts one is answered with what the route would ask for again: the other one is waited for. */
static void a_bad_answer_ends_no_attempt_but_its_own(void **unused)
{
    static const char *const heads[] = { "GET /wait-500-by-3 HTTP/1.1\r\nHost: t\r\n\r\n",
                                         "GET /wait-500-by-1 HTTP/1.1\r\nHost: t\r\n\r\n" };
    static const int bad[] = { 2, 0 };

    (void)unused;
    for (int i = 0; i < 2; i++) {
        int good = bad[1 - i];
        rig_endpoint(&rig, 1, BOARD_ENDPOINT_DRAINING, CAUSE_NONE, 0);
        if (i > 0)
            rig_endpoint(&rig, 2, BOARD_ENDPOINT_DRAINING, CAUSE_NONE, 0);
        WAIT_FOR(fetch(&rig, &client, "GET", "/") == 200 && strcmp(client.body, "hello from app-1\n") == 0);
        WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0);
        client_open(&client, &rig);
        assert_true(puts_fd(client.fd, heads[i]));
        WAIT_FOR(rig_gauge(&rig, 0)->inflight == 1);
        if (i > 0)
            rig_endpoint(&rig, 2, BOARD_ENDPOINT_UP, CAUSE_NONE, 0);
        else
            rig_upstream(&rig, 2, NULL);
        WAIT_FOR(rig_gauge(&rig, 2)->inflight == 1);
        assert_int_equal(write(rig.up[bad[i]].release_fd, "x", 1), 1);
        WAIT_FOR(rig_gauge(&rig, bad[i])->inflight == 0);
        assert_int_equal(rig_gauge(&rig, bad[i])->failures, 1);
        assert_int_equal(write(rig.up[good].release_fd, "x", 1), 1);
        assert_int_equal(client_response(&client, HTTP1_GET), 200);
        assert_string_equal(client.body, good == 0 ? "hello from app-1\n" : "hello from app-3\n");
        client_close(&client);
        WAIT_FOR(rig_gauge(&rig, good)->inflight == 0);
    }
}

static void nothing_that_may_not_be_sent_twice_is_sent_twice(void **unused)
{
    (void)unused;
    warm_up();
    uint64_t before = route_gauge()->hedged;
    for (int i = 0; i < 2; i++) {
        client_open(&client, &rig);
        assert_true(puts_fd(client.fd, "POST /wait HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nab"));
        WAIT_FOR(rig.up[0].seen->posts + rig.up[1].seen->posts == (uint32_t)i + 1);
        clock_sleep(400 * NS_PER_MS); /* longer than the longest patience: nothing may happen now */
        assert_int_equal(rig.up[0].seen->posts + rig.up[1].seen->posts, i + 1);
        int with = rig_gauge(&rig, 0)->inflight == 1 ? 0 : 1;
        assert_int_equal(write(rig.up[with].release_fd, "x", 1), 1);
        assert_int_equal(client_response(&client, HTTP1_POST), 200);
        client_close(&client);
    }
    assert_int_equal(route_gauge()->hedged, before);
}

enum { CROWD = 30 };

/* All instances stop for a while: then a second attempt is as good as the first, and would double the load. */
static void slowness_of_all_of_them_makes_no_storm(void **unused)
{
    static struct client crowd[CROWD];
    (void)unused;
    warm_up();
    uint32_t before = rig.up[0].seen->requests + rig.up[1].seen->requests;
    uint64_t hedged = route_gauge()->hedged;
    stop(0);
    stop(1);
    for (int i = 0; i < CROWD; i++) {
        client_open(&crowd[i], &rig);
        assert_true(puts_fd(crowd[i].fd, "GET / HTTP/1.1\r\nHost: t\r\n\r\n"));
    }
    WAIT_FOR(rig_gauge(&rig, 0)->inflight + rig_gauge(&rig, 1)->inflight >= CROWD);
    clock_sleep(500 * NS_PER_MS); /* many patiences */
    assert_int_equal(rig_gauge(&rig, 0)->ejected + rig_gauge(&rig, 1)->ejected, 0);
    go_on(0);
    go_on(1);
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(client_response(&crowd[i], HTTP1_GET), 200);
        client_close(&crowd[i]);
    }
    assert_true(route_gauge()->hedged - hedged <= CROWD / 5 + 3);
    assert_true(rig.up[0].seen->requests + rig.up[1].seen->requests <= before + CROWD + CROWD / 5 + 3);
}

/* The instance with the first attempt dies while the second is under way, and the other way round. */
static void either_attempt_may_die(void **unused)
{
    (void)unused;
    warm_up();
    for (int dies = 0; dies < 2; dies++) {
        client_open(&client, &rig);
        assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
        WAIT_FOR(rig_gauge(&rig, 0)->inflight == 1 && rig_gauge(&rig, 1)->inflight == 1);
        upstream_kill(&rig.up[dies]);
        rig_endpoint(&rig, dies, BOARD_ENDPOINT_GONE, CAUSE_KILLED, 1);
        int other = 1 - dies;
        WAIT_FOR(rig_gauge(&rig, dies)->inflight == 0);
        assert_int_equal(rig_gauge(&rig, other)->inflight, 1);
        assert_int_equal(write(rig.up[other].release_fd, "x", 1), 1);
        assert_int_equal(client_response(&client, HTTP1_GET), 200);
        client_close(&client);
        upstream_end(&rig.up[dies]);
        rig_upstream(&rig, dies, NULL);
        warm_up();
    }
}

static void a_client_that_leaves_takes_both_attempts_with_it(void **unused)
{
    (void)unused;
    warm_up();
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 1 && rig_gauge(&rig, 1)->inflight == 1);
    (void)setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    client_close(&client);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0 && rig_gauge(&rig, 1)->inflight == 0);
    WAIT_FOR(rig.gauges->worker[0].connections == 0);
}

/* As many second attempts as there may be are under way, and stay so: what failed elsewhere is tried again all the same. */
static void second_attempts_that_last_keep_no_failed_one_waiting(void **unused)
{
    enum { PATIENT = 3 };
    static struct client patient[PATIENT];
    (void)unused;
    warm_up();
    uint64_t hedged = route_gauge()->hedged;
    for (unsigned i = 0; i < PATIENT; i++) {
        client_open(&patient[i], &rig);
        assert_true(puts_fd(patient[i].fd, "GET /wait HTTP/1.1\r\nHost: t\r\n\r\n"));
        /* Only an instance that answers gets second attempts. */
        WAIT_FOR(fetch(&rig, &client, "GET", "/") == 200 && route_gauge()->hedged == hedged + i + 1);
    }
    rig_upstream(&rig, 2, NULL);
    upstream_kill(&rig.up[2]); /* and the board does not know it yet */
    do
        assert_int_equal(fetch(&rig, &client, "GET", "/"), 200);
    while (rig_gauge(&rig, 2)->errors == 0);
    for (unsigned i = 0; i < PATIENT; i++)
        client_close(&patient[i]);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0 && rig_gauge(&rig, 1)->inflight == 0);
}

/* An interim answer is a sign of life: what follows it may take as long as the route says. */
static void hints_are_no_answer_but_nothing_is_overdue_behind_them(void **unused)
{
    (void)unused;
    warm_up();
    client_open(&client, &rig);
    assert_true(puts_fd(client.fd, "GET /hints-wait HTTP/1.1\r\nHost: t\r\n\r\n"));
    assert_int_equal(client_response(&client, HTTP1_GET), 103);
    clock_sleep(400 * NS_PER_MS); /* longer than the longest patience */
    for (int i = 0; i < 2; i++)
        assert_int_equal(write(rig.up[i].release_fd, "x", 1), 1);
    assert_int_equal(client_response(&client, HTTP1_GET), 200);
    client_close(&client);
    assert_int_equal(route_gauge()->hedged, 0);
    assert_int_equal(rig_gauge(&rig, 0)->errors + rig_gauge(&rig, 1)->errors, 0);
}

static void a_dripping_answer_is_no_answer(void **unused)
{
    (void)unused;
    warm_up();
    int64_t begun = clock_now();
    for (int i = 0; i < 20; i++) {
        assert_int_equal(fetch(&rig, &client, "GET", "/drip-1"), 200);
        assert_string_equal(client.body, "hello from app-2\n");
    }
    assert_true(clock_now() - begun < 10 * NS_PER_S); /* half a second, where there is time */
    assert_true(route_gauge()->retried >= 3);
    assert_int_equal(rig_gauge(&rig, 0)->ejected, 1);
    WAIT_FOR(rig_gauge(&rig, 0)->inflight == 0 && rig_gauge(&rig, 1)->inflight == 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, ready, over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(how_long_nobody_was_answered_is_counted),
        T(requests_on_an_instance_that_hangs_are_answered_by_another),
        T(whoever_answers_first_wins),
        T(a_bad_answer_ends_no_attempt_but_its_own),
        T(nothing_that_may_not_be_sent_twice_is_sent_twice),
        T(slowness_of_all_of_them_makes_no_storm),
        T(either_attempt_may_die),
        T(a_client_that_leaves_takes_both_attempts_with_it),
        T(second_attempts_that_last_keep_no_failed_one_waiting),
        T(a_dripping_answer_is_no_answer),
        T(hints_are_no_answer_but_nothing_is_overdue_behind_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
