/* SPDX-License-Identifier: MIT
 *
 * The monitor's arithmetic: when probes are due, how they ended, and what follows from that. Pure: no I/O, no clock.
 */
#ifndef DARUMA_WATCH_TALLY_H
#define DARUMA_WATCH_TALLY_H

#include "base/hist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a probe ended. */
enum watch_kind {
    WATCH_OK,
    WATCH_STATUS,        /* a whole answer with a status that was not expected */
    WATCH_REFUSED,       /* connection refused */
    WATCH_RESET,         /* connection reset */
    WATCH_CLOSED,        /* closed before the end of the answer */
    WATCH_TIMEOUT,       /* no whole answer in time, counted from when the probe was due */
    WATCH_BAD_RESPONSE,  /* what came was no HTTP */
    WATCH_NO_CONNECTION, /* none could be begun: bound reached, no port, no descriptor, no route */
    WATCH_KINDS
};

/* "ok", "status", "refused" … Never NULL. */
const char *watch_kind_name(enum watch_kind kind);
/* What a failed exchange is called: `error` as struct http_client has it. */
enum watch_kind watch_kind_of(int error);

enum {
    WATCH_INSTANCES = 64, /* told apart; later ones are counted as the last, "others" */
    WATCH_NAME = 64,
    WATCH_STATUSES = 1000,
};

/* How one probe ended. All times are monotonic ns. */
struct watch_result {
    uint64_t number; /* 0 … */
    int64_t due_ns, end_ns;
    enum watch_kind kind;
    uint16_t status; /* 0: no head of an answer came */
    int instance;    /* which answered: watch_tally_instance(); -1: it did not say */
};

struct watch_tally {
    int64_t start_ns, end_ns; /* first due instant; last probe ended */
    uint64_t sent;            /* ended, in whatever way; what is still under way is not in here */
    uint64_t kinds[WATCH_KINDS];
    uint64_t failed_status[WATCH_STATUSES]; /* WATCH_STATUS by number */
    struct hist latency;                    /* of the successful ones, from the due instant */
    int64_t last_ok_ns;                     /* when the last success came; the start while there was none */
    int64_t longest_gap_ns;                 /* between two successes, or the start and the first */
    int64_t lag_ns;                         /* how late the monitor itself sent a probe at worst */
    int instances;
    char names[WATCH_INSTANCES][WATCH_NAME];
    uint64_t answers[WATCH_INSTANCES];
};

/* When probe `number` is due, in ns after the first one: never a sum of rounded steps, so it does not drift. */
int64_t watch_due(uint64_t number, double rate);

void watch_tally_init(struct watch_tally *tally, int64_t start_ns);
/* The number of an instance by its name, which is kept in a form that is safe to print. */
int watch_tally_instance(struct watch_tally *tally, const char *name, size_t len);
void watch_tally_add(struct watch_tally *tally, const struct watch_result *result);

/* Share of successes, 0 … 1; 1 before anything ended. */
double watch_tally_availability(const struct watch_tally *tally);
/* The longest time without a success up to `end_ns`, the present one included. */
int64_t watch_tally_gap(const struct watch_tally *tally, int64_t end_ns);

#endif
