/* SPDX-License-Identifier: MIT
 *
 * The runtime for plain processes: an instance is a process with its own session, its own private ports or a listening
 * socket handed over, and two pipes for what it writes. Runs in the supervisor.
 *
 * Nothing here waits. fork(2) is followed by three things that the loop watches: the report pipe (does the program run,
 * or why not), the pidfd (it has ended), and the two output pipes.
 */
#include "runtime/process.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/files.h"
#include "runtime/proc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define REAP_EVERY_NS NS_PER_S

/* How much of a dead instance's output is read at most: a process that escaped its group may write without end. */
enum { LAST_READS = 16 };

static struct process *process_of(struct runtime *runtime)
{
    return (struct process *)runtime;
}

bool process_read_report(struct loop *loop, struct loop_io *io, struct spawned *child, struct spawn_failure *failure)
{
    if (child->exec_fd < 0)
        return false;
    ssize_t n = read(child->exec_fd, failure, sizeof(*failure));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    loop_io_remove(loop, io);
    (void)close(child->exec_fd);
    child->exec_fd = -1;
    return n == 0;
}

/* Somebody else's child has ended: what can be learned of it, as waitid(2) would tell it. */
static int ask_how(const struct spawned *child, uint64_t birth, siginfo_t *ret)
{
    int code;
    int r = proc_exit_code(child->pid, birth, child->pidfd, &code);
    if (r < 0)
        return r;
    ret->si_pid = child->pid;
    ret->si_code = WIFEXITED(code) ? CLD_EXITED : WCOREDUMP(code) ? CLD_DUMPED : CLD_KILLED;
    ret->si_status = WIFEXITED(code) ? WEXITSTATUS(code) : WTERMSIG(code);
    return 0;
}

void process_reap(struct loop *loop, struct loop_io *io, struct spawned *child, uint64_t birth,
                  struct runtime_exit *ret)
{
    siginfo_t info = { 0 };

    /* Before it is reaped: so long its number cannot belong to another process group. */
    (void)kill(-child->pid, SIGKILL);
    int r = waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG);
    if (r < 0 && errno == ECHILD)
        r = ask_how(child, birth, &info);
    loop_io_remove(loop, io);
    (void)close(child->pidfd);
    child->pidfd = -1;
    *ret = (struct runtime_exit){
        .cause = r == 0 && info.si_pid ? cause_of_exit(info.si_code, info.si_status) : CAUSE_UNKNOWN,
        .status = r == 0 && info.si_pid ? info.si_status : -1,
        .by_signal = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED,
        .at_ns = clock_now(),
    };
}

int process_find_program(const struct launch *launch, const char *name, char **ret, struct err *err)
{
    int r = launch_find_program(name, environment_get(launch->environment.list, "PATH"), launch->directory, ret);
    if (r == -ENOENT)
        return err_set(err, r, "command \"%s\" not found", name);
    if (r == -EACCES)
        return err_set(err, r, "command \"%s\" is not executable", name);
    return r < 0 ? err_errno(err, r, "command \"%s\"", name) : 0;
}

static void stream_close(struct loop *loop, struct process_stream *stream)
{
    if (stream->fd < 0)
        return;
    loop_io_remove(loop, &stream->io);
    (void)close(stream->fd);
    stream->fd = -1;
}

/* Reads once and passes it on. False when there is nothing (more) to read now. */
static bool stream_read(struct runtime_handle *handle, struct process_stream *stream)
{
    struct process *process = handle->process;

    if (stream->fd < 0)
        return false;
    size_t size = sizeof(process->output);
    char *room = process->events->room ? process->events->room(handle->owner, stream->number, &size) : process->output;
    ssize_t n = read(stream->fd, room, size < PROCESS_OUTPUT ? size : PROCESS_OUTPUT);
    if (n > 0)
        process->events->output(handle->owner, stream->number, room, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        stream_close(process->loop, stream);
    return n > 0;
}

static void on_output(struct loop_io *io, uint32_t events)
{
    struct runtime_handle *handle = io->data;
    (void)stream_read(handle, io == &handle->streams[0].io ? &handle->streams[0] : &handle->streams[1]);
}

static void tell_nameless(const struct runtime_handle *handle)
{
    char text[256];

    (void)snprintf(
        text, sizeof(text),
        "no pipes could be made in %.100s for what it writes: should daruma die as a whole, its output is not "
        "found again; make that folder writable",
        handle->process->pipes.directory);
    handle->process->events->progress(handle->owner, text);
}

static void on_exec(struct loop_io *io, uint32_t events)
{
    struct runtime_handle *handle = io->data;
    struct process *process = handle->process;
    if (!process_read_report(process->loop, &handle->exec_io, &handle->child, &handle->failure))
        return;
    if (handle->nameless)
        tell_nameless(handle);
    process->events->started(handle->owner, handle->child.pid, handle->ports, handle->ports_len);
}

static void describe_failure(const struct runtime_handle *handle, struct runtime_exit *how)
{
    const struct spawn_failure *failure = &handle->failure;
    const char *name = handle->launch.argv.list[0];

    how->cause = CAUSE_SPAWN;
    how->status = 127;
    how->by_signal = false;
    if (strcmp(failure->action, "chdir") == 0)
        (void)err_errno(&how->err, -failure->error, "cannot enter the folder %s", handle->launch.directory);
    else if (strcmp(failure->action, "exec") == 0)
        (void)err_errno(&how->err, -failure->error, "cannot run \"%s\"", name);
    else
        (void)err_errno(&how->err, -failure->error, "cannot run \"%s\": %.*s", name, (int)sizeof(failure->action),
                        failure->action);
}

void process_finish(struct runtime_handle *handle, struct runtime_exit *how)
{
    struct process *process = handle->process;

    loop_timer_cancel(process->loop, &handle->adopted);
    for (size_t i = 0; i < ARRAY_LEN(handle->streams); i++) {
        for (int reads = 0; reads < LAST_READS && stream_read(handle, &handle->streams[i]);)
            reads++;
        stream_close(process->loop, &handle->streams[i]);
    }
    if (handle->failure.error)
        describe_failure(handle, how);
    else if (how->by_signal && how->status == SIGKILL && oom_take(&process->oom, how->at_ns))
        how->cause = CAUSE_OOM;
    handle->gone = true;
    process->events->exited(handle->owner, how);
}

/* The main process has ended. */
static void on_exit_of(struct loop_io *io, uint32_t events)
{
    struct runtime_handle *handle = io->data;
    struct runtime_exit how;

    process_reap(handle->process->loop, &handle->exit_io, &handle->child, handle->birth, &how);
    on_exec(&handle->exec_io, 0);
    process_finish(handle, &how);
}

static void address_of_port(struct board_address *address, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    *address = (struct board_address){ .len = sizeof(in) };
    memcpy(&address->u, &in, sizeof(in));
}

/* Gives the instance its addresses; `ret_listen` is the socket to hand over, -1: none. */
static int give_addresses(struct runtime_handle *handle, const struct runtime_start *start, int *ret_listen,
                          struct err *err)
{
    const struct spec_service *service = start->service;
    struct process *process = handle->process;

    *ret_listen = -1;
    if (service->process_socket) {
        const struct kept_socket *kept = sockets_open(&process->sockets, start->instance, err);
        if (!kept)
            return -EIO;
        *ret_listen = kept->fd;
        handle->ports[handle->ports_len++] = (struct runtime_port){
            .target = service->ports_len ? service->ports[0].target : 0,
            .address = kept->address,
        };
    }
    for (size_t i = handle->ports_len; i < service->ports_len; i++) {
        if (service->ports[i].protocol == SPEC_PROTOCOL_UDP)
            continue;
        if (handle->ports_len == RUNTIME_PORTS)
            return err_set(err, -E2BIG, "an instance has at most %d ports", RUNTIME_PORTS);
        int port = ports_take(&process->ports);
        if (port < 0)
            return err_set(err, port, "no free port between %u and %u", process->ports.low, process->ports.high);
        handle->taken[handle->ports_len] = (uint16_t)port;
        handle->ports[handle->ports_len].target = service->ports[i].target;
        address_of_port(&handle->ports[handle->ports_len++].address, (uint16_t)port);
    }
    return 0;
}

void process_handle_free(struct runtime_handle *handle)
{
    struct process *process = handle->process;

    for (size_t i = 0; i < ARRAY_LEN(handle->streams); i++)
        stream_close(process->loop, &handle->streams[i]);
    loop_io_remove(process->loop, &handle->exec_io);
    loop_io_remove(process->loop, &handle->exit_io);
    if (handle->child.exec_fd >= 0)
        (void)close(handle->child.exec_fd);
    if (handle->child.pidfd >= 0)
        (void)close(handle->child.pidfd);
    for (size_t i = 0; i < handle->ports_len; i++)
        if (handle->taken[i])
            ports_give_back(&process->ports, handle->taken[i]);
    pipes_remove(&process->pipes, handle->instance);
    loop_timer_cancel(process->loop, &handle->adopted);
    launch_free(&handle->launch);
    free(handle->instance);
    if (handle->link) {
        *handle->link = handle->next;
        if (handle->next)
            handle->next->link = handle->link;
    }
    free(handle);
}

struct runtime_handle *process_handle_new(struct process *process, const struct runtime_start *start)
{
    struct runtime_handle *handle = calloc(1, sizeof(*handle));
    if (!handle)
        return NULL;
    handle->instance = strdup(start->instance);
    if (!handle->instance) {
        free(handle);
        return NULL;
    }
    handle->process = process;
    handle->owner = start->owner;
    handle->child = (struct spawned){ .pidfd = -1, .exec_fd = -1 };
    for (int i = 0; i < 2; i++)
        handle->streams[i] =
            (struct process_stream){ .io = { .fn = on_output, .data = handle }, .fd = -1, .number = i + 1 };
    handle->exec_io = (struct loop_io){ .fn = on_exec, .data = handle };
    handle->exit_io = (struct loop_io){ .fn = on_exit_of, .data = handle };
    return handle;
}

/* The last descriptors are not for instances: commands have to be answered, and the next supervisor has to begin. Numbers are
   given from below, so a high one says that there are few left. */
static int leave_some(const struct process *process, int fd, struct err *err)
{
    rlim_t all = process->nofile.rlim_max, spare = all / 8 < 32 ? all / 8 : 32;
    return (rlim_t)fd >= all - spare ? err_errno(err, -EMFILE, "cannot start a process") : 0;
}

/* Forks with fresh pipes; the instance's ends stay with the child alone. */
static int handle_spawn(struct runtime_handle *handle, int listen_fd, struct err *err)
{
    struct process *process = handle->process;
    CLEANUP_FREE char *program = NULL;
    CLEANUP_CLOSE int out = -1;
    CLEANUP_CLOSE int error = -1;

    int r = process_find_program(&handle->launch, handle->launch.argv.list[0], &program, err);
    if (r == 0)
        r = pipes_make(&process->pipes, handle->instance, 1, &handle->streams[0].fd, &out, err);
    if (r >= 0)
        r = pipes_make(&process->pipes, handle->instance, 2, &handle->streams[1].fd, &error, err);
    handle->nameless = r > 0;
    if (r >= 0)
        r = leave_some(process, error, err);
    if (r < 0)
        return r;
    struct spawn spawn = {
        .launch = &handle->launch,
        .argv = handle->launch.argv.list,
        .program = program,
        .in_fd = process->null_fd,
        .out_fd = out,
        .err_fd = error,
        .listen_fd = listen_fd,
        .nofile = &process->nofile,
    };
    return spawn_start(&spawn, &handle->child, err);
}

/* Whoever keeps track hears of it while it still waits. */
static void handle_trace(struct runtime_handle *handle)
{
    struct process *process = handle->process;
    struct proc_stat found;
    struct runtime_trace trace = { .pid = handle->child.pid, .ports_len = handle->ports_len };

    if (proc_stat(handle->child.pid, &found) == 0)
        trace.birth = handle->birth = found.birth;
    memcpy(trace.ports, handle->ports, sizeof(trace.ports));
    if (process->events->traced)
        process->events->traced(handle->owner, &trace);
}

int process_watch(struct runtime_handle *handle)
{
    struct loop *loop = handle->process->loop;
    int r = 0;

    if (handle->child.pidfd >= 0)
        r = loop_io_add(loop, &handle->exit_io, handle->child.pidfd, EPOLLIN);
    if (r == 0 && handle->child.exec_fd >= 0)
        r = loop_io_add(loop, &handle->exec_io, handle->child.exec_fd, EPOLLIN);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(handle->streams); i++)
        if (handle->streams[i].fd >= 0)
            r = loop_io_add(loop, &handle->streams[i].io, handle->streams[i].fd, EPOLLIN);
    return r;
}

static int handle_watch(struct runtime_handle *handle, struct err *err)
{
    int r = process_watch(handle);
    if (r == 0)
        return 0;
    spawn_kill(&handle->child, SIGKILL);
    (void)waitid(P_PIDFD, (id_t)handle->child.pidfd, &(siginfo_t){ 0 }, WEXITED);
    return err_errno(err, r, "cannot watch a process");
}

void process_handle_list(struct runtime_handle *handle)
{
    handle->next = handle->process->handles;
    handle->link = &handle->process->handles;
    if (handle->next)
        handle->next->link = &handle->next;
    handle->process->handles = handle;
}

static int process_start(struct runtime *runtime, const struct runtime_start *start, struct runtime_handle **ret,
                         struct err *err)
{
    struct process *process = process_of(runtime);
    int listen_fd;

    struct runtime_handle *handle = process_handle_new(process, start);
    if (!handle)
        return err_errno(err, -ENOMEM, "cannot start %s", start->instance);
    int r = give_addresses(handle, start, &listen_fd, err);
    if (r == 0)
        r = launch_build(start, handle->ports, handle->ports_len, listen_fd >= 0, &handle->launch, err);
    if (r == 0)
        r = handle_spawn(handle, listen_fd, err);
    if (r == 0)
        r = handle_watch(handle, err);
    if (r < 0) {
        process_handle_free(handle);
        return r;
    }
    handle_trace(handle);
    spawn_go(&handle->child);
    process_handle_list(handle);
    *ret = handle;
    return 0;
}

static int process_signal(struct runtime *runtime, struct runtime_handle *handle, int signo)
{
    if (handle->gone || handle->child.pidfd < 0)
        return -ESRCH;
    if (signo == SIGKILL || signo == SIGSTOP || signo == SIGCONT) {
        spawn_kill(&handle->child, signo);
        return 0;
    }
    return pidfd_send_signal(handle->child.pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

static bool process_dying(struct runtime *runtime, struct runtime_handle *handle)
{
    return handle->gone || (handle->child.pid > 0 && proc_is_dying(handle->child.pid));
}

static void process_release(struct runtime *runtime, struct runtime_handle *handle)
{
    process_handle_free(handle);
}

static void process_forget(struct runtime *runtime, const char *instance)
{
    sockets_forget(&process_of(runtime)->sockets, instance);
}

static void process_destroy(struct runtime *runtime)
{
    struct process *process = process_of(runtime);

    loop_timer_cancel(process->loop, &process->reaper);
    process_kill_all(process);
    while (process->executions)
        process_exec_free(process->executions);
    while (process->handles)
        process_handle_free(process->handles);
    sockets_free(&process->sockets);
    pipes_free(&process->pipes);
    oom_close(&process->oom);
    if (process->null_fd >= 0)
        (void)close(process->null_fd);
    free(process);
}

/* Orphans are few and nobody waits for them: a look each second, instead of SIGCHLD, which the whole program would
   have to share. */
static void on_reap(struct loop_timer *timer)
{
    struct process *process = timer->data;
    process_reap_orphans(process);
    oom_look(&process->oom, loop_now(process->loop));
    loop_timer_set(process->loop, timer, loop_now(process->loop) + REAP_EVERY_NS);
}

static int become_reaper(struct process *process, struct err *err)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return err_errno(err, -errno, "cannot become the reaper of orphans");

    process->reaper = (struct loop_timer){ .fn = on_reap, .data = process };
    loop_timer_set(process->loop, &process->reaper, clock_now() + REAP_EVERY_NS);
    return 0;
}

static const struct runtime process_runtime = {
    .name = "process",
    .check = process_check,
    .stamp = process_stamp,
    .start = process_start,
    .adopt = process_adopt,
    .end_strays = process_end_strays,
    .signal = process_signal,
    .dying = process_dying,
    .exec = process_exec,
    .exec_cancel = process_exec_cancel,
    .release = process_release,
    .forget = process_forget,
    .destroy = process_destroy,
};

struct runtime *runtime_process_new(struct loop *loop, const struct runtime_events *events, const char *run_dir,
                                    struct err *err)
{
    struct process *process = calloc(1, sizeof(*process));
    if (!process) {
        (void)err_errno(err, -ENOMEM, "cannot start the process runtime");
        return NULL;
    }
    process->runtime = process_runtime;
    process->loop = loop;
    process->events = events;
    process->session = getsid(0);
    ports_init(&process->ports);
    oom_open(&process->oom);
    process->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    int r = process->null_fd < 0 ? err_errno(err, -errno, "cannot open /dev/null") : 0;
    if (r == 0 && (sockets_init(&process->sockets, run_dir) < 0 || pipes_init(&process->pipes, run_dir) < 0))
        r = err_errno(err, -ENOMEM, "cannot start the process runtime");
    process->nofile = files_raise_limit();
    if (r == 0)
        r = become_reaper(process, err);
    if (r < 0) {
        process_destroy(&process->runtime);
        return NULL;
    }
    return &process->runtime;
}
