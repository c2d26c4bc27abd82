/* SPDX-License-Identifier: MIT
 *
 * The path of a request in its normal form, so that it means to us what it will mean to whoever decodes it later:
 *
 *     %2e %2F %41 …   unreserved characters and the slash are decoded, once; other escapes stay (in upper case)
 *     //  /./         become one slash
 *     /a/../b         becomes /b; above the root it is refused, as are %00 and escapes without two digits
 */
#ifndef DARUMA_GATEWAY_PATH_H
#define DARUMA_GATEWAY_PATH_H

#include "base/regex.h"
#include "gateway/forward.h"

#include <stdbool.h>
#include <stddef.h>

enum { GW_PATH = 8 * 1024 /* bytes of a path that is changed: a longer one is only passed on as it is */ };

/* A path, normalised. */
struct gw_path {
    const char *text; /* of the request when it was in normal form, else `room` */
    size_t len;
    size_t raw_len;                         /* of the path in the request, without its query */
    bool changed;                           /* it is not as the client wrote it */
    bool moved;                             /* segments or slashes were dropped, not only escapes decoded */
    bool grouped;                           /* `group` counts */
    struct gw_span query;                   /* with its question mark */
    struct regex_group group[REGEX_GROUPS]; /* of the regular expression that matched last */
    char room[GW_PATH];
};

/* Normalises the path of a target ("/a/b?c", "*", "" or "?c" of an absolute form). False: refuse it with 400. */
bool gw_path_normalise(const char *target, size_t len, struct gw_path *ret);

/* Where in the target as it was written the first `len` bytes of its normalised path end. */
size_t gw_path_raw_end(const char *target, size_t raw_len, size_t len);

#endif
