/* SPDX-License-Identifier: MIT
 *
 * Private TCP ports for instances: below the range that the kernel gives to outgoing connections, free at this moment,
 * never the same for two that live, and a fresh one each time, so that no TIME_WAIT of a predecessor is in the way.
 */
#ifndef DARUMA_RUNTIME_PORTS_H
#define DARUMA_RUNTIME_PORTS_H

#include <stdint.h>

struct ports {
    uint32_t taken[65536 / 32]; /* one bit a port */
    uint16_t low, high;         /* the range, both included */
    uint16_t next;              /* where the search goes on */
};

/* The range, both included, from which private ports may be taken without the kernel giving them to a client. */
void ports_range(uint16_t *ret_low, uint16_t *ret_high);

/* Takes that range, and begins at a random place, so that two projects seldom ask for the same port. */
void ports_init(struct ports *ports);

/* A port, or -EADDRINUSE when all are taken. */
int ports_take(struct ports *ports);
/* This one is taken: by a copy that runs already. */
void ports_claim(struct ports *ports, uint16_t port);
void ports_give_back(struct ports *ports, uint16_t port);

#endif
