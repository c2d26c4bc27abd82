/* SPDX-License-Identifier: MIT
 *
 * Any text as a mount and as a device in their short forms: told to be wrong, or something with a target.
 */
#include "text.h"

#include "compose/canonical.h"

static void fuzz_text(struct fuzz *fuzz)
{
    const struct node *mount = canonical_volume(fuzz->load, node_at(fuzz_list(fuzz), 0));
    const char *type = node_str(node_get(mount, "type")), *source = node_str(node_get(mount, "source"));

    fuzz_must((fuzz->problems->errors == 0) == (mount->kind == NODE_MAP));
    if (mount->kind == NODE_MAP) {
        fuzz_must(node_str(node_get(mount, "target")) && *node_str(node_get(mount, "target")));
        fuzz_must(type && (strcmp(type, "bind") != 0 || (source && *source)));
    }
    const struct node *device = canonical_device(fuzz->load, node_at(fuzz_list(fuzz), 0));
    fuzz_must(node_str(node_get(device, "source")) && node_str(node_get(device, "target")));
}
