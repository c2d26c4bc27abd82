/* SPDX-License-Identifier: MIT
 *
 * The inside of the process runtime, for the files process*.c.
 */
#ifndef DARUMA_RUNTIME_PROCESS_H
#define DARUMA_RUNTIME_PROCESS_H

#include "runtime/launch.h"
#include "runtime/oom.h"
#include "runtime/pipes.h"
#include "runtime/ports.h"
#include "runtime/runtime.h"
#include "runtime/sockets.h"
#include "runtime/spawn.h"

enum {
    /* What is read from a pipe in one turn of the loop: those that write without end must not keep an exit or a command waiting. */
    PROCESS_OUTPUT = 16 * 1024,
    PROCESS_EXEC_OUTPUT = 4 * 1024 /* what is kept of a health check's output */
};

struct process {
    struct runtime runtime; /* first: what the supervisor holds */
    struct loop *loop;
    const struct runtime_events *events;
    struct ports ports;
    struct sockets sockets;
    struct pipes pipes;
    struct rlimit nofile; /* as it was before it was raised */
    int null_fd;
    struct oom oom;
    pid_t session;
    struct loop_timer reaper;
    struct runtime_handle *handles;
    struct runtime_execution *executions;
    char output[PROCESS_OUTPUT];
};

/* One of the child's output pipes. */
struct process_stream {
    struct loop_io io;
    int fd;     /* -1: closed */
    int number; /* 1 or 2 */
};

struct runtime_handle {
    struct runtime_handle *next, **link;
    struct process *process;
    void *owner;
    struct launch launch;
    char *instance;
    struct spawned child; /* descriptors are -1 once they are closed */
    uint64_t birth;       /* of the main process */
    struct loop_io exit_io, exec_io;
    struct loop_timer adopted; /* tells that it is there, or not */
    struct process_stream streams[PIPES_STREAMS];
    struct spawn_failure failure; /* error 0: none */
    bool nameless;                /* its pipes are (pipes_make()) */
    bool gone;
    struct runtime_port ports[RUNTIME_PORTS];
    size_t ports_len;
    uint16_t taken[RUNTIME_PORTS]; /* private ports to give back; 0: none */
};

struct runtime_execution {
    struct runtime_execution *next, **link;
    struct process *process;
    void *owner;
    void (*done)(void *owner, int result, const char *output, size_t len); /* NULL: cancelled */
    struct spawned child;
    struct loop_io exit_io, exec_io, output_io;
    struct loop_timer timeout;
    int output_fd;
    bool timed_out;
    struct spawn_failure failure;
    size_t len;
    char output[PROCESS_EXEC_OUTPUT];
};

/* process.c: reads what exec_fd has to say, and closes it. True when the program runs, false when not or not yet. */
bool process_read_report(struct loop *loop, struct loop_io *io, struct spawned *child, struct spawn_failure *failure);
/* Reaps the main process after killing what is left of its group, and closes the pidfd. One that is not our child has
   another parent to do that: then `birth` says which process is meant. */
void process_reap(struct loop *loop, struct loop_io *io, struct spawned *child, uint64_t birth,
                  struct runtime_exit *ret);
/* process.c, for process_adopt.c. process_finish(): it is gone; its last output is read, and it is told. */
void process_finish(struct runtime_handle *handle, struct runtime_exit *how);
int process_watch(struct runtime_handle *handle);
struct runtime_handle *process_handle_new(struct process *process, const struct runtime_start *start);
void process_handle_free(struct runtime_handle *handle);
void process_handle_list(struct runtime_handle *handle); /* puts it among the runtime's */
/* What the program of `launch` is, as a path. */
int process_find_program(const struct launch *launch, const char *name, char **ret, struct err *err);

/* process_exec.c: the runtime's exec and exec_cancel. */
int process_exec(struct runtime *runtime, struct runtime_handle *handle, const struct runtime_exec *exec,
                 struct runtime_execution **ret, struct err *err);
void process_exec_cancel(struct runtime *runtime, struct runtime_execution *execution);
void process_exec_free(struct runtime_execution *execution);

/* process_adopt.c: the runtime's adopt and end_strays. */
int process_adopt(struct runtime *runtime, const struct runtime_start *start, const struct runtime_trace *trace,
                  struct runtime_handle **ret, struct err *err);
int process_end_strays(struct runtime *runtime);

/* process_orphans.c: reaps orphans that have ended; kills and reaps all that came from an instance. */
void process_reap_orphans(struct process *process);
void process_kill_all(struct process *process);

/* process_stamp.c: the runtime's stamp. */
void process_stamp(struct runtime *runtime, struct spec *spec);
/* process_check.c: where the service's processes run. */
const char *process_directory(const struct spec *spec, const struct spec_service *service);
/* The runtime's check. */
void process_check(struct runtime *runtime, const struct spec *spec, struct problems *problems);

#endif
