/* SPDX-License-Identifier: MIT */
#include "base/files.h"

#include <stdbool.h>

struct rlimit files_raise_limit(void)
{
    static struct rlimit found;
    static bool known;
    struct rlimit now;

    if (getrlimit(RLIMIT_NOFILE, &now) < 0)
        return found;
    if (!known)
        found = now;
    known = true;
    now.rlim_cur = now.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &now); /* else descriptors run out sooner, which is lived with */
    return found;
}
