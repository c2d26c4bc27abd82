/* SPDX-License-Identifier: MIT */
#include "compose/files.h"

#include "compose/envfile.h"
#include "compose/utf8.h"
#include "compose/value.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 16 << 20 };

const char *load_lookup(void *loading, const char *name)
{
    const struct loading *load = loading;
    return node_str(node_get(load->environment, name));
}

const char *load_origin(void *loading, const char *name)
{
    const struct loading *load = loading;
    const struct entry *entry = node_entry(load->environment, name);

    if (!entry || strcmp(name, "COMPOSE_PROJECT_NAME") == 0)
        return NULL;
    if (!entry->place.file)
        return pool_printf(load->pool, "%s comes from the environment", name);
    return pool_printf(load->pool, "%s comes from %s:%d", name, entry->place.file, entry->place.line);
}

const char *load_note(struct loading *load, const char *how, struct place place)
{
    const char *outer = place.origin ? place.origin->note : NULL;

    if (place.line == 0)
        return NULL;
    return pool_printf(load->pool, "%s at %s:%d:%d%s%s", how, place.file, place.line, place.column, outer ? ", " : "",
                       outer ? outer : "");
}

/* --- Paths --- */

const char *load_dirname(struct pool *pool, const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == path ? "/" : slash ? pool_strndup(pool, path, (size_t)(slash - path)) : ".";
}

const char *load_clean(struct pool *pool, const char *path)
{
    char *clean = pool_alloc(pool, strlen(path) + 2);
    size_t len = 0;

    while (*path) {
        path += strspn(path, "/");
        size_t part = strcspn(path, "/");
        if (part == 2 && strncmp(path, "..", 2) == 0) {
            while (len > 0 && clean[--len] != '/')
                ;
        } else if (part > 0 && !(part == 1 && *path == '.')) {
            clean[len++] = '/';
            memcpy(clean + len, path, part);
            len += part;
        }
        path += part;
    }
    if (len == 0)
        clean[len++] = '/';
    clean[len] = '\0';
    return clean;
}

const char *load_path(struct loading *load, const char *base, const char *path)
{
    const char *home = path[0] == '~' && (!path[1] || path[1] == '/') ? load_lookup(load, "HOME") : NULL;

    if (*path == '/')
        return path;
    return load_clean(load->pool, pool_printf(load->pool, "%s/%s", home ? home : base, home ? path + 1 : path));
}

/* The way from one directory to another, as `../b`; both are clean. */
static const char *way_between(struct pool *pool, const char *from, const char *to)
{
    struct text way = { .pool = pool };
    size_t common = 0;

    for (size_t i = 0;; i++) {
        if ((!from[i] || from[i] == '/') && (!to[i] || to[i] == '/'))
            common = i;
        if (from[i] != to[i] || !from[i])
            break;
    }
    for (const char *rest = from + common; *rest && rest[1]; rest += 1 + strcspn(rest + 1, "/"))
        text_puts(&way, way.len > 0 ? "/.." : "..");
    if (to[common] && to[common + 1])
        text_puts(&way, way.len > 0 ? to + common : to + common + 1);
    return text_str(&way);
}

const char *load_model_path(struct loading *load, const char *path)
{
    if (!load->keep_paths)
        return load_path(load, load->base_dir, path);
    if (*path == '/' || *path == '~' || strcmp(load->base_dir, load->keep_paths) == 0)
        return path;
    const char *absolute = load_path(load, load->base_dir, path);
    const char *way = way_between(load->pool, load->keep_paths, absolute);
    return *way ? way : ".";
}

const char *load_real_path(struct loading *load, const char *path)
{
    return load_path(load, load->keep_paths ? load->keep_paths : load->base_dir, path);
}

/* A path of the command line. */
static const char *given_path(struct loading *load, const char *base, const char *path)
{
    return load_clean(load->pool, load_path(load, base, path));
}

/* --- Reading --- */

/* Into `data`, which has room for one byte more than `size`. */
static int read_all(int fd, char *data, size_t size, size_t *ret_len)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, data + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    *ret_len = len;
    return 0;
}

/* Opens without waiting: a FIFO without a writer must not hold us up. */
static int open_regular(const char *path, size_t *ret_size, const char **ret_why)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    *ret_why = NULL;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0) {
        int code = -errno;
        (void)close(fd);
        return code;
    }
    if (!S_ISREG(st.st_mode))
        *ret_why = S_ISDIR(st.st_mode) ? "it is a directory" : "it is no regular file";
    else if (st.st_size > FILE_MAX)
        *ret_why = "it is larger than 16 MiB";
    if (*ret_why) {
        (void)close(fd);
        return -EINVAL;
    }
    *ret_size = (size_t)st.st_size;
    return fd;
}

/* Standard input to its end. */
static const char *read_stdin(struct loading *load, struct place place, size_t *ret_len)
{
    struct text text = { .pool = load->pool };
    char block[16384];
    ssize_t n;

    while ((n = read(STDIN_FILENO, block, sizeof(block))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || text.len + (size_t)n > FILE_MAX) {
            problem_error(load->problems, place, "cannot read standard input: %s",
                          n < 0 ? strerror(errno) : "it is larger than 16 MiB");
            return NULL;
        }
        text_add(&text, block, (size_t)n);
    }
    *ret_len = text.len;
    return text_str(&text);
}

/* Opened twice, so that the pool, which may fail, is not used while the file is open. */
const char *load_read(struct loading *load, struct place place, const char *path, size_t *ret_len)
{
    size_t size = 0, again = 0, len = 0;
    const char *why;
    char *data = NULL;

    if (load->stdin_as_dash && strcmp(path, "-") == 0)
        return read_stdin(load, place, ret_len);
    int fd = open_regular(path, &size, &why);

    if (fd >= 0) {
        (void)close(fd);
        data = pool_alloc(load->pool, size + 1);
        fd = open_regular(path, &again, &why);
    }
    if (fd >= 0) {
        int code = read_all(fd, data, size, &len);
        (void)close(fd);
        fd = code;
    }
    if (fd < 0) {
        bool elsewhere = fd == -ENOENT && (strstr(path, ":/") || strstr(path, "/git@"));
        problem_error(load->problems, place, "cannot read %s: %s%s", path, why ? why : strerror(-fd),
                      elsewhere ? "; nothing is fetched from elsewhere: get it, and name the file" : "");
        return NULL;
    }
    data[len] = '\0';
    *ret_len = len;
    return data;
}

/* --- The environment --- */

void files_add_environment(struct loading *load, const char *const *environment)
{
    struct place nowhere = { 0 };

    for (; environment && *environment; environment++) {
        size_t len = strcspn(*environment, "=");
        if ((*environment)[len] && len > 0)
            node_set(load->pool, load->environment, pool_strndup(load->pool, *environment, len), nowhere,
                     node_string(load->pool, nowhere, pool_strdup(load->pool, *environment + len + 1)));
    }
}

/* What is set already stays: the caller's environment wins over files. */
static void add_missing(struct loading *load, const struct node *more)
{
    for (size_t i = 0; i < more->len; i++)
        if (!node_entry(load->environment, more->entries[i].key))
            node_set(load->pool, load->environment, more->entries[i].key, more->entries[i].place,
                     more->entries[i].value);
}

void load_env_file(struct loading *load, struct interpolation *with, struct place place, const char *path, bool raw,
                   struct node *into)
{
    struct origin *origin = POOL_NEW(load->pool, struct origin);
    size_t len;

    *load->at = (struct place){ .file = path, .origin = origin };
    origin->note = load_note(load, "wanted", place);
    const char *text = load_read(load, place, path, &len);
    if (text && utf8_check(load->problems, path, origin, text, len))
        (void)envfile_parse(with, path, origin, text, raw, into);
}

const char *load_usual_env_file(struct loading *load, const char *directory)
{
    const char *path = load_path(load, directory, ".env");
    struct stat st;

    if (stat(path, &st) < 0)
        return errno == ENOENT || errno == ENOTDIR ? NULL : path;
    return S_ISDIR(st.st_mode) ? NULL : path;
}

static void add_file(struct loading *load, struct node *files, const char *path)
{
    node_append(load->pool, files, node_string(load->pool, (struct place){ 0 }, path));
}

/* The parts of a variable that names several files, in `directory`. */
static void add_named(struct loading *load, const char *directory, const char *value, const char *separator,
                      struct node *files)
{
    while (*value) {
        const char *end = strstr(value, separator);
        size_t len = end ? (size_t)(end - value) : strlen(value);
        if (len > 0)
            add_file(load, files, given_path(load, directory, pool_strndup(load->pool, value, len)));
        value += len + (end ? strlen(separator) : 0);
    }
}

/* What --env-file or COMPOSE_ENV_FILES names; empty: neither does. */
static struct node *named_env_files(struct loading *load, const struct compose_request *request)
{
    struct node *files = node_new(load->pool, NODE_LIST, (struct place){ 0 });
    const char *variable = load_lookup(load, "COMPOSE_ENV_FILES");

    for (const char *const *file = request->env_files; file && *file; file++)
        add_file(load, files, given_path(load, request->working_dir, *file));
    if (files->len == 0 && variable)
        add_named(load, request->working_dir, variable, ",", files);
    return files;
}

static void read_env_files(struct loading *load, const struct node *files)
{
    struct interpolation with = { .pool = load->pool, .problems = load->problems, .lookup = load_lookup, .data = load };
    struct place nowhere = { 0 };
    struct node *values = node_new(load->pool, NODE_MAP, nowhere);

    for (size_t i = 0; i < files->len; i++)
        load_env_file(load, &with, nowhere, node_str(node_at(files, i)), false, values);
    add_missing(load, values);
}

/* The directory's .env, unless COMPOSE_DISABLE_ENV_FILE says that it does not count. */
static void read_usual_env_file(struct loading *load, const char *directory)
{
    const char *variable = load_lookup(load, "COMPOSE_DISABLE_ENV_FILE"), *path = load_usual_env_file(load, directory);
    struct node *files = node_new(load->pool, NODE_LIST, (struct place){ 0 });
    bool disabled = false, old;

    if (variable)
        (void)value_bool(variable, &disabled, &old);
    if (!path || disabled)
        return;
    add_file(load, files, path);
    read_env_files(load, files);
}

/* --- The compose files --- */

static const char *const usual_names[] = { "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml" };
static const char *const override_names[] = { "compose.override.yml", "compose.override.yaml",
                                              "docker-compose.override.yml", "docker-compose.override.yaml" };

/* The first of the names that is there; of others beside it is told that they do not count. */
static const char *first_there(struct loading *load, const char *directory, const char *const *names, size_t n)
{
    const char *first = NULL;

    for (size_t i = 0; i < n; i++) {
        const char *path = load_path(load, directory, names[i]);
        if (access(path, F_OK) < 0)
            continue;
        if (first)
            problem_warning(load->problems, (struct place){ .file = path },
                            "this file is not read, for %s is beside it; name both with -f if both are meant",
                            strrchr(first, '/') + 1);
        else
            first = path;
    }
    return first;
}

/* Upwards from `directory`, with the override beside it. */
static void search_upwards(struct loading *load, const char *directory, struct node *files)
{
    for (;;) {
        const char *path = first_there(load, directory, usual_names, ARRAY_LEN(usual_names));
        if (path) {
            const char *over = first_there(load, directory, override_names, ARRAY_LEN(override_names));
            add_file(load, files, path);
            if (over)
                add_file(load, files, over);
            return;
        }
        if (strcmp(directory, "/") == 0)
            return;
        directory = load_dirname(load->pool, directory);
    }
}

/* What -f or COMPOSE_FILE names, else what is found in `directory` or above it. */
static struct node *find_files(struct loading *load, const struct compose_request *request, const char *directory)
{
    struct node *files = node_new(load->pool, NODE_LIST, (struct place){ 0 });
    const char *variable = load_lookup(load, "COMPOSE_FILE"), *separator = load_lookup(load, "COMPOSE_PATH_SEPARATOR");

    for (const char *const *file = request->files; file && *file; file++)
        add_file(load, files,
                 load->stdin_as_dash && strcmp(*file, "-") == 0 ? *file
                                                                : given_path(load, request->working_dir, *file));
    if (files->len == 0 && variable)
        add_named(load, request->working_dir, variable, separator && *separator ? separator : ":", files);
    if (files->len == 0 && !(variable && *variable))
        search_upwards(load, directory, files);
    return files;
}

int files_find(struct loading *load, const struct compose_request *request, struct project_files *ret)
{
    const char *directory = request->project_dir ? given_path(load, request->working_dir, request->project_dir) : NULL;
    const char *start = directory ? directory : request->working_dir;

    files_add_environment(load, request->environment);
    struct node *env_files = named_env_files(load, request);
    bool named = env_files->len > 0;
    if (named)
        read_env_files(load, env_files);
    else
        read_usual_env_file(load, start);
    struct node *files = find_files(load, request, start);
    if (files->len == 0) {
        problem_error(load->problems, (struct place){ 0 },
                      "there is no compose.yaml in %s or above it; name one with -f, or go where it is", start);
        return -ENOENT;
    }
    if (!directory) {
        const char *first = node_str(node_at(files, 0));
        directory = *first == '/' ? load_dirname(load->pool, first) : request->working_dir;
        if (!named && strcmp(directory, request->working_dir) != 0)
            read_usual_env_file(load, directory);
    }
    *ret = (struct project_files){ files, directory };
    return 0;
}

/* --- The project's name --- */

bool files_name_is_valid(const char *name)
{
    if (!islower((unsigned char)*name) && !isdigit((unsigned char)*name))
        return false;
    for (; *name; name++)
        if (!islower((unsigned char)*name) && !isdigit((unsigned char)*name) && !strchr("-_", *name))
            return false;
    return true;
}

const char *files_normalise_name(struct pool *pool, const char *name)
{
    struct text text = { .pool = pool };

    for (; *name; name++) {
        int c = tolower((unsigned char)*name);
        if (islower(c) || isdigit(c) || (text.len > 0 && (c == '-' || c == '_')))
            text_putc(&text, (char)c);
    }
    return text_str(&text);
}
