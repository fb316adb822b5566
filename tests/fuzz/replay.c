/* SPDX-License-Identifier: MIT
 * Every kept input of every target, in the tests: once as it is, then with each of its first
 * allocations failing, once and from then on. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAILURES = 400 };

static size_t n_inputs, n_accepted, n_points;

static void one(const fuzz_target *t, const char *name) {
    char path[512];
    size_t n;
    bool met = true;
    (void)snprintf(path, sizeof path, "tests/fuzz/corpus/%s/%s", t->name, name);
    char *text = fuzz_fixture(path, &n);
    uint8_t *exact = malloc(n ? n : 1); /* no byte behind the input */
    fuzz_must(exact);
    memcpy(exact, text, n);
    free(text);
    if (fuzz_run(t, exact, n, 0, false, NULL) == IB_OK)
        n_accepted++;
    n_inputs++;
    for (long at = 1; met && at <= FAILURES; at++) {
        (void)fuzz_run(t, exact, n, at, false, &met);
        n_points += met;
        if (met)
            (void)fuzz_run(t, exact, n, at, true, NULL);
    }
    free(exact);
}

/* --judge TARGET: paths on standard input; for each its status and the error's text. */
static int judge(const fuzz_target *t) {
    char path[4096];
    while (fgets(path, sizeof path, stdin)) {
        size_t n = 0;
        ib_error err = {0};
        path[strcspn(path, "\n")] = '\0';
        char *text = fuzz_read(path, &n);
        const ib_status st = t->run((const uint8_t *)text, n, &err);
        (void)printf("%d\t%s\n", (int)st, err.text);
        free(text);
    }
    return 0;
}

static int ordered(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int replay(const fuzz_target *t) {
    char path[512];
    struct dirent **names = NULL;
    n_inputs = n_accepted = n_points = 0;
    (void)fuzz_run(t, (const uint8_t *)"", 0, 0, false, NULL); /* opens what it keeps */
    (void)snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", IB_SOURCE_DIR, t->name);
    const int n = scandir(path, &names, NULL, ordered);
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.')
            one(t, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    (void)printf("%s: %zu inputs, %zu accepted, %zu failing allocations\n", t->name, n_inputs,
                 n_accepted, n_points);
    return n_inputs > 0;
}

int main(int argc, char **argv) {
    int good = 1;
    if (argc == 3 && strcmp(argv[1], "--judge") == 0 && fuzz_find(argv[2]))
        return judge(fuzz_find(argv[2]));
    for (size_t i = 0; i < fuzz_n_targets; i++)
        if (argc < 2 || strcmp(argv[1], fuzz_targets[i].name) == 0)
            good &= replay(&fuzz_targets[i]);
    if (!good)
        (void)fprintf(stderr, "a target without inputs\n");
    return good ? 0 : 1;
}
