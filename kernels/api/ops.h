// The op table: everything the model graph asks of a device.
//
// One table per backend and instruction set; the CPU's plain table is the definition of every op. The graph above it is
// written once.
//
// Same bits: a row's result depends on that row, the weights and its own position or KV, never on how many rows share
// the call, on how they are split over calls, or on the thread count. So each GEMM form has one K order (k = 0 .. K-1
// into one fp32 accumulator an output, in the grouping its form states), attention walks KV blocks from position 0, and
// no op reduces across rows. Bits are equal within one table; across tables, a tolerance.
//
// Threads: every op is called by the engine thread and may use the given pool; a device's may return before it is done
// (finish). No op allocates memory that callers would see. Ops cannot fail on valid arguments; invalid ones are bugs
// and abort. The host's memory holds ids, positions, sequences and block tables, row offsets, lists of matrices and of
// pointers, and the router's choice; ops copy what they need of it before they return.
//
// Names of sizes: rows = tokens in the call, n = outputs of a matrix, k = its inputs. Activations between ops are
// float32, row-major.
#pragma once

#include <cstddef>
#include <cstdint>

namespace switchyard::kernels {

class ThreadPool;

// How a matrix is kept in memory and which arithmetic multiplies it. A list entry here and in each table adds a form.
enum class WeightForm : uint8_t {
  kFloat32,   // fp32 weights, fp32 fma, k ascending
  kBfloat16,  // bf16 weights and inputs, fp32 accumulation; pairs (2j, 2j+1) ascending where the instruction set takes
              // pairs
  // int8 weights with an fp32 scale an output: scale = max |w| / 127, q = round(w / scale), ties to even. Inputs are
  // quantized alike, a scale a row. y = float(sum of q_w q_x) * (scale_x * scale_w) + bias; the sum is exact, so that
  // the bits are the same in every table.
  kInt8,
  // int4 weights with a bf16 scale per kInt4Group inputs: of the group's value m furthest from zero (the positive one
  // of two), scale = bf16(m / -8), q = round(w / scale) in -8 .. 7. Inputs as kInt8. y = sum over groups, ascending, in
  // fp32 fma, of float(sum of q_w q_x) * scale_w; then * scale_x + bias. The same bits in every table.
  kInt4,
};
constexpr uint32_t kInt4Group = 32;
constexpr const char* kWeightFormNames[] = {"float32", "bfloat16", "int8", "int4"};  // by form

// Whether two forms take the same encoded rows (encode_rows).
constexpr bool same_encoding(WeightForm a, WeightForm b) {
  const auto integers = [](WeightForm form) { return form == WeightForm::kInt8 || form == WeightForm::kInt4; };
  return a == b || (integers(a) && integers(b));
}

// A weight matrix y = W x + bias, W (n, k), packed by pack_rows() into the one layout that serves 1 row and 512 rows.
struct PackedMatrix {
  WeightForm form = WeightForm::kFloat32;
  uint32_t n = 0;
  uint32_t k = 0;
  const void* data = nullptr;   // packed_bytes(form, n, k)
  const float* bias = nullptr;  // (n) or null
};

enum class Activation : uint8_t {
  kSilu,       // silu(gate) * up
  kGptOssGlu,  // gate = min(gate, limit), up = clamp(up, -limit, limit); (up + 1) * gate * sigmoid(alpha * gate)
};

struct ActivationSpec {
  Activation kind = Activation::kSilu;
  float limit = 0.0F;  // kGptOssGlu
  float alpha = 0.0F;  // kGptOssGlu
};

// One gated MLP: down(act(gate x) * (up x)). A dense MLP, a shared expert and a routed expert are all one of these.
struct MlpWeights {
  PackedMatrix gate;  // (width, hidden)
  PackedMatrix up;    // (width, hidden)
  PackedMatrix down;  // (hidden, width)
};

enum class RouterScore : uint8_t {
  kSoftmax,        // softmax over all experts, then top-k
  kSigmoid,        // sigmoid of each logit, then top-k
  kSoftmaxOfTopK,  // top-k of the logits, then softmax over the chosen (gpt-oss)
};
enum class GroupScore : uint8_t { kBest, kSumOfBestTwo };

// Which experts a token goes to and with which weights. Ties break by the lower expert id. Chosen experts are listed by
// weight (for kSoftmaxOfTopK: by logit), largest first; ties by the lower id.
struct RouterSpec {
  RouterScore score = RouterScore::kSoftmax;
  uint32_t expert_count = 0;
  uint32_t top_k = 0;
  bool normalize = false;    // weights divided by their sum (+ 1e-20 for kSigmoid)
  float scaling = 1.0F;      // routed_scaling_factor, after normalising
  uint32_t group_count = 1;  // experts in equal groups; > 1 limits the choice to group_top_k of them
  uint32_t group_top_k = 1;
  GroupScore group_score = GroupScore::kBest;
};

// Rotary embedding of `rotary_dim` channels at `offset` of each head.
struct RopeSpec {
  uint32_t rotary_dim = 0;
  uint32_t offset = 0;
  bool interleaved = false;  // pairs (2j, 2j+1); else (j, j + rotary_dim / 2)
};

enum class KvType : uint8_t {
  kFloat32,
  kBfloat16,
  // int8 with fp32 scales: one for the key and one for the value of each position and KV head; for MLA one for the
  // latent (the value) and one for the rotary rest of the key. scale = max |x| / 127, q = round(x / scale), ties to
  // even.
  kInt8,
};
constexpr const char* kKvTypeNames[] = {"float32", "bfloat16", "int8"};  // by type

// One layer's KV cache: `block_count` blocks of `block_tokens` positions. The layout inside a block is the backend's
// own.
struct KvLayout {
  KvType type = KvType::kFloat32;
  uint32_t kv_head_count = 0;
  uint32_t k_dim = 0;
  uint32_t v_dim = 0;
  bool v_is_k_prefix = false;  // MLA: the value is the key's first v_dim channels and is not stored again
  uint32_t block_tokens = 16;
};

// A run of consecutive positions of one sequence: rows [row_begin, row_end) are positions first_position,
// first_position + 1, ...
struct SequenceRows {
  uint32_t row_begin = 0;
  uint32_t row_end = 0;
  uint32_t first_position = 0;
  const int32_t* block_table =
      nullptr;  // block of position p is block_table[p / block_tokens]; -1 = slid out of the window, never read
};

struct AttentionSpec {
  uint32_t head_count = 0;  // query heads; head h reads KV head h / (head_count / kv_head_count)
  float scale = 1.0F;       // on q . k
  uint32_t window = 0;      // position i sees i - window + 1 .. i; 0 = all of 0 .. i
  const float* sinks =
      nullptr;  // (head_count) extra logits in the softmax's denominator, unscaled, without value; or null
};

struct OpTable {
  const char* name;  // "cpu-plain", "cpu-avx2", "cpu-avx512", "cpu-avx512-vnni", "cpu-avx512-bf16", "cuda"

  // --- memory
  // ------------------------------------------------------------------------------------------------------------------
  // What ops read and write (weights, caches, activations) lies in memory from here, except what they say is the
  // host's. Zeroed, on whole pages; null when there is not as much.
  void* (*allocate)(size_t bytes);
  void (*release)(void* data, size_t bytes);
  // Returns when all ops called so far are done. The host may touch device memory after it, and until the next op.
  void (*finish)();
  // Any memory of the host's will do, and every op is done when it returns.
  bool is_host;

  // --- weights
  // -----------------------------------------------------------------------------------------------------------
  size_t (*packed_bytes)(WeightForm form, uint32_t n, uint32_t k);
  // Packs rows [row_begin, row_end) of W from src (row_end - row_begin, k) fp32 into data. row_begin is a multiple of
  // pack_row_unit(). Any thread; disjoint row ranges may be packed side by side. Memory for the whole matrix is 64-byte
  // aligned and zeroed by the caller.
  void (*pack_rows)(WeightForm form, uint32_t n, uint32_t k, uint32_t row_begin, uint32_t row_end, const float* src,
                    void* data);
  uint32_t (*pack_row_unit)(WeightForm form);

  // --- activations as GEMM inputs: what the exchange carries
  // --------------------------------------------------------------
  size_t (*encoded_row_bytes)(WeightForm form, uint32_t k);  // a multiple of 64
  // x (rows, k) fp32, rows x_stride floats apart -> out (rows, encoded_row_bytes).
  void (*encode_rows)(ThreadPool& pool, WeightForm form, const float* x, size_t x_stride, uint32_t rows, uint32_t k,
                      void* out);

  // --- linear
  // --------------------------------------------------------------------------------------------------------------
  // y[r][:] = W x[r] + bias. x: encoded rows; y rows are y_stride floats apart.
  void (*gemm)(ThreadPool& pool, const void* x, uint32_t rows, const PackedMatrix& w, float* y, size_t y_stride);
  // heads independent products: y[r][h][:] = W[h] x[r][h]. x (rows, heads, k) fp32 with x_row_stride and x_head_stride
  // floats; W[h] all of one shape and form; inputs are rounded to the form inside. For MLA's absorbed projections.
  void (*gemm_heads)(ThreadPool& pool, const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t rows,
                     const PackedMatrix* w, uint32_t heads, float* y, size_t y_row_stride, size_t y_head_stride);
  // Rows of x (encoded, sorted by slot) through their slot's MLP: rows [row_offsets[s], row_offsets[s+1]) go through
  // mlps[s]. y (rows, hidden). Each slot's weights are read once, whatever its rows; threads share one hot slot.
  void (*grouped_mlp)(ThreadPool& pool, const void* x, const uint32_t* row_offsets, const MlpWeights* mlps,
                      uint32_t slots, const ActivationSpec& activation, float* y);

  // --- row-wise
  // ------------------------------------------------------------------------------------------------------------ y = x
  // / sqrt(mean(x^2) + eps) * weight over the last dim d; rows are stride floats apart (in place allowed). For per-head
  // norms call with rows = tokens * heads.
  void (*rms_norm)(ThreadPool& pool, const float* x, size_t x_stride, uint32_t rows, uint32_t d, const float* weight,
                   float eps, float* y, size_t y_stride);
  // x += y, (rows * d) values.
  void (*add)(ThreadPool& pool, float* x, const float* y, size_t count);
  // x[r][:] += sigmoid(gate[r]) * y[r][:] (Qwen2-MoE's shared expert); gate (rows).
  void (*add_gated)(ThreadPool& pool, float* x, const float* y, const float* gate, uint32_t rows, uint32_t d);
  // In place on x (rows, heads, head_dim), rows x_row_stride floats apart. cos_sin: (max_position, rotary_dim) floats,
  // per position cos then sin of each pair, magnitude included; positions (rows).
  void (*rope)(ThreadPool& pool, const RopeSpec& spec, const float* cos_sin, const uint32_t* positions, float* x,
               size_t x_row_stride, uint32_t rows, uint32_t heads, uint32_t head_dim);
  // y[r][h][:d] = x[r][h][:d]; strides in floats. (MLA: the rotary part of a query beside its absorbed part.)
  void (*copy)(ThreadPool& pool, const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t rows,
               uint32_t heads, uint32_t d, float* y, size_t y_row_stride, size_t y_head_stride);
  // y[r] = row ids[r] of a packed matrix (vocab, d), scales applied: an embedding table, which may be the LM head too.
  void (*embed)(ThreadPool& pool, const PackedMatrix& table, const int32_t* ids, uint32_t rows, float* y);

  // --- experts
  // ---------------------------------------------------------------------------------------------------------------
  // logits (rows, experts) fp32, correction_bias (experts) or null: added for choosing only. ids (rows, k), weights
  // (rows, k).
  void (*route)(ThreadPool& pool, const RouterSpec& spec, const float* logits, const float* correction_bias,
                uint32_t rows, int32_t* ids, float* weights);
  // out[r] += sum over j = 0 .. top_k-1, in that order, of weights[r][j] * answers[r][j]; summed in fp32 with fma, then
  // added. answers: (rows, top_k) pointers to d values each.
  void (*combine)(ThreadPool& pool, const float* const* answers, const float* weights, uint32_t rows, uint32_t top_k,
                  uint32_t d, float* out);

  // --- attention
  // -------------------------------------------------------------------------------------------------------------
  size_t (*kv_block_bytes)(const KvLayout& layout);
  // Writes k (rows, kv_heads, k_dim) and v (rows, kv_heads, v_dim; unused when v_is_k_prefix) at the sequences'
  // positions. Row strides in floats.
  void (*kv_write)(ThreadPool& pool, const KvLayout& layout, const SequenceRows* sequences, uint32_t sequence_count,
                   const float* k, size_t k_row_stride, const float* v, size_t v_row_stride, void* blocks);
  // Causal attention of each row over its sequence's cache (the row's own position is already written). q (rows, heads,
  // k_dim), rows q_row_stride floats apart; out (rows, heads, v_dim) dense.
  void (*attention)(ThreadPool& pool, const KvLayout& layout, const AttentionSpec& spec, const SequenceRows* sequences,
                    uint32_t sequence_count, const float* q, size_t q_row_stride, const void* blocks, float* out);
};

// The tables this machine can run, fastest first; the last is always "cpu-plain".
struct BackendList {
  const OpTable* const* tables;
  size_t count;
};
BackendList cpu_backends();
// The fastest (name null or "auto") or the named one; null when there is none of that name.
const OpTable* find_backend(const char* name);

}  // namespace switchyard::kernels
