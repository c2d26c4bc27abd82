/* SPDX-License-Identifier: MIT
 *
 * What the steps of one load share. Inside of compose/ only.
 *
 *     text ─yaml─▶ nodes ─interpolate─▶ ─validate─▶ ─canonical─▶ ─extends─▶ ─include─▶ ─merge─▶ ─normalise─▶ model ─▶ spec
 */
#ifndef DARUMA_COMPOSE_LOAD_H
#define DARUMA_COMPOSE_LOAD_H

#include "compose/interpolate.h"
#include "compose/node.h"
#include "compose/spec.h"

struct loading {
    struct pool *pool;
    struct problems *problems;
    struct node *environment; /* what interpolation sees: a map of strings */
    struct node *missed;      /* variables that were warned about */
    const char *base_dir;     /* what relative paths of the present file are relative to; absolute */
    const char *keep_paths;   /* paths stay relative, all of them to this directory; NULL: they become absolute */
    bool no_interpolate;
    bool stdin_as_dash;
    struct node *variables; /* collects what the files mention; NULL: nobody asks */
    bool incomplete;        /* a file is missing from the project, so that nothing may be said about references */
    const char *note;       /* how the present file came in: "included at compose.yaml:3:5"; NULL: it was asked for */
    struct node *files;     /* path → documents that `extends` has read */
    struct node *including; /* paths of the files that are being included, outermost first */
    size_t *included;       /* how many files came in by `include` in all */
    struct place *at;       /* what is being worked on, to be told when there is no memory for it */
};

/* Replaces the variables of a service. With no_interpolate only where it names files of the project, which are read all the
   same. */
void load_interpolate_service(struct loading *load, struct interpolation *with, struct node *service);

/* A variable of `loading->environment`, for struct interpolation. */
const char *load_lookup(void *loading, const char *name);

/* Where that variable's value comes from: "TAG comes from the environment". */
const char *load_origin(void *loading, const char *name);
/* "included at compose.yaml:3:5", and how that file came in itself. */
const char *load_note(struct loading *load, const char *how, struct place place);

/* The whole text of a file, or NULL after telling why at `place` (who names it). Only regular files up to 16 MiB. */
const char *load_read(struct loading *load, struct place place, const char *path, size_t *ret_len);

/* Adds what a file with NAME=value lines says to `into`; what is wrong with it is told, unreadable at `place`. See
   envfile_parse(). */
void load_env_file(struct loading *load, struct interpolation *with, struct place place, const char *path, bool raw,
                   struct node *into);

/* The path of the directory's .env, to be read; NULL: there is none. A directory of that name, as people have for Python, is
   none; whatever else cannot be read is told when it is. */
const char *load_usual_env_file(struct loading *load, const char *directory);

/* The documents of a file as they are written, or NULL (told). */
struct node *load_documents(struct loading *load, struct place place, const char *path);

/* One file, all its documents merged, canonical, with what it extends and includes; NULL when it cannot be used. */
struct node *load_file(struct loading *load, struct place place, const char *path);

/* `path` relative to `base`, without `.`, `..` and doubled slashes; `~` is the home directory. An absolute path stays as
   it is written, which is what the reference does. */
const char *load_path(struct loading *load, const char *base, const char *path);
/* `path` of the present file as it is to stand in the model: absolute, or as load->keep_paths says. */
const char *load_model_path(struct loading *load, const char *path);
/* The file that such a path means; absolute. */
const char *load_real_path(struct loading *load, const char *path);
/* Without `.`, `..`, doubled and last slashes. */
const char *load_clean(struct pool *pool, const char *path);
const char *load_dirname(struct pool *pool, const char *path);

#endif
