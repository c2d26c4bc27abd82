/* SPDX-License-Identifier: MIT
 *
 * Stories first, then properties that hold for every pair.
 */
#include "supervise/instance_fsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Walks `events` from `state` and fails at the first that was not expected there. */
static enum instance_state walk(enum instance_state state, bool wanted, const enum instance_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct instance_step step = instance_fsm(state, events[i], wanted);
        if (!step.expected)
            fail_msg("event %d in %s", (int)events[i], instance_state_name(state));
        state = step.next;
    }
    return state;
}
#define WALK(state, wanted, ...)                                                                                       \
    walk(state, wanted, (const enum instance_event[]){ __VA_ARGS__ },                                                  \
         sizeof((const enum instance_event[]){ __VA_ARGS__ }) / sizeof(enum instance_event))

static void a_killed_instance_leaves_the_rotation_in_the_same_step(void **unused)
{
    (void)unused;
    struct instance_step step = instance_fsm(INSTANCE_SERVING, INSTANCE_EV_EXIT, true);
    assert_int_equal(step.next, INSTANCE_WAITING);
    assert_true(step.actions & INSTANCE_DO_EJECT);
    assert_true(step.actions & INSTANCE_DO_BACKOFF);
}

static void a_sick_instance_is_drained_ended_and_comes_back(void **unused)
{
    (void)unused;
    assert_int_equal(WALK(INSTANCE_SERVING, true, INSTANCE_EV_SICK, INSTANCE_EV_DRAINED, INSTANCE_EV_EXIT,
                          INSTANCE_EV_START, INSTANCE_EV_READY),
                     INSTANCE_SERVING);
}

static void a_stopped_instance_stays_down(void **unused)
{
    (void)unused;
    assert_int_equal(WALK(INSTANCE_SERVING, false, INSTANCE_EV_STOP, INSTANCE_EV_DRAINED, INSTANCE_EV_EXIT),
                     INSTANCE_IDLE);
}

static void a_spent_budget_is_told_and_only_a_start_helps(void **unused)
{
    (void)unused;
    assert_true(instance_fsm(INSTANCE_WAITING, INSTANCE_EV_SPENT, true).actions & INSTANCE_DO_TELL);
    assert_int_equal(instance_fsm(INSTANCE_FAILED, INSTANCE_EV_START, true).next, INSTANCE_STARTING);
}

static void a_job_that_ended_well_stays_done_until_it_is_wanted_again(void **unused)
{
    (void)unused;
    assert_int_equal(WALK(INSTANCE_SERVING, true, INSTANCE_EV_EXIT, INSTANCE_EV_COMPLETE), INSTANCE_DONE);
    assert_int_equal(instance_fsm(INSTANCE_DONE, INSTANCE_EV_START, true).next, INSTANCE_STARTING);
    assert_int_equal(instance_fsm(INSTANCE_DONE, INSTANCE_EV_STOP, false).next, INSTANCE_IDLE);
}

static void a_replaced_instance_comes_back_by_itself(void **unused)
{
    (void)unused;
    assert_int_equal(WALK(INSTANCE_SERVING, true, INSTANCE_EV_STOP, INSTANCE_EV_DRAINED, INSTANCE_EV_EXIT,
                          INSTANCE_EV_START, INSTANCE_EV_READY),
                     INSTANCE_SERVING);
}

static void whatever_is_to_be_stopped_can_be_stopped(void **unused)
{
    (void)unused;
    for (int state = 0; state < INSTANCE_STATES; state++)
        assert_true(instance_fsm(state, INSTANCE_EV_STOP, false).expected);
}

static void a_process_is_started_only_where_none_runs(void **unused)
{
    (void)unused;
    for (int state = 0; state < INSTANCE_STATES; state++)
        for (int event = 0; event < INSTANCE_EVENTS; event++) {
            bool runs = state == INSTANCE_STARTING || state == INSTANCE_SERVING || state == INSTANCE_DRAINING ||
                        state == INSTANCE_STOPPING;
            struct instance_step step = instance_fsm(state, event, true);
            if (step.actions & INSTANCE_DO_SPAWN)
                assert_false(runs);
            assert_int_equal(step.next == INSTANCE_STARTING && state != INSTANCE_STARTING,
                             !!(step.actions & INSTANCE_DO_SPAWN));
        }
}

static void every_state_has_a_name(void **unused)
{
    (void)unused;
    for (int state = 0; state < INSTANCE_STATES; state++)
        assert_string_not_equal(instance_state_name(state), "?");
    assert_string_equal(instance_state_name(INSTANCE_STATES), "?");
}

static void traffic_is_only_where_it_may_be(void **unused)
{
    (void)unused;
    for (int state = 0; state < INSTANCE_STATES; state++)
        for (int event = 0; event < INSTANCE_EVENTS; event++)
            for (int wanted = 0; wanted < 2; wanted++) {
                struct instance_step step = instance_fsm(state, event, wanted);
                bool enters = state != INSTANCE_SERVING && step.next == INSTANCE_SERVING;
                bool leaves = state == INSTANCE_SERVING && step.next != INSTANCE_SERVING;
                assert_int_equal(enters, !!(step.actions & INSTANCE_DO_ADMIT));
                assert_int_equal(leaves, !!(step.actions & INSTANCE_DO_EJECT));
                if (!step.expected)
                    assert_true(step.next == (enum instance_state)state && step.actions == 0);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_instance_leaves_the_rotation_in_the_same_step),
        cmocka_unit_test(a_sick_instance_is_drained_ended_and_comes_back),
        cmocka_unit_test(a_stopped_instance_stays_down),
        cmocka_unit_test(a_spent_budget_is_told_and_only_a_start_helps),
        cmocka_unit_test(a_job_that_ended_well_stays_done_until_it_is_wanted_again),
        cmocka_unit_test(a_replaced_instance_comes_back_by_itself),
        cmocka_unit_test(whatever_is_to_be_stopped_can_be_stopped),
        cmocka_unit_test(a_process_is_started_only_where_none_runs),
        cmocka_unit_test(every_state_has_a_name),
        cmocka_unit_test(traffic_is_only_where_it_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
