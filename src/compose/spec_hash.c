/* SPDX-License-Identifier: MIT
 *
 * Which services are the same: a digest over what their instances are made of.
 */
#include "compose/spec_build.h"

#include "base/names.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* What can change under a running instance: numbers, timings, and what only the supervisor or the gateway looks at. And
   the names of files whose contents are in `environment` and `labels`: who loads a printed model has only these. */
static const char *const outside[] = { "depends_on",  "restart", "scale",       "profiles",
                                       "ports",       "links",   "stop_signal", "stop_grace_period",
                                       "healthcheck", "deploy",  "x-daruma",    "env_file",
                                       "label_file",  NULL };
static const char *const outside_deploy[] = { "replicas", "restart_policy", "update_config", "rollback_config", NULL };
static const char *const outside_daruma[] = {
    "deploy", "healthcheck", "drain_timeout", "drain_upgraded", "restart_unhealthy", "max_inflight", "slow_start", NULL
};
static const char *const nothing[] = { NULL };

enum { PAIRS_USUAL = 64 };

/* Everything with its kind and length before it, so that two different things never look the same. */
static void put(struct buf *out, char kind, const void *data, size_t len)
{
    char head[2 + sizeof(len)] = { kind, (char)(len < 255 ? len : 255) };

    memcpy(head + 2, &len, sizeof(len));
    buf_add(out, head, len < 255 ? 2 : sizeof(head));
    buf_add(out, data, len);
}

static void put_json(struct buf *out, const json_t *json);

struct pair {
    const char *key;
    json_t *value;
};

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

/* In the order of keys: how the file orders them does not matter. */
static void put_map(struct buf *out, const json_t *map, const char *const *but)
{
    struct pair usual[PAIRS_USUAL], *pairs = usual;
    const char *key;
    json_t *value;
    size_t n = 0;

    if (json_object_size(map) > PAIRS_USUAL)
        pairs = calloc(json_object_size(map), sizeof(*pairs));
    if (!pairs) {
        out->failed = true;
        return;
    }
    json_object_foreach((json_t *)map, key, value)
    {
        if (!names_have(but, key))
            pairs[n++] = (struct pair){ key, value };
    }
    qsort(pairs, n, sizeof(*pairs), compare_keys);
    put(out, '{', NULL, 0);
    for (size_t i = 0; i < n; i++) {
        put(out, 'k', pairs[i].key, strlen(pairs[i].key));
        put_json(out, pairs[i].value);
    }
    put(out, '}', NULL, 0);
    if (pairs != usual)
        free(pairs);
}

static void put_json(struct buf *out, const json_t *json)
{
    json_int_t integer = json_integer_value(json);
    double real = json_real_value(json);
    size_t i;

    switch (json_typeof(json)) {
    case JSON_OBJECT:
        put_map(out, json, nothing);
        break;
    case JSON_ARRAY:
        put(out, '[', NULL, 0);
        for (i = 0; i < json_array_size(json); i++)
            put_json(out, json_array_get(json, i));
        put(out, ']', NULL, 0);
        break;
    case JSON_STRING:
        put(out, 's', json_string_value(json), json_string_length(json));
        break;
    case JSON_INTEGER:
        put(out, 'i', &integer, sizeof(integer));
        break;
    case JSON_REAL:
        put(out, 'r', &real, sizeof(real));
        break;
    default:
        put(out, json_is_true(json) ? 't' : json_is_false(json) ? 'f' : '0', NULL, 0);
    }
}

/* An instance is told the ports that it is to serve, so these count, however often each is published. */
static void put_targets(struct buf *out, const json_t *ports)
{
    bool seen[UINT16_MAX + 1] = { false };

    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *port = json_array_get(ports, i), *target = json_object_get(port, "target");
        bool *before = &seen[(uint16_t)json_integer_value(target)];
        if (!target)
            put_json(out, port); /* with --no-interpolate it is still a text */
        else if (!*before)
            put_json(out, target);
        *before = *before || target;
    }
}

bool spec_hash(const json_t *service, char ret[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    struct buf text CLEANUP_BUF = { 0 };
    size_t i;

    put_map(&text, service, outside);
    put_map(&text, json_object_get(service, "deploy"), outside_deploy);
    put_map(&text, json_object_get(service, "x-daruma"), outside_daruma);
    put_targets(&text, json_object_get(service, "ports"));
    /* A digest needs nothing of what openssl.cnf says; to read it would take longer than a small project. */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    if (text.failed || EVP_Digest(text.data, text.len, digest, &len, EVP_sha256(), NULL) != 1)
        return false;
    for (i = 0; i < 32; i++) {
        ret[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    ret[64] = '\0';
    return true;
}
