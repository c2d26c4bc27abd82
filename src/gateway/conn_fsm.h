/* SPDX-License-Identifier: MIT
 *
 * The life of one client connection, as a table: which state follows which event, and which deadline each state has.
 *
 * Owns: nothing. No I/O, no clock. Runs in: a gateway worker, behind the one setter gw_conn_step().
 */
#ifndef DARUMA_GATEWAY_CONN_FSM_H
#define DARUMA_GATEWAY_CONN_FSM_H

#include <stdbool.h>

/*
 *   PROXY ─▶ IDLE, or ANSWERING
 *   IDLE ─▶ HEAD ─┬────────────▶ SENDING ─▶ RELAYING ─▶ IDLE (kept alive) or LINGERING or FREE
 *                 ├▶ CONNECTING ─▶ ┘ │  └▶ TUNNEL (101; TCP: from CONNECTING)
 *                 ├▶ HELD ─▶ ┘       └▶ VERDICT ─▶ again from the top, or ANSWERING
 *                 │                   └▶ CONNECTING, SENDING: a second attempt beside this one (hedge.h)
 *                 └▶ ANSWERING (our own answer) ─▶ IDLE or LINGERING or FREE
 */
enum conn_state {
    CONN_FREE,       /* the slot is not in use */
    CONN_PROXY,      /* a PROXY header has to come before anything else */
    CONN_IDLE,       /* no byte of the next request has come; holds no buffer */
    CONN_HEAD,       /* a request head is arriving */
    CONN_HELD,       /* waits for an endpoint */
    CONN_CONNECTING, /* a connection to the endpoint is being made */
    CONN_SENDING,    /* the request is under way; no final response head yet */
    CONN_RELAYING,   /* the response has begun to go to the client */
    CONN_TUNNEL,     /* bytes both ways, whatever they mean */
    CONN_VERDICT,    /* the attempt broke off; waits for the board to say whether the instance died, and how */
    CONN_ANSWERING,  /* an answer of our own is being written */
    CONN_LINGERING,  /* answered; reads what the client still sends, so that the answer is not lost to a reset */
    CONN_STATES
};

enum conn_event {
    CONN_EV_PROXY,    /* the PROXY header is whole */
    CONN_EV_BYTES,    /* the first bytes of a request */
    CONN_EV_HOLD,     /* no endpoint at the moment */
    CONN_EV_CONNECT,  /* a fresh connection to an endpoint was begun */
    CONN_EV_SEND,     /* a connection to an endpoint is there */
    CONN_EV_RESPONSE, /* the final response head is whole and will be forwarded */
    CONN_EV_TUNNEL,   /* both sides are joined as they are */
    CONN_EV_BROKEN,   /* the upstream connection ended too early */
    CONN_EV_ANSWER,   /* we answer ourselves */
    CONN_EV_COMPLETE, /* the exchange is over and the client connection is kept */
    CONN_EV_LINGER,   /* the exchange is over, the client is to go */
    CONN_EV_CLOSE,    /* the client connection is closed */
    CONN_EVENTS
};

/* What a state waits for at most. */
enum conn_deadline {
    CONN_UNTIL_NEVER,
    CONN_UNTIL_KEEP_ALIVE,
    CONN_UNTIL_HEAD,
    CONN_UNTIL_HOLD,
    CONN_UNTIL_CONNECT,
    CONN_UNTIL_RESPONSE,
    CONN_UNTIL_QUIET, /* no byte in either direction */
    CONN_UNTIL_VERDICT,
    CONN_UNTIL_WRITTEN,
    CONN_UNTIL_SILENT, /* no byte for a while, and not for ever */
};

/* The state after `event`. False when the event has no business in this state; `ret_next` is then the state itself. */
bool conn_fsm(enum conn_state state, enum conn_event event, enum conn_state *ret_next);

enum conn_deadline conn_fsm_deadline(enum conn_state state);

/* In these states an endpoint is working for the connection and counts it as in flight. */
bool conn_fsm_in_flight(enum conn_state state);

/* Never NULL; "?" for a number that is no state or event. */
const char *conn_state_name(enum conn_state state);
const char *conn_event_name(enum conn_event event);

#endif
