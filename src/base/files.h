/* SPDX-License-Identifier: MIT
 *
 * How many descriptors this process may have open.
 */
#ifndef DARUMA_BASE_FILES_H
#define DARUMA_BASE_FILES_H

#include <sys/resource.h>

/*
 * Raises the soft limit (RLIMIT_NOFILE, getrlimit(2)) to the hard one, if that is allowed. Returns the limit as it was at the first
 * call, in this process or in those that it was forked from: so programs that are started get it back.
 */
struct rlimit files_raise_limit(void);

#endif
