/* SPDX-License-Identifier: MIT */
#include "observe/feed.h"

#include "base/cleanup.h"
#include "observe/text.h"

enum { FILL = 32 << 10 };

static void add_json(struct buf *out, json_t *object)
{
    CLEANUP_FREE char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    if (text) {
        buf_puts(out, text);
        buf_puts(out, "\n");
    }
}

json_t *feed_log_line(const struct logs_line *line)
{
    json_t *object = json_object();

    (void)json_object_set_new(object, "seq", json_integer((json_int_t)line->number));
    (void)json_object_set_new(object, "time", json_real((double)line->wall_ns / 1e9));
    (void)json_object_set_new(object, "service", json_string(line->service));
    (void)json_object_set_new(object, "instance", json_string(line->instance));
    (void)json_object_set_new(object, "stream", json_string(line->stream == 2 ? "stderr" : "stdout"));
    (void)json_object_set_new(object, "text", text_json(line->text, line->len));
    return object;
}

bool feed_fill(struct feed *feed, struct buf *out)
{
    size_t before = out->len;

    if (feed->journal) {
        const struct event *event;
        while (out->len - before < FILL && !out->failed && (event = journal_after(feed->journal, feed->seq))) {
            add_json(out, journal_json(event));
            feed->seq = event->seq;
        }
    } else {
        struct logs_line line;
        while (out->len - before < FILL && !out->failed && logs_reader_next(feed->reader, &line))
            add_json(out, feed_log_line(&line));
    }
    return out->len > before;
}

void feed_end(struct feed *feed)
{
    logs_reader_free(feed->reader);
    feed->reader = NULL;
}
