/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t clock_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

void clock_sleep(int64_t ns)
{
    struct timespec rest = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
    while (ns > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, &rest) == EINTR)
        ;
}

const char *clock_format_wall(int64_t wall_ns, char text[CLOCK_TEXT])
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm utc;
    char date[24];
    if (!gmtime_r(&seconds, &utc) || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc) == 0)
        (void)snprintf(text, CLOCK_TEXT, "?");
    else
        (void)snprintf(text, CLOCK_TEXT, "%s.%03dZ", date, (int)(wall_ns % NS_PER_S / NS_PER_MS));
    return text;
}

const char *clock_format_span(int64_t ns, char text[CLOCK_TEXT])
{
    int64_t s = ns / NS_PER_S;
    if (ns < NS_PER_MS)
        (void)snprintf(text, CLOCK_TEXT, "%.2f ms", (double)ns / NS_PER_MS);
    else if (ns < NS_PER_S)
        (void)snprintf(text, CLOCK_TEXT, "%" PRId64 " ms", ns / NS_PER_MS);
    else if (s < 60)
        (void)snprintf(text, CLOCK_TEXT, "%.2f s", (double)ns / NS_PER_S);
    else if (s < 3600)
        (void)snprintf(text, CLOCK_TEXT, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else if (s < 86400)
        (void)snprintf(text, CLOCK_TEXT, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
    else
        (void)snprintf(text, CLOCK_TEXT, "%" PRId64 " d %" PRId64 " h", s / 86400, s % 86400 / 3600);
    return text;
}
