/* SPDX-License-Identifier: MIT
 * The forms of the kernels, in front of every other source. The host chooses by what the device offers:
 *   FORM 0  single    a work-group is one item that works on vectors: processors
 *   FORM 1  local     items of a work-group reduce through local memory: any GPU, OpenCL 1.2 core
 *   FORM 2  subgroup  sub-groups of SG items reduce in registers: Intel GPUs
 * Kernels are written against three notions: GROUP items of a work-group; a team of TEAM items that
 * shares a block of weight rows (TEAMS of them in a group); and `wide`, what one item takes at a time. */
#define SINGLE 0
#define LOCAL 1
#define SUBGROUP 2

#if FORM == SUBGROUP
#define FORM_ATTRIBUTES __attribute__((intel_reqd_sub_group_size(SG)))
#else
#define FORM_ATTRIBUTES
#endif
#define KERNEL(items) __kernel __attribute__((reqd_work_group_size(items, 1, 1))) FORM_ATTRIBUTES void

#define UNROLL __attribute__((opencl_unroll_hint))

#if FORM == SINGLE
#define TEAM 1
#elif FORM == LOCAL
#define TEAM GROUP
#else
#define TEAM SG
#endif
#define TEAMS (GROUP / TEAM)

#if FORM == SINGLE
#define WIDE 8
typedef float8 wide;
#define wide_load(p) vload8(0, p)
#define wide_store(v, p) vstore8(v, 0, p)
#else
#define WIDE 1
typedef float wide;
#define wide_load(p) (*(p))
#define wide_store(v, p) (*(p) = (v))
#endif

float sum8(float8 v) {
    float4 a = v.lo + v.hi;
    float2 b = a.lo + a.hi;
    return b.x + b.y;
}

float dot8(float8 a, float8 b) {
    float even = fma(a.s6, b.s6, fma(a.s4, b.s4, fma(a.s2, b.s2, a.s0 * b.s0)));
    float odd = fma(a.s7, b.s7, fma(a.s5, b.s5, fma(a.s3, b.s3, a.s1 * b.s1)));
    return even + odd;
}

#if FORM == SINGLE
#define wide_sum(v) sum8(v)
#else
#define wide_sum(v) (v)
#endif

/* Sum and maximum over a work-group; s has GROUP floats of local memory. */
#if FORM == SINGLE
#define group_sum(s, t, v) ((void)(s), (v))
#define group_max(s, t, v) ((void)(s), (v))
#elif FORM == LOCAL
float group_sum(__local float *s, uint t, float v) {
    s[t] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint step = GROUP / 2; step > 0; step /= 2) {
        if (t < step)
            s[t] += s[t + step];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    float total = s[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return total;
}
float group_max(__local float *s, uint t, float v) {
    s[t] = v;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint step = GROUP / 2; step > 0; step /= 2) {
        if (t < step)
            s[t] = fmax(s[t], s[t + step]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    float most = s[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return most;
}
#else
float group_sum(__local float *s, uint t, float v) {
    float part = sub_group_reduce_add(v), total = 0;
    if (get_sub_group_local_id() == 0)
        s[get_sub_group_id()] = part;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = 0; i < GROUP / SG; i++)
        total += s[i];
    barrier(CLK_LOCAL_MEM_FENCE);
    return total;
}
float group_max(__local float *s, uint t, float v) {
    float part = sub_group_reduce_max(v);
    if (get_sub_group_local_id() == 0)
        s[get_sub_group_id()] = part;
    barrier(CLK_LOCAL_MEM_FENCE);
    float most = s[0];
    for (uint i = 1; i < GROUP / SG; i++)
        most = fmax(most, s[i]);
    barrier(CLK_LOCAL_MEM_FENCE);
    return most;
}
#endif
