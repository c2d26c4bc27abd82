/* SPDX-License-Identifier: MIT
 *
 * The table of attributes: held against the specification's JSON schema where that is at hand, and what is told about
 * files that break it.
 */
#include "story.h"

#include "compose/schema.h"

/* The extended schema that the reference loader carries. */
static const char schema_path[] = "../shared/reference/compose/schema/compose-go-embedded-compose-spec.json";

struct comparison {
    const json_t *root;
    int compared; /* attributes */
};

static const json_t *follow(const struct comparison *comparison, const json_t *schema)
{
    const char *reference = json_string_value(json_object_get(schema, "$ref"));
    return reference ? json_object_get(json_object_get(comparison->root, "$defs"), strrchr(reference, '/') + 1)
                     : schema;
}

static unsigned kind_of(const char *type)
{
    return strcmp(type, "string") == 0    ? NODE_STRING
           : strcmp(type, "boolean") == 0 ? NODE_BOOL
           : strcmp(type, "integer") == 0 ? NODE_INT
           : strcmp(type, "number") == 0  ? NODE_INT | NODE_FLOAT
           : strcmp(type, "array") == 0   ? NODE_LIST
           : strcmp(type, "object") == 0  ? NODE_MAP
                                          : NODE_NULL;
}

static unsigned kinds_of(const struct comparison *comparison, const json_t *schema)
{
    schema = follow(comparison, schema);
    const json_t *type = json_object_get(schema, "type"), *choices = json_object_get(schema, "oneOf");
    unsigned kinds = json_is_string(type) ? kind_of(json_string_value(type)) : 0;

    for (size_t i = 0; i < json_array_size(type); i++)
        kinds |= kind_of(json_string_value(json_array_get(type, i)));
    for (size_t i = 0; i < json_array_size(choices); i++)
        kinds |= kinds_of(comparison, json_array_get(choices, i));
    return kinds ? kinds : NODE_SCALAR | NODE_LIST | NODE_MAP;
}

/* The one of the schema's alternatives that is of this type. */
static const json_t *alternative(const struct comparison *comparison, const json_t *schema, const char *type)
{
    schema = follow(comparison, schema);
    const json_t *choices = json_object_get(schema, "oneOf"), *own = json_object_get(schema, "type");
    bool fits = json_is_string(own) && strcmp(json_string_value(own), type) == 0;

    for (size_t i = 0; i < json_array_size(own); i++)
        fits = fits || strcmp(json_string_value(json_array_get(own, i)), type) == 0;
    if (fits)
        return schema;
    for (size_t i = 0; i < json_array_size(choices); i++) {
        const json_t *found = alternative(comparison, json_array_get(choices, i), type);
        if (found)
            return found;
    }
    return NULL;
}

static void compare(struct comparison *comparison, const struct schema *ours, const json_t *theirs, const char *path);

static bool has_text(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return true;
    return false;
}

/* Which keys there may be beside those with a name of their own, and which there must be. */
static void compare_openness(const struct schema *ours, const json_t *map, const char *path)
{
    const json_t *patterns = json_object_get(map, "patternProperties"), *required = json_object_get(map, "required");
    bool open = !json_is_false(json_object_get(map, "additionalProperties"));

    if (ours->extensible && !json_object_get(patterns, "^x-"))
        fail_msg("%s takes x-… in the table alone", path);
    if (ours->others && !open && json_object_size(patterns) == (size_t)ours->extensible)
        fail_msg("%s takes any key in the table alone", path);
    /* What no pattern fits is not looked at by the schema; in the table a section has no such names. */
    if (open && !ours->others)
        fail_msg("%s takes any key", path);
    for (const char *const *name = ours->required; name && *name; name++)
        if (!has_text(required, *name))
            fail_msg("%s requires %s in the table alone", path, *name);
}

static void compare_maps(struct comparison *comparison, const struct schema *ours, const json_t *map, const char *path)
{
    const json_t *required = json_object_get(map, "required"), *patterns = json_object_get(map, "patternProperties");
    const char *key;
    json_t *value;

    json_object_foreach(json_object_get(map, "properties"), key, value)
    {
        char below[256];
        (void)snprintf(below, sizeof(below), "%s.%s", path, key);
        const struct attribute *field = schema_field(ours, key);
        if (!field)
            fail_msg("%s is not in the table", below);
        comparison->compared++;
        compare(comparison, field->schema, value, below);
    }
    for (const struct attribute *field = ours->fields; field && field->name; field++)
        if (strncmp(field->name, "x-", 2) != 0 && !json_object_get(json_object_get(map, "properties"), field->name))
            fail_msg("%s.%s is in the table alone", path, field->name);
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *const *name = ours->required;
        while (name && *name && strcmp(*name, json_string_value(json_array_get(required, i))) != 0)
            name++;
        if (!name || !*name)
            fail_msg("%s requires %s", path, json_string_value(json_array_get(required, i)));
    }
    compare_openness(ours, map, path);
    json_object_foreach((json_t *)patterns, key, value)
    {
        if (strcmp(key, "^x-") == 0)
            assert_true(ours->extensible);
        else if (!ours->others)
            fail_msg("%s takes other keys: %s", path, key);
        else
            compare(comparison, ours->others, value, path);
    }
}

/* Both know the same words, where one of them knows any. */
static void compare_words(const struct schema *ours, const json_t *string, const char *path)
{
    const json_t *words = json_object_get(string, "enum");
    size_t n = 0;

    for (const char *const *word = ours->words; word && *word; word++, n++) {
        size_t i = 0;
        while (i < json_array_size(words) && strcmp(json_string_value(json_array_get(words, i)), *word) != 0)
            i++;
        if (i == json_array_size(words))
            fail_msg("%s: the word %s is in the table alone", path, *word);
    }
    if (n != json_array_size(words))
        fail_msg("%s: the table has %zu words, the schema %zu", path, n, json_array_size(words));
}

static void compare_range(const struct schema *ours, const json_t *number, const char *path)
{
    const json_t *min = json_object_get(number, "minimum"), *max = json_object_get(number, "maximum");

    if (!min && !max && ours->min == ours->max)
        return;
    if (!min || json_integer_value(min) != ours->min || ours->max != (max ? json_integer_value(max) : INT64_MAX))
        fail_msg("%s has another range in the table", path);
}

static void compare(struct comparison *comparison, const struct schema *ours, const json_t *theirs, const char *path)
{
    unsigned kinds = kinds_of(comparison, theirs);

    if (ours == &schema_anything)
        return;
    if (ours->kinds != kinds)
        fail_msg("%s: the table has kinds %#x, the schema %#x", path, ours->kinds, kinds);
    const json_t *map = alternative(comparison, theirs, "object"), *list = alternative(comparison, theirs, "array");
    if (map)
        compare_maps(comparison, ours, map, path);
    const json_t *string = alternative(comparison, theirs, "string"),
                 *number = alternative(comparison, theirs, "integer");
    compare_range(ours, number ? number : alternative(comparison, theirs, "number"), path);
    const char *format = json_string_value(json_object_get(string, "format"));
    if (string)
        compare_words(ours, string, path);
    if (format && strcmp(format, "duration") == 0 && ours->format != FORMAT_DURATION)
        fail_msg("%s is a duration", path);
    if (list && json_is_true(json_object_get(list, "uniqueItems")) && !ours->unique && !ours->canonical)
        fail_msg("%s has no item twice", path);
    if (list && ours->items && json_object_get(list, "items"))
        compare(comparison, ours->items, json_object_get(list, "items"), path);
}

static void the_table_says_what_the_specification_says(void **unused)
{
    (void)unused;
    struct comparison comparison = { .root = json_load_file(schema_path, 0, NULL) };

    if (!comparison.root) {
        print_message("skipped: the specification's schema is not at %s\n", schema_path);
        skip();
    }
    compare(&comparison, &schema_root, comparison.root, "");
    assert_true(comparison.compared > 209);
    json_decref((json_t *)comparison.root);
}

/* A page as a string. */
static void read_page(const char *path, struct buf *ret)
{
    char block[4096];
    size_t n;
    FILE *file CLEANUP_FILE = fopen(path, "re");

    if (!file)
        fail_msg("%s is not here; run it from the repository's folder", path);
    while ((n = fread(block, 1, sizeof(block), file)) > 0)
        buf_add(ret, block, n);
}

/* The page is written by hand up to the table, which is compared; with DARUMA_WRITE_DOCS set (make docs) it is written. */
static void the_page_shows_the_table_as_it_is(void **unused)
{
    (void)unused;
    struct buf table CLEANUP_BUF = { 0 }, page CLEANUP_BUF = { 0 };

    schema_print_table(&table);
    read_page("docs/compose.md", &page);
    char *at = strstr(page.data, "| attribute | process |");
    if (getenv("DARUMA_WRITE_DOCS")) {
        FILE *out CLEANUP_FILE = fopen("docs/compose.md", "we");
        assert_non_null(out);
        assert_true(fprintf(out, "%.*s%s", at ? (int)(at - page.data) : (int)page.len, page.data, table.data) > 0);
        return;
    }
    assert_non_null(at);
    if (strcmp(at, table.data) != 0)
        fail_msg("docs/compose.md is out of date: make docs");
}

/* How many keys below `schema` the page does not name: as `key`, as key: in an example, or in a list of keys. */
static int unnamed(const struct schema *schema, const char *page, const char *where)
{
    char path[256], quoted[80], written[80], listed[80];
    int missing = 0;

    for (const struct attribute *field = schema->fields; field && field->name; field++) {
        (void)snprintf(path, sizeof(path), "%s.%s", where, field->name);
        (void)snprintf(quoted, sizeof(quoted), "`%s`", field->name);
        (void)snprintf(written, sizeof(written), "%s: ", field->name);
        (void)snprintf(listed, sizeof(listed), ", %s", field->name);
        if (!strstr(page, quoted) && !strstr(page, written) && !strstr(page, listed)) {
            print_error("docs/gateway.md does not name %s\n", path);
            missing++;
        }
        missing += unnamed(field->schema, page, path);
    }
    return missing + (schema->items ? unnamed(schema->items, page, where) : 0);
}

static void the_gateways_page_names_every_option(void **unused)
{
    (void)unused;
    struct buf page CLEANUP_BUF = { 0 };

    read_page("docs/gateway.md", &page);
    assert_int_equal(unnamed(schema_child(&schema_root, "x-gateway"), page.data, "x-gateway"), 0);
}

static void what_breaks_the_table_is_told_with_its_place(void **unused)
{
    (void)unused;
    static const struct {
        const char *service, *told;
    } rows[] = {
        { "imgae: i", "4:5: unknown attribute `imgae` in services.a; did you mean `image`?" },
        { "image: [x]", "4:12: services.a.image must be a string, not a list" },
        { "init: 1", "4:11: services.a.init must be a string or a boolean, not an integer" },
        { "init: maybe", "4:11: `maybe` is no truth value" },
        { "command: [1]", "4:15: services.a.command[0] must be a string, not an integer" },
        { "command: \"a 'b\"", "4:14: `a 'b` cannot be split into words" },
        { "cgroup: both", "4:13: services.a.cgroup cannot be `both`; it is one of: host, private" },
        { "stop_grace_period: 10", "4:24: services.a.stop_grace_period must be a string, not an integer" },
        { "stop_grace_period: soon", "4:24: `soon` is no duration" },
        { "mem_limit: much", "4:16: `much` is no size" },
        { "scale: many", "4:12: `many` is no whole number" },
        { "oom_score_adj: 2000", "4:20: services.a.oom_score_adj cannot be 2000; it lies between -1000 and 1000" },
        { "ports: [\"80:80:80:80\"]", "4:13: `80:80:80:80` is no port" },
        { "ports: [\"::1:80:80\"]", "4:13: `::1:80:80` is no port: the address is" },
        { "ports: [99999]", "4:13: `99999` is no port" },
        { "ports: [\"1-2:3-5\"]", "4:13: `1-2:3-5` is no port: both ranges" },
        { "ports: [\"2777732327\"]", "4:13: `2777732327` is no port: the target is a number up to 65535" },
        { "volumes: [\"aa:bb:cc:dd\"]", "4:15: `aa:bb:cc:dd` is no mount" },
        { "volumes: [\"data:/d\"]", "4:15: service `a` refers to the volume `data`, which is not defined" },
        { "ulimits: {nofiles: 1}", "4:15: there is no limit `nofiles`; did you mean `nofile`?" },
        { "healthcheck: {test: [RUN, x]}", "4:26: a health check's list begins with NONE, CMD or CMD-SHELL" },
        { "stop_signal: SIGBUSY", "4:18: `SIGBUSY` is no signal" },
        { "depends_on: [b]", "4:18: service `a` refers to the service `b`, which is not defined" },
        { "depends_on: [a]", "4:18: services depend on each other in a circle: a → a" },
        { "depends_on: {a: {}}", "4:21: services.a.depends_on.a needs `condition`" },
        { "networks: [front]", "4:16: service `a` refers to the network `front`" },
        { "x-daruma: {proces: {}}",
          "4:16: unknown attribute `proces` in services.a.x-daruma; did you mean `process`?" },
        { "x-daruma: {healthcheck: \"ftp://x\"}", "4:29: `ftp://x` is no health check" },
        { "x-daruma: {healthcheck: \"http://:81/\"}", "4:29: 81 is no port of service `a`" },
        { "deploy: {replicas: 99999999999}", "4:24: 99999999999 instances are too many" },
        { "deploy: {replicas: 99999999999999999999}", "4:24: services.a.deploy.replicas must be" },
        { "environment: {A: [1]}", "4:22: services.a.environment.A must be" },
        { "environment: [\"A=${B:?set it}\"]", "4:19: the variable B is required and not set: set it" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        char text[512];
        (void)snprintf(text, sizeof(text), "services:\n  a:\n    build: .\n    %s\n", rows[i].service);
        story_of(&story, text);
        must_refuse(&story, rows[i].told);
    }
}

static void all_of_it_is_told_in_one_go(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_file(&story, "compose.override.yaml", "services:\n  b: {imag: j}\n");
    story_of(&story, "services:\n  a:\n    imgae: i\n    ports: x\n    scale: ${N:?how many}\n    depends_on: [c]\n"
                     "    volumes: [\":\"]\nvolume: {}\n");
    must_refuse(&story, "compose.yaml:3:5: unknown attribute `imgae`");
    must_tell(&story, "compose.yaml:4:12: services.a.ports must be a list");
    must_tell(&story, "compose.yaml:5:12: the variable N is required");
    must_tell(&story, "compose.yaml:6:18: service `a` refers to the service `c`");
    must_tell(&story, "compose.yaml:7:15: `:` is no mount");
    must_tell(&story, "compose.yaml:8:1: unknown attribute `volume`; did you mean `volumes`?");
    must_tell(&story, "compose.override.yaml:2:7: unknown attribute `imag`");
}

/* Each is found by another step of the loader, the first of them being wrong included. */
static void no_step_hides_what_a_later_one_finds(void **unused)
{
    static const char *const told[] = {
        ":2:7: unknown attribute `imgae`",
        ":3:17: unknown attribute `restrat`",
        ":4:3: service `c` does not say what to run",
        ":6:18: service `d` refers to the service `nobody`",
        ":7:14: `allways` is no restart rule",
        ":8:18: `SIGBUSY` is no signal",
        ":9:15: there is no limit `nofiles`",
        ":10:28: `z` is no duration",
        ":11:15: there is no file /",
        ":12:24: service `d` cannot have -1 instances",
        ":13:21: `x` is no container name",
        ":17:39: there is no service `dd` to route to; did you mean `d`?",
        ":18:17: `:0` is no address to listen at",
        ":18:38: there is no service `ddd` to route to",
        ":20:3: the secret `s` needs one of: file, environment",
    };
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "services:\n"
                     "  a: {imgae: i}\n"
                     "  b: {image: i, restrat: x}\n"
                     "  c: {}\n"
                     "  d:\n"
                     "    depends_on: [nobody]\n"
                     "    restart: allways\n"
                     "    stop_signal: SIGBUSY\n"
                     "    ulimits: {nofiles: 1}\n"
                     "    healthcheck: {timeout: z}\n"
                     "    env_file: nowhere.env\n"
                     "    deploy: {replicas: -1}\n"
                     "    container_name: x\n"
                     "    image: d\n"
                     "x-gateway:\n"
                     "  listeners:\n"
                     "    - {address: \":80\", routes: [{to: [dd]}]}\n"
                     "    - {address: \":0\", routes: [{to: [ddd]}]}\n"
                     "secrets:\n"
                     "  s: {}\n");
    for (size_t i = 0; i < ARRAY_LEN(told); i++)
        must_refuse(&story, told[i]);
}

/* What follows from a mistake that was told is not told as well. */
static void one_mistake_is_told_once(void **unused)
{
    static const struct {
        const char *file, *told;
    } rows[] = {
        { "services: {a: {imgae: i}}", "unknown attribute `imgae`" },
        { "services: {\"a b\": {depends_on: [c], ports: x, env_file: [{}]}}", "`a b` is no name that may stand in" },
        { "services: {a: {image: [i]}}", "services.a.image must be a string" },
        { "services: {a: {image: \"${I:?which}\"}}", "the variable I is required" },
        { "services: {a: {image: i, deploy: {replicas: -1}}}", "cannot have -1 instances" },
        { "services: {a: {image: i, expose: [x]}}", "`x` is no port to expose" },
        { "services: {a: {image: i, ports: [x]}}\nx-gateway: {listeners: [{address: \":80\", routes: [{to: a}]}]}",
          "`x` is no port" },
        { "services: {a: {image: i, ports: [[80]]}}", "services.a.ports[0] must be" },
        { "services: {a: {image: i, ports: [{target: x}]}}", "`x` is no whole number" },
        { "services: {a: {image: i, ports: [{published: 80}]}}", "a port needs `target`" },
        { "services: {a: {image: i, post_start: [{user: x}]}}", "services.a.post_start[0] needs `command`" },
        { "services: {a: {image: i, ulimits: {nofile: {soft: 5}}}}", "services.a.ulimits.nofile needs `hard`" },
        { "services: {a: {image: i, ports: [x], x-daruma: {healthcheck: \"http://:81/\"}}}", "`x` is no port" },
        { "services: {a: {image: i, volumes: [dd:/d]}}\nvolumse: {dd: }", "unknown attribute `volumse`" },
        { "services: {a: {image: i, volumes: [dd:/d]}}\nvolumes: [dd]", "volumes must be a mapping" },
        { "services: {a: {image: i, volumes: [{type: bind, sorce: /s, target: /t}]}}", "unknown attribute `sorce`" },
        { "services: {a: {image: i, depends_on: {b: {conditoin: x}}}, b: {image: i}}",
          "unknown attribute `conditoin`" },
        { "services: {a: {extends: {servce: b}}}", "unknown attribute `servce`" },
        { "services: {a: {extends: b}}", "there is no service `b`" },
        { "services: {a: {extends: {file: no.yaml, service: b}}}", "cannot read" },
        { "include: [no.yaml]\nservices: {a: {image: i, depends_on: [b], networks: [n]}}", "cannot read" },
        { "include: [{path: [{x: y}]}]\nservices: {a: {image: i, depends_on: [b]}}", "include[0].path[0]" },
        { "include: [{pth: x}]\nservices: {a: {image: i, depends_on: [b]}}", "unknown attribute `pth`" },
        { "services: {a: {image: i}}\nsecrets: {s: {fiel: x}}", "unknown attribute `fiel`" },
        { "services: {a: {image: i}}\nx-gateway: {listeners: [{adress: \":80\", routes: [{to: b}]}]}",
          "unknown attribute `adress`" },
        { "services: {a: {image: i}}\nx-gateway: {access_log: {pth: x}}", "unknown attribute `pth`" },
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        story_of(&story, rows[i].file);
        must_refuse(&story, rows[i].told);
        const char *first = strstr(story.told, "compose.yaml:");
        if (!first || strstr(first + 1, "/compose.yaml:"))
            fail_msg("%s: told more than one thing: %s", rows[i].file, story.told);
    }
}

/* Not only what is wrong, but what to write. */
static void a_wrong_type_is_told_with_what_to_write(void **unused)
{
    static const struct {
        const char *file, *told;
    } rows[] = {
        { "services: {a: {image: i, user: 1000}}", "must be a string, not an integer; write \"1000\"" },
        { "services: {a: {image: i, stop_grace_period: 10}}", "not an integer; write it with its unit, like 10s" },
        { "services: {a: {image: i, ports: \"80:80\"}}", "must be a list, not a string; write [\"80:80\"]" },
        { "services: {a: {image: i, ports: 80}}", "must be a list, not an integer; write [80]" },
        { "services: {a: {image: i, environment: [{B: 2}]}}", "write `B=2`, or leave all dashes away" },
        { "services: {a: {image: i, environment: }}", ":1:26: services.a.environment must be a list or a mapping" },
        { "services: [a]", "write names with a colon behind them in place of dashes" },
        { "services:\n  a:\n  image: i", "nothing stands below it: is what follows indented far enough?" },
        { "services: {a: {image: i, ports: -80}}", "an item of a list is written with a blank behind its dash" },
        { "services: {a: {image: i, depends_on: {b: service_started}}, b: {image: i}}",
          "must be a mapping, not a string; write {condition: service_started}" },
        { "services: {a: {image: i, scale: 1.5}}", "not a number; write a whole number" },
        { "services: {a: {image: i, init: 1}}", "not an integer; write true or false" },
        { "services: {a: nginx}", "services.a must be a mapping, not a string; write {image: \"nginx\"}" },
        { "services: {a: {image: i, replicas: 2}}",
          "unknown attribute `replicas` in services.a; it stands below `deploy`" },
        { "services: {a: {image: i, memory: 1g}}", "it stands below `deploy.resources.limits`" },
        { "services: {a: {image: i, IMAGE: j}}", "did you mean `image`?" },
        { "ports: [80]", "unknown attribute `ports`; it belongs to a service: indent it below one" },
        { "services: {a: {image: i, env_file: x.env}}",
          "make it, or say that it may be missing: {path: …, required: false}" },
        { "services:\n  a:\n  image: i", "`image` belongs to a service: indent it below one" },
        { "web: {image: i}", "unknown attribute `web`; a service stands below `services:`" },
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        story_of(&story, rows[i].file);
        must_refuse(&story, rows[i].told);
    }
}

static void services_that_do_not_fit_together_are_told(void **unused)
{
    static const struct {
        const char *file, *told;
    } rows[] = {
        { "services:\n  a: {image: i, container_name: cc}\n  b: {image: i, container_name: cc}",
          "compose.yaml:3:33: service `a` already has the container_name `cc`" },
        { "services:\n  a: {build: {context: ., secrets: [key]}}\nsecrets: {keys: {file: x}}",
          "compose.yaml:2:37: service `a` refers to the secret `key`, which is not defined; did you mean `keys`?" },
        { "services:\n  a: {build: {context: ., additional_contexts: {x: \"service:b\"}}}",
          "service `a` refers to the service `b`, which is not defined" },
        { "services:\n  a: {image: i, cpus: 1, deploy: {resources: {limits: {cpus: \"2\"}}}}",
          "compose.yaml:2:17: service `a`: `cpus` and `deploy.resources.limits.cpus` differ; remove one of them" },
        { "services:\n  a: {image: i, mem_reservation: 1g, deploy: {resources: {reservations: {memory: 1m}}}}",
          "`mem_reservation` and `deploy.resources.reservations.memory` differ" },
        { "services:\n  a: {build: {context: ., dockerfile: D, dockerfile_inline: FROM x}}",
          "service `a` has both `dockerfile` and `dockerfile_inline`" },
    };
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        story_of(&story, rows[i].file);
        must_refuse(&story, rows[i].told);
    }
    static const char *const one[] = { "b", NULL };
    STORY either = { .request.services = one };
    story_of(&either, "services: {a: {image: i, container_name: cc}, b: {image: j, container_name: cc}}");
    must_load(&either);
    STORY same = { 0 };
    story_of(&same, "services: {a: {image: i, cpus: 1, mem_limit: 1g, deploy: {resources: {limits: {cpus: \"1.0\", "
                    "memory: 1024m}}}}}");
    must_say(&same, "services.a.cpus", "1");
    STORY wrong = { 0 };
    story_of(&wrong, "services: {a: {image: i, cpus: \"1,5\", deploy: {resources: {limits: {cpus: \"1.5\"}}}}}");
    must_refuse(&wrong, "`1,5` is no number");
    assert_null(strstr(wrong.told, "differ"));
}

static void a_circle_of_dependencies_names_its_members(void **unused)
{
    (void)unused;
    STORY story = { 0 };
    story_of(&story, "services:\n  a: {image: i, depends_on: [b]}\n  b: {image: i, depends_on: [c]}\n"
                     "  c: {image: i, depends_on: [b]}\n");
    must_refuse(&story, "compose.yaml:4:30: services depend on each other in a circle: b → c → b");
}

static void a_listener_that_leads_nowhere_is_told(void **unused)
{
    (void)unused;
    static const struct {
        const char *listener, *told;
    } rows[] = {
        { "{address: \":80\", routes: [{to: [ap]}]}", "there is no service `ap` to route to; did you mean `app`?" },
        { "{address: \":80\", routes: [{to: [mute]}]}", "service `mute` has no port to route to" },
        { "{address: \":0\", routes: [{to: [app]}]}", "`:0` is no address to listen at" },
        { "{address: \"::1:80\", routes: [{to: [app]}]}", "`::1:80` is no address" },
        { "{routes: [{to: [app]}]}", "needs `address`" },
        { "{address: \":80\", routes: [{to: [app], retry: {on: [eror]}}]}", "cannot be `eror`" },
        { "{address: \":80\", routes: [{to: [app], hold: 10}]}", "hold must be a string" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        STORY story = { 0 };
        char text[512];
        (void)snprintf(
            text, sizeof(text),
            "services: {app: {image: i, expose: [80]}, mute: {image: i}}\nx-gateway:\n  listeners:\n    - %s\n",
            rows[i].listener);
        story_of(&story, text);
        must_refuse(&story, rows[i].told);
        must_tell(&story, "compose.yaml:4:");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_says_what_the_specification_says),
        cmocka_unit_test(the_page_shows_the_table_as_it_is),
        cmocka_unit_test(the_gateways_page_names_every_option),
        cmocka_unit_test(what_breaks_the_table_is_told_with_its_place),
        cmocka_unit_test(all_of_it_is_told_in_one_go),
        cmocka_unit_test(no_step_hides_what_a_later_one_finds),
        cmocka_unit_test(one_mistake_is_told_once),
        cmocka_unit_test(a_wrong_type_is_told_with_what_to_write),
        cmocka_unit_test(services_that_do_not_fit_together_are_told),
        cmocka_unit_test(a_circle_of_dependencies_names_its_members),
        cmocka_unit_test(a_listener_that_leads_nowhere_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
