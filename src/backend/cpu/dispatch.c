/* SPDX-License-Identifier: MIT
 * What the processor and the operating system allow -> the table of kernels. A tier counts only
 * when every instruction set its object was compiled for is there and the system saves its
 * registers (XGETBV). */
#include "backend/cpu/cpu.h"

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

enum {
    XCR0_YMM = 0x6,  /* SSE and AVX state */
    XCR0_ZMM = 0xE6, /* and opmask, upper ZMM halves, ZMM16 to 31 */
};

typedef struct leaf {
    uint32_t a, b, c, d;
} leaf;

static leaf cpuid(uint32_t number, uint32_t sub) {
    leaf l = {0, 0, 0, 0};
    (void)__get_cpuid_count(number, sub, &l.a, &l.b, &l.c, &l.d);
    return l;
}

static uint64_t xcr0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool note(ib_cpu_features *f, bool present, const char *name) {
    size_t used = strlen(f->list);
    if (present)
        (void)snprintf(f->list + used, sizeof f->list - used, "%s%s", used ? " " : "", name);
    return present;
}

static bool bit(uint32_t word, int n) {
    return word >> n & 1;
}

static void detect_sets(ib_cpu_features *f) {
    leaf one = cpuid(1, 0), seven = cpuid(7, 0), seven_1 = cpuid(7, 1);
    uint64_t saved = bit(one.c, 27) ? xcr0() : 0; /* OSXSAVE */
    bool ymm = (saved & XCR0_YMM) == XCR0_YMM, zmm = (saved & XCR0_ZMM) == XCR0_ZMM;
    bool avx2 = note(f, ymm && bit(one.c, 28) && bit(seven.b, 5), "avx2");
    bool fma = note(f, ymm && bit(one.c, 12), "fma");
    bool f16c = note(f, ymm && bit(one.c, 29), "f16c");
    bool foundation = note(f, zmm && bit(seven.b, 16), "avx512f");
    bool dq = note(f, zmm && bit(seven.b, 17), "avx512dq");
    bool bw = note(f, zmm && bit(seven.b, 30), "avx512bw");
    bool vl = note(f, zmm && bit(seven.b, 31), "avx512vl");
    bool vbmi = note(f, zmm && bit(seven.c, 1), "avx512_vbmi");
    bool vnni = note(f, zmm && bit(seven.c, 11), "avx512_vnni");
    bool bf16 = note(f, zmm && bit(seven_1.a, 5), "avx512_bf16");
    f->avx2 = avx2 && fma && f16c;
    f->avx512 = f->avx2 && foundation && dq && bw && vl;
    f->vnni = f->avx512 && vbmi && vnni;
    f->bf16 = f->vnni && bf16;
}

static void detect_name(ib_cpu_features *f) {
    leaf zero = cpuid(0, 0);
    memcpy(f->vendor, &zero.b, 4);
    memcpy(f->vendor + 4, &zero.d, 4);
    memcpy(f->vendor + 8, &zero.c, 4);
    if (cpuid(0x80000000, 0).a < 0x80000004)
        return;
    for (uint32_t i = 0; i < 3; i++) {
        leaf part = cpuid(0x80000002 + i, 0);
        memcpy(f->name + 16 * i, &part, sizeof part);
    }
    size_t begin = strspn(f->name, " "), end = strlen(f->name);
    while (end > begin && f->name[end - 1] == ' ')
        end--;
    memmove(f->name, f->name + begin, end - begin);
    f->name[end - begin] = '\0';
}
#else
static void detect_sets(ib_cpu_features *f) {
    (void)f;
}

static void detect_name(ib_cpu_features *f) {
    (void)f;
}
#endif

void ib_cpu_detect(ib_cpu_features *out) {
    memset(out, 0, sizeof *out);
    detect_sets(out);
    detect_name(out);
    if (!out->name[0])
        (void)snprintf(out->name, sizeof out->name, "unnamed processor");
}

/* In ascending order; a tier fills what it improves over the one before it, and beyond that what is
 * faster but not fp32, where the caller leaves the arithmetic open. */
typedef struct tier {
    const char *name;
    bool available;
    void (*fill)(ib_cpu_kernels *k), (*fill_rounded)(ib_cpu_kernels *k);
} tier;

ib_status ib_cpu_dispatch(ib_device *d, const char *wanted, ib_error *err) {
#ifdef IB_CPU_SIMD
    const tier tiers[] = {
        {"scalar", true, ib_cpu_fill_scalar, NULL},
        {"avx2", d->features.avx2, ib_cpu_fill_avx2, ib_cpu_fill_int16_avx2},
        {"avx512", d->features.avx512, ib_cpu_fill_avx512, ib_cpu_fill_int16_avx512},
        {"avx512vnni", d->features.vnni, ib_cpu_fill_avx512_vnni, ib_cpu_fill_int16_vnni},
        {"avx512bf16", d->features.bf16, NULL, ib_cpu_fill_bf16}};
#else
    const tier tiers[] = {{"scalar", true, ib_cpu_fill_scalar, NULL}};
#endif
    size_t n = sizeof tiers / sizeof *tiers, last = n;
    for (size_t i = 0; i < n; i++)
        if (wanted ? strcmp(wanted, tiers[i].name) == 0 : tiers[i].available)
            last = i;
    char quoted[IB_QUOTED];
    if (last == n)
        return ib_fail(err, IB_E_USAGE, "cpu tier %s: %s; fix: use scalar%s",
                       ib_quotez(wanted, quoted),
                       n == 1 ? "this program was built without SIMD tiers" : "no such tier",
                       n == 1 ? "" : ", avx2, avx512, avx512vnni or avx512bf16");
    if (!tiers[last].available)
        return ib_fail(err, IB_E_DEVICE,
                       "cpu tier %s: this processor lacks it (it has: %s); fix: leave out the tier",
                       tiers[last].name, d->features.list);
    for (size_t i = 0; i <= last; i++) {
        if (tiers[i].fill)
            tiers[i].fill(&d->k);
        if (tiers[i].fill_rounded && d->config.compute == IB_COMPUTE_AUTO)
            tiers[i].fill_rounded(&d->k);
    }
    d->tier = tiers[last].name;
    return IB_OK;
}
