/* SPDX-License-Identifier: MIT */
#include "base/library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

enum { STATUS_NOT_FOUND = 127 }; /* what a shell and the dynamic linker say */

void *library_function(struct library *library, const char *name)
{
    if (!library->handle)
        library->handle = dlopen(library->soname, RTLD_NOW | RTLD_LOCAL);
    void *function = library->handle ? dlsym(library->handle, name) : NULL;
    if (!function) {
        (void)fprintf(stderr, "daruma: cannot load a library that it needs: %s\n", dlerror());
        exit(STATUS_NOT_FOUND);
    }
    return function;
}
