/* SPDX-License-Identifier: MIT
 *
 * What the rows of several attributes share: the kinds of values, and how rows are written. For the files of the table
 * (schema_*.c) alone; constants, of which each of them keeps the ones that it uses.
 */
#ifndef DARUMA_COMPOSE_SCHEMA_VALUES_H
#define DARUMA_COMPOSE_SCHEMA_VALUES_H

#include "compose/canonical.h"
#include "compose/identity.h"
#include "compose/model.h"
#include "compose/schema.h"

/* Honoured by both runtimes; by containers; by containers, and without loss by processes; by nobody. */
enum { P = HONOUR_PROCESS | HONOUR_DOCKER, D = HONOUR_DOCKER, Q = HONOUR_DOCKER | HONOUR_QUIET, N = 0 };

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define END                                                                                                            \
    {                                                                                                                  \
        NULL, NULL, 0, NULL                                                                                            \
    }

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
/* Parts of the table that stand in files of their own. */
extern const struct schema schema_build, schema_deploy, schema_gpus;

#endif
