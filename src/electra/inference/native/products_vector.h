// Products by vector instructions: float32, and int8 with 32-bit sums.
#pragma once
#include "packing.h"

namespace {

#if defined(__AVX512F__)
constexpr int ROWS = 12;  // 24 vectors of sums, 2 of weights, 1 of inputs
#elif defined(__AVX2__)
constexpr int ROWS = 6;
#else
constexpr int ROWS = 12;
#endif

// R rows of floats times a panel: inputs [R] with `stride` floats from row to row, weights with `step` floats from
// input to input. Every sum runs over the inputs in order, whatever R is.
template <int R>
inline void multiply(const float* a, size_t stride, const float* b, size_t step, int inputs, float* sums) {
    Floats x[R][2];
    for (int r = 0; r < R; r++) x[r][0] = x[r][1] = (Floats){};
    for (int k = 0; k < inputs; k++, b += step) {
        Floats b0 = load(b), b1 = load(b + W);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            Floats value = broadcast(a[r * stride + k]);
            x[r][0] = fma(value, b0, x[r][0]);
            x[r][1] = fma(value, b1, x[r][1]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        store(sums + r * PANEL, x[r][0]);
        store(sums + r * PANEL + W, x[r][1]);
    }
}

// Adds to each 32-bit sum the products of four bytes.
INLINE Ints dot(Ints total, Ints activations, Ints weights) {
#if defined(__AVX512VNNI__)
    return (Ints)_mm512_dpbusd_epi32((__m512i)total, (__m512i)activations, (__m512i)weights);
#elif defined(__AVXVNNI__)
    return (Ints)_mm256_dpbusd_avx_epi32((__m256i)total, (__m256i)activations, (__m256i)weights);
#elif defined(__AVX2__)
    __m256i pairs = _mm256_maddubs_epi16((__m256i)activations, (__m256i)weights);
    return total + (Ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#elif defined(__ARM_FEATURE_DOTPROD)
    return (Ints)vdotq_s32((int32x4_t)total, (int8x16_t)weights, (int8x16_t)activations);
#endif
}

template <int R>
inline void multiply_bytes(const char* a, size_t stride, const char* b, int inputs, const int32_t* start, int32_t* sums) {
    Ints x[R][2];
    for (int r = 0; r < R; r++) {
        x[r][0] = *(const Ints*)start;
        x[r][1] = *(const Ints*)(start + W);
    }
    for (int k = 0; k < inputs; k += 4, b += 4 * PANEL) {
        Ints b0 = *(const Ints*)b, b1 = *(const Ints*)(b + 4 * W);
#pragma GCC unroll 16
        for (int r = 0; r < R; r++) {
            int32_t four;
            memcpy(&four, a + r * stride + k, 4);
            x[r][0] = dot(x[r][0], broadcast_int(four), b0);
            x[r][1] = dot(x[r][1], broadcast_int(four), b1);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
        *(Ints*)(sums + r * PANEL) = x[r][0];
        *(Ints*)(sums + r * PANEL + W) = x[r][1];
    }
}

// One function for each number of rows, by index.
typedef void (*Multiply)(const float*, size_t, const float*, size_t, int, float*);
typedef void (*MultiplyBytes)(const char*, size_t, const char*, int, const int32_t*, int32_t*);
template <int... R>
struct Table {
    static constexpr Multiply floats[] = {multiply<R + 1>...};
    static constexpr MultiplyBytes bytes[] = {multiply_bytes<R + 1>...};
};
#if defined(__AVX2__) && !defined(__AVX512F__)
typedef Table<0, 1, 2, 3, 4, 5> ByRows;
#else
typedef Table<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11> ByRows;
#endif

// The products of all rows with panels first to last, each handed to epilogue(row, column, 2 vectors of results).
template <class Epilogue>
inline void product(const Linear& l, Input in, int64_t rows, int first, int last, const Epilogue& epilogue) {
    alignas(64) float sums[ROWS * PANEL];
    for (int panel = first; panel < last; panel++) {
        int column = panel * PANEL;
        const char* weights = (const char*)l.weights + panel * weight_bytes(PANEL, l.inputs, l.format);
        Floats bias0 = load(l.bias + column), bias1 = load(l.bias + column + W);
        for (int64_t m = 0; m < rows; m += ROWS) {
            int count = rows - m < ROWS ? (int)(rows - m) : ROWS;
            const char* a = in.data + m * in.stride;
            if (l.format == FLOAT32) {
                ByRows::floats[count - 1]((const float*)a, in.stride / 4, (const float*)weights, PANEL, l.inputs, sums);
                for (int r = 0; r < count; r++)
                    epilogue(m + r, column, load(sums + r * PANEL) + bias0, load(sums + r * PANEL + W) + bias1);
            } else {
                int32_t* totals = (int32_t*)sums;
                ByRows::bytes[count - 1](a, in.stride, weights, l.inputs, l.corrections + column, totals);
                Floats scale0 = load(l.scales + column), scale1 = load(l.scales + column + W);
                for (int r = 0; r < count; r++) {
                    float scale = in.scales[m + r];
                    Floats v0 = to_float(*(Ints*)(totals + r * PANEL));
                    Floats v1 = to_float(*(Ints*)(totals + r * PANEL + W));
                    epilogue(m + r, column, fma(v0, scale * scale0, bias0), fma(v1, scale * scale1, bias1));
                }
            }
        }
    }
}

}  // namespace
