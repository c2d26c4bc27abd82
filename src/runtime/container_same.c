/* SPDX-License-Identifier: MIT
 *
 * Is a container that somebody else made as ours would be? Both are as the Engine tells of them (GET /containers/ID/json),
 * so what it has filled in itself is the same in both.
 */
#include "runtime/container.h"
#include "runtime/container_parts.h"

#include "base/cleanup.h"
#include "base/names.h"

#include <string.h>

/* What it does not matter how it was said, or that is no part of how the program runs. */
static const char *const config_apart[] = { "AttachStderr", "AttachStdin", "AttachStdout", "Env",    "ExposedPorts",
                                            "Healthcheck",  "Hostname",    "Image",        "Labels", "OnBuild",
                                            "StdinOnce",    "StopTimeout", "Volumes",      NULL };
static const char *const host_apart[] = { "Binds",         "ConsoleSize", "ContainerIDFile", "Mounts", "NetworkMode",
                                          "RestartPolicy", NULL };
static const char *const nothing[] = { NULL };

static bool is_empty(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* Without what is empty: null, "" and [] are the same to the Engine. */
static json_t *filled(const json_t *object, const char *const *apart)
{
    json_t *ret = json_object(), *value;
    const char *key;

    json_object_foreach((json_t *)object, key, value)
    {
        if (!names_have(apart, key) && !is_empty(value))
            (void)json_object_set(ret, key, value);
    }
    return ret;
}

/* In whatever order. */
static json_t *environment_of(const json_t *config)
{
    json_t *ret = json_object(), *entry;
    size_t i;

    json_array_foreach(json_object_get(config, "Env"), i, entry)
    {
        if (json_is_string(entry))
            (void)json_object_set_new(ret, json_string_value(entry), json_true());
    }
    return ret;
}

static json_t *labels_of(const json_t *config)
{
    json_t *ret = json_object(), *value;
    const char *key;

    json_object_foreach(json_object_get(config, "Labels"), key, value)
    {
        if (strncmp(key, CONTAINER_LABEL, strlen(CONTAINER_LABEL)) != 0)
            (void)json_object_set(ret, key, value);
    }
    return ret;
}

/* The Engine names it after its ID where nobody else does. */
static const char *hostname_of(const json_t *container)
{
    const char *name = text_of(json_object_get(container, "Config"), "Hostname");
    return *name && strncmp(text_of(container, "Id"), name, strlen(name)) == 0 ? "" : name;
}

/* What is where, however it was asked for. */
static json_t *mounts_of(const json_t *container)
{
    json_t *ret = json_object(), *mount;
    size_t i;

    json_array_foreach(json_object_get(container, "Mounts"), i, mount)
    {
        const char *name = text_of(mount, "Name");
        (void)json_object_set_new(ret, text_of(mount, "Destination"),
                                  json_pack("{s:s, s:s, s:s, s:b}", "Type", text_of(mount, "Type"), "From",
                                            *name ? name : text_of(mount, "Source"), "Propagation",
                                            text_of(mount, "Propagation"), "RW", is_true(mount, "RW")));
    }
    /* The options of these are not told there. */
    json_array_foreach(json_object_get(json_object_get(container, "HostConfig"), "Mounts"), i, mount)
    {
        if (json_object_get(mount, "TmpfsOptions") || json_object_get(mount, "VolumeOptions"))
            (void)json_object_set(ret, text_of(mount, "Target"), mount);
    }
    return ret;
}

/* Compares two objects of which the caller gives both away. */
static bool equal_taken(json_t *a, json_t *b)
{
    bool equal = a && b && json_equal(a, b);
    json_decref(a);
    json_decref(b);
    return equal;
}

static bool same_config(const json_t *theirs, const json_t *ours)
{
    const json_t *a = json_object_get(theirs, "Config"), *b = json_object_get(ours, "Config");
    const json_t *check = json_object_get(b, "Healthcheck");
    const char *test = json_string_value(json_array_get(json_object_get(check, "Test"), 0));
    bool asked = !test || strcmp(test, "NONE") != 0; /* else daruma asks itself, and it does not matter who does, too */

    return strcmp(hostname_of(theirs), hostname_of(ours)) == 0 &&
           equal_taken(filled(a, config_apart), filled(b, config_apart)) &&
           equal_taken(environment_of(a), environment_of(b)) && equal_taken(labels_of(a), labels_of(b)) &&
           (!asked || equal_taken(filled(json_object_get(a, "Healthcheck"), nothing), filled(check, nothing)));
}

/* `ours` is what was asked for; the Engine adds the container's ID to the aliases, and addresses. */
static bool same_endpoint(const json_t *theirs, const json_t *ours, const char *name)
{
    static const char *const keys[] = { "IPAMConfig", "Links", "DriverOpts" };
    json_t *alias, *other;
    size_t i, n;

    for (i = 0; i < ARRAY_LEN(keys); i++) {
        const json_t *a = json_object_get(theirs, keys[i]), *b = json_object_get(ours, keys[i]);
        if (is_empty(a) != is_empty(b) || (!is_empty(a) && !json_equal(a, b)))
            return false;
    }
    if (*text_of(ours, "MacAddress") && strcmp(text_of(ours, "MacAddress"), text_of(theirs, "MacAddress")) != 0)
        return false;
    json_array_foreach(json_object_get(ours, "Aliases"), i, alias)
    {
        bool found = strcmp(json_string_value(alias), name) == 0; /* a container is known by its name as well */
        json_array_foreach(json_object_get(theirs, "Aliases"), n, other)
        {
            found = found || json_equal(alias, other);
        }
        if (!found)
            return false;
    }
    return true;
}

static bool same_networks(const json_t *theirs, const json_t *ours, const json_t *endpoints, const char *name)
{
    const json_t *networks = json_object_get(json_object_get(theirs, "NetworkSettings"), "Networks");
    const char *mode = text_of(json_object_get(theirs, "HostConfig"), "NetworkMode"), *key;
    json_t *endpoint;

    /* Which one was the first does not matter. */
    if (json_object_size(endpoints) == 0 || !json_object_get(networks, mode))
        return strcmp(mode, text_of(json_object_get(ours, "HostConfig"), "NetworkMode")) == 0;
    if (json_object_size(networks) != json_object_size(endpoints))
        return false;
    json_object_foreach((json_t *)endpoints, key, endpoint)
    {
        if (!json_object_get(networks, key) || !same_endpoint(json_object_get(networks, key), endpoint, name))
            return false;
    }
    return true;
}

bool container_same(const json_t *theirs, const json_t *ours, const json_t *endpoints, const char *name)
{
    return strcmp(text_of(theirs, "Image"), text_of(ours, "Image")) == 0 && same_config(theirs, ours) &&
           equal_taken(filled(json_object_get(theirs, "HostConfig"), host_apart),
                       filled(json_object_get(ours, "HostConfig"), host_apart)) &&
           equal_taken(mounts_of(theirs), mounts_of(ours)) && same_networks(theirs, ours, endpoints, name);
}
