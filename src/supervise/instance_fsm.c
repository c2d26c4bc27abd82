/* SPDX-License-Identifier: MIT
 *
 * The table behind instance_fsm.h. A pair that is not listed is not expected and changes nothing.
 */
#include "supervise/instance_fsm.h"

#include <stddef.h>

struct rule {
    enum instance_state next;
    unsigned actions;
    bool listed;
};

#define GO(state, todo)                                                                                                \
    {                                                                                                                  \
        .next = INSTANCE_##state, .actions = (todo), .listed = true                                                    \
    }

static const struct rule rules[INSTANCE_STATES][INSTANCE_EVENTS] = {
    [INSTANCE_IDLE] = {
        [INSTANCE_EV_START] = GO(STARTING, INSTANCE_DO_SPAWN),
        [INSTANCE_EV_STOP] = GO(IDLE, 0),
    },
    [INSTANCE_STARTING] = {
        [INSTANCE_EV_READY] = GO(SERVING, INSTANCE_DO_ADMIT),
        [INSTANCE_EV_SICK] = GO(STOPPING, INSTANCE_DO_END),
        [INSTANCE_EV_STOP] = GO(STOPPING, INSTANCE_DO_END),
        [INSTANCE_EV_EXIT] = GO(WAITING, INSTANCE_DO_BACKOFF),
    },
    [INSTANCE_SERVING] = {
        [INSTANCE_EV_READY] = GO(SERVING, 0),
        /* Sick is drained, not cut off: what it still answers counts, what hangs runs into the deadline. */
        [INSTANCE_EV_SICK] = GO(DRAINING, INSTANCE_DO_EJECT | INSTANCE_DO_DRAIN),
        [INSTANCE_EV_STOP] = GO(DRAINING, INSTANCE_DO_EJECT | INSTANCE_DO_DRAIN),
        [INSTANCE_EV_EXIT] = GO(WAITING, INSTANCE_DO_EJECT | INSTANCE_DO_BACKOFF),
    },
    [INSTANCE_DRAINING] = {
        /* A late pass does not call it back: whoever wanted it gone, or found it sick, had a reason. */
        [INSTANCE_EV_READY] = GO(DRAINING, 0),
        [INSTANCE_EV_SICK] = GO(DRAINING, 0),
        [INSTANCE_EV_STOP] = GO(DRAINING, 0),
        [INSTANCE_EV_DRAINED] = GO(STOPPING, INSTANCE_DO_END),
        [INSTANCE_EV_EXIT] = GO(WAITING, INSTANCE_DO_BACKOFF),
    },
    [INSTANCE_STOPPING] = {
        [INSTANCE_EV_STOP] = GO(STOPPING, 0),
        [INSTANCE_EV_SICK] = GO(STOPPING, 0),
        [INSTANCE_EV_EXIT] = GO(WAITING, INSTANCE_DO_BACKOFF),
    },
    [INSTANCE_WAITING] = {
        [INSTANCE_EV_START] = GO(STARTING, INSTANCE_DO_SPAWN),
        [INSTANCE_EV_STOP] = GO(IDLE, 0),
        [INSTANCE_EV_SPENT] = GO(FAILED, INSTANCE_DO_TELL),
        [INSTANCE_EV_COMPLETE] = GO(DONE, 0),
    },
    [INSTANCE_FAILED] = {
        [INSTANCE_EV_START] = GO(STARTING, INSTANCE_DO_SPAWN),
        [INSTANCE_EV_STOP] = GO(IDLE, 0),
    },
    [INSTANCE_DONE] = {
        [INSTANCE_EV_START] = GO(STARTING, INSTANCE_DO_SPAWN),
        [INSTANCE_EV_STOP] = GO(IDLE, 0),
    },
};

struct instance_step instance_fsm(enum instance_state state, enum instance_event event, bool wanted)
{
    const struct rule *rule = &rules[state][event];

    if (!rule->listed)
        return (struct instance_step){ .next = state };

    /* An exit on the way down is the end that was asked for, not a death to recover from. */
    if (event == INSTANCE_EV_EXIT && !wanted)
        return (struct instance_step){ .next = INSTANCE_IDLE,
                                       .actions = rule->actions & INSTANCE_DO_EJECT,
                                       .expected = true };

    return (struct instance_step){ .next = rule->next, .actions = rule->actions, .expected = true };
}

const char *instance_state_name(enum instance_state state)
{
    static const char *const names[INSTANCE_STATES] = {
        [INSTANCE_IDLE] = "idle",         [INSTANCE_STARTING] = "starting", [INSTANCE_SERVING] = "serving",
        [INSTANCE_DRAINING] = "draining", [INSTANCE_STOPPING] = "stopping", [INSTANCE_WAITING] = "waiting",
        [INSTANCE_FAILED] = "failed",     [INSTANCE_DONE] = "completed",
    };
    return (unsigned)state < INSTANCE_STATES ? names[state] : "?";
}
