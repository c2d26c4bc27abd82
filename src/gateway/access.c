/* SPDX-License-Identifier: MIT */
#include "gateway/access.h"

#include "base/clock.h"
#include "base/handover.h"
#include "gateway/client.h"
#include "gateway/conn_fsm.h"
#include "gateway/relay.h"
#include "gateway/text.h"

#include <string.h>
#include <time.h>

enum { TEXT_MAX = 2048 }; /* bytes that one text of the client's may take, escapes included */

/* --- the ring --------------------------------------------------------------------------------------------------- */

struct access_ring *access_rings_new(unsigned workers, struct err *err)
{
    return handover_memory("access", workers * sizeof(struct access_ring), err);
}

void access_rings_free(struct access_ring *rings, unsigned workers)
{
    handover_memory_free(rings);
}

bool access_ring_put(struct access_ring *ring, const char *line, size_t len)
{
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    uint64_t read = atomic_load_explicit(&ring->read, memory_order_acquire);
    if (len > ACCESS_RING - (written - read)) {
        gw_count(&ring->dropped);
        return false;
    }
    size_t at = (size_t)(written % ACCESS_RING), first = len < ACCESS_RING - at ? len : ACCESS_RING - at;
    memcpy(ring->bytes + at, line, first);
    memcpy(ring->bytes, line + first, len - first);
    atomic_store_explicit(&ring->written, written + len, memory_order_release);
    return true;
}

size_t access_ring_take(struct access_ring *ring, char *buf, size_t size)
{
    uint64_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_acquire);
    size_t len = written - read < size ? (size_t)(written - read) : size;
    size_t at = (size_t)(read % ACCESS_RING), first = len < ACCESS_RING - at ? len : ACCESS_RING - at;

    memcpy(buf, ring->bytes + at, first);
    memcpy(buf + first, ring->bytes, len - first);
    while (len > 0 && buf[len - 1] != '\n')
        len--;
    atomic_store_explicit(&ring->read, read + len, memory_order_release);
    return len;
}

/* --- lines ------------------------------------------------------------------------------------------------------ */

/* Bytes that would end a string, or that no file of text should hold, become \u00NN (JSON) or \xNN. */
static void put_escaped(struct text *text, struct gw_span span, const char *escape)
{
    static const char hex[] = "0123456789abcdef";
    size_t room = TEXT_MAX;
    for (size_t i = 0; i < span.len && room >= 6; i++) {
        unsigned char byte = (unsigned char)span.text[i];
        if (byte >= ' ' && byte < 0x7f && byte != '"' && byte != '\\') {
            text_add(text, span.text + i, 1);
            room--;
            continue;
        }
        char digits[2] = { hex[byte >> 4], hex[byte & 15] };
        text_put(text, escape);
        text_add(text, digits, 2);
        room -= strlen(escape) + 2;
    }
}

static void put_ms(struct text *text, int64_t ns)
{
    uint64_t us = ns > 0 ? (uint64_t)(ns / NS_PER_US) : 0;
    text_number(text, us / 1000);
    text_put(text, ".");
    text_padded(text, us % 1000, 3);
}

static void put_string(struct text *text, const char *key, struct gw_span value)
{
    text_put(text, key);
    put_escaped(text, value, "\\u00");
    text_put(text, "\"");
}

static void put_json(struct text *text, const struct access_entry *entry, const struct tm *tm)
{
    text_put(text, "{\"time\":\"");
    text_padded(text, (uint64_t)tm->tm_year + 1900, 4);
    text_put(text, "-");
    text_padded(text, (uint64_t)tm->tm_mon + 1, 2);
    text_put(text, "-");
    text_padded(text, (uint64_t)tm->tm_mday, 2);
    text_put(text, "T");
    text_time(text, tm);
    text_put(text, ".");
    text_padded(text, (uint64_t)(entry->wall_ns % NS_PER_S / NS_PER_MS), 3);
    put_string(text, "Z\",\"client\":\"", entry->client);
    put_string(text, ",\"method\":\"", entry->method);
    put_string(text, ",\"host\":\"", entry->host);
    put_string(text, ",\"target\":\"", entry->target);
    text_put(text, ",\"status\":");
    text_number(text, entry->status);
    text_put(text, ",\"bytes\":");
    text_number(text, entry->bytes);
    text_put(text, ",\"duration_ms\":");
    put_ms(text, entry->duration_ns);
    text_put(text, entry->upstream ? ",\"upstream\":\"" : ",\"upstream\":null");
    if (entry->upstream) {
        text_put(text, entry->upstream);
        text_put(text, "\"");
    }
    text_put(text, ",\"retries\":");
    text_number(text, entry->retries);
    text_put(text, ",\"held_ms\":");
    put_ms(text, entry->held_ns);
    put_string(text, ",\"request_id\":\"", entry->id);
    text_put(text, "}\n");
}

static void put_or_dash(struct text *text, const char *before, struct gw_span value)
{
    text_put(text, before);
    if (value.len == 0)
        text_put(text, "-");
    put_escaped(text, value, "\\x");
}

/* As Apache and nginx write it. */
static void put_combined(struct text *text, const struct access_entry *entry, const struct tm *tm)
{
    text_add(text, entry->client.text, entry->client.len);
    text_put(text, " - - [");
    text_padded(text, (uint64_t)tm->tm_mday, 2);
    text_put(text, "/");
    text_month(text, tm);
    text_put(text, "/");
    text_padded(text, (uint64_t)tm->tm_year + 1900, 4);
    text_put(text, ":");
    text_time(text, tm);
    put_or_dash(text, " +0000] \"", entry->method);
    put_or_dash(text, " ", entry->target);
    text_put(text, entry->minor == 0 ? " HTTP/1.0\" " : " HTTP/1.1\" ");
    text_number(text, entry->status);
    text_put(text, " ");
    text_number(text, entry->bytes);
    put_or_dash(text, " \"", entry->referer);
    put_or_dash(text, "\" \"", entry->agent);
    text_put(text, "\"\n");
}

size_t access_format(enum board_access format, const struct access_entry *entry, char line[ACCESS_LINE])
{
    struct text text = { .at = line, .end = line + ACCESS_LINE };
    time_t second = (time_t)(entry->wall_ns / NS_PER_S);
    struct tm tm;

    if (!gmtime_r(&second, &tm))
        return 0;
    if (format == BOARD_ACCESS_COMBINED)
        put_combined(&text, entry, &tm);
    else
        put_json(&text, entry, &tm);
    return text.full ? 0 : (size_t)(text.at - line);
}

/* --- a worker's exchange ---------------------------------------------------------------------------------------- */

static struct gw_span slice_of(const char *buf, struct http1_slice slice)
{
    return (struct gw_span){ buf + slice.at, slice.len };
}

/* What the request's head says, as far as it is still there; also of the client, who may be another than who sent it. */
static void read_request(struct gw_worker *worker, struct conn *conn, struct access_entry *entry,
                         struct gw_client *client)
{
    static const char none[] = "-";
    entry->method = entry->target = (struct gw_span){ none, 1 };
    if (!gw_relay_read_head(worker, conn))
        return;
    const char *buf = gw_block(&worker->slots, conn->in);
    const struct http1_head *head = &worker->head;
    entry->method = slice_of(buf, head->method_name);
    entry->target = slice_of(buf, head->target);
    entry->host = slice_of(buf, head->host);
    entry->minor = head->minor;
    entry->id = gw_forward_id(buf, head, entry->id.text);
    *client = gw_client_behind(*client, buf, head, worker->view->trusted, worker->view->used_trusted);
    for (unsigned i = 0; i < head->headers; i++) {
        const struct http1_header *header = &head->header[i];
        if (header->field != HTTP1_FIELD_OTHER)
            continue;
        if (http1_slice_is(buf, header->name, "user-agent"))
            entry->agent = slice_of(buf, header->value);
        else if (http1_slice_is(buf, header->name, "referer"))
            entry->referer = slice_of(buf, header->value);
    }
}

void gw_access_log(struct gw_worker *worker, struct conn *conn)
{
    const struct board *view = worker->view;
    if (view->access == BOARD_ACCESS_NONE || !worker->setup->access || (conn->flags & CONN_TCP) ||
        (view->access_sample < UINT32_MAX && (uint32_t)rng_next(&worker->balance.rng) > view->access_sample))
        return;

    struct gw_client client = gw_client_peer(conn);
    char address[INET6_ADDRSTRLEN], id[GW_REQUEST_ID], line[ACCESS_LINE];
    struct timespec wall;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    gw_relay_make_id(worker, conn, id);
    struct access_entry entry = {
        .wall_ns = wall.tv_sec * NS_PER_S + wall.tv_nsec,
        .id = { id, sizeof(id) },
        .status = conn->status,
        .retries = conn->tried_len > 0 ? conn->tried_len - 1u : 0,
        .bytes = conn->sent,
        .duration_ns = worker->now - conn->begun_ns,
        .held_ns = conn->state == CONN_HELD ? conn->held_ns + worker->now : conn->held_ns,
    };
    if (conn->tried_len > 0 && view->endpoints[conn->endpoint].generation == conn->endpoint_generation)
        entry.upstream = view->endpoints[conn->endpoint].instance;
    read_request(worker, conn, &entry, &client);
    entry.client = (struct gw_span){ address, gw_client_text(&client, address) };
    size_t len = access_format((enum board_access)view->access, &entry, line);
    if (len > 0)
        (void)access_ring_put(&worker->setup->access[worker->setup->number], line, len);
}
