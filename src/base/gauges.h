/* SPDX-License-Identifier: MIT
 *
 * The gauges: what the workers have counted, in memory shared with the supervisor. Each worker writes its own part
 * only (plain relaxed atomics, no contention); the supervisor and the admin API read and add up.
 */
#ifndef DARUMA_BASE_GAUGES_H
#define DARUMA_BASE_GAUGES_H

#include "base/board.h"
#include "base/err.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#define GAUGES_MAGIC   0x6461727567617531u /* "darugau1" */
#define GAUGES_LAYOUT  9u
#define GAUGES_WORKERS 64

/* Latencies are counted in cells, four to an octave: cell i holds what took up to 2^(5 + (i + 1) / 4) µs; the last one,
   beyond 2 s, all that took longer. */
#define GAUGES_LATENCY 64
/* How long it was quiet is counted in the same cells, of so many µs each: 0.5 ms to 33 s. */
#define GAUGES_QUIET_UNIT 16

/* A slot follows the endpoint of the same index on the board; when `generation` differs from the board's, its numbers
   belong to an earlier instance and count as zero. The worker zeroes the slot when it first sees a new generation. */
struct endpoint_gauge {
    _Atomic uint32_t generation;
    _Atomic uint32_t inflight; /* requests (HTTP) or connections (TCP) that have been placed on it and are not ended;
                                  one that broke off counts until its cause of death is known */
    _Atomic uint64_t requests; /* placed on it, retries included */
    _Atomic uint64_t errors;   /* connect failures, resets, timeouts, answers 500 … 599 */
    _Atomic uint32_t ewma_us;  /* latency, peak-sensitive moving average */
    _Atomic uint32_t ejected;  /* bool: this worker has taken it out by itself, for it fails or hangs */
    _Atomic uint32_t hung;     /* bool: several requests are overdue and it has answered none since; the supervisor
                                  was rung to ask it */
    _Atomic uint32_t upgraded; /* of those in flight: connections that speak another protocol since a 101 */
    _Atomic int64_t doubt_ns;  /* monotonic: when this worker rang last to know whether its process lives; the board's
                                  `alive_ns` answers, unless the state does */
    /* By these, versions are compared: so without answers to what a version that is being judged (board.h) had failed. */
    _Atomic uint64_t failures;                /* answers 500 … 599 */
    _Atomic uint64_t latency_us;              /* the sum of all that `latency` counts */
    _Atomic uint32_t latency[GAUGES_LATENCY]; /* to the head of the answer, whatever its status */
};

struct route_gauge {
    _Atomic uint64_t requests;  /* whole requests received */
    _Atomic uint64_t status[6]; /* answers by class: [1] 1xx … [5] 5xx; [0]: connection given up without an answer */
    _Atomic uint64_t own_5xx;   /* of those, made by the gateway itself */
    _Atomic uint64_t held;      /* had to wait for an endpoint */
    _Atomic uint64_t hold_expired;
    _Atomic uint64_t retried;      /* attempts after the first */
    _Atomic uint64_t hedged;       /* attempts beside one whose answer was overdue */
    _Atomic uint64_t hedge_won;    /* of those, the ones that answered first */
    _Atomic uint64_t retry_denied; /* wanted, but budget, method or bytes already sent forbade it */
    _Atomic uint64_t poisoned;     /* refused or answered 502 under the poison rule */
    _Atomic uint64_t truncated;    /* upstream broke off in the middle of a response */
    _Atomic int64_t quiet_ns;      /* monotonic: since then none of those that wait was answered */
    _Atomic uint32_t waiting;      /* requests for instances whose answer has not begun */
    uint32_t pad;
    _Atomic uint32_t
        latency[GAUGES_LATENCY]; /* from the request to the head of an answer below 500, whatever lay between */
    _Atomic uint32_t
        quiet[GAUGES_LATENCY]; /* for each such answer: for how long there had been none, while any waited */
};

/* What a client ran into. */
enum gauge_limit {
    GAUGE_CONNECTIONS,        /* turned away: there are as many as there may be */
    GAUGE_SOURCE_CONNECTIONS, /* turned away: its address has as many as it may have */
    GAUGE_SOURCE_REQUESTS,    /* 429: its address asks too often */
    GAUGE_HEADER_TIMEOUT,     /* 408, or closed before it had said anything to answer to */
    GAUGE_BODY_TIMEOUT,       /* 408 */
    GAUGE_KEEP_ALIVE,         /* closed: it had nothing more to ask */
    GAUGE_MADE_ROOM,          /* closed while it was idle, for another one when there were as many as there may be */
    GAUGE_HEADER_SIZE,        /* 431, 414 */
    GAUGE_BODY_SIZE,          /* 413 */
    GAUGE_PROXY, /* reset: no PROXY header where there has to be one, or from somebody who may not send it */
    GAUGE_LIMITS
};

/* What became of the connections of workers that died. Written by the successor that took over, `adoptions` last. */
struct adoption_gauge {
    _Atomic uint32_t adoptions;
    _Atomic uint32_t adopted; /* the last time: connections */
    _Atomic uint32_t state;   /* … and the state of the one that the dead worker had in hand; 0: none */
    _Atomic uint32_t dropped; /* in all: slots that did not pass their checks, or in whose hands two workers died */
    _Atomic int64_t took_ns;  /* the last time, from the successor's first look at the arena */
};

struct worker_gauges {
    alignas(64) _Atomic int64_t heartbeat_ns; /* monotonic; written each turn of the worker's loop */
    _Atomic uint32_t connections;             /* client connections now */
    _Atomic uint32_t holding;                 /* requests waiting for an endpoint now */
    struct adoption_gauge adoption;
    _Atomic uint64_t accepted;
    _Atomic uint64_t bad_requests;  /* refused as malformed */
    _Atomic uint64_t unrouted;      /* no route led anywhere: 404, or 500 for rules that lead in circles */
    _Atomic uint64_t accept_errors; /* accepting failed, for want of descriptors or memory */
    _Atomic uint64_t limits[GAUGE_LIMITS];
    /* Monotonic: when the first of those that wait for room at the service had come; 0: nobody waits. */
    _Atomic int64_t waiting_ns[BOARD_SERVICES];
    struct route_gauge routes[BOARD_ROUTES];
    struct endpoint_gauge endpoints[BOARD_ENDPOINTS];
};

struct gauges {
    uint64_t magic;
    uint32_t layout;
    uint32_t workers; /* how many parts are in use */
    struct worker_gauges worker[GAUGES_WORKERS];
};

/* Maps gauges that children inherit. NULL with `err` when there is no memory. */
struct gauges *gauges_new(unsigned workers, struct err *err);
void gauges_free(struct gauges *gauges);

/* "source_requests": its name in the admin API. */
const char *gauges_limit_name(enum gauge_limit limit);

/* Client connections over all workers. */
uint32_t gauges_connections(const struct gauges *gauges);

/* Requests in flight on one endpoint over all workers; only what belongs to `generation`. */
uint32_t gauges_inflight(const struct gauges *gauges, int endpoint, uint32_t generation);
/* … and those of them that are connections gone over to another protocol. */
uint32_t gauges_upgraded(const struct gauges *gauges, int endpoint, uint32_t generation);

/* What all workers have counted of a route, and of an endpoint; of that only what belongs to `generation`. */
struct route_sum {
    uint64_t requests, status[6], own_5xx, held, hold_expired, retried, hedged, hedge_won, retry_denied, poisoned,
        truncated; /* as in struct route_gauge */
};
struct endpoint_sum {
    uint64_t inflight, requests, errors, failures, latency_us,
        latency[GAUGES_LATENCY]; /* as in struct endpoint_gauge */
    uint64_t ejected;            /* workers that leave it out */
};
struct route_sum gauges_route(const struct gauges *gauges, uint32_t route);
struct endpoint_sum gauges_endpoint(const struct gauges *gauges, uint32_t endpoint, uint32_t generation);

/* The cell of a latency, and the longest latency in a cell. */
unsigned gauges_latency_cell(uint64_t us);
uint64_t gauges_latency_us(unsigned cell);

/* When a worker asked last whether its process lives; 0: none ever did. */
int64_t gauges_doubt_ns(const struct gauges *gauges, int endpoint, uint32_t generation);

/* Counted over all workers, as a difference or a sum. The latency that such a share of them (0 … 1] did not exceed; 0: none. */
uint64_t gauges_quantile_us(const uint64_t counts[GAUGES_LATENCY], double quantile);

/* Does any worker find that it hangs? */
bool gauges_hung(const struct gauges *gauges, int endpoint, uint32_t generation);

#endif
