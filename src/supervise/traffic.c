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

struct traffic traffic_since(const struct traffic *now, const struct traffic *before)
{
    return (struct traffic){ .requests = now->requests - before->requests,
                             .failed = now->failed - before->failed,
                             .held = now->held - before->held,
                             .retried = now->retried - before->retried };
}
