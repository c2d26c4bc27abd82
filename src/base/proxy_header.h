/* SPDX-License-Identifier: MIT
 *
 * The PROXY protocol, versions 1 and 2 (haproxy.org/download/2.8/doc/proxy-protocol.txt): what a proxy says of its client
 * before anything else on a TCP connection. Pure: reads and writes bytes, knows no sockets.
 *
 *     v1   "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", at most 107 bytes
 *     v2   ┌ signature 12 ┬ version, command ┬ family, transport ┬ length 2 ┬ addresses ┬ TLVs … ┐
 */
#ifndef DARUMA_BASE_PROXY_HEADER_H
#define DARUMA_BASE_PROXY_HEADER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    PROXY_HEADER_LONGEST = 16 * 1024, /* that is read; the TLVs of version 2 could make it 64 KiB */
    PROXY_HEADER_WRITTEN = 108,       /* the longest that is written */
};

struct proxy_header {
    int family; /* AF_INET, AF_INET6; AF_UNSPEC: it names nobody, the connection's own ends are the client's */
    uint8_t source[16], destination[16]; /* network order */
    uint16_t source_port, destination_port;
};

/*
 * Reads a header. Its length; 0 when more bytes are needed; -EBADMSG when it is none, which is known as early as the
 * bytes tell. LOCAL, UNKNOWN, and families other than IPv4 and IPv6 over a stream name nobody. A checksum (CRC32c) that is
 * there has to be right; other TLVs are skipped over. `ret` is written on success only.
 */
ssize_t proxy_header_parse(const char *buf, size_t len, struct proxy_header *ret);

/* Writes a header of version 1 or 2. Its length. */
size_t proxy_header_format(const struct proxy_header *header, unsigned version, char out[PROXY_HEADER_WRITTEN]);

#endif
