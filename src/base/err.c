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

/* The words for an errno; where it is a limit of the process, also how to mend it. */
static const char *describe(int code)
{
    switch (-code) {
    case EMFILE:
        return "too many open files; raise the limit (ulimit -n)";
    case ENFILE:
        return "too many open files on this machine; raise fs.file-max";
    default:
        return strerror(-code);
    }
}

int err_errno(struct err *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        int n = vsnprintf(err->message, sizeof(err->message), format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof(err->message))
            (void)snprintf(err->message + n, sizeof(err->message) - (size_t)n, ": %s", describe(code));
        err->code = code;
    }
    return code;
}

int err_fork(struct err *err, int code, const char *what)
{
    if (code == -EAGAIN)
        return err_set(err, code,
                       "cannot start %s: no more processes are allowed; raise the limit (ulimit -u, or pids.max of the "
                       "control group)",
                       what);
    return err_errno(err, code, "cannot start %s", what);
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
