/* SPDX-License-Identifier: MIT */
#include "gateway/ring.h"

#include "base/hash.h"

uint64_t gw_ring_name(const char *instance)
{
    return hash_mix(hash_text(instance));
}

uint32_t gw_ring_place(uint64_t name, uint32_t n)
{
    return (uint32_t)(hash_mix(name + n * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

uint32_t gw_ring_add(struct gw_ring_point *points, uint16_t endpoint, uint64_t name, uint32_t weight, uint32_t heaviest)
{
    uint32_t count = weight >= heaviest ? GW_RING_POINTS : GW_RING_POINTS * weight / heaviest;
    if (count == 0)
        count = 1;
    for (uint32_t n = 0; n < count; n++)
        points[n] = (struct gw_ring_point){ .at = gw_ring_place(name, n), .endpoint = endpoint };
    return count;
}

/* By one byte of the place; stable, so that four of them, the lowest byte first, sort by all. */
static void sort_by_byte(const struct gw_ring_point *from, struct gw_ring_point *to, uint32_t len, unsigned shift)
{
    uint32_t next[256] = { 0 }, sum = 0;
    for (uint32_t i = 0; i < len; i++)
        next[from[i].at >> shift & 0xff]++;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint32_t count = next[byte];
        next[byte] = sum;
        sum += count;
    }
    for (uint32_t i = 0; i < len; i++)
        to[next[from[i].at >> shift & 0xff]++] = from[i];
}

/* The circle has as many equal parts as there are points, so that each has about one. */
static uint32_t part_of(uint32_t at, uint32_t len)
{
    return (uint32_t)((uint64_t)at * len >> 32);
}

void gw_ring_sort(struct gw_ring_point *points, struct gw_ring_point *scratch, uint32_t len)
{
    sort_by_byte(points, scratch, len, 0);
    sort_by_byte(scratch, points, len, 8);
    sort_by_byte(points, scratch, len, 16);
    sort_by_byte(scratch, points, len, 24);
    for (uint32_t part = 0, next = 0; part < len; part++) {
        while (next < len && part_of(points[next].at, len) < part)
            next++;
        points[part].begin = (int16_t)((int32_t)next - (int32_t)part);
    }
}

uint32_t gw_ring_find(const struct gw_ring_point *points, uint32_t len, uint32_t at)
{
    uint32_t part = part_of(at, len), next = part + (uint32_t)points[part].begin;
    while (next < len && points[next].at < at)
        next++;
    return next < len ? next : 0;
}
