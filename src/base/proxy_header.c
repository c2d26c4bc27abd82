/* SPDX-License-Identifier: MIT */
#include "base/proxy_header.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

enum {
    SIGNATURE = sizeof(signature) - 1,
    V1_LONGEST = 107,
    V2_HEAD = 16, /* before the addresses */
    V2_INET = 12,
    V2_INET6 = 36,
    V2_UNIX = 216,
    TLV_CRC32C = 3,
};

/* --- version 1 -------------------------------------------------------------------------------------------------- */

/* Takes the word up to the next space, or the last one. False when there is none, or it does not fit. */
static bool take_word(const char **at, const char *end, char *word, size_t size)
{
    const char *space = memchr(*at, ' ', (size_t)(end - *at));
    size_t len = (size_t)((space ? space : end) - *at);
    if (len == 0 || len >= size)
        return false;
    memcpy(word, *at, len);
    word[len] = '\0';
    *at = space ? space + 1 : end;
    return true;
}

static bool take_address(const char **at, const char *end, int family, uint8_t address[16])
{
    char word[INET6_ADDRSTRLEN];
    return take_word(at, end, word, sizeof(word)) && inet_pton(family, word, address) == 1;
}

/* Digits without a leading zero, up to 65535. */
static bool take_port(const char **at, const char *end, uint16_t *ret)
{
    char word[6];
    unsigned port = 0;
    if (!take_word(at, end, word, sizeof(word)) || (word[0] == '0' && word[1]))
        return false;
    for (const char *c = word; *c; c++) {
        if (*c < '0' || *c > '9')
            return false;
        port = port * 10 + (unsigned)(*c - '0');
    }
    *ret = (uint16_t)port;
    return port <= UINT16_MAX;
}

/* What stands between "PROXY " and the end of the line. */
static int read_line(const char *at, const char *end, struct proxy_header *header)
{
    char word[8];
    if (!take_word(&at, end, word, sizeof(word)))
        return -EBADMSG;
    if (strcmp(word, "UNKNOWN") == 0)
        return 0; /* whatever follows is to be ignored */
    header->family = strcmp(word, "TCP4") == 0 ? AF_INET : strcmp(word, "TCP6") == 0 ? AF_INET6 : AF_UNSPEC;
    bool good =
        header->family != AF_UNSPEC && end[-1] != ' ' && take_address(&at, end, header->family, header->source) &&
        take_address(&at, end, header->family, header->destination) && take_port(&at, end, &header->source_port) &&
        take_port(&at, end, &header->destination_port) && at == end;
    return good ? 0 : -EBADMSG;
}

static ssize_t parse_v1(const char *buf, size_t len, struct proxy_header *ret)
{
    static const char begin[] = "PROXY ";
    const size_t begin_len = sizeof(begin) - 1;
    struct proxy_header header = { .family = AF_UNSPEC };

    if (memcmp(buf, begin, len < begin_len ? len : begin_len) != 0)
        return -EBADMSG;
    const char *end = memchr(buf, '\n', len < V1_LONGEST ? len : V1_LONGEST);
    if (!end)
        return len < V1_LONGEST ? 0 : -EBADMSG;
    if (end[-1] != '\r' || end - 1 < buf + begin_len || read_line(buf + begin_len, end - 1, &header) < 0)
        return -EBADMSG;
    *ret = header;
    return end + 1 - buf;
}

/* --- version 2 -------------------------------------------------------------------------------------------------- */

static uint16_t read16(const char *at)
{
    return (uint16_t)((uint8_t)at[0] << 8 | (uint8_t)at[1]);
}

static void write16(char *at, uint16_t number)
{
    at[0] = (char)(number >> 8);
    at[1] = (char)number;
}

/* Castagnoli's polynomial, a bit at a time: it is rarely there, and short. `zeroed` counts as four zeroes. */
static uint32_t crc32c(const char *buf, size_t len, const char *zeroed)
{
    uint32_t crc = ~UINT32_C(0);
    for (const char *at = buf; at < buf + len; at++) {
        crc ^= at >= zeroed && at < zeroed + 4 ? 0 : (uint8_t)*at;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
    }
    return ~crc;
}

/* The TLVs fill what is left of the header, and its checksum is right, if there is one. */
static bool check_tlvs(const char *buf, size_t len, size_t at)
{
    for (size_t value; at < len; at = value + read16(buf + at + 1)) {
        value = at + 3;
        if (value > len || read16(buf + at + 1) > len - value)
            return false;
        if (buf[at] != TLV_CRC32C)
            continue;
        uint32_t told;
        if (read16(buf + at + 1) != sizeof(told))
            return false;
        memcpy(&told, buf + value, sizeof(told));
        if (ntohl(told) != crc32c(buf, len, buf + value))
            return false;
    }
    return true;
}

/* The addresses behind the head. How many bytes they take, or -EBADMSG. */
static ssize_t read_addresses(const char *buf, size_t len, struct proxy_header *header)
{
    const unsigned family = (uint8_t)buf[13] >> 4, transport = (uint8_t)buf[13] & 15;
    static const uint8_t sizes[] = { 0, V2_INET, V2_INET6, V2_UNIX };
    if (family >= sizeof(sizes) || transport > 2 || V2_HEAD + (size_t)sizes[family] > len)
        return -EBADMSG;
    if (transport != 1 || (family != 1 && family != 2))
        return sizes[family];
    size_t size = family == 1 ? 4 : 16;
    const char *ports = buf + V2_HEAD + 2 * size;
    header->family = family == 1 ? AF_INET : AF_INET6;
    memcpy(header->source, buf + V2_HEAD, size);
    memcpy(header->destination, buf + V2_HEAD + size, size);
    header->source_port = read16(ports);
    header->destination_port = read16(ports + 2);
    return sizes[family];
}

static ssize_t parse_v2(const char *buf, size_t len, struct proxy_header *ret)
{
    struct proxy_header header = { .family = AF_UNSPEC };

    if (memcmp(buf, signature, len < SIGNATURE ? len : SIGNATURE) != 0)
        return -EBADMSG;
    if (len > 12 && (uint8_t)buf[12] != 0x20 && (uint8_t)buf[12] != 0x21)
        return -EBADMSG;
    if (len < V2_HEAD)
        return 0;
    size_t whole = V2_HEAD + (size_t)read16(buf + 14);
    if (whole > PROXY_HEADER_LONGEST)
        return -EBADMSG;
    if (len < whole)
        return 0;
    /* LOCAL: the proxy speaks for itself, a health check for instance; what follows means nothing. */
    if ((uint8_t)buf[12] == 0x21) {
        ssize_t addresses = read_addresses(buf, whole, &header);
        if (addresses < 0 || !check_tlvs(buf, whole, V2_HEAD + (size_t)addresses))
            return -EBADMSG;
    }
    *ret = header;
    return (ssize_t)whole;
}

ssize_t proxy_header_parse(const char *buf, size_t len, struct proxy_header *ret)
{
    if (len == 0)
        return 0;
    return buf[0] == 'P' ? parse_v1(buf, len, ret) : parse_v2(buf, len, ret);
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

static char *put_port(char *at, uint16_t port)
{
    char digits[5], *first = digits + sizeof(digits);
    do {
        *--first = (char)('0' + port % 10);
        port /= 10;
    } while (port > 0);
    return mempcpy(at, first, (size_t)(digits + sizeof(digits) - first));
}

static size_t format_v1(const struct proxy_header *header, char *out)
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];

    if (header->family == AF_UNSPEC || !inet_ntop(header->family, header->source, source, sizeof(source)) ||
        !inet_ntop(header->family, header->destination, destination, sizeof(destination)))
        return (size_t)(stpcpy(out, "PROXY UNKNOWN\r\n") - out);
    char *at = stpcpy(out, header->family == AF_INET ? "PROXY TCP4 " : "PROXY TCP6 ");
    at = stpcpy(stpcpy(at, source), " ");
    at = stpcpy(stpcpy(at, destination), " ");
    at = stpcpy(put_port(at, header->source_port), " ");
    at = stpcpy(put_port(at, header->destination_port), "\r\n");
    return (size_t)(at - out);
}

static size_t format_v2(const struct proxy_header *header, char *out)
{
    const size_t size = header->family == AF_INET ? 4 : header->family == AF_INET6 ? 16 : 0;
    const size_t addresses = size > 0 ? 2 * size + 4 : 0;

    memcpy(out, signature, SIGNATURE);
    out[12] = size > 0 ? 0x21 : 0x20; /* PROXY, or LOCAL */
    out[13] = size == 4 ? 0x11 : size == 16 ? 0x21 : 0;
    write16(out + 14, (uint16_t)addresses);
    memcpy(out + V2_HEAD, header->source, size);
    memcpy(out + V2_HEAD + size, header->destination, size);
    if (size > 0) {
        write16(out + V2_HEAD + 2 * size, header->source_port);
        write16(out + V2_HEAD + 2 * size + 2, header->destination_port);
    }
    return V2_HEAD + addresses;
}

size_t proxy_header_format(const struct proxy_header *header, unsigned version, char out[PROXY_HEADER_WRITTEN])
{
    return version == 1 ? format_v1(header, out) : format_v2(header, out);
}
