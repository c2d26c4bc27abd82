/* SPDX-License-Identifier: MIT
 *
 * The small pieces: histogram, randomness, buffers, errors, time, causes, events.
 */
#include "base/buf.h"
#include "base/cause.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/event.h"
#include "base/hist.h"
#include "base/rng.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void quantiles_are_at_most_a_step_too_high_and_never_too_low(void **unused)
{
    (void)unused;
    enum { N = 20000 };
    static uint64_t values[N];
    struct hist *hist = calloc(1, sizeof(*hist));
    assert_non_null(hist);
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < N; i++) {
        values[i] = rng_next(&rng) >> (24 + rng_below(&rng, 40));
        hist_add(hist, values[i]);
    }
    qsort(values, N, sizeof(values[0]), by_value);
    const double quantiles[] = { 0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0 };
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        size_t rank = (size_t)(quantiles[i] * N);
        uint64_t truth = values[rank > 0 ? rank - 1 : 0];
        uint64_t told = hist_quantile(hist, quantiles[i]);
        assert_true(told >= truth);
        assert_true((double)told <= (double)truth * (1 + 1.0 / HIST_STEPS) + 1);
    }
    assert_int_equal(hist->max_us, values[N - 1]);
    free(hist);
}

static void histograms_add_up_and_keep_what_is_beyond_their_range(void **unused)
{
    (void)unused;
    struct hist *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(hist_quantile(a, 0.5), 0);
    hist_add(a, 10);
    hist_add(b, UINT64_MAX / 4);
    hist_merge(a, b);
    assert_int_equal(a->count, 2);
    assert_int_equal(hist_quantile(a, 0.5), 10);
    assert_true(hist_quantile(a, 1.0) == UINT64_MAX / 4);
    free(a);
    free(b);
}

static void a_seed_repeats_the_run_and_bounds_hold(void **unused)
{
    (void)unused;
    struct rng a, b;
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    int seen[6] = { 0 };
    for (int i = 0; i < 6000; i++) {
        uint64_t x = rng_below(&a, 6);
        assert_true(x == rng_below(&b, 6) && x < 6);
        seen[x]++;
    }
    for (int i = 0; i < 6; i++)
        assert_in_range(seen[i], 800, 1200);
    assert_int_equal(rng_below(&a, 0), 0);
    double unit = rng_unit(&a);
    assert_true(unit >= 0 && unit < 1);
}

static void a_buffer_grows_is_consumed_and_handed_over(void **unused)
{
    (void)unused;
    struct buf buf = { 0 };
    for (int i = 0; i < 1000; i++)
        buf_printf(&buf, "%04d", i);
    assert_int_equal(buf.len, 4000);
    buf_consume(&buf, 3996);
    assert_string_equal(buf.data, "0999");
    buf_consume(&buf, 100);
    assert_int_equal(buf.len, 0);
    buf_puts(&buf, "kept");
    char *text = buf_take(&buf);
    assert_string_equal(text, "kept");
    assert_null(buf.data);
    free(text);
    text = buf_take(&buf);
    assert_string_equal(text, "");
    free(text);
}

static void a_buffer_that_cannot_grow_says_so_once_and_keeps_what_it_has(void **unused)
{
    (void)unused;
    struct buf buf = { 0 };
    buf_puts(&buf, "kept");
    assert_int_equal(buf_reserve(&buf, (size_t)-1), -ENOMEM);
    assert_true(buf.failed);
    buf_puts(&buf, "lost");
    assert_int_equal(buf.len, 4);
    assert_null(buf_take(&buf));
}

static void an_error_carries_its_message_and_grows_to_the_left(void **unused)
{
    (void)unused;
    struct err err = { 0 };
    assert_int_equal(err_errno(&err, -ENOENT, "cannot open %s", "x"), -ENOENT);
    assert_string_equal(err.message, "cannot open x: No such file or directory");
    assert_int_equal(err_prefix(&err, "service %s", "app"), -ENOENT);
    assert_string_equal(err.message, "service app: cannot open x: No such file or directory");
    assert_int_equal(err_set(NULL, -EINVAL, "nobody reads this"), -EINVAL);
}

static void times_are_written_for_people(void **unused)
{
    (void)unused;
    char text[CLOCK_TEXT];
    assert_string_equal(clock_format_wall(0, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_format_wall(NS_PER_S + 5 * NS_PER_MS, text), "1970-01-01T00:00:01.005Z");
    assert_string_equal(clock_format_span(250 * NS_PER_US, text), "0.25 ms");
    assert_string_equal(clock_format_span(3 * NS_PER_MS, text), "3 ms");
    assert_string_equal(clock_format_span(1250 * NS_PER_MS, text), "1.25 s");
    assert_string_equal(clock_format_span(250 * NS_PER_S, text), "4 min 10 s");
    assert_string_equal(clock_format_span(7500 * NS_PER_S, text), "2 h 5 min");
    assert_string_equal(clock_format_span(360000 * NS_PER_S, text), "4 d 4 h");
}

static void a_cause_tells_whose_fault_it_was(void **unused)
{
    (void)unused;
    assert_int_equal(cause_of_exit(CLD_EXITED, 0), CAUSE_EXIT);
    assert_int_equal(cause_of_exit(CLD_KILLED, SIGKILL), CAUSE_KILLED);
    assert_int_equal(cause_of_exit(CLD_KILLED, SIGTERM), CAUSE_KILLED);
    assert_int_equal(cause_of_exit(CLD_DUMPED, SIGSEGV), CAUSE_CRASH);
    assert_int_equal(cause_of_exit(CLD_KILLED, SIGABRT), CAUSE_CRASH);
    assert_int_equal(cause_of_exit(0, 0), CAUSE_UNKNOWN);
    for (int cause = 0; cause < CAUSES; cause++) {
        assert_false(cause_self_inflicted(cause) && cause_asked_for(cause));
        assert_string_not_equal(cause_name(cause), "?");
    }
    assert_true(cause_self_inflicted(CAUSE_EXIT));
    assert_false(cause_self_inflicted(CAUSE_KILLED));
    assert_string_equal(cause_name(99), "?");
    assert_string_equal(cause_signal_name(SIGKILL), "KILL");
    assert_string_equal(cause_signal_name(SIGRTMAX), "?"); /* printf("%s", NULL) would be the C library's "(null)" */
}

struct heard {
    struct event_sink sink;
    uint64_t seq[4];
    int count;
};

static void hear(struct event_sink *sink, const struct event *event)
{
    struct heard *heard = sink->data;
    heard->seq[heard->count++] = event->seq;
}

static void every_sink_hears_every_event_with_its_number(void **unused)
{
    (void)unused;
    struct event_bus bus = { 0 };
    struct heard a = { .sink.fn = hear }, b = { .sink.fn = hear };
    a.sink.data = &a, b.sink.data = &b;
    event_subscribe(&bus, &a.sink);
    event_emit(&bus, &(struct event){ .kind = EVENT_PROJECT });
    event_subscribe(&bus, &b.sink);
    event_emit(&bus, &(struct event){ .kind = EVENT_PROJECT });
    event_unsubscribe(&bus, &a.sink);
    event_emit(&bus, &(struct event){ .kind = EVENT_PROJECT });
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 2);
    assert_int_equal(b.seq[1], 3);
}

static void events_read_as_sentences(void **unused)
{
    (void)unused;
    char line[EVENT_LINE];
    struct event exit_event = {
        .kind = EVENT_INSTANCE_EXIT, .instance = "app-1", .by_signal = 1, .status = SIGKILL, .cause = CAUSE_KILLED
    };
    assert_string_equal(event_format(&exit_event, line), "app-1 ended by SIGKILL (killed)");
    struct event state = { .kind = EVENT_INSTANCE_STATE, .instance = "app-1", .from = "starting", .to = "serving" };
    assert_string_equal(event_format(&state, line), "app-1 starting → serving");
    struct event warning = { .kind = EVENT_WARNING, .text = "disk full" };
    assert_string_equal(event_format(&warning, line), "disk full");
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        assert_string_not_equal(event_kind_name(kind), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_at_most_a_step_too_high_and_never_too_low),
        cmocka_unit_test(histograms_add_up_and_keep_what_is_beyond_their_range),
        cmocka_unit_test(a_seed_repeats_the_run_and_bounds_hold),
        cmocka_unit_test(a_buffer_grows_is_consumed_and_handed_over),
        cmocka_unit_test(a_buffer_that_cannot_grow_says_so_once_and_keeps_what_it_has),
        cmocka_unit_test(an_error_carries_its_message_and_grows_to_the_left),
        cmocka_unit_test(times_are_written_for_people),
        cmocka_unit_test(a_cause_tells_whose_fault_it_was),
        cmocka_unit_test(every_sink_hears_every_event_with_its_number),
        cmocka_unit_test(events_read_as_sentences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
