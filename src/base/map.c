/* SPDX-License-Identifier: MIT
 * Open addressing with linear probing at most 2/3 full. */
#include "base/map.h"

#include "base/checked.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t process_seed(void) {
    static _Atomic uint64_t seed;
    uint64_t s = atomic_load_explicit(&seed, memory_order_relaxed);
    if (s)
        return s;
    if (getrandom(&s, sizeof s, GRND_NONBLOCK) != (ssize_t)sizeof s) {
        struct timespec now;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        s = (uint64_t)now.tv_nsec * 0x9E3779B97F4A7C15u ^ (uint64_t)now.tv_sec;
    }
    s |= 1;
    uint64_t expected = 0;
    if (!atomic_compare_exchange_strong(&seed, &expected, s))
        s = expected;
    return s;
}

static uint64_t mix(uint64_t a, uint64_t b) {
    a ^= b;
    a *= 0x9E3779B97F4A7C15u;
    a ^= a >> 32;
    a *= 0xD6E8FEB86659FD93u;
    return a ^ a >> 29;
}

uint64_t ib_hash(const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    uint64_t seed = process_seed(), h = seed ^ n * 0xA24BAED4963EE407u, word;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = mix(h, word + seed);
    }
    if (n) {
        word = 0;
        memcpy(&word, p, n);
        h = mix(h, word + seed);
    }
    return mix(h, seed);
}

void ib_map_init(ib_map *m) {
    *m = (ib_map){0};
}

void ib_map_clear(ib_map *m) {
    free(m->slots);
    *m = (ib_map){0};
}

static ib_map_slot *find(ib_map_slot *slots, size_t n_slots, ib_str key, uint64_t hash) {
    for (size_t i = hash & (n_slots - 1);; i = (i + 1) & (n_slots - 1)) {
        ib_map_slot *s = &slots[i];
        if (!s->key)
            return s;
        if (s->hash == hash && s->len == key.len && memcmp(s->key, key.ptr, key.len) == 0)
            return s;
    }
}

ib_status ib_map_reserve(ib_map *m, size_t n, ib_error *err) {
    size_t want, n_slots = 16;
    if (!ib_mul_size(n, 3, &want) || want > SIZE_MAX / 4)
        return ib_fail_memory(err, SIZE_MAX, "a hash map");
    while (n_slots < want / 2 + 1)
        n_slots *= 2;
    if (n_slots <= m->n_slots)
        return IB_OK;
    ib_map_slot *slots = calloc(n_slots, sizeof *slots);
    if (!slots)
        return ib_fail_memory(err, n_slots * sizeof *slots, "a hash map");
    for (size_t i = 0; i < m->n_slots; i++) {
        const ib_map_slot *s = &m->slots[i];
        if (s->key)
            *find(slots, n_slots, (ib_str){s->key, s->len}, s->hash) = *s;
    }
    free(m->slots);
    m->slots = slots;
    m->n_slots = n_slots;
    return IB_OK;
}

bool ib_map_get(const ib_map *m, ib_str key, uint64_t *value) {
    if (!m->n_used)
        return false;
    const ib_map_slot *s = find(m->slots, m->n_slots, key, ib_hash(key.ptr, key.len));
    if (!s->key)
        return false;
    *value = s->value;
    return true;
}

ib_status ib_map_put(ib_map *m, ib_str key, uint64_t value, bool *was_there, ib_error *err) {
    if ((m->n_used + 1) * 3 > m->n_slots * 2)
        IB_TRY(ib_map_reserve(m, (m->n_used + 1) * 2, err));
    uint64_t hash = ib_hash(key.ptr, key.len);
    ib_map_slot *s = find(m->slots, m->n_slots, key, hash);
    if (was_there)
        *was_there = s->key != NULL;
    if (!s->key) {
        *s = (ib_map_slot){key.ptr ? key.ptr : "", key.len, hash, 0};
        m->n_used++;
    }
    s->value = value;
    return IB_OK;
}
