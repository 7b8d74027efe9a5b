// Attention of one head of one sequence by AMX: bfloat16 with float sums; scores and softmax in float32.
#pragma once
#include "products_amx.h"

namespace {

typedef Bfloat16 Carrier;  // what the results of products are kept in between them

inline size_t attention_bytes(int64_t keys, int width) {
    return (size_t)round_up(keys, 32) * (4 * width + 32 * 6) + 4096;
}

// 16 rows of 32 numbers -> a tile [16 pairs of columns][16 rows][2]: a transposition of 16 x 16 pairs.
INLINE void transpose_pairs(const Bfloat16* rows, size_t stride, int count, char* tile) {
    __m512i r[16], t[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) r[i] = i < count ? _mm512_loadu_si512(rows + i * stride) : _mm512_setzero_si512();
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        __m512i a = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88), b = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        __m512i c = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd), d = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
        _mm512_store_si512(tile + 64 * i, _mm512_shuffle_i32x4(a, b, 0x88));
        _mm512_store_si512(tile + 64 * (4 + i), _mm512_shuffle_i32x4(c, d, 0x88));
        _mm512_store_si512(tile + 64 * (8 + i), _mm512_shuffle_i32x4(a, b, 0xdd));
        _mm512_store_si512(tile + 64 * (12 + i), _mm512_shuffle_i32x4(c, d, 0xdd));
    }
}

// e^(x * factor - shift), both already times log2(e): 2^n * p(rest), rest between 0 and 1; error 3e-6.
INLINE __m512 power_of_two(__m512 x) {
    __m512 rest = _mm512_reduce_ps(x, 1), p = _mm512_set1_ps(0.013426585f);
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.052242633f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.24128013f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.69304485f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, x);
}

// A row of scores -> weights in bfloat16, not yet divided by their sum, whose inverse is returned.
INLINE float softmax(const float* scores, int keys, int padded, float factor, Bfloat16* weights) {
    int full = keys / 16;
    __mmask16 tail = (__mmask16)((1 << (keys & 15)) - 1);
    __m512 most = _mm512_set1_ps(-INFINITY), total = _mm512_setzero_ps();
    for (int i = 0; i < full; i++) most = _mm512_max_ps(most, _mm512_load_ps(scores + 16 * i));
    if (tail) most = _mm512_mask_max_ps(most, tail, most, _mm512_load_ps(scores + 16 * full));
    __m512 f = _mm512_set1_ps(factor), shift = _mm512_set1_ps(_mm512_reduce_max_ps(most) * factor);
    int i = 0;
    for (; i < full; i++) {
        __m512 e = power_of_two(_mm512_fmsub_ps(_mm512_load_ps(scores + 16 * i), f, shift));
        total = _mm512_add_ps(total, e);
        store(weights + 16 * i, (Floats)e);
    }
    if (tail) {
        __m512 e = power_of_two(_mm512_fmsub_ps(_mm512_load_ps(scores + 16 * i), f, shift));
        e = _mm512_maskz_mov_ps(tail, e);
        total = _mm512_add_ps(total, e);
        store(weights + 16 * i++, (Floats)e);
    }
    for (; i < padded / 16; i++) _mm256_store_si256((__m256i*)(weights + 16 * i), _mm256_setzero_si256());
    return 1 / _mm512_reduce_add_ps(total);
}

// query [queries], key and value [keys], output [queries]: rows of `width` numbers, strides in numbers.
// There must be memory for a multiple of 32 queries; what is in the further ones does not matter.
inline void attend(const Bfloat16* query, size_t query_stride, const Bfloat16* key, const Bfloat16* value,
                   size_t key_stride, int queries, int keys, int width, Bfloat16* output, size_t output_stride,
                   char* scratch) {
    int blocks = (keys + 31) / 32, padded = blocks * 32, parts = width / 32;
    char *keys_t = scratch, *values_t = keys_t + (size_t)padded * width * 2;
    float* scores = (float*)(values_t + (size_t)padded * width * 2);
    Bfloat16* weights = (Bfloat16*)(scores + 32 * (size_t)padded);
    // keys [blocks][parts][2 tiles], values [parts][blocks][2 tiles]; keys behind the last one are zeros
    for (int n = 0; n < blocks; n++)
        for (int d = 0; d < parts; d++)
            for (int h = 0; h < 2; h++) {
                int first = n * 32 + h * 16, count = keys - first < 16 ? keys - first : 16;
                transpose_pairs(key + first * key_stride + d * 32, key_stride, count,
                                keys_t + ((n * parts + d) * 2 + h) * 1024);
            }
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37,
                                         5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    const __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16)), zero = _mm512_setzero_si512();
    for (int r = 0; r < padded; r += 2)
        for (int d = 0; d < parts; d++) {
            const Bfloat16* from = value + r * key_stride + d * 32;
            __m512i a = r < keys ? _mm512_loadu_si512(from) : zero;
            __m512i b = r + 1 < keys ? _mm512_loadu_si512(from + key_stride) : zero;
            char* tile = values_t + (d * blocks + r / 32) * 2048 + r % 32 / 2 * 64;
            _mm512_store_si512(tile, _mm512_permutex2var_epi16(a, low, b));
            _mm512_store_si512(tile + 1024, _mm512_permutex2var_epi16(a, high, b));
        }
    const float factor = 1.44269504f / sqrtf((float)width);
    alignas(64) float sums[32 * 32];
    float inverse[32];
    Nothing nothing;
    for (int m = 0; m < queries; m += 32) {
        int rows = queries - m < 32 ? queries - m : 32;
        bool few = rows <= 16;
        for (int n = 0; n < blocks; n++)
            multiply_tiles<BFLOAT16>((const char*)(query + m * query_stride), query_stride * 2,
                                     keys_t + n * parts * 2048, parts, scores + n * 32, padded * 4, few, true, nothing);
        for (int r = 0; r < rows; r++)
            inverse[r] = softmax(scores + (size_t)r * padded, keys, padded, factor, weights + (size_t)r * padded);
        for (int d = 0; d < parts; d++) {
            multiply_tiles<BFLOAT16>((const char*)weights, padded * 2, values_t + d * blocks * 2048, blocks, sums, 128,
                                     few, true, nothing);
            for (int r = 0; r < rows; r++) {
                Bfloat16* out = output + (m + r) * output_stride + d * 32;
                store(out, load(sums + r * 32) * inverse[r]);
                store(out + 16, load(sums + r * 32 + 16) * inverse[r]);
            }
        }
    }
}

}  // namespace
