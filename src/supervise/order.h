/* SPDX-License-Identifier: MIT
 *
 * depends_on as a graph: what must be there before a service may start, and what must be gone before it may stop.
 * Pure; the caller keeps `status` and `running` of each node up to date.
 */
#ifndef DARUMA_SUPERVISE_ORDER_H
#define DARUMA_SUPERVISE_ORDER_H

#include "compose/spec.h"

#include <stdbool.h>
#include <stddef.h>

enum order_status {
    ORDER_ABSENT,    /* not wanted, or not there at all */
    ORDER_PENDING,   /* wanted, not there yet */
    ORDER_STARTED,   /* runs */
    ORDER_READY,     /* runs and is ready */
    ORDER_COMPLETED, /* all of it ended with status 0 */
    ORDER_FAILED,    /* given up */
};

struct order_node {
    const char *name;
    const struct spec_dependency *depends_on;
    size_t depends_on_len;
    enum order_status status;
    bool started_once; /* it ran at some time since it was wanted */
    bool running;      /* something of it still runs */
};

enum order_answer {
    ORDER_GO,
    ORDER_WAIT,
    ORDER_NEVER, /* not before somebody does something about the dependency */
};

/* May nodes[i] start now? If not, the dependency's name goes to `ret_waits_for`. `nodes` is sorted by name. */
enum order_answer order_may_start(const struct order_node *nodes, size_t len, size_t i, const char **ret_waits_for);

/* needed[i]: something that depends on nodes[i] still runs, so it may not stop yet. */
void order_needed(const struct order_node *nodes, size_t len, bool *needed);

/* Adds to `selected` what the selected ones depend on, directly or not. */
void order_select(const struct order_node *nodes, size_t len, bool *selected);

/* 0, or -ELOOP with a node of a cycle in `ret_node`; -ENOMEM. */
int order_check(const struct order_node *nodes, size_t len, size_t *ret_node);

/* The index of that name, or -1. */
long order_find(const struct order_node *nodes, size_t len, const char *name);

#endif
