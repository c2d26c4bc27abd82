/* SPDX-License-Identifier: MIT
 *
 * Hashing of short texts: FNV-1a over the bytes, and the finaliser of splitmix64 where every bit of the result has to
 * depend on every bit that went in. Not against people who look for collisions.
 */
#ifndef DARUMA_BASE_HASH_H
#define DARUMA_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_SEED UINT64_C(0xcbf29ce484222325)

static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *byte = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static inline uint64_t hash_text(const char *text)
{
    return hash_bytes(HASH_SEED, text, strlen(text));
}

static inline uint64_t hash_mix(uint64_t number)
{
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

#endif
