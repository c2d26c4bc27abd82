/* SPDX-License-Identifier: MIT */
#include "daemon/selfcheck.h"

#include "base/guard.h"
#include "daemon/layouts.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int role(struct guard *guard, void *data)
{
    const struct guard_area *area = data;

    if (atomic_load(&area->member[GUARD_SIDE_ROLE].deaths) == 0)
        (void)raise(SIGKILL);
    guard_over(guard, EXIT_SUCCESS);
    return EXIT_SUCCESS;
}

int daemon_self_check(void)
{
    static struct guard guard;
    struct err err = { 0 };
    json_t *layouts = layouts_json();
    struct guard_area *area = guard_areas_new(1, &err);

    if (!layouts || !area) {
        (void)fprintf(stderr, "%s\n", area ? "out of memory" : err.message);
        return EXIT_FAILURE;
    }
    guard_area_init(area);
    if (json_dumpf(layouts, stdout, JSON_COMPACT) < 0 || putchar('\n') < 0 || fflush(stdout) != 0)
        return EXIT_FAILURE;
    json_decref(layouts);
    const struct guard_setup pair = {
        .area = area,
        .role = role,
        .data = area,
        .guard_name = "daruma-guard",
        .role_name = "daruma-check",
        .owner_fd = -1,
        .bell_fd = -1,
    };
    return guard_run(&guard, &pair);
}
