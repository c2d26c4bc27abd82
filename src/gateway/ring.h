/* SPDX-License-Identifier: MIT
 *
 * A consistent hash: every endpoint has points on a ring of 2^32 places, a key goes to the first point at or behind its
 * own place. Who goes gives its own keys away and moves no others; who comes back under its name gets the same ones again.
 * Where the points lie depends on names alone, so that all workers, and those of the next start, agree.
 *
 * Pure: works on memory of the caller's.
 */
#ifndef DARUMA_GATEWAY_RING_H
#define DARUMA_GATEWAY_RING_H

#include <stdint.h>

/* Of the heaviest endpoint; lighter ones have fewer in proportion, one at least. With 128 of them shares differ by 9 %. */
enum { GW_RING_POINTS = 128 };

struct gw_ring_point {
    uint32_t at;
    uint16_t endpoint;
    int16_t
        begin; /* in a sorted ring of `len` points, of the i-th of `len` equal parts of the circle: its first point is the
                      one of index i + begin */
};

/* What an endpoint is called on every ring. */
uint64_t gw_ring_name(const char *instance);

/* Where its `n`-th point lies. That of n = 0 also names it in sticky cookies. */
uint32_t gw_ring_place(uint64_t name, uint32_t n);

/* Appends the points of one endpoint of that weight to `points`; how many. */
uint32_t gw_ring_add(struct gw_ring_point *points, uint16_t endpoint, uint64_t name, uint32_t weight,
                     uint32_t heaviest);

/* Sorts them by place, for gw_ring_find(), in O(len). `scratch` has room for as many. */
void gw_ring_sort(struct gw_ring_point *points, struct gw_ring_point *scratch, uint32_t len);

/* The index of the first point at or behind `at`; 0 behind the last one. `len` is more than 0. O(1): points are spread evenly. */
uint32_t gw_ring_find(const struct gw_ring_point *points, uint32_t len, uint32_t at);

#endif
