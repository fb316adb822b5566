/* SPDX-License-Identifier: MIT
 * The fused operations, composed from the plain ones for backends that have none of their own. */
#include "backend/backend.h"

ib_status ib_linear_group(ib_device *d, const ib_linear_args *a, size_t n, ib_error *err) {
    const ib_backend *b = ib_backend_of(d);
    if (b->linear_group)
        return b->linear_group(d, a, n, err);
    for (size_t i = 0; i < n; i++)
        IB_TRY(b->linear(d, &a[i], err));
    return IB_OK;
}

ib_status ib_gated_mlp(ib_device *d, const ib_linear_args *gate, const ib_linear_args *up,
                       const ib_gated_act_args *act, ib_error *err) {
    const ib_backend *b = ib_backend_of(d);
    if (b->gated_mlp)
        return b->gated_mlp(d, gate, up, act, err);
    const ib_linear_args both[2] = {*gate, *up};
    IB_TRY(ib_linear_group(d, both, 2, err));
    return b->gated_act(d, act, err);
}

ib_status ib_add_norm(ib_device *d, ib_tensor x, ib_tensor y, float scale, const ib_norm_args *n,
                      ib_error *err) {
    const ib_backend *b = ib_backend_of(d);
    if (b->add_norm)
        return b->add_norm(d, x, y, scale, n, err);
    IB_TRY(b->add(d, x, y, scale, err));
    return b->norm(d, n, err);
}
