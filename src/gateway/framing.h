/* SPDX-License-Identifier: MIT
 *
 * Bodies by their framing, for those whose bytes pass without being looked at (pipe.h).
 */
#ifndef DARUMA_GATEWAY_FRAMING_H
#define DARUMA_GATEWAY_FRAMING_H

#include "base/http1.h"

/* How many bytes of a body come next whose meaning is known already. */
static inline uint64_t gw_bytes_to_come(uint8_t framing, uint64_t left, const struct http1_chunked *chunked)
{
    switch ((enum http1_framing)framing) {
    case HTTP1_LENGTH:
        return left;
    case HTTP1_CHUNKED:
        return http1_chunked_run(chunked);
    case HTTP1_UNTIL_CLOSE:
        return UINT64_MAX;
    default:
        return 0;
    }
}

/* `len` of them have come. True when the body is whole by that. */
static inline bool gw_bytes_came(uint8_t framing, uint64_t *left, struct http1_chunked *chunked, size_t len)
{
    if (framing == HTTP1_CHUNKED)
        http1_chunked_skip(chunked, len);
    if (framing != HTTP1_LENGTH)
        return false;
    *left -= len;
    return *left == 0;
}

#endif
