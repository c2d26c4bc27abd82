/* SPDX-License-Identifier: MIT
 *
 * What the instances write, kept in files: one for each instance, by name, so that it outlives every restart of the
 * instance and the supervisor itself. A line is
 *
 *     <number> <wall clock in ns> <1: standard output, 2: standard error> <text>\n
 *
 * Lines are numbered over all instances in the order in which they came, also when the clock is set back; supervisors that
 * take over from each other go on counting. Some numbers may be missing. A file that reaches LOGS_FILE bytes becomes NAME.log.1 (the one before it goes) and a new NAME.log is begun.
 *
 * struct logs is the writer (the supervisor). struct logs_reader needs only the folder: the admin API reads with it
 * while the writer writes, `daruma logs` when nothing runs any more.
 */
#ifndef DARUMA_OBSERVE_LOGS_H
#define DARUMA_OBSERVE_LOGS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/event.h"
#include "observe/inbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOGS_FILE = 1 << 20,
    LOGS_LINE = 16 << 10, /* longer lines are cut into several */
};

struct logs;

/*
 * Writes to the folder `dir`, which exists. Listens to `bus` for ends of instances (what they left without a newline
 * is a line then), and warns there when lines are lost. NULL when out of memory.
 *
 * With `arena` and `inbox` (both outlive it, or are NULL) each line is written once, whenever the writer dies: after each
 * delivery a record says how long the file is and which delivery that was; the next writer cuts off what came behind, and
 * takes what is in the inbox unless the record says that it is in the file already.
 */
struct logs *logs_new(const char *dir, struct event_bus *bus, struct arena_file *arena, struct inbox *inbox);
void logs_free(struct logs *logs);

/* The shape of the arena. */
extern const struct arena_shape logs_shape;

/* Where the next output of that instance is to be read to, and how much fits; then logs_write(). Needs an inbox. */
char *logs_room(struct logs *logs, const char *instance, int stream, size_t *ret_len);

/* An instance wrote. Never fails and never waits: what the disk does not take is lost, counted and told once. */
void logs_write(struct logs *logs, const char *instance, int stream, const char *text, size_t len);

/* The number of the newest line; 0: there was none yet. */
uint64_t logs_last(const struct logs *logs);

/* Called after lines were written; may be NULL. */
void logs_on_write(struct logs *logs, void (*fn)(void *data), void *data);

/* One line as it was read; the text belongs to the reader and is valid until its next call. */
struct logs_line {
    uint64_t number;
    int64_t wall_ns;
    int stream;
    char service[EVENT_NAME], instance[EVENT_NAME];
    const char *text;
    size_t len;
};

struct logs_query {
    const char *const *names; /* services or instances, NULL-terminated; NULL: all */
    int64_t tail;             /* lines of each instance; -1: all */
    int64_t since_ns;         /* wall clock; 0: no limit */
    uint64_t after;           /* only lines with a higher number */
    /* Who writes, in this very thread: then lines come strictly by their numbers, so that all after the last one that was read
       are what is missing. NULL: there is nobody, or the order of what is written meanwhile does not matter. */
    const struct logs *writer;
};

struct logs_reader;

/* Copies the query. NULL when out of memory. A folder that is not there yet is an empty one. */
struct logs_reader *logs_reader_new(const char *dir, const struct logs_query *query);
void logs_reader_free(struct logs_reader *reader);

/*
 * The next line, oldest first over all instances. False when there is none at present; calling again later gives what
 * was written since, also by instances that are new, and over a file's change.
 */
bool logs_reader_next(struct logs_reader *reader, struct logs_line *ret);

/* Is there a file of that service or instance? */
bool logs_exist(const char *dir, const char *name);

/* "app-12" belongs to service "app"; a name without a number is its own service. */
void logs_service_of(const char *instance, char service[EVENT_NAME]);

#endif
