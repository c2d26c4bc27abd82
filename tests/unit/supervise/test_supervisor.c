/* SPDX-License-Identifier: MIT
 *
 * The supervisor with real processes: compose files in, what happens out.
 */
#include "house.h"

static void a_killed_instance_is_back_and_its_endpoint_left_first(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    restart: always\n"
          "    ports: ['18080:80']\n"
          "    command:\n"
          "      - sh\n"
          "      - -c\n"
          "      - |\n"
          "        " SERVER "\n");
    WAIT_FOR(ready());
    const struct board_endpoint *endpoint = endpoint_of("app-1", BOARD_ENDPOINT_UP);
    assert_non_null(endpoint);
    struct board_address before = endpoint->address;
    pid_t pid = info_of("app-1").pid;
    assert_int_equal(kill(pid, SIGKILL), 0);
    WAIT_FOR(info_of("app-1").restarts == 1 && ready());

    const struct board_endpoint *gone = endpoint_of("app-1", BOARD_ENDPOINT_GONE);
    assert_non_null(gone);
    assert_int_equal(gone->cause, CAUSE_KILLED);
    endpoint = endpoint_of("app-1", BOARD_ENDPOINT_UP);
    assert_non_null(endpoint);
    assert_memory_not_equal(&endpoint->address, &before, sizeof(before));
    assert_true(info_of("app-1").pid != pid);
    assert_int_equal(info_of("app-1").last_cause, CAUSE_KILLED);
    const struct event *spawn = last_event(EVENT_INSTANCE_SPAWN, "app-1");
    assert_int_equal(spawn->starts, 2);
    assert_true(spawn->span_ns > 0);
    take_down();
}

static void a_crash_is_told_with_its_last_words(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    restart: 'no'\n"
          "    command: ['sh', '-c', 'echo early; echo cannot find my keys >&2; exit 7']\n");
    WAIT_FOR(is("app-1", "failed"));
    assert_int_equal(supervisor_state(house.supervisor), SUPERVISOR_DEGRADED);
    const struct event *crash = last_event(EVENT_INSTANCE_CRASH, "app-1");
    assert_int_equal(crash->status, 7);
    assert_non_null(strstr(crash->text, "cannot find my keys"));
    assert_int_equal(info_of("app-1").last_status, 7);
    take_down();
}

static void a_crash_loop_does_not_spin(void **unused)
{
    int64_t begun = clock_now();
    apply("services: {app: {restart: always, command: ['false']}}");
    WAIT_FOR(info_of("app-1").restarts == 4);
    /* at once, then after about 100, 200 and 400 ms, less a quarter at most */
    assert_true(clock_now() - begun >= 525 * NS_PER_MS);
    take_down();
}

static void on_failure_gives_up_after_its_number_and_a_person_brings_it_back(void **unused)
{
    apply("services: {app: {restart: 'on-failure:2', command: ['false']}}");
    WAIT_FOR(is("app-1", "failed"));
    assert_int_equal(info_of("app-1").restarts, 2);
    assert_int_equal(events_of(EVENT_INSTANCE_EXIT, "app-1"), 3);
    assert_int_equal(supervisor_restart(house.supervisor, "app", NULL), 0);
    WAIT_FOR(events_of(EVENT_INSTANCE_EXIT, "app-1") == 6 && is("app-1", "failed"));
    take_down();
}

static void a_program_that_cannot_be_run_fails_like_any_other(void **unused)
{
    touch("garbage");
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/garbage", house.folder);
    assert_int_equal(chmod(path, 0755), 0); /* empty: the kernel refuses it */
    apply("services: {app: {restart: 'on-failure:1', command: ['$F/garbage']}}");
    WAIT_FOR(is("app-1", "failed"));
    assert_int_equal(events_of(EVENT_INSTANCE_EXIT, "app-1"), 2);
    assert_int_equal(last_event(EVENT_INSTANCE_EXIT, "app-1")->cause, CAUSE_SPAWN);
    assert_non_null(strstr(last_event(EVENT_INSTANCE_EXIT, "app-1")->text, "garbage"));
    take_down();
}

static void dependencies_are_met_before_and_released_after(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    command: ['sleep', '60']\n"
          "    depends_on:\n"
          "      db: {condition: service_healthy}\n"
          "      job: {condition: service_completed_successfully}\n"
          "      log: {condition: service_started}\n"
          "      ghost: {condition: service_started, required: false}\n"
          "  db:\n"
          "    command: ['sleep', '60']\n"
          "    healthcheck: {test: ['CMD', 'test', '-e', '$F/healthy'], interval: 1s}\n"
          "  job: {command: ['sh', '-c', 'while ! test -e $F/work; do sleep 0.02; done']}\n"
          "  log: {command: ['sleep', '60']}\n"
          "  ghost: {command: ['false'], restart: 'no'}\n");
    WAIT_FOR(is("log-1", "serving") && is("db-1", "starting") && is("ghost-1", "failed") && is("job-1", "serving"));
    turn_for(300 * NS_PER_MS);
    assert_true(is("app-1", "idle"));
    touch("work");
    WAIT_FOR(is("job-1", "completed"));
    turn_for(200 * NS_PER_MS);
    assert_true(is("app-1", "idle"));
    assert_string_equal(info_of("app-1").waits_for, "db");
    touch("healthy");
    WAIT_FOR(is("app-1", "serving"));
    assert_string_equal(info_of("db-1").health, "healthy");

    house.events_len = 0;
    take_down();
    size_t app = when("app-1", "idle");
    assert_true(app > 0 && app < when("db-1", "draining") && app < when("log-1", "draining"));
    assert_int_equal(supervisor_state(house.supervisor), SUPERVISOR_DOWN);
}

static void a_dependency_that_failed_is_named(void **unused)
{
    apply("services:\n"
          "  app: {command: ['sleep', '60'], depends_on: {job: {condition: service_completed_successfully}}}\n"
          "  job: {command: ['false'], restart: 'no'}\n");
    WAIT_FOR(is("job-1", "failed"));
    turn_for(100 * NS_PER_MS);
    assert_true(is("app-1", "idle"));
    assert_string_equal(info_of("app-1").waits_for, "job");
    assert_int_equal(supervisor_state(house.supervisor), SUPERVISOR_DEGRADED);
    take_down();
}

/* Does the board say that there is no use in waiting for it? */
static bool vacant(const char *service)
{
    return house.board->services[board_service_add(house.board, service)].vacant;
}

static void the_board_says_whom_to_wait_for(void **unused)
{
    static const char *const names[] = { "app", "app:81", "web", "idle", "other" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_false(vacant(names[i]));
    apply("services:\n"
          "  app:\n"
          "    restart: 'on-failure:1'\n"
          "    expose: [80, 81]\n"
          "    command: ['sh', '-c', 'test -e $F/well && exec sleep 60; exit 1']\n"
          "  web: {expose: [80], command: ['sleep', '60'], depends_on: {job: {condition: "
          "service_completed_successfully}}}\n"
          "  job: {command: ['sh', '-c', 'while ! test -e $F/over; do sleep 0.02; done; exit 1'], restart: 'no'}\n"
          "  idle: {expose: [80], command: ['sleep', '60'], scale: 0}\n"
          "  other: {expose: [80], command: ['true'], restart: 'no'}\n");
    WAIT_FOR(vacant("app") && vacant("app:81") && vacant("idle") && vacant("other"));
    assert_true(is("app-1", "failed") && is("other-1", "completed"));
    assert_false(vacant("web")); /* what it depends on may still come */
    touch("over");
    WAIT_FOR(vacant("web"));
    touch("well");
    assert_int_equal(supervisor_restart(house.supervisor, "app", NULL), 0);
    WAIT_FOR(!vacant("app") && !vacant("app:81"));
    assert_int_equal(supervisor_scale(house.supervisor, "idle", 1, NULL), 0);
    WAIT_FOR(!vacant("idle"));
    assert_int_equal(supervisor_scale(house.supervisor, "idle", 0, NULL), 0);
    WAIT_FOR(vacant("idle"));
    assert_false(vacant("app"));
    take_down();
}

static void a_dependent_follows_its_dependency_where_it_asked_to(void **unused)
{
    apply("services:\n"
          "  app: {command: ['sleep', '60'], depends_on: {db: {condition: service_started, restart: true}}}\n"
          "  web: {command: ['sleep', '60'], depends_on: {db: {condition: service_started}}}\n"
          "  db: {command: ['sleep', '60'], restart: always}\n");
    WAIT_FOR(ready());
    pid_t app = info_of("app-1").pid, web = info_of("web-1").pid;
    assert_int_equal(supervisor_kill(house.supervisor, "db", SIGKILL, NULL), 0);
    WAIT_FOR(info_of("db-1").restarts == 1 && info_of("app-1").restarts == 1 && ready());
    assert_true(info_of("app-1").pid != app);
    assert_int_equal(info_of("web-1").pid, web);
    turn_for(200 * NS_PER_MS);
    assert_int_equal(info_of("app-1").restarts, 1); /* once, not for ever */
    take_down();
}

static void an_unhealthy_instance_is_drained_ended_and_started_again(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    restart: always\n"
          "    expose: [80]\n"
          "    healthcheck: {test: ['CMD-SHELL', '! test -e $F/sick'], interval: 100ms, retries: 2}\n"
          "    command:\n"
          "      - sh\n"
          "      - -c\n"
          "      - |\n"
          "        " SERVER "\n");
    WAIT_FOR(ready());
    assert_string_equal(info_of("app-1").health, "healthy");
    touch("sick");
    WAIT_FOR(info_of("app-1").restarts == 1);
    const struct event *exit = last_event(EVENT_INSTANCE_EXIT, "app-1");
    assert_int_equal(exit->cause, CAUSE_HEALTH);
    assert_true(when("app-1", "draining") > 0 && when("app-1", "draining") < when("app-1", "stopping"));
    remove_file("sick");
    WAIT_FOR(ready());
    assert_string_equal(info_of("app-1").health, "healthy");
    take_down();
}

static void native_probes_ask_the_instance_itself(void **unused)
{
    apply("services:\n"
          "  web:\n"
          "    restart: always\n"
          "    expose: [80]\n"
          "    healthcheck: {interval: 100ms, retries: 2, timeout: 10s}\n"
          "    x-daruma: {healthcheck: 'http://:80/health'}\n"
          "    command:\n"
          "      - sh\n"
          "      - -c\n"
          "      - |\n"
          "        " SERVER "\n"
          "  tcp:\n"
          "    expose: [80]\n"
          "    x-daruma: {healthcheck: 'tcp://localhost'}\n"
          "    command:\n"
          "      - sh\n"
          "      - -c\n"
          "      - |\n"
          "        " SERVER "\n");
    WAIT_FOR(ready());
    assert_string_equal(info_of("web-1").health, "healthy");
    assert_string_equal(info_of("tcp-1").health, "healthy");
    touch("sick");
    WAIT_FOR(info_of("web-1").restarts == 1);
    assert_int_equal(info_of("tcp-1").restarts, 0);
    remove_file("sick");
    WAIT_FOR(ready());
    take_down();
}

static void who_is_never_healthy_is_started_again_when_its_time_is_over(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    restart: always\n"
          "    command: ['sleep', '60']\n"
          "    healthcheck: {test: ['CMD', 'false'], interval: 150ms, retries: 2, start_period: 100ms}\n");
    WAIT_FOR(info_of("app-1").restarts == 1);
    int64_t begun = house.events[when("app-1", "starting") - 1].wall_ns;
    assert_true(last_event(EVENT_INSTANCE_EXIT, "app-1")->wall_ns - begun >= 300 * NS_PER_MS);
    assert_int_equal(when("app-1", "serving"), 0);
    take_down();
}

static void who_shall_not_be_restarted_for_being_unhealthy_is_not(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    command: ['sleep', '60']\n"
          "    x-daruma: {restart_unhealthy: false}\n"
          "    healthcheck: {test: ['CMD-SHELL', '! test -e $F/sick'], interval: 100ms, retries: 1}\n");
    WAIT_FOR(ready());
    pid_t pid = info_of("app-1").pid;
    touch("sick");
    WAIT_FOR(strcmp(info_of("app-1").health, "unhealthy") == 0);
    turn_for(200 * NS_PER_MS);
    assert_int_equal(info_of("app-1").pid, pid);
    assert_true(is("app-1", "serving"));
    remove_file("sick");
    WAIT_FOR(strcmp(info_of("app-1").health, "healthy") == 0);
    take_down();
}

static void a_probe_that_hangs_is_a_failure_and_leaves_nothing(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    restart: always\n"
          "    command: ['sleep', '60']\n"
          "    healthcheck:\n"
          "      test: ['CMD-SHELL', 'test -e $F/sick || exit 0; sleep 60 & echo $$! > $F/pid; wait']\n"
          "      interval: 100ms\n"
          "      timeout: 200ms\n"
          "      retries: 1\n");
    WAIT_FOR(ready());
    touch("sick");
    WAIT_FOR(info_of("app-1").restarts == 1);
    assert_int_equal(last_event(EVENT_INSTANCE_EXIT, "app-1")->cause, CAUSE_HEALTH);
    char path[128];
    int pid = 0;
    (void)snprintf(path, sizeof(path), "%s/pid", house.folder);
    remove_file("sick");
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    (void)fclose(file);
    WAIT_FOR(kill(pid, 0) < 0);
    take_down();
}

static void only_what_was_asked_for_and_what_that_needs(void **unused)
{
    const char *file = "services:\n"
                       "  app: {command: ['sleep', '60'], depends_on: [db]}\n"
                       "  db: {command: ['sleep', '60']}\n"
                       "  other: {command: ['sleep', '60']}\n";
    const char *const only[] = { "app", NULL };
    apply_only(file, only);
    WAIT_FOR(ready() && is("app-1", "serving"));
    assert_true(is("db-1", "serving"));
    assert_true(is("other-1", "absent"));
    apply(file);
    WAIT_FOR(is("other-1", "serving"));
    assert_int_equal(events_of(EVENT_INSTANCE_SPAWN, NULL), 3);
    take_down();
}

static void down_also_ends_what_waits_for_its_next_try(void **unused)
{
    apply("services:\n"
          "  loop: {command: ['false'], restart: always}\n"
          "  never: {command: ['sleep', '60'], healthcheck: {test: ['CMD', 'false'], interval: 60s}}\n"
          "  last: {command: ['sleep', '60'], depends_on: {never: {condition: service_healthy}}}\n");
    WAIT_FOR(is("loop-1", "waiting") && is("never-1", "starting"));
    assert_int_equal(supervisor_state(house.supervisor), SUPERVISOR_STARTING);
    take_down();
    assert_int_equal(events_of(EVENT_INSTANCE_SPAWN, "last-1"), 0);
    struct err err = { 0 };
    assert_int_equal(supervisor_scale(house.supervisor, "loop", 3, &err), -ESHUTDOWN);
}

static void a_job_that_ended_well_is_done_and_a_restart_runs_it_again(void **unused)
{
    apply("services: {job: {command: ['sh', '-c', 'echo ran'], restart: on-failure}}");
    WAIT_FOR(is("job-1", "completed"));
    assert_true(ready());
    assert_int_equal(events_of(EVENT_INSTANCE_CRASH, "job-1"), 0);
    assert_int_equal(supervisor_restart(house.supervisor, "job", NULL), 0);
    WAIT_FOR(events_of(EVENT_INSTANCE_EXIT, "job-1") == 2 && is("job-1", "completed"));
    take_down();
}

static void who_ignores_sigterm_is_killed_on_time(void **unused)
{
    apply("services:\n"
          "  app: {command: ['sh', '-c', 'trap \"\" TERM; echo trapped; while :; do sleep 0.1; done'],\n"
          "        stop_grace_period: 300ms}\n");
    WAIT_FOR(ready() && strstr(house.output, "trapped"));
    int64_t begun = clock_now();
    take_down();
    int64_t took = clock_now() - begun;
    assert_true(took >= 300 * NS_PER_MS && took < 20 * NS_PER_S);
    assert_int_equal(last_event(EVENT_INSTANCE_EXIT, "app-1")->status, SIGKILL);
    assert_int_equal(last_event(EVENT_INSTANCE_EXIT, "app-1")->cause, CAUSE_STOP);
}

static void the_second_down_waits_for_nobody(void **unused)
{
    apply("services:\n"
          "  app: {command: ['sh', '-c', 'trap \"\" TERM; echo trapped; while :; do sleep 0.1; done'],\n"
          "        stop_grace_period: 60s}\n"
          "  db: {command: ['sleep', '60'], depends_on: [app]}\n");
    WAIT_FOR(ready() && strstr(house.output, "trapped"));
    supervisor_down(house.supervisor);
    turn_for(50 * NS_PER_MS);
    assert_false(supervisor_is_down(house.supervisor));
    take_down();
}

/* What the first worker counts of it. */
static struct endpoint_gauge *gauge_of(const struct board_endpoint *endpoint)
{
    struct endpoint_gauge *gauge = &house.gauges->worker[0].endpoints[endpoint - house.board->endpoints];
    atomic_store(&gauge->generation, endpoint->generation);
    return gauge;
}

static void what_is_in_flight_is_waited_for(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    expose: [80]\n"
          "    x-daruma: {drain_timeout: 60s}\n"
          "    command:\n"
          "      - sh\n"
          "      - -c\n"
          "      - |\n"
          "        " SERVER "\n");
    WAIT_FOR(ready());
    const struct board_endpoint *endpoint = endpoint_of("app-1", BOARD_ENDPOINT_UP);
    struct endpoint_gauge *gauge = gauge_of(endpoint);
    atomic_store(&gauge->inflight, 1);
    supervisor_down(house.supervisor);
    turn_for(300 * NS_PER_MS);
    assert_true(is("app-1", "draining"));
    assert_int_equal(endpoint->state, BOARD_ENDPOINT_DRAINING);
    atomic_store(&gauge->inflight, 0);
    supervisor_drained_bell(house.supervisor);
    assert_true(is("app-1", "stopping")); /* at the bell, not at the next look */
    WAIT_FOR(supervisor_is_down(house.supervisor));
    assert_int_equal(endpoint->state, BOARD_ENDPOINT_GONE);
    assert_int_equal(endpoint->cause, CAUSE_STOP);
}

static void what_speaks_another_protocol_has_a_time_of_its_own(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    expose: [80]\n"
          "    x-daruma: {drain_timeout: 60s, drain_upgraded: 200ms}\n"
          "    command:\n"
          "      - sh\n"
          "      - -c\n"
          "      - |\n"
          "        " SERVER "\n");
    WAIT_FOR(ready());
    const struct board_endpoint *endpoint = endpoint_of("app-1", BOARD_ENDPOINT_UP);
    struct endpoint_gauge *gauge = gauge_of(endpoint);
    atomic_store(&gauge->inflight, 2);
    atomic_store(&gauge->upgraded, 1);
    int64_t begun = clock_now();
    supervisor_down(house.supervisor);
    turn_for(300 * NS_PER_MS);
    assert_true(is("app-1", "draining")); /* for the request's sake */
    atomic_store(&gauge->inflight, 1);
    supervisor_drained_bell(house.supervisor);
    WAIT_FOR(is("app-1", "stopping"));
    assert_true(clock_now() - begun >= 200 * NS_PER_MS);
    WAIT_FOR(supervisor_is_down(house.supervisor));
}

static void every_port_has_its_endpoint(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    ports: ['18081:80', '18082:90']\n"
          "    expose: [100]\n"
          "    command:\n"
          "      - sh\n"
          "      - -c\n"
          "      - |\n"
          "        " SERVER "\n");
    WAIT_FOR(ready());
    char name[BOARD_NAME];
    const struct spec_service *service = spec_find_service(supervisor_spec(house.supervisor), "app");
    assert_string_equal(supervisor_board_name(service, 0, name), "app");
    assert_string_equal(supervisor_board_name(service, 80, name), "app");
    assert_string_equal(supervisor_board_name(service, 90, name), "app:90");
    assert_int_equal(house.board->used_endpoints, 3);
    assert_string_equal(house.board->services[house.board->endpoints[0].service].name, "app");
    assert_string_equal(house.board->services[house.board->endpoints[1].service].name, "app:90");
    assert_string_equal(house.board->services[house.board->endpoints[2].service].name, "app:100");
    take_down();
    assert_int_equal(house.board->endpoints[0].state, BOARD_ENDPOINT_GONE);
    assert_int_equal(house.board->endpoints[1].state, BOARD_ENDPOINT_GONE);
}

static void a_socket_that_was_opened_for_it_makes_it_ready_at_once(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    restart: always\n"
          "    expose: [80]\n"
          "    x-daruma: {process: {socket: true}}\n"
          "    command: ['sleep', '60']\n");
    WAIT_FOR(ready());
    const struct board_endpoint *endpoint = endpoint_of("app-1", BOARD_ENDPOINT_UP);
    assert_non_null(endpoint);
    assert_int_equal(endpoint->address.u.any.sa_family, AF_UNIX);
    struct board_address before = endpoint->address;
    assert_int_equal(supervisor_kill(house.supervisor, "app", SIGKILL, NULL), 0);
    WAIT_FOR(info_of("app-1").restarts == 1 && ready());
    assert_memory_equal(&endpoint_of("app-1", BOARD_ENDPOINT_UP)->address, &before, sizeof(before));
    assert_int_equal(supervisor_scale(house.supervisor, "app", 0, NULL), 0);
    WAIT_FOR(instances() == 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(connect(fd, &before.u.any, before.len) < 0); /* closed when it was no longer wanted */
    (void)close(fd);
    take_down();
}

static void suspects_are_counted_at_the_moment_of_death(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    restart: always\n"
          "    expose: [80]\n"
          "    command:\n"
          "      - sh\n"
          "      - -c\n"
          "      - |\n"
          "        " SERVER "\n");
    WAIT_FOR(ready());
    const struct board_endpoint *endpoint = endpoint_of("app-1", BOARD_ENDPOINT_UP);
    struct endpoint_gauge *gauge = gauge_of(endpoint);
    atomic_store(&gauge->inflight, 3);
    assert_int_equal(supervisor_kill(house.supervisor, "app-1", SIGSEGV, NULL), 0);
    WAIT_FOR(endpoint->state == BOARD_ENDPOINT_GONE);
    assert_int_equal(endpoint->suspects, 3);
    assert_int_equal(endpoint->cause, CAUSE_CRASH);
    take_down();
}

/* What the gateway says of it: requests are overdue. */
static void find_hung(const char *instance)
{
    const struct board_endpoint *endpoint = endpoint_of(instance, BOARD_ENDPOINT_UP);
    struct endpoint_gauge *gauge = gauge_of(endpoint);
    atomic_store(&gauge->hung, 1);
    supervisor_drained_bell(house.supervisor);
}

static void who_answers_nobody_is_replaced_and_who_answers_stays(void **unused)
{
    apply("services:\n"
          "  app:\n"
          "    restart: always\n"
          "    scale: 2\n"
          "    expose: [80]\n"
          "    stop_grace_period: 100ms\n"
          "    x-daruma: {drain_timeout: 100ms}\n"
          "    command:\n"
          "      - sh\n"
          "      - -c\n"
          "      - |\n"
          "        " SERVER "\n");
    WAIT_FOR(ready());
    pid_t well = info_of("app-1").pid;
    assert_int_equal(kill(info_of("app-2").pid, SIGSTOP), 0);
    find_hung("app-1");
    find_hung("app-2");
    WAIT_FOR(events_of(EVENT_INSTANCE_EXIT, "app-2") == 1);
    assert_int_equal(last_event(EVENT_INSTANCE_EXIT, "app-2")->cause, CAUSE_HANG);
    WAIT_FOR(ready());
    assert_int_equal(info_of("app-1").pid, well);
    assert_int_equal(events_of(EVENT_INSTANCE_EXIT, "app-1"), 0);
    take_down();
}

static void scaling_adds_and_takes_away_at_the_end(void **unused)
{
    apply("services: {app: {command: ['sleep', '60'], scale: 2}}");
    WAIT_FOR(ready());
    pid_t first = info_of("app-1").pid;
    assert_int_equal(supervisor_scale(house.supervisor, "app", 5, NULL), 0);
    WAIT_FOR(instances() == 5 && ready());
    assert_int_equal(supervisor_scale(house.supervisor, "app", 1, NULL), 0);
    WAIT_FOR(instances() == 1 && ready());
    assert_int_equal(info_of("app-1").pid, first);
    assert_int_equal(last_event(EVENT_INSTANCE_EXIT, "app-5")->cause, CAUSE_SCALE);
    assert_int_equal(supervisor_scale(house.supervisor, "nobody", 1, NULL), -ENOENT);
    assert_int_equal(supervisor_scale(house.supervisor, "app", -1, NULL), -EINVAL);
    assert_int_equal(supervisor_scale(house.supervisor, "app", 0, NULL), 0);
    WAIT_FOR(instances() == 0);
    take_down();
}

static void the_same_file_again_changes_nothing(void **unused)
{
    const char *file = "services:\n"
                       "  app: {command: ['sleep', '60'], scale: 2, depends_on: [db]}\n"
                       "  db: {command: ['sleep', '60']}\n"
                       "  job: {command: ['true'], restart: 'no'}\n";
    apply(file);
    WAIT_FOR(ready() && is("job-1", "completed"));
    size_t spawned = events_of(EVENT_INSTANCE_SPAWN, NULL);
    apply(file);
    turn_for(300 * NS_PER_MS);
    assert_true(ready());
    assert_int_equal(events_of(EVENT_INSTANCE_SPAWN, NULL), spawned);
    assert_int_equal(events_of(EVENT_INSTANCE_EXIT, NULL), 1);
    take_down();
}

static void a_changed_file_changes_only_what_changed_one_after_the_other(void **unused)
{
    apply("services:\n"
          "  app: {command: ['sleep', '60'], scale: 3}\n"
          "  db: {command: ['sleep', '60']}\n"
          "  old: {command: ['sleep', '60']}\n");
    WAIT_FOR(ready());
    pid_t db = info_of("db-1").pid;
    house.events_len = 0;
    apply("services:\n"
          "  app: {command: ['sleep', '61'], scale: 3}\n"
          "  db: {command: ['sleep', '60'], restart: always}\n"
          "  new: {command: ['sleep', '60']}\n");
    WAIT_FOR(events_of(EVENT_INSTANCE_SPAWN, "app-3") == 1 && is("new-1", "serving") && is("old-1", "absent") &&
             ready());
    assert_int_equal(info_of("db-1").pid, db);
    assert_int_equal(last_event(EVENT_INSTANCE_EXIT, "app-1")->cause, CAUSE_DEPLOY);
    assert_true(when("app-1", "serving") < when("app-2", "draining"));
    assert_true(when("app-2", "serving") < when("app-3", "draining"));
    assert_int_equal(instances(), 5);
    take_down();
}

static void chaos_spares_the_last_one(void **unused)
{
    char victim[EVENT_NAME];
    struct err err = { 0 };
    const char *const only[] = { "app", NULL };
    apply("services: {app: {command: ['sleep', '60'], scale: 2, restart: always}, db: {command: ['sleep', '60']}}");
    WAIT_FOR(ready());
    for (uint64_t pick = 0; pick < 8; pick++) {
        assert_int_equal(supervisor_chaos_kill(house.supervisor, NULL, pick, 0, false, victim, &err), 0);
        assert_memory_equal(victim, "app-", 4);
    }
    assert_int_equal(supervisor_chaos_kill(house.supervisor, only, 1, SIGKILL, false, victim, &err), 0);
    WAIT_FOR(events_of(EVENT_INSTANCE_EXIT, victim) == 1);
    assert_int_equal(last_event(EVENT_INSTANCE_EXIT, victim)->cause, CAUSE_CHAOS);
    WAIT_FOR(ready());
    assert_int_equal(supervisor_scale(house.supervisor, "app", 1, NULL), 0);
    WAIT_FOR(instances() == 2);
    assert_int_equal(supervisor_chaos_kill(house.supervisor, only, 1, SIGKILL, false, victim, &err), -EBUSY);
    assert_int_equal(supervisor_chaos_kill(house.supervisor, only, 1, SIGKILL, true, victim, &err), 0);
    WAIT_FOR(events_of(EVENT_INSTANCE_EXIT, victim) == 2 || info_of("app-1").restarts > 0);
    take_down();
}

static void hundreds_start_together_and_leave_nothing(void **unused)
{
    apply("services: {app: {command: ['sleep', '60'], scale: 100}}");
    WAIT_FOR(ready());
    assert_int_equal(instances(), 100);
    take_down();
    assert_int_equal(events_of(EVENT_INSTANCE_EXIT, NULL), 100);
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(a_killed_instance_is_back_and_its_endpoint_left_first),
        STORY(a_crash_is_told_with_its_last_words),
        STORY(a_crash_loop_does_not_spin),
        STORY(on_failure_gives_up_after_its_number_and_a_person_brings_it_back),
        STORY(a_program_that_cannot_be_run_fails_like_any_other),
        STORY(dependencies_are_met_before_and_released_after),
        STORY(a_dependency_that_failed_is_named),
        STORY(the_board_says_whom_to_wait_for),
        STORY(a_dependent_follows_its_dependency_where_it_asked_to),
        STORY(an_unhealthy_instance_is_drained_ended_and_started_again),
        STORY(native_probes_ask_the_instance_itself),
        STORY(who_is_never_healthy_is_started_again_when_its_time_is_over),
        STORY(who_shall_not_be_restarted_for_being_unhealthy_is_not),
        STORY(a_probe_that_hangs_is_a_failure_and_leaves_nothing),
        STORY(only_what_was_asked_for_and_what_that_needs),
        STORY(down_also_ends_what_waits_for_its_next_try),
        STORY(a_job_that_ended_well_is_done_and_a_restart_runs_it_again),
        STORY(who_ignores_sigterm_is_killed_on_time),
        STORY(the_second_down_waits_for_nobody),
        STORY(what_is_in_flight_is_waited_for),
        STORY(what_speaks_another_protocol_has_a_time_of_its_own),
        STORY(every_port_has_its_endpoint),
        STORY(a_socket_that_was_opened_for_it_makes_it_ready_at_once),
        STORY(suspects_are_counted_at_the_moment_of_death),
        STORY(who_answers_nobody_is_replaced_and_who_answers_stays),
        STORY(scaling_adds_and_takes_away_at_the_end),
        STORY(the_same_file_again_changes_nothing),
        STORY(a_changed_file_changes_only_what_changed_one_after_the_other),
        STORY(chaos_spares_the_last_one),
        STORY(hundreds_start_together_and_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
