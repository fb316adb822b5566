/* SPDX-License-Identifier: MIT
 * Ids -> text, whole or one at a time. Both ways are the same machine, so they cannot differ. */
#include "text/tok.h"

#include <stdlib.h>

struct ib_decode_stream {
    const ib_tokenizer *t;  /* borrowed */
    ib_tok_decoding *steps; /* owned */
    bool skip_special;
};

ib_status ib_decode_stream_new(ib_decode_stream **out, const ib_tokenizer *t, bool skip_special,
                               ib_error *err) {
    *out = NULL;
    ib_decode_stream *s = calloc(1, sizeof *s);
    if (!s)
        return ib_fail_memory(err, sizeof *s, "decoding");
    s->t = t;
    s->skip_special = skip_special;
    ib_status st = ib_tok_decoding_new(&s->steps, &t->decoders, err);
    if (st != IB_OK) {
        free(s);
        return st;
    }
    *out = s;
    return IB_OK;
}

void ib_decode_stream_free(ib_decode_stream *s) {
    if (s)
        ib_tok_decoding_free(s->steps);
    free(s);
}

ib_status ib_decode_stream_push(ib_decode_stream *s, uint32_t id, ib_buf *out, ib_error *err) {
    bool special;
    ib_str token = ib_tok_token(s->t, id, &special);
    if (!token.ptr || (special && s->skip_special))
        return IB_OK;
    return ib_tok_decoding_push(s->steps, token, out, err);
}

ib_status ib_decode_stream_finish(ib_decode_stream *s, ib_buf *out, ib_error *err) {
    return ib_tok_decoding_finish(s->steps, out, err);
}

ib_status ib_tokenizer_decode(const ib_tokenizer *t, const uint32_t *ids, size_t n,
                              bool skip_special, ib_buf *out, ib_error *err) {
    ib_decode_stream *s;
    IB_TRY(ib_decode_stream_new(&s, t, skip_special, err));
    ib_status st = IB_OK;
    for (size_t i = 0; st == IB_OK && i < n; i++)
        st = ib_decode_stream_push(s, ids[i], out, err);
    if (st == IB_OK)
        st = ib_decode_stream_finish(s, out, err);
    ib_decode_stream_free(s);
    return st;
}
