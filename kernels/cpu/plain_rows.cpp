#include <cmath>

#include "common/base/result.h"
#include "kernels/api/checks.h"
#include "kernels/api/numbers.h"
#include "kernels/api/thread_pool.h"
#include "kernels/cpu/plain.h"
#include "kernels/cpu/tables.h"

namespace switchyard::kernels::cpu {

void copy(ThreadPool& pool, const float* x, size_t x_row_stride, size_t x_head_stride, uint32_t rows, uint32_t heads,
          uint32_t d, float* y, size_t y_row_stride, size_t y_head_stride) {
  pool.parallel_for(rows, 16, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      for (uint32_t h = 0; h < heads; ++h) {
        std::memcpy(y + r * y_row_stride + h * y_head_stride, x + r * x_row_stride + h * x_head_stride,
                    d * sizeof(float));
      }
    }
  });
}

}  // namespace switchyard::kernels::cpu

namespace switchyard::kernels::cpu::plain {

void rms_norm(ThreadPool& pool, const float* x, size_t x_stride, uint32_t rows, uint32_t d, const float* weight,
              float eps, float* y, size_t y_stride) {
  pool.parallel_for(rows, 1, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const float* in = x + r * x_stride;
      float* out = y + r * y_stride;
      double squares = 0.0;
      for (uint32_t i = 0; i < d; ++i) squares += double{in[i]} * double{in[i]};
      const auto scale = static_cast<float>(1.0 / std::sqrt(squares / d + double{eps}));
      for (uint32_t i = 0; i < d; ++i) out[i] = in[i] * scale * weight[i];
    }
  });
}

void add(ThreadPool& pool, float* x, const float* y, size_t count) {
  pool.parallel_for(count, 1, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) x[i] += y[i];
  });
}

void add_gated(ThreadPool& pool, float* x, const float* y, const float* gate, uint32_t rows, uint32_t d) {
  pool.parallel_for(rows, 1, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const float g = 1.0F / (1.0F + std::exp(-gate[r]));
      for (size_t i = r * d; i < (r + 1) * d; ++i) x[i] = std::fma(g, y[i], x[i]);
    }
  });
}

void rope(ThreadPool& pool, const RopeSpec& spec, const float* cos_sin, const uint32_t* positions, float* x,
          size_t x_row_stride, uint32_t rows, uint32_t heads, uint32_t head_dim) {
  check_rope(spec, head_dim);
  const uint32_t pairs = spec.rotary_dim / 2;
  pool.parallel_for(rows, 1, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      const float* cos = cos_sin + size_t{positions[r]} * spec.rotary_dim;
      const float* sin = cos + pairs;
      for (uint32_t h = 0; h < heads; ++h) {
        float* head = x + r * x_row_stride + size_t{h} * head_dim + spec.offset;
        for (uint32_t j = 0; j < pairs; ++j) {
          float& a = spec.interleaved ? head[2 * j] : head[j];
          float& b = spec.interleaved ? head[2 * j + 1] : head[j + pairs];
          const float rotated_a = a * cos[j] - b * sin[j];
          const float rotated_b = b * cos[j] + a * sin[j];
          a = rotated_a;
          b = rotated_b;
        }
      }
    }
  });
}

void combine(ThreadPool& pool, const float* const* answers, const float* weights, uint32_t rows, uint32_t top_k,
             uint32_t d, float* out) {
  pool.parallel_for(rows, 1, [&](size_t begin, size_t end) {
    for (size_t r = begin; r < end; ++r) {
      for (uint32_t i = 0; i < d; ++i) {
        float sum = 0.0F;
        for (size_t j = r * top_k; j < (r + 1) * top_k; ++j) sum = std::fma(weights[j], answers[j][i], sum);
        out[r * d + i] += sum;
      }
    }
  });
}

}  // namespace switchyard::kernels::cpu::plain
