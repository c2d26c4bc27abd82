/* SPDX-License-Identifier: MIT
 *
 * What becomes of a request whose attempt failed: a pure decision over plain facts, and the budget that keeps retries
 * from becoming a storm. No I/O, no clock.
 */
#ifndef DARUMA_GATEWAY_RETRY_H
#define DARUMA_GATEWAY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum retry_failure {
    RETRY_CONNECT, /* no connection: not one byte was sent */
    RETRY_BROKEN,  /* reset or closed before the first response byte, and the instance lives as far as we know */
    RETRY_STALE,   /* the same on a kept connection that had served before: it was being closed as we wrote */
    RETRY_TIMEOUT, /* no connection, or no first byte, in time */
    RETRY_STATUS,  /* answered with a status that may be retried */
    RETRY_KILLED,  /* the instance was killed from outside or ended by us: the request is innocent */
    RETRY_CRASHED, /* the instance died by itself while the request was in flight on it */
    RETRY_FAILURES
};

struct retry_case {
    enum retry_failure failure;
    bool idempotent;       /* by method */
    bool repeatable;       /* carries an Idempotency-Key */
    bool sent;             /* at least one byte of it went out in this attempt */
    bool replayable;       /* all of it that was read is still at hand */
    bool begun;            /* the client has got bytes of the answer */
    bool elsewhere;        /* an endpoint that has not been tried is there */
    bool alone;            /* it was the only endpoint there is, and was tried once */
    bool died;             /* an instance died under this request, now or before: a successor is to be expected */
    bool budget;           /* the retry budget has room */
    bool patient;          /* the route lets requests wait */
    unsigned retry_on;     /* enum board_retry_on of the route */
    unsigned status;       /* RETRY_STATUS: which */
    bool judged;           /* RETRY_STATUS: of a version that is being judged: that is listed, where anything is */
    unsigned attempts;     /* made so far, this one included; deaths from outside do not count */
    unsigned max_attempts; /* of the route */
    unsigned suspects;     /* RETRY_CRASHED: requests in flight on it when it died */
    unsigned strikes;      /* RETRY_CRASHED: deaths by itself that this request saw before this one */
};

enum retry_verdict {
    RETRY_GIVE_UP,   /* 502 or 504, or the answer that is there */
    RETRY_DENIED,    /* the same, because budget, method or bytes already sent forbid another try */
    RETRY_ELSEWHERE, /* on the endpoint that has not been tried */
    RETRY_LATER,     /* the same, when the budget has room */
    RETRY_SAME,      /* on a fresh connection to the same endpoint */
    RETRY_HOLD,      /* wait for an endpoint */
    RETRY_SUSPECT,   /* 502: it alone was in flight when the instance died by itself */
    RETRY_POISON,    /* 502, and its fingerprint goes into quarantine: the second such death */
};

enum retry_verdict gw_retry_decide(const struct retry_case *facts);

/* Does this verdict count against the budget and the attempts? Those of the innocent do not, nor those of suspects, which
   are tried one after the other and once each. */
bool gw_retry_counts(enum retry_failure failure);

/* May one more retry run beside `running` ones, with `active` requests in progress? 20 %, at least 3. Second attempts beside
   a first one that is overdue (hedge.h) have a budget of their own: requests that take long, as people's long polls do, must not
   keep those waiting that have failed. */
bool gw_retry_budget(uint32_t running, uint32_t active);

/* The BOARD_RETRY_… bit of a status; 0 when it is never retried. */
unsigned gw_retry_status_bit(unsigned status);

#endif
