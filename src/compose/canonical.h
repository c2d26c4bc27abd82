/* SPDX-License-Identifier: MIT
 *
 * Short forms become long ones and scalars what the table says they are, file by file, before anything is merged; so
 * every later step knows one form only.
 */
#ifndef DARUMA_COMPOSE_CANONICAL_H
#define DARUMA_COMPOSE_CANONICAL_H

#include "compose/load.h"
#include "compose/schema.h"

/* The tree in its canonical form; what cannot be read is told. Also makes FORMAT_PATH values absolute. */
struct node *canonical_tree(struct loading *load, const struct schema *schema, struct node *node);

/* For the table. Each takes any kind that the schema allows. */
struct node *canonical_mapping(struct loading *load, struct node *node);    /* [A=1, B] → {A: "1", B: null} */
struct node *canonical_labels(struct loading *load, struct node *node);     /* the same, but B: "" */
struct node *canonical_strings(struct loading *load, struct node *node);    /* a → [a] */
struct node *canonical_command(struct loading *load, struct node *node);    /* "a 'b c'" → [a, b c] */
struct node *canonical_test(struct loading *load, struct node *node);       /* "a b" → [CMD-SHELL, a b] */
struct node *canonical_names(struct loading *load, struct node *node);      /* [a, b] → {a: null, b: null} */
struct node *canonical_depends_on(struct loading *load, struct node *node); /* [a] → {a: {condition: …}} */
struct node *canonical_ports(struct loading *load, struct node *node);      /* "80:80/tcp" → {target: 80, …} */
struct node *canonical_volume(struct loading *load, struct node *node);     /* "./a:/b:ro" → {type: bind, …} */
struct node *canonical_build(struct loading *load, struct node *node);      /* . → {context: .} */
struct node *canonical_env_files(struct loading *load, struct node *node);  /* a → [{path: a}] */
struct node *canonical_extends(struct loading *load, struct node *node);    /* a → {service: a} */
struct node *canonical_include(struct loading *load, struct node *node);    /* a → {path: [a]} */
struct node *canonical_reference(struct loading *load, struct node *node);  /* a → {source: a} */
struct node *canonical_secret(struct loading *load, struct node *node);     /* the same, target /run/secrets/a */
struct node *canonical_contexts(struct loading *load, struct node *node);   /* name → absolute path or URL */
struct node *canonical_network(struct loading *load, struct node *node);    /* null → {}, external */
struct node *canonical_volume_definition(struct loading *load, struct node *node);
struct node *canonical_device_request(struct loading *load, struct node *node); /* count -1 when nothing says which */
struct node *canonical_device(struct loading *load, struct node *node);         /* "/a:/b:r" → {source: /a, …} */
struct node *canonical_gpus(struct loading *load, struct node *node);           /* all → [{count: -1, …}] */
struct node *canonical_extra_hosts(struct loading *load, struct node *node);    /* [a=1] → {a: [1]} */
struct node *canonical_external(struct loading *load, struct node *node);       /* {external: {name: a}} → … */
struct node *canonical_device_count(struct loading *load, struct node *node);   /* all → -1 */

#endif
