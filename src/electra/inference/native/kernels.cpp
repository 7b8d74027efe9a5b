// One instruction set's kernels. Compiled once for each, with its flags and these names:
//   KERNEL_SET   the table that is defined, such as kernels_avx512
//   KERNEL_NAME, KERNEL_NEEDS   its name as a string, and the features that it needs
#include "network.h"

namespace {

Input rows_as_input(const Linear& l, const float* rows, int64_t count, char* data, float* scales) {
    Input in{data, (size_t)l.inputs * bytes_of(l.format), scales};
    for (int64_t r = 0; r < count; r++)
        write_row(rows + r * l.inputs, l.inputs, l.format, data + r * in.stride, scales + r);
    return in;
}

void test_product(const Linear* linear, const float* input, int64_t rows, int with_gelu, float* output) {
    int64_t capacity = round_up(rows, 32);
    char* data = new char[capacity * linear->inputs * 4 + 64];
    float* scales = new float[capacity];
    Input in = rows_as_input(*linear, input, rows, (char*)(((uintptr_t)data + 63) / 64 * 64), scales);
#if defined(__AMX_TILE__)
    configure_tiles();
#endif
    product(*linear, in, rows, 0, linear->outputs / PANEL, [&](int64_t r, int c, Floats v0, Floats v1) {
        store(output + r * linear->outputs + c, with_gelu ? gelu(v0) : v0);
        store(output + r * linear->outputs + c + W, with_gelu ? gelu(v1) : v1);
    });
#if defined(__AMX_TILE__)
    _tile_release();
#endif
    delete[] data;
    delete[] scales;
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
    test_product,
    test_attention,
    test_normalize,
};
