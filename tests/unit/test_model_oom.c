/* SPDX-License-Identifier: MIT
 * Out of memory at every single allocation of opening, loading, preparing and running a model: once
 * and from then on. Each time the answer is IB_E_RESOURCE, and everything is given back. */
#include "model_support.h"

#include <stdatomic.h>

static atomic_long n_live, countdown;
static atomic_bool counting, failed, sticky;

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

static bool fails(void) {
    if (!counting)
        return false;
    if (--countdown == 0 || (sticky && countdown < 0)) {
        failed = true;
        return true;
    }
    return false;
}

static void *count(void *p) {
    n_live += counting && p ? 1 : 0;
    return p;
}

void *__wrap_malloc(size_t n) {
    return fails() ? NULL : count(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size) {
    return fails() ? NULL : count(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n) {
    if (fails())
        return NULL;
    void *q = __real_realloc(p, n);
    if (!p)
        count(q);
    return q;
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t n) {
    *out = NULL;
    if (fails())
        return 12; /* ENOMEM */
    const int rc = __real_posix_memalign(out, alignment, n);
    count(*out);
    return rc;
}

void *__wrap_aligned_alloc(size_t alignment, size_t n) {
    return fails() ? NULL : count(__real_aligned_alloc(alignment, n));
}

void __wrap_free(void *p) {
    n_live -= counting && p ? 1 : 0;
    __real_free(p);
}

static ib_status run_everything(const char *path, ib_error *err) {
    enum { N = 6 };
    static const uint32_t prompt[N] = {5, 6, 7, 8, 9, 10};
    uint32_t out[N];
    loaded_model m;
    ib_session *s = NULL;
    ib_generation g;
    ib_generate_result r;
    const ib_session_options o = {.n_ctx = 2 * N,
                                  .n_seqs = 1,
                                  .n_prompt_max = N,
                                  .attention = IB_ATTN_FLASH,
                                  .kv_type = IB_TYPE_F32};
    ib_status st = load_model(&m, path, 1, NULL, err);
    if (st != IB_OK)
        return st;
    ib_generation_init(&g);
    g.max_new_tokens = N;
    st = ib_session_new(&s, m.model, &o, err);
    if (st == IB_OK)
        st = ib_generate(s, &g, prompt, N, out, NULL, NULL, &r, err);
    ib_session_free(s);
    ib_generation_clear(&g);
    unload_model(&m);
    return st;
}

/* Points of failure until a run meets none. */
static long sweep(const char *name, bool from_then_on, size_t *n_bad) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", GOLDEN_MODELS, name);
    for (long at = 1;; at++) {
        ib_error err = {0};
        n_live = 0;
        countdown = at;
        sticky = from_then_on;
        failed = false;
        counting = true;
        const ib_status st = run_everything(path, &err);
        counting = false;
        if (n_live != 0 || (failed && st != IB_E_RESOURCE)) {
            print_error("%s, allocation %ld: status %d, %ld blocks left: %s\n", name, at, (int)st,
                        (long)n_live, err.text);
            (*n_bad)++;
        }
        if (!failed) {
            assert_int_equal(st, IB_OK);
            return at - 1;
        }
    }
}

static void test_every_allocation(void **state) {
    (void)state;
    static const char *const names[] = {
        "llama_gqa", "bnb_nf4_dq",          "bnb_int8",
        "qwen3",     "rope_longrope_above", "gguf_llama_rope_freqs/model.gguf"};
    size_t n_bad = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const long once = sweep(names[i], false, &n_bad), always = sweep(names[i], true, &n_bad);
        print_message("%s: %ld points once, %ld from then on\n", names[i], once, always);
        assert_true(once > 20 && always > 20);
    }
    assert_int_equal(n_bad, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
