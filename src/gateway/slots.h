/* SPDX-License-Identifier: MIT
 *
 * The arena of a worker: everything about its connections, in shared memory that outlives it, so that a successor can
 * read where each of them stood (adopt.h). No pointers, only indices; fixed-size slots; a layout version.
 *
 *     struct arena ┌ header: magic, layout, sizes, listeners, heads of the free lists, the marks (mark.h)
 *                  ├ conns[]      one client connection each
 *                  ├ upstreams[]  one connection to an endpoint each
 *                  ├ due[]        deadlines of both (timers.h)
 *                  ├ local[]      what is known of each endpoint (balance.h)
 *                  ├ free_next[]  the free list through the blocks
 *                  └ blocks[]     16 KiB of bytes each; taken only while there are bytes to hold
 *
 * What a successor can find out anew is not trusted: free lists, lists of connections, pools and counts are links that a
 * death may have left half done. It builds them from what the slots say of themselves.
 *
 * The two blocks of a connection:
 *
 *     in   [ request head | body …                | next request … ]     as the client sent it
 *          0              head_len    in_sent ─▶    request_end      in_len
 *     out  [ headroom | sent | for the client  | not looked at yet ]     as it goes to the client
 *          0                 out_at              out_ready         out_len
 *
 * `in` keeps what was sent already as long as it all fits, so that the request can be repeated elsewhere. A response
 * head is rewritten in place: it grows into the headroom.
 */
#ifndef DARUMA_GATEWAY_SLOTS_H
#define DARUMA_GATEWAY_SLOTS_H

#include "base/board.h"
#include "base/err.h"
#include "base/http1.h"

#include <assert.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define GW_ARENA_MAGIC UINT64_C(0x6461727561726e31) /* "daruarn1" */
#ifndef GW_ARENA_LAYOUT                             /* a story builds a program of another one */
#define GW_ARENA_LAYOUT 11u
#endif
#define GW_NONE      UINT32_MAX
#define GW_HEAD_DONE UINT32_MAX /* conn.head_sent: all of it */

enum {
    GW_BLOCK = 16 * 1024,
    GW_HEADROOM = 1536, /* what a response head may grow by, where no template is filled in */
    GW_TRIED = 8,       /* endpoints that one request remembers; the oldest is forgotten */
    GW_EVENTS = 256,    /* taken in one turn */
};

/* Facts about a socket, as edge-triggered epoll leaves it to us to remember. */
enum gw_io {
    GW_READABLE = 1 << 0, /* worth a recv() */
    GW_WRITABLE = 1 << 1, /* worth a send() */
    GW_HUP = 1 << 2,      /* the peer has sent FIN: a short read does not mean that nothing follows */
    GW_ERROR = 1 << 3,    /* reset, or both directions closed */
    GW_EOF = 1 << 4,      /* recv() has returned 0 */
    GW_SHUT = 1 << 5,     /* we have sent FIN */
    GW_WANT_OUT = 1 << 6, /* EPOLLOUT is part of the registration */
    GW_BULK = 1 << 7, /* the last recv() filled all the room it had: it is worth a pipe (pipe.h), or a larger copy */
};

/* Facts about the exchange on a connection. */
enum conn_flag {
    CONN_KEEP_ALIVE = 1 << 0,     /* the client may send another request afterwards */
    CONN_HTTP10 = 1 << 1,         /* the client speaks HTTP/1.0 */
    CONN_REQUEST_WHOLE = 1 << 2,  /* all bytes of the request have been received */
    CONN_REPLAY_LOST = 1 << 3,    /* the beginning of the request is no longer in `in` */
    CONN_SEND_BROKEN = 1 << 4,    /* the upstream takes no more; it may have answered all the same */
    CONN_REPEATABLE = 1 << 5,     /* Idempotency-Key */
    CONN_UPGRADE = 1 << 6,        /* the request asks for another protocol */
    CONN_ANSWERED = 1 << 7,       /* a whole head has come in answer to this attempt */
    CONN_BEGUN = 1 << 8,          /* bytes of the final answer went to the client */
    CONN_RESPONSE_WHOLE = 1 << 9, /* all bytes of the response have been received */
    CONN_KEEP_UPSTREAM = 1 << 10, /* the upstream connection may be used again after this response */
    CONN_DECHUNK = 1 << 11,       /* the client does not know chunked */
    CONN_IN_FLIGHT = 1 << 12,     /* counted in the endpoint's gauge */
    CONN_RETRYING = 1 << 13,      /* counted against the budget of retries */
    CONN_ACTIVE = 1 << 14,        /* an exchange is in progress */
    CONN_DIED = 1 << 15,          /* an instance died under it */
    CONN_TCP = 1 << 16,           /* a TCP listener's */
    CONN_READY = 1 << 17,         /* on the list of those to be driven again without an event */
    CONN_WAS_HELD = 1 << 18,      /* counted as held */
    CONN_REUSED = 1 << 19,        /* this attempt went out on a kept connection */
    CONN_LEFTOVER = 1 << 20,      /* bytes of the next request are in `in` already */
    CONN_SEEN = 1 << 21,          /* this endpoint got bytes of the request in an earlier attempt */
    CONN_OVERDUE = 1 << 22,       /* this attempt has outlasted the patience */
    CONN_ENCHUNK = 1 << 23,       /* the upstream ends its answer by closing; the client gets it in chunks */
    CONN_EXPECTS = 1 << 24,       /* Expect: 100-continue: its body may wait until the upstream asks for it */
    CONN_LATER = 1 << 25,         /* HELD: waits for room in the retry budget */
    CONN_UNPROVEN = 1 << 26,      /* IDLE: adopted, and its socket has not been checked yet (adopt.h) */
    CONN_WAITING = 1 << 27,       /* counted as waiting for its answer (waits.h) */
    CONN_UPGRADED = 1 << 28,      /* TUNNEL: of a request, and counted as such in the endpoint's gauge */
    CONN_ASKED = 1 << 29,         /* VERDICT: the supervisor was rung to look whether the instance lives */
    CONN_HEDGED = 1 << 30,        /* counted against the budget of second attempts beside a first one */
};

/* Bytes in the kernel, on their way from one socket to another (pipe.h). */
struct gw_pipe {
    int32_t read_fd, write_fd; /* -1: none. Open while it is being filled and until all of it is out */
    uint32_t held;             /* bytes */
};
#define GW_NO_PIPE ((struct gw_pipe){ .read_fd = -1, .write_fd = -1 })

struct conn_tried {
    uint32_t endpoint, generation;
};

/* What a slot says of its socket: the same in both kinds, as `socket`, or each by its own name. */
#define GW_SOCKET_FIELDS                                                                                               \
    int32_t fd;                                                                                                        \
    uint8_t io;      /* enum gw_io */                                                                                  \
    uint8_t is_unix; /* not TCP */                                                                                     \
    uint16_t socket_pad;                                                                                               \
    uint64_t taken, given; /* bytes read from it and written to it; the kernel knows them, too */                      \
    uint64_t cookie        /* SO_COOKIE: which socket the descriptor is */

struct gw_socket {
    GW_SOCKET_FIELDS;
};

struct conn {
    union {
        struct gw_socket socket;
        struct {
            GW_SOCKET_FIELDS;
        };
    };
    uint32_t generation; /* of the slot; part of what epoll hands back */
    uint8_t state;       /* enum conn_state; set only by gw_conn_step() */
    uint8_t method;      /* enum http1_method */
    uint8_t in_framing, out_framing;
    uint8_t failure; /* VERDICT: enum retry_failure, should the instance turn out to live */
    uint8_t attempts, strikes;
    uint8_t deaths; /* workers that died with this connection in hand since it last got on */
    uint32_t flags; /* enum conn_flag */
    uint32_t listener, route;
    uint32_t upstream; /* GW_NONE: none */
    uint32_t in, out;  /* blocks, GW_NONE: none */
    uint32_t head_len, in_sent, in_len, request_end;
    uint32_t out_at, out_ready, out_len;
    struct gw_pipe up, down; /* behind what is in `in` for the upstream (a tunnel's only), in `out` for the client */
    uint32_t head_sent;      /* bytes of the rewritten request head that went out in this attempt */
    uint32_t endpoint, endpoint_generation;
    uint16_t status; /* of the answer; 0: none yet */
    uint16_t tried_len;
    uint32_t prev, next; /* list of those that wait: held, at a service, for a verdict; free list */
    uint32_t ready_next;
    uint64_t in_left, out_left; /* body bytes still to come, with a length */
    struct http1_chunked in_chunked, out_chunked;
    int64_t begun_ns;   /* the request head was whole */
    int64_t attempt_ns; /* this attempt began */
    int64_t due_ns;     /* HEAD, HELD: deadline that counts from the beginning */
    uint8_t peer[16];   /* the client's address, network order */
    uint8_t local[16];  /* where it connected to, if a PROXY header said so */
    uint16_t peer_family, peer_port;
    uint16_t local_port; /* 0: no header said it */
    uint16_t pad[3];
    uint32_t source;     /* cell that counts its address (source.h); GW_NONE: it is not counted */
    int64_t body_due_ns; /* SENDING: the client is too late with the body (limit.h); 0: it is not waited for */
    struct conn_tried tried[GW_TRIED];
    /* An attempt that was begun earlier and may still answer; its request has been sent whole. */
    uint32_t rival; /* upstream; GW_NONE: none */
    uint32_t rival_endpoint, rival_generation;
    int64_t rival_ns;        /* it began */
    int64_t patience_ns;     /* CONNECTING, SENDING: when the attempt is overdue, or to be looked at again; 0: never */
    int64_t answer_ns;       /* CONNECTING, SENDING: when it has failed; 0: never */
    uint64_t sent;           /* bytes of this exchange that went to the client */
    int64_t held_ns;         /* how long it was held; HELD: less the time it began */
    uint64_t key;            /* what binds the request to an endpoint (affinity.h); 0: nothing */
    uint32_t serial;         /* of the request, on this connection */
    uint32_t routes_version; /* of the board when the head of this attempt began to go out */
    uint32_t queue;          /* HELD: the service at which it waits for room; GW_NONE: it waits for something else */
    uint32_t passed;         /* bytes of the body that the upstream has got and that still lie in the client's socket */
};
static_assert(sizeof(struct conn) == 456, "layout");

enum upstream_state { UPSTREAM_FREE, UPSTREAM_CONNECTING, UPSTREAM_BUSY, UPSTREAM_IDLE };

struct upstream {
    union {
        struct gw_socket socket;
        struct {
            GW_SOCKET_FIELDS;
        };
    };
    uint32_t generation;
    uint32_t state;  /* enum upstream_state */
    uint32_t served; /* exchanges that ended well on it */
    uint32_t keep_s; /* how long the endpoint keeps it when it is idle, as it says; 0: it does not say */
    uint32_t conn;   /* GW_NONE: none */
    uint32_t endpoint, endpoint_generation;
    uint32_t prev, next;   /* list of idle ones of the endpoint, newest first; free list */
    int64_t idle_ns;       /* IDLE: since when; BUSY: for how long it had been idle */
    uint64_t given_before; /* the present request */
};
static_assert(sizeof(struct upstream) == 88, "layout");

struct gw_listener {
    int32_t fd; /* -1: none */
    uint32_t generation;
    uint32_t watched; /* bool: it is in the epoll set */
};

/* What a connection was before it was taken in hand, or since the last system call that moved its bytes (mark.h). */
struct gw_mark {
    uint32_t conn;
    uint32_t kept_block, kept_at, kept_len; /* bytes of a block before they are changed in place; len 0: none */
    struct conn before;
    struct upstream upstream, rival; /* those of `before`, if any */
    char kept[GW_BLOCK];
};

enum gw_hand { GW_HAND_NONE, GW_HAND_MARK_0, GW_HAND_MARK_1, GW_HAND_ACCEPT };

struct arena {
    uint64_t magic;
    uint32_t layout;
    uint32_t conns, upstreams, blocks;                /* how many there are */
    uint32_t free_conn, free_upstream, free_block;    /* GW_NONE: none has been given back */
    uint32_t fresh_conn, fresh_upstream, fresh_block; /* from these on none was ever taken, and no memory touched */
    uint32_t used_conns;                              /* in use now */
    uint32_t lives;                                   /* workers that have begun on it */
    uint32_t adopting;                                /* of those, in a row, that did not get to the end of adoption */
    int32_t epoll_fd, alarm_fd;                       /* -1: none */
    uint32_t draining;                                /* bool */
    uint64_t id_seed[2];                              /* what request ids are made from */
    uint32_t hand; /* what the worker has in hand: enum gw_hand; with a listener's index above its 8 bits */
    /* The last call on a Unix socket since the mark; the kernel itself writes call.msg_len, how many bytes moved. */
    uint32_t call_given; /* bool: they were written, not read */
    uint64_t call_cookie;
    struct mmsghdr call;
    struct gw_listener listeners[BOARD_LISTENERS];
    struct epoll_event
        events[GW_EVENTS]; /* what epoll_wait(2) has said and is still to be carried out; events 0: done */
    struct gw_mark mark[2];
};

struct endpoint_local;

/* Where the parts lie in this process's mapping. */
struct slots {
    struct arena *arena;
    struct conn *conns;
    struct upstream *upstreams;
    int64_t *due;
    struct endpoint_local *local;
    uint32_t *free_next;
    char *blocks;
    uint32_t count; /* of connections that there is room for */
};

/* Maps an arena for `conns` clients, with as many upstreams and two blocks for each, or the one that was handed over
   (base/handover.h). 0 or a negative errno. */
int gw_slots_new(struct slots *slots, uint32_t conns, struct err *err);
void gw_slots_free(struct slots *slots);

/* Index of a zeroed slot with a new generation, or GW_NONE. */
uint32_t gw_conn_take(struct slots *slots);
void gw_conn_put(struct slots *slots, uint32_t index);
uint32_t gw_upstream_take(struct slots *slots);
void gw_upstream_put(struct slots *slots, uint32_t index);

/* Blocks: last in, first out, so that few of them are ever warm. Two for each connection: taking never fails. */
uint32_t gw_block_take(struct slots *slots);
/* Gives `*block` back unless it is GW_NONE already, and clears it. */
void gw_block_put(struct slots *slots, uint32_t *block);

static inline char *gw_block(const struct slots *slots, uint32_t index)
{
    return slots->blocks + (size_t)index * GW_BLOCK;
}

/* A list through conn.prev and conn.next. */
struct gw_list {
    uint32_t first, last, count;
};

/* At the end of the list; out of it, wherever it is. A connection is on one list at a time. */
void gw_list_add(struct slots *slots, struct gw_list *list, struct conn *conn);
void gw_list_remove(struct slots *slots, struct gw_list *list, struct conn *conn);

#endif
