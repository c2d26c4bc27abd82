/* SPDX-License-Identifier: MIT
 *
 * A small, fast, seedable generator (xoshiro256**, by Blackman and Vigna; seeded by splitmix64): placement, jitter and
 * chaos that can be repeated. Not for secrets.
 */
#ifndef DARUMA_BASE_RNG_H
#define DARUMA_BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *rng, uint64_t seed);

/* A seed from the kernel (getrandom(2)), for when nobody asked for a repeatable run. */
uint64_t rng_entropy(void);

uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound); /* uniform in [0, bound); 0 when bound is 0 */
double rng_unit(struct rng *rng);                    /* uniform in [0, 1) */

#endif
