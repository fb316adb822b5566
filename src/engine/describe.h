/* SPDX-License-Identifier: MIT
 * What was opened, as the record says it. Internal to the engine module. */
#ifndef IB_ENGINE_DESCRIBE_H
#define IB_ENGINE_DESCRIBE_H

#include "engine/engine.h"

/* "float32", "bfloat16", "float16": the names of options and configurations. */
const char *ib_dtype_name(ib_type t);
ib_status ib_describe_resolved(ib_resolved *out, const ib_device_info *info, ib_attention attention,
                               ib_type dtype, ib_type kv_type, ib_error *err) IB_MUST_CHECK;
ib_status ib_describe_model(ib_model_record *out, const ib_hub_result *found,
                            const ib_checkpoint *ckpt, const ib_model *model,
                            ib_error *err) IB_MUST_CHECK;

#endif
