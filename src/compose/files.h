/* SPDX-License-Identifier: MIT
 *
 * Which files make up the project, what its environment is and what it is called.
 */
#ifndef DARUMA_COMPOSE_FILES_H
#define DARUMA_COMPOSE_FILES_H

#include "compose/load.h"

struct project_files {
    struct node *files; /* LIST of absolute paths */
    const char *directory;
};

/* Finds the files and the project's directory; fills load->environment. 0, -ENOENT or -EINVAL (told). */
int files_find(struct loading *load, const struct compose_request *request, struct project_files *ret);

/* Puts the caller's variables ("NAME=value") into load->environment. */
void files_add_environment(struct loading *load, const char *const *environment);

/* "My Shop!" → "myshop": what Compose makes of a directory's name. */
const char *files_normalise_name(struct pool *pool, const char *name);
bool files_name_is_valid(const char *name);

#endif
