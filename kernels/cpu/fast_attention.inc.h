// KV cache and attention of the fast tables.
//
// Layout of a block, values in the layout's type. Keys and values apart (GQA): k (kv_heads, k_dim, lanes) with a
// position a lane, so that scores of kLanes positions are an outer product over k_dim, without sums across lanes; then
// v (kv_heads, block_tokens, v_dim rounded up to kLanes). lanes is block_tokens rounded up to kLanes: multiples of 16
// waste nothing. Values that are the keys' prefix (MLA): one (kv_heads, block_tokens, k_dim rounded up to kLanes),
// which serves as v as it is and is transposed chunk by chunk for the scores, once for all the query heads of a unit of
// work.
//
// bfloat16 where the instruction set multiplies pairs of it (kPairDots): keys (kv_heads, k_dim / 2, lanes, 2), so that
// a step takes two channels, and two positions of values are paired as they are loaded; queries and weights are rounded
// to bfloat16. Channels are padded with a zero to whole pairs, positions are paired from a block's first.
//
// int8: the block's scales follow its values, fp32 (kv_heads, 2, lanes): each position's for its key and its value. A
// key's scale multiplies its scores, a value's its weight; MLA's keys are scaled as they are transposed.
//
// Order. Online softmax over chunks of whole blocks, kChunkLanes lanes or one block, counted from position 0; a chunk's
// positions ascend. An item, one query head of one row, takes every step that touches one of its positions; steps it
// shares with other items but has no position in add exact zeros. So an item's bits do not depend on which items share
// its unit.

namespace switchyard::kernels::cpu::SWITCHYARD_SIMD {
namespace {

constexpr uint32_t kChunkLanes = 64;
// Query heads x rows to a unit of work, at most: they share each load of keys and values, which of a long sequence come
// from memory, while what the unit itself needs is to stay in a core's second cache.
constexpr uint32_t kItems = 240;
constexpr uint32_t kItemsBalanced = 60;  // down to which units get smaller so that each thread has several
constexpr uint32_t kUnitsPerThread = 4;
// Tiles of this many rows or fewer wait for memory, and blocks lie in no order that the machine would guess: such tiles
// ask for the next chunk line by line while they work on theirs (all at once would only move the wait).
constexpr uint32_t kAheadRows = 2 * kTileRows / 3;

// How keys and values meet queries and weights (the operands): widened to floats one by one, or in pairs of bfloat16.
struct FloatProducts {
  using Operand = float;
  static constexpr uint32_t kSteps = 1;
  template <typename K>
  static F keys(const K* p) {
    return load(p);
  }
  template <typename V>
  static F values(const V* p, const V*) {
    return load(p);
  }
  static F operand(const float* p) { return broadcast(*p); }
  static F multiply(F operand, F other, F sum) { return fma(operand, other, sum); }
};
struct PairProducts {
  using Operand = uint16_t;
  static constexpr uint32_t kSteps = 2;
  static Pairs keys(const uint16_t* p) { return load_pairs(p); }
  static Pairs values(const uint16_t* p, const uint16_t* next) { return as_pairs(pair_up(p, next)); }
  static Pairs operand(const uint16_t* p) { return broadcast_pair(p); }
  static F multiply(Pairs operand, Pairs other, F sum) { return dot(operand, other, sum); }
};
inline bool in_pairs(KvType type) { return kPairDots && type == KvType::kBfloat16; }
template <typename T>
using Products = std::conditional_t<kPairDots && sizeof(T) == 2, PairProducts, FloatProducts>;

struct BlockShape {
  size_t lanes;   // a block's positions in the scores
  size_t k_pad;   // MLA: values to a position
  size_t v_pad;   // GQA: values to a position
  size_t k_head;  // values to a KV head's keys
  size_t v_head;
  size_t v_begin;  // of all values, in a block
  size_t values;   // to a block, a multiple of 64 bytes
  size_t scales;   // floats behind them

  explicit BlockShape(const KvLayout& layout) {
    const uint32_t steps = in_pairs(layout.type) ? 2 : 1;
    lanes = round_up(layout.block_tokens, kLanes);
    k_pad = round_up(layout.k_dim, steps * kLanes);
    v_pad = layout.v_is_k_prefix ? k_pad : round_up(layout.v_dim, kLanes);
    k_head = layout.v_is_k_prefix ? layout.block_tokens * k_pad : lanes * round_up(layout.k_dim, steps);
    v_head = layout.v_is_k_prefix ? k_head : layout.block_tokens * v_pad;
    v_begin = layout.v_is_k_prefix ? 0 : layout.kv_head_count * k_head;
    values =
        round_up(layout.v_is_k_prefix ? layout.kv_head_count * k_head : v_begin + layout.kv_head_count * v_head, 64);
    scales = layout.type == KvType::kInt8 ? layout.kv_head_count * 2 * lanes : 0;
  }

  size_t bytes(KvType type) const { return round_up(values * element_bytes(type) + scales * sizeof(float), 64); }
};

size_t kv_block_bytes(const KvLayout& layout) {
  check_kv(layout);
  return BlockShape(layout).bytes(layout.type);
}

// The blocks of a cache.
template <typename T>
class Blocks {
 public:
  Blocks(const BlockShape& shape, KvType type, const void* memory)
      : memory_(static_cast<const char*>(memory)), bytes_(shape.bytes(type)), values_(shape.values) {}
  const T* values(int32_t block) const {
    return reinterpret_cast<const T*>(memory_ + static_cast<size_t>(block) * bytes_);
  }
  // (kv_heads, 2, lanes)
  const float* scales(int32_t block) const { return reinterpret_cast<const float*>(values(block) + values_); }

 private:
  const char* memory_;
  size_t bytes_;
  size_t values_;
};

// d values to consecutive places.
template <typename T>
void write_values(const float* from, size_t d, T* to) {
  by_vectors(
      d, [&](size_t i) { store(to + i, load(from + i)); },
      [&](size_t i, size_t n) { store_first(to + i, load_first(from + i, n), n); });
}

// d values to places `stride` apart; returns their scale.
float write_quantized(const float* from, uint32_t d, int8_t* to, size_t stride) {
  const Quantizer quantizer = int8_quantizer(largest_size(from, d));
  const F inverse = broadcast(quantizer.inverse);
  for (uint32_t i = 0; i < d; i += kLanes) {
    alignas(16) int8_t values[kLanes];
    store_low_bytes(values, quantized(from + i, d - i, inverse, -127, 127));
    for (uint32_t j = 0; j < least(kLanes, d - i); ++j) to[(i + j) * stride] = values[j];
  }
  return quantizer.scale;
}

// One position's key and value of one KV head; block: its values, scales: its (2, lanes).
template <typename T>
void write_head(const KvLayout& layout, const BlockShape& shape, size_t head, size_t token, const float* k,
                const float* v, T* block, float* scales) {
  T* k_to = block + head * shape.k_head + (layout.v_is_k_prefix ? token * shape.k_pad : token);
  T* v_to = block + shape.v_begin + head * shape.v_head + token * shape.v_pad;
  if constexpr (sizeof(T) == 1) {
    if (layout.v_is_k_prefix) {
      scales[shape.lanes + token] = write_quantized(k, layout.v_dim, k_to, 1);
      scales[token] = write_quantized(k + layout.v_dim, layout.k_dim - layout.v_dim, k_to + layout.v_dim, 1);
    } else {
      scales[token] = write_quantized(k, layout.k_dim, k_to, shape.lanes);
      scales[shape.lanes + token] = write_quantized(v, layout.v_dim, v_to, 1);
    }
  } else if (layout.v_is_k_prefix) {
    write_values(k, layout.k_dim, k_to);
    for (size_t i = layout.k_dim; i < round_up(layout.k_dim, Products<T>::kSteps); ++i) store_as(0.0F, k_to + i);
  } else {
    constexpr size_t kSteps = Products<T>::kSteps;
    for (size_t i = 0; i < round_up(layout.k_dim, kSteps); ++i) {
      store_as(i < layout.k_dim ? k[i] : 0.0F,
               k_to + i / kSteps * kSteps * shape.lanes + token * (kSteps - 1) + i % kSteps);
    }
    write_values(v, layout.v_dim, v_to);
  }
}

template <typename T>
void write_rows(ThreadPool& pool, const KvLayout& layout, const SequenceRows& sequence, const float* k,
                size_t k_row_stride, const float* v, size_t v_row_stride, void* memory) {
  const BlockShape shape(layout);
  const size_t rows = sequence.row_end - sequence.row_begin;
  const size_t per_row = size_t{layout.kv_head_count} * (layout.k_dim + layout.v_dim);
  pool.parallel_for(rows, rows_per_part(2 * per_row), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const size_t position = sequence.first_position + r;
      const size_t token = position % layout.block_tokens;
      const auto index = static_cast<size_t>(sequence.block_table[position / layout.block_tokens]);
      T* block = reinterpret_cast<T*>(static_cast<char*>(memory) + index * shape.bytes(layout.type));
      auto* scales = reinterpret_cast<float*>(block + shape.values);
      const float* k_row = k + (sequence.row_begin + r) * k_row_stride;
      const float* v_row = layout.v_is_k_prefix ? nullptr : v + (sequence.row_begin + r) * v_row_stride;
      for (size_t h = 0; h < layout.kv_head_count; ++h) {
        write_head(layout, shape, h, token, k_row + h * layout.k_dim,
                   v_row == nullptr ? nullptr : v_row + h * layout.v_dim, block, scales + h * 2 * shape.lanes);
      }
    }
  });
}

void kv_write(ThreadPool& pool, const KvLayout& layout, const SequenceRows* sequences, uint32_t sequence_count,
              const float* k, size_t k_row_stride, const float* v, size_t v_row_stride, void* blocks) {
  check_kv(layout);
  for (uint32_t s = 0; s < sequence_count; ++s) {
    with_elements(layout.type, [&](auto* element) {
      using T = std::remove_pointer_t<decltype(element)>;
      write_rows<T>(pool, layout, sequences[s], k, k_row_stride, v, v_row_stride, blocks);
    });
  }
}

// One vector of positions' keys: steps k_stride apart, kLanes positions each.
template <typename T>
struct KeyLanes {
  const T* k;
  const T* ahead;  // the same of the next chunk, or k
  float* scores;   // of the unit's first item
};

template <typename T>
inline void prefetch(const T* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
}

// scores[item][lanes] = q . k for kRows items and kVectors vectors of positions.
template <typename P, typename T, uint32_t kRows, uint32_t kVectors>
void score_tile(const typename P::Operand* q, size_t q_stride, const KeyLanes<T>* keys, size_t k_stride, size_t steps,
                size_t score_row, size_t score_stride) {
  F s[kVectors][kRows];
#pragma GCC unroll 2
  for (uint32_t v = 0; v < kVectors; ++v) {
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) s[v][r] = zero();
  }
  constexpr uint32_t kBases = (kRows + 2) / 3;
  const typename P::Operand* base[kBases];
#pragma GCC unroll 8
  for (uint32_t b = 0; b < kBases; ++b) base[b] = q + 3 * b * q_stride;
  const T* k0 = keys[0].k;
  const T* k1 = keys[kVectors - 1].k;
  for (size_t d = 0; d < steps; ++d) {
    const auto a = P::keys(k0);
    const auto b = P::keys(k1);
    if constexpr (kRows <= kAheadRows) {
      prefetch(keys[0].ahead + d * k_stride);
      if constexpr (kVectors == 2) prefetch(keys[1].ahead + d * k_stride);
    }
    k0 += k_stride;
    k1 += k_stride;
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) {
      const auto in = P::operand(base[r / 3] + (r % 3) * q_stride + d * P::kSteps);
      s[0][r] = P::multiply(in, a, s[0][r]);
      if constexpr (kVectors == 2) s[1][r] = P::multiply(in, b, s[1][r]);
    }
  }
#pragma GCC unroll 2
  for (uint32_t v = 0; v < kVectors; ++v) {
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) store(keys[v].scores + (score_row + r) * score_stride, s[v][r]);
  }
}

template <typename P, typename T, uint32_t kVectors, uint32_t kRows = kTileRows>
void score_tile_of(uint32_t rows, const typename P::Operand* q, size_t q_stride, const KeyLanes<T>* keys,
                   size_t k_stride, size_t steps, size_t score_row, size_t score_stride) {
  if (rows == kRows) {
    score_tile<P, T, kRows, kVectors>(q, q_stride, keys, k_stride, steps, score_row, score_stride);
  } else if constexpr (kRows > 1) {
    score_tile_of<P, T, kVectors, kRows - 1>(rows, q, q_stride, keys, k_stride, steps, score_row, score_stride);
  }
}

// Consecutive positions of one block, from a whole step on: their values and their first lane in the scores.
template <typename T>
struct ValueRun {
  const T* v;
  const T* ahead;  // the same of the next chunk, or v
  size_t lane;
  size_t count;
};

// sums[item][columns] = sums * scale[item] + weights[item][positions] . v for kRows items and kVectors vectors of v's
// columns.
template <typename T, uint32_t kRows, uint32_t kVectors>
void value_tile(const typename Products<T>::Operand* weights, size_t weight_stride, const ValueRun<T>* runs,
                size_t run_count, size_t v_stride, size_t column, const float* scale, float* sums, size_t sum_stride) {
  using P = Products<T>;
  alignas(64) static const T kNothing[2 * kLanes] = {};  // the value behind the last
  F s[kVectors][kRows];
#pragma GCC unroll 2
  for (uint32_t v = 0; v < kVectors; ++v) {
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r)
      s[v][r] = mul(load(sums + r * sum_stride + column + v * kLanes), broadcast(scale[r]));
  }
  constexpr uint32_t kBases = (kRows + 2) / 3;
  for (size_t i = 0; i < run_count; ++i) {
    const typename P::Operand* base[kBases];
#pragma GCC unroll 8
    for (uint32_t b = 0; b < kBases; ++b) base[b] = weights + 3 * b * weight_stride + runs[i].lane;
    const T* from = runs[i].v + column;
    for (size_t t = 0; t < runs[i].count; t += P::kSteps) {
      const T* next = P::kSteps == 1 || t + 1 < runs[i].count ? from + v_stride : kNothing;
      const auto a = P::values(from, next);
      const auto b = P::values(from + (kVectors - 1) * kLanes, next + (kVectors - 1) * kLanes);
      if constexpr (kRows <= kAheadRows) {
#pragma GCC unroll 2
        for (uint32_t step = 0; step < P::kSteps; ++step) {
          const T* ahead = runs[i].ahead + column + (t + step) * v_stride;
          prefetch(ahead);
          if constexpr (sizeof(T) * kVectors * kLanes > 64) prefetch(ahead + kLanes);
        }
      }
      from += P::kSteps * v_stride;
#pragma GCC unroll 16
      for (uint32_t r = 0; r < kRows; ++r) {
        const auto in = P::operand(base[r / 3] + (r % 3) * weight_stride + t);
        s[0][r] = P::multiply(in, a, s[0][r]);
        if constexpr (kVectors == 2) s[1][r] = P::multiply(in, b, s[1][r]);
      }
    }
  }
#pragma GCC unroll 2
  for (uint32_t v = 0; v < kVectors; ++v) {
#pragma GCC unroll 16
    for (uint32_t r = 0; r < kRows; ++r) store(sums + r * sum_stride + column + v * kLanes, s[v][r]);
  }
}

template <typename T, uint32_t kVectors, uint32_t kRows = kTileRows>
void value_tile_of(uint32_t rows, const typename Products<T>::Operand* weights, size_t weight_stride,
                   const ValueRun<T>* runs, size_t run_count, size_t v_stride, size_t column, const float* scale,
                   float* sums, size_t sum_stride) {
  if (rows == kRows) {
    value_tile<T, kRows, kVectors>(weights, weight_stride, runs, run_count, v_stride, column, scale, sums, sum_stride);
  } else if constexpr (kRows > 1) {
    value_tile_of<T, kVectors, kRows - 1>(rows, weights, weight_stride, runs, run_count, v_stride, column, scale, sums,
                                          sum_stride);
  }
}

// Items [0, items) in tiles of equal height to within one; body(first, rows).
template <typename Body>
inline void by_tiles(uint32_t items, Body body) {
  const uint32_t tiles = (items + kTileRows - 1) / kTileRows;
  for (uint32_t t = 0; t < tiles; ++t) {
    const uint32_t begin = items * t / tiles;
    body(begin, items * (t + 1) / tiles - begin);
  }
}

// The call's sizes and where each array of a unit lies in a member's scratch, all in floats (operands in pairs: two to
// a float's place).
struct AttentionShape {
  BlockShape block;
  size_t chunk_blocks;
  size_t chunk_lanes;
  size_t vectors;   // of lanes in a chunk
  size_t q_stride;  // odd in cache lines, as encoded rows are, and for the same reason
  size_t score_stride;
  size_t weight_stride;  // 0: weights lie in the scores' places
  size_t sum_stride;
  size_t steps;         // of k_dim
  size_t keys_floats;   // MLA: a chunk's transposed keys
  size_t scale_floats;  // int8: a chunk's scales

  explicit AttentionShape(const KvLayout& layout) : block(layout) {
    chunk_blocks = most(size_t{1}, kChunkLanes / block.lanes);
    chunk_lanes = chunk_blocks * block.lanes;
    vectors = chunk_lanes / kLanes;
    steps = in_pairs(layout.type) ? (layout.k_dim + 1) / 2 : layout.k_dim;
    q_stride = odd_lines(steps);
    score_stride = odd_lines(chunk_lanes);
    weight_stride = in_pairs(layout.type) ? odd_lines(chunk_lanes / 2) : 0;
    sum_stride = odd_lines(round_up(layout.v_dim, kLanes));
    keys_floats = layout.v_is_k_prefix ? vectors * steps * kLanes : 0;
    scale_floats = layout.type == KvType::kInt8 ? 2 * chunk_lanes : 0;
  }
  static size_t odd_lines(size_t floats) { return ((floats + 15) / 16 | 1) * 16; }

  // The lists of a chunk's key vectors and value runs.
  size_t list_bytes() const {
    return round_up(2 * vectors * sizeof(KeyLanes<float>) + chunk_blocks * sizeof(ValueRun<float>), 64);
  }
  size_t bytes(uint32_t items) const {
    return list_bytes() + 256 +
           (items * (q_stride + score_stride + weight_stride + sum_stride + kLanes + 3) + keys_floats + scale_floats) *
               sizeof(float);
  }
};

// Items [begin, end) of (sequence, KV head): item i is row i / group, query head i % group of the KV head's.
struct AttentionUnit {
  const SequenceRows* sequence;
  uint32_t kv_head;
  uint32_t begin;
  uint32_t end;
};

template <typename T>
class UnitAttention {
  using P = Products<T>;
  using Operand = typename P::Operand;
  static constexpr size_t kOperands = sizeof(float) / sizeof(Operand);  // in a float's place

 public:
  UnitAttention(const KvLayout& layout, const AttentionSpec& spec, const AttentionShape& shape, const void* blocks,
                void* scratch, uint32_t items)
      : layout_(layout),
        spec_(spec),
        shape_(shape),
        blocks_(shape.block, layout.type, blocks),
        group_(spec.head_count / layout.kv_head_count) {
    keys_ = static_cast<KeyLanes<T>*>(scratch);
    transposed_list_ = reinterpret_cast<KeyLanes<Operand>*>(keys_ + shape.vectors);
    runs_ = reinterpret_cast<ValueRun<T>*>(transposed_list_ + shape.vectors);
    float* floats = reinterpret_cast<float*>(static_cast<char*>(scratch) + shape.list_bytes());
    const auto take = [&floats](size_t count) {
      float* taken = floats;
      floats += count;
      return taken;
    };
    transposed_ = reinterpret_cast<Operand*>(take(shape.keys_floats));
    k_scales_ = take(shape.scale_floats);
    v_scales_ = k_scales_ + shape.scale_floats / 2;
    q_ = reinterpret_cast<Operand*>(take(items * shape.q_stride));
    q_stride_ = shape.q_stride * kOperands;
    scores_ = take(items * shape.score_stride);
    weights_ = reinterpret_cast<Operand*>(shape.weight_stride == 0 ? scores_ : take(items * shape.weight_stride));
    weight_stride_ = shape.weight_stride == 0 ? shape.score_stride : shape.weight_stride * kOperands;
    sums_ = take(items * shape.sum_stride);
    weight_sums_ = take(size_t{items} * kLanes);
    largest_ = take(items);
    scale_ = take(items);
    position_ = reinterpret_cast<uint32_t*>(take(items));
  }

  void compute(const AttentionUnit& unit, const float* q, size_t q_row_stride, float* out) {
    const uint32_t items = unit.end - unit.begin;
    for (uint32_t i = 0; i < items; ++i) start(unit, i, q, q_row_stride);
    // Items are in order of position: the first reaches back furthest, the last reaches on furthest.
    const uint32_t low = first_seen(position_[0]);
    const uint32_t high = position_[items - 1];
    const uint32_t chunk_tokens = static_cast<uint32_t>(shape_.chunk_blocks) * layout_.block_tokens;
    for (uint32_t chunk = low / chunk_tokens; chunk <= high / chunk_tokens; ++chunk) {
      const size_t key_count = gather(unit, chunk * chunk_tokens, low, high);
      score(items, key_count);
      for (uint32_t i = 0; i < items; ++i) {
        sees_all(i, chunk * chunk_tokens) ? soften_all(i) : soften_masked(i, chunk * chunk_tokens);
      }
      weigh(items);
    }
    for (uint32_t i = 0; i < items; ++i) finish(unit, i, out);
  }

 private:
  uint32_t first_seen(uint32_t position) const {
    return spec_.window != 0 && position + 1 > spec_.window ? position + 1 - spec_.window : 0;
  }
  uint32_t row_of(const AttentionUnit& unit, uint32_t i) const {
    return unit.sequence->row_begin + (unit.begin + i) / group_;
  }
  uint32_t head_of(const AttentionUnit& unit, uint32_t i) const {
    return unit.kv_head * group_ + (unit.begin + i) % group_;
  }

  void start(const AttentionUnit& unit, uint32_t i, const float* q, size_t q_row_stride) {
    const uint32_t row = row_of(unit, i);
    const uint32_t head = head_of(unit, i);
    position_[i] = unit.sequence->first_position + (row - unit.sequence->row_begin);
    write_values(q + row * q_row_stride + size_t{head} * layout_.k_dim, layout_.k_dim, q_ + i * q_stride_);
    if (layout_.k_dim % P::kSteps != 0) q_[i * q_stride_ + layout_.k_dim] = 0;
    for (size_t c = 0; c < shape_.sum_stride; c += kLanes) store(sums_ + i * shape_.sum_stride + c, zero());
    // A sink is a position that was seen first, of weight e^0 = 1 against itself, without a value.
    const bool sink = spec_.sinks != nullptr;
    largest_[i] = sink ? spec_.sinks[head] : -__builtin_inff();
    store(weight_sums_ + i * kLanes, select_lanes(broadcast(1.0F), 0, sink ? 1 : 0, zero()));
  }

  // Lists the chunk's key vectors and value runs within positions [low, high]. Others may not be in the cache: not
  // read.
  size_t gather(const AttentionUnit& unit, uint32_t chunk_begin, uint32_t low, uint32_t high) {
    const uint32_t chunk_tokens = static_cast<uint32_t>(shape_.chunk_blocks) * layout_.block_tokens;
    size_t key_count = 0;
    run_count_ = 0;
    for (size_t b = 0; b < shape_.chunk_blocks; ++b) {
      const uint32_t begin = chunk_begin + static_cast<uint32_t>(b) * layout_.block_tokens;
      const uint32_t from = most(begin, low);
      const uint32_t to = least(begin + layout_.block_tokens, high + 1);
      if (from >= to) continue;
      const int32_t index = unit.sequence->block_table[begin / layout_.block_tokens];
      const T* block = blocks_.values(index);
      const uint32_t later = begin + chunk_tokens;
      const T* ahead = block;
      if (later <= high) {
        ahead = blocks_.values(unit.sequence->block_table[later / layout_.block_tokens]);
      }
      if constexpr (kQuantized) {
        // Scales of other lanes multiply what is masked.
        const float* scales = blocks_.scales(index) + unit.kv_head * 2 * shape_.block.lanes;
        for (uint32_t t = from - begin; t < to - begin; ++t) {
          k_scales_[b * shape_.block.lanes + t] = scales[t];
          v_scales_[b * shape_.block.lanes + t] = scales[shape_.block.lanes + t];
        }
      }
      const size_t k = unit.kv_head * shape_.block.k_head;
      // From a whole step on: positions before `low` have weights of zero.
      const size_t skipped = (from - begin) / P::kSteps * P::kSteps;
      const size_t v = shape_.block.v_begin + unit.kv_head * shape_.block.v_head + skipped * shape_.block.v_pad;
      runs_[run_count_++] = {block + v, ahead + v, b * shape_.block.lanes + skipped, to - begin - skipped};
      for (uint32_t t = (from - begin) / kLanes * kLanes; t < to - begin; t += kLanes) {
        const size_t lane = b * shape_.block.lanes + t;
        const size_t offset = k + (layout_.v_is_k_prefix ? t * shape_.block.k_pad : t * P::kSteps);
        keys_[key_count++] = {block + offset, ahead + offset, scores_ + lane};
      }
    }
    return key_count;
  }

  void score(uint32_t items, size_t key_count) {
    if (layout_.v_is_k_prefix) {
      for (size_t i = 0; i < key_count; ++i) transpose_keys(i);
      score_lanes(items, transposed_list_, key_count, kLanes * P::kSteps);
    } else {
      score_lanes(items, keys_, key_count, shape_.block.lanes * P::kSteps);
    }
  }

  template <typename K>
  void score_lanes(uint32_t items, const KeyLanes<K>* keys, size_t key_count, size_t k_stride) {
    for (size_t i = 0; i < key_count; i += 2) {
      by_tiles(items, [&](uint32_t begin, uint32_t rows) {
        const Operand* q = q_ + begin * q_stride_;
        if (i + 1 < key_count) {
          score_tile_of<P, K, 2>(rows, q, q_stride_, keys + i, k_stride, shape_.steps, begin, shape_.score_stride);
        } else {
          score_tile_of<P, K, 1>(rows, q, q_stride_, keys + i, k_stride, shape_.steps, begin, shape_.score_stride);
        }
      });
    }
  }

  // Whether item i sees every lane of the chunk, and the chunk is of the usual size, without scales.
  bool sees_all(uint32_t i, uint32_t chunk_begin) const {
    return !kQuantized && shape_.chunk_lanes == kChunkLanes && shape_.block.lanes == layout_.block_tokens &&
           first_seen(position_[i]) <= chunk_begin && position_[i] >= chunk_begin + kChunkLanes - 1;
  }

  // Scores of item i to weights; its largest score, sum of weights and the scale of what it has summed so far follow.
  void soften_all(uint32_t i) {
    constexpr uint32_t kVectors = kChunkLanes / kLanes;
    const float* scores = scores_ + i * shape_.score_stride;
    Operand* weights = weights_ + i * weight_stride_;
    const F scale = broadcast(spec_.scale);
    F x[kVectors];
    F largest = broadcast(-__builtin_inff());
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      x[v] = mul(load(scores + v * kLanes), scale);
      largest = max(largest, x[v]);
    }
    F sum;
    const F at = reach(i, largest, sum);
#pragma GCC unroll 8
    for (uint32_t v = 0; v < kVectors; ++v) {
      const F weight = exp(sub(x[v], at));
      sum = add(sum, weight);
      store(weights + v * kLanes, weight);
    }
    store(weight_sums_ + i * kLanes, sum);
  }

  // Item i has seen `largest`: returns what scores are to be measured from, and the sum of weights measured from it.
  F reach(uint32_t i, F largest, F& sum) {
    const float before = largest_[i];
    const float here = max_of(largest);
    const float now = here > before ? here : before;
    largest_[i] = now;
    const F at = broadcast(now > -__builtin_inff() ? now : 0.0F);  // nothing seen yet: all weights are e^-inf = 0
    scale_[i] = now == before ? 1.0F : first(exp(sub(broadcast(before), at)));
    sum = mul(load(weight_sums_ + i * kLanes), broadcast(scale_[i]));
    return at;
  }

  // The same where not all of the chunk is seen, or its scores have scales.
  void soften_masked(uint32_t i, uint32_t chunk_begin) {
    float* scores = scores_ + i * shape_.score_stride;
    Operand* weights = weights_ + i * weight_stride_;
    const uint32_t low = first_seen(position_[i]);
    const uint32_t high = position_[i];
    const F masked = broadcast(-__builtin_inff());
    F largest = masked;
    for_each_vector(chunk_begin, [&](size_t lane, uint32_t position, size_t tokens) {
      const size_t from = low > position ? low - position : 0;
      const size_t to = high < position ? 0 : least(tokens, size_t{high} - position + 1);
      F x = masked;
      if (from < to) {
        F scale = broadcast(spec_.scale);
        if constexpr (kQuantized) {
          if (!layout_.v_is_k_prefix) scale = mul(scale, load(k_scales_ + lane));
        }
        x = select_lanes(mul(load(scores + lane), scale), from, to, masked);
      }
      store(scores + lane, x);
      largest = max(largest, x);
    });
    F sum;
    const F at = reach(i, largest, sum);
    for (size_t lane = 0; lane < shape_.chunk_lanes; lane += kLanes) {
      const F weight = exp(sub(load(scores + lane), at));
      sum = add(sum, weight);
      store(weights + lane, kQuantized ? mul(weight, load(v_scales_ + lane)) : weight);
    }
    store(weight_sums_ + i * kLanes, sum);
  }

  // body(first lane, its position, positions in the vector) for each vector of the chunk's lanes.
  template <typename Body>
  void for_each_vector(uint32_t chunk_begin, Body body) const {
    for (size_t b = 0; b < shape_.chunk_blocks; ++b) {
      for (uint32_t t = 0; t < shape_.block.lanes; t += kLanes) {
        const uint32_t tokens = layout_.block_tokens > t ? least(kLanes, layout_.block_tokens - t) : 0;
        body(b * shape_.block.lanes + t, chunk_begin + static_cast<uint32_t>(b) * layout_.block_tokens + t,
             size_t{tokens});
      }
    }
  }

  void weigh(uint32_t items) {
    const size_t columns = round_up(layout_.v_dim, kLanes);
    for (size_t c = 0; c < columns; c += 2 * kLanes) {
      by_tiles(items, [&](uint32_t begin, uint32_t rows) {
        const Operand* weights = weights_ + begin * weight_stride_;
        float* sums = sums_ + begin * shape_.sum_stride;
        if (c + kLanes < columns) {
          value_tile_of<T, 2>(rows, weights, weight_stride_, runs_, run_count_, shape_.block.v_pad, c, scale_ + begin,
                              sums, shape_.sum_stride);
        } else {
          value_tile_of<T, 1>(rows, weights, weight_stride_, runs_, run_count_, shape_.block.v_pad, c, scale_ + begin,
                              sums, shape_.sum_stride);
        }
      });
    }
  }

  void finish(const AttentionUnit& unit, uint32_t i, float* out) const {
    const float* sums = sums_ + i * shape_.sum_stride;
    float* to = out + (size_t{row_of(unit, i)} * spec_.head_count + head_of(unit, i)) * layout_.v_dim;
    const F share = broadcast(1.0F / sum_of(load(weight_sums_ + i * kLanes)));
    by_vectors(
        layout_.v_dim, [&](size_t c) { store(to + c, mul(load(sums + c), share)); },
        [&](size_t c, size_t n) { store_first(to + c, mul(load(sums + c), share), n); });
  }

  // MLA. Key vector i as [steps][kLanes] floats or pairs; lanes past the block's positions repeat its last, and are
  // masked.
  void transpose_keys(size_t i) {
    const auto first_lane = static_cast<size_t>(keys_[i].scores - scores_);
    const size_t tokens_from = first_lane % shape_.block.lanes;
    const size_t tokens = least(size_t{kLanes}, layout_.block_tokens - tokens_from);
    constexpr size_t kWord = P::kSteps;  // channels to a word
    Operand* to = transposed_ + i * shape_.steps * kLanes * kWord;
    for (size_t step = 0; step < shape_.steps; step += kLanes) {
      const size_t d = step * kWord;
      I words[kLanes];
#pragma GCC unroll 16
      for (size_t t = 0; t < kLanes; ++t) {
        const size_t token = least(t, tokens - 1);
        const size_t offset = token * shape_.block.k_pad + d;
        if constexpr (kWord == 2) {
          words[t] = load_bits(keys_[i].k + offset);
        } else {
          words[t] = bits_of(scaled_key(load(keys_[i].k + offset), first_lane + token, d));
        }
        prefetch(keys_[i].ahead + offset);
      }
      transpose(words);
      const size_t count = least(size_t{kLanes}, shape_.steps - step);
      for (size_t j = 0; j < count; ++j) store_bits(to + (step + j) * kLanes * kWord, words[j]);
    }
    transposed_list_[i] = {to, to, keys_[i].scores};
  }

  // MLA. Channels d and following of the key in a lane.
  F scaled_key(F key, size_t lane, size_t d) const {
    if constexpr (!kQuantized) return key;
    const F latent = broadcast(v_scales_[lane]);
    const F rest = broadcast(k_scales_[lane]);
    return mul(key, select_lanes(latent, 0, d < layout_.v_dim ? layout_.v_dim - d : 0, rest));
  }

  static constexpr bool kQuantized = sizeof(T) == 1;

  const KvLayout& layout_;
  const AttentionSpec& spec_;
  const AttentionShape& shape_;
  Blocks<T> blocks_;
  uint32_t group_;
  KeyLanes<T>* keys_;
  KeyLanes<Operand>* transposed_list_;
  ValueRun<T>* runs_;
  size_t run_count_ = 0;
  Operand* transposed_;
  float* k_scales_;  // (chunk lanes)
  float* v_scales_;
  Operand* q_;  // (items, q_stride_)
  size_t q_stride_;
  float* scores_;     // (items, score_stride)
  Operand* weights_;  // (items, weight_stride_)
  size_t weight_stride_;
  float* sums_;         // (items, sum_stride): weights . v so far
  float* weight_sums_;  // (items, kLanes)
  float* largest_;      // (items)
  float* scale_;        // (items)
  uint32_t* position_;  // (items)
};

// How the call's items are cut into units: `items` of a (sequence, KV head) to a unit.
struct AttentionPlan {
  uint32_t items;
  size_t units;
};

size_t unit_count(const KvLayout& layout, const AttentionSpec& spec, const SequenceRows* sequences, uint32_t count,
                  uint32_t items) {
  size_t units = 0;
  const size_t group = spec.head_count / layout.kv_head_count;
  for (uint32_t s = 0; s < count; ++s) {
    const size_t total = (sequences[s].row_end - sequences[s].row_begin) * group;
    units += (total + items - 1) / items * layout.kv_head_count;
  }
  return units;
}

// Smaller units when there are few for the threads: these then read the same keys, but none is idle.
AttentionPlan plan(const KvLayout& layout, const AttentionSpec& spec, const SequenceRows* sequences, uint32_t count,
                   uint32_t threads) {
  uint32_t items = kItems;
  size_t units = unit_count(layout, spec, sequences, count, items);
  while ((units < kUnitsPerThread * threads && items > kItemsBalanced) || (units < threads && items > 4)) {
    items /= 2;
    units = unit_count(layout, spec, sequences, count, items);
  }
  return {items, units};
}

template <typename T>
void attention_of(ThreadPool& pool, const KvLayout& layout, const AttentionSpec& spec, const SequenceRows* sequences,
                  uint32_t count, const float* q, size_t q_row_stride, const void* blocks, float* out) {
  const AttentionShape shape(layout);
  const AttentionPlan cut = plan(layout, spec, sequences, count, pool.size());
  const uint32_t group = spec.head_count / layout.kv_head_count;
  for_each_unit(pool, cut.units, 1, [&](uint32_t member, size_t begin, size_t end) {
    UnitAttention<T> work(layout, spec, shape, blocks, pool.scratch(member, shape.bytes(cut.items)), cut.items);
    uint32_t s = 0;
    size_t before = 0;  // units of sequences before s
    for (size_t unit = begin; unit < end; ++unit) {
      size_t here = unit_count(layout, spec, sequences + s, 1, cut.items);
      while (before + here <= unit) {
        before += here;
        here = unit_count(layout, spec, sequences + ++s, 1, cut.items);
      }
      const auto kv_head = static_cast<uint32_t>((unit - before) % layout.kv_head_count);
      const auto part = static_cast<uint32_t>((unit - before) / layout.kv_head_count);
      const uint32_t total = (sequences[s].row_end - sequences[s].row_begin) * group;
      work.compute({&sequences[s], kv_head, part * cut.items, least((part + 1) * cut.items, total)}, q, q_row_stride,
                   out);
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

}  // namespace
}  // namespace switchyard::kernels::cpu::SWITCHYARD_SIMD
