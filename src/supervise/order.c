/* SPDX-License-Identifier: MIT */
#include "supervise/order.h"

#include "base/cleanup.h"

#include <errno.h>
#include <string.h>

long order_find(const struct order_node *nodes, size_t len, const char *name)
{
    size_t low = 0, high = len;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int difference = strcmp(name, nodes[middle].name);
        if (difference == 0)
            return (long)middle;
        if (difference < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

/* What a dependency's status means for one condition. */
static enum order_answer judge(enum spec_condition condition, const struct order_node *node)
{
    switch (node->status) {
    case ORDER_ABSENT:
        return ORDER_NEVER;
    case ORDER_PENDING:
        return ORDER_WAIT;
    case ORDER_STARTED:
        return condition == SPEC_STARTED ? ORDER_GO : ORDER_WAIT;
    case ORDER_READY:
        return condition == SPEC_COMPLETED ? ORDER_WAIT : ORDER_GO;
    case ORDER_COMPLETED:
        return condition == SPEC_HEALTHY ? ORDER_NEVER : ORDER_GO;
    case ORDER_FAILED:
        /* "Started" asks for no more than that, and what came of it is no reason to keep others down. */
        return condition == SPEC_STARTED && node->started_once ? ORDER_GO : ORDER_NEVER;
    }
    return ORDER_NEVER;
}

enum order_answer order_may_start(const struct order_node *nodes, size_t len, size_t i, const char **ret_waits_for)
{
    enum order_answer worst = ORDER_GO;

    for (size_t d = 0; d < nodes[i].depends_on_len; d++) {
        const struct spec_dependency *dependency = &nodes[i].depends_on[d];
        long at = order_find(nodes, len, dependency->service);
        enum order_answer answer = at < 0 ? ORDER_NEVER : judge(dependency->condition, &nodes[at]);
        if (answer == ORDER_NEVER && !dependency->required)
            answer = ORDER_GO;
        if (answer > worst) {
            worst = answer;
            *ret_waits_for = dependency->service;
        }
    }
    return worst;
}

void order_needed(const struct order_node *nodes, size_t len, bool *needed)
{
    memset(needed, 0, len * sizeof(*needed));
    for (size_t i = 0; i < len; i++)
        for (size_t d = 0; nodes[i].running && d < nodes[i].depends_on_len; d++) {
            long at = order_find(nodes, len, nodes[i].depends_on[d].service);
            if (at >= 0)
                needed[at] = true;
        }
}

void order_select(const struct order_node *nodes, size_t len, bool *selected)
{
    for (bool grew = true; grew;) {
        grew = false;
        for (size_t i = 0; i < len; i++)
            for (size_t d = 0; selected[i] && d < nodes[i].depends_on_len; d++) {
                long at = order_find(nodes, len, nodes[i].depends_on[d].service);
                if (at >= 0 && !selected[at])
                    grew = selected[at] = true;
            }
    }
}

/* Takes away, again and again, what depends on nothing that is left. What then remains hangs on a cycle. */
int order_check(const struct order_node *nodes, size_t len, size_t *ret_node)
{
    CLEANUP_FREE bool *placed = calloc(len ? len : 1, sizeof(*placed));
    if (!placed)
        return -ENOMEM;
    size_t left = len;
    for (bool progress = true; progress;) {
        progress = false;
        for (size_t i = 0; i < len; i++) {
            bool free_of_others = !placed[i];
            for (size_t d = 0; free_of_others && d < nodes[i].depends_on_len; d++) {
                long at = order_find(nodes, len, nodes[i].depends_on[d].service);
                free_of_others = at < 0 || placed[at];
            }
            if (free_of_others) {
                placed[i] = progress = true;
                left--;
            }
        }
    }
    for (size_t i = 0; left > 0 && i < len; i++)
        if (!placed[i]) {
            *ret_node = i;
            return -ELOOP;
        }
    return 0;
}
