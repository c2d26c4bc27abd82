/* SPDX-License-Identifier: MIT
 *
 * The table of attributes: how a service is built and deployed.
 */
#include "compose/schema_values.h"

/* --- services.*.build --- */

static const struct schema contexts = {
    .kinds = NODE_LIST | NODE_MAP, .items = &string, .others = &any_scalar, .canonical = canonical_contexts
};
static const struct schema tags = { .kinds = NODE_LIST, .items = &string, .identity = identity_text };
static const struct attribute build_fields[] = {
    { "additional_contexts", &contexts, HONOUR_QUIET, "more named contexts; only BuildKit knows them" },
    { "args", &mapping, D, "build arguments" },
    { "cache_from", &strings, D, "where cached layers come from" },
    { "cache_to", &strings, N, "where cached layers go" },
    { "context", &string, D, "directory or URL that is built" },
    { "dockerfile", &string, D, "another Dockerfile" },
    { "dockerfile_inline", &string, D, "the Dockerfile's text" },
    { "entitlements", &strings, N, "extra privileges of the build" },
    { "extra_hosts", &extra_hosts, D, "more host names" },
    { "isolation", &string, N, "isolation technology" },
    { "labels", &labels, D, "labels of the image" },
    { "network", &string, D, "network of the build" },
    { "no_cache", &boolean, D, "build everything anew" },
    { "no_cache_filter", &string_or_list, N, "stages that are built anew" },
    { "platforms", &strings, D, "target platforms" },
    { "privileged", &boolean, N, "privileged build" },
    { "provenance", &string_or_bool, N, "provenance attestation" },
    { "pull", &boolean, D, "refresh base images" },
    { "sbom", &string_or_bool, N, "bill of materials" },
    { "secrets", &build_secrets, N, "secrets of the build" },
    { "shm_size", &bytes_integer, D, "size of /dev/shm" },
    { "ssh", &ssh, N, "SSH agents and keys" },
    { "tags", &tags, D, "more tags" },
    { "target", &string, D, "stage to build" },
    { "ulimits", &ulimits, N, "resource limits" },
    END,
};
const struct schema schema_build = {
    .kinds = NODE_STRING | NODE_MAP, .fields = build_fields, .extensible = true, .canonical = canonical_build
};

/* --- services.*.deploy --- */

static const struct attribute update_fields[] = {
    { "delay", &duration, P, "pause between groups" },
    { "failure_action", &string, P, "what to do when it fails" },
    { "max_failure_ratio", &number, P, "tolerated failures" },
    { "monitor", &duration, P, "how long each task is watched" },
    { "order", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("start-first", "stop-first") }, P,
      "order" },
    { "parallelism", &kept_integer, P, "instances at once" },
    END,
};
static const struct schema update_config = { .kinds = NODE_MAP, .fields = update_fields, .extensible = true };

static const struct attribute device_request_fields[] = {
    { "capabilities", &unique_strings, D, "what the device can do" },
    { "count", &(const struct schema){ .kinds = NODE_INT | NODE_STRING, .canonical = canonical_device_count }, D,
      "how many" },
    { "device_ids", &unique_strings, D, "which" },
    { "driver", &string, D, "driver" },
    { "options", &mapping, D, "driver options" },
    END,
};
static const struct schema device_request = { .kinds = NODE_MAP,
                                              .fields = device_request_fields,
                                              .extensible = true,
                                              .required = WORDS("capabilities"),
                                              .canonical = canonical_device_request };
static const struct schema device_requests = { .kinds = NODE_LIST, .items = &device_request };
static const struct schema gpu_request = { .kinds = NODE_MAP,
                                           .fields = device_request_fields,
                                           .others = &schema_anything,
                                           .canonical = canonical_device_request };
const struct schema schema_gpus = {
    .kinds = NODE_STRING | NODE_LIST, .items = &gpu_request, .words = WORDS("all"), .canonical = canonical_gpus
};

static const struct attribute discrete_fields[] = {
    { "kind", &string, D, "name of the resource" },
    { "value", &whole_number, D, "how much" },
    END,
};
static const struct attribute generic_resource_fields[] = {
    { "discrete_resource_spec",
      &(const struct schema){ .kinds = NODE_MAP, .fields = discrete_fields, .extensible = true }, D,
      "a counted resource" },
    END,
};
static const struct schema generic_resources = {
    .kinds = NODE_LIST,
    .items = &(const struct schema){ .kinds = NODE_MAP, .fields = generic_resource_fields, .extensible = true },
};
static const struct attribute limit_fields[] = {
    { "cpus", &number, D, "most processor time" },
    { "memory", &bytes_string, D, "most memory" },
    { "pids", &integer, D, "most processes" },
    END,
};
static const struct attribute reservation_fields[] = {
    { "cpus", &number, N, "promised processor time" },
    { "devices", &device_requests, N, "promised devices" },
    { "generic_resources", &generic_resources, N, "promised resources" },
    { "memory", &bytes_string, D, "promised memory" },
    END,
};
static const struct attribute resource_fields[] = {
    { "limits", &(const struct schema){ .kinds = NODE_MAP, .fields = limit_fields, .extensible = true }, D,
      "upper limits" },
    { "reservations", &(const struct schema){ .kinds = NODE_MAP, .fields = reservation_fields, .extensible = true }, D,
      "what is promised" },
    END,
};
static const struct attribute restart_policy_fields[] = {
    { "condition", &string, P, "none, on-failure or any" },
    { "delay", &duration, P, "pause before each start" },
    { "max_attempts", &kept_integer, P, "how often at most" },
    { "window", &duration, P, "how long it must run to count as a success" },
    END,
};
static const struct attribute preference_fields[] = { { "spread", &string, D, "label to spread over" }, END };
static const struct attribute placement_fields[] = {
    { "constraints", &strings, D, "which nodes" },
    { "max_replicas_per_node", &integer, D, "instances on one node" },
    { "preferences",
      &(const struct schema){
          .kinds = NODE_LIST,
          .items = &(const struct schema){ .kinds = NODE_MAP, .fields = preference_fields, .extensible = true } },
      D, "how to spread" },
    END,
};
static const struct attribute deploy_fields[] = {
    { "endpoint_mode", &string, N, "service discovery of a swarm" },
    { "labels", &labels, HONOUR_QUIET, "labels of the service" },
    { "mode", &string, N, "replicated, global …" },
    { "placement", &(const struct schema){ .kinds = NODE_MAP, .fields = placement_fields, .extensible = true }, N,
      "nodes" },
    { "replicas", &kept_integer, P, "number of instances" },
    { "resources", &(const struct schema){ .kinds = NODE_MAP, .fields = resource_fields, .extensible = true }, D,
      "limits and reservations" },
    { "restart_policy",
      &(const struct schema){ .kinds = NODE_MAP, .fields = restart_policy_fields, .extensible = true }, P, "restarts" },
    { "rollback_config", &update_config, P, "how to go back" },
    { "update_config", &update_config, P, "how to update" },
    END,
};
const struct schema schema_deploy = { .kinds = NODE_MAP | NODE_NULL, .fields = deploy_fields, .extensible = true };
