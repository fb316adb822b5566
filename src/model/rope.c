/* SPDX-License-Identifier: MIT
 * Frequencies: Su 2021 (RoPE); linear (Chen 2023); dynamic NTK (bloc97, emozilla); llama3 (Llama
 * 3.1's rule); yarn (Peng 2023, arXiv:2309.00071); longrope (Ding 2024, arXiv:2402.13753). The
 * order of operations and their precision follow the reference, so that tables agree in fp32. */
#include "model/rope.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

size_t ib_rope_n_rot(const ib_config *c) {
    return (size_t)((double)c->head_dim * c->rope.partial_factor);
}

bool ib_rope_switches(const ib_rope_config *r) {
    return r->type == IB_ROPE_DYNAMIC || r->type == IB_ROPE_LONGROPE;
}

/* base^(2j/dim), rounded to fp32 as a tensor of the reference is. */
static float power(double base, size_t j, size_t dim) {
    float exponent = (float)(2 * j) / (float)dim;
    return (float)pow((double)(float)base, (double)exponent);
}

static double yarn_mscale(double factor, double m) {
    return factor <= 1 ? 1 : 0.1 * m * log(factor) + 1;
}

double ib_rope_attention_factor(const ib_config *c) {
    const ib_rope_config *r = &c->rope;
    if (r->type != IB_ROPE_YARN && r->type != IB_ROPE_LONGROPE)
        return 1;
    if (r->attention_factor > 0)
        return r->attention_factor;
    if (r->type == IB_ROPE_LONGROPE)
        return r->factor <= 1 ? 1 : sqrt(1 + log(r->factor) / log((double)r->original_context));
    if (r->mscale != 0 && r->mscale_all_dim != 0)
        return yarn_mscale(r->factor, r->mscale) / yarn_mscale(r->factor, r->mscale_all_dim);
    return yarn_mscale(r->factor, 1);
}

static void llama3(const ib_rope_config *r, float *inv_freq, size_t half) {
    const double context = (double)r->original_context;
    const float longest = (float)(context / r->low_freq_factor);
    const float shortest = (float)(context / r->high_freq_factor);
    const float factor = (float)r->factor;
    for (size_t j = 0; j < half; j++) {
        float inv = inv_freq[j];
        float wave = (float)(2 * pi) / inv;
        if (wave > longest) {
            inv_freq[j] = inv / factor;
        } else if (!(wave < shortest)) {
            float smooth = ((float)context / wave - (float)r->low_freq_factor) /
                           (float)(r->high_freq_factor - r->low_freq_factor);
            inv_freq[j] = (1.0f - smooth) * inv / factor + smooth * inv;
        }
    }
}

/* Dimension at which a frequency makes `rotations` turns within the original context. */
static double correction(const ib_rope_config *r, double rotations, size_t dim) {
    return (double)dim * log((double)r->original_context / (rotations * 2 * pi)) /
           (2 * log(r->theta));
}

static void yarn(const ib_rope_config *r, float *inv_freq, size_t half) {
    const size_t dim = 2 * half;
    double low = correction(r, r->beta_fast, dim), high = correction(r, r->beta_slow, dim);
    if (r->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)dim - 1);
    if (low == high)
        high += 0.001;
    for (size_t j = 0; j < half; j++) {
        float frequency = power(r->theta, j, dim);
        float extrapolated = 1.0f / frequency;
        float interpolated = 1.0f / ((float)r->factor * frequency);
        float ramp = ((float)j - (float)low) / (float)(high - low);
        float keep = 1.0f - fminf(fmaxf(ramp, 0.0f), 1.0f);
        inv_freq[j] = interpolated * (1.0f - keep) + extrapolated * keep;
    }
}

static void longrope(const ib_rope_config *r, uint64_t length, float *inv_freq, size_t half) {
    const double *factors = length > r->original_context ? r->long_factor : r->short_factor;
    for (size_t j = 0; j < half; j++)
        inv_freq[j] = 1.0f / ((float)factors[j] * power(r->theta, j, 2 * half));
}

/* Base of dynamic NTK scaling for this length; never below the length the model was made for. */
static double dynamic_base(const ib_config *c, uint64_t length, size_t dim) {
    const ib_rope_config *r = &c->rope;
    double made_for = (double)c->n_ctx_max;
    double s = fmax((double)length, made_for);
    return r->theta *
           pow(r->factor * s / made_for - (r->factor - 1), (double)dim / ((double)dim - 2));
}

void ib_rope_frequencies(const ib_config *c, uint64_t length, float *inv_freq) {
    const ib_rope_config *r = &c->rope;
    const size_t dim = ib_rope_n_rot(c), half = dim / 2;
    double base = r->type == IB_ROPE_DYNAMIC ? dynamic_base(c, length, dim) : r->theta;
    if (r->type == IB_ROPE_YARN) {
        yarn(r, inv_freq, half);
    } else if (r->type == IB_ROPE_LONGROPE) {
        longrope(r, length, inv_freq, half);
    } else {
        for (size_t j = 0; j < half; j++)
            inv_freq[j] = 1.0f / power(base, j, dim);
        if (r->type == IB_ROPE_LLAMA3)
            llama3(r, inv_freq, half);
        for (size_t j = 0; r->type == IB_ROPE_LINEAR && j < half; j++)
            inv_freq[j] /= (float)r->factor;
    }
    for (size_t j = 0; r->divisors && j < half; j++)
        inv_freq[j] /= r->divisors[j];
}

void ib_rope_row(const float *inv_freq, size_t half, uint64_t pos, float factor, float *row) {
    for (size_t j = 0; j < half; j++) {
        double angle = (double)((float)pos * inv_freq[j]); /* the product rounds to fp32 */
        row[j] = (float)cos(angle) * factor;
        row[half + j] = (float)sin(angle) * factor;
    }
}

void ib_rope_fill(const ib_config *c, uint64_t from, uint64_t to, float *inv_freq, float *table) {
    const size_t n_rot = ib_rope_n_rot(c);
    const float factor = (float)ib_rope_attention_factor(c);
    ib_rope_frequencies(c, to, inv_freq);
    for (uint64_t pos = from; pos < to; pos++)
        ib_rope_row(inv_freq, n_rot / 2, pos, factor, table + (size_t)(pos - from) * n_rot);
}
