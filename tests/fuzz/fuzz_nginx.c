/* SPDX-License-Identifier: MIT
 *
 * Any text as a configuration of nginx's: it becomes a tree of x-gateway that the table of attributes knows, or what is wrong
 * is told. `include` finds the same text once.
 */
#include "text.h"

#include "compose/nginx_gateway.h"
#include "compose/schema.h"
#include "compose/spec_build.h"

static size_t find(void *data, struct place place, const char *pattern, const char *const **ret_paths)
{
    static const char *const same[] = { "included" };
    bool *once = data;
    size_t n = *once ? 0 : 1;
    *once = true;
    *ret_paths = same;
    return n;
}

static const char *text_of_include;

static const char *read_include(void *data, struct place place, const char *path, size_t *ret_len)
{
    *ret_len = strlen(text_of_include);
    return text_of_include;
}

static const char *note(void *data, struct place place)
{
    return "included";
}

static void check_places(const struct nginx_directive *directive)
{
    for (; directive; directive = directive->next) {
        fuzz_must(directive->len > 0);
        for (size_t i = 0; i < directive->len; i++)
            fuzz_must(directive->words[i].text && directive->words[i].place.line > 0 &&
                      directive->words[i].place.column > 0);
        check_places(directive->first);
    }
}

static void fuzz_text(struct fuzz *fuzz)
{
    bool included = false;
    struct nginx_reader reader = { .pool = fuzz->pool,
                                   .problems = fuzz->problems,
                                   .find = find,
                                   .read = read_include,
                                   .note = note,
                                   .data = &included };

    text_of_include = fuzz->text;
    const struct nginx_directive *directives = nginx_parse(&reader, "text", NULL, fuzz->text, strlen(fuzz->text));
    fuzz_must(!directives || fuzz->problems->errors == 0);
    if (fuzz->problems->errors > 0)
        return;
    check_places(directives);
    struct node *gateway =
        nginx_gateway_make(fuzz->load, fuzz_place, directives, &(struct nginx_surroundings){ .mounts_len = 0 });
    fuzz_must((gateway != NULL) == (fuzz->problems->errors == 0));
    if (!gateway)
        return;
    struct node *project = node_new(fuzz->pool, NODE_MAP, fuzz_place);
    const struct node *none = node_new(fuzz->pool, NODE_LIST, fuzz_place);
    node_set(fuzz->pool, project, "name", fuzz_place, node_string(fuzz->pool, fuzz_place, "name"));
    node_set(fuzz->pool, project, "x-gateway", fuzz_place, gateway);
    struct spec *spec = spec_build(fuzz->load, project, &(struct spec_origin){ "/", none, none, none });
    json_decref(spec ? spec->model : NULL);
}
