/* SPDX-License-Identifier: MIT
 * What every test program shares: cmocka's headers in the order it needs, a skip that says why, and
 * the folder of the shared test data. */
#ifndef IB_TESTS_SUPPORT_H
#define IB_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Ends the running test as skipped; the runner prints the reason. */
#define IB_SKIP(reason)                                                                            \
    do {                                                                                           \
        print_message("%s\n", (reason));                                                           \
        skip();                                                                                    \
    } while (0)

/* The folder of tokenizers, templates and specifications, or a skip. */
#define IB_DATA_OR_SKIP(dir)                                                                       \
    const char *dir = getenv("IB_TEST_DATA");                                                      \
    if (!dir || !*dir)                                                                             \
    IB_SKIP("IB_TEST_DATA is not set: it names the folder with the shared test data")

#endif
