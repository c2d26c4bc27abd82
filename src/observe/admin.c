/* SPDX-License-Identifier: MIT
 *
 * Joins libmicrohttpd with base/loop: its epoll descriptor is watched like any other, and its own timeout becomes a
 * timer. A stream that has nothing to send is suspended until admin_wake(), so nothing polls.
 */
#include "observe/admin.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/inherit.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    BODY_LIMIT = 4 << 20, /* of a request; POST /v1/up carries a whole environment */
    BLOCK = 32 << 10,
    /* Clients at once; the next ones wait. Instances need descriptors more: clients get no larger part of the table than that. */
    CLIENTS = 128,
    CLIENTS_PART = 8,
    /* Who neither asks nor reads for so long is not waited for. Followers may take their time. */
    SILENCE_S = 30,
};
/* How long followers wait for what else comes. Each wake costs a pass over all streams. */
#define WAKE_NS (5 * NS_PER_MS)
/* A silent stream gets an empty line, which finds out whether the client is still there. */
#define BEAT_NS (10 * NS_PER_S)
/* How long admin_free() waits for clients that do not read. */
#define END_NS (500 * NS_PER_MS)

/* One request's body while it comes in. */
struct upload {
    struct buf body;
    bool too_large;
};

/* One streamed answer. */
struct stream {
    struct stream *next, **link;
    struct admin *admin;
    struct MHD_Connection *connection;
    struct feed feed;
    struct buf out; /* filled from the feed, not sent yet */
    bool suspended;
    bool beat; /* an empty line is due */
};

struct admin {
    struct loop *loop;
    const struct api *api;
    struct MHD_Daemon *daemon;
    struct loop_io io;      /* the daemon's epoll descriptor */
    struct loop_timer turn; /* the daemon wants to run again */
    struct loop_timer wake; /* followers have something new */
    struct loop_timer beat;
    int64_t woken_ns;
    struct stream *streams;
    bool ending;
};

int admin_listen(const char *path, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(err, -ENAMETOOLONG, "%.200s is too long a name for a socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int inherited = inherit_listener((struct sockaddr *)&address, sizeof(address));
    if (inherited >= 0)
        return inherited;
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(err, -errno, "cannot open a Unix socket");
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, -errno, "cannot remove the old socket %s", path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0600) < 0 || listen(fd, 128) < 0)
        return err_errno(err, -errno, "cannot listen on %s", path);
    return TAKE_FD(fd);
}

static unsigned clients(struct admin *admin)
{
    return MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

static void run(struct admin *admin)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    unsigned before;

    /* When there was no room for more, it is the run after the one in which clients leave that lets others in. */
    do {
        before = clients(admin);
        (void)MHD_run(admin->daemon);
    } while (clients(admin) < before);
    if (MHD_get_timeout(admin->daemon, &wait_ms) == MHD_YES)
        loop_timer_set(admin->loop, &admin->turn, clock_now() + (int64_t)wait_ms * NS_PER_MS);
    else
        loop_timer_cancel(admin->loop, &admin->turn);
}

static void on_ready(struct loop_io *io, uint32_t events)
{
    run(io->data);
}

static void on_turn(struct loop_timer *timer)
{
    run(timer->data);
}

static void resume_all(struct admin *admin)
{
    for (struct stream *stream = admin->streams; stream; stream = stream->next) {
        if (!stream->suspended)
            continue;
        stream->suspended = false;
        MHD_resume_connection(stream->connection);
    }
    run(admin);
}

static void on_wake(struct loop_timer *timer)
{
    struct admin *admin = timer->data;
    admin->woken_ns = loop_now(admin->loop);
    resume_all(admin);
}

static void on_beat(struct loop_timer *timer)
{
    struct admin *admin = timer->data;

    for (struct stream *stream = admin->streams; stream; stream = stream->next)
        stream->beat = true;
    loop_timer_set(admin->loop, &admin->beat, loop_now(admin->loop) + BEAT_NS);
    resume_all(admin);
}

void admin_wake(struct admin *admin)
{
    if (!admin->streams || loop_timer_armed(&admin->wake))
        return;
    int64_t now = loop_now(admin->loop), next = admin->woken_ns + WAKE_NS;
    loop_timer_set(admin->loop, &admin->wake, next > now ? next : now);
}

/* libmicrohttpd asks for the next bytes of a stream. */
static ssize_t read_stream(void *data, uint64_t position, char *block, size_t max)
{
    struct stream *stream = data;

    if (stream->out.len == 0 && !feed_fill(&stream->feed, &stream->out)) {
        if (!stream->feed.follow || stream->admin->ending)
            return MHD_CONTENT_READER_END_OF_STREAM;
        if (!stream->beat) {
            stream->suspended = true;
            MHD_suspend_connection(stream->connection);
            return 0;
        }
        buf_puts(&stream->out, "\n");
    }
    if (stream->out.failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    stream->beat = false;
    size_t n = stream->out.len < max ? stream->out.len : max;
    memcpy(block, stream->out.data, n);
    buf_consume(&stream->out, n);
    return (ssize_t)n;
}

static void free_stream(void *data)
{
    struct stream *stream = data;

    *stream->link = stream->next;
    if (stream->next)
        stream->next->link = stream->link;
    feed_end(&stream->feed);
    buf_free(&stream->out);
    free(stream);
}

/* Takes the feed over. */
static struct MHD_Response *stream_response(struct admin *admin, struct MHD_Connection *connection, struct feed *feed)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (!stream) {
        feed_end(feed);
        return NULL;
    }
    stream->admin = admin;
    stream->connection = connection;
    stream->feed = *feed;
    stream->next = admin->streams;
    stream->link = &admin->streams;
    if (stream->next)
        stream->next->link = &stream->next;
    admin->streams = stream;
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, stream, free_stream);
    if (!response)
        free_stream(stream);
    return response;
}

/* Takes the text over; NULL: an empty one. */
static struct MHD_Response *text_response(char *text)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(text ? strlen(text) : 0, text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        free(text);
    return response;
}

/* Hands the answer to the connection; releases what it holds. */
static enum MHD_Result send_answer(struct admin *admin, struct MHD_Connection *connection, struct api_answer *answer)
{
    struct MHD_Response *response;
    const char *type;

    if (answer->is_feed) {
        type = "application/x-ndjson";
        response = stream_response(admin, connection, &answer->feed);
    } else if (answer->text) {
        type = "text/plain; version=0.0.4; charset=utf-8";
        response = text_response(TAKE_PTR(answer->text));
    } else {
        type = "application/json";
        response =
            text_response(answer->json ? json_dumps(answer->json, JSON_COMPACT | JSON_REAL_PRECISION(16)) : NULL);
    }
    json_decref(answer->json);
    if (!response)
        return MHD_NO;
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    if (answer->is_feed)
        (void)MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    return result;
}

/* The n-th value of one query parameter. */
struct lookup {
    const char *name, *value;
    size_t left;
};

static enum MHD_Result look(void *data, enum MHD_ValueKind kind, const char *key, const char *value)
{
    struct lookup *lookup = data;

    if (strcmp(key, lookup->name) != 0 || lookup->left-- > 0)
        return MHD_YES;
    lookup->value = value ? value : "";
    return MHD_NO;
}

static const char *query(const struct api_request *request, const char *name, size_t n)
{
    struct lookup lookup = { .name = name, .left = n };
    (void)MHD_get_connection_values(request->data, MHD_GET_ARGUMENT_KIND, look, &lookup);
    return lookup.value;
}

static void take_upload(struct upload *upload, const char *data, size_t len)
{
    if (upload->body.len + len > BODY_LIMIT || upload->body.failed)
        upload->too_large = true;
    else
        buf_add(&upload->body, data, len);
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload_data, size_t *upload_len, void **con_cls)
{
    struct admin *admin = data;
    struct upload *upload = *con_cls;
    struct api_answer answer;

    if (admin->ending)
        return MHD_NO; /* closes it: whoever could answer is gone already */
    if (!upload) {
        *con_cls = calloc(1, sizeof(struct upload));
        return *con_cls ? MHD_YES : MHD_NO;
    }
    if (*upload_len > 0) {
        take_upload(upload, upload_data, *upload_len);
        *upload_len = 0;
        return MHD_YES;
    }
    if (upload->too_large) {
        answer = (struct api_answer){
            .status = MHD_HTTP_CONTENT_TOO_LARGE,
            .json = json_pack("{s:s}", "error", "the body is too large"),
        };
    } else {
        const struct api_request request = {
            .method = method,
            .path = url,
            .body = upload->body.data,
            .body_len = upload->body.len,
            .query = query,
            .data = connection,
        };
        api_handle(admin->api, &request, &answer);
    }
    return send_answer(admin, connection, &answer);
}

static void on_completed(void *data, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    struct upload *upload = *con_cls;

    if (upload)
        buf_free(&upload->body);
    free(upload);
    *con_cls = NULL;
}

static unsigned clients_limit(void)
{
    struct rlimit files;
    rlim_t part = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur / CLIENTS_PART : CLIENTS;

    return part < CLIENTS ? (unsigned)part : CLIENTS;
}

struct admin *admin_new(struct loop *loop, int listen_fd, const struct api *api, struct err *err)
{
    struct admin *admin = calloc(1, sizeof(*admin));

    if (!admin) {
        (void)err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    *admin = (struct admin){
        .loop = loop,
        .api = api,
        .io = { .fn = on_ready, .data = admin },
        .turn = { .fn = on_turn, .data = admin },
        .wake = { .fn = on_wake, .data = admin },
        .beat = { .fn = on_beat, .data = admin },
    };
    errno = 0;
    admin->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, admin,
                                     MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
                                     NULL, MHD_OPTION_CONNECTION_LIMIT, clients_limit(), MHD_OPTION_CONNECTION_TIMEOUT,
                                     (unsigned)SILENCE_S, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        admin->daemon ? MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    int r = info ? loop_io_add(loop, &admin->io, info->epoll_fd, EPOLLIN) : errno ? -errno : -EIO;
    if (r < 0) {
        (void)err_errno(err, r, "cannot start the admin server");
        admin_free(admin);
        return NULL;
    }
    loop_timer_set(loop, &admin->beat, loop_now(loop) + BEAT_NS);
    return admin;
}

/* Lets the streams run out. The loop does not turn any more, so this waits by itself. */
static void end_streams(struct admin *admin)
{
    int64_t deadline = clock_now() + END_NS;
    struct pollfd poll_fd = { .fd = admin->io.fd, .events = POLLIN };

    admin->ending = true;
    resume_all(admin);
    while (admin->streams && clock_now() < deadline) {
        (void)poll(&poll_fd, 1, 10);
        (void)MHD_run(admin->daemon);
    }
}

void admin_free(struct admin *admin)
{
    if (!admin)
        return;
    if (admin->io.added)
        end_streams(admin);
    loop_io_remove(admin->loop, &admin->io);
    loop_timer_cancel(admin->loop, &admin->turn);
    loop_timer_cancel(admin->loop, &admin->wake);
    loop_timer_cancel(admin->loop, &admin->beat);
    /* A connection may not be suspended when its daemon stops. */
    for (struct stream *stream = admin->streams; stream; stream = stream->next)
        if (stream->suspended)
            MHD_resume_connection(stream->connection);
    if (admin->daemon)
        MHD_stop_daemon(admin->daemon);
    free(admin);
}
