/* SPDX-License-Identifier: MIT
 *
 * The functions of libcurl that we call (base/library.h).
 */
#include "base/library.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdarg.h>

/* What these check is the type of the third argument; here it is passed on, whatever it is. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

static struct library libcurl = { .soname = "libcurl.so.4" };

#define THEIRS(name) LIBRARY_FUNCTION(libcurl, name)

/* An option's value is a long, a pointer or a curl_off_t, and they are passed alike. */
static_assert(sizeof(long) == sizeof(void *) && sizeof(curl_off_t) == sizeof(void *), "one register each");

CURLcode curl_easy_setopt(CURL *easy, CURLoption option, ...)
{
    va_list args;
    va_start(args, option);
    void *value = va_arg(args, void *);
    va_end(args);
    return THEIRS(curl_easy_setopt)(easy, option, value);
}

CURLcode curl_easy_getinfo(CURL *easy, CURLINFO info, ...)
{
    va_list args;
    va_start(args, info);
    void *ret = va_arg(args, void *);
    va_end(args);
    return THEIRS(curl_easy_getinfo)(easy, info, ret);
}

CURLMcode curl_multi_setopt(CURLM *multi, CURLMoption option, ...)
{
    va_list args;
    va_start(args, option);
    void *value = va_arg(args, void *);
    va_end(args);
    return THEIRS(curl_multi_setopt)(multi, option, value);
}

CURLcode curl_global_init(long flags)
{
    return THEIRS(curl_global_init)(flags);
}

CURL *curl_easy_init(void)
{
    return THEIRS(curl_easy_init)();
}

void curl_easy_cleanup(CURL *easy)
{
    THEIRS(curl_easy_cleanup)(easy);
}

void curl_easy_reset(CURL *easy)
{
    THEIRS(curl_easy_reset)(easy);
}

CURLcode curl_easy_perform(CURL *easy)
{
    return THEIRS(curl_easy_perform)(easy);
}

CURLcode curl_easy_pause(CURL *easy, int bitmask)
{
    return THEIRS(curl_easy_pause)(easy, bitmask);
}

char *curl_easy_escape(CURL *easy, const char *string, int length)
{
    return THEIRS(curl_easy_escape)(easy, string, length);
}

const char *curl_easy_strerror(CURLcode code)
{
    return THEIRS(curl_easy_strerror)(code);
}

void curl_free(void *pointer)
{
    THEIRS(curl_free)(pointer);
}

CURLM *curl_multi_init(void)
{
    return THEIRS(curl_multi_init)();
}

CURLMcode curl_multi_cleanup(CURLM *multi)
{
    return THEIRS(curl_multi_cleanup)(multi);
}

CURLMcode curl_multi_add_handle(CURLM *multi, CURL *easy)
{
    return THEIRS(curl_multi_add_handle)(multi, easy);
}

CURLMcode curl_multi_remove_handle(CURLM *multi, CURL *easy)
{
    return THEIRS(curl_multi_remove_handle)(multi, easy);
}

CURLMcode curl_multi_assign(CURLM *multi, curl_socket_t fd, void *data)
{
    return THEIRS(curl_multi_assign)(multi, fd, data);
}

CURLMcode curl_multi_perform(CURLM *multi, int *ret_running)
{
    return THEIRS(curl_multi_perform)(multi, ret_running);
}

CURLMcode curl_multi_poll(CURLM *multi, struct curl_waitfd extra[], unsigned extra_len, int timeout_ms, int *ret)
{
    return THEIRS(curl_multi_poll)(multi, extra, extra_len, timeout_ms, ret);
}

CURLMcode curl_multi_socket_action(CURLM *multi, curl_socket_t fd, int events, int *ret_running)
{
    return THEIRS(curl_multi_socket_action)(multi, fd, events, ret_running);
}

CURLMsg *curl_multi_info_read(CURLM *multi, int *ret_left)
{
    return THEIRS(curl_multi_info_read)(multi, ret_left);
}

const char *curl_multi_strerror(CURLMcode code)
{
    return THEIRS(curl_multi_strerror)(code);
}

struct curl_slist *curl_slist_append(struct curl_slist *list, const char *text)
{
    return THEIRS(curl_slist_append)(list, text);
}

void curl_slist_free_all(struct curl_slist *list)
{
    THEIRS(curl_slist_free_all)(list);
}
