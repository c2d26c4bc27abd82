/* SPDX-License-Identifier: MIT
 *
 * Commands that run beside an instance, in its environment: health checks.
 */
#include "runtime/process.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

static void read_output(struct runtime_execution *execution)
{
    char rest[1024];

    while (execution->output_fd >= 0) {
        size_t room = sizeof(execution->output) - execution->len;
        /* What is beyond the part that is kept is read all the same: the command must not block on a full pipe. */
        ssize_t n = room ? read(execution->output_fd, execution->output + execution->len, room)
                         : read(execution->output_fd, rest, sizeof(rest));
        if (n > 0 && room)
            execution->len += (size_t)n;
        if (n > 0)
            return; /* level-triggered: the rest in the next turn, so that no command keeps the loop */
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        loop_io_remove(execution->process->loop, &execution->output_io);
        (void)close(execution->output_fd);
        execution->output_fd = -1;
    }
}

static void on_output(struct loop_io *io, uint32_t events)
{
    read_output(io->data);
}

static void on_exec(struct loop_io *io, uint32_t events)
{
    struct runtime_execution *execution = io->data;
    (void)process_read_report(execution->process->loop, &execution->exec_io, &execution->child, &execution->failure);
}

/* The last output: what fits, and no more. */
static void read_last_output(struct runtime_execution *execution)
{
    size_t before;
    do {
        before = execution->len;
        read_output(execution);
    } while (execution->len > before && execution->output_fd >= 0);
}

static void on_exit_of(struct loop_io *io, uint32_t events)
{
    struct runtime_execution *execution = io->data;
    struct process *process = execution->process;
    struct runtime_exit how;

    process_reap(process->loop, &execution->exit_io, &execution->child, 0, &how);
    on_exec(&execution->exec_io, 0);
    read_last_output(execution);

    int result = how.status;
    if (execution->failure.error)
        result = -execution->failure.error;
    else if (execution->timed_out)
        result = -ETIMEDOUT;
    else if (how.by_signal)
        result = 128 + how.status; /* as a shell tells it */
    if (execution->done)
        execution->done(execution->owner, result, execution->output, execution->len);
    process_exec_free(execution);
}

static void on_timeout(struct loop_timer *timer)
{
    struct runtime_execution *execution = timer->data;
    execution->timed_out = true;
    spawn_kill(&execution->child, SIGKILL);
}

void process_exec_free(struct runtime_execution *execution)
{
    struct loop *loop = execution->process->loop;

    loop_timer_cancel(loop, &execution->timeout);
    loop_io_remove(loop, &execution->exit_io);
    loop_io_remove(loop, &execution->exec_io);
    loop_io_remove(loop, &execution->output_io);
    if (execution->child.exec_fd >= 0)
        (void)close(execution->child.exec_fd);
    if (execution->child.pidfd >= 0)
        (void)close(execution->child.pidfd);
    if (execution->output_fd >= 0)
        (void)close(execution->output_fd);
    if (execution->link) {
        *execution->link = execution->next;
        if (execution->next)
            execution->next->link = execution->link;
    }
    free(execution);
}

static int execution_spawn(struct runtime_execution *execution, const struct runtime_handle *handle,
                           const struct runtime_exec *exec, struct err *err)
{
    int fds[2];

    CLEANUP_FREE char *program = NULL;
    int r = process_find_program(&handle->launch, exec->argv[0], &program, err);
    if (r < 0)
        return r;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, -errno, "cannot open a pipe");
    execution->output_fd = fds[0];
    CLEANUP_CLOSE int write_fd = fds[1];
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
        return err_errno(err, -errno, "cannot prepare a pipe");

    struct spawn spawn = {
        .launch = &handle->launch,
        .argv = exec->argv,
        .program = program,
        .in_fd = execution->process->null_fd,
        .out_fd = write_fd,
        .err_fd = write_fd,
        .listen_fd = -1,
        .ends_with_us = true,
        .nofile = &execution->process->nofile,
    };
    r = spawn_start(&spawn, &execution->child, err);
    if (r == 0)
        spawn_go(&execution->child);
    return r;
}

static int execution_watch(struct runtime_execution *execution, int64_t timeout_ns, struct err *err)
{
    struct loop *loop = execution->process->loop;
    int r = loop_io_add(loop, &execution->exit_io, execution->child.pidfd, EPOLLIN);
    if (r == 0)
        r = loop_io_add(loop, &execution->exec_io, execution->child.exec_fd, EPOLLIN);
    if (r == 0)
        r = loop_io_add(loop, &execution->output_io, execution->output_fd, EPOLLIN);
    if (r == 0 && timeout_ns > 0)
        loop_timer_set(loop, &execution->timeout, loop_now(loop) + timeout_ns);
    if (r == 0)
        return 0;
    spawn_kill(&execution->child, SIGKILL);
    (void)waitid(P_PIDFD, (id_t)execution->child.pidfd, &(siginfo_t){ 0 }, WEXITED);
    return err_errno(err, r, "cannot watch a process");
}

int process_exec(struct runtime *runtime, struct runtime_handle *handle, const struct runtime_exec *exec,
                 struct runtime_execution **ret, struct err *err)
{
    struct process *process = handle->process;

    struct runtime_execution *execution = calloc(1, sizeof(*execution));
    if (!execution)
        return err_errno(err, -ENOMEM, "cannot run a command");
    *execution = (struct runtime_execution){
        .process = process,
        .owner = exec->owner,
        .done = exec->done,
        .child = { .pidfd = -1, .exec_fd = -1 },
        .output_fd = -1,
        .exit_io = { .fn = on_exit_of, .data = execution },
        .exec_io = { .fn = on_exec, .data = execution },
        .output_io = { .fn = on_output, .data = execution },
        .timeout = { .fn = on_timeout, .data = execution },
    };
    int r = execution_spawn(execution, handle, exec, err);
    if (r == 0)
        r = execution_watch(execution, exec->timeout_ns, err);
    if (r < 0) {
        process_exec_free(execution);
        return r;
    }
    execution->next = process->executions;
    execution->link = &process->executions;
    if (execution->next)
        execution->next->link = &execution->next;
    process->executions = execution;
    *ret = execution;
    return 0;
}

void process_exec_cancel(struct runtime *runtime, struct runtime_execution *execution)
{
    execution->done = NULL; /* it is freed when it has been reaped */
    spawn_kill(&execution->child, SIGKILL);
}
