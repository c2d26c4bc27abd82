/* SPDX-License-Identifier: MIT
 *
 * What a deploy does next: from how the two versions stand now to one step. Pure: no I/O, no clock, no memory of its
 * own, so that a supervisor that takes over in the middle of a deploy goes on the same way.
 *
 * Rolling, start-first: a batch of new instances starts, becomes ready, is watched for `monitor`, and as many old ones
 * go. Stop-first: the old ones of the batch go before the new ones start.
 * Canary and blue-green: new instances stand beside all old ones, get a share of the requests that grows step by step,
 * and the old ones go at the end.
 */
#ifndef DARUMA_SUPERVISE_DEPLOY_PLAN_H
#define DARUMA_SUPERVISE_DEPLOY_PLAN_H

#include "compose/spec.h"

#include <stdbool.h>
#include <stdint.h>

struct deploy_view {
    int64_t now_ns;
    int replicas; /* wanted in all */

    /* of the old version */
    int old_kept;    /* serve, or served and are coming back: nobody may miss them */
    int old_idle;    /* run, but never served: nobody loses by their end */
    int old_leaving; /* being drained or ended */

    /* of the new version */
    int new_there;           /* wanted, whatever their state */
    int new_settled;         /* ready for as long as `monitor` says */
    int64_t next_settled_ns; /* when the next ready one will have settled; INT64_MAX: none is ready */
    int64_t next_overdue_ns; /* when the first one that isn't ready has had its time; INT64_MAX: all are ready */
    int failed;              /* failed for good, overdue, or brought a death on themselves since the deploy began */
    int64_t batch_ns;        /* when the last batch had settled; 0: none yet */

    size_t step;     /* CANARY, BLUE_GREEN: which share is in force; SIZE_MAX: none, they get no requests */
    int64_t step_ns; /* since when */
    bool peers_away; /* stop-first: another service of the same routes is away, and somebody has to serve */
};

enum deploy_action {
    DEPLOY_WAIT,   /* nothing to do before `at_ns`, or until something changes (INT64_MAX) */
    DEPLOY_START,  /* `count` more new instances */
    DEPLOY_RETIRE, /* drain and end `count` old ones, idle ones first */
    DEPLOY_SHIFT,  /* the new version gets the share of `step` */
    DEPLOY_FAIL,   /* more new instances failed than are tolerated */
    DEPLOY_DONE,   /* all that is wanted is of the new version and settled, and no old one is left */
};

struct deploy_step {
    enum deploy_action action;
    int count;
    size_t step;
    int64_t at_ns;
};

/* `going_back`: to what was there before, so the rules of rollback_config hold and requests move at once. Total. */
struct deploy_step deploy_plan(const struct spec_deploy *deploy, bool going_back, const struct deploy_view *view);

/*
 * Weights of the endpoints (board.h: 1 … 1000) by which `fresh` new instances get `share` thousandths of the requests
 * and `old` ones the rest. share 1000 or none of one kind: both get the usual weight.
 */
void deploy_weights(uint32_t share, int old, int fresh, uint32_t *ret_old, uint32_t *ret_fresh);

#endif
