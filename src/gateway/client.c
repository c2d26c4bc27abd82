/* SPDX-License-Identifier: MIT */
#include "gateway/client.h"

#include <string.h>
#include <sys/socket.h>

struct gw_client gw_client_peer(const struct conn *conn)
{
    struct gw_client client = { .family = conn->peer_family };
    memcpy(client.address, conn->peer, sizeof(client.address));
    return client;
}

bool gw_client_is_in(const struct gw_client *client, const struct board_network *networks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct board_network *network = &networks[i];
        unsigned bytes = network->bits / 8, rest = network->bits % 8;
        if (network->family == client->family && memcmp(network->address, client->address, bytes) == 0 &&
            (rest == 0 || ((network->address[bytes] ^ client->address[bytes]) >> (8 - rest)) == 0))
            return true;
    }
    return false;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80", with spaces around it. */
static bool read_address(const char *at, const char *end, struct gw_client *ret)
{
    char text[INET6_ADDRSTRLEN];
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    bool bracketed = at < end && *at == '[';
    const char *colon = memchr(at, ':', (size_t)(end - at));
    at += bracketed;
    if (bracketed)
        end = memchr(at, ']', (size_t)(end - at));
    else if (colon && !memchr(colon + 1, ':', (size_t)(end - colon - 1)))
        end = colon; /* one colon only: a port's */
    if (!end || end == at || (size_t)(end - at) >= sizeof(text))
        return false;
    memcpy(text, at, (size_t)(end - at));
    text[end - at] = '\0';
    *ret = (struct gw_client){ .family = bracketed || strchr(text, ':') ? AF_INET6 : AF_INET };
    return inet_pton(ret->family, text, ret->address) == 1;
}

struct gw_client gw_client_behind(struct gw_client client, const char *buf, const struct http1_head *head,
                                  const struct board_network *trusted, uint32_t count)
{
    for (unsigned i = head->headers; i > 0; i--) {
        const struct http1_header *field = &head->header[i - 1];
        if (field->field != HTTP1_FIELD_X_FORWARDED_FOR)
            continue;
        const char *from = buf + field->value.at, *end = from + field->value.len;
        while (gw_client_is_in(&client, trusted, count)) {
            const char *comma = memrchr(from, ',', (size_t)(end - from));
            struct gw_client named;
            if (!read_address(comma ? comma + 1 : from, end, &named))
                return client;
            client = named;
            if (!comma)
                break;
            end = comma;
        }
    }
    return client;
}

size_t gw_client_text(const struct gw_client *client, char text[INET6_ADDRSTRLEN])
{
    if (client->family == AF_INET) {
        char *at = text;
        for (int i = 0; i < 4; i++) {
            unsigned byte = client->address[i];
            if (i > 0)
                *at++ = '.';
            if (byte >= 100)
                *at++ = (char)('0' + byte / 100);
            if (byte >= 10)
                *at++ = (char)('0' + byte / 10 % 10);
            *at++ = (char)('0' + byte % 10);
        }
        return (size_t)(at - text);
    }
    if (client->family == AF_INET6 && inet_ntop(AF_INET6, client->address, text, INET6_ADDRSTRLEN))
        return strlen(text);
    memcpy(text, "unknown", 7);
    return 7;
}
