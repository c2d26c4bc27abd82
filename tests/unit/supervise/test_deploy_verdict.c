/* SPDX-License-Identifier: MIT */
#include "base/rng.h"
#include "supervise/deploy_verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct deploy_sample sample(uint64_t answers, uint64_t failures, uint64_t us)
{
    struct deploy_sample sample = { .answers = answers, .failures = failures };
    sample.latency[gauges_latency_cell(us)] = answers;
    return sample;
}

static bool worse(struct deploy_sample old, struct deploy_sample fresh, bool latency)
{
    char why[200] = "";
    bool is = deploy_fails_more(&old, &fresh, why, sizeof(why)) ||
              (latency && deploy_is_slower(&old, &fresh, 50, why, sizeof(why)));
    assert_int_equal(is, why[0] != '\0');
    return is;
}

static void failures_are_told_from_chance(void **unused)
{
    static const struct {
        uint64_t old, old_failures, fresh, fresh_failures;
        bool worse;
    } rows[] = {
        { 1000, 0, 100, 0, false },  { 1000, 0, 100, 1, false },         /* one is nothing */
        { 1000, 0, 100, 5, true },                                       /* 5 % */
        { 1000, 50, 100, 5, false },                                     /* the old one does the same */
        { 1000, 50, 100, 30, true }, { 0, 0, 100, 100, false },          /* nothing to compare with */
        { 1000, 0, 4, 4, false },                                        /* one hiccup */
        { 1000, 0, 5, 5, true },     { 500, 0, 500, 13, false },         /* once in 8,500 times */
        { 500, 0, 500, 14, true },   { 1000000, 0, 100000, 100, false }, /* 0.1 %: sure, but it does not matter */
        { 50, 0, 50, 50, true },     { 10, 10, 1000, 1000, false },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(worse(sample(rows[i].old, rows[i].old_failures, 5000),
                               sample(rows[i].fresh, rows[i].fresh_failures, 5000), true),
                         rows[i].worse);
}

static void slower_counts_where_it_is_asked_for_and_matters(void **unused)
{
    assert_true(worse(sample(1000, 0, 20000), sample(100, 0, 60000), true));
    assert_false(worse(sample(1000, 0, 20000), sample(100, 0, 60000), false));
    assert_false(worse(sample(1000, 0, 300), sample(100, 0, 900), true)); /* 0.6 ms: nobody notices */
    assert_false(worse(sample(1000, 0, 60000), sample(100, 0, 20000), true));

    /* As fast as a rule, but a tenth takes a second. */
    struct deploy_sample fresh = sample(90, 0, 20000);
    fresh.latency[gauges_latency_cell(1000000)] = 10;
    fresh.answers = 100;
    assert_true(worse(sample(1000, 0, 20000), fresh, true));
    struct deploy_sample old = sample(900, 0, 20000);
    old.latency[gauges_latency_cell(1000000)] = 100;
    old.answers = 1000;
    assert_false(worse(old, fresh, true));
}

/* Two versions that do not differ, looked at after each hundred answers: hardly ever is one found worse. */
static void chance_alone_brings_nobody_back(void **unused)
{
    struct rng rng;
    unsigned wrong = 0;

    rng_seed(&rng, 7);
    for (int run = 0; run < 300; run++) {
        struct deploy_sample old = { 0 }, fresh = { 0 };
        bool found = false;
        for (int look = 0; look < 50 && !found; look++) {
            for (int i = 0; i < 100; i++) {
                struct deploy_sample *one = i < 10 ? &fresh : &old;
                one->answers++;
                one->failures += rng_next(&rng) % 100 < 3;
                one->latency[gauges_latency_cell(1000 + rng_next(&rng) % 100000)]++;
            }
            found = worse(old, fresh, true);
        }
        wrong += found;
    }
    assert_in_range(wrong, 0, 3);
}

static void cells_hold_what_they_say(void **unused)
{
    for (uint64_t us = 1; us < 4000000; us += 1 + us / 50) {
        unsigned cell = gauges_latency_cell(us);
        assert_in_range(cell, 0, GAUGES_LATENCY - 1);
        if (cell < GAUGES_LATENCY - 1)
            assert_true(us <= gauges_latency_us(cell) + 1);
        if (cell > 0)
            assert_true(us + 1 >= gauges_latency_us(cell - 1));
    }
    struct deploy_sample both = sample(99, 0, 1000);
    both.latency[gauges_latency_cell(100000)] = 1;
    both.answers = 100;
    assert_in_range(deploy_sample_quantile(&both, 0.5), 1000, 1200);
    assert_in_range(deploy_sample_quantile(&both, 1), 100000, 120000);
    assert_int_equal(deploy_sample_quantile(&(struct deploy_sample){ 0 }, 0.5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_are_told_from_chance),
        cmocka_unit_test(slower_counts_where_it_is_asked_for_and_matters),
        cmocka_unit_test(chance_alone_brings_nobody_back),
        cmocka_unit_test(cells_hold_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
