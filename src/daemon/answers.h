/* SPDX-License-Identifier: MIT
 *
 * What the admin API tells about the supervisor's state, as JSON (docs/admin-api.md).
 */
#ifndef DARUMA_DAEMON_ANSWERS_H
#define DARUMA_DAEMON_ANSWERS_H

#include "base/gauges.h"
#include "daemon/listeners.h"
#include "supervise/supervise.h"

#include <jansson.h>

/* "starting", "ready" … */
const char *answers_state_name(enum supervisor_state state);

/* GET /v1/instances, GET /v1/gateway. New references; NULL when out of memory. */
json_t *answers_instances(const struct supervisor *supervisor);
json_t *answers_gateway(const struct board *board, const struct gauges *gauges);

/* GET /metrics: the project and its instances, then what the gateway counts. */
void answers_metrics(struct buf *out, const struct supervisor *supervisor, const struct board *board,
                     const struct gauges *gauges, int64_t since_wall_ns);

/* What an event or a victim's answer says of one instance; JSON null when nobody has that name. */
json_t *answers_instance(const struct supervisor *supervisor, const char *name);

/* "listeners" of GET /v1/project: the published ones. */
json_t *answers_listeners(const struct board *board, const struct listeners *listeners);

#endif
