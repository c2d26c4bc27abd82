/* SPDX-License-Identifier: MIT
 *
 * Whom routes lead to outside of the project: their addresses, and their endpoints on the board. Nobody here starts or
 * watches them; the gateway finds out by its requests who answers.
 *
 * A name is looked up when the files are loaded, as nginx does it, and again at each `up`.
 */
#ifndef DARUMA_DAEMON_OUTSIDE_H
#define DARUMA_DAEMON_OUTSIDE_H

#include "base/board.h"
#include "compose/spec.h"

#include <stdbool.h>

enum { OUTSIDE_ADDRESSES = 16 }; /* of one name */

struct outside {
    char name[BOARD_NAME];
    struct board_address wanted[OUTSIDE_ADDRESSES]; /* by the spec that is being applied */
    size_t wanted_len;
    bool lost; /* the name could not be looked up: whom it meant before is whom it means */
    struct board_address known[OUTSIDE_ADDRESSES]; /* on the board */
    int slots[OUTSIDE_ADDRESSES];
    size_t known_len;
};

struct outsides {
    struct outside *list;
    size_t len, cap;
};

/* Looks up what `spec` names; waits for name servers, 4 s at most. What cannot be found is a problem with its place. */
void outsides_find(struct outsides *outsides, const struct spec *spec, struct problems *problems);

/* Makes the board say so: endpoints that are the same stay, also those of an earlier supervisor. 0, or -ENOSPC. Inside of a
   writer's bracket. */
int outsides_publish(struct outsides *outsides, struct board *board);

/* Accepts a zeroed one. */
void outsides_free(struct outsides *outsides);

#endif
