/* SPDX-License-Identifier: MIT
 *
 * The writer: cuts what the instances write into lines and puts them into files. The reader is logs_reader.c.
 */
#include "observe/logs.h"

#include "base/buf.h"
#include "base/clock.h"
#include "observe/logfile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One instance's file and the beginnings of lines on its two streams. */
struct log {
    struct log *next; /* in its bucket */
    char instance[EVENT_NAME];
    struct logfile file;
    struct buf partial[2]; /* standard output, standard error */
};

enum { BUCKETS = 256 };

struct logs {
    char dir[PATH_MAX];
    struct event_bus *bus;
    struct event_sink sink;
    struct log *buckets[BUCKETS];
    uint64_t lost; /* lines since the disk took the last one */
    void (*on_write)(void *data);
    void *on_write_data;
};

static struct log **bucket_of(struct logs *logs, const char *instance)
{
    uint32_t hash = 2166136261u;
    for (const char *c = instance; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    return &logs->buckets[hash % BUCKETS];
}

static struct log *find(struct logs *logs, const char *instance)
{
    struct log *log = *bucket_of(logs, instance);
    while (log && strcmp(log->instance, instance) != 0)
        log = log->next;
    return log;
}

static struct log *add(struct logs *logs, const char *instance)
{
    char path[PATH_MAX];
    struct log **bucket = bucket_of(logs, instance);
    struct log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    (void)snprintf(log->instance, sizeof(log->instance), "%s", instance);
    (void)snprintf(path, sizeof(path), "%.3900s/%.100s.log", logs->dir, log->instance);
    logfile_init(&log->file, path, LOGS_FILE);
    log->next = *bucket;
    *bucket = log;
    return log;
}

static void __attribute__((format(printf, 2, 3))) warn(struct logs *logs, const char *format, ...)
{
    struct event event = { .kind = EVENT_WARNING };
    va_list args;

    va_start(args, format);
    (void)vsnprintf(event.text, sizeof(event.text), format, args);
    va_end(args);
    event_emit(logs->bus, &event);
}

static void put_line(struct logs *logs, struct log *log, int stream, const char *text, size_t len)
{
    char line[LOGS_LINE + 64];

    int head = snprintf(line, sizeof(line), "%lld %d ", (long long)clock_wall(), stream);
    memcpy(line + head, text, len);
    line[(size_t)head + len] = '\n';
    int r = logfile_write(&log->file, line, (size_t)head + len + 1);
    if (r < 0) {
        if (logs->lost++ == 0)
            warn(logs, "log lines are lost: %s; make room where the run directory is", strerror(-r));
    } else if (logs->lost > 0) {
        unsigned long long lost = logs->lost;
        logs->lost = 0;
        warn(logs, "log lines are kept again; %llu were lost", lost);
    }
}

/* The end of a line without its beginning, or a line that is whole. */
static void end_line(struct logs *logs, struct log *log, int stream, const char *text, size_t len)
{
    struct buf *partial = &log->partial[stream - 1];

    if (partial->len == 0) {
        put_line(logs, log, stream, text, len);
        return;
    }
    buf_add(partial, text, len);
    put_line(logs, log, stream, partial->data, partial->len);
    if (partial->failed)
        buf_free(partial);
    partial->len = 0;
}

void logs_write(struct logs *logs, const char *instance, int stream, const char *text, size_t len)
{
    struct log *log = find(logs, instance);

    if (!log)
        log = add(logs, instance);
    if (!log) {
        logs->lost++;
        return;
    }
    while (len > 0) {
        struct buf *partial = &log->partial[stream - 1];
        size_t room = LOGS_LINE - partial->len;
        size_t look = len < room ? len : room;
        const char *newline = memchr(text, '\n', look);
        size_t used = newline ? (size_t)(newline - text) : look;

        if (newline || look == room)
            end_line(logs, log, stream, text, used);
        else
            buf_add(partial, text, used);
        used += newline ? 1 : 0;
        text += used;
        len -= used;
    }
    if (logs->on_write)
        logs->on_write(logs->on_write_data);
}

/* An instance that is gone has written its last: the file is closed until its successor writes. */
static void on_event(struct event_sink *sink, const struct event *event)
{
    struct logs *logs = sink->data;

    if (event->kind != EVENT_INSTANCE_EXIT)
        return;
    struct log *log = find(logs, event->instance);
    if (!log)
        return;
    for (int stream = 1; stream <= 2; stream++) {
        if (log->partial[stream - 1].len > 0)
            end_line(logs, log, stream, "", 0);
        buf_free(&log->partial[stream - 1]);
    }
    logfile_close(&log->file);
    if (logs->on_write)
        logs->on_write(logs->on_write_data);
}

struct logs *logs_new(const char *dir, struct event_bus *bus)
{
    struct logs *logs = calloc(1, sizeof(*logs));

    if (!logs)
        return NULL;
    (void)snprintf(logs->dir, sizeof(logs->dir), "%s", dir);
    logs->bus = bus;
    logs->sink = (struct event_sink){ .fn = on_event, .data = logs };
    event_subscribe(bus, &logs->sink);
    return logs;
}

void logs_on_write(struct logs *logs, void (*fn)(void *data), void *data)
{
    logs->on_write = fn;
    logs->on_write_data = data;
}

void logs_free(struct logs *logs)
{
    if (!logs)
        return;
    event_unsubscribe(logs->bus, &logs->sink);
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct log *log = logs->buckets[i], *next; log; log = next) {
            next = log->next;
            logfile_close(&log->file);
            buf_free(&log->partial[0]);
            buf_free(&log->partial[1]);
            free(log);
        }
    free(logs);
}
