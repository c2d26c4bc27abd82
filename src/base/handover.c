/* SPDX-License-Identifier: MIT */
#include "base/handover.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY "memory:"

static struct part {
    const char *name; /* NULL: free */
    void *memory;
    size_t size;
    int fd;
} parts[HANDOVER_PARTS];

/* The new program's arguments. */
static int words_len;
static char **words;

void handover_take(int argc, char **argv)
{
    words = argv;
    words_len = argc;
}

const char *handover_text(const char *name)
{
    size_t len = strlen(name);

    for (int i = 0; i < words_len; i++)
        if (strncmp(words[i], name, len) == 0 && words[i][len] == '=')
            return words[i] + len + 1;
    return NULL;
}

int64_t handover_number(const char *name, int64_t otherwise)
{
    const char *text = handover_text(name);
    return text ? strtoll(text, NULL, 10) : otherwise;
}

/* ---- memory ---- */

static struct part *find_part(const char *name, const void *memory)
{
    for (struct part *part = parts; part < parts + HANDOVER_PARTS; part++)
        if (memory ? part->memory == memory : part->name && name && strcmp(part->name, name) == 0)
            return part;
    return NULL;
}

static struct part *free_part(void)
{
    for (struct part *part = parts; part < parts + HANDOVER_PARTS; part++)
        if (!part->name)
            return part;
    return NULL;
}

/* The one that was handed over and is not in use yet, else a new one. A descriptor, or a negative errno with `err`. */
static int open_memory(const char *name, size_t size, struct err *err)
{
    char word[64];
    struct stat st;

    (void)snprintf(word, sizeof(word), MEMORY "%s", name);
    int fd = find_part(name, NULL) ? -1 : (int)handover_number(word, -1);
    if (fd >= 0 && (fstat(fd, &st) < 0 || (uint64_t)st.st_size != size))
        return err_set(err, -EPROTO, "the memory \"%s\" that was handed over is of another size", name);
    if (fd >= 0)
        return fd;
    (void)snprintf(word, sizeof(word), "daruma-%s", name);
    CLEANUP_CLOSE int made = memfd_create(word, MFD_CLOEXEC);
    if (made < 0 || ftruncate(made, (off_t)size) < 0)
        return err_errno(err, -errno, "cannot make the memory \"%s\"", name);
    return TAKE_FD(made);
}

void *handover_memory(const char *name, size_t size, struct err *err)
{
    struct part *part = free_part();

    if (!part) {
        (void)err_set(err, -EMFILE, "too much memory is shared");
        return NULL;
    }
    int fd = open_memory(name, size, err);
    if (fd < 0)
        return NULL;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        (void)err_errno(err, -errno, "cannot map the memory \"%s\"", name);
        (void)close(fd);
        return NULL;
    }
    *part = (struct part){ .name = name, .memory = memory, .size = size, .fd = fd };
    return memory;
}

void handover_memory_free(void *memory)
{
    struct part *part = memory ? find_part(NULL, memory) : NULL;

    if (!part)
        return;
    (void)munmap(part->memory, part->size);
    (void)close(part->fd);
    *part = (struct part){ .name = NULL };
}

size_t handover_fds(int fds[HANDOVER_PARTS])
{
    size_t n = 0;

    for (const struct part *part = parts; part < parts + HANDOVER_PARTS; part++)
        if (part->name)
            fds[n++] = part->fd;
    return n;
}

/* ---- arguments ---- */

static bool is_handed_over(const struct part *part, const char *const *memory)
{
    if (!part->name || !memory)
        return part->name != NULL;
    while (*memory && strcmp(*memory, part->name) != 0)
        memory++;
    return *memory != NULL;
}

char **handover_argv(const char *what, const struct handover_item *items, size_t n, const char *const *memory)
{
    char **argv = calloc(3 + n + HANDOVER_PARTS + 1, sizeof(*argv));
    size_t at = 3;

    if (!argv)
        return NULL;
    argv[0] = strdup("daruma");
    argv[1] = strdup(HANDOVER_OPTION);
    argv[2] = strdup(what);
    for (size_t i = 0; i < n; i++)
        if ((items[i].text ? asprintf(&argv[at++], "%s=%s", items[i].name, items[i].text)
                           : asprintf(&argv[at++], "%s=%lld", items[i].name, (long long)items[i].number)) < 0)
            return NULL;
    for (const struct part *part = parts; part < parts + HANDOVER_PARTS; part++)
        if (is_handed_over(part, memory) && asprintf(&argv[at++], MEMORY "%s=%d", part->name, part->fd) < 0)
            return NULL;
    return argv[0] && argv[1] && argv[2] ? argv : NULL;
}
