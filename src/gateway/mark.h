/* SPDX-License-Identifier: MIT
 *
 * Commit marks: what makes it possible to die at any instruction. The worker is a deterministic computation between system
 * calls that the world notices. Before it touches a connection, and again before each call that moves its bytes, a copy
 * of the connection's slots goes into the arena; one store says that the copy is whole and what it belongs to.
 *
 *     mark ─▶ recv() ─▶ parse, place, count … ─▶ mark ─▶ send() ─▶ … ─▶ none
 *      └──── a death in here ────────────────┘
 *             the successor puts the copy back, asks the kernel how many bytes the call has moved (TCP_INFO; for Unix
 *             sockets the kernel wrote it into `arena.call`), and runs the same code again: the call is not made a second
 *             time but answered with that number (worker.h, struct gw_replay)
 *
 * A mark costs a copy of some 500 bytes and no system call. Two of them take turns, so that one is always whole.
 */
#ifndef DARUMA_GATEWAY_MARK_H
#define DARUMA_GATEWAY_MARK_H

#include "gateway/worker.h"

#include <string.h>

/* Stores before it are not moved behind it. The reader comes after our death: nothing else is needed. */
static inline void gw_commit(uint32_t *word, uint32_t value)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* The connection, as it is, is in hand from now on. */
static inline void gw_mark(struct gw_worker *worker, const struct conn *conn)
{
    struct arena *arena = worker->slots.arena;
    uint32_t hand = arena->hand == GW_HAND_MARK_0 ? GW_HAND_MARK_1 : GW_HAND_MARK_0;
    struct gw_mark *mark = &arena->mark[hand - GW_HAND_MARK_0];

    mark->conn = gw_conn_index(worker, conn);
    mark->kept_len = 0;
    mark->before = *conn;
    if (conn->upstream != GW_NONE)
        mark->upstream = worker->slots.upstreams[conn->upstream];
    if (conn->rival != GW_NONE)
        mark->rival = worker->slots.upstreams[conn->rival];
    arena->call.msg_len = UINT32_MAX;
    gw_commit(&arena->hand, hand);
}

/* Bytes of a block of the connection in hand are about to be changed in place: once between two marks. */
static inline void gw_mark_bytes(struct gw_worker *worker, uint32_t block, uint32_t at, uint32_t len)
{
    struct arena *arena = worker->slots.arena;
    struct gw_mark *mark = &arena->mark[arena->hand == GW_HAND_MARK_1];

    if (mark->kept_len > 0 || len == 0)
        return;
    mark->kept_block = block;
    mark->kept_at = at;
    memcpy(mark->kept, gw_block(&worker->slots, block) + at, len);
    gw_commit(&mark->kept_len, len);
}

/* A socket that is accepted now may be found without a slot: it is this listener's. */
static inline void gw_mark_accept(struct gw_worker *worker, uint32_t listener)
{
    gw_commit(&worker->slots.arena->hand, GW_HAND_ACCEPT | listener << 8);
}

/* Nothing is half done. */
static inline void gw_mark_none(struct gw_worker *worker)
{
    gw_commit(&worker->slots.arena->hand, GW_HAND_NONE);
}

#endif
