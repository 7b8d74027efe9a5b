// One instruction set's kernels. Compiled once for each, with its flags and these names:
//   KERNEL_SET   the table that is defined, such as kernels_avx512
//   KERNEL_NAME, KERNEL_NEEDS   its name as a string, and the features that it needs
#include "network.h"

namespace {

void whole_product(const Linear* linear, const float* input, int64_t rows, int with_gelu, int first, int last,
                   float* output) {
    const Linear& l = *linear;
    Input in{(char*)input, l.inputs * sizeof(float), nullptr};
    char* memory = nullptr;
    if (l.format != FLOAT32) {
        int64_t capacity = round_up(rows, 32);
        in.stride = (size_t)l.inputs * bytes_of(l.format);
        memory = new char[capacity * (in.stride + sizeof(float)) + 128];
        in.data = (char*)(((uintptr_t)memory + 63) / 64 * 64);
        in.scales = (float*)(in.data + round_up(capacity * in.stride, 64));
        write_rows(input, rows, l.inputs, l.format, in);
    }
#if defined(__AMX_TILE__)
    configure_tiles();
#endif
    product(l, in, rows, first, last, [&](int64_t r, int c, Floats v0, Floats v1) {
        store(output + r * l.outputs + c, with_gelu ? gelu(v0) : v0);
        store(output + r * l.outputs + c + W, with_gelu ? gelu(v1) : v1);
    });
#if defined(__AMX_TILE__)
    _tile_release();
#endif
    delete[] memory;
}

void test_attention(const float* qkv, int tokens, int heads, int width, float* output) {
    int hidden = heads * width;
    size_t rows = round_up(tokens, 32);
    Carrier* in = new Carrier[rows * 3 * hidden]();
    Carrier* out = new Carrier[rows * hidden];
    char* scratch = new char[attention_bytes(tokens, width) + 64];
    for (int64_t i = 0; i < (int64_t)tokens * 3 * hidden; i += W) store(in + i, load(qkv + i));
#if defined(__AMX_TILE__)
    configure_tiles();
#endif
    for (int h = 0; h < heads; h++)
        attend(in + h * width, 3 * hidden, in + hidden + h * width, in + 2 * hidden + h * width, 3 * hidden, tokens,
               tokens, width, out + h * width, hidden, (char*)(((uintptr_t)scratch + 63) / 64 * 64));
#if defined(__AMX_TILE__)
    _tile_release();
#endif
    for (int64_t i = 0; i < (int64_t)tokens * hidden; i += W) store(output + i, load(out + i));
    delete[] in;
    delete[] out;
    delete[] scratch;
}

void test_normalize(const float* input, int64_t rows, int width, Norm norm, float epsilon, float* output) {
    memcpy(output, input, rows * width * sizeof(float));
    normalize_rows(output, rows, width, norm, epsilon, FLOAT32, Input{nullptr, 0, nullptr});
}

}  // namespace

extern const KernelSet KERNEL_SET;
const KernelSet KERNEL_SET = {
    KERNEL_NAME,
    KERNEL_NEEDS,
    TILES ? 1u << BFLOAT16 | 1u << INT8 : 1u << FLOAT32 | 1u << INT8,
    32,
    weight_bytes,
    pack,
    workspace_bytes,
    encode,
    PANEL,
    whole_product,
    test_attention,
    test_normalize,
};
