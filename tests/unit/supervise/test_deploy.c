/* SPDX-License-Identifier: MIT
 *
 * From one version to the next, with real processes.
 */
#include "house.h"

#define WEB(name, more, script)                                                                                        \
    "  " name ":\n"                                                                                                    \
    "    restart: always\n"                                                                                            \
    "    stop_grace_period: 2s\n"                                                                                      \
    "    x-daruma: {drain_timeout: 1s" more "}\n"                                                                      \
    "    expose: ['80']\n"                                                                                             \
    "    command:\n"                                                                                                   \
    "      - sh\n"                                                                                                     \
    "      - -c\n"                                                                                                     \
    "      - |\n"                                                                                                      \
    "        " script "\n"

#define MOMENT "    deploy: {update_config: {monitor: 100ms}}\n"
#define QUICK  "    deploy: {replicas: 2, update_config: {monitor: 100ms}}\n"

static const struct event *last_deploy(void)
{
    for (size_t i = house.events_len; i > 0; i--)
        if (house.events[i - 1].kind == EVENT_DEPLOY)
            return &house.events[i - 1];
    return NULL;
}

static bool ended(const char *phase)
{
    const struct event *event = last_deploy();
    return event && strcmp(event->to, phase) == 0;
}

static size_t in_rotation(const char *service)
{
    size_t n = 0;
    for (uint32_t i = 0; i < house.board->used_endpoints; i++) {
        const struct board_endpoint *endpoint = &house.board->endpoints[i];
        n +=
            endpoint->state == BOARD_ENDPOINT_UP && strcmp(house.board->services[endpoint->service].name, service) == 0;
    }
    return n;
}

/* How few endpoints of `service` were in rotation at any time until its deploy came to that phase. */
static size_t fewest_until(const char *service, const char *phase)
{
    size_t fewest = SIZE_MAX;
    for (int64_t until = clock_now() + PATIENCE_NS; !ended(phase);) {
        size_t now = in_rotation(service);
        fewest = now < fewest ? now : fewest;
        if (clock_now() > until)
            give_up(phase);
        assert_int_equal(loop_turn(house.loop, 10 * NS_PER_MS), 0);
    }
    return fewest;
}

static void start_first_is_never_one_short(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    house.events_len = 0;
    apply("services:\n" WEB("app", "", "V=2; " SERVER) QUICK);
    assert_int_equal(fewest_until("app", "deployed"), 2);
    assert_int_equal(in_rotation("app"), 2);
    assert_int_equal(instances(), 2);
    assert_true(is("app-3", "serving"));
    assert_true(when("app-3", "serving") < when("app-1", "draining"));
    assert_true(when("app-1", "draining") < when("app-2", "draining"));
    WAIT_FOR(ready());
    take_down();
}

static void stop_first_keeps_the_names(void **unused)
{
    apply("services: {app: {command: ['sleep', '60'], deploy: {replicas: 3, update_config: {monitor: 0s}}}}");
    WAIT_FOR(ready());
    house.events_len = 0;
    apply("services: {app: {command: ['sleep', '61'], deploy: {replicas: 3, update_config: {monitor: 0s, parallelism: "
          "2}}}}");
    WAIT_FOR(ended("deployed"));
    assert_true(is("app-1", "serving") && is("app-2", "serving") && is("app-3", "serving"));
    /* Two at once, and the third when they were back. */
    assert_true(when("app-2", "draining") < when("app-1", "starting"));
    assert_true(events_of(EVENT_INSTANCE_EXIT, NULL) == 3 && instances() == 3);
    take_down();
}

static void a_version_that_crashes_goes_back_and_the_old_one_never_left(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    pid_t first = info_of("app-1").pid, second = info_of("app-2").pid;
    apply("services:\n" WEB("app", "", "echo no such table >&2; exit 3") QUICK);
    WAIT_FOR(ended("rolled back"));
    WAIT_FOR(instances() == 2);
    assert_int_equal(info_of("app-1").pid, first);
    assert_int_equal(info_of("app-2").pid, second);
    assert_non_null(strstr(last_deploy()->text, "app-3 exited with status 3"));
    assert_true(ready());
    take_down();
}

static void a_version_that_is_never_ready_goes_back(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", ", deploy: {ready_timeout: 300ms}", "sleep 60") QUICK);
    WAIT_FOR(ended("rolled back"));
    assert_non_null(strstr(last_deploy()->text, "app-3 was not ready within"));
    WAIT_FOR(instances() == 2 && ready());
    take_down();
}

static void what_was_replaced_already_comes_back(void **unused)
{
    /* The first of the new version is well; the second finds what the first left and ends. */
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "mkdir $F/taken || exit 9; " SERVER) QUICK);
    assert_true(fewest_until("app", "rolled back") >= 1);
    WAIT_FOR(in_rotation("app") == 2 && instances() == 2 && ready());
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/taken", house.folder);
    assert_int_equal(rmdir(path), 0);
    take_down();
}

static void a_kill_from_outside_is_no_fault_of_the_version(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "V=2; " SERVER) QUICK);
    WAIT_FOR(info_of("app-3").pid > 0);
    assert_int_equal(kill(info_of("app-3").pid, SIGKILL), 0);
    assert_int_equal(kill(info_of("app-2").pid, SIGKILL), 0);
    WAIT_FOR(ended("deployed"));
    WAIT_FOR(ready() && instances() == 2);
    take_down();
}

static void what_is_killed_again_and_again_is_bad(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "kill -9 $$$$") QUICK);
    WAIT_FOR(ended("rolled back"));
    assert_non_null(strstr(last_deploy()->text, "again and again"));
    assert_true(events_of(EVENT_INSTANCE_EXIT, "app-3") >= 3);
    WAIT_FOR(instances() == 2 && ready());
    take_down();
}

static void failure_action_pause_leaves_both(void **unused)
{
#define PAUSE "    deploy: {replicas: 2, update_config: {monitor: 100ms, failure_action: pause}}\n"
    apply("services:\n" WEB("app", "", SERVER) PAUSE);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "exit 1") PAUSE);
    WAIT_FOR(ended("paused"));
    assert_int_equal(in_rotation("app"), 2);
    struct err err = { 0 };
    assert_int_equal(supervisor_rollback(house.supervisor, "app", 0, &err), 0);
    WAIT_FOR(ended("rolled back"));
    WAIT_FOR(ready() && instances() == 2);
    take_down();
}

static void failure_action_continue_goes_on(void **unused)
{
#define ON "    deploy: {replicas: 2, update_config: {monitor: 0s, failure_action: continue}}\n"
    apply("services:\n" WEB("app", "", SERVER) ON);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "mkdir $F/once && exit 1; " SERVER) ON);
    WAIT_FOR(ended("deployed"));
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/once", house.folder);
    assert_int_equal(rmdir(path), 0);
    WAIT_FOR(ready() && instances() == 2);
    take_down();
}

static void rollback_brings_the_version_before(void **unused)
{
    struct err err = { 0 };
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    assert_int_equal(supervisor_rollback(house.supervisor, "app", 0, &err), -EBUSY);
    apply("services:\n" WEB("app", "", "V=2; " SERVER) QUICK);
    WAIT_FOR(ended("deployed"));
    house.events_len = 0;
    assert_int_equal(supervisor_rollback(house.supervisor, "app", 1, &err), 0);
    assert_int_equal(fewest_until("app", "deployed"), 2);
    assert_non_null(strstr(last_deploy()->text, "version 1"));
    assert_int_equal(supervisor_rollback(house.supervisor, "nobody", 0, &err), -ENOENT);
    assert_int_equal(supervisor_rollback(house.supervisor, "app", 7, &err), -ENOENT);
    take_down();
}

static void a_second_change_waits_for_the_first(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "V=2; " SERVER) QUICK);
    WAIT_FOR(info_of("app-3").pid > 0);
    apply("services:\n" WEB("app", "", "V=3; " SERVER) QUICK);
    WAIT_FOR(ended("deployed") && strstr(last_deploy()->text, "version 3"));
    WAIT_FOR(ready() && instances() == 2);
    take_down();
}

static size_t spawned(const char *instance)
{
    for (size_t i = 0; i < house.events_len; i++)
        if (house.events[i].kind == EVENT_INSTANCE_SPAWN && strcmp(house.events[i].instance, instance) == 0)
            return i + 1;
    return 0;
}

static void blue_green_changes_over_in_one_write(void **unused)
{
#define GREEN ", deploy: {strategy: blue-green, keep: 300ms}"
    apply("services:\n" WEB("app", GREEN, SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", GREEN, "V=2; " SERVER) QUICK);
    /* Before the switch only the old ones, after it only the new ones; never more, never less. */
    for (int64_t until = clock_now() + PATIENCE_NS; !ended("deployed");) {
        assert_true(clock_now() < until);
        assert_int_equal(in_rotation("app"), 2);
        assert_true(!!endpoint_of("app-1", BOARD_ENDPOINT_UP) != !!endpoint_of("app-3", BOARD_ENDPOINT_UP));
        assert_int_equal(loop_turn(house.loop, 10 * NS_PER_MS), 0);
    }
    assert_non_null(endpoint_of("app-3", BOARD_ENDPOINT_UP));
    /* One after the other, as long as none was there yet. */
    assert_true(spawned("app-3") < when("app-4", "starting"));
    WAIT_FOR(instances() == 2);
    take_down();
}

static void a_canary_gets_its_share(void **unused)
{
#define CANARY ", deploy: {strategy: canary, steps: [10, 50], dwell: 300ms}"
    apply("services:\n" WEB("app", CANARY, SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", CANARY, "V=2; " SERVER) QUICK);
    WAIT_FOR(last_deploy() && strstr(last_deploy()->text, "10 %"));
    const struct board_endpoint *old = endpoint_of("app-1", BOARD_ENDPOINT_UP);
    const struct board_endpoint *fresh = endpoint_of("app-3", BOARD_ENDPOINT_UP);
    assert_true(old && fresh);
    /* Two old ones and a new one: 10 % is 2/9 of what each of the old ones gets. */
    assert_int_equal(old->weight, 1000);
    assert_in_range(fresh->weight, 221, 223);
    assert_true(fresh->judged && !old->judged);
    WAIT_FOR(strstr(last_deploy()->text, "50 %"));
    WAIT_FOR(strstr(last_deploy()->text, "100 %"));
    WAIT_FOR(ended("deployed"));
    assert_false(fresh->judged);
    WAIT_FOR(instances() == 2 && in_rotation("app") == 2);
    take_down();
}

#define SLOW_CANARY ", deploy: {strategy: canary, steps: [10], dwell: 60s}"

/* As the gateway would count it: so many answers of that endpoint took so long. */
static void answers(const struct board_endpoint *endpoint, uint32_t count, uint64_t us)
{
    struct endpoint_gauge *gauge = &house.gauges->worker[0].endpoints[endpoint - house.board->endpoints];
    gauge->generation = endpoint->generation;
    gauge->latency[gauges_latency_cell(us)] += count;
}

static void a_moment_in_which_all_stood_still_is_no_fault_of_the_new_version(void **unused)
{
    enum { FAST_US = 5000, SLOW_US = 100000 };
    const int64_t looks_ns = 600 * NS_PER_MS; /* two of them at least: nothing may come of them */
    apply("services:\n" WEB("app", SLOW_CANARY, SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", SLOW_CANARY, "V=2; " SERVER) QUICK);
    WAIT_FOR(last_deploy() && strstr(last_deploy()->text, "10 %"));
    const struct board_endpoint *old = endpoint_of("app-1", BOARD_ENDPOINT_UP);
    const struct board_endpoint *fresh = endpoint_of("app-3", BOARD_ENDPOINT_UP);
    answers(old, 1000, FAST_US);
    answers(fresh, 100, FAST_US);
    answers(fresh, 20, SLOW_US);
    turn_for(looks_ns);
    answers(fresh, 200, FAST_US);
    turn_for(looks_ns);
    assert_false(ended("rolled back"));
    answers(fresh, 60, SLOW_US);
    WAIT_FOR(ended("rolled back"));
    take_down();
}

#define JOBS(pre, post) ", deploy: {pre_deploy: '" pre "', post_deploy: '" post "'}"

static bool there(const char *name)
{
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", house.folder, name);
    return access(path, F_OK) == 0;
}

static void jobs_run_before_and_after(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    /* Each finds what has to be there by then. */
    apply("services:\n" WEB("app", JOBS("echo $$V >$F/before", "test -e $F/new && touch $F/after"),
                            "test -e $F/before && touch $F/new; " SERVER) "    environment: {V: two}\n" QUICK);
    WAIT_FOR(ended("deployed"));
    assert_true(there("before") && there("new") && there("after"));
    assert_int_equal(events_of(EVENT_INSTANCE_SPAWN, "app-pre_deploy-1"), 1);
    assert_int_equal(events_of(EVENT_INSTANCE_SPAWN, "app-post_deploy-1"), 1);
    assert_true(ready() && instances() == 2);
    take_down();
}

static void a_pre_deploy_that_fails_leaves_all_as_it_was(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    pid_t first = info_of("app-1").pid, second = info_of("app-2").pid;
    apply("services:\n" WEB("app", JOBS("echo no such column >&2; exit 4", "true"), "V=2; " SERVER) QUICK);
    WAIT_FOR(ended("failed"));
    assert_int_equal(house.receipt.outcome, DEPLOY_FAILED);
    assert_string_equal(house.receipt.last_words, "no such column");
    assert_int_equal(events_of(EVENT_INSTANCE_SPAWN, "app-3"), 0);
    assert_true(info_of("app-1").pid == first && info_of("app-2").pid == second && ready());
    /* The same again, with a file that works, is a deploy of its own. */
    apply("services:\n" WEB("app", JOBS("true", "true"), "V=2; " SERVER) QUICK);
    WAIT_FOR(ended("deployed"));
    take_down();
}

static void a_pre_deploy_that_is_killed_has_failed_and_it_is_said_how(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", JOBS("exec sleep 60", "true"), "V=2; " SERVER) QUICK);
    WAIT_FOR(events_of(EVENT_INSTANCE_SPAWN, "app-pre_deploy-1") == 1);
    assert_int_equal(kill(last_event(EVENT_INSTANCE_SPAWN, "app-pre_deploy-1")->pid, SIGKILL), 0);
    WAIT_FOR(ended("failed"));
    assert_string_equal(house.receipt.reason, "app-pre_deploy-1 ended by SIGKILL (killed)");
    assert_int_equal(house.receipt.outcome, DEPLOY_FAILED);
    assert_int_equal(events_of(EVENT_INSTANCE_SPAWN, "app-3"), 0);
    take_down();
}

/* The new version wants a job done before it starts. */
#define AFTER_JOB   "    depends_on: {job: {condition: service_completed_successfully}}\n"
#define JOB(script) "  job:\n    restart: 'no'\n    command: [sh, -c, '" script "']\n"

static void what_waits_for_something_that_fails_is_not_deployed(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    pid_t first = info_of("app-1").pid, second = info_of("app-2").pid;
    apply("services:\n" WEB("app", "", "V=2; " SERVER)
              QUICK AFTER_JOB JOB("while ! test -e $F/go; do sleep 0.02; done; exit 3"));
    WAIT_FOR(info_of("job-1").pid > 0);
    touch("go");
    WAIT_FOR(ended("failed"));
    assert_string_equal(house.receipt.reason, "\"job\", which it depends on, has failed or is not there");
    assert_int_equal(events_of(EVENT_INSTANCE_SPAWN, "app-3"), 0);
    assert_true(info_of("app-1").pid == first && info_of("app-2").pid == second && instances() == 3);
    /* Started again by the next one, it is waited for again. */
    remove_file("go");
    apply("services:\n" WEB("app", "", "V=3; " SERVER)
              QUICK AFTER_JOB JOB("while ! test -e $F/go; do sleep 0.02; done; exit 3"));
    WAIT_FOR(info_of("job-1").pid > 0);
    apply("services:\n" WEB("app", "", "V=3; " SERVER) QUICK AFTER_JOB JOB("exit 0"));
    WAIT_FOR(ended("deployed"));
    take_down();
}

static void what_comes_to_wait_for_something_that_failed_goes_back(void **unused)
{
#define DB "  db:\n    restart: 'no'\n    command: [sleep, '60']\n    healthcheck: {test: [CMD, 'true']}\n"
    apply("services:\n" WEB("app", "", SERVER) QUICK DB);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "V=2; " SERVER) "    deploy: {replicas: 2, update_config: {monitor: 300ms}}\n"
                                                       "    depends_on: {db: {condition: service_healthy}}\n" DB);
    WAIT_FOR(is("app-3", "serving"));
    assert_int_equal(supervisor_kill(house.supervisor, "db", SIGKILL, NULL), 0);
    WAIT_FOR(ended("rolled back"));
    assert_non_null(
        strstr(house.receipt.reason, " cannot start: \"db\", which it depends on, has failed or is not there"));
    assert_int_equal(in_rotation("app"), 2);
    take_down();
}

static void nobody_is_stopped_for_a_version_that_still_waits(void **unused)
{
    apply("services:\n" WEB("app", ", deploy: {exclusive: true}", SERVER) MOMENT);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", ", deploy: {exclusive: true}", "V=2; " SERVER)
              MOMENT AFTER_JOB JOB("while ! test -e $F/go; do sleep 0.02; done"));
    WAIT_FOR(info_of("job-1").pid > 0);
    turn_for(200 * NS_PER_MS);
    assert_int_equal(when("app-1", "draining"), 0);
    touch("go");
    WAIT_FOR(ended("deployed"));
    assert_true(when("app-1", "draining") > when("job-1", "completed"));
    take_down();
}

/* Two that share a route, each with only one that there can be. */
#define PAIR(v)                                                                                                        \
    "services:\n" WEB("a", ", deploy: {exclusive: true}", v SERVER)                                                    \
        MOMENT WEB("b", "", "while test -e $F/away; do sleep 0.02; done; " SERVER) MOMENT                              \
        "x-gateway: {listeners: [{address: '127.0.0.1:1', routes: [{to: [a, b]}]}]}\n"

static void who_shares_a_route_waits_for_a_peer_that_was_killed(void **unused)
{
    apply(PAIR(""));
    WAIT_FOR(ready());
    touch("away");
    assert_int_equal(kill(info_of("b-1").pid, SIGKILL), 0);
    WAIT_FOR(is("b-1", "starting"));
    apply(PAIR("V=2; "));
    turn_for(400 * NS_PER_MS);
    assert_int_equal(when("a-1", "draining"), 0);
    remove_file("away");
    WAIT_FOR(ended("deployed"));
    assert_true(when("a-1", "draining") > 0);
    /* One that is stopped is not there either. */
    assert_int_equal(supervisor_pause(house.supervisor, "b-1", 60 * NS_PER_S, NULL), 0);
    size_t before = events_of(EVENT_INSTANCE_EXIT, "a-1");
    apply(PAIR("V=3; "));
    turn_for(400 * NS_PER_MS);
    assert_int_equal(events_of(EVENT_INSTANCE_EXIT, "a-1"), before);
    assert_int_equal(supervisor_kill(house.supervisor, "b-1", SIGKILL, NULL), 0);
    WAIT_FOR(events_of(EVENT_INSTANCE_EXIT, "a-1") == before + 1);
    take_down();
}

static void a_post_deploy_that_fails_brings_the_old_one_back(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", JOBS("true", "exit 5"), "V=2; " SERVER) QUICK);
    assert_true(fewest_until("app", "rolled back") >= 2);
    assert_int_equal(house.receipt.outcome, DEPLOY_ROLLED_BACK);
    WAIT_FOR(ready() && instances() == 2);
    take_down();
}

static void a_job_is_ended_when_the_deploy_turns_round(void **unused)
{
    struct err err = { 0 };
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", JOBS("sleep 60", "true"), "V=2; " SERVER) QUICK);
    WAIT_FOR(events_of(EVENT_INSTANCE_SPAWN, "app-pre_deploy-1") == 1);
    assert_int_equal(supervisor_rollback(house.supervisor, "app", 0, &err), 0);
    WAIT_FOR(ended("rolled back"));
    WAIT_FOR(events_of(EVENT_INSTANCE_EXIT, "app-pre_deploy-1") == 1);
    assert_int_equal(events_of(EVENT_INSTANCE_EXIT, NULL), 1);
    take_down();
}

static void a_job_that_does_not_hear_ends_with_the_second_down(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", JOBS("trap \"\" TERM; touch $F/deaf; while :; do sleep 0.05; done", "true"),
                            "V=2; " SERVER) QUICK);
    WAIT_FOR(there("deaf"));
    supervisor_down(house.supervisor);
    WAIT_FOR(events_of(EVENT_INSTANCE_EXIT, NULL) == 2);
    take_down();
    assert_int_equal(events_of(EVENT_WARNING, "app-pre_deploy-1"), 0); /* of its grace period */
}

static void who_stands_beside_the_rotation_is_no_reason_to_strike_the_last_one_in_it(void **unused)
{
    char victim[EVENT_NAME];
    struct err err;
    apply("services:\n" WEB("app", ", deploy: {strategy: blue-green}",
                            SERVER) "    deploy: {update_config: {monitor: 60s}}\n");
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", ", deploy: {strategy: blue-green}",
                            "V=2; " SERVER) "    deploy: {update_config: {monitor: 60s}}\n");
    WAIT_FOR(is("app-2", "serving"));
    assert_int_equal(supervisor_chaos_kill(house.supervisor, NULL, 0, 0, false, victim, &err), -EBUSY);
    take_down();
}

static void down_in_the_middle_ends_all(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "V=2; " SERVER) QUICK);
    WAIT_FOR(info_of("app-3").pid > 0);
    take_down();
}

static void scaling_in_the_middle_counts(void **unused)
{
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "V=2; " SERVER) QUICK);
    WAIT_FOR(info_of("app-3").pid > 0);
    struct err err = { 0 };
    assert_int_equal(supervisor_scale(house.supervisor, "app", 3, &err), 0);
    WAIT_FOR(ended("deployed"));
    WAIT_FOR(ready() && instances() == 3 && in_rotation("app") == 3);
    take_down();
}

static void scaled_down_in_the_middle_no_more_are_left(void **unused)
{
#define THREE "    deploy: {replicas: 3, update_config: {monitor: 300ms, parallelism: 3}}\n"
    struct err err = { 0 };
    apply("services:\n" WEB("app", "", SERVER) THREE);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "V=2; " SERVER) THREE);
    WAIT_FOR(is("app-6", "serving"));
    assert_int_equal(supervisor_scale(house.supervisor, "app", 1, &err), 0);
    WAIT_FOR(ended("deployed"));
    WAIT_FOR(ready() && instances() == 1 && in_rotation("app") == 1);
    take_down();
}

/* It is no fault of the version, but nobody would ever start it again. */
static void a_new_one_that_is_killed_and_not_to_come_back_turns_it_round(void **unused)
{
    apply("services: {app: {command: ['sleep', '60'], deploy: {update_config: {order: start-first, monitor: 10s}}}}");
    WAIT_FOR(ready());
    pid_t first = info_of("app-1").pid;
    apply("services: {app: {command: ['sleep', '61'], deploy: {update_config: {order: start-first, monitor: 10s}}}}");
    WAIT_FOR(is("app-2", "serving"));
    assert_int_equal(kill(info_of("app-2").pid, SIGKILL), 0);
    WAIT_FOR(ended("rolled back"));
    assert_non_null(strstr(last_deploy()->text, "app-2 ended"));
    WAIT_FOR(ready() && instances() == 1);
    assert_int_equal(info_of("app-1").pid, first);
    take_down();
}

static void an_old_one_that_comes_back_before_the_first_share_has_its_weight(void **unused)
{
    apply("services:\n" WEB("app", SLOW_CANARY, SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", SLOW_CANARY, "sleep 60") QUICK);
    WAIT_FOR(info_of("app-3").pid > 0);
    assert_int_equal(kill(info_of("app-1").pid, SIGKILL), 0);
    WAIT_FOR(info_of("app-1").restarts == 1 && is("app-1", "serving"));
    assert_int_equal(endpoint_of("app-1", BOARD_ENDPOINT_UP)->weight, BOARD_WEIGHT_USUAL);
    take_down();
}

static void what_paused_stays_as_it_is(void **unused)
{
    struct err err = { 0 };
    apply("services:\n" WEB("app", "", SERVER) PAUSE);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "mkdir $F/one || exit 1; " SERVER) PAUSE);
    WAIT_FOR(ended("paused") && instances() == 3);
    apply("services:\n" WEB("app", "", "mkdir $F/one || exit 1; " SERVER) PAUSE);
    assert_int_equal(supervisor_scale(house.supervisor, "app", 1, &err), -EBUSY);
    turn_for(100 * NS_PER_MS);
    assert_int_equal(instances(), 3);
    assert_int_equal(supervisor_rollback(house.supervisor, "app", 0, &err), 0);
    WAIT_FOR(ended("rolled back"));
    WAIT_FOR(ready() && instances() == 2);
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/one", house.folder);
    assert_int_equal(rmdir(path), 0);
    take_down();
}

static void in_the_middle_it_goes_back_where_it_came_from_or_not_at_all(void **unused)
{
    struct err err = { 0 };
    apply("services:\n" WEB("app", "", SERVER) QUICK);
    WAIT_FOR(ready());
    apply("services:\n" WEB("app", "", "V=2; " SERVER) QUICK);
    WAIT_FOR(info_of("app-3").pid > 0);
    assert_int_equal(supervisor_rollback(house.supervisor, "app", 7, &err), -EBUSY);
    assert_int_equal(supervisor_rollback(house.supervisor, "app", 1, &err), 0);
    WAIT_FOR(ended("rolled back"));
    take_down();
}

int main(void)
{
#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY(start_first_is_never_one_short),
        STORY(stop_first_keeps_the_names),
        STORY(a_version_that_crashes_goes_back_and_the_old_one_never_left),
        STORY(a_version_that_is_never_ready_goes_back),
        STORY(what_was_replaced_already_comes_back),
        STORY(a_kill_from_outside_is_no_fault_of_the_version),
        STORY(what_is_killed_again_and_again_is_bad),
        STORY(failure_action_pause_leaves_both),
        STORY(failure_action_continue_goes_on),
        STORY(rollback_brings_the_version_before),
        STORY(a_second_change_waits_for_the_first),
        STORY(blue_green_changes_over_in_one_write),
        STORY(a_canary_gets_its_share),
        STORY(a_moment_in_which_all_stood_still_is_no_fault_of_the_new_version),
        STORY(jobs_run_before_and_after),
        STORY(a_pre_deploy_that_is_killed_has_failed_and_it_is_said_how),
        STORY(what_waits_for_something_that_fails_is_not_deployed),
        STORY(what_comes_to_wait_for_something_that_failed_goes_back),
        STORY(nobody_is_stopped_for_a_version_that_still_waits),
        STORY(who_shares_a_route_waits_for_a_peer_that_was_killed),
        STORY(a_pre_deploy_that_fails_leaves_all_as_it_was),
        STORY(a_post_deploy_that_fails_brings_the_old_one_back),
        STORY(a_job_is_ended_when_the_deploy_turns_round),
        STORY(a_job_that_does_not_hear_ends_with_the_second_down),
        STORY(who_stands_beside_the_rotation_is_no_reason_to_strike_the_last_one_in_it),
        STORY(down_in_the_middle_ends_all),
        STORY(scaling_in_the_middle_counts),
        STORY(scaled_down_in_the_middle_no_more_are_left),
        STORY(a_new_one_that_is_killed_and_not_to_come_back_turns_it_round),
        STORY(an_old_one_that_comes_back_before_the_first_share_has_its_weight),
        STORY(what_paused_stays_as_it_is),
        STORY(in_the_middle_it_goes_back_where_it_came_from_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
