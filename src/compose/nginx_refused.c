/* SPDX-License-Identifier: MIT
 *
 * What to do about directives that people use and that the gateway does not carry out.
 */
#include "compose/nginx_config.h"

#include "base/cleanup.h"

#include <string.h>

#define KEEP "or keep nginx (--keep-nginx)"

const char *nginx_refused(const char *name)
{
    /* By what names begin with; the first that fits. */
    static const struct {
        const char *begin, *why;
    } all[] = {
        { "auth_", "the gateway asks nobody who he is; let the service do it, " KEEP },
        { "expires", "write `add_header Cache-Control max-age=…`, " KEEP },
        { "fastcgi_", "the gateway speaks HTTP/1.1 to services; keep nginx for this (--keep-nginx)" },
        { "geo", "nothing is chosen by the client's address; keep nginx for this (--keep-nginx)" },
        { "grpc_", "the gateway speaks HTTP/1.1 to services; keep nginx for this (--keep-nginx)" },
        { "http2", "the gateway speaks HTTP/1.1; let another one in front of it speak HTTP/2, " KEEP },
        { "http3", "the gateway speaks HTTP/1.1; let another one in front of it speak HTTP/3, " KEEP },
        { "if", "give what is to be told apart a server or a location of its own, " KEEP },
        { "limit_conn", "take it out and write `limits: {connections_per_source: …}` in x-gateway, " KEEP },
        { "limit_except", "let the service refuse the methods, " KEEP },
        { "limit_rate", "answers go as fast as clients take them; take it out, " KEEP },
        { "limit_req", "take it out and write `limits: {requests_per_source: …}` in x-gateway, " KEEP },
        { "mail", "a port with `app_protocol: tcp` is passed on as it is, " KEEP },
        { "mirror", "no request is sent twice; take it out, " KEEP },
        { "proxy_cache", "the gateway keeps no answers; take it out and let the service or the browser do it, " KEEP },
        { "proxy_cookie_", "cookies are passed on as the service wrote them; keep nginx for this (--keep-nginx)" },
        { "proxy_ssl_", "the gateway speaks plain HTTP to services; keep nginx for this (--keep-nginx)" },
        { "proxy_store", "the gateway keeps no answers; take it out, " KEEP },
        { "quic", "the gateway speaks HTTP/1.1; let another one in front of it speak HTTP/3, " KEEP },
        { "real_ip_", "take it out and write `trusted_proxies` in x-gateway, " KEEP },
        { "scgi_", "the gateway speaks HTTP/1.1 to services; keep nginx for this (--keep-nginx)" },
        { "set_real_ip_from", "take it out and write `trusted_proxies` in x-gateway, " KEEP },
        { "split_clients", "give the servers of an upstream weights, " KEEP },
        { "ssl", "the gateway speaks plain HTTP; let another one in front of it end TLS, " KEEP },
        { "stream", "a port with `app_protocol: tcp` is passed on as it is, " KEEP },
        { "stub_status", "take it out: `daruma ps`, GET /v1/gateway and /metrics of the admin API count more, " KEEP },
        { "sub_filter", "bodies are passed on as they are; keep nginx for this (--keep-nginx)" },
        { "try_files", "the gateway serves no files; let a service serve them and name it by `proxy_pass`, " KEEP },
        { "uwsgi_", "the gateway speaks HTTP/1.1 to services; let it listen with HTTP, " KEEP },
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strncmp(name, all[i].begin, strlen(all[i].begin)) == 0)
            return all[i].why;
    return NULL;
}
