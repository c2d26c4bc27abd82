/* SPDX-License-Identifier: MIT
 *
 * A cookie jar for one origin: names and values only. Attributes are not honoured, except that a cookie set with
 * Max-Age=0 (or less) is thrown out. Fixed size, no allocation. Pure.
 */
#ifndef DARUMA_WATCH_JAR_H
#define DARUMA_WATCH_JAR_H

#include <stddef.h>

enum {
    WATCH_JAR_BYTES = 2048, /* of the Cookie header's value, the NUL included */
};

struct watch_jar {
    char line[WATCH_JAR_BYTES]; /* "a=1; b=2": what goes behind "Cookie: "; "" when there is none */
};

/* Takes the value of a Set-Cookie field. What is malformed or does not fit is left out. */
void watch_jar_set(struct watch_jar *jar, const char *value, size_t len);

#endif
