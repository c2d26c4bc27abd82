/* SPDX-License-Identifier: MIT */
#include "base/notify.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void notify_send(const char *format, ...)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char text[512];
    va_list args;

    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* an abstract one, whose name has a length and no end */
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || n <= 0 || (size_t)n >= sizeof(text))
        return;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    (void)sendto(fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&address, len);
}

int64_t notify_watchdog_ns(void)
{
    const char *asked = getenv("WATCHDOG_USEC");
    long long us = asked && getenv("NOTIFY_SOCKET") ? strtoll(asked, NULL, 10) : 0;
    return us > 0 ? us * NS_PER_US / 2 : 0;
}
