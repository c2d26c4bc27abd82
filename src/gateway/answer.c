/* SPDX-License-Identifier: MIT */
#include "gateway/answer.h"

#include "gateway/conn.h"
#include "gateway/text.h"

static const char *usual(unsigned status)
{
    switch (status) {
    case 400:
        return "the request is malformed";
    case 404:
        return "no route leads from here";
    case 408:
        return "the request did not arrive in time";
    case 413:
        return "the request body is too large";
    case 414:
        return "the request target is too long";
    case 431:
        return "the request head is too large";
    case 501:
        return "the request uses a method or transfer coding that is not supported";
    case 502:
        return "the instance gave no valid answer";
    case 503:
        return "no instance of the service is ready";
    case 504:
        return "the instance did not answer in time";
    case 505:
        return "only HTTP/1.0 and HTTP/1.1 are spoken here";
    default:
        return "the request cannot be served";
    }
}

size_t gw_answer_text(unsigned status, const char *why, bool head_only, bool close, char *out, size_t size)
{
    struct text text = { .at = out, .end = out + size };
    const char *reason = http1_reason(status);
    if (!why)
        why = usual(status);

    text_put(&text, "HTTP/1.1 ");
    text_number(&text, status);
    text_put(&text, " ");
    text_put(&text, reason);
    text_put(&text, "\r\nServer: daruma\r\nContent-Type: text/plain; charset=utf-8\r\n");
    if (status == 503)
        text_put(&text, "Retry-After: 1\r\n");
    text_put(&text, close ? "Connection: close\r\n" : "Connection: keep-alive\r\n");
    text_put(&text, "Content-Length: ");
    text_number(&text, strlen("daruma: ") + 3 + 1 + strlen(reason) + 2 + strlen(why) + 1);
    text_put(&text, "\r\n\r\n");
    if (!head_only) {
        text_put(&text, "daruma: ");
        text_number(&text, status);
        text_put(&text, " ");
        text_put(&text, reason);
        text_put(&text, ": ");
        text_put(&text, why);
        text_put(&text, "\n");
    }
    return (size_t)(text.at - out);
}

void gw_answer(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why)
{
    bool keep = (conn->flags & CONN_KEEP_ALIVE) && (conn->flags & CONN_REQUEST_WHOLE) && !worker->draining;
    if (!keep)
        conn->flags &= ~(uint32_t)CONN_KEEP_ALIVE;
    if (conn->out == GW_NONE)
        conn->out = gw_block_take(&worker->slots);
    conn->out_at = 0;
    conn->out_len = (uint32_t)gw_answer_text(status, why, conn->method == HTTP1_HEAD, !keep,
                                             gw_block(&worker->slots, conn->out), GW_BLOCK);
    conn->out_ready = conn->out_len;
    conn->status = (uint16_t)status;
    if (status >= 500 && conn->route != GW_NONE)
        gw_count(&gw_conn_gauge(worker, conn)->own_5xx);
    gw_conn_step(worker, conn, CONN_EV_ANSWER);
}
