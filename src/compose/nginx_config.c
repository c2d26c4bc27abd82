/* SPDX-License-Identifier: MIT
 *
 * The table of directives: where each may stand, what it takes, and who reads it, or why it is left out.
 */
#include "compose/nginx_config.h"

#include "compose/nginx_blocks.h"

#include "compose/value.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/nearest.h"

#include <string.h>

static bool is_on(struct nginx_block *block, const struct nginx_directive *directive)
{
    bool on = strcmp(nginx_arg(directive, 1), "on") == 0;
    if (!on && strcmp(nginx_arg(directive, 1), "off") != 0)
        problem_error(block->config->problems, directive->words[1].place, "`%s` is `on` or `off`",
                      nginx_arg(directive, 0));
    return on;
}

/* --- numbers ---------------------------------------------------------------------------------------------------- */

/* "10", "10s", "1m30s", "500ms". */
static bool read_time(const char *text, int64_t *ret_ns)
{
    int64_t seconds;

    if (value_int(text, &seconds) == 0 && seconds >= 0 && seconds < 1000000000) {
        *ret_ns = seconds * NS_PER_S;
        return true;
    }
    return value_duration(text, ret_ns) == 0 && *ret_ns >= 0;
}

/* "8k", "1m", "2g". */
static bool read_size(const char *text, int64_t *ret)
{
    size_t digits = strspn(text, "0123456789");
    bool good = digits > 0 && digits < 16 && (!text[digits] || (strchr("kKmMgG", text[digits]) && !text[digits + 1]));
    return good && value_bytes(text, ret) == 0;
}

static int64_t time_of(struct nginx_block *block, const struct nginx_word *word)
{
    int64_t ns = 0;
    if (!read_time(word->text, &ns))
        problem_error(block->config->problems, word->place, "`%s` is no time; write 10s, 500ms or 1m", word->text);
    return ns;
}

static int64_t size_of(struct nginx_block *block, const struct nginx_word *word)
{
    int64_t bytes = 0;
    if (!read_size(word->text, &bytes))
        problem_error(block->config->problems, word->place, "`%s` is no size; write 8k or 10m", word->text);
    return bytes;
}

int64_t nginx_number(struct nginx_block *block, const struct nginx_word *word, const char *text, int64_t max)
{
    int64_t number = 0;
    if (value_int(text, &number) < 0 || number < 0 || number > max)
        problem_error(block->config->problems, word->place, "`%s` is no number from 0 to %lld", text, (long long)max);
    return number;
}

/* --- lists that are inherited ----------------------------------------------------------------------------------- */

static struct node *own_list(struct nginx_block *block, struct nginx_list *list)
{
    if (!list->items || list->level != block->settings->level)
        *list = (struct nginx_list){ node_new(block->config->pool, NODE_LIST, (struct place){ 0 }),
                                     block->settings->level };
    return list->items;
}

static struct node *add_map(struct nginx_block *block, struct nginx_list *list, struct place place)
{
    struct node *map = node_new(block->config->pool, NODE_MAP, place);
    node_append(block->config->pool, own_list(block, list), map);
    return map;
}

static void read_header(struct nginx_block *block, const struct nginx_directive *directive, struct nginx_list *list)
{
    struct node *map = add_map(block, list, directive->place);
    nginx_put(block, map, "name", nginx_text_node(block, &directive->words[1]));
    nginx_put(block, map, "value", nginx_text_node(block, &directive->words[2]));
}

static void read_set_header(struct nginx_block *block, const struct nginx_directive *directive)
{
    read_header(block, directive, &block->settings->request);
}

static void read_add_header(struct nginx_block *block, const struct nginx_directive *directive)
{
    bool always = directive->len == 4;
    if (always && strcmp(nginx_arg(directive, 3), "always") != 0)
        problem_error(block->config->problems, directive->words[3].place, "only `always` may stand here");
    read_header(block, directive, &block->settings->response);
    struct node *items = block->settings->response.items;
    nginx_put(block, node_at(items, items->len - 1), "always",
              node_bool(block->config->pool, directive->place, always));
}

/* proxy_redirect off | default | FROM TO; */
static void read_redirect(struct nginx_block *block, const struct nginx_directive *directive)
{
    const struct nginx_word *from = &directive->words[1], *to = directive->len > 2 ? &directive->words[2] : NULL;
    bool off = strcmp(from->text, "off") == 0;

    if (to ? from->text[0] == '~' || strchr(from->text, '$') || strchr(to->text, '$')
           : !off && strcmp(from->text, "default") != 0) {
        problem_error(block->config->problems, directive->place,
                      "`proxy_redirect` is understood as `off`, `default`, and with two fixed texts; take it out where "
                      "`default` does as well, or keep nginx (--keep-nginx)");
        return;
    }
    (void)own_list(block, &block->settings->redirects);
    if (off)
        return;
    struct node *map = add_map(block, &block->settings->redirects, directive->place);
    if (to) {
        nginx_put(block, map, "from", nginx_text_node(block, from));
        nginx_put(block, map, "to", nginx_text_node(block, to));
    }
}

static void read_hide_header(struct nginx_block *block, const struct nginx_directive *directive)
{
    node_append(block->config->pool, own_list(block, &block->settings->hidden),
                nginx_text_node(block, &directive->words[1]));
}

/* error_page 502 503 =200 /sorry.html; with `=` alone it has the status that the page has. */
static void read_error_page(struct nginx_block *block, const struct nginx_directive *directive)
{
    struct pool *pool = block->config->pool;
    struct node *map = add_map(block, &block->settings->error_pages, directive->place);
    struct node *codes = node_new(pool, NODE_LIST, directive->place);
    size_t last = directive->len - 1;

    nginx_put(block, map, "uri", nginx_text_node(block, &directive->words[last]));
    if (nginx_arg(directive, last - 1)[0] == '=') {
        const struct nginx_word *word = &directive->words[--last];
        int64_t as = word->text[1] ? nginx_number(block, word, word->text + 1, 599) : 0; /* 0: that of the page */
        nginx_put(block, map, "as", node_int(pool, word->place, as));
    }
    for (size_t i = 1; i < last; i++) {
        int64_t code = nginx_number(block, &directive->words[i], nginx_arg(directive, i), 599);
        if (code < 300)
            problem_error(block->config->problems, directive->words[i].place, "`%s` is no status of an error",
                          nginx_arg(directive, i));
        node_append(pool, codes, node_int(pool, directive->words[i].place, code));
    }
    nginx_put(block, map, "codes", codes);
}

static void read_next_upstream(struct nginx_block *block, const struct nginx_directive *directive)
{
    static const struct {
        const char *nginx, *ours;
    } words[] = {
        { "error", "error" },
        { "timeout", "timeout" },
        { "invalid_header", "error" },
        { "http_500", "http_500" },
        { "http_502", "http_502" },
        { "http_503", "http_503" },
        { "http_504", "http_504" },
        { "http_403", "http_403" },
        { "http_404", "http_404" },
        { "http_429", "http_429" },
        { "off", NULL },
        { "non_idempotent", "non_idempotent" },
    };
    struct node *list = own_list(block, &block->settings->next_upstream);

    for (size_t i = 1; i < directive->len; i++) {
        size_t w = 0;
        while (w < ARRAY_LEN(words) && strcmp(words[w].nginx, nginx_arg(directive, i)) != 0)
            w++;
        if (w == ARRAY_LEN(words))
            problem_error(block->config->problems, directive->words[i].place,
                          "`%s` is no reason to try the next server", nginx_arg(directive, i));
        else if (words[w].ours)
            node_append(block->config->pool, list,
                        node_string(block->config->pool, directive->words[i].place, words[w].ours));
    }
}

/* Beside those of the levels around it. */
static void read_set(struct nginx_block *block, const struct nginx_directive *directive)
{
    struct pool *pool = block->config->pool;
    struct nginx_list *all = &block->settings->constants;
    const struct nginx_word *name = &directive->words[1], *value = &directive->words[2];
    if (name->text[0] != '$' || strchr(value->text, '$')) {
        problem_error(block->config->problems, directive->place,
                      "`set` is understood for a fixed text only, not for one made of variables");
        return;
    }
    if (all->level != block->settings->level)
        *all = (struct nginx_list){ all->items ? node_copy(pool, all->items) : node_new(pool, NODE_MAP, value->place),
                                    block->settings->level };
    nginx_put(block, all->items, name->text + 1, nginx_text_node(block, value));
}

/* --- single values ---------------------------------------------------------------------------------------------- */

static void read_connect_timeout(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->settings->connect_timeout_ns = time_of(block, &directive->words[1]);
}

static void read_read_timeout(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->settings->read_timeout_ns = time_of(block, &directive->words[1]);
}

static void read_send_timeout(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->settings->send_timeout_ns = time_of(block, &directive->words[1]);
}

static void read_keep_alive(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->settings->keep_alive_ns = time_of(block, &directive->words[1]);
}

static void read_header_timeout(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->settings->header_timeout_ns = time_of(block, &directive->words[1]);
}

/* So many buffers of that size: a line of the head fits into one of them. */
static void read_header_buffers(struct nginx_block *block, const struct nginx_directive *directive)
{
    int64_t number = nginx_number(block, &directive->words[1], nginx_arg(directive, 1), 1024);
    int64_t size = size_of(block, &directive->words[2]);

    block->settings->target_size = size < INT32_MAX ? size : INT32_MAX; /* more than there may be */
    block->settings->header_size = number * block->settings->target_size;
}

static void read_tries(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->settings->tries = nginx_number(block, &directive->words[1], nginx_arg(directive, 1), 100);
}

static void read_tries_timeout(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->settings->tries_ns = time_of(block, &directive->words[1]);
}

static void read_intercept(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->settings->intercept = is_on(block, directive);
}

static void read_body_size(struct nginx_block *block, const struct nginx_directive *directive)
{
    block->settings->body_limit = size_of(block, &directive->words[1]);
}

static void read_access_log(struct nginx_block *block, const struct nginx_directive *directive)
{
    if (!block->config->access_log && strcmp(nginx_arg(directive, 1), "off") != 0)
        block->config->access_log = directive;
}

/* What a browser would only save on disk was not meant: nginx.conf as it comes says so for files of unknown kinds. */
static void read_default_type(struct nginx_block *block, const struct nginx_directive *directive)
{
    const char *type = nginx_arg(directive, 1);
    block->settings->default_type = strcmp(type, "application/octet-stream") == 0 ? NULL : type;
}

/* `map $http_upgrade $connection_upgrade { … }`, which everybody copies: Upgrade is passed on anyway. */
static void read_map(struct nginx_block *block, const struct nginx_directive *directive)
{
    if (strcmp(nginx_arg(directive, 1), "$http_upgrade") != 0 || nginx_arg(directive, 2)[0] != '$') {
        problem_error(block->config->problems, directive->place,
                      "`map` is not understood, but for that of $http_upgrade; keep nginx for it (--keep-nginx)");
        return;
    }
    nginx_put(block, block->config->ignored, nginx_arg(directive, 2) + 1, nginx_text_node(block, &directive->words[2]));
}

/* --- the table -------------------------------------------------------------------------------------------------- */

enum { MANY = 64 }; /* words of a directive */

struct rule {
    const char *name;
    unsigned contexts; /* enum nginx_context */
    size_t min, max;   /* words behind its name */
    bool block;
    nginx_reader_fn *read;
    /* Without `read` it is left out. Why that is worth a word; NULL: nothing is lost. */
    const char *left_out;
    const char *only; /* the one value with which it can be left out; NULL: any */
};

static void read_http(struct nginx_block *block, const struct nginx_directive *directive)
{
    struct nginx_settings settings = {
        .level = ++block->config->levels,
        .connect_timeout_ns = -1,
        .read_timeout_ns = -1,
        .send_timeout_ns = -1,
        .keep_alive_ns = -1,
        .header_timeout_ns = -1,
        .target_size = -1,
        .header_size = -1,
        .body_limit = 1 << 20,
    };
    nginx_read_block(&(struct nginx_block){ .config = block->config,
                                            .context = IN_HTTP,
                                            .settings = &settings,
                                            .location = &(struct nginx_location){ 0 } },
                     directive->first);
}

static const char logs_are_ours[] = "errors are told as events; `daruma events` shows them";

static const struct rule rules[] = {
    { "access_log", IN_LEVELS, 1, MANY, .read = read_access_log },
    { "add_header", IN_LEVELS, 2, 3, .read = read_add_header },
    { "allow", IN_LEVELS, 1, 1, .read = nginx_read_access },
    { "client_header_timeout", IN_LEVELS, 1, 1, .read = read_header_timeout },
    { "client_max_body_size", IN_LEVELS, 1, 1, .read = read_body_size },
    { "default_type", IN_LEVELS, 1, 1, .read = read_default_type },
    { "deny", IN_LEVELS, 1, 1, .read = nginx_read_access },
    { "error_page", IN_LEVELS, 2, MANY, .read = read_error_page },
    { "hash", IN_UPSTREAM, 1, 2, .read = nginx_read_hash },
    { "http", IN_MAIN, 0, 0, .block = true, .read = read_http },
    { "if", IN_SERVER | IN_LOCATION, 1, MANY, .block = true, .read = nginx_read_if },
    { "internal", IN_LOCATION, 0, 0, .read = nginx_read_internal },
    { "ip_hash", IN_UPSTREAM, 0, 0, .read = nginx_read_ip_hash },
    { "keepalive_timeout", IN_LEVELS, 1, 2, .read = read_keep_alive },
    { "large_client_header_buffers", IN_LEVELS, 2, 2, .read = read_header_buffers },
    { "least_conn", IN_UPSTREAM, 0, 0, .read = nginx_read_least_conn },
    { "listen", IN_SERVER, 1, MANY, .read = nginx_read_listen },
    { "location", IN_SERVER | IN_LOCATION, 1, 2, .block = true, .read = nginx_read_location },
    { "map", IN_HTTP, 2, 2, .block = true, .read = read_map },
    { "proxy_connect_timeout", IN_LEVELS, 1, 1, .read = read_connect_timeout },
    { "proxy_hide_header", IN_LEVELS, 1, 1, .read = read_hide_header },
    { "proxy_intercept_errors", IN_LEVELS, 1, 1, .read = read_intercept },
    { "proxy_next_upstream", IN_LEVELS, 1, MANY, .read = read_next_upstream },
    { "proxy_next_upstream_timeout", IN_LEVELS, 1, 1, .read = read_tries_timeout },
    { "proxy_next_upstream_tries", IN_LEVELS, 1, 1, .read = read_tries },
    { "proxy_pass", IN_LOCATION, 1, 1, .read = nginx_read_proxy_pass },
    { "proxy_read_timeout", IN_LEVELS, 1, 1, .read = read_read_timeout },
    { "proxy_redirect", IN_LEVELS, 1, 2, .read = read_redirect },
    { "proxy_send_timeout", IN_LEVELS, 1, 1, .read = read_send_timeout },
    { "proxy_set_header", IN_LEVELS, 2, 2, .read = read_set_header },
    { "random", IN_UPSTREAM, 0, 2, .read = nginx_read_random },
    { "return", IN_SERVER | IN_LOCATION, 1, 2, .read = nginx_read_return },
    { "rewrite", IN_SERVER | IN_LOCATION, 2, 3, .read = nginx_read_rewrite },
    { "server", IN_UPSTREAM, 1, MANY, .read = nginx_read_peer },
    { "server", IN_HTTP, 0, 0, .block = true, .read = nginx_read_server },
    { "server_name", IN_SERVER, 1, MANY, .read = nginx_read_server_name },
    { "set", IN_SERVER | IN_LOCATION, 2, 2, .read = read_set },
    { "upstream", IN_HTTP, 1, 1, .block = true, .read = nginx_read_upstream },

    /* Files are not served; where a location asks for nothing else, that is an error. */
    { "alias", IN_LOCATION, 1, 1, .read = nginx_read_files },
    { "autoindex", IN_LEVELS, 1, 1, .read = nginx_read_files },
    { "index", IN_LEVELS, 1, MANY, .read = nginx_read_files },
    { "root", IN_LEVELS, 1, 1, .read = nginx_read_root },

    /* Left out, and nothing is lost. */
    { "absolute_redirect", .contexts = IN_LEVELS, 1, 1 },
    { "accept_mutex", .contexts = IN_EVENTS, 1, 1 },
    { "aio", .contexts = IN_LEVELS, 1, 1 },
    { "charset", .contexts = IN_LEVELS, 1, 1 },
    { "client_body_buffer_size", .contexts = IN_LEVELS, 1, 1 },
    { "client_body_in_file_only", .contexts = IN_LEVELS, 1, 1 },
    { "client_body_temp_path", .contexts = IN_LEVELS, 1, 4 },
    { "client_body_timeout", .contexts = IN_LEVELS, 1, 1 },
    { "client_header_buffer_size", .contexts = IN_LEVELS, 1, 1 },
    { "daemon", .contexts = IN_MAIN, 1, 1 },
    { "directio", .contexts = IN_LEVELS, 1, 1 },
    { "events", IN_MAIN, 0, 0, .block = true },
    { "fastcgi_temp_path", .contexts = IN_LEVELS, 1, 4 },
    { "ignore_invalid_headers", .contexts = IN_HTTP | IN_SERVER, 1, 1 },
    { "keepalive", .contexts = IN_UPSTREAM, 1, 1 },
    { "keepalive_disable", .contexts = IN_LEVELS, 1, MANY },
    { "keepalive_requests", .contexts = IN_LEVELS | IN_UPSTREAM, 1, 1 },
    { "keepalive_time", .contexts = IN_LEVELS | IN_UPSTREAM, 1, 1 },
    { "keepalive_timeout", .contexts = IN_UPSTREAM, 1, 1 },
    { "lingering_close", .contexts = IN_LEVELS, 1, 1 },
    { "lingering_time", .contexts = IN_LEVELS, 1, 1 },
    { "lingering_timeout", .contexts = IN_LEVELS, 1, 1 },
    { "log_format", .contexts = IN_HTTP, 2, MANY },
    { "log_not_found", .contexts = IN_LEVELS, 1, 1 },
    { "master_process", .contexts = IN_MAIN, 1, 1 },
    { "multi_accept", .contexts = IN_EVENTS, 1, 1 },
    { "open_file_cache", .contexts = IN_LEVELS, 1, 2 },
    { "open_file_cache_errors", .contexts = IN_LEVELS, 1, 1 },
    { "open_file_cache_min_uses", .contexts = IN_LEVELS, 1, 1 },
    { "open_file_cache_valid", .contexts = IN_LEVELS, 1, 1 },
    { "output_buffers", .contexts = IN_LEVELS, 2, 2 },
    { "pcre_jit", .contexts = IN_MAIN, 1, 1 },
    { "pid", .contexts = IN_MAIN, 1, 1 },
    { "port_in_redirect", .contexts = IN_LEVELS, 1, 1 },
    { "postpone_output", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_buffer_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_buffering", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_buffers", .contexts = IN_LEVELS, 2, 2 },
    { "proxy_busy_buffers_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_cache_bypass", .contexts = IN_LEVELS, 1, MANY },
    { "proxy_headers_hash_bucket_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_headers_hash_max_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_http_version", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_ignore_headers", .contexts = IN_LEVELS, 1, MANY },
    { "proxy_max_temp_file_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_no_cache", .contexts = IN_LEVELS, 1, MANY },
    { "proxy_pass_header", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_request_buffering", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_socket_keepalive", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_temp_file_write_size", .contexts = IN_LEVELS, 1, 1 },
    { "proxy_temp_path", .contexts = IN_LEVELS, 1, 4 },
    { "reset_timedout_connection", .contexts = IN_LEVELS, 1, 1 },
    { "resolver", .contexts = IN_LEVELS | IN_UPSTREAM, 1, MANY },
    { "resolver_timeout", .contexts = IN_LEVELS | IN_UPSTREAM, 1, 1 },
    { "rewrite_log", .contexts = IN_LEVELS, 1, 1 },
    { "scgi_temp_path", .contexts = IN_LEVELS, 1, 4 },
    { "send_timeout", .contexts = IN_LEVELS, 1, 1 },
    { "sendfile", .contexts = IN_LEVELS, 1, 1 },
    { "server_name_in_redirect", .contexts = IN_LEVELS, 1, 1 },
    { "server_names_hash_bucket_size", .contexts = IN_HTTP, 1, 1 },
    { "server_names_hash_max_size", .contexts = IN_HTTP, 1, 1 },
    { "server_tokens", .contexts = IN_LEVELS, 1, 1 },
    { "tcp_nodelay", .contexts = IN_LEVELS, 1, 1 },
    { "tcp_nopush", .contexts = IN_LEVELS, 1, 1 },
    { "timer_resolution", .contexts = IN_MAIN, 1, 1 },
    { "types", IN_LEVELS, 0, 0, .block = true },
    { "types_hash_bucket_size", .contexts = IN_LEVELS, 1, 1 },
    { "types_hash_max_size", .contexts = IN_LEVELS, 1, 1 },
    { "underscores_in_headers", .contexts = IN_HTTP | IN_SERVER, 1, 1 },
    { "use", .contexts = IN_EVENTS, 1, 1 },
    { "user", .contexts = IN_MAIN, 1, 2 },
    { "uwsgi_temp_path", .contexts = IN_LEVELS, 1, 4 },
    { "variables_hash_bucket_size", .contexts = IN_HTTP, 1, 1 },
    { "variables_hash_max_size", .contexts = IN_HTTP, 1, 1 },
    { "worker_connections", .contexts = IN_EVENTS, 1, 1 },
    { "worker_cpu_affinity", .contexts = IN_MAIN, 1, MANY },
    { "worker_priority", .contexts = IN_MAIN, 1, 1 },
    { "worker_processes", .contexts = IN_MAIN, 1, 1 },
    { "worker_rlimit_nofile", .contexts = IN_MAIN, 1, 1 },
    { "worker_shutdown_timeout", .contexts = IN_MAIN, 1, 1 },
    { "zone", .contexts = IN_UPSTREAM, 1, 2 },

    /* Left out, for they ask for what is done anyway. */
    { "auth_basic", IN_LEVELS, 1, 1, .only = "off" },
    { "chunked_transfer_encoding", IN_LEVELS, 1, 1, .only = "on" },
    { "expires", IN_LEVELS, 1, 2, .only = "off" },
    { "merge_slashes", IN_HTTP | IN_SERVER, 1, 1, .only = "on" },
    { "proxy_cache", IN_LEVELS, 1, 1, .only = "off" },
    { "proxy_ignore_client_abort", IN_LEVELS, 1, 1, .only = "off" },
    { "proxy_pass_request_body", IN_LEVELS, 1, 1, .only = "on" },
    { "proxy_pass_request_headers", IN_LEVELS, 1, 1, .only = "on" },
    { "satisfy", IN_LEVELS, 1, 1, .only = "all" },

    /* Left out, and that may be noticed. */
    { "error_log", IN_MAIN | IN_LEVELS, 1, 2, .left_out = logs_are_ours },
    { "etag", IN_LEVELS, 1, 1, .left_out = "no files are served" },
    { "gzip", IN_LEVELS, 1, 1, .left_out = "answers are passed on as they are; let the service compress them" },
    { "gzip_buffers", .contexts = IN_LEVELS, 2, 2 },
    { "gzip_comp_level", .contexts = IN_LEVELS, 1, 1 },
    { "gzip_disable", .contexts = IN_LEVELS, 1, MANY },
    { "gzip_http_version", .contexts = IN_LEVELS, 1, 1 },
    { "gzip_min_length", .contexts = IN_LEVELS, 1, 1 },
    { "gzip_proxied", .contexts = IN_LEVELS, 1, MANY },
    { "gzip_static", .contexts = IN_LEVELS, 1, 1 },
    { "gzip_types", .contexts = IN_LEVELS, 1, MANY },
    { "gzip_vary", .contexts = IN_LEVELS, 1, 1 },
    { "load_module", IN_MAIN, 1, 1, .left_out = "the gateway loads no modules" },
};

static const struct rule *find_rule(const char *name, enum nginx_context context)
{
    const struct rule *elsewhere = NULL;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (strcmp(rules[i].name, name) != 0)
            continue;
        if (rules[i].contexts & context)
            return &rules[i];
        elsewhere = &rules[i];
    }
    return elsewhere;
}

#define DO_WITHOUT "take it out if it can be done without, or keep nginx (--keep-nginx)"

static void tell_refused(struct nginx_block *block, const struct nginx_directive *directive, const char *only)
{
    const char *why = nginx_refused(nginx_arg(directive, 0));
    problem_error(block->config->problems, directive->place, "`%s` is understood with `%s` only: %s",
                  nginx_arg(directive, 0), only, why ? why : DO_WITHOUT);
}

static void tell_unknown(struct nginx_block *block, const struct nginx_directive *directive)
{
    const char *name = nginx_arg(directive, 0), *why = nginx_refused(name), *near = NULL;
    for (size_t i = 0; !why && i < ARRAY_LEN(rules); i++)
        if (rules[i].contexts & block->context)
            near = nearest_name(name, near, rules[i].name);
    if (near)
        problem_error(block->config->problems, directive->place, "`%s` is not understood; did you mean `%s`?", name,
                      near);
    else
        problem_error(block->config->problems, directive->place, "`%s` is not understood: %s", name,
                      why ? why : DO_WITHOUT);
}

static void tell_misplaced(struct nginx_block *block, const struct nginx_directive *directive, unsigned contexts)
{
    static const struct {
        enum nginx_context context;
        const char *name;
    } names[] = {
        { IN_HTTP, "http" },         { IN_SERVER, "server" }, { IN_LOCATION, "location" },
        { IN_UPSTREAM, "upstream" }, { IN_EVENTS, "events" },
    };
    const char *where = "outside of all blocks";
    for (size_t i = ARRAY_LEN(names); i-- > 0;)
        if (contexts & names[i].context)
            where = pool_printf(block->config->pool, "inside of `%s { … }`", names[i].name);
    problem_error(block->config->problems, directive->place, "`%s` may not stand here; it stands %s",
                  nginx_arg(directive, 0), where);
}

static void tell_left_out(struct nginx_block *block, const struct nginx_directive *directive, const char *why)
{
    struct nginx_config *config = block->config;
    const char *value = directive->len > 1 ? nginx_arg(directive, 1) : "";
    if (!why || strcmp(value, "off") == 0 || node_entry(config->told, nginx_arg(directive, 0)))
        return;
    nginx_put(block, config->told, nginx_arg(directive, 0), nginx_text_node(block, &directive->words[0]));
    problem_warning(config->problems, directive->place, "`%s` is left out: %s", nginx_arg(directive, 0), why);
}

static void read_directive(struct nginx_block *block, const struct nginx_directive *directive)
{
    const struct rule *rule = find_rule(nginx_arg(directive, 0), block->context);
    size_t args = directive->len - 1;

    if (!rule)
        tell_unknown(block, directive);
    else if (!(rule->contexts & block->context))
        tell_misplaced(block, directive, rule->contexts);
    else if (directive->has_block != rule->block)
        problem_error(block->config->problems, directive->place,
                      rule->block ? "`%s` needs a block { … }" : "`%s` has no block { … }", rule->name);
    else if (args < rule->min || args > rule->max)
        problem_error(block->config->problems, directive->place, "`%s` takes %zu to %zu words, not %zu", rule->name,
                      rule->min, rule->max, args);
    else if (rule->read)
        rule->read(block, directive);
    else if (rule->only && strcmp(rule->only, nginx_arg(directive, 1)) != 0)
        tell_refused(block, directive, rule->only);
    else
        tell_left_out(block, directive, rule->left_out);
}

void nginx_read_block(struct nginx_block *block, const struct nginx_directive *first)
{
    for (int blocks = 0; blocks < 2; blocks++)
        for (const struct nginx_directive *directive = first; directive; directive = directive->next)
            if (directive->has_block == (blocks == 1))
                read_directive(block, directive);
}

void nginx_config_read(struct nginx_config *config, const struct nginx_directive *directives)
{
    config->told = node_new(config->pool, NODE_MAP, (struct place){ 0 });
    config->ignored = node_new(config->pool, NODE_MAP, (struct place){ 0 });
    config->upstreams_end = &config->upstreams;
    config->servers_end = &config->servers;
    nginx_read_block(&(struct nginx_block){ .config = config, .context = IN_MAIN }, directives);
}
