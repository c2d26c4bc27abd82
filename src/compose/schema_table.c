/* SPDX-License-Identifier: MIT
 *
 * The table. Every row is one attribute; what several attributes share stands above them under a name.
 */
#include "compose/canonical.h"
#include "compose/identity.h"
#include "compose/model.h"
#include "compose/schema.h"

#include "base/board.h"

enum { P = HONOUR_PROCESS | HONOUR_DOCKER, D = HONOUR_DOCKER, Q = HONOUR_DOCKER | HONOUR_QUIET, N = 0 };

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define END                                                                                                            \
    {                                                                                                                  \
        NULL, NULL, 0, NULL                                                                                            \
    }

const struct schema schema_anything = { .kinds = NODE_SCALAR | NODE_LIST | NODE_MAP };

/* --- Values --- */

static const struct schema string = { .kinds = NODE_STRING };
static const struct schema string_or_null = { .kinds = NODE_STRING | NODE_NULL };
static const struct schema string_or_bool = { .kinds = NODE_STRING | NODE_BOOL, .format = FORMAT_STRING };
static const struct schema path = { .kinds = NODE_STRING, .format = FORMAT_PATH };
static const struct schema boolean = { .kinds = NODE_BOOL | NODE_STRING, .format = FORMAT_BOOL };
static const struct schema kept_boolean = { .kinds = NODE_BOOL | NODE_STRING,
                                            .format = FORMAT_BOOL,
                                            .keep_zero = true };
static const struct schema usual_boolean = {
    .kinds = NODE_BOOL | NODE_STRING, .format = FORMAT_BOOL, .keep_zero = true, .omit_true = true
};
static const struct schema strict_boolean = { .kinds = NODE_BOOL, .format = FORMAT_BOOL };
static const struct schema required_boolean = { .kinds = NODE_BOOL, .format = FORMAT_BOOL, .keep_zero = true };
static const struct schema integer = { .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT };
static const struct schema kept_integer = { .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .keep_zero = true };
static const struct schema strict_integer = { .kinds = NODE_INT, .format = FORMAT_INT };
static const struct schema number = { .kinds = NODE_INT | NODE_FLOAT | NODE_STRING, .format = FORMAT_FLOAT };
static const struct schema whole_number = { .kinds = NODE_INT | NODE_FLOAT | NODE_STRING, .format = FORMAT_INT };
static const struct schema kept_number = { .kinds = NODE_INT | NODE_FLOAT | NODE_STRING,
                                           .format = FORMAT_INT,
                                           .keep_zero = true };
static const struct schema strict_number = { .kinds = NODE_INT | NODE_FLOAT, .format = FORMAT_INT };
static const struct schema count = { .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .max = INT64_MAX };
static const struct schema percent = { .kinds = NODE_INT | NODE_STRING, .format = FORMAT_FLOAT, .max = 100 };
static const struct schema oom_score = {
    .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = -1000, .max = 1000
};
static const struct schema duration = { .kinds = NODE_STRING, .format = FORMAT_DURATION, .keep_zero = true };
static const struct schema bytes = { .kinds = NODE_INT | NODE_FLOAT | NODE_STRING, .format = FORMAT_BYTES };
static const struct schema bytes_integer = { .kinds = NODE_INT | NODE_STRING, .format = FORMAT_BYTES };
static const struct schema bytes_count = { .kinds = NODE_INT | NODE_STRING, .format = FORMAT_BYTES, .max = INT64_MAX };
static const struct schema bytes_string = { .kinds = NODE_STRING, .format = FORMAT_BYTES };
static const struct schema mode = { .kinds = NODE_INT | NODE_FLOAT | NODE_STRING, .format = FORMAT_MODE };
static const struct schema text = { .kinds = NODE_STRING | NODE_INT, .format = FORMAT_STRING };
static const struct schema text_or_number = { .kinds = NODE_STRING | NODE_INT | NODE_FLOAT, .format = FORMAT_STRING };
static const struct schema text_or_null = { .kinds = NODE_STRING | NODE_INT | NODE_FLOAT | NODE_NULL,
                                            .format = FORMAT_STRING };
static const struct schema any_scalar = { .kinds = NODE_SCALAR, .format = FORMAT_STRING };

static const struct schema strings = { .kinds = NODE_LIST, .items = &string };
static const struct schema unique_strings = {
    .kinds = NODE_LIST, .items = &string, .unique = true, .identity = identity_text
};
static const struct schema unique_texts = {
    .kinds = NODE_LIST, .items = &text_or_number, .unique = true, .identity = identity_text
};
static const struct schema string_or_list = { .kinds = NODE_STRING | NODE_LIST,
                                              .items = &string,
                                              .unique = true,
                                              .canonical = canonical_strings,
                                              .identity = identity_text };
static const struct schema mapping = {
    .kinds = NODE_LIST | NODE_MAP, .items = &string, .others = &any_scalar, .canonical = canonical_mapping
};
static const struct schema labels = {
    .kinds = NODE_LIST | NODE_MAP, .items = &string, .others = &any_scalar, .canonical = canonical_labels
};
static const struct schema options = { .kinds = NODE_MAP, .others = &text_or_number };
static const struct schema log_options = { .kinds = NODE_MAP, .others = &text_or_null };
static const struct schema string_options = { .kinds = NODE_MAP, .others = &string };
static const struct schema any_options = { .kinds = NODE_MAP, .others = &schema_anything };
static const struct schema command = { .kinds = NODE_NULL | NODE_STRING | NODE_LIST,
                                       .items = &string,
                                       .keep_zero = true,
                                       .merge = MERGE_REPLACE,
                                       .canonical = canonical_command };
static const struct schema host_addresses = { .kinds = NODE_STRING | NODE_LIST,
                                              .items = &string,
                                              .identity = identity_text };
static const struct schema extra_hosts = { .kinds = NODE_LIST | NODE_MAP,
                                           .items = &string,
                                           .unique = true,
                                           .others = &host_addresses,
                                           .canonical = canonical_extra_hosts,
                                           .print = model_print_pairs };
static const struct schema ssh = { .kinds = NODE_LIST | NODE_MAP,
                                   .items = &string,
                                   .others = &any_scalar,
                                   .canonical = canonical_mapping,
                                   .print = model_print_pairs };

static const struct attribute ulimit_fields[] = {
    { "hard", &integer, P, "the most that may be asked for" },
    { "soft", &integer, P, "what applies" },
    END,
};
static const struct schema ulimit = { .kinds = NODE_INT | NODE_STRING | NODE_MAP,
                                      .format = FORMAT_INT,
                                      .fields = ulimit_fields,
                                      .extensible = true,
                                      .required = WORDS("soft", "hard"),
                                      .merge = MERGE_REPLACE };
static const struct schema ulimits = { .kinds = NODE_MAP, .others = &ulimit, .keys = KEYS_LOWER };

static const struct attribute reference_fields[] = {
    { "source", &string, D, "its name at the top level" },
    { "target", &string, D, "where it appears" },
    { "uid", &string, D, "owner" },
    { "gid", &string, D, "group" },
    { "mode", &mode, D, "permissions" },
    END,
};
static const struct schema reference = {
    .kinds = NODE_STRING | NODE_MAP, .fields = reference_fields, .extensible = true, .canonical = canonical_reference
};
static const struct schema secret_reference = {
    .kinds = NODE_STRING | NODE_MAP, .fields = reference_fields, .extensible = true, .canonical = canonical_secret
};
static const struct schema secret_references = { .kinds = NODE_LIST,
                                                 .items = &secret_reference,
                                                 .identity = identity_secret };
static const struct schema build_secrets = { .kinds = NODE_LIST, .items = &reference, .identity = identity_secret };
static const struct schema config_references = { .kinds = NODE_LIST, .items = &reference, .identity = identity_config };

/* --- services.*.build --- */

static const struct schema contexts = {
    .kinds = NODE_LIST | NODE_MAP, .items = &string, .others = &any_scalar, .canonical = canonical_contexts
};
static const struct attribute build_fields[] = {
    { "additional_contexts", &contexts, D, "more named contexts" },
    { "args", &mapping, D, "build arguments" },
    { "cache_from", &strings, D, "where cached layers come from" },
    { "cache_to", &strings, D, "where cached layers go" },
    { "context", &string, D, "directory or URL that is built" },
    { "dockerfile", &string, D, "another Dockerfile" },
    { "dockerfile_inline", &string, D, "the Dockerfile's text" },
    { "entitlements", &strings, D, "extra privileges of the build" },
    { "extra_hosts", &extra_hosts, D, "more host names" },
    { "isolation", &string, D, "isolation technology" },
    { "labels", &labels, D, "labels of the image" },
    { "network", &string, D, "network of the build" },
    { "no_cache", &boolean, D, "build everything anew" },
    { "no_cache_filter", &string_or_list, D, "stages that are built anew" },
    { "platforms", &strings, D, "target platforms" },
    { "privileged", &boolean, D, "privileged build" },
    { "provenance", &string_or_bool, D, "provenance attestation" },
    { "pull", &boolean, D, "refresh base images" },
    { "sbom", &string_or_bool, D, "bill of materials" },
    { "secrets", &build_secrets, D, "secrets of the build" },
    { "shm_size", &bytes_integer, D, "size of /dev/shm" },
    { "ssh", &ssh, D, "SSH agents and keys" },
    { "tags", &strings, D, "more tags" },
    { "target", &string, D, "stage to build" },
    { "ulimits", &ulimits, D, "resource limits" },
    END,
};
static const struct schema build = {
    .kinds = NODE_STRING | NODE_MAP, .fields = build_fields, .extensible = true, .canonical = canonical_build
};

/* --- services.*.deploy --- */

static const struct attribute update_fields[] = {
    { "delay", &duration, D, "pause between groups" },
    { "failure_action", &string, D, "what to do when it fails" },
    { "max_failure_ratio", &number, D, "tolerated failures" },
    { "monitor", &duration, D, "how long each task is watched" },
    { "order", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("start-first", "stop-first") }, D,
      "order" },
    { "parallelism", &kept_integer, D, "instances at once" },
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
static const struct schema gpus = {
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
    { "cpus", &number, D, "promised processor time" },
    { "devices", &device_requests, D, "promised devices" },
    { "generic_resources", &generic_resources, D, "promised resources" },
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
    { "endpoint_mode", &string, D, "service discovery of a swarm" },
    { "labels", &labels, P, "labels of the service" },
    { "mode", &string, D, "replicated, global …" },
    { "placement", &(const struct schema){ .kinds = NODE_MAP, .fields = placement_fields, .extensible = true }, D,
      "nodes" },
    { "replicas", &kept_integer, P, "number of instances" },
    { "resources", &(const struct schema){ .kinds = NODE_MAP, .fields = resource_fields, .extensible = true }, D,
      "limits and reservations" },
    { "restart_policy",
      &(const struct schema){ .kinds = NODE_MAP, .fields = restart_policy_fields, .extensible = true }, P, "restarts" },
    { "rollback_config", &update_config, D, "how to go back" },
    { "update_config", &update_config, D, "how to update" },
    END,
};
static const struct schema deploy = { .kinds = NODE_MAP | NODE_NULL, .fields = deploy_fields, .extensible = true };

/* --- services.* --- */

static const struct attribute blkio_limit_fields[] = {
    { "path", &string, D, "the device" },
    { "rate", &bytes_integer, D, "how much a second" },
    END,
};
static const struct attribute blkio_weight_fields[] = {
    { "path", &string, D, "the device" },
    { "weight", &integer, D, "its weight" },
    END,
};
static const struct schema blkio_limits = {
    .kinds = NODE_LIST,
    .items = &(const struct schema){ .kinds = NODE_MAP, .fields = blkio_limit_fields },
};
static const struct attribute blkio_fields[] = {
    { "device_read_bps", &blkio_limits, D, "bytes read a second" },
    { "device_read_iops", &blkio_limits, D, "reads a second" },
    { "device_write_bps", &blkio_limits, D, "bytes written a second" },
    { "device_write_iops", &blkio_limits, D, "writes a second" },
    { "weight", &integer, D, "weight" },
    { "weight_device",
      &(const struct schema){ .kinds = NODE_LIST,
                              .items = &(const struct schema){ .kinds = NODE_MAP, .fields = blkio_weight_fields } },
      D, "weight for a device" },
    END,
};
static const struct attribute credential_fields[] = {
    { "config", &string, D, "a config that holds it" },
    { "file", &string, D, "a file that holds it" },
    { "registry", &string, D, "a registry entry that holds it" },
    END,
};
static const struct attribute dependency_fields[] = {
    { "condition",
      &(const struct schema){ .kinds = NODE_STRING,
                              .words = WORDS("service_started", "service_healthy", "service_completed_successfully") },
      P, "what to wait for" },
    { "required", &required_boolean, P, "whether it must be there" },
    { "restart", &boolean, P, "restart with it" },
    END,
};
static const struct schema dependency = {
    .kinds = NODE_MAP, .fields = dependency_fields, .extensible = true, .required = WORDS("condition")
};
static const struct schema depends_on = { .kinds = NODE_LIST | NODE_MAP,
                                          .items = &string,
                                          .unique = true,
                                          .others = &dependency,
                                          .keys = KEYS_NAME,
                                          .canonical = canonical_depends_on };
static const struct attribute device_fields[] = {
    { "permissions", &string, D, "r, w, m" },
    { "source", &string, D, "device of the host" },
    { "target", &string, D, "device in the container" },
    END,
};
static const struct schema devices = {
    .kinds = NODE_LIST,
    .items = &(const struct schema){ .kinds = NODE_STRING | NODE_MAP,
                                     .fields = device_fields,
                                     .extensible = true,
                                     .required = WORDS("source"),
                                     .canonical = canonical_device },
    .identity = identity_device,
};
static const struct schema service_hook;
static const struct attribute hook_fields[] = {
    { "command", &command, D, "what is run" },
    { "environment", &mapping, D, "its environment" },
    { "privileged", &boolean, D, "with all privileges" },
    { "user", &string, D, "as whom" },
    { "working_dir", &string, D, "where" },
    END,
};
static const struct schema service_hook = {
    .kinds = NODE_MAP, .fields = hook_fields, .extensible = true, .required = WORDS("command")
};
static const struct schema hooks = { .kinds = NODE_LIST, .items = &service_hook };
static const struct attribute pre_start_fields[] = {
    { "command", &command, D, "what is run" },
    { "environment", &mapping, D, "its environment" },
    { "image", &string, D, "another image" },
    { "per_replica", &boolean, D, "once for each instance" },
    { "privileged", &boolean, D, "with all privileges" },
    { "user", &string, D, "as whom" },
    { "working_dir", &string, D, "where" },
    END,
};
static const struct schema pre_start = {
    .kinds = NODE_LIST,
    .items = &(const struct schema){ .kinds = NODE_MAP, .fields = pre_start_fields, .extensible = true },
};
static const struct attribute watch_fields[] = {
    { "action",
      &(const struct schema){ .kinds = NODE_STRING,
                              .words = WORDS("rebuild", "sync", "restart", "sync+restart", "sync+exec") },
      D, "what to do" },
    { "exec", &service_hook, D, "what to run" },
    { "ignore", &string_or_list, D, "paths that do not count" },
    { "include", &string_or_list, D, "paths that count" },
    { "initial_sync", &strict_boolean, D, "copy everything first" },
    { "path", &path, D, "what is watched" },
    { "target", &string, D, "where it is copied to" },
    END,
};
static const struct attribute develop_fields[] = {
    { "watch",
      &(const struct schema){ .kinds = NODE_LIST,
                              .items = &(const struct schema){ .kinds = NODE_MAP,
                                                               .fields = watch_fields,
                                                               .extensible = true,
                                                               .required = WORDS("path", "action") } },
      D, "rules" },
    END,
};
static const struct attribute env_file_fields[] = {
    { "format", &string, P, "`raw`: nothing is quoted or expanded" },
    { "path", &path, P, "the file" },
    { "required", &usual_boolean, P, "whether it must be there" },
    END,
};
static const struct schema env_files = {
    .kinds = NODE_STRING | NODE_LIST,
    .items =
        &(const struct schema){ .kinds = NODE_STRING | NODE_MAP, .fields = env_file_fields, .required = WORDS("path") },
    .canonical = canonical_env_files,
    .identity = identity_env_file,
};
static const struct schema label_files = { .kinds = NODE_STRING | NODE_LIST,
                                           .items = &path,
                                           .canonical = canonical_strings };
static const struct attribute extends_fields[] = {
    { "file", &path, P, "the file that has it" },
    { "service", &string, P, "the service" },
    END,
};
static const struct schema extends = { .kinds = NODE_STRING | NODE_MAP,
                                       .fields = extends_fields,
                                       .required = WORDS("service"),
                                       .merge = MERGE_REPLACE,
                                       .canonical = canonical_extends };
static const struct attribute healthcheck_fields[] = {
    { "disable", &boolean, P, "no health check" },
    { "interval", &duration, P, "pause between probes" },
    { "retries", &kept_number, P, "failures until unhealthy" },
    { "start_interval", &duration, P, "pause between probes until ready" },
    { "start_period", &duration, P, "how long failures do not count" },
    { "test",
      &(const struct schema){
          .kinds = NODE_STRING | NODE_LIST, .items = &string, .merge = MERGE_REPLACE, .canonical = canonical_test },
      P, "what is run" },
    { "timeout", &duration, P, "limit of one probe" },
    END,
};
static const struct schema healthcheck = { .kinds = NODE_MAP, .fields = healthcheck_fields, .extensible = true };
static const struct attribute logging_fields[] = {
    { "driver", &string, D, "log driver" },
    { "options", &log_options, D, "its options" },
    END,
};
static const struct attribute model_use_fields[] = {
    { "endpoint_var", &string, D, "variable for its URL" },
    { "model_var", &string, D, "variable for its name" },
    END,
};
static const struct schema model_uses = {
    .kinds = NODE_LIST | NODE_MAP,
    .items = &string,
    .unique = true,
    .others = &(const struct schema){ .kinds = NODE_MAP | NODE_NULL, .fields = model_use_fields, .extensible = true },
    .keys = KEYS_NAME,
    .canonical = canonical_names,
};
static const struct attribute network_use_fields[] = {
    { "aliases", &unique_strings, D, "more host names" },
    { "driver_opts", &options, D, "driver options" },
    { "gw_priority", &strict_number, D, "which network is the gateway" },
    { "interface_name", &string, D, "name of the interface" },
    { "ipv4_address", &string, D, "fixed address" },
    { "ipv6_address", &string, D, "fixed address" },
    { "link_local_ips", &unique_strings, D, "link-local addresses" },
    { "mac_address", &string, D, "MAC address" },
    { "priority", &strict_number, D, "order of connecting" },
    END,
};
static const struct schema network_uses = {
    .kinds = NODE_LIST | NODE_MAP,
    .items = &string,
    .unique = true,
    .others = &(const struct schema){ .kinds = NODE_MAP | NODE_NULL, .fields = network_use_fields, .extensible = true },
    .keys = KEYS_NAME,
    .canonical = canonical_names,
};
static const struct attribute port_fields[] = {
    { "app_protocol", &string, P, "http or tcp" },
    { "host_ip", &string, P, "address to listen at" },
    { "mode", &string, P, "ingress or host; the gateway listens for both" },
    { "name", &string, P, "a name for people" },
    { "protocol", &string, P, "tcp or udp" },
    { "published", &text, P, "port to listen at" },
    { "target", &integer, P, "port of the instance" },
    END,
};
static const struct schema ports = {
    .kinds = NODE_LIST,
    .items = &(const struct schema){ .kinds = NODE_INT | NODE_FLOAT | NODE_STRING | NODE_MAP,
                                     .fields = port_fields,
                                     .extensible = true },
    .unique = true,
    .canonical = canonical_ports,
    .identity = identity_port,
};
static const struct schema provider_value = { .kinds = NODE_STRING | NODE_INT | NODE_FLOAT | NODE_BOOL,
                                              .format = FORMAT_STRING };
static const struct schema provider_option = { .kinds = NODE_STRING | NODE_INT | NODE_FLOAT | NODE_BOOL | NODE_LIST,
                                               .format = FORMAT_STRING,
                                               .items = &provider_value,
                                               .canonical = canonical_strings };
static const struct attribute provider_fields[] = {
    { "options", &(const struct schema){ .kinds = NODE_MAP, .others = &provider_option }, D, "its options" },
    { "type", &string, D, "its name" },
    END,
};
static const struct attribute bind_fields[] = {
    { "create_host_path", &usual_boolean, D, "create a missing directory" },
    { "propagation", &string, D, "mount propagation" },
    { "recursive",
      &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("enabled", "disabled", "writable", "readonly") }, D,
      "with what is mounted below" },
    { "selinux", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("z", "Z") }, D, "SELinux label" },
    END,
};
static const struct attribute volume_mount_fields[] = {
    { "labels", &labels, D, "labels" },
    { "nocopy", &boolean, D, "do not fill it from the image" },
    { "subpath", &string, D, "a directory of it" },
    END,
};
static const struct attribute tmpfs_fields[] = {
    { "mode", &mode, D, "permissions" },
    { "size", &bytes_count, D, "size" },
    END,
};
static const struct attribute image_mount_fields[] = { { "subpath", &string, D, "a directory of it" }, END };
static const struct attribute mount_fields[] = {
    { "bind", &(const struct schema){ .kinds = NODE_MAP, .fields = bind_fields, .extensible = true }, D, "for a bind" },
    { "consistency", &string, D, "consistency of the file system" },
    { "image", &(const struct schema){ .kinds = NODE_MAP, .fields = image_mount_fields, .extensible = true }, D,
      "for an image" },
    { "read_only", &boolean, D, "only for reading" },
    { "source", &string, D, "what is mounted" },
    { "target", &string, D, "where it appears" },
    { "tmpfs", &(const struct schema){ .kinds = NODE_MAP, .fields = tmpfs_fields, .extensible = true }, D,
      "for a tmpfs" },
    { "type",
      &(const struct schema){ .kinds = NODE_STRING,
                              .words = WORDS("bind", "volume", "tmpfs", "cluster", "npipe", "image") },
      D, "kind" },
    { "volume", &(const struct schema){ .kinds = NODE_MAP, .fields = volume_mount_fields, .extensible = true }, D,
      "for a volume" },
    END,
};
static const struct schema mounts = {
    .kinds = NODE_LIST,
    .items = &(const struct schema){ .kinds = NODE_STRING | NODE_MAP,
                                     .fields = mount_fields,
                                     .extensible = true,
                                     .required = WORDS("type"),
                                     .canonical = canonical_volume },
    .unique = true,
    .identity = identity_mount,
};

/* --- Our own extensions (docs/compose.md) --- */

static const struct schema port_number = {
    .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 1, .max = 65535
};
static const struct attribute process_fields[] = {
    { "command",
      &(const struct schema){ .kinds = NODE_STRING | NODE_LIST, .items = &text_or_number, .merge = MERGE_REPLACE }, P,
      "what is run as a process: a string for the shell, or a list" },
    { "port", &port_number, P, "a port that `ports` and `expose` do not name" },
    { "socket", &boolean, P, "its listening socket is opened for it" },
    END,
};
static const struct attribute service_daruma_fields[] = {
    { "drain_timeout", &duration, P, "how long requests may take to end before it is stopped" },
    { "healthcheck", &string, P, "http://… or tcp://…, probed without a program" },
    { "max_inflight",
      &(const struct schema){ .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 1, .max = 1000000 }, P,
      "requests at a time on one instance; more wait" },
    { "process", &(const struct schema){ .kinds = NODE_MAP, .fields = process_fields }, P, "for the process runtime" },
    { "restart_unhealthy", &boolean, P, "whether it is restarted when it is unhealthy" },
    { "slow_start", &duration, P, "for so long a fresh instance gets less than its share" },
    END,
};
static const struct schema service_daruma = { .kinds = NODE_MAP, .fields = service_daruma_fields };

static const struct attribute retry_fields[] = {
    { "attempts", &(const struct schema){ .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 1, .max = 100 },
      P, "tries in all" },
    { "on",
      &(const struct schema){
          .kinds = NODE_STRING | NODE_LIST,
          .items = &(const struct schema){ .kinds = NODE_STRING,
                                           .words = WORDS("error", "timeout", "http_500", "http_502", "http_503",
                                                          "http_504", "http_429", "non_idempotent") },
          .words =
              WORDS("error", "timeout", "http_500", "http_502", "http_503", "http_504", "http_429", "non_idempotent"),
          .merge = MERGE_REPLACE,
          .canonical = canonical_strings },
      P, "what is tried again" },
    END,
};
static const struct attribute patience_fields[] = {
    { "max", &duration, P, "an answer is overdue after this time at the latest; 0s: never" },
    { "min", &duration, P, "an answer is overdue after this time at the earliest" },
    END,
};
static const struct schema status_number = {
    .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 200, .max = 599
};
static const struct attribute page_fields[] = {
    { "body", &text_or_number, P, "the page itself" },
    { "content_type", &string, P, "what it is" },
    { "enabled", &boolean, P, "whether the route is closed" },
    { "file", &path, P, "a file that holds the page" },
    { "retry_after", &duration, P, "when to come again" },
    { "status", &status_number, P, "its status" },
    END,
};
static const struct attribute respond_fields[] = {
    { "body", &text_or_number, P, "the answer itself" },
    { "content_type", &string, P, "what it is" },
    { "file", &path, P, "a file that holds the answer" },
    { "status", &status_number, P, "its status" },
    END,
};
static const struct attribute redirect_fields[] = {
    { "status", &(const struct schema){ .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 301, .max = 308 },
      P, "301, 302, 307 or 308" },
    { "to", &string, P, "where to: {host}, {path} and {rest} are those of the request" },
    END,
};
static const struct schema header_map = { .kinds = NODE_MAP, .others = &text_or_number };
static const struct attribute rewrite_fields[] = {
    { "remove", &string_or_list, P, "fields that go no further" },
    { "set", &header_map, P, "fields that are there afterwards" },
    END,
};
static const struct schema rewrite = { .kinds = NODE_MAP, .fields = rewrite_fields };
static const struct attribute headers_fields[] = {
    { "request", &rewrite, P, "on the way to the service" },
    { "response", &rewrite, P, "on the way to the client" },
    END,
};
static const struct attribute hash_fields[] = {
    { "cookie", &text, P, "the value of this cookie" },
    { "header", &text, P, "the value of this header field" },
    END,
};
static const struct attribute balance_fields[] = {
    { "hash",
      &(const struct schema){ .kinds = NODE_STRING | NODE_MAP, .words = WORDS("source"), .fields = hash_fields }, P,
      "the same value goes to the same instance" },
    END,
};
static const struct schema balance = { .kinds = NODE_STRING | NODE_MAP,
                                       .words = WORDS("p2c", "round_robin", "least_conn"),
                                       .fields = balance_fields,
                                       .required = WORDS("hash"),
                                       .merge = MERGE_REPLACE };
static const struct attribute sticky_fields[] = {
    { "cookie", &text, P, "its name" },
    { "max_age", &duration, P, "how long the browser keeps it" },
    { "secure", &boolean, P, "only over HTTPS" },
    END,
};
static const struct attribute target_fields[] = {
    { "backup", &boolean, P, "used only while no other target can be" },
    { "service", &text, P, "which one" },
    { "weight",
      &(const struct schema){
          .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 1, .max = BOARD_WEIGHT_MAX },
      P, "its share of the requests" },
    END,
};
static const struct schema targets = { .kinds = NODE_STRING | NODE_LIST,
                                       .items = &(const struct schema){ .kinds = NODE_STRING | NODE_MAP,
                                                                        .fields = target_fields,
                                                                        .required = WORDS("service") },
                                       .unique = true,
                                       .canonical = canonical_strings,
                                       .identity = identity_target };
static const struct attribute route_fields[] = {
    { "balance", &balance, P, "how instances are chosen" },
    { "body_limit", &bytes_count, P, "the largest request body" },
    { "connect_timeout", &duration, P, "for one connection" },
    { "headers", &(const struct schema){ .kinds = NODE_MAP, .fields = headers_fields }, P, "header fields to change" },
    { "hold", &duration, P, "how long a request waits for an instance" },
    { "host", &string, P, "which host it is for: a name, or *.example.org" },
    { "idle_timeout", &duration, P, "without a byte in either direction" },
    { "maintenance", &(const struct schema){ .kinds = NODE_MAP, .fields = page_fields }, P,
      "answered with a page of your own" },
    { "match", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("prefix", "exact") }, P,
      "how `path` is meant" },
    { "path", &string, P, "which paths it is for" },
    { "redirect", &(const struct schema){ .kinds = NODE_MAP, .fields = redirect_fields, .required = WORDS("to") }, P,
      "sent elsewhere" },
    { "respond", &(const struct schema){ .kinds = NODE_MAP, .fields = respond_fields }, P, "a fixed answer" },
    { "patience", &(const struct schema){ .kinds = NODE_MAP, .fields = patience_fields }, P,
      "when another instance is tried" },
    { "response_timeout", &duration, P, "until the head of the answer" },
    { "retry", &(const struct schema){ .kinds = NODE_MAP, .fields = retry_fields }, P, "trying again" },
    { "sticky",
      &(const struct schema){ .kinds = NODE_STRING | NODE_MAP, .fields = sticky_fields, .required = WORDS("cookie") },
      P, "a cookie that keeps a client at its instance" },
    { "strip", &boolean, P, "the service gets the path without `path`" },
    { "to", &targets, P, "services" },
    END,
};
static const struct attribute listener_fields[] = {
    { "address", &text, P, "where it listens" },
    { "balance", &balance, P, "how instances are chosen, unless a route says otherwise" },
    { "protocol", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("http", "tcp") }, P, "http or tcp" },
    { "routes",
      &(const struct schema){ .kinds = NODE_LIST,
                              .items = &(const struct schema){ .kinds = NODE_MAP, .fields = route_fields } },
      P, "where requests go" },
    END,
};
static const struct attribute access_log_fields[] = {
    { "format", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("json", "combined") }, P,
      "how a line looks" },
    { "path", &path, P, "the file" },
    { "sample", &number, P, "the share of requests that is logged" },
    END,
};
static const struct attribute gateway_fields[] = {
    { "access_log", &(const struct schema){ .kinds = NODE_MAP, .fields = access_log_fields, .required = WORDS("path") },
      P, "a line for each request" },
    { "listeners",
      &(const struct schema){ .kinds = NODE_LIST,
                              .items = &(const struct schema){ .kinds = NODE_MAP,
                                                               .fields = listener_fields,
                                                               .required = WORDS("address", "routes") } },
      P, "where the gateway listens" },
    { "served_by", &boolean, P, "answers say which instance they came from" },
    { "trusted_proxies", &string_or_list, P, "whose X-Forwarded-… is believed" },
    { "via", &boolean, P, "requests carry Via, and those that go in circles are refused" },
    END,
};
static const struct schema gateway = { .kinds = NODE_MAP, .fields = gateway_fields };
static const struct attribute project_daruma_fields[] = {
    { "runtime", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("process", "docker") }, P,
      "what runs the services" },
    END,
};
static const struct schema project_daruma = { .kinds = NODE_MAP, .fields = project_daruma_fields };

static const struct attribute service_fields[] = {
    { "annotations", &labels, Q, "OCI annotations" },
    { "attach", &kept_boolean, N, "show its output in `up`" },
    { "blkio_config", &(const struct schema){ .kinds = NODE_MAP, .fields = blkio_fields }, N, "block device limits" },
    { "build", &build, D, "how its image is built" },
    { "cap_add", &unique_strings, D, "capabilities to add" },
    { "cap_drop", &unique_strings, D, "capabilities to drop" },
    { "cgroup", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("host", "private") }, D,
      "cgroup namespace" },
    { "cgroup_parent", &string, D, "parent cgroup" },
    { "command", &command, P, "arguments, or the program" },
    { "configs", &config_references, D, "configs to mount" },
    { "container_name", &string, P, "a fixed name; one instance only" },
    { "cpu_count", &count, N, "processors" },
    { "cpu_percent", &percent, N, "share of the processors" },
    { "cpu_period", &whole_number, D, "CFS period" },
    { "cpu_quota", &whole_number, D, "CFS quota" },
    { "cpu_rt_period", &whole_number, D, "real-time period" },
    { "cpu_rt_runtime", &whole_number, D, "real-time runtime" },
    { "cpu_shares", &whole_number, D, "relative weight" },
    { "cpus", &number, D, "most processor time" },
    { "cpuset", &string, D, "which processors" },
    { "credential_spec", &(const struct schema){ .kinds = NODE_MAP, .fields = credential_fields, .extensible = true },
      N, "Windows credentials" },
    { "depends_on", &depends_on, P, "what must be there first" },
    { "deploy", &deploy, P, "instances, restarts, resources" },
    { "develop", &(const struct schema){ .kinds = NODE_MAP | NODE_NULL, .fields = develop_fields, .extensible = true },
      N, "rules for development" },
    { "device_cgroup_rules", &unique_strings, D, "device rules" },
    { "devices", &devices, D, "devices of the host" },
    { "dns", &string_or_list, D, "name servers" },
    { "dns_opt", &unique_strings, D, "resolver options" },
    { "dns_search", &string_or_list, D, "search domains" },
    { "domainname", &string, D, "NIS domain name" },
    { "entrypoint", &command, P, "the program" },
    { "env_file", &env_files, P, "files with environment" },
    { "environment", &mapping, P, "its environment" },
    { "expose", &unique_texts, P, "ports for other services" },
    { "extends", &extends, P, "a service to start from" },
    { "external_links", &unique_strings, N, "containers of other projects" },
    { "extra_hosts", &extra_hosts, D, "more host names" },
    { "gpus", &gpus, N, "GPUs" },
    { "group_add", &unique_texts, D, "more groups" },
    { "healthcheck", &healthcheck, P, "how to see that it works" },
    { "hostname", &string, P, "HOSTNAME in its environment" },
    { "image", &string, D, "what is run; replaced by x-daruma.process.command" },
    { "init", &kept_boolean, Q, "an init process; orphans are always reaped" },
    { "ipc", &string, D, "IPC namespace" },
    { "isolation", &string, D, "isolation technology" },
    { "label_file", &label_files, P, "files with labels" },
    { "labels", &labels, P, "labels" },
    { "links",
      &(const struct schema){ .kinds = NODE_LIST, .items = &string, .unique = true, .identity = identity_name }, P,
      "what must be there first" },
    { "logging",
      &(const struct schema){ .kinds = NODE_MAP, .fields = logging_fields, .extensible = true, .merge = MERGE_DRIVER },
      D, "log driver" },
    { "mac_address", &string, D, "MAC address" },
    { "mem_limit", &bytes, D, "most memory" },
    { "mem_reservation", &bytes_integer, D, "promised memory" },
    { "mem_swappiness", &bytes_integer, D, "tendency to swap" },
    { "memswap_limit", &bytes, D, "most memory with swap" },
    { "models", &model_uses, N, "AI models" },
    { "network_mode", &string, D, "network namespace" },
    { "networks", &network_uses, D, "networks to join" },
    { "oom_kill_disable", &boolean, D, "no out-of-memory killer" },
    { "oom_score_adj", &oom_score, D, "who is killed first" },
    { "pid", &string_or_null, D, "PID namespace" },
    { "pids_limit", &whole_number, D, "most processes" },
    { "platform", &string, D, "platform of the image" },
    { "ports", &ports, P, "published ports" },
    { "post_start", &hooks, N, "run after the start" },
    { "pre_start", &pre_start, N, "run before the start" },
    { "pre_stop", &hooks, N, "run before the stop" },
    { "privileged", &boolean, D, "all privileges" },
    { "profiles", &unique_strings, P, "profiles that switch it on" },
    { "provider",
      &(const struct schema){
          .kinds = NODE_MAP, .fields = provider_fields, .extensible = true, .required = WORDS("type") },
      N, "somebody else who runs it" },
    { "pull_policy", &string, Q, "when its image is pulled" },
    { "pull_refresh_after", &string, HONOUR_QUIET, "when its image is old" },
    { "read_only", &boolean, D, "root file system only for reading" },
    { "restart", &string, P, "when it is started again" },
    { "runtime", &string, D, "OCI runtime" },
    { "scale", &kept_integer, P, "number of instances" },
    { "secrets", &secret_references, D, "secrets to mount" },
    { "security_opt", &unique_strings, D, "security options" },
    { "shm_size", &bytes, D, "size of /dev/shm" },
    { "stdin_open", &boolean, D, "keeps its input open" },
    { "stop_grace_period", &duration, P, "time to end by itself" },
    { "stop_signal", &string, P, "signal to end" },
    { "storage_opt", &any_options, D, "storage driver options" },
    { "sysctls", &labels, D, "kernel parameters" },
    { "tmpfs", &string_or_list, D, "directories in memory" },
    { "tty", &boolean, D, "a terminal" },
    { "ulimits", &ulimits, P, "resource limits" },
    { "use_api_socket", &strict_boolean, N, "access to the engine" },
    { "user", &string, P, "as whom it runs" },
    { "userns_mode", &string, D, "user namespace" },
    { "uts", &string, D, "UTS namespace" },
    { "volumes", &mounts, D, "mounts" },
    { "volumes_from", &unique_strings, D, "mounts of another service" },
    { "working_dir", &string, P, "where it runs" },
    { "x-daruma", &service_daruma, P, "our own extensions" },
    END,
};
const struct schema schema_service = { .kinds = NODE_MAP, .fields = service_fields, .extensible = true };

/* --- The other top-level elements --- */

static const struct attribute external_fields[] = { { "name", &string, P, "its real name (deprecated)" }, END };
static const struct schema external = {
    .kinds = NODE_BOOL | NODE_STRING | NODE_MAP, .format = FORMAT_BOOL, .fields = external_fields, .extensible = true
};
/* The schema lets secrets and configs carry anything beside the name. */
static const struct schema loose_external = { .kinds = NODE_BOOL | NODE_STRING | NODE_MAP,
                                              .format = FORMAT_BOOL,
                                              .fields = external_fields,
                                              .others = &schema_anything };

static const struct attribute pool_fields[] = {
    { "aux_addresses", &string_options, P, "addresses in use" },
    { "gateway", &string, P, "gateway" },
    { "ip_range", &string, P, "range of addresses" },
    { "subnet", &string, P, "subnet" },
    END,
};
static const struct attribute ipam_fields[] = {
    { "config",
      &(const struct schema){
          .kinds = NODE_LIST,
          .items = &(const struct schema){ .kinds = NODE_MAP, .fields = pool_fields, .extensible = true },
          .merge = MERGE_ITEMS,
          .identity = identity_subnet },
      P, "pools" },
    { "driver", &string, P, "driver" },
    { "options", &string_options, P, "options" },
    END,
};
static const struct attribute network_fields[] = {
    { "attachable", &boolean, P, "others may join" },
    { "driver", &string, P, "driver" },
    { "driver_opts", &options, P, "driver options" },
    { "enable_ipv4", &kept_boolean, P, "IPv4" },
    { "enable_ipv6", &kept_boolean, P, "IPv6" },
    { "external", &external, P, "made by others" },
    { "internal", &boolean, P, "no way out" },
    { "ipam", &(const struct schema){ .kinds = NODE_MAP, .fields = ipam_fields, .extensible = true }, P, "addresses" },
    { "labels", &labels, P, "labels" },
    { "name", &string, P, "real name" },
    END,
};
static const struct attribute volume_fields[] = {
    { "driver", &string, P, "driver" },
    { "driver_opts", &options, P, "driver options" },
    { "external", &external, P, "made by others" },
    { "labels", &labels, P, "labels" },
    { "name", &string, P, "real name" },
    END,
};
static const struct attribute secret_fields[] = {
    { "driver", &string, P, "driver" },
    { "driver_opts", &options, P, "driver options" },
    { "environment", &string, P, "variable that holds it" },
    { "external", &loose_external, P, "made by others" },
    { "file", &path, P, "file that holds it" },
    { "labels", &labels, P, "labels" },
    { "name", &string, P, "real name" },
    { "template_driver", &string, P, "template driver" },
    END,
};
static const struct attribute config_fields[] = {
    { "content", &string, P, "its text" },
    { "environment", &string, P, "variable that holds it" },
    { "external", &loose_external, P, "made by others" },
    { "file", &path, P, "file that holds it" },
    { "labels", &labels, P, "labels" },
    { "name", &string, P, "real name" },
    { "template_driver", &string, P, "template driver" },
    END,
};
static const struct attribute model_fields[] = {
    { "context_size", &strict_integer, P, "size of the context" },
    { "model", &string, P, "which" },
    { "name", &string, P, "real name" },
    { "runtime_flags", &strings, P, "flags of the engine" },
    END,
};
static const struct attribute include_fields[] = {
    { "env_file", &string_or_list, P, "files for its variables" },
    { "path", &string_or_list, P, "what is included" },
    { "project_directory", &string, P, "what its paths are relative to" },
    END,
};

#define SECTION(type)                                                                                                  \
    &(const struct schema)                                                                                             \
    {                                                                                                                  \
        .kinds = NODE_MAP, .keys = KEYS_NAME, .others = (type)                                                         \
    }

static const struct schema network = {
    .kinds = NODE_MAP | NODE_NULL, .fields = network_fields, .extensible = true, .canonical = canonical_network
};
static const struct schema volume = {
    .kinds = NODE_MAP | NODE_NULL, .fields = volume_fields, .extensible = true, .canonical = canonical_volume_definition
};
static const struct schema secret = {
    .kinds = NODE_MAP, .fields = secret_fields, .extensible = true, .canonical = canonical_external
};
static const struct schema config = {
    .kinds = NODE_MAP, .fields = config_fields, .extensible = true, .canonical = canonical_external
};
static const struct schema model = {
    .kinds = NODE_MAP, .fields = model_fields, .extensible = true, .required = WORDS("model")
};
static const struct schema includes = {
    .kinds = NODE_LIST,
    .items = &(const struct schema){ .kinds = NODE_STRING | NODE_MAP,
                                     .fields = include_fields,
                                     .canonical = canonical_include },
};

static const struct attribute root_fields[] = {
    { "configs", SECTION(&config), P, "files to mount" },
    { "include", &includes, P, "other files to load" },
    { "models", SECTION(&model), P, "AI models" },
    { "name", &string, P, "the project's name" },
    { "networks", SECTION(&network), P, "networks" },
    { "secrets", SECTION(&secret), P, "secrets" },
    { "services", SECTION(&schema_service), P, "what is run" },
    { "version", &string, P, "obsolete" },
    { "volumes", SECTION(&volume), P, "volumes" },
    { "x-daruma", &project_daruma, P, "our own extensions" },
    { "x-gateway", &gateway, P, "the gateway's listeners" },
    END,
};
const struct schema schema_root = { .kinds = NODE_MAP, .fields = root_fields, .extensible = true };
