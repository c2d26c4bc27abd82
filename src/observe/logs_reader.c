/* SPDX-License-Identifier: MIT
 *
 * The reader: one cursor for each instance, merged by the lines' numbers. It holds no lock and needs no word from the writer: a
 * file that was renamed meanwhile stays readable through the cursor's descriptor, and its end is followed by the new one.
 */
#include "observe/logs.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct cursor {
    struct cursor *next;
    char instance[EVENT_NAME];
    FILE *file;
    ino_t inode;    /* of `file` */
    unsigned epoch; /* of the reader, when no file was found that follows this one */
    bool loaded;    /* `line` holds the next line */
    bool dry;       /* nothing more in this round */
    char *line;
    size_t cap;
    struct logs_line parsed;
};

struct logs_reader {
    char dir[PATH_MAX];
    char **names;
    int64_t tail, since_ns;
    uint64_t after;
    const struct logs *writer;
    uint64_t last;  /* of this round: the newest line when it began */
    bool scanned;   /* instances that appear after the first look are new: all of their lines count */
    unsigned epoch; /* counts changes of the folder: instances that are new, files that were renamed */
    struct timespec dir_changed;
    int64_t looked_ns; /* wall clock of the last look at the folder */
    struct cursor *first;
};

void logs_service_of(const char *instance, char service[EVENT_NAME])
{
    (void)snprintf(service, EVENT_NAME, "%s", instance);
    char *dash = strrchr(service, '-');
    if (dash && dash > service && dash[1] && strspn(dash + 1, "0123456789") == strlen(dash + 1))
        *dash = '\0';
}

static bool wanted(const struct logs_reader *reader, const char *instance)
{
    char service[EVENT_NAME];

    if (!reader->names)
        return true;
    logs_service_of(instance, service);
    for (char **name = reader->names; *name; name++)
        if (strcmp(*name, instance) == 0 || strcmp(*name, service) == 0)
            return true;
    return false;
}

static const char *path_of(const struct logs_reader *reader, const char *instance, const char *suffix,
                           char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3900s/%.64s.log%s", reader->dir, instance, suffix);
    return path;
}

static FILE *open_log(const struct logs_reader *reader, const char *instance, const char *suffix)
{
    char path[PATH_MAX];
    return fopen(path_of(reader, instance, suffix, path), "re");
}

static void use_file(struct cursor *cursor, FILE *file)
{
    struct stat st;

    if (cursor->file)
        (void)fclose(cursor->file);
    cursor->file = file;
    cursor->inode = file && fstat(fileno(file), &st) == 0 ? st.st_ino : 0;
}

/*
 * Moves back from the end of `file` until `*lines` lines are behind the position, and takes them off; 0 left means
 * that the position is where reading has to begin.
 */
static void seek_tail(FILE *file, int64_t *lines)
{
    char block[8192];

    if (fseeko(file, 0, SEEK_END) < 0 || *lines == 0)
        return;
    off_t end = ftello(file);
    bool last = true; /* the newline at the very end ends the last line, it does not begin one */
    while (end > 0 && *lines > 0) {
        size_t len = end < (off_t)sizeof(block) ? (size_t)end : sizeof(block);
        if (fseeko(file, end - (off_t)len, SEEK_SET) < 0 || fread(block, 1, len, file) != len)
            break;
        for (size_t i = len; i > 0; i--) {
            if (block[i - 1] != '\n')
                continue;
            if (!last && --*lines == 0) {
                (void)fseeko(file, end - (off_t)len + (off_t)i, SEEK_SET);
                return;
            }
            last = false;
        }
        end -= (off_t)len;
    }
    if (*lines > 0 && !last)
        --*lines;
    (void)fseeko(file, 0, SEEK_SET);
}

/* Where the first line to be read is: in the older file, or in the present one. */
static void begin(const struct logs_reader *reader, struct cursor *cursor)
{
    FILE *older = open_log(reader, cursor->instance, ".1");
    FILE *present = open_log(reader, cursor->instance, "");
    int64_t left = reader->tail;
    bool in_present = false; /* what is wanted begins in the present file */

    if (!reader->scanned && reader->tail >= 0) {
        if (present)
            seek_tail(present, &left);
        in_present = left == 0;
        if (older)
            seek_tail(older, &left);
    }
    /* The present one is found again by its name when the older one has been read; all of it is wanted then. */
    bool from_older = older && (!present || !in_present);
    use_file(cursor, from_older ? older : present);
    FILE *other = from_older ? present : older;
    if (other)
        (void)fclose(other);
}

static bool known(const struct logs_reader *reader, const char *instance)
{
    for (const struct cursor *cursor = reader->first; cursor; cursor = cursor->next)
        if (strcmp(cursor->instance, instance) == 0)
            return true;
    return false;
}

static void add_cursor(struct logs_reader *reader, const char *instance)
{
    struct cursor *cursor = calloc(1, sizeof(*cursor));

    if (!cursor)
        return;
    (void)snprintf(cursor->instance, sizeof(cursor->instance), "%.*s", EVENT_NAME - 1, instance);
    begin(reader, cursor);
    /* Out of descriptors: it is tried again when the folder changes. */
    if (!cursor->file) {
        free(cursor);
        return;
    }
    cursor->next = reader->first;
    reader->first = cursor;
}

/* Looks for instances that are new. A folder's time has the clock tick's resolution, so what changed during the last
   look is looked at again. */
static void scan(struct logs_reader *reader)
{
    struct stat st;
    const int64_t tick = 20 * NS_PER_MS;

    if (stat(reader->dir, &st) < 0)
        return;
    int64_t changed = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
    if (reader->scanned && memcmp(&st.st_mtim, &reader->dir_changed, sizeof(st.st_mtim)) == 0 &&
        reader->looked_ns - changed > tick)
        return;
    reader->dir_changed = st.st_mtim;
    reader->looked_ns = clock_wall();
    reader->epoch++;
    DIR *list = opendir(reader->dir);
    if (!list)
        return;
    for (struct dirent *entry; (entry = readdir(list));) {
        char *dot = strstr(entry->d_name, ".log");
        if (!dot || dot[4] || dot - entry->d_name >= EVENT_NAME)
            continue;
        *dot = '\0';
        if (wanted(reader, entry->d_name) && !known(reader, entry->d_name))
            add_cursor(reader, entry->d_name);
    }
    (void)closedir(list);
}

/* The cursor's file is read to its end: if it is not the present one any more, goes on to the one that follows. */
static bool next_file(const struct logs_reader *reader, struct cursor *cursor)
{
    char path[PATH_MAX];
    struct stat present, older;

    if (cursor->epoch == reader->epoch)
        return false;
    cursor->epoch = reader->epoch;
    if (stat(path_of(reader, cursor->instance, "", path), &present) < 0 || present.st_ino == cursor->inode)
        return false;
    bool skipped = stat(path_of(reader, cursor->instance, ".1", path), &older) == 0 && older.st_ino != cursor->inode;
    FILE *file = open_log(reader, cursor->instance, skipped ? ".1" : "");
    if (!file)
        return false;
    use_file(cursor, file);
    cursor->epoch--;
    return true;
}

static bool parse(struct cursor *cursor, size_t len)
{
    char *end;

    cursor->parsed.number = strtoull(cursor->line, &end, 10);
    if (*end != ' ')
        return false;
    cursor->parsed.wall_ns = strtoll(end, &end, 10);
    if (end[0] != ' ' || (end[1] != '1' && end[1] != '2') || end[2] != ' ')
        return false;
    cursor->parsed.stream = end[1] - '0';
    cursor->parsed.text = end + 3;
    cursor->parsed.len = len - (size_t)(end + 3 - cursor->line);
    return true;
}

/* Reads the cursor's next line, if there is one. */
static void load(const struct logs_reader *reader, struct cursor *cursor)
{
    while (!cursor->loaded && !cursor->dry) {
        off_t at = ftello(cursor->file);
        ssize_t n = getline(&cursor->line, &cursor->cap, cursor->file);
        if (n > 0 && cursor->line[n - 1] == '\n') {
            cursor->line[--n] = '\0';
            cursor->loaded = parse(cursor, (size_t)n) && cursor->parsed.wall_ns >= reader->since_ns &&
                             cursor->parsed.number > reader->after;
            continue;
        }
        clearerr(cursor->file);
        (void)fseeko(cursor->file, at, SEEK_SET);
        cursor->dry = !next_file(reader, cursor);
    }
}

/* The cursor with the oldest line of this round; NULL when all that was there is used up. What was written since its beginning
   has to wait: those that had nothing more may have older lines by now. */
static struct cursor *oldest_of(const struct logs_reader *reader)
{
    struct cursor *oldest = NULL;

    for (struct cursor *cursor = reader->first; cursor; cursor = cursor->next) {
        load(reader, cursor);
        if (cursor->loaded && cursor->parsed.number <= reader->last &&
            (!oldest || cursor->parsed.number < oldest->parsed.number))
            oldest = cursor;
    }
    return oldest;
}

bool logs_reader_next(struct logs_reader *reader, struct logs_line *ret)
{
    struct cursor *oldest = oldest_of(reader);

    /* Only at the end of a round everybody is asked again: a thousand idle files do not slow down one that talks. */
    if (!oldest) {
        scan(reader);
        reader->last = reader->writer ? logs_last(reader->writer) : UINT64_MAX;
        for (struct cursor *cursor = reader->first; cursor; cursor = cursor->next)
            cursor->dry = false;
        oldest = oldest_of(reader);
    }
    if (!oldest)
        return false;
    oldest->loaded = false;
    *ret = oldest->parsed;
    (void)snprintf(ret->instance, sizeof(ret->instance), "%s", oldest->instance);
    logs_service_of(oldest->instance, ret->service);
    return true;
}

static char **copy_names(const char *const *names)
{
    size_t n = 0;
    while (names[n])
        n++;
    char **copy = calloc(n + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < n; i++) {
        copy[i] = strdup(names[i]);
        if (!copy[i]) {
            while (i > 0)
                free(copy[--i]);
            free(copy);
            return NULL;
        }
    }
    return copy;
}

struct logs_reader *logs_reader_new(const char *dir, const struct logs_query *query)
{
    struct logs_reader *reader = calloc(1, sizeof(*reader));

    if (!reader)
        return NULL;
    (void)snprintf(reader->dir, sizeof(reader->dir), "%s", dir);
    reader->tail = query->tail;
    reader->since_ns = query->since_ns;
    reader->after = query->after;
    reader->writer = query->writer;
    if (query->names && query->names[0]) {
        reader->names = copy_names(query->names);
        if (!reader->names) {
            free(reader);
            return NULL;
        }
    }
    /* Where the tail begins is decided now, not when the first line is asked for. */
    scan(reader);
    reader->scanned = true;
    return reader;
}

void logs_reader_free(struct logs_reader *reader)
{
    if (!reader)
        return;
    for (struct cursor *cursor = reader->first, *next; cursor; cursor = next) {
        next = cursor->next;
        if (cursor->file)
            (void)fclose(cursor->file);
        free(cursor->line);
        free(cursor);
    }
    for (char **name = reader->names; name && *name; name++)
        free(*name);
    free(reader->names);
    free(reader);
}

bool logs_exist(const char *dir, const char *name)
{
    const struct logs_query query = { .names = (const char *const[]){ name, NULL } };
    struct logs_reader *reader = logs_reader_new(dir, &query);
    bool any = reader && reader->first;

    logs_reader_free(reader);
    return any;
}
