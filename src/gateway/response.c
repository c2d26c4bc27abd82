/* SPDX-License-Identifier: MIT */
#include "gateway/response.h"

#include "gateway/access.h"
#include "gateway/affinity.h"
#include "gateway/answer.h"
#include "gateway/attempt.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/failure.h"
#include "gateway/io.h"
#include "gateway/mark.h"
#include "gateway/pipe.h"
#include "gateway/relay.h"
#include "gateway/upstream.h"

#include <string.h>

enum {
    CHUNK_ROOM = 8,               /* of a chunk's framing: four digits, twice CR LF */
    ROOM = GW_BLOCK - CHUNK_ROOM, /* of a block, for what the upstream sends */
};

const struct http1_limits gw_response_limits = {
    .head = ROOM - GW_HEADROOM,
    .target = 0,
    .headers = HTTP1_HEADERS,
};

/* --- the response head ------------------------------------------------------------------------------------------ */

/* Before the head of an answer: what a route fills in may be as long as the request's target. */
static uint32_t headroom(const struct gw_worker *worker, const struct conn *conn)
{
    const struct gw_rewrite rewrite = gw_relay_rewrite(worker->view, &gw_conn_route(worker, conn)->response);
    return gw_relay_has_gaps(&rewrite) ? GW_BLOCK / 2 : GW_HEADROOM;
}

/* Puts the rewritten head in front of what follows it in `out`; it may grow into the headroom. */
static bool replace_head(struct gw_worker *worker, struct conn *conn, const struct gw_forward_response *facts)
{
    char *block = gw_block(&worker->slots, conn->out);
    uint32_t end = conn->out_ready + worker->response.len;
    ssize_t len = gw_forward_response(block + conn->out_ready, &worker->response, facts, worker->scratch,
                                      sizeof(worker->scratch));
    if (len < 0 || (uint32_t)len > end)
        return false;
    gw_mark_bytes(worker, conn->out, conn->out_ready, conn->out_len - conn->out_ready);
    conn->out_at = end - (uint32_t)len;
    conn->out_ready = end;
    memcpy(block + conn->out_at, worker->scratch, (size_t)len);
    return true;
}

/* 100, 102, 103 …: passed on, and the final head is still to come. HTTP/1.0 does not know them. */
static bool interim(struct gw_worker *worker, struct conn *conn)
{
    if (conn->flags & CONN_HTTP10) {
        conn->out_ready += worker->response.len;
        conn->out_at = conn->out_ready;
        return true;
    }
    return replace_head(worker, conn, &(struct gw_forward_response){ 0 });
}

static bool count_body(struct gw_worker *worker, struct conn *conn);

/* The sticky cookie, when the client has not got the one of this endpoint. */
static void set_cookie(const struct gw_worker *worker, const struct conn *conn, char value[GW_STICKY_VALUE],
                       struct gw_span cookie[3])
{
    const struct board_route *route = gw_conn_route(worker, conn);
    if (route->sticky.len == 0)
        return;
    uint64_t key = gw_balance_sticky_key(&worker->balance, conn->endpoint);
    if (conn->key == key)
        return;
    gw_affinity_write(key, value);
    cookie[0].text = board_text(worker->view, route->sticky, &cookie[0].len);
    cookie[1] = (struct gw_span){ value, GW_STICKY_VALUE };
    cookie[2].text = board_text(worker->view, route->sticky_more, &cookie[2].len);
}

/* RFC 9110 §6.6.1: an answer that goes on without a Date gets that of its coming. */
static struct gw_span missing_date(struct gw_worker *worker)
{
    const struct http1_head *head = &worker->response;
    for (unsigned i = 0; i < head->headers; i++)
        if (head->header[i].field == HTTP1_FIELD_DATE)
            return (struct gw_span){ 0 };
    time_t now = time(NULL);
    if (worker->date_at != now)
        text_date(&(struct text){ .at = worker->date, .end = worker->date + sizeof(worker->date) }, now);
    worker->date_at = now;
    return (struct gw_span){ worker->date, sizeof(worker->date) };
}

static bool begin_response(struct gw_worker *worker, struct conn *conn)
{
    const struct http1_head *head = &worker->response;
    struct gw_forward_response facts = { 0 };
    char cookie[GW_STICKY_VALUE];

    if (worker->view->served_by)
        facts.served_by = worker->view->endpoints[conn->endpoint].instance;
    if ((conn->flags & CONN_HTTP10) && head->framing == HTTP1_CHUNKED)
        conn->flags |= CONN_DECHUNK;
    if (!(conn->flags & CONN_HTTP10) && head->framing == HTTP1_UNTIL_CLOSE)
        conn->flags |= CONN_ENCHUNK;
    facts.dechunk = conn->flags & CONN_DECHUNK;
    facts.enchunk = conn->flags & CONN_ENCHUNK;
    bool until_close = facts.dechunk || (head->framing == HTTP1_UNTIL_CLOSE && !facts.enchunk);
    if (!(conn->flags & CONN_REQUEST_WHOLE) || worker->draining || until_close)
        conn->flags &= ~(uint32_t)CONN_KEEP_ALIVE;
    facts.close = !(conn->flags & CONN_KEEP_ALIVE);
    facts.date = missing_date(worker);
    facts.http10 = conn->flags & CONN_HTTP10;
    facts.rewrite = gw_relay_rewrite(worker->view, &gw_conn_route(worker, conn)->response);
    set_cookie(worker, conn, cookie, facts.cookie);
    struct gw_gathered gathered;
    if (gw_relay_has_gaps(&facts.rewrite)) {
        (void)gw_relay_gather(worker, conn, &gathered);
        facts.gaps = &gathered.facts;
    }
    conn->status = head->status;
    conn->out_framing = head->framing;
    conn->out_left = head->content_length;
    conn->out_chunked = (struct http1_chunked){ 0 };
    if (head->keep_alive)
        conn->flags |= CONN_KEEP_UPSTREAM;
    gw_conn_upstream(worker, conn)->keep_s =
        gw_forward_keep_alive(gw_block(&worker->slots, conn->out) + conn->out_ready, head);
    if (!replace_head(worker, conn, &facts)) { /* no fault of the instance's: another one could do nothing about it */
        gw_exchange_refuse(worker, conn, 502, "the fields that are added to the answer are too long");
        return true;
    }
    conn->flags |= CONN_BEGUN;
    gw_conn_step(worker, conn, CONN_EV_RESPONSE);
    if (!count_body(worker, conn))
        gw_failure(worker, conn, RETRY_BROKEN);
    else if (!(conn->flags & CONN_RESPONSE_WHOLE))
        gw_upstream_acknowledge(gw_conn_upstream(worker, conn));
    return true;
}

static bool begin_tunnel(struct gw_worker *worker, struct conn *conn)
{
    if (!(conn->flags & CONN_UPGRADE) || !gw_relay_request_sent(conn) ||
        !replace_head(worker, conn, &(struct gw_forward_response){ 0 }))
        return false;
    conn->status = 101;
    conn->flags |= CONN_BEGUN;
    /* From here on both blocks hold bytes that mean nothing to us: what the client sent early, and what came behind. */
    gw_access_log(worker, conn); /* before the head is gone */
    conn->out_ready = conn->out_len;
    conn->in_sent = conn->request_end;
    conn->request_end = conn->in_len;
    gw_conn_step(worker, conn, CONN_EV_TUNNEL);
    gw_attempt_upgraded(worker, conn);
    return true;
}

/* The route has a page of its own in place of that answer. */
static bool intercept(struct gw_worker *worker, struct conn *conn, unsigned status)
{
    const struct board_error_page *error = NULL;
    if (gw_conn_route(worker, conn)->flags & BOARD_INTERCEPT)
        error = gw_answer_error_page(worker, conn, status);
    if (!error)
        return false;
    gw_upstream_close(worker, gw_conn_upstream(worker, conn));
    gw_attempt_over(worker, conn);
    gw_answer_error(worker, conn, error, status);
    return true;
}

bool gw_response_head(struct gw_worker *worker, struct conn *conn)
{
    while (conn->state == CONN_SENDING) {
        int len =
            http1_parse_response(gw_block(&worker->slots, conn->out) + conn->out_ready, conn->out_len - conn->out_ready,
                                 (enum http1_method)conn->method, &gw_response_limits, &worker->response);
        if (len == 0)
            return conn->out_len < ROOM || conn->out_ready > headroom(worker, conn);
        if (len < 0)
            return false;
        unsigned status = worker->response.status;
        gw_exchange_answered(worker, conn, status);
        if (status == 101)
            return begin_tunnel(worker, conn);
        if (status < 200) {
            if (!interim(worker, conn))
                return false;
            if (conn->flags & CONN_REQUEST_WHOLE)
                gw_conn_look_again(worker, conn, 0); /* overdue it is not; how long it may take stays */
            else
                gw_conn_touch(worker, conn); /* now it is the client's turn */
            if (gw_conn_flush(worker, conn) != 1)
                return true; /* the rest waits until the client has taken this */
            continue;
        }
        if (gw_failure_of_status(worker, conn, status))
            return true;
        if (status >= 300 && intercept(worker, conn, status))
            return true;
        return begin_response(worker, conn);
    }
    return true;
}

/* --- the response body ------------------------------------------------------------------------------------------ */

/* Makes one chunk of the bytes behind out_ready; its length. */
static uint32_t make_chunk(char *block, struct conn *conn)
{
    char *bytes = block + conn->out_ready, size[CHUNK_ROOM];
    uint32_t len = conn->out_len - conn->out_ready, at = 0;
    if (len == 0)
        return 0;
    for (int shift = 12; shift >= 0; shift -= 4)
        if (at > 0 || len >> shift > 0)
            size[at++] = "0123456789abcdef"[len >> shift & 15];
    memcpy(size + at, "\r\n", 2);
    at += 2;
    memmove(bytes + at, bytes, len);
    memcpy(bytes, size, at);
    memcpy(bytes + at + len, "\r\n", 2);
    conn->out_len += at + 2;
    return len + at + 2;
}

/* The upstream has closed, and that is the end that such a body has. */
static void end_until_close(struct gw_worker *worker, struct conn *conn)
{
    static const char last_chunk[] = "0\r\n\r\n";
    conn->flags |= CONN_RESPONSE_WHOLE;
    if (!(conn->flags & CONN_ENCHUNK))
        return;
    conn->out_at = 0;
    conn->out_ready = conn->out_len = sizeof(last_chunk) - 1;
    memcpy(gw_block(&worker->slots, conn->out), last_chunk, sizeof(last_chunk) - 1);
}

/* Looks at the bytes behind out_ready: how many of them are body? Those that are go to the client. False when the
   chunks are malformed: what has gone out is then all that there is. */
static bool count_body(struct gw_worker *worker, struct conn *conn)
{
    char *bytes = gw_block(&worker->slots, conn->out) + conn->out_ready;
    uint32_t len = conn->out_len - conn->out_ready;
    bool whole = false;

    switch ((enum http1_framing)conn->out_framing) {
    case HTTP1_NO_BODY:
        len = 0;
        whole = true;
        break;
    case HTTP1_LENGTH:
        len = len < conn->out_left ? len : (uint32_t)conn->out_left;
        conn->out_left -= len;
        whole = conn->out_left == 0;
        break;
    case HTTP1_CHUNKED: {
        size_t data = len;
        if (conn->flags & CONN_DECHUNK)
            gw_mark_bytes(worker, conn->out, conn->out_ready, len);
        ssize_t fed = conn->flags & CONN_DECHUNK ? http1_chunked_data(&conn->out_chunked, bytes, len, bytes, &data)
                                                 : http1_chunked_feed(&conn->out_chunked, bytes, len);
        if (fed < 0)
            return false;
        whole = conn->out_chunked.done;
        if ((uint32_t)fed < len)
            conn->flags &= ~(uint32_t)CONN_KEEP_UPSTREAM;
        len = conn->flags & CONN_DECHUNK ? (uint32_t)data : (uint32_t)fed;
        conn->out_len = conn->out_ready + len;
        break;
    }
    case HTTP1_UNTIL_CLOSE:
        if (!(conn->flags & CONN_ENCHUNK))
            break;
        gw_mark_bytes(worker, conn->out, conn->out_ready, len);
        len = make_chunk(gw_block(&worker->slots, conn->out), conn);
        break;
    }
    conn->out_ready += len;
    if (whole)
        conn->flags |= CONN_RESPONSE_WHOLE;
    /* More than the answer: the connection cannot be trusted with another request. */
    if (whole && conn->out_ready < conn->out_len)
        conn->flags &= ~(uint32_t)CONN_KEEP_UPSTREAM;
    return true;
}

static void response_ended(struct gw_worker *worker, struct conn *conn)
{
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    if (conn->state == CONN_RELAYING && conn->out_framing == HTTP1_UNTIL_CLOSE && !(upstream->io & GW_ERROR)) {
        end_until_close(worker, conn);
        return;
    }
    if (conn->state == CONN_RELAYING)
        (void)gw_conn_flush(worker, conn);
    gw_failure(worker, conn, RETRY_BROKEN);
}

/* How many bytes of the body come next whose meaning is known already. */
static uint64_t bytes_to_come(const struct conn *conn)
{
    switch ((enum http1_framing)conn->out_framing) {
    case HTTP1_LENGTH:
        return conn->out_left;
    case HTTP1_CHUNKED:
        return http1_chunked_run(&conn->out_chunked);
    case HTTP1_UNTIL_CLOSE:
        return UINT64_MAX;
    default:
        return 0;
    }
}

/* `len` of them have come. */
static void bytes_came(struct conn *conn, size_t len)
{
    if (conn->out_framing == HTTP1_CHUNKED)
        http1_chunked_skip(&conn->out_chunked, len);
    if (conn->out_framing != HTTP1_LENGTH)
        return;
    conn->out_left -= len;
    if (conn->out_left == 0)
        conn->flags |= CONN_RESPONSE_WHOLE;
}

/* As gw_response_read(), past the block. */
static bool pipe_response(struct gw_worker *worker, struct conn *conn, struct upstream *upstream, uint64_t most)
{
    ssize_t n = gw_pipe_fill(worker, conn, &conn->down, &upstream->socket, most);
    if (n < 0)
        response_ended(worker, conn);
    else if (n > 0)
        bytes_came(conn, (size_t)n);
    return n != 0;
}

bool gw_response_read(struct gw_worker *worker, struct conn *conn, struct upstream *upstream)
{
    uint64_t to_come = bytes_to_come(conn);
    if (conn->state == CONN_RELAYING && !(conn->flags & CONN_ENCHUNK) && gw_pipe_worth(worker, upstream->io, to_come))
        return pipe_response(worker, conn, upstream, to_come);
    if (conn->out == GW_NONE) {
        conn->out = gw_block_take(&worker->slots);
        conn->out_at = conn->out_ready = conn->out_len = headroom(worker, conn);
    } else if (conn->state == CONN_RELAYING && conn->out_at == conn->out_ready) {
        conn->out_at = conn->out_ready = conn->out_len = 0;
    } else if (conn->state == CONN_SENDING && conn->out_ready > headroom(worker, conn)) {
        /* Behind an interim answer: what has come of the next head begins the block anew. */
        char *block = gw_block(&worker->slots, conn->out);
        uint32_t rest = conn->out_len - conn->out_ready, begin = headroom(worker, conn);
        gw_mark_bytes(worker, conn->out, begin, conn->out_len - begin);
        memmove(block + begin, block + conn->out_ready, rest);
        conn->out_at = conn->out_ready = begin;
        conn->out_len = begin + rest;
    }
    ssize_t n = gw_recv(worker, conn, &upstream->socket, gw_block(&worker->slots, conn->out) + conn->out_len,
                        ROOM - conn->out_len);
    if (n == 0)
        return false;
    if (n < 0) {
        response_ended(worker, conn);
        return true;
    }
    conn->out_len += (uint32_t)n;
    if (!(conn->state == CONN_RELAYING ? count_body(worker, conn) : gw_response_head(worker, conn)))
        gw_failure(worker, conn, RETRY_BROKEN);
    return true;
}
