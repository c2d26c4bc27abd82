/* SPDX-License-Identifier: MIT
 *
 * What is wrong with the user's files, all of it in one go. Each problem has its place and says how to mend it.
 * The loader adds to the list; so do the checks of a runtime and of the gateway's listeners before anything starts.
 */
#ifndef DARUMA_COMPOSE_PROBLEM_H
#define DARUMA_COMPOSE_PROBLEM_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* How what stands at a place came to stand there; belongs to the spec or the loader. */
struct origin {
    const char *text; /* the whole file, to show the line; NULL: it is not shown */
    const char *note; /* for people: "TAG comes from .env:3"; NULL: it stands there as it is */
};

/* A place in a file. `file` belongs to the spec or the loader; NULL: no place, the problem concerns the command. */
struct place {
    const char *file;
    int line, column;            /* from 1, in characters; 0: the file as a whole */
    const struct origin *origin; /* NULL: nothing more is known */
};

struct problem {
    bool warning; /* false: an error, nothing is started */
    char *file;   /* own copy, or NULL */
    int line, column;
    char *message; /* what, and how to mend it; one line */
    char *shown;   /* the line of the file, NULL: not known */
    char *note;    /* where the value came from, NULL: from there */
};

struct problems {
    struct problem *list;
    size_t len, cap;
    size_t errors; /* how many of them are no warnings */
};

/* Adds one. Out of memory is remembered as an error without text, so that a load never succeeds by losing a problem. */
void problem_error(struct problems *problems, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void problem_warning(struct problems *problems, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes warnings of the errors since there were as many problems as in `before`, a copy: what they are about is left as it
   was. */
void problems_soften(struct problems *problems, const struct problems *before);

/* Are there so many that another one will not be shown? Then nothing costly is done for its text. */
bool problems_full(const struct problems *problems);

/* "file:line:column: message" (warnings begin with "warning: " behind the place), below an error its line with a caret
   and where the value came from; in the order of files and lines, the same thing once; with `colour` for a terminal;
   appended to `out`. */
void problems_format(const struct problems *problems, bool colour, struct buf *out);

/* Releases all; the list may be used again. Accepts a zeroed one. */
void problems_free(struct problems *problems);

#endif
