// Row-wise ops of the fast tables. A row is one thread's, and its order of sums is fixed by its length.

namespace switchyard::kernels::cpu::SWITCHYARD_SIMD {
namespace {

constexpr size_t kValuesPerPart = 8 * 1024;  // fewer values are done before another thread has woken

inline size_t rows_per_part(size_t values_per_row) { return kValuesPerPart / (values_per_row + 1) + 1; }

// Applies body(index, load, store) to [0, count) by vectors, the last one partial.
template <typename Whole, typename Part>
inline void by_vectors(size_t count, Whole whole, Part part) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) whole(i);
  if (i < count) part(i, count - i);
}

// Four vectors of partial sums, added in a fixed tree.
float sum_of_squares(const float* x, uint32_t d) {
  F s[4] = {zero(), zero(), zero(), zero()};
  uint32_t i = 0;
  for (; i + 4 * kLanes <= d; i += 4 * kLanes) {
#pragma GCC unroll 4
    for (uint32_t j = 0; j < 4; ++j) {
      const F v = load(x + i + j * kLanes);
      s[j] = fma(v, v, s[j]);
    }
  }
  for (; i < d; i += kLanes) {
    const F v = load_first(x + i, d - i);
    s[0] = fma(v, v, s[0]);
  }
  return sum_of(add(add(s[0], s[1]), add(s[2], s[3])));
}

void rms_norm(ThreadPool& pool, const float* x, size_t x_stride, uint32_t rows, uint32_t d, const float* weight,
              float eps, float* y, size_t y_stride) {
  pool.parallel_for(rows, rows_per_part(d), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const float* in = x + r * x_stride;
      float* out = y + r * y_stride;
      const F scale = broadcast(1.0F / __builtin_sqrtf(sum_of_squares(in, d) / static_cast<float>(d) + eps));
      by_vectors(
          d, [&](size_t i) { store(out + i, mul(mul(load(in + i), scale), load(weight + i))); },
          [&](size_t i, size_t n) {
            store_first(out + i, mul(mul(load_first(in + i, n), scale), load_first(weight + i, n)), n);
          });
    }
  });
}

void add(ThreadPool& pool, float* x, const float* y, size_t count) {
  pool.parallel_for(count, 4 * kValuesPerPart, [&](size_t begin, size_t end) {
    by_vectors(
        end - begin, [&](size_t i) { store(x + begin + i, add(load(x + begin + i), load(y + begin + i))); },
        [&](size_t i, size_t n) {
          store_first(x + begin + i, add(load_first(x + begin + i, n), load_first(y + begin + i, n)), n);
        });
  });
}

void add_gated(ThreadPool& pool, float* x, const float* y, const float* gate, uint32_t rows, uint32_t d) {
  pool.parallel_for(rows, rows_per_part(d), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const F g = gated_by_sigmoid(broadcast(1.0F), broadcast(gate[r]));
      float* to = x + r * d;
      const float* from = y + r * d;
      by_vectors(
          d, [&](size_t i) { store(to + i, fma(g, load(from + i), load(to + i))); },
          [&](size_t i, size_t n) { store_first(to + i, fma(g, load_first(from + i, n), load_first(to + i, n)), n); });
    }
  });
}

void rotate_halves(float* head, const float* cos, const float* sin, uint32_t pairs) {
  float* low = head;
  float* high = head + pairs;
  by_vectors(
      pairs,
      [&](size_t j) {
        const F a = load(low + j);
        const F b = load(high + j);
        store(low + j, sub(mul(a, load(cos + j)), mul(b, load(sin + j))));
        store(high + j, add(mul(b, load(cos + j)), mul(a, load(sin + j))));
      },
      [&](size_t j, size_t n) {
        const F a = load_first(low + j, n);
        const F b = load_first(high + j, n);
        store_first(low + j, sub(mul(a, load_first(cos + j, n)), mul(b, load_first(sin + j, n))), n);
        store_first(high + j, add(mul(b, load_first(cos + j, n)), mul(a, load_first(sin + j, n))), n);
      });
}

void rotate_pairs(float* head, const float* cos, const float* sin, uint32_t pairs) {
  for (uint32_t j = 0; j < pairs; ++j) {
    const float a = head[2 * j];
    const float b = head[2 * j + 1];
    head[2 * j] = a * cos[j] - b * sin[j];
    head[2 * j + 1] = b * cos[j] + a * sin[j];
  }
}

void rope(ThreadPool& pool, const RopeSpec& spec, const float* cos_sin, const uint32_t* positions, float* x,
          size_t x_row_stride, uint32_t rows, uint32_t heads, uint32_t head_dim) {
  check_rope(spec, head_dim);
  const uint32_t pairs = spec.rotary_dim / 2;
  pool.parallel_for(rows, rows_per_part(size_t{heads} * spec.rotary_dim), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const float* cos = cos_sin + size_t{positions[r]} * spec.rotary_dim;
      for (uint32_t h = 0; h < heads; ++h) {
        float* head = x + r * x_row_stride + size_t{h} * head_dim + spec.offset;
        if (spec.interleaved) {
          rotate_pairs(head, cos, cos + pairs, pairs);
        } else {
          rotate_halves(head, cos, cos + pairs, pairs);
        }
      }
    }
  });
}

void combine(ThreadPool& pool, const float* const* answers, const float* weights, uint32_t rows, uint32_t top_k,
             uint32_t d, float* out) {
  pool.parallel_for(rows, rows_per_part(size_t{d} * top_k), [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const float* const* from = answers + r * top_k;
      const float* weight = weights + r * top_k;
      float* to = out + r * d;
      by_vectors(
          d,
          [&](size_t i) {
            F sum = zero();
            for (uint32_t j = 0; j < top_k; ++j) sum = fma(broadcast(weight[j]), load(from[j] + i), sum);
            store(to + i, add(load(to + i), sum));
          },
          [&](size_t i, size_t n) {
            F sum = zero();
            for (uint32_t j = 0; j < top_k; ++j) sum = fma(broadcast(weight[j]), load_first(from[j] + i, n), sum);
            store_first(to + i, add(load_first(to + i, n), sum), n);
          });
    }
  });
}

}  // namespace
}  // namespace switchyard::kernels::cpu::SWITCHYARD_SIMD
