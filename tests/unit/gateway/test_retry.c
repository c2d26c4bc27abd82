/* SPDX-License-Identifier: MIT
 *
 * Stories first, then properties over every combination of facts.
 */
#include "gateway/retry.h"

#include "base/board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A GET whose first attempt failed, another endpoint is there, all is allowed. */
static struct retry_case a_get(enum retry_failure failure)
{
    return (struct retry_case){
        .failure = failure,
        .idempotent = true,
        .sent = true,
        .replayable = true,
        .elsewhere = true,
        .budget = true,
        .retry_on = BOARD_RETRY_ERROR | BOARD_RETRY_TIMEOUT | BOARD_RETRY_500,
        .status = 500,
        .attempts = 1,
        .max_attempts = 2,
        .suspects = 2,
    };
}

static struct retry_case a_post(enum retry_failure failure)
{
    struct retry_case facts = a_get(failure);
    facts.idempotent = false;
    return facts;
}

static enum retry_verdict decide(struct retry_case facts)
{
    return gw_retry_decide(&facts);
}

static void a_get_goes_elsewhere_whatever_went_wrong(void **unused)
{
    (void)unused;
    for (int failure = 0; failure < RETRY_FAILURES; failure++)
        assert_int_equal(decide(a_get((enum retry_failure)failure)),
                         failure == RETRY_STALE ? RETRY_SAME : RETRY_ELSEWHERE);
}

static void a_post_that_may_have_been_executed_is_not_sent_again(void **unused)
{
    (void)unused;
    for (int failure = 0; failure < RETRY_FAILURES; failure++)
        assert_int_equal(decide(a_post((enum retry_failure)failure)), RETRY_DENIED);

    struct retry_case facts = a_post(RETRY_BROKEN);
    facts.sent = false;
    assert_int_equal(decide(facts), RETRY_ELSEWHERE);
    facts = a_post(RETRY_BROKEN);
    facts.repeatable = true;
    assert_int_equal(decide(facts), RETRY_ELSEWHERE);
    facts = a_post(RETRY_BROKEN);
    facts.retry_on |= BOARD_RETRY_NON_IDEMPOTENT;
    assert_int_equal(decide(facts), RETRY_ELSEWHERE);
}

static void who_was_killed_from_outside_costs_no_attempt_and_no_budget(void **unused)
{
    (void)unused;
    struct retry_case facts = a_get(RETRY_KILLED);
    facts.attempts = 9;
    facts.budget = false;
    facts.retry_on = 0;
    assert_int_equal(decide(facts), RETRY_ELSEWHERE);
    facts.elsewhere = false;
    assert_int_equal(decide(facts), RETRY_HOLD);
    assert_false(gw_retry_counts(RETRY_KILLED));
    assert_true(gw_retry_counts(RETRY_BROKEN));
}

static void suspects_of_a_crash(void **unused)
{
    (void)unused;
    struct retry_case facts = a_get(RETRY_CRASHED);
    facts.suspects = 1;
    assert_int_equal(decide(facts), RETRY_SUSPECT);
    facts.suspects = 2;
    assert_int_equal(decide(facts), RETRY_ELSEWHERE);
    facts.elsewhere = false;
    assert_int_equal(decide(facts), RETRY_HOLD);
    facts.strikes = 1;
    assert_int_equal(decide(facts), RETRY_POISON);
    facts.sent = false; /* the instance never saw it: it cannot be at fault */
    assert_int_equal(decide(facts), RETRY_HOLD);
}

static void when_all_have_been_tried(void **unused)
{
    (void)unused;
    struct retry_case facts = a_get(RETRY_BROKEN);
    facts.elsewhere = false;
    assert_int_equal(decide(facts), RETRY_GIVE_UP);
    facts.died = true;
    assert_int_equal(decide(facts), RETRY_HOLD);
    facts = a_get(RETRY_STATUS);
    facts.elsewhere = false;
    facts.died = true;
    assert_int_equal(decide(facts), RETRY_GIVE_UP); /* there is an answer to give */
    facts = a_get(RETRY_CONNECT);
    facts.elsewhere = false;
    assert_int_equal(decide(facts), RETRY_SAME);
    /* The only one there is may be dead, and the board late. */
    facts = a_get(RETRY_BROKEN);
    facts.elsewhere = false;
    facts.alone = true;
    assert_int_equal(decide(facts), RETRY_SAME);
}

static void only_what_the_route_lists_is_retried(void **unused)
{
    (void)unused;
    struct retry_case facts = a_get(RETRY_STATUS);
    facts.status = 503;
    assert_int_equal(decide(facts), RETRY_GIVE_UP);
    facts.status = 404;
    assert_int_equal(decide(facts), RETRY_GIVE_UP);
    facts.judged = true; /* a version that is being judged, wherever anything may be tried again */
    assert_int_equal(decide(facts), RETRY_ELSEWHERE);
    facts.retry_on = 0;
    assert_int_equal(decide(facts), RETRY_GIVE_UP);
    facts = a_get(RETRY_TIMEOUT);
    facts.retry_on = BOARD_RETRY_ERROR;
    assert_int_equal(decide(facts), RETRY_GIVE_UP);
}

static void who_finds_the_budget_spent_waits_where_that_is_allowed(void **unused)
{
    (void)unused;
    static const enum retry_failure ordinary[] = { RETRY_CONNECT, RETRY_BROKEN, RETRY_TIMEOUT, RETRY_STATUS };
    for (size_t i = 0; i < sizeof(ordinary) / sizeof(ordinary[0]); i++) {
        struct retry_case facts = a_get(ordinary[i]);
        facts.budget = false;
        assert_int_equal(decide(facts), RETRY_DENIED);
        facts.patient = true;
        assert_int_equal(decide(facts), RETRY_LATER);
        facts.elsewhere = false;
        assert_int_equal(decide(facts), RETRY_DENIED);
        facts = a_post(ordinary[i]);
        facts.patient = true;
        facts.budget = false;
        assert_int_equal(decide(facts), RETRY_DENIED);
    }
}

static void the_budget_is_a_fifth_and_at_least_three(void **unused)
{
    (void)unused;
    assert_true(gw_retry_budget(2, 0));
    assert_false(gw_retry_budget(3, 10));
    assert_true(gw_retry_budget(19, 100));
    assert_false(gw_retry_budget(20, 100));
}

/* The bits choose every combination of facts. */
static struct retry_case combination(unsigned bits)
{
    struct retry_case facts = a_get((enum retry_failure)(bits % RETRY_FAILURES));
    bits /= RETRY_FAILURES;
    facts.idempotent = bits & 1;
    facts.repeatable = bits & 2;
    facts.sent = bits & 4;
    facts.replayable = bits & 8;
    facts.begun = bits & 16;
    facts.elsewhere = bits & 32;
    facts.died = bits & 64;
    facts.budget = bits & 128;
    facts.attempts = bits & 256 ? 2 : 1;
    facts.suspects = bits & 512 ? 2 : 1;
    facts.strikes = bits & 1024 ? 1 : 0;
    facts.alone = !facts.elsewhere && (bits & 2048);
    return facts;
}

static void nothing_is_ever_sent_twice_that_may_not_be(void **unused)
{
    (void)unused;
    for (unsigned bits = 0; bits < RETRY_FAILURES * 4096; bits++) {
        struct retry_case facts = combination(bits);
        enum retry_verdict verdict = gw_retry_decide(&facts);
        bool again = verdict == RETRY_ELSEWHERE || verdict == RETRY_SAME || verdict == RETRY_HOLD;
        if (again) {
            assert_true(facts.replayable && !facts.begun);
            assert_true(!facts.sent || facts.idempotent || facts.repeatable);
            if (gw_retry_counts(facts.failure) && facts.failure != RETRY_CRASHED)
                assert_true(facts.budget && facts.attempts < facts.max_attempts);
        }
        if (verdict == RETRY_ELSEWHERE)
            assert_true(facts.elsewhere);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_goes_elsewhere_whatever_went_wrong),
        cmocka_unit_test(a_post_that_may_have_been_executed_is_not_sent_again),
        cmocka_unit_test(who_was_killed_from_outside_costs_no_attempt_and_no_budget),
        cmocka_unit_test(suspects_of_a_crash),
        cmocka_unit_test(when_all_have_been_tried),
        cmocka_unit_test(only_what_the_route_lists_is_retried),
        cmocka_unit_test(who_finds_the_budget_spent_waits_where_that_is_allowed),
        cmocka_unit_test(the_budget_is_a_fifth_and_at_least_three),
        cmocka_unit_test(nothing_is_ever_sent_twice_that_may_not_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
