/* SPDX-License-Identifier: MIT
 *
 * The application of the benchmarks: starts in about a millisecond, and remembers what was done to it.
 *
 *     GET /          "ok", after DELAY_MS (0), without blocking others
 *     GET /health    "ok" at once
 *     GET /crash     exits with status 1, without an answer
 *     Upgrade: …     101; from then on every byte comes back
 *     POST /?id=N    appends N to the file POST_LOG when the request is whole, then waits DELAY_MS, then answers: so a
 *                    request that is sent again after a death is seen to have been executed twice
 *
 * PORT and HOST (127.0.0.1) say where it listens, or SOCKET a path, or LISTEN_FDS with a socket at descriptor 3. START_LOG is a file to
 * which it appends "PID NANOSECONDS" (CLOCK_MONOTONIC) first of all. Each append is a single write with O_APPEND.
 *
 * FAULTY: so many of a hundred answers are 500, from the start.
 *
 * At SIGUSR1 it falls ill in the way that ILLNESS says, and stays so:
 *     errors     half of its answers are 500
 *     closes     accepts, and closes at once
 *     drips      sends one byte a second
 *     dark       takes and answers nothing, and connection attempts get no answer either, as if packets were lost
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/http1.h"
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { BUFFER = 16 * 1024, FIRST_LISTEN_FD = 3 };

struct conn {
    struct loop_io io;
    struct loop_timer delay;
    bool answering;     /* the request is whole; its delay runs */
    bool close;         /* after the answer */
    bool upgraded;      /* what comes is sent back */
    bool head_done;     /* of the request that comes in */
    uint64_t body_left; /* HTTP1_LENGTH */
    bool body_chunked;
    struct http1_chunked chunked;
    int64_t delay_ns;
    size_t dripped; /* bytes of the answer */
    size_t len;
    char buffer[BUFFER];
};

static struct loop *loop;
static struct http1_head head;
static unsigned faulty;
static int64_t delay_ns;
static int post_log = -1;
static char answer[256];
static size_t answer_len;

enum illness { WELL, ERRORS, CLOSES, DRIPS, DARK };
static const char *const illness_names[] = {
    [WELL] = "well", [ERRORS] = "errors", [CLOSES] = "closes", [DRIPS] = "drips", [DARK] = "dark"
};
static enum illness illness;          /* that it will have */
static volatile sig_atomic_t ill;     /* it has */
static struct sockaddr_storage local; /* where it listens */
static socklen_t local_len = sizeof(local);
static struct loop_io listener;

static void append(int fd, const char *text, size_t len)
{
    if (fd >= 0 && write(fd, text, len) != (ssize_t)len)
        exit(3); /* a log that lies is worse than none */
}

static void conn_end(struct conn *conn)
{
    loop_io_remove(loop, &conn->io);
    loop_timer_cancel(loop, &conn->delay);
    (void)close(conn->io.fd);
    free(conn);
}

/* What the whole head asks for. False: the connection is to be ended. */
static bool execute(struct conn *conn)
{
    const char *path = conn->buffer + head.path.at;

    conn->delay_ns = delay_ns;
    if (http1_slice_is(conn->buffer, head.path, "/crash"))
        exit(1);
    if (http1_slice_is(conn->buffer, head.path, "/health"))
        conn->delay_ns = 0;
    if (head.method == HTTP1_POST) {
        char line[32];
        const char *id = memmem(path, head.path.len, "id=", 3);
        int len = snprintf(line, sizeof(line), "%ld\n", id ? strtol(id + 3, NULL, 10) : -1);
        append(post_log, line, (size_t)len);
    }
    conn->close = !head.keep_alive;
    conn->body_left = head.framing == HTTP1_LENGTH ? head.content_length : 0;
    conn->body_chunked = head.framing == HTTP1_CHUNKED;
    conn->chunked = (struct http1_chunked){ 0 };
    return head.framing != HTTP1_UNTIL_CLOSE;
}

static void consume(struct conn *conn, size_t len)
{
    conn->len -= len;
    memmove(conn->buffer, conn->buffer + len, conn->len);
}

/* Takes the body's bytes off the buffer. 1: it is whole, 0: more to come, -1: malformed. */
static int drop_body(struct conn *conn)
{
    if (conn->body_chunked) {
        ssize_t n = http1_chunked_feed(&conn->chunked, conn->buffer, conn->len);
        if (n < 0)
            return -1;
        consume(conn, (size_t)n);
        return conn->chunked.done;
    }
    size_t n = conn->body_left < conn->len ? (size_t)conn->body_left : conn->len;
    conn->body_left -= n;
    consume(conn, n);
    return conn->body_left == 0;
}

/* One byte of the answer now, the next in a second. False: the connection is gone. */
static bool drip(struct conn *conn)
{
    if (send(conn->io.fd, answer + conn->dripped++, 1, MSG_NOSIGNAL) != 1 || conn->dripped == answer_len) {
        conn_end(conn);
        return false;
    }
    loop_timer_set(loop, &conn->delay, clock_now() + NS_PER_S);
    return true;
}

/* False: the connection is gone. An answer finds room in an empty socket buffer; who does not read gets no more. */
static bool send_answer(struct conn *conn)
{
    static const char error[] = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nno\n";
    static unsigned count;
    const char *text = answer;
    size_t len = answer_len;

    if (ill && illness == DRIPS)
        return drip(conn);
    unsigned now = count++;
    if ((ill && illness == ERRORS && now % 2 == 0) || now * faulty % 100 < faulty) {
        text = error;
        len = sizeof(error) - 1;
    }
    conn->answering = conn->head_done = false;
    if (send(conn->io.fd, text, len, MSG_NOSIGNAL) == (ssize_t)len && !conn->close)
        return true;
    conn_end(conn);
    return false;
}

/* False: the connection is gone. Who does not read what comes back is given up. */
static bool echo(struct conn *conn)
{
    bool sent = send(conn->io.fd, conn->buffer, conn->len, MSG_NOSIGNAL) == (ssize_t)conn->len;
    conn->len = 0;
    if (!sent)
        conn_end(conn);
    return sent;
}

static bool upgrade(struct conn *conn)
{
    static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    conn->upgraded = true;
    if (send(conn->io.fd, switching, sizeof(switching) - 1, MSG_NOSIGNAL) == sizeof(switching) - 1)
        return conn->len == 0 || echo(conn);
    conn_end(conn);
    return false;
}

/* Goes on with what is in the buffer. False: the connection is gone. */
static bool advance(struct conn *conn)
{
    while (!conn->answering) {
        if (!conn->head_done) {
            int n = http1_parse_request(conn->buffer, conn->len, &http1_default_limits, &head);
            if (n == 0)
                return true;
            if (n < 0 || !execute(conn)) {
                conn_end(conn);
                return false;
            }
            consume(conn, (size_t)n);
            if (head.upgrade)
                return upgrade(conn);
            conn->head_done = true;
        }
        int whole = drop_body(conn);
        if (whole < 0) {
            conn_end(conn);
            return false;
        }
        if (!whole)
            return true;
        conn->answering = true;
        if (conn->delay_ns > 0) {
            loop_timer_set(loop, &conn->delay, clock_now() + conn->delay_ns);
            return true;
        }
        if (!send_answer(conn))
            return false;
    }
    return true;
}

static void on_delay(struct loop_timer *timer)
{
    struct conn *conn = timer->data;

    if (send_answer(conn))
        (void)advance(conn);
}

/* The rest of a body with a length is dropped in the kernel, uncopied: it is not the application that is to be measured. */
static void skip_body(struct conn *conn)
{
    ssize_t n = recv(conn->io.fd, NULL, (size_t)conn->body_left, MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_end(conn);
        return;
    }
    conn->body_left -= (uint64_t)n;
    if (conn->body_left == 0)
        (void)advance(conn);
}

static void on_readable(struct loop_io *io, uint32_t events)
{
    struct conn *conn = io->data;

    (void)events;
    if (conn->head_done && conn->body_left > 0 && local.ss_family != AF_UNIX) {
        skip_body(conn);
        return;
    }
    if (conn->len == sizeof(conn->buffer)) {
        conn_end(conn); /* more pipelined than anybody here sends */
        return;
    }
    ssize_t n = recv(io->fd, conn->buffer + conn->len, sizeof(conn->buffer) - conn->len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_end(conn);
        return;
    }
    conn->len += (size_t)n;
    if (ill && illness == CLOSES)
        conn_end(conn);
    else if (conn->upgraded)
        (void)echo(conn);
    else
        (void)advance(conn);
}

static void on_connection(struct loop_io *io, uint32_t events)
{
    int on = 1, fd;

    (void)events;
    while ((fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (ill && illness == CLOSES) {
            (void)close(fd);
            continue;
        }
        struct conn *conn = calloc(1, sizeof(*conn));
        if (!conn)
            exit(3);
        conn->io = (struct loop_io){ .fn = on_readable, .data = conn };
        conn->delay = (struct loop_timer){ .fn = on_delay, .data = conn };
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (loop_io_add(loop, &conn->io, fd, EPOLLIN) < 0)
            exit(3);
    }
}

/* Fills its own queue of connections and looks at nothing any more: the kernel then drops the next SYN. Only calls that
   a signal handler may make. */
static void go_dark(void)
{
    (void)listen(listener.fd, 0);
    for (int i = 0; i < 8; i++) {
        int fd = socket(local.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fd, (const struct sockaddr *)&local, local_len);
    }
    for (;;)
        (void)pause();
}

static void on_signal(int number)
{
    (void)number;
    ill = 1;
    if (illness == DARK)
        go_dark();
}

static int listen_unix(const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
    (void)unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&un, sizeof(un)) < 0 || listen(fd, 4096) < 0)
        return -1;
    return fd;
}

static int listen_socket(void)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_PASSIVE | AI_NUMERICHOST };
    const char *fds = getenv("LISTEN_FDS"), *host = getenv("HOST"), *port = getenv("PORT");
    struct addrinfo *found;
    int on = 1;

    if (getenv("SOCKET"))
        return listen_unix(getenv("SOCKET"));
    if (fds && atoi(fds) >= 1)
        return fcntl(FIRST_LISTEN_FD, F_SETFL, O_NONBLOCK) < 0 ? -1 : FIRST_LISTEN_FD;
    if (getaddrinfo(host ? host : "127.0.0.1", port ? port : "8080", &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
                    bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, 4096) < 0)) {
        (void)close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static int open_log(const char *variable)
{
    const char *path = getenv(variable);
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;

    if (path && fd < 0)
        exit(3);
    return fd;
}

static void prepare_illness(void)
{
    const char *name = getenv("ILLNESS");
    for (enum illness i = WELL; name && i <= DARK; i++)
        if (strcmp(name, illness_names[i]) == 0)
            illness = i;
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    if (illness != WELL && sigaction(SIGUSR1, &action, NULL) < 0)
        exit(3);
}

int main(void)
{
    int64_t started = clock_now();
    int start_log = open_log("START_LOG");
    char line[64];
    int len = snprintf(line, sizeof(line), "%d %" PRId64 "\n", (int)getpid(), started);
    append(start_log, line, (size_t)len);
    if (start_log >= 0)
        (void)close(start_log);

    const char *delay = getenv("DELAY_MS"), *port = getenv("PORT");
    delay_ns = delay ? atol(delay) * NS_PER_MS : 0;
    faulty = getenv("FAULTY") ? (unsigned)atoi(getenv("FAULTY")) : 0;
    post_log = open_log("POST_LOG");
    answer_len = (size_t)snprintf(answer, sizeof(answer),
                                  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
                                  "X-Instance: %.32s\r\n\r\nok\n",
                                  port ? port : "socket");
    listener.fn = on_connection;
    loop = loop_new();
    int fd = listen_socket();
    if (!loop || fd < 0 || loop_io_add(loop, &listener, fd, EPOLLIN) < 0 ||
        getsockname(fd, (struct sockaddr *)&local, &local_len) < 0) {
        perror("app: listen");
        return 1;
    }
    prepare_illness();
    return loop_run(loop) < 0 ? 3 : 0;
}
