/* SPDX-License-Identifier: MIT */
#include "gateway/relay.h"

#include "gateway/access.h"
#include "gateway/answer.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/mark.h"
#include "gateway/upstream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

static const struct http1_limits response_limits = {
    .head = GW_BLOCK - GW_HEADROOM,
    .target = 0,
    .headers = HTTP1_HEADERS,
};

/* --- the request ------------------------------------------------------------------------------------------------ */

int gw_relay_take_body(struct gw_worker *worker, struct conn *conn, uint32_t at)
{
    uint32_t len = conn->in_len - at, body = 0;
    bool whole = false;

    switch ((enum http1_framing)conn->in_framing) {
    case HTTP1_LENGTH:
        body = len < conn->in_left ? len : (uint32_t)conn->in_left;
        conn->in_left -= body;
        whole = conn->in_left == 0;
        break;
    case HTTP1_CHUNKED: {
        ssize_t fed = http1_chunked_feed(&conn->in_chunked, gw_block(&worker->slots, conn->in) + at, len);
        if (fed < 0)
            return -EBADMSG;
        body = (uint32_t)fed;
        whole = conn->in_chunked.done;
        if (conn->flags & CONN_ACTIVE && gw_conn_route(worker, conn)->body_limit > 0 &&
            conn->in_chunked.data > gw_conn_route(worker, conn)->body_limit)
            return -EFBIG;
        break;
    }
    default:
        whole = true;
        break;
    }
    conn->request_end = at + body;
    if (whole)
        conn->flags |= CONN_REQUEST_WHOLE;
    return 0;
}

bool gw_relay_body_too_large(const struct gw_worker *worker, const struct conn *conn, const struct http1_head *head)
{
    uint64_t limit = gw_conn_route(worker, conn)->body_limit;
    if (limit == 0)
        return false;
    return head->framing == HTTP1_LENGTH ? head->content_length > limit : conn->in_chunked.data > limit;
}

size_t gw_relay_peer(const struct conn *conn, char *text)
{
    if (conn->peer_family == AF_INET) {
        char *at = text;
        for (int i = 0; i < 4; i++) {
            unsigned byte = conn->peer[i];
            if (i > 0)
                *at++ = '.';
            if (byte >= 100)
                *at++ = (char)('0' + byte / 100);
            if (byte >= 10)
                *at++ = (char)('0' + byte / 10 % 10);
            *at++ = (char)('0' + byte % 10);
        }
        return (size_t)(at - text);
    }
    if (conn->peer_family == AF_INET6 && inet_ntop(AF_INET6, conn->peer, text, INET6_ADDRSTRLEN))
        return strlen(text);
    memcpy(text, "unknown", 7);
    return 7;
}

/* Is it one of the proxies in front of us that the file names? */
static bool trusted(const struct board *view, const struct conn *conn)
{
    for (uint32_t i = 0; i < view->used_trusted && i < BOARD_TRUSTED; i++) {
        const struct board_network *network = &view->trusted[i];
        unsigned bytes = network->bits / 8, rest = network->bits % 8;
        if (network->family == conn->peer_family && memcmp(network->address, conn->peer, bytes) == 0 &&
            (rest == 0 || ((network->address[bytes] ^ conn->peer[bytes]) >> (8 - rest)) == 0))
            return true;
    }
    return false;
}

static uint16_t listener_port(const struct board *view, uint32_t listener)
{
    const struct board_address *address = &view->listeners[listener].address;
    if (address->len == 0 || address->u.any.sa_family == AF_UNIX)
        return 0;
    uint16_t port; /* sin_port and sin6_port lie at the same place */
    memcpy(&port, address->u.bytes + offsetof(struct sockaddr_in, sin_port), sizeof(port));
    return ntohs(port);
}

static uint64_t mix(uint64_t number)
{
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

/* The same for every attempt of a request, and for no other request: made from what makes it one. */
void gw_relay_make_id(const struct gw_worker *worker, const struct conn *conn, char id[GW_REQUEST_ID])
{
    uint64_t slot = (uint64_t)conn->generation << 32 | gw_conn_index(worker, conn);
    uint64_t half = mix(worker->slots.arena->id_seed[0] ^ mix((uint64_t)conn->begun_ns ^ mix(slot + conn->serial)));
    for (int i = 0; i < GW_REQUEST_ID; i++) {
        if (i == GW_REQUEST_ID / 2)
            half = mix(worker->slots.arena->id_seed[1] + mix(half ^ conn->serial));
        id[i] = "0123456789abcdef"[half >> (4 * (i % 16)) & 15];
    }
}

static struct gw_rewrite rewrite_of(const struct board *view, const struct board_rewrite *on_board)
{
    struct gw_rewrite rewrite;
    rewrite.drop.text = board_text(view, on_board->drop, &rewrite.drop.len);
    rewrite.add.text = board_text(view, on_board->add, &rewrite.add.len);
    return rewrite;
}

/* The head stays where it is, for the access log, unless it takes the room that the body needs. */
static uint32_t kept_head(const struct conn *conn)
{
    return conn->head_len <= GW_BLOCK / 2 ? conn->head_len : 0;
}

bool gw_relay_read_head(struct gw_worker *worker, struct conn *conn)
{
    uint32_t index = gw_conn_index(worker, conn);
    if (conn->in == GW_NONE || ((conn->flags & CONN_REPLAY_LOST) && kept_head(conn) == 0))
        return false;
    if (worker->parsed == index)
        return true;
    worker->parsed = GW_NONE;
    if (http1_parse_request(gw_block(&worker->slots, conn->in), conn->head_len, &http1_default_limits, &worker->head) <=
        0)
        return false;
    worker->parsed = index;
    return true;
}

/* The head for the upstream, into worker->scratch. It is a function of what is in `in`, so that a head which went out
   in part is simply made again. */
static ssize_t make_head(struct gw_worker *worker, struct conn *conn)
{
    const struct board_route *route = gw_conn_route(worker, conn);
    const char *buf = gw_block(&worker->slots, conn->in);
    char peer[INET6_ADDRSTRLEN];
    if (!gw_relay_read_head(worker, conn))
        return -EBADMSG;
    struct gw_forward_request facts = {
        .peer = { peer, gw_relay_peer(conn, peer) },
        .trusted = trusted(worker->view, conn),
        .via = worker->view->via,
        .sets_host = route->flags & BOARD_SETS_HOST,
        .port = listener_port(worker->view, conn->listener),
        .rewrite = rewrite_of(worker->view, &route->request),
    };
    /* The rest of a head must belong to its beginning. */
    if (conn->head_sent == 0)
        conn->routes_version = worker->view->routes_version;
    else if (conn->routes_version != worker->view->routes_version)
        return -EBADMSG;
    gw_relay_make_id(worker, conn, facts.made_id);
    if (route->flags & BOARD_STRIP) {
        const struct http1_slice target = worker->head.path;
        if (!gw_path_normalise(buf + target.at, target.len, &worker->path))
            return -EBADMSG;
        gw_route_strip(worker->view, route, buf + target.at, target.len, &worker->path, facts.target);
    }
    return gw_forward_request(buf, &worker->head, &facts, worker->scratch, sizeof(worker->scratch));
}

/* True when bytes went out. */
static bool send_request(struct gw_worker *worker, struct conn *conn, struct upstream *upstream)
{
    struct iovec pieces[2];
    int count = 0;
    size_t head_left = 0;

    if (conn->head_sent != GW_HEAD_DONE) {
        ssize_t len = make_head(worker, conn);
        if (len < 0) {
            conn->io |= GW_ERROR;
            return false;
        }
        head_left = (size_t)len - conn->head_sent;
        pieces[count++] = (struct iovec){ worker->scratch + conn->head_sent, head_left };
    }
    if (conn->in_sent < conn->request_end)
        pieces[count++] =
            (struct iovec){ gw_block(&worker->slots, conn->in) + conn->in_sent, conn->request_end - conn->in_sent };
    ssize_t n = gw_send(worker, conn, &upstream->socket, pieces, count);
    if (n < 0) {
        /* It may have answered before it closed; reading will tell. */
        conn->flags |= CONN_SEND_BROKEN;
        upstream->io |= GW_READABLE | GW_HUP;
        return true;
    }
    if (n == 0) {
        gw_watch_out(worker, upstream->fd, &upstream->io, GW_KIND_UPSTREAM, upstream->generation, conn->upstream);
        return false;
    }
    if ((size_t)n < head_left) {
        conn->head_sent += (uint32_t)n;
        return true;
    }
    conn->in_sent += (uint32_t)((size_t)n - head_left);
    conn->head_sent = GW_HEAD_DONE;
    return true;
}

/* Reads more of the request's body, when there is room for it. True when bytes came. */
static bool read_body(struct gw_worker *worker, struct conn *conn)
{
    if (conn->in_len == GW_BLOCK) {
        if (conn->in_sent < conn->in_len)
            return false;
        conn->flags |= CONN_REPLAY_LOST;
        conn->in_len = conn->in_sent = conn->request_end = kept_head(conn);
    }
    uint32_t at = conn->in_len;
    ssize_t n = gw_recv(worker, conn, &conn->socket, gw_block(&worker->slots, conn->in) + at, GW_BLOCK - at);
    if (n < 0) {
        conn->io |= GW_ERROR; /* gone in the middle of its request */
        return false;
    }
    if (n == 0)
        return false;
    conn->in_len += (uint32_t)n;
    int taken = gw_relay_take_body(worker, conn, at);
    if (taken < 0) {
        gw_count(&worker->gauges->bad_requests);
        if (conn->state != CONN_SENDING) {
            conn->io |= GW_ERROR;
            return false;
        }
        gw_upstream_close(worker, gw_conn_upstream(worker, conn));
        gw_exchange_attempt_over(worker, conn);
        conn->flags &= ~(uint32_t)CONN_KEEP_ALIVE;
        if (taken == -EFBIG)
            gw_answer(worker, conn, 413, NULL);
        else
            gw_answer(worker, conn, 400, "the chunked request body is malformed");
    }
    return true;
}

bool gw_relay_request(struct gw_worker *worker, struct conn *conn)
{
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    bool moved = false;

    if (!upstream || (conn->flags & CONN_SEND_BROKEN))
        return false;
    if ((conn->head_sent != GW_HEAD_DONE || conn->in_sent < conn->request_end) && (upstream->io & GW_WRITABLE))
        moved = send_request(worker, conn, upstream);
    if (conn->head_sent == GW_HEAD_DONE && !(conn->flags & (CONN_REQUEST_WHOLE | CONN_SEND_BROKEN)) &&
        (conn->io & GW_READABLE))
        moved |= read_body(worker, conn);
    if (moved && conn->state == CONN_SENDING)
        gw_conn_touch(worker, conn);
    return moved;
}

static bool request_sent(const struct conn *conn)
{
    return conn->head_sent == GW_HEAD_DONE && (conn->flags & CONN_REQUEST_WHOLE) &&
           conn->in_sent == conn->request_end && !(conn->flags & CONN_SEND_BROKEN);
}

/* --- the response head ------------------------------------------------------------------------------------------ */

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

static bool begin_response(struct gw_worker *worker, struct conn *conn)
{
    const struct http1_head *head = &worker->response;
    struct gw_forward_response facts = { 0 };

    if (worker->view->served_by)
        facts.served_by = worker->view->endpoints[conn->endpoint].instance;
    if ((conn->flags & CONN_HTTP10) && head->framing == HTTP1_CHUNKED)
        conn->flags |= CONN_DECHUNK;
    facts.dechunk = conn->flags & CONN_DECHUNK;
    if (!(conn->flags & CONN_REQUEST_WHOLE) || worker->draining || head->framing == HTTP1_UNTIL_CLOSE || facts.dechunk)
        conn->flags &= ~(uint32_t)CONN_KEEP_ALIVE;
    facts.close = !(conn->flags & CONN_KEEP_ALIVE);
    facts.http10 = conn->flags & CONN_HTTP10;
    facts.rewrite = rewrite_of(worker->view, &gw_conn_route(worker, conn)->response);
    conn->status = head->status;
    conn->out_framing = head->framing;
    conn->out_left = head->content_length;
    conn->out_chunked = (struct http1_chunked){ 0 };
    if (head->keep_alive)
        conn->flags |= CONN_KEEP_UPSTREAM;
    gw_conn_upstream(worker, conn)->keep_s =
        gw_forward_keep_alive(gw_block(&worker->slots, conn->out) + conn->out_ready, head);
    if (!replace_head(worker, conn, &facts))
        return false;
    conn->flags |= CONN_BEGUN;
    gw_conn_step(worker, conn, CONN_EV_RESPONSE);
    if (!count_body(worker, conn))
        gw_exchange_fail(worker, conn, RETRY_BROKEN);
    else if (!(conn->flags & CONN_RESPONSE_WHOLE))
        gw_upstream_acknowledge(gw_conn_upstream(worker, conn));
    return true;
}

static bool begin_tunnel(struct gw_worker *worker, struct conn *conn)
{
    if (!(conn->flags & CONN_UPGRADE) || !request_sent(conn) ||
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
    return true;
}

/* Looks at what has come of the response head. False when it is nothing that may be passed on. */
static bool read_response_head(struct gw_worker *worker, struct conn *conn)
{
    while (conn->state == CONN_SENDING) {
        int len =
            http1_parse_response(gw_block(&worker->slots, conn->out) + conn->out_ready, conn->out_len - conn->out_ready,
                                 (enum http1_method)conn->method, &response_limits, &worker->response);
        if (len == 0)
            return conn->out_len < GW_BLOCK || conn->out_ready > GW_HEADROOM;
        if (len < 0)
            return false;
        unsigned status = worker->response.status;
        if (status == 101)
            return begin_tunnel(worker, conn);
        if (status < 200) {
            if (!interim(worker, conn))
                return false;
            if (gw_conn_flush(worker, conn) != 1)
                return true; /* the rest waits until the client has taken this */
            continue;
        }
        if (gw_exchange_retry_status(worker, conn, status))
            return true;
        return begin_response(worker, conn);
    }
    return true;
}

/* --- the response body ------------------------------------------------------------------------------------------ */

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
        conn->flags |= CONN_RESPONSE_WHOLE;
        return;
    }
    if (conn->state == CONN_RELAYING)
        (void)gw_conn_flush(worker, conn);
    gw_exchange_fail(worker, conn, RETRY_BROKEN);
}

/* Reads from the upstream when what came before is out. True when something came. */
static bool read_response(struct gw_worker *worker, struct conn *conn, struct upstream *upstream)
{
    if (conn->out == GW_NONE) {
        conn->out = gw_block_take(&worker->slots);
        conn->out_at = conn->out_ready = conn->out_len = GW_HEADROOM;
    } else if (conn->state == CONN_RELAYING && conn->out_at == conn->out_ready) {
        conn->out_at = conn->out_ready = conn->out_len = 0;
    } else if (conn->state == CONN_SENDING && conn->out_ready > GW_HEADROOM) {
        /* Behind an interim answer: what has come of the next head begins the block anew. */
        char *block = gw_block(&worker->slots, conn->out);
        uint32_t rest = conn->out_len - conn->out_ready;
        gw_mark_bytes(worker, conn->out, GW_HEADROOM, conn->out_len - GW_HEADROOM);
        memmove(block + GW_HEADROOM, block + conn->out_ready, rest);
        conn->out_at = conn->out_ready = GW_HEADROOM;
        conn->out_len = GW_HEADROOM + rest;
    }
    ssize_t n = gw_recv(worker, conn, &upstream->socket, gw_block(&worker->slots, conn->out) + conn->out_len,
                        GW_BLOCK - conn->out_len);
    if (n == 0)
        return false;
    if (n < 0) {
        response_ended(worker, conn);
        return true;
    }
    conn->out_len += (uint32_t)n;
    if (!(conn->flags & CONN_FIRST_BYTE))
        gw_exchange_first_byte(worker, conn);
    if (!(conn->state == CONN_RELAYING ? count_body(worker, conn) : read_response_head(worker, conn)))
        gw_exchange_fail(worker, conn, RETRY_BROKEN);
    return true;
}

/* The response is out. The upstream goes to the pool if it may be used again. */
static void complete(struct gw_worker *worker, struct conn *conn)
{
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    bool keep = (conn->flags & CONN_KEEP_UPSTREAM) && request_sent(conn) &&
                !(upstream->io & (GW_HUP | GW_EOF | GW_ERROR)) &&
                worker->view->endpoints[upstream->endpoint].state == BOARD_ENDPOINT_UP &&
                worker->view->endpoints[upstream->endpoint].generation == upstream->endpoint_generation;
    if (keep)
        gw_upstream_keep(worker, upstream);
    else
        gw_upstream_close(worker, upstream);
    gw_conn_next(worker, conn);
}

bool gw_relay(struct gw_worker *worker, struct conn *conn)
{
    uint32_t generation = conn->generation;
    bool moved = gw_relay_request(worker, conn);

    if (conn->state != CONN_SENDING && conn->state != CONN_RELAYING)
        return moved; /* the request turned out malformed */
    if (conn->out_at < conn->out_ready && conn->out != GW_NONE) {
        int flushed = gw_conn_flush(worker, conn);
        if (flushed < 0) {
            conn->io |= GW_ERROR;
            return false;
        }
        if (flushed == 0)
            return moved;
        moved = true;
        if (conn->state == CONN_SENDING && !read_response_head(worker, conn)) {
            gw_exchange_fail(worker, conn, RETRY_BROKEN);
            return conn->generation == generation;
        }
    }
    if (conn->flags & CONN_RESPONSE_WHOLE) {
        complete(worker, conn);
        return true;
    }
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    if (upstream && (upstream->io & GW_READABLE) && conn->state != CONN_CONNECTING)
        moved |= read_response(worker, conn, upstream);
    if (moved && conn->generation == generation && conn->state == CONN_RELAYING) {
        conn->deaths = 0; /* it gets on */
        gw_conn_touch(worker, conn);
    }
    return moved;
}
