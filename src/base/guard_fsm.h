/* SPDX-License-Identifier: MIT
 *
 * What a member of a guarded pair (guard.h) does about the other one, as a table: pure, no I/O, no clock. Both members
 * follow the same table, and tests/unit/base/test_guard_fsm.c walks through all interleavings of two of them.
 *
 *   WATCHING ──died──▶ WATCHING (restored)          PAUSING ──due──▶ WATCHING (restored)
 *            ──hung──▶ WATCHING (killed; then it died)
 *            ──died too often──▶ PAUSING            either ──ended──▶ LEAVING
 */
#ifndef DARUMA_BASE_GUARD_FSM_H
#define DARUMA_BASE_GUARD_FSM_H

#include <stdbool.h>
#include <stdint.h>

enum guard_state {
    GUARD_WATCHING, /* the other one is there, as far as is known */
    GUARD_PAUSING,  /* it is dead and has died too often: it comes back a little later */
    GUARD_LEAVING,  /* it is dead and the pair has ended: nobody is restored any more */
    GUARD_STATES
};

enum guard_event {
    GUARD_EV_NONE,
    GUARD_EV_ENDED, /* it is dead, and that was the orderly end */
    GUARD_EV_DIED,
    GUARD_EV_DIED_OFTEN, /* the same, with its budget of restarts spent */
    GUARD_EV_DUE,        /* the pause is over */
    GUARD_EV_HUNG,       /* its heart has stopped, and it is ours to kill */
    GUARD_EVENTS
};

enum guard_action {
    GUARD_DO_NOTHING,
    GUARD_DO_RESTORE,
    GUARD_DO_PAUSE, /* arm the pause */
    GUARD_DO_KILL,
    GUARD_DO_LEAVE
};

/* What one sees of the other. `dead` must have been looked at before `over`: who ends in order says so first. */
struct guard_sight {
    bool dead;
    bool over;    /* the pair was ended in order */
    bool hung;    /* no heartbeat for too long */
    bool claimed; /* the right to kill is ours */
    bool budget;  /* it may be restored at once */
    bool due;     /* PAUSING: long enough */
};

struct guard_step {
    enum guard_state next;
    enum guard_action action;
};

/* The one event that counts. Total. */
enum guard_event guard_event_of(enum guard_state state, const struct guard_sight *sight);

/* Total: a pair that is not in the table changes nothing. */
struct guard_step guard_fsm(enum guard_state state, enum guard_event event);

/*
 * The budget of restarts, a bucket of tokens: `GUARD_BURST` restarts at once, and GUARD_PER_S a second on and on. A member
 * that is killed again and again by a hand from outside comes back at once each time; one that cannot live does not
 * spin. Zeroed: full.
 */
enum { GUARD_BURST = 20, GUARD_PER_S = 5 };
struct guard_budget {
    int64_t spent; /* in ns of refilling */
    int64_t at_ns; /* as of then */
};
bool guard_budget_has(const struct guard_budget *budget, int64_t now_ns);
void guard_budget_take(struct guard_budget *budget, int64_t now_ns);

#endif
