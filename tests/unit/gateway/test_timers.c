/* SPDX-License-Identifier: MIT
 *
 * Deadlines by number: in order, put off, taken back; then any sequence against a plain array.
 */
#include "gateway/timers.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void they_come_up_in_order_and_once(void **unused)
{
    (void)unused;
    struct timers timers;
    uint32_t id;
    int64_t due[4] = { 0 };
    assert_int_equal(gw_timers_init(&timers, 4, due), 0);
    gw_timers_set(&timers, 0, 30);
    gw_timers_set(&timers, 1, 10);
    gw_timers_set(&timers, 2, 20);
    assert_int_equal(gw_timers_next(&timers, 100), 10);
    assert_int_equal(gw_timers_next(&timers, 5), 5);
    assert_false(gw_timers_pop(&timers, 9, &id));
    assert_true(gw_timers_pop(&timers, 25, &id) && id == 1);
    assert_true(gw_timers_pop(&timers, 25, &id) && id == 2);
    assert_false(gw_timers_pop(&timers, 25, &id));
    assert_true(gw_timers_pop(&timers, 30, &id) && id == 0);
    assert_int_equal(gw_timers_next(&timers, 100), 100);
    gw_timers_free(&timers);
}

static void one_that_is_put_off_waits_and_one_that_is_brought_forward_does_not(void **unused)
{
    (void)unused;
    struct timers timers;
    uint32_t id;
    int64_t due[2] = { 0 };
    assert_int_equal(gw_timers_init(&timers, 2, due), 0);
    gw_timers_set(&timers, 0, 10);
    gw_timers_set(&timers, 0, 50);
    assert_false(gw_timers_pop(&timers, 49, &id));
    gw_timers_set(&timers, 0, 20);
    assert_true(gw_timers_pop(&timers, 20, &id) && id == 0);
    gw_timers_set(&timers, 1, 10);
    gw_timers_cancel(&timers, 1);
    assert_false(gw_timers_pop(&timers, 100, &id));
    gw_timers_free(&timers);
}

static void any_sequence_does_as_a_plain_array_would(void **unused)
{
    (void)unused;
    enum { IDS = 50, STEPS = 20000 };
    struct timers timers;
    struct rng rng;
    int64_t due[IDS], kept[IDS] = { 0 }, now = 1;
    rng_seed(&rng, 1);
    assert_int_equal(gw_timers_init(&timers, IDS, kept), 0);
    for (int i = 0; i < IDS; i++)
        due[i] = INT64_MAX;
    for (int step = 0; step < STEPS; step++) {
        uint32_t id = (uint32_t)rng_below(&rng, IDS);
        switch (rng_below(&rng, 4)) {
        case 0:
            gw_timers_cancel(&timers, id);
            due[id] = INT64_MAX;
            break;
        case 1:
            now += (int64_t)rng_below(&rng, 20);
            while (gw_timers_pop(&timers, now, &id)) {
                assert_true(due[id] <= now);
                due[id] = INT64_MAX;
            }
            int64_t next = now + 50;
            for (int i = 0; i < IDS; i++) {
                assert_true(due[i] > now);
                next = due[i] < next ? due[i] : next;
            }
            assert_int_equal(gw_timers_next(&timers, now + 50), next);
            break;
        default:
            due[id] = now + (int64_t)rng_below(&rng, 100);
            gw_timers_set(&timers, id, due[id]);
            break;
        }
    }
    gw_timers_free(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_up_in_order_and_once),
        cmocka_unit_test(one_that_is_put_off_waits_and_one_that_is_brought_forward_does_not),
        cmocka_unit_test(any_sequence_does_as_a_plain_array_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
