/* SPDX-License-Identifier: MIT
 *
 * The functions of libarchive that we call (base/library.h).
 */
#include "base/library.h"

#include <archive.h>
#include <archive_entry.h>

static struct library libarchive = { .soname = "libarchive.so.13" };

#define THEIRS(name) LIBRARY_FUNCTION(libarchive, name)

const char *archive_version_string(void)
{
    return THEIRS(archive_version_string)();
}

struct archive *archive_write_new(void)
{
    return THEIRS(archive_write_new)();
}

int archive_write_set_format_pax_restricted(struct archive *archive)
{
    return THEIRS(archive_write_set_format_pax_restricted)(archive);
}

int archive_write_open_fd(struct archive *archive, int fd)
{
    return THEIRS(archive_write_open_fd)(archive, fd);
}

int archive_write_header(struct archive *archive, struct archive_entry *entry)
{
    return THEIRS(archive_write_header)(archive, entry);
}

la_ssize_t archive_write_data(struct archive *archive, const void *data, size_t len)
{
    return THEIRS(archive_write_data)(archive, data, len);
}

int archive_write_close(struct archive *archive)
{
    return THEIRS(archive_write_close)(archive);
}

int archive_write_free(struct archive *archive)
{
    return THEIRS(archive_write_free)(archive);
}

const char *archive_error_string(struct archive *archive)
{
    return THEIRS(archive_error_string)(archive);
}

struct archive_entry *archive_entry_new(void)
{
    return THEIRS(archive_entry_new)();
}

void archive_entry_free(struct archive_entry *entry)
{
    THEIRS(archive_entry_free)(entry);
}

void archive_entry_copy_stat(struct archive_entry *entry, const struct stat *st)
{
    THEIRS(archive_entry_copy_stat)(entry, st);
}

void archive_entry_set_filetype(struct archive_entry *entry, unsigned type)
{
    THEIRS(archive_entry_set_filetype)(entry, type);
}

void archive_entry_set_gid(struct archive_entry *entry, la_int64_t gid)
{
    THEIRS(archive_entry_set_gid)(entry, gid);
}

void archive_entry_set_uid(struct archive_entry *entry, la_int64_t uid)
{
    THEIRS(archive_entry_set_uid)(entry, uid);
}

void archive_entry_set_pathname(struct archive_entry *entry, const char *path)
{
    THEIRS(archive_entry_set_pathname)(entry, path);
}

void archive_entry_set_perm(struct archive_entry *entry, mode_t mode)
{
    THEIRS(archive_entry_set_perm)(entry, mode);
}

void archive_entry_set_size(struct archive_entry *entry, la_int64_t size)
{
    THEIRS(archive_entry_set_size)(entry, size);
}

void archive_entry_set_symlink(struct archive_entry *entry, const char *target)
{
    THEIRS(archive_entry_set_symlink)(entry, target);
}
