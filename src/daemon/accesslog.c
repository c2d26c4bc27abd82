/* SPDX-License-Identifier: MIT */
#include "daemon/accesslog.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define EVERY_NS (100 * NS_PER_MS)
#define LIMIT    (INT64_C(256) << 20) /* then PATH.1 is written over */

static void tell(struct accesslog *log, const char *text)
{
    struct event event = { .kind = EVENT_WARNING };
    if (!log->events)
        return;
    (void)snprintf(event.text, sizeof(event.text), "%s", text);
    event_emit(log->events, &event);
}

/* Somebody renamed or removed the file: the next line begins a new one. */
static void look_for_rotation(struct accesslog *log)
{
    struct stat open, named;
    if (log->file.fd >= 0 && (stat(log->file.path, &named) < 0 || fstat(log->file.fd, &open) < 0 ||
                              open.st_ino != named.st_ino || open.st_dev != named.st_dev))
        logfile_close(&log->file);
}

static void write_lines(struct accesslog *log, const char *lines, size_t len)
{
    char text[EVENT_TEXT];
    int r = logfile_write(&log->file, lines, len);
    if (r < 0 && !log->failed) {
        (void)snprintf(text, sizeof(text), "the access log %.100s cannot be written: %s", log->file.path,
                       r == -ENXIO ? "nobody reads this pipe" : strerror(-r));
        tell(log, text);
    }
    log->failed = r < 0;
}

void accesslog_flush(struct accesslog *log)
{
    static char buf[ACCESS_RING];
    char text[EVENT_TEXT];
    uint64_t dropped = 0;

    if (!log->on)
        return;
    look_for_rotation(log);
    for (unsigned i = 0; i < log->workers; i++) {
        size_t len = access_ring_take(&log->rings[i], buf, sizeof(buf));
        if (len > 0)
            write_lines(log, buf, len);
        dropped += atomic_load_explicit(&log->rings[i].dropped, memory_order_relaxed);
    }
    if (dropped > log->told) {
        (void)snprintf(text, sizeof(text),
                       "the access log left out %llu lines: requests come faster than it is written",
                       (unsigned long long)(dropped - log->told));
        tell(log, text);
        log->told = dropped;
    }
}

static void on_timer(struct loop_timer *timer)
{
    struct accesslog *log = timer->data;
    accesslog_flush(log);
    loop_timer_set(log->loop, &log->timer, loop_now(log->loop) + EVERY_NS);
}

void accesslog_init(struct accesslog *log, struct loop *loop, struct event_bus *events, struct access_ring *rings,
                    unsigned workers)
{
    *log = (struct accesslog){ .loop = loop, .events = events, .rings = rings, .workers = workers, .file.fd = -1 };
    log->timer = (struct loop_timer){ .fn = on_timer, .data = log };
}

void accesslog_apply(struct accesslog *log, const struct spec *spec)
{
    bool on = spec->access_log.format != BOARD_ACCESS_NONE;

    if (log->on && on && strcmp(log->file.path, spec->access_log.path) == 0)
        return;
    accesslog_flush(log);
    logfile_close(&log->file);
    log->on = on;
    log->failed = false;
    if (on) {
        logfile_init(&log->file, spec->access_log.path, LIMIT);
        loop_timer_set(log->loop, &log->timer, loop_now(log->loop) + EVERY_NS);
    } else {
        loop_timer_cancel(log->loop, &log->timer);
    }
}

void accesslog_close(struct accesslog *log)
{
    if (!log->loop)
        return;
    accesslog_flush(log);
    loop_timer_cancel(log->loop, &log->timer);
    logfile_close(&log->file);
    log->on = false;
}
