/* SPDX-License-Identifier: MIT
 *
 * The PROXY protocol's header over any bytes.
 *  - A decision does not depend on how much more has arrived, and no byte beyond what is given is read.
 *  - What was understood can be written in either version, and is then understood as the same.
 */
#include "base/proxy_header.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In a block of its own size. */
static ssize_t parse(const uint8_t *data, size_t len, struct proxy_header *header)
{
    char *exact = malloc(len ? len : 1);
    if (!exact)
        return 0;
    memcpy(exact, data, len);
    ssize_t result = proxy_header_parse(exact, len, header);
    free(exact);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header header = { 0 }, other = { 0 };
    ssize_t whole = parse(data, size, &header);
    CHECK(whole <= (ssize_t)size && whole <= PROXY_HEADER_LONGEST);
    for (size_t cut = 0; cut<size; cut += size> 600 ? size / 300 : 1) {
        ssize_t step = parse(data, cut, &other);
        CHECK(step == 0 || step == whole);
    }
    for (unsigned version = 1; whole > 0 && version <= 2; version++) {
        char text[PROXY_HEADER_WRITTEN];
        size_t len = proxy_header_format(&header, version, text);
        memset(&other, 0, sizeof(other));
        CHECK(len <= sizeof(text) && proxy_header_parse(text, len, &other) == (ssize_t)len);
        CHECK(other.family == header.family && memcmp(other.source, header.source, sizeof(other.source)) == 0 &&
              memcmp(other.destination, header.destination, sizeof(other.destination)) == 0 &&
              other.source_port == header.source_port && other.destination_port == header.destination_port);
    }
    return 0;
}
