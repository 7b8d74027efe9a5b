// What the objects of the library share: plain data and C functions.
//
// kernels.cpp is compiled once for each instruction set. Each of these objects defines one table, a KernelSet, and
// nothing else that a linker sees: code of one instruction set must never be used for another.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Raise it with every change of a function or a struct that Python sees.
enum { INTERFACE_VERSION = 1 };

enum Format : int32_t { FLOAT32 = 0, BFLOAT16 = 1, INT8 = 2 };

// What processor and operating system allow, as bits.
enum Feature : uint32_t {
    AVX2 = 1,         // with FMA and F16C's generation
    AVX_VNNI = 2,     // int8 products in 256 bits
    AVX512 = 4,       // F, BW, DQ, VL
    AVX512_VNNI = 8,  // int8 products in 512 bits
    AMX = 16,         // tiles, with bfloat16 and int8 products; implies AVX512 and AVX512_BF16
    NEON = 32,        // ARM, with the dot product of int8
    NEON_BF16 = 64,   // ARM, bfloat16 matrix products
};

// A linear layer, packed for one instruction set.
struct Linear {
    int32_t outputs, inputs;
    Format format;
    void* weights;
    float* bias;           // [outputs]
    float* scales;         // int8: [outputs], the weight of the number 1
    int32_t* corrections;  // int8: [outputs], what unsigned activations add too much, negated
};

struct Norm {
    const float *weight, *bias;
};

struct Layer {
    Linear query_key_value, output, intermediate, narrowing;
    Norm attention_norm, output_norm;
};

struct Network {
    int32_t embedding, hidden, intermediate, heads, layers;
    int32_t vocabulary, positions, types;
    float epsilon;
    const float *word_table, *position_table, *type_table;
    Norm embedding_norm;
    Linear projection;  // weights are null where embedding equals hidden
    Layer* layer;
};

// Ragged sequences: all tokens after one another; sequence r owns tokens offsets[r] to offsets[r + 1].
// selected: the tokens whose last layer is wanted, in ascending order; sequence r owns selected_offsets[r] to
// selected_offsets[r + 1] of them. Null: all tokens.
struct Sequences {
    int64_t rows;
    const int64_t *ids, *types, *positions, *offsets;
    const int64_t *selected, *selected_offsets;
    float* output;  // [selected or tokens, hidden]
};

struct Barrier;

// The threads that compute one span of sequences together.
struct Team {
    int rank, size;
    Barrier* barrier;  // null: a team of one
};

struct KernelSet {
    const char* name;
    uint32_t needs;           // features, all of them
    uint32_t formats;         // bit 1 << Format for each that its products take
    int32_t head_multiple;    // heads must be a multiple of this
    size_t (*weight_bytes)(int outputs, int inputs, Format format);
    // Packs `rows` rows of a weight matrix, [rows, inputs], from row `first` of the layer on. Returns the largest
    // relative error of a row.
    float (*pack)(Linear* linear, int first, int rows, const float* weights, const float* bias);
    size_t (*workspace_bytes)(const Network* network, int64_t tokens, int64_t selected, int64_t longest, int size);
    void (*encode)(const Network* network, const Sequences* sequences, Team team, char* workspace);
    // Panels first to last of a product, with or without GELU; rows of floats, those of the output as wide as the layer.
    int32_t panel;
    void (*product)(const Linear* linear, const float* input, int64_t rows, int gelu, int first, int last,
                    float* output);
    // For tests: attention of one sequence; LayerNorm.
    void (*attention)(const float* qkv, int tokens, int heads, int width, float* output);
    void (*normalize)(const float* input, int64_t rows, int width, Norm norm, float epsilon, float* output);
};

void wait_for_team(const Team& team);
