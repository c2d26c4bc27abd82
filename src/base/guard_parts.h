/* SPDX-License-Identifier: MIT
 *
 * What the files guard*.c share: guard.c makes members and looks after them, guard_upgrade.c goes from one program to another.
 * Nobody else includes this.
 */
#ifndef DARUMA_BASE_GUARD_PARTS_H
#define DARUMA_BASE_GUARD_PARTS_H

#include "base/guard.h"

#include <stdbool.h>

/* ---- guard.c ---- */

struct guard_member *guard_other(const struct guard *guard);
bool guard_other_is_dead(const struct guard *guard);
/* 0, or -1 with errno. */
int guard_signal_other(const struct guard *guard, int signo);

/* ---- guard_upgrade.c ---- */

/* The guard becomes the other program. It works on a copy of the table, so that whatever goes wrong is a death of the guard,
   which the role answers. */
void guard_become(const struct guard *guard, int program) __attribute__((noreturn));
/* Does the role ask us to become another program? Once we are that, it means the one before. */
bool guard_is_asked_to_become_another(const struct guard *guard);
/* Have we still to take the place of the program before? */
bool guard_is_taking_over(const struct guard *guard);
/* The guard of another program begins. The role of the program before still lives, and goes on when we die before there is one
   of ours; or it does not, and we are what is gone back to. */
void guard_take_over(struct guard *guard);
/* The role of another program: takes the place of the one before and sees to it that it is dead. A role that died in this is
   followed by one that goes on with it. False: the one before goes on. */
bool guard_succeed(struct guard *guard);
/* Is what this program's roles do to be answered by going back? Who is killed from outside is innocent. Counts a death. */
bool guard_is_unfit(struct guard *guard);
/* The role is dead. If it had asked, nobody waits any more. */
void guard_forget_upgrade(struct guard *guard);
/* A role that has become old enough leaves no doubt. */
void guard_settle(struct guard *guard);

#endif
