/* SPDX-License-Identifier: MIT
 *
 * Going on where another supervisor died: a moment ago, with its memory (base/guard.h), or at some time, by what it wrote
 * down (applied.h). Services and instances restore themselves (supervise/restore.c).
 */
#include "daemon/daemon_parts.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/inherit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void describe_takeover(const struct daemon *daemon, int taken, bool goes_on, char text[EVENT_TEXT])
{
    const struct guard_member *role = &daemon->memory.guard->member[GUARD_SIDE_ROLE];
    bool killed = role->last_code == CLD_KILLED || role->last_code == CLD_DUMPED;
    const char *plural = taken == 1 ? "" : "s";
    char span[CLOCK_TEXT];

    if (daemon->guard->relieved)
        (void)snprintf(text, EVENT_TEXT,
                       "the supervisor goes on as another program, which took over %d instance%s within %s", taken,
                       plural, clock_format_span(clock_now() - role->died_ns, span));
    else if (!goes_on)
        (void)snprintf(text, EVENT_TEXT, "%d instance%s of an earlier supervisor %s taken over", taken, plural,
                       taken == 1 ? "is" : "are");
    else
        (void)snprintf(text, EVENT_TEXT, "the supervisor died%s%s; its successor took over %d instance%s within %s",
                       killed ? " by SIG" : "", killed ? cause_signal_name(role->last_status) : "", taken, plural,
                       clock_format_span(clock_now() - role->died_ns, span));
}

int daemon_take_over(struct daemon *daemon, bool goes_on, struct err *err)
{
    char text[EVENT_TEXT];

    if (daemon->refused.code)
        daemon_warn(daemon, "what an earlier supervisor left cannot be used, what still runs is ended and started anew",
                    daemon->refused.message);
    if (daemon->before.spec && !daemon->before.whole)
        daemon->runtime->stamp(daemon->runtime, daemon->before.spec); /* it is still to be applied */
    if (daemon->before.spec) {
        int taken = supervisor_restore(daemon->supervisor, TAKE_PTR(daemon->before.spec), daemon->spec_id, err);
        if (taken < 0)
            return taken;
        describe_takeover(daemon, taken, goes_on, text);
        daemon_emit(daemon, EVENT_PROJECT, "", "", text);
    }
    /* A pipe that is left is one of an instance whose record could not be kept. */
    if (goes_on && !daemon->refused.code && !inherit_pipes_left())
        return 0;
    int strays = daemon->runtime->end_strays(daemon->runtime);
    if (strays > 0) {
        (void)snprintf(text, sizeof(text), "%d processes of an earlier supervisor that nothing is known of were ended",
                       strays);
        daemon_emit(daemon, EVENT_WARNING, "", "", text);
    }
    return 0;
}

/* The signal by which somebody asked the supervisor before us, who could not even hear it; 0: nobody did. */
static int asked_in_vain(const struct daemon *daemon)
{
    const struct guard_member *before = &daemon->memory.guard->member[GUARD_SIDE_ROLE];
    int signo = before->last_code == CLD_KILLED ? before->last_status : 0, asked = guard_asked(daemon->guard);

    return asked ? asked : signo == SIGTERM || signo == SIGINT || signo == SIGHUP ? signo : 0;
}

void daemon_go_on(struct daemon *daemon)
{
    const struct kept_record *record = &daemon->kept.record;

    daemon->since_wall_ns = record->since_wall_ns;
    daemon->state = (enum supervisor_state)record->state;
    if (daemon->state == SUPERVISOR_DOWN)
        daemon->state = SUPERVISOR_STOPPING; /* what follows from it may not have been done */
    daemon->runtime->remove_volumes = record->remove_volumes;
    if (record->stopping)
        daemon_go_down(daemon, record->killing);
    int signo = asked_in_vain(daemon);
    if (signo)
        (void)kill(getpid(), signo); /* one of them, also when it has come to us in the meantime */
}
