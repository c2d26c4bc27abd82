/* SPDX-License-Identifier: MIT */
#include "base/guard_fsm.h"

#include "base/clock.h"

#define TOKEN_NS (NS_PER_S / GUARD_PER_S)

static const struct guard_step table[GUARD_STATES][GUARD_EVENTS] = {
    [GUARD_WATCHING] = {
        [GUARD_EV_NONE] = { GUARD_WATCHING, GUARD_DO_NOTHING },
        [GUARD_EV_ENDED] = { GUARD_LEAVING, GUARD_DO_LEAVE },
        [GUARD_EV_DIED] = { GUARD_WATCHING, GUARD_DO_RESTORE },
        [GUARD_EV_DIED_OFTEN] = { GUARD_PAUSING, GUARD_DO_PAUSE },
        [GUARD_EV_DUE] = { GUARD_WATCHING, GUARD_DO_NOTHING },
        [GUARD_EV_HUNG] = { GUARD_WATCHING, GUARD_DO_KILL },
    },
    [GUARD_PAUSING] = {
        [GUARD_EV_NONE] = { GUARD_PAUSING, GUARD_DO_NOTHING },
        [GUARD_EV_ENDED] = { GUARD_LEAVING, GUARD_DO_LEAVE },
        [GUARD_EV_DIED] = { GUARD_PAUSING, GUARD_DO_NOTHING },
        [GUARD_EV_DIED_OFTEN] = { GUARD_PAUSING, GUARD_DO_NOTHING },
        [GUARD_EV_DUE] = { GUARD_WATCHING, GUARD_DO_RESTORE },
        [GUARD_EV_HUNG] = { GUARD_PAUSING, GUARD_DO_NOTHING },
    },
    [GUARD_LEAVING] = {
        [GUARD_EV_NONE] = { GUARD_LEAVING, GUARD_DO_NOTHING },
        [GUARD_EV_ENDED] = { GUARD_LEAVING, GUARD_DO_NOTHING },
        [GUARD_EV_DIED] = { GUARD_LEAVING, GUARD_DO_NOTHING },
        [GUARD_EV_DIED_OFTEN] = { GUARD_LEAVING, GUARD_DO_NOTHING },
        [GUARD_EV_DUE] = { GUARD_LEAVING, GUARD_DO_NOTHING },
        [GUARD_EV_HUNG] = { GUARD_LEAVING, GUARD_DO_NOTHING },
    },
};

enum guard_event guard_event_of(enum guard_state state, const struct guard_sight *sight)
{
    if (sight->dead && sight->over)
        return GUARD_EV_ENDED;
    if (state == GUARD_PAUSING)
        return sight->due ? GUARD_EV_DUE : GUARD_EV_NONE;
    if (sight->dead)
        return sight->budget ? GUARD_EV_DIED : GUARD_EV_DIED_OFTEN;
    return sight->hung && sight->claimed ? GUARD_EV_HUNG : GUARD_EV_NONE;
}

struct guard_step guard_fsm(enum guard_state state, enum guard_event event)
{
    return table[state][event];
}

static int64_t spent(const struct guard_budget *budget, int64_t now_ns)
{
    int64_t left = budget->spent - (now_ns - budget->at_ns);
    return left > 0 ? left : 0;
}

bool guard_budget_has(const struct guard_budget *budget, int64_t now_ns)
{
    return spent(budget, now_ns) <= (GUARD_BURST - 1) * TOKEN_NS;
}

void guard_budget_take(struct guard_budget *budget, int64_t now_ns)
{
    budget->spent = spent(budget, now_ns) + TOKEN_NS;
    budget->at_ns = now_ns;
}
