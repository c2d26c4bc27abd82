/* SPDX-License-Identifier: MIT */
#include "gateway/slots.h"

#include "base/handover.h"
#include "base/rng.h"
#include "gateway/balance.h"

#include <errno.h>

static size_t page_up(size_t size)
{
    return (size + 4095) & ~(size_t)4095;
}

int gw_slots_new(struct slots *slots, uint32_t conns, struct err *err)
{
    size_t at_conns = page_up(sizeof(struct arena));
    size_t at_upstreams = at_conns + page_up(conns * sizeof(struct conn));
    size_t at_due = at_upstreams + page_up(conns * sizeof(struct upstream));
    size_t at_local = at_due + page_up((2 * (size_t)conns + 1) * sizeof(int64_t));
    size_t at_next = at_local + page_up(BOARD_ENDPOINTS * sizeof(struct endpoint_local));
    size_t at_blocks = at_next + page_up(2 * (size_t)conns * sizeof(uint32_t));
    size_t size = at_blocks + 2 * (size_t)conns * GW_BLOCK;

    char *base = handover_memory("arena", size, err);
    if (!base)
        return -ENOMEM;
    *slots = (struct slots){
        .arena = (struct arena *)base,
        .conns = (struct conn *)(base + at_conns),
        .upstreams = (struct upstream *)(base + at_upstreams),
        .due = (int64_t *)(base + at_due),
        .local = (struct endpoint_local *)(base + at_local),
        .free_next = (uint32_t *)(base + at_next),
        .blocks = base + at_blocks,
        .count = conns,
    };
    if (slots->arena->magic != 0)
        return 0;
    *slots->arena = (struct arena){
        .magic = GW_ARENA_MAGIC,
        .layout = GW_ARENA_LAYOUT,
        .conns = conns,
        .upstreams = conns,
        .blocks = 2 * conns,
        .free_conn = GW_NONE,
        .free_upstream = GW_NONE,
        .free_block = GW_NONE,
        .epoll_fd = -1,
        .alarm_fd = -1,
        .id_seed = { rng_entropy(), rng_entropy() },
    };
    for (uint32_t i = 0; i < BOARD_LISTENERS; i++)
        slots->arena->listeners[i].fd = -1;
    return 0;
}

void gw_slots_free(struct slots *slots)
{
    handover_memory_free(slots->arena);
    *slots = (struct slots){ 0 };
}

/* Epoll's user data has 24 bits for it. */
static uint32_t next_generation(uint32_t generation)
{
    return (generation + 1) & 0xffffff;
}

/* One that was given back, else one that was never taken, else GW_NONE. */
static uint32_t first_free(uint32_t given_back, uint32_t *fresh, uint32_t count)
{
    return given_back != GW_NONE ? given_back : *fresh < count ? (*fresh)++ : GW_NONE;
}

uint32_t gw_conn_take(struct slots *slots)
{
    struct arena *arena = slots->arena;
    uint32_t index = first_free(arena->free_conn, &arena->fresh_conn, arena->conns);
    if (index == GW_NONE)
        return GW_NONE;
    struct conn *conn = &slots->conns[index];
    if (index == arena->free_conn)
        arena->free_conn = conn->next;
    arena->used_conns++;
    *conn = (struct conn){
        .fd = -1,
        /* Its last owner may have left it on the worker's list of those to be driven again. */
        .flags = conn->flags & CONN_READY,
        .ready_next = conn->ready_next,
        .generation = next_generation(conn->generation),
        .upstream = GW_NONE,
        .rival = GW_NONE,
        .in = GW_NONE,
        .out = GW_NONE,
        .up = GW_NO_PIPE,
        .down = GW_NO_PIPE,
        .prev = GW_NONE,
        .next = GW_NONE,
        .endpoint = GW_NONE,
        .route = GW_NONE,
        .source = GW_NONE,
    };
    return index;
}

void gw_conn_put(struct slots *slots, uint32_t index)
{
    struct conn *conn = &slots->conns[index];
    conn->generation = next_generation(conn->generation);
    conn->fd = -1;
    conn->next = slots->arena->free_conn;
    slots->arena->free_conn = index;
    slots->arena->used_conns--;
}

uint32_t gw_upstream_take(struct slots *slots)
{
    struct arena *arena = slots->arena;
    uint32_t index = first_free(arena->free_upstream, &arena->fresh_upstream, arena->upstreams);
    if (index == GW_NONE)
        return GW_NONE;
    struct upstream *upstream = &slots->upstreams[index];
    if (index == arena->free_upstream)
        arena->free_upstream = upstream->next;
    *upstream = (struct upstream){
        .fd = -1,
        .generation = next_generation(upstream->generation),
        .conn = GW_NONE,
        .prev = GW_NONE,
        .next = GW_NONE,
    };
    return index;
}

void gw_upstream_put(struct slots *slots, uint32_t index)
{
    struct upstream *upstream = &slots->upstreams[index];
    upstream->generation = next_generation(upstream->generation);
    upstream->fd = -1;
    upstream->state = UPSTREAM_FREE;
    upstream->next = slots->arena->free_upstream;
    slots->arena->free_upstream = index;
}

uint32_t gw_block_take(struct slots *slots)
{
    struct arena *arena = slots->arena;
    uint32_t index = first_free(arena->free_block, &arena->fresh_block, arena->blocks);
    if (index == arena->free_block)
        arena->free_block = slots->free_next[index];
    return index;
}

void gw_block_put(struct slots *slots, uint32_t *block)
{
    if (*block == GW_NONE)
        return;
    slots->free_next[*block] = slots->arena->free_block;
    slots->arena->free_block = *block;
    *block = GW_NONE;
}

void gw_list_add(struct slots *slots, struct gw_list *list, struct conn *conn)
{
    uint32_t index = (uint32_t)(conn - slots->conns);
    conn->prev = list->last;
    conn->next = GW_NONE;
    if (list->last != GW_NONE)
        slots->conns[list->last].next = index;
    else
        list->first = index;
    list->last = index;
    list->count++;
}

void gw_list_remove(struct slots *slots, struct gw_list *list, struct conn *conn)
{
    if (conn->prev != GW_NONE)
        slots->conns[conn->prev].next = conn->next;
    else
        list->first = conn->next;
    if (conn->next != GW_NONE)
        slots->conns[conn->next].prev = conn->prev;
    else
        list->last = conn->prev;
    conn->prev = GW_NONE;
    conn->next = GW_NONE;
    list->count--;
}
