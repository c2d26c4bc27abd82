/* SPDX-License-Identifier: MIT
 *
 * What all workers share beside board and gauges: the `shared` of struct gateway_worker_setup.
 */
#ifndef DARUMA_GATEWAY_SHARED_H
#define DARUMA_GATEWAY_SHARED_H

#include "gateway/poison.h"
#include "gateway/source.h"

#define GW_SHARED_LAYOUT 3u

struct gw_shared {
    struct gw_quarantine quarantine;
    struct gw_sources sources;
};

#endif
