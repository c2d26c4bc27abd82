/* SPDX-License-Identifier: MIT
 *
 * The rig of test_worker.c: a real worker in a child, upstreams with many manners in other children, and a plain
 * blocking client. Included by one test program only, hence static.
 */
#ifndef DARUMA_TESTS_GATEWAY_RIG_H
#define DARUMA_TESTS_GATEWAY_RIG_H

#include "base/board.h"
#include "base/clock.h"
#include "base/gauges.h"
#include "base/http1.h"
#include "gateway/access.h"
#include "gateway/gateway.h"

#include "../wait.h"

#include <setjmp.h>
#include <stdarg.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- upstreams -------------------------------------------------------------------------------------------------- */

/* What an upstream has seen, shared with the test. */
struct seen {
    _Atomic uint32_t connections, requests, posts, pieces;
    _Atomic uint64_t body_bytes;
};

struct upstream_child {
    pid_t pid;
    struct board_address address;
    struct seen *seen;
    int release_fd; /* written to by the test: lets one "/wait" go on */
    char path[108]; /* of a Unix socket */
};

struct server {
    int fd;
    int wait_fd;
    struct seen *seen;
    const char *name;
};

struct session {
    const struct server *server;
    int fd;
    char buf[65536];
    size_t len;
    struct http1_head head;
};

static inline bool put(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static inline bool puts_fd(int fd, const char *text)
{
    return put(fd, text, strlen(text));
}

/* More bytes into the session's buffer. */
static inline bool fill(struct session *session)
{
    ssize_t n = recv(session->fd, session->buf + session->len, sizeof(session->buf) - session->len, 0);
    if (n <= 0)
        return false;
    session->len += (size_t)n;
    return true;
}

static inline void consume(struct session *session, size_t len)
{
    memmove(session->buf, session->buf + len, session->len - len);
    session->len -= len;
}

static inline bool session_path(const struct session *session, const char *path)
{
    return http1_slice_is(session->buf, session->head.path, path);
}

/* Reads the body; with `echo` each piece is sent back as a chunk. */
static inline bool serve_body(struct session *session, bool echo)
{
    uint64_t left = session->head.content_length;
    struct http1_chunked chunked = { 0 };
    enum http1_framing framing = session->head.framing;
    for (;;) {
        if ((framing == HTTP1_LENGTH && left == 0) || (framing == HTTP1_CHUNKED && chunked.done) ||
            framing == HTTP1_NO_BODY)
            return true;
        if (session->len == 0 && !fill(session))
            return false;
        static _Thread_local char data[sizeof(session->buf)];
        size_t used, got;
        if (framing == HTTP1_LENGTH) {
            used = got = session->len < left ? session->len : (size_t)left;
            memcpy(data, session->buf, got);
            left -= got;
        } else {
            ssize_t fed = http1_chunked_data(&chunked, session->buf, session->len, data, &got);
            if (fed < 0)
                return false;
            used = (size_t)fed;
        }
        atomic_fetch_add(&session->server->seen->body_bytes, got);
        char size[32];
        if (echo && got > 0 &&
            !(snprintf(size, sizeof(size), "%zx\r\n", got) > 0 && puts_fd(session->fd, size) &&
              put(session->fd, data, got) && puts_fd(session->fd, "\r\n")))
            return false;
        consume(session, used);
    }
}

enum { BIG = 64 << 20, BIG_PIECE = 65536 }; /* bytes of a large body, and of what it is made and checked in */

/* Each eight bytes of a large body say where they stand in it. */
static inline uint64_t big_word(uint64_t at)
{
    return at * UINT64_C(0x9e3779b97f4a7c15);
}

static inline void big_piece(char *piece, uint64_t at)
{
    for (size_t i = 0; i < BIG_PIECE; i += 8) {
        uint64_t word = big_word(at + i);
        memcpy(piece + i, &word, 8);
    }
}

/* The large body: with a length, in chunks of 4 MiB, or until it closes. */
static inline bool serve_big(struct session *session, enum http1_framing framing)
{
    static _Thread_local char piece[BIG_PIECE];
    const char *head = framing == HTTP1_LENGTH    ? "HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n"
                       : framing == HTTP1_CHUNKED ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                                  : "HTTP/1.0 200 OK\r\n\r\n";
    if (!puts_fd(session->fd, head))
        return false;
    for (uint64_t at = 0; at < BIG; at += BIG_PIECE) {
        bool begins = framing == HTTP1_CHUNKED && at % (4 << 20) == 0;
        big_piece(piece, at);
        if ((begins && !puts_fd(session->fd, at > 0 ? "\r\n400000\r\n" : "400000\r\n")) ||
            !put(session->fd, piece, BIG_PIECE))
            return false;
    }
    if (framing == HTTP1_CHUNKED)
        return puts_fd(session->fd, "\r\n0\r\n\r\n");
    return framing == HTTP1_LENGTH;
}

enum { PIECE = 16384 };

/* A chunked answer, of which a piece is sent each time the test says 'p', and the end when it says something else. */
static inline bool serve_pieces(struct session *session)
{
    static const char begin[] = "4000\r\n", end[] = "0\r\n\r\n";
    static _Thread_local char piece[sizeof(begin) - 1 + PIECE + 2];
    memset(piece, 'x', sizeof(piece));
    memcpy(piece, begin, sizeof(begin) - 1);
    memcpy(piece + sizeof(piece) - 2, "\r\n", 2);
    if (!puts_fd(session->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
        return false;
    for (;;) {
        char said;
        if (read(session->server->wait_fd, &said, 1) != 1)
            return false;
        bool sent = said == 'p' ? put(session->fd, piece, sizeof(piece)) : puts_fd(session->fd, end);
        atomic_fetch_add(&session->server->seen->pieces, 1);
        if (!sent || said != 'p')
            return sent;
    }
}

static inline bool serve_hello(struct session *session)
{
    char text[256], body[64];
    int len = snprintf(body, sizeof(body), "hello from %s\n", session->server->name);
    (void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-App: yes\r\n\r\n%s", len,
                   session->head.method == HTTP1_HEAD ? "" : body);
    return puts_fd(session->fd, text);
}

/* Answers with the request head as it came, so that the test sees what was forwarded. */
static inline bool serve_mirror(struct session *session, const char *head, size_t len)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    return puts_fd(session->fd, text) && put(session->fd, head, len);
}

static inline bool serve_tunnel(struct session *session)
{
    if (!puts_fd(session->fd,
                 "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nwelcome"))
        return false;
    consume(session, session->head.len);
    while (session->len > 0 || fill(session)) {
        if (!put(session->fd, session->buf, session->len))
            return false;
        session->len = 0;
    }
    return false;
}

/* From now on nothing that is sent to this socket arrives: as when it is on its way while the socket is closed. */
static inline void go_deaf(int fd)
{
    struct sock_filter drop = { .code = BPF_RET | BPF_K, .k = 0 };
    (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &(struct sock_fprog){ .len = 1, .filter = &drop },
                     sizeof(struct sock_fprog));
}

/* Manners that end the connection or the process before there is an answer. */
static inline void serve_badly(struct session *session)
{
    bool half_until_close = session_path(session, "/half-until-close");
    if (half_until_close)
        (void)puts_fd(session->fd, "HTTP/1.0 200 OK\r\n\r\nonly this");
    if (half_until_close || session_path(session, "/reset"))
        (void)setsockopt(session->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    else if (session_path(session, "/half"))
        (void)puts_fd(session->fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    else if (session_path(session, "/garbage"))
        (void)puts_fd(session->fd, "I do not speak HTTP\r\n\r\n");
    else if (session_path(session, "/kill"))
        (void)kill(getpid(), SIGKILL);
}

/* A byte of the answer a second, for longer than anybody waits. */
static inline bool serve_dripping(const struct session *session)
{
    for (const char *byte = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"; *byte; byte++) {
        if (!put(session->fd, byte, 1))
            return false;
        clock_sleep(NS_PER_S);
    }
    return true;
}

/* Of "/wait-500-by-N" the Nth. */
static inline bool is_the_one_that_waits_in_vain(const struct session *session)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/wait-500-by-%.8s", session->server->name + strlen("app-"));
    return session_path(session, path);
}

/* One exchange. False when the connection is over. */
static inline bool serve_one(struct session *session)
{
    static const char chunked[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    static _Thread_local char head[20000];
    size_t head_len = session->head.len;
    memcpy(head, session->buf, head_len);

    if (session_path(session, "/close") || session_path(session, "/reset") || session_path(session, "/half") ||
        session_path(session, "/half-until-close") || session_path(session, "/garbage") ||
        session_path(session, "/kill")) {
        serve_badly(session);
        return false;
    }
    if (session_path(session, "/upgrade"))
        return serve_tunnel(session);
    if (session_path(session, "/close-1") && strcmp(session->server->name, "app-1") == 0)
        return false;
    if (session_path(session, "/drip-1") && strcmp(session->server->name, "app-1") == 0)
        return serve_dripping(session);
    bool echo = session_path(session, "/echo"), early = session_path(session, "/early");
    bool hello = false, mirror = session_path(session, "/mirror");
    enum http1_framing big = session_path(session, "/big")               ? HTTP1_LENGTH
                             : session_path(session, "/big-chunked")     ? HTTP1_CHUNKED
                             : session_path(session, "/big-until-close") ? HTTP1_UNTIL_CLOSE
                                                                         : HTTP1_NO_BODY;
    const char *fixed = NULL;
    if (session_path(session, "/204"))
        fixed = "HTTP/1.1 204 No Content\r\n\r\n";
    else if (session_path(session, "/500") || is_the_one_that_waits_in_vain(session))
        fixed = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\noops\n";
    else if (session_path(session, "/not-by-2") && strcmp(session->server->name, "app-2") == 0)
        fixed = "HTTP/1.1 501 Not Implemented\r\nContent-Length: 5\r\n\r\noops\n";
    else if (session_path(session, "/dated"))
        fixed = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n";
    else if (session_path(session, "/hints"))
        fixed = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    else if (session_path(session, "/keep-1"))
        fixed = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1, max=100\r\nContent-Length: 2\r\n\r\nok";
    else if (session_path(session, "/until-close"))
        fixed = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall there is";
    else if (session_path(session, "/chunked"))
        fixed = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n";
    else if (early)
        fixed = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbig\n";
    else
        hello = !echo && !mirror && !big;
    bool until_close = session_path(session, "/until-close"), deaf = session_path(session, "/deaf");
    /* Ends the connection when it has been idle for that long. */
    if (session_path(session, "/brief"))
        (void)setsockopt(session->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_usec = 800000 },
                         sizeof(struct timeval));
    if (session_path(session, "/hints-wait") && !puts_fd(session->fd, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
        return false;
    if (session_path(session, "/wait") || session_path(session, "/hints-wait") ||
        session_path(session, "/wait-500-by-1") || session_path(session, "/wait-500-by-3")) {
        char byte;
        if (read(session->server->wait_fd, &byte, 1) != 1)
            return false;
    }
    if (session->head.expect_continue && !puts_fd(session->fd, "HTTP/1.1 100 Continue\r\n\r\n"))
        return false;
    consume(session, head_len);
    if (early) {
        (void)puts_fd(session->fd, fixed);
        (void)shutdown(session->fd, SHUT_WR);
        while (fill(session))
            session->len = 0;
        return false;
    }
    if ((echo && !puts_fd(session->fd, chunked)) || !serve_body(session, echo) ||
        (echo && !puts_fd(session->fd, "0\r\n\r\n")))
        return false;
    if (session_path(session, "/pieces"))
        return serve_pieces(session);
    if (mirror)
        return serve_mirror(session, head, head_len);
    if (big)
        return serve_big(session, big);
    if (deaf) {
        go_deaf(session->fd);
        (void)serve_hello(session);
        clock_sleep(100 * NS_PER_MS);
        return false;
    }
    if (hello)
        return serve_hello(session);
    return (!fixed || puts_fd(session->fd, fixed)) && !until_close;
}

static inline void *serve(void *argument)
{
    struct session *session = argument;
    for (;;) {
        int len = http1_parse_request(session->buf, session->len, &http1_default_limits, &session->head);
        if (len < 0 || (len == 0 && !fill(session)))
            break;
        if (len == 0)
            continue;
        atomic_fetch_add(&session->server->seen->requests, 1);
        if (session->head.method == HTTP1_POST)
            atomic_fetch_add(&session->server->seen->posts, 1);
        if (!serve_one(session))
            break;
    }
    (void)close(session->fd);
    free(session);
    return NULL;
}

static inline void run_upstream(const struct server *server)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0)
            continue;
        atomic_fetch_add(&server->seen->connections, 1);
        struct session *session = calloc(1, sizeof(*session));
        pthread_t thread;
        if (!session)
            _exit(1);
        session->server = server;
        session->fd = fd;
        if (pthread_create(&thread, NULL, serve, session) != 0)
            _exit(1);
        (void)pthread_detach(thread);
    }
}

static inline int listen_on(struct board_address *address)
{
    int fd = socket(address->u.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    assert_int_equal(bind(fd, &address->u.any, address->len), 0);
    assert_int_equal(listen(fd, 511), 0);
    socklen_t len = sizeof(address->u);
    assert_int_equal(getsockname(fd, &address->u.any, &len), 0);
    address->len = len;
    return fd;
}

static inline struct board_address loopback(void)
{
    struct board_address address = { .len = sizeof(struct sockaddr_in) };
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    memcpy(&address.u, &in, sizeof(in));
    return address;
}

/* An upstream on a free port, also of "[::1]", or on the Unix socket `path`. */
static inline void upstream_start(struct upstream_child *child, const char *name, const char *path)
{
    *child = (struct upstream_child){ .address = loopback() };
    if (path && strcmp(path, "[::1]") == 0) {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        memcpy(&child->address.u, &in6, sizeof(in6));
        child->address.len = sizeof(in6);
    } else if (path) {
        struct sockaddr_un un = { .sun_family = AF_UNIX };
        (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
        memcpy(&child->address.u, &un, sizeof(un));
        child->address.len = sizeof(un);
        (void)snprintf(child->path, sizeof(child->path), "%s", path);
    }
    int pipe_fds[2], fd = listen_on(&child->address);
    assert_int_equal(pipe(pipe_fds), 0);
    child->seen = mmap(NULL, sizeof(*child->seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(child->seen, MAP_FAILED);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0) {
        (void)close(pipe_fds[1]);
        run_upstream(&(struct server){ .fd = fd, .wait_fd = pipe_fds[0], .seen = child->seen, .name = name });
    }
    (void)close(fd);
    (void)close(pipe_fds[0]);
    child->release_fd = pipe_fds[1];
}

static inline void upstream_kill(struct upstream_child *child)
{
    if (child->pid > 0) {
        (void)kill(child->pid, SIGKILL);
        (void)waitpid(child->pid, NULL, 0);
    }
    child->pid = 0;
}

static inline void upstream_end(struct upstream_child *child)
{
    upstream_kill(child);
    if (child->seen) {
        (void)munmap(child->seen, sizeof(*child->seen));
        (void)close(child->release_fd);
        if (child->path[0])
            (void)unlink(child->path);
    }
    *child = (struct upstream_child){ 0 };
}

/* --- the worker ------------------------------------------------------------------------------------------------- */

struct rig {
    struct board *board;
    struct gauges *gauges;
    void *shared;
    struct access_ring *access;
    int bell, supervisor_bell, channel;
    int listener;
    uint16_t port;
    int service, route;
    pid_t worker;             /* with a guard: that one */
    struct guard_area *guard; /* NULL: none */
    struct upstream_child up[4];
    int endpoint[4];
};

static inline void ring(struct rig *rig)
{
    assert_int_equal(write(rig->bell, &(uint64_t){ 1 }, 8), 8);
}

static inline void send_listener(struct rig *rig, int fd, uint32_t index)
{
    struct gateway_message message = { .kind = GATEWAY_LISTEN, .index = index, .generation = 1 };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec piece = { &message, sizeof(message) };
    struct msghdr envelope = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&envelope);
    *header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    assert_int_equal(sendmsg(rig->channel, &envelope, 0), sizeof(message));
}

struct rig_options {
    enum board_protocol protocol;
    enum board_placement placement;
    int64_t hold_ns, response_timeout_ns;
    int64_t patience_min_ns, patience_max_ns;
    const struct board_limits *limits; /* NULL: the usual ones */
    bool proxy;                        /* clients begin with a PROXY header */
    struct board_network proxy_from;   /* who may send it; family 0: anyone */
    unsigned service_proxy;            /* version of the header that endpoints want */
    unsigned all_connections;
    unsigned connections;
    unsigned files; /* descriptors that the worker may have; 0: as many as the test */
    bool served_by;
    bool guarded; /* the worker has a guard, and comes back when it dies */
    enum board_access access;
};

/* The worker itself, as it is now. */
static inline pid_t rig_role(const struct rig *rig)
{
    return rig->guard ? rig->guard->member[GUARD_SIDE_ROLE].pid : rig->worker;
}

static inline void rig_start(struct rig *rig, const struct rig_options *options)
{
    int channel[2];
    *rig = (struct rig){ 0 };
    rig->board = board_new(NULL);
    rig->gauges = gauges_new(1, NULL);
    rig->shared = gateway_shared_new(NULL);
    rig->access = access_rings_new(1, NULL);
    rig->board->access = options->access;
    rig->board->access_sample = UINT32_MAX;
    rig->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rig->supervisor_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(rig->board && rig->gauges && rig->shared && rig->bell >= 0 && rig->supervisor_bell >= 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);

    struct board_listener listener = { .state = BOARD_LISTENER_ACTIVE,
                                       .protocol = options->protocol,
                                       .limits = board_usual_limits };
    if (options->limits)
        listener.limits = *options->limits;
    rig->board->connections = options->all_connections;
    listener.proxy = options->proxy;
    listener.proxy_from[0] = options->proxy_from;
    listener.proxy_from_len = options->proxy_from.family != 0;
    rig->board->served_by = options->served_by;
    rig->service = board_service_add(rig->board, "app");
    rig->board->services[rig->service].proxy = options->service_proxy;
    int index = board_listener_add(rig->board, &listener);
    struct board_route route = {
        .listener = (uint32_t)index,
        .targets = 1,
        .service = { (uint16_t)rig->service },
        .placement = options->placement,
        .retry_on = BOARD_RETRY_ERROR | BOARD_RETRY_TIMEOUT | BOARD_RETRY_500,
        .attempts = 3,
        .connect_timeout_ns = NS_PER_S,
        .response_timeout_ns = options->response_timeout_ns,
        .idle_timeout_ns = 30 * NS_PER_S,
        .patience_min_ns = options->patience_min_ns,
        .patience_max_ns = options->patience_max_ns,
        .hold_ns = options->hold_ns > 0 ? options->hold_ns : 10 * NS_PER_S,
    };
    rig->route = board_route_add(rig->board, &route);
    struct board_address address = loopback();
    rig->listener = listen_on(&address);
    (void)setsockopt(rig->listener, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)); /* as the contract says */
    rig->port = ntohs(((struct sockaddr_in *)(void *)&address.u)->sin_port);
    if (options->guarded) {
        rig->guard = mmap(NULL, sizeof(*rig->guard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(rig->guard, MAP_FAILED);
        guard_area_init(rig->guard);
    }
    rig->worker = fork();
    assert_true(rig->worker >= 0);
    if (rig->worker == 0) {
        if (!rig->guard)
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)close(channel[0]);
        if (options->files > 0)
            (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){ options->files, options->files });
        const struct gateway_worker_setup setup = {
            .board = rig->board,
            .gauges = rig->gauges,
            .shared = rig->shared,
            .access = rig->access,
            .bell_fd = rig->bell,
            .supervisor_bell_fd = rig->supervisor_bell,
            .channel_fd = channel[1],
            .connections = options->connections > 0 ? options->connections : 256,
            .guard = rig->guard,
            .name = "test-gw",
            .guard_name = "test-guard",
            .hang_ns = 30 * NS_PER_S, /* who is traced is slow */
        };
        _exit(gateway_worker_run(&setup));
    }
    (void)close(channel[1]);
    rig->channel = channel[0];
    send_listener(rig, rig->listener, (uint32_t)index);
}

/* An endpoint whose process is always found alive when a worker asks. */
static inline int rig_endpoint_add(struct rig *rig, const char *name, const struct board_address *address)
{
    int endpoint = board_endpoint_add(rig->board, rig->service, name, address, clock_now());
    assert_true(endpoint >= 0);
    board_endpoint_alive(rig->board, endpoint, BOARD_UNSUPERVISED - 1);
    ring(rig);
    return endpoint;
}

/* Starts upstream `i` and puts it into rotation. */
static inline void rig_upstream(struct rig *rig, int i, const char *path)
{
    static const char *const names[] = { "app-1", "app-2", "app-3", "app-4" };
    upstream_start(&rig->up[i], names[i], path);
    rig->endpoint[i] = rig_endpoint_add(rig, names[i], &rig->up[i].address);
}

static inline void rig_endpoint(struct rig *rig, int i, enum board_endpoint_state state, enum cause cause,
                                uint32_t suspects)
{
    board_endpoint_set(rig->board, rig->endpoint[i], state, cause, suspects, clock_now());
    ring(rig);
}

static inline const struct endpoint_gauge *rig_gauge(const struct rig *rig, int i)
{
    return &rig->gauges->worker[0].endpoints[rig->endpoint[i]];
}

/* Ends the worker as the supervisor does, and looks at how it ended: a sanitizer's finding is an exit status. */
static inline void rig_end(struct rig *rig)
{
    int status = -1;
    for (int i = 0; i < 4; i++)
        upstream_end(&rig->up[i]); /* first: they have inherited the channel */
    (void)close(rig->channel);
    assert_int_equal(waitpid(rig->worker, &status, 0), rig->worker);
    (void)close(rig->listener);
    (void)close(rig->bell);
    (void)close(rig->supervisor_bell);
    board_free(rig->board);
    gauges_free(rig->gauges);
    gateway_shared_free(rig->shared);
    access_rings_free(rig->access, 1);
    if (rig->guard)
        (void)munmap(rig->guard, sizeof(*rig->guard));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- clients ---------------------------------------------------------------------------------------------------- */

struct client {
    int fd;
    size_t len;
    struct http1_head head;
    size_t body_len;
    char head_text[16384]; /* of the response read last; `head` says what is where in it */
    char buf[262144];
    char body[262144];
};

static inline void client_open(struct client *client, const struct rig *rig)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(rig->port) };
    client->len = 0;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)(void *)&in, sizeof(in)), 0);
    struct timeval patience = { .tv_sec = 15 };
    (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static inline void client_close(struct client *client)
{
    (void)close(client->fd);
    client->fd = -1;
}

/* What the worker has open. */
static inline unsigned rig_descriptors(const struct rig *rig)
{
    char path[64];
    unsigned count = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)rig->worker);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

/* More bytes; false at the end. */
static inline bool client_fill(struct client *client)
{
    assert_true(client->len < sizeof(client->buf));
    ssize_t n = recv(client->fd, client->buf + client->len, sizeof(client->buf) - client->len, 0);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        fail_msg("no answer in time; so far: %.*s", (int)client->len, client->buf);
    if (n > 0)
        client->len += (size_t)n;
    return n > 0;
}

/* Reads one response, its body (without chunks) to client->body. The status, or 0 when the connection ended before. */
static inline int client_response(struct client *client, enum http1_method method)
{
    int len;
    while ((len = http1_parse_response(client->buf, client->len, method, &http1_default_limits, &client->head)) == 0)
        if (!client_fill(client))
            return 0;
    if (len < 0)
        fail_msg("malformed response: %.*s", (int)client->len, client->buf);
    memcpy(client->head_text, client->buf, (size_t)len); /* it was within the limits */
    size_t at = (size_t)len;
    struct http1_chunked chunked = { 0 };
    client->body_len = 0;
    for (;;) {
        size_t there = client->len - at, used = 0, got = 0;
        bool done = client->head.framing == HTTP1_NO_BODY;
        if (client->head.framing == HTTP1_CHUNKED) {
            ssize_t fed = http1_chunked_data(&chunked, client->buf + at, there, client->body + client->body_len, &got);
            assert_true(fed >= 0);
            used = (size_t)fed;
            done = chunked.done;
        } else if (!done) {
            size_t left = client->head.framing == HTTP1_LENGTH ? client->head.content_length - client->body_len : there;
            used = got = there < left ? there : left;
            memcpy(client->body + client->body_len, client->buf + at, got);
            done = client->head.framing == HTTP1_LENGTH && client->body_len + got == client->head.content_length;
        }
        client->body_len += got;
        memmove(client->buf + at, client->buf + at + used, client->len - at - used);
        client->len -= used;
        if (done)
            break;
        if (!client_fill(client)) {
            if (client->head.framing == HTTP1_UNTIL_CLOSE)
                break;
            return 0;
        }
    }
    memmove(client->buf, client->buf + at, client->len - at);
    client->len -= at;
    client->body[client->body_len] = '\0';
    return client->head.status;
}

/* A field of the response read last, or NULL. Valid until the next call. */
static inline const char *client_header(const struct client *client, const char *name)
{
    static char value[1024];
    for (unsigned i = 0; i < client->head.headers; i++) {
        const struct http1_header *header = &client->head.header[i];
        if (!http1_slice_is(client->head_text, header->name, name))
            continue;
        (void)snprintf(value, sizeof(value), "%.*s", (int)header->value.len, client->head_text + header->value.at);
        return value;
    }
    return NULL;
}

static inline bool client_ended(struct client *client)
{
    return client->len == 0 && !client_fill(client);
}

/* One request, one response, on a connection of its own. */
static inline int fetch(const struct rig *rig, struct client *client, const char *method, const char *path)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: test\r\n%s\r\n", method, path,
                   strcmp(method, "POST") == 0 ? "Content-Length: 0\r\n" : "");
    client_open(client, rig);
    assert_true(puts_fd(client->fd, text));
    int status = client_response(client, strcmp(method, "HEAD") == 0 ? HTTP1_HEAD : HTTP1_GET);
    client_close(client);
    return status;
}

/* --- the fixture of most programs ------------------------------------------------------------------------------- */

static struct rig rig;

/* A worker as it usually is, and one upstream. */
static inline int rig_ready(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ 0 });
    rig_upstream(&rig, 0, NULL);
    return 0;
}

static inline int over(void **unused)
{
    (void)unused;
    rig_end(&rig);
    return 0;
}

#endif
