/* SPDX-License-Identifier: MIT
 * Names of the environment variables between this program and the processes it starts. */
#ifndef IB_CLI_CHILD_H
#define IB_CLI_CHILD_H

#define IB_ENV_PADDING "INFERBENCH_PADDING" /* so long as it is, nothing reads its value */
#define IB_ENV_HEAP "INFERBENCH_HEAP_OFFSET"
#define IB_ENV_CELL "INFERBENCH_CELL"
#define IB_ENV_RECORD "INFERBENCH_RECORD"

#endif
