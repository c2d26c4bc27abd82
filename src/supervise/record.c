/* SPDX-License-Identifier: MIT */
#include "supervise/record.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

int records_open(struct records *records, struct arena_file *arena)
{
    const void *record;

    *records = (struct records){ .arena = arena, .next = RECORD_FIRST };
    if (!arena)
        return 0;
    records->used = calloc(arena->slots, sizeof(bool));
    if (!records->used)
        return -ENOMEM;
    for (uint32_t slot = RECORD_FIRST; slot < arena->slots; slot++)
        records->used[slot] = arena_load(arena, slot, &record) > 0;
    return 0;
}

void records_close(struct records *records)
{
    free(records->used);
    *records = (struct records){ 0 };
}

uint32_t instance_record_length(const struct instance_record *record)
{
    return (uint32_t)(offsetof(struct instance_record, ports) + record->ports_len * sizeof(record->ports[0]));
}

static int take_slot(struct records *records)
{
    uint32_t count = records->arena->slots - RECORD_FIRST;

    for (uint32_t tries = 0; tries < count; tries++) {
        uint32_t slot = records->next;
        records->next = slot + 1 < records->arena->slots ? slot + 1 : RECORD_FIRST;
        if (!records->used[slot]) {
            records->used[slot] = true;
            return (int)slot;
        }
    }
    return -ENOSPC;
}

int records_put(struct records *records, int *slot, const void *record, uint32_t len)
{
    if (!records->arena)
        return 0;
    int taken = *slot < 0 ? take_slot(records) : *slot;
    if (taken < 0)
        return taken;
    *slot = taken;
    return arena_store(records->arena, (uint32_t)taken, record, len);
}

void records_drop(struct records *records, int *slot)
{
    if (*slot < 0)
        return;
    (void)arena_store(records->arena, (uint32_t)*slot, NULL, 0);
    records->used[*slot] = false;
    *slot = -1;
}
