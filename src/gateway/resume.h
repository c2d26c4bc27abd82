/* SPDX-License-Identifier: MIT
 *
 * How a pair of worker and guard goes on as another program (guard_upgrade()): what is handed over, and how the other one finds
 * it. What the worker knew is in the arena, and adopt.h takes it over as after a death.
 */
#ifndef DARUMA_GATEWAY_RESUME_H
#define DARUMA_GATEWAY_RESUME_H

#include "gateway/gateway.h"

#include <stdint.h>

/* What the other program is started with: handover_argv(). */
char **gw_resume_argv(const struct gateway_worker_setup *setup, uint32_t connections);

#endif
