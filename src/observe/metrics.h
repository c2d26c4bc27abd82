/* SPDX-License-Identifier: MIT
 *
 * What is counted, for Prometheus: text in the exposition format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). All names begin with "daruma_"; docs/metrics.md
 * explains them.
 */
#ifndef DARUMA_OBSERVE_METRICS_H
#define DARUMA_OBSERVE_METRICS_H

#include "base/board.h"
#include "base/buf.h"
#include "base/gauges.h"

/* Begins a family: its samples follow, all of them before the next family. `type`: "counter", "gauge" or "histogram". */
void metrics_family(struct buf *out, const char *name, const char *type, const char *help);

/* A list of them ends with one without a name. The value is any UTF-8: it is escaped. */
struct metrics_label {
    const char *name, *value;
};

/* A line: the value of what `name` and `labels` (NULL: none) mean together, which no other line may. */
void metrics_sample(struct buf *out, const char *name, const struct metrics_label *labels, double value);

/* What the gateway's workers have counted: of connections, of routes, of endpoints in rotation and draining. */
void metrics_gateway(struct buf *out, const struct board *board, const struct gauges *gauges);

#endif
