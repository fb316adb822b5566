/* SPDX-License-Identifier: MIT
 * The smallest useful program with libinferbench: the time per token of a model folder or .gguf
 * file.
 *
 *     cc minimal.c -linferbench -o minimal && ./minimal MODEL [MAX_NEW_TOKENS] */
#include <inferbench.h>

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    static const uint32_t prompt[] = {5, 6, 7, 8};
    inferbench_options o;
    inferbench_error err;
    inferbench_summary s;
    inferbench *b = NULL;

    inferbench_options_init(&o);
    o.model_id = argc > 1 ? argv[1] : "model.gguf";
    o.max_new_tokens = argc > 2 ? strtoull(argv[2], NULL, 10) : 16;
    o.device = "cpu";
    o.token_ids = prompt;
    o.n_token_ids = sizeof prompt / sizeof prompt[0];
    o.eos_token_id = o.forced_eos_token_id = -1;

    int status = inferbench_open(&b, &o, &err);
    if (status == 0)
        status = inferbench_run(b, NULL, NULL, &err);
    if (status == 0)
        status = inferbench_summarise(b, &s, &err);
    if (status == 0)
        printf("%llu tokens, TTFT %.2f ms, TPOT %.3f ms, %.1f tok/s, ids %.16s, %s\n",
               (unsigned long long)s.n_output_tokens, s.ttft_ms, s.tpot_ms, s.decode_tok_s,
               s.ids_sha256, s.verdict);
    else
        fprintf(stderr, "minimal: %s\n", err.text);
    inferbench_close(b);
    return status;
}
