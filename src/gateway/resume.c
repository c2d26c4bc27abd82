/* SPDX-License-Identifier: MIT */
#include "gateway/resume.h"

#include "base/cleanup.h"
#include "base/handover.h"
#include "gateway/access.h"

#include <stdio.h>
#include <stdlib.h>

char **gw_resume_argv(const struct gateway_worker_setup *setup, uint32_t connections)
{
    const struct handover_item items[] = {
        { .name = "number", .number = setup->number },
        { .name = "name", .text = setup->name },
        { .name = "guard-name", .text = setup->guard_name },
        { .name = "bell", .number = setup->bell_fd },
        { .name = "supervisor-bell", .number = setup->supervisor_bell_fd },
        { .name = "channel", .number = setup->channel_fd },
        { .name = "connections", .number = connections },
        { .name = "hang-ns", .number = setup->hang_ns },
    };
    return handover_argv("worker", items, ARRAY_LEN(items), NULL);
}

static int fd_of(const char *name)
{
    return (int)handover_number(name, -1);
}

int gateway_worker_resume(void)
{
    static struct gateway_worker_setup setup;
    struct err err = { 0 };
    struct guard_area *areas = NULL;

    setup = (struct gateway_worker_setup){
        .number = (unsigned)handover_number("number", 0),
        .board = board_new(&err),
        .gauges = gauges_new(0, &err),
        .shared = gateway_shared_new(&err),
        .bell_fd = fd_of("bell"),
        .supervisor_bell_fd = fd_of("supervisor-bell"),
        .channel_fd = fd_of("channel"),
        .connections = (unsigned)handover_number("connections", 0),
        .name = handover_text("name"),
        .guard_name = handover_text("guard-name"),
        .hang_ns = handover_number("hang-ns", 0),
        .takes_over = true,
    };
    if (setup.gauges)
        setup.access = access_rings_new(setup.gauges->workers, &err);
    if (setup.gauges)
        areas = guard_areas_new(GAUGES_WORKERS, &err);
    if (err.code || !setup.board || !setup.shared || !setup.access || !areas || !setup.name || !setup.guard_name) {
        (void)fprintf(stderr, "daruma: this program cannot go on as a gateway worker: %s\n", err.message);
        return EXIT_FAILURE;
    }
    setup.guard = &areas[setup.number];
    return gateway_worker_run(&setup);
}
