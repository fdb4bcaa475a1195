#include <cmath>
#include <type_traits>

#include "common/base/result.h"
#include "kernels/api/checks.h"
#include "kernels/api/numbers.h"
#include "kernels/api/thread_pool.h"
#include "kernels/cpu/plain.h"

namespace switchyard::kernels::cpu::plain {
namespace {

// Where things are: a block holds k (kv_heads, block_tokens, k_dim), then v alike, unless it is the keys' prefix; int8
// then has the scales, fp32 (kv_heads, block_tokens, 2), of key (MLA: of its rest) and value.
template <typename T>
class Cache {
 public:
  Cache(const KvLayout& layout, void* memory) : layout_(layout), memory_(static_cast<char*>(memory)) {}

  static size_t block_bytes(const KvLayout& layout) {
    const size_t scales = sizeof(T) == 1 ? size_t{layout.kv_head_count} * layout.block_tokens * 2 * sizeof(float) : 0;
    return scales_begin(layout) + scales;
  }

  void write(const SequenceRows& sequence, uint32_t position, uint32_t head, const float* k, const float* v) const {
    float* scale = scales(sequence, position, head);
    if (layout_.v_is_k_prefix) {
      write_values(k, layout_.v_dim, key(sequence, position, head), scale + 1);
      write_values(k + layout_.v_dim, layout_.k_dim - layout_.v_dim, key(sequence, position, head) + layout_.v_dim,
                   scale);
    } else {
      write_values(k, layout_.k_dim, key(sequence, position, head), scale);
      write_values(v, layout_.v_dim, value(sequence, position, head), scale + 1);
    }
  }

  // A key or value as floats.
  struct Row {
    const T* values;
    float scale;       // of the channels before `split`
    float rest_scale;  // of the others
    uint32_t split;
    float operator[](uint32_t i) const {
      const float x = to_float(values[i]);
      if constexpr (sizeof(T) != 1) return x;
      return x * (i < split ? scale : rest_scale);
    }
  };
  Row key_row(const SequenceRows& sequence, uint32_t position, uint32_t head) const {
    Row row{key(sequence, position, head), 1.0F, 1.0F, layout_.v_is_k_prefix ? layout_.v_dim : 0};
    if constexpr (sizeof(T) == 1) {
      row.scale = scales(sequence, position, head)[1];
      row.rest_scale = scales(sequence, position, head)[0];
    }
    return row;
  }
  Row value_row(const SequenceRows& sequence, uint32_t position, uint32_t head) const {
    Row row{value(sequence, position, head), 1.0F, 1.0F, layout_.v_dim};
    if constexpr (sizeof(T) == 1) row.scale = scales(sequence, position, head)[1];
    return row;
  }

 private:
  static size_t k_values(const KvLayout& layout) {
    return size_t{layout.kv_head_count} * layout.block_tokens * layout.k_dim;
  }
  static size_t scales_begin(const KvLayout& layout) {
    const size_t v_values =
        layout.v_is_k_prefix ? 0 : size_t{layout.kv_head_count} * layout.block_tokens * layout.v_dim;
    return round_up((k_values(layout) + v_values) * sizeof(T), sizeof(float));
  }

  char* block(const SequenceRows& sequence, uint32_t position) const {
    const int32_t index = sequence.block_table[position / layout_.block_tokens];
    SWITCHYARD_CHECK(index >= 0);
    return memory_ + static_cast<size_t>(index) * block_bytes(layout_);
  }
  size_t row(uint32_t position, uint32_t head) const {
    return size_t{head} * layout_.block_tokens + position % layout_.block_tokens;
  }
  T* key(const SequenceRows& sequence, uint32_t position, uint32_t head) const {
    return reinterpret_cast<T*>(block(sequence, position)) + row(position, head) * layout_.k_dim;
  }
  T* value(const SequenceRows& sequence, uint32_t position, uint32_t head) const {
    if (layout_.v_is_k_prefix) return key(sequence, position, head);
    return reinterpret_cast<T*>(block(sequence, position)) + k_values(layout_) + row(position, head) * layout_.v_dim;
  }
  float* scales(const SequenceRows& sequence, uint32_t position, uint32_t head) const {
    return reinterpret_cast<float*>(block(sequence, position) + scales_begin(layout_)) + 2 * row(position, head);
  }

  static void write_values(const float* from, uint32_t d, T* to, [[maybe_unused]] float* scale) {
    if constexpr (sizeof(T) == 1) {
      float largest = 0.0F;
      for (uint32_t i = 0; i < d; ++i) largest = std::isnan(from[i]) ? from[i] : std::fmax(largest, std::fabs(from[i]));
      const Quantizer quantizer = int8_quantizer(largest);
      *scale = quantizer.scale;
      for (uint32_t i = 0; i < d; ++i) {
        const float q = std::nearbyint(from[i] * quantizer.inverse);
        to[i] = static_cast<int8_t>(std::fmax(-127.0F, std::fmin(127.0F, q)));
      }
    } else {
      for (uint32_t i = 0; i < d; ++i) store_as(from[i], to + i);
    }
  }

  const KvLayout& layout_;
  char* memory_;
};

// One query head of one row. scores: room for position + 1 floats.
template <typename T>
void attend(const KvLayout& layout, const AttentionSpec& spec, const SequenceRows& sequence, uint32_t position,
            uint32_t head, const float* q, const Cache<T>& cache, float* scores, float* out) {
  const uint32_t kv_head = head / (spec.head_count / layout.kv_head_count);
  const uint32_t first = spec.window != 0 && position + 1 > spec.window ? position + 1 - spec.window : 0;
  float largest = spec.sinks != nullptr ? spec.sinks[head] : -INFINITY;
  for (uint32_t p = first; p <= position; ++p) {
    const auto k = cache.key_row(sequence, p, kv_head);
    float dot = 0.0F;
    for (uint32_t i = 0; i < layout.k_dim; ++i) dot = std::fma(q[i], k[i], dot);
    scores[p] = dot * spec.scale;
    largest = std::fmax(largest, scores[p]);
  }
  float sum = spec.sinks != nullptr ? std::exp(spec.sinks[head] - largest) : 0.0F;
  for (uint32_t i = 0; i < layout.v_dim; ++i) out[i] = 0.0F;
  for (uint32_t p = first; p <= position; ++p) {
    const float weight = std::exp(scores[p] - largest);
    sum += weight;
    const auto v = cache.value_row(sequence, p, kv_head);
    for (uint32_t i = 0; i < layout.v_dim; ++i) out[i] = std::fma(weight, v[i], out[i]);
  }
  for (uint32_t i = 0; i < layout.v_dim; ++i) out[i] /= sum;
}

template <typename T>
void attention_of(ThreadPool& pool, const KvLayout& layout, const AttentionSpec& spec, const SequenceRows* sequences,
                  uint32_t sequence_count, const float* q, size_t q_row_stride, const void* blocks, float* out) {
  struct Context {
    ThreadPool& pool;
    const KvLayout& layout;
    const AttentionSpec& spec;
    const SequenceRows* sequences;
    uint32_t sequence_count;
    const float* q;
    size_t q_row_stride;
    Cache<T> cache;
    float* out;
  } context{pool, layout, spec, sequences, sequence_count, q, q_row_stride, {layout, const_cast<void*>(blocks)}, out};
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
                     c.cache, scores, c.out + (size_t{r} * c.spec.head_count + h) * c.layout.v_dim);
            }
          }
        }
      },
      &context);
}

}  // namespace

size_t kv_block_bytes(const KvLayout& layout) {
  check_kv(layout);
  size_t bytes = 0;
  with_elements(layout.type,
                [&](auto* element) { bytes = Cache<std::remove_pointer_t<decltype(element)>>::block_bytes(layout); });
  return bytes;
}

void kv_write(ThreadPool&, const KvLayout& layout, const SequenceRows* sequences, uint32_t sequence_count,
              const float* k, size_t k_row_stride, const float* v, size_t v_row_stride, void* blocks) {
  check_kv(layout);
  with_elements(layout.type, [&](auto* element) {
    const Cache<std::remove_pointer_t<decltype(element)>> cache(layout, blocks);
    for (uint32_t s = 0; s < sequence_count; ++s) {
      const SequenceRows& sequence = sequences[s];
      for (uint32_t r = sequence.row_begin; r < sequence.row_end; ++r) {
        const uint32_t position = sequence.first_position + (r - sequence.row_begin);
        for (uint32_t h = 0; h < layout.kv_head_count; ++h) {
          cache.write(sequence, position, h, k + r * k_row_stride + size_t{h} * layout.k_dim,
                      layout.v_is_k_prefix ? nullptr : v + r * v_row_stride + size_t{h} * layout.v_dim);
        }
      }
    }
  });
}

void attention(ThreadPool& pool, const KvLayout& layout, const AttentionSpec& spec, const SequenceRows* sequences,
               uint32_t sequence_count, const float* q, size_t q_row_stride, const void* blocks, float* out) {
  check_attention(layout, spec);
  with_elements(layout.type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    attention_of<T>(pool, layout, spec, sequences, sequence_count, q, q_row_stride, blocks, out);
  });
}

}  // namespace switchyard::kernels::cpu::plain
