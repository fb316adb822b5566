/* SPDX-License-Identifier: MIT
 * See law.h. */
#include "engine/law.h"

#include "stats/quantile.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef enum kind { TIME, SHARE, NUMBER, PAIR, CLOCK, SEED } kind;

static const struct key {
    const char *name;
    kind kind;
    size_t offset;
    double low, high; /* of the number, or of a pair's first */
} keys[] = {
#define KEY(name, kind, member, low, high)                                                         \
    { name, kind, offsetof(ib_law, member), low, high }
    KEY("itl", TIME, itl_ns, 0, 1e11),
    KEY("ttft", TIME, ttft_ns, 0, 1e12),
    KEY("prefill", TIME, prefill_ns, 0, 1e10),
    KEY("sd", SHARE, sd, 0, 2),
    KEY("ar", NUMBER, ar, -0.99, 0.99),
    KEY("slope", SHARE, slope, -1, 1000),
    KEY("mode", PAIR, mode, 0, 1),
    KEY("outlier", PAIR, outlier, 0, 1),
    KEY("step", PAIR, step, 0, 1e9),
    KEY("hop", PAIR, hop, 1, 1e9),
    KEY("walk", SHARE, walk, 0, 1),
    KEY("warm", PAIR, warm, 0, 1e9),
    KEY("ramp", PAIR, ramp, 0.01, 1e9),
    KEY("first", NUMBER, first, 0.01, 1000),
    KEY("run", SHARE, run_sd, 0, 2),
    KEY("hit", SHARE, hit, 0, 1),
    KEY("flip", PAIR, flip, 0, 1e9),
    KEY("stop", PAIR, stop, 0, 1e9),
    KEY("nan", NUMBER, nan_run, 0, 1e9),
    KEY("slow", SHARE, slow, -0.9, 100),
    KEY("clock", CLOCK, is_virtual, 0, 0),
    KEY("noise", SEED, noise, 0, 0),
#undef KEY
};
enum { N_KEYS = sizeof keys / sizeof *keys, LAST = 3 /* slow, clock, noise */ };

static const struct {
    const char *name, *law;
} named[] = {
    {"constant", ""},
    {"lognormal", "sd=10%"},
    {"bimodal", "sd=3%:mode=20%x2"},
    {"trend", "sd=2%:slope=100%"},
    {"dependent", "sd=10%:ar=0.7"},
    {"outliers", "sd=2%:outlier=2%x8"},
    {"steps", "sd=2%:step=64x1.3"},
};

static const ib_law nothing = {.itl_ns = 1e6,
                               .ttft_ns = 5e6,
                               .first = 1,
                               .mode = {0, 1},
                               .outlier = {0, 1},
                               .step = {0, 1},
                               .hop = {1, 1},
                               .warm = {0, 1},
                               .ramp = {1, 1},
                               .flip = {-1, 0},
                               .stop = {-1, 0},
                               .nan_run = -1};

/* --- reading --- */

static bool read_time(ib_str v, double *out) {
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    for (size_t i = 0; i < 4; i++)
        if (ib_str_ends(v, units[i].unit)) {
            v.len -= strlen(units[i].unit);
            const bool good = ib_parse_double(v, out);
            *out *= units[i].ns;
            return good;
        }
    return false;
}

static bool read_number(ib_str v, double *out) {
    const bool percent = ib_str_ends(v, "%");
    v.len -= percent;
    const bool good = ib_parse_double(v, out);
    *out /= percent ? 100 : 1;
    return good;
}

static bool read_pair(ib_str v, ib_law_pair *out) {
    const char *x = v.len ? memchr(v.ptr, 'x', v.len) : NULL;
    if (!x)
        return false;
    const ib_str a = {v.ptr, (size_t)(x - v.ptr)}, b = {x + 1, v.len - a.len - 1};
    return read_number(a, &out->a) && read_number(b, &out->factor) && out->factor >= 0;
}

static bool read_value(ib_law *law, const struct key *k, ib_str v) {
    char *at = (char *)law + k->offset;
    double number = 0;
    ib_law_pair pair = {0, 0};
    bool good = true;
    switch (k->kind) {
    case CLOCK:
        law->is_virtual = ib_str_is(v, "virtual");
        return law->is_virtual || ib_str_is(v, "real");
    case SEED:
        return ib_parse_u64(v, &law->noise);
    case PAIR:
        good = read_pair(v, &pair);
        number = pair.a;
        memcpy(at, &pair, sizeof pair);
        break;
    default:
        good = k->kind == TIME ? read_time(v, &number) : read_number(v, &number);
        memcpy(at, &number, sizeof number);
        break;
    }
    return good && number >= k->low && number <= k->high;
}

static ib_status read_part(ib_law *law, ib_str part, ib_error *err) {
    const char *equals = part.len ? memchr(part.ptr, '=', part.len) : NULL;
    char shown[IB_QUOTED];
    const size_t n = equals ? (size_t)(equals - part.ptr) : part.len;
    for (size_t i = 0; !equals && i < sizeof named / sizeof *named; i++)
        if (ib_str_is(part, named[i].name))
            return *named[i].law ? ib_law_parse(law, ib_str_of(named[i].law), err) : IB_OK;
    for (size_t i = 0; equals && i < N_KEYS; i++)
        if (strlen(keys[i].name) == n && memcmp(keys[i].name, part.ptr, n) == 0 &&
            read_value(law, &keys[i], (ib_str){equals + 1, part.len - n - 1}))
            return IB_OK;
    return ib_fail(
        err, IB_E_USAGE,
        "bad part of a law of the synthetic engine: '%s'; fix: give keys like itl=1ms, "
        "sd=2%%, ar=0.5, mode=10%%x3, warm=3x5, run=1%%, clock=virtual (docs/methods.md)",
        ib_quote(part, shown));
}

static ib_status read_parts(ib_law *law, ib_str text, ib_error *err) {
    while (text.len) {
        const char *end = memchr(text.ptr, ':', text.len);
        const size_t n = end ? (size_t)(end - text.ptr) : text.len;
        if (n)
            IB_TRY(read_part(law, (ib_str){text.ptr, n}, err));
        text.ptr += end ? n + 1 : n;
        text.len -= end ? n + 1 : n;
    }
    return IB_OK;
}

ib_status ib_law_parse(ib_law *out, ib_str text, ib_error *err) {
    *out = nothing;
    return read_parts(out, text, err);
}

/* --- writing --- */

static ib_status print_number(double v, ib_buf *out, ib_error *err) {
    char text[32];
    (void)ib_stats_repr(v, text);
    return ib_buf_adds(out, text, err);
}

static ib_status print_value(const ib_law *law, const struct key *k, ib_buf *out, ib_error *err) {
    const char *at = (const char *)law + k->offset;
    double number;
    ib_law_pair pair;
    switch (k->kind) {
    case CLOCK:
        return ib_buf_adds(out, law->is_virtual ? "virtual" : "real", err);
    case SEED:
        return ib_buf_addf(out, err, "%llu", (unsigned long long)law->noise);
    case PAIR:
        memcpy(&pair, at, sizeof pair);
        IB_TRY(print_number(pair.a, out, err));
        IB_TRY(ib_buf_addc(out, 'x', err));
        return print_number(pair.factor, out, err);
    default:
        memcpy(&number, at, sizeof number);
        IB_TRY(print_number(number, out, err));
        return k->kind == TIME ? ib_buf_adds(out, "ns", err) : IB_OK;
    }
}

static size_t size_of(const struct key *k) {
    return k->kind == PAIR ? sizeof(ib_law_pair) : k->kind == CLOCK ? sizeof(bool) : sizeof(double);
}

ib_status ib_law_print(const ib_law *law, bool all, ib_buf *out, ib_error *err) {
    bool any = false;
    for (size_t i = 0; i < N_KEYS - (all ? 0 : LAST); i++) {
        const char *at = (const char *)law + keys[i].offset;
        const char *usual = (const char *)&nothing + keys[i].offset;
        if (i >= 2 && memcmp(at, usual, size_of(&keys[i])) == 0)
            continue;
        if (any)
            IB_TRY(ib_buf_addc(out, ':', err));
        any = true;
        IB_TRY(ib_buf_adds(out, keys[i].name, err));
        IB_TRY(ib_buf_addc(out, '=', err));
        IB_TRY(print_value(law, &keys[i], out, err));
    }
    return IB_OK;
}

/* --- drawing --- */

void ib_law_begin(ib_law_run *r, const ib_law *law, uint64_t run_index) {
    *r = (ib_law_run){.law = law, .level = 1};
    ib_rng_init(&r->rng, law->noise + UINT64_C(0x9E3779B97F4A7C15) * (run_index + 1));
    const double z = ib_rng_normal(&r->rng), hit = ib_rng_unit(&r->rng);
    const double by = 0.05 + 0.10 * ib_rng_unit(&r->rng);
    r->effect = exp(law->run_sd * z) * (1 + law->slow) * (hit < law->hit ? 1 + by : 1);
    r->effect *= run_index == 0 ? law->first : 1;
    r->z = ib_rng_normal(&r->rng);
}

static uint64_t whole(double ns) {
    return ns > 0 ? (uint64_t)llround(ns) : 0;
}

uint64_t ib_law_ttft(ib_law_run *r, uint64_t n_prompt) {
    return whole(r->effect * (r->law->ttft_ns + r->law->prefill_ns * (double)n_prompt));
}

uint64_t ib_law_token(ib_law_run *r, uint64_t position) {
    const ib_law *l = r->law;
    const double i = (double)r->i++, fresh = ib_rng_normal(&r->rng), mode = ib_rng_unit(&r->rng),
                 outlier = ib_rng_unit(&r->rng), step = ib_rng_normal(&r->rng);
    double t = l->itl_ns * r->effect * r->level * exp(l->sd * r->z);
    t *= 1 + l->slope * (double)position / 1000;
    t *= mode < l->mode.a ? l->mode.factor : 1;
    t *= outlier < l->outlier.a ? l->outlier.factor : 1;
    t *= i >= l->step.a ? l->step.factor : 1;
    t *= fmod(floor(i / l->hop.a), 2) >= 1 ? l->hop.factor : 1;
    t *= i < l->warm.a ? l->warm.factor : 1;
    t *= 1 + (l->ramp.factor - 1) * exp(-i / l->ramp.a);
    r->z = l->ar * r->z + sqrt(1 - l->ar * l->ar) * fresh;
    r->level *= exp(l->walk * step);
    return whole(t);
}
