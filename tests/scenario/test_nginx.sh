# SPDX-License-Identifier: MIT
#
# Configurations of nginx's: the gateway does with the same file what nginx itself does, held against a real one.

# nginx in its own folder, which is also its name: nginx_start NAME < CONFIGURATION
nginx_start() {
    command -v nginx >/dev/null || skip "there is no nginx"
    mkdir -p "$dir/$1/tmp"
    cat >"$dir/$1/nginx.conf"
    (cd / && exec nginx -p "$dir/$1" -e "$dir/$1/error.log" -c "$dir/$1/nginx.conf" \
        -g "daemon off; master_process off; pid $dir/$1/pid;") 2>>"$dir/$1/error.log" &
    wait_for 5 test -s "$dir/$1/pid"
}

# Where bodies and so on would lie, for an nginx of any user.
temp_paths() {
    local what
    for what in client_body proxy fastcgi uwsgi scgi; do echo "${what}_temp_path $dir/$1/tmp/$what;"; done
}

# An upstream that answers with what it was asked. /status/N answers with that status.
echo_start() { # PORT
    nginx_start "echo-$1" <<END
events {}
http {
    $(temp_paths "echo-$1")
    access_log off;
    default_type text/plain;
    server {
        listen 127.0.0.1:$1;
        large_client_header_buffers 4 16k;
        merge_slashes off;
        location = /status/404 { add_header X-Echo yes always; return 404; }
        location = /status/500 { add_header X-Echo yes always; return 500; }
        location = /status/503 { add_header X-Echo yes always; return 503; }
        location / {
            add_header X-Echo yes always;
            add_header Server-Note "of the upstream" always;
            return 200 "\$request
host \$http_host
x-real-ip \$http_x_real_ip
x-forwarded-for \$http_x_forwarded_for
x-forwarded-proto \$http_x_forwarded_proto
x-a \$http_x_a
x-b \$http_x_b
x-c \$http_x_c
accept \$http_accept
accept-encoding \$http_accept_encoding
upgrade \$http_upgrade
cookie \$http_cookie
";
        }
    }
}
END
}

# The configuration under test from standard input: nginx listens where it says PORT, the gateway elsewhere. UP1 and UP2 are
# upstreams, OTHER a second port.
both_start() {
    local text up1 up2
    up1=$(free_port) up2=$(free_port) theirs=$(free_port) ours=$(free_port) theirs_other=$(free_port) ours_other=$(free_port)
    echo_start "$up1"
    echo_start "$up2"
    text=$(sed "s/UP1/127.0.0.1:$up1/g; s/UP2/127.0.0.1:$up2/g")
    { sed "s/OTHER/$ours_other/g; s/PORT/$ours/g" <<<"$text"; } >nginx.conf
    { sed "s/OTHER/$theirs_other/g; s/PORT/$theirs/g" <<<"$text"; } | sed "s|^http {|http { access_log off; $(temp_paths under-test | tr -d '\n')|" |
        nginx_start under-test
    expect_exit 0 daruma gateway --nginx-conf nginx.conf -d
}

# What somebody at that port answers: status, fields that the configuration decides about, and the echo.
answer_of() { # PORT OTHER-PORT HOST PATH [CURL-OPTIONS…]
    local port=$1 other=$2 host=$3 path=$4
    shift 4
    [[ $path != OTHER* ]] || { port=$other path=${path#OTHER}; }
    curl -s -i --path-as-is --max-time 10 -H "Host: $host" "$@" "http://127.0.0.1:$port$path" | tr -d '\r' |
        sed -n "1s/ [A-Za-z].*//; s/ HTTP\/1\.0$/ HTTP\/1.1/; s/^Location: http:..$host:$port/Location: /; s/:$port/:PORT/g; s/:$other/:OTHER/g; s/\b$port\b/PORT/g; 1p; /^\(Location\|X-[A-Z].*\|Server-Note\|Retry-After\): /p; /^[A-Z]* .* HTTP/,\$p; /^text /p" |
        grep -v '^X-Served-By: ' | sort
}

# The same answer from both to one request; what differs is told, and counted.
same() { # HOST PATH [CURL-OPTIONS…]
    local a b
    a=$(answer_of "$theirs" "$theirs_other" "$@")
    b=$(answer_of "$ours" "$ours_other" "$@")
    [[ $a == "$b" ]] && return
    different=$((different + 1))
    printf '%s\n' "--- $*" "$(diff <(echo "$a") <(echo "$b"))"
}

story_the_same_file_does_the_same_in_nginx_and_here() {
    local host path different=0
    both_start <<'END'
events { worker_connections 64; }
http {
    upstream app { server UP1; server UP2; }
    upstream named { server UP1; keepalive 4; }
    proxy_set_header X-A http;
    add_header X-Level http;

    server {
        listen 127.0.0.1:PORT default_server;
        server_name main.example.org;

        location / { proxy_pass http://app; }
        location = /exact { proxy_pass http://app/changed/exact; }
        location /api { proxy_pass http://named/v2; }
        location /api/deep/ { proxy_pass http://named/; }
        location ^~ /static/ { proxy_pass http://named/s/; }
        location ~ \.(png|jpg)$ { proxy_pass http://app; add_header X-Image $1; }
        location ~* ^/Case/(?<word>[a-z]+) { return 301 /found/$word; }
        location ~ ^/u/(\d+)/(.*)$ {
            proxy_pass http://app;
            proxy_set_header X-B "$1:$2";
            proxy_set_header Host "user.$host";
        }
        location /headers {
            proxy_pass http://app;
            proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-B "$request_method $request_uri|$uri|$args|$server_name|$http_x_b|$cookie_sid|$arg_q";
            proxy_set_header X-C "";
            proxy_set_header Accept-Encoding "";
            proxy_hide_header X-Echo;
            add_header X-Seen "$host" always;
        }
        location /gone { return 410; }
        location /text { return 200 "text {plain}\n"; }
        location /moved { return 302 https://$host$request_uri; }
        location /moved/307 { return 307 /there$is_args$args; }
        location /errors {
            proxy_pass http://app/status;
            proxy_intercept_errors on;
            error_page 404 =200 /text;
            error_page 500 /wrong.html;
            error_page 503 http://elsewhere.example.org/down;
        }
        location /dead { proxy_pass http://127.0.0.1:1; error_page 502 /wrong.html; }
        location = /wrong.html { internal; return 200 "text of the error\n"; }
        location /created { return 201; }
        location /quiet { return 204; }
        location /status { proxy_pass http://app; add_header X-Always yes always; add_header X-Good yes; }
    }
    server {
        listen 127.0.0.1:PORT;
        server_name *.example.org;
        location / { proxy_pass http://app/wild; }
    }
    server {
        listen 127.0.0.1:PORT;
        server_name www.example.* .shop.test;
        location /only { proxy_pass http://app/tail; }
    }
    server {
        listen 127.0.0.1:PORT;
        server_name ~^r\d+\. regex.test;
        location / { proxy_pass http://app/regex/; }
    }
    server {
        listen 127.0.0.1:OTHER;
        return 301 http://main.example.org$request_uri;
    }
}
END
    for host in main.example.org MAIN.example.org:80 x.example.org www.example.net shop.test a.shop.test r12.x regex.test unknown; do
        for path in / /only /only/x; do same "$host" "$path"; done
    done
    for path in /exact /exact/ /exact?a=b /api /api/ /apix /api/x/y?z=1 /api/deep /api/deep/x /static/a.png /a.png /a.png?x /x/a.jpg/ \
        /CASE/abc /case/123 /u/42/x/y?z /u/x /headers /headers/a?q=1%202 /gone /text /moved /moved?x=1 /moved/307 /moved/307?a=b \
        /created /quiet /status/404 /status/503 /status/500 /errors/404 /errors/500 /errors/503 /errors/x /dead /wrong.html //double//slash /a/../b /a/./b /api/../exact /%61pi/x /a%2fb; do
        same main.example.org "$path"
    done
    same main.example.org /headers -H 'X-B: theirs' -H 'X-C: theirs' -H 'Cookie: a=b; sid=42' -H 'X-Forwarded-For: 10.1.2.3' -H 'Accept: text/x'
    same main.example.org / -H 'X-A: theirs' -H 'X-Forwarded-Proto: https' -X DELETE
    same main.example.org /text -I
    same main.example.org OTHER/x?y
    assert_eq "$different" 0 "different answers"
    expect_exit 0 daruma -p project down
}

story_paths_are_rewritten_as_nginx_does() {
    local path different=0
    both_start <<'END'
events {}
http {
    upstream app { server UP1; }
    server {
        listen PORT;
        server_name one.example.org;
        rewrite ^/first/(.*)$ /second/$1;
        rewrite ^/gone$ /now permanent;
        rewrite ^/chain/a /chain/b;
        rewrite ^/chain/b /third/from-chain last;
        location / { proxy_pass http://app; }
        location /second/ { rewrite ^/second/(\w+)$ /third/$1 last; proxy_pass http://app/s/; }
        location /third/ { proxy_pass http://app/t/; }
        location /stay/ { rewrite ^/stay/(?<rest>.*)$ /kept/$rest?x=1 break; proxy_pass http://app/ignored/; }
        location /drop/ { rewrite ^/drop/(.*)$ /dropped/$1? break; proxy_pass http://app; }
        location /away { rewrite ^/away/(.*) http://other.example.org/$1; return 410; }
        location /moved { rewrite ^/moved/(.*)$ /there/$1?from=moved redirect; return 410; }
        location /many { rewrite ^/many/a(.*)$ /many/b$1; rewrite ^/many/b(.*)$ /manyc$1; rewrite ^/manyc(.*) /many/x$1 break; proxy_pass http://app; }
        location /loop { rewrite ^ /loop/$uri last; }
        location /nothing { rewrite ^/nothing/(.*)$ /files/$1 break; }
        location ~ ^/re/(\d+)$ { rewrite ^/re/(.)(.*)$ /re/$2/$1 break; proxy_set_header X-B "$1-$2"; proxy_pass http://app; }
    }
    server {
        listen OTHER;
        rewrite ^(.*)$ http://one.example.org$1 permanent;
    }
}
END
    for path in /first/x /first/x/y?q=1 /gone /gone?a=b /chain/a/x /chain/b?z /second/word /second/word?q /second/two/words /third/x \
        /stay/a/b /stay/?q=2 /drop/x?y=1 /away/x?y=1 /away /moved/x /moved/x?y=1 /many/ace /many/be /many/x /loop/x /nothing/x /re/123 /re/x /plain; do
        same one.example.org "$path"
    done
    same one.example.org OTHER/x/y?z=1
    assert_eq "$different" 0 "different answers"
    expect_exit 0 daruma -p project down
}
