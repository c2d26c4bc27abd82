/* SPDX-License-Identifier: MIT
 *
 * Methods and reason phrases.
 */
#include "base/http1.h"

bool http1_method_idempotent(enum http1_method method)
{
    switch (method) {
    case HTTP1_GET:
    case HTTP1_HEAD:
    case HTTP1_PUT:
    case HTTP1_DELETE:
    case HTTP1_OPTIONS:
    case HTTP1_TRACE:
        return true;
    default:
        return false;
    }
}

const char *http1_method_text(enum http1_method method)
{
    static const char *const names[] = {
        [HTTP1_GET] = "GET",         [HTTP1_HEAD] = "HEAD",     [HTTP1_POST] = "POST",
        [HTTP1_PUT] = "PUT",         [HTTP1_DELETE] = "DELETE", [HTTP1_CONNECT] = "CONNECT",
        [HTTP1_OPTIONS] = "OPTIONS", [HTTP1_TRACE] = "TRACE",   [HTTP1_PATCH] = "PATCH",
    };
    return (unsigned)method < sizeof(names) / sizeof(names[0]) && names[method] ? names[method] : "?";
}

const char *http1_reason(unsigned status)
{
    static const char *const reasons[] = {
        [100] = "Continue",
        [101] = "Switching Protocols",
        [102] = "Processing",
        [103] = "Early Hints",
        [200] = "OK",
        [201] = "Created",
        [202] = "Accepted",
        [203] = "Non-Authoritative Information",
        [204] = "No Content",
        [205] = "Reset Content",
        [206] = "Partial Content",
        [300] = "Multiple Choices",
        [301] = "Moved Permanently",
        [302] = "Found",
        [303] = "See Other",
        [304] = "Not Modified",
        [307] = "Temporary Redirect",
        [308] = "Permanent Redirect",
        [400] = "Bad Request",
        [401] = "Unauthorized",
        [402] = "Payment Required",
        [403] = "Forbidden",
        [404] = "Not Found",
        [405] = "Method Not Allowed",
        [406] = "Not Acceptable",
        [407] = "Proxy Authentication Required",
        [408] = "Request Timeout",
        [409] = "Conflict",
        [410] = "Gone",
        [411] = "Length Required",
        [412] = "Precondition Failed",
        [413] = "Content Too Large",
        [414] = "URI Too Long",
        [415] = "Unsupported Media Type",
        [416] = "Range Not Satisfiable",
        [417] = "Expectation Failed",
        [421] = "Misdirected Request",
        [422] = "Unprocessable Content",
        [425] = "Too Early",
        [426] = "Upgrade Required",
        [428] = "Precondition Required",
        [429] = "Too Many Requests",
        [431] = "Request Header Fields Too Large",
        [451] = "Unavailable For Legal Reasons",
        [500] = "Internal Server Error",
        [501] = "Not Implemented",
        [502] = "Bad Gateway",
        [503] = "Service Unavailable",
        [504] = "Gateway Timeout",
        [505] = "HTTP Version Not Supported",
        [508] = "Loop Detected",
        [511] = "Network Authentication Required",
    };
    return status < sizeof(reasons) / sizeof(reasons[0]) && reasons[status] ? reasons[status] : "Unknown";
}
