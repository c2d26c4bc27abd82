/* SPDX-License-Identifier: MIT
 *
 * An nginx among the services of a compose file: the gateway does its work. Inside of compose/ only.
 */
#ifndef DARUMA_COMPOSE_NGINX_SERVICE_H
#define DARUMA_COMPOSE_NGINX_SERVICE_H

#include "compose/load.h"

/*
 * Takes services out of the project that only run nginx as a proxy: the image is nginx's, its configuration is mounted, and
 * all of that is understood. What they listen at becomes listeners of x-gateway, and who depends on them no longer does. Each
 * is told in one line; so is why one stays. One that is among `chosen` (NULL: nothing was) stays, for it was asked for.
 */
void nginx_service_replace(struct loading *load, struct node *project, const char *const *chosen);

#endif
