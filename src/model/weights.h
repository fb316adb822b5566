/* SPDX-License-Identifier: MIT
 * Checkpoint -> weights on the device. */
#ifndef IB_MODEL_WEIGHTS_H
#define IB_MODEL_WEIGHTS_H

#include "model/model_internal.h"

/* Checks every tensor the configuration asks for (presence, shape, type) and the ones it does not,
 * then places all of them on m->device. On failure m holds what was placed so far. */
ib_status ib_weights_load(ib_model *m, ib_checkpoint *ckpt, ib_error *err) IB_MUST_CHECK;

#endif
