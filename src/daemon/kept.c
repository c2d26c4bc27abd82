/* SPDX-License-Identifier: MIT */
#include "daemon/kept.h"

#include "daemon/applied.h"
#include "observe/journal.h"
#include "observe/logs.h"
#include "supervise/record.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { SLOT = 0 };

static const struct arena_shape state_shape = { .version = RECORD_VERSION, .slots = RECORD_SLOTS, .size = RECORD_SIZE };

static int open_one(const struct rundir *dir, const char *name, const struct arena_shape *shape, bool fresh,
                    struct arena_file *ret, struct err *ret_refused, struct err *err)
{
    char path[PATH_MAX];
    struct err refused;

    (void)rundir_file(dir, name, path);
    if (fresh && unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, -errno, "cannot remove %.300s", path);
    int r = arena_open(ret, path, shape, &refused, err);
    if (r == 0 && refused.code)
        (void)err_set(ret_refused, refused.code, "%.400s: %s", path, refused.message);
    return r;
}

int kept_open(struct kept *kept, const struct rundir *dir, bool fresh, struct err *ret_refused, struct err *err)
{
    const void *record;
    char path[PATH_MAX];

    *kept = (struct kept){ .dir = *dir, .record = { .version = KEPT_VERSION } };
    int r = open_one(dir, "events", &journal_shape, fresh, &kept->events, ret_refused, err);
    if (r == 0)
        r = open_one(dir, "lines", &logs_shape, fresh, &kept->lines, ret_refused, err);
    if (r == 0) {
        if (fresh)
            (void)unlink(rundir_file(dir, "inbox", path));
        kept->inbox = inbox_open(rundir_file(dir, "inbox", path), err);
        r = kept->inbox ? 0 : -EIO;
    }
    if (r == 0)
        r = open_one(dir, "state", &state_shape, fresh, &kept->state, ret_refused, err);
    if (r < 0) {
        kept_close(kept);
        return r;
    }
    if (arena_load(&kept->state, SLOT, &record) == sizeof(kept->record) &&
        ((const struct kept_record *)record)->version == KEPT_VERSION)
        memcpy(&kept->record, record, sizeof(kept->record));
    return 0;
}

void kept_write(struct kept *kept)
{
    /* Without room there the next supervisor knows a little less; the records of instances are what is warned about. */
    (void)arena_store(&kept->state, SLOT, &kept->record, sizeof(kept->record));
}

void kept_close(struct kept *kept)
{
    arena_close(&kept->state);
    arena_close(&kept->events);
    arena_close(&kept->lines);
    inbox_close(kept->inbox);
    kept->inbox = NULL;
}

void kept_forget(const struct rundir *dir)
{
    char path[PATH_MAX];

    (void)unlink(rundir_file(dir, "state", path));
    (void)unlink(rundir_file(dir, "events", path));
    (void)unlink(rundir_file(dir, "lines", path));
    (void)unlink(rundir_file(dir, "inbox", path));
    applied_forget(dir);
}
