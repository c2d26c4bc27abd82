/* SPDX-License-Identifier: MIT */
#include "daemon/layouts.h"

#include "base/version.h"
#include "daemon/applied.h"
#include "daemon/kept.h"
#include "daemon/specs.h"
#include "daemon/upgrade.h"
#include "daemon/workers_parts.h"
#include "gateway/access.h"
#include "gateway/shared.h"
#include "gateway/slots.h"
#include "observe/journal.h"
#include "observe/logs.h"
#include "supervise/record.h"

#include <stdio.h>

static json_t *layout(uint32_t version, size_t size)
{
    return json_pack("[i, I]", (int)version, (json_int_t)size);
}

static json_t *shape(const struct arena_shape *shape)
{
    return layout(shape->version, (size_t)shape->slots * shape->size);
}

json_t *layouts_json(void)
{
    json_t *gateway = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o}", "board", layout(BOARD_LAYOUT, sizeof(struct board)), "gauges",
        layout(GAUGES_LAYOUT, sizeof(struct gauges)), "shared", layout(GW_SHARED_LAYOUT, sizeof(struct gw_shared)),
        "access", layout(ACCESS_LAYOUT, sizeof(struct access_ring)), "arena",
        layout(GW_ARENA_LAYOUT, sizeof(struct arena) + sizeof(struct conn) + sizeof(struct upstream)), "workers",
        layout(WORKERS_LAYOUT, sizeof(struct workers_kept)));
    json_t *core = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "guard", layout(GUARD_LAYOUT, sizeof(struct guard_area)), "upgrade",
        layout(UPGRADE_LAYOUT, sizeof(struct upgrade_memory)), "state", layout(RECORD_VERSION, RECORD_SIZE), "project",
        layout(KEPT_VERSION, sizeof(struct kept_record)), "events", shape(&journal_shape), "lines", shape(&logs_shape),
        "applied", layout(APPLIED_VERSION, 0), "spec", layout(SPECS_VERSION, 0));
    return json_pack("{s:s, s:o, s:o}", "version", DARUMA_VERSION, "gateway", gateway, "core", core);
}

/* Is each of ours there, the same, and nothing else? */
static bool same(const json_t *ours, const json_t *theirs, char which[], size_t size)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)ours, name, value)
    {
        if (json_equal(value, json_object_get(theirs, name)))
            continue;
        (void)snprintf(which, size, "%s", name);
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)theirs, name, value)
    {
        if (json_object_get(ours, name))
            continue;
        (void)snprintf(which, size, "%.40s", name);
        return false;
    }
    return true;
}

enum layouts_verdict layouts_compare(const json_t *ours, const json_t *theirs, char which[], size_t size)
{
    const json_t *gateway = json_object_get(theirs, "gateway"), *core = json_object_get(theirs, "core");

    which[0] = '\0';
    if (!json_is_string(json_object_get(theirs, "version")) || !json_is_object(gateway) || !json_is_object(core))
        return LAYOUTS_UNKNOWN;
    if (!same(json_object_get(ours, "core"), core, which, size))
        return LAYOUTS_OTHER_CORE;
    if (!same(json_object_get(ours, "gateway"), gateway, which, size))
        return LAYOUTS_OTHER_GATEWAY;
    return LAYOUTS_SAME;
}
