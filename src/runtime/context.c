/* SPDX-License-Identifier: MIT */
#include "runtime/context.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "runtime/ignore.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct packing {
    const struct context_source *source;
    struct ignore ignore;
    struct archive *archive; /* NULL: only looked at */
    uint64_t digest;
};

static int read_text(const char *path, struct buf *text)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char block[4096];
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    while ((n = read(fd, block, sizeof(block))) > 0)
        buf_add(text, block, (size_t)n);
    return n < 0 ? -errno : text->failed ? -ENOMEM : 0;
}

/* The Dockerfile's own list, else the folder's. */
static int read_ignore(struct packing *packing, struct err *err)
{
    const char *names[] = { packing->source->dockerfile, "" };
    CLEANUP_BUF struct buf text = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(names) && text.len == 0; i++) {
        CLEANUP_FREE char *path = NULL;
        if (asprintf(&path, "%s/%s.dockerignore", packing->source->folder, names[i]) < 0)
            path = NULL;
        int r = path ? read_text(path, &text) : -ENOMEM;
        if (r < 0)
            return err_errno(err, r, "cannot read %s", path ? path : ".dockerignore");
    }
    int r = ignore_parse(text.data ? text.data : "", &packing->ignore);
    return r < 0 ? err_errno(err, r, "cannot read .dockerignore") : 0;
}

static int pack_data(struct packing *packing, const char *path, struct err *err)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    char block[65536];
    ssize_t n;

    if (fd < 0)
        return err_errno(err, -errno, "cannot read %s", path);
    while ((n = read(fd, block, sizeof(block))) > 0)
        if (archive_write_data(packing->archive, block, (size_t)n) < 0)
            return err_set(err, -EIO, "cannot pack %s: %s", path, archive_error_string(packing->archive));
    return n < 0 ? err_errno(err, -errno, "cannot read %s", path) : 0;
}

/* Files belong to root in an image, as with Docker's own client. */
static int pack_entry(struct packing *packing, const FTSENT *file, const char *name, struct err *err)
{
    struct archive_entry *entry = archive_entry_new();
    char target[PATH_MAX];
    int r = 0;

    if (!entry)
        return err_errno(err, -ENOMEM, "cannot pack %s", file->fts_path);
    archive_entry_copy_stat(entry, file->fts_statp);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    if (S_ISLNK(file->fts_statp->st_mode)) {
        ssize_t n = readlink(file->fts_accpath, target, sizeof(target) - 1);
        target[n < 0 ? 0 : n] = '\0';
        archive_entry_set_symlink(entry, target);
    }
    if (archive_write_header(packing->archive, entry) != ARCHIVE_OK)
        r = err_set(err, -EIO, "cannot pack %s: %s", file->fts_path, archive_error_string(packing->archive));
    else if (S_ISREG(file->fts_statp->st_mode))
        r = pack_data(packing, file->fts_accpath, err);
    archive_entry_free(entry);
    return r;
}

/* A folder's own times change with what is in it, and also with what is not packed. */
static uint64_t add_facts(uint64_t digest, const char *name, const struct stat *info)
{
    bool file = !S_ISDIR(info->st_mode);
    const uint64_t facts[] = { info->st_mode, file ? (uint64_t)info->st_size : 0,
                               file ? (uint64_t)info->st_mtim.tv_sec : 0, file ? (uint64_t)info->st_mtim.tv_nsec : 0 };

    digest = hash_bytes(digest, name, strlen(name) + 1);
    return hash_bytes(digest, (const char *)facts, sizeof(facts));
}

/* One order each time, whatever the folder's. */
static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int pack_tree(struct packing *packing, struct err *err)
{
    char *roots[] = { (char *)packing->source->folder, NULL };
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    size_t prefix = strlen(packing->source->folder) + 1;
    FTSENT *file;
    int r = 0;

    if (!tree)
        return err_errno(err, -errno, "cannot read %s", packing->source->folder);
    while (r == 0 && (file = fts_read(tree))) {
        if (file->fts_info == FTS_DNR || file->fts_info == FTS_ERR || file->fts_info == FTS_NS)
            r = err_errno(err, -file->fts_errno, "cannot read %s", file->fts_path);
        mode_t type = r == 0 ? file->fts_statp->st_mode & S_IFMT : 0;
        bool usable = type == S_IFREG || type == S_IFDIR || type == S_IFLNK;
        if (r < 0 || file->fts_info == FTS_DP || file->fts_level == 0 || !usable)
            continue;
        const char *name = file->fts_path + prefix;
        bool needed = strcmp(name, packing->source->dockerfile) == 0 || strcmp(name, ".dockerignore") == 0;
        if (!needed && ignore_matches(&packing->ignore, name)) {
            bool holds_needed = strncmp(packing->source->dockerfile, name, strlen(name)) == 0;
            if (type == S_IFDIR && !packing->ignore.takes_back && !holds_needed)
                (void)fts_set(tree, file, FTS_SKIP);
            continue;
        }
        if (packing->archive)
            r = pack_entry(packing, file, name, err);
        else
            packing->digest = add_facts(packing->digest, name, file->fts_statp);
    }
    (void)fts_close(tree);
    return r;
}

/* A Dockerfile that is not in the folder. */
static int pack_dockerfile(struct packing *packing, struct err *err)
{
    const struct context_source *source = packing->source;
    CLEANUP_BUF struct buf text = { 0 };
    struct archive_entry *entry;
    int r = 0;

    if (source->outside && access(source->outside, R_OK) < 0)
        return err_errno(err, -errno, "cannot read %s", source->outside);
    if (source->outside)
        r = read_text(source->outside, &text);
    else
        buf_puts(&text, source->text);
    if (r < 0 || text.failed || !(entry = archive_entry_new()))
        return err_errno(err, r < 0 ? r : -ENOMEM, "cannot pack the Dockerfile");
    archive_entry_set_pathname(entry, source->dockerfile);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, (la_int64_t)text.len);
    if (archive_write_header(packing->archive, entry) != ARCHIVE_OK ||
        archive_write_data(packing->archive, text.data ? text.data : "", text.len) < 0)
        r = err_set(err, -EIO, "cannot pack the Dockerfile: %s", archive_error_string(packing->archive));
    archive_entry_free(entry);
    return r;
}

int context_pack(const struct context_source *source, int fd, struct err *err)
{
    const char *folder = source->folder;
    struct packing packing = { .source = source, .archive = archive_write_new() };
    int r = packing.archive ? read_ignore(&packing, err) : err_errno(err, -ENOMEM, "cannot pack %s", folder);

    if (r == 0 && (archive_write_set_format_pax_restricted(packing.archive) != ARCHIVE_OK ||
                   archive_write_open_fd(packing.archive, fd) != ARCHIVE_OK))
        r = err_set(err, -EIO, "cannot pack %s: %s", folder, archive_error_string(packing.archive));
    if (r == 0)
        r = pack_tree(&packing, err);
    if (r == 0 && (source->outside || source->text))
        r = pack_dockerfile(&packing, err);
    if (r == 0 && archive_write_close(packing.archive) != ARCHIVE_OK)
        r = err_set(err, -EIO, "cannot pack %s: %s", folder, archive_error_string(packing.archive));
    if (packing.archive)
        (void)archive_write_free(packing.archive);
    ignore_free(&packing.ignore);
    return r;
}

int context_digest(const struct context_source *source, uint64_t *ret, struct err *err)
{
    struct packing packing = { .source = source, .digest = HASH_SEED };
    struct stat info;

    int r = read_ignore(&packing, err);
    if (r == 0)
        r = pack_tree(&packing, err);
    if (r == 0 && source->outside && stat(source->outside, &info) == 0)
        packing.digest = add_facts(packing.digest, source->outside, &info);
    ignore_free(&packing.ignore);
    if (r == 0)
        *ret = packing.digest ? packing.digest : 1;
    return r;
}

int context_open(const struct context_source *source, struct context *ret, struct err *err)
{
    const char *folder = source->folder;
    int fds[2];

    if (access(folder, R_OK | X_OK) < 0)
        return err_errno(err, -errno, "cannot read the folder %s", folder);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, -errno, "cannot open a pipe");
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        struct err why = { 0 };
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        (void)close(fds[0]);
        int r = context_pack(source, fds[1], &why);
        if (r < 0)
            (void)dprintf(STDERR_FILENO, "%s\n", why.message);
        _exit(r < 0);
    }
    int error = -errno;
    (void)close(fds[1]);
    if (pid < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
        (void)close(fds[0]);
        return err_errno(err, error, "cannot pack %s", folder);
    }
    *ret = (struct context){ .fd = fds[0], .pid = pid };
    return 0;
}

int context_close(struct context *context, struct err *err)
{
    int status = 0;

    if (context->fd >= 0)
        (void)close(context->fd);
    context->fd = -1;
    if (context->pid <= 0)
        return 0;
    /* It has ended, or is of no use any more: it does not wait for anything but the pipe. */
    if (waitpid(context->pid, &status, WNOHANG) == 0) {
        (void)kill(context->pid, SIGKILL);
        (void)waitpid(context->pid, &status, 0);
    }
    context->pid = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) ? err_set(err, -EIO,
                                                              "not all files could be packed; daruma.log says "
                                                              "which")
                                                    : 0;
}
