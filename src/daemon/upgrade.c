/* SPDX-License-Identifier: MIT */
#include "daemon/upgrade.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/version.h"
#include "daemon/daemon_parts.h"
#include "daemon/layouts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CHECK_NS (10 * NS_PER_S) /* for the self-check */
#define STEP_NS  (10 * NS_PER_S) /* for one worker */
#define LOOK_NS  (20 * NS_PER_MS)
enum {
    ATTEMPTS = 5,  /* that may die on the way, of each */
    OUTPUT = 4096, /* of the self-check */
};

static void step(struct daemon *daemon);

static bool under_way(const struct upgrade_memory *memory)
{
    return memory->state >= UPGRADE_CHECKING && memory->state <= UPGRADE_BACK;
}

static void look_again(struct daemon *daemon)
{
    loop_timer_set(daemon->loop, &daemon->upgrade.timer, clock_now() + LOOK_NS);
}

/* ---- ends ---- */

static void end(struct daemon *daemon, enum upgrade_state state)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;
    char text[EVENT_TEXT], span[CLOCK_TEXT];

    if (memory->program >= 0)
        (void)close(memory->program);
    memory->program = -1;
    memory->took_ns = clock_now() - memory->begun_ns;
    memory->state = state;
    loop_timer_cancel(daemon->loop, &daemon->upgrade.timer);
    if (state == UPGRADE_DONE)
        (void)snprintf(text, sizeof(text),
                       "daruma %s goes on as %s (%.80s) after %s: the supervisor and %u gateway workers", memory->from,
                       memory->to, memory->path, clock_format_span(memory->took_ns, span), memory->done);
    else
        (void)snprintf(text, sizeof(text), "daruma goes on as it was, not as %.60s: %.140s", memory->path, memory->why);
    daemon_emit(daemon, state == UPGRADE_DONE ? EVENT_PROJECT : EVENT_WARNING, "", "", text);
}

static void refuse(struct daemon *daemon, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void refuse(struct daemon *daemon, const char *format, ...)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(memory->why, sizeof(memory->why), format, args);
    va_end(args);
    end(daemon, UPGRADE_REFUSED);
}

/* Those that have gone over are to go back to the program that this supervisor runs, which is the one before. */
static void go_back(struct daemon *daemon, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void go_back(struct daemon *daemon, const char *format, ...)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(memory->why, sizeof(memory->why), format, args);
    va_end(args);
    if (memory->program >= 0)
        (void)close(memory->program);
    memory->program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    memory->worker = memory->asked = memory->attempts = 0;
    memory->state = UPGRADE_BACK;
    step(daemon);
}

/* ---- workers of programs before ---- */

/* Those that have ended are forgotten. */
static void on_drain(struct loop_timer *timer)
{
    struct daemon *daemon = timer->data;
    struct upgrade_memory *memory = daemon->upgrade.memory;

    for (uint32_t i = memory->told_to_drain; i-- > 0;) {
        struct pollfd channel = { .fd = memory->draining[i] };
        if (poll(&channel, 1, 0) == 0)
            continue;
        memory->draining[i] = memory->draining[--memory->drainings];
        memory->told_to_drain = memory->drainings;
        (void)close(channel.fd);
    }
    if (memory->drainings > 0)
        loop_timer_set(daemon->loop, timer, clock_now() + NS_PER_S);
}

/* Ours are there: those of the program before accept nothing any more. */
static void drain_others(struct daemon *daemon)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;

    for (; memory->told_to_drain < memory->drainings; memory->told_to_drain++)
        (void)workers_drain_channel(memory->draining[memory->told_to_drain]);
    on_drain(&daemon->upgrade.drain);
}

size_t upgrade_fds(const struct upgrade_memory *memory, int fds[UPGRADE_FDS])
{
    size_t n = 0;

    if (memory->serial > 0)
        fds[n++] = memory->program;
    for (uint32_t i = 0; i < memory->drainings && i < UPGRADE_DRAINING; i++)
        fds[n++] = memory->draining[i];
    return n;
}

/* ---- going over ---- */

/* False: its turn is over, and it could not. */
static bool tell_worker(struct daemon *daemon)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;

    if (!memory->attempts && !memory->asked)
        memory->step_ns = clock_now();
    if (!memory->asked && workers_upgrade(daemon->workers, memory->worker, memory->program) == 0)
        memory->asked = 1;
    return clock_now() - memory->step_ns < STEP_NS;
}

/* One worker after the other. True when there is none left. */
static bool workers_are_over(struct daemon *daemon, uint32_t count)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;
    bool back = memory->state == UPGRADE_BACK;

    while (memory->worker < count) {
        bool in_time = tell_worker(daemon);
        enum workers_upgraded now =
            memory->asked ? workers_upgraded(daemon->workers, memory->worker) : WORKERS_UPGRADE_PENDING;
        if (now == WORKERS_UPGRADE_LOST && ++memory->attempts < ATTEMPTS)
            memory->asked = 0;
        else if (now == WORKERS_UPGRADE_PENDING && in_time)
            return false;
        else if (now != WORKERS_UPGRADE_DONE && !back) {
            go_back(daemon, "gateway worker %u could not go on as it (%s)", memory->worker,
                    now == WORKERS_UPGRADE_ENDED ? "it and its guard ended"
                    : in_time                    ? "the program ended or stood still"
                                                 : "it did not answer");
            return false;
        } else {
            memory->done += back ? 0 : 1;
            memory->worker++;
            memory->asked = memory->attempts = 0;
        }
    }
    return true;
}

/* Ours is the last turn. In the life that was begun by the other program it is the end. */
static void go_over(struct daemon *daemon)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;
    const struct guard_upgrades *now = &daemon->memory.guard->upgrades;

    if (memory->asked && now->done != memory->seen.done && now->undone == memory->seen.undone) {
        end(daemon, UPGRADE_DONE);
        drain_others(daemon);
        return;
    }
    bool failed = memory->asked && (now->refused != memory->seen.refused || now->undone != memory->seen.undone);
    if (!failed && memory->attempts++ < ATTEMPTS) {
        memory->seen.done = now->done;
        memory->seen.refused = now->refused;
        memory->seen.undone = now->undone;
        memory->asked = 1;
        int r = guard_upgrade(daemon->guard, fcntl(memory->program, F_DUPFD_CLOEXEC, 3));
        /* Still here. */
        daemon_watch_guard(daemon);
        memory->attempts -= r == -EINTR;
        memory->asked = r != -EINTR;
        look_again(daemon);
        return;
    }
    memory->drainings = memory->told_to_drain; /* the others stay ours */
    go_back(daemon, "the supervisor could not go on as it (the program ended or stood still)");
}

static void step(struct daemon *daemon)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;

    if (daemon->stopping && under_way(memory)) {
        (void)snprintf(memory->why, sizeof(memory->why), "the project goes down");
        end(daemon, UPGRADE_FAILED);
    }
    switch ((enum upgrade_state)memory->state) {
    case UPGRADE_WORKERS:
        look_again(daemon);
        if (!workers_are_over(daemon, daemon->memory.workers))
            return;
        memory->asked = memory->attempts = 0;
        memory->state = UPGRADE_SUPERVISOR;
        go_over(daemon);
        break;
    case UPGRADE_SUPERVISOR:
        look_again(daemon);
        go_over(daemon);
        break;
    case UPGRADE_BACK:
        look_again(daemon);
        if (workers_are_over(daemon, memory->done))
            end(daemon, UPGRADE_FAILED);
        break;
    case UPGRADE_NONE:
    case UPGRADE_CHECKING:
    case UPGRADE_DONE:
    case UPGRADE_REFUSED:
    case UPGRADE_FAILED:
    case UPGRADE_STATES:
        break;
    }
}

void daemon_upgrade_look(struct daemon *daemon)
{
    if (daemon->upgrade.memory->state != UPGRADE_SUPERVISOR)
        step(daemon);
}

/* ---- the check ---- */

static void begin(struct daemon *daemon, bool drains, const char *which)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;
    char text[EVENT_TEXT];

    memory->begun_ns = clock_now();
    memory->state = drains ? UPGRADE_SUPERVISOR : UPGRADE_WORKERS;
    if (drains) {
        (void)snprintf(text, sizeof(text),
                       "the new program lays out \"%s\" differently: it begins with gateway workers of its own, those "
                       "that are there end what they have",
                       which);
        daemon_emit(daemon, EVENT_GATEWAY, "", "", text);
        memory->drains = 1;
        memory->drainings += workers_channels(daemon->workers, memory->draining + memory->drainings);
    }
    step(daemon);
}

static void judge(struct daemon *daemon, const siginfo_t *info, const char *text)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;
    char which[64];
    json_t *ours = layouts_json(), *theirs = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    enum layouts_verdict verdict = layouts_compare(ours, theirs, which, sizeof(which));

    (void)snprintf(memory->to, sizeof(memory->to), "%s",
                   verdict == LAYOUTS_UNKNOWN ? "" : json_string_value(json_object_get(theirs, "version")));
    json_decref(ours);
    json_decref(theirs);
    if (info->si_code != CLD_EXITED)
        refuse(daemon, "its self-check was ended by SIG%s", cause_signal_name(info->si_status));
    else if (info->si_status != 0)
        refuse(daemon, "its self-check ended with status %d%s%.*s", info->si_status, *text ? ": " : "",
               (int)strcspn(text, "\n"), text);
    else if (verdict == LAYOUTS_UNKNOWN)
        refuse(daemon, "its self-check did not say what it can take over; is it a daruma?");
    else if (verdict == LAYOUTS_OTHER_CORE)
        refuse(daemon,
               "it lays out \"%s\" differently, so instances could not be taken over; run `daruma down` with the old "
               "and `daruma up` with the new one",
               which);
    else if (verdict == LAYOUTS_OTHER_GATEWAY && memory->drainings + GAUGES_WORKERS > UPGRADE_DRAINING)
        refuse(daemon, "it lays out \"%s\" differently, and workers of earlier programs are still draining", which);
    else
        begin(daemon, verdict == LAYOUTS_OTHER_GATEWAY, which);
}

static void end_check(struct daemon *daemon)
{
    struct upgrade *upgrade = &daemon->upgrade;
    char text[OUTPUT];
    siginfo_t info = { 0 };

    ssize_t n = read(upgrade->output_fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    while (waitid(P_PIDFD, (id_t)upgrade->check.fd, &info, WEXITED) < 0 && errno == EINTR)
        ;
    loop_io_remove(daemon->loop, &upgrade->check);
    (void)close(upgrade->check.fd);
    (void)close(upgrade->output_fd);
    upgrade->check.fd = -1;
    judge(daemon, &info, text);
}

static void on_checked(struct loop_io *io, uint32_t events)
{
    end_check(io->data);
}

/* The check takes too long, or it is time to look where all stand. */
static void on_timer(struct loop_timer *timer)
{
    struct daemon *daemon = timer->data;

    if (daemon->upgrade.memory->state == UPGRADE_CHECKING)
        (void)syscall(SYS_pidfd_send_signal, daemon->upgrade.check.fd, SIGKILL, NULL, 0);
    else
        step(daemon);
}

/* In the child. */
static void __attribute__((noreturn)) run_check(int program, int output)
{
    char *const argv[] = { (char[]){ "daruma" }, (char[]){ "--self-check" }, NULL };
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)dup2(output, STDOUT_FILENO);
    (void)dup2(output, STDERR_FILENO);
    (void)syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
    (void)fprintf(stderr, "%s; it has to be the program itself, not a script that runs it\n", strerror(errno));
    _exit(EXIT_FAILURE);
}

static int begin_check(struct daemon *daemon, struct err *err)
{
    struct upgrade *upgrade = &daemon->upgrade;
    int pipe_fds[2];

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_errno(err, -errno, "cannot open a pipe");
    pid_t pid = fork();
    if (pid == 0)
        run_check(upgrade->memory->program, pipe_fds[1]);
    int r = pid < 0 ? -errno : 0;
    (void)close(pipe_fds[1]);
    (void)fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    upgrade->output_fd = pipe_fds[0];
    upgrade->check = (struct loop_io){ .fn = on_checked, .data = daemon, .fd = -1 };
    if (r < 0) {
        (void)close(pipe_fds[0]);
        return err_fork(err, r, "the program's self-check");
    }
    CLEANUP_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    r = pidfd < 0 ? -errno : loop_io_add(daemon->loop, &upgrade->check, pidfd, EPOLLIN);
    if (r < 0) {
        (void)close(pipe_fds[0]);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return err_errno(err, r, "cannot watch the program's self-check");
    }
    (void)TAKE_FD(pidfd); /* end_check() closes it */
    loop_timer_set(daemon->loop, &upgrade->timer, clock_now() + CHECK_NS);
    return 0;
}

/* ---- beginning ---- */

/* Where the program that runs was started from; what was put there since is another one. */
static int running_path(char path[PATH_MAX])
{
    static const char gone[] = " (deleted)";
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);

    if (len < 0)
        return -errno;
    path[len] = '\0';
    size_t tail = sizeof(gone) - 1;
    if ((size_t)len > tail && strcmp(path + len - tail, gone) == 0)
        path[(size_t)len - tail] = '\0';
    return 0;
}

/* A descriptor of the program, or a negative errno with `err`. */
static int open_program(const char *path, struct err *err)
{
    struct stat st, ours;
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) < 0 || stat("/proc/self/exe", &ours) < 0)
        return err_set(err, -EINVAL, "cannot open %.300s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return err_set(err, -EINVAL, "%.300s is no program that can be run", path);
    if (st.st_dev == ours.st_dev && st.st_ino == ours.st_ino)
        return err_set(err, -EALREADY, "%.300s is what runs already", path);
    return TAKE_FD(fd);
}

int daemon_upgrade(struct daemon *daemon, const char *path, struct err *err)
{
    struct upgrade_memory *memory = daemon->upgrade.memory;
    char running[PATH_MAX];

    if (under_way(memory))
        return err_set(err, -EBUSY, "an upgrade to %.300s is under way", memory->path);
    if (daemon->stopping)
        return err_set(err, -EBUSY, "the project is going down");
    int r = path ? 0 : running_path(running);
    if (r < 0)
        return err_errno(err, r, "cannot find the program that runs; name it");
    int fd = open_program(path ? path : running, err);
    if (fd < 0)
        return fd;
    memory->state = UPGRADE_CHECKING;
    memory->serial++;
    memory->program = fd;
    memory->worker = memory->done = memory->asked = memory->attempts = memory->drains = 0;
    memory->to[0] = memory->why[0] = '\0';
    (void)snprintf(memory->path, sizeof(memory->path), "%s", path ? path : running);
    (void)snprintf(memory->from, sizeof(memory->from), "%s", DARUMA_VERSION);
    memory->begun_ns = clock_now();
    r = begin_check(daemon, err);
    if (r < 0)
        refuse(daemon, "%s", err->message);
    return r;
}

void daemon_upgrade_go_on(struct daemon *daemon)
{
    struct upgrade *upgrade = &daemon->upgrade;

    upgrade->memory = daemon->memory.upgrade;
    upgrade->timer = (struct loop_timer){ .fn = on_timer, .data = daemon };
    upgrade->drain = (struct loop_timer){ .fn = on_drain, .data = daemon };
    upgrade->check.fd = -1;
    if (upgrade->memory->state == UPGRADE_CHECKING)
        refuse(daemon, "the supervisor died while the program was checked; ask again");
    else if (under_way(upgrade->memory))
        look_again(daemon);
    else
        drain_others(daemon);
}

json_t *daemon_upgrade_json(const struct daemon *daemon)
{
    static const char *const names[UPGRADE_STATES] = {
        [UPGRADE_NONE] = "none",       [UPGRADE_CHECKING] = "checking",
        [UPGRADE_WORKERS] = "workers", [UPGRADE_SUPERVISOR] = "supervisor",
        [UPGRADE_BACK] = "back",       [UPGRADE_DONE] = "done",
        [UPGRADE_REFUSED] = "refused", [UPGRADE_FAILED] = "failed",
    };
    const struct upgrade_memory *memory = daemon->upgrade.memory;

    return json_pack("{s:s, s:i, s:b, s:i, s:s, s:s, s:s, s:s, s:i, s:i, s:f}", "state", names[memory->state], "serial",
                     (int)memory->serial, "in_place", !memory->drains, "draining", (int)memory->drainings, "path",
                     memory->path, "from", memory->from, "to", memory->to, "why", memory->why, "workers",
                     (int)daemon->memory.workers, "upgraded", (int)memory->done, "took_ms",
                     (double)memory->took_ns / (double)NS_PER_MS);
}
