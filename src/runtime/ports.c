/* SPDX-License-Identifier: MIT */
#include "runtime/ports.h"

#include "base/cleanup.h"
#include "base/rng.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
    PORTS_LOW = 10000,         /* below it are the ports that people know by heart */
    EPHEMERAL_DEFAULT = 32768, /* where the kernel's own range begins unless it was changed */
    PORTS_FEWEST = 4096,
};

void ports_range(uint16_t *ret_low, uint16_t *ret_high)
{
    unsigned low = EPHEMERAL_DEFAULT, high = 60999;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (file) {
        if (fscanf(file, "%u %u", &low, &high) != 2)
            low = 0;
        (void)fclose(file);
    }
    if (low == 0 || low > high || high > 65535)
        low = EPHEMERAL_DEFAULT, high = 60999;

    *ret_low = PORTS_LOW;
    if (low >= PORTS_LOW + PORTS_FEWEST) {
        *ret_high = (uint16_t)(low - 1);
    } else if (65535 - high >= PORTS_FEWEST) {
        *ret_low = (uint16_t)(high + 1);
        *ret_high = 65535;
    } else {
        *ret_high = 65535; /* the kernel took it all: tested by bind, but it may give the port away afterwards */
    }
}

void ports_init(struct ports *ports)
{
    struct rng rng;

    *ports = (struct ports){ 0 };
    ports_range(&ports->low, &ports->high);
    rng_seed(&rng, rng_entropy());
    ports->next = (uint16_t)(ports->low + rng_below(&rng, (uint64_t)(ports->high - ports->low + 1)));
}

/* Can a program bind it, whatever address it asks for? Without SO_REUSEADDR, so that a TIME_WAIT counts as taken. */
static bool port_free(uint16_t port)
{
    struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_ANY_INIT };
    struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_ANY) };
    int off = 0;

    CLEANUP_CLOSE int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0) {
        if (bind(fd, (struct sockaddr *)&any6, sizeof(any6)) == 0)
            return true;
        if (errno == EADDRINUSE)
            return false;
    }
    CLEANUP_CLOSE int fd4 = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd4 >= 0 && bind(fd4, (struct sockaddr *)&any4, sizeof(any4)) == 0;
}

void ports_claim(struct ports *ports, uint16_t port)
{
    ports->taken[port / 32] |= 1u << port % 32;
}

int ports_take(struct ports *ports)
{
    for (unsigned tries = (unsigned)(ports->high - ports->low) + 1; tries > 0; tries--) {
        uint16_t port = ports->next;
        ports->next = port == ports->high ? ports->low : (uint16_t)(port + 1);
        if (ports->taken[port / 32] & (1u << port % 32) || !port_free(port))
            continue;
        ports_claim(ports, port);
        return port;
    }
    return -EADDRINUSE;
}

void ports_give_back(struct ports *ports, uint16_t port)
{
    ports->taken[port / 32] &= ~(1u << port % 32);
}
