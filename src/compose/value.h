/* SPDX-License-Identifier: MIT
 *
 * How Compose writes durations, sizes, truth and command lines. Pure functions over text; each returns 0 and fills its
 * result, or -EINVAL and leaves it alone.
 */
#ifndef DARUMA_COMPOSE_VALUE_H
#define DARUMA_COMPOSE_VALUE_H

#include "compose/node.h"

/* "1m30s", "500ms", "1.5h", "1d", "0"; units ns us µs ms s m h d w; a sign is allowed. */
int value_duration(const char *text, int64_t *ret_ns);
/* As Go prints it: "1m30s", "500ms", "24h0m0s", "0s". */
const char *value_format_duration(struct pool *pool, int64_t ns);

/* "64m", "1.5gb", "64 mib", "1024", "-1" → bytes. */
int value_bytes(const char *text, int64_t *ret);

/* true, yes, y, on, 1 and their opposites, in any case. `ret_old`: it was not "true" or "false". */
int value_bool(const char *text, bool *ret, bool *ret_old);

/* A decimal integer and nothing else. */
int value_int(const char *text, int64_t *ret);

/* A command line split into words, as Compose does: quotes and backslashes as in a shell, no expansion; ends at an
   unquoted ; & | < >. Appends to the LIST. 1: there was more behind that end. */
int value_split(struct pool *pool, struct place place, const char *line, struct node *words);

/* An absolute path of Windows: C:\a, c:/a, \\host\share. */
bool value_is_windows_path(const char *text);

/* A signal by name or number, with or without SIG: "SIGTERM", "term", "15". The number, or -EINVAL. */
int value_signal(const char *text);

#endif
