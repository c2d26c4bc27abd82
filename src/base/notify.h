/* SPDX-License-Identifier: MIT
 *
 * Tells the service manager how we are, by the protocol of sd_notify(3): datagrams of lines to the socket that
 * NOTIFY_SOCKET names. Without that variable nothing is done.
 */
#ifndef DARUMA_BASE_NOTIFY_H
#define DARUMA_BASE_NOTIFY_H

#include <stdint.h>

/* Sends "READY=1" and the like; lines are separated by newlines. Never waits; a manager that cannot be told is not worth
   an error. */
void notify_send(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often the manager wants to hear "WATCHDOG=1" at least (WATCHDOG_USEC), halved as sd_watchdog_enabled(3) advises. In ns;
   0: not at all. */
int64_t notify_watchdog_ns(void);

#endif
