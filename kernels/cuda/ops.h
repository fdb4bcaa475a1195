// The ops of the CUDA table. Contracts: kernels/api/ops.h; pools are not used.
//
// Where arguments lie. On the device: activations, encoded rows, weights with their scales, biases and norms, the
// cache, logits, cos_sin. On the host, copied by the op: ids, positions, sequences and block tables, row offsets, lists
// of matrices, pointers to answers, router weights. route() gives its choice to the host, and waits for it.
#pragma once

#include "kernels/api/ops.h"

namespace switchyard::kernels::cuda {

// linear.cu
size_t packed_bytes(WeightForm form, uint32_t n, uint32_t k);
void pack_rows(WeightForm form, uint32_t n, uint32_t k, uint32_t row_begin, uint32_t row_end, const float* src,
               void* data);
uint32_t pack_row_unit(WeightForm form);
size_t encoded_row_bytes(WeightForm form, uint32_t k);
void encode_rows(ThreadPool& pool, WeightForm form, const float* x, size_t x_stride, uint32_t rows, uint32_t k,
                 void* out);
void gemm(ThreadPool& pool, const void* x, uint32_t rows, const PackedMatrix& w, float* y, size_t y_stride);
void gemm_heads(ThreadPool& pool, const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t rows,
                const PackedMatrix* w, uint32_t heads, float* y, size_t y_row_stride, size_t y_head_stride);
void grouped_mlp(ThreadPool& pool, const void* x, const uint32_t* row_offsets, const MlpWeights* mlps, uint32_t slots,
                 const ActivationSpec& activation, float* y);
void embed(ThreadPool& pool, const PackedMatrix& table, const int32_t* ids, uint32_t rows, float* y);

// rows.cu
void rms_norm(ThreadPool& pool, const float* x, size_t x_stride, uint32_t rows, uint32_t d, const float* weight,
              float eps, float* y, size_t y_stride);
void add(ThreadPool& pool, float* x, const float* y, size_t count);
void add_gated(ThreadPool& pool, float* x, const float* y, const float* gate, uint32_t rows, uint32_t d);
void rope(ThreadPool& pool, const RopeSpec& spec, const float* cos_sin, const uint32_t* positions, float* x,
          size_t x_row_stride, uint32_t rows, uint32_t heads, uint32_t head_dim);
void copy(ThreadPool& pool, const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t rows, uint32_t heads,
          uint32_t d, float* y, size_t y_row_stride, size_t y_head_stride);
void combine(ThreadPool& pool, const float* const* answers, const float* weights, uint32_t rows, uint32_t top_k,
             uint32_t d, float* out);

// router.cu
void route(ThreadPool& pool, const RouterSpec& spec, const float* logits, const float* correction_bias, uint32_t rows,
           int32_t* ids, float* weights);

// attention.cu
size_t kv_block_bytes(const KvLayout& layout);
void kv_write(ThreadPool& pool, const KvLayout& layout, const SequenceRows* sequences, uint32_t sequence_count,
              const float* k, size_t k_row_stride, const float* v, size_t v_row_stride, void* blocks);
void attention(ThreadPool& pool, const KvLayout& layout, const AttentionSpec& spec, const SequenceRows* sequences,
               uint32_t sequence_count, const float* q, size_t q_row_stride, const void* blocks, float* out);

}  // namespace switchyard::kernels::cuda
