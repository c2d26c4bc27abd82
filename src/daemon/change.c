/* SPDX-License-Identifier: MIT
 *
 * From one request to the next: loads the files, checks all that can be wrong before anything is touched, and then changes
 * services, listeners and what is written down of them.
 */
#include "daemon/daemon_parts.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "daemon/deploys.h"
#include "daemon/specs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Loads what `request` says and opens the ports that are new. Everything that is wrong goes to `problems` or `err`. */
static int prepare(struct daemon *daemon, const struct up_request *request, struct spec **ret,
                   struct problems *problems, struct err *err)
{
    struct spec *spec = NULL;
    enum spec_runtime kind;

    int r = compose_load(&request->compose, &spec, problems);
    if (r == 0 && strcmp(spec->name, daemon->dir.project) != 0)
        r = err_set(err, -EINVAL, "the files are those of project \"%s\", but this is \"%s\"", spec->name,
                    daemon->dir.project);
    if (r == 0)
        r = up_request_apply(request, spec, err);
    if (r == 0)
        r = spec_choose_runtime(spec, request->runtime, &kind, err);
    if (r == 0 && kind != daemon->kind)
        r = err_set(err, -EINVAL,
                    "project \"%s\" runs with the %s runtime, and the files ask for the other one; take it down first",
                    daemon->dir.project, daemon->runtime->name);
    if (r == 0)
        daemon->runtime->check(daemon->runtime, spec, problems);
    if (r == 0 && problems->errors == 0)
        daemon->runtime->stamp(daemon->runtime, spec);
    if (r == 0)
        listeners_open(&daemon->listeners, spec, problems);
    if (r == 0 && problems->errors > 0)
        r = -EINVAL;
    if (r < 0) {
        listeners_discard(&daemon->listeners);
        spec_free(spec);
        return r;
    }
    *ret = spec;
    return 0;
}

static void renew(struct daemon *daemon, const struct up_request *request)
{
    for (const char *const *name = request->renew; name && *name; name++)
        supervisor_renew(daemon->supervisor, *name);
}

int daemon_apply(struct daemon *daemon, const struct up_request *request, struct spec *spec, struct err *err)
{
    uint32_t id = daemon->spec_id + 1;
    struct err why = { 0 };

    if (specs_save(&daemon->dir, spec, id, &why) < 0) {
        daemon_warn(daemon, "should the supervisor die, what changes now cannot be taken over", why.message);
        id = 0;
    } else {
        daemon_write_down(daemon, request, id, false);
    }
    if (request->replace)
        supervisor_turn_round(daemon->supervisor, request->services);
    int r = supervisor_apply(daemon->supervisor, spec, id, request->services, err);
    if (r < 0) {
        if (daemon->spec_id)
            daemon_write_down(daemon, &daemon->request, daemon->spec_id, true);
        return r;
    }
    if (id)
        daemon->spec_id = id;
    renew(daemon, request);
    return 0;
}

void daemon_apply_again(struct daemon *daemon)
{
    const struct up_request *request = &daemon->request;
    struct err err = { 0 };

    if (request->replace)
        supervisor_turn_round(daemon->supervisor, request->services);
    if (supervisor_apply_again(daemon->supervisor, request->services, &err) < 0)
        daemon_warn(daemon, "what was asked for last cannot be done", err.message);
    else
        renew(daemon, request);
}

static bool is_used(void *data, uint32_t id)
{
    return supervisor_uses_spec(data, id);
}

static int give_up(struct daemon *daemon, struct spec *spec, int result)
{
    listeners_discard(&daemon->listeners);
    spec_free(spec);
    return result;
}

int daemon_change(struct daemon *daemon, const struct up_request *request, struct problems *problems, json_t **ret_plan,
                  struct err *err)
{
    struct spec *spec;

    if (daemon->stopping)
        return err_set(err, -EBUSY, "project \"%s\" is going down", daemon->dir.project);
    daemon_busy_begin(daemon->guard);
    int r = prepare(daemon, request, &spec, problems, err);
    daemon_busy_end();
    if (r < 0)
        return r;
    if (ret_plan)
        *ret_plan = deploys_plan(daemon->supervisor, spec, request->services);
    if (request->dry_run)
        return give_up(daemon, spec, 0);
    r = daemon_apply(daemon, request, spec, err);
    if (r < 0)
        return give_up(daemon, spec, r);
    r = listeners_publish(&daemon->listeners, spec, daemon->memory.board, err);
    accesslog_apply(&daemon->accesslog, spec);
    workers_sync(daemon->workers);
    daemon_write_down(daemon, request, daemon->spec_id, true);
    specs_prune(&daemon->dir, is_used, daemon->supervisor);
    daemon_notify_ready(daemon); /* a manager that lost sight of us may have asked */
    loop_timer_set(daemon->loop, &daemon->look, loop_now(daemon->loop));
    return r;
}

void daemon_reload(struct daemon *daemon)
{
    struct problems problems = { 0 };
    CLEANUP_BUF struct buf text = { 0 };
    struct err err = { 0 };

    struct up_request again = daemon->request;

    again.renew = NULL;
    again.replace = false;
    if (daemon_change(daemon, &again, &problems, NULL, &err) < 0) {
        char told[EVENT_TEXT];
        problems_format(&problems, false, &text);
        const char *all = text.len > 0 ? text.data : err.message;
        (void)fprintf(stderr, "%s\n", all);
        (void)snprintf(told, sizeof(told), "the files could not be loaded again, nothing was changed: %.*s",
                       (int)(strcspn(all, "\n") < 160 ? strcspn(all, "\n") : 160), all);
        daemon_emit(daemon, EVENT_WARNING, "", "", told);
    }
    problems_free(&problems);
}
