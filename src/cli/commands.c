/* SPDX-License-Identifier: MIT
 * From start to exit code: what surrounds every subcommand, and the table of subcommands. */
#include "cli/cli.h"

void ib_cli_start(ib_cli *cli, int argc, char **argv) {
    static char name[] = "inferbench";
    static char *no_arguments[] = {name, NULL};
    *cli = (ib_cli){.argc = argc > 0 ? argc : 1, .argv = argc > 0 ? argv : no_arguments};
    ib_output_start(&cli->out);
    cli->json_errors = ib_options_want_json_errors(cli->argc, cli->argv);
    ib_cli_child_read(&cli->child);
    if (cli->child.record) /* the parent reads the line */
        cli->json_errors = false;
    ib_signals_start(cli->json_errors);
    ib_hub_env_read(&cli->hub_env);
}

static ib_status show(ib_cli *cli, ib_status (*write)(ib_buf *, ib_error *), ib_error *err) {
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = write(&text, err);
    if (st == IB_OK)
        st = ib_output_write(&cli->out, text.ptr, text.len, err);
    ib_buf_clear(&text);
    return st;
}

static ib_status show_help(ib_cli *cli, ib_error *err) {
    ib_buf text;
    ib_buf_init(&text);
    ib_status st = ib_help_command(cli->options.command, &text, err);
    if (st == IB_OK)
        st = ib_output_write(&cli->out, text.ptr, text.len, err);
    ib_buf_clear(&text);
    return st;
}

ib_status ib_cli_run(ib_cli *cli, ib_error *err) {
    static const char version[] = "inferbench " IB_VERSION " (" IB_COMMIT ")\n";
    const ib_options *o = &cli->options;
    cli->log = ib_messages_log(ib_messages_level(o->log_level));
    if (cli->hub_env.offline == false)
        cli->hub_env.offline = o->offline;
    cli->hub_env.token = o->token;
    cli->hub_env.stop = ib_signals_flag();
    ib_transfer_start(&cli->transfer, &cli->log, !o->quiet);
    cli->hub_env.on_progress = ib_transfer_news;
    cli->hub_env.on_progress_user = &cli->transfer;
    if (o->version)
        return ib_output_write(&cli->out, version, sizeof version - 1, err);
    if (o->help)
        return show_help(cli, err);
    switch (o->command->id) {
    case IB_COMMAND_RUN:
        return ib_cmd_run(cli, err);
    case IB_COMMAND_COMPARE:
        return ib_cmd_compare(cli, err);
    case IB_COMMAND_REPORT:
        return ib_cmd_report(cli, err);
    case IB_COMMAND_INSPECT:
        return ib_cmd_inspect(cli, err);
    case IB_COMMAND_TOKENIZE:
        return ib_cmd_tokenize(cli, err);
    case IB_COMMAND_RENDER:
        return ib_cmd_render(cli, err);
    case IB_COMMAND_LOGITS:
        return ib_cmd_logits(cli, err);
    case IB_COMMAND_QUANTIZE:
        return ib_cmd_quantize(cli, err);
    case IB_COMMAND_DEVICES:
        return ib_cmd_devices(cli, err);
    case IB_COMMAND_DOWNLOAD:
        return ib_cmd_download(cli, err);
    case IB_COMMAND_VERIFY:
        return ib_cmd_verify(cli, err);
    case IB_COMMAND_MAN:
        return show(cli, ib_help_man, err);
    case IB_COMMAND_COMPLETION:
        return show(cli, ib_help_completion, err);
    default:
        return show(cli, ib_help_general, err);
    }
}

int ib_cli_finish(ib_cli *cli, ib_status status, ib_error *err) {
    ib_error late = {0};
    ib_status flushed = ib_output_flush(&cli->out, &late);
    if (status != IB_OK && !cli->reported)
        ib_messages_print_error(err, cli->json_errors);
    else if (status == IB_OK && flushed != IB_OK)
        ib_messages_print_error(&late, cli->json_errors);
    ib_output_clear(&cli->out);
    ib_options_clear(&cli->options);
    return status != IB_OK ? (int)status : (int)flushed;
}
