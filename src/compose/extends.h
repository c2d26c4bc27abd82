/* SPDX-License-Identifier: MIT
 *
 * `extends` and `include`: what other files and services bring in, before files are merged over each other.
 */
#ifndef DARUMA_COMPOSE_EXTENDS_H
#define DARUMA_COMPOSE_EXTENDS_H

#include "compose/load.h"

/* One document, canonical but for what it extends: each service is laid over the one that it extends. */
void extends_resolve(struct loading *load, const char *file, struct node *document);

/* The document laid over what it includes. */
struct node *include_resolve(struct loading *load, struct node *document);

#endif
