/* SPDX-License-Identifier: MIT
 * argv in, exit code out.
 *
 *   argv     -> options   cli/options.c       one table: parser, help, manual page
 *   options  -> plan      cli/cmd_run.c       what is to be measured
 *   plan     -> record    bench/runner.c      engine, prompt, warm-up, repetitions, time stamps
 *   record   -> summary   record/summary.c    every figure, from the stamps alone
 *   summary  -> report    report/formats.c    text, JSON
 *
 * Other subcommands show one stage each (cli/cmd_*.c). The exit code is the status of the error
 * line (base/error.h); 0 means that everything asked for was done and written. */
#include "cli/cli.h"

int main(int argc, char **argv) {
    ib_cli cli;
    ib_error err = {0};
    ib_cli_start(&cli, argc, argv);
    ib_status status = ib_options_parse(&cli.options, cli.argc, cli.argv, &err);
    if (status == IB_OK)
        status = ib_cli_run(&cli, &err);
    return ib_cli_finish(&cli, status, &err);
}
