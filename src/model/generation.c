/* SPDX-License-Identifier: MIT
 * Which settings are in force: what the reference's script passes, then generation_config.json for
 * all that it leaves open (transformers 5.x). Settings that would change a greedy run and are not
 * built are refused by name; those that only steer sampling are checked and ignored. */
#include "model/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ib_generation_init(ib_generation *g) {
    memset(g, 0, sizeof *g);
    g->max_new_tokens = 256;
    g->eos_ids[0] = 1;
    g->n_eos = 1;
    g->forced_eos_id = 1;
    g->forced_bos_id = -1;
    g->repetition_penalty = 1;
}

static void free_biases(ib_generation *g) {
    for (size_t i = 0; i < g->n_biases; i++)
        free(g->biases[i].ids);
    free(g->biases);
    g->biases = NULL;
    g->n_biases = 0;
}

void ib_generation_clear(ib_generation *g) {
    free(g->suppress);
    free(g->begin_suppress);
    free_biases(g);
    memset(g, 0, sizeof *g);
}

bool ib_generation_needs_logits(const ib_generation *g) {
    const bool eos_held_back = g->n_eos > 0 && (g->min_length > 0 || g->min_new_tokens > 0);
    return g->repetition_penalty != 1 || g->no_repeat_ngram_size > 0 || eos_held_back ||
           g->n_suppress > 0 || g->n_begin_suppress > 0 || g->n_biases > 0 || g->forced_bos_id >= 0;
}

static ib_status refuse(const char *where, const char *key, ib_error *err) {
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "unsupported generation setting in %s/%s; fix: remove it from the file, or "
                   "measure without this file",
                   where, key);
}

/* Settings whose presence alone changes the run. */
static ib_status refuse_present(const json_t *json, const char *where, ib_error *err) {
    static const char *const keys[] = {"exponential_decay_length_penalty",
                                       "watermarking_config",
                                       "stop_strings",
                                       "max_time",
                                       "penalty_alpha",
                                       "dola_layers",
                                       "constraints",
                                       "force_words_ids",
                                       "prompt_lookup_num_tokens",
                                       "assistant_early_exit",
                                       "speculation_type"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *v = json_object_get(json, keys[i]);
        if (v && !json_is_null(v))
            return refuse(where, keys[i], err);
    }
    return IB_OK;
}

/* Settings that change the run unless they have their neutral value. */
static ib_status refuse_unless_neutral(const json_t *json, const char *where, ib_error *err) {
    static const struct {
        const char *key;
        double neutral;
    } numbers[] = {{"guidance_scale", 1},
                   {"num_beams", 1},
                   {"num_beam_groups", 1},
                   {"num_return_sequences", 1},
                   {"diversity_penalty", 0},
                   {"encoder_repetition_penalty", 1},
                   {"encoder_no_repeat_ngram_size", 0}};
    static const char *const flags[] = {"remove_invalid_values", "renormalize_logits",
                                        "token_healing", "use_mtp", "is_assistant"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        double value = 0;
        IB_TRY(ib_json_get_double(json, numbers[i].key, numbers[i].neutral, &value, where, err));
        if (value != numbers[i].neutral)
            return refuse(where, numbers[i].key, err);
    }
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        bool on = false;
        IB_TRY(ib_json_get_bool(json, flags[i], false, &on, where, err));
        if (on)
            return refuse(where, flags[i], err);
    }
    ib_str cache;
    IB_TRY(ib_json_get_str(json, "cache_implementation", &cache, where, err));
    return ib_str_is(cache, "quantized") ? refuse(where, "cache_implementation", err) : IB_OK;
}

/* Sampling settings have no effect on a greedy run, but a broken file is a broken file. */
static ib_status check_sampling(const json_t *json, const char *where, ib_error *err) {
    static const struct {
        const char *key;
        double fallback, min, max;
    } ranges[] = {{"temperature", 1, 0, HUGE_VAL},
                  {"top_k", 50, 0, INT32_MAX},
                  {"top_p", 1, 0, 1},
                  {"min_p", 0, 0, 1},
                  {"typical_p", 1, 0, 1},
                  {"top_h", 1, 0, 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        double v = 0;
        IB_TRY(ib_json_get_double(json, ranges[i].key, ranges[i].fallback, &v, where, err));
        if (!isfinite(v) || v < ranges[i].min || v > ranges[i].max)
            return ib_fail(err, IB_E_FORMAT,
                           "bad value in %s/%s: %g, expected a number from %g to %g; fix: correct "
                           "the file",
                           where, ranges[i].key, v, ranges[i].min, ranges[i].max);
    }
    return IB_OK;
}

static ib_status bad_ids(const char *where, const char *key, ib_error *err) {
    return ib_fail(err, IB_E_FORMAT,
                   "bad value in %s/%s: expected lists of token ids; fix: correct the file", where,
                   key);
}

/* A JSON list of ids -> malloc'd array. */
static ib_status read_ids(const json_t *list, const char *where, const char *key, uint32_t **out,
                          size_t *n, ib_error *err) {
    *n = 0;
    *out = NULL;
    if (!json_is_array(list))
        return bad_ids(where, key, err);
    uint32_t *ids = calloc(json_array_size(list) + 1, sizeof *ids);
    if (!ids)
        return ib_fail_memory(err, json_array_size(list) * sizeof *ids, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_int_t id = json_is_integer(item) ? json_integer_value(item) : -1;
        if (id < 0 || id > INT32_MAX) {
            free(ids);
            return bad_ids(where, key, err);
        }
        ids[i] = (uint32_t)id;
    }
    *out = ids;
    *n = json_array_size(list);
    return IB_OK;
}

static ib_status merge_list(const json_t *json, const char *key, const char *where, uint32_t **out,
                            size_t *n, ib_error *err) {
    const json_t *list = json_object_get(json, key);
    if (!list || json_is_null(list))
        return IB_OK;
    free(*out);
    return read_ids(list, where, key, out, n, err);
}

/* Adds one sequence; of two equal ones the later counts. */
static ib_status add_bias(ib_generation *g, const json_t *ids, double bias, const char *where,
                          const char *key, ib_error *err) {
    struct ib_id_sequence new = {.bias = bias};
    IB_TRY(read_ids(ids, where, key, &new.ids, &new.n, err));
    if (new.n == 0) {
        free(new.ids);
        return bad_ids(where, key, err);
    }
    for (size_t i = 0; i < g->n_biases; i++) {
        struct ib_id_sequence *old = &g->biases[i];
        if (old->n == new.n && isinf(old->bias) == isinf(new.bias) &&
            memcmp(old->ids, new.ids, new.n * sizeof *new.ids) == 0) {
            old->bias = bias;
            free(new.ids);
            return IB_OK;
        }
    }
    struct ib_id_sequence *grown = realloc(g->biases, (g->n_biases + 1) * sizeof *grown);
    if (!grown) {
        free(new.ids);
        return ib_fail_memory(err, (g->n_biases + 1) * sizeof *grown, key);
    }
    g->biases = grown;
    g->biases[g->n_biases++] = new;
    return IB_OK;
}

/* sequence_bias: [[[ids], bias], ...]; bad_words_ids: [[ids], ...]. */
static ib_status merge_biases(ib_generation *g, const json_t *json, const char *where,
                              ib_error *err) {
    static const char *const keys[] = {"sequence_bias", "bad_words_ids"};
    for (size_t k = 0; k < 2; k++) {
        const json_t *list = json_object_get(json, keys[k]);
        if (!list || json_is_null(list))
            continue;
        if (!json_is_array(list) || json_array_size(list) == 0)
            return bad_ids(where, keys[k], err);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *item = json_array_get(list, i), *bias = json_array_get(item, 1);
            if (k == 1)
                IB_TRY(add_bias(g, item, -HUGE_VAL, where, keys[k], err));
            else if (json_array_size(item) == 2 && json_is_number(bias) &&
                     isfinite(json_number_value(bias)))
                IB_TRY(add_bias(g, json_array_get(item, 0), json_number_value(bias), where, keys[k],
                                err));
            else
                return bad_ids(where, keys[k], err);
        }
    }
    return IB_OK;
}

static ib_status merge_numbers(ib_generation *g, const json_t *json, const char *where,
                               ib_error *err) {
    const struct {
        const char *key;
        uint64_t *out;
    } counts[] = {{"no_repeat_ngram_size", &g->no_repeat_ngram_size},
                  {"min_length", &g->min_length},
                  {"min_new_tokens", &g->min_new_tokens}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        int64_t value = 0;
        IB_TRY(ib_json_get_i64(json, counts[i].key, (int64_t)*counts[i].out, 0, INT32_MAX, &value,
                               where, err));
        *counts[i].out = (uint64_t)value;
    }
    IB_TRY(ib_json_get_i64(json, "forced_bos_token_id", g->forced_bos_id, 0, INT32_MAX,
                           &g->forced_bos_id, where, err));
    IB_TRY(ib_json_get_double(json, "repetition_penalty", g->repetition_penalty,
                              &g->repetition_penalty, where, err));
    if (!isfinite(g->repetition_penalty) || !(g->repetition_penalty > 0))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/repetition_penalty: %g, expected a finite number above 0; "
                       "fix: correct the file",
                       where, g->repetition_penalty);
    return IB_OK;
}

ib_status ib_generation_merge(ib_generation *g, const json_t *json, const char *where,
                              ib_error *err) {
    char quoted[IB_QUOTED], at[IB_QUOTED + 8];
    if (!json)
        return IB_OK;
    (void)snprintf(at, sizeof at, "%s at ", ib_quotez(where, quoted));
    if (!json_is_object(json))
        return ib_fail(err, IB_E_FORMAT,
                       "bad value in %s/: expected an object; fix: re-download it", at);
    IB_TRY(refuse_present(json, at, err));
    IB_TRY(refuse_unless_neutral(json, at, err));
    IB_TRY(check_sampling(json, at, err));
    IB_TRY(merge_numbers(g, json, at, err));
    IB_TRY(merge_list(json, "suppress_tokens", at, &g->suppress, &g->n_suppress, err));
    IB_TRY(merge_list(json, "begin_suppress_tokens", at, &g->begin_suppress, &g->n_begin_suppress,
                      err));
    return merge_biases(g, json, at, err);
}
