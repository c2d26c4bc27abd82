/* SPDX-License-Identifier: MIT
 *
 * deploy_plan() in a small world: instances become ready and go as fast or as slowly as chance wills, and what a deploy
 * promises is looked at after every step.
 */
#include "base/clock.h"
#include "base/rng.h"
#include "supervise/deploy_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { STEPS = 2000 };

struct world {
    struct spec_deploy rules;
    struct deploy_view view;
    struct rng rng;
    int starting;         /* new ones, not ready */
    int64_t ready_ns[64]; /* of the new ones that are, oldest first */
    int ready;
    bool back;
};

static bool chance(struct world *world, unsigned percent)
{
    return rng_next(&world->rng) % 100 < percent;
}

static int64_t monitor_of(const struct world *world)
{
    return world->back ? world->rules.rollback.monitor_ns : world->rules.update.monitor_ns;
}

static void look(struct world *world)
{
    struct deploy_view *view = &world->view;
    int before = view->new_settled;

    view->new_there = world->starting + world->ready;
    view->new_settled = 0;
    view->next_settled_ns = view->next_overdue_ns = INT64_MAX;
    for (int i = 0; i < world->ready; i++) {
        int64_t settled = world->ready_ns[i] + monitor_of(world);
        if (settled <= view->now_ns)
            view->new_settled++;
        else if (settled < view->next_settled_ns)
            view->next_settled_ns = settled;
    }
    if (view->new_settled > before && view->new_settled == view->new_there)
        view->batch_ns = view->now_ns;
}

static void time_passes(struct world *world, int64_t until_ns)
{
    if (world->starting > 0 && chance(world, 70)) {
        world->ready_ns[world->ready++] = world->view.now_ns;
        world->starting--;
    }
    if (world->view.old_leaving > 0 && chance(world, 50))
        world->view.old_leaving--;
    world->view.now_ns += until_ns == INT64_MAX || chance(world, 50) ? NS_PER_MS : until_ns - world->view.now_ns;
}

static void obey(struct world *world, const struct deploy_step *step)
{
    struct deploy_view *view = &world->view;

    switch (step->action) {
    case DEPLOY_START:
        assert_true(step->count > 0);
        world->starting += step->count;
        break;
    case DEPLOY_RETIRE: {
        assert_in_range(step->count, 1, view->old_kept + view->old_idle);
        int idle = step->count < view->old_idle ? step->count : view->old_idle;
        view->old_idle -= idle;
        view->old_kept -= step->count - idle;
        view->old_leaving += step->count;
        break;
    }
    case DEPLOY_SHIFT:
        assert_true(view->step == SIZE_MAX || step->step == view->step + 1);
        view->step = step->step;
        view->step_ns = view->now_ns;
        break;
    case DEPLOY_WAIT:
        assert_true(step->at_ns > view->now_ns);
        time_passes(world, step->at_ns);
        break;
    default:
        fail_msg("not expected: %d", step->action);
    }
}

static void check_promises(const struct world *world, int replicas)
{
    const struct spec_update *update = world->back ? &world->rules.rollback : &world->rules.update;
    const struct deploy_view *view = &world->view;
    int batch = update->parallelism ? update->parallelism : replicas;

    if (world->rules.strategy != SPEC_ROLLING) {
        assert_true(view->old_kept == replicas || view->new_settled >= replicas);
    } else if (update->stop_first) {
        assert_true(view->old_kept + view->old_idle + view->old_leaving + view->new_there <= replicas);
        assert_true(view->old_kept + view->new_settled >= replicas - batch);
    } else {
        assert_true(view->old_kept + view->new_settled >= replicas);
        assert_true(view->new_there - view->new_settled <= batch);
    }
}

static void run(struct world *world, int replicas)
{
    world->view.now_ns = NS_PER_S;
    world->view.replicas = world->view.old_kept = replicas;
    world->view.step = SIZE_MAX;
    for (int i = 0; i < STEPS; i++) {
        look(world);
        struct deploy_step step = deploy_plan(&world->rules, world->back, &world->view);
        if (step.action == DEPLOY_DONE) {
            assert_int_equal(world->view.new_settled, replicas);
            assert_int_equal(world->view.new_there, replicas);
            return;
        }
        obey(world, &step);
        look(world);
        check_promises(world, replicas);
    }
    fail_msg("never done");
}

static void every_deploy_ends_and_keeps_its_promise(void **unused)
{
    static uint32_t steps[] = { 10, 500, 1000 };

    for (unsigned seed = 0; seed < 20; seed++)
        for (int replicas = 1; replicas <= 6; replicas++)
            for (int parallelism = 0; parallelism <= 4; parallelism++)
                for (int kind = 0; kind < 8; kind++) {
                    struct spec_update update = { .parallelism = parallelism,
                                                  .delay_ns = kind & 1 ? 5 * NS_PER_MS : 0,
                                                  .monitor_ns = 3 * NS_PER_MS,
                                                  .stop_first = (kind & 6) == 2 };
                    struct world world = { .rules = { .strategy = (kind & 6) == 4   ? SPEC_CANARY
                                                                  : (kind & 6) == 6 ? SPEC_BLUE_GREEN
                                                                                    : SPEC_ROLLING,
                                                      .update = update,
                                                      .rollback = update,
                                                      .steps = steps,
                                                      .steps_len = 3,
                                                      .dwell_ns = 2 * NS_PER_MS,
                                                      .keep_ns = 2 * NS_PER_MS } };
                    rng_seed(&world.rng, seed * 1000 + (unsigned)(replicas * 100 + parallelism * 10 + kind));
                    world.back = world.rules.strategy == SPEC_ROLLING && seed % 2;
                    run(&world, replicas);
                }
}

static const struct spec_deploy usual = { .update = { .parallelism = 1 }, .rollback = { .parallelism = 0 } };

static struct deploy_view view_of(int replicas)
{
    return (struct deploy_view){ .now_ns = 100,
                                 .replicas = replicas,
                                 .step = SIZE_MAX,
                                 .next_settled_ns = INT64_MAX,
                                 .next_overdue_ns = INT64_MAX };
}

static void what_never_served_goes_at_once(void **unused)
{
    struct deploy_view view = view_of(2);
    view.old_idle = 2;
    struct deploy_step step = deploy_plan(&usual, false, &view);
    assert_int_equal(step.action, DEPLOY_RETIRE);
    assert_int_equal(step.count, 2);
}

static void failures_are_tolerated_up_to_the_ratio(void **unused)
{
    struct spec_deploy rules = usual;
    struct deploy_view view = view_of(4);
    view.old_kept = 3;
    view.new_there = 1;
    view.failed = 1;
    assert_int_equal(deploy_plan(&rules, false, &view).action, DEPLOY_FAIL);
    rules.update.max_failure_ratio = 0.25;
    assert_int_equal(deploy_plan(&rules, false, &view).action, DEPLOY_WAIT);
    view.failed = 2;
    assert_int_equal(deploy_plan(&rules, false, &view).action, DEPLOY_FAIL);
}

static void stop_first_waits_for_its_peers(void **unused)
{
    struct spec_deploy rules = { .update = { .parallelism = 1, .stop_first = true } };
    struct deploy_view view = view_of(1);
    view.old_kept = 1;
    view.peers_away = true;
    assert_int_equal(deploy_plan(&rules, false, &view).action, DEPLOY_WAIT);
    view.peers_away = false;
    assert_int_equal(deploy_plan(&rules, false, &view).action, DEPLOY_RETIRE);
}

static void going_back_asks_for_no_share(void **unused)
{
    struct spec_deploy rules = { .strategy = SPEC_CANARY };
    struct deploy_view view = view_of(2);
    view.old_kept = 1; /* the bad one */
    view.new_there = view.new_settled = 2;
    struct deploy_step step = deploy_plan(&rules, true, &view);
    assert_int_equal(step.action, DEPLOY_RETIRE);
    assert_int_equal(step.count, 1);
}

static void weights_give_the_share(void **unused)
{
    static const struct {
        uint32_t share;
        int old, fresh;
    } rows[] = { { 10, 2, 1 }, { 10, 1, 1 }, { 1, 10, 1 }, { 500, 2, 1 }, { 500, 1, 3 }, { 900, 4, 4 }, { 990, 1, 1 } };
    uint32_t old, fresh;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        deploy_weights(rows[i].share, rows[i].old, rows[i].fresh, &old, &fresh);
        assert_in_range(old, 1, 1000);
        assert_in_range(fresh, 1, 1000);
        double share = 1000.0 * fresh * rows[i].fresh / (fresh * rows[i].fresh + old * rows[i].old);
        assert_true(share > rows[i].share * 0.9 && share < rows[i].share * 1.1);
    }
    deploy_weights(1000, 3, 2, &old, &fresh);
    assert_true(old == 100 && fresh == 100);
    deploy_weights(10, 0, 2, &old, &fresh);
    assert_true(old == 100 && fresh == 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_deploy_ends_and_keeps_its_promise),
        cmocka_unit_test(what_never_served_goes_at_once),
        cmocka_unit_test(failures_are_tolerated_up_to_the_ratio),
        cmocka_unit_test(stop_first_waits_for_its_peers),
        cmocka_unit_test(going_back_asks_for_no_share),
        cmocka_unit_test(weights_give_the_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
