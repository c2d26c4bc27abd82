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
        location ~ ^/sent/.*app { absolute_redirect off; return 302 http://app\$request_uri; }
        location ~ ^/sent/.*third { return 301 http://third.example.org\$request_uri; }
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

# A request to both, asked by answers_are_the_same. More lines of a curl configuration may be given. OTHER/…: the second port.
ask() { # HOST PATH [LINE…]
    local port=PORT path=$2
    [[ $path != OTHER* ]] || { port=OTHER path=${path#OTHER}; }
    printf '%s\n' next silent include path-as-is 'max-time = 10' "header = \"Host: $1\"" \
        "url = \"http://127.0.0.1:@$port@$path\"" "write-out = \"\\n== $1 $2\\n\"" "${@:3}" >>requests
}

# What one of them answers to all of that: status, fields that the configuration decides about, and the echo, each line behind
# the number of its request. Redirects to the server itself are the same with and without its name.
answers() { # PORT OTHER-PORT
    sed "1d; s/@PORT@/$1/; s/@OTHER@/$2/" requests >requests-sent
    { curl -K requests-sent || true; } | tr -d '\r' |
        awk '{ printf "%03d %s\n", n, $0 } /^== / { n++ }' |
        sed -n "s/^\(... HTTP.1.1 [0-9]*\) .*/\1/; s/ HTTP.1.0$/ HTTP\/1.1/; s/:$1/:PORT/g; s/:$2/:OTHER/g
                s|^\(... Location: \)http://[a-z0-9.]*:PORT/|\1/|
                /^... \(HTTP\|== \|Location: \|X-[A-Z]\|Server-Note: \|text \|[A-Z]* .* HTTP\|[a-z-]* \)/p" |
        grep -v '^... X-Served-By: ' | LC_ALL=C sort
}

answers_are_the_same() {
    answers "$theirs" "$theirs_other" >theirs
    answers "$ours" "$ours_other" >ours
    [[ $(grep -c '^... == ' theirs) -eq $(grep -c '^next' requests) ]] || fail "not everything was answered: $(cat theirs)"
    diff theirs ours >differences || fail "the answers differ: $(cat differences; grep -hE "^($(sed -n 's/^[<>] \(...\) .*/\1/p' differences | sort -u | xargs | tr ' ' '|')) == " theirs)"
}

story_the_same_file_does_the_same_in_nginx_and_here() {
    local host path
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
        location /closed { return 444; }
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
        for path in / /only /only/x; do ask "$host" "$path"; done
    done
    for path in /exact /exact/ /exact?a=b /api /api/ /apix /api/x/y?z=1 /api/deep /api/deep/x /static/a.png /a.png /a.png?x /x/a.jpg/ \
        /CASE/abc /case/123 /u/42/x/y?z /u/x /headers /headers/a?q=1%202 /gone /text /moved /moved?x=1 /moved/307 /moved/307?a=b \
        /created /quiet /status/404 /status/503 /status/500 /errors/404 /errors/500 /errors/503 /errors/x /dead /wrong.html /closed //double//slash /a/../b /a/./b /api/../exact /%61pi/x /a%2fb; do
        ask main.example.org "$path"
    done
    ask main.example.org /headers 'header = "X-B: theirs"' 'header = "X-C: theirs"' 'header = "Cookie: a=b; sid=42"' \
        'header = "X-Forwarded-For: 10.1.2.3"' 'header = "Accept: text/x"'
    ask main.example.org / 'header = "X-A: theirs"' 'header = "X-Forwarded-Proto: https"' 'request = "DELETE"'
    ask main.example.org /text head
    ask main.example.org OTHER/x?y
    answers_are_the_same
    expect_exit 0 daruma -p project down
}

story_paths_are_rewritten_as_nginx_does() {
    local path
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
        ask one.example.org "$path"
    done
    ask one.example.org OTHER/x/y?z=1
    answers_are_the_same
    expect_exit 0 daruma -p project down
}

# What is found in front of other people's projects, beside the plain case.
story_what_people_write_does_the_same() {
    local path host
    both_start <<'END'
events {}
http {
    default_type application/octet-stream;
    proxy_pass_request_headers on;
    merge_slashes on;
    upstream app { server UP1; server UP2; }
    error_page 500 =503 @down;
    add_header X-Level http always;

    server {
        listen PORT default_server;
        server_name one.example.org www.example.org;
        if ($host = www.example.org) { return 301 http://one.example.org$request_uri; }
        if ( $host = "old.example.org" ) {
            return 410;
        }
        location / { proxy_pass http://app; proxy_intercept_errors on; }
        location ~ /\.git { deny all; }
        location /secret { deny all; error_page 403 =404 @missing; }
        location /sent/ { proxy_pass http://app/sent/; }
        location /sent/as-it-is/ { proxy_pass http://app/sent/; proxy_redirect off; }
        location /sent/away/ { proxy_pass http://app; proxy_redirect http://app/ http://other.example.org/; proxy_redirect default; proxy_redirect http://third.example.org /third; }
        location ~ /sent/re/ { proxy_pass http://app; }
        location /open { deny all; location /open/yes { allow all; proxy_pass http://app; } location /open/no { proxy_pass http://app; } }
        location /status {
            proxy_pass http://app;
            proxy_intercept_errors on;
            error_page 404 = @missing;
            error_page 500 @down;
            error_page 503 = @away;
        }
        location @missing { return 404 "text nothing here\n"; }
        location @down { default_type application/json; return 503 "text {\"down\": true}\n"; }
        location @away { return 302 /elsewhere; }

        location /nest/ {
            proxy_set_header X-B outer;
            proxy_pass http://app/outer/;
            location /nest/deep/ {
                proxy_pass http://app/deep/;
                location ~ ^/nest/deep/(\w+)\.x$ { proxy_set_header X-B "inner $1"; proxy_pass http://app; }
                location = /nest/deep/exact { return 200 "text exact\n"; }
            }
            location ~* \.PNG$ { proxy_pass http://app; }
            location ~ (a)(b)? { return 301 /found/$1/$2; }
        }
        location /nest/other.d/ { proxy_pass http://app/other/; }
        location ~ \.(png|x)$ { proxy_set_header X-B "flat $1"; proxy_pass http://app; }
        location ^~ /final/ { proxy_pass http://app/f/; location /final/in/ { proxy_pass http://app/in/; } }
        location /only/ { location /only/in { proxy_pass http://app; } }

        location ~ ^/all/(?<what>.*)$ { set $up http://UP1; proxy_pass $up/is/$what$is_args$args; }
        location ~ ^/few/(\w+)/(.*)$ { proxy_pass http://app/few/$2/$1; }
        location /as-it-is/ { set $up UP1; proxy_pass http://$up$request_uri; }
        location /fixed/ { set $up http://UP2; proxy_pass $up/always; }
        location /same/ { set $up http://UP2; proxy_pass $up; }
        location /query/ { proxy_pass http://app/q?from=$arg_id&by=$request_method; }
    }
    server {
        listen PORT;
        server_name two.example.org;
        deny all;
        location / { proxy_pass http://app; }
        location /told { return 200 "text told\n"; }
    }
}
END
    for path in /sent/app /sent/x/app?a=b /sent/third /sent/as-it-is/app /sent/away/app /sent/away/third /sent/re/app /sent/re/third \
        /.git/config /a/.git /secret /secret/x /open /open/yes /open/no /status/404 /status/500 /status/503 /status/x \
        /nest/ /nest/x /nest/deep/ /nest/deep/one.x /nest/deep/one.png /nest/deep/ONE.PNG /nest/one.x /nest/one.png /nest/deep/exact /nest/deep/exact/y \
        /nest/xa /nest/xab /nest/other.d/x /nest/other.d/a /nest/other.d/one.png /nest/other-d/a /nest/deep/ab /final/x /final/one.png /final/in/one.png /final/in/x /only/in /only/x \
        /all/a/b /all/a?q=1 /all/ /few/one/two /few/one/two/3?q=4 /as-it-is/x?y=z /fixed/x?y=z /same/x/y?z=1 /query/x?id=7\&b=2 '/query/%20x?id=a%20b'; do
        ask one.example.org "$path" 'header = "X-B: theirs"'
    done
    for host in www.example.org WWW.example.org:80 old.example.org one.example.org two.example.org unknown; do
        for path in / '/x/y?z=1' /told; do ask "$host" "$path"; done
    done
    answers_are_the_same
    assert_contains "$(curl -si -H "Host: one.example.org" "http://127.0.0.1:$ours/status/500")" "Content-Type: application/json" "default_type"
    expect_exit 0 daruma -p project down
}

# The nginx.conf of the first demonstration as people write it.
demonstration() { # UPSTREAM-1 UPSTREAM-2 LISTEN
    cat <<END
events {
    worker_connections 1024;
}

http {
    upstream app {
        server $1;
        server $2;
    }

    server {
        listen $3;

        location / {
            proxy_pass http://app;
            proxy_set_header Host \$host;
            proxy_set_header X-Real-IP \$remote_addr;
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_connect_timeout 1s;
            proxy_next_upstream error timeout http_500;
        }
    }
}
END
}

story_the_demonstrations_nginx_is_left_out_by_up() { # sanitized
    port=$(free_port)
    url=http://127.0.0.1:$port
    demonstration app1:5000 app2:5000 80 >nginx.conf
    compose <<END
services:
  nginx:
    image: nginx:latest
    container_name: nginx
    ports: ["127.0.0.1:$port:80"]
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    depends_on: [app1, app2]
  app1: &app
    hostname: instance-01
    restart: always
    deploy: {update_config: {monitor: 50ms}}
    x-daruma: {process: {command: ["$app"]}}
  app2:
    <<: *app
    hostname: instance-02
END
    expect_exit 2 daruma up -d --keep-nginx --runtime process
    assert_contains "$(cat err)" "nginx" "what is missing"
    up
    assert_contains "$(cat err)" '`nginx` is not started: the gateway does what its configuration says' "what is said"
    assert_eq "$(daruma ps --json | jq -r '[.[].service] | sort | join(" ")')" "app1 app2" "the services"
    load 200 2
    local i
    for i in 1 2 3; do
        sleep 0.5
        kill_instance app$((i % 2 + 1))-1
    done
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed requests"
    assert_eq "$(receipt '.instances | length')" 2 "who answered"
    # A deploy leaves it as it is.
    expect_exit 0 daruma deploy app1 -e X=2
    assert_eq "$(http_status "$url/")" 200
    # A change of the configuration is a change of the project.
    sed -i 's|location / {|location = /gone { return 410; }\n        location / {|' nginx.conf
    up
    assert_eq "$(http_status "$url/gone")" 410
    # One that is wrong changes nothing, and nginx cannot run here.
    sed -i 's|proxy_connect_timeout|proxy_conect_timeout|' nginx.conf
    expect_exit 2 daruma up -d
    assert_contains "$(cat err)" 'did you mean `proxy_connect_timeout`?' "the hint"
    assert_eq "$(http_status "$url/")" 200
    expect_exit 0 daruma down
}

story_the_gateway_runs_alone() {
    local up1 up2 first second
    up1=$(free_port) up2=$(free_port) port=$(free_port)
    url=http://127.0.0.1:$port
    PORT=$up1 HOST=127.0.0.1 HOSTNAME=one "$app" >/dev/null &
    first=$!
    PORT=$up2 HOST=127.0.0.1 HOSTNAME=two "$app" >/dev/null &
    second=$!
    demonstration "127.0.0.1:$up1" "localhost:$up2" "$port" >my.conf
    wait_for 5 curl -sf "http://127.0.0.1:$up1/health"
    wait_for 5 curl -sf "http://127.0.0.1:$up2/health"
    expect_exit 0 daruma -p alone gateway --nginx-conf my.conf --print
    assert_contains "$(cat out)" "connect_timeout: 1s" "the file in our words"
    expect_exit 0 daruma -p alone gateway --nginx-conf my.conf -d
    load 50 1
    sleep 0.4
    kill -KILL $first
    load_ended
    assert_eq "$(receipt .failed)" 0 "failed requests"
    assert_eq "$(receipt '.instances | length')" 2 "who answered"
    kill -KILL $second
    assert_eq "$(http_status "$url/")" 502
    sed -i "s/listen $port/listen $port; listen nowhere/" my.conf
    expect_exit 2 daruma -p alone gateway --nginx-conf my.conf -d
    sed -i "s/localhost:$up2/no-such-host.invalid:$up2/; s/; listen nowhere//" my.conf
    expect_exit 2 daruma -p alone gateway --nginx-conf my.conf -d
    assert_contains "$(cat err)" '`no-such-host.invalid`: no service has that name' "a name that is not found"
    expect_exit 0 daruma -p alone down
}
