// Attention over the paged cache against softmax in double: causal, windows, sinks, grouped heads, values that are the
// keys' prefix. Blocks lie in random order among blocks of NaN, and slots that no position has been written to hold
// NaN: reading one shows.
#include <algorithm>
#include <numeric>

#include "tests/unit/kernels/support.h"

namespace switchyard::kernels {
namespace {

struct Case {
  KvLayout layout;
  uint32_t heads;
  uint32_t window;
  bool sinks;
};

std::string words(const Case& c) {
  const KvLayout& l = c.layout;
  return "heads " + std::to_string(c.heads) + "/" + std::to_string(l.kv_head_count) + " dims " +
         std::to_string(l.k_dim) + "," + std::to_string(l.v_dim) + (l.v_is_k_prefix ? " prefix" : "") + " block " +
         std::to_string(l.block_tokens) + " window " + std::to_string(c.window) + (c.sinks ? " sinks" : "") + " " +
         kKvTypeNames[static_cast<size_t>(l.type)];
}

constexpr KvType kWide = KvType::kFloat32;
constexpr KvType kNarrow = KvType::kBfloat16;
constexpr KvType kInt8 = KvType::kInt8;

const Case kCases[] = {
    {{kWide, 2, 16, 16, false, 16}, 2, 0, false},    {{kNarrow, 2, 64, 64, false, 16}, 8, 0, false},
    {{kWide, 1, 24, 40, false, 16}, 3, 0, true},     {{kNarrow, 3, 13, 7, false, 16}, 21, 0, false},
    {{kWide, 2, 32, 32, false, 16}, 14, 20, true},   {{kNarrow, 2, 64, 64, false, 32}, 8, 128, true},
    {{kWide, 2, 20, 20, false, 5}, 4, 3, false},     {{kNarrow, 1, 128, 128, false, 8}, 4, 1, false},
    {{kWide, 1, 72, 64, true, 16}, 16, 0, false},    {{kNarrow, 1, 576, 512, true, 16}, 10, 0, false},
    {{kNarrow, 1, 35, 30, true, 7}, 5, 0, false},    {{kWide, 1, 288, 256, true, 64}, 3, 9, true},
    {{kWide, 4, 256, 256, false, 128}, 4, 0, false}, {{kInt8, 2, 64, 64, false, 16}, 8, 0, false},
    {{kInt8, 3, 13, 7, false, 16}, 21, 0, true},     {{kInt8, 2, 20, 20, false, 5}, 4, 3, false},
    {{kInt8, 1, 576, 512, true, 16}, 10, 0, false},  {{kInt8, 1, 35, 30, true, 7}, 5, 9, true},
};

// Values as the cache keeps them: `parts` (MLA: latent and rest) of each row of d values have an int8 scale of their
// own.
void round_rows(KvType type, std::vector<float>& values, uint32_t d, std::vector<uint32_t> parts) {
  for (size_t row = 0; row < values.size(); row += d) {
    float* part = values.data() + row;
    for (const uint32_t size : parts) {
      std::vector<float> kept(part, part + size);
      if (type == KvType::kInt8 && size != 0) kept = rounded_input(WeightForm::kInt8, kept);
      if (type == KvType::kBfloat16) kept = rounded_input(WeightForm::kBfloat16, kept);
      part = std::copy(kept.begin(), kept.end(), part);
    }
  }
}

// One sequence with its keys, values (as they are kept), queries and cache.
struct Sequence {
  Case c;
  uint32_t length;
  std::vector<float> q, k, v;  // (length, heads, k_dim), (length, kv heads, ...)
  std::vector<int32_t> table;

  Sequence(const Case& which, uint32_t tokens, uint32_t seed, uint32_t first_block, uint32_t stride)
      : c(which), length(tokens) {
    const KvLayout& l = c.layout;
    q = random_values(size_t{length} * c.heads * l.k_dim, seed, 2.0F);
    k = random_values(size_t{length} * l.kv_head_count * l.k_dim, seed + 1, 2.0F);
    v = random_values(size_t{length} * l.kv_head_count * l.v_dim, seed + 2, 2.0F);
    round_rows(l.type, k, l.k_dim, l.v_is_k_prefix ? std::vector{l.v_dim, l.k_dim - l.v_dim} : std::vector{l.k_dim});
    round_rows(l.type, v, l.v_dim, {l.v_dim});
    if (l.type == KvType::kBfloat16) round_rows(l.type, q, l.k_dim, {l.k_dim});
    for (uint32_t b = 0; b * l.block_tokens < length; ++b)
      table.push_back(static_cast<int32_t>(first_block + b * stride));
    std::reverse(table.begin(), table.end());
  }
};

float scale_of(const Case& c) { return 1.0F / std::sqrt(static_cast<float>(c.layout.k_dim)); }

std::vector<double> reference(const Sequence& s, const std::vector<float>& sinks, uint32_t row) {
  const KvLayout& l = s.c.layout;
  const uint32_t first = s.c.window != 0 && row + 1 > s.c.window ? row + 1 - s.c.window : 0;
  std::vector<double> out(s.c.heads * l.v_dim, 0.0);
  for (uint32_t h = 0; h < s.c.heads; ++h) {
    const uint32_t kv = h / (s.c.heads / l.kv_head_count);
    double sum = s.c.sinks ? std::exp(double{sinks[h]}) : 0.0;
    for (uint32_t p = first; p <= row; ++p) {
      const float* q = &s.q[(size_t{row} * s.c.heads + h) * l.k_dim];
      const float* k = &s.k[(size_t{p} * l.kv_head_count + kv) * l.k_dim];
      const float* v = l.v_is_k_prefix ? k : &s.v[(size_t{p} * l.kv_head_count + kv) * l.v_dim];
      double dot = 0.0;
      for (uint32_t i = 0; i < l.k_dim; ++i) dot += double{q[i]} * double{k[i]};
      const double weight = std::exp(dot * double{scale_of(s.c)});
      sum += weight;
      for (uint32_t i = 0; i < l.v_dim; ++i) out[h * l.v_dim + i] += weight * double{v[i]};
    }
    for (uint32_t i = 0; i < l.v_dim; ++i) out[h * l.v_dim + i] /= sum;
  }
  return out;
}

class Attention : public Table {
 protected:
  // A table that multiplies pairs of bfloat16 rounds queries (here they are rounded before) and weights of values up
  // to 2 to it.
  double tolerance(KvType type) const {
    return type == KvType::kBfloat16 && std::string(ops().name) == "cpu-avx512-bf16" ? 4e-3 : 6e-6;
  }

  // A cache of `blocks` blocks of NaN.
  Memory cache(const KvLayout& layout, uint32_t blocks) const {
    Memory memory(ops().kv_block_bytes(layout) * blocks);
    std::memset(memory.get(), 0xff, ops().kv_block_bytes(layout) * blocks);
    return memory;
  }

  // Rows [begin, end) of each sequence: written and attended in one call. Appends each one's output to outs.
  struct Piece {
    const Sequence* sequence;
    uint32_t begin, end;
  };
  std::vector<std::vector<float>> step(ThreadPool& pool, const std::vector<Piece>& pieces,
                                       const std::vector<float>& sinks, void* blocks) const {
    const Case& c = pieces[0].sequence->c;
    const KvLayout& l = c.layout;
    const size_t q_row = size_t{c.heads} * l.k_dim;
    const size_t k_row = size_t{l.kv_head_count} * l.k_dim;
    const size_t v_row = size_t{l.kv_head_count} * l.v_dim;
    const size_t pad = 3;  // strides wider than rows
    std::vector<float> q, k, v;
    std::vector<SequenceRows> rows;
    std::vector<std::vector<int32_t>> tables;
    uint32_t next = 0;
    for (const Piece& p : pieces) {
      const Sequence& s = *p.sequence;
      for (uint32_t r = p.begin; r < p.end; ++r) {
        q.insert(q.end(), s.q.begin() + static_cast<long>(r * q_row), s.q.begin() + static_cast<long>((r + 1) * q_row));
        k.insert(k.end(), s.k.begin() + static_cast<long>(r * k_row), s.k.begin() + static_cast<long>((r + 1) * k_row));
        v.insert(v.end(), s.v.begin() + static_cast<long>(r * v_row), s.v.begin() + static_cast<long>((r + 1) * v_row));
        q.resize(q.size() + pad, NAN);
        k.resize(k.size() + pad, NAN);
        v.resize(v.size() + pad, NAN);
      }
      // Blocks that no row of this call sees any more have slid out; those after its last position are not allocated.
      std::vector<int32_t> table = s.table;
      for (uint32_t b = 0; b < table.size(); ++b) {
        const uint32_t last = (b + 1) * l.block_tokens - 1;
        if (c.window != 0 && last + c.window < p.begin + 1) table[b] = -1;
        if (b * l.block_tokens >= p.end) table[b] = -1;
      }
      tables.push_back(table);
      rows.push_back({next, next + (p.end - p.begin), p.begin, nullptr});
      next += p.end - p.begin;
    }
    for (size_t i = 0; i < rows.size(); ++i) rows[i].block_table = tables[i].data();
    const auto count = static_cast<uint32_t>(rows.size());
    ops().kv_write(pool, l, rows.data(), count, k.data(), k_row + pad, l.v_is_k_prefix ? nullptr : v.data(),
                   v_row + pad, blocks);
    std::vector<float> out(size_t{next} * c.heads * l.v_dim, NAN);
    AttentionSpec spec{c.heads, scale_of(c), c.window, c.sinks ? sinks.data() : nullptr};
    ops().attention(pool, l, spec, rows.data(), count, q.data(), q_row + pad, blocks, out.data());
    std::vector<std::vector<float>> outs;
    const size_t row = size_t{c.heads} * l.v_dim;
    for (const SequenceRows& r : rows) {
      outs.emplace_back(out.begin() + static_cast<long>(r.row_begin * row),
                        out.begin() + static_cast<long>(r.row_end * row));
    }
    return outs;
  }

  std::vector<float> in_chunks(ThreadPool& pool, const Sequence& s, uint32_t chunk,
                               const std::vector<float>& sinks) const {
    const Memory blocks =
        cache(s.c.layout, static_cast<uint32_t>(*std::max_element(s.table.begin(), s.table.end())) + 1);
    std::vector<float> all;
    for (uint32_t begin = 0; begin < s.length; begin += chunk) {
      const auto out = step(pool, {{&s, begin, std::min(s.length, begin + chunk)}}, sinks, blocks.get());
      all.insert(all.end(), out[0].begin(), out[0].end());
    }
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Tables, Attention, testing::ValuesIn(all_tables()), table_name);

TEST_P(Attention, IsTheSoftmaxOverWhatEachPositionSees) {
  ThreadPool pool(2);
  for (const Case& c : kCases) {
    const Sequence s(c, 150, 5, 7, 3);
    const std::vector<float> sinks = random_values(c.heads, 6, 2.0F);
    const std::vector<float> out = in_chunks(pool, s, s.length, sinks);
    const size_t row = size_t{c.heads} * c.layout.v_dim;
    for (uint32_t r = 0; r < s.length; r += 1 + r / 20) {
      const std::vector<double> expected = reference(s, sinks, r);
      for (size_t i = 0; i < row; ++i)
        ASSERT_NEAR(out[r * row + i], expected[i], tolerance(c.layout.type))
            << words(c) << " row " << r << " value " << i;
    }
  }
}

TEST_P(Attention, ChunksAndThreadsDoNotChangeBits) {
  for (const Case& c : kCases) {
    const Sequence s(c, 137, 15, 3, 2);
    const std::vector<float> sinks = random_values(c.heads, 16, 2.0F);
    ThreadPool one(1);
    const std::vector<float> single = in_chunks(one, s, 1, sinks);
    for (const uint32_t threads : thread_counts({1, 2, 3})) {
      ThreadPool pool(threads);
      for (const uint32_t chunk : ops().is_host ? std::vector{7U, 16U, 64U, 137U} : std::vector{16U, 137U}) {
        const std::vector<float> out = in_chunks(pool, s, chunk, sinks);
        ASSERT_TRUE(same_bits(out.data(), single.data(), single.size()))
            << words(c) << " chunk " << chunk << " threads " << threads;
      }
    }
  }
}

TEST_P(Attention, SequencesDoNotTouchEachOther) {
  for (const Case& c : kCases) {
    const std::vector<float> sinks = random_values(c.heads, 26, 2.0F);
    std::vector<Sequence> sequences;
    const uint32_t lengths[] = {1, 40, 90, 17};
    for (uint32_t i = 0; i < 4; ++i) sequences.emplace_back(c, lengths[i], 30 + i, i, 4);
    ThreadPool pool(2);
    const Memory blocks = cache(c.layout, 100);
    // All but the last row of each first, then the last rows of all, beside a prompt of another.
    std::vector<Piece> before;
    std::vector<Piece> last;
    for (const Sequence& s : sequences) {
      if (s.length > 1) before.push_back({&s, 0, s.length - 1});
      last.push_back({&s, s.length - 1, s.length});
    }
    step(pool, before, sinks, blocks.get());
    last[2] = {&sequences[2], 0, sequences[2].length};
    const auto outs = step(pool, last, sinks, blocks.get());
    for (size_t i = 0; i < 4; ++i) {
      const std::vector<float> alone = in_chunks(pool, sequences[i], sequences[i].length, sinks);
      ASSERT_TRUE(same_bits(outs[i].data(), alone.data() + alone.size() - outs[i].size(), outs[i].size()))
          << words(c) << " sequence " << i;
    }
  }
}

TEST_P(Attention, LongContextsAndLargeScoresStayExactEnough) {
  const Case c{{kWide, 1, 64, 64, false, 16}, 2, 0, false};
  Sequence s(c, 1500, 40, 0, 1);
  for (float& x : s.q) x *= 20.0F;  // scores up to some hundreds: the softmax is all in a few positions, and they move
  ThreadPool pool(2);
  const std::vector<float> out = in_chunks(pool, s, 600, {});
  for (const uint32_t r : {0U, 63U, 64U, 700U, 1499U}) {
    const Sequence& ref = s;
    const uint32_t row = r;
    const KvLayout& l = c.layout;
    for (uint32_t h = 0; h < c.heads; ++h) {
      std::vector<double> scores(row + 1);
      for (uint32_t p = 0; p <= row; ++p) {
        double dot = 0.0;
        for (uint32_t i = 0; i < l.k_dim; ++i)
          dot += double{ref.q[(size_t{row} * c.heads + h) * l.k_dim + i]} * double{ref.k[size_t{p} * l.k_dim + i]};
        scores[p] = dot * double{scale_of(c)};
      }
      const double largest = *std::max_element(scores.begin(), scores.end());
      double sum = 0.0;
      for (double& x : scores) sum += x = std::exp(x - largest);
      for (uint32_t i = 0; i < l.v_dim; ++i) {
        double expected = 0.0;
        for (uint32_t p = 0; p <= row; ++p) expected += scores[p] / sum * double{ref.v[size_t{p} * l.v_dim + i]};
        ASSERT_NEAR(out[(size_t{row} * c.heads + h) * l.v_dim + i], expected, 2e-4) << "row " << row;
      }
    }
  }
}

}  // namespace
}  // namespace switchyard::kernels
