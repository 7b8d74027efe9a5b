// Functions of vectors and of rows: exp, GELU, LayerNorm, and the formats that products read.
#pragma once
#include "interface.h"
#include "vectors.h"

namespace {

// e^x for x <= 0 or NaN; error 2e-7.
INLINE Floats exponential(Floats x) {
    x = maximum(broadcast(-87.0f), x);
    Floats scaled = x * 1.44269504f, whole = nearest(scaled), rest = scaled - whole;
    Floats p = broadcast(1.5403530e-4f);
    for (float c : {1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.0f})
        p = fma(p, rest, broadcast(c));
    Ints exponent = (to_int(whole) + 127) << 23;
    return p * (Floats)exponent;
}

// GELU by the error function (Abramowitz and Stegun 7.1.26); error 3e-7.
INLINE Floats gelu_exact(Floats x) {
    Floats z = (Floats)magnitude(x) * 0.70710678f, t = 1.0f / fma(broadcast(0.3275911f), z, broadcast(1.0f));
    Floats p = broadcast(1.061405429f);
    for (float c : {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f}) p = fma(p, t, broadcast(c));
    Floats error_function = 1.0f - p * t * exponential(-(z * z));
    error_function = (Floats)((Ints)error_function | ((Ints)x & INT32_MIN));
    return 0.5f * x * (1.0f + error_function);
}

// GELU for what is rounded to bfloat16 or int8 next: x * (1/2 + c p(c^2)), c = x between -4.2 and 4.2; error 8e-5.
INLINE Floats gelu_quick(Floats x) {
    Floats c = maximum(minimum(x, broadcast(4.2f)), broadcast(-4.2f)), square = c * c;
    Floats p = broadcast(-9.023390e-10f);
    for (float k : {7.9452008e-08f, -3.0389554e-06f, 6.690465e-05f, -9.5076102e-04f, 9.2986347e-03f, -6.5528944e-02f,
                    3.9846632e-01f})
        p = fma(p, square, broadcast(k));
    return x * fma(c, p, broadcast(0.5f));
}

// Rows of numbers as a product reads them.
struct Input {
    char* data;
    size_t stride;  // bytes from row to row
    float* scales;  // int8: [rows]
    Input from(int64_t row) const { return {data + row * stride, stride, scales + row}; }
};

INLINE size_t bytes_of(Format format) { return format == FLOAT32 ? 4 : format == BFLOAT16 ? 2 : 1; }

// The scale of an int8 row from its largest magnitude: NaN where that is infinite or NaN, so that the results are.
INLINE float row_scale(float largest) {
    float scale = (largest > 1e-20f ? largest : 1e-20f) / LIMIT;
    return largest - largest == 0 ? scale : NAN;
}

// The largest magnitude of a row, as a float.
INLINE float row_magnitude(const float* row, int width) {
    Ints most = (Ints){};
    for (int i = 0; i < width; i += W) most = maximum(most, magnitude(load(row + i)));
    return float_of_bits(largest(most));
}
INLINE float row_magnitude(const Bfloat16* row, int width) {
#if defined(__AVX512BW__)
    __m512i most = _mm512_setzero_si512(), no_sign = _mm512_set1_epi16(0x7fff);
    for (int i = 0; i < width; i += 32)
        most = _mm512_max_epu16(most, _mm512_and_si512(_mm512_loadu_si512(row + i), no_sign));
    __m512i upper = _mm512_slli_epi32(_mm512_srli_epi32(most, 16), 16), lower = _mm512_slli_epi32(most, 16);
    return float_of_bits(largest(maximum((Ints)upper, (Ints)lower)));
#else
    Ints most = (Ints){};
    for (int i = 0; i < width; i += W) most = maximum(most, magnitude(load(row + i)));
    return float_of_bits(largest(most));
#endif
}

// A row [width] of floats or bfloat16 in the format that a product reads.
template <class Number>
INLINE void write_row(const Number* row, int width, Format format, char* data, float* scale) {
    if (format == FLOAT32) {
        for (int i = 0; i < width; i += W) store((float*)data + i, load(row + i));
    } else if (format == BFLOAT16) {
        for (int i = 0; i < width; i += W) store((Bfloat16*)data + i, load(row + i));
    } else {
        *scale = row_scale(row_magnitude(row, width));
        Floats factor = broadcast(1 / *scale);
#pragma GCC unroll 4
        for (int i = 0; i < width; i += W) store_bytes(data + i, load(row + i) * factor);
    }
}

template <class Number>
void write_rows(const Number* rows, int64_t count, int width, Format format, Input to) {
    for (int64_t r = 0; r < count; r++)
        write_row(rows + r * width, width, format, to.data + r * to.stride, to.scales + r);
}

// LayerNorm of a row in place. For bfloat16 and int8 also a copy in that format. WIDTH: the row's width, known to the
// compiler so that a narrow row stays in registers; 0: `width`.
template <int WIDTH>
INLINE void normalize_row(float* row, int width, Norm norm, float epsilon, Format format, char* data, float* scale) {
    constexpr int CHAINS = 4;  // sums that do not wait for each other
    width = WIDTH ? WIDTH : width;
    Floats total[CHAINS] = {}, squares[CHAINS] = {};
    Floats kept[WIDTH ? WIDTH / W : 1];
    auto number = [&](int i) { return WIDTH ? kept[i / W] : load(row + i); };
#pragma GCC unroll 16
    for (int i = 0; i < width; i += W) {
        Floats x = load(row + i);
        if (WIDTH) kept[i / W] = x;
        total[i / W % CHAINS] += x;
    }
    Floats mean = broadcast(sum((total[0] + total[1]) + (total[2] + total[3])) / width);
#pragma GCC unroll 16
    for (int i = 0; i < width; i += W) {
        Floats d = number(i) - mean;
        if (WIDTH) kept[i / W] = d;
        squares[i / W % CHAINS] = fma(d, d, squares[i / W % CHAINS]);
    }
    float variance = sum((squares[0] + squares[1]) + (squares[2] + squares[3])) / width;
    Floats factor = broadcast(1 / sqrtf(variance + epsilon));
    Ints most = (Ints){};
#pragma GCC unroll 16
    for (int i = 0; i < width; i += W) {
        Floats d = WIDTH ? kept[i / W] : load(row + i) - mean;
        Floats y = fma(d * factor, load(norm.weight + i), load(norm.bias + i));
        store(row + i, y);
        if (WIDTH) kept[i / W] = y;
        if (format == BFLOAT16) store((Bfloat16*)data + i, y);
        if (format == INT8) most = maximum(most, magnitude(y));
    }
    if (format == INT8) {
        *scale = row_scale(float_of_bits(largest(most)));
        Floats inverse = broadcast(1 / *scale);
#pragma GCC unroll 16
        for (int i = 0; i < width; i += W) store_bytes(data + i, number(i) * inverse);
    }
}

template <int WIDTH, Format FORMAT>
void normalize_rows_as(float* rows, int64_t count, int width, Norm norm, float epsilon, Input copy) {
    for (int64_t r = 0; r < count; r++)
        normalize_row<WIDTH>(rows + r * width, width, norm, epsilon, FORMAT, copy.data + r * copy.stride, copy.scales + r);
}

typedef void (*NormalizeRows)(float*, int64_t, int, Norm, float, Input);

template <int WIDTH>
constexpr NormalizeRows NORMALIZE[] = {normalize_rows_as<WIDTH, FLOAT32>, normalize_rows_as<WIDTH, BFLOAT16>,
                                       normalize_rows_as<WIDTH, INT8>};

INLINE void normalize_rows(float* rows, int64_t count, int width, Norm norm, float epsilon, Format format, Input copy) {
    NormalizeRows run = width == 16 * W ? NORMALIZE<16 * W>[format] : NORMALIZE<0>[format];
    run(rows, count, width, norm, epsilon, copy);
}

INLINE int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace
