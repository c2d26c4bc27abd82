/* SPDX-License-Identifier: MIT
 *
 * What a container finds in its file system: folders of the host, volumes, secrets and configs.
 */
#include "runtime/container.h"
#include "runtime/container_parts.h"

#include "base/cleanup.h"

#include <stdlib.h>
#include <string.h>

/* "/tmp:size=64m" → {"/tmp": "size=64m"} */
static json_t *tmpfs_json(const json_t *list)
{
    json_t *map = json_object(), *item;
    size_t i;

    json_array_foreach((json_t *)list, i, item)
    {
        CLEANUP_FREE char *path = strdup(json_is_string(item) ? json_string_value(item) : "");
        char *options = path ? strchr(path, ':') : NULL;
        if (options)
            *options++ = '\0';
        if (path && *path)
            (void)json_object_set_new(map, path, json_string(options ? options : ""));
    }
    return map;
}

/* A bind as "source:target:options", which makes a missing folder as Compose does; NULL when it needs a Mount. */
static json_t *bind_json(const json_t *mount)
{
    const char *source = text_of(mount, "source"), *target = text_of(mount, "target");
    const json_t *bind = json_object_get(mount, "bind");
    const char *selinux = text_of(bind, "selinux"), *propagation = text_of(bind, "propagation");

    if (strchr(source, ':') || strchr(target, ':') || json_is_false(json_object_get(bind, "create_host_path")))
        return NULL;
    return container_format("%s:%s:%s%s%s%s%s", source, target, is_true(mount, "read_only") ? "ro" : "rw",
                            *selinux ? "," : "", selinux, *propagation ? "," : "", propagation);
}

/* Permissions as a number, or as an octal text. */
static json_int_t mode_of(const json_t *value, json_int_t otherwise)
{
    if (json_is_string(value))
        return strtol(json_string_value(value), NULL, 8);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static json_t *mount_json(const struct spec *spec, const json_t *mount)
{
    const char *type = text_of(mount, "type"), *source = text_of(mount, "source");
    const json_t *volume = json_object_get(mount, "volume"), *tmpfs = json_object_get(mount, "tmpfs");
    bool named = strcmp(type, "volume") == 0 && *source;
    CLEANUP_FREE char *name = named ? container_real_name(spec, "volumes", source) : strdup(source);
    json_t *ret = json_pack("{s:s, s:s, s:s, s:b}", "Type", type, "Source", name ? name : source, "Target",
                            text_of(mount, "target"), "ReadOnly", is_true(mount, "read_only"));

    if (json_object_size(volume) > 0)
        (void)json_object_set_new(
            ret, "VolumeOptions",
            json_pack("{s:b, s:s}", "NoCopy", is_true(volume, "nocopy"), "Subpath", text_of(volume, "subpath")));
    json_t *size = json_object_get(tmpfs, "size"), *mode = json_object_get(tmpfs, "mode");
    if (size || mode) {
        json_t *options = json_object();
        if (size)
            (void)json_object_set_new(options, "SizeBytes", json_integer((json_int_t)number_of(size)));
        if (mode)
            (void)json_object_set_new(options, "Mode", json_integer(mode_of(mode, 0)));
        (void)json_object_set_new(ret, "TmpfsOptions", options);
    }
    return ret;
}

/* Where a secret or a config appears. */
static json_t *target_json(const json_t *use, const char *section)
{
    const char *source = text_of(use, "source"), *target = text_of(use, "target");
    const char *folder = strcmp(section, "secrets") == 0 ? "/run/secrets" : "";
    return *target == '/' ? json_string(target) : container_format("%s/%s", folder, *target ? target : source);
}

/* Those that are files of this machine. */
static void mount_files(const struct spec *spec, const json_t *uses, const char *section, json_t *mounts)
{
    json_t *use;
    size_t i;

    json_array_foreach((json_t *)uses, i, use)
    {
        const char *file = text_of(container_definition(spec, section, text_of(use, "source")), "file");
        if (*file)
            (void)json_array_append_new(mounts, json_pack("{s:s, s:s, s:o, s:b}", "Type", "bind", "Source", file,
                                                          "Target", target_json(use, section), "ReadOnly", 1));
    }
}

const char *container_content(const struct spec *spec, const json_t *definition)
{
    const char *content = json_string_value(json_object_get(definition, "content"));
    const char *variable = text_of(definition, "environment");
    size_t len = strlen(variable);

    for (char **entry = spec->environment; !content && len > 0 && entry && *entry; entry++)
        if (strncmp(*entry, variable, len) == 0 && (*entry)[len] == '=')
            content = *entry + len + 1;
    return content;
}

/* Whose it is, and who may read it; unless it is said: root's, and everybody. */
static json_t *file_json(const json_t *use, const char *content)
{
    return json_pack("{s:s, s:I, s:I, s:I}", "content", content, "mode", mode_of(json_object_get(use, "mode"), 0444),
                     "uid", (json_int_t)number_of(json_object_get(use, "uid")), "gid",
                     (json_int_t)number_of(json_object_get(use, "gid")));
}

json_t *container_files(const struct spec *spec, const struct spec_service *service)
{
    static const char *const sections[] = { "secrets", "configs" };
    json_t *files = json_object(), *use;
    size_t i;

    for (size_t n = 0; n < 2; n++)
        json_array_foreach(json_object_get(service->model, sections[n]), i, use)
        {
            const char *content =
                container_content(spec, container_definition(spec, sections[n], text_of(use, "source")));
            json_t *target = target_json(use, sections[n]);
            if (content && target)
                (void)json_object_set_new(files, json_string_value(target), file_json(use, content));
            json_decref(target);
        }
    return files;
}

/* "service:ro" and "container:name:ro" → "name:ro" */
static json_t *volumes_from_json(const struct spec *spec, const json_t *list)
{
    json_t *ret = json_array(), *item;
    size_t i;

    json_array_foreach((json_t *)list, i, item)
    {
        const char *text = json_is_string(item) ? json_string_value(item) : "";
        if (strncmp(text, "container:", 10) == 0) {
            (void)json_array_append_new(ret, json_string(text + 10));
            continue;
        }
        CLEANUP_FREE char *key = strndup(text, strcspn(text, ":"));
        const struct spec_service *other = key ? spec_find_service(spec, key) : NULL;
        CLEANUP_FREE char *name = other ? container_name(spec, other, 1) : NULL;
        if (name)
            (void)json_array_append_new(ret, container_format("%s%s", name, text + strlen(key)));
    }
    return ret;
}

void container_add_mounts(const struct spec *spec, const struct spec_service *service, json_t *host)
{
    json_t *binds = json_array(), *mounts = json_array(), *mount;
    size_t i;

    json_array_foreach(json_object_get(service->model, "volumes"), i, mount)
    {
        json_t *bind = strcmp(text_of(mount, "type"), "bind") == 0 ? bind_json(mount) : NULL;
        if (bind)
            (void)json_array_append_new(binds, bind);
        else
            (void)json_array_append_new(mounts, mount_json(spec, mount));
    }
    mount_files(spec, json_object_get(service->model, "secrets"), "secrets", mounts);
    mount_files(spec, json_object_get(service->model, "configs"), "configs", mounts);
    (void)json_object_set_new(host, "Binds", binds);
    (void)json_object_set_new(host, "Mounts", mounts);
    if (json_object_get(service->model, "tmpfs"))
        (void)json_object_set_new(host, "Tmpfs", tmpfs_json(json_object_get(service->model, "tmpfs")));
    if (json_object_get(service->model, "volumes_from"))
        (void)json_object_set_new(host, "VolumesFrom",
                                  volumes_from_json(spec, json_object_get(service->model, "volumes_from")));
}

void container_inherit(json_t *body, const char *name, const char *target)
{
    json_t *host = json_object_get(body, "HostConfig"), *mounts = json_object_get(host, "Mounts"), *mount;
    size_t i, len = strlen(target);

    json_array_foreach(mounts, i, mount)
    {
        if (strcmp(text_of(mount, "Target"), target) != 0)
            continue;
        if (strcmp(text_of(mount, "Type"), "volume") == 0 && !*text_of(mount, "Source"))
            (void)json_object_set_new(mount, "Source", json_string(name));
        return;
    }
    json_array_foreach(json_object_get(host, "Binds"), i, mount)
    {
        const char *at = strchr(json_string_value(mount), ':');
        if (at && strncmp(at + 1, target, len) == 0 && strchr(":", at[1 + len]))
            return;
    }
    if (!json_object_get(json_object_get(host, "Tmpfs"), target))
        (void)json_array_append_new(mounts,
                                    json_pack("{s:s, s:s, s:s}", "Type", "volume", "Source", name, "Target", target));
}
