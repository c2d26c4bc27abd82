/* SPDX-License-Identifier: MIT
 *
 * Configurations of nginx's: how they are read, what they become, and what is refused with its place.
 */
#include "story.h"

#include "base/board.h"
#include "base/clock.h"
#include "base/template.h"

/* Loads that file as `daruma gateway --nginx-conf nginx.conf` does. */
static void load_conf(struct story *story, const char *text)
{
    story_file(story, "nginx.conf", text);
    story->request.nginx_conf = "nginx.conf";
    story_load(story);
}

static void must_load_conf(struct story *story, const char *text)
{
    load_conf(story, text);
    if (story->result != 0)
        fail_msg("%s", story->told);
}

/* One server at port 80 with these directives. */
#define SERVER(text) "http { server { " text " } }"

/* --- the syntax ------------------------------------------------------------------------------------------------- */

static void words_are_read_as_nginx_reads_them(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(&story, "# a comment; with { signs }\n"
                           "http{server{listen 81;location /a{return 200 \"quoted; \\\"text\\\" # {here}\\n\";}\r\n"
                           "location /b { return 200 'its'\n ; }\n"
                           "location\n/c\n{\nreturn 200 plain#text\\;\\x;}\n"
                           "location /d { return 200 \"\"; } location /e{return 301 /x/${http_a}b$http_c;}}}");
    const struct spec_route *routes = story.spec->listeners[0].routes;
    assert_int_equal(story.spec->listeners[0].port, 81);
    assert_string_equal(routes[0].page.body, "quoted; \"text\" # {here}\n");
}

static void what_is_malformed_is_told_with_its_place(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *told;
    } cases[] = {
        { "http {\n  server {\n}\n", "nginx.conf:1:1: the block of `http` is not closed" },
        { "http {\n}\n  }", "nginx.conf:3:3: unexpected `}`" },
        { "http { ; }", "nginx.conf:1:8: unexpected `;`" },
        { "{ }", "nginx.conf:1:1: unexpected `{`" },
        { "http {\n listen 80 }", "nginx.conf:2:2: `listen` does not end" },
        { "user www", "nginx.conf:1:6: a `;` or `{` is missing" },
        { "user \"www;", "nginx.conf:1:6: this quote is not closed" },
        { "user 'www'x;", "nginx.conf:1:11: behind a closing quote" },
        { "http { include nowhere.conf; }", "nginx.conf:1:16: there is no file " },
        { "include nginx.conf;", "do they go in circles?" },
        { "http { include; }", "names one file or one pattern" },
        { "\"\xc3\xa4\xc3\xb6\" 'x", "nginx.conf:1:6: this quote" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        STORY story = { 0 };
        load_conf(&story, cases[i].text);
        if (story.result == 0 || !strstr(story.told, cases[i].told))
            fail_msg("%s: %s", cases[i].text, story.told);
    }
}

static void files_are_included_in_their_order(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "conf.d/b.conf", "server { listen 82; location / { return 204; } }");
    story_file(&story, "conf.d/a.conf", "server { listen 81; include part; }");
    story_file(&story, "conf.d/c.txt", "nonsense");
    story_file(&story, "part", "location / { return 200 part; }");
    must_load_conf(&story, "http { include mime.types; include conf.d/*.conf; include none/*.conf; }");
    assert_int_equal(story.spec->listeners_len, 2);
    assert_int_equal(story.spec->listeners[0].port, 81);
    assert_string_equal(story.spec->listeners[0].routes[0].page.body, "part");

    STORY wrong = { 0 };
    story_file(&wrong, "part", "\nlisten 80;\n");
    load_conf(&wrong, "http {\n  include part;\n}");
    assert_non_null(strstr(wrong.told, "part:2:1: `listen` may not stand here"));
    assert_non_null(strstr(wrong.told, "included at "));
}

/* --- what it becomes -------------------------------------------------------------------------------------------- */

static void an_upstream_is_what_a_route_leads_to(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(
        &story, "http {\n"
                "  upstream app { least_conn; keepalive 8; server 10.0.0.1:5000 weight=3 max_fails=1 fail_timeout=5s;\n"
                "    server 10.0.0.2; server unix:/run/app.sock backup max_conns=7; server 10.0.0.3 down; }\n"
                "  proxy_connect_timeout 1s; proxy_read_timeout 1m;\n"
                "  server { location / { proxy_pass http://app; client_max_body_size 8k;\n"
                "    proxy_next_upstream error timeout http_500 http_404; proxy_next_upstream_tries 2; } } }");
    const struct spec *spec = story.spec;
    const struct spec_route *route = &spec->listeners[0].routes[0];
    assert_int_equal(spec->listeners[0].port, 80);
    assert_int_equal(route->to_len, 3);
    assert_string_equal(route->to[0].name, "10.0.0.1:5000");
    assert_string_equal(route->to[1].name, "10.0.0.2:80");
    assert_true(route->to[0].weight == 3 && route->to[1].weight == 1 && route->to[2].backup);
    assert_int_equal(route->balance.placement, BOARD_LEAST_INFLIGHT);
    assert_int_equal(spec->outside_len, 3);
    assert_string_equal(spec->outside[2].host, "/run/app.sock");
    assert_int_equal(spec->outside[2].max_inflight, 7);
    assert_int_equal(route->connect_timeout_ns, NS_PER_S);
    assert_int_equal(route->response_timeout_ns, 60 * NS_PER_S);
    assert_int_equal(route->body_limit, 8192);
    assert_int_equal(route->attempts, 2);
    assert_int_equal(route->retry_on, BOARD_RETRY_ERROR | BOARD_RETRY_TIMEOUT | BOARD_RETRY_500 | BOARD_RETRY_404);
    assert_true(!route->forwarded && !route->via);
    assert_string_equal(route->request.set[0], "Host: app");
}

static void what_counts_for_clients_is_the_listeners(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(&story, "http { access_log off; access_log logs/access.log main; keepalive_timeout 65 60;\n"
                           "  large_client_header_buffers 4 4k; proxy_next_upstream_timeout 5s;\n"
                           "  server { client_header_timeout 10s; location / { proxy_pass http://10.0.0.1; } }\n"
                           "  server { listen 81; location / { return 444; } } }");
    const struct spec_listener *first = &story.spec->listeners[0];
    assert_int_equal(first->limits.keep_alive_ns, 65 * NS_PER_S);
    assert_int_equal(first->limits.header_timeout_ns, 10 * NS_PER_S);
    assert_int_equal(first->limits.target_size, 4096);
    assert_int_equal(first->limits.header_size, 16384);
    assert_int_equal(first->routes[0].retry_timeout_ns, 5 * NS_PER_S);
    assert_int_equal(first[1].routes[0].page.status, 444);
    assert_int_equal(story.spec->access_log.format, BOARD_ACCESS_COMBINED);
    assert_memory_equal(story.spec->access_log.path, story.folder, strlen(story.folder));
    assert_string_equal(story.spec->access_log.path + strlen(story.folder), "/logs/access.log");

    STORY many = { 0 };
    must_load_conf(&many, SERVER("large_client_header_buffers 1024 999999999999999k; return 204;"));
    assert_int_equal(many.spec->listeners[0].limits.header_size, BOARD_HEADER_SIZE);

    STORY none = { 0 };
    must_load_conf(&none, "http { access_log /dev/stdout; server { return 204; } }");
    assert_non_null(strstr(none.told, "`access_log` is left out"));
    assert_int_equal(none.spec->access_log.format, BOARD_ACCESS_NONE);
}

static const struct spec_route *route_of(const struct spec_listener *listener, const char *host, const char *path)
{
    for (size_t i = 0; i < listener->routes_len; i++)
        if (strcmp(listener->routes[i].host, host) == 0 && strcmp(listener->routes[i].path, path) == 0)
            return &listener->routes[i];
    fail_msg("no route for %s%s", host, path);
    return NULL;
}

static void names_and_locations_become_routes(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(
        &story,
        "http {\n"
        "  server { listen 8080; server_name a.test .b.test; location / { return 204; }\n"
        "    location = /x { return 410; } location ^~ /y/ { proxy_pass http://10.0.0.1/z/; }\n"
        "    location ~* \\.PNG$ { return 404; } }\n"
        "  server { listen 8080 default_server; server_name _; location /only { return 204; } }\n"
        "  server { listen 8080; server_name a.test; location / { return 500; } }\n"
        "  server { listen [::]:8081 default_server; listen 127.0.0.1:8082; return 301 https://$host$request_uri; }\n"
        "}");
    const struct spec *spec = story.spec;
    const struct spec_listener *listener = &spec->listeners[0];
    assert_int_equal(spec->listeners_len, 3);
    assert_int_equal(route_of(listener, "a.test", "/")->page.status, 204);
    assert_int_equal(route_of(listener, "*.b.test", "/x")->match, SPEC_EXACT);
    assert_string_equal(route_of(listener, "b.test", "/y/")->replace, "/z/");
    assert_true(route_of(listener, "b.test", "/y/")->first);
    assert_int_equal(route_of(listener, "b.test", "/y")->page.status, 301);
    assert_int_equal(route_of(listener, "a.test", "(?i)\\.PNG$")->match, SPEC_REGEX);
    /* The default server answers to all other names; what it has no location for is not there. */
    assert_int_equal(route_of(listener, "", "/only")->page.status, 204);
    assert_int_equal(route_of(listener, "", "")->page.status, 404);
    assert_non_null(strstr(story.told, "6:37: warning: a server before has the name `a.test` already"));
    assert_string_equal(spec->listeners[1].host, "::");
    assert_string_equal(spec->listeners[2].host, "127.0.0.1");
    assert_int_equal(spec->listeners[2].routes[0].action, SPEC_REDIRECT);
}

static void lists_are_inherited_as_a_whole(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(&story,
                   "http { proxy_set_header X-A http; proxy_set_header Host $host; add_header X-L http always;\n"
                   "  server { location /mine { proxy_pass http://10.0.0.1; proxy_set_header X-B mine; }\n"
                   "    location /theirs { proxy_pass http://10.0.0.1; add_header X-L own; }\n"
                   "    location /none { proxy_pass http://10.0.0.1; proxy_set_header Accept \"\"; } } }");
    const struct spec_listener *listener = &story.spec->listeners[0];
    const struct spec_route *mine = route_of(listener, "", "/mine"), *theirs = route_of(listener, "", "/theirs");
    assert_string_equal(mine->request.set[0], "X-B: mine");
    assert_string_equal(mine->request.set[1], "Host: 10.0.0.1");
    assert_string_equal(mine->response.add[0], "X-L: http");
    assert_string_equal(theirs->request.set[0], "X-A: http");
    assert_string_equal(theirs->response.add_on_success[0], "X-L: own");
    assert_null(theirs->response.add[0]);
    assert_string_equal(route_of(listener, "", "/none")->request.remove[0], "Accept");
}

static void inner_locations_stand_beside_the_outer_one(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(&story,
                   "http { server { location ~ c { return 204; }\n"
                   "  location /a/ { proxy_set_header X outer; proxy_pass http://10.0.0.1;\n"
                   "    location /a/b { proxy_pass http://10.0.0.2; } location ~* ^/a/(c)|d$ { return 200 x; } }\n"
                   "  location /a/e.f/ { deny all; location /a/e.f/g { allow all; proxy_pass http://10.0.0.1; } }\n"
                   "  location ^~ /h { return 204; location /h/i { return 205; } } } }");
    const struct spec_listener *listener = &story.spec->listeners[0];
    assert_string_equal(route_of(listener, "", "/a/b")->request.set[0], "X: outer");
    const struct spec_route *regex = route_of(listener, "", "^(?=/a/)(?!/a/e\\.f/)[\\s\\S]*?(?i:^/a/(c)|d$)");
    assert_true(regex < route_of(listener, "", "c")); /* it is asked first */
    assert_int_equal(route_of(listener, "", "/a/e.f/")->page.status, 403);
    assert_int_equal(route_of(listener, "", "/a/e.f/g")->action, SPEC_FORWARD);
    assert_true(route_of(listener, "", "/h/i")->first);
}

static void hosts_that_are_sent_elsewhere_are_routes(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(
        &story, "http { server { server_name a.test www.a.test;\n"
                "  if ($host = www.a.test) { return 301 https://a.test$request_uri; } location / { return 204; } } }");
    const struct spec_listener *listener = &story.spec->listeners[0];
    assert_string_equal(route_of(listener, "a.test", "/")->host, "a.test");
    assert_int_equal(route_of(listener, "www.a.test", "")->action, SPEC_REDIRECT);
    assert_int_equal(route_of(listener, "", "/")->page.status, 204);
    assert_int_equal(listener->routes_len, 3);
}

static void errors_are_answered_by_locations_with_names(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(
        &story, "http { default_type application/octet-stream; server { error_page 502 = @down; error_page 504 @down;\n"
                "  error_page 404 = @home; location / { proxy_pass http://10.0.0.1; add_header X y; }\n"
                "  location @down { default_type application/json; add_header Retry-After 7 always; add_header A b;\n"
                "    return 503 '{}'; }\n"
                "  location @home { return 302 /home; } location /t { return 200 t; } } }");
    const struct spec_route *route = route_of(&story.spec->listeners[0], "", "/");
    assert_int_equal(route->errors_len, 3);
    assert_int_equal(route->errors[0].page.status, 503);
    assert_int_equal(route->errors[0].page.retry_after_s, 7);
    assert_string_equal(route->errors[0].page.type, "application/json");
    assert_int_equal(route->errors[1].page.status, 0);
    assert_string_equal(route->errors[2].location, "/home");
    assert_non_null(strstr(story.told, "`add_header A` is left out"));
    assert_string_equal(route_of(&story.spec->listeners[0], "", "/t")->page.type, "text/plain; charset=utf-8");
}

static void where_a_service_sends_clients_is_rewritten(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(
        &story,
        "http { server { location /a/ { proxy_pass http://10.0.0.1/b/; } location /c { proxy_pass http://10.0.0.1; }\n"
        "  location /d { proxy_pass http://10.0.0.1; proxy_redirect off; }\n"
        "  location /e { proxy_pass http://10.0.0.1; proxy_redirect http://x/ /e/; proxy_redirect default; }\n"
        "  location /f { set $u 10.0.0.1; proxy_pass http://$u; } } }");
    const struct spec_listener *listener = &story.spec->listeners[0];
    assert_string_equal(route_of(listener, "", "/a/")->response.locations[0], "http://10.0.0.1/b/\n/a/");
    assert_string_equal(route_of(listener, "", "/c")->response.locations[0], "http://10.0.0.1/\n/");
    assert_null(route_of(listener, "", "/d")->response.locations[0]);
    assert_string_equal(route_of(listener, "", "/e")->response.locations[0], "http://x/\n/e/");
    assert_string_equal(route_of(listener, "", "/e")->response.locations[1], "http://10.0.0.1/\n/");
    assert_null(route_of(listener, "", "/f")->response.locations[0]);
}

static void a_path_with_variables_is_the_whole_path(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(&story,
                   "http { server { location ~ ^/a/(.*)$ { proxy_pass http://10.0.0.1/$1$is_args$args; }\n"
                   "  location ~* b(.) { proxy_pass http://10.0.0.1/x$1; } location /c { set $u http://10.0.0.1:81;\n"
                   "    proxy_pass $u$request_uri; } location /d { set $u http://10.0.0.1/e; proxy_pass $u; }\n"
                   "  set $o 10.0.0.1; location /f { set $p 82; proxy_pass http://$o:$p; } } }");
    const struct spec_listener *listener = &story.spec->listeners[0];
    const struct spec_route *kept = route_of(listener, "", "^/a/(.*)$"), *dropped = route_of(listener, "", "(?i)b(.)");
    const struct spec_route *same = route_of(listener, "", "/c"), *fixed = route_of(listener, "", "/d");
    assert_string_equal(kept->rules[0].regex, "^/a/(.*)$");
    assert_int_equal(kept->rules[0].to[strlen(kept->rules[0].to) - 1], TEMPLATE_CLOSE);
    assert_string_equal(dropped->rules[0].regex, "(?i)b(.)");
    assert_int_equal(dropped->rules[0].to[strlen(dropped->rules[0].to) - 1], '?');
    assert_true(same->rules_len == 0 && !same->replace);
    assert_string_equal(same->to[0].name, "10.0.0.1:81");
    assert_string_equal(fixed->rules[0].to, "/e?");
    assert_string_equal(route_of(listener, "", "/f")->to[0].name, "10.0.0.1:82");
}

/* --- what is not understood ------------------------------------------------------------------------------------- */

static void what_is_not_understood_is_told_with_its_place(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *told;
    } cases[] = {
        { SERVER("proxy_cache x;"),
          "nginx.conf:1:17: `proxy_cache` is understood with `off` only: the gateway keeps no" },
        { SERVER("limit_req zone=a;"), "nginx.conf:1:17: `limit_req` is not understood: take it out and write" },
        { SERVER("frobnicate_all_of_it on;"), "or keep nginx (--keep-nginx)" },
        { SERVER("proxy_redirect ~^/a /b;"), "`proxy_redirect` is understood as `off`, `default`" },
        { SERVER("proxy_redirect on;"), "`proxy_redirect` is understood as `off`, `default`" },
        { SERVER("merge_slashes off;"), "`merge_slashes` is understood with `on` only" },
        { SERVER("locatoin / { }"), "did you mean `location`?" },
        { SERVER("listen 443 ssl;"), "`listen … ssl` is not understood: the gateway speaks plain HTTP" },
        { SERVER("listen 80 proxy_protocol;"), "`listen … proxy_protocol` is not understood" },
        { SERVER("listen unix:/x;"), "is no address that can be listened at" },
        { SERVER("location / { root /srv; }"), "nginx.conf:1:30: this location has neither" },
        { SERVER("location / { proxy_pass https://a; }"), "plain HTTP to services" },
        { SERVER("location / { proxy_pass http://$host; }"), "a fixed service only" },
        { SERVER("location ~ (?<s>x) { proxy_pass http://$s:80/; }"), "a fixed service only" },
        { SERVER("location / { rewrite a /b break; proxy_pass http://10.0.0.1/$uri; }"), "together with `rewrite`" },
        { SERVER("location / { proxy_pass a; }"), "begins with http://" },
        { SERVER("location ~ x { proxy_pass http://10.0.0.1/y; }"), "cannot have a path" },
        { SERVER("location /x { location /y { } }"), "begins with that of the one around it" },
        { SERVER("location ~ x { location /y { } }"), "inside of one with a plain path only" },
        { SERVER("location /x { location ^~ /x/y { } }"), "together with the ^~" },
        { SERVER("location ^~ /x { location ~ y { } }"), "together with the ^~" },
        { SERVER("location /x { location @y { } }"), "with a name stands in a server" },
        { SERVER("location / { allow 10.0.0.0/8; deny all; return 204; }"), "`allow` is understood with `all` only" },
        { SERVER("location * / { }"), "none of the signs" },
        { SERVER("location ~ ( { return 204; }"), "is no regular expression" },
        { SERVER("location / { if ($host = x) { return 204; } }"), "`if` is understood as" },
        { SERVER("if ($host ~ x) { return 204; }"), "`if` is understood as" },
        { SERVER("if ($host = x) { rewrite a /b; }"), "`if` is understood as" },
        { SERVER("rewrite a /b; if ($host = x) { return 204; }"), "`if` is understood as" },
        { SERVER("location / { return 204; proxy_set_header X $nothing; proxy_pass http://10.0.0.1; }"), NULL },
        { SERVER("location / { proxy_set_header X $nothing; proxy_pass http://10.0.0.1; }"),
          "nginx.conf:1:49: the variable `$nothing` is not understood here" },
        { SERVER("location / { proxy_set_header Content-Length 1; proxy_pass http://10.0.0.1; }"),
          "written by the gateway itself" },
        { SERVER("location / { return 99; }"), "between 200 and 599" },
        { SERVER("location / { return 200 $host; }"), "without variables only" },
        { SERVER("location / { rewrite ( /x; return 204; }"), "is no regular expression" },
        { SERVER("location / { rewrite x /$http_a; return 204; }"), "no gap that may hold one" },
        { SERVER("location / { rewrite x /y again; return 204; }"), "none of last, break" },
        { SERVER("error_page 502 @x; location / { proxy_pass http://10.0.0.1; } location @x { proxy_pass "
                 "http://10.0.0.2; }"),
          "`server … backup` of its upstream" },
        { SERVER("set $x $host;"), "for a fixed text only" },
        { SERVER("client_max_body_size lots;"), "`lots` is no size" },
        { SERVER("proxy_read_timeout soon;"), "`soon` is no time" },
        { SERVER("proxy_intercept_errors yes;"), "is `on` or `off`" },
        { SERVER("proxy_next_upstream never;"), "no reason to try" },
        { SERVER("proxy_hide_header;"), "takes 1 to 1 words, not 0" },
        { SERVER("server_name { }"), "has no block" },
        { "http { server x; }", "needs a block" },
        { "http { upstream a { } }", "has no `server`" },
        { "http { upstream a { server b; } upstream a { server c; } }", "stands already in line 1" },
        { "http { upstream a { server b weight=0; } }", "`weight=0` of a server" },
        { "http { upstream a { server b slow_start=1s; } }", "`slow_start=1s` of a server" },
        { "http { upstream a { server 10.0.0.1; hash $request_method; } server { location / { proxy_pass http://a; } } "
          "}",
          "a hash is understood of" },
        { "http { map $a $b { } }", "`map` is not understood" },
        { "listen 80;", "`listen` may not stand here; it stands inside of `server { … }`" },
        { "stream { }", "`stream` is not understood" },
        { "events { }", "no server of this configuration listens" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        STORY story = { 0 };
        load_conf(&story, cases[i].text);
        if (cases[i].told && (story.result == 0 || !strstr(story.told, cases[i].told)))
            fail_msg("%s: %s", cases[i].text, story.told);
    }
}

static void what_is_left_out_is_told_once(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    must_load_conf(&story,
                   "user www; worker_processes auto; events { worker_connections 9; }\n"
                   "http { sendfile on; gzip on; gzip_types a b; map $http_upgrade $c { default upgrade; '' close; }\n"
                   "server { gzip on; location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;\n"
                   "proxy_set_header Connection $c; proxy_pass http://10.0.0.1; } } }");
    assert_non_null(strstr(story.told, "nginx.conf:2:21: warning: `gzip` is left out"));
    assert_null(strstr(strstr(story.told, "gzip") + 4, "gzip"));
    assert_null(strstr(story.told, "sendfile"));
}

/* --- in a compose file ------------------------------------------------------------------------------------------ */

#define APP "  app: {image: app, hostname: web}\n"

static void a_service_that_is_nginx_is_taken_out(void **unused)
{
    (void)unused;
    STORY story = { .request.replace_nginx = true };
    story_file(&story, "compose.yaml",
               "services:\n  proxy:\n    image: docker.io/library/nginx:1.27-alpine\n"
               "    ports: [\"127.0.0.1:8080:80\"]\n    depends_on: [app]\n"
               "    volumes: [\"./conf:/etc/nginx/conf.d:ro\"]\n" APP "  other: {image: x, depends_on: [proxy]}\n");
    story_file(&story, "conf/default.conf", "server { listen 80; location / { proxy_pass http://web:5000; } }");
    story_load(&story);
    if (story.result != 0)
        fail_msg("%s", story.told);
    const struct spec *spec = story.spec;
    assert_null(spec_find_service(spec, "proxy"));
    assert_int_equal(spec_find_service(spec, "other")->depends_on_len, 0);
    assert_int_equal(spec->listeners_len, 1);
    assert_string_equal(spec->listeners[0].host, "127.0.0.1");
    assert_int_equal(spec->listeners[0].port, 8080);
    assert_string_equal(spec->listeners[0].routes[0].to[0].name, "app:5000");
    assert_int_equal(spec_find_service(spec, "app")->ports[0].target, 5000);
    assert_non_null(
        strstr(story.told, "warning: `proxy` is not started: the gateway does what its configuration says"));
}

static void the_configuration_that_its_command_names_counts(void **unused)
{
    (void)unused;
    STORY story = { .request.replace_nginx = true };
    story_file(&story, "compose.yaml",
               "services:\n  proxy: {image: nginx, ports: [\"8080:80\"], volumes: [\"./conf:/etc/nginx\"],\n"
               "    command: [nginx, -c, /etc/nginx/mine.conf, -g, \"daemon off;\"]}\n" APP);
    story_file(&story, "conf/nginx.conf", "http { server { location / { proxy_pass http://web:1; } } }");
    story_file(&story, "conf/mine.conf", "http { server { location / { proxy_pass http://web:2; } } }");
    story_load(&story);
    if (story.result != 0 || spec_find_service(story.spec, "proxy"))
        fail_msg("%s", story.told);
    assert_string_equal(story.spec->listeners[0].routes[0].to[0].name, "app:2");
}

static void an_nginx_stays_where_it_has_to(void **unused)
{
    (void)unused;
    static const struct {
        const char *service, *conf, *told;
        bool asked;
    } cases[] = {
        { "image: nginx, ports: [\"8080:80\"]", "location / { root /srv; }", "`proxy` stays in front", true },
        { "image: nginx, ports: [\"8080:80\"]", "location / { return 204; }", "", false },
        { "image: nginx", "location / { return 204; }", "", true },
        { "image: haproxy, ports: [\"8080:80\"]", "location / { return 204; }", "", true },
        { "image: nginx, command: sh, ports: [\"8080:80\"]", "location / { return 204; }", "", true },
        { "image: nginx, build: ., ports: [\"8080:80\"]", "location / { return 204; }", "", true },
        { "image: nginx, command: nginx -c /etc/nginx/other.conf, ports: [\"8080:80\"]", "location / { return 204; }",
          "", true },
        { "image: nginx, command: nginx -t, ports: [\"8080:80\"]", "location / { return 204; }", "", true },
        { "image: nginx, ports: [\"8080:80\"]}\n  x: {image: x, network_mode: \"service:proxy\"", "", "", true },
        { "image: nginx, ports: [\"8080:80\"]}\n  x: {image: x, links: [\"proxy:p\"]", "", "", true },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        STORY story = { .request.replace_nginx = cases[i].asked };
        char text[512];
        (void)snprintf(text, sizeof(text),
                       "services:\n  proxy: {volumes: [\"./nginx.conf:/etc/nginx/nginx.conf\"], %s}\n" APP,
                       cases[i].service);
        story_file(&story, "compose.yaml", text);
        (void)snprintf(text, sizeof(text), "http { server { %s } }", cases[i].conf);
        story_file(&story, "nginx.conf", text);
        story_load(&story);
        if (story.result != 0 || !spec_find_service(story.spec, "proxy") || !strstr(story.told, cases[i].told))
            fail_msg("%s: %s", cases[i].service, story.told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read_as_nginx_reads_them),
        cmocka_unit_test(what_is_malformed_is_told_with_its_place),
        cmocka_unit_test(files_are_included_in_their_order),
        cmocka_unit_test(an_upstream_is_what_a_route_leads_to),
        cmocka_unit_test(what_counts_for_clients_is_the_listeners),
        cmocka_unit_test(names_and_locations_become_routes),
        cmocka_unit_test(lists_are_inherited_as_a_whole),
        cmocka_unit_test(inner_locations_stand_beside_the_outer_one),
        cmocka_unit_test(hosts_that_are_sent_elsewhere_are_routes),
        cmocka_unit_test(errors_are_answered_by_locations_with_names),
        cmocka_unit_test(where_a_service_sends_clients_is_rewritten),
        cmocka_unit_test(a_path_with_variables_is_the_whole_path),
        cmocka_unit_test(what_is_not_understood_is_told_with_its_place),
        cmocka_unit_test(what_is_left_out_is_told_once),
        cmocka_unit_test(a_service_that_is_nginx_is_taken_out),
        cmocka_unit_test(the_configuration_that_its_command_names_counts),
        cmocka_unit_test(an_nginx_stays_where_it_has_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
