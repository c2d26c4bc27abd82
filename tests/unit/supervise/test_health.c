/* SPDX-License-Identifier: MIT
 *
 * How results become health; the probes themselves are tested with real processes in test_supervisor.c.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "supervise/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct spec_healthcheck check = {
    .test = SPEC_TEST_CMD,
    .interval_ns = 10 * NS_PER_S,
    .timeout_ns = NS_PER_S,
    .retries = 3,
    .start_period_ns = 20 * NS_PER_S,
};

static void the_first_pass_makes_it_healthy(void **unused)
{
    struct health_count count = { .state = HEALTH_STARTING };
    assert_int_equal(health_judge(&count, &check, true, 0), HEALTH_HEALTHY);
}

static void as_many_failures_in_a_row_as_the_file_says_make_it_unhealthy(void **unused)
{
    struct health_count count = { .state = HEALTH_HEALTHY };
    for (int round = 0; round < 5; round++) {
        assert_int_equal(health_judge(&count, &check, false, 100 * NS_PER_S), HEALTH_HEALTHY);
        assert_int_equal(health_judge(&count, &check, false, 100 * NS_PER_S), HEALTH_HEALTHY);
        assert_int_equal(health_judge(&count, &check, true, 100 * NS_PER_S), HEALTH_HEALTHY);
    }
    (void)health_judge(&count, &check, false, 100 * NS_PER_S);
    (void)health_judge(&count, &check, false, 100 * NS_PER_S);
    assert_int_equal(health_judge(&count, &check, false, 100 * NS_PER_S), HEALTH_UNHEALTHY);
    assert_int_equal(health_judge(&count, &check, true, 100 * NS_PER_S), HEALTH_HEALTHY);
}

static void fast_probes_condemn_nobody_earlier_than_the_files_own_would(void **unused)
{
    struct health_count count = { .state = HEALTH_STARTING };
    int64_t condemned = check.start_period_ns + check.retries * check.interval_ns;
    for (int64_t age = 0; age < condemned; age += 100 * NS_PER_MS)
        assert_int_equal(health_judge(&count, &check, false, age), HEALTH_STARTING);
    assert_int_equal(health_judge(&count, &check, false, condemned), HEALTH_UNHEALTHY);
}

static void within_the_start_period_failures_count_once_it_has_passed(void **unused)
{
    struct health_count count = { .state = HEALTH_STARTING };
    (void)health_judge(&count, &check, true, NS_PER_S);
    for (int i = 0; i < 3; i++)
        (void)health_judge(&count, &check, false, 2 * NS_PER_S);
    assert_int_equal(count.state, HEALTH_UNHEALTHY);
}

static void no_retries_means_one(void **unused)
{
    struct spec_healthcheck none = check;
    struct health_count count = { .state = HEALTH_HEALTHY };
    none.retries = 0;
    assert_int_equal(health_judge(&count, &none, false, 0), HEALTH_UNHEALTHY);
}

static void probing_is_fast_until_ready(void **unused)
{
    struct health_count count = { .state = HEALTH_STARTING };
    struct spec_healthcheck own = check;
    const int64_t command_ms[] = { 10, 20, 40, 80, 100, 100 }, connect_ms[] = { 1, 2, 4, 8, 16, 32, 64, 100, 100 };
    for (size_t i = 0; i < ARRAY_LEN(command_ms); i++) {
        (void)health_judge(&count, &own, false, 0);
        own.test = SPEC_TEST_SHELL;
        assert_int_equal(health_pause(&count, &own), command_ms[i] * NS_PER_MS);
    }
    count.probes = 0;
    for (size_t i = 0; i < ARRAY_LEN(connect_ms); i++) {
        (void)health_judge(&count, &own, false, 0);
        own.test = SPEC_TEST_HTTP;
        assert_int_equal(health_pause(&count, &own), connect_ms[i] * NS_PER_MS);
    }
    count.probes = UINT32_MAX;
    assert_int_equal(health_pause(&count, &own), 100 * NS_PER_MS);
    own.start_interval_ns = 2 * NS_PER_S;
    assert_int_equal(health_pause(&count, &own), 2 * NS_PER_S);
    own.start_interval_ns = 0;
    own.interval_ns = 50 * NS_PER_MS;
    assert_int_equal(health_pause(&count, &own), 50 * NS_PER_MS);
    count.state = HEALTH_HEALTHY;
    assert_int_equal(health_pause(&count, &check), check.interval_ns);
    count.state = HEALTH_UNHEALTHY;
    assert_int_equal(health_pause(&count, &check), check.interval_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_pass_makes_it_healthy),
        cmocka_unit_test(as_many_failures_in_a_row_as_the_file_says_make_it_unhealthy),
        cmocka_unit_test(fast_probes_condemn_nobody_earlier_than_the_files_own_would),
        cmocka_unit_test(within_the_start_period_failures_count_once_it_has_passed),
        cmocka_unit_test(no_retries_means_one),
        cmocka_unit_test(probing_is_fast_until_ready),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
