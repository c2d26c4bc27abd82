/* SPDX-License-Identifier: MIT
 *
 * The table of attributes: one service.
 */
#include "compose/schema_values.h"

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
    { "command", &command, P, "what is run" },
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
    { "gw_priority", &strict_number, N, "which network is the gateway" },
    { "interface_name", &string, N, "name of the interface" },
    { "ipv4_address", &string, D, "fixed address" },
    { "ipv6_address", &string, D, "fixed address" },
    { "link_local_ips", &unique_strings, N, "link-local addresses" },
    { "mac_address", &string, D, "MAC address" },
    { "priority", &strict_number, N, "order of connecting" },
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
      &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("enabled", "disabled", "writable", "readonly") }, N,
      "with what is mounted below" },
    { "selinux", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("z", "Z") }, D, "SELinux label" },
    END,
};
static const struct attribute volume_mount_fields[] = {
    { "labels", &labels, N, "labels" },
    { "nocopy", &boolean, D, "do not fill it from the image" },
    { "subpath", &string, D, "a directory of it" },
    END,
};
static const struct attribute tmpfs_fields[] = {
    { "mode", &mode, D, "permissions" },
    { "size", &bytes_count, D, "size" },
    END,
};
static const struct attribute image_mount_fields[] = { { "subpath", &string, N, "a directory of it" }, END };
static const struct attribute mount_fields[] = {
    { "bind", &(const struct schema){ .kinds = NODE_MAP, .fields = bind_fields, .extensible = true }, D, "for a bind" },
    { "consistency", &string, HONOUR_QUIET, "consistency of the file system" },
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

/* --- x-daruma: our own --- */

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
static const struct schema strict_percent = { .kinds = NODE_INT | NODE_FLOAT, .format = FORMAT_FLOAT, .max = 100 };
static const struct schema once = { .kinds = NODE_STRING | NODE_LIST, .items = &string, .merge = MERGE_REPLACE };
static const struct attribute daruma_deploy_fields[] = {
    { "compare", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("nothing", "failures", "latency") }, P,
      "what the new version's answers are compared for" },
    { "dwell", &duration, P, "canary: how long each step is watched" },
    { "exclusive", &boolean, P, "there may never be two at once" },
    { "keep", &duration, P, "blue-green: how long the old version stays after the switch" },
    { "min_requests", &count, P, "fewer answers say nothing about a version" },
    { "post_deploy", &once, P, "a command that runs once, after the new version took over" },
    { "pre_deploy", &once, P, "a command that runs once, before anything is touched" },
    { "probe", &string, P, "what is asked for where clients ask too seldom; \"\": nothing" },
    { "ready_timeout", &duration, P, "a new instance that isn't ready by then has failed" },
    { "steps", &(const struct schema){ .kinds = NODE_LIST, .items = &strict_percent }, P,
      "canary: the new version's share of the requests, in percent" },
    { "strategy", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("rolling", "blue-green", "canary") }, P,
      "how the new version takes over" },
    END,
};

static const struct attribute service_daruma_fields[] = {
    { "deploy", &(const struct schema){ .kinds = NODE_MAP, .fields = daruma_deploy_fields }, P,
      "how a new version takes over" },
    { "drain_timeout", &duration, P, "how long requests may take to end before it is stopped" },
    { "drain_upgraded", &duration, P, "the same for connections such as WebSockets" },
    { "healthcheck", &string, P, "http://… or tcp://…, probed without a program" },
    { "max_inflight",
      &(const struct schema){ .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 1, .max = 1000000 }, P,
      "requests at a time on one instance; more wait" },
    { "process", &(const struct schema){ .kinds = NODE_MAP, .fields = process_fields }, HONOUR_PROCESS | HONOUR_QUIET,
      "for the process runtime" },
    { "proxy_protocol", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("v1", "v2") }, P,
      "the PROXY header that it wants to read first" },
    { "restart_unhealthy", &boolean, P, "whether it is restarted when it is unhealthy" },
    { "slow_start", &duration, P, "for so long a fresh instance gets less than its share" },
    END,
};
static const struct schema service_daruma = { .kinds = NODE_MAP, .fields = service_daruma_fields };

/* --- The service --- */

static const struct attribute service_fields[] = {
    { "annotations", &labels, Q, "OCI annotations" },
    { "attach", &kept_boolean, HONOUR_TRUE, "show its output in `up`" },
    { "blkio_config", &(const struct schema){ .kinds = NODE_MAP, .fields = blkio_fields }, D, "block device limits" },
    { "build", &schema_build, Q, "how its image is built" },
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
    { "deploy", &schema_deploy, P, "instances, restarts, resources" },
    { "develop", &(const struct schema){ .kinds = NODE_MAP | NODE_NULL, .fields = develop_fields, .extensible = true },
      HONOUR_QUIET, "rules for development" },
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
    { "external_links", &unique_strings, D, "containers of other projects" },
    { "extra_hosts", &extra_hosts, D, "more host names" },
    { "gpus", &schema_gpus, N, "GPUs" },
    { "group_add", &unique_texts, D, "more groups" },
    { "healthcheck", &healthcheck, P, "how to see that it works" },
    { "hostname", &string, P, "its name; as a process only HOSTNAME in its environment" },
    { "image", &string, Q, "what is run; replaced by x-daruma.process.command" },
    { "init", &kept_boolean, Q, "an init process; orphans are always reaped" },
    { "ipc", &string, D, "IPC namespace" },
    { "isolation", &string, D, "isolation technology" },
    { "label_file", &label_files, Q, "files with labels" },
    { "labels", &labels, Q, "labels" },
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
    { "platform", &string, Q, "platform of the image" },
    { "ports", &ports, P, "published ports" },
    { "post_start", &hooks, P, "run after the start" },
    { "pre_start", &pre_start, N, "run before the start" },
    { "pre_stop", &hooks, P, "run before the stop" },
    { "privileged", &boolean, D, "all privileges" },
    { "profiles", &unique_strings, P, "profiles that switch it on" },
    { "provider",
      &(const struct schema){
          .kinds = NODE_MAP, .fields = provider_fields, .extensible = true, .required = WORDS("type") },
      HONOUR_QUIET, "somebody else who runs it; refused" },
    { "pull_policy", &string, Q, "when its image is pulled: always, missing, never, build" },
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
