/* SPDX-License-Identifier: MIT */
#include "compose/spec_build.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* What can change under a running instance: numbers, timings, and what only the supervisor or the gateway looks at. */
static const char *const outside[] = { "depends_on", "restart", "scale",       "profiles",          "ports",
                                       "expose",     "links",   "stop_signal", "stop_grace_period", "healthcheck",
                                       "deploy",     NULL };

static bool remove_outside(json_t *copy, const json_t *service)
{
    const json_t *ports = json_object_get(service, "ports"), *port;
    json_t *targets = json_array(), *deploy = json_copy(json_object_get(service, "deploy"));
    json_t *daruma = json_copy(json_object_get(copy, "x-daruma"));
    size_t i;

    for (const char *const *key = outside; *key; key++)
        (void)json_object_del(copy, *key);
    (void)json_object_del(daruma, "deploy");
    (void)json_object_del(daruma, "healthcheck");
    (void)json_object_del(daruma, "drain_timeout");
    (void)json_object_del(daruma, "restart_unhealthy");
    if (daruma)
        (void)json_object_set_new(copy, "x-daruma", daruma);
    /* An instance is told the ports that it is to serve, so these count. */
    json_array_foreach(ports, i, port)(void) json_array_append(targets, json_object_get(port, "target"));
    bool ok = json_object_set_new(copy, "ports", targets) == 0;
    const json_t *expose = json_object_get(service, "expose");
    if (expose)
        ok = json_object_set(copy, "expose", (json_t *)expose) == 0 && ok;
    if (deploy) {
        (void)json_object_del(deploy, "replicas");
        (void)json_object_del(deploy, "restart_policy");
        (void)json_object_del(deploy, "update_config");
        (void)json_object_del(deploy, "rollback_config");
        ok = (json_object_size(deploy) == 0 || json_object_set(copy, "deploy", deploy) == 0) && ok;
        json_decref(deploy);
    }
    return ok;
}

bool spec_hash(const json_t *service, char ret[65])
{
    json_t *copy = json_copy((json_t *)service);
    char *text = copy && remove_outside(copy, service) ? json_dumps(copy, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    bool ok = text && EVP_Digest(text, strlen(text), digest, &len, EVP_sha256(), NULL) == 1;

    json_decref(copy);
    free(text);
    for (unsigned int i = 0; ok && i < len && i < 32; i++) {
        ret[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    ret[64] = '\0';
    return ok;
}
