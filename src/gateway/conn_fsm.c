/* SPDX-License-Identifier: MIT
 *
 * The table behind conn_fsm.h. A pair that is not listed is not expected and changes nothing.
 */
#include "gateway/conn_fsm.h"

struct rule {
    enum conn_state next;
    bool listed;
};

#define GO(state)                                                                                                      \
    {                                                                                                                  \
        .next = CONN_##state, .listed = true                                                                           \
    }

static const struct rule rules[CONN_STATES][CONN_EVENTS] = {
    [CONN_PROXY] = {
        [CONN_EV_PROXY] = GO(IDLE),
        [CONN_EV_ANSWER] = GO(ANSWERING),
        [CONN_EV_CLOSE] = GO(FREE),
    },
    [CONN_IDLE] = {
        [CONN_EV_BYTES] = GO(HEAD),
        /* A TCP client needs an endpoint before it has said anything. */
        [CONN_EV_HOLD] = GO(HELD),
        [CONN_EV_CONNECT] = GO(CONNECTING),
        [CONN_EV_LINGER] = GO(LINGERING),
        [CONN_EV_CLOSE] = GO(FREE),
    },
    [CONN_HEAD] = {
        [CONN_EV_HOLD] = GO(HELD),
        [CONN_EV_CONNECT] = GO(CONNECTING),
        [CONN_EV_SEND] = GO(SENDING),
        [CONN_EV_ANSWER] = GO(ANSWERING),
        [CONN_EV_CLOSE] = GO(FREE),
    },
    [CONN_HELD] = {
        [CONN_EV_CONNECT] = GO(CONNECTING),
        [CONN_EV_SEND] = GO(SENDING),
        [CONN_EV_ANSWER] = GO(ANSWERING),
        [CONN_EV_CLOSE] = GO(FREE),
    },
    [CONN_CONNECTING] = {
        [CONN_EV_SEND] = GO(SENDING),
        [CONN_EV_TUNNEL] = GO(TUNNEL),
        [CONN_EV_BROKEN] = GO(VERDICT),
        [CONN_EV_ANSWER] = GO(ANSWERING),
        [CONN_EV_CLOSE] = GO(FREE),
    },
    [CONN_SENDING] = {
        /* A second attempt beside one whose answer is overdue. */
        [CONN_EV_CONNECT] = GO(CONNECTING),
        [CONN_EV_SEND] = GO(SENDING),
        [CONN_EV_RESPONSE] = GO(RELAYING),
        [CONN_EV_TUNNEL] = GO(TUNNEL),
        [CONN_EV_BROKEN] = GO(VERDICT),
        [CONN_EV_ANSWER] = GO(ANSWERING),
        [CONN_EV_CLOSE] = GO(FREE),
    },
    [CONN_RELAYING] = {
        /* The answer is cut off: nothing can be repeated, but the instance's other requests want the verdict too. */
        [CONN_EV_BROKEN] = GO(VERDICT),
        [CONN_EV_COMPLETE] = GO(IDLE),
        [CONN_EV_LINGER] = GO(LINGERING),
        [CONN_EV_CLOSE] = GO(FREE),
    },
    [CONN_TUNNEL] = {
        [CONN_EV_CLOSE] = GO(FREE),
    },
    [CONN_VERDICT] = {
        [CONN_EV_HOLD] = GO(HELD),
        [CONN_EV_CONNECT] = GO(CONNECTING),
        [CONN_EV_SEND] = GO(SENDING),
        [CONN_EV_ANSWER] = GO(ANSWERING),
        [CONN_EV_CLOSE] = GO(FREE),
    },
    [CONN_ANSWERING] = {
        [CONN_EV_COMPLETE] = GO(IDLE),
        [CONN_EV_LINGER] = GO(LINGERING),
        [CONN_EV_CLOSE] = GO(FREE),
    },
    [CONN_LINGERING] = {
        [CONN_EV_CLOSE] = GO(FREE),
    },
};

bool conn_fsm(enum conn_state state, enum conn_event event, enum conn_state *ret_next)
{
    const struct rule *rule = &rules[state][event];
    *ret_next = rule->listed ? rule->next : state;
    return rule->listed;
}

enum conn_deadline conn_fsm_deadline(enum conn_state state)
{
    static const enum conn_deadline deadlines[CONN_STATES] = {
        [CONN_FREE] = CONN_UNTIL_NEVER,        [CONN_PROXY] = CONN_UNTIL_HEAD,
        [CONN_IDLE] = CONN_UNTIL_KEEP_ALIVE,   [CONN_HEAD] = CONN_UNTIL_HEAD,
        [CONN_HELD] = CONN_UNTIL_HOLD,         [CONN_CONNECTING] = CONN_UNTIL_CONNECT,
        [CONN_SENDING] = CONN_UNTIL_RESPONSE,  [CONN_RELAYING] = CONN_UNTIL_QUIET,
        [CONN_TUNNEL] = CONN_UNTIL_QUIET,      [CONN_VERDICT] = CONN_UNTIL_VERDICT,
        [CONN_ANSWERING] = CONN_UNTIL_WRITTEN, [CONN_LINGERING] = CONN_UNTIL_SILENT,
    };
    return deadlines[state];
}

bool conn_fsm_in_flight(enum conn_state state)
{
    switch (state) {
    case CONN_CONNECTING:
    case CONN_SENDING:
    case CONN_RELAYING:
    case CONN_TUNNEL:
    case CONN_VERDICT:
        return true;
    default:
        return false;
    }
}

const char *conn_state_name(enum conn_state state)
{
    static const char *const names[CONN_STATES] = {
        [CONN_FREE] = "free",       [CONN_PROXY] = "proxy",         [CONN_IDLE] = "idle",
        [CONN_HEAD] = "head",       [CONN_HELD] = "held",           [CONN_CONNECTING] = "connecting",
        [CONN_SENDING] = "sending", [CONN_RELAYING] = "relaying",   [CONN_TUNNEL] = "tunnel",
        [CONN_VERDICT] = "verdict", [CONN_ANSWERING] = "answering", [CONN_LINGERING] = "lingering",
    };
    return (unsigned)state < CONN_STATES ? names[state] : "?";
}

const char *conn_event_name(enum conn_event event)
{
    static const char *const names[CONN_EVENTS] = {
        [CONN_EV_PROXY] = "proxy",       [CONN_EV_BYTES] = "bytes",   [CONN_EV_HOLD] = "hold",
        [CONN_EV_CONNECT] = "connect",   [CONN_EV_SEND] = "send",     [CONN_EV_RESPONSE] = "response",
        [CONN_EV_TUNNEL] = "tunnel",     [CONN_EV_BROKEN] = "broken", [CONN_EV_ANSWER] = "answer",
        [CONN_EV_COMPLETE] = "complete", [CONN_EV_LINGER] = "linger", [CONN_EV_CLOSE] = "close",
    };
    return (unsigned)event < CONN_EVENTS ? names[event] : "?";
}
