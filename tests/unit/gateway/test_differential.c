/* SPDX-License-Identifier: MIT
 *
 * Whatever the gateway forwards, an upstream must read as the same requests, one for one; and whatever an upstream
 * sends, each client must get its own answer or an error. The corpus of hostile.h goes through a real worker; at both
 * ends stand readers that are not ours (reader.h). nginx and HAProxy, where they are installed, have to read the same behind
 * us, and what they would have forwarded in our place is compared: a request that one of them refuses and we forward has
 * its reason in the table.
 */
#include "hostile.h"
#include "reader.h"

#include <netinet/tcp.h>

static struct reader reader;
static struct asker asker;

static void add_reader(struct rig *to)
{
    reader_start(&reader);
    assert_true(board_endpoint_add(to->board, to->service, "reader-1", &reader.address, clock_now()) >= 0);
    ring(to);
}

static int ready(void **unused)
{
    (void)unused;
    rig_start(&rig, &(struct rig_options){ .hold_ns = 5 * NS_PER_S });
    add_reader(&rig);
    return 0;
}

static int all_over(void **unused)
{
    (void)unused;
    rig_end(&rig);
    reader_end(&reader);
    return 0;
}

/* --- the corpus as bytes ---------------------------------------------------------------------------------------- */

/* The text with its "\1" replaced. To be freed. */
static char *expand(const char *text, size_t len, const char *unit, unsigned times, size_t *ret_len)
{
    const char *mark = times > 0 ? memchr(text, '\1', len) : NULL;
    size_t unit_len = strlen(unit ? unit : "a"), before = mark ? (size_t)(mark - text) : len;
    char *bytes = malloc(len + times * unit_len + 1);
    assert_non_null(bytes);
    memcpy(bytes, text, before);
    size_t at = before;
    for (unsigned i = 0; mark && i < times; i++, at += unit_len)
        memcpy(bytes + at, unit ? unit : "a", unit_len);
    if (mark) {
        memcpy(bytes + at, mark + 1, len - before - 1);
        at += len - before - 1;
    }
    *ret_len = at;
    return bytes;
}

/* How many whole answers a row of the table speaks of: its last word says what becomes of the connection. */
static unsigned count_answers(const char *answers)
{
    unsigned count = 0;
    for (const char *at = answers; *at; at++)
        count += *at == ' ';
    return strstr(answers, " cut") ? count - 1 : count;
}

/* --- one exchange ----------------------------------------------------------------------------------------------- */

/* Sends the bytes, takes up to `count` answers, and finds out with a further request whether the connection is kept. */
static void converse(uint16_t port, const char *bytes, size_t len, unsigned count, bool half_close)
{
    asker_open(&asker, port);
    asker.head = len > 4 && memcmp(bytes, "HEAD", 4) == 0;
    (void)put(asker.fd, bytes, len); /* may be refused before its end */
    if (half_close)
        (void)shutdown(asker.fd, SHUT_WR);
    asker_read(&asker, count);
    (void)pthread_mutex_lock(&reader.lock);
    static struct note reads;
    reads = reader.reads; /* without the request that follows */
    (void)pthread_mutex_unlock(&reader.lock);
    if (!asker.ended && !asker.silent) {
        static struct note answers;
        answers = asker.answers;
        asker.head = false;
        (void)puts_fd(asker.fd, "GET /again HTTP/1.1\r\nHost: t\r\n\r\n");
        asker_read(&asker, asker.whole + 1);
        bool kept = strcmp(asker.body.text, "/again") == 0 && !asker.ended;
        /* A wrong answer to that request stays in sight. */
        if (kept || asker.answers.len == answers.len)
            asker.answers = answers;
        asker.ended = !kept;
    }
    if (asker.answers.len > 0)
        note_put(&asker.answers, " ");
    note_put(&asker.answers, asker.silent ? "silence" : asker.ended ? "closed" : "kept");
    asker_close(&asker);
    (void)pthread_mutex_lock(&reader.lock);
    reader.reads = reads;
    (void)pthread_mutex_unlock(&reader.lock);
}

/* A stranger's request on a connection of its own gets its own answer: nothing was left behind by the one before. */
static bool stranger_is_served(uint16_t port)
{
    static unsigned number;
    char text[128], target[32];
    (void)snprintf(target, sizeof(target), "/stranger-%u", ++number);
    (void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: t\r\n\r\n", target);
    asker_open(&asker, port);
    assert_true(puts_fd(asker.fd, text));
    asker_read(&asker, 1);
    asker_close(&asker);
    return strcmp(asker.body.text, target) == 0;
}

/* --- requests --------------------------------------------------------------------------------------------------- */

static bool is_forwarded(const struct hostile_request *hostile)
{
    return hostile->reads[0] != '\0';
}

/* Through any front. `ret_reads` is what the upstream understood. */
static void send_hostile(uint16_t port, const struct hostile_request *hostile, struct note *ret_reads)
{
    size_t len;
    char *bytes = expand(hostile->text, hostile->len, hostile->unit, hostile->times, &len);
    reader_reset(&reader, NULL, 0, false);
    converse(port, bytes, len, count_answers(hostile->answers), hostile->half_close);
    free(bytes);
    (void)pthread_mutex_lock(&reader.lock);
    *ret_reads = reader.reads;
    (void)pthread_mutex_unlock(&reader.lock);
}

static void each_hostile_request_has_its_outcome(void **unused)
{
    (void)unused;
    static struct note reads;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(hostile_requests) / sizeof(hostile_requests[0]); i++) {
        const struct hostile_request *hostile = &hostile_requests[i];
        send_hostile(rig.port, hostile, &reads);
        if (strcmp(asker.answers.text, hostile->answers) != 0 || strcmp(reads.text, hostile->reads) != 0) {
            print_error("%s: the client got '%s' instead of '%s', the upstream read '%s' instead of '%s'\n",
                        hostile->name, asker.answers.text, hostile->answers, reads.text, hostile->reads);
            wrong++;
        }
        if (!stranger_is_served(rig.port)) {
            print_error("%s: the next client got '%s'\n", hostile->name, asker.answers.text);
            wrong++;
        }
        WAIT_FOR(rig.gauges->worker[0].connections == 0);
    }
    assert_int_equal(wrong, 0);
}

/* Bytes that come one by one are understood as those that come at once. */
static void a_hostile_request_in_pieces_has_the_same_outcome(void **unused)
{
    (void)unused;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(hostile_requests) / sizeof(hostile_requests[0]); i++) {
        const struct hostile_request *hostile = &hostile_requests[i];
        if (hostile->times > 0 || hostile->half_close)
            continue;
        reader_reset(&reader, NULL, 0, false);
        asker_open(&asker, rig.port);
        (void)setsockopt(asker.fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        for (size_t at = 0; at < hostile->len; at++)
            if (!put(asker.fd, hostile->text + at, 1))
                break;
        asker_read(&asker, count_answers(hostile->answers));
        asker_close(&asker);
        WAIT_FOR(rig.gauges->worker[0].connections == 0);
        (void)pthread_mutex_lock(&reader.lock);
        bool same = strcmp(reader.reads.text, hostile->reads) == 0 &&
                    strncmp(asker.answers.text, hostile->answers, asker.answers.len) == 0 && asker.answers.len > 0;
        if (!same)
            print_error("%s: in pieces '%s' and '%s'\n", hostile->name, asker.answers.text, reader.reads.text);
        (void)pthread_mutex_unlock(&reader.lock);
        wrong += !same;
    }
    assert_int_equal(wrong, 0);
}

/* --- responses -------------------------------------------------------------------------------------------------- */

static void each_hostile_response_has_its_outcome(void **unused)
{
    (void)unused;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(hostile_responses) / sizeof(hostile_responses[0]); i++) {
        const struct hostile_response *hostile = &hostile_responses[i];
        const char *ask = hostile->ask ? hostile->ask : "POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
        size_t len;
        char *bytes = expand(hostile->text, hostile->len, hostile->unit, hostile->times, &len);
        reader_reset(&reader, bytes, len, hostile->closes);
        converse(rig.port, ask, strlen(ask), count_answers(hostile->answers), false);
        if (strcmp(asker.answers.text, hostile->answers) != 0) {
            print_error("%s: the client got '%s' instead of '%s'\n", hostile->name, asker.answers.text,
                        hostile->answers);
            wrong++;
        }
        if (!stranger_is_served(rig.port)) {
            print_error("%s: the next client got '%s'\n", hostile->name, asker.answers.text);
            wrong++;
        }
        reader_reset(&reader, NULL, 0, false);
        free(bytes);
        WAIT_FOR(rig.gauges->worker[0].connections == 0);
    }
    assert_int_equal(wrong, 0);
}

/* An answer that comes byte by byte is understood as one that comes at once. */
static void a_hostile_response_in_pieces_has_the_same_outcome(void **unused)
{
    (void)unused;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(hostile_responses) / sizeof(hostile_responses[0]); i++) {
        const struct hostile_response *hostile = &hostile_responses[i];
        const char *ask = hostile->ask ? hostile->ask : "POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
        /* What is wrong with chunks is known only when the head has gone out. */
        if (hostile->times > 0 || strcmp(hostile->answers, "closed") == 0)
            continue;
        reader_reset(&reader, hostile->text, hostile->len, hostile->closes);
        reader.pieces = true;
        converse(rig.port, ask, strlen(ask), count_answers(hostile->answers), false);
        if (strcmp(asker.answers.text, hostile->answers) != 0 || !stranger_is_served(rig.port)) {
            print_error("%s: in pieces '%s' instead of '%s'\n", hostile->name, asker.answers.text, hostile->answers);
            wrong++;
        }
        WAIT_FOR(rig.gauges->worker[0].connections == 0);
    }
    assert_int_equal(wrong, 0);
}

/* Interim answers without end: all are passed on, and the memory for them does not grow. */
static void a_flood_of_interim_answers_is_passed_on(void **unused)
{
    (void)unused;
    enum { FLOOD = 3000 };
    size_t len;
    const char text[] = "\1HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    char *bytes = expand(text, sizeof(text) - 1, "HTTP/1.1 102 Processing\r\n\r\n", FLOOD, &len);
    reader_reset(&reader, bytes, len, false);
    asker_open(&asker, rig.port);
    assert_true(puts_fd(asker.fd, "POST /p HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"));
    asker_read(&asker, FLOOD + 1);
    assert_int_equal(asker.whole, FLOOD + 1);
    assert_string_equal(asker.body.text, "hello");
    asker_close(&asker);
    assert_true(stranger_is_served(rig.port));
    free(bytes);
}

/* --- the peers as a reference ----------------------------------------------------------------------------------- */

struct peer {
    pid_t pid;
    uint16_t port;
    char dir[64];
};

static uint16_t free_tcp_port(void)
{
    struct board_address address = loopback();
    int fd = listen_on(&address);
    (void)close(fd);
    return ntohs(((struct sockaddr_in *)(void *)&address.u)->sin_port);
}

static uint16_t reader_port(void)
{
    return ntohs(((struct sockaddr_in *)(void *)&reader.address.u)->sin_port);
}

static void write_config(const struct peer *peer, const char *format)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/config", peer->dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (const char *at = format; *at; at++) {
        if (*at == '@')
            (void)fprintf(file, "%s", peer->dir);
        else if (*at == '<')
            (void)fprintf(file, "%u", peer->port);
        else if (*at == '>')
            (void)fprintf(file, "%u", reader_port());
        else
            (void)fputc(*at, file);
    }
    assert_int_equal(fclose(file), 0);
}

static bool peer_answers(const struct peer *peer)
{
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(peer->port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool there = connect(fd, (struct sockaddr *)(void *)&in, sizeof(in)) == 0;
    (void)close(fd);
    return there;
}

/* In `config` "@" stands for a directory of its own, "<" for the port it listens on, ">" for the upstream's. */
static void peer_start(struct peer *peer, const char *program, const char *config, const char *const argv[])
{
    *peer = (struct peer){ .port = free_tcp_port(), .dir = "/tmp/daruma-peer-XXXXXX" };
    assert_non_null(mkdtemp(peer->dir));
    write_config(peer, config);
    peer->pid = fork();
    assert_true(peer->pid >= 0);
    if (peer->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        if (null < 0 || chdir(peer->dir) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
            _exit(126);
        (void)execv(program, (char *const *)argv);
        _exit(127);
    }
    WAIT_FOR(peer_answers(peer));
}

static void peer_end(struct peer *peer)
{
    static const char *const left[] = { "config", "body", "proxy", "fastcgi", "uwsgi", "scgi" };
    (void)kill(peer->pid, SIGTERM);
    assert_int_equal(waitpid(peer->pid, NULL, 0), peer->pid);
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", peer->dir, left[i]);
        (void)remove(path);
    }
    (void)rmdir(peer->dir);
}

/* Everything that we forward, through the peer. How much it refuses without a reason in the table. */
static unsigned compare_with(const char *name, const struct peer *peer)
{
    static struct note reads;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(hostile_requests) / sizeof(hostile_requests[0]); i++) {
        const struct hostile_request *hostile = &hostile_requests[i];
        if (!is_forwarded(hostile))
            continue;
        send_hostile(peer->port, hostile, &reads);
        if (reads.text[0] == '\0' && !hostile->peers_refuse) {
            print_error("%s: %s answers '%s' and forwards nothing\n", hostile->name, name, asker.answers.text);
            wrong++;
        }
    }
    return wrong;
}

/* Everything through the gateway to the peer, and through that to the reader. How much of it the peer has read otherwise
   than we. */
static unsigned read_behind(const char *name, const struct peer *peer)
{
    static struct note reads;
    struct board_address address = loopback();
    unsigned wrong = 0;
    ((struct sockaddr_in *)(void *)&address.u)->sin_port = htons(peer->port);
    rig_start(&rig, &(struct rig_options){ .hold_ns = 5 * NS_PER_S });
    assert_true(board_endpoint_add(rig.board, rig.service, name, &address, clock_now()) >= 0);
    ring(&rig);
    for (size_t i = 0; i < sizeof(hostile_requests) / sizeof(hostile_requests[0]); i++) {
        const struct hostile_request *hostile = &hostile_requests[i];
        send_hostile(rig.port, hostile, &reads);
        bool same = strcmp(reads.text, hostile->reads) == 0 ||
                    (hostile->peers_read && strcmp(reads.text, hostile->peers_read) == 0);
        bool refused = reads.text[0] == '\0' && hostile->peers_refuse;
        if (!same && !refused) {
            print_error("%s: behind %s '%s' is read instead of '%s'\n", hostile->name, name, reads.text,
                        hostile->reads);
            wrong++;
        }
    }
    rig_end(&rig);
    return wrong;
}

static int ready_reader(void **unused)
{
    (void)unused;
    reader_start(&reader);
    return 0;
}

static int over_reader(void **unused)
{
    (void)unused;
    reader_end(&reader);
    return 0;
}

static void start_nginx(struct peer *nginx)
{
    if (access("/usr/sbin/nginx", X_OK) < 0)
        skip();
    peer_start(nginx, "/usr/sbin/nginx",
               "daemon off; master_process off; worker_processes 1; pid @/pid; error_log /dev/null;\n"
               "events { worker_connections 256; }\n"
               "http { access_log off; client_body_temp_path @/body; proxy_temp_path @/proxy;\n"
               "fastcgi_temp_path @/fastcgi; uwsgi_temp_path @/uwsgi; scgi_temp_path @/scgi;\n"
               "server { listen 127.0.0.1:<; location / { proxy_pass http://127.0.0.1:>; proxy_http_version 1.1;\n"
               "proxy_set_header Host $http_host; proxy_set_header Connection ''; } } }\n",
               (const char *const[]){ "nginx", "-e", "/dev/null", "-c", "config", "-p", ".", NULL });
}

static void start_haproxy(struct peer *haproxy)
{
    if (access("/usr/sbin/haproxy", X_OK) < 0)
        skip();
    peer_start(
        haproxy, "/usr/sbin/haproxy",
        "global\n  nbthread 1\n  maxconn 256\ndefaults\n  mode http\n  timeout connect 2s\n  timeout client 10s\n"
        "  timeout server 10s\nfrontend front\n  bind 127.0.0.1:<\n  default_backend app\n"
        "backend app\n  server reader 127.0.0.1:>\n",
        (const char *const[]){ "haproxy", "-q", "-db", "-f", "config", NULL });
}

static void nginx_reads_the_same_and_refuses_nothing_without_a_reason(void **unused)
{
    struct peer nginx;
    (void)unused;
    start_nginx(&nginx);
    unsigned wrong = compare_with("nginx", &nginx) + read_behind("nginx", &nginx);
    peer_end(&nginx);
    assert_int_equal(wrong, 0);
}

static void haproxy_reads_the_same_and_refuses_nothing_without_a_reason(void **unused)
{
    struct peer haproxy;
    (void)unused;
    start_haproxy(&haproxy);
    unsigned wrong = compare_with("HAProxy", &haproxy) + read_behind("HAProxy", &haproxy);
    peer_end(&haproxy);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_hostile_request_has_its_outcome, ready, all_over),
        cmocka_unit_test_setup_teardown(a_hostile_request_in_pieces_has_the_same_outcome, ready, all_over),
        cmocka_unit_test_setup_teardown(each_hostile_response_has_its_outcome, ready, all_over),
        cmocka_unit_test_setup_teardown(a_hostile_response_in_pieces_has_the_same_outcome, ready, all_over),
        cmocka_unit_test_setup_teardown(a_flood_of_interim_answers_is_passed_on, ready, all_over),
        cmocka_unit_test_setup_teardown(nginx_reads_the_same_and_refuses_nothing_without_a_reason, ready_reader,
                                        over_reader),
        cmocka_unit_test_setup_teardown(haproxy_reads_the_same_and_refuses_nothing_without_a_reason, ready_reader,
                                        over_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
