/* SPDX-License-Identifier: MIT
 * quantization_config of config.json -> what it says about bitsandbytes. */
#include "checkpoint/private.h"

#include <math.h>
#include <string.h>

/* Both spellings of a flag: "load_in_4bit" and "_load_in_4bit". */
static ib_status read_flag(const json_t *q, const char *key, bool *out, const char *where,
                           ib_error *err) {
    bool hidden, plain;
    IB_TRY(ib_json_get_bool(q, key, false, &hidden, where, err));
    IB_TRY(ib_json_get_bool(q, key + 1, false, &plain, where, err));
    *out = hidden || plain;
    return IB_OK;
}

static ib_status read_dtype(const json_t *q, ib_type *out, const char *where, ib_error *err) {
    static const struct {
        const char *name;
        ib_type type;
    } known[] = {{"float32", IB_TYPE_F32}, {"bfloat16", IB_TYPE_BF16}, {"float16", IB_TYPE_F16}};
    ib_str text;
    char quoted[IB_QUOTED];
    *out = IB_TYPE_F32;
    IB_TRY(ib_json_get_str(q, "bnb_4bit_compute_dtype", &text, where, err));
    if (!text.ptr)
        return IB_OK;
    if (ib_str_starts(text, "torch."))
        text = (ib_str){text.ptr + 6, text.len - 6};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (ib_str_is(text, known[i].name)) {
            *out = known[i].type;
            return IB_OK;
        }
    }
    return ib_fail(
        err, IB_E_FORMAT,
        "bad value in %s/bnb_4bit_compute_dtype: '%s'; fix: use float32, float16 or bfloat16",
        where, ib_quote(text, quoted));
}

ib_status ib_bnb_config_read(ib_bnb_config *out, const json_t *config, const char *where,
                             ib_error *err) {
    const json_t *q = json_object_get(config, "quantization_config");
    char place[IB_QUOTED + 32], quoted[IB_QUOTED];
    ib_str method;
    *out = (ib_bnb_config){.int8_threshold = 6.0, .compute_dtype = IB_TYPE_F32};
    if (!q || json_is_null(q))
        return IB_OK;
    (void)snprintf(place, sizeof place, "%.90s/quantization_config", where);
    if (!json_is_object(q))
        return ib_fail(err, IB_E_FORMAT, "bad value in %s: not an object; fix: correct the file",
                       place);
    IB_TRY(ib_json_get_str(q, "quant_method", &method, place, err));
    IB_TRY(read_flag(q, "_load_in_4bit", &out->load_in_4bit, place, err));
    IB_TRY(read_flag(q, "_load_in_8bit", &out->load_in_8bit, place, err));
    bool is_bnb =
        method.ptr ? ib_str_is(method, "bitsandbytes") : out->load_in_4bit || out->load_in_8bit;
    if (!is_bnb)
        return ib_fail(
            err, IB_E_UNSUPPORTED,
            "quant_method '%s' in %s; fix: use a bitsandbytes, GGUF or unquantized model",
            ib_quote(method.ptr ? method : IB_STR("(none)"), quoted), place);
    if (out->load_in_4bit && out->load_in_8bit)
        return ib_fail(err, IB_E_FORMAT,
                       "%s says load_in_4bit and load_in_8bit; fix: keep one of them", place);
    IB_TRY(ib_json_get_double(q, "llm_int8_threshold", 6.0, &out->int8_threshold, place, err));
    if (!(out->int8_threshold >= 0) || !isfinite(out->int8_threshold))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/llm_int8_threshold: %g; fix: use 0 or a positive number",
                       place, out->int8_threshold);
    IB_TRY(read_dtype(q, &out->compute_dtype, place, err));
    out->present = true;
    return IB_OK;
}
