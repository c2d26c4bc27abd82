/* SPDX-License-Identifier: MIT
 *
 * Stories first, then properties that hold for every pair.
 */
#include "gateway/conn_fsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static enum conn_state walk(enum conn_state state, const enum conn_event *events, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        enum conn_state next;
        if (!conn_fsm(state, events[i], &next))
            fail_msg("%s in %s", conn_event_name(events[i]), conn_state_name(state));
        state = next;
    }
    return state;
}
#define WALK(state, ...)                                                                                               \
    walk(state, (const enum conn_event[]){ __VA_ARGS__ },                                                              \
         sizeof((const enum conn_event[]){ __VA_ARGS__ }) / sizeof(enum conn_event))

static void a_request_on_a_kept_connection_comes_back_to_idle(void **unused)
{
    (void)unused;
    assert_int_equal(WALK(CONN_IDLE, CONN_EV_BYTES, CONN_EV_SEND, CONN_EV_RESPONSE, CONN_EV_COMPLETE), CONN_IDLE);
    assert_int_equal(
        WALK(CONN_IDLE, CONN_EV_BYTES, CONN_EV_CONNECT, CONN_EV_SEND, CONN_EV_RESPONSE, CONN_EV_LINGER, CONN_EV_CLOSE),
        CONN_FREE);
}

static void a_request_outlives_the_instance_that_it_was_on(void **unused)
{
    (void)unused;
    assert_int_equal(WALK(CONN_SENDING, CONN_EV_BROKEN, CONN_EV_HOLD, CONN_EV_CONNECT, CONN_EV_BROKEN, CONN_EV_SEND,
                          CONN_EV_RESPONSE),
                     CONN_RELAYING);
    assert_int_equal(WALK(CONN_SENDING, CONN_EV_BROKEN, CONN_EV_ANSWER, CONN_EV_COMPLETE), CONN_IDLE);
}

static void tcp_goes_from_nothing_to_a_tunnel(void **unused)
{
    (void)unused;
    assert_int_equal(WALK(CONN_IDLE, CONN_EV_HOLD, CONN_EV_CONNECT, CONN_EV_TUNNEL, CONN_EV_CLOSE), CONN_FREE);
}

static void what_has_begun_to_be_answered_is_never_answered_anew(void **unused)
{
    (void)unused;
    enum conn_state next;
    assert_false(conn_fsm(CONN_RELAYING, CONN_EV_ANSWER, &next));
    assert_false(conn_fsm(CONN_RELAYING, CONN_EV_CONNECT, &next));
    assert_false(conn_fsm(CONN_TUNNEL, CONN_EV_ANSWER, &next));
    assert_false(conn_fsm(CONN_ANSWERING, CONN_EV_SEND, &next));
}

static void every_pair_is_defined_and_every_life_can_end(void **unused)
{
    (void)unused;
    for (int state = 0; state < CONN_STATES; state++) {
        for (int event = 0; event < CONN_EVENTS; event++) {
            enum conn_state next = CONN_STATES;
            bool listed = conn_fsm((enum conn_state)state, (enum conn_event)event, &next);
            assert_true(next < CONN_STATES);
            if (!listed)
                assert_int_equal(next, state);
        }
        enum conn_state next;
        assert_int_equal(conn_fsm((enum conn_state)state, CONN_EV_CLOSE, &next), state != CONN_FREE);
        assert_int_equal(next, CONN_FREE);
        /* Nothing waits for ever. */
        assert_int_equal(conn_fsm_deadline((enum conn_state)state) == CONN_UNTIL_NEVER, state == CONN_FREE);
        assert_string_not_equal(conn_state_name((enum conn_state)state), "?");
    }
    for (int event = 0; event < CONN_EVENTS; event++)
        assert_string_not_equal(conn_event_name((enum conn_event)event), "?");
    assert_string_equal(conn_state_name(CONN_STATES), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_on_a_kept_connection_comes_back_to_idle),
        cmocka_unit_test(a_request_outlives_the_instance_that_it_was_on),
        cmocka_unit_test(tcp_goes_from_nothing_to_a_tunnel),
        cmocka_unit_test(what_has_begun_to_be_answered_is_never_answered_anew),
        cmocka_unit_test(every_pair_is_defined_and_every_life_can_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
