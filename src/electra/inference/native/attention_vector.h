// Attention of one head of one sequence by vector instructions, in float32.
#pragma once
#include "products_vector.h"

namespace {

typedef float Carrier;  // what the results of products are kept in between them

inline size_t attention_bytes(int64_t keys, int width) {
    return ((size_t)round_up(keys, PANEL) * (width + ROWS)) * sizeof(float) + 256;
}

INLINE void softmax(float* scores, int keys, int padded, float scale, float* inverse) {
    for (int i = keys; i < padded; i++) scores[i] = -INFINITY;
    Floats most = load(scores), total = (Floats){};
    for (int i = W; i < padded; i += W) most = maximum(most, load(scores + i));
    Floats shift = broadcast(largest(most) * scale);
    for (int i = 0; i < padded; i += W) {
        Floats e = exponential(fma(load(scores + i), broadcast(scale), -shift));
        total += e;
        store(scores + i, e);
    }
    *inverse = 1 / sum(total);
}

// query [queries], key and value [keys], output [queries]: rows of `width` numbers, strides in numbers.
inline void attend(const float* query, size_t query_stride, const float* key, const float* value, size_t key_stride,
                   int queries, int keys, int width, float* output, size_t output_stride, char* scratch) {
    int panels = (keys + PANEL - 1) / PANEL, padded = panels * PANEL;
    float *transposed = (float*)scratch, *scores = transposed + (size_t)padded * width;
    for (int n = 0; n < panels; n++) {
        int count = keys - n * PANEL < PANEL ? keys - n * PANEL : PANEL;
        float* panel = transposed + (size_t)n * PANEL * width;
        if (count < PANEL) memset(panel, 0, (size_t)PANEL * width * sizeof(float));
        for (int d0 = 0; d0 < width; d0 += 16)
            for (int j = 0; j < count; j++)
                for (int d = d0; d < d0 + 16; d++) panel[d * PANEL + j] = key[(n * PANEL + j) * key_stride + d];
    }
    const float scale = 1 / sqrtf((float)width);
    alignas(64) float sums[ROWS * PANEL];
    float inverse[ROWS];
    for (int m = 0; m < queries; m += ROWS) {
        int rows = queries - m < ROWS ? queries - m : ROWS;
        Multiply run = ByRows::floats[rows - 1];
        for (int n = 0; n < panels; n++) {
            run(query + m * query_stride, query_stride, transposed + (size_t)n * PANEL * width, PANEL, width, sums);
            for (int r = 0; r < rows; r++)
                memcpy(scores + (size_t)r * padded + n * PANEL, sums + r * PANEL, PANEL * sizeof(float));
        }
        for (int r = 0; r < rows; r++) softmax(scores + (size_t)r * padded, keys, padded, scale, inverse + r);
        for (int d = 0; d < width; d += PANEL) {
            run(scores, padded, value + d, key_stride, keys, sums);
            for (int r = 0; r < rows; r++)
                for (int i = 0; i < PANEL; i += W)
                    store(output + (m + r) * output_stride + d + i, load(sums + r * PANEL + i) * inverse[r]);
        }
    }
}

}  // namespace
