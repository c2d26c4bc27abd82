/* SPDX-License-Identifier: MIT
 *
 * .dockerignore: which files of a build's folder are not sent to the Engine.
 *
 * A pattern in each line, relative to the folder: * and ? and [a-z] within a name, ** across folders, # begins a
 * comment, ! takes back. A pattern that matches a folder matches all that is in it; the last one that matches counts.
 */
#ifndef DARUMA_RUNTIME_IGNORE_H
#define DARUMA_RUNTIME_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

struct ignore {
    char *text;         /* the file, cut into lines */
    const char **rules; /* into `text`, each cleaned; a '!' in front takes back */
    size_t len;
    bool takes_back; /* one of them does: an ignored folder may hold something that is not */
};

/* -ENOMEM. */
int ignore_parse(const char *text, struct ignore *ret);
/* Accepts a zeroed one. */
void ignore_free(struct ignore *ignore);

/* Is `path`, relative and without "./", left out? */
bool ignore_matches(const struct ignore *ignore, const char *path);

#endif
