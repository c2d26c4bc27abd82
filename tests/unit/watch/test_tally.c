/* SPDX-License-Identifier: MIT
 *
 * The monitor's arithmetic and its objectives.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "watch/slo.h"
#include "watch/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct watch_tally tally;

static int setup(void **unused)
{
    (void)unused;
    watch_tally_init(&tally, 1000 * NS_PER_S);
    return 0;
}

/* A probe that was due `due_ms` after the start and ended `took_ms` later. */
static void add(int64_t due_ms, int64_t took_ms, enum watch_kind kind)
{
    int64_t due = tally.start_ns + due_ms * NS_PER_MS;
    struct watch_result result = {
        .due_ns = due,
        .end_ns = due + took_ms * NS_PER_MS,
        .kind = kind,
        .status = kind == WATCH_OK       ? 200
                  : kind == WATCH_STATUS ? 503
                                         : 0,
        .instance = -1,
    };
    watch_tally_add(&tally, &result);
}

static void due_instants_do_not_drift(void **unused)
{
    (void)unused;
    static const double rates[] = { 0.1, 1, 3, 7.7, 500, 20000, 33333.3 };
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        assert_int_equal(watch_due(0, rates[i]), 0);
        for (uint64_t n = 1; n < 2000; n++)
            assert_true(watch_due(n, rates[i]) > watch_due(n - 1, rates[i]));
        /* After a million probes still within a microsecond of where it belongs. */
        double wanted = 1e6 / rates[i] * 1e9;
        assert_true((double)watch_due(1000000, rates[i]) > wanted - 1000 - wanted * 1e-12);
        assert_true((double)watch_due(1000000, rates[i]) < wanted + 1000 + wanted * 1e-12);
    }
    assert_int_equal(watch_due(500, 500), NS_PER_S);
}

static void availability_counts_every_probe_that_ended(void **unused)
{
    (void)unused;
    assert_true(watch_tally_availability(&tally) == 1);
    for (int i = 0; i < 999; i++)
        add(i, 1, WATCH_OK);
    add(999, 0, WATCH_REFUSED);
    assert_int_equal(tally.sent, 1000);
    assert_int_equal(tally.kinds[WATCH_REFUSED], 1);
    assert_true(watch_tally_availability(&tally) > 0.9989 && watch_tally_availability(&tally) < 0.9991);
}

static void the_gap_is_between_successes_with_the_start_and_the_end(void **unused)
{
    (void)unused;
    add(0, 300, WATCH_REFUSED);
    add(0, 400, WATCH_OK);
    assert_int_equal(watch_tally_gap(&tally, tally.end_ns), 400 * NS_PER_MS);
    add(500, 10, WATCH_OK);
    add(600, 900, WATCH_TIMEOUT);
    assert_int_equal(watch_tally_gap(&tally, tally.end_ns), 990 * NS_PER_MS); /* still open: 510 … 1500 */
    add(1000, 1000, WATCH_OK);
    assert_int_equal(watch_tally_gap(&tally, tally.end_ns), 1490 * NS_PER_MS);
}

static void answers_out_of_order_make_no_negative_gap(void **unused)
{
    (void)unused;
    add(10, 50, WATCH_OK);
    add(0, 20, WATCH_OK); /* reported later, ended earlier */
    assert_int_equal(watch_tally_gap(&tally, tally.end_ns), 60 * NS_PER_MS);
    assert_int_equal(tally.last_ok_ns, tally.start_ns + 60 * NS_PER_MS);
}

static void failures_do_not_look_fast(void **unused)
{
    (void)unused;
    add(0, 100, WATCH_OK);
    for (int i = 0; i < 1000; i++)
        add(i, 0, WATCH_REFUSED);
    assert_true(hist_quantile(&tally.latency, 0.5) >= 100000);
}

static void instances_are_told_apart_and_made_safe_to_print(void **unused)
{
    (void)unused;
    assert_int_equal(watch_tally_instance(&tally, "app-1", 5), 0);
    assert_int_equal(watch_tally_instance(&tally, "app-2", 5), 1);
    assert_int_equal(watch_tally_instance(&tally, "app-1", 5), 0);
    int bad = watch_tally_instance(&tally, "\033[2J\"\\", 6);
    assert_string_equal(tally.names[bad], "?[2J??");
    for (int i = 0; i < 2 * WATCH_INSTANCES; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "x-%d", i);
        assert_in_range(watch_tally_instance(&tally, name, strlen(name)), 0, WATCH_INSTANCES - 1);
    }
    assert_string_equal(tally.names[WATCH_INSTANCES - 1], "others");
}

static void every_error_has_its_kind(void **unused)
{
    (void)unused;
    assert_int_equal(watch_kind_of(-ECONNREFUSED), WATCH_REFUSED);
    assert_int_equal(watch_kind_of(-ECONNRESET), WATCH_RESET);
    assert_int_equal(watch_kind_of(-EPIPE), WATCH_CLOSED);
    assert_int_equal(watch_kind_of(-EBADMSG), WATCH_BAD_RESPONSE);
    assert_int_equal(watch_kind_of(-EMFILE), WATCH_NO_CONNECTION);
    for (int kind = 0; kind < WATCH_KINDS; kind++)
        assert_string_not_equal(watch_kind_name(kind), "?");
}

static struct watch_slo parsed(const char *text)
{
    struct watch_slo slo;
    struct err err = { 0 };
    if (watch_slo_parse(text, &slo, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(slo.text, text);
    return slo;
}

static void objectives_are_understood(void **unused)
{
    (void)unused;
    struct watch_slo slo = parsed("99.9%");
    assert_int_equal(slo.kind, WATCH_SLO_AVAILABILITY);
    assert_true(slo.target == 99.9);
    assert_int_equal(parsed("100").kind, WATCH_SLO_AVAILABILITY);
    slo = parsed("p99.9 <= 1.5s");
    assert_int_equal(slo.kind, WATCH_SLO_QUANTILE);
    assert_true(slo.or_equal && slo.target > 0.99899 && slo.target < 0.99901);
    assert_int_equal(slo.limit_ns, 1500 * NS_PER_MS);
    assert_int_equal(parsed("max<250ms").kind, WATCH_SLO_MAX);
    assert_int_equal(parsed("gap<2m").limit_ns, 120 * NS_PER_S);

    static const char *const bad[] = { "",        "0%",    "101%",     "99%%",    "99.9 percent", "p99",
                                       "p99<",    "p99<5", "p0<1ms",   "p101<1s", "p99>1s",       "max<-1ms",
                                       "max<0ms", "nan%",  "p99<1ms1", "gap<1h" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = { 0 };
        if (watch_slo_parse(bad[i], &slo, &err) != -EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_true(err.message[0] != '\0');
    }
}

static bool met(const char *text)
{
    struct watch_slo slo = parsed(text);
    return watch_slo_judge(&slo, &tally).met;
}

static void objectives_are_judged_at_their_edge(void **unused)
{
    (void)unused;
    assert_false(met("1%")); /* nothing was measured, so nothing is proven */
    for (int i = 0; i < 999; i++)
        add(i, i < 990 ? 10 : 200, WATCH_OK);
    add(999, 0, WATCH_STATUS);
    assert_true(met("99.9%"));
    assert_false(met("99.91%"));
    assert_false(met("100"));
    assert_true(met("p99<20ms"));
    assert_false(met("p99.9<20ms"));
    assert_true(met("max<=200ms"));
    assert_false(met("max<200ms"));
    assert_true(met("gap<1s"));
    assert_false(met("gap<1ms"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(due_instants_do_not_drift, setup),
        cmocka_unit_test_setup(availability_counts_every_probe_that_ended, setup),
        cmocka_unit_test_setup(the_gap_is_between_successes_with_the_start_and_the_end, setup),
        cmocka_unit_test_setup(answers_out_of_order_make_no_negative_gap, setup),
        cmocka_unit_test_setup(failures_do_not_look_fast, setup),
        cmocka_unit_test_setup(instances_are_told_apart_and_made_safe_to_print, setup),
        cmocka_unit_test_setup(every_error_has_its_kind, setup),
        cmocka_unit_test_setup(objectives_are_understood, setup),
        cmocka_unit_test_setup(objectives_are_judged_at_their_edge, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
