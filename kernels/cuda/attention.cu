// The paged cache, and attention over it.
//
// A block of the cache is as the plain table's: k (kv_heads, block_tokens, k_dim), then v alike, unless it is the keys'
// prefix; int8 then has the scales, fp32 (kv_heads, block_tokens, 2): of the key (MLA: of what follows the latent), and
// of the value (MLA: of the latent).
//
// Order. A block of threads computes one query head of one row, over chunks of kChunk positions from 0 on, with an
// online softmax: so the bits hang on the row's own positions alone. Within a chunk a warp takes every kWarps-th
// position; a score is a sum over lanes, joined by halves; values are summed in order of position.
#include <type_traits>
#include <vector>

#include "common/base/result.h"
#include "kernels/api/checks.h"
#include "kernels/api/numbers.h"
#include "kernels/cuda/ops.h"
#include "kernels/cuda/reduce.cuh"

namespace switchyard::kernels::cuda {
namespace {

constexpr uint32_t kWarps = 4;
constexpr uint32_t kThreads = kWarps * kWarp;
constexpr uint32_t kChunk = 2 * kWarp;  // two positions a lane
constexpr uint32_t kChannels = 8;       // of a value, a thread, at most: v_dim up to 1024

// A row of the call and where its sequence's blocks are listed.
struct RowPlace {
  uint32_t row;
  uint32_t position;
  uint32_t table;  // first of its block ids
};

__host__ __device__ inline size_t key_values(const KvLayout& l) {
  return size_t{l.kv_head_count} * l.block_tokens * l.k_dim;
}
__host__ __device__ inline size_t scales_begin(const KvLayout& l) {
  const size_t v = l.v_is_k_prefix ? 0 : size_t{l.kv_head_count} * l.block_tokens * l.v_dim;
  return round_up((key_values(l) + v) * element_bytes(l.type), 16);
}
__host__ __device__ inline size_t block_bytes(const KvLayout& l) {
  const size_t scales = l.type == KvType::kInt8 ? size_t{l.kv_head_count} * l.block_tokens * 2 * sizeof(float) : 0;
  return round_up(scales_begin(l) + scales, 16);
}

// One position of one KV head.
template <typename T>
struct Entry {
  T* key;
  T* value;
  float* scales;
};
template <typename T>
__device__ Entry<T> entry(const KvLayout& l, char* blocks, const int32_t* table, uint32_t position, uint32_t head) {
  char* block = blocks + static_cast<size_t>(table[position / l.block_tokens]) * block_bytes(l);
  const size_t at = size_t{head} * l.block_tokens + position % l.block_tokens;
  T* values = reinterpret_cast<T*>(block);
  T* key = values + at * l.k_dim;
  return {key, l.v_is_k_prefix ? key : values + key_values(l) + at * l.v_dim,
          reinterpret_cast<float*>(block + scales_begin(l)) + 2 * at};
}

// --- kv_write: block (row, KV head)

template <typename T>
__device__ void write_values(const float* from, uint32_t d, T* to, float* scale) {
  if constexpr (std::is_same_v<T, int8_t>) {
    uint32_t largest = 0;
    for (uint32_t i = threadIdx.x; i < d; i += blockDim.x) {
      uint32_t bits;
      memcpy(&bits, from + i, sizeof(bits));
      largest = most(largest, bits & 0x7fffffffU);  // in the order of sizes, a NaN last
    }
    largest = reduce_block(largest, Most());
    float size;
    memcpy(&size, &largest, sizeof(size));
    const Quantizer quantizer = int8_quantizer(size);
    for (uint32_t i = threadIdx.x; i < d; i += blockDim.x) {
      to[i] = static_cast<int8_t>(fmaxf(-127.0F, fminf(127.0F, rintf(from[i] * quantizer.inverse))));
    }
    if (threadIdx.x == 0) *scale = quantizer.scale;
  } else {
    for (uint32_t i = threadIdx.x; i < d; i += blockDim.x) store_as(from[i], to + i);
  }
}

template <typename T>
__global__ void kv_write_kernel(KvLayout l, const RowPlace* rows, const int32_t* tables, const float* k,
                                size_t k_row_stride, const float* v, size_t v_row_stride, char* blocks) {
  const RowPlace place = rows[blockIdx.x];
  const uint32_t head = blockIdx.y;
  const Entry<T> to = entry<T>(l, blocks, tables + place.table, place.position, head);
  const float* key = k + place.row * k_row_stride + size_t{head} * l.k_dim;
  if (l.v_is_k_prefix) {
    write_values(key, l.v_dim, to.key, to.scales + 1);
    write_values(key + l.v_dim, l.k_dim - l.v_dim, to.key + l.v_dim, to.scales);
  } else {
    write_values(key, l.k_dim, to.key, to.scales);
    write_values(v + place.row * v_row_stride + size_t{head} * l.v_dim, l.v_dim, to.value, to.scales + 1);
  }
}

// --- attention: block (row, query head)

// q . k over the lanes of a warp, on every lane.
template <typename T>
__device__ float score(const KvLayout& l, const float* q, const Entry<T>& at) {
  float sum = 0.0F;
  if constexpr (std::is_same_v<T, int8_t>) {
    const uint32_t split = l.v_is_k_prefix ? l.v_dim : 0;
    const float latent = at.scales[1];
    const float rest = at.scales[0];
    for (uint32_t i = threadIdx.x % kWarp; i < l.k_dim; i += kWarp) {
      sum = fmaf(q[i], to_float(at.key[i]) * (i < split ? latent : rest), sum);
    }
  } else {
    for (uint32_t i = threadIdx.x % kWarp; i < l.k_dim; i += kWarp) sum = fmaf(q[i], to_float(at.key[i]), sum);
  }
  return reduce_warp(sum, Sum());
}

template <typename T>
__global__ void attention_kernel(KvLayout l, AttentionSpec spec, const RowPlace* rows, const int32_t* tables,
                                 const float* q, size_t q_row_stride, char* blocks, float* out) {
  const RowPlace place = rows[blockIdx.x];
  const int32_t* table = tables + place.table;
  const uint32_t head = blockIdx.y;
  const uint32_t kv_head = head / (spec.head_count / l.kv_head_count);
  const uint32_t last = place.position;
  const uint32_t first = spec.window != 0 && last + 1 > spec.window ? last + 1 - spec.window : 0;
  const uint32_t lane = threadIdx.x % kWarp;

  auto* query = shared_memory<float>();  // (k_dim)
  __shared__ float weights[kChunk];      // scores at first
  for (uint32_t i = threadIdx.x; i < l.k_dim; i += kThreads) {
    query[i] = q[place.row * q_row_stride + size_t{head} * l.k_dim + i];
  }
  // A sink is a position that was seen first, of weight 1 against itself, without a value.
  float largest = spec.sinks != nullptr ? spec.sinks[head] : -INFINITY;
  float sum = spec.sinks != nullptr ? 1.0F : 0.0F;
  float values[kChannels];
#pragma unroll
  for (uint32_t c = 0; c < kChannels; ++c) values[c] = 0.0F;

  for (uint32_t begin = first / kChunk * kChunk; begin <= last; begin += kChunk) {
    __syncthreads();  // query is there; the chunk before is done with its weights
    for (uint32_t i = threadIdx.x / kWarp; i < kChunk; i += kWarps) {
      const uint32_t position = begin + i;
      float x = -INFINITY;
      if (position >= first && position <= last) {
        x = score(l, query, entry<T>(l, blocks, table, position, kv_head)) * spec.scale;
      }
      if (lane == 0) weights[i] = x;
    }
    __syncthreads();
    const float mine[2] = {weights[lane], weights[lane + kWarp]};
    const float now = fmaxf(largest, reduce_warp(fmaxf(mine[0], mine[1]), Most()));
    const float factor = expf(largest - now);
    const float weight[2] = {expf(mine[0] - now), expf(mine[1] - now)};
    largest = now;
    sum = sum * factor + reduce_warp(weight[0] + weight[1], Sum());
    __syncthreads();
    if (threadIdx.x < kWarp) {
      weights[lane] = weight[0];
      weights[lane + kWarp] = weight[1];
    }
    __syncthreads();
#pragma unroll
    for (uint32_t c = 0; c < kChannels; ++c) values[c] *= factor;
    for (uint32_t i = first > begin ? first - begin : 0; i < kChunk && begin + i <= last; ++i) {
      const Entry<T> at = entry<T>(l, blocks, table, begin + i, kv_head);
      float w = weights[i];
      if constexpr (std::is_same_v<T, int8_t>) w *= at.scales[1];
#pragma unroll
      for (uint32_t c = 0; c < kChannels; ++c) {
        const uint32_t channel = threadIdx.x + c * kThreads;
        if (channel < l.v_dim) values[c] = fmaf(w, to_float(at.value[channel]), values[c]);
      }
    }
  }
  float* to = out + (size_t{place.row} * spec.head_count + head) * l.v_dim;
#pragma unroll
  for (uint32_t c = 0; c < kChannels; ++c) {
    const uint32_t channel = threadIdx.x + c * kThreads;
    if (channel < l.v_dim) to[channel] = values[c] / sum;
  }
}

// --- from the host's lists to the kernels'

struct Places {
  uint32_t count = 0;
  const RowPlace* rows = nullptr;
  const int32_t* tables = nullptr;
};

Places stage_places(const KvLayout& layout, const SequenceRows* sequences, uint32_t sequence_count) {
  std::vector<RowPlace> rows;
  std::vector<int32_t> tables;
  for (uint32_t s = 0; s < sequence_count; ++s) {
    const SequenceRows& sequence = sequences[s];
    const auto table = static_cast<uint32_t>(tables.size());
    const uint32_t count = sequence.row_end - sequence.row_begin;
    if (count == 0) continue;
    const uint32_t blocks = (sequence.first_position + count - 1) / layout.block_tokens + 1;
    tables.insert(tables.end(), sequence.block_table, sequence.block_table + blocks);
    for (uint32_t r = 0; r < count; ++r) {
      rows.push_back({sequence.row_begin + r, sequence.first_position + r, table});
    }
  }
  return {static_cast<uint32_t>(rows.size()), stage(rows.data(), rows.size()), stage(tables.data(), tables.size())};
}

}  // namespace

size_t kv_block_bytes(const KvLayout& layout) {
  check_kv(layout);
  return block_bytes(layout);
}

void kv_write(ThreadPool&, const KvLayout& layout, const SequenceRows* sequences, uint32_t sequence_count,
              const float* k, size_t k_row_stride, const float* v, size_t v_row_stride, void* blocks) {
  check_kv(layout);
  const Places places = stage_places(layout, sequences, sequence_count);
  with_elements(layout.type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    launch(kv_write_kernel<T>, dim3(places.count, layout.kv_head_count), kThreads, 0, layout, places.rows,
           places.tables, k, k_row_stride, v, v_row_stride, static_cast<char*>(blocks));
  });
}

void attention(ThreadPool&, const KvLayout& layout, const AttentionSpec& spec, const SequenceRows* sequences,
               uint32_t sequence_count, const float* q, size_t q_row_stride, const void* blocks, float* out) {
  check_attention(layout, spec);
  SWITCHYARD_CHECK(layout.v_dim <= kChannels * kThreads);
  const Places places = stage_places(layout, sequences, sequence_count);
  with_elements(layout.type, [&](auto* element) {
    using T = std::remove_pointer_t<decltype(element)>;
    launch(attention_kernel<T>, dim3(places.count, spec.head_count), kThreads, layout.k_dim * sizeof(float), layout,
           spec, places.rows, places.tables, q, q_row_stride, static_cast<char*>(const_cast<void*>(blocks)), out);
  });
}

}  // namespace switchyard::kernels::cuda
