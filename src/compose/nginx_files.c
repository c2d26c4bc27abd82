/* SPDX-License-Identifier: MIT */
#include "compose/nginx_files.h"

#include "base/cleanup.h"

#include <fnmatch.h>
#include <glob.h>
#include <string.h>
#include <unistd.h>

struct files {
    struct loading *load;
    const struct nginx_surroundings *around;
    const char *directory; /* of the configuration, as nginx sees it */
};

/* How much of `path` the target of a mount takes; 0: it lies elsewhere. */
static size_t mounted_len(const char *target, const char *path)
{
    size_t len = strlen(target);
    while (len > 1 && target[len - 1] == '/')
        len--;
    return strncmp(target, path, len) == 0 && (path[len] == '/' || !path[len]) ? len : 0;
}

/* The path on this machine; NULL: it lies in the image. */
static const char *locate(struct loading *load, const struct nginx_surroundings *around, const char *path)
{
    const struct nginx_mount *best = NULL;
    size_t most = 0;

    if (!around->mounts)
        return path;
    for (size_t i = 0; i < around->mounts_len; i++) {
        size_t len = mounted_len(around->mounts[i].target, path);
        if (len > most) {
            best = &around->mounts[i];
            most = len;
        }
    }
    return best ? pool_printf(load->pool, "%s%s", best->source, path + most) : NULL;
}

/* Those that come with nginx and say nothing that matters here. */
static bool is_of_nginx(const char *path)
{
    static const char *const names[] = { "mime.types", "proxy_params", "fastcgi_params" };
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Appends what the pattern finds on this machine. The pool may jump away: it is not used while glob(3)'s list is held. */
static void find_by_pattern(struct loading *load, const char *pattern, struct node *paths)
{
    glob_t found = { 0 };
    struct text all = { .pool = load->pool };
    size_t bytes = 0;

    for (int turn = 0; turn < 2 && glob(pattern, 0, NULL, &found) == 0; turn++) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            size_t len = strlen(found.gl_pathv[i]) + 1;
            if (turn == 0)
                bytes += len;
            else if (all.len + len < all.cap) /* one more may have come meanwhile */
                text_add(&all, found.gl_pathv[i], len);
        }
        globfree(&found);
        if (turn == 0)
            all = (struct text){ .pool = load->pool, .data = pool_alloc(load->pool, bytes + 1), .cap = bytes + 1 };
    }
    for (const char *at = all.data; at && at < all.data + all.len; at += strlen(at) + 1)
        node_append(load->pool, paths, node_string(load->pool, (struct place){ 0 }, at));
}

static size_t find_files(void *data, struct place place, const char *pattern, const char *const **ret)
{
    struct files *files = data;
    const struct nginx_surroundings *around = files->around;
    struct loading *load = files->load;
    struct node *paths = node_new(load->pool, NODE_LIST, place);

    pattern = load_path(load, files->directory, pattern);
    const char *path = locate(load, around, pattern);
    if (path)
        find_by_pattern(load, path, paths);
    for (size_t i = 0; i < around->mounts_len; i++)
        if (fnmatch(pattern, around->mounts[i].target, FNM_PATHNAME) == 0 && (!path || strpbrk(pattern, "*?[")))
            node_append(load->pool, paths, node_string(load->pool, place, around->mounts[i].source));
    if (paths->len == 0 && !strpbrk(pattern, "*?[") && !is_of_nginx(pattern))
        problem_error(load->problems, place, "there is no file %s%s", pattern,
                      path ? "" : " among those that are mounted");
    const char **list = POOL_ARRAY(load->pool, const char *, paths->len);
    for (size_t i = 0; i < paths->len; i++)
        list[i] = node_str(node_at(paths, i));
    *ret = list;
    return paths->len;
}

static const char *read_file(void *data, struct place place, const char *path, size_t *ret_len)
{
    struct files *files = data;
    return load_read(files->load, place, path, ret_len);
}

static const char *note_of(void *data, struct place place)
{
    struct files *files = data;
    return load_note(files->load, "included", place);
}

/* What comes with the image, when only files that it includes were mounted. */
static const char stock[] = "http { include /etc/nginx/conf.d/*.conf; }";

const struct nginx_directive *nginx_files_parse(struct loading *load, const struct nginx_surroundings *around,
                                                struct place *place, const char *path)
{
    struct files files = { .load = load, .around = around, .directory = load_dirname(load->pool, path) };
    struct nginx_reader reader = { .pool = load->pool,
                                   .problems = load->problems,
                                   .find = find_files,
                                   .read = read_file,
                                   .note = note_of,
                                   .data = &files };
    const char *file = locate(load, around, path);
    size_t len = sizeof(stock) - 1;

    if (!file)
        return nginx_parse(&reader, path, NULL, stock, len);
    const char *text = load_read(load, *place, file, &len);
    *place = (struct place){ .file = file };
    return text ? nginx_parse(&reader, file, NULL, text, len) : NULL;
}

const char *nginx_files_locate(struct loading *load, const struct nginx_surroundings *around, const char *path)
{
    return locate(load, around, load_path(load, around->mounts ? "/etc/nginx" : load->base_dir, path));
}

const char *nginx_files_find(struct loading *load, const struct nginx_surroundings *around, const char *path)
{
    const char *file = nginx_files_locate(load, around, path);
    return file && access(file, R_OK) == 0 ? file : NULL;
}
