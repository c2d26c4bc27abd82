/* SPDX-License-Identifier: MIT
 *
 * The short forms that are small languages of their own: ports, mounts, devices.
 */
#include "compose/canonical.h"

#include "compose/value.h"

#include "base/cleanup.h"
#include "base/names.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void set_text(struct loading *load, struct node *map, struct place place, const char *key, const char *text)
{
    node_set(load->pool, map, key, place, node_string(load->pool, place, text));
}

/* With --no-interpolate a variable stands for anything: what has one is not taken apart. */
static bool is_left_open(const struct loading *load, const struct node *node)
{
    return load->no_interpolate && node_str(node) && strchr(node_str(node), '$');
}

/* --- Ports: [[address:]published:]target[/protocol], with ranges --- */

struct range {
    int first, last;
};

static bool read_range(const char *text, size_t len, struct range *ret)
{
    char copy[16], *end;

    if (len == 0 || len >= sizeof(copy) || !isdigit((unsigned char)text[0]))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    long first = strtol(copy, &end, 10), last = first;
    if (*end == '-' && isdigit((unsigned char)end[1]))
        last = strtol(end + 1, &end, 10);
    if (*end || first > last || last > 65535)
        return false;
    *ret = (struct range){ (int)first, (int)last };
    return true;
}

static struct node *port_error(struct loading *load, const struct node *node, const char *what)
{
    problem_error(load->problems, node->place, "`%s` is no port: %s; write [address:][published:]target[/protocol]",
                  node_text(load->pool, node), what);
    return NULL;
}

struct port_text {
    const char *protocol;
    const char *host; /* "" : none */
    struct range target, published;
    bool has_published;
};

static bool split_host(struct loading *load, const char *text, size_t len, struct port_text *ret)
{
    unsigned char address[sizeof(struct in6_addr)];
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';

    ret->host = bracketed ? pool_strndup(load->pool, text + 1, len - 2) : pool_strndup(load->pool, text, len);
    return !*ret->host || inet_pton(bracketed ? AF_INET6 : AF_INET, ret->host, address) == 1;
}

/* The parts of the short form. What is wrong with it, or NULL. */
static const char *split_port(struct loading *load, const char *text, struct port_text *ret)
{
    static const char *const protocols[] = { "tcp", "udp", "sctp", NULL };
    size_t len = strcspn(text, "/");
    const char *protocol = text[len] ? text + len + 1 : "tcp", *colon = memrchr(text, ':', len);

    char *lower = pool_strndup(load->pool, protocol, strcspn(protocol, "/"));
    for (char *p = lower; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    *ret = (struct port_text){ .protocol = lower, .host = "" };
    if (!names_have(protocols, lower))
        return "the protocol is tcp, udp or sctp";
    const char *target = colon ? colon + 1 : text;
    if (!read_range(target, len - (size_t)(target - text), &ret->target))
        return "the target is a number up to 65535, or a range";
    if (!colon)
        return NULL;
    size_t rest = (size_t)(colon - text);
    const char *host_end = memrchr(text, ':', rest);
    const char *published = host_end ? host_end + 1 : text;
    ret->has_published = colon > published;
    if (ret->has_published && !read_range(published, (size_t)(colon - published), &ret->published))
        return "the published port is a number up to 65535, or a range";
    if (host_end && !split_host(load, text, (size_t)(host_end - text), ret))
        return "the address is an IPv4 address, or an IPv6 address in [brackets]";
    return NULL;
}

static struct node *port_node(struct loading *load, struct place place, const struct port_text *port, int offset,
                              bool keep_range)
{
    struct node *node = node_new(load->pool, NODE_MAP, place);
    int published = port->published.first + offset;

    set_text(load, node, place, "mode", "ingress");
    if (*port->host)
        set_text(load, node, place, "host_ip", port->host);
    node_set(load->pool, node, "target", place,
             node_int(load->pool, place, port->target.first + (keep_range ? 0 : offset)));
    if (port->has_published)
        set_text(load, node, place, "published",
                 keep_range && port->published.last > port->published.first
                     ? pool_printf(load->pool, "%d-%d", port->published.first, port->published.last)
                     : pool_printf(load->pool, "%d", published));
    set_text(load, node, place, "protocol", port->protocol);
    return node;
}

static void add_ports(struct loading *load, struct node *list, const struct node *item)
{
    struct port_text port;
    const char *wrong = split_port(load, node_text(load->pool, item), &port);

    if (wrong) {
        (void)port_error(load, item, wrong);
        return;
    }
    int targets = port.target.last - port.target.first, published = port.published.last - port.published.first;
    if (port.has_published && targets != published && targets != 0) {
        (void)port_error(load, item, "both ranges must have the same length");
        return;
    }
    if (targets == 0) {
        node_append(load->pool, list, port_node(load, item->place, &port, 0, true));
        return;
    }
    for (int i = 0; i <= targets; i++)
        node_append(load->pool, list, port_node(load, item->place, &port, i, false));
}

struct node *canonical_ports(struct loading *load, struct node *node)
{
    struct node *list = node_new(load->pool, NODE_LIST, node->place);

    for (size_t i = 0; i < node->len; i++) {
        struct node *item = node_at(node, i);
        if (item->tag == NODE_RESET)
            continue;
        if (is_left_open(load, item)) {
            node_append(load->pool, list, item);
            continue;
        }
        if (item->kind != NODE_MAP) {
            *load->at = item->place; /* a range may be long */
            add_ports(load, list, item);
            continue;
        }
        if (!node_get(item, "mode"))
            set_text(load, item, item->place, "mode", "ingress");
        if (!node_get(item, "protocol"))
            set_text(load, item, item->place, "protocol", "tcp");
        node_append(load->pool, list, item);
    }
    return list;
}

/* --- Mounts: [source:]target[:options] --- */

/* As the reference reads it: "x:/a" is no volume called x. */
static bool is_drive(const char *text)
{
    return isalpha((unsigned char)text[0]) && text[1] == ':';
}

/* How long the part is that begins here. Neither the colon of a drive letter ends it, nor one inside of ${…}. */
static size_t part_len(const char *text)
{
    size_t open = 0, i = 0;

    for (; text[i]; i++) {
        if (text[i] == '$' && text[i + 1] == '{')
            open++;
        else if (text[i] == '}' && open > 0)
            open--;
        else if (text[i] == ':' && open == 0 && !(i == 1 && is_drive(text)))
            break;
    }
    return i;
}

/* Is it a path of the host, or the name of a volume? */
static bool is_path(const char *text)
{
    return *text == '.' || *text == '/' || *text == '~' || strncmp(text, "\\\\", 2) == 0 || is_drive(text);
}

static struct node *child_map(struct loading *load, struct node *map, const char *key, struct place place)
{
    struct node *child = node_get(map, key);
    if (!node_is(child, NODE_MAP)) {
        child = node_new(load->pool, NODE_MAP, place);
        node_set(load->pool, map, key, place, child);
    }
    return child;
}

static void mount_option(struct loading *load, struct node *mount, struct place place, const char *option)
{
    static const char *const propagations[] = { "rprivate", "private", "rshared", "shared", "rslave", "slave", NULL };
    /* How a virtual machine is to share files, and labels of volumes: nothing is lost without them. */
    static const char *const harmless[] = { "cached", "delegated", "consistent", "z", "Z", NULL };
    bool bind = strcmp(node_str(node_get(mount, "type")), "bind") == 0;

    if (strcmp(option, "ro") == 0 || strcmp(option, "rw") == 0) {
        if (option[1] == 'o')
            node_set(load->pool, mount, "read_only", place, node_bool(load->pool, place, true));
        else
            node_remove(mount, "read_only");
    } else if (strcmp(option, "nocopy") == 0) {
        node_set(load->pool, child_map(load, mount, "volume", place), "nocopy", place,
                 node_bool(load->pool, place, true));
    } else if (strcasecmp(option, "z") == 0 && bind) {
        set_text(load, child_map(load, mount, "bind", place), place, "selinux", option);
    } else if (names_have(propagations, option)) {
        set_text(load, child_map(load, mount, "bind", place), place, "propagation", option);
    } else if (!names_have(harmless, option)) {
        problem_warning(load->problems, place,
                        "`%s` is no option of a mount, and is passed over; write ro, rw, nocopy …", option);
    }
}

static void make_source_absolute(struct loading *load, struct node *mount)
{
    const char *type = node_str(node_get(mount, "type"));
    struct node *source = node_get(mount, "source");

    if (type && strcmp(type, "bind") == 0 && node_str(source) && !value_is_windows_path(node_str(source)))
        source->u.string = load_model_path(load, source->u.string);
}

/* The options behind the target. The reference passes over what it does not know; a misspelt `ro` should not go unnoticed. */
static void mount_options(struct loading *load, struct node *mount, struct place place, const char *options)
{
    while (*options) {
        size_t len = strcspn(options, ",");
        mount_option(load, mount, place, pool_strndup(load->pool, options, len));
        options += len + (options[len] == ',');
    }
}

struct node *canonical_volume(struct loading *load, struct node *node)
{
    if (node->kind == NODE_MAP) {
        make_source_absolute(load, node);
        return node;
    }
    if (is_left_open(load, node))
        return node;
    struct place place = node->place;
    struct node *mount = node_new(load->pool, NODE_MAP, place);
    const char *text = node->u.string, *parts[3] = { NULL };
    size_t n = 0;
    bool wrong = !*text || *text == ':', brief = strlen(text) <= 2;

    for (const char *p = brief ? NULL : text; p && n < ARRAY_LEN(parts); n++) {
        size_t len = part_len(p);
        wrong = wrong || len == 0 || (p[len] && n + 1 == ARRAY_LEN(parts));
        parts[n] = pool_strndup(load->pool, p, len);
        p = p[len] ? p + len + 1 : NULL;
    }
    if (wrong) {
        problem_error(load->problems, place, "`%s` is no mount; write [source:]target[:options]", text);
        return node;
    }
    if (is_drive(text))
        problem_warning(load->problems, place,
                        "`%s`: one letter before a colon is a drive of Windows; a volume needs a longer name", text);
    bool bind = n > 1 && is_path(parts[0]);
    set_text(load, mount, place, "type", bind ? "bind" : "volume");
    if (n > 1)
        set_text(load, mount, place, "source", parts[0]);
    set_text(load, mount, place, "target", brief ? text : parts[n > 1]);
    if (!brief)
        (void)child_map(load, mount, bind ? "bind" : "volume", place);
    mount_options(load, mount, place, n > 2 ? parts[2] : "");
    make_source_absolute(load, mount);
    return mount;
}

/* --- Devices: source[:target[:permissions]] --- */

struct node *canonical_device(struct loading *load, struct node *node)
{
    if (node->kind != NODE_STRING)
        return node;
    struct node *device = node_new(load->pool, NODE_MAP, node->place);
    const char *text = node->u.string;
    size_t source = strcspn(text, ":");
    const char *target = text[source] ? text + source + 1 : "";
    size_t target_len = strcspn(target, ":");
    const char *permissions = target[target_len] ? target + target_len + 1 : "rwm";

    if (strchr(permissions, ':'))
        problem_error(load->problems, node->place, "`%s` is no device; write source[:target[:permissions]]", text);
    set_text(load, device, node->place, "source", pool_strndup(load->pool, text, source));
    set_text(load, device, node->place, "target",
             target_len > 0 ? pool_strndup(load->pool, target, target_len) : pool_strndup(load->pool, text, source));
    set_text(load, device, node->place, "permissions", permissions);
    return device;
}
