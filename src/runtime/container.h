/* SPDX-License-Identifier: MIT
 *
 * What the Engine is told about a service's container: pure functions from the spec to the API's JSON. Which attribute
 * goes where is a table; docs/docker.md shows it to people.
 *
 * Names and labels are those of Compose, so that `docker compose ps` knows the project.
 */
#ifndef DARUMA_RUNTIME_CONTAINER_H
#define DARUMA_RUNTIME_CONTAINER_H

#include "compose/spec.h"

#include <jansson.h>

#define CONTAINER_LABEL "com.docker.compose."

/* The body of POST /containers/create. Only the first of its networks is in it, as older Engines take one. NULL when out
   of memory. */
json_t *container_body(const struct spec *spec, const struct spec_service *service, int number);

/* Would the program notice whether it runs in the container `theirs` or in `ours`? Both as the Engine inspects them; `endpoints`
   says what is asked for `ours` in each of its networks, and `name` what either is called in the end. */
bool container_same(const json_t *theirs, const json_t *ours, const json_t *endpoints, const char *name);

/* Gives such a body the volume `name` at `target`, unless it has something else there. */
void container_inherit(json_t *body, const char *name, const char *target);

/* What a secret or a config says that is no file: its `content`, or the variable that its `environment` names. NULL: it
   is none such, or there is no such variable. */
const char *container_content(const struct spec *spec, const json_t *definition);
/* Such secrets and configs of a service: {"/run/secrets/NAME": {"content": "what it says", "mode": 292, "uid": 0, "gid": 0}}. NULL
   when out of memory. */
json_t *container_files(const struct spec *spec, const struct spec_service *service);

/* `container_name`, else PROJECT-SERVICE-N. NULL when out of memory; free(). */
char *container_name(const struct spec *spec, const struct spec_service *service, int number);

/* What it is run from: `image`, else PROJECT-SERVICE, which is how Compose tags what it builds. As above. */
char *container_image(const struct spec *spec, const struct spec_service *service);

/* The labels that find a project's resource again, without those of the user: {"com.docker.compose.project": …,
   "com.docker.compose.<kind>": key}. NULL when out of memory. */
json_t *container_labels(const struct spec *spec, const char *kind, const char *key);

/* The body of POST /networks/<name>/connect for one of its networks, without "Container". NULL when out of memory. */
json_t *container_endpoint(const struct spec *spec, const struct spec_service *service, int number,
                           const char *network);

/* The definition that `key` has under networks, volumes … of the file; NULL when there is none. */
const json_t *container_definition(const struct spec *spec, const char *section, const char *key);
/* What the Engine calls it: its `name`, else PROJECT_KEY. NULL when out of memory; free(). */
char *container_real_name(const struct spec *spec, const char *section, const char *key);

#endif
