/* SPDX-License-Identifier: MIT
 *
 * Files with NAME=value lines, as Compose reads them: `.env`, `--env-file`, `env_file` and `label_file`.
 *
 *     NAME=value            # a comment begins with a space before it
 *     export NAME=value
 *     NAME: value
 *     NAME="with \n escapes and $VARIABLES, over several lines"
 *     NAME='taken as it is'
 *     NAME                  the value of the same name in the environment, if there is one
 */
#ifndef DARUMA_COMPOSE_ENVFILE_H
#define DARUMA_COMPOSE_ENVFILE_H

#include "compose/interpolate.h"

/* Adds what `text` says to the map `into`, whose entries it also expands from; `with->lookup` comes first. False when
   something was wrong, which was told with its place in `file`; lines are not shown, for they hold secrets, so
   `origin` has a note at most; it may be NULL. `raw`: nothing is quoted or expanded. */
bool envfile_parse(struct interpolation *with, const char *file, const struct origin *origin, const char *text,
                   bool raw, struct node *into);

#endif
