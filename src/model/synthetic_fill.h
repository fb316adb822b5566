/* SPDX-License-Identifier: MIT
 * Random bytes with sane scales, in every stored format. Private to the synthetic models. */
#ifndef IB_MODEL_SYNTHETIC_FILL_H
#define IB_MODEL_SYNTHETIC_FILL_H

#include "quant/types.h"

typedef struct ib_fill { /* one tensor to fill */
    unsigned char *at;   /* borrowed [n_bytes] */
    uint64_t n_bytes;    /* whole blocks of type */
    ib_type type;        /* how the bytes are read: a float or GGUF type; U8, I8, NF4: codes */
    bool scales;         /* F32: values from 3/4 to 5/4 of deviation, not random numbers */
    double deviation;    /* of the numbers; not used for codes */
} ib_fill;

/* Deviation of a random code of the table or type, in units of its scale. */
double ib_fill_code_deviation(const float *table, size_t n);

/* Fills all tensors; fills[i] depends on seed and i alone. n_threads 0 = automatic. */
ib_status ib_fill_run(const ib_fill *fills, size_t n, uint64_t seed, int n_threads,
                      ib_error *err) IB_MUST_CHECK;

#endif
