/* SPDX-License-Identifier: MIT
 *
 * Loading the project that the options mean.
 */
#include "cli/cli.h"

#include "base/buf.h"
#include "compose/utf8.h"

#include <errno.h>
#include <unistd.h>

struct compose_request cli_compose_request(const struct cli *cli)
{
    static char cwd[4096];

    if (!getcwd(cwd, sizeof(cwd)))
        (void)snprintf(cwd, sizeof(cwd), "/");
    return (struct compose_request){
        .working_dir = cwd,
        .project_dir = cli->project_dir,
        .project_name = cli->project_name,
        .files = cli->files.items,
        .nginx_conf = cli->nginx_conf,
        .replace_nginx = cli->replace_nginx,
        .env_files = cli->env_files.items,
        .profiles = cli->profiles.items,
        .environment = (const char *const *)environ,
    };
}

/* Paths are told to the supervisor, and written down by it, in JSON. */
static int check_paths(const struct cli *cli, const struct compose_request *request, const struct spec *spec)
{
    const char *bad = utf8_is_valid(request->working_dir) ? NULL : request->working_dir;
    struct err err = { 0 };

    if (!utf8_is_valid(spec->working_dir))
        bad = spec->working_dir;
    for (char **file = spec->files; file && *file; file++)
        if (!utf8_is_valid(*file))
            bad = *file;
    if (!bad)
        return CLI_DONE;
    (void)err_set(&err, -EILSEQ, "the path %.300s is no UTF-8; rename what is not", bad);
    (void)cli_fail(cli, &err);
    return CLI_USAGE;
}

int cli_load(const struct cli *cli, bool quiet, struct spec **ret)
{
    struct compose_request request = cli_compose_request(cli);
    struct problems problems = { 0 };
    struct buf text = { 0 };

    int r = compose_load(&request, ret, &problems);
    if (r < 0 || !quiet)
        problems_format(&problems, cli->colour_err, &text);
    if (text.len > 0)
        (void)fputs(text.data, stderr);
    else if (r < 0)
        (void)cli_fail(cli, &(struct err){ .code = r });
    buf_free(&text);
    problems_free(&problems);
    if (r == 0)
        return check_paths(cli, &request, *ret);
    return r == -ENOMEM ? CLI_FAILED : CLI_USAGE;
}
