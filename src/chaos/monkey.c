/* SPDX-License-Identifier: MIT */
#include "chaos/monkey.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>

void monkey_init(struct monkey *monkey, const struct monkey_options *options)
{
    *monkey = (struct monkey){ .options = *options };
    rng_seed(&monkey->rng, options->seed);
}

int64_t monkey_due(const struct monkey *monkey)
{
    const struct monkey_options *options = &monkey->options;

    if (options->count && monkey->kills >= options->count)
        return -1;
    if (monkey->attempts > (uint64_t)(INT64_MAX / options->every_ns))
        return -1;
    int64_t due = (int64_t)monkey->attempts * options->every_ns;
    return options->duration_ns && due >= options->duration_ns ? -1 : due;
}

uint64_t monkey_pick(struct monkey *monkey)
{
    return rng_next(&monkey->rng) >> 11; /* 53 bits: exact in a double */
}

/* A free entry, or the oldest one. */
static struct monkey_victim *take_entry(struct monkey *monkey)
{
    struct monkey_victim *oldest = &monkey->victims[0];

    for (size_t i = 0; i < MONKEY_VICTIMS; i++) {
        struct monkey_victim *victim = &monkey->victims[i];
        if (!victim->used)
            return victim;
        if (victim->hit_ns < oldest->hit_ns)
            oldest = victim;
    }
    return oldest;
}

struct monkey_victim *monkey_hit(struct monkey *monkey, const char *instance, int32_t pid, int64_t hit_ns)
{
    struct monkey_victim *victim = take_entry(monkey);

    *victim = (struct monkey_victim){ .used = true, .pid = pid, .hit_ns = hit_ns };
    (void)snprintf(victim->instance, sizeof(victim->instance), "%s", instance);
    monkey->attempts++;
    monkey->kills++;
    return victim;
}

bool monkey_refused(struct monkey *monkey, int64_t now_ns)
{
    monkey->attempts++;
    monkey->refused++;
    return monkey_expects(monkey, now_ns);
}

/* The latest strike at that instance that had come before `time_ns`. */
static struct monkey_victim *find_victim(struct monkey *monkey, const char *instance, int64_t time_ns)
{
    struct monkey_victim *found = NULL;

    for (size_t i = 0; i < MONKEY_VICTIMS; i++) {
        struct monkey_victim *victim = &monkey->victims[i];
        if (victim->used && victim->hit_ns <= time_ns && strcmp(victim->instance, instance) == 0 &&
            (!found || victim->hit_ns > found->hit_ns))
            found = victim;
    }
    return found;
}

enum monkey_news monkey_event(struct monkey *monkey, const char *kind, const char *instance, const char *to,
                              int64_t time_ns, struct monkey_victim **ret)
{
    bool died = strcmp(kind, event_kind_name(EVENT_INSTANCE_EXIT)) == 0;
    bool state = strcmp(kind, event_kind_name(EVENT_INSTANCE_STATE)) == 0;
    bool serves = state && strcmp(to, "serving") == 0;
    bool over = state && (strcmp(to, "failed") == 0 || strcmp(to, "completed") == 0);
    bool goes_on = strcmp(kind, event_kind_name(EVENT_CHAOS)) == 0 && strcmp(to, "continued") == 0;
    struct monkey_victim *victim = died || serves || over || goes_on ? find_victim(monkey, instance, time_ns) : NULL;

    if (!victim)
        return MONKEY_NOTHING;
    if (died && !victim->dead_ns) {
        victim->dead_ns = time_ns;
        *ret = victim;
        return MONKEY_DEAD;
    }
    if (died || goes_on == (victim->dead_ns != 0))
        return MONKEY_NOTHING;
    victim->used = false;
    *ret = victim;
    if (over) {
        victim->lost = true;
        monkey->lost++;
        return MONKEY_LOST;
    }
    victim->back_ns = time_ns;
    monkey->back++;
    hist_add(&monkey->recovery, (uint64_t)((time_ns - victim->hit_ns) / NS_PER_US));
    return MONKEY_BACK;
}

bool monkey_expects(const struct monkey *monkey, int64_t now_ns)
{
    for (size_t i = 0; i < MONKEY_VICTIMS; i++) {
        const struct monkey_victim *victim = &monkey->victims[i];
        if (victim->used &&
            (victim->dead_ns || now_ns - victim->hit_ns < monkey->options.pause_ns + MONKEY_SURVIVED_NS))
            return true;
    }
    return false;
}
