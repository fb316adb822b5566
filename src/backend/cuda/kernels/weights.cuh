// SPDX-License-Identifier: MIT
// Elements of a stored matrix as fp32: the layouts of quant/matrix.h. value() is one element;
// eight() fills eight from k, a multiple of 8 with k + 8 <= n_cols.
#ifndef IB_BACKEND_CUDA_WEIGHTS_CUH
#define IB_BACKEND_CUDA_WEIGHTS_CUH

#include "backend/cuda/kernels/device.cuh"

namespace {

__device__ __forceinline__ float nf4_value(int code) {
    const float table[16] = {
        -1.0f,
        -0.6961928009986877f,
        -0.5250730514526367f,
        -0.39491748809814453f,
        -0.28444138169288635f,
        -0.18477343022823334f,
        -0.09105003625154495f,
        0.0f,
        0.07958029955625534f,
        0.16093020141124725f,
        0.24611230194568634f,
        0.33791524171829224f,
        0.44070982933044434f,
        0.5626170039176941f,
        0.7229568362236023f,
        1.0f,
    };
    return table[code];
}
__device__ __forceinline__ float fp4_value(int code) { // in units of 1/12
    const float table[8] = {0.0f, 0.0625f / 12, 8.0f / 12, 1.0f, 4.0f / 12, 0.5f, 2.0f / 12, 0.25f};
    float v = table[code & 7];
    return code & 8 && v > 0 ? -v : v;
}

__device__ __forceinline__ float scale_of(const ib_cuda_matrix &m, uint64_t block) {
    if (m.absmax)
        return __ldg(m.absmax + block);
    return __fadd_rn(
        __fmul_rn(__ldg(m.nested_map + m.absmax_u8[block]), __ldg(m.nested_absmax + (block >> 8))),
        m.nested_offset);
}

__device__ __forceinline__ float half_at(const uint8_t *p) {
    return f16_value((uint32_t)p[0] | (uint32_t)p[1] << 8);
}

// One struct per stored format.
template <int TYPE> struct codes4 {
    static constexpr bool PLAIN = true; // has a kernel for several rows too
    static __device__ __forceinline__ float decode(int code) {
        return TYPE == IB_TYPE_NF4 ? nf4_value(code) : fp4_value(code);
    }
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row,
                                                  uint32_t k) {
        uint64_t i = (uint64_t)row * m.n_cols + k;
        uint8_t b = m.data[i >> 1];
        return decode(i & 1 ? b & 15 : b >> 4) * scale_of(m, i / m.blocksize);
    }
    static __device__ __forceinline__ void eight(const ib_cuda_matrix &m, uint32_t row, uint32_t k,
                                                 float v[8]) {
        uint64_t i = (uint64_t)row * m.n_cols + k;
        if (i & 7) { // rows of a length that is no multiple of 8
            for (int j = 0; j < 8; j++)
                v[j] = value(m, row, k + j);
            return;
        }
        uint32_t codes = __ldg(reinterpret_cast<const uint32_t *>(m.data + (i >> 1)));
        float scale = scale_of(m, i / m.blocksize); // a block is a multiple of 8
        for (int j = 0; j < 8; j++)
            v[j] = decode(codes >> (8 * (j / 2) + (j & 1 ? 0 : 4)) & 15) * scale;
    }
};

struct plain_f32 {
    static constexpr bool PLAIN = true;
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row,
                                                  uint32_t k) {
        return __ldg(reinterpret_cast<const float *>(m.data) + (uint64_t)row * m.n_cols + k);
    }
    static __device__ __forceinline__ void eight(const ib_cuda_matrix &m, uint32_t row, uint32_t k,
                                                 float v[8]) {
        const float *p = reinterpret_cast<const float *>(m.data) + (uint64_t)row * m.n_cols + k;
        if (m.n_cols & 3) {
            for (int j = 0; j < 8; j++)
                v[j] = __ldg(p + j);
            return;
        }
        uint4 a = stream16(p), b = stream16(p + 4);
        v[0] = __uint_as_float(a.x);
        v[1] = __uint_as_float(a.y);
        v[2] = __uint_as_float(a.z);
        v[3] = __uint_as_float(a.w);
        v[4] = __uint_as_float(b.x);
        v[5] = __uint_as_float(b.y);
        v[6] = __uint_as_float(b.z);
        v[7] = __uint_as_float(b.w);
    }
};

template <bool BF16> struct plain_16 {
    static constexpr bool PLAIN = true;
    static __device__ __forceinline__ float widen(uint32_t bits) {
        return BF16 ? bf16_value(bits) : f16_value(bits);
    }
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row,
                                                  uint32_t k) {
        return widen(
            __ldg(reinterpret_cast<const uint16_t *>(m.data) + (uint64_t)row * m.n_cols + k));
    }
    static __device__ __forceinline__ void eight(const ib_cuda_matrix &m, uint32_t row, uint32_t k,
                                                 float v[8]) {
        const uint16_t *p =
            reinterpret_cast<const uint16_t *>(m.data) + (uint64_t)row * m.n_cols + k;
        if (m.n_cols & 7) {
            for (int j = 0; j < 8; j++)
                v[j] = widen(__ldg(p + j));
            return;
        }
        uint4 a = stream16(p);
        uint32_t w[4] = {a.x, a.y, a.z, a.w};
        for (int j = 0; j < 8; j++)
            v[j] = widen(w[j / 2] >> (16 * (j & 1)) & 0xFFFF);
    }
};

struct plain_int8 {
    static constexpr bool PLAIN = false;
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row,
                                                  uint32_t k) {
        int q = (int8_t)m.data[(uint64_t)row * m.n_cols + k];
        return (float)q * __ldg(m.scb + row) *
               7.874015718698502e-3f; // 1/127 as the reference has it
    }
};

// Block formats: eight elements from a multiple of 8 share their scale and minimum, so that
// value = d * code - low with one look at the block's head.
struct sub_block {
    const uint8_t *b;
    float d, low;
};

template <int TYPE> struct blocks32 { // Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4
    static constexpr int BYTES = TYPE == IB_TYPE_Q4_0     ? 18
                                 : TYPE == IB_TYPE_Q4_1   ? 20
                                 : TYPE == IB_TYPE_Q5_0   ? 22
                                 : TYPE == IB_TYPE_Q5_1   ? 24
                                 : TYPE == IB_TYPE_Q8_0   ? 34
                                 : TYPE == IB_TYPE_IQ4_NL ? 18
                                                          : 17;
    static constexpr int QS = TYPE == IB_TYPE_MXFP4 ? 1 : TYPE == IB_TYPE_Q8_0 ? 2 : BYTES - 16;
    static constexpr bool MINIMUM = TYPE == IB_TYPE_Q4_1 || TYPE == IB_TYPE_Q5_1;

    static __device__ __forceinline__ sub_block at(const ib_cuda_matrix &m, uint32_t row,
                                                   uint32_t k) {
        const uint8_t *b = m.data + ((uint64_t)row * (m.n_cols / 32) + k / 32) * BYTES;
        if (TYPE == IB_TYPE_MXFP4)
            return {b, exp2f((float)b[0] - 128.0f), 0.0f};
        return {b, half_at(b), MINIMUM ? -half_at(b + 2) : 0.0f};
    }
    static __device__ __forceinline__ float code(const sub_block &s, uint32_t k) {
        const int j = k & 31;
        if (TYPE == IB_TYPE_Q8_0)
            return (float)(int8_t)s.b[QS + j];
        int q = s.b[QS + (j & 15)] >> (j < 16 ? 0 : 4) & 15;
        if (TYPE == IB_TYPE_Q5_0 || TYPE == IB_TYPE_Q5_1)
            q |= (s.b[QS - 4 + j / 8] >> (j & 7) & 1) << 4;
        if (TYPE == IB_TYPE_IQ4_NL) {
            const int table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};
            return (float)table[q];
        }
        if (TYPE == IB_TYPE_MXFP4) {
            const int doubled[8] = {0, 1, 2, 3, 4, 6, 8, 12};
            return (float)(q & 8 ? -doubled[q & 7] : doubled[q & 7]);
        }
        return (float)(TYPE == IB_TYPE_Q4_0 ? q - 8 : TYPE == IB_TYPE_Q5_0 ? q - 16 : q);
    }
};

template <int TYPE> struct blocks256 { // Q2_K to Q6_K
    static constexpr int BYTES = TYPE == IB_TYPE_Q2_K   ? 84
                                 : TYPE == IB_TYPE_Q3_K ? 110
                                 : TYPE == IB_TYPE_Q4_K ? 144
                                 : TYPE == IB_TYPE_Q5_K ? 176
                                                        : 210;
    // parts of an element's index: half h, quarter j of the half, sixteenth p
    static __device__ __forceinline__ sub_block at(const ib_cuda_matrix &m, uint32_t row,
                                                   uint32_t k) {
        const uint8_t *b = m.data + ((uint64_t)row * (m.n_cols / 256) + k / 256) * BYTES;
        const int e = k & 255, h = e / 128, j = e / 32 & 3, p = e / 16 & 1;
        if (TYPE == IB_TYPE_Q2_K) {
            const int s = b[8 * h + 2 * j + p];
            return {b, half_at(b + 80) * (float)(s & 15), half_at(b + 82) * (float)(s >> 4)};
        }
        if (TYPE == IB_TYPE_Q3_K) {
            const int i = 8 * h + 2 * j + p, low = b[96 + (i & 7)] >> (i < 8 ? 0 : 4) & 15;
            const int s = low | (b[104 + (i & 3)] >> (2 * (i / 4)) & 3) << 4;
            return {b, half_at(b + 108) * (float)(s - 32), 0.0f};
        }
        if (TYPE == IB_TYPE_Q6_K)
            return {b, half_at(b + 208) * (float)(int8_t)b[192 + 8 * h + p + 2 * j], 0.0f};
        const uint8_t *s = b + 4;
        const int i = e / 32;
        int sc = s[i & 7] & 63, low = s[(i + 4) & 7] & 63;
        if (i >= 4) {
            sc = (s[i + 4] & 15) | (s[i - 4] >> 6) << 4;
            low = s[i + 4] >> 4 | (s[i] >> 6) << 4;
        }
        return {b, half_at(b) * (float)sc, half_at(b + 2) * (float)low};
    }
    static __device__ __forceinline__ float code(const sub_block &s, uint32_t k) {
        const uint8_t *b = s.b;
        const int e = k & 255, h = e / 128, j = e / 32 & 3, p = e / 16 & 1, l16 = e & 15,
                  l = e & 31;
        if (TYPE == IB_TYPE_Q2_K)
            return (float)(b[16 + 32 * h + 16 * p + l16] >> (2 * j) & 3);
        if (TYPE == IB_TYPE_Q3_K)
            return (float)((b[32 + 32 * h + 16 * p + l16] >> (2 * j) & 3) -
                           (b[16 * p + l16] >> (4 * h + j) & 1 ? 0 : 4));
        if (TYPE == IB_TYPE_Q6_K) {
            const int low = b[64 * h + l + (j & 1) * 32] >> (j < 2 ? 0 : 4) & 15;
            return (float)((low | (b[128 + 32 * h + l] >> (2 * j) & 3) << 4) - 32);
        }
        int q =
            b[(TYPE == IB_TYPE_Q4_K ? 16 : 48) + 32 * (e / 64) + l] >> (e / 32 & 1 ? 4 : 0) & 15;
        if (TYPE == IB_TYPE_Q5_K)
            q += (b[16 + l] >> (e / 32) & 1) << 4;
        return (float)q;
    }
};

template <class B> struct in_blocks {
    static constexpr bool PLAIN = false;
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row,
                                                  uint32_t k) {
        const sub_block s = B::at(m, row, k);
        return __fadd_rn(__fmul_rn(s.d, B::code(s, k)), -s.low);
    }
    static __device__ __forceinline__ void eight(const ib_cuda_matrix &m, uint32_t row, uint32_t k,
                                                 float v[8]) {
        const sub_block s = B::at(m, row, k);
        for (int j = 0; j < 8; j++)
            v[j] = __fadd_rn(__fmul_rn(s.d, B::code(s, k + j)), -s.low);
    }
};

// eight() for the formats that have no better one.
template <class D, class = void> struct chunk {
    static __device__ __forceinline__ void eight(const ib_cuda_matrix &m, uint32_t row, uint32_t k,
                                                 float v[8]) {
        for (int j = 0; j < 8; j++)
            v[j] = D::value(m, row, k + j);
    }
};
template <class D> struct chunk<D, decltype((void)&D::eight)> {
    static __device__ __forceinline__ void eight(const ib_cuda_matrix &m, uint32_t row, uint32_t k,
                                                 float v[8]) {
        D::eight(m, row, k, v);
    }
};

} // namespace

// Calls F<format struct>(args) for a stored format; the value of the expression is its result, or
// `otherwise` for a format without kernels.
#define IB_CUDA_BY_TYPE(type, CALL, otherwise)                                                     \
    ((type) == IB_TYPE_F32      ? CALL(plain_f32)                                                  \
     : (type) == IB_TYPE_F16    ? CALL(plain_16<false>)                                            \
     : (type) == IB_TYPE_BF16   ? CALL(plain_16<true>)                                             \
     : (type) == IB_TYPE_NF4    ? CALL(codes4<IB_TYPE_NF4>)                                        \
     : (type) == IB_TYPE_FP4    ? CALL(codes4<IB_TYPE_FP4>)                                        \
     : (type) == IB_TYPE_INT8   ? CALL(plain_int8)                                                 \
     : (type) == IB_TYPE_Q4_0   ? CALL(in_blocks<blocks32<IB_TYPE_Q4_0>>)                          \
     : (type) == IB_TYPE_Q4_1   ? CALL(in_blocks<blocks32<IB_TYPE_Q4_1>>)                          \
     : (type) == IB_TYPE_Q5_0   ? CALL(in_blocks<blocks32<IB_TYPE_Q5_0>>)                          \
     : (type) == IB_TYPE_Q5_1   ? CALL(in_blocks<blocks32<IB_TYPE_Q5_1>>)                          \
     : (type) == IB_TYPE_Q8_0   ? CALL(in_blocks<blocks32<IB_TYPE_Q8_0>>)                          \
     : (type) == IB_TYPE_IQ4_NL ? CALL(in_blocks<blocks32<IB_TYPE_IQ4_NL>>)                        \
     : (type) == IB_TYPE_MXFP4  ? CALL(in_blocks<blocks32<IB_TYPE_MXFP4>>)                         \
     : (type) == IB_TYPE_Q2_K   ? CALL(in_blocks<blocks256<IB_TYPE_Q2_K>>)                         \
     : (type) == IB_TYPE_Q3_K   ? CALL(in_blocks<blocks256<IB_TYPE_Q3_K>>)                         \
     : (type) == IB_TYPE_Q4_K   ? CALL(in_blocks<blocks256<IB_TYPE_Q4_K>>)                         \
     : (type) == IB_TYPE_Q5_K   ? CALL(in_blocks<blocks256<IB_TYPE_Q5_K>>)                         \
     : (type) == IB_TYPE_Q6_K   ? CALL(in_blocks<blocks256<IB_TYPE_Q6_K>>)                         \
                                : (otherwise))

#endif
