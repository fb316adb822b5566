/* SPDX-License-Identifier: MIT
 * See pin.h. Of hwloc only functions that version 2 has always had are used, found by name in
 * libhwloc.so.15; its header gives their types. */
#define _GNU_SOURCE
#include "base/pin.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#ifdef IB_HAVE_HWLOC
#include <hwloc.h>
#endif

static bool allowed(const cpu_set_t *set, int cpu) {
    return cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET((size_t)cpu, set);
}

/* --- cores ------------------------------------------------------------------------------------ */

#ifdef IB_HAVE_HWLOC
typedef struct hwloc_calls {
    int (*init)(hwloc_topology_t *);
    int (*load)(hwloc_topology_t);
    void (*destroy)(hwloc_topology_t);
    int (*type_depth)(hwloc_topology_t, hwloc_obj_type_t);
    unsigned (*count)(hwloc_topology_t, int);
    hwloc_obj_t (*object)(hwloc_topology_t, int, unsigned);
    int (*next)(hwloc_const_bitmap_t, int);
    unsigned (*version)(void);
} hwloc_calls;

/* A function pointer from an object pointer, as POSIX has it. */
static bool find(void *library, const char *name, void *to) {
    void *symbol = dlsym(library, name);
    memcpy(to, &symbol, sizeof symbol);
    return symbol != NULL;
}

static bool find_all(void *library, hwloc_calls *c) {
    return find(library, "hwloc_topology_init", &c->init) &&
           find(library, "hwloc_topology_load", &c->load) &&
           find(library, "hwloc_topology_destroy", &c->destroy) &&
           find(library, "hwloc_get_type_depth", &c->type_depth) &&
           find(library, "hwloc_get_nbobjs_by_depth", &c->count) &&
           find(library, "hwloc_get_obj_by_depth", &c->object) &&
           find(library, "hwloc_bitmap_next", &c->next) &&
           find(library, "hwloc_get_api_version", &c->version);
}

/* The first CPU of each core that the process may use. */
static void list_cores(const hwloc_calls *c, hwloc_topology_t t, const cpu_set_t *may,
                       ib_pin *out) {
    const int depth = c->type_depth(t, HWLOC_OBJ_CORE);
    const unsigned n = depth >= 0 ? c->count(t, depth) : 0;
    for (unsigned i = 0; i < n && out->n < IB_PIN_MAX; i++) {
        const hwloc_obj_t core = c->object(t, depth, i);
        int cpu = core ? c->next(core->cpuset, -1) : -1;
        while (cpu >= 0 && !allowed(may, cpu))
            cpu = c->next(core->cpuset, cpu);
        if (cpu >= 0)
            out->cpus[out->n++] = cpu;
    }
}

static ib_status cores(ib_pin *out, const cpu_set_t *may, ib_error *err) {
    hwloc_calls c;
    hwloc_topology_t t = NULL;
    void *library = dlopen("libhwloc.so.15", RTLD_NOW | RTLD_LOCAL);
    bool good = library && find_all(library, &c) && c.version() >> 16 == 2 && c.init(&t) == 0;
    if (good) {
        good = c.load(t) == 0;
        if (good)
            list_cores(&c, t, may, out);
        c.destroy(t);
        const unsigned v = c.version();
        (void)snprintf(out->source, sizeof out->source, "hwloc, interface %u.%u", v >> 16,
                       v >> 8 & 255);
    }
    if (library)
        (void)dlclose(library);
    if (good && out->n)
        return IB_OK;
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "--pin cores: %s; fix: install libhwloc15, or give a list of CPUs (--pin 0,1)",
                   library ? "hwloc finds no cores here" : "libhwloc.so.15 cannot be opened");
}
#else
static ib_status cores(ib_pin *out, const cpu_set_t *may, ib_error *err) {
    (void)out;
    (void)may;
    return ib_fail(err, IB_E_UNSUPPORTED,
                   "--pin cores: this program was built without hwloc; fix: give a list of CPUs "
                   "(--pin 0,1)");
}
#endif

/* --- a list ----------------------------------------------------------------------------------- */

static ib_status bad(const char *spec, ib_error *err) {
    char quoted[IB_QUOTED];
    return ib_fail(
        err, IB_E_USAGE,
        "bad value of --pin: '%s'; fix: give cores, or CPUs that the process may use, as "
        "in 0,2,4-7",
        ib_quotez(spec, quoted));
}

/* "4" or "4-7" */
static bool add_range(ib_pin *out, ib_str part, const cpu_set_t *may) {
    const char *dash = memchr(part.ptr, '-', part.len);
    const size_t head = dash ? (size_t)(dash - part.ptr) : part.len;
    uint64_t first, last;
    if (!ib_parse_u64((ib_str){part.ptr, head}, &first))
        return false;
    last = first;
    if (dash && !ib_parse_u64((ib_str){dash + 1, part.len - head - 1}, &last))
        return false;
    if (last < first || last >= CPU_SETSIZE)
        return false;
    for (uint64_t cpu = first; cpu <= last; cpu++) {
        if (out->n == IB_PIN_MAX || !allowed(may, (int)cpu))
            return false;
        for (size_t i = 0; i < out->n; i++)
            if (out->cpus[i] == (int)cpu)
                return false;
        out->cpus[out->n++] = (int)cpu;
    }
    return true;
}

ib_status ib_pin_parse(ib_pin *out, const char *spec, ib_error *err) {
    cpu_set_t may;
    *out = (ib_pin){.source = "list"};
    CPU_ZERO(&may);
    if (sched_getaffinity(0, sizeof may, &may) != 0)
        return ib_fail(err, IB_E_RESOURCE, "cannot tell which CPUs the process may use: %s",
                       strerror(errno));
    if (strcmp(spec, "cores") == 0)
        return cores(out, &may, err);
    for (const char *p = spec;; p++) {
        const size_t n = strcspn(p, ",");
        if (!add_range(out, (ib_str){p, n}, &may))
            return bad(spec, err);
        p += n;
        if (!*p)
            return IB_OK;
    }
}

/* --- binding ---------------------------------------------------------------------------------- */

typedef struct binding {
    const ib_pin *pin;
    atomic_int error;
} binding;

static void bind_self(void *ctx, int thread, int n_threads) {
    binding *b = ctx;
    cpu_set_t one;
    (void)n_threads;
    CPU_ZERO(&one);
    CPU_SET((size_t)b->pin->cpus[thread], &one);
    const int error = pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    if (error)
        atomic_store(&b->error, error);
}

ib_status ib_pin_pool(const ib_pin *p, ib_pool *pool, ib_error *err) {
    binding b = {.pin = p};
    const int n = ib_pool_size(pool);
    if ((size_t)n > p->n)
        return ib_fail(err, IB_E_USAGE,
                       "--pin names %zu CPUs for %d threads; fix: name one for each thread, or ask "
                       "for fewer threads (--threads)",
                       p->n, n);
    ib_pool_run(pool, bind_self, &b);
    const int error = atomic_load(&b.error);
    if (error)
        return ib_fail(err, IB_E_RESOURCE,
                       "the kernel refuses to bind the threads: %s; fix: leave "
                       "--pin out",
                       strerror(error));
    return IB_OK;
}
