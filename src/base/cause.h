/* SPDX-License-Identifier: MIT
 *
 * Why an instance ended: one value that retry, backoff, deploy verdict and attribution all consult, so that nothing
 * guesses anew. Set once by the supervisor, published on the board, carried by events.
 */
#ifndef DARUMA_BASE_CAUSE_H
#define DARUMA_BASE_CAUSE_H

#include <stdbool.h>

enum cause {
    CAUSE_NONE,    /* it lives, or nobody asked yet */
    CAUSE_UNKNOWN, /* gone, and nobody can say how */
    CAUSE_EXIT,    /* ended by itself with an exit status */
    CAUSE_CRASH,   /* a signal that a program earns: SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSYS, SIGTRAP … */
    CAUSE_KILLED,  /* a signal from outside: SIGKILL, SIGTERM, SIGINT, SIGHUP …; also the engine's stop */
    CAUSE_OOM,     /* the kernel's out-of-memory killer */
    CAUSE_SPAWN,   /* it never ran: exec failed, user unknown, directory missing */
    CAUSE_HEALTH,  /* ended by us: too many failed health checks */
    CAUSE_HANG,    /* ended by us: requests aged and a probe got no answer */
    CAUSE_STOP,    /* ended by us: down, restart, kill command */
    CAUSE_SCALE,   /* ended by us: fewer replicas wanted */
    CAUSE_DEPLOY,  /* ended by us: replaced by another version */
    CAUSE_CHAOS,   /* ended by us: an experiment */
    CAUSES
};

/* The cause of a death nobody asked for, as waitid(2) tells it in `si_code` and `si_status`. */
enum cause cause_of_exit(int code, int status);

/* Did the instance bring it on itself? EXIT, CRASH, OOM, SPAWN, HEALTH, HANG. Such deaths cost restart budget and make
   the requests in flight suspects; all others find them innocent. */
bool cause_self_inflicted(enum cause cause);

/* Did we end it on purpose (STOP, SCALE, DEPLOY, CHAOS)? */
bool cause_asked_for(enum cause cause);

/* "killed", "crash" … for logs, events and JSON. Never NULL; "?" for a number that is no cause. */
const char *cause_name(enum cause cause);

/* "KILL", "SEGV" … Never NULL; "?" for a signal without a name. */
const char *cause_signal_name(int signo);

#endif
