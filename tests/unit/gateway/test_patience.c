/* SPDX-License-Identifier: MIT
 *
 * How long is waited, and what is done then: numbers in, numbers out.
 */
#include "gateway/patience.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MIN (25 * NS_PER_MS)
#define MAX NS_PER_S

static const struct latency nothing;

static struct latency steady(uint64_t us)
{
    struct latency latency = { 0 };
    for (int i = 0; i < 50; i++)
        gw_latency_add(&latency, us);
    return latency;
}

static void patience_follows_the_endpoint_between_floor_and_ceiling(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t us;
        int64_t least_ms, most_ms;
    } rows[] = {
        { 100, 25, 25 }, { 20000, 40, 45 }, { 200000, 400, 450 }, { 3000000, 1000, 1000 }, { UINT64_MAX, 1000, 1000 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct latency latency = steady(rows[i].us);
        assert_in_range(gw_patience(&latency, &nothing, MIN, MAX), rows[i].least_ms * NS_PER_MS,
                        rows[i].most_ms * NS_PER_MS);
    }
}

static void one_that_has_not_answered_yet_is_judged_by_its_service(void **unused)
{
    (void)unused;
    struct latency service = steady(20000);
    assert_true(gw_patience(&nothing, &nothing, MIN, MAX) == MAX);
    assert_in_range(gw_patience(&nothing, &service, MIN, MAX), 40 * NS_PER_MS, 45 * NS_PER_MS);
}

/* So that slowness of all does not look like overdue answers for longer than the first of them. */
static void a_single_slow_answer_makes_patient_at_once(void **unused)
{
    (void)unused;
    struct latency latency = steady(20000);
    gw_latency_add(&latency, 200000);
    assert_true(gw_patience(&latency, &nothing, MIN, MAX) > 200 * NS_PER_MS);
    for (int i = 0; i < 50; i++)
        gw_latency_add(&latency, 20000);
    assert_true(gw_patience(&latency, &nothing, MIN, MAX) < 60 * NS_PER_MS);
}

static void a_second_attempt_needs_every_reason(void **unused)
{
    (void)unused;
    const struct hedge_case good = { .safe = true,
                                     .replayable = true,
                                     .wanted = true,
                                     .elsewhere = true,
                                     .well = true,
                                     .budget = true,
                                     .attempts = 1,
                                     .max_attempts = 3 };
    assert_int_equal(gw_hedge_decide(&good), HEDGE_NOW);
    for (int bits = 0; bits < 64; bits++) {
        struct hedge_case facts = good;
        facts.safe = bits & 1;
        facts.replayable = bits & 2;
        facts.wanted = bits & 4;
        facts.elsewhere = bits & 8;
        facts.well = bits & 16;
        facts.budget = bits & 32;
        enum hedge_verdict expected = bits == 63 ? HEDGE_NOW : (bits & 7) == 7 ? HEDGE_LATER : HEDGE_NEVER;
        assert_int_equal(gw_hedge_decide(&facts), expected);
        facts.attempts = 3;
        assert_int_equal(gw_hedge_decide(&facts), HEDGE_NEVER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patience_follows_the_endpoint_between_floor_and_ceiling),
        cmocka_unit_test(one_that_has_not_answered_yet_is_judged_by_its_service),
        cmocka_unit_test(a_single_slow_answer_makes_patient_at_once),
        cmocka_unit_test(a_second_attempt_needs_every_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
