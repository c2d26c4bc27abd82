/* SPDX-License-Identifier: MIT
 *
 * An instance's endpoints on the board, one for each of its ports: published ones are reached through the gateway from
 * outside, all of them by peers.
 */
#include "supervise/supervisor.h"

#include <errno.h>
#include <stdio.h>

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
    bool in_rotation = deploy_is_in_rotation(instance, &weight);
    enum board_endpoint_state state = in_rotation ? BOARD_ENDPOINT_UP : BOARD_ENDPOINT_DRAINING;

    for (size_t i = 0; i < instance->endpoints_len; i++) {
        if (board->endpoints[instance->endpoints[i]].state != state)
            board_endpoint_set(board, instance->endpoints[i], state, CAUSE_NONE, 0, clock_now());
        if (board->endpoints[instance->endpoints[i]].weight != weight)
            board_endpoint_weigh(board, instance->endpoints[i], weight);
    }
}

int endpoint_publish(struct instance *instance)
{
    struct supervisor_peers *peers = &instance->service->supervisor->peers;
    int result = 0;

    board_write_begin(peers->board);
    for (size_t i = 0; i < instance->ports_len; i++)
        result |= publish(instance, &instance->ports[i]) < 0;
    endpoint_share(instance);
    board_write_end(peers->board);
    if (instance->endpoints_len > 0)
        peers->ring(peers->data);
    return result ? -ENOSPC : 0;
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

bool endpoint_hung(const struct instance *instance)
{
    const struct supervisor_peers *peers = &instance->service->supervisor->peers;
    for (size_t i = 0; i < instance->endpoints_len; i++)
        if (gauges_hung(peers->gauges, instance->endpoints[i],
                        peers->board->endpoints[instance->endpoints[i]].generation))
            return true;
    return false;
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
