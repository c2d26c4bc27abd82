/* SPDX-License-Identifier: MIT
 *
 * Shared libraries that only some commands need, loaded when one of their functions is first called. libcurl,
 * libmicrohttpd and libarchive bring forty others with them: to link all of these took two thirds of the time of a command
 * that reads files, and calls none of them.
 *
 * A file like base/libcurl.c defines those of a library's functions that we call, by their own names and with the types that
 * its header gives them; each passes its arguments on.
 */
#ifndef DARUMA_BASE_LIBRARY_H
#define DARUMA_BASE_LIBRARY_H

struct library {
    const char *soname; /* of the version that we were built with */
    void *handle;       /* NULL: not loaded yet */
};

/* Never NULL: what is missing ends the program with status 127 and a message, as it would have at its start. So that this never
   happens to a supervisor, what it needs is loaded before there is one. */
void *library_function(struct library *library, const char *name);

/* The library's function by that name, with its type. */
#define LIBRARY_FUNCTION(library, name)                                                                                \
    __extension__({                                                                                                    \
        static __typeof__(&name) function_;                                                                            \
        if (!function_)                                                                                                \
            function_ = (__typeof__(&name))library_function(&(library), #name);                                        \
        function_;                                                                                                     \
    })

#endif
