/* SPDX-License-Identifier: MIT */
#ifndef DARUMA_CLI_SCALE_H
#define DARUMA_CLI_SCALE_H

#include <jansson.h>

/* Adds "SERVICE=NUMBER" to the object. -EINVAL when the word is no such thing. */
int scale_add(json_t *scale, const char *word);

#endif
