/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(err->message, sizeof(err->message), format, args);
        va_end(args);
        err->code = code;
    }
    return code;
}

int err_errno(struct err *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        int n = vsnprintf(err->message, sizeof(err->message), format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof(err->message))
            (void)snprintf(err->message + n, sizeof(err->message) - (size_t)n, ": %s", strerror(-code));
        err->code = code;
    }
    return code;
}

int err_prefix(struct err *err, const char *format, ...)
{
    if (!err)
        return -EINVAL;

    char rest[sizeof(err->message)];
    memcpy(rest, err->message, sizeof(rest));

    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof(err->message))
        (void)snprintf(err->message + n, sizeof(err->message) - (size_t)n, ": %s", rest);
    return err->code;
}
