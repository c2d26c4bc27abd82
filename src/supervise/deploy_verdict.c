/* SPDX-License-Identifier: MIT */
#include "supervise/deploy_verdict.h"

#include "base/cleanup.h"

#include <math.h>
#include <stdio.h>

/* How sure it has to be, and by how much worse. */
#define CHANCE        1e-4
#define FAILURES_MORE 0.005 /* of all answers, and */
#define FAILURES      5     /* so many: fewer may be one hiccup */
#define SLOWER        1.5   /* times the old version's latency, and */
#define SLOWER_US     5000  /* so much longer: nobody notices less */

void deploy_sample_add(struct deploy_sample *sum, const struct gauges *gauges, int endpoint, uint32_t generation)
{
    for (uint32_t w = 0; w < gauges->workers; w++) {
        const struct endpoint_gauge *gauge = &gauges->worker[w].endpoints[endpoint];
        if (atomic_load_explicit(&gauge->generation, memory_order_acquire) != generation)
            continue;
        sum->failures += atomic_load_explicit(&gauge->failures, memory_order_relaxed);
        for (unsigned i = 0; i < GAUGES_LATENCY; i++) {
            uint32_t count = atomic_load_explicit(&gauge->latency[i], memory_order_relaxed);
            sum->latency[i] += count;
            sum->answers += count;
        }
    }
}

struct deploy_sample deploy_sample_since(const struct deploy_sample *now, const struct deploy_sample *before)
{
    struct deploy_sample since = { .answers = now->answers - before->answers,
                                   .failures = now->failures - before->failures };
    for (unsigned i = 0; i < GAUGES_LATENCY; i++)
        since.latency[i] = now->latency[i] - before->latency[i];
    return since;
}

uint64_t deploy_sample_quantile(const struct deploy_sample *sample, double quantile)
{
    return gauges_quantile_us(sample->latency, quantile);
}

static double log_choose(double n, double k)
{
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1);
}

/*
 * Of `n` answers of the new version `k` are bad, of `m` of the old one `j`: how likely is it that so many or more of all bad ones
 * fall to the new one if the versions do not differ (the tail of the hypergeometric distribution)?
 */
static double chance_of(uint64_t k, uint64_t n, uint64_t j, uint64_t m)
{
    uint64_t bad = k + j, most = bad < n ? bad : n;
    double all = log_choose((double)(n + m), (double)bad), sum = 0;

    for (uint64_t i = k; i <= most; i++) {
        double term = exp(log_choose((double)n, (double)i) + log_choose((double)m, (double)(bad - i)) - all);
        sum += term;
        if (term < sum * 1e-9)
            break; /* what follows is smaller still */
    }
    return sum;
}

static bool differs(uint64_t k, uint64_t n, uint64_t j, uint64_t m)
{
    return chance_of(k, n, j, m) < CHANCE;
}

static uint64_t slower_than(const struct deploy_sample *sample, uint64_t us)
{
    uint64_t sum = 0;
    for (unsigned i = gauges_latency_cell(us) + 1; i < GAUGES_LATENCY; i++)
        sum += sample->latency[i];
    return sum;
}

/* Is what only a part of the old version's answers exceeded, and clearly so, exceeded by `share` of the new one's? */
static bool exceeds(const struct deploy_sample *old, const struct deploy_sample *fresh, double quantile, double share,
                    char *why, size_t why_size)
{
    uint64_t was = deploy_sample_quantile(old, quantile);
    uint64_t times = (uint64_t)((double)was * SLOWER);
    uint64_t limit = times > was + SLOWER_US ? times : was + SLOWER_US;
    uint64_t k = slower_than(fresh, limit), j = slower_than(old, limit);

    if ((double)k < share * (double)fresh->answers || !differs(k, fresh->answers, j, old->answers))
        return false;
    (void)snprintf(
        why, why_size, "it is slower: %.1f %% of its answers took longer than %.0f ms, of the old version's %.1f %%",
        100.0 * (double)k / (double)fresh->answers, (double)limit / 1000, 100.0 * (double)j / (double)old->answers);
    return true;
}

bool deploy_fails_more(const struct deploy_sample *old, const struct deploy_sample *fresh, char *why, size_t why_size)
{
    if (fresh->failures < FAILURES || old->answers == 0)
        return false;
    double is = (double)fresh->failures / (double)fresh->answers, was = (double)old->failures / (double)old->answers;
    if (is < was + FAILURES_MORE || !differs(fresh->failures, fresh->answers, old->failures, old->answers))
        return false;
    (void)snprintf(why, why_size, "it fails more: %.1f %% of its answers were 5xx, of the old version's %.1f %%",
                   100 * is, 100 * was);
    return true;
}

bool deploy_is_slower(const struct deploy_sample *old, const struct deploy_sample *fresh, uint64_t min_answers,
                      char *why, size_t why_size)
{
    /* As a rule, or where the old version was seldom slow. */
    return fresh->answers > 0 && fresh->answers >= min_answers && old->answers > 0 &&
           (exceeds(old, fresh, 0.5, 0.5, why, why_size) || exceeds(old, fresh, 0.99, 0.05, why, why_size));
}
