// Products by AMX: tiles of 16 rows of 64 bytes, bfloat16 with float sums and int8 with 32-bit sums.
#pragma once
#include "packing.h"

namespace {

constexpr int STEPS = 32;  // of 64 bytes of inputs; more are computed in several passes over the rows
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

// Nothing to do between the steps of a product.
struct Nothing {
    INLINE void step() {}
    INLINE void finish() {}
};

// The intrinsics take the tiles' numbers as text.
#define DOT_TILES(F, C, A, B)        \
    if (F == INT8)                   \
        _tile_dpbssd(C, A, B);       \
    else                             \
        _tile_dpbf16ps(C, A, B)

// 32 rows (16 where `few`) times 32 columns, over `steps` steps of 64 bytes of inputs. results [32][32] begin at zero
// where `fresh`. Other work is done between the steps, where the processor can do it while tiles are multiplied.
template <Format F, class Other>
INLINE void multiply_tiles(const char* a, size_t stride, const char* b, int steps, void* results, size_t row_bytes,
                           bool few, bool fresh, Other& other) {
    char *c = (char*)results, *lower = c + 16 * row_bytes;
    if (fresh) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, c, row_bytes);
        _tile_loadd(1, c + 64, row_bytes);
        if (!few) {
            _tile_loadd(2, lower, row_bytes);
            _tile_loadd(3, lower + 64, row_bytes);
        }
    }
    for (int k = 0; k < steps; k++) {
        _tile_loadd(4, a + k * 64, stride);
        _tile_loadd(6, b + k * 2048, 64);
        DOT_TILES(F, 0, 4, 6);
        _tile_loadd(7, b + k * 2048 + 1024, 64);
        DOT_TILES(F, 1, 4, 7);
        if (!few) {
            _tile_loadd(5, a + 16 * stride + k * 64, stride);
            DOT_TILES(F, 2, 5, 6);
            DOT_TILES(F, 3, 5, 7);
        }
        other.step();
    }
    other.finish();
    _tile_stored(0, c, row_bytes);
    _tile_stored(1, c + 64, row_bytes);
    if (!few) {
        _tile_stored(2, lower, row_bytes);
        _tile_stored(3, lower + 64, row_bytes);
    }
}

// Results of a block, [rows][32], that are not yet handed to the epilogue: that is done while the next block is
// multiplied.
template <Format F, class Epilogue>
struct Pending {
    const Epilogue& epilogue;
    const float* scales;  // of all rows
    const float* results;
    int64_t row;
    int rows, per_step, done, column;
    Floats bias0, bias1, scale0, scale1;

    INLINE void hand_over(int count) {
        for (int i = 0; i < count && done < rows; i++, done++) {
            const float* c = results + done * 32;
            int64_t r = row + done;
            if (F == INT8) {
                float scale = scales[r];
                Floats v0 = to_float(*(const Ints*)c), v1 = to_float(*(const Ints*)(c + 16));
                epilogue(r, column, fma(v0, scale * scale0, bias0), fma(v1, scale * scale1, bias1));
            } else {
                epilogue(r, column, load(c) + bias0, load(c + 16) + bias1);
            }
        }
    }
    INLINE void step() { hand_over(per_step); }
    INLINE void finish() { hand_over(32); }
    INLINE void take(const Linear& l, int new_column, int64_t new_row, int new_rows, const float* new_results) {
        results = new_results;
        row = new_row;
        rows = new_rows;
        done = 0;
        if (column == new_column) return;
        column = new_column;
        bias0 = load(l.bias + column);
        bias1 = load(l.bias + column + W);
        if (F == INT8) {
            scale0 = load(l.scales + column);
            scale1 = load(l.scales + column + W);
        }
    }
};

// The products of all rows with panels first to last, each handed to epilogue(row, column, 2 vectors of results).
// Inputs must have memory for a multiple of 32 rows; what is in the further ones does not matter.
template <Format F, class Epilogue>
inline void tile_product(const Linear& l, Input in, int64_t rows, int first, int last, const Epilogue& epilogue) {
    alignas(64) float results[BLOCK_ROWS * 32];
    int steps = l.inputs / (F == INT8 ? 64 : 32);
    int per_step = (32 + (steps < STEPS ? steps : STEPS) - 1) / (steps < STEPS ? steps : STEPS);
    Pending<F, Epilogue> pending{epilogue, in.scales, results, 0, 0, per_step, 0, -1, {}, {}, {}, {}};
    for (int64_t start = 0; start < rows; start += BLOCK_ROWS) {
        int count = rows - start < BLOCK_ROWS ? (int)(rows - start) : BLOCK_ROWS;
        for (int panel = first; panel < last; panel++) {
            const char* weights = (const char*)l.weights + (size_t)panel * steps * 2048;
            for (int k = 0; k < steps; k += STEPS) {
                int some = steps - k < STEPS ? steps - k : STEPS;
                for (int m = 0; m < count; m += 32) {
                    float* c = results + (steps > STEPS ? m * 32 : 0);
                    const char* a = in.data + (start + m) * in.stride + k * 64;
                    int here = count - m < 32 ? count - m : 32;
                    multiply_tiles<F>(a, in.stride, weights + k * 2048, some, c, 128, here <= 16, k == 0, pending);
                    if (k + some == steps) pending.take(l, panel * PANEL, start + m, here, c);
                }
            }
        }
    }
    pending.finish();
}

template <class Epilogue>
inline void product(const Linear& l, Input in, int64_t rows, int first, int last, const Epilogue& epilogue) {
    if (l.format == INT8)
        tile_product<INT8>(l, in, rows, first, last, epilogue);
    else
        tile_product<BFLOAT16>(l, in, rows, first, last, epilogue);
}

}  // namespace
