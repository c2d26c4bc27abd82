/* SPDX-License-Identifier: MIT */
#include "base/arena.h"

#include "base/cleanup.h"
#include "base/hash.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define ARENA_MAGIC  0x646172756172316eu
#define ARENA_LAYOUT 1u

enum { PAGE = 4096, BOOT_ID = 36, COPIES = 2 };

struct header {
    uint64_t magic;
    uint32_t layout;
    uint32_t version;
    uint32_t slots, size;
    char boot[BOOT_ID];
    uint32_t pad;
    uint64_t checksum; /* of all before it */
};
static_assert(sizeof(struct header) == 72, "layout");

struct copy {
    _Atomic uint64_t generation; /* of the two that are whole the higher one counts; 0: never written */
    uint64_t checksum;           /* of generation, length and bytes */
    uint32_t len;
    uint32_t pad;
    unsigned char bytes[];
};
static_assert(sizeof(struct copy) == 24, "layout");

static uint64_t header_checksum(const struct header *header)
{
    return hash_bytes(HASH_SEED, header, offsetof(struct header, checksum));
}

static uint64_t copy_checksum(const struct copy *copy, uint64_t generation)
{
    uint64_t hash = hash_bytes(HASH_SEED, &generation, sizeof(generation));
    hash = hash_bytes(hash, &copy->len, sizeof(copy->len));
    return hash_bytes(hash, copy->bytes, copy->len);
}

/* Each copy begins at a cache line, and no slot shares a line with another one. */
static size_t copy_size(uint32_t size)
{
    return (sizeof(struct copy) + size + 63) / 64 * 64;
}

static size_t copy_at(const struct arena_file *arena, uint32_t slot, unsigned which)
{
    return PAGE + ((size_t)slot * COPIES + which) * copy_size(arena->size);
}

static struct copy *copy_of(const struct arena_file *arena, uint32_t slot, unsigned which)
{
    return (struct copy *)((char *)arena->memory + copy_at(arena, slot, which));
}

static size_t file_size(const struct arena_shape *shape)
{
    return PAGE + (size_t)shape->slots * COPIES * copy_size(shape->size);
}

static int read_boot_id(char boot[BOOT_ID], struct err *err)
{
    CLEANUP_CLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, boot, BOOT_ID) != BOOT_ID)
        return err_errno(err, fd < 0 ? -errno : -EIO, "cannot read the boot's id from /proc");
    return 0;
}

/* Is the file what we would have written? 0; -ESTALE: of an earlier boot; else a negative errno with `err`. */
static int judge(int fd, const struct arena_shape *shape, const char *boot, struct err *err)
{
    struct header header;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(err, -errno, "it cannot be looked at");
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "it is no file");
    if (st.st_uid != geteuid() || (st.st_mode & 077))
        return err_set(err, -EPERM, "it belongs to user %u, or others may open it", (unsigned)st.st_uid);
    if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
        return err_set(err, -EINVAL, "it is cut off");
    if (header.magic != ARENA_MAGIC || header.checksum != header_checksum(&header))
        return err_set(err, -EINVAL, "it is damaged");
    if (header.layout != ARENA_LAYOUT || header.version != shape->version || header.slots != shape->slots ||
        header.size != shape->size)
        return err_set(err, -EPROTO, "it was written by another version of daruma");
    if (memcmp(header.boot, boot, BOOT_ID) != 0)
        return -ESTALE;
    if ((uint64_t)st.st_size != file_size(shape))
        return err_set(err, -EINVAL, "it is cut off");
    return 0;
}

/* A new file in the place of whatever is there: never the old one made empty, which others may have open. */
static int make(const char *path, const struct arena_shape *shape, const char *boot, struct err *err)
{
    struct header header = {
        .magic = ARENA_MAGIC,
        .layout = ARENA_LAYOUT,
        .version = shape->version,
        .slots = shape->slots,
        .size = shape->size,
    };
    memcpy(header.boot, boot, BOOT_ID);
    header.checksum = header_checksum(&header);

    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, -errno, "cannot replace %.300s; remove it", path);
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, -errno, "cannot make %.300s; make room there, or set DARUMA_RUN_DIR", path);
    /* A hole that cannot be filled would end us with SIGBUS: the first page is made now, each slot when it is taken. */
    int r = ftruncate(fd, (off_t)file_size(shape)) < 0 ? -errno : 0;
    if (r == 0 && fallocate(fd, 0, 0, PAGE) < 0)
        r = -errno;
    if (r == 0 && pwrite(fd, &header, sizeof(header), 0) != sizeof(header))
        r = -EIO;
    if (r < 0) {
        (void)unlink(path);
        return err_errno(err, r, "cannot make %.300s; make room there, or set DARUMA_RUN_DIR", path);
    }
    return TAKE_FD(fd);
}

/* Marks the copies whose heads lie in what the file has no holes in. A head is in one page: copies begin at cache lines. */
static void find_touched(struct arena_file *arena)
{
    size_t size = copy_size(arena->size), copies = (size_t)arena->slots * COPIES;
    off_t at = PAGE, end;

    while ((at = lseek(arena->fd, at, SEEK_DATA)) >= 0 && (end = lseek(arena->fd, at, SEEK_HOLE)) > at) {
        size_t first = ((size_t)at - PAGE + size - 1) / size, behind = ((size_t)end - PAGE + size - 1) / size;
        for (size_t copy = first; copy < behind && copy < copies; copy++)
            arena->touched[copy] = true;
        at = end;
    }
}

/* It says nothing of the file: that is as good as before, and must not be replaced. */
static bool is_passing(int error)
{
    return error == EROFS || error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

int arena_open(struct arena_file *arena, const char *path, const struct arena_shape *shape, struct err *ret_refused,
               struct err *err)
{
    char boot[BOOT_ID];

    *arena = (struct arena_file){ .fd = -1, .slots = shape->slots, .size = shape->size };
    *ret_refused = (struct err){ 0 };
    int r = read_boot_id(boot, err);
    if (r < 0)
        return r;
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && is_passing(errno))
        return err_errno(err, -errno, "cannot open %.300s", path);
    if (fd < 0 && errno != ENOENT)
        (void)err_errno(ret_refused, -errno, "it cannot be opened");
    if (fd >= 0 && judge(fd, shape, boot, ret_refused) < 0) {
        (void)close(fd);
        fd = -1;
    }
    if (fd < 0)
        fd = make(path, shape, boot, err);
    if (fd < 0)
        return fd;
    void *memory = mmap(NULL, file_size(shape), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return err_errno(err, -errno, "cannot map %.300s", path);
    /* It is the writer's alone: children have no use for it, and a successor opens it by its name. */
    (void)madvise(memory, file_size(shape), MADV_DONTFORK);
    bool *touched = calloc((size_t)shape->slots * COPIES, sizeof(*touched));
    if (!touched) {
        (void)munmap(memory, file_size(shape));
        return err_errno(err, -ENOMEM, "cannot map %.300s", path);
    }
    arena->memory = memory;
    arena->touched = touched;
    arena->fd = TAKE_FD(fd);
    find_touched(arena);
    return 0;
}

void arena_close(struct arena_file *arena)
{
    if (!arena->memory)
        return;
    const struct arena_shape shape = { .slots = arena->slots, .size = arena->size };
    (void)munmap(arena->memory, file_size(&shape));
    (void)close(arena->fd);
    free(arena->touched);
    *arena = (struct arena_file){ .fd = -1 };
}

/* The present copy of a slot, or -1. */
static int present(const struct arena_file *arena, uint32_t slot)
{
    uint64_t best = 0;
    int found = -1;

    for (unsigned i = 0; i < COPIES; i++) {
        if (!arena->touched[slot * COPIES + i])
            continue;
        const struct copy *copy = copy_of(arena, slot, i);
        uint64_t generation = atomic_load_explicit(&copy->generation, memory_order_acquire);
        if (generation > best && copy->len <= arena->size && copy->checksum == copy_checksum(copy, generation)) {
            best = generation;
            found = (int)i;
        }
    }
    return found;
}

uint32_t arena_load(const struct arena_file *arena, uint32_t slot, const void **ret)
{
    int which = present(arena, slot);
    if (which < 0)
        return 0;
    const struct copy *copy = copy_of(arena, slot, (unsigned)which);
    *ret = copy->bytes;
    return copy->len;
}

/* Room on the file system for a record: writing into a hole that cannot be filled would end us. Kernels before 6.9 give up at
   a signal on tmpfs, whatever SA_RESTART says. */
static int reserve(const struct arena_file *arena, uint32_t slot, unsigned which, uint32_t len)
{
    int r;

    do
        r = fallocate(arena->fd, 0, (off_t)copy_at(arena, slot, which), (off_t)(sizeof(struct copy) + len));
    while (r < 0 && errno == EINTR);
    return r;
}

int arena_store(struct arena_file *arena, uint32_t slot, const void *record, uint32_t len)
{
    int before = present(arena, slot);
    unsigned which = before == 0 ? 1 : 0;
    struct copy *copy = copy_of(arena, slot, which);
    uint64_t generation = 1;

    if (before >= 0)
        generation = copy_of(arena, slot, (unsigned)before)->generation + 1;
    else if (len == 0)
        return 0;
    /* At first both copies, so that a later change that is not larger cannot fail. */
    if (reserve(arena, slot, which, len) < 0 || (before < 0 && reserve(arena, slot, 1 - which, len) < 0))
        return -errno;
    arena->touched[slot * COPIES + which] = true;
    atomic_store_explicit(&copy->generation, 0, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* a death sees what was written in this order */
    copy->len = len;
    if (len > 0)
        memcpy(copy->bytes, record, len);
    copy->checksum = copy_checksum(copy, generation);
    atomic_store_explicit(&copy->generation, generation, memory_order_release);
    return 0;
}
