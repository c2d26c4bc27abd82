/* SPDX-License-Identifier: MIT */
#include "watch/tally.h"

#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

const char *watch_kind_name(enum watch_kind kind)
{
    static const char *const names[WATCH_KINDS] = {
        [WATCH_OK] = "ok",
        [WATCH_STATUS] = "status",
        [WATCH_REFUSED] = "refused",
        [WATCH_RESET] = "reset",
        [WATCH_CLOSED] = "closed early",
        [WATCH_TIMEOUT] = "timeout",
        [WATCH_BAD_RESPONSE] = "bad response",
        [WATCH_NO_CONNECTION] = "no connection",
    };
    return (unsigned)kind < WATCH_KINDS ? names[kind] : "?";
}

enum watch_kind watch_kind_of(int error)
{
    switch (error) {
    case -ECONNREFUSED:
    case -ENOENT: /* a Unix socket that is not there */
        return WATCH_REFUSED;
    case -ECONNRESET:
        return WATCH_RESET;
    case -EPIPE:
        return WATCH_CLOSED;
    case -ETIMEDOUT:
        return WATCH_TIMEOUT;
    case -EBADMSG:
    case -EMSGSIZE:
        return WATCH_BAD_RESPONSE;
    default:
        return WATCH_NO_CONNECTION;
    }
}

int64_t watch_due(uint64_t number, double rate)
{
    return (int64_t)((long double)number * NS_PER_S / (long double)rate);
}

void watch_tally_init(struct watch_tally *tally, int64_t start_ns)
{
    memset(tally, 0, sizeof(*tally));
    tally->start_ns = tally->end_ns = tally->last_ok_ns = start_ns;
}

int watch_tally_instance(struct watch_tally *tally, const char *name, size_t len)
{
    char safe[WATCH_NAME];

    if (len >= sizeof(safe))
        len = sizeof(safe) - 1;
    /* A header comes from outside: nothing of it may steer a terminal or break out of a JSON string. */
    for (size_t i = 0; i < len; i++)
        safe[i] = isalnum((unsigned char)name[i]) || strchr("._:-/ []", name[i]) ? name[i] : '?';
    safe[len] = '\0';
    for (int i = 0; i < tally->instances; i++)
        if (strcmp(tally->names[i], safe) == 0)
            return i;
    if (tally->instances == WATCH_INSTANCES)
        return WATCH_INSTANCES - 1;
    if (tally->instances == WATCH_INSTANCES - 1)
        (void)strcpy(safe, "others");
    memcpy(tally->names[tally->instances], safe, strlen(safe) + 1);
    return tally->instances++;
}

void watch_tally_add(struct watch_tally *tally, const struct watch_result *result)
{
    tally->sent++;
    tally->kinds[result->kind]++;
    if (result->end_ns > tally->end_ns)
        tally->end_ns = result->end_ns;
    if (result->kind == WATCH_STATUS)
        tally->failed_status[result->status % WATCH_STATUSES]++;
    if (result->instance >= 0)
        tally->answers[result->instance]++;
    if (result->kind != WATCH_OK)
        return;
    int64_t took = result->end_ns - result->due_ns;
    hist_add(&tally->latency, took > 0 ? (uint64_t)(took / NS_PER_US) : 0);
    tally->longest_gap_ns = watch_tally_gap(tally, result->end_ns);
    if (result->end_ns > tally->last_ok_ns)
        tally->last_ok_ns = result->end_ns;
}

double watch_tally_availability(const struct watch_tally *tally)
{
    return tally->sent ? (double)tally->kinds[WATCH_OK] / (double)tally->sent : 1;
}

int64_t watch_tally_gap(const struct watch_tally *tally, int64_t end_ns)
{
    int64_t open = end_ns - tally->last_ok_ns;
    return open > tally->longest_gap_ns ? open : tally->longest_gap_ns;
}
