/* SPDX-License-Identifier: MIT
 *
 * An instance's endpoints on the board, one for each of its ports: published ones are reached through the gateway from
 * outside, all of them by peers.
 */
#include "supervise/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The first port that is no UDP port, or NULL. */
static const struct spec_port *first_port(const struct spec_service *service)
{
    for (size_t i = 0; i < service->ports_len; i++)
        if (service->ports[i].protocol != SPEC_PROTOCOL_UDP)
            return &service->ports[i];
    return NULL;
}

const char *supervisor_board_name(const struct spec_service *service, uint16_t target, char ret[BOARD_NAME])
{
    const struct spec_port *first = first_port(service);
    if (target == 0 || !first || first->target == target)
        (void)snprintf(ret, BOARD_NAME, "%.*s", BOARD_NAME - 1, service->name);
    else
        (void)snprintf(ret, BOARD_NAME, "%.*s:%u", BOARD_NAME - 8, service->name, target);
    return ret;
}

static int publish(struct instance *instance, const struct runtime_port *port)
{
    struct supervisor_peers *peers = &instance->service->supervisor->peers;
    char name[BOARD_NAME];

    int service = peers->board_service(peers->data, supervisor_board_name(instance->spec, port->target, name));
    if (service < 0)
        return service;
    int slot = board_endpoint_add(peers->board, service, instance->name, &port->address, clock_now());
    if (slot < 0)
        return slot;
    instance->endpoints[instance->endpoints_len++] = slot;
    return 0;
}

void endpoint_share(const struct instance *instance)
{
    struct board *board = instance->service->supervisor->peers.board;
    uint32_t weight;
    bool judged = deploy_judges(instance);
    bool in_rotation = deploy_is_in_rotation(instance, &weight);
    enum board_endpoint_state state = in_rotation ? BOARD_ENDPOINT_UP : BOARD_ENDPOINT_DRAINING;

    for (size_t i = 0; i < instance->endpoints_len; i++) {
        if (board->endpoints[instance->endpoints[i]].state != state)
            board_endpoint_set(board, instance->endpoints[i], state, CAUSE_NONE, 0, clock_now());
        if (board->endpoints[instance->endpoints[i]].weight != weight)
            board_endpoint_weigh(board, instance->endpoints[i], weight);
        if (board->endpoints[instance->endpoints[i]].judged != judged)
            board_endpoint_judge(board, instance->endpoints[i], judged);
    }
}

int endpoint_publish(struct instance *instance)
{
    struct supervisor_peers *peers = &instance->service->supervisor->peers;
    int result = 0;

    if (instance->endpoints_len > 0)
        return 0; /* an earlier supervisor had come so far */
    board_write_begin(peers->board);
    for (size_t i = 0; i < instance->ports_len; i++)
        result |= publish(instance, &instance->ports[i]) < 0;
    endpoint_share(instance);
    board_write_end(peers->board);
    if (instance->endpoints_len > 0)
        peers->ring(peers->data);
    return result ? -ENOSPC : 0;
}

/* Nobody else has the same name and address, and one that is dead is nobody's. */
static bool is_same(const struct board_endpoint *endpoint, const char *name, const struct board_address *address)
{
    return (endpoint->state == BOARD_ENDPOINT_UP || endpoint->state == BOARD_ENDPOINT_DRAINING) &&
           endpoint->address.len == address->len && address->len <= sizeof(address->u) &&
           memcmp(&endpoint->address.u, &address->u, address->len) == 0 && strcmp(endpoint->instance, name) == 0;
}

void endpoint_adopt(struct instance *instance, const struct record_port *ports, size_t ports_len)
{
    const struct board *board = instance->service->supervisor->peers.board;

    for (size_t p = 0; p < ports_len; p++)
        for (uint32_t i = 0; i < board->used_endpoints && instance->endpoints_len < RUNTIME_PORTS; i++)
            if (is_same(&board->endpoints[i], instance->name, &ports[p].address))
                instance->endpoints[instance->endpoints_len++] = (int)i;
}

uint32_t endpoint_inflight(const struct instance *instance)
{
    const struct supervisor_peers *peers = &instance->service->supervisor->peers;
    uint32_t sum = 0;
    for (size_t i = 0; i < instance->endpoints_len; i++)
        sum += gauges_inflight(peers->gauges, instance->endpoints[i],
                               peers->board->endpoints[instance->endpoints[i]].generation);
    return sum;
}

uint32_t endpoint_upgraded(const struct instance *instance)
{
    const struct supervisor_peers *peers = &instance->service->supervisor->peers;
    uint32_t sum = 0;
    for (size_t i = 0; i < instance->endpoints_len; i++)
        sum += gauges_upgraded(peers->gauges, instance->endpoints[i],
                               peers->board->endpoints[instance->endpoints[i]].generation);
    return sum;
}

bool endpoint_hung(const struct instance *instance)
{
    const struct supervisor_peers *peers = &instance->service->supervisor->peers;
    for (size_t i = 0; i < instance->endpoints_len; i++)
        if (gauges_hung(peers->gauges, instance->endpoints[i],
                        peers->board->endpoints[instance->endpoints[i]].generation))
            return true;
    return false;
}

bool endpoint_doubted(const struct instance *instance)
{
    const struct supervisor_peers *peers = &instance->service->supervisor->peers;
    for (size_t i = 0; i < instance->endpoints_len; i++) {
        const struct board_endpoint *endpoint = &peers->board->endpoints[instance->endpoints[i]];
        if (endpoint->state != BOARD_ENDPOINT_LOST &&
            gauges_doubt_ns(peers->gauges, instance->endpoints[i], endpoint->generation) > endpoint->alive_ns)
            return true;
    }
    return false;
}

void endpoint_lives(const struct instance *instance)
{
    struct supervisor_peers *peers = &instance->service->supervisor->peers;
    int64_t now = clock_now();

    board_write_begin(peers->board);
    for (size_t i = 0; i < instance->endpoints_len; i++)
        board_endpoint_alive(peers->board, instance->endpoints[i], now);
    board_write_end(peers->board);
    peers->ring(peers->data);
}

void endpoint_set(struct instance *instance, enum board_endpoint_state state, enum cause cause)
{
    struct supervisor_peers *peers = &instance->service->supervisor->peers;

    if (instance->endpoints_len == 0)
        return;
    /* Whichever port they came by, they were all in the hands of one process. */
    uint32_t suspects = state == BOARD_ENDPOINT_GONE ? endpoint_inflight(instance) : 0;
    int64_t now = clock_now();
    board_write_begin(peers->board);
    for (size_t i = 0; i < instance->endpoints_len; i++)
        board_endpoint_set(peers->board, instance->endpoints[i], state, cause, suspects, now);
    board_write_end(peers->board);
    if (state == BOARD_ENDPOINT_GONE)
        instance->endpoints_len = 0;
    peers->ring(peers->data);
}
