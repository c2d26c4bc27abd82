/* SPDX-License-Identifier: MIT */
#include "runtime/engine_wait.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

struct engine_wait {
    struct loop *loop;
    struct engine *engine;
    int64_t patience_ns;
    int open; /* calls that have not ended */
    int status;
    json_t *answer;
    struct err err;
};

struct engine_wait *engine_wait_new(const char *host, int64_t patience_ns, struct err *err)
{
    struct engine_wait *wait = calloc(1, sizeof(*wait));

    if (wait) {
        wait->patience_ns = patience_ns;
        wait->loop = loop_new();
    }
    if (wait && wait->loop)
        wait->engine = engine_new(wait->loop, host, err);
    else
        (void)err_errno(err, -ENOMEM, "cannot talk to the Docker Engine");
    if (wait && wait->engine)
        return wait;
    engine_wait_free(wait);
    return NULL;
}

void engine_wait_free(struct engine_wait *wait)
{
    if (!wait)
        return;
    engine_free(wait->engine);
    loop_free(wait->loop);
    free(wait);
}

void engine_wait_all(struct engine_wait *wait)
{
    while (wait->open > 0 && loop_turn(wait->loop, -1) == 0)
        ;
    wait->open = 0;
}

static void on_answer(void *owner, int status, const json_t *json, const struct err *err)
{
    struct engine_wait *wait = owner;

    wait->open--;
    wait->status = status;
    wait->answer = json_incref((json_t *)json);
    wait->err = *err;
}

int engine_wait_get(struct engine_wait *wait, const char *path, json_t **ret, struct err *err)
{
    const struct engine_request request = {
        .method = "GET", .path = path, .timeout_ns = wait->patience_ns, .owner = wait, .done = on_answer
    };
    struct engine_call *call;

    wait->answer = NULL;
    wait->status = -EIO;
    if (engine_begin(wait->engine, &request, &call) < 0)
        return err_errno(err, -ENOMEM, "cannot talk to the Docker Engine");
    wait->open++;
    engine_wait_all(wait);
    if (wait->status != 200) {
        json_decref(wait->answer);
        *err = wait->err;
        if (err->code == 0) /* an answer, but not what was asked for */
            (void)err_set(err, -EREMOTEIO, "the Docker Engine at %s answered %d", engine_host(wait->engine),
                          wait->status);
        return wait->status < 0 ? wait->status : -EREMOTEIO;
    }
    if (ret)
        *ret = wait->answer;
    else
        json_decref(wait->answer);
    return 0;
}

static void on_ended(void *owner, int status, const json_t *json, const struct err *err)
{
    struct engine_wait *wait = owner;
    wait->open--;
}

void engine_wait_begin(struct engine_wait *wait, const char *method, const char *path, int64_t timeout_ns)
{
    const struct engine_request request = {
        .method = method, .path = path, .timeout_ns = timeout_ns, .owner = wait, .done = on_ended
    };
    struct engine_call *call;

    if (path && engine_begin(wait->engine, &request, &call) == 0)
        wait->open++;
}
