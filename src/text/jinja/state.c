/* SPDX-License-Identifier: MIT
 * What one rendering may spend and how it fails: exceptions, steps, memory, output. */
#include "text/jinja/value.h"

#include "base/checked.h"

#include <stdlib.h>
#include <string.h>

static void fail(jstate *st, ib_status status, const char *type, char *message) {
    if (st->status != IB_OK) {
        free(message);
        return;
    }
    st->status = message ? status : IB_E_RESOURCE;
    (void)snprintf(st->problem.type, sizeof st->problem.type, "%s", type);
    st->problem.message = message;
    st->problem.line = st->line;
}

void ib_jinja_set_problem(jstate *st, const char *type, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fail(st, IB_E_FORMAT, type, ib_strdup(text));
}

void ib_jinja_set_problem_text(jstate *st, const char *type, ib_str message) {
    fail(st, IB_E_FORMAT, type, ib_strndup(message.ptr, message.len));
}

void ib_jinja_unsupported(jstate *st) {
    if (st->status == IB_E_FORMAT)
        st->status = IB_E_UNSUPPORTED;
}

void ib_jinja_set_problem_limit(jstate *st, const char *fmt, ...) {
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fail(st, IB_E_RESOURCE, "LimitError", ib_strdup(text));
}

void ib_jinja_set_problem_memory(jstate *st) {
    char text[80] = "out of memory";
    if (st->arena_error.status == IB_E_RESOURCE)
        (void)snprintf(text, sizeof text, "memory limit of %zu bytes reached",
                       st->arena.limit_bytes);
    fail(st, IB_E_RESOURCE, "MemoryError", ib_strdup(text));
}

bool ib_jinja_spend(jstate *st, uint64_t n) {
    if (st->steps_left < n) {
        st->steps_left = 0;
        return ib_jinja_raise_limit(st, "the template takes too many steps");
    }
    st->steps_left -= n;
    return true;
}

void *ib_jinja_alloc(jstate *st, size_t n) {
    if (!ib_jinja_spend(st, n / 128))
        return NULL;
    void *p = ib_arena_alloc(&st->arena, n, &st->arena_error);
    if (!p)
        (void)ib_jinja_raise_memory(st);
    return p;
}

void *ib_jinja_array(jstate *st, size_t count, size_t size) {
    size_t bytes;
    if (!ib_mul_size(count, size, &bytes)) {
        (void)ib_jinja_raise_memory(st);
        return NULL;
    }
    return ib_jinja_alloc(st, bytes);
}

bool ib_jinja_emit(jstate *st, const char *p, size_t n) {
    if (n > st->output_limit - (st->out->len - st->output_base))
        return ib_jinja_raise_limit(st, "the output is larger than %zu bytes", st->output_limit);
    if (ib_buf_add(st->out, p, n, &st->arena_error) != IB_OK)
        return ib_jinja_raise_memory(st);
    return true;
}

bool ib_jinja_take_output(jstate *st, size_t mark, jval *out) {
    size_t n = st->out->len - mark;
    bool ok = ib_jinja_str_copy(st, n ? st->out->ptr + mark : "", n, out);
    st->out->len = mark;
    return ok;
}
