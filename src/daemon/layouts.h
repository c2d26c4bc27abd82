/* SPDX-License-Identifier: MIT
 *
 * How this program lays out what another program of daruma may take over from it, or leave to it: shared memory and the
 * files of the run directory. `daruma --self-check` prints it; an upgrade compares it (upgrade.h).
 */
#ifndef DARUMA_DAEMON_LAYOUTS_H
#define DARUMA_DAEMON_LAYOUTS_H

#include <jansson.h>
#include <stddef.h>

/* {"version": "0.1.0", "gateway": {"board": [7, 123456], …}, "core": {"guard": [2, 192], "state": [3, 456], …}}: layout version
   and size of each. NULL: out of memory. */
json_t *layouts_json(void);

enum layouts_verdict {
    LAYOUTS_SAME,
    LAYOUTS_OTHER_GATEWAY, /* all but what the gateway's processes share */
    LAYOUTS_OTHER_CORE,    /* what instances and the supervisor are taken over by */
    LAYOUTS_UNKNOWN,       /* it says nothing of the kind */
};

/* What can be taken over of what `ours` says by a program that says `theirs`. `which` names the first that differs; "" when
   none does. Total: `theirs` may be any JSON, or NULL. */
enum layouts_verdict layouts_compare(const json_t *ours, const json_t *theirs, char which[], size_t size);

#endif
