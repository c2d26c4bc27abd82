/* SPDX-License-Identifier: MIT
 *
 * `daruma --self-check`: what a program says and does before another one lets it take its place (upgrade.h).
 */
#ifndef DARUMA_DAEMON_SELFCHECK_H
#define DARUMA_DAEMON_SELFCHECK_H

/* Prints layouts_json(), then makes a pair of processes (base/guard.h) whose role is killed and has to come back. Returns in
   each process of it, with the exit status. */
int daemon_self_check(void);

#endif
