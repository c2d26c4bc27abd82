/* SPDX-License-Identifier: MIT
 *
 * The functions of libmicrohttpd that we call (base/library.h).
 */
#include "base/library.h"

#include <microhttpd.h>
#include <stdarg.h>

static struct library libmicrohttpd = { .soname = "libmicrohttpd.so.12" };

#define THEIRS(name) LIBRARY_FUNCTION(libmicrohttpd, name)

const char *MHD_get_version(void)
{
    return THEIRS(MHD_get_version)();
}

struct MHD_Daemon *MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback accept, void *accept_data,
                                    MHD_AccessHandlerCallback handler, void *handler_data, ...)
{
    va_list options;
    va_start(options, handler_data);
    struct MHD_Daemon *daemon =
        THEIRS(MHD_start_daemon_va)(flags, port, accept, accept_data, handler, handler_data, options);
    va_end(options);
    return daemon;
}

void MHD_stop_daemon(struct MHD_Daemon *daemon)
{
    THEIRS(MHD_stop_daemon)(daemon);
}

/* What takes more arguments than these is of no interest to us. */
const union MHD_DaemonInfo *MHD_get_daemon_info(struct MHD_Daemon *daemon, enum MHD_DaemonInfoType type, ...)
{
    return THEIRS(MHD_get_daemon_info)(daemon, type);
}

enum MHD_Result MHD_get_timeout(struct MHD_Daemon *daemon, MHD_UNSIGNED_LONG_LONG *ret_ms)
{
    return THEIRS(MHD_get_timeout)(daemon, ret_ms);
}

enum MHD_Result MHD_run(struct MHD_Daemon *daemon)
{
    return THEIRS(MHD_run)(daemon);
}

int MHD_get_connection_values(struct MHD_Connection *connection, enum MHD_ValueKind kind, MHD_KeyValueIterator iterator,
                              void *data)
{
    return THEIRS(MHD_get_connection_values)(connection, kind, iterator, data);
}

void MHD_suspend_connection(struct MHD_Connection *connection)
{
    THEIRS(MHD_suspend_connection)(connection);
}

void MHD_resume_connection(struct MHD_Connection *connection)
{
    THEIRS(MHD_resume_connection)(connection);
}

/* There is one option only, the timeout in seconds. */
enum MHD_Result MHD_set_connection_option(struct MHD_Connection *connection, enum MHD_CONNECTION_OPTION option, ...)
{
    va_list args;
    va_start(args, option);
    unsigned seconds = va_arg(args, unsigned);
    va_end(args);
    return THEIRS(MHD_set_connection_option)(connection, option, seconds);
}

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *buffer, enum MHD_ResponseMemoryMode mode)
{
    return THEIRS(MHD_create_response_from_buffer)(size, buffer, mode);
}

struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block_size,
                                                       MHD_ContentReaderCallback reader, void *data,
                                                       MHD_ContentReaderFreeCallback free_data)
{
    return THEIRS(MHD_create_response_from_callback)(size, block_size, reader, data, free_data);
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *response, const char *name, const char *value)
{
    return THEIRS(MHD_add_response_header)(response, name, value);
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response)
{
    return THEIRS(MHD_queue_response)(connection, status, response);
}

void MHD_destroy_response(struct MHD_Response *response)
{
    THEIRS(MHD_destroy_response)(response);
}
