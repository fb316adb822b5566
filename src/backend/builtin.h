/* SPDX-License-Identifier: MIT
 * The backends that may be built into the program; registry.c lists those that are. A backend
 * defines its table and nothing else that is visible. */
#ifndef IB_BACKEND_BUILTIN_H
#define IB_BACKEND_BUILTIN_H

#include "backend/backend.h"

extern const ib_backend ib_backend_cpu;
extern const ib_backend ib_backend_xpu;  /* with IB_HAVE_OPENCL */
extern const ib_backend ib_backend_cuda; /* with IB_HAVE_CUDA */

#endif
