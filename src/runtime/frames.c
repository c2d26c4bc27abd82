/* SPDX-License-Identifier: MIT */
#include "runtime/frames.h"

#include <string.h>

void frames_take(struct frames *frames, const char *data, size_t len,
                 void (*fn)(void *owner, int stream, const char *data, size_t len), void *owner)
{
    if (frames->raw && len > 0) {
        fn(owner, 1, data, len);
        return;
    }
    while (len > 0) {
        size_t n;
        if (frames->left == 0) {
            n = sizeof(frames->head) - frames->head_len;
            n = n < len ? n : len;
            memcpy(frames->head + frames->head_len, data, n);
            frames->head_len += (uint32_t)n;
            if (frames->head_len == sizeof(frames->head)) {
                const uint8_t *b = frames->head + 4;
                frames->left = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
                frames->head_len = 0;
            }
        } else {
            n = frames->left < len ? frames->left : len;
            fn(owner, frames->head[0] == 2 ? 2 : 1, data, n);
            frames->left -= (uint32_t)n;
        }
        data += n;
        len -= n;
    }
}
