/* SPDX-License-Identifier: MIT
 *
 * Is the new version worse than the old one? A comparison of what both answered in the same minutes. Pure.
 *
 * The test is Fisher's exact one, one-sided, at 1 : 10,000, since it is asked again and again while answers come; and the
 * difference has to matter to somebody: see deploy_verdict.c. What cannot be told apart from chance is no reason to go back.
 */
#ifndef DARUMA_SUPERVISE_DEPLOY_VERDICT_H
#define DARUMA_SUPERVISE_DEPLOY_VERDICT_H

#include "base/gauges.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one version answered. */
struct deploy_sample {
    uint64_t answers;
    uint64_t failures; /* of these: 500 … 599 */
    uint64_t latency[GAUGES_LATENCY];
};

/* Adds what one endpoint slot holds over all workers, as long as it belongs to `generation`. */
void deploy_sample_add(struct deploy_sample *sum, const struct gauges *gauges, int endpoint, uint32_t generation);
/* What came to it after `before`. */
struct deploy_sample deploy_sample_since(const struct deploy_sample *now, const struct deploy_sample *before);
/* The latency that so many of its answers (0 … 1) did not exceed, in microseconds; 0 when there are none. */
uint64_t deploy_sample_quantile(const struct deploy_sample *sample, double quantile);

/*
 * In what `fresh` is worse than `old`: true with the reason in `why` for people. Without answers of both nothing can be said.
 * Failures may be few, for the test is exact: of a version that has 10 % of the answers, the first five are enough. Slowness
 * takes `min_answers` of the new version.
 */
bool deploy_fails_more(const struct deploy_sample *old, const struct deploy_sample *fresh, char *why, size_t why_size);
bool deploy_is_slower(const struct deploy_sample *old, const struct deploy_sample *fresh, uint64_t min_answers,
                      char *why, size_t why_size);

#endif
