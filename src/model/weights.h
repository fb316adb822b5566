/* SPDX-License-Identifier: MIT
 * Checkpoint -> weights on the device. */
#ifndef IB_MODEL_WEIGHTS_H
#define IB_MODEL_WEIGHTS_H

#include "model/model_internal.h"

/* Checks every tensor the configuration asks for (presence, shape, type) and the ones it does not,
 * then places all of them on m->device. On failure m holds what was placed so far. */
ib_status ib_weights_load(ib_model *m, ib_checkpoint *ckpt, ib_error *err) IB_MUST_CHECK;

/* Shape of the matrix that plays a role, and whether a bias belongs to it. */
void ib_weights_role_shape(const ib_config *c, ib_role role, uint64_t *rows, uint64_t *cols);
bool ib_weights_role_has_bias(const ib_config *c, ib_role role);

#endif
