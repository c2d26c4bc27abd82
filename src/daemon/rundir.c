/* SPDX-License-Identifier: MIT */
#include "daemon/rundir.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int rundir_base(char path[PATH_MAX], struct err *err)
{
    const char *asked = getenv("DARUMA_RUN_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
    int n;

    if (asked && *asked && *asked != '/')
        return err_set(err, -EINVAL, "DARUMA_RUN_DIR has to begin with a slash: \"%.200s\" is elsewhere in each folder",
                       asked);
    if (asked && *asked)
        n = snprintf(path, PATH_MAX, "%s", asked);
    else if (geteuid() == 0)
        n = snprintf(path, PATH_MAX, "/run/daruma");
    else if (xdg && *xdg == '/') /* a relative one is to be ignored: XDG Base Directory Specification */
        n = snprintf(path, PATH_MAX, "%s/daruma", xdg);
    else
        n = snprintf(path, PATH_MAX, "/tmp/daruma-%u", (unsigned)geteuid());
    if (n >= PATH_MAX)
        return err_set(err, -ENAMETOOLONG, "the folder in DARUMA_RUN_DIR has too long a name");
    return 0;
}

/* The characters that Compose allows in a project's name; also what makes it safe as a folder's name. */
static bool valid_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return len > 0 && len < RUNDIR_NAME && !name[len] && name[0] != '-' && name[0] != '_';
}

int rundir_name(struct rundir *ret, const char *project, struct err *err)
{
    char base[PATH_MAX];

    if (!valid_name(project))
        return err_set(
            err, -EINVAL,
            "\"%.80s\" cannot be a project's name: use lower-case letters, digits, '-' and '_', beginning with "
            "a letter or digit, at most %d characters",
            project, RUNDIR_NAME - 1);
    int r = rundir_base(base, err);
    if (r < 0)
        return r;
    /* What limits the folder's name is the socket in it: sun_path is short. */
    size_t need = strlen(base) + 1 + strlen(project) + sizeof("/admin.sock");
    if (need > sizeof(((struct sockaddr_un *)0)->sun_path))
        return err_set(err, -ENAMETOOLONG,
                       "%.200s/%s is too long a name for a socket's folder; set DARUMA_RUN_DIR to a shorter one", base,
                       project);
    memcpy(ret->project, project, strlen(project) + 1);
    (void)snprintf(ret->path, sizeof(ret->path), "%.2048s/%s", base, project);
    return 0;
}

const char *rundir_file(const struct rundir *dir, const char *name, char path[PATH_MAX])
{
    (void)snprintf(path, PATH_MAX, "%.3072s/%.512s", dir->path, name);
    return path;
}

static int make_folder(const char *path, struct err *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return err_errno(err, -errno,
                     "cannot create the folder %.300s; make it writable, or set DARUMA_RUN_DIR to one that is", path);
}

/* Whoever owns the folder can put a socket of his own there: it has to be ours. */
static int check_owner(const char *path, struct stat *ret, struct err *err)
{
    if (lstat(path, ret) < 0)
        return err_errno(err, -errno, "cannot look at %.300s", path);
    if (!S_ISDIR(ret->st_mode))
        return err_set(err, -ENOTDIR, "%.300s is no folder; remove it, or set DARUMA_RUN_DIR to another place", path);
    if (ret->st_uid != geteuid())
        return err_set(err, -EPERM, "%.300s belongs to user %u, not to you; set DARUMA_RUN_DIR to a folder of your own",
                       path, (unsigned)ret->st_uid);
    return 0;
}

static int make_ours(const char *path, struct err *err)
{
    struct stat st;
    int r = check_owner(path, &st, err);

    if (r == 0 && (st.st_mode & 077) && chmod(path, 0700) < 0)
        return err_errno(err, -errno, "cannot make %.300s private", path);
    return r;
}

int rundir_check(const struct rundir *dir, struct err *err)
{
    struct err why = { 0 };
    struct stat st;
    int r = geteuid() == 0 ? 0 : check_owner(dir->path, &st, &why);

    if (r != -EPERM && r != -ENOTDIR)
        return 0; /* what is not there, or not to be seen, is not talked to either */
    *err = why;
    return r;
}

int rundir_create(const struct rundir *dir, struct err *err)
{
    char path[PATH_MAX];
    struct stat st;

    int r = rundir_base(path, err);
    if (r == 0)
        r = make_folder(path, err);
    /* The base may be shared (/run/daruma, or what the user named), but in a place like /tmp a stranger may have made
       it first: then it must not be his. */
    if (r == 0 && stat(path, &st) == 0 && st.st_uid != geteuid() && st.st_uid != 0)
        r = make_ours(path, err);
    if (r == 0)
        r = make_folder(dir->path, err);
    if (r == 0)
        r = make_ours(dir->path, err);
    if (r == 0)
        r = make_folder(rundir_file(dir, "logs", path), err);
    return r;
}

static int write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return -errno;
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int rundir_replace(const struct rundir *dir, const char *name, const char *text, struct err *err)
{
    char path[PATH_MAX], fresh[PATH_MAX + 8];

    (void)snprintf(fresh, sizeof(fresh), "%s.new", rundir_file(dir, name, path));
    CLEANUP_CLOSE int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : write_all(fd, text, strlen(text));
    if (r == 0 && rename(fresh, path) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlink(fresh);
        return err_errno(err, r, "cannot write %.300s; make room there, or set DARUMA_RUN_DIR", path);
    }
    return 0;
}

int rundir_load(const struct rundir *dir, const char *name, json_t **ret)
{
    char path[PATH_MAX];
    json_error_t error;
    CLEANUP_CLOSE int fd = open(rundir_file(dir, name, path), O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    *ret = json_loadfd(fd, 0, &error);
    if (*ret)
        return 0;
    return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
}

int rundir_lock(const struct rundir *dir, int timeout_ms)
{
    char path[PATH_MAX];
    CLEANUP_CLOSE int fd = open(rundir_file(dir, "lock", path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int64_t deadline = clock_now() + timeout_ms * NS_PER_MS;

    if (fd < 0)
        return -errno;
    /* A blocking flock(2) has no time limit, and an alarm would be the whole process's business. */
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return -errno;
        if (clock_now() >= deadline)
            return -EWOULDBLOCK;
        clock_sleep(5 * NS_PER_MS);
    }
    return TAKE_FD(fd);
}

int rundir_hold(const struct rundir *dir)
{
    CLEANUP_CLOSE int fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) < 0)
        return -errno;
    return TAKE_FD(fd);
}

bool rundir_busy(const struct rundir *dir)
{
    char path[PATH_MAX];
    CLEANUP_CLOSE int fd = open(rundir_file(dir, "lock", path), O_RDONLY | O_CLOEXEC);

    /* Shared, so that two that look at the same moment do not see each other. */
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

int rundir_set_origin(const struct rundir *dir, const char *working_dir, struct err *err)
{
    return rundir_replace(dir, "origin", working_dir, err);
}

int rundir_origin(const struct rundir *dir, char working_dir[PATH_MAX])
{
    char path[PATH_MAX];
    CLEANUP_CLOSE int fd = open(rundir_file(dir, "origin", path), O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, working_dir, PATH_MAX - 1);
    if (n < 0)
        return -errno;
    working_dir[n] = '\0';
    return n > 0 ? 0 : -ENOENT;
}

void rundir_clear_logs(const struct rundir *dir)
{
    char path[PATH_MAX], file[2 * PATH_MAX];

    if (rundir_origin(dir, path) == 0)
        return;
    DIR *list = opendir(rundir_file(dir, "logs", path));
    if (!list)
        return;
    for (struct dirent *entry; (entry = readdir(list));) {
        (void)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        /* "." and ".." are folders, which unlink(2) leaves alone. */
        (void)unlink(file);
    }
    (void)closedir(list);
}

void rundir_forget_origin(const struct rundir *dir)
{
    char path[PATH_MAX];
    (void)unlink(rundir_file(dir, "origin", path));
}

/* Is `cwd` the directory `above` or one below it? */
static bool is_below(const char *cwd, const char *above)
{
    size_t len = strlen(above);
    return strncmp(cwd, above, len) == 0 && (cwd[len] == '/' || cwd[len] == '\0' || strcmp(above, "/") == 0);
}

int rundir_find(const char *cwd, struct rundir *ret)
{
    char base[PATH_MAX], origin[PATH_MAX];
    size_t best = 0;
    bool unique = false;

    if (rundir_base(base, NULL) < 0)
        return -ENOENT;
    DIR *list = opendir(base);
    if (!list)
        return -ENOENT;
    for (struct dirent *entry; (entry = readdir(list));) {
        struct rundir dir;
        if (rundir_name(&dir, entry->d_name, NULL) < 0 || rundir_origin(&dir, origin) < 0 || !is_below(cwd, origin) ||
            strlen(origin) < best || !rundir_busy(&dir))
            continue;
        unique = strlen(origin) > best;
        best = strlen(origin);
        *ret = dir;
    }
    (void)closedir(list);
    if (best == 0)
        return -ENOENT;
    return unique ? 0 : -ENOTUNIQ;
}
