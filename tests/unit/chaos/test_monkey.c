/* SPDX-License-Identifier: MIT
 *
 * When the monkey strikes, and what it makes of the supervisor's events.
 */
#include "base/clock.h"
#include "chaos/monkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define T0 (INT64_C(1700000000) * NS_PER_S)

static struct monkey monkey;
static struct monkey_victim *victim;

static void begin(uint64_t count, int64_t duration_ns)
{
    const struct monkey_options options = {
        .every_ns = NS_PER_S, .count = count, .duration_ns = duration_ns, .seed = 7
    };
    monkey_init(&monkey, &options);
    victim = NULL;
}

static enum monkey_news died(const char *instance, int64_t at_ms)
{
    return monkey_event(&monkey, "instance.exit", instance, "", T0 + at_ms * NS_PER_MS, &victim);
}

static enum monkey_news goes(const char *instance, const char *to, int64_t at_ms)
{
    return monkey_event(&monkey, "instance.state", instance, to, T0 + at_ms * NS_PER_MS, &victim);
}

static enum monkey_news serves(const char *instance, int64_t at_ms)
{
    return goes(instance, "serving", at_ms);
}

static void strikes_are_due_at_even_intervals_until_enough_have_hit(void **unused)
{
    (void)unused;
    begin(2, 0);
    assert_int_equal(monkey_due(&monkey), 0);
    (void)monkey_hit(&monkey, "app-1", 1, T0);
    assert_int_equal(monkey_due(&monkey), NS_PER_S);
    (void)monkey_refused(&monkey, T0 + NS_PER_S); /* a refusal takes its turn, but is no strike */
    assert_int_equal(monkey_due(&monkey), 2 * NS_PER_S);
    (void)monkey_hit(&monkey, "app-1", 1, T0 + 2 * NS_PER_S);
    assert_int_equal(monkey_due(&monkey), -1);
    assert_int_equal(monkey.kills, 2);
    assert_int_equal(monkey.refused, 1);
}

static void strikes_end_with_the_duration(void **unused)
{
    (void)unused;
    begin(0, 3 * NS_PER_S);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(monkey_due(&monkey), i * NS_PER_S);
        (void)monkey_hit(&monkey, "app-1", 1, T0 + i * NS_PER_S);
    }
    assert_int_equal(monkey_due(&monkey), -1);
}

static void the_same_seed_picks_the_same_row(void **unused)
{
    (void)unused;
    uint64_t row[10];
    begin(0, 0);
    for (int i = 0; i < 10; i++) {
        row[i] = monkey_pick(&monkey);
        assert_true(row[i] < UINT64_C(1) << 53);
    }
    begin(0, 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(monkey_pick(&monkey), row[i]);
    assert_int_not_equal(row[0], row[1]);
}

static void a_victim_dies_and_is_back(void **unused)
{
    (void)unused;
    begin(0, 0);
    (void)monkey_hit(&monkey, "app-1", 1, T0);
    assert_true(monkey_expects(&monkey, T0));
    assert_int_equal(died("app-2", 1), MONKEY_NOTHING);
    assert_int_equal(serves("app-1", 1), MONKEY_NOTHING); /* it has not died yet */
    assert_int_equal(died("app-1", 2), MONKEY_DEAD);
    assert_string_equal(victim->instance, "app-1");
    assert_int_equal(died("app-1", 3), MONKEY_NOTHING);
    assert_true(monkey_expects(&monkey, T0 + 60 * NS_PER_S));
    assert_int_equal(serves("app-1", 12), MONKEY_BACK);
    assert_int_equal(victim->back_ns - victim->hit_ns, 12 * NS_PER_MS);
    assert_false(monkey_expects(&monkey, T0 + 12 * NS_PER_MS));
    assert_int_equal(monkey.back, 1);
    assert_int_equal(monkey.recovery.max_us, 12000);
}

static void who_does_not_come_back_is_not_waited_for(void **unused)
{
    (void)unused;
    begin(0, 0);
    (void)monkey_hit(&monkey, "app-1", 1, T0);
    assert_int_equal(died("app-1", 1), MONKEY_DEAD);
    assert_int_equal(goes("app-1", "waiting", 1), MONKEY_NOTHING);
    assert_int_equal(goes("app-1", "failed", 1), MONKEY_LOST);
    assert_true(victim->lost && monkey.lost == 1 && monkey.back == 0);
    assert_false(monkey_expects(&monkey, T0 + NS_PER_MS));
    assert_false(monkey_refused(&monkey, T0 + NS_PER_MS));
}

static void what_happened_before_the_strike_does_not_count(void **unused)
{
    (void)unused;
    begin(0, 0);
    (void)monkey_hit(&monkey, "app-1", 1, T0);
    assert_int_equal(died("app-1", -1), MONKEY_NOTHING);
    assert_int_equal(serves("app-1", -1), MONKEY_NOTHING);
}

static void who_survives_is_not_waited_for(void **unused)
{
    (void)unused;
    begin(0, 0);
    (void)monkey_hit(&monkey, "app-1", 1, T0);
    assert_true(monkey_expects(&monkey, T0 + MONKEY_SURVIVED_NS - 1));
    assert_false(monkey_expects(&monkey, T0 + MONKEY_SURVIVED_NS));
}

static void a_refusal_is_final_when_nobody_is_on_the_way_back(void **unused)
{
    (void)unused;
    begin(1, 0);
    assert_false(monkey_refused(&monkey, T0));
    (void)monkey_hit(&monkey, "app-1", 1, T0);
    assert_int_equal(died("app-1", 1), MONKEY_DEAD);
    assert_true(monkey_refused(&monkey, T0 + 10 * NS_PER_S));
    assert_int_equal(serves("app-1", 11000), MONKEY_BACK);
    assert_false(monkey_refused(&monkey, T0 + 12 * NS_PER_S));
}

static void the_oldest_victim_is_given_up_when_there_are_too_many(void **unused)
{
    (void)unused;
    begin(0, 0);
    for (int i = 0; i <= MONKEY_VICTIMS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "app-%d", i);
        (void)monkey_hit(&monkey, name, 1, T0 + i);
    }
    assert_int_equal(died("app-0", 1000), MONKEY_NOTHING);
    assert_int_equal(died("app-1", 1000), MONKEY_DEAD);
    assert_int_equal(died("app-64", 1000), MONKEY_DEAD);
    assert_int_equal(monkey.kills, MONKEY_VICTIMS + 1);
}

static enum monkey_news goes_on(const char *instance, int64_t at_ms)
{
    return monkey_event(&monkey, "chaos", instance, "continued", T0 + at_ms * NS_PER_MS, &victim);
}

static void who_was_stopped_is_back_when_it_goes_on(void **unused)
{
    begin(0, 0);
    monkey.options.pause_ns = 5 * NS_PER_S;
    (void)monkey_hit(&monkey, "app-1", 100, T0);
    assert_int_equal(monkey_event(&monkey, "chaos", "app-1", "", T0, &victim), MONKEY_NOTHING);
    assert_true(monkey_expects(&monkey, T0 + 6 * NS_PER_S));
    assert_int_equal(goes_on("app-1", 5000), MONKEY_BACK);
    assert_string_equal(victim->instance, "app-1");
    assert_false(monkey_expects(&monkey, T0 + 6 * NS_PER_S));
    /* One that was replaced meanwhile has gone on in order to end. */
    (void)monkey_hit(&monkey, "app-2", 101, T0);
    assert_int_equal(died("app-2", 3000), MONKEY_DEAD);
    assert_int_equal(goes_on("app-2", 3001), MONKEY_NOTHING);
    assert_int_equal(serves("app-2", 3010), MONKEY_BACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_was_stopped_is_back_when_it_goes_on),
        cmocka_unit_test(strikes_are_due_at_even_intervals_until_enough_have_hit),
        cmocka_unit_test(strikes_end_with_the_duration),
        cmocka_unit_test(the_same_seed_picks_the_same_row),
        cmocka_unit_test(a_victim_dies_and_is_back),
        cmocka_unit_test(who_does_not_come_back_is_not_waited_for),
        cmocka_unit_test(what_happened_before_the_strike_does_not_count),
        cmocka_unit_test(who_survives_is_not_waited_for),
        cmocka_unit_test(a_refusal_is_final_when_nobody_is_on_the_way_back),
        cmocka_unit_test(the_oldest_victim_is_given_up_when_there_are_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
