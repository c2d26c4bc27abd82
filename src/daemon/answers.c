/* SPDX-License-Identifier: MIT */
#include "daemon/answers.h"

#include "base/clock.h"
#include "base/version.h"
#include "observe/metrics.h"
#include "observe/text.h"

#include <string.h>

const char *answers_state_name(enum supervisor_state state)
{
    switch (state) {
    case SUPERVISOR_STARTING:
        return "starting";
    case SUPERVISOR_READY:
        return "ready";
    case SUPERVISOR_DEGRADED:
        return "degraded";
    case SUPERVISOR_STOPPING:
        return "stopping";
    case SUPERVISOR_DOWN:
        return "down";
    }
    return "?";
}

/* Seconds from `from` to `to`, to a millisecond; null when `from` is 0. */
static json_t *span_or_null(int64_t from, int64_t to, int64_t known)
{
    int64_t ms = (to - from) / NS_PER_MS;
    return known ? json_real((double)(ms > 0 ? ms : 0) / 1e3) : json_null();
}

static json_t *last_exit(const struct instance_info *info)
{
    if (info->last_cause == CAUSE_NONE)
        return json_null();
    bool exited = !info->last_by_signal && info->last_cause != CAUSE_SPAWN && info->last_status >= 0;
    return json_pack("{s:s, s:o, s:o}", "cause", cause_name(info->last_cause), "status",
                     exited ? json_integer(info->last_status) : json_null(), "signal",
                     info->last_by_signal ? json_integer(info->last_status) : json_null());
}

static json_t *instance_json(const struct instance_info *info)
{
    int64_t now = clock_now();
    char endpoint[BOARD_ADDRESS_TEXT];

    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:i, s:o, s:o, s:i, s:o, s:o}", "service", info->service,
                     "instance", info->instance, "state", info->state, "health", text_json_or_null(info->health), "pid",
                     info->pid ? json_integer(info->pid) : json_null(), "uptime_s",
                     span_or_null(info->since_ns, now, info->since_ns), "restarts", (int)info->restarts, "retry_in_s",
                     span_or_null(now, info->retry_at_ns, info->retry_at_ns), "endpoint",
                     info->address.len ? json_string(board_address_format(&info->address, endpoint)) : json_null(),
                     "in_flight", (int)info->inflight, "last_exit", last_exit(info), "waits_for",
                     text_json_or_null(info->waits_for));
}

static void add_instance(void *data, const struct instance_info *info)
{
    (void)json_array_append_new(data, instance_json(info));
}

json_t *answers_instances(const struct supervisor *supervisor)
{
    json_t *list = json_array();
    if (list)
        supervisor_each(supervisor, add_instance, list);
    return list;
}

struct lookup {
    const char *name;
    json_t *found;
};

static void look(void *data, const struct instance_info *info)
{
    struct lookup *lookup = data;
    if (!lookup->found && strcmp(info->instance, lookup->name) == 0)
        lookup->found = instance_json(info);
}

json_t *answers_instance(const struct supervisor *supervisor, const char *name)
{
    struct lookup lookup = { .name = name };
    supervisor_each(supervisor, look, &lookup);
    return lookup.found ? lookup.found : json_null();
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

static json_t *workers_json(const struct gauges *gauges)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < gauges->workers; i++) {
        const struct worker_gauges *worker = &gauges->worker[i];
        json_t *limits = json_object();
        for (int limit = 0; limit < GAUGE_LIMITS; limit++)
            (void)json_object_set_new(limits, gauges_limit_name((enum gauge_limit)limit),
                                      number(LOAD(worker->limits[limit])));
        (void)json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "connections",
                            number(LOAD(worker->connections)), "adoptions", number(LOAD(worker->adoption.adoptions)),
                            "dropped", number(LOAD(worker->adoption.dropped)), "accepted",
                            number(LOAD(worker->accepted)), "holding", number(LOAD(worker->holding)), "bad_requests",
                            number(LOAD(worker->bad_requests)), "unrouted", number(LOAD(worker->unrouted)),
                            "accept_errors", number(LOAD(worker->accept_errors)), "limits", limits));
    }
    return list;
}

static json_t *board_string(const struct board *board, struct board_text text)
{
    size_t len;
    const char *bytes = board_text(board, text, &len);
    return len > 0 ? json_stringn(bytes, len) : json_null();
}

static json_t *route_json(const struct board *board, const struct gauges *gauges, uint32_t index)
{
    const struct board_route *route = &board->routes[index];
    struct route_sum sum = gauges_route(gauges, index);
    json_t *services = json_array();

    for (uint32_t i = 0; i < route->targets; i++)
        (void)json_array_append_new(services, json_string(board->services[route->service[i]].name));
    json_t *status = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "1xx", number(sum.status[1]), "2xx",
                               number(sum.status[2]), "3xx", number(sum.status[3]), "4xx", number(sum.status[4]), "5xx",
                               number(sum.status[5]), "none", number(sum.status[0]));
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "listener",
                     board->listeners[route->listener].name, "host", board_string(board, route->host), "path",
                     board_string(board, route->path), "services", services, "requests", number(sum.requests), "status",
                     status, "own_5xx", number(sum.own_5xx), "held", number(sum.held), "hold_expired",
                     number(sum.hold_expired), "retried", number(sum.retried), "hedged", number(sum.hedged),
                     "hedge_won", number(sum.hedge_won), "retry_denied", number(sum.retry_denied), "poisoned",
                     number(sum.poisoned), "truncated", number(sum.truncated));
}

/* What the workers know of one endpoint; what belongs to an earlier instance in its slot does not count. */
static json_t *endpoint_json(const struct board *board, const struct gauges *gauges, uint32_t index)
{
    const struct board_endpoint *endpoint = &board->endpoints[index];
    struct endpoint_sum sum = gauges_endpoint(gauges, index, endpoint->generation);

    return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "instance", endpoint->instance, "service",
                     board->services[endpoint->service].name, "draining", endpoint->state == BOARD_ENDPOINT_DRAINING,
                     "weight", number(endpoint->weight), "inflight", number(sum.inflight), "requests",
                     number(sum.requests), "errors", number(sum.errors), "ejected", number(sum.ejected));
}

json_t *answers_gateway(const struct board *board, const struct gauges *gauges)
{
    json_t *routes = json_array(), *endpoints = json_array();

    for (uint32_t i = 0; i < board->used_routes; i++)
        if (board->routes[i].used)
            (void)json_array_append_new(routes, route_json(board, gauges, i));
    for (uint32_t i = 0; i < board->used_endpoints; i++)
        if (board->endpoints[i].state == BOARD_ENDPOINT_UP || board->endpoints[i].state == BOARD_ENDPOINT_DRAINING)
            (void)json_array_append_new(endpoints, endpoint_json(board, gauges, i));
    return json_pack("{s:o, s:o, s:o}", "workers", workers_json(gauges), "routes", routes, "endpoints", endpoints);
}

json_t *answers_listeners(const struct board *board, const struct listeners *listeners)
{
    json_t *list = json_array();

    for (size_t i = 0; i < listeners->len; i++) {
        const struct listener *listener = &listeners->list[i];
        if (listener->target != 0 || listener->slot < 0)
            continue;
        const struct board_listener *slot = &board->listeners[listener->slot];
        char address[BOARD_ADDRESS_TEXT];
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:s}", "address", board_address_format(&slot->address, address),
                                              "protocol", slot->protocol == BOARD_TCP ? "tcp" : "http"));
    }
    return list;
}

/* ---- for Prometheus ---- */

static const char instance_state[] = "daruma_instance_state", instance_ready[] = "daruma_instance_ready",
                  instance_restarts[] = "daruma_instance_restarts_total";

static void add_state(void *data, const struct instance_info *info)
{
    metrics_sample(data, instance_state,
                   (const struct metrics_label[]){
                       { "service", info->service }, { "name", info->instance }, { "state", info->state }, { 0 } },
                   1);
}

static void add_ready(void *data, const struct instance_info *info)
{
    metrics_sample(data, instance_ready,
                   (const struct metrics_label[]){ { "service", info->service }, { "name", info->instance }, { 0 } },
                   strcmp(info->state, "serving") == 0);
}

static void add_restarts(void *data, const struct instance_info *info)
{
    metrics_sample(data, instance_restarts,
                   (const struct metrics_label[]){ { "service", info->service }, { "name", info->instance }, { 0 } },
                   info->restarts);
}

static void add_project(struct buf *out, enum supervisor_state state, int64_t since_wall_ns)
{
    static const char build[] = "daruma_build_info", name[] = "daruma_project_state",
                      since[] = "daruma_start_time_seconds";

    metrics_family(out, build, "gauge", "The version that runs.");
    metrics_sample(out, build, (const struct metrics_label[]){ { "version", DARUMA_VERSION }, { 0 } }, 1);
    metrics_family(out, since, "gauge", "When the project was started, since the Epoch.");
    metrics_sample(out, since, NULL, (double)(since_wall_ns / NS_PER_MS) / 1e3);
    metrics_family(out, name, "gauge", "1 for the state that the project is in.");
    for (int i = SUPERVISOR_STARTING; i <= SUPERVISOR_DOWN; i++) {
        const struct metrics_label labels[] = { { "state", answers_state_name((enum supervisor_state)i) }, { 0 } };
        metrics_sample(out, name, labels, i == (int)state);
    }
}

void answers_metrics(struct buf *out, const struct supervisor *supervisor, const struct board *board,
                     const struct gauges *gauges, int64_t since_wall_ns)
{
    add_project(out, supervisor_state(supervisor), since_wall_ns);
    metrics_family(out, instance_state, "gauge", "1, with the state that the instance is in.");
    supervisor_each(supervisor, add_state, out);
    metrics_family(out, instance_ready, "gauge", "1 while the instance serves.");
    supervisor_each(supervisor, add_ready, out);
    metrics_family(out, instance_restarts, "counter", "How often the instance was started again.");
    supervisor_each(supervisor, add_restarts, out);
    metrics_gateway(out, board, gauges);
}
