/* SPDX-License-Identifier: MIT
 *
 * How long a compose file takes to load, without the start of a program: the milliseconds of each of RUNS loads.
 *
 *     load FILE RUNS
 */
#include "base/clock.h"
#include "compose/spec.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    char path[PATH_MAX];
    const char *const files[] = { path, NULL }, *const environment[] = { "HOME=/root", NULL };
    const struct compose_request request = {
        .working_dir = "/", .files = files, .environment = environment, .project_name = "bench"
    };

    if (argc != 3 || !realpath(argv[1], path)) {
        (void)fprintf(stderr, "usage: load FILE RUNS\n");
        return 2;
    }
    for (int i = atoi(argv[2]); i > 0; i--) {
        struct problems problems = { 0 };
        struct spec *spec = NULL;
        int64_t before = clock_now();
        int r = compose_load(&request, &spec, &problems);
        int64_t took = clock_now() - before;
        spec_free(spec);
        problems_free(&problems);
        if (r < 0)
            return 1;
        printf("%.1f\n", (double)took / NS_PER_MS);
    }
    return 0;
}
