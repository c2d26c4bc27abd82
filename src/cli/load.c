/* SPDX-License-Identifier: MIT
 *
 * Loading the project that the options mean.
 */
#include "cli/cli.h"

#include "base/buf.h"

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
        return 0;
    return r == -ENOMEM ? CLI_FAILED : CLI_USAGE;
}
