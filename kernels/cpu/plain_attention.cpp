#include <cmath>

#include "common/base/result.h"
#include "kernels/api/thread_pool.h"
#include "kernels/cpu/checks.h"
#include "kernels/cpu/plain.h"
#include "kernels/cpu/scalar.h"

namespace switchyard::kernels::cpu::plain {
namespace {

size_t k_values(const KvLayout& layout) { return size_t{layout.kv_head_count} * layout.block_tokens * layout.k_dim; }
size_t v_values(const KvLayout& layout) {
  return layout.v_is_k_prefix ? 0 : size_t{layout.kv_head_count} * layout.block_tokens * layout.v_dim;
}

// The block of a position of a sequence.
template <typename T>
T* block_of(const KvLayout& layout, const SequenceRows& sequence, uint32_t position, T* blocks) {
  const int32_t block = sequence.block_table[position / layout.block_tokens];
  SWITCHYARD_CHECK(block >= 0);
  return blocks + static_cast<size_t>(block) * (k_values(layout) + v_values(layout));
}

template <typename T>
T* k_of(const KvLayout& layout, const SequenceRows& sequence, uint32_t position, uint32_t head, T* blocks) {
  const size_t row = size_t{head} * layout.block_tokens + position % layout.block_tokens;
  return block_of(layout, sequence, position, blocks) + row * layout.k_dim;
}

template <typename T>
T* v_of(const KvLayout& layout, const SequenceRows& sequence, uint32_t position, uint32_t head, T* blocks) {
  if (layout.v_is_k_prefix) return k_of(layout, sequence, position, head, blocks);
  const size_t row = size_t{head} * layout.block_tokens + position % layout.block_tokens;
  return block_of(layout, sequence, position, blocks) + k_values(layout) + row * layout.v_dim;
}

template <typename T>
void write_row(const KvLayout& layout, const SequenceRows& sequence, uint32_t position, const float* k, const float* v,
               T* blocks) {
  for (uint32_t h = 0; h < layout.kv_head_count; ++h) {
    T* to = k_of(layout, sequence, position, h, blocks);
    for (uint32_t i = 0; i < layout.k_dim; ++i) store_as(k[size_t{h} * layout.k_dim + i], to + i);
    if (layout.v_is_k_prefix) continue;
    to = v_of(layout, sequence, position, h, blocks);
    for (uint32_t i = 0; i < layout.v_dim; ++i) store_as(v[size_t{h} * layout.v_dim + i], to + i);
  }
}

// One query head of one row. scores: room for position + 1 floats.
template <typename T>
void attend(const KvLayout& layout, const AttentionSpec& spec, const SequenceRows& sequence, uint32_t position,
            uint32_t head, const float* q, const T* blocks, float* scores, float* out) {
  const uint32_t kv_head = head / (spec.head_count / layout.kv_head_count);
  const uint32_t first = spec.window != 0 && position + 1 > spec.window ? position + 1 - spec.window : 0;
  float largest = spec.sinks != nullptr ? spec.sinks[head] : -INFINITY;
  for (uint32_t p = first; p <= position; ++p) {
    const T* k = k_of(layout, sequence, p, kv_head, blocks);
    float dot = 0.0F;
    for (uint32_t i = 0; i < layout.k_dim; ++i) dot = std::fma(q[i], to_float(k[i]), dot);
    scores[p] = dot * spec.scale;
    largest = std::fmax(largest, scores[p]);
  }
  float sum = spec.sinks != nullptr ? std::exp(spec.sinks[head] - largest) : 0.0F;
  for (uint32_t i = 0; i < layout.v_dim; ++i) out[i] = 0.0F;
  for (uint32_t p = first; p <= position; ++p) {
    const T* v = v_of(layout, sequence, p, kv_head, blocks);
    const float weight = std::exp(scores[p] - largest);
    sum += weight;
    for (uint32_t i = 0; i < layout.v_dim; ++i) out[i] = std::fma(weight, to_float(v[i]), out[i]);
  }
  for (uint32_t i = 0; i < layout.v_dim; ++i) out[i] /= sum;
}

template <typename T>
void attention_of(ThreadPool& pool, const KvLayout& layout, const AttentionSpec& spec, const SequenceRows* sequences,
                  uint32_t sequence_count, const float* q, size_t q_row_stride, const T* blocks, float* out) {
  struct Context {
    ThreadPool& pool;
    const KvLayout& layout;
    const AttentionSpec& spec;
    const SequenceRows* sequences;
    uint32_t sequence_count;
    const float* q;
    size_t q_row_stride;
    const T* blocks;
    float* out;
  } context{pool, layout, spec, sequences, sequence_count, q, q_row_stride, blocks, out};
  pool.run(
      [](void* p, uint32_t member) {
        const auto& c = *static_cast<Context*>(p);
        for (uint32_t s = 0; s < c.sequence_count; ++s) {
          const SequenceRows& sequence = c.sequences[s];
          for (uint32_t r = sequence.row_begin; r < sequence.row_end; ++r) {
            const uint32_t position = sequence.first_position + (r - sequence.row_begin);
            auto* scores = static_cast<float*>(c.pool.scratch(member, (size_t{position} + 1) * sizeof(float)));
            for (uint32_t h = member; h < c.spec.head_count; h += c.pool.size()) {
              attend(c.layout, c.spec, sequence, position, h, c.q + r * c.q_row_stride + size_t{h} * c.layout.k_dim,
                     c.blocks, scores, c.out + (size_t{r} * c.spec.head_count + h) * c.layout.v_dim);
            }
          }
        }
      },
      &context);
}

}  // namespace

size_t kv_block_bytes(const KvLayout& layout) {
  check_kv(layout);
  return (k_values(layout) + v_values(layout)) * element_bytes(layout.type);
}

void kv_write(ThreadPool&, const KvLayout& layout, const SequenceRows* sequences, uint32_t sequence_count,
              const float* k, size_t k_row_stride, const float* v, size_t v_row_stride, void* blocks) {
  check_kv(layout);
  for (uint32_t s = 0; s < sequence_count; ++s) {
    const SequenceRows& sequence = sequences[s];
    for (uint32_t r = sequence.row_begin; r < sequence.row_end; ++r) {
      const uint32_t position = sequence.first_position + (r - sequence.row_begin);
      const float* v_row = layout.v_is_k_prefix ? nullptr : v + r * v_row_stride;
      if (layout.type == KvType::kFloat32) {
        write_row(layout, sequence, position, k + r * k_row_stride, v_row, static_cast<float*>(blocks));
      } else {
        write_row(layout, sequence, position, k + r * k_row_stride, v_row, static_cast<uint16_t*>(blocks));
      }
    }
  }
}

void attention(ThreadPool& pool, const KvLayout& layout, const AttentionSpec& spec, const SequenceRows* sequences,
               uint32_t sequence_count, const float* q, size_t q_row_stride, const void* blocks, float* out) {
  check_attention(layout, spec);
  if (layout.type == KvType::kFloat32) {
    attention_of(pool, layout, spec, sequences, sequence_count, q, q_row_stride, static_cast<const float*>(blocks),
                 out);
  } else {
    attention_of(pool, layout, spec, sequences, sequence_count, q, q_row_stride, static_cast<const uint16_t*>(blocks),
                 out);
  }
}

}  // namespace switchyard::kernels::cpu::plain
