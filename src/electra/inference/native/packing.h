// Weights of a linear layer as products read them: panels of columns, each with all inputs.
//
// float32   [panels][inputs][PANEL]
// bfloat16  [panels][inputs / 32][2][16 pairs of inputs][16 columns][2]     tiles
// int8      [panels][inputs / 64][2][16 fours of inputs][16 columns][4]     tiles
// int8      [panels][inputs / 4][PANEL][4]                                  vectors
#pragma once
#include "functions.h"

namespace {

#if defined(__AMX_TILE__)
constexpr bool TILES = true;
#else
constexpr bool TILES = false;
#endif

inline size_t weight_bytes(int outputs, int inputs, Format format) {
    return (size_t)outputs * inputs * bytes_of(format);
}

// Where the weight of a column and an input is, counted in numbers.
INLINE size_t place(int column, int input, int inputs, Format format) {
    size_t panel = (size_t)(column / PANEL) * inputs * PANEL;
    int c = column % PANEL;
    if (format == FLOAT32) return panel + (size_t)input * PANEL + c;
    int group = format == BFLOAT16 ? 2 : 4;  // inputs that are side by side
    if (!TILES) return panel + (size_t)(input / group) * PANEL * group + c * group + input % group;
    int depth = 16 * group, k = input % depth;  // a pair of tiles holds so many inputs of 32 columns
    return panel + (size_t)(input / depth) * PANEL * depth + (c / 16) * 16 * depth + k / group * 16 * group +
           c % 16 * group + k % group;
}

// The weight of the number 1 in a row of int8 weights: NaN where a weight is infinite or NaN.
INLINE float weight_scale(const float* row, int inputs) {
    Ints most = (Ints){};
    for (int i = 0; i < inputs; i += W) most = maximum(most, magnitude(load(row + i)));
    float largest_weight = float_of_bits(largest(most));
    float scale = (largest_weight > 1e-20f ? largest_weight : 1e-20f) / 127;
    return largest_weight - largest_weight == 0 ? scale : NAN;
}

// What int8 loses of a row: the root of error / (energy without the largest weight), which one huge weight cannot hide.
INLINE float relative_error(float error, float energy, float largest_weight) {
    float rest = energy - largest_weight * largest_weight;
    return rest > 0 ? sqrtf(error / rest) : 0;
}

inline float pack(Linear* linear, int first, int rows, const float* weights, const float* bias) {
    int inputs = linear->inputs;
    Format format = linear->format;
    float worst = 0;
    memcpy(linear->bias + first, bias, rows * sizeof(float));
    for (int r = 0; r < rows; r++) {
        const float* row = weights + (size_t)r * inputs;
        int column = first + r;
        if (format == FLOAT32) {
            for (int i = 0; i < inputs; i++) ((float*)linear->weights)[place(column, i, inputs, format)] = row[i];
        } else if (format == BFLOAT16) {
            Bfloat16* out = (Bfloat16*)linear->weights;
            for (int i = 0; i < inputs; i++) out[place(column, i, inputs, format)] = to_bfloat16(row[i]);
        } else {
            float scale = weight_scale(row, inputs), factor = 1 / scale, error = 0, energy = 0;
            int32_t total = 0;
            for (int i = 0; i < inputs; i++) {
                float scaled = row[i] * factor;
                int32_t value = scaled == scaled ? (int32_t)lrintf(scaled) : 0;
                ((int8_t*)linear->weights)[place(column, i, inputs, format)] = (int8_t)value;
                total += value;
                float d = value * scale - row[i];
                error += d * d;
                energy += row[i] * row[i];
            }
            linear->scales[column] = scale;
            linear->corrections[column] = -OFFSET * total;
            float lost = relative_error(error, energy, scale * 127);
            worst = lost > worst ? lost : worst;
        }
    }
    return worst;
}

}  // namespace
