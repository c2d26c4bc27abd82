/* SPDX-License-Identifier: MIT
 *
 * Secrets and configs that are no files of this machine: put into the container before it starts.
 */
#include "runtime/docker.h"

#include "base/cleanup.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int pack_file(struct archive *archive, const char *path, const json_t *file)
{
    struct archive_entry *entry = archive_entry_new();
    const char *content = docker_text(file, "content");
    size_t len = strlen(content);

    if (!entry)
        return -ENOMEM;
    archive_entry_set_pathname(entry, path + strspn(path, "/"));
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, (mode_t)json_integer_value(json_object_get(file, "mode")));
    archive_entry_set_uid(entry, json_integer_value(json_object_get(file, "uid")));
    archive_entry_set_gid(entry, json_integer_value(json_object_get(file, "gid")));
    archive_entry_set_size(entry, (la_int64_t)len);
    bool ok = archive_write_header(archive, entry) == ARCHIVE_OK && archive_write_data(archive, content, len) >= 0;
    archive_entry_free(entry);
    return ok ? 0 : -EIO;
}

int docker_files_open(const json_t *files)
{
    CLEANUP_CLOSE int fd = memfd_create("files", MFD_CLOEXEC);
    struct archive *archive = archive_write_new();
    const char *path;
    json_t *file;
    int r = fd < 0 ? -errno : archive ? 0 : -ENOMEM;

    if (r == 0 && (archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK ||
                   archive_write_open_fd(archive, fd) != ARCHIVE_OK))
        r = -EIO;
    json_object_foreach((json_t *)files, path, file)
    {
        if (r == 0)
            r = pack_file(archive, path, file);
    }
    if (r == 0 && archive_write_close(archive) != ARCHIVE_OK)
        r = -EIO;
    if (archive)
        (void)archive_write_free(archive);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = -errno;
    return r < 0 ? r : TAKE_FD(fd);
}
