/* SPDX-License-Identifier: MIT */
#include "gateway/proxy.h"

#include "base/proxy_header.h"
#include "gateway/answer.h"
#include "gateway/client.h"
#include "gateway/conn.h"
#include "gateway/exchange.h"
#include "gateway/io.h"
#include "gateway/limit.h"
#include "gateway/mark.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static_assert((int)PROXY_HEADER_LONGEST == (int)GW_BLOCK, "it is read into one block");

/* --- addresses -------------------------------------------------------------------------------------------------- */

/* Its family: AF_INET also for IPv4 in the dress of IPv6, as a listener for both sees it. */
static uint16_t take_address(const struct sockaddr *from, uint8_t address[16], uint16_t *port)
{
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)from;
        memcpy(address, &in->sin_addr, 4);
        *port = ntohs(in->sin_port);
        return AF_INET;
    }
    if (from->sa_family != AF_INET6)
        return from->sa_family;
    const struct sockaddr_in6 *in6 = (const void *)from;
    bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
    memcpy(address, &in6->sin6_addr.s6_addr[mapped ? 12 : 0], mapped ? 4 : 16);
    *port = ntohs(in6->sin6_port);
    return mapped ? AF_INET : AF_INET6;
}

void gw_proxy_peer(struct conn *conn, const struct sockaddr *peer)
{
    conn->peer_family = take_address(peer, conn->peer, &conn->peer_port);
}

bool gw_proxy_allowed(const struct gw_worker *worker, const struct conn *conn)
{
    const struct board_listener *listener = &worker->view->listeners[conn->listener];
    const struct gw_client peer = gw_client_peer(conn);
    return listener->proxy_from_len == 0 || gw_client_is_in(&peer, listener->proxy_from, listener->proxy_from_len);
}

/* --- the client's side ------------------------------------------------------------------------------------------ */

static void take_over(struct conn *conn, const struct proxy_header *header)
{
    if (header->family == AF_UNSPEC)
        return;
    conn->peer_family = (uint16_t)header->family;
    conn->peer_port = header->source_port;
    conn->local_port = header->destination_port;
    memcpy(conn->peer, header->source, sizeof(conn->peer));
    memcpy(conn->local, header->destination, sizeof(conn->local));
}

/* The header is whole: what came behind it is the client's first bytes. */
static void begin(struct gw_worker *worker, struct conn *conn)
{
    bool tcp = worker->view->listeners[conn->listener].protocol == BOARD_TCP;
    if (!gw_limit_enter(worker, conn)) {
        gw_limit_count(worker, GAUGE_SOURCE_CONNECTIONS);
        if (tcp)
            gw_conn_abort(worker, conn);
        else
            gw_answer(worker, conn, 429, "too many connections from this address");
        return;
    }
    if (conn->in_len == 0)
        gw_block_put(&worker->slots, &conn->in);
    else if (!tcp)
        conn->flags |= CONN_LEFTOVER;
    gw_conn_step(worker, conn, CONN_EV_PROXY);
    if (tcp)
        gw_exchange_tcp(worker, conn);
}

bool gw_proxy_read(struct gw_worker *worker, struct conn *conn)
{
    struct proxy_header header;
    if (!(conn->io & GW_READABLE))
        return false;
    if (conn->in == GW_NONE) {
        conn->in = gw_block_take(&worker->slots);
        conn->in_len = 0;
    }
    char *block = gw_block(&worker->slots, conn->in);
    ssize_t n = gw_recv(worker, conn, &conn->socket, block + conn->in_len, GW_BLOCK - conn->in_len);
    if (n < 0) {
        gw_conn_close(worker, conn);
        return false;
    }
    conn->in_len += (uint32_t)n;
    ssize_t len = proxy_header_parse(block, conn->in_len, &header);
    if (len == 0)
        return n > 0 && (conn->io & GW_READABLE);
    if (len < 0) {
        gw_limit_count(worker, GAUGE_PROXY);
        gw_conn_abort(worker, conn);
        return false;
    }
    gw_mark_bytes(worker, conn->in, 0, conn->in_len);
    conn->in_len -= (uint32_t)len;
    memmove(block, block + len, conn->in_len);
    take_over(conn, &header);
    begin(worker, conn);
    return true;
}

/* --- the service's side ----------------------------------------------------------------------------------------- */

/* Where the client connected to: as a header said, else as the socket says. */
static bool find_local(const struct conn *conn, struct proxy_header *header)
{
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
    } local;
    socklen_t len = sizeof(local);
    if (conn->local_port > 0) {
        header->destination_port = conn->local_port;
        memcpy(header->destination, conn->local, sizeof(header->destination));
        return true;
    }
    return getsockname(conn->fd, &local.any, &len) == 0 &&
           take_address(&local.any, header->destination, &header->destination_port) == conn->peer_family;
}

int gw_proxy_send(struct gw_worker *worker, struct conn *conn)
{
    const struct board_endpoint *endpoint = &worker->view->endpoints[conn->endpoint];
    uint32_t version = worker->view->services[endpoint->service].proxy;
    struct proxy_header header = { .family = conn->peer_family, .source_port = conn->peer_port };
    char text[PROXY_HEADER_WRITTEN];

    if (version == 0)
        return 0;
    memcpy(header.source, conn->peer, sizeof(header.source));
    if ((header.family != AF_INET && header.family != AF_INET6) || !find_local(conn, &header))
        header.family = AF_UNSPEC;
    size_t len = proxy_header_format(&header, version, text);
    /* The request's head follows at once and goes into the same segment; a TCP client may wait for the service to speak. */
    int more = conn->flags & CONN_TCP ? 0 : MSG_MORE;
    const struct iovec piece = { text, len };
    ssize_t n = gw_send(worker, conn, &gw_conn_upstream(worker, conn)->socket, &piece, 1, more);
    return n == (ssize_t)len ? 0 : -EPIPE; /* the buffer of a fresh connection has room for it */
}
