/* SPDX-License-Identifier: MIT
 * devices: what every backend of this build finds, in the order in which "auto" prefers them. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* What --device takes for it: "cpu", "xpu:0", "xpu:cpu". */
static const char *word_of(const ib_device_info *d, int index, char *out, size_t size) {
    if (strcmp(d->kind, "cpu") == 0)
        (void)snprintf(out, size, "cpu");
    else if (index == IB_INDEX_HOST_CPU)
        (void)snprintf(out, size, "%s:cpu", d->kind);
    else
        (void)snprintf(out, size, "%s:%d", d->kind, index);
    return out;
}

static ib_status add_text(ib_buf *out, const ib_device_info *d, int index, ib_error *err) {
    char word[32];
    IB_TRY(ib_buf_addf(out, err, "%s  %s\n", word_of(d, index, word, sizeof word), d->name));
    if (d->vendor[0])
        IB_TRY(ib_buf_addf(out, err, "    vendor    %s\n", d->vendor));
    if (d->driver[0])
        IB_TRY(ib_buf_addf(out, err, "    driver    %s\n", d->driver));
    if (d->tier[0])
        IB_TRY(ib_buf_addf(out, err, "    tier      %s\n", d->tier));
    if (d->features[0])
        IB_TRY(ib_buf_addf(out, err, "    features  %s\n", d->features));
    if (d->memory_bytes)
        IB_TRY(
            ib_buf_addf(out, err, "    memory    %.1f MiB\n", (double)d->memory_bytes / 1048576.0));
    if (d->n_threads)
        IB_TRY(ib_buf_addf(out, err, "    threads   %d\n", d->n_threads));
    return IB_OK;
}

static json_t *as_json(const ib_device_info *d, int index) {
    json_t *memory = d->memory_bytes ? json_integer((json_int_t)d->memory_bytes) : json_null();
    char word[32];
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:o, s:i}", "device",
                     word_of(d, index, word, sizeof word), "kind", d->kind, "index", index, "name",
                     d->name, "vendor", d->vendor, "driver", d->driver, "tier", d->tier, "features",
                     d->features, "memory_bytes", memory, "n_threads", d->n_threads);
}

static ib_status list_device(const ib_device_info *d, int index, json_t *array, ib_buf *text,
                             ib_error *err) {
    IB_TRY(add_text(text, d, index, err));
    if (json_array_append_new(array, as_json(d, index)) != 0)
        return ib_fail_memory(err, 0, "a list of devices");
    return IB_OK;
}

/* A kind that is built in and has no library, driver or device here is listed with the reason. */
static ib_status list_kind(const ib_backend *b, json_t *array, ib_buf *text, ib_error *err) {
    int n = 0;
    ib_error why = {0};
    ib_device_info info = {0};
    if (b->count(&n, &why) != IB_OK)
        return ib_buf_addf(text, err, "%s  none: %s\n", b->kind, why.text);
    for (int i = 0; i < n; i++) {
        IB_TRY(b->describe(i, &info, err));
        IB_TRY(list_device(&info, i, array, text, err));
    }
    if (strcmp(b->kind, "xpu") == 0 && b->describe(IB_INDEX_HOST_CPU, &info, NULL) == IB_OK)
        return list_device(&info, IB_INDEX_HOST_CPU, array, text, err);
    return IB_OK;
}

ib_status ib_cmd_devices(ib_cli *cli, ib_error *err) {
    bool as_text = !cli->options.format || strcmp(cli->options.format, "text") == 0;
    ib_buf text;
    ib_buf_init(&text);
    IB_TRY(ib_output_check(&cli->out, err));
    json_t *array = json_array();
    ib_status st = array ? IB_OK : ib_fail_memory(err, 0, "a list of devices");
    for (size_t i = 0; st == IB_OK && i < ib_backend_count(); i++)
        st = list_kind(ib_backend_at(i), array, &text, err);
    if (st == IB_OK && !as_text) {
        ib_buf_reset(&text);
        st = ib_json_dump(array, JSON_INDENT(2), &text, err);
        if (st == IB_OK)
            st = ib_buf_addc(&text, '\n', err);
    }
    if (st == IB_OK)
        st = ib_output_write(&cli->out, text.ptr, text.len, err);
    json_decref(array);
    ib_buf_clear(&text);
    return st;
}
