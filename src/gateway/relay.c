/* SPDX-License-Identifier: MIT */
#include "gateway/relay.h"

#include "base/hash.h"
#include "gateway/access.h"
#include "gateway/answer.h"
#include "gateway/client.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/failure.h"
#include "gateway/io.h"
#include "gateway/limit.h"
#include "gateway/mark.h"
#include "gateway/proxy.h"
#include "gateway/response.h"
#include "gateway/rewrite.h"
#include "gateway/text.h"
#include "gateway/upstream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* --- the request ------------------------------------------------------------------------------------------------ */

static bool chunks_too_large(const struct gw_worker *worker, const struct conn *conn)
{
    uint64_t limit = conn->flags & CONN_ACTIVE ? gw_conn_route(worker, conn)->body_limit : 0;
    return limit > 0 && conn->in_chunked.data > limit;
}

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
        if (chunks_too_large(worker, conn))
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

static uint16_t listener_port(const struct board *view, uint32_t listener)
{
    const struct board_address *address = &view->listeners[listener].address;
    if (address->len == 0 || address->u.any.sa_family == AF_UNIX)
        return 0;
    uint16_t port; /* sin_port and sin6_port lie at the same place */
    memcpy(&port, address->u.bytes + offsetof(struct sockaddr_in, sin_port), sizeof(port));
    return ntohs(port);
}

/* The same for every attempt of a request, and for no other request: made from what makes it one. */
void gw_relay_make_id(const struct gw_worker *worker, const struct conn *conn, char id[GW_REQUEST_ID])
{
    uint64_t slot = (uint64_t)conn->generation << 32 | gw_conn_index(worker, conn);
    const uint64_t *seed = worker->slots.arena->id_seed;
    uint64_t half = hash_mix(seed[0] ^ hash_mix((uint64_t)conn->begun_ns ^ hash_mix(slot + conn->serial)));
    text_hex(id, half);
    text_hex(id + GW_REQUEST_ID / 2, hash_mix(seed[1] + hash_mix(half ^ conn->serial)));
}

struct gw_rewrite gw_relay_rewrite(const struct board *view, const struct board_rewrite *on_board)
{
    struct gw_rewrite rewrite;
    rewrite.drop.text = board_text(view, on_board->drop, &rewrite.drop.len);
    rewrite.add.text = board_text(view, on_board->add, &rewrite.add.len);
    rewrite.locations.text = board_text(view, on_board->locations, &rewrite.locations.len);
    rewrite.add_on_success.text = board_text(view, on_board->add_on_success, &rewrite.add_on_success.len);
    return rewrite;
}

static bool has_gap(struct gw_span lines)
{
    return lines.len > 0 && memchr(lines.text, TEMPLATE_OPEN, lines.len);
}

bool gw_relay_has_gaps(const struct gw_rewrite *rewrite)
{
    return has_gap(rewrite->add) || has_gap(rewrite->add_on_success);
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
    if (http1_parse_request(gw_block(&worker->slots, conn->in), conn->head_len, &gw_limit_any, &worker->head) <= 0)
        return false;
    worker->parsed = index;
    return true;
}

void gw_relay_gather_request(struct gw_worker *worker, const struct conn *conn, struct gw_gathered *ret)
{
    const struct gw_client client = gw_client_peer(conn);
    ret->facts = (struct gw_facts){ .buf = gw_block(&worker->slots, conn->in),
                                    .head = &worker->head,
                                    .peer = { ret->peer, gw_client_text(&client, ret->peer) },
                                    .made_id = ret->id,
                                    .port = conn->local_port > 0 ? conn->local_port
                                                                 : listener_port(worker->view, conn->listener) };
    gw_relay_make_id(worker, conn, ret->id);
}

/* What the route sees of the target, and its path in normal form in worker->path. */
static bool look_at_target(struct gw_worker *worker, const struct conn *conn, struct gw_gathered *ret)
{
    const struct http1_slice path = worker->head.path;
    const struct board_route *route = gw_conn_route(worker, conn);

    ret->facts.target = (struct gw_span){ ret->facts.buf + path.at, path.len };
    if (worker->routes.rewrites[conn->listener] || route->match == BOARD_REGEX) {
        /* The same as before, unless the routes are others by now. */
        struct gw_rewritten rewritten = gw_rewrite_find(worker, conn);
        if (rewritten.status == 400 || rewritten.status == 500)
            return false;
        ret->facts.target = rewritten.target;
        ret->whole = rewritten.whole;
    } else if (!gw_path_normalise(ret->facts.target.text, ret->facts.target.len, &worker->path)) {
        return false;
    }
    ret->facts.path = &worker->path;
    gw_route_replace(worker->view, route, (struct gw_span){ "", 0 }, ret->facts.target.text, ret->facts.target.len,
                     &worker->path, ret->facts.rest);
    return true;
}

bool gw_relay_gather(struct gw_worker *worker, struct conn *conn, struct gw_gathered *ret)
{
    const struct board_route *route = gw_conn_route(worker, conn);
    bool there = gw_relay_read_head(worker, conn);

    gw_relay_gather_request(worker, conn, ret);
    ret->whole = false;
    if (!there) {
        ret->facts.head = NULL;
        return false;
    }
    if (!(route->flags & (BOARD_REPLACE | BOARD_USES_PATH)) && route->action != BOARD_REDIRECT && route->errors == 0 &&
        !worker->routes.rewrites[conn->listener])
        return true;
    return look_at_target(worker, conn, ret);
}

/* The head for the upstream, into worker->scratch. It is a function of what is in `in`, so that a head which went out
   in part is simply made again. */
static ssize_t make_head(struct gw_worker *worker, struct conn *conn)
{
    const struct board_route *route = gw_conn_route(worker, conn);
    const struct gw_client client = gw_client_peer(conn);
    struct gw_gathered gathered;
    if (!gw_relay_gather(worker, conn, &gathered))
        return -EBADMSG;
    const char *service = worker->view->services[worker->view->endpoints[conn->endpoint].service].name;
    struct gw_forward_request facts = {
        .service = { service, strlen(service) },
        .peer = gathered.facts.peer,
        .trusted = gw_client_is_in(&client, worker->view->trusted, worker->view->used_trusted),
        .via = worker->view->via,
        .own = route->own,
        .port = gathered.facts.port,
        .rewrite = gw_relay_rewrite(worker->view, &route->request),
        .gaps = &gathered.facts,
    };
    /* The rest of a head must belong to its beginning. */
    if (conn->head_sent == 0)
        conn->routes_version = worker->view->routes_version;
    else if (conn->routes_version != worker->view->routes_version)
        return -EBADMSG;
    memcpy(facts.made_id, gathered.id, sizeof(facts.made_id));
    if ((route->flags & BOARD_REPLACE) && !gathered.whole) {
        struct gw_span with;
        with.text = board_text(worker->view, route->replace, &with.len);
        gw_route_replace(worker->view, route, with, gathered.facts.target.text, gathered.facts.target.len,
                         &worker->path, facts.target);
    } else if (gathered.facts.target.text == worker->target) {
        facts.target[0] = gathered.facts.target;
    }
    return gw_forward_request(gathered.facts.buf, &worker->head, &facts, worker->scratch, sizeof(worker->scratch));
}

/* What is left of the head in worker->scratch, which is `head_len` long, and what there is of the body in `in`. */
static ssize_t send_from_block(struct gw_worker *worker, struct conn *conn, struct upstream *upstream, size_t head_len)
{
    struct iovec pieces[2];
    int count = 0;
    size_t head_left = 0;

    if (conn->head_sent != GW_HEAD_DONE) {
        head_left = head_len - conn->head_sent;
        pieces[count++] = (struct iovec){ worker->scratch + conn->head_sent, head_left };
    }
    if (conn->in_sent < conn->request_end)
        pieces[count++] =
            (struct iovec){ gw_block(&worker->slots, conn->in) + conn->in_sent, conn->request_end - conn->in_sent };
    ssize_t n = gw_send(worker, conn, &upstream->socket, pieces, count, 0);
    if (n > 0 && (size_t)n < head_left) {
        conn->head_sent += (uint32_t)n;
    } else if (n > 0) {
        conn->in_sent += (uint32_t)((size_t)n - head_left);
        conn->head_sent = GW_HEAD_DONE;
    }
    return n;
}

static bool in_block(const struct conn *conn)
{
    return conn->head_sent != GW_HEAD_DONE || conn->in_sent < conn->request_end;
}

/* There is no head for the upstream: with what the route adds it has no room (-ENOSPC), or the routes have changed since
   its beginning went out. */
static void refuse_head(struct gw_worker *worker, struct conn *conn, int error)
{
    if (conn->state != CONN_SENDING) {
        conn->io |= GW_ERROR;
    } else if (error == -ENOSPC) {
        gw_limit_count(worker, GAUGE_HEADER_SIZE);
        gw_exchange_refuse(worker, conn, 431, "the request head is too large with the fields that are added to it");
    } else {
        gw_exchange_refuse(worker, conn, 503, "the routes have changed while the request was sent");
    }
}

/* What gw_send() to the upstream has returned. True when bytes went out, or it has come to an end. */
static bool went_out(struct gw_worker *worker, struct conn *conn, struct upstream *upstream, ssize_t n)
{
    if (n < 0) {
        /* It may have answered before it closed; reading will tell. */
        conn->flags |= CONN_SEND_BROKEN;
        upstream->io |= GW_READABLE | GW_HUP;
        return true;
    }
    if (n == 0)
        gw_watch_out(worker, upstream->fd, &upstream->io, GW_KIND_UPSTREAM, upstream->generation, conn->upstream);
    return n > 0;
}

/* As went_out(). */
static bool send_request(struct gw_worker *worker, struct conn *conn, struct upstream *upstream)
{
    ssize_t head = conn->head_sent == GW_HEAD_DONE ? 0 : make_head(worker, conn);
    if (head < 0) {
        refuse_head(worker, conn, (int)head);
        return true;
    }
    return went_out(worker, conn, upstream, send_from_block(worker, conn, upstream, (size_t)head));
}

/* The body turned out malformed (-EBADMSG) or too large (-EFBIG). */
static void refuse_body(struct gw_worker *worker, struct conn *conn, int error)
{
    gw_count(&worker->gauges->bad_requests);
    if (conn->state != CONN_SENDING) {
        conn->io |= GW_ERROR;
        return;
    }
    if (error == -EFBIG) {
        gw_limit_count(worker, GAUGE_BODY_SIZE);
        gw_exchange_refuse(worker, conn, 413, NULL);
    } else {
        gw_exchange_refuse(worker, conn, 400, "the chunked request body is malformed");
    }
}

/* Reads more of the request's body, when there is room for it. True when bytes came. */
static bool read_body(struct gw_worker *worker, struct conn *conn)
{
    bool full = conn->in_len == GW_BLOCK;
    if (full && conn->in_sent < conn->in_len)
        return false;
    /* Once the beginning is gone there is nothing to be kept: each read has all the room. */
    if (full || ((conn->flags & CONN_REPLAY_LOST) && !in_block(conn))) {
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
    gw_limit_body_came(worker, conn, (size_t)n);
    int taken = gw_relay_take_body(worker, conn, at);
    if (taken < 0)
        refuse_body(worker, conn, taken);
    return true;
}

/* Is the rest of the body worth being passed on past the block? Nothing of it is looked at, it is too long to be kept, and the
   last read filled all the room it had. Only TCP drops what it has not handed out (MSG_TRUNC, tcp(7)). */
static bool worth_passing(const struct conn *conn)
{
    return (conn->io & GW_BULK) && conn->in_framing == HTTP1_LENGTH && conn->in_left >= GW_BLOCK && !in_block(conn) &&
           !conn->is_unix;
}

/* What the upstream has got is dropped where it lies. */
static bool drop_passed(struct gw_worker *worker, struct conn *conn)
{
    gw_mark(worker, conn);
    ssize_t n = (ssize_t)gw_replayed(worker, &conn->socket, false);
    if (n == 0)
        n = recv(conn->fd, NULL, conn->passed, MSG_TRUNC);
    if (n <= 0 || n > conn->passed) {
        conn->io |= GW_ERROR; /* they are not where they were */
        return false;
    }
    conn->taken += (uint64_t)n;
    conn->passed -= (uint32_t)n;
    conn->in_left -= (uint64_t)n;
    if (conn->in_left == 0)
        conn->flags |= CONN_REQUEST_WHOLE;
    gw_limit_body_came(worker, conn, (size_t)n);
    return true;
}

/* Passes on what has come of the body: it is copied, the copy is sent, and what went out is dropped in the client's socket.
   Until then it waits there, however slow the upstream is. It does not go through a pipe (pipe.h): what is copied here is
   near when the instance reads it, where it would have to fetch uncopied bytes from afar. As went_out(). */
static bool pass_body(struct gw_worker *worker, struct conn *conn, struct upstream *upstream)
{
    size_t most = conn->in_left < GW_PASS ? (size_t)conn->in_left : GW_PASS;

    if (!(upstream->io & GW_WRITABLE))
        return false;
    ssize_t there = recv(conn->fd, worker->passing, most, MSG_PEEK);
    if (there <= 0) {
        if (gw_read_nothing(&conn->io, there) < 0)
            conn->io |= GW_ERROR; /* gone in the middle of its request */
        return false;
    }
    ssize_t n = gw_send(worker, conn, &upstream->socket, &(struct iovec){ worker->passing, (size_t)there }, 1, 0);
    if (n <= 0)
        return went_out(worker, conn, upstream, n);
    conn->flags |= CONN_REPLAY_LOST;
    conn->passed = (uint32_t)n;
    if (there < GW_BLOCK)
        conn->io &= (uint8_t)~GW_BULK;
    if (n == there && (size_t)there < most && !(conn->io & GW_HUP))
        conn->io &= (uint8_t)~GW_READABLE;
    return drop_passed(worker, conn);
}

bool gw_relay_request(struct gw_worker *worker, struct conn *conn)
{
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    bool moved = conn->passed > 0 && drop_passed(worker, conn); /* a worker before us did not live to do it */

    if (!upstream || (conn->flags & CONN_SEND_BROKEN))
        return moved;
    if (in_block(conn) && (upstream->io & GW_WRITABLE))
        moved |= send_request(worker, conn, upstream);
    if (conn->head_sent == GW_HEAD_DONE && !(conn->flags & (CONN_REQUEST_WHOLE | CONN_SEND_BROKEN)) &&
        (conn->io & GW_READABLE))
        moved |= worth_passing(conn) ? pass_body(worker, conn, upstream) : read_body(worker, conn);
    if (moved && conn->state == CONN_SENDING)
        gw_conn_touch(worker, conn);
    return moved;
}

bool gw_relay_request_sent(const struct conn *conn)
{
    return (conn->flags & (CONN_REQUEST_WHOLE | CONN_SEND_BROKEN)) == CONN_REQUEST_WHOLE && !in_block(conn);
}

/* --- both -------------------------------------------------------------------------------------------------------- */

/* The response is out. The upstream goes to the pool if it may be used again. */
static void complete(struct gw_worker *worker, struct conn *conn)
{
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    bool keep = (conn->flags & CONN_KEEP_UPSTREAM) && gw_relay_request_sent(conn) &&
                !(upstream->io & (GW_HUP | GW_EOF | GW_ERROR)) &&
                worker->view->endpoints[upstream->endpoint].state == BOARD_ENDPOINT_UP &&
                worker->view->endpoints[upstream->endpoint].generation == upstream->endpoint_generation &&
                !gw_proxy_wanted(worker->view, upstream->endpoint) && gw_upstream_quiet(upstream);
    if (keep)
        gw_upstream_keep(worker, upstream);
    else
        gw_upstream_close(worker, upstream);
    gw_conn_next(worker, conn);
}

bool gw_relay(struct gw_worker *worker, struct conn *conn)
{
    uint32_t generation = conn->generation;
    bool relaying = conn->state == CONN_RELAYING; /* else it is touched when it begins to */
    bool moved = gw_relay_request(worker, conn);

    if (conn->state != CONN_SENDING && conn->state != CONN_RELAYING)
        return moved; /* the request was refused */
    if (gw_conn_has_output(conn)) {
        int flushed = gw_conn_flush(worker, conn);
        if (flushed < 0) {
            conn->io |= GW_ERROR;
            return false;
        }
        if (flushed == 0)
            return moved;
        moved = true;
        if (conn->state == CONN_SENDING) { /* that was an interim answer; what came behind it has been waiting */
            if (!gw_response_head(worker, conn))
                gw_failure(worker, conn, RETRY_BROKEN);
            if (conn->generation != generation || conn->state != CONN_SENDING)
                return conn->generation == generation;
        }
    }
    if (conn->flags & CONN_RESPONSE_WHOLE) {
        complete(worker, conn);
        return true;
    }
    struct upstream *upstream = gw_conn_upstream(worker, conn);
    if (upstream && (upstream->io & GW_READABLE) && conn->state != CONN_CONNECTING)
        moved |= gw_response_read(worker, conn, upstream);
    if (moved && conn->generation == generation && conn->state == CONN_RELAYING) {
        conn->deaths = 0; /* it gets on */
        if (relaying)
            gw_conn_touch(worker, conn);
    }
    return moved;
}
