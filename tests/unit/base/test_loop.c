/* SPDX-License-Identifier: MIT
 *
 * The loop: timers fire in order of time, and whatever a callback removes is not called any more.
 */
#include "base/loop.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

enum { TIMERS = 500 };

static struct loop *loop;
static int64_t fired[TIMERS + 1];
static size_t fired_len;

static int setup(void **unused)
{
    (void)unused;
    fired_len = 0;
    loop = loop_new();
    return loop ? 0 : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    loop_free(loop);
    return 0;
}

static void note(struct loop_timer *timer)
{
    fired[fired_len++] = timer->due;
}

static void timers_fire_in_order_and_cancelled_ones_never(void **unused)
{
    (void)unused;
    struct loop_timer timers[TIMERS];
    memset(timers, 0, sizeof(timers));
    struct rng rng;
    rng_seed(&rng, 7);
    int64_t now = clock_now();
    size_t wanted = 0;
    for (int i = 0; i < TIMERS; i++) {
        timers[i].fn = note;
        loop_timer_set(loop, &timers[i], now + (int64_t)rng_below(&rng, 1000000) * 20);
    }
    for (int i = 0; i < TIMERS; i++) {
        if (i % 3 == 0)
            loop_timer_cancel(loop, &timers[i]);
        else if (i % 3 == 1)
            loop_timer_set(loop, &timers[i], now + (int64_t)rng_below(&rng, 1000000) * 20);
        wanted += i % 3 != 0;
    }
    while (clock_now() < now + 25 * NS_PER_MS || (fired_len < wanted && clock_now() < now + 10 * NS_PER_S))
        assert_int_equal(loop_turn(loop, NS_PER_MS), 0);

    assert_int_equal(fired_len, wanted);
    for (size_t i = 1; i < fired_len; i++)
        assert_true(fired[i - 1] <= fired[i]);
    for (int i = 0; i < TIMERS; i++)
        assert_false(loop_timer_armed(&timers[i]));
}

static void timers_do_not_fire_early(void **unused)
{
    (void)unused;
    struct loop_timer timer = { .fn = note };
    int64_t due = clock_now() + 3 * NS_PER_MS;
    loop_timer_set(loop, &timer, due);
    while (fired_len == 0)
        assert_int_equal(loop_turn(loop, -1), 0);
    assert_true(clock_now() >= due);
}

static void rearm_now(struct loop_timer *timer)
{
    fired_len++;
    loop_timer_set(loop, timer, 0);
}

static void a_timer_that_rearms_itself_for_now_leaves_room_for_others(void **unused)
{
    (void)unused;
    struct loop_timer timer = { .fn = rearm_now };
    loop_timer_set(loop, &timer, 0);
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(loop_turn(loop, -1), 0);
        assert_int_equal(fired_len, i);
    }
    loop_timer_cancel(loop, &timer);
}

struct pair {
    struct loop_io io;
    struct pair *other;
    int calls;
};

static void remove_the_other(struct loop_io *io, uint32_t events)
{
    struct pair *pair = io->data;
    assert_true(events & EPOLLIN);
    pair->calls++;
    loop_io_remove(loop, &pair->other->io);
}

static void what_a_callback_removes_is_not_called_in_the_same_turn(void **unused)
{
    (void)unused;
    CLEANUP_CLOSE int a = eventfd(1, EFD_CLOEXEC);
    CLEANUP_CLOSE int b = eventfd(1, EFD_CLOEXEC);
    struct pair first = { .io = { .fn = remove_the_other } }, second = { .io = { .fn = remove_the_other } };
    first.io.data = &first, first.other = &second;
    second.io.data = &second, second.other = &first;
    assert_int_equal(loop_io_add(loop, &first.io, a, EPOLLIN), 0);
    assert_int_equal(loop_io_add(loop, &second.io, b, EPOLLIN), 0);
    assert_int_equal(loop_turn(loop, 0), 0);
    assert_int_equal(first.calls + second.calls, 1);
}

static void stop_it(struct loop_timer *timer)
{
    (void)timer;
    loop_stop(loop);
}

static void run_goes_on_until_stopped(void **unused)
{
    (void)unused;
    struct loop_timer later = { .fn = stop_it }, sooner = { .fn = note };
    int64_t now = clock_now();
    loop_timer_set(loop, &later, now + 2 * NS_PER_MS);
    loop_timer_set(loop, &sooner, now + NS_PER_MS);
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(fired_len, 1);
}

static void a_bad_descriptor_is_an_error(void **unused)
{
    (void)unused;
    struct loop_io io = { .fn = remove_the_other };
    assert_int_equal(loop_io_add(loop, &io, -1, EPOLLIN), -EBADF);
    loop_io_remove(loop, &io);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_in_order_and_cancelled_ones_never, setup, teardown),
        cmocka_unit_test_setup_teardown(timers_do_not_fire_early, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_that_rearms_itself_for_now_leaves_room_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_callback_removes_is_not_called_in_the_same_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(run_goes_on_until_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_descriptor_is_an_error, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
