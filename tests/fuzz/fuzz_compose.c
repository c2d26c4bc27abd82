/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a compose file: it loads or it is refused with an error, and nothing else happens.
 */
#include "compose/model.h"
#include "compose/spec.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* libfyaml 0.7 does not free a scratch buffer when a quoted scalar is wrong; it is not ours to find again. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml\n";
}

/* What loads can be printed, and says the same when it is compared with itself. */
static void use(const struct spec *spec, struct problems *problems)
{
    struct buf yaml = { 0 };
    json_t *reference = model_from_project(spec->tree, true);

    if (!reference)
        abort();
    model_print_yaml(spec->model, &yaml);
    compose_unsupported(spec, SPEC_RUNTIME_PROCESS, problems);
    compose_unsupported(spec, SPEC_RUNTIME_DOCKER, problems);
    for (size_t i = 0; i < spec->services_len; i++)
        if (spec_service_change(&spec->services[i], &spec->services[i]) != SPEC_SAME)
            abort();
    json_decref(reference);
    buf_free(&yaml);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("compose", MFD_CLOEXEC);
    char path[64];

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    const char *const files[] = { path, NULL }, *const environment[] = { "A=1", "EMPTY=", NULL };
    struct compose_request request = {
        .working_dir = "/nonexistent",
        .project_dir = "/nonexistent",
        .project_name = "fuzz",
        .files = files,
        .environment = environment,
    };
    struct problems problems = { 0 };
    struct buf text = { 0 };
    struct spec *spec = NULL;

    int r = compose_load(&request, &spec, &problems);
    if ((r == 0) != (spec != NULL) || (r < 0) != (problems.errors > 0))
        abort();
    if (spec)
        use(spec, &problems);
    problems_format(&problems, false, &text);
    spec_free(spec);
    problems_free(&problems);
    buf_free(&text);
    (void)close(fd);
    return 0;
}
