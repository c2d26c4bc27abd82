/* SPDX-License-Identifier: MIT */
#include "gateway/answer.h"

#include "gateway/conn.h"
#include "gateway/mark.h"
#include "gateway/relay.h"
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
    case 429:
        return "too many requests from this address";
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
    case 508:
        return "the request goes in circles: its Via names this gateway too often";
    case 505:
        return "only HTTP/1.0 and HTTP/1.1 are spoken here";
    default:
        return "the request cannot be served";
    }
}

/* What an answer of our own begins with. RFC 9110 §6.6.1: who makes an answer, and has a clock, says when. */
static void put_head(struct text *text, unsigned status)
{
    text_put(text, "HTTP/1.1 ");
    text_number(text, status);
    text_put(text, " ");
    text_put(text, http1_reason(status));
    text_put(text, "\r\nServer: daruma\r\n");
    text_put(text, "Date: ");
    text_date(text, time(NULL));
    text_put(text, "\r\n");
}

size_t gw_answer_text(const struct gw_answer *answer, char *out, size_t size)
{
    struct text text = { .at = out, .end = out + size };
    const char *reason = http1_reason(answer->status), *why = answer->why ? answer->why : usual(answer->status);
    bool come_again = answer->retry_after_s > 0 || answer->status == 429 || answer->status == 503;

    put_head(&text, answer->status);
    text_put(&text, "Content-Type: text/plain; charset=utf-8\r\n");
    if (come_again) {
        text_put(&text, "Retry-After: ");
        text_number(&text, answer->retry_after_s > 0 ? answer->retry_after_s : 1);
        text_put(&text, "\r\n");
    }
    text_put(&text, answer->close ? "Connection: close\r\n" : "Connection: keep-alive\r\n");
    text_put(&text, "Content-Length: ");
    text_number(&text, strlen("daruma: ") + 3 + 1 + strlen(reason) + 2 + strlen(why) + 1);
    text_put(&text, "\r\n\r\n");
    if (!answer->head_only) {
        text_put(&text, "daruma: ");
        text_number(&text, answer->status);
        text_put(&text, " ");
        text_put(&text, reason);
        text_put(&text, ": ");
        text_put(&text, why);
        text_put(&text, "\n");
    }
    return (size_t)(text.at - out);
}

/* Decides about keep-alive and takes the block that the answer is written into. */
static char *begin(struct gw_worker *worker, struct conn *conn)
{
    if (!(conn->flags & CONN_REQUEST_WHOLE) || worker->draining)
        conn->flags &= ~(uint32_t)CONN_KEEP_ALIVE;
    if (conn->out == GW_NONE)
        conn->out = gw_block_take(&worker->slots);
    else
        gw_mark_bytes(worker, conn->out, 0, conn->out_len); /* what made us answer may be in it */
    conn->out_at = 0;
    return gw_block(&worker->slots, conn->out);
}

static void finish(struct gw_worker *worker, struct conn *conn, unsigned status, size_t len)
{
    conn->out_len = conn->out_ready = (uint32_t)len;
    conn->status = (uint16_t)status;
    if (status >= 500 && conn->route != GW_NONE)
        gw_count(&gw_conn_gauge(worker, conn)->own_5xx);
    gw_conn_step(worker, conn, CONN_EV_ANSWER);
}

static void give(struct gw_worker *worker, struct conn *conn, struct gw_answer answer)
{
    char *block = begin(worker, conn);
    answer.head_only = conn->method == HTTP1_HEAD;
    answer.close = !(conn->flags & CONN_KEEP_ALIVE);
    finish(worker, conn, answer.status, gw_answer_text(&answer, block, GW_BLOCK));
}

/* An answer that was put together of a route's texts; when they had no room in a block, one without them. */
static void finish_text(struct gw_worker *worker, struct conn *conn, unsigned status, const struct text *text)
{
    if (text->full)
        give(worker, conn, (struct gw_answer){ .status = 500, .why = "the fields of the answer are too long" });
    else
        finish(worker, conn, status, (size_t)(text->at - gw_block(&worker->slots, conn->out)));
}

const struct board_error_page *gw_answer_error_page(const struct gw_worker *worker, const struct conn *conn,
                                                    unsigned status)
{
    const struct board *view = worker->view;
    if (!(conn->flags & CONN_ACTIVE)) /* it has no route yet */
        return NULL;
    uint32_t at = gw_conn_route(worker, conn)->errors;
    for (; at > 0 && at <= view->used_error_pages; at = view->error_pages[at - 1].next)
        for (uint32_t i = 0; i < view->error_pages[at - 1].statuses; i++)
            if (view->error_pages[at - 1].on[i] == status)
                return &view->error_pages[at - 1];
    return NULL;
}

void gw_answer(struct gw_worker *worker, struct conn *conn, unsigned status, const char *why)
{
    const struct board_error_page *error = gw_answer_error_page(worker, conn, status);
    if (error)
        gw_answer_error(worker, conn, error, status);
    else
        give(worker, conn, (struct gw_answer){ .status = status, .why = why });
}

void gw_answer_too_often(struct gw_worker *worker, struct conn *conn, uint32_t retry_after_s)
{
    give(worker, conn, (struct gw_answer){ .status = 429, .retry_after_s = retry_after_s });
}

/* One line whose value lies on the board. */
static void put_line(const struct gw_worker *worker, struct text *text, const char *name, struct board_text value)
{
    size_t len;
    const char *bytes = board_text(worker->view, value, &len);
    if (len == 0)
        return;
    text_put(text, name);
    text_add(text, bytes, len);
    text_put(text, "\r\n");
}

/* What a page's head ends with. */
static void end_head(struct gw_worker *worker, struct conn *conn, struct text *text, unsigned status, size_t length)
{
    struct gw_rewrite rewrite = gw_relay_rewrite(worker->view, &gw_conn_route(worker, conn)->response);
    struct gw_gathered gathered = { 0 };
    if (gw_relay_has_gaps(&rewrite))
        (void)gw_relay_gather(worker, conn, &gathered);
    gw_expand_lines(text, rewrite.add, &gathered.facts);
    if (gw_forward_is_good(status))
        gw_expand_lines(text, rewrite.add_on_success, &gathered.facts);
    text_put(text, conn->flags & CONN_KEEP_ALIVE ? "Connection: keep-alive\r\n" : "Connection: close\r\n");
    if (status != 204 && status != 304) {
        text_put(text, "Content-Length: ");
        text_number(text, length);
        text_put(text, "\r\n");
    }
    text_put(text, "\r\n");
}

static void give_page(struct gw_worker *worker, struct conn *conn, const struct board_page *page, unsigned status)
{
    char *block = begin(worker, conn);
    struct text text = { .at = block, .end = block + GW_BLOCK };
    size_t len;
    const char *body = board_text(worker->view, page->body, &len);

    put_head(&text, status);
    put_line(worker, &text, "Content-Type: ", page->type);
    if (page->retry_after_s > 0) {
        text_put(&text, "Retry-After: ");
        text_number(&text, page->retry_after_s);
        text_put(&text, "\r\n");
    }
    end_head(worker, conn, &text, status, len);
    if (conn->method != HTTP1_HEAD && status != 204 && status != 304)
        text_add(&text, body, len);
    finish_text(worker, conn, status, &text);
}

/* An error that has no text of its own may have a page. 444 is no answer at all. */
void gw_answer_page(struct gw_worker *worker, struct conn *conn, const struct board_page *page)
{
    if (page->status == 444) {
        conn->status = 444;
        gw_conn_close(worker, conn);
        return;
    }
    const struct board_error_page *error =
        page->body.len == 0 ? gw_answer_error_page(worker, conn, page->status) : NULL;
    if (error)
        gw_answer_error(worker, conn, error, page->status);
    else
        give_page(worker, conn, page, page->status);
}

/* The Location, into worker->scratch; its length, 0 when it has no room. Two slashes in front would name another host. */
static size_t make_location(struct gw_worker *worker, struct conn *conn, struct board_text to)
{
    struct text text = { .at = worker->scratch, .end = worker->scratch + GW_BLOCK / 2 };
    struct gw_gathered gathered;
    struct gw_span template;
    size_t doubled = 0;

    template.text = board_text(worker->view, to, &template.len);
    (void)gw_relay_gather(worker, conn, &gathered);
    gw_expand(&text, template, &gathered.facts);
    size_t len = (size_t)(text.at - worker->scratch);
    while (doubled + 1 < len && worker->scratch[doubled] == '/' && worker->scratch[doubled + 1] == '/')
        doubled++;
    memmove(worker->scratch, worker->scratch + doubled, len - doubled);
    return text.full ? 0 : len - doubled;
}

void gw_answer_location(struct gw_worker *worker, struct conn *conn, unsigned status, struct gw_span location)
{
    char *block = begin(worker, conn);
    struct text text = { .at = block, .end = block + GW_BLOCK };
    put_head(&text, status);
    text_put(&text, "Location: ");
    text_add(&text, location.text, location.len);
    text_put(&text, "\r\n");
    end_head(worker, conn, &text, status, 0);
    finish_text(worker, conn, status, &text);
}

static void give_redirect(struct gw_worker *worker, struct conn *conn, struct board_text to, unsigned status)
{
    size_t len = make_location(worker, conn, to);

    if (len == 0)
        give(worker, conn, (struct gw_answer){ .status = 414 });
    else
        gw_answer_location(worker, conn, status, (struct gw_span){ worker->scratch, len });
}

void gw_answer_redirect(struct gw_worker *worker, struct conn *conn)
{
    const struct board_route *route = gw_conn_route(worker, conn);
    give_redirect(worker, conn, route->location, route->page.status);
}

void gw_answer_error(struct gw_worker *worker, struct conn *conn, const struct board_error_page *error, unsigned status)
{
    if (error->location.len > 0)
        give_redirect(worker, conn, error->location, error->page.status);
    else
        give_page(worker, conn, &error->page, error->page.status > 0 ? error->page.status : status);
}
