/* SPDX-License-Identifier: MIT
 *
 * Which of the services take part: those of the active profiles, or those that were asked for by name; and which of the
 * resources are used by them.
 */
#include "compose/normalise.h"

#include "compose/schema.h"

#include "base/cleanup.h"
#include "base/names.h"

#include <string.h>

static bool is_active(const struct node *service, const struct node *active)
{
    const struct node *profiles = node_get(service, "profiles");

    if (!node_is(profiles, NODE_LIST) || profiles->len == 0)
        return true;
    for (size_t i = 0; i < profiles->len; i++)
        for (size_t j = 0; j < active->len; j++)
            if (strcmp(node_str(node_at(active, j)), "*") == 0 || node_equal(node_at(profiles, i), node_at(active, j)))
                return true;
    return false;
}

static void disable(struct loading *load, struct node *services, size_t index, struct node *disabled)
{
    const struct entry entry = services->entries[index];

    node_set(load->pool, disabled, entry.key, entry.place, entry.value);
    node_remove_at(services, index);
}

struct node *normalise_profiles(struct loading *load, struct node *project, const struct node *active,
                                const char *const *chosen)
{
    struct node *services = node_get(project, "services");
    struct node *disabled = node_new(load->pool, NODE_MAP, project->place);

    for (size_t i = node_is(services, NODE_MAP) ? services->len : 0; i-- > 0;)
        if (!is_active(services->entries[i].value, active) && !(chosen && names_have(chosen, services->entries[i].key)))
            disable(load, services, i, disabled);
    return disabled;
}

/* Marks the service and everything that it depends on. */
static void keep(const struct node *services, bool *kept, size_t index)
{
    const struct node *depends_on = node_get(services->entries[index].value, "depends_on");

    if (kept[index])
        return;
    kept[index] = true;
    for (size_t i = 0; node_is(depends_on, NODE_MAP) && i < depends_on->len; i++) {
        const struct entry *on = node_entry(services, depends_on->entries[i].key);
        if (on)
            keep(services, kept, (size_t)(on - services->entries));
    }
}

void normalise_select(struct loading *load, struct node *project, const char *const *chosen, struct node *disabled)
{
    struct node *services = node_get(project, "services");

    if (!chosen || !*chosen || !node_is(services, NODE_MAP))
        return;
    bool *kept = POOL_ARRAY(load->pool, bool, services->len + 1);
    for (; *chosen; chosen++) {
        const struct entry *entry = node_entry(services, *chosen);
        const char *near = entry ? NULL : schema_nearest_key(load->problems, services, *chosen);
        if (entry)
            keep(services, kept, (size_t)(entry - services->entries));
        else if (!load->incomplete)
            problem_error(load->problems, (struct place){ 0 }, "there is no service `%s`%s%s%s", *chosen,
                          near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    }
    for (size_t i = services->len; i-- > 0;)
        if (!kept[i])
            disable(load, services, i, disabled);
}

/* --- What is used --- */

static void use(struct loading *load, struct node *used, const char *name)
{
    struct place nowhere = { 0 };
    if (name)
        node_set(load->pool, used, name, nowhere, node_bool(load->pool, nowhere, true));
}

/* Names that a service mentions under `key`: the keys of a mapping, or each item's `source`. */
static void use_all(struct loading *load, struct node *used, const struct node *mentions)
{
    for (size_t i = 0; mentions && i < mentions->len; i++) {
        const struct entry *entry = &mentions->entries[i];
        use(load, used, entry->key ? entry->key : node_str(node_get(entry->value, "source")));
    }
}

void normalise_prune(struct loading *load, struct node *project)
{
    static const char *const sections[] = { "networks", "volumes", "secrets", "configs", "models" };
    const struct node *services = node_get(project, "services");

    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        struct node *resources = node_get(project, sections[i]);
        struct node *used = node_new(load->pool, NODE_MAP, project->place);
        for (size_t j = 0; node_is(services, NODE_MAP) && j < services->len; j++) {
            use_all(load, used, node_get(services->entries[j].value, sections[i]));
            use_all(load, used, node_get(node_get(services->entries[j].value, "build"), sections[i]));
        }
        for (size_t j = node_is(resources, NODE_MAP) ? resources->len : 0; j-- > 0;)
            if (!node_entry(used, resources->entries[j].key))
                node_remove_at(resources, j);
        if (node_is(resources, NODE_MAP) && resources->len == 0)
            node_remove(project, sections[i]);
    }
}
