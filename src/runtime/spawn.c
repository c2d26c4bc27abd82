/* SPDX-License-Identifier: MIT
 *
 * The child's side runs between fork(2) and execve(2): only async-signal-safe calls, no allocation. All signals are
 * blocked meanwhile, so that no handler of the supervisor runs in the child.
 */
#include "runtime/spawn.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
    FIRST_FREE = 3,  /* behind stdin, stdout and stderr */
    OUT_OF_WAY = 16, /* beyond every number that the child gives out */
};

static _Noreturn void give_up(int report_fd, const char *action)
{
    struct spawn_failure failure = { .error = errno };
    strncpy(failure.action, action, sizeof(failure.action) - 1);
    (void)!write(report_fd, &failure, sizeof(failure)); /* smaller than PIPE_BUF: whole or not at all */
    _exit(127);
}

/* A descriptor that none of the dup2() below overwrites. */
static int out_of_way(int fd)
{
    return fd < 0 || fd >= OUT_OF_WAY ? fd : fcntl(fd, F_DUPFD_CLOEXEC, OUT_OF_WAY);
}

/* Puts the descriptors where the program expects them and closes every other one. Returns the report's new number. */
static int place_descriptors(const struct spawn *spawn, int report_fd)
{
    int in = out_of_way(spawn->in_fd), out = out_of_way(spawn->out_fd), error = out_of_way(spawn->err_fd);
    int listen = out_of_way(spawn->listen_fd), report = out_of_way(report_fd);
    int next = FIRST_FREE;

    if (report < 0)
        give_up(report_fd, "dup");
    if (in < 0 || out < 0 || error < 0 || (spawn->listen_fd >= 0 && listen < 0))
        give_up(report, "dup");
    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(error, STDERR_FILENO) < 0)
        give_up(report, "dup2");
    if (listen >= 0 && dup2(listen, next++) < 0)
        give_up(report, "dup2");
    if (dup3(report, next, O_CLOEXEC) < 0)
        give_up(report, "dup3");
    if (close_range((unsigned)next + 1, ~0u, 0) < 0)
        give_up(next, "close_range");
    return next;
}

static void set_limits(const struct spawn *spawn, int report_fd)
{
    if (setrlimit(RLIMIT_NOFILE, spawn->nofile) < 0)
        give_up(report_fd, "setrlimit");
    for (size_t i = 0; i < spawn->launch->limits_len; i++)
        if (setrlimit((__rlimit_resource_t)spawn->launch->limits[i].resource, &spawn->launch->limits[i].limit) < 0)
            give_up(report_fd, "ulimit");
}

static void set_identity(const struct identity *identity, int report_fd)
{
    if (!identity->change)
        return;
    if (setgroups((size_t)identity->groups_len, identity->groups) < 0)
        give_up(report_fd, "setgroups");
    if (setresgid(identity->gid, identity->gid, identity->gid) < 0)
        give_up(report_fd, "setgid");
    if (setresuid(identity->uid, identity->uid, identity->uid) < 0)
        give_up(report_fd, "setuid");
}

/* Only "ignored" survives execve(2), but a handler must not run before it either. */
static void reset_signals(int report_fd)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;
    for (int signo = 1; signo < NSIG; signo++)
        (void)sigaction(signo, &action, NULL); /* SIGKILL, SIGSTOP and the C library's own refuse */
    (void)sigemptyset(&none);
    if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
        give_up(report_fd, "sigprocmask");
}

static void write_pid(char *text, pid_t pid)
{
    char digits[16];
    size_t n = 0;
    for (; pid > 0; pid /= 10)
        digits[n++] = (char)('0' + pid % 10);
    while (n > 0)
        *text++ = digits[--n];
    *text = '\0';
}

/* Who started it is dead. That is no fault of the program: it ends as one that is killed from outside. */
static _Noreturn void go_with_parent(void)
{
    (void)kill(getpid(), SIGKILL);
    _exit(127);
}

/* The program must not run before somebody knows of it for certain. The other end is closed when nobody does. */
static void wait_for_go(int report_fd)
{
    char go;
    if (read(report_fd, &go, 1) != 1)
        go_with_parent();
}

static _Noreturn void become(const struct spawn *spawn, pid_t parent, int report_fd)
{
    const struct launch *launch = spawn->launch;

    if (setsid() < 0)
        give_up(report_fd, "setsid");
    report_fd = place_descriptors(spawn, report_fd);
    (void)umask(022);
    set_limits(spawn, report_fd);
    set_identity(&launch->identity, report_fd);
    /* After the change of identity, which clears it. */
    if (spawn->ends_with_us && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        give_up(report_fd, "prctl");
    if (getppid() != parent)
        go_with_parent();
    if (chdir(launch->directory) < 0)
        give_up(report_fd, "chdir");
    if (launch->listen_pid && spawn->listen_fd >= 0)
        write_pid(launch->listen_pid, getpid());
    wait_for_go(report_fd);
    reset_signals(report_fd);
    (void)execve(spawn->program, spawn->argv, launch->environment.list);
    give_up(report_fd, "exec");
}

/* The child exists, but cannot be watched: it must not stay. */
static int abandon(pid_t pid, int error, struct err *err)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0); /* it dies before it gets far: no wait worth the name */
    return err_errno(err, error, "cannot watch a new process");
}

int spawn_start(const struct spawn *spawn, struct spawned *ret, struct err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno(err, -errno, "cannot start a process");
    CLEANUP_CLOSE int ours = pair[0];
    CLEANUP_CLOSE int theirs = pair[1];
    if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
        return err_errno(err, -errno, "cannot start a process");

    sigset_t all, before;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(spawn, parent, theirs);
    int error = -errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return err_fork(err, error, "a process");

    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return abandon(pid, -errno, err);
    *ret = (struct spawned){ .pid = pid, .pidfd = pidfd, .exec_fd = TAKE_FD(ours) };
    return 0;
}

void spawn_go(const struct spawned *child)
{
    /* A child that is dead already is heard of by its pidfd. */
    (void)send(child->exec_fd, "", 1, MSG_NOSIGNAL);
}

void spawn_kill(const struct spawned *child, int signo)
{
    /* The group first: it exists once the child has called setsid(). The descriptor reaches it before that. */
    (void)kill(-child->pid, signo);
    (void)pidfd_send_signal(child->pidfd, signo, NULL, 0);
}
