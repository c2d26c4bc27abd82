/* SPDX-License-Identifier: MIT
 *
 * A client of the admin API (docs/admin-api.md) over the project's Unix socket, with libcurl. One exchange at a time
 * for questions; any number of streams of JSON lines beside each other.
 */
#ifndef DARUMA_CLI_CLIENT_H
#define DARUMA_CLI_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"
#include "daemon/rundir.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdbool.h>

struct client {
    struct rundir dir; /* of the project */
};

/*
 * The running project that the options mean: by name (-p, COMPOSE_PROJECT_NAME), else by the compose file, else, when
 * the file cannot be read any more, by the directory it was started from. 0, or the exit code with the reason printed
 * (CLI_FAILED: it does not run).
 */
int client_open(const struct cli *cli, struct client *ret);

/* As client_open(), but only finds out which project is meant; it need not run. */
int client_find(const struct cli *cli, struct client *ret);

/*
 * One exchange, of CLIENT_ANSWER_S at most. `body`: of a POST; when it is NULL, it could not be made, and nothing is asked.
 * `ret` (may be NULL) gets the answer's JSON, NULL when it had none, also when the answer is an error. When the supervisor dies
 * in the middle its successor is asked again, if it does no harm that the first one may have done it. 0; -ENOTCONN when no
 * supervisor listens; -EINVAL for 400 and 422, -ENOENT for 404, -EBUSY for 409, -EREMOTEIO for all else; `err` (may be NULL)
 * says what the supervisor said.
 */
int client_call(const struct client *client, const char *method, const char *path, const json_t *body, json_t **ret,
                struct err *err);

/* Is that one of the project's services, be it without any instance just now? False with `err` (-ENOENT), also when it cannot
   be asked. */
bool client_has_service(const struct client *client, const char *name, struct err *err);

/* The command's arguments from that one on, as a list for a body. NULL when out of memory: a shorter list would mean others. */
json_t *client_names(const struct cli *cli, size_t first);

/* A supervisor that is well says something every 10 s on a stream, and answers a question at once. */
enum { CLIENT_SILENCE_S = 30, CLIENT_ANSWER_S = 10 };

/* One stream of JSON lines. Zero-initialised by the caller, who sets `line` and `data`. */
struct client_stream {
    void (*line)(struct client_stream *stream, const json_t *object);
    void *data;
    /* For client_follow(): what is to be asked of the successor of a supervisor that died, by what has come so far. NULL: the
       stream ends with its supervisor. The text is the caller's, until the next call. */
    const char *(*rest_path)(struct client_stream *stream);
    bool ended;     /* the supervisor closed or refused it, or it broke, or nothing was heard for CLIENT_SILENCE_S */
    bool broke;     /* ended: the supervisor died; one that refuses or hangs did not */
    struct err err; /* ended: code is 0 when it ended properly */
    const struct client *client;
    CURL *easy;
    struct buf rest; /* the beginning of a line whose end has not come yet */
    char *url;
    int64_t looked_ns, silent_ns; /* when it was last looked at, and how much of the time since was silent */
};

struct client_streams {
    CURLM *multi;
};

int client_streams_init(struct client_streams *streams, struct err *err);
/* After client_stream_close() of all its streams. Accepts a zeroed one. */
void client_streams_free(struct client_streams *streams);

int client_stream_open(struct client_streams *streams, const struct client *client, const char *path,
                       struct client_stream *stream, struct err *err);
/* Asks for the events after the one with the number `seen`, and for all that follow. Returns `path`. */
enum { CLIENT_EVENTS_PATH = 64 };
const char *client_events_path(int64_t seen, char path[CLIENT_EVENTS_PATH]);
/* It has ended, but the project has not: its supervisor died, and as long as anybody holds the project's lock another one takes
   its place, which goes on to tell. Opens the stream again, at `path`. False when there is nobody, or with `err`. */
bool client_stream_again(struct client_streams *streams, const char *path, struct client_stream *stream,
                         struct err *err);
/* Accepts a stream that was never opened. */
void client_stream_close(struct client_streams *streams, struct client_stream *stream);

/* Waits at most `timeout_ms` for lines, or until `fd` (-1: none) is readable; calls `line` for whole lines. */
int client_streams_wait(struct client_streams *streams, int fd, int timeout_ms, struct err *err);

/* Is standard output a pipe whose reader has gone (`events -f | head -n 1`)? */
bool client_nobody_reads(void);

/* Follows one stream to its end, over deaths of supervisors if it has a `rest_path`, or until nobody reads standard output any
   more. `err` may be NULL. */
int client_follow(const struct client *client, const char *path, struct client_stream *stream, struct err *err);

#endif
