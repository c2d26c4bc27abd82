/* SPDX-License-Identifier: MIT
 *
 * "Did you mean …?": the known name that a misspelt word is nearest to.
 */
#ifndef DARUMA_BASE_NEAREST_H
#define DARUMA_BASE_NEAREST_H

/*
 * The better of two candidates for `word`: `name` when it is near enough and nearer than `best` (NULL: none yet), else
 * `best`. Folded over a list it gives the nearest name, the first of equals, or NULL when none is near. Near: at most a
 * third of the word's letters, and one more, have to be put in, taken out, replaced or swapped with a neighbour; in any case.
 */
const char *nearest_name(const char *word, const char *best, const char *name);

#endif
