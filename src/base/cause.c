/* SPDX-License-Identifier: MIT */
#include "base/cause.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

enum cause cause_of_exit(int code, int status)
{
    if (code == CLD_EXITED)
        return CAUSE_EXIT;
    if (code != CLD_KILLED && code != CLD_DUMPED)
        return CAUSE_UNKNOWN;
    switch (status) {
    case SIGSEGV:
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGSYS:
    case SIGTRAP:
    case SIGPIPE:
    case SIGXCPU:
    case SIGXFSZ:
        return CAUSE_CRASH;
    default:
        return CAUSE_KILLED;
    }
}

bool cause_self_inflicted(enum cause cause)
{
    switch (cause) {
    case CAUSE_EXIT:
    case CAUSE_CRASH:
    case CAUSE_OOM:
    case CAUSE_SPAWN:
    case CAUSE_HEALTH:
    case CAUSE_HANG:
        return true;
    default:
        return false;
    }
}

bool cause_asked_for(enum cause cause)
{
    return cause == CAUSE_STOP || cause == CAUSE_SCALE || cause == CAUSE_DEPLOY || cause == CAUSE_CHAOS;
}

const char *cause_name(enum cause cause)
{
    static const char *const names[CAUSES] = {
        [CAUSE_NONE] = "none",     [CAUSE_UNKNOWN] = "unknown", [CAUSE_EXIT] = "exit",   [CAUSE_CRASH] = "crash",
        [CAUSE_KILLED] = "killed", [CAUSE_OOM] = "oom",         [CAUSE_SPAWN] = "spawn", [CAUSE_HEALTH] = "unhealthy",
        [CAUSE_HANG] = "hang",     [CAUSE_STOP] = "stop",       [CAUSE_SCALE] = "scale", [CAUSE_DEPLOY] = "deploy",
        [CAUSE_CHAOS] = "chaos",
    };
    return (unsigned)cause < CAUSES ? names[cause] : "?";
}

const char *cause_signal_name(int signo)
{
    const char *name = sigabbrev_np(signo);
    return name ? name : "?";
}
