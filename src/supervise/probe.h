/* SPDX-License-Identifier: MIT
 *
 * One look at an instance: does the port accept, does the URL answer, does the command succeed. Never waits; the answer
 * comes through the loop, at the latest when its time is over.
 */
#ifndef DARUMA_SUPERVISE_PROBE_H
#define DARUMA_SUPERVISE_PROBE_H

#include "base/http_client.h"
#include "base/loop.h"
#include "runtime/runtime.h"

#include <stdbool.h>

struct probe;

/* `text` says what was seen; "" when there is nothing to say. */
typedef void probe_done(struct probe *probe, bool passed, const char *text);

/* Zeroed, then loop, runtime, done and data set by the owner, once. */
struct probe {
    struct loop *loop;
    struct runtime *runtime;
    probe_done *done;
    void *data;

    /* private */
    bool busy;
    bool passed;
    bool decided;    /* only `done` has still to be called */
    bool timed_out;  /* in `done`: it failed because nothing was heard in time */
    uint16_t status; /* in `done`, HTTP: of the answer; 0: there was none */
    int fd;          /* TCP */
    struct loop_io io;
    struct loop_timer timer; /* the timeout, then the answer */
    struct runtime_execution *execution;
    struct http_client *http;
    char request[512];
    char text[160];
};

struct probe_target {
    enum spec_test test;          /* not SPEC_TEST_NONE */
    char *const *command;         /* CMD, SHELL */
    const char *url;              /* HTTP */
    struct board_address address; /* HTTP, TCP */
    struct runtime_handle *handle;
    int64_t timeout_ns;
    unsigned proxy_protocol; /* HTTP: version of the PROXY header that comes first; 0: none */
};

/* Begins. The probe must not be busy. `done` follows, never from inside this call. */
void probe_start(struct probe *probe, const struct probe_target *target);

/* Gives up; `done` does not follow. Idempotent, also for a zeroed probe. */
void probe_cancel(struct probe *probe);

#endif
