/* SPDX-License-Identifier: MIT
 *
 * What is told of the gateway's pairs of processes: who ended and how, what its successor took over. It is found by comparing
 * what they count in shared memory with what was told already, so a supervisor's successor tells nothing twice.
 */
#include "daemon/workers_parts.h"

#include "base/clock.h"
#include "gateway/conn_fsm.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

void worker_emit(struct worker *worker, const char *text)
{
    struct event event = { .kind = EVENT_GATEWAY, .pid = worker->area->member[GUARD_SIDE_ROLE].pid };

    (void)snprintf(event.text, sizeof(event.text), "gateway worker %u%.200s", worker->number, text);
    event_emit(worker->all->setup.events, &event);
}

/* "ended by SIGKILL", into `text`. */
static const char *how_it_ended(const struct guard_member *member, bool hung, char text[32])
{
    if (hung)
        return "hung and was killed";
    if (member->last_code == CLD_EXITED)
        (void)snprintf(text, 32, "exited with status %d", member->last_status);
    else if (member->last_code == CLD_KILLED || member->last_code == CLD_DUMPED)
        (void)snprintf(text, 32, "ended by SIG%s", cause_signal_name(member->last_status));
    else
        (void)snprintf(text, 32, "ended");
    return text;
}

enum { CONNECTIONS_TEXT = 32 };

/* "1 connection", "2 connections". */
static const char *count_connections(const struct adoption_gauge *adoption, char text[CONNECTIONS_TEXT])
{
    uint32_t n = atomic_load(&adoption->adopted);
    (void)snprintf(text, CONNECTIONS_TEXT, "%u connection%s", n, n == 1 ? "" : "s");
    return text;
}

static void tell_of_worker(struct worker *worker, bool taken_over)
{
    const struct guard_member *role = &worker->area->member[GUARD_SIDE_ROLE];
    const struct adoption_gauge *adoption = &worker->all->setup.gauges->worker[worker->number].adoption;
    uint32_t hung = atomic_load(&role->hung), dropped = atomic_load(&adoption->dropped),
             state = atomic_load(&adoption->state);
    char end[32], text[200], lost[32] = "", doing[48] = "", took[CLOCK_TEXT], connections[CONNECTIONS_TEXT];

    if (state != 0)
        (void)snprintf(doing, sizeof(doing), " with a connection in hand (%s)",
                       conn_state_name((enum conn_state)state));
    if (dropped != worker->kept->dropped)
        (void)snprintf(lost, sizeof(lost), ", %u dropped", dropped - worker->kept->dropped);
    int64_t span = role->restored_ns - role->died_ns + atomic_load(&adoption->took_ns);
    if (taken_over)
        (void)snprintf(text, sizeof(text), " %s%s; its successor took over %s within %s%s",
                       how_it_ended(role, hung != worker->kept->hung, end), doing,
                       count_connections(adoption, connections), clock_format_span(span, took), lost);
    else
        (void)snprintf(text, sizeof(text),
                       " %s, and so did its successors; another one will take its place in a moment",
                       how_it_ended(role, hung != worker->kept->hung, end));
    worker->kept->hung = hung;
    worker->kept->dropped = dropped;
    worker_emit(worker, text);
}

static void tell_of_upgrade(struct worker *worker)
{
    const struct guard_member *role = &worker->area->member[GUARD_SIDE_ROLE];
    const struct adoption_gauge *adoption = &worker->all->setup.gauges->worker[worker->number].adoption;
    char text[200], took[CLOCK_TEXT], connections[CONNECTIONS_TEXT];

    int64_t span = role->restored_ns - role->died_ns + atomic_load(&adoption->took_ns);
    bool undone = atomic_load(&worker->area->upgrades.undone) != worker->kept->undone;
    (void)snprintf(text, sizeof(text), " %s; it took over %s within %s",
                   undone ? "could not live as the other program, the one before goes on"
                          : "goes on as another program",
                   count_connections(adoption, connections), clock_format_span(span, took));
    worker_emit(worker, text);
}

void worker_tell_news(struct worker *worker, bool late)
{
    const struct guard_member *members = worker->area->member;
    uint32_t adoptions = atomic_load(&worker->all->setup.gauges->worker[worker->number].adoption.adoptions);
    uint32_t deaths = atomic_load(&members[GUARD_SIDE_ROLE].deaths),
             guards = atomic_load(&members[GUARD_SIDE_GUARD].deaths);

    uint32_t upgraded = atomic_load(&worker->area->upgrades.done), undone = atomic_load(&worker->area->upgrades.undone);

    if ((upgraded != worker->kept->upgraded || undone != worker->kept->undone) &&
        adoptions != worker->kept->adoptions) {
        tell_of_upgrade(worker);
        worker->kept->upgraded = upgraded;
        worker->kept->undone = undone;
        worker->kept->adoptions = adoptions;
    }
    if (deaths != worker->kept->deaths[GUARD_SIDE_ROLE] && (adoptions != worker->kept->adoptions || late)) {
        tell_of_worker(worker, adoptions != worker->kept->adoptions);
        worker->kept->deaths[GUARD_SIDE_ROLE] = deaths;
        worker->kept->adoptions = adoptions;
    }
    if (guards != worker->kept->deaths[GUARD_SIDE_GUARD]) {
        worker->kept->deaths[GUARD_SIDE_GUARD] = guards;
        worker_emit(worker, "'s guard ended; the worker restored it");
    }
}
