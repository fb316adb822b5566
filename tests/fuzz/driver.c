/* SPDX-License-Identifier: MIT
 * One target under libFuzzer: FUZZ_TARGET is its name. With IB_FUZZ_OOM in the environment each
 * input also decides which of its allocations fails. Inputs of a format with lengths inside are
 * mutated with those lengths put right, most of the time. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed);

static uint64_t fnv(const uint8_t *data, size_t n) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++)
        h = (h ^ data[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const fuzz_target *target;
    static bool oom;
    if (!target) {
        target = fuzz_find(FUZZ_TARGET);
        oom = getenv("IB_FUZZ_OOM") != NULL;
        fuzz_must(target);
        (void)fuzz_run(target, data, 0, 0, false, NULL); /* opens what it keeps */
    }
    const uint64_t h = fnv(data, n);
    const long at = oom ? 1 + (long)(h >> 8 & ((UINT64_C(2) << (h & 7)) - 1)) : 0;
    (void)fuzz_run(target, data, n, at, h >> 40 & 1, NULL);
    return 0;
}

#ifdef FUZZ_LENGTH_PREFIX
/* 8 bytes of length, a text of that length, data. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed) {
    enum { PREFIX = 8 };
    uint64_t length = 0;
    if (seed % 8 == 0 || n < PREFIX || max < PREFIX + 16)
        return LLVMFuzzerMutate(data, n, max);
    for (int i = PREFIX - 1; i >= 0; i--)
        length = length << 8 | data[i];
    const size_t inner = n - PREFIX;
    size_t text = length < inner ? (size_t)length : inner;
    const size_t rest = inner - text;
    uint8_t *tail = malloc(rest + 1);
    if (!tail)
        return n;
    memcpy(tail, data + PREFIX + text, rest);
    text = LLVMFuzzerMutate(data + PREFIX, text, max - PREFIX);
    const size_t room = max - PREFIX - text, kept = rest < room ? rest : room;
    memcpy(data + PREFIX + text, tail, kept);
    free(tail);
    for (int i = 0; i < PREFIX; i++)
        data[i] = (uint8_t)((uint64_t)text >> 8 * i);
    return PREFIX + text + kept;
}
#endif
