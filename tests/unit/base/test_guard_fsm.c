/* SPDX-License-Identifier: MIT
 *
 * Two members that follow the table, step by step, and a world that kills, stops and continues either of them at any
 * step: every interleaving is walked. A step is what a member does without being able to be interrupted half way, so
 * looking, claiming, killing and restoring are steps of their own.
 */
#include "base/clock.h"
#include "base/guard.h"
#include "base/guard_fsm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* DOOMED: killed, but not dead yet: what it is in the middle of may still happen. */
enum life { DEAD, ALIVE, STOPPED, DOOMED };

/* Where a member is in guard_tend(). */
enum at { LOOK_DEAD, LOOK_OVER, LOOK_HUNG, CLAIM, DECIDE, FREE_CLAIM, RESTORE, KILL, RETURN };

struct member {
    uint8_t life, at, state;
    uint8_t dead, over, hung, claimed; /* what it has seen */
};

struct world {
    struct member member[GUARD_SIDES];
    uint8_t over, claim;
    uint8_t faults; /* that the world has done so far */
};

/* ---- the set of worlds that were seen ---- */

enum { SEEN = 1 << 22 };
static uint64_t *seen;
static unsigned seen_count;

static uint64_t code_of(const struct world *world)
{
    uint64_t code = 1;
    for (int side = 0; side < GUARD_SIDES; side++) {
        const struct member *m = &world->member[side];
        code = ((code * 4 + m->life) * 9 + m->at) * 3 + m->state;
        code = (((code * 2 + m->dead) * 2 + m->over) * 2 + m->hung) * 2 + m->claimed;
    }
    return ((code * 2 + world->over) * 3 + world->claim) * 8 + world->faults;
}

static bool is_new(const struct world *world)
{
    uint64_t code = code_of(world);
    for (size_t at = (size_t)(code * UINT64_C(0x9e3779b97f4a7c15) >> 42);; at = (at + 1) % SEEN) {
        if (seen[at] == code)
            return false;
        if (seen[at] == 0) {
            assert_true(seen_count < SEEN / 2);
            seen[at] = code;
            seen_count++;
            return true;
        }
    }
}

/* ---- a member's step ---- */

static void begin(struct member *member)
{
    *member = (struct member){ .life = ALIVE, .state = GUARD_WATCHING };
}

/* What is left to chance. */
enum {
    LUCK = 1 << 0, /* the budget lasts, the pause is over, a claim was held for too long by who hangs */
    SLOW = 1 << 1, /* the other one seems to hang: the machine has no time for it */
};

static void decide(struct world *world, int side, bool luck)
{
    struct member *me = &world->member[side];
    const struct guard_sight sight = { me->dead, me->over, me->hung, me->claimed, luck, luck };
    struct guard_step step = guard_fsm(me->state, guard_event_of(me->state, &sight));

    me->state = (uint8_t)step.next;
    switch (step.action) {
    case GUARD_DO_RESTORE:
        me->at = FREE_CLAIM;
        break;
    case GUARD_DO_KILL:
        me->at = KILL;
        break;
    case GUARD_DO_LEAVE:
        *me = (struct member){ .life = DEAD };
        break;
    case GUARD_DO_PAUSE:
    case GUARD_DO_NOTHING:
        me->at = LOOK_DEAD;
        break;
    }
}

static void step(struct world *world, int side, unsigned chance)
{
    struct member *me = &world->member[side], *other = &world->member[!side];
    uint8_t ours = (uint8_t)(side + 1);

    switch ((enum at)me->at) {
    case LOOK_DEAD:
        me->dead = other->life == DEAD;
        me->at = LOOK_OVER;
        break;
    case LOOK_OVER:
        me->over = world->over;
        me->at = LOOK_HUNG;
        break;
    case LOOK_HUNG:
        me->hung = !me->dead && (other->life == STOPPED || (chance & SLOW));
        me->claimed = 0;
        me->at = me->hung ? CLAIM : DECIDE;
        break;
    case CLAIM:
        if (world->claim == 0 || ((chance & LUCK) && other->life == STOPPED))
            world->claim = ours;
        me->claimed = world->claim == ours;
        me->at = DECIDE;
        break;
    case DECIDE:
        decide(world, side, chance & LUCK);
        break;
    case FREE_CLAIM:
        world->claim = 0;
        me->at = RESTORE;
        break;
    case RESTORE:
        assert_int_equal(other->life, DEAD); /* never two of a kind */
        assert_false(world->over);           /* nothing resurrects after the end */
        begin(other);
        me->at = LOOK_DEAD;
        break;
    case KILL:
        if (other->life != DEAD)
            other->life = DOOMED;
        me->at = LOOK_DEAD;
        break;
    case RETURN:
        *me = (struct member){ .life = DEAD };
        break;
    }
}

/* The end in order. The role says so and returns; the guard, whose owner has gone, says so and kills the role. */
static void end(struct world *world, int side)
{
    world->over = 1;
    world->member[side].at = side == GUARD_SIDE_ROLE ? RETURN : KILL;
}

/* ---- what holds in every world ---- */

static bool both(const struct world *world, enum life life)
{
    return world->member[0].life == life && world->member[1].life == life;
}

/* From here on the world does nothing more: the pair is whole again, or gone if it was ended. */
static void recovers(struct world world)
{
    if (world.member[0].life != ALIVE && world.member[1].life != ALIVE)
        return; /* nobody is there who could do anything */
    for (int i = 0; i < 200; i++)
        for (int side = 0; side < GUARD_SIDES; side++)
            if (world.member[side].life == ALIVE)
                step(&world, side, LUCK);
            else if (world.member[side].life == DOOMED)
                world.member[side] = (struct member){ .life = DEAD };
    /* Who was stopped when the other one ended in order leaves when it is continued; its owner need not wait for that. */
    if (world.over)
        assert_true(world.member[0].life != ALIVE && world.member[1].life != ALIVE);
    else
        assert_true(both(&world, ALIVE));
}

static void explore(const struct world *world, unsigned faults);

static void after(const struct world *world, unsigned faults)
{
    if (is_new(world))
        explore(world, faults);
}

/* A killed one dies; with or without finishing the system call that it is in. */
static void die(const struct world *world, int side, unsigned faults)
{
    for (int finishes = 0; finishes < 2; finishes++) {
        struct world next = *world;
        struct member *member = &next.member[side];
        if (finishes && (member->at == KILL || member->at == RESTORE))
            step(&next, side, 0);
        *member = (struct member){ .life = DEAD };
        after(&next, faults);
    }
}

static void explore(const struct world *world, unsigned faults)
{
    /* One fault never costs both, nor does none. */
    if (both(world, DEAD) && !world->over)
        assert_true(world->faults >= 2);
    recovers(*world);
    for (int side = 0; side < GUARD_SIDES; side++) {
        struct world next = *world;
        struct member *member = &next.member[side];
        if (member->life == DOOMED) {
            die(world, side, faults);
            continue;
        }
        if (member->life == ALIVE) {
            /* A slow machine that is kind otherwise: nobody is lost to a mistake alone. */
            for (unsigned chance = 0; chance <= (faults == 0 ? LUCK | SLOW : LUCK); chance++) {
                next = *world;
                step(&next, side, chance);
                after(&next, faults);
            }
            next = *world;
            if (member->at == LOOK_DEAD && !world->over && member->state == GUARD_WATCHING) {
                end(&next, side);
                after(&next, faults);
            }
        }
        if (world->faults == faults)
            continue;
        for (enum life life = ALIVE; life <= DOOMED; life++) {
            next = *world;
            if (member->life == DEAD || member->life == life)
                continue;
            member->life = (uint8_t)life;
            next.faults++;
            after(&next, faults);
        }
    }
}

static unsigned worlds(const struct world *world, unsigned faults)
{
    seen = calloc(SEEN, sizeof(*seen));
    assert_non_null(seen);
    seen_count = 0;
    after(world, faults);
    free(seen);
    return seen_count;
}

static void every_interleaving_of_faults_keeps_the_pair(void **unused)
{
    (void)unused;
    struct world world = { 0 };
    begin(&world.member[GUARD_SIDE_GUARD]);
    (void)worlds(&world, 0); /* the very first start: there is no role yet */
    begin(&world.member[GUARD_SIDE_ROLE]);
    for (unsigned faults = 0; faults <= 4; faults++) {
        unsigned count = worlds(&world, faults);
        print_message("%u faults: %u worlds\n", faults, count);
        assert_true(count > 20);
    }
}

/* ---- stories ---- */

static enum guard_action told(enum guard_state state, const struct guard_sight *sight)
{
    return guard_fsm(state, guard_event_of(state, sight)).action;
}

static void an_orderly_end_is_no_death(void **unused)
{
    (void)unused;
    for (enum guard_state state = 0; state < GUARD_STATES; state++)
        for (int bits = 0; bits < 16; bits++) {
            const struct guard_sight sight = { true, true, bits & 1, bits & 2, bits & 4, bits & 8 };
            enum guard_action action = told(state, &sight);
            assert_true(action == GUARD_DO_LEAVE || (state == GUARD_LEAVING && action == GUARD_DO_NOTHING));
        }
}

static void a_hung_one_is_killed_by_who_has_the_claim_only(void **unused)
{
    (void)unused;
    assert_int_equal(told(GUARD_WATCHING, &(struct guard_sight){ .hung = true }), GUARD_DO_NOTHING);
    assert_int_equal(told(GUARD_WATCHING, &(struct guard_sight){ .hung = true, .claimed = true }), GUARD_DO_KILL);
    /* Also at the end: who hangs on his way out is helped out. */
    assert_int_equal(told(GUARD_WATCHING, &(struct guard_sight){ .hung = true, .claimed = true, .over = true }),
                     GUARD_DO_KILL);
}

static void a_budget_allows_a_burst_and_then_a_rate(void **unused)
{
    (void)unused;
    struct guard_budget budget = { 0 };
    int64_t now = 1000 * NS_PER_S;
    for (int i = 0; i < GUARD_BURST; i++) {
        assert_true(guard_budget_has(&budget, now));
        guard_budget_take(&budget, now);
    }
    assert_false(guard_budget_has(&budget, now));
    assert_true(guard_budget_has(&budget, now + NS_PER_S / GUARD_PER_S));
    /* Killed every 300 ms from outside: at once, every time, for an hour. */
    budget = (struct guard_budget){ 0 };
    for (int i = 0; i < 12000; i++, now += 300 * NS_PER_MS) {
        assert_true(guard_budget_has(&budget, now));
        guard_budget_take(&budget, now);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_interleaving_of_faults_keeps_the_pair),
        cmocka_unit_test(an_orderly_end_is_no_death),
        cmocka_unit_test(a_hung_one_is_killed_by_who_has_the_claim_only),
        cmocka_unit_test(a_budget_allows_a_burst_and_then_a_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
