/* SPDX-License-Identifier: MIT
 *
 * An nginx configuration in the words of x-gateway: whatever nginx does there is an option of ours, and what has none is
 * told with its place. docs/nginx.md is the list. Inside of compose/ only.
 */
#ifndef DARUMA_COMPOSE_NGINX_GATEWAY_H
#define DARUMA_COMPOSE_NGINX_GATEWAY_H

#include "compose/load.h"
#include "compose/nginx_syntax.h"

/* A port of nginx's that is reached under another address: one that its service publishes. */
struct nginx_port {
    const char *address; /* "0.0.0.0:8080" */
    uint16_t target;
    struct place place;
};

/* A file or folder of this machine that nginx sees under another path. */
struct nginx_mount {
    const char *source, *target;
};

/* What is around an nginx in a container. Zeroed: it runs on this machine. */
struct nginx_surroundings {
    const struct nginx_mount *mounts; /* NULL: paths are those of this machine */
    size_t mounts_len;
    const struct nginx_port *ports; /* NULL: it listens at its own addresses */
    size_t ports_len;
};

/* The tree of `x-gateway` that does what the file says; NULL when it cannot (told). `path` is as nginx sees it. */
struct node *nginx_gateway_load(struct loading *load, struct place place, const char *path,
                                const struct nginx_surroundings *around);

/* The same for directives that were read already. */
struct node *nginx_gateway_make(struct loading *load, struct place place, const struct nginx_directive *directives,
                                const struct nginx_surroundings *around);

#endif
