// The C interface, and which instruction sets this processor and its operating system have.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <atomic>

#include "interface.h"
#include "team.h"
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#define PUBLIC extern "C" __attribute__((visibility("default")))

#if defined(__x86_64__)
extern const KernelSet kernels_amx, kernels_avx512, kernels_avx2_vnni, kernels_avx2;
static const KernelSet* const SETS[] = {&kernels_amx, &kernels_avx512, &kernels_avx2_vnni, &kernels_avx2};
#elif defined(__aarch64__)
extern const KernelSet kernels_neon;
static const KernelSet* const SETS[] = {&kernels_neon};
#endif
static const int SET_COUNT = sizeof(SETS) / sizeof(SETS[0]);

// ---- the processor ----------------------------------------------------------------------------------------------

#if defined(__x86_64__)
static bool may_use_tiles() {
    const int ARCH_REQ_XCOMP_PERM = 0x1023, TILE_DATA = 18;  // Linux gives tiles to processes that ask
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0;
}

static uint32_t find_features() {
    uint32_t a, b, c, d, found = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    bool saves = c >> 27 & 1, fma = c >> 12 & 1, f16c = c >> 29 & 1;
    if (!saves || !fma || !f16c) return 0;
    uint32_t low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));  // what the operating system keeps of a thread
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    uint32_t b7 = b, c7 = c, d7 = d, a71 = 0;
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) a71 = a;
    if ((low & 6) != 6 || !(b7 >> 5 & 1)) return 0;
    found |= AVX2;
    if (a71 >> 4 & 1) found |= AVX_VNNI;
    bool wide = (b7 >> 16 & 1) && (b7 >> 17 & 1) && (b7 >> 30 & 1) && (b7 >> 31 & 1);  // F, DQ, BW, VL
    if ((low & 0xe6) != 0xe6 || !wide) return found;
    found |= AVX512;
    if (c7 >> 11 & 1) found |= AVX512_VNNI;
    bool tiles = (d7 >> 22 & 1) && (d7 >> 24 & 1) && (d7 >> 25 & 1) && (a71 >> 5 & 1);  // and AVX512_BF16
    if (tiles && (low >> 17 & 3) == 3 && may_use_tiles()) found |= AMX;
    return found;
}
#elif defined(__aarch64__)
static uint32_t find_features() {
    uint32_t found = 0;
    if (getauxval(AT_HWCAP) >> 20 & 1) found |= NEON;       // ASIMDDP
    if (getauxval(AT_HWCAP2) >> 14 & 1) found |= NEON_BF16;  // BF16
    return found;
}
#endif

PUBLIC int32_t electra_interface() { return INTERFACE_VERSION; }

PUBLIC uint32_t electra_features() {
    static std::atomic<int64_t> known{-1};
    int64_t features = known.load();
    if (features < 0) known.store(features = find_features());
    return (uint32_t)features;
}

PUBLIC int32_t electra_set_count() { return SET_COUNT; }
PUBLIC const char* electra_set_name(int32_t set) { return SETS[set]->name; }
PUBLIC uint32_t electra_set_needs(int32_t set) { return SETS[set]->needs; }
PUBLIC uint32_t electra_set_formats(int32_t set) { return SETS[set]->formats; }

// ---- a network with packed weights ------------------------------------------------------------------------------

struct Packed {
    Network network;
    const KernelSet* set;
    char* memory;
    size_t used, size;
};

static size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

static void* take(Packed* packed, size_t bytes) {
    if (packed->used + bytes > packed->size) return nullptr;
    char* p = packed->memory + packed->used;
    packed->used += round_up(bytes, 64);
    return p;
}

static bool prepare(Packed* p, Linear* l, int outputs, int inputs, Format format) {
    l->outputs = outputs;
    l->inputs = inputs;
    l->format = format;
    l->weights = take(p, p->set->weight_bytes(outputs, inputs, format));
    l->bias = (float*)take(p, outputs * sizeof(float));
    l->scales = (float*)take(p, outputs * sizeof(float));
    l->corrections = (int32_t*)take(p, outputs * sizeof(int32_t));
    return l->weights && l->bias && l->scales && l->corrections;
}

PUBLIC void electra_free(Packed* packed) {
    if (!packed) return;
    if (packed->memory) munmap(packed->memory, packed->size);
    delete[] packed->network.layer;
    delete packed;
}

// sizes: embedding, hidden, intermediate, heads, layers, vocabulary, positions, types.
PUBLIC Packed* electra_new(int32_t set, const int32_t* sizes, float epsilon) {
    Packed* p = new Packed{};
    Network& n = p->network;
    p->set = SETS[set];
    n.embedding = sizes[0], n.hidden = sizes[1], n.intermediate = sizes[2], n.heads = sizes[3], n.layers = sizes[4];
    n.vocabulary = sizes[5], n.positions = sizes[6], n.types = sizes[7];
    n.epsilon = epsilon;
    n.layer = new Layer[n.layers]();
    // memory is taken as it is written to, so the widest format costs nothing; on large pages where Linux has them
    size_t layer = (size_t)n.hidden * (4 * n.hidden + 2 * n.intermediate) * 4 + 16 * (5 * n.hidden + n.intermediate);
    p->size = round_up(n.layers * layer + (size_t)n.hidden * (n.embedding + 16) * 4 + 65536, 1 << 21);
    void* memory = mmap(nullptr, p->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        electra_free(p);
        return nullptr;
    }
    p->memory = (char*)memory;
#ifdef MADV_HUGEPAGE
    madvise(memory, p->size, MADV_HUGEPAGE);
#endif
    return p;
}

enum Part : int32_t { PROJECTION, QUERY, KEY, VALUE, OUTPUT, INTERMEDIATE, NARROWING };

// Packs a layer's weights [outputs, inputs]. QUERY, KEY and VALUE have one format, that of QUERY, and come in order.
// Returns the largest relative error of a row, or a negative number where memory is short.
PUBLIC float electra_pack(Packed* p, int32_t layer, int32_t part, int32_t format, const float* weights,
                          const float* bias) {
    Network& n = p->network;
    int hidden = n.hidden, wide = n.intermediate;
    Format f = (Format)format;
    if (part == PROJECTION)
        return prepare(p, &n.projection, hidden, n.embedding, f) ? p->set->pack(&n.projection, 0, hidden, weights, bias)
                                                                 : -1;
    Layer& l = n.layer[layer];
    if (part == QUERY && !prepare(p, &l.query_key_value, 3 * hidden, hidden, f)) return -1;
    if (part <= VALUE) return p->set->pack(&l.query_key_value, (part - QUERY) * hidden, hidden, weights, bias);
    Linear* linear = part == OUTPUT ? &l.output : part == INTERMEDIATE ? &l.intermediate : &l.narrowing;
    int outputs = part == INTERMEDIATE ? wide : hidden, inputs = part == NARROWING ? wide : hidden;
    if (!prepare(p, linear, outputs, inputs, f)) return -1;
    return p->set->pack(linear, 0, outputs, weights, bias);
}

// The tables and LayerNorms are read where they are; the caller keeps them.
PUBLIC void electra_embeddings(Packed* p, const float* words, const float* positions, const float* types,
                               const float* weight, const float* bias) {
    Network& n = p->network;
    n.word_table = words, n.position_table = positions, n.type_table = types;
    n.embedding_norm = {weight, bias};
}
PUBLIC void electra_norms(Packed* p, int32_t layer, const float* weight, const float* bias, const float* output_weight,
                          const float* output_bias) {
    p->network.layer[layer].attention_norm = {weight, bias};
    p->network.layer[layer].output_norm = {output_weight, output_bias};
}
PUBLIC int64_t electra_packed_bytes(const Packed* p) { return (int64_t)p->used; }

// A number that changes when a few words of the tensors do: their first, their middle and their last.
PUBLIC uint64_t electra_sample(const void* const* tensors, const int64_t* words, int32_t count) {
    const int STEPS = 2;
    uint64_t mixed = 14695981039346656037u;  // FNV-1a
    for (int32_t i = 0; i < count; i++)
        for (int step = 0; step <= STEPS && words[i]; step++) {
            uint32_t word;
            memcpy(&word, (const char*)tensors[i] + (words[i] - 1) * step / STEPS * 4, 4);
            mixed = (mixed ^ word) * 1099511628211u;
        }
    return mixed;
}

// ---- computing --------------------------------------------------------------------------------------------------

// A call of electra_run: spans of neighbouring sequences that threads take one by one, or one span for a whole team.
struct Run {
    const Packed* packed;
    const Sequences* sequences;
    const int64_t* spans;  // [count + 1], first sequences
    int count;
    int64_t stride;  // bytes of workspace for each thread
    char* workspace;
    std::atomic<int> next;
};

static Sequences part_of(const Run& run, int64_t first, int64_t last) {
    const Sequences& all = *run.sequences;
    Sequences s = all;
    int64_t start = all.offsets[first];
    s.rows = last - first;
    s.ids += start, s.types += start, s.positions += start, s.offsets += first;
    int64_t written = start;
    if (all.selected) {
        written = all.selected_offsets[first];
        s.selected += written;
        s.selected_offsets += first;
    }
    s.output += written * run.packed->network.hidden;
    return s;
}

static void run_spans(void* context, Team team) {
    Run& run = *(Run*)context;
    for (int i; (i = run.next.fetch_add(1)) < run.count;) {
        Sequences s = part_of(run, run.spans[i], run.spans[i + 1]);
        run.packed->set->encode(&run.packed->network, &s, Team{0, 1, nullptr}, run.workspace + team.rank * run.stride);
    }
}

static void run_team(void* context, Team team) {
    Run& run = *(Run*)context;
    run.packed->set->encode(&run.packed->network, run.sequences, team, run.workspace);
}

static bool within(const int64_t* values, int64_t count, int64_t size, int64_t* where) {
    uint64_t worst = 0;
    for (int64_t i = 0; i < count; i++) worst = (uint64_t)values[i] > worst ? (uint64_t)values[i] : worst;
    if (worst < (uint64_t)size) return true;
    for (*where = 0; (uint64_t)values[*where] < (uint64_t)size;) ++*where;
    return false;
}

enum Refusal : int32_t { FINE, BAD_IDS, BAD_TYPES, BAD_POSITIONS, BAD_OFFSETS, BAD_SELECTED, NO_MEMORY };

// Everything that a kernel uses as an index. `where`: the first that is wrong.
static Refusal check(const Network& n, const Sequences& s, int64_t tokens, int64_t* where) {
    *where = 0;
    if (s.rows < 1 || s.offsets[0] != 0 || s.offsets[s.rows] != tokens) return BAD_OFFSETS;
    for (int64_t r = 0; r < s.rows; r++)
        if (s.offsets[r + 1] <= s.offsets[r] || s.offsets[r + 1] > tokens) return *where = r, BAD_OFFSETS;
    if (!within(s.ids, tokens, n.vocabulary, where)) return BAD_IDS;
    if (!within(s.types, tokens, n.types, where)) return BAD_TYPES;
    if (!within(s.positions, tokens, n.positions, where)) return BAD_POSITIONS;
    if (!s.selected) return FINE;
    if (s.selected_offsets[0] != 0) return BAD_SELECTED;
    for (int64_t r = 0; r < s.rows; r++) {
        int64_t first = s.selected_offsets[r], last = s.selected_offsets[r + 1];
        if (last < first || last > tokens) return *where = r, BAD_SELECTED;
        for (int64_t i = first; i < last; i++)
            if (s.selected[i] < s.offsets[r] || s.selected[i] >= s.offsets[r + 1]) return *where = r, BAD_SELECTED;
    }
    return FINE;
}

// About how many operations a sequence takes, in those of a product of one token with one column of every layer.
static int64_t cost(const Network& n, int64_t length) {
    return length * (4 * n.hidden + 2 * n.intermediate + 2 * length);
}

static char* workspace_of(size_t bytes) { return (char*)malloc(bytes); }

// Computes sequences. Returns a Refusal, and in `where` the token or sequence that it is about.
// span_tokens: about how many tokens go through all layers together.
PUBLIC int32_t electra_run(const Packed* packed, const Sequences* sequences, int64_t tokens, int32_t threads,
                           int64_t span_tokens, int64_t* where) {
    const Network& n = packed->network;
    const Sequences& s = *sequences;
    Refusal refusal = check(n, s, tokens, where);
    if (refusal != FINE) return refusal;
    int64_t total = 0;
    for (int64_t r = 0; r < s.rows; r++) total += cost(n, s.offsets[r + 1] - s.offsets[r]);
    // spans of about equal cost: at least one for each thread
    int64_t parts = (tokens + span_tokens - 1) / span_tokens;
    if (threads > 1) parts = (parts + threads - 1) / threads * threads;
    int64_t* spans = (int64_t*)malloc((s.rows + 1) * sizeof(int64_t));
    if (!spans) return NO_MEMORY;
    int count = 0;
    int64_t done = 0, most = 0, begun = 0;
    int64_t span_most = 0, selected_most = 0, longest = 0;
    spans[0] = 0;
    for (int64_t r = 0; r < s.rows; r++) {
        int64_t length = s.offsets[r + 1] - s.offsets[r];
        done += cost(n, length);
        longest = length > longest ? length : longest;
        if (done * parts < total * (count + 1) && r + 1 < s.rows) continue;
        int64_t first = spans[count], held = s.offsets[r + 1] - s.offsets[first];
        int64_t chosen = s.selected ? s.selected_offsets[r + 1] - s.selected_offsets[first] : 0;
        span_most = held > span_most ? held : span_most;
        selected_most = chosen > selected_most ? chosen : selected_most;
        most = done - begun > most ? done - begun : most;
        begun = done;
        spans[++count] = r + 1;
    }
    // one thread's span may not be much more than its share: else all threads share each product's columns
    bool together = threads > 1 && (count < threads || most * threads > total + total / 4);
    int64_t selected = s.selected ? s.selected_offsets[s.rows] : 0;
    size_t stride = together ? packed->set->workspace_bytes(&n, tokens, selected, longest, threads)
                             : packed->set->workspace_bytes(&n, span_most, selected_most, longest, 1);
    stride = round_up(stride, 4096);
    char* workspace = workspace_of(together ? stride : stride * threads);
    if (workspace) {
        Run run{packed, sequences, spans, count, (int64_t)stride, workspace, {0}};
        run_together(threads, together ? run_team : run_spans, &run);
        free(workspace);
    }
    free(spans);
    return workspace ? FINE : NO_MEMORY;
}

// ---- one linear layer, for heads --------------------------------------------------------------------------------

struct PackedLinear {
    Packed memory;
    Linear linear;
    int32_t columns;  // without those that fill the last panel
};

PUBLIC void electra_linear_free(PackedLinear* p) {
    if (!p) return;
    free(p->memory.memory);
    delete p;
}

// Packs weights [outputs, inputs]. Null where memory is short. error: the largest relative error of a row.
PUBLIC PackedLinear* electra_linear_new(int32_t set, int32_t format, int32_t outputs, int32_t inputs,
                                        const float* weights, const float* bias, float* error) {
    PackedLinear* p = new PackedLinear{};
    p->memory.set = SETS[set];
    p->columns = outputs;
    int32_t padded = (int32_t)round_up(outputs, SETS[set]->panel);
    p->memory.size = round_up((size_t)padded * (inputs * 4 + 12) + 1024, 4096);
    p->memory.memory = (char*)aligned_alloc(4096, p->memory.size);
    if (!p->memory.memory || !prepare(&p->memory, &p->linear, padded, inputs, (Format)format)) {
        electra_linear_free(p);
        return nullptr;
    }
    memset(p->memory.memory, 0, p->memory.size);
    *error = SETS[set]->pack(&p->linear, 0, outputs, weights, bias);
    return p;
}

PUBLIC int32_t electra_linear_width(const PackedLinear* p) { return p->linear.outputs; }

struct LinearRun {
    const PackedLinear* p;
    const float* input;
    int64_t rows;
    int gelu;
    float* output;
};

static void run_linear(void* context, Team team) {
    LinearRun& run = *(LinearRun*)context;
    const KernelSet* set = run.p->memory.set;
    int panels = run.p->linear.outputs / set->panel;
    set->product(&run.p->linear, run.input, run.rows, run.gelu, panels * team.rank / team.size,
                 panels * (team.rank + 1) / team.size, run.output);
}

// input [rows, inputs] -> output [rows, width]; gelu: of the results.
PUBLIC void electra_linear_run(const PackedLinear* p, const float* input, int64_t rows, int32_t gelu, int32_t threads,
                               float* output) {
    const int64_t WORTH_A_THREAD = 1 << 22;  // multiplications: about 100 microseconds
    int64_t most = rows * p->linear.outputs * p->linear.inputs / WORTH_A_THREAD + 1;
    LinearRun run{p, input, rows, gelu, output};
    run_together(most < threads ? (int)most : threads, run_linear, &run);
}

// ---- for tests --------------------------------------------------------------------------------------------------

PUBLIC void electra_test_attention(int32_t set, const float* qkv, int32_t tokens, int32_t heads, int32_t width,
                                   float* output) {
    SETS[set]->attention(qkv, tokens, heads, width, output);
}
PUBLIC void electra_test_normalize(int32_t set, const float* input, int64_t rows, int32_t width, const float* weight,
                                   const float* bias, float epsilon, float* output) {
    SETS[set]->normalize(input, rows, width, Norm{weight, bias}, epsilon, output);
}
