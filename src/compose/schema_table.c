/* SPDX-License-Identifier: MIT
 *
 * The table of attributes: a whole file, what it has beside services, and x-gateway.
 */
#include "compose/schema_values.h"

#include "base/board.h"
#include "base/http1.h"

const struct schema schema_anything = { .kinds = NODE_SCALAR | NODE_LIST | NODE_MAP };

/* --- x-gateway, x-daruma: our own (docs/gateway.md, docs/compose.md) --- */

static const struct attribute retry_fields[] = {
    { "attempts", &(const struct schema){ .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 1, .max = 100 },
      P, "tries in all" },
    { "on",
      &(const struct schema){
          .kinds = NODE_STRING | NODE_LIST,
          .items =
              &(const struct schema){ .kinds = NODE_STRING,
                                      .words = WORDS("error", "timeout", "http_500", "http_502", "http_503", "http_504",
                                                     "http_403", "http_404", "http_429", "non_idempotent") },
          .words = WORDS("error", "timeout", "http_500", "http_502", "http_503", "http_504", "http_403", "http_404",
                         "http_429", "non_idempotent"),
          .merge = MERGE_REPLACE,
          .canonical = canonical_strings },
      P, "what is tried again" },
    { "timeout", &duration, P, "after this time nothing is tried again; 0s: no limit" },
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
static const struct schema error_number = {
    .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 300, .max = 599
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
    { "status", &integer, P, "301, 302, 303, 307 or 308" },
    { "to", &string, P, "where to; a template" },
    END,
};
static const struct schema header_map = { .kinds = NODE_MAP, .others = &text_or_number };
static const struct attribute rewrite_fields[] = {
    { "remove", &string_or_list, P, "fields that go no further" },
    { "set", &header_map, P, "fields that are there afterwards" },
    END,
};
static const struct attribute location_fields[] = {
    { "from", &text, P, "what it begins with" },
    { "to", &string, P, "what it begins with afterwards" },
    END,
};
static const struct attribute response_rewrite_fields[] = {
    { "add", &header_map, P, "fields that are there as well" },
    { "add_on_success", &header_map, P, "the same, for good answers only" },
    { "location",
      &(const struct schema){
          .kinds = NODE_LIST,
          .items =
              &(const struct schema){ .kinds = NODE_MAP, .fields = location_fields, .required = WORDS("from", "to") } },
      P, "where a service sends clients" },
    { "remove", &string_or_list, P, "fields that go no further" },
    { "set", &header_map, P, "fields that are there afterwards" },
    END,
};
static const struct schema response_rewrite = { .kinds = NODE_MAP, .fields = response_rewrite_fields };
static const struct schema rewrite = { .kinds = NODE_MAP, .fields = rewrite_fields };
static const struct attribute headers_fields[] = {
    { "request", &rewrite, P, "on the way to the service" },
    { "response", &response_rewrite, P, "on the way to the client" },
    END,
};
static const struct attribute error_page_fields[] = {
    { "body", &text_or_number, P, "the page itself" },
    { "content_type", &string, P, "what it is" },
    { "file", &path, P, "a file that holds the page" },
    { "on",
      &(const struct schema){ .kinds = NODE_INT | NODE_STRING | NODE_LIST,
                              .items = &error_number,
                              .merge = MERGE_REPLACE,
                              .format = FORMAT_INT,
                              .min = 300,
                              .max = 599 },
      P, "statuses that it stands for" },
    { "redirect", &string, P, "where to instead; a template" },
    { "retry_after", &duration, P, "when to come again" },
    { "status", &status_number, P, "its status, if it is another one" },
    END,
};
static const struct attribute rule_fields[] = {
    { "match", &string, P, "a regular expression; the rule counts for paths that it matches" },
    { "then",
      &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("next", "last", "break", "redirect", "permanent") },
      P, "what follows" },
    { "to", &string, P, "what the path becomes; a template" },
    END,
};
static const struct attribute hash_fields[] = {
    { "cookie", &text, P, "the value of this cookie" },
    { "header", &text, P, "the value of this header field" },
    END,
};
static const struct attribute balance_fields[] = {
    { "hash",
      &(const struct schema){ .kinds = NODE_STRING | NODE_MAP, .words = WORDS("source", "uri"), .fields = hash_fields },
      P, "the same value goes to the same instance" },
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
    { "max_inflight",
      &(const struct schema){ .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 1, .max = 1000000 }, P,
      "requests at a time on each of its instances" },
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
    { "error_pages",
      &(const struct schema){
          .kinds = NODE_LIST,
          .items = &(const struct schema){ .kinds = NODE_MAP, .fields = error_page_fields, .required = WORDS("on") } },
      P, "pages of your own in place of errors" },
    { "first", &boolean, P, "asked before regular expressions" },
    { "forwarded", &kept_boolean, P, "requests carry X-Forwarded-… and Forwarded" },
    { "headers", &(const struct schema){ .kinds = NODE_MAP, .fields = headers_fields }, P, "header fields to change" },
    { "hold", &duration, P, "how long a request waits for an instance" },
    { "host", &string, P, "which host it is for: a name, or *.example.org" },
    { "idle_timeout", &duration, P, "without a byte in either direction" },
    { "intercept_errors", &boolean, P, "error pages also replace answers of the service" },
    { "maintenance", &(const struct schema){ .kinds = NODE_MAP, .fields = page_fields }, P,
      "answered with a page of your own" },
    { "match", &(const struct schema){ .kinds = NODE_STRING, .words = WORDS("prefix", "exact", "begins", "regex") }, P,
      "how `path` is meant" },
    { "path", &string, P, "which paths it is for" },
    { "redirect", &(const struct schema){ .kinds = NODE_MAP, .fields = redirect_fields, .required = WORDS("to") }, P,
      "sent elsewhere" },
    { "respond", &(const struct schema){ .kinds = NODE_MAP, .fields = respond_fields }, P, "a fixed answer" },
    { "patience", &(const struct schema){ .kinds = NODE_MAP, .fields = patience_fields }, P,
      "when another instance is tried" },
    { "replace", &string, P, "what the service gets in place of `path`" },
    { "response_timeout", &duration, P, "until the head of the answer" },
    { "retry", &(const struct schema){ .kinds = NODE_MAP, .fields = retry_fields }, P, "trying again" },
    { "rewrite",
      &(const struct schema){
          .kinds = NODE_LIST,
          .items =
              &(const struct schema){ .kinds = NODE_MAP, .fields = rule_fields, .required = WORDS("match", "to") } },
      P, "rules that change the path" },
    { "sticky",
      &(const struct schema){ .kinds = NODE_STRING | NODE_MAP, .fields = sticky_fields, .required = WORDS("cookie") },
      P, "a cookie that keeps a client at its instance" },
    { "strip", &boolean, P, "the service gets the path without `path`" },
    { "to", &targets, P, "services" },
    { "via", &kept_boolean, P, "requests carry Via" },
    END,
};
static const struct schema limit_number = {
    .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .max = UINT32_MAX, .keep_zero = true
};
static const struct schema header_number = {
    .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 1, .max = HTTP1_HEADERS
};
static const struct schema burst_number = {
    .kinds = NODE_INT | NODE_STRING, .format = FORMAT_INT, .min = 1, .max = UINT32_MAX
};
static const struct schema limit_bytes = {
    .kinds = NODE_INT | NODE_STRING, .format = FORMAT_BYTES, .max = UINT32_MAX, .keep_zero = true
};
static const struct attribute source_rate_fields[] = {
    { "burst", &burst_number, P, "how many at once, after a pause" },
    { "per", &duration, P, "in which time" },
    { "rate", &limit_number, P, "how many requests" },
    END,
};
static const struct schema source_rate = { .kinds = NODE_MAP, .fields = source_rate_fields, .required = WORDS("rate") };
static const struct attribute client_limit_fields[] = {
    { "body_rate", &limit_bytes, P, "bytes of a request's body that have to come in a second" },
    { "body_timeout", &duration, P, "how far a request's body may be behind that" },
    { "connections_per_source", &limit_number, P, "connections that one address may have" },
    { "header_count", &header_number, P, "header fields of a request" },
    { "header_size", &limit_bytes, P, "bytes of a request's head" },
    { "header_timeout", &duration, P, "how long a request's head may take" },
    { "keep_alive", &duration, P, "how long a connection may be idle between requests" },
    { "requests_per_source", &source_rate, P, "how often one address may ask" },
    { "target_size", &limit_bytes, P, "bytes of a request's target" },
    END,
};
static const struct schema client_limits = { .kinds = NODE_MAP, .fields = client_limit_fields };
static const struct attribute listener_fields[] = {
    { "address", &text, P, "where it listens" },
    { "balance", &balance, P, "how instances are chosen, unless a route says otherwise" },
    { "limits", &client_limits, P, "the same for this listener" },
    { "mode", &mode, P, "permissions of a Unix socket" },
    { "proxy_from", &string_or_list, P, "who may send a PROXY header" },
    { "proxy_protocol", &boolean, P, "every client begins with a PROXY header" },
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
    { "limits", &client_limits, P, "what clients may do" },
    { "listeners",
      &(const struct schema){ .kinds = NODE_LIST,
                              .items = &(const struct schema){ .kinds = NODE_MAP,
                                                               .fields = listener_fields,
                                                               .required = WORDS("address", "routes") } },
      P, "where the gateway listens" },
    { "max_connections", &limit_number, P, "client connections in all" },
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
/* --- Networks, volumes, secrets, configs, models, include --- */

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
    { "enable_ipv4", &kept_boolean, HONOUR_TRUE, "IPv4" },
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
    { "driver", &string, N, "driver" },
    { "driver_opts", &options, N, "driver options" },
    { "environment", &string, D, "variable that holds it" },
    { "external", &loose_external, N, "made by others" },
    { "file", &path, P, "file that holds it" },
    { "labels", &labels, HONOUR_QUIET, "labels" },
    { "name", &string, HONOUR_QUIET, "real name" },
    { "template_driver", &string, N, "template driver" },
    END,
};
static const struct attribute config_fields[] = {
    { "content", &string, D, "its text" },
    { "environment", &string, D, "variable that holds it" },
    { "external", &loose_external, N, "made by others" },
    { "file", &path, P, "file that holds it" },
    { "labels", &labels, HONOUR_QUIET, "labels" },
    { "name", &string, HONOUR_QUIET, "real name" },
    { "template_driver", &string, N, "template driver" },
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
    { "configs", SECTION(&config), Q, "files to mount" },
    { "include", &includes, P, "other files to load" },
    { "models", SECTION(&model), N, "AI models" },
    { "name", &string, P, "the project's name" },
    { "networks", SECTION(&network), Q, "networks" },
    { "secrets", SECTION(&secret), Q, "secrets" },
    { "services", SECTION(&schema_service), P, "what is run" },
    { "version", &string, HONOUR_QUIET, "obsolete" },
    { "volumes", SECTION(&volume), Q, "volumes" },
    { "x-daruma", &project_daruma, P, "our own extensions" },
    { "x-gateway", &gateway, P, "the gateway's listeners" },
    END,
};
const struct schema schema_root = { .kinds = NODE_MAP, .fields = root_fields, .extensible = true };