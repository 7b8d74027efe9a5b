// Vectors of W floats or 32-bit integers, as wide as the instruction set has them.
#pragma once
#include <initializer_list>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif
constexpr int PANEL = 2 * W;  // columns that a product computes at once

typedef float Floats __attribute__((vector_size(4 * W), aligned(4), may_alias));
typedef int32_t Ints __attribute__((vector_size(4 * W), aligned(4), may_alias));
typedef uint16_t Bfloat16;

#define INLINE inline __attribute__((always_inline))

INLINE Floats load(const float* p) { return *(const Floats*)p; }
INLINE void store(float* p, Floats v) { *(Floats*)p = v; }
INLINE Floats broadcast(float x) { return x - (Floats){}; }
INLINE Ints broadcast_int(int32_t x) { return x - (Ints){}; }

// a * b + c, rounded once. Contraction by the compiler is off, so that all sums of a row round alike everywhere.
INLINE Floats fma(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
    return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (Floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
    return (Floats)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#endif
}

// The larger; NaN where b is NaN.
INLINE Floats maximum(Floats a, Floats b) { return a > b ? a : b; }
INLINE Floats minimum(Floats a, Floats b) { return a < b ? a : b; }

// |x| as an integer: it orders as the float does, with infinity and NaN above all numbers.
INLINE Ints magnitude(Floats x) { return (Ints)x & 0x7fffffff; }
INLINE Ints maximum(Ints a, Ints b) { return a > b ? a : b; }

INLINE Floats nearest(Floats x) {
#if defined(__AVX512F__)
    return (Floats)_mm512_roundscale_ps((__m512)x, 8);
#elif defined(__AVX2__)
    return (Floats)_mm256_round_ps((__m256)x, 8);
#elif defined(__aarch64__)
    return (Floats)vrndnq_f32((float32x4_t)x);
#endif
}

INLINE Ints to_int(Floats x) {
#if defined(__AVX512F__)
    return (Ints)_mm512_cvtps_epi32((__m512)x);
#elif defined(__AVX2__)
    return (Ints)_mm256_cvtps_epi32((__m256)x);
#elif defined(__aarch64__)
    return (Ints)vcvtnq_s32_f32((float32x4_t)x);
#endif
}

INLINE Floats to_float(Ints x) { return __builtin_convertvector(x, Floats); }

// Sums and maxima of a vector's elements.
#if defined(__AVX512F__)
INLINE float sum(Floats v) { return _mm512_reduce_add_ps((__m512)v); }
INLINE float largest(Floats v) { return _mm512_reduce_max_ps((__m512)v); }
INLINE int32_t largest(Ints v) { return _mm512_reduce_max_epi32((__m512i)v); }
#else
template <class Vector, class Combine>
INLINE auto reduce(Vector v, Combine combine) {
    auto first = v[0];
    decltype(first) part[W];
    memcpy(part, &v, sizeof part);
    for (int width = W / 2; width; width /= 2)
        for (int i = 0; i < width; i++) part[i] = combine(part[i], part[i + width]);
    return part[0];
}
INLINE float sum(Floats v) {
    return reduce(v, [](float a, float b) { return a + b; });
}
INLINE float largest(Floats v) {
    return reduce(v, [](float a, float b) { return a > b ? a : b; });
}
INLINE int32_t largest(Ints v) {
    return reduce(v, [](int32_t a, int32_t b) { return a > b ? a : b; });
}
#endif
INLINE float float_of_bits(int32_t bits) {
    float result;
    memcpy(&result, &bits, 4);
    return result;
}

// bfloat16: the upper half of a float, rounded to nearest even; NaN stays NaN.
INLINE Bfloat16 to_bfloat16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
    return (Bfloat16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
INLINE float from_bfloat16(Bfloat16 x) {
    uint32_t bits = (uint32_t)x << 16;
    float result;
    memcpy(&result, &bits, 4);
    return result;
}

#if defined(__AVX512BF16__)
INLINE void store(Bfloat16* p, Floats v) {
    _mm256_storeu_si256((__m256i*)p, (__m256i)_mm512_cvtneps_pbh((__m512)v));
}
INLINE Floats load(const Bfloat16* p) {
    __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p));
    return (Floats)_mm512_slli_epi32(bits, 16);
}
#else
INLINE void store(Bfloat16* p, Floats v) {
    float part[W];
    memcpy(part, &v, sizeof part);
    for (int i = 0; i < W; i++) p[i] = to_bfloat16(part[i]);
}
INLINE Floats load(const Bfloat16* p) {
    Ints bits;
    for (int i = 0; i < W; i++) bits[i] = (int32_t)((uint32_t)p[i] << 16);
    return (Floats)bits;
}
#endif

// int8 activations: what their largest magnitude becomes, and what is added to make them unsigned.
#if defined(__AMX_TILE__) || defined(__aarch64__)
constexpr int LIMIT = 127, OFFSET = 0;
#elif defined(__AVX512VNNI__) || defined(__AVXVNNI__)
constexpr int LIMIT = 127, OFFSET = 128;
#else  // products of pairs are summed in 16 bits: 2 * 127 * 127 fits, 2 * 255 * 127 does not
constexpr int LIMIT = 63, OFFSET = 64;
#endif

// W numbers, rounded, to W bytes.
INLINE void store_bytes(void* p, Floats v) {
    Ints rounded = to_int(v) + OFFSET;
#if defined(__AVX512F__)
    _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8((__m512i)rounded));
#elif defined(__AVX2__)
    __m128i low = _mm256_castsi256_si128((__m256i)rounded), high = _mm256_extracti128_si256((__m256i)rounded, 1);
    __m128i words = _mm_packs_epi32(low, high);
    _mm_storel_epi64((__m128i*)p, OFFSET ? _mm_packus_epi16(words, words) : _mm_packs_epi16(words, words));
#else
    for (int i = 0; i < W; i++) ((int8_t*)p)[i] = (int8_t)rounded[i];
#endif
}

}  // namespace
