/* SPDX-License-Identifier: MIT
 *
 * Tests wait for conditions, not for time. Needs cmocka.h before the first use.
 */
#ifndef DARUMA_TESTS_WAIT_H
#define DARUMA_TESTS_WAIT_H

#include "base/clock.h"

/* Waits for a condition, at most half a minute: the machine may be busy with other things. */
#define WAIT_FOR(condition)                                                                                            \
    do {                                                                                                               \
        int64_t until_ = clock_now() + 30 * NS_PER_S;                                                                  \
        while (!(condition)) {                                                                                         \
            if (clock_now() > until_)                                                                                  \
                fail_msg("waited in vain for: %s", #condition);                                                        \
            clock_sleep(200 * NS_PER_US);                                                                              \
        }                                                                                                              \
    } while (0)

#endif
