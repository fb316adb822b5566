/* SPDX-License-Identifier: MIT
 * Nothing allocates, frees or logs while a generation is timed: the linker sends every allocation
 * of the program through counters (--wrap), which are read around ib_generate. */
#include "model_support.h"

#include <stdatomic.h>

static atomic_size_t n_allocations;
static size_t n_lines;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
int __real_posix_memalign(void **out, size_t alignment, size_t n);
void *__real_aligned_alloc(size_t alignment, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
int __wrap_posix_memalign(void **out, size_t alignment, size_t n);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
void __wrap_free(void *p);

void *__wrap_malloc(size_t n) {
    n_allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
    n_allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n) {
    n_allocations++;
    return __real_realloc(p, n);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t n) {
    n_allocations++;
    return __real_posix_memalign(out, alignment, n);
}

void *__wrap_aligned_alloc(size_t alignment, size_t n) {
    n_allocations++;
    return __real_aligned_alloc(alignment, n);
}

void __wrap_free(void *p) {
    n_allocations++;
    __real_free(p);
}

static void count_line(void *user, ib_log_level level, const char *line) {
    (void)user;
    (void)level;
    (void)line;
    n_lines++;
}

static bool on_token(void *user, uint64_t now_ns, const uint32_t *ids, size_t n_seqs) {
    (void)now_ns;
    (void)ids;
    (void)n_seqs;
    ++*(size_t *)user;
    return true;
}

/* One model, one attention: two generations, counted. */
static void check(const char *name, ib_attention attention, size_t n_seqs) {
    enum { N_PROMPT = 700, N_NEW = 9, MAX_SEQS = 2 };
    static uint32_t prompt[MAX_SEQS * N_PROMPT], out[MAX_SEQS * N_NEW];
    char path[1024];
    loaded_model m;
    ib_session *s = NULL;
    ib_generation g;
    ib_generate_result r;
    ib_error err;
    const ib_log log = {.level = IB_LOG_DEBUG, .write = count_line};
    snprintf(path, sizeof path, "%s/%s", GOLDEN_MODELS, name);
    if (load_model(&m, path, 2, &log, &err) != IB_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < n_seqs * N_PROMPT; i++)
        prompt[i] = (uint32_t)(i * 31 % ib_model_config(m.model)->n_vocab);
    const ib_session_options options = {.n_ctx = N_PROMPT + N_NEW,
                                        .n_seqs = n_seqs,
                                        .n_prompt_max = N_PROMPT,
                                        .attention = attention,
                                        .kv_type = IB_TYPE_F32};
    const size_t before_session = n_allocations;
    if (ib_session_new(&s, m.model, &options, &err) != IB_OK)
        fail_msg("%s", err.text);
    assert_true(n_allocations > before_session); /* the counter counts */
    ib_generation_init(&g);
    g.max_new_tokens = N_NEW;
    g.repetition_penalty = 1.2;
    g.no_repeat_ngram_size = 3;
    for (int pass = 0; pass < 2; pass++) {
        size_t n_tokens = 0;
        g.n_eos = 0;
        if (pass == 1)
            g.repetition_penalty = 1, g.no_repeat_ngram_size = 0; /* the path without processors */
        const size_t before = n_allocations, lines = n_lines;
        const ib_status st =
            ib_generate(s, &g, prompt, N_PROMPT, out, on_token, &n_tokens, &r, &err);
        const size_t allocations = n_allocations - before, said = n_lines - lines;
        assert_int_equal(st, IB_OK);
        if (allocations != 0 || said != 0 || n_tokens != N_NEW)
            fail_msg("%s, %s: %zu allocations, %zu lines, %zu tokens", name,
                     ib_attention_name(attention), allocations, said, n_tokens);
    }
    ib_generation_clear(&g);
    ib_session_free(s);
    unload_model(&m);
}

static void test_timed_window(void **state) {
    (void)state;
    static const char *const names[] = {"llama_gqa",          "bnb_nf4_dq", "bnb_int8",
                                        "rope_dynamic_cross", "qwen3",      "mistral_window",
                                        "rope_longrope_above"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (int a = 0; a < IB_ATTN_COUNT; a++)
            for (size_t n_seqs = 1; n_seqs <= 2; n_seqs++)
                check(names[i], (ib_attention)a, n_seqs);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_timed_window)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
