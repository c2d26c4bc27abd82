/* SPDX-License-Identifier: MIT */
#include "gateway/path.h"

#include "base/http1_class.h"

#include <stdint.h>
#include <string.h>

static int hex_digit(char byte)
{
    if (!http1_is(byte, HTTP1_IS_HEX))
        return -1;
    return byte <= '9' ? byte - '0' : http1_lower(byte) - 'a' + 10;
}

/* RFC 3986 §2.3, and the slash: what an escape may stand for without changing its meaning for whoever decodes. */
static bool decodes(unsigned byte)
{
    char low = http1_lower((char)byte);
    return (low >= 'a' && low <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_' ||
           byte == '~' || byte == '/';
}

/* Nearly every path: nothing to look at twice. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '%' || (text[i] == '/' && i + 1 < len && (text[i + 1] == '/' || text[i + 1] == '.')))
            return false;
    return true;
}

struct writer {
    struct gw_path *path;
    size_t len, segment; /* where the present segment begins */
};

/* The present segment is over. False: it leads above the root. */
static bool end_segment(struct writer *writer, bool slash)
{
    char *room = writer->path->room;
    size_t len = writer->len - writer->segment;
    const char *segment = room + writer->segment;

    if (len == 2 && segment[0] == '.' && segment[1] == '.') {
        if (writer->segment <= 1)
            return false;
        writer->len = writer->segment - 1;
        while (room[writer->len - 1] != '/')
            writer->len--;
        writer->path->moved = true;
    } else if ((len == 0 && slash) || (len == 1 && segment[0] == '.')) {
        writer->len = writer->segment;
        writer->path->moved = true;
    } else if (slash) {
        room[writer->len++] = '/';
    }
    writer->segment = writer->len;
    return true;
}

static bool write_path(struct writer *writer, const char *text, size_t len)
{
    char *room = writer->path->room;
    for (size_t i = 1; i < len; i++) {
        char byte = text[i];
        if (byte == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1, low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return false;
            unsigned value = (unsigned)(high << 4 | low);
            i += 2;
            if (!decodes(value)) {
                static const char digits[] = "0123456789ABCDEF";
                room[writer->len++] = '%';
                room[writer->len++] = digits[high];
                room[writer->len++] = digits[low];
                continue;
            }
            byte = (char)value;
        }
        if (byte != '/')
            room[writer->len++] = byte;
        else if (!end_segment(writer, true))
            return false;
    }
    return end_segment(writer, false);
}

bool gw_path_normalise(const char *target, size_t len, struct gw_path *ret)
{
    const char *query = memchr(target, '?', len);

    ret->raw_len = query ? (size_t)(query - target) : len;
    ret->text = target;
    ret->len = ret->raw_len;
    ret->changed = ret->moved = ret->grouped = false;
    ret->query = (struct gw_span){ target + ret->raw_len, len - ret->raw_len };
    if (ret->len == 0 || *target != '/') { /* of an absolute form without a path; of OPTIONS * */
        ret->text = "/";
        ret->len = 1;
        return true;
    }
    if (is_plain(target, ret->len))
        return true;
    if (ret->len > sizeof(ret->room))
        return false;
    struct writer writer = { .path = ret, .len = 1, .segment = 1 };
    ret->room[0] = '/';
    if (!write_path(&writer, target, ret->raw_len))
        return false;
    ret->text = ret->room;
    ret->len = writer.len;
    ret->changed = ret->len != ret->raw_len || memcmp(ret->room, target, ret->len) != 0;
    return true;
}

size_t gw_path_raw_end(const char *target, size_t raw_len, size_t len)
{
    size_t at = 0;
    for (size_t seen = 0; seen < len && at < raw_len; seen++) {
        bool decoded = target[at] == '%' && at + 2 < raw_len &&
                       decodes((unsigned)(hex_digit(target[at + 1]) << 4 | hex_digit(target[at + 2])));
        at += decoded ? 3 : 1;
    }
    return at;
}
