/* SPDX-License-Identifier: MIT */
#include "supervise/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct spec_restart_policy always = { .condition = SPEC_RESTART_ALWAYS, .max_attempts = -1 };

static struct backoff_death crash_at(int64_t now_ns)
{
    return (struct backoff_death){ .cause = CAUSE_EXIT, .now_ns = now_ns };
}

static struct backoff_death kill_at(int64_t now_ns)
{
    return (struct backoff_death){ .cause = CAUSE_KILLED, .now_ns = now_ns };
}

static int64_t delay_of(struct backoff *backoff, const struct spec_restart_policy *policy, struct backoff_death death)
{
    struct backoff_answer answer = backoff_decide(backoff, policy, &death);
    assert_int_equal(answer.verdict, BACKOFF_RESTART);
    return answer.delay_ns;
}

static void the_first_restart_is_immediate_the_next_ones_double_up_to_the_cap(void **unused)
{
    struct backoff backoff = { 0 };
    const int64_t expected_ms[] = { 0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000 };
    for (size_t i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++)
        assert_int_equal(delay_of(&backoff, &always, crash_at(1)), expected_ms[i] * NS_PER_MS);
}

static void jitter_takes_away_up_to_a_quarter_and_adds_nothing(void **unused)
{
    for (uint32_t attempts = 0; attempts < 40; attempts++)
        for (double jitter = 0; jitter < 1; jitter += 0.09) {
            struct backoff plain = { .attempts = attempts }, jittered = plain;
            struct backoff_death death = crash_at(1);
            int64_t whole = delay_of(&plain, &always, death);
            death.jitter = jitter;
            int64_t less = delay_of(&jittered, &always, death);
            assert_true(less <= whole && less >= whole - whole / 4 - 1);
        }
}

static void only_sustained_health_begins_anew(void **unused)
{
    struct backoff backoff = { .attempts = 7 };
    struct backoff_death death = crash_at(1);
    death.ready_ns = BACKOFF_SUSTAINED_NS - 1;
    assert_true(delay_of(&backoff, &always, death) > 0);
    death.ready_ns = BACKOFF_SUSTAINED_NS;
    assert_int_equal(delay_of(&backoff, &always, death), 0);
    assert_int_equal(backoff.attempts, 1);

    struct spec_restart_policy window = always;
    window.window_ns = 60 * NS_PER_S;
    backoff.attempts = 7;
    assert_true(delay_of(&backoff, &window, death) > 0);
}

static void a_killed_instance_is_back_at_once_every_time(void **unused)
{
    struct backoff backoff = { 0 };
    struct spec_restart_policy once = { .condition = SPEC_RESTART_ON_FAILURE, .max_attempts = 1 };
    for (int i = 0; i < 1000; i++)
        assert_int_equal(delay_of(&backoff, &once, kill_at(1 + i * BACKOFF_PACE_NS)), 0);
    assert_int_equal(backoff.attempts, 0); /* and it has cost no budget */
}

static void a_loop_of_kills_is_slowed_down_but_never_given_up(void **unused)
{
    struct backoff backoff = { 0 };
    int64_t now = NS_PER_S, begun = now;
    for (int i = 0; i < BACKOFF_BURST; i++)
        assert_int_equal(delay_of(&backoff, &always, kill_at(now)), 0);
    for (int i = 0; i < 100; i++) /* it kills itself the moment it runs */
        now += delay_of(&backoff, &always, kill_at(now));
    assert_int_equal(now - begun, 100 * BACKOFF_PACE_NS);
}

static void the_budget_is_what_the_file_says(void **unused)
{
    for (int max = 0; max < 6; max++) {
        struct backoff backoff = { 0 };
        struct spec_restart_policy policy = { .condition = SPEC_RESTART_ON_FAILURE, .max_attempts = max };
        struct backoff_death death = crash_at(1);
        for (int i = 0; i < max; i++)
            assert_int_equal(backoff_decide(&backoff, &policy, &death).verdict, BACKOFF_RESTART);
        assert_int_equal(backoff_decide(&backoff, &policy, &death).verdict, BACKOFF_SPENT);
    }
}

static void the_delay_of_the_file_replaces_ours(void **unused)
{
    struct backoff backoff = { 0 };
    struct spec_restart_policy policy = always;
    policy.delay_ns = 5 * NS_PER_S;
    for (int i = 0; i < 20; i++)
        assert_int_equal(delay_of(&backoff, &policy, crash_at(1)), 5 * NS_PER_S);
}

static void every_condition_and_ending(void **unused)
{
    static const struct {
        enum spec_restart condition;
        enum cause cause;
        bool success;
        enum backoff_verdict verdict;
    } table[] = {
        { SPEC_RESTART_NO, CAUSE_EXIT, true, BACKOFF_COMPLETE },
        { SPEC_RESTART_NO, CAUSE_EXIT, false, BACKOFF_SPENT },
        { SPEC_RESTART_NO, CAUSE_KILLED, false, BACKOFF_SPENT },
        { SPEC_RESTART_NO, CAUSE_CHAOS, false, BACKOFF_SPENT },
        { SPEC_RESTART_NO, CAUSE_STOP, false, BACKOFF_RESTART },
        { SPEC_RESTART_ON_FAILURE, CAUSE_EXIT, true, BACKOFF_COMPLETE },
        { SPEC_RESTART_ON_FAILURE, CAUSE_EXIT, false, BACKOFF_RESTART },
        { SPEC_RESTART_ON_FAILURE, CAUSE_CRASH, false, BACKOFF_RESTART },
        { SPEC_RESTART_ON_FAILURE, CAUSE_KILLED, false, BACKOFF_RESTART },
        { SPEC_RESTART_ON_FAILURE, CAUSE_SPAWN, false, BACKOFF_RESTART },
        { SPEC_RESTART_ALWAYS, CAUSE_EXIT, true, BACKOFF_RESTART },
        { SPEC_RESTART_ALWAYS, CAUSE_HEALTH, false, BACKOFF_RESTART },
        { SPEC_RESTART_UNLESS_STOPPED, CAUSE_EXIT, true, BACKOFF_RESTART },
        { SPEC_RESTART_UNLESS_STOPPED, CAUSE_UNKNOWN, false, BACKOFF_RESTART },
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct backoff backoff = { 0 };
        struct spec_restart_policy policy = { .condition = table[i].condition, .max_attempts = -1 };
        struct backoff_death death = { .cause = table[i].cause, .success = table[i].success, .now_ns = 1 };
        assert_int_equal(backoff_decide(&backoff, &policy, &death).verdict, table[i].verdict);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_restart_is_immediate_the_next_ones_double_up_to_the_cap),
        cmocka_unit_test(jitter_takes_away_up_to_a_quarter_and_adds_nothing),
        cmocka_unit_test(only_sustained_health_begins_anew),
        cmocka_unit_test(a_killed_instance_is_back_at_once_every_time),
        cmocka_unit_test(a_loop_of_kills_is_slowed_down_but_never_given_up),
        cmocka_unit_test(the_budget_is_what_the_file_says),
        cmocka_unit_test(the_delay_of_the_file_replaces_ours),
        cmocka_unit_test(every_condition_and_ending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
