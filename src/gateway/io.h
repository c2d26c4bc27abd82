/* SPDX-License-Identifier: MIT
 *
 * A worker's descriptors: their registrations in its epoll set, and the two calls that everything is read and written
 * with. What a socket is ready for is remembered in its slot (slots.h, enum gw_io): the events are edges.
 */
#ifndef DARUMA_GATEWAY_IO_H
#define DARUMA_GATEWAY_IO_H

#include "gateway/worker.h"

/* What an epoll event is about: kind (8 bits), generation of the slot (24), index (32). Never a pointer: an event may
   be older than the slot's present use. */
enum gw_kind {
    GW_KIND_LISTENER,
    GW_KIND_CHANNEL,
    GW_KIND_BELL,
    GW_KIND_GUARD,
    GW_KIND_ALARM,
    GW_KIND_CONN,
    GW_KIND_UPSTREAM
};
uint64_t gw_tag(enum gw_kind kind, uint32_t generation, uint32_t index);

/* SO_COOKIE: the number of the socket behind a descriptor, never used twice. 0: there is none. */
uint64_t gw_cookie(int fd);

/* Registers a descriptor; one that is registered already gets what is said now. 0 or a negative errno. */
int gw_watch(struct gw_worker *worker, int fd, uint32_t events, enum gw_kind kind, uint32_t generation, uint32_t index);
/* Adds EPOLLOUT to the registration of a slot's descriptor that would block, once: nearly none ever does. */
void gw_watch_out(struct gw_worker *worker, int fd, uint8_t *io, enum gw_kind kind, uint32_t generation,
                  uint32_t index);

/*
 * The two calls that everything is read and written with; they mark the connection first (mark.h). `flags` are send(2)'s.
 * More than 0: bytes. 0: nothing now, the next edge will tell.
 * -1: gw_recv: end (GW_EOF, and GW_ERROR when it was a reset); gw_send: the other side takes no more.
 */
ssize_t gw_recv(struct gw_worker *worker, struct conn *conn, struct gw_socket *socket, char *buf, size_t len);
struct iovec;
ssize_t gw_send(struct gw_worker *worker, struct conn *conn, struct gw_socket *socket, const struct iovec *pieces,
                int count, int flags);
/* For others like them: the number of bytes that a worker before us has moved, instead of a call. 0: make the call. */
size_t gw_replayed(struct gw_worker *worker, const struct gw_socket *socket, bool given);
/* What they return when no byte has moved; `n` is what the system call returned, errno as it left it. */
ssize_t gw_read_nothing(uint8_t *io, ssize_t n);
ssize_t gw_wrote_nothing(uint8_t *io);
/* Takes the bits of an epoll event into `io`. */
void gw_io_event(uint8_t *io, uint32_t events);

#endif
