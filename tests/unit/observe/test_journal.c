/* SPDX-License-Identifier: MIT
 *
 * The ring of events, their JSON, and text of unknown origin.
 */
#include "observe/feed.h"
#include "observe/journal.h"
#include "observe/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void emit(struct event_bus *bus, int n)
{
    for (int i = 0; i < n; i++) {
        struct event event = { .kind = EVENT_PROJECT, .text = "something" };
        event_emit(bus, &event);
    }
}

static void events_are_given_after_a_number_in_order(void **state)
{
    struct event_bus bus = { 0 };
    struct journal *journal = journal_new(&bus, NULL);
    assert_non_null(journal);
    assert_null(journal_after(journal, 0));
    emit(&bus, 3);
    for (uint64_t seq = 0; seq < 3; seq++)
        assert_int_equal(journal_after(journal, seq)->seq, seq + 1);
    assert_null(journal_after(journal, 3));
    assert_null(journal_after(journal, UINT64_MAX));
    journal_free(journal);
}

static void a_full_ring_forgets_the_oldest(void **state)
{
    struct event_bus bus = { 0 };
    struct journal *journal = journal_new(&bus, NULL);
    assert_non_null(journal);
    emit(&bus, JOURNAL_EVENTS + 10);
    assert_int_equal(journal_after(journal, 0)->seq, 11);
    assert_int_equal(journal_after(journal, 10)->seq, 11);
    assert_int_equal(journal_after(journal, 11)->seq, 12);
    assert_int_equal(journal_after(journal, JOURNAL_EVENTS + 9)->seq, JOURNAL_EVENTS + 10);
    journal_free(journal);
}

static void who_listens_late_has_no_gaps_filled_with_nothing(void **state)
{
    struct event_bus bus = { 0 };
    emit(&bus, 5);
    struct journal *journal = journal_new(&bus, NULL);
    assert_non_null(journal);
    emit(&bus, 2);
    assert_int_equal(journal_after(journal, 0)->seq, 6);
    journal_free(journal);
}

static void what_does_not_apply_is_absent(void **state)
{
    struct event event = {
        .seq = 7,
        .wall_ns = 1500000000,
        .kind = EVENT_INSTANCE_EXIT,
        .cause = CAUSE_KILLED,
        .pid = 42,
        .status = 9,
        .by_signal = 1,
        .service = "app",
        .instance = "app-1",
    };
    json_t *json = journal_json(&event);
    assert_int_equal(json_integer_value(json_object_get(json, "seq")), 7);
    assert_true(json_real_value(json_object_get(json, "time")) == 1.5);
    assert_string_equal(json_string_value(json_object_get(json, "kind")), "instance.exit");
    assert_string_equal(json_string_value(json_object_get(json, "cause")), "killed");
    assert_int_equal(json_integer_value(json_object_get(json, "signal")), 9);
    assert_null(json_object_get(json, "status"));
    assert_null(json_object_get(json, "from"));
    assert_null(json_object_get(json, "span_ms"));
    assert_non_null(strstr(json_string_value(json_object_get(json, "line")), "SIGKILL"));
    json_decref(json);

    event = (struct event){ .kind = EVENT_INSTANCE_EXIT, .cause = CAUSE_EXIT, .status = 0, .instance = "job-1" };
    json = journal_json(&event);
    assert_true(json_is_integer(json_object_get(json, "status"))); /* 0 is a status, too */
    assert_null(json_object_get(json, "signal"));
    json_decref(json);
}

static void a_feed_gives_whole_lines_in_portions(void **state)
{
    struct event_bus bus = { 0 };
    struct journal *journal = journal_new(&bus, NULL);
    assert_non_null(journal);
    emit(&bus, 1000);
    struct feed feed = { .journal = journal };
    struct buf out = { 0 };
    size_t lines = 0, portions = 0;
    while (feed_fill(&feed, &out)) {
        assert_true(out.len < 40000);
        assert_int_equal(out.data[out.len - 1], '\n');
        for (size_t i = 0; i < out.len; i++)
            lines += out.data[i] == '\n';
        buf_consume(&out, out.len);
        portions++;
    }
    assert_int_equal(lines, 1000);
    assert_true(portions > 1);
    buf_free(&out);
    feed_end(&feed);
    journal_free(journal);
}

static void check_text(const char *bytes, size_t len, const char *expected)
{
    json_t *json = text_json(bytes, len);
    assert_non_null(json);
    assert_string_equal(json_string_value(json), expected);
    char *dumped = json_dumps(json, JSON_ENCODE_ANY);
    assert_non_null(dumped);
    json_t *again = json_loads(dumped, JSON_DECODE_ANY, NULL);
    assert_non_null(again);
    json_decref(again);
    free(dumped);
    json_decref(json);
}

#define BAD "\xef\xbf\xbd"

static void bytes_that_are_no_text_become_replacement_characters(void **state)
{
    check_text("plain", 5, "plain");
    check_text("", 0, "");
    check_text("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f");
    check_text("\xf0\x9f\x8e\x8e", 4, "\xf0\x9f\x8e\x8e");
    check_text("a\xff"
               "b",
               3, "a" BAD "b");
    check_text("nul\0in", 6, "nul" BAD "in");
    check_text("\xc3", 1, BAD);                         /* cut off */
    check_text("\xc0\xaf", 2, BAD BAD);                 /* overlong */
    check_text("\xed\xa0\x80", 3, BAD BAD BAD);         /* surrogate */
    check_text("\xf4\x90\x80\x80", 4, BAD BAD BAD BAD); /* beyond Unicode */
    check_text("\xe2\x82z", 3, BAD BAD "z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_given_after_a_number_in_order),
        cmocka_unit_test(a_full_ring_forgets_the_oldest),
        cmocka_unit_test(who_listens_late_has_no_gaps_filled_with_nothing),
        cmocka_unit_test(what_does_not_apply_is_absent),
        cmocka_unit_test(a_feed_gives_whole_lines_in_portions),
        cmocka_unit_test(bytes_that_are_no_text_become_replacement_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
