/* SPDX-License-Identifier: MIT */
#include "compose/identity.h"

#include <string.h>

static const char *field(struct pool *pool, const struct node *item, const char *key)
{
    const struct node *value = node_get(item, key);
    return node_is(value, NODE_SCALAR) ? node_text(pool, value) : "";
}

const char *identity_text(struct pool *pool, const struct node *item)
{
    return node_is(item, NODE_SCALAR) ? node_text(pool, item) : NULL;
}

const char *identity_target(struct pool *pool, const struct node *item)
{
    return node_is(item, NODE_SCALAR) ? node_text(pool, item) : field(pool, item, "service");
}

const char *identity_name(struct pool *pool, const struct node *item)
{
    const char *text = identity_text(pool, item);
    return text ? pool_strndup(pool, text, strcspn(text, "=")) : NULL;
}

const char *identity_port(struct pool *pool, const struct node *item)
{
    const char *host = field(pool, item, "host_ip");

    if (node_is(item, NODE_SCALAR))
        return node_text(pool, item);
    return pool_printf(pool, "%s:%s:%s/%s", *host ? host : "0.0.0.0", field(pool, item, "published"),
                       field(pool, item, "target"), field(pool, item, "protocol"));
}

const char *identity_mount(struct pool *pool, const struct node *item)
{
    return node_is(item, NODE_SCALAR) ? node_text(pool, item) : field(pool, item, "target");
}

static const char *reference(struct pool *pool, const struct node *item, const char *folder)
{
    const char *target = field(pool, item, "target");
    return *target ? target : pool_printf(pool, "%s/%s", folder, field(pool, item, "source"));
}

const char *identity_secret(struct pool *pool, const struct node *item)
{
    return reference(pool, item, "/run/secrets");
}

const char *identity_config(struct pool *pool, const struct node *item)
{
    return reference(pool, item, "");
}

const char *identity_env_file(struct pool *pool, const struct node *item)
{
    return field(pool, item, "path");
}

const char *identity_device(struct pool *pool, const struct node *item)
{
    return field(pool, item, "target");
}

const char *identity_subnet(struct pool *pool, const struct node *item)
{
    const char *subnet = field(pool, item, "subnet");
    return *subnet ? subnet : NULL;
}
