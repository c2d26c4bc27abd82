/* SPDX-License-Identifier: MIT */
#include "gateway/waits.h"

#include "base/clock.h"

static void count(_Atomic uint32_t *cell)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + 1, memory_order_relaxed);
}

static void leave(struct route_gauge *gauge, struct conn *conn)
{
    conn->flags &= ~(uint32_t)CONN_WAITING;
    atomic_store_explicit(&gauge->waiting, atomic_load_explicit(&gauge->waiting, memory_order_relaxed) - 1,
                          memory_order_relaxed);
}

void gw_waits_begin(struct gw_worker *worker, struct conn *conn)
{
    struct route_gauge *gauge = gw_conn_gauge(worker, conn);

    conn->flags |= CONN_WAITING;
    if (atomic_load_explicit(&gauge->waiting, memory_order_relaxed) == 0)
        atomic_store_explicit(&gauge->quiet_ns, worker->now, memory_order_relaxed);
    count(&gauge->waiting);
}

void gw_waits_answered(struct gw_worker *worker, struct conn *conn)
{
    struct route_gauge *gauge = gw_conn_gauge(worker, conn);

    if (!(conn->flags & CONN_WAITING))
        return;
    int64_t quiet_ns = worker->now - atomic_load_explicit(&gauge->quiet_ns, memory_order_relaxed);
    leave(gauge, conn);
    count(&gauge->latency[gauges_latency_cell((uint64_t)(worker->now - conn->begun_ns) / NS_PER_US)]);
    count(&gauge->quiet[gauges_latency_cell((uint64_t)quiet_ns / NS_PER_US / GAUGES_QUIET_UNIT)]);
    atomic_store_explicit(&gauge->quiet_ns, worker->now, memory_order_relaxed);
}

void gw_waits_over(struct gw_worker *worker, struct conn *conn)
{
    if (conn->flags & CONN_WAITING)
        leave(gw_conn_gauge(worker, conn), conn);
}

void gw_waits_forget(struct gw_worker *worker)
{
    for (uint32_t i = 0; i < worker->view->used_routes; i++)
        atomic_store_explicit(&worker->gauges->routes[i].waiting, 0, memory_order_relaxed);
}

void gw_waits_adopt(struct gw_worker *worker, const struct conn *conn)
{
    if (conn->flags & CONN_WAITING)
        count(&gw_conn_gauge(worker, conn)->waiting);
}
