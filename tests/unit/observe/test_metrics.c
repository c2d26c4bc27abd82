/* SPDX-License-Identifier: MIT
 *
 * What Prometheus reads: the text's rules, and that it says what was counted.
 */
#include "observe/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct board *board;
    struct gauges *gauges;
    struct buf text;
    int endpoint;
};

static struct board_text text_of(struct board *board, const char *text)
{
    struct board_text ret;
    assert_int_equal(board_text_add(board, text, strlen(text), &ret), 0);
    return ret;
}

/* One listener with two routes, one service with an instance; two workers. */
static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = *state = &fixture;
    struct board_address nowhere = { 0 };

    *f = (struct fixture){ .board = board_new(NULL), .gauges = gauges_new(2, NULL) };
    assert_true(f->board && f->gauges);
    const struct board_listener listener = { .state = BOARD_LISTENER_ACTIVE };
    assert_int_equal(board_listener_add(f->board, &listener), 0);
    struct board_route route = { .host = text_of(f->board, "a\"b\\c\nd"), .path = text_of(f->board, "/x") };
    assert_int_equal(board_route_add(f->board, &route), 0);
    route = (struct board_route){ .order = 1 };
    assert_int_equal(board_route_add(f->board, &route), 1);
    int service = board_service_add(f->board, "app");
    f->endpoint = board_endpoint_add(f->board, service, "app-1", &nowhere, 1);
    for (int w = 0; w < 2; w++)
        f->gauges->worker[w].endpoints[f->endpoint].generation = f->board->endpoints[f->endpoint].generation;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    board_free(f->board);
    gauges_free(f->gauges);
    buf_free(&f->text);
    return 0;
}

static void assert_says(const struct fixture *f, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = f->text.data; at; at = strchr(at, '\n'), at += at != NULL)
        if (strncmp(at, line, len) == 0 && at[len] == '\n')
            return;
    fail_msg("\"%s\" is not in:\n%s", line, f->text.data);
}

static void what_all_workers_have_counted_is_told(void **state)
{
    struct fixture *f = *state;
    f->gauges->worker[0].connections = 2;
    f->gauges->worker[1].connections = 3;
    f->gauges->worker[1].limits[GAUGE_PROXY] = 7;
    f->gauges->worker[0].routes[1].requests = 40;
    f->gauges->worker[1].routes[1].requests = 2;
    f->gauges->worker[1].routes[1].status[5] = 1;
    f->gauges->worker[0].endpoints[f->endpoint].inflight = 1;
    f->gauges->worker[1].endpoints[f->endpoint].inflight = 1;
    metrics_gateway(&f->text, f->board, f->gauges);
    assert_says(f, "daruma_gateway_workers 2");
    assert_says(f, "daruma_gateway_connections 5");
    assert_says(f, "daruma_gateway_limited_total{limit=\"proxy\"} 7");
    assert_says(f, "daruma_route_requests_total{listener=\"-\",route=\"1\",host=\"\",path=\"\"} 42");
    assert_says(f, "daruma_route_responses_total{listener=\"-\",route=\"1\",host=\"\",path=\"\",code=\"5xx\"} 1");
    assert_says(f, "daruma_endpoint_inflight{service=\"app\",name=\"app-1\"} 2");
}

static void values_of_labels_are_escaped(void **state)
{
    struct fixture *f = *state;
    metrics_gateway(&f->text, f->board, f->gauges);
    assert_says(f, "daruma_route_held_total{listener=\"-\",route=\"0\",host=\"a\\\"b\\\\c\\nd\",path=\"/x\"} 0");
}

static void latencies_are_a_histogram(void **state)
{
    struct fixture *f = *state;
    struct endpoint_gauge *gauge = &f->gauges->worker[1].endpoints[f->endpoint];
    const uint64_t us[] = { 1, 64, 65, 1000, 5000000 };
    for (size_t i = 0; i < sizeof(us) / sizeof(us[0]); i++) {
        gauge->latency[gauges_latency_cell(us[i])]++;
        gauge->latency_us += us[i];
    }
    metrics_gateway(&f->text, f->board, f->gauges);
#define LATENCY "daruma_endpoint_latency_seconds"
#define WHO     "{service=\"app\",name=\"app-1\""
    assert_says(f, LATENCY "_bucket" WHO ",le=\"6.4e-05\"} 2");
    assert_says(f, LATENCY "_bucket" WHO ",le=\"0.000128\"} 3");
    assert_says(f, LATENCY "_bucket" WHO ",le=\"0.001024\"} 4");
    assert_says(f, LATENCY "_bucket" WHO ",le=\"1.048576\"} 4");
    assert_says(f, LATENCY "_bucket" WHO ",le=\"+Inf\"} 5");
    assert_says(f, LATENCY "_count" WHO "} 5");
    assert_says(f, LATENCY "_sum" WHO "} 5.00113");
}

static void numbers_of_an_earlier_instance_do_not_count(void **state)
{
    struct fixture *f = *state;
    f->gauges->worker[0].endpoints[f->endpoint].requests = 9;
    f->gauges->worker[1].endpoints[f->endpoint].requests = 9;
    f->gauges->worker[1].endpoints[f->endpoint].generation--;
    metrics_gateway(&f->text, f->board, f->gauges);
    assert_says(f, "daruma_endpoint_requests_total{service=\"app\",name=\"app-1\"} 9");
}

/* Each line is a comment or a sample of the family announced last, and no two samples are the same series. */
static void the_text_keeps_the_rules(void **state)
{
    struct fixture *f = *state;
    char family[128] = "";
    char *lines[512], *save = NULL;
    size_t n = 0;

    metrics_gateway(&f->text, f->board, f->gauges);
    for (char *line = strtok_r(f->text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        if (sscanf(line, "# TYPE %127s", family) == 1 || strncmp(line, "# HELP ", 7) == 0)
            continue;
        assert_true(*family && strncmp(line, family, strlen(family)) == 0);
        char *value = strrchr(line, ' ');
        assert_non_null(value);
        *value = '\0';
        for (size_t i = 0; i < n; i++)
            assert_string_not_equal(lines[i], line);
        assert_true(n < sizeof(lines) / sizeof(lines[0]));
        lines[n++] = line;
    }
    assert_true(n > 50);
}

#define METRICS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        METRICS_TEST(what_all_workers_have_counted_is_told),
        METRICS_TEST(values_of_labels_are_escaped),
        METRICS_TEST(latencies_are_a_histogram),
        METRICS_TEST(numbers_of_an_earlier_instance_do_not_count),
        METRICS_TEST(the_text_keeps_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
