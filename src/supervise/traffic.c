/* SPDX-License-Identifier: MIT */
#include "supervise/traffic.h"

#include <string.h>

/* "app" or, for another port than its first one, "app:9000". */
static bool is_of(const char *board_name, const char *service)
{
    size_t len = strlen(service);
    return strncmp(board_name, service, len) == 0 && (board_name[len] == '\0' || board_name[len] == ':');
}

static bool leads_to(const struct board *board, const struct board_route *route, const char *service)
{
    for (uint32_t i = 0; route->used && i < route->targets; i++)
        if (is_of(board->services[route->service[i]].name, service))
            return true;
    return false;
}

static void add(struct traffic *sum, const struct route_sum *route)
{
    sum->requests += route->requests;
    sum->failed += route->status[5] + route->status[0];
    sum->held += route->held;
    sum->retried += route->retried;
}

static void add_waits(struct traffic_waits *sum, const struct route_gauge *gauge)
{
    for (unsigned i = 0; i < GAUGES_LATENCY; i++) {
        sum->latency[i] += atomic_load_explicit(&gauge->latency[i], memory_order_relaxed);
        sum->quiet[i] += atomic_load_explicit(&gauge->quiet[i], memory_order_relaxed);
    }
}

struct traffic traffic_of(const struct board *board, const struct gauges *gauges, const char *service)
{
    struct traffic sum = { 0 };

    for (uint32_t r = 0; r < board->used_routes; r++) {
        if (!leads_to(board, &board->routes[r], service))
            continue;
        const struct route_sum route = gauges_route(gauges, r);
        add(&sum, &route);
    }
    return sum;
}

struct traffic_waits traffic_waits_of(const struct board *board, const struct gauges *gauges, const char *service)
{
    struct traffic_waits sum = { 0 };

    for (uint32_t r = 0; r < board->used_routes; r++) {
        if (!leads_to(board, &board->routes[r], service))
            continue;
        for (uint32_t w = 0; w < gauges->workers; w++)
            add_waits(&sum, &gauges->worker[w].routes[r]);
    }
    return sum;
}

/* Routes may have gone meanwhile, and what they had counted with them. */
static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

struct traffic traffic_since(const struct traffic *now, const struct traffic *before)
{
    return (struct traffic){ .requests = grown(now->requests, before->requests),
                             .failed = grown(now->failed, before->failed),
                             .held = grown(now->held, before->held),
                             .retried = grown(now->retried, before->retried) };
}

struct traffic_waits traffic_waits_since(const struct traffic_waits *now, const struct traffic_waits *before)
{
    struct traffic_waits since;

    for (unsigned i = 0; i < GAUGES_LATENCY; i++) {
        since.latency[i] = grown(now->latency[i], before->latency[i]);
        since.quiet[i] = grown(now->quiet[i], before->quiet[i]);
    }
    return since;
}

uint64_t traffic_p99_us(const struct traffic_waits *waits)
{
    return gauges_quantile_us(waits->latency, 0.99);
}

uint64_t traffic_gap_us(const struct traffic_waits *waits)
{
    return gauges_quantile_us(waits->quiet, 1) * GAUGES_QUIET_UNIT;
}
