/* SPDX-License-Identifier: MIT
 *
 * Two readers of HTTP that are not ours, both Debian's libhttp-parser: an upstream that writes down what it understood
 * of the bytes it got, and a client that writes down what it was answered. Included by one test program only.
 */
#ifndef DARUMA_TESTS_GATEWAY_READER_H
#define DARUMA_TESTS_GATEWAY_READER_H

#include "rig.h"

#include "base/http1_class.h"

#include <fcntl.h>
#include <http_parser.h>

enum { READER_CONNS = 64, READER_TEXT = 8192 };

/* --- text that grows -------------------------------------------------------------------------------------------- */

struct note {
    size_t len;
    char text[READER_TEXT];
};

/* What is no printable ASCII is written as \xNN, so that a table can name it. What does not fit is left out. */
static inline void note_add(struct note *note, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len && note->len + 5 < sizeof(note->text); i++) {
        bool plain = bytes[i] >= 0x20 && bytes[i] < 0x7f;
        note->len += (size_t)snprintf(note->text + note->len, 5, plain ? "%c" : "\\x%02x", (unsigned char)bytes[i]);
    }
    note->text[note->len] = '\0';
}

static inline void note_put(struct note *note, const char *text)
{
    note_add(note, text, strlen(text));
}

/* --- the upstream ----------------------------------------------------------------------------------------------- */

/*
 * All connections are read by one thread, and what one poll(2) reports is worked off under the lock: so who holds the
 * lock after an answer came sees everything that had been sent before it.
 *
 * Each whole request becomes "METHOD TARGET HOST BODY;" in `reads` (trailers stand behind the body as " name: VALUE"), bytes that are no HTTP "(error);". The answer is
 * 200 with the target as its body, unless the test has set a script.
 */
struct reader {
    int listener;
    struct board_address address;
    pthread_t thread;
    int stop_fd;
    pthread_mutex_t lock;
    unsigned begun; /* messages of which at least one byte came */
    struct note reads;
    const char *script; /* the answer to the next request, once */
    size_t script_len;
    bool script_close; /* and the connection ends behind it */
    bool pieces;       /* it goes out byte by byte */
    struct reader_conn *conn[READER_CONNS];
};

struct reader_conn {
    struct reader *reader;
    int fd;
    http_parser parser;
    bool host_next, trailing, in_name, over;
    struct note target, host, body;
};

static inline int reader_on_begin(http_parser *parser)
{
    struct reader_conn *conn = parser->data;
    conn->reader->begun++;
    conn->trailing = false;
    conn->target.len = conn->host.len = conn->body.len = 0;
    conn->target.text[0] = conn->host.text[0] = conn->body.text[0] = '\0';
    return 0;
}

static inline int reader_on_url(http_parser *parser, const char *at, size_t len)
{
    note_add(&((struct reader_conn *)parser->data)->target, at, len);
    return 0;
}

static inline int reader_on_field(http_parser *parser, const char *at, size_t len)
{
    struct reader_conn *conn = parser->data;
    conn->host_next = !conn->trailing && len == 4 && strncasecmp(at, "host", 4) == 0;
    if (conn->trailing) {
        note_put(&conn->body, conn->in_name ? "" : " ");
        for (size_t i = 0; i < len; i++)
            note_add(&conn->body, &(char){ http1_lower(at[i]) }, 1);
    }
    conn->in_name = true;
    return 0;
}

static inline int reader_on_headers(http_parser *parser)
{
    struct reader_conn *conn = parser->data;
    conn->trailing = true;
    conn->in_name = false;
    return 0;
}

static inline int reader_on_value(http_parser *parser, const char *at, size_t len)
{
    struct reader_conn *conn = parser->data;
    if (conn->host_next)
        note_add(&conn->host, at, len);
    if (conn->trailing) {
        note_put(&conn->body, conn->in_name ? ": " : "");
        note_add(&conn->body, at, len);
    }
    conn->in_name = false;
    return 0;
}

static inline int reader_on_body(http_parser *parser, const char *at, size_t len)
{
    note_add(&((struct reader_conn *)parser->data)->body, at, len);
    return 0;
}

static inline int reader_on_complete(http_parser *parser)
{
    struct reader_conn *conn = parser->data;
    struct reader *reader = conn->reader;
    note_put(&reader->reads, http_method_str(parser->method));
    note_put(&reader->reads, " ");
    note_put(&reader->reads, conn->target.text);
    note_put(&reader->reads, " ");
    note_put(&reader->reads, conn->host.text);
    note_put(&reader->reads, " ");
    note_put(&reader->reads, conn->body.text);
    note_put(&reader->reads, ";");
    if (reader->script) {
        for (size_t at = 0; reader->pieces && at < reader->script_len; at++)
            (void)put(conn->fd, reader->script + at, 1);
        if (!reader->pieces)
            (void)put(conn->fd, reader->script, reader->script_len);
        conn->over = reader->script_close;
        reader->script = NULL;
        return 0;
    }
    char text[READER_TEXT + 128];
    (void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", conn->target.len,
                   parser->method == HTTP_HEAD ? "" : conn->target.text);
    (void)puts_fd(conn->fd, text);
    return 0;
}

static inline void reader_conn_end(struct reader_conn **conn)
{
    (void)close((*conn)->fd);
    free(*conn);
    *conn = NULL;
}

static inline void reader_accept(struct reader *reader)
{
    for (int i = 0; i < READER_CONNS; i++) {
        if (reader->conn[i])
            continue;
        struct reader_conn *conn = calloc(1, sizeof(*conn));
        if (!conn)
            return;
        conn->reader = reader;
        conn->fd = accept4(reader->listener, NULL, NULL, SOCK_CLOEXEC);
        (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        http_parser_init(&conn->parser, HTTP_REQUEST);
        conn->parser.data = conn;
        reader->conn[i] = conn;
        if (conn->fd < 0)
            reader_conn_end(&reader->conn[i]);
        return;
    }
}

static inline void reader_conn_read(struct reader_conn **slot)
{
    static const http_parser_settings settings = {
        .on_message_begin = reader_on_begin,
        .on_url = reader_on_url,
        .on_header_field = reader_on_field,
        .on_header_value = reader_on_value,
        .on_headers_complete = reader_on_headers,
        .on_body = reader_on_body,
        .on_message_complete = reader_on_complete,
    };
    static char bytes[65536];
    struct reader_conn *conn = *slot;
    ssize_t n = recv(conn->fd, bytes, sizeof(bytes), 0);
    if (n > 0) {
        size_t used = http_parser_execute(&conn->parser, &settings, bytes, (size_t)n);
        if (HTTP_PARSER_ERRNO(&conn->parser) != HPE_OK) {
            note_put(&conn->reader->reads, "(");
            note_put(&conn->reader->reads, http_errno_description(HTTP_PARSER_ERRNO(&conn->parser)));
            note_put(&conn->reader->reads, ");");
            conn->over = true;
        } else if (conn->parser.upgrade && used < (size_t)n) {
            note_put(&conn->reader->reads, "(bytes behind an upgrade);");
        }
        if (conn->parser.upgrade) /* declined: the answer was no 101 */
            conn->over = true;
    }
    if (n <= 0 || conn->over)
        reader_conn_end(slot);
}

static inline void *reader_run(void *argument)
{
    struct reader *reader = argument;
    for (;;) {
        struct pollfd polled[READER_CONNS + 2] = { { .fd = reader->stop_fd, .events = POLLIN },
                                                   { .fd = reader->listener, .events = POLLIN } };
        for (int i = 0; i < READER_CONNS; i++)
            polled[i + 2] = (struct pollfd){ .fd = reader->conn[i] ? reader->conn[i]->fd : -1, .events = POLLIN };
        if (poll(polled, READER_CONNS + 2, -1) < 0)
            continue;
        if (polled[0].revents)
            break;
        (void)pthread_mutex_lock(&reader->lock);
        for (int i = 0; i < READER_CONNS; i++)
            if (polled[i + 2].revents)
                reader_conn_read(&reader->conn[i]);
        if (polled[1].revents)
            reader_accept(reader);
        (void)pthread_mutex_unlock(&reader->lock);
    }
    return NULL;
}

static inline void reader_start(struct reader *reader)
{
    *reader = (struct reader){ .address = loopback(), .stop_fd = eventfd(0, EFD_CLOEXEC) };
    reader->listener = listen_on(&reader->address);
    assert_int_equal(pthread_mutex_init(&reader->lock, NULL), 0);
    assert_int_equal(pthread_create(&reader->thread, NULL, reader_run, reader), 0);
}

static inline void reader_end(struct reader *reader)
{
    assert_int_equal(write(reader->stop_fd, &(uint64_t){ 1 }, 8), 8);
    assert_int_equal(pthread_join(reader->thread, NULL), 0);
    for (int i = 0; i < READER_CONNS; i++)
        if (reader->conn[i])
            reader_conn_end(&reader->conn[i]);
    (void)close(reader->listener);
    (void)close(reader->stop_fd);
    (void)pthread_mutex_destroy(&reader->lock);
}

/* Forgets what was read, and sets the answer to the next request (NULL: the usual one). */
static inline void reader_reset(struct reader *reader, const char *script, size_t len, bool close_behind)
{
    (void)pthread_mutex_lock(&reader->lock);
    reader->reads.len = 0;
    reader->reads.text[0] = '\0';
    reader->begun = 0;
    reader->script = script;
    reader->script_len = len;
    reader->script_close = close_behind;
    reader->pieces = false;
    (void)pthread_mutex_unlock(&reader->lock);
}

/* --- the client ------------------------------------------------------------------------------------------------- */

/* One client connection. Each whole answer becomes "STATUS" or, for 2xx with a body, "STATUS=BODY" in `answers`. */
struct asker {
    int fd;
    http_parser parser;
    bool head;      /* answers have no body: the request was a HEAD */
    bool mid;       /* of a message */
    unsigned whole; /* answers, interim ones included */
    bool ended;     /* the other side has closed */
    bool silent;    /* nothing came in time */
    struct note body, answers;
};

static inline int asker_on_begin(http_parser *parser)
{
    struct asker *asker = parser->data;
    asker->mid = true;
    asker->body.len = 0;
    asker->body.text[0] = '\0';
    return 0;
}

static inline int asker_on_headers(http_parser *parser)
{
    /* Of itself it would wait for a body whose length 304 tells. */
    return ((struct asker *)parser->data)->head || parser->status_code == 204 || parser->status_code == 304;
}

static inline int asker_on_body(http_parser *parser, const char *at, size_t len)
{
    note_add(&((struct asker *)parser->data)->body, at, len);
    return 0;
}

static inline void asker_note(struct asker *asker, const char *how)
{
    char status[32];
    (void)snprintf(status, sizeof(status), "%s%u", asker->answers.len > 0 ? " " : "", asker->parser.status_code);
    note_put(&asker->answers, status);
    if (asker->parser.status_code / 100 == 2 && asker->body.len > 0) {
        note_put(&asker->answers, "=");
        note_put(&asker->answers, asker->body.text);
    }
    note_put(&asker->answers, how);
}

static inline int asker_on_complete(http_parser *parser)
{
    struct asker *asker = parser->data;
    asker->mid = false;
    asker->whole++;
    asker_note(asker, "");
    return 0;
}

static inline void asker_open(struct asker *asker, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(port) };
    *asker = (struct asker){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    assert_true(asker->fd >= 0);
    assert_int_equal(connect(asker->fd, (struct sockaddr *)(void *)&in, sizeof(in)), 0);
    (void)setsockopt(asker->fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_sec = 5 }, sizeof(struct timeval));
    http_parser_init(&asker->parser, HTTP_RESPONSE);
    asker->parser.data = asker;
}

/* Reads until there are `count` answers, the connection ends, or nothing has come for 5 s. */
static inline void asker_read(struct asker *asker, unsigned count)
{
    static const http_parser_settings settings = {
        .on_message_begin = asker_on_begin,
        .on_headers_complete = asker_on_headers,
        .on_body = asker_on_body,
        .on_message_complete = asker_on_complete,
    };
    static char bytes[65536];
    while (asker->whole < count && !asker->ended && !asker->silent) {
        ssize_t n = recv(asker->fd, bytes, sizeof(bytes), 0);
        asker->silent = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        asker->ended = !asker->silent && n <= 0;
        if (n >= 0)
            (void)http_parser_execute(&asker->parser, &settings, bytes, (size_t)n);
        enum http_errno error = HTTP_PARSER_ERRNO(&asker->parser);
        if (error != HPE_OK && error != HPE_INVALID_EOF_STATE) {
            note_put(&asker->answers, " (");
            note_put(&asker->answers, http_errno_description(error));
            note_put(&asker->answers, ")");
            asker->ended = true;
            asker->mid = false;
        }
    }
    if (asker->ended && asker->mid && asker->parser.status_code > 0) {
        asker_note(asker, " cut");
        asker->mid = false;
    }
}

static inline void asker_close(struct asker *asker)
{
    (void)close(asker->fd);
    asker->fd = -1;
}

#endif
