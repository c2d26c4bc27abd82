/* SPDX-License-Identifier: MIT
 *
 * The writer: cuts what the instances write into lines and puts them into files. The reader is logs_reader.c.
 */
#include "observe/logs.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "observe/logfile.h"

#include <assert.h>
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
    int slot;              /* of its record; -1: none */
    uint64_t delivery;     /* the inbox's last one that is in the file */
};

/* The record of a log, followed by the two partial lines. */
struct log_record {
    char instance[EVENT_NAME];
    uint64_t inode; /* of the file, up to whose `size` all is committed; 0: there is none yet */
    uint64_t size;
    uint64_t delivery;
    uint64_t number; /* of the newest line when this was committed, in whichever file */
    uint32_t partial[2];
};
static_assert(sizeof(struct log_record) == EVENT_NAME + 40, "layout");

/* More instances than that have logs that are not protected. Almost all of it is never touched. */
enum { LOG_SLOTS = 4096, LOG_RECORD = sizeof(struct log_record) + 2 * LOGS_LINE };
const struct arena_shape logs_shape = { .version = 2, .slots = LOG_SLOTS, .size = LOG_RECORD };

enum { BUCKETS = 256 };

/* Lines of one delivery are written together: a write(2) for each would be what a chatty service costs all others. */
enum { BATCH = 64 << 10, LINE_HEAD = 48, NUMBER_MAX = 21 };

/* A disk that is almost full takes one line and not the next: only when no line was lost for so long is it over. */
#define LOST_NS NS_PER_S

static_assert(BATCH >= LINE_HEAD + LOGS_LINE + 1, "a line fits");

struct logs {
    char dir[PATH_MAX];
    struct event_bus *bus;
    struct event_sink sink;
    struct log *buckets[BUCKETS];
    struct arena_file *arena;
    struct inbox *inbox;
    uint32_t next_slot;
    char record[LOG_RECORD]; /* scratch */
    char batch[BATCH];       /* lines of the log that is being written, and how many */
    size_t batch_len;
    unsigned batch_lines;
    uint64_t number; /* of the newest line */
    /* Behind the number of the last line, and of the delivery's others in that microsecond: the API tells no more of time. */
    char head[LINE_HEAD - NUMBER_MAX];
    int head_len, head_stream;
    int64_t head_us;
    uint64_t lost;   /* lines, that it was not told yet to be over */
    int64_t lost_ns; /* when the last of them was */
    void (*on_write)(void *data);
    void *on_write_data;
};

static struct log **bucket_of(struct logs *logs, const char *instance)
{
    return &logs->buckets[hash_text(instance) % BUCKETS];
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
    log->slot = logs->arena && logs->next_slot < LOG_SLOTS ? (int)logs->next_slot++ : -1;
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

/* Passes on what put_line() has gathered for that log. */
static void write_batch(struct logs *logs, struct log *log)
{
    unsigned lines = logs->batch_lines;

    if (lines == 0)
        return;
    int r = logfile_write(&log->file, logs->batch, logs->batch_len);
    logs->batch_len = logs->batch_lines = 0;
    if (r < 0) {
        bool first = logs->lost == 0;
        logs->lost += lines;
        logs->lost_ns = clock_now();
        if (first)
            warn(logs, "log lines are lost: %s; make room where the run directory is", strerror(-r));
    } else if (logs->lost > 0 && clock_now() - logs->lost_ns >= LOST_NS) {
        unsigned long long lost = logs->lost;
        logs->lost = 0;
        warn(logs, "log lines are kept again; %llu were lost", lost);
    }
}

/* What a line begins with behind its number. */
static void make_head(struct logs *logs, int stream)
{
    int64_t now = clock_wall();

    if (stream == logs->head_stream && now / NS_PER_US == logs->head_us)
        return;
    logs->head_len = snprintf(logs->head, sizeof(logs->head), "%lld %d ", (long long)now, stream);
    logs->head_stream = stream;
    logs->head_us = now / NS_PER_US;
}

static char *put_number(char *at, uint64_t number)
{
    char digits[NUMBER_MAX], *first = digits + sizeof(digits);

    *--first = ' ';
    do {
        *--first = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return mempcpy(at, first, (size_t)(digits + sizeof(digits) - first));
}

static void put_line(struct logs *logs, struct log *log, int stream, const char *text, size_t len)
{
    if (logs->batch_len + LINE_HEAD + len + 1 > BATCH)
        write_batch(logs, log);
    make_head(logs, stream);
    char *at = put_number(logs->batch + logs->batch_len, ++logs->number);
    at = mempcpy(at, logs->head, (size_t)logs->head_len);
    at = mempcpy(at, text, len);
    *at++ = '\n';
    logs->batch_len = (size_t)(at - logs->batch);
    logs->batch_lines++;
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

/* From here on it is not written again. What cannot be kept is only not protected. */
static void commit(struct logs *logs, const struct log *log)
{
    struct log_record record = {
        .inode = log->file.inode, .size = (uint64_t)log->file.size, .delivery = log->delivery, .number = logs->number
    };
    size_t len = sizeof(record);

    if (log->slot < 0)
        return;
    memcpy(record.instance, log->instance, sizeof(record.instance));
    for (int i = 0; i < 2; i++) {
        record.partial[i] = (uint32_t)log->partial[i].len;
        if (record.partial[i] > 0)
            memcpy(logs->record + len, log->partial[i].data, record.partial[i]);
        len += record.partial[i];
    }
    memcpy(logs->record, &record, sizeof(record));
    (void)arena_store(logs->arena, (uint32_t)log->slot, logs->record, (uint32_t)len);
}

char *logs_room(struct logs *logs, const char *instance, int stream, size_t *ret_len)
{
    inbox_begin(logs->inbox, instance, stream);
    *ret_len = sizeof(logs->inbox->data);
    return logs->inbox->data;
}

void logs_write(struct logs *logs, const char *instance, int stream, const char *text, size_t len)
{
    bool from_inbox = logs->inbox && text == logs->inbox->data;
    size_t whole = len;
    struct log *log = find(logs, instance);

    if (!log) {
        log = add(logs, instance);
        if (log && logs->arena && logfile_open(&log->file) == 0)
            commit(logs, log); /* so long as it is: what comes behind that is not committed */
    }
    if (!log) {
        logs->lost++;
        return;
    }
    if (from_inbox)
        log->delivery = logs->inbox->number;
    logs->head_us = 0; /* what another instance has written before was before */
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
    write_batch(logs, log);
    commit(logs, log);
    if (from_inbox)
        inbox_end(logs->inbox, whole);
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
    write_batch(logs, log);
    commit(logs, log);
    logfile_close(&log->file);
    if (logs->on_write)
        logs->on_write(logs->on_write_data);
}

/* A log as its record says; what is behind it in the file was not committed. */
static void restore(struct logs *logs, uint32_t slot)
{
    const void *bytes;
    struct log_record record;
    uint32_t len = arena_load(logs->arena, slot, &bytes);

    if (len < sizeof(record))
        return;
    memcpy(&record, bytes, sizeof(record));
    if (!memchr(record.instance, 0, sizeof(record.instance)) || record.partial[0] > LOGS_LINE ||
        record.partial[1] > LOGS_LINE || len != sizeof(record) + record.partial[0] + record.partial[1])
        return;
    logs->next_slot = slot;
    struct log *log = add(logs, record.instance);
    if (!log)
        return;
    const char *partial = (const char *)bytes + sizeof(record);
    buf_add(&log->partial[0], partial, record.partial[0]);
    buf_add(&log->partial[1], partial + record.partial[0], record.partial[1]);
    log->delivery = record.delivery;
    logs->number = record.number > logs->number ? record.number : logs->number;
    logfile_cut(&log->file, record.inode, (int64_t)record.size);
}

/* Nobody has written down how far lines were numbered: on behind those that are there. */
static void count_on(struct logs *logs)
{
    const struct logs_query query = { .tail = 1 };
    struct logs_reader *reader = logs_reader_new(logs->dir, &query);
    struct logs_line line;

    while (reader && logs_reader_next(reader, &line))
        logs->number = line.number > logs->number ? line.number : logs->number;
    logs_reader_free(reader);
}

/* Goes on where the writer before us died. */
static void restore_all(struct logs *logs)
{
    uint32_t end = 0;

    for (uint32_t slot = 0; logs->arena && slot < LOG_SLOTS; slot++) {
        restore(logs, slot);
        end = logs->next_slot > slot ? slot + 1 : end;
    }
    logs->next_slot = end;
    if (end == 0)
        count_on(logs);
    size_t len = logs->inbox ? inbox_length(logs->inbox) : 0;
    if (len == 0)
        return;
    const struct log *log = find(logs, logs->inbox->instance);
    bool done = (log && log->delivery == logs->inbox->number) || logs->inbox->stream < 1 || logs->inbox->stream > 2;
    if (done)
        inbox_end(logs->inbox, len);
    else
        logs_write(logs, logs->inbox->instance, (int)logs->inbox->stream, logs->inbox->data, len);
}

struct logs *logs_new(const char *dir, struct event_bus *bus, struct arena_file *arena, struct inbox *inbox)
{
    struct logs *logs = calloc(1, sizeof(*logs));

    if (!logs)
        return NULL;
    (void)snprintf(logs->dir, sizeof(logs->dir), "%s", dir);
    logs->bus = bus;
    logs->arena = arena;
    logs->inbox = inbox;
    logs->sink = (struct event_sink){ .fn = on_event, .data = logs };
    event_subscribe(bus, &logs->sink);
    restore_all(logs);
    return logs;
}

uint64_t logs_last(const struct logs *logs)
{
    return logs->number;
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
