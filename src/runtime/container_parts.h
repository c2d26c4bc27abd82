/* SPDX-License-Identifier: MIT
 *
 * What the files container*.c share.
 */
#ifndef DARUMA_RUNTIME_CONTAINER_PARTS_H
#define DARUMA_RUNTIME_CONTAINER_PARTS_H

#include "compose/spec.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>

static inline const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static inline bool is_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

/* A number, or the string of one. */
static inline double number_of(const json_t *value)
{
    return json_is_string(value) ? strtod(json_string_value(value), NULL) : json_number_value(value);
}

/* "text" of a format, as JSON. NULL when out of memory. */
json_t *container_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Binds, Mounts, Tmpfs and VolumesFrom of a HostConfig. */
void container_add_mounts(const struct spec *spec, const struct spec_service *service, json_t *host);

#endif
