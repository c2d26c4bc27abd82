/* SPDX-License-Identifier: MIT */
#include "observe/metrics.h"

#include "base/cleanup.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* --- the format ------------------------------------------------------------------------------------------------- */

void metrics_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void add_label(struct buf *out, const struct metrics_label *label)
{
    buf_printf(out, "%s=\"", label->name);
    for (const char *at = label->value, *stop; *at; at = stop) {
        stop = at + strcspn(at, "\\\"\n");
        buf_add(out, at, (size_t)(stop - at));
        if (*stop)
            buf_puts(out, *stop == '\n' ? "\\n" : *stop == '"' ? "\\\"" : "\\\\");
        stop += *stop != '\0';
    }
    buf_puts(out, "\"");
}

void metrics_sample(struct buf *out, const char *name, const struct metrics_label *labels, double value)
{
    buf_puts(out, name);
    for (const struct metrics_label *label = labels; label && label->name; label++) {
        buf_puts(out, label == labels ? "{" : ",");
        add_label(out, label);
    }
    buf_printf(out, "%s %.16g\n", labels && labels->name ? "}" : "", value);
}

/* --- workers ---------------------------------------------------------------------------------------------------- */

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

struct worker_sum {
    uint64_t connections, holding, accepted, bad_requests, unrouted, accept_errors, adoptions, dropped,
        limits[GAUGE_LIMITS];
};

static struct worker_sum add_up(const struct gauges *gauges)
{
    struct worker_sum sum = { 0 };

    for (uint32_t i = 0; i < gauges->workers; i++) {
        const struct worker_gauges *worker = &gauges->worker[i];
        sum.connections += LOAD(worker->connections);
        sum.holding += LOAD(worker->holding);
        sum.accepted += LOAD(worker->accepted);
        sum.bad_requests += LOAD(worker->bad_requests);
        sum.unrouted += LOAD(worker->unrouted);
        sum.accept_errors += LOAD(worker->accept_errors);
        sum.adoptions += LOAD(worker->adoption.adoptions);
        sum.dropped += LOAD(worker->adoption.dropped);
        for (int limit = 0; limit < GAUGE_LIMITS; limit++)
            sum.limits[limit] += LOAD(worker->limits[limit]);
    }
    return sum;
}

static void single(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
    metrics_family(out, name, type, help);
    metrics_sample(out, name, NULL, (double)value);
}

static void add_workers(struct buf *out, const struct gauges *gauges)
{
    static const char limited[] = "daruma_gateway_limited_total";
    const struct worker_sum sum = add_up(gauges);

    single(out, "daruma_gateway_workers", "gauge", "Worker processes of the gateway.", gauges->workers);
    single(out, "daruma_gateway_connections", "gauge", "Client connections.", sum.connections);
    single(out, "daruma_gateway_holding", "gauge", "Requests that wait for an instance, or for room.", sum.holding);
    single(out, "daruma_gateway_accepted_total", "counter", "Client connections accepted.", sum.accepted);
    single(out, "daruma_gateway_accept_errors_total", "counter",
           "Connections not accepted for want of descriptors or memory.", sum.accept_errors);
    single(out, "daruma_gateway_bad_requests_total", "counter", "Requests refused as malformed.", sum.bad_requests);
    single(out, "daruma_gateway_unrouted_total", "counter", "Requests that no route led anywhere.", sum.unrouted);
    single(out, "daruma_gateway_adoptions_total", "counter", "Workers that died and whose connections were taken over.",
           sum.adoptions);
    single(out, "daruma_gateway_dropped_total", "counter", "Connections that did not outlive their worker.",
           sum.dropped);
    metrics_family(out, limited, "counter", "What clients ran into, by the limit.");
    for (int limit = 0; limit < GAUGE_LIMITS; limit++) {
        const struct metrics_label labels[] = { { "limit", gauges_limit_name((enum gauge_limit)limit) }, { 0 } };
        metrics_sample(out, limited, labels, (double)sum.limits[limit]);
    }
}

/* --- routes ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *help;
    size_t at; /* in struct route_sum */
} route_counters[] = {
    { "daruma_route_requests_total", "Whole requests received.", offsetof(struct route_sum, requests) },
    { "daruma_route_gateway_errors_total", "Answers 500 to 599 that the gateway made itself.",
      offsetof(struct route_sum, own_5xx) },
    { "daruma_route_held_total", "Requests that had to wait for an instance, or for room.",
      offsetof(struct route_sum, held) },
    { "daruma_route_hold_expired_total", "Requests that waited too long.", offsetof(struct route_sum, hold_expired) },
    { "daruma_route_retries_total", "Attempts after the first one.", offsetof(struct route_sum, retried) },
    { "daruma_route_retries_denied_total", "Failures that budget, method or bytes already sent forbade to retry.",
      offsetof(struct route_sum, retry_denied) },
    { "daruma_route_hedges_total", "Attempts beside one whose answer was overdue.",
      offsetof(struct route_sum, hedged) },
    { "daruma_route_hedges_won_total", "Of those, the ones that answered first.",
      offsetof(struct route_sum, hedge_won) },
    { "daruma_route_poisoned_total", "Requests given up because instances died while they served them.",
      offsetof(struct route_sum, poisoned) },
    { "daruma_route_truncated_total", "Answers that broke off in the middle.", offsetof(struct route_sum, truncated) },
};

/* What names a route, with one label more for the caller. */
struct route_labels {
    char listener[BOARD_ADDRESS_TEXT], order[12];
    struct buf host, path;
    struct metrics_label list[6];
};

static void name_route(const struct board *board, uint32_t index, struct route_labels *ret)
{
    const struct board_route *route = &board->routes[index];
    const struct board_text texts[] = { route->host, route->path };
    struct buf *const copies[] = { &ret->host, &ret->path };

    (void)board_address_format(&board->listeners[route->listener].address, ret->listener);
    (void)snprintf(ret->order, sizeof(ret->order), "%u", route->order);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        size_t len;
        const char *bytes = board_text(board, texts[i], &len);
        copies[i]->len = 0;
        buf_add(copies[i], bytes, len);
    }
    const struct metrics_label list[] = {
        { "listener", ret->listener },
        { "route", ret->order },
        { "host", ret->host.data ? ret->host.data : "" },
        { "path", ret->path.data ? ret->path.data : "" },
        { 0 },
        { 0 },
    };
    memcpy(ret->list, list, sizeof(list));
}

static void add_responses(struct buf *out, const struct board *board, const struct gauges *gauges,
                          struct route_labels *labels)
{
    static const char name[] = "daruma_route_responses_total";
    static const char *const codes[] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };

    metrics_family(out, name, "counter", "Answers by class of status; none: given up before there was one.");
    for (uint32_t i = 0; i < board->used_routes; i++) {
        if (!board->routes[i].used)
            continue;
        const struct route_sum sum = gauges_route(gauges, i);
        name_route(board, i, labels);
        for (size_t c = 0; c < ARRAY_LEN(codes); c++) {
            labels->list[4] = (struct metrics_label){ "code", codes[c] };
            metrics_sample(out, name, labels->list, (double)sum.status[c]);
        }
    }
}

static void add_routes(struct buf *out, const struct board *board, const struct gauges *gauges)
{
    struct route_labels labels = { 0 };

    for (size_t c = 0; c < ARRAY_LEN(route_counters); c++) {
        metrics_family(out, route_counters[c].name, "counter", route_counters[c].help);
        for (uint32_t i = 0; i < board->used_routes; i++) {
            if (!board->routes[i].used)
                continue;
            const struct route_sum sum = gauges_route(gauges, i);
            name_route(board, i, &labels);
            metrics_sample(out, route_counters[c].name, labels.list,
                           (double)*(const uint64_t *)((const char *)&sum + route_counters[c].at));
        }
    }
    add_responses(out, board, gauges, &labels);
    buf_free(&labels.host);
    buf_free(&labels.path);
}

/* --- endpoints -------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *type, *help;
    size_t at; /* in struct endpoint_sum */
} endpoint_values[] = {
    { "daruma_endpoint_inflight", "gauge", "Requests (tcp: connections) in flight.",
      offsetof(struct endpoint_sum, inflight) },
    { "daruma_endpoint_ejected", "gauge", "Workers that leave it out because it fails or hangs.",
      offsetof(struct endpoint_sum, ejected) },
    { "daruma_endpoint_requests_total", "counter", "Requests placed on it, retries included.",
      offsetof(struct endpoint_sum, requests) },
    { "daruma_endpoint_errors_total", "counter", "Failed connections, resets, timeouts, and answers 500 to 599.",
      offsetof(struct endpoint_sum, errors) },
    { "daruma_endpoint_failures_total", "counter", "Answers 500 to 599.", offsetof(struct endpoint_sum, failures) },
};

/* In the rotation, or on its way out of it. */
static bool is_there(const struct board_endpoint *endpoint)
{
    return endpoint->state == BOARD_ENDPOINT_UP || endpoint->state == BOARD_ENDPOINT_DRAINING;
}

static struct metrics_label service_of(const struct board *board, uint32_t endpoint)
{
    return (struct metrics_label){ "service", board->services[board->endpoints[endpoint].service].name };
}

static struct metrics_label name_of(const struct board *board, uint32_t endpoint)
{
    return (struct metrics_label){ "name", board->endpoints[endpoint].instance };
}

/* Cells are four to an octave; an octave is a bucket. The last one holds all that took longer. */
static void add_latency(struct buf *out, const char *name, const struct metrics_label who[2],
                        const struct endpoint_sum *sum)
{
    char bucket[64], text[32];
    uint64_t count = 0;

    (void)snprintf(bucket, sizeof(bucket), "%s_bucket", name);
    for (unsigned cell = 0; cell < GAUGES_LATENCY; cell++) {
        count += sum->latency[cell];
        if (cell % 4 != 3)
            continue;
        bool last = cell == GAUGES_LATENCY - 1;
        (void)snprintf(text, sizeof(text), "%.9g", (double)gauges_latency_us(cell) / 1e6);
        const struct metrics_label labels[] = { who[0], who[1], { "le", last ? "+Inf" : text }, { 0 } };
        metrics_sample(out, bucket, labels, (double)count);
    }
    const struct metrics_label labels[] = { who[0], who[1], { 0 } };
    (void)snprintf(bucket, sizeof(bucket), "%s_sum", name);
    metrics_sample(out, bucket, labels, (double)sum->latency_us / 1e6);
    (void)snprintf(bucket, sizeof(bucket), "%s_count", name);
    metrics_sample(out, bucket, labels, (double)count);
}

static void add_values(struct buf *out, const struct board *board, const struct gauges *gauges, size_t value)
{
    const char *name = endpoint_values[value].name;

    metrics_family(out, name, endpoint_values[value].type, endpoint_values[value].help);
    for (uint32_t i = 0; i < board->used_endpoints; i++) {
        if (!is_there(&board->endpoints[i]))
            continue;
        const struct endpoint_sum sum = gauges_endpoint(gauges, i, board->endpoints[i].generation);
        const struct metrics_label who[] = { service_of(board, i), name_of(board, i), { 0 } };
        metrics_sample(out, name, who, (double)*(const uint64_t *)((const char *)&sum + endpoint_values[value].at));
    }
}

static void add_latencies(struct buf *out, const struct board *board, const struct gauges *gauges)
{
    static const char name[] = "daruma_endpoint_latency_seconds";

    metrics_family(out, name, "histogram", "Time to the head of the answer, whatever its status.");
    for (uint32_t i = 0; i < board->used_endpoints; i++) {
        if (!is_there(&board->endpoints[i]))
            continue;
        const struct endpoint_sum sum = gauges_endpoint(gauges, i, board->endpoints[i].generation);
        add_latency(out, name, (const struct metrics_label[]){ service_of(board, i), name_of(board, i) }, &sum);
    }
}

void metrics_gateway(struct buf *out, const struct board *board, const struct gauges *gauges)
{
    add_workers(out, gauges);
    add_routes(out, board, gauges);
    for (size_t value = 0; value < ARRAY_LEN(endpoint_values); value++)
        add_values(out, board, gauges, value);
    add_latencies(out, board, gauges);
}
