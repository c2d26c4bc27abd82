/* SPDX-License-Identifier: MIT
 *
 * X-Forwarded-For of any bytes that may stand in a field: each line of the input is one. Whoever is found is an address
 * that can be written, or whom it came from.
 */
#include "gateway/client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char begin[] = "GET / HTTP/1.1\r\nHost: t\r\n", name[] = "X-Forwarded-For: ";
    static const struct board_network trusted[] = {
        { .family = AF_UNIX },
        { .address = { 10 }, .family = AF_INET, .bits = 8 },
        { .address = { 0xfd }, .family = AF_INET6, .bits = 9 },
    };
    const struct gw_client peer = { .family = AF_UNIX };
    struct http1_head head;
    char text[INET6_ADDRSTRLEN], *request = malloc(sizeof(begin) + (size + 1) * (sizeof(name) + 3)), *at = request;

    if (!request)
        return 0;
    at = mempcpy(at, begin, sizeof(begin) - 1);
    for (size_t from = 0; from < size;) {
        const uint8_t *end = memchr(data + from, '\n', size - from);
        size_t len = end ? (size_t)(end - data) - from : size - from;
        at = mempcpy(at, name, sizeof(name) - 1);
        at = mempcpy(at, data + from, len);
        at = mempcpy(at, "\r\n", 2);
        from += len + 1;
    }
    at = mempcpy(at, "\r\n", 2);
    if (http1_parse_request(request, (size_t)(at - request), &http1_default_limits, &head) > 0) {
        struct gw_client client = gw_client_behind(peer, request, &head, trusted, 3);
        size_t len = gw_client_text(&client, text);
        if (len == 0 || len >= sizeof(text) || (client.family != AF_UNIX && memcmp(text, "unknown", 7) == 0))
            abort();
    }
    free(request);
    return 0;
}
