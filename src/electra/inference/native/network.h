// The whole encoder over a span of ragged sequences, by one team of threads.
//
// The residual stays in float32; what products read is written in their format by the step before. Blocks of tokens go
// through the output product, both LayerNorms and the feed-forward network before the next block starts, so that what
// is between them stays in the cache. A team of several threads shares the columns of every product and the rows of
// everything else, and waits between the steps. Whoever computes a number adds up the same terms in the same order.
#pragma once
#include "interface.h"
#if defined(__AMX_TILE__)
#include "attention_amx.h"
#else
#include "attention_vector.h"
#endif

namespace {

constexpr int BLOCK = 256;  // tokens; what is between two products of a block stays in the cache
constexpr Format CARRIER = sizeof(Carrier) == 2 ? BFLOAT16 : FLOAT32;

// GELU as exact as what its result is kept in.
INLINE Floats gelu(Floats x) { return CARRIER == FLOAT32 ? gelu_exact(x) : gelu_quick(x); }

// A part of `count` for each thread of the team, of neighbours.
struct Share {
    int64_t first, last;
    Share(int64_t count, const Team& team) : first(count * team.rank / team.size), last(count * (team.rank + 1) / team.size) {}
};

struct Buffers {
    float* residual;     // [tokens, hidden]
    Input input;         // the residual as the next product reads it
    Carrier* qkv;        // [tokens, 3 * hidden]
    Carrier* context;    // [tokens, hidden]
    float* embedded;     // [block, embedding]
    Carrier* wide;       // [block, intermediate]
    Input converted;     // [block, intermediate or hidden]
    float* residual_selected;
    Input input_selected;
    Carrier *query_selected, *context_selected;
    char* attention;     // for each thread
    size_t attention_stride;
};

// Places the buffers from `base` on and returns how many bytes they take.
inline size_t place_buffers(const Network& n, int64_t tokens, int64_t selected, int64_t longest, int size,
                            uintptr_t base, Buffers& b) {
    size_t used = 0;
    auto take = [&](size_t bytes) {
        char* p = (char*)(base + used);
        used += round_up(bytes, 64);
        return p;
    };
    auto take_input = [&](int64_t rows, int width) {
        Input in;
        in.stride = (size_t)width * 2;
        in.data = take(rows * in.stride);
        in.scales = (float*)take(rows * sizeof(float));
        return in;
    };
    int64_t rows = round_up(tokens, 32) + 32, some = round_up(selected, 32) + 32;
    int64_t block = round_up(tokens < BLOCK ? tokens : BLOCK, 32);
    int widest = n.intermediate > n.hidden ? n.intermediate : n.hidden;
    widest = widest > n.embedding ? widest : n.embedding;
    b.residual = (float*)take(rows * n.hidden * sizeof(float));
    b.input = take_input(rows, n.hidden);
    b.qkv = (Carrier*)take(rows * 3 * n.hidden * sizeof(Carrier));
    b.context = (Carrier*)take(rows * n.hidden * sizeof(Carrier));
    b.embedded = (float*)take(block * n.embedding * sizeof(float));
    b.wide = (Carrier*)take(block * n.intermediate * sizeof(Carrier));
    b.converted = take_input(block, widest);
    if (selected) {
        b.residual_selected = (float*)take(some * n.hidden * sizeof(float));
        b.input_selected = take_input(some, n.hidden);
        b.query_selected = (Carrier*)take(some * n.hidden * sizeof(Carrier));
        b.context_selected = (Carrier*)take(some * n.hidden * sizeof(Carrier));
    }
    b.attention_stride = round_up(attention_bytes(longest, n.hidden / n.heads), 64);
    b.attention = take(b.attention_stride * size);
    return used + 64;
}

inline size_t workspace_bytes(const Network* n, int64_t tokens, int64_t selected, int64_t longest, int size) {
    Buffers unused;
    return place_buffers(*n, tokens, selected, longest, size, 0, unused);
}

// Inputs with rows as wide as the product reads them.
INLINE Input with_width(Input in, int width, Format format) {
    in.stride = (size_t)width * bytes_of(format);
    return in;
}

struct Encoder {
    const Network& n;
    const Sequences& s;
    Team team;
    Buffers b;
    int64_t tokens;

    void wait() const {
        if (team.size > 1) wait_for_team(team);
    }

    // Calls f(first, count) for each block of rows.
    template <class F>
    void blocks(int64_t rows, const F& f) const {
        for (int64_t first = 0; first < rows; first += BLOCK) f(first, rows - first < BLOCK ? rows - first : BLOCK);
    }

    // This thread's columns of a product, of those that panels first to last of the layer have.
    template <class Epilogue>
    void multiply(const Linear& l, Input in, int64_t rows, int first, int last, const Epilogue& epilogue) const {
        Share mine(last - first, team);
        product(l, in, rows, first + (int)mine.first, first + (int)mine.last, epilogue);
    }

    // The residual's rows as a product reads them: a copy in its format, or for float32 the residual itself.
    static Input residual_input(const Linear& l, float* residual, Input copy) {
        if (l.format == FLOAT32) return {(char*)residual, l.inputs * sizeof(float), copy.scales};
        return with_width(copy, l.inputs, l.format);
    }

    // What a product wrote, as the next one reads it; converted where the formats differ.
    Input converted(const Linear& l, const Carrier* rows, int64_t count) const {
        if (l.format == CARRIER) return {(char*)rows, l.inputs * sizeof(Carrier), b.converted.scales};
        Input in = with_width(b.converted, l.inputs, l.format);
        Share mine(count, team);
        write_rows(rows + mine.first * l.inputs, mine.last - mine.first, l.inputs, l.format, in.from(mine.first));
        wait();
        return in;
    }

    void embed() const {
        const Linear& first = n.layer[0].query_key_value;
        Input input = residual_input(first, b.residual, b.input);
        bool projected = n.projection.weights != nullptr;
        int width = n.embedding;
        blocks(tokens, [&](int64_t start, int64_t count) {
            float* rows = projected ? b.embedded : b.residual + start * width;
            Input copy = projected ? residual_input(n.projection, b.embedded, b.converted) : input.from(start);
            Format format = projected ? n.projection.format : first.format;
            Share mine(count, team);
            for (int64_t r = mine.first; r < mine.last; r++) {
                const float* word = n.word_table + s.ids[start + r] * width;
                const float* position = n.position_table + s.positions[start + r] * width;
                const float* type = n.type_table + s.types[start + r] * width;
                float* row = rows + r * width;
                for (int i = 0; i < width; i += W) store(row + i, load(word + i) + load(type + i) + load(position + i));
            }
            normalize_rows(rows + mine.first * width, mine.last - mine.first, width, n.embedding_norm, n.epsilon, format,
                           copy.from(mine.first));
            wait();
            if (!projected) return;
            float* residual = b.residual + start * n.hidden;
            multiply(n.projection, copy, count, 0, n.hidden / PANEL, [&](int64_t r, int c, Floats v0, Floats v1) {
                store(residual + r * n.hidden + c, v0);
                store(residual + r * n.hidden + c + W, v1);
            });
            wait();
            if (first.format != FLOAT32)
                write_rows(residual + mine.first * n.hidden, mine.last - mine.first, n.hidden, first.format,
                           input.from(start + mine.first));
            wait();
        });
    }

    // The output product, the feed-forward network and both LayerNorms, for `count` rows. Leaves the rows in `residual`
    // and, where `next` is given, as it reads them in `input`.
    void feed(const Layer& l, const Carrier* context, float* residual, Input input, const Linear* next,
              int64_t count) const {
        int hidden = n.hidden;
        auto add = [&](int64_t r, int c, Floats v0, Floats v1) {
            float* p = residual + r * hidden + c;
            store(p, load(p) + v0);
            store(p + W, load(p + W) + v1);
        };
        Share mine(count, team);
        auto normalize = [&](Norm norm, const Linear* reader) {
            Format format = reader ? reader->format : FLOAT32;
            Input to = reader ? residual_input(*reader, residual, input) : input;
            normalize_rows(residual + mine.first * hidden, mine.last - mine.first, hidden, norm, n.epsilon, format,
                           to.from(mine.first));
            wait();
        };
        multiply(l.output, converted(l.output, context, count), count, 0, hidden / PANEL, add);
        wait();
        normalize(l.attention_norm, &l.intermediate);
        int wide = n.intermediate;
        multiply(l.intermediate, residual_input(l.intermediate, residual, input), count, 0, wide / PANEL,
                 [&](int64_t r, int c, Floats v0, Floats v1) {
                     store(b.wide + r * wide + c, gelu(v0));
                     store(b.wide + r * wide + c + W, gelu(v1));
                 });
        wait();
        multiply(l.narrowing, converted(l.narrowing, b.wide, count), count, 0, hidden / PANEL, add);
        wait();
        normalize(l.output_norm, next);
    }

    // Queries, keys and values of all tokens; without the queries where only some tokens' are wanted.
    void project_tokens(const Layer& l, bool with_queries) const {
        const Linear& qkv = l.query_key_value;
        int columns = 3 * n.hidden, panels = n.hidden / PANEL;
        Input input = residual_input(qkv, b.residual, b.input);
        blocks(tokens, [&](int64_t start, int64_t count) {
            multiply(qkv, input.from(start), count, with_queries ? 0 : panels, 3 * panels,
                     [&](int64_t r, int c, Floats v0, Floats v1) {
                         store(b.qkv + (start + r) * columns + c, v0);
                         store(b.qkv + (start + r) * columns + c + W, v1);
                     });
        });
        wait();
    }

    // Attention of all sequences and heads; where `some`, for the selected tokens alone.
    void attend_all(bool some) const {
        int hidden = n.hidden, width = hidden / n.heads;
        const int64_t* which = some ? s.selected_offsets : s.offsets;
        int64_t base = s.offsets[0], first = which[0];
        const Carrier* queries = some ? b.query_selected : b.qkv;
        Carrier* output = some ? b.context_selected : b.context;
        size_t query_stride = some ? hidden : 3 * hidden;
        char* scratch = b.attention + b.attention_stride * team.rank;
        for (int64_t item = team.rank; item < s.rows * n.heads; item += team.size) {
            int64_t row = item / n.heads, head = item % n.heads;
            int64_t start = which[row] - first, count = which[row + 1] - which[row], from = s.offsets[row] - base;
            if (!count) continue;
            const Carrier* key = b.qkv + from * 3 * hidden + hidden + head * width;
            attend(queries + start * query_stride + head * width, query_stride, key, key + hidden, 3 * hidden, (int)count,
                   (int)(s.offsets[row + 1] - s.offsets[row]), width, output + start * hidden + head * width, hidden,
                   scratch);
        }
        wait();
    }

    // The last layer, of the selected tokens alone.
    void finish_selected(const Layer& l) const {
        int hidden = n.hidden;
        int64_t count = s.selected_offsets[s.rows] - s.selected_offsets[0], base = s.offsets[0];
        const Linear& qkv = l.query_key_value;
        Input from = residual_input(qkv, b.residual, b.input);
        Input to = residual_input(qkv, b.residual_selected, b.input_selected);
        Share mine(count, team);
        for (int64_t i = mine.first; i < mine.last; i++) {
            int64_t token = s.selected[i] - base;
            memcpy(b.residual_selected + i * hidden, b.residual + token * hidden, hidden * sizeof(float));
            if (qkv.format == FLOAT32) continue;
            memcpy(to.data + i * to.stride, from.data + token * from.stride, to.stride);
            to.scales[i] = from.scales[token];
        }
        wait();
        blocks(count, [&](int64_t start, int64_t rows) {
            multiply(qkv, to.from(start), rows, 0, hidden / PANEL, [&](int64_t r, int c, Floats v0, Floats v1) {
                store(b.query_selected + (start + r) * hidden + c, v0);
                store(b.query_selected + (start + r) * hidden + c + W, v1);
            });
        });
        wait();
        attend_all(true);
        blocks(count, [&](int64_t start, int64_t rows) {
            feed(l, b.context_selected + start * hidden, b.residual_selected + start * hidden,
                 b.input_selected.from(start), nullptr, rows);
        });
    }

    void run() const {
        embed();
        for (int i = 0; i < n.layers; i++) {
            const Layer& l = n.layer[i];
            bool last = i == n.layers - 1;
            project_tokens(l, !(last && s.selected));
            if (last && s.selected) {
                finish_selected(l);
                continue;
            }
            attend_all(false);
            const Linear* next = last ? nullptr : &n.layer[i + 1].query_key_value;
            size_t stride = next ? residual_input(*next, b.residual, b.input).stride : 0;
            blocks(tokens, [&](int64_t start, int64_t count) {
                Input input = b.input;
                input.data += start * stride;
                input.scales += start;
                feed(l, b.context + start * n.hidden, b.residual + start * n.hidden, input, next, count);
            });
        }
        int64_t count = s.selected ? s.selected_offsets[s.rows] - s.selected_offsets[0] : tokens;
        Share mine(count, team);
        const float* result = s.selected ? b.residual_selected : b.residual;
        memcpy(s.output + mine.first * n.hidden, result + mine.first * n.hidden,
               (mine.last - mine.first) * n.hidden * sizeof(float));
    }
};

inline void encode(const Network* network, const Sequences* sequences, Team team, char* workspace) {
    const Sequences& s = *sequences;
    int64_t tokens = s.offsets[s.rows] - s.offsets[0], longest = 0;
    for (int64_t r = 0; r < s.rows; r++) {
        int64_t length = s.offsets[r + 1] - s.offsets[r];
        longest = length > longest ? length : longest;
    }
    int64_t selected = s.selected ? s.selected_offsets[s.rows] - s.selected_offsets[0] : 0;
    Encoder encoder{*network, s, team, {}, tokens};
    uintptr_t base = ((uintptr_t)workspace + 63) / 64 * 64;
    place_buffers(*network, tokens, selected, longest, team.size, base, encoder.b);
#if defined(__AMX_TILE__)
    configure_tiles();
#endif
    encoder.run();
#if defined(__AMX_TILE__)
    _tile_release();
#endif
}

}  // namespace
