/* SPDX-License-Identifier: MIT
 *
 * What a runtime is: something that can run one copy of a service. Everything is asynchronous in the supervisor's
 * loop; answers come through callbacks, never from inside the call that asked. The supervisor decides, the runtime
 * obeys: it restarts nothing by itself and knows no states but "there" and "gone".
 */
#ifndef DARUMA_RUNTIME_RUNTIME_H
#define DARUMA_RUNTIME_RUNTIME_H

#include "base/board.h"
#include "base/cause.h"
#include "base/err.h"
#include "base/loop.h"
#include "compose/spec.h"

#include <stdint.h>
#include <sys/types.h>

enum { RUNTIME_PORTS = 16 };

/* One port of a running copy. */
struct runtime_port {
    uint16_t target; /* as the file names it */
    struct board_address address;
};

/* How a copy ended. */
struct runtime_exit {
    enum cause cause; /* what the runtime itself can tell: EXIT, CRASH, KILLED, OOM, SPAWN, UNKNOWN */
    int status;       /* exit status, or signal number when by_signal; -1: not known */
    bool by_signal;
    int64_t at_ns;  /* monotonic */
    struct err err; /* SPAWN: why */
};

/* Where a running copy is found again by whoever comes after this supervisor. Plain data, valid until the next boot. */
struct runtime_trace {
    pid_t pid;      /* its main process; 0: the runtime finds it by the instance's name */
    uint64_t birth; /* of that process (runtime/proc.h): the number alone may be another one's by then */
    struct runtime_port ports[RUNTIME_PORTS];
    size_t ports_len;
};

/* Who is told. Calls come from the loop, with `owner` as given to start. */
struct runtime_events {
    /* The one call that may come from inside start(): the copy exists, and its program runs only after this returned.
       So what is kept here was kept before anything could be doubled. May be NULL. */
    void (*traced)(void *owner, const struct runtime_trace *trace);
    /* The program runs (exec succeeded; the container started). `pid` is 0 where there is none on this host. */
    void (*started)(void *owner, pid_t pid, const struct runtime_port *ports, size_t ports_len);
    /* What it was made from declares a health check, and the file has none. Before started(); valid until exited(). */
    void (*healthcheck)(void *owner, const struct spec_healthcheck *check);
    /* Its main process is dead, and exited() follows as soon as it is known how. Not every runtime has a gap there. */
    void (*lost)(void *owner);
    /* It is gone, or (cause SPAWN) never ran. The last call for this handle; the supervisor then frees it. All output
       that it wrote was delivered before. */
    void (*exited)(void *owner, const struct runtime_exit *how);
    /* Where the next output of `stream` is to be read to, and how much fits. The runtime may use a buffer of its own all the
       same. May be NULL. */
    char *(*room)(void *owner, int stream, size_t *ret_len);
    /* The image that it is made from, as the runtime has found, pulled or built it (struct spec_stamp). Before started(). */
    void (*made_of)(void *owner, const char *image);
    /* It wrote. `stream` is 1 or 2. Not cut at lines. */
    void (*output)(void *owner, int stream, const char *data, size_t len);
    /* What a start that takes long is busy with: "pulling redis:7", "building …". One line for people. */
    void (*progress)(void *owner, const char *text);
};

struct runtime_start {
    const struct spec *spec;
    const struct spec_service *service;
    const char *instance;     /* "app-1" */
    int number;               /* 1 … replicas */
    bool prepare;             /* only what it needs is to be there: pulled, or built anew where service->build says so.
                                 Then it ends with status 0, without having started */
    const char *const *peers; /* more environment: "<SERVICE>_HOST=…", NULL-terminated; the file's own entries win */
    void *owner;
};

struct runtime_handle; /* one copy; each runtime has its own */

struct runtime_exec {
    char *const *argv;          /* run beside the copy, in its environment */
    const struct spec_hook *as; /* what it has otherwise than the copy; NULL: nothing */
    int64_t timeout_ns;         /* then it is killed with its whole process group; 0: never */
    void *owner;
    /* Ended: exit status 0 … 255, or -ETIMEDOUT, or another negative errno. `output` holds its first bytes. */
    void (*done)(void *owner, int result, const char *output, size_t len);
};
struct runtime_execution;

struct runtime {
    const char *name;    /* "process", "docker" */
    bool remove_volumes; /* set by the owner: destroy() takes the project's volumes with it, where there are such */
    bool prepares;       /* a start may take long, or fail, for want of what it needs: it can be prepared */

    /* What cannot work is said before anything starts: program not found, not executable, user unknown, directory
       missing (errors); attributes that this runtime does not honour (warnings). */
    void (*check)(struct runtime *runtime, const struct spec *spec, struct problems *problems);

    /* Finds out what the services of the spec would be made from now and fills in their stamps, where it can. With an
       Engine it waits for it, but not long. */
    void (*stamp)(struct runtime *runtime, struct spec *spec);

    /* Begins to start a copy, from the image that the service's stamp names if it names one. The handle is valid until `exited` was called and runtime->release() after it. Negative
       errno with `err` when not even that was possible; nothing is called back then. */
    int (*start)(struct runtime *runtime, const struct runtime_start *start, struct runtime_handle **ret,
                 struct err *err);

    /* Takes over a copy that an earlier supervisor started, as start() says; `started` follows, with what it had. When it is
       gone meanwhile only `exited` does, with cause UNKNOWN unless more can be learned. `trace` may go afterwards. */
    int (*adopt)(struct runtime *runtime, const struct runtime_start *start, const struct runtime_trace *trace,
                 struct runtime_handle **ret, struct err *err);

    /* After the last adopt(): whatever else of this project still runs is nobody's, and ended. Returns how many. */
    int (*end_strays)(struct runtime *runtime);

    /* Sends a signal to the copy's main process (SIGKILL, and of plain processes SIGSTOP and SIGCONT: to all of its processes). 0,
       -ESRCH when it is gone. */
    int (*signal)(struct runtime *runtime, struct runtime_handle *handle, int signo);

    /* Would its main process do anything at that signal? False only when it is certain that it would not: as process 1 of
       its own namespace it gets no signal that it has no handler for (pid_namespaces(7)). NULL: always true. */
    bool (*hears)(struct runtime *runtime, struct runtime_handle *handle, int signo);

    /* Is its main process past its last instruction, though nobody is told yet? The kernel closes the connections of one that
       ends before it tells of the end. False also when it cannot be known. */
    bool (*dying)(struct runtime *runtime, struct runtime_handle *handle);

    /* Runs a command beside it (health checks). cancel() kills it and is the last to be heard of it. */
    int (*exec)(struct runtime *runtime, struct runtime_handle *handle, const struct runtime_exec *exec,
                struct runtime_execution **ret, struct err *err);
    void (*exec_cancel)(struct runtime *runtime, struct runtime_execution *execution);

    /* Frees the handle of a copy that is gone. */
    void (*release)(struct runtime *runtime, struct runtime_handle *handle);

    /* The instance of that name is gone and no longer wanted: what was kept for its next life (its listening socket) is
       closed. */
    void (*forget)(struct runtime *runtime, const char *instance);

    /* Frees the runtime with every handle and execution. Calls nobody back. Processes that are still there are killed
       and waited for, also those that have escaped their session: a supervisor that is to be followed by another one
       does not get here. Containers that were forgotten are removed, and the
       networks made for them; those that still have a handle run on. */
    void (*destroy)(struct runtime *runtime);
};

/*
 * The runtime for plain processes. `events` must outlive it. NULL with `err` when out of resources.
 *
 * It makes the calling process the reaper of orphans (PR_SET_CHILD_SUBREAPER) and raises its own RLIMIT_NOFILE to the
 * hard limit; instances get the limit back as it was. Whatever it starts has a session of its own: children of the
 * caller in the caller's session are the caller's, and this runtime neither reaps nor kills them.
 */
struct runtime *runtime_process_new(struct loop *loop, const struct runtime_events *events, const char *run_dir,
                                    struct err *err);

/*
 * The runtime for containers: a client of the Docker Engine that `host` names (DOCKER_HOST; NULL: the usual socket).
 * `events` must outlive it. It does not talk to the Engine before the first start; runtime_docker_published() does for
 * a command.
 * An Engine that is gone or hangs is waited for: starts take longer then, and what runs is left alone. It raises the
 * calling process's own RLIMIT_NOFILE to the hard limit.
 */
struct runtime *runtime_docker_new(struct loop *loop, const struct runtime_events *events, const char *host,
                                   struct err *err);

/* Running containers of a project whose ports the Engine publishes: daruma starts none such, so Compose did. */
struct runtime_published {
    json_t *containers; /* as GET /containers/json lists them */
    uint16_t *ports;    /* on the host */
    size_t len;
};

/* For `daruma up`: asks an Engine and waits for it. 0; or a negative errno as in runtime/engine.h with `err`, which says
   how to mend it: -ENOENT when there is no Engine … */
int runtime_docker_published(const char *host, const char *project, struct runtime_published *ret, struct err *err);
void runtime_docker_published_free(struct runtime_published *published);

/* Stops them, each with its own grace period, and waits: their ports are free then. Their instances' starts replace
   them. 0, or a negative errno with `err`. */
int runtime_docker_make_way(const char *host, const struct runtime_published *published, struct err *err);

/* For `daruma down -v`: removes the volumes that were made for a project, by Compose's label, whether anybody still knows what
   used them or not. `ret`: the names of those there were, the caller's, may be NULL after an error. 0 when all are gone, or a negative
   errno with `err`; -EBUSY: containers use one of them. */
int runtime_docker_remove_volumes(const char *host, const char *project, json_t **ret, struct err *err);

#endif
