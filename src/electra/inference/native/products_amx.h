// Products by AMX: tiles of 16 rows of 64 bytes, bfloat16 with float sums and int8 with 32-bit sums.
#pragma once
#include "packing.h"

namespace {

constexpr int STEPS = 8;  // of 64 bytes of inputs: so much of a panel stays in the first-level cache
constexpr int BLOCK_ROWS = 256;

struct alignas(64) TileConfig {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};
};

INLINE void configure_tiles() {
    TileConfig config;
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = 64;
        config.rows[i] = 16;
    }
    _tile_loadconfig(&config);
}

// 32 rows (16 where `few`) times 32 columns, over `steps` steps. results [32][32] begin at zero where `fresh`.
#define DEFINE_TILE_PRODUCT(NAME, DOT)                                                                      \
    INLINE void NAME(const char* a, size_t stride, const char* b, int steps, void* results, size_t row_bytes, \
                     bool few, bool fresh) {                                                                \
        char *c = (char*)results, *lower = c + 16 * row_bytes;                                              \
        if (fresh) {                                                                                        \
            _tile_zero(0);                                                                                  \
            _tile_zero(1);                                                                                  \
            _tile_zero(2);                                                                                  \
            _tile_zero(3);                                                                                  \
        } else {                                                                                            \
            _tile_loadd(0, c, row_bytes);                                                                   \
            _tile_loadd(1, c + 64, row_bytes);                                                              \
            if (!few) {                                                                                     \
                _tile_loadd(2, lower, row_bytes);                                                           \
                _tile_loadd(3, lower + 64, row_bytes);                                                      \
            }                                                                                               \
        }                                                                                                   \
        for (int k = 0; k < steps; k++) {                                                                   \
            _tile_loadd(4, a + k * 64, stride);                                                             \
            _tile_loadd(6, b + k * 2048, 64);                                                               \
            DOT(0, 4, 6);                                                                                   \
            _tile_loadd(7, b + k * 2048 + 1024, 64);                                                        \
            DOT(1, 4, 7);                                                                                   \
            if (!few) {                                                                                     \
                _tile_loadd(5, a + 16 * stride + k * 64, stride);                                           \
                DOT(2, 5, 6);                                                                               \
                DOT(3, 5, 7);                                                                               \
            }                                                                                               \
        }                                                                                                   \
        _tile_stored(0, c, row_bytes);                                                                      \
        _tile_stored(1, c + 64, row_bytes);                                                                 \
        if (!few) {                                                                                         \
            _tile_stored(2, lower, row_bytes);                                                              \
            _tile_stored(3, lower + 64, row_bytes);                                                         \
        }                                                                                                   \
    }
DEFINE_TILE_PRODUCT(multiply_bfloat16, _tile_dpbf16ps)
DEFINE_TILE_PRODUCT(multiply_int8, _tile_dpbssd)

// The products of all rows with panels first to last, each handed to epilogue(row, column, 2 vectors of results).
// Inputs must have memory for a multiple of 32 rows; what is in the further ones does not matter.
template <Format F, class Epilogue>
inline void tile_product(const Linear& l, Input in, int64_t rows, int first, int last, const Epilogue& epilogue) {
    alignas(64) float results[BLOCK_ROWS * 32];
    int steps = l.inputs / (F == INT8 ? 64 : 32);
    for (int64_t start = 0; start < rows; start += BLOCK_ROWS) {
        int count = rows - start < BLOCK_ROWS ? (int)(rows - start) : BLOCK_ROWS;
        for (int panel = first; panel < last; panel++) {
            int column = panel * PANEL;
            const char* weights = (const char*)l.weights + (size_t)panel * steps * 2048;
            Floats bias0 = load(l.bias + column), bias1 = load(l.bias + column + W), scale0 = bias0, scale1 = bias1;
            if (F == INT8) {
                scale0 = load(l.scales + column);
                scale1 = load(l.scales + column + W);
            }
            for (int k = 0; k < steps; k += STEPS) {
                int some = steps - k < STEPS ? steps - k : STEPS;
                for (int m = 0; m < count; m += 32) {
                    float* c = results + (steps > STEPS ? m * 32 : 0);
                    const char* a = in.data + (start + m) * in.stride + k * 64;
                    bool few = count - m <= 16;
                    if (F == INT8)
                        multiply_int8(a, in.stride, weights + k * 2048, some, c, 128, few, k == 0);
                    else
                        multiply_bfloat16(a, in.stride, weights + k * 2048, some, c, 128, few, k == 0);
                    if (k + some < steps) continue;
                    int here = count - m < 32 ? count - m : 32;
                    for (int r = 0; r < here; r++) {
                        int64_t row = start + m + r;
                        if (F == INT8) {
                            float scale = in.scales[row];
                            Floats v0 = to_float(*(Ints*)(c + r * 32)), v1 = to_float(*(Ints*)(c + r * 32 + 16));
                            epilogue(row, column, fma(v0, scale * scale0, bias0), fma(v1, scale * scale1, bias1));
                        } else {
                            epilogue(row, column, load(c + r * 32) + bias0, load(c + r * 32 + 16) + bias1);
                        }
                    }
                }
            }
        }
    }
}

template <class Epilogue>
inline void product(const Linear& l, Input in, int64_t rows, int first, int last, const Epilogue& epilogue) {
    if (l.format == INT8)
        tile_product<INT8>(l, in, rows, first, last, epilogue);
    else
        tile_product<BFLOAT16>(l, in, rows, first, last, epilogue);
}

}  // namespace
