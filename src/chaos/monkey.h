/* SPDX-License-Identifier: MIT
 *
 * The monkey's memory and its dice: when it strikes next, whom it has hit, when each victim was seen dead and when it
 * was back in rotation. Pure: no I/O, no clock. Whoever runs it asks the supervisor to strike (POST /v1/chaos/…)
 * and hands in what the supervisor answers and what its events say (cli/cmd_chaos.c).
 */
#ifndef DARUMA_CHAOS_MONKEY_H
#define DARUMA_CHAOS_MONKEY_H

#include "base/event.h"
#include "base/hist.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MONKEY_VICTIMS = 64 }; /* remembered at once; then the oldest is given up */

/* How long a victim may take to be seen dead. Past that it is taken to have survived (not every signal kills). */
#define MONKEY_SURVIVED_NS INT64_C(2000000000)

struct monkey_options {
    int64_t every_ns;    /* from strike to strike, without jitter; more than 0 */
    uint64_t count;      /* strikes that hit; 0: no bound */
    int64_t duration_ns; /* strikes due before this much time has passed; 0: no bound */
    uint64_t seed;
    int64_t pause_ns; /* for so long its victims are stopped; 0: they are to die */
};

/* All instants are wall-clock ns, as events carry them. */
struct monkey_victim {
    bool used;
    bool told; /* the caller's: a person has read of the strike */
    bool lost; /* it does not come back */
    char instance[EVENT_NAME];
    char how[EVENT_TEXT]; /* the caller's: what was done to it */
    int32_t pid;
    int64_t hit_ns, dead_ns, back_ns; /* 0: not yet */
};

struct monkey {
    struct monkey_options options;
    struct rng rng;
    uint64_t attempts, kills, refused, back, lost;
    struct hist recovery; /* from the strike to being back */
    struct monkey_victim victims[MONKEY_VICTIMS];
};

void monkey_init(struct monkey *monkey, const struct monkey_options *options);

/* When the next strike is due, in ns after the start; -1 when there is none any more. */
int64_t monkey_due(const struct monkey *monkey);

/* The number that chooses the next victim. It fits into any JSON reader's integers. The same seed gives the same row. */
uint64_t monkey_pick(struct monkey *monkey);

/* It was hit. Returns its entry, to be filled in further. */
struct monkey_victim *monkey_hit(struct monkey *monkey, const char *instance, int32_t pid, int64_t hit_ns);

/* The supervisor refused, because it would have been the last healthy one. False: no victim is on its way back, so
   asking again is no use. */
bool monkey_refused(struct monkey *monkey, int64_t now_ns);

enum monkey_news {
    MONKEY_NOTHING,
    MONKEY_DEAD,
    MONKEY_BACK,
    MONKEY_LOST, /* its restart policy does not bring it back */
};
/* What an event means: its kind's name, the instance, the state it goes to ("" : none), and when it happened. Who was stopped
   is back when it goes on, or serves again if it was replaced meanwhile. `ret` is the victim concerned. After MONKEY_BACK and
   MONKEY_LOST its entry is valid until the next call. */
enum monkey_news monkey_event(struct monkey *monkey, const char *kind, const char *instance, const char *to,
                              int64_t time_ns, struct monkey_victim **ret);

/* Is some victim dead and not back, or hit so lately that it may still be seen dying? */
bool monkey_expects(const struct monkey *monkey, int64_t now_ns);

#endif
