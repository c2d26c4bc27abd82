/* SPDX-License-Identifier: MIT
 *
 * What makes two items of a list the same thing, so that a later file's item replaces the earlier one's.
 */
#ifndef DARUMA_COMPOSE_IDENTITY_H
#define DARUMA_COMPOSE_IDENTITY_H

#include "compose/node.h"

const char *identity_text(struct pool *pool, const struct node *item);     /* the text itself */
const char *identity_name(struct pool *pool, const struct node *item);     /* the text up to a `=` */
const char *identity_port(struct pool *pool, const struct node *item);     /* address, published, target, protocol */
const char *identity_mount(struct pool *pool, const struct node *item);    /* target */
const char *identity_secret(struct pool *pool, const struct node *item);   /* target, /run/secrets/SOURCE without */
const char *identity_config(struct pool *pool, const struct node *item);   /* target, /SOURCE without */
const char *identity_env_file(struct pool *pool, const struct node *item); /* path */
const char *identity_device(struct pool *pool, const struct node *item);   /* target */
const char *identity_target(struct pool *pool, const struct node *item);   /* service */
const char *identity_subnet(struct pool *pool, const struct node *item);   /* subnet */

#endif
