/* SPDX-License-Identifier: MIT
 *
 * What a plain process is made from: the file that is run and, for an interpreter's sake, the first argument that names
 * one. As make(1) sees it: another file of that name, or one that was written to. A line for the shell is looked at as if
 * its words were those of a command.
 */
#include "runtime/process.h"

#include "base/cleanup.h"
#include "base/hash.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* So many words of a line are looked at. */
enum { WORDS = 8 };

static uint64_t add_file(uint64_t hash, int directory, const char *path)
{
    struct stat info;

    if (fstatat(directory, path, &info, 0) < 0 || !S_ISREG(info.st_mode))
        return hash;
    const uint64_t facts[] = { info.st_dev, info.st_ino, (uint64_t)info.st_size, (uint64_t)info.st_mtim.tv_sec,
                               (uint64_t)info.st_mtim.tv_nsec };
    return hash_bytes(hash, (const char *)facts, sizeof(facts));
}

static uint64_t digest(const char *directory, const struct spec_service *service, char *const *argv)
{
    const char *path = environment_get(service->environment, "PATH");
    CLEANUP_CLOSE int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_FREE char *program = NULL;

    if (fd < 0 || !argv[0] || launch_find_program(argv[0], path ? path : getenv("PATH"), directory, &program) < 0)
        return 0;
    uint64_t hash = add_file(HASH_SEED, fd, program), with_script = hash;
    for (argv++; *argv && with_script == hash; argv++)
        if (**argv != '-')
            with_script = add_file(hash, fd, *argv);
    return with_script;
}

/* The first command of a line for the shell, without what stands before it. Quotes are not understood: what they hold is no
   file's name then. */
static uint64_t digest_line(const char *directory, const struct spec_service *service, const char *line)
{
    CLEANUP_FREE char *copy = strdup(line);
    char *words[WORDS + 1] = { NULL }, *rest = copy, *word;
    size_t len = 0;

    if (copy)
        copy[strcspn(copy, ";&|\n")] = '\0';
    while (len < WORDS && (word = strtok_r(rest, " \t", &rest)))
        if (len > 0 || (strcmp(word, "exec") != 0 && !strchr(word, '=')))
            words[len++] = word;
    return digest(directory, service, words);
}

void process_stamp(struct runtime *runtime, struct spec *spec)
{
    for (size_t i = 0; i < spec->services_len; i++) {
        struct spec_service *service = &spec->services[i];
        struct strings argv = { 0 };
        bool found = launch_command(service, &argv) == 0;
        bool line = found && argv.len == 3 && strcmp(argv.list[0], "/bin/sh") == 0 && strcmp(argv.list[1], "-c") == 0;
        if (line)
            service->stamp.source = digest_line(process_directory(spec, service), service, argv.list[2]);
        else if (found)
            service->stamp.source = digest(process_directory(spec, service), service, argv.list);
        strings_free(&argv);
    }
}
