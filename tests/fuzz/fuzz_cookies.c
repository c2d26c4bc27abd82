/* SPDX-License-Identifier: MIT
 *
 * Cookies of requests, from any head that we understand: what is found of one lies inside of a Cookie field, behind its
 * name and before the next separator, and a sticky value is read as it is written.
 */
#include "gateway/affinity.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static bool inside(const char *buf, struct http1_slice field, struct gw_span span)
{
    return span.text >= buf + field.at && span.text + span.len <= buf + field.at + field.len;
}

static void look_for(const char *buf, const struct http1_head *head, const char *name)
{
    struct gw_span value = gw_affinity_cookie(buf, head, (struct gw_span){ name, strlen(name) });
    bool found = false;
    if (!value.text)
        return;
    for (unsigned i = 0; i < head->headers && !found; i++)
        found = head->header[i].field == HTTP1_FIELD_COOKIE && inside(buf, head->header[i].value, value);
    CHECK(found);
    CHECK(!memchr(value.text, ';', value.len));
    CHECK(value.text[-1] == '=' && memcmp(value.text - 1 - strlen(name), name, strlen(name)) == 0);
}

static void read_sticky(const char *buf, const struct http1_head *head)
{
    static struct board *board;
    static struct board_route route;
    char value[GW_STICKY_VALUE];

    if (!board) {
        board = board_new(NULL);
        CHECK(board && board_text_add(board, "a", 1, &route.sticky) == 0);
    }
    uint64_t key = gw_affinity_key(board, &route, buf, head, (struct gw_client){ 0 });
    if (key == 0)
        return;
    struct gw_span given = gw_affinity_cookie(buf, head, (struct gw_span){ "a", 1 });
    gw_affinity_write(key, value);
    CHECK(given.len == sizeof(value) && memcmp(given.text, value, sizeof(value)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http1_head head;
    /* A block of its own size, so that a byte read too many is seen. */
    char *buf = malloc(size ? size : 1);
    CHECK(buf);
    memcpy(buf, data, size);
    if (http1_parse_request(buf, size, &http1_default_limits, &head) > 0) {
        look_for(buf, &head, "a");
        look_for(buf, &head, "sid");
        read_sticky(buf, &head);
    }
    free(buf);
    return 0;
}
