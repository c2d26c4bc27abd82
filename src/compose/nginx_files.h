/* SPDX-License-Identifier: MIT
 *
 * Where the files of an nginx configuration lie: on this machine, or mounted into a container. Inside of compose/ only.
 */
#ifndef DARUMA_COMPOSE_NGINX_FILES_H
#define DARUMA_COMPOSE_NGINX_FILES_H

#include "compose/nginx_gateway.h"

/*
 * The directives of the file `path`, as nginx sees it, with those that it includes. Where it is in the image itself, it is the one
 * that comes with that. What is wrong is told, at `place` what concerns the whole; that becomes the file's, when it is there.
 */
const struct nginx_directive *nginx_files_parse(struct loading *load, const struct nginx_surroundings *around,
                                                struct place *place, const char *path);

/* Where on this machine a path lies (relative: to the configuration), whether something is there or not; NULL: in the image. */
const char *nginx_files_locate(struct loading *load, const struct nginx_surroundings *around, const char *path);

/* The file of this machine that nginx sees as `path` (relative: to the configuration); NULL: there is none, or it lies in the
   image. */
const char *nginx_files_find(struct loading *load, const struct nginx_surroundings *around, const char *path);

#endif
