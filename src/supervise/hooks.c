/* SPDX-License-Identifier: MIT
 *
 * Lifecycle hooks of the Compose specification: commands that are run in an instance, one after the other, once it was started
 * and before it is asked to end. Whoever begins them is called when the last one is over, or the first one has failed.
 */
#include "supervise/instance_parts.h"

#include <stdio.h>
#include <string.h>

static void run_next(struct instance *instance);

/* Of the configuration as it is now: a change that leaves the process alone has left them as they were. */
static const struct spec_hooks *list_of(const struct instance *instance)
{
    return instance->hooks.point == HOOKS_PRE_STOP ? &instance->spec->pre_stop : &instance->spec->post_start;
}

static void over(struct instance *instance, bool ok)
{
    instance->hooks.point = HOOKS_NONE;
    instance->hooks.done(instance, ok);
}

static void failed(struct instance *instance, const char *why, const char *output, size_t len)
{
    const struct spec_hook *hook = &list_of(instance)->list[instance->hooks.at];
    char text[EVENT_TEXT];

    while (len > 0 && (output[len - 1] == '\n' || output[len - 1] == ' '))
        len--;
    (void)snprintf(text, sizeof(text), "the hook `%.40s` in line %d %s%s%.*s", hook->command[0], hook->place.line, why,
                   len > 0 ? ": " : "", len < 100 ? (int)len : 100, output);
    instance_warn(instance, text);
    over(instance, false);
}

static void on_done(void *owner, int result, const char *output, size_t len)
{
    struct instance *instance = owner;
    char why[64];

    instance->hooks.execution = NULL;
    if (result == 0) {
        instance->hooks.at++;
        run_next(instance);
        return;
    }
    if (result < 0)
        (void)snprintf(why, sizeof(why), "could not be run: %s", strerror(-result));
    else
        (void)snprintf(why, sizeof(why), "ended with status %d", result);
    failed(instance, why, output, len);
}

static void run_next(struct instance *instance)
{
    struct runtime *runtime = supervisor_of(instance)->peers.runtime;
    struct hooks *hooks = &instance->hooks;
    struct err err = { 0 };

    if (hooks->at >= list_of(instance)->len) {
        over(instance, true);
        return;
    }
    const struct spec_hook *hook = &list_of(instance)->list[hooks->at];
    const struct runtime_exec exec = { .argv = hook->command, .as = hook, .owner = instance, .done = on_done };
    if (runtime->exec(runtime, instance->handle, &exec, &hooks->execution, &err) < 0) {
        hooks->execution = NULL;
        failed(instance, "could not be run", err.message, strlen(err.message));
    }
}

void hooks_run(struct instance *instance, enum hooks_point point, void (*done)(struct instance *, bool))
{
    hooks_cancel(instance);
    instance->hooks = (struct hooks){ .point = point, .done = done };
    run_next(instance);
}

void hooks_cancel(struct instance *instance)
{
    struct runtime *runtime = supervisor_of(instance)->peers.runtime;

    if (instance->hooks.execution)
        runtime->exec_cancel(runtime, instance->hooks.execution);
    instance->hooks = (struct hooks){ 0 };
}
