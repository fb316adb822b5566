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
    return __fadd_rn(__fmul_rn(__ldg(m.nested_map + m.absmax_u8[block]),
                               __ldg(m.nested_absmax + (block >> 8))),
                     m.nested_offset);
}

__device__ __forceinline__ float half_at(const uint8_t *p) {
    return f16_value((uint32_t)p[0] | (uint32_t)p[1] << 8);
}

// One struct per stored format.
template <int TYPE> struct codes4 {
    static __device__ __forceinline__ float decode(int code) {
        return TYPE == IB_TYPE_NF4 ? nf4_value(code) : fp4_value(code);
    }
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row, uint32_t k) {
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
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row, uint32_t k) {
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
    static __device__ __forceinline__ float widen(uint32_t bits) {
        return BF16 ? bf16_value(bits) : f16_value(bits);
    }
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row, uint32_t k) {
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
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row, uint32_t k) {
        int q = (int8_t)m.data[(uint64_t)row * m.n_cols + k];
        return (float)q * __ldg(m.scb + row) * 7.874015718698502e-3f; // 1/127 as the reference has it
    }
};

template <int TYPE> struct blocks32 { // Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row, uint32_t k) {
        constexpr int BYTES = TYPE == IB_TYPE_Q4_0     ? 18
                              : TYPE == IB_TYPE_Q4_1   ? 20
                              : TYPE == IB_TYPE_Q5_0   ? 22
                              : TYPE == IB_TYPE_Q5_1   ? 24
                              : TYPE == IB_TYPE_Q8_0   ? 34
                              : TYPE == IB_TYPE_IQ4_NL ? 18
                                                       : 17;
        constexpr int QS = TYPE == IB_TYPE_MXFP4 ? 1 : TYPE == IB_TYPE_Q8_0 ? 2 : BYTES - 16;
        const uint8_t *b = m.data + ((uint64_t)row * (m.n_cols / 32) + k / 32) * BYTES;
        int j = k & 31;
        if (TYPE == IB_TYPE_Q8_0)
            return (float)(int8_t)b[QS + j] * half_at(b);
        int q = j < 16 ? b[QS + j] & 15 : b[QS + j - 16] >> 4;
        if (TYPE == IB_TYPE_Q5_0 || TYPE == IB_TYPE_Q5_1)
            q |= (b[QS - 4 + j / 8] >> (j & 7) & 1) << 4;
        if (TYPE == IB_TYPE_Q4_0)
            return (float)(q - 8) * half_at(b);
        if (TYPE == IB_TYPE_Q5_0)
            return (float)(q - 16) * half_at(b);
        if (TYPE == IB_TYPE_IQ4_NL) {
            const int table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};
            return half_at(b) * (float)table[q];
        }
        if (TYPE == IB_TYPE_MXFP4) {
            const int doubled[8] = {0, 1, 2, 3, 4, 6, 8, 12};
            float d = exp2f((float)b[0] - 128.0f), v = (float)doubled[q & 7];
            return d * (q & 8 ? -v : v);
        }
        return __fadd_rn(__fmul_rn((float)q, half_at(b)), half_at(b + 2));
    }
};

template <int TYPE> struct blocks256 { // Q2_K to Q6_K
    static __device__ __forceinline__ float value(const ib_cuda_matrix &m, uint32_t row, uint32_t k) {
        constexpr int BYTES = TYPE == IB_TYPE_Q2_K   ? 84
                              : TYPE == IB_TYPE_Q3_K ? 110
                              : TYPE == IB_TYPE_Q4_K ? 144
                              : TYPE == IB_TYPE_Q5_K ? 176
                                                     : 210;
        const uint8_t *b = m.data + ((uint64_t)row * (m.n_cols / 256) + k / 256) * BYTES;
        int e = k & 255, h = e / 128, j = e / 32 & 3, p = e / 16 & 1, l16 = e & 15, l = e & 31;
        if (TYPE == IB_TYPE_Q2_K) {
            int s = b[8 * h + 2 * j + p], q = b[16 + 32 * h + 16 * p + l16] >> (2 * j) & 3;
            return __fadd_rn(__fmul_rn(half_at(b + 80) * (float)(s & 15), (float)q),
                             -half_at(b + 82) * (float)(s >> 4));
        }
        if (TYPE == IB_TYPE_Q3_K) {
            int i = 8 * h + 2 * j + p, low = i < 8 ? b[96 + i] & 15 : b[96 + i - 8] >> 4;
            int s = low | (b[104 + (i & 3)] >> (2 * (i / 4)) & 3) << 4;
            int q = (b[32 + 32 * h + 16 * p + l16] >> (2 * j) & 3) -
                    (b[16 * p + l16] >> (4 * h + j) & 1 ? 0 : 4);
            return half_at(b + 108) * (float)(s - 32) * (float)q;
        }
        if (TYPE == IB_TYPE_Q6_K) {
            int low = b[64 * h + l + (j & 1 ? 32 : 0)], high = b[128 + 32 * h + l] >> (2 * j) & 3;
            int q = ((j < 2 ? low & 15 : low >> 4) | high << 4) - 32;
            return half_at(b + 208) * (float)(int8_t)b[192 + 8 * h + l / 16 + 2 * j] * (float)q;
        }
        const uint8_t *s = b + 4;
        int i = e / 32, sc, low;
        if (i < 4) {
            sc = s[i] & 63;
            low = s[i + 4] & 63;
        } else {
            sc = (s[i + 4] & 15) | (s[i - 4] >> 6) << 4;
            low = s[i + 4] >> 4 | (s[i] >> 6) << 4;
        }
        int byte = b[(TYPE == IB_TYPE_Q4_K ? 16 : 48) + 32 * (e / 64) + l];
        int q = i & 1 ? byte >> 4 : byte & 15;
        if (TYPE == IB_TYPE_Q5_K)
            q += (b[16 + l] >> i & 1) << 4;
        return __fadd_rn(__fmul_rn(half_at(b) * (float)sc, (float)q), -half_at(b + 2) * (float)low);
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
     : (type) == IB_TYPE_Q4_0   ? CALL(blocks32<IB_TYPE_Q4_0>)                                     \
     : (type) == IB_TYPE_Q4_1   ? CALL(blocks32<IB_TYPE_Q4_1>)                                     \
     : (type) == IB_TYPE_Q5_0   ? CALL(blocks32<IB_TYPE_Q5_0>)                                     \
     : (type) == IB_TYPE_Q5_1   ? CALL(blocks32<IB_TYPE_Q5_1>)                                     \
     : (type) == IB_TYPE_Q8_0   ? CALL(blocks32<IB_TYPE_Q8_0>)                                     \
     : (type) == IB_TYPE_IQ4_NL ? CALL(blocks32<IB_TYPE_IQ4_NL>)                                   \
     : (type) == IB_TYPE_MXFP4  ? CALL(blocks32<IB_TYPE_MXFP4>)                                    \
     : (type) == IB_TYPE_Q2_K   ? CALL(blocks256<IB_TYPE_Q2_K>)                                    \
     : (type) == IB_TYPE_Q3_K   ? CALL(blocks256<IB_TYPE_Q3_K>)                                    \
     : (type) == IB_TYPE_Q4_K   ? CALL(blocks256<IB_TYPE_Q4_K>)                                    \
     : (type) == IB_TYPE_Q5_K   ? CALL(blocks256<IB_TYPE_Q5_K>)                                    \
     : (type) == IB_TYPE_Q6_K   ? CALL(blocks256<IB_TYPE_Q6_K>)                                    \
                                : (otherwise))

#endif
