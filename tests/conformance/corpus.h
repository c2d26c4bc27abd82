/* SPDX-License-Identifier: MIT
 *
 * What the parts of the conformance runner share. index.c runs whole files (valid/ and invalid/), semantics.c the single
 * rules of semantics.tsv, functions.c those of them that name one function of the loader; exceptions.c names what differs
 * on purpose.
 */
#ifndef DARUMA_TESTS_CONFORMANCE_H
#define DARUMA_TESTS_CONFORMANCE_H

#include "base/cleanup.h"
#include "compose/model.h"

#include <limits.h>
#include <stdbool.h>

struct corpus {
    char root[PATH_MAX];  /* absolute */
    char valid[PATH_MAX]; /* root/valid, which the models name @VALID@ */
    const char *only;     /* only rows with this in their name, and what was made of them is shown; NULL: all */
};

/* How many rows hold. */
struct tally {
    int good, all;
    int failed; /* neither good nor a named exception */
};

/* Runs all rows and prints the names of those that do not hold; false: the corpus cannot be read. */
bool run_valid(const struct corpus *corpus, struct tally *ret);
bool run_invalid(const struct corpus *corpus, struct tally *ret);
bool run_semantics(const struct corpus *corpus, struct tally *ret);

/* Counts the row; tells when it does not hold and is no exception, or is one and holds. */
void count(const struct corpus *corpus, struct tally *tally, const char *name, bool holds);

/* Why that row does not hold on purpose; NULL: it has to. */
const char *exception_reason(const char *name);
void print_exceptions(void);

/* One row of a table: its columns, without the line's end. Missing ones are "". */
void split_row(char *line, char **columns, int n);
/* A path; too long a one ends the program, the corpus has none. */
void put(char path[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Numbers that are the same number, and all else equal. Accepts NULL. */
bool same_json(const json_t *a, const json_t *b);
void show_json(const char *title, const json_t *json);

/* --- Rows about one function of the loader --- */

struct rule {
    const char *id, *area, *input, *kind, *expected;
    const char *override;      /* a second file; NULL: none */
    const json_t *environment; /* what variables see; NULL: none */
};

/* Does the row's area name a function of the loader? Then `ret` says whether it does as expected. */
bool run_function(const struct corpus *corpus, const struct rule *rule, bool *ret);

#endif
