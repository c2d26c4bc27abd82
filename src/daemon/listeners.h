/* SPDX-License-Identifier: MIT
 *
 * The gateway's listening sockets: opened by the supervisor, described on the board, handed to the workers. Published
 * ones come from the file (x-gateway, ports); private ones, 127.0.0.1:PORT, are how the services reach each other
 * through the gateway, and stay the same as long as the project runs.
 *
 * A change has two steps, so that a taken port leaves everything as it was: open what is new, then publish.
 */
#ifndef DARUMA_DAEMON_LISTENERS_H
#define DARUMA_DAEMON_LISTENERS_H

#include "base/board.h"
#include "compose/spec.h"
#include "daemon/outside.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LISTENER_NAME = 120 };

/* One socket. What identifies it over a change of the file is `key`: its address, or service and target port. */
struct listener {
    char key[LISTENER_NAME];
    int fd; /* -1: closed */
    struct board_address address;
    uint32_t mode;   /* of a Unix socket: its permissions */
    uint16_t port;   /* of a private one: what peers are told */
    uint16_t target; /* of a private one; 0: published */
    bool primary;    /* of a private one: the service's first port, known to peers without its number */
    char service[BOARD_NAME];
    int slot;    /* on the board; -1: not yet */
    int *routes; /* on the board */
    size_t routes_len, routes_cap;
    bool wanted; /* by the spec that is being applied */
};

struct listeners {
    struct listener *list;
    size_t len, cap;
    struct outsides outsides; /* whom routes lead to beyond the project */
    char **peers;             /* listeners_peers() */

    /* Ports that are about to be free: listeners_open() leaves them out. Borrowed. */
    const uint16_t *spared;
    size_t spared_len;

    /* listeners_ports() of an earlier life: who asks for any port gets the same again. NULL: none. */
    const json_t *ports;
};

/*
 * Opens what `spec` wants and is not open yet. Every port that cannot be had is a problem with its place. What was
 * open stays open, whether it is wanted any more or not.
 */
void listeners_open(struct listeners *listeners, const struct spec *spec, struct problems *problems);

/* Closes what listeners_open() opened since the last publishing: the change is not made. */
void listeners_discard(struct listeners *listeners);

/*
 * Makes the board say what `spec` wants, in one change: new listeners and routes, changed routes, and closes what is
 * not wanted any more. 0, or -ENOSPC with `err` (the board is full; then part of it may be missing).
 */
int listeners_publish(struct listeners *listeners, const struct spec *spec, struct board *board, struct err *err);

/* Takes the published ones off the board and closes them; the private ones stay for the services' last words. */
void listeners_close_published(struct listeners *listeners, struct board *board);

/* The socket of a slot on the board, or -1. */
int listeners_fd(const struct listeners *listeners, uint32_t slot);

/* "<SERVICE>_HOST=…", "<SERVICE>_PORT=…", "<SERVICE>_PORT_<target>=…": NULL-terminated, valid until the next call.
   NULL when out of memory. */
const char *const *listeners_peers(struct listeners *listeners);

/* {"key": port} of all whose port was chosen freely. A new reference. */
json_t *listeners_ports(const struct listeners *listeners);

/* Closes everything; paths stay, for another process may have inherited the sockets. Accepts a zeroed one. */
void listeners_free(struct listeners *listeners);

#endif
