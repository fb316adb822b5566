/* SPDX-License-Identifier: MIT
 * What the program and the CUDA plugin agree on. The plugin (inferbench-cuda.so) is a separate
 * file, so that the program starts where no CUDA driver is; it is built from the same sources and
 * refused when its numbers differ. */
#ifndef IB_BACKEND_CUDA_PLUGIN_H
#define IB_BACKEND_CUDA_PLUGIN_H

#include "backend/backend.h"

#define IB_CUDA_PLUGIN_FILE "inferbench-cuda.so"
#define IB_CUDA_PLUGIN_SYMBOL "ib_cuda_plugin_table"

enum { IB_CUDA_PLUGIN_ABI = 1 }; /* raised whenever backend.h or a type in it changes its meaning */

typedef struct ib_cuda_plugin {
    uint32_t abi, backend_bytes, info_bytes, matrix_bytes; /* sizes catch what the number misses */
    const ib_backend *backend;
} ib_cuda_plugin;

#endif
