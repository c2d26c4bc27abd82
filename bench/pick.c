/* SPDX-License-Identifier: MIT
 *
 * What it costs to choose an endpoint, and nothing else: CPU time of gw_balance_pick() for each placement with few and
 * with many endpoints.
 *
 *     pick FEW MANY
 *
 * There are half as many requests in flight as endpoints: for each that is placed another one, whichever, ends. That costs
 * the same for few and for many, and is a part of the figures. The medians of several rounds, as rows of a table.
 */
#include "base/clock.h"
#include "base/hash.h"
#include "gateway/balance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 15, PICKS = 200000 };

static const char *const names[BOARD_PLACEMENTS] = {
    [BOARD_P2C_EWMA] = "p2c",
    [BOARD_ROUND_ROBIN] = "round_robin",
    [BOARD_LEAST_INFLIGHT] = "least_inflight",
    [BOARD_HASH] = "hash",
};

static struct endpoint_local local[BOARD_ENDPOINTS];

static int64_t cpu_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void add(struct balance *balance, int endpoint, uint32_t by)
{
    _Atomic uint32_t *inflight = &balance->gauges->endpoints[endpoint].inflight;
    atomic_store_explicit(inflight, atomic_load_explicit(inflight, memory_order_relaxed) + by, memory_order_relaxed);
}

/* `busy`: the endpoints of those in flight. */
static double round_of(struct balance *balance, int busy[], unsigned inflight)
{
    struct balance_request request = { .now_ns = NS_PER_S, .safe = true };
    int64_t begun = cpu_now();
    for (unsigned i = 0; i < PICKS; i++) {
        request.key = hash_mix(i) | 1;
        int endpoint = gw_balance_pick(balance, &request);
        if (endpoint < 0)
            abort();
        int *ends = &busy[(request.key >> 32) * inflight >> 32];
        add(balance, *ends, UINT32_MAX);
        add(balance, endpoint, 1);
        *ends = endpoint;
    }
    return (double)(cpu_now() - begun) / PICKS;
}

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return first < second ? -1 : first > second;
}

/* Nanoseconds for one choice. */
static double measure(enum board_placement placement, int endpoints)
{
    struct board_route route = { .targets = 1, .placement = placement };
    struct board *board = board_new(NULL);
    struct gauges *gauges = gauges_new(1, NULL);
    struct balance *balance = aligned_alloc(alignof(struct balance), sizeof(*balance));
    unsigned inflight = endpoints > 1 ? (unsigned)endpoints / 2 : 1;
    int busy[BOARD_ENDPOINTS];
    double rounds[ROUNDS];

    if (!board || !gauges || !balance)
        abort();
    route.service[0] = (uint16_t)board_service_add(board, "app");
    (void)board_route_add(board, &route);
    for (int i = 0; i < endpoints; i++) {
        char name[BOARD_NAME];
        (void)snprintf(name, sizeof(name), "app-%d", i + 1);
        (void)board_endpoint_add(board, 0, name, &(struct board_address){ 0 }, 0);
    }
    memset(local, 0, sizeof(local));
    gw_balance_init(balance, board, gauges, 0, local, 7);
    gw_balance_rebuild(balance);
    for (unsigned i = 0; i < inflight; i++) {
        busy[i] = (int)i;
        add(balance, busy[i], 1);
    }
    for (int i = 0; i < ROUNDS; i++)
        rounds[i] = round_of(balance, busy, inflight);
    qsort(rounds, ROUNDS, sizeof(rounds[0]), compare);
    free(balance);
    gauges_free(gauges);
    board_free(board);
    return rounds[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: pick FEW MANY\n");
        return 2;
    }
    for (int placement = 0; placement < BOARD_PLACEMENTS; placement++) {
        double few = measure((enum board_placement)placement, atoi(argv[1]));
        double many = measure((enum board_placement)placement, atoi(argv[2]));
        printf("| %s | %.0f | %.0f |\n", names[placement], few, many);
    }
    return 0;
}
